using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary><c>list</c>, <c>run</c>, <c>synthesis</c>, <c>training</c> and <c>roofline</c>: the cases of the suite, all or some of them.</summary>
internal static class SuiteVerbs
{
    public static Command List()
    {
        var device = new Option<string>("--device") { Description = "whose cases: cpu, cuda or emulator", DefaultValueFactory = _ => "cpu" };
        var filter = Filter();
        var list = new Command("list", "names of the cases that run measures") { filter, device };
        list.SetAction(parsed => Failures.Guard(() =>
        {
            foreach (BenchCase one in Matching(Suite.Cases(new BenchSettings(parsed.GetValue(device)!, Environment.ProcessorCount, default, 1, new Repeat())), parsed.GetValue(filter))) Console.WriteLine(one.Name);
            return 0;
        }));
        return list;
    }

    public static Command Run()
    {
        var filter = Filter();
        return new BenchVerb("run", "every case whose name holds FILTER; without one all of them", (parsed, settings) => Suite.Run("run", "benchmarks", settings, Matching(Suite.Cases(settings), parsed.GetValue(filter))), filter);
    }

    public static Command Synthesis()
    {
        var presets = Many<string>("--preset", "models: base, large, small, tiny");
        var steps = Many<string>("--steps", "schedules: fast, full");
        steps.AcceptOnlyFromAmong("fast", "full");
        var batches = Many<int>("--batch", "clips side by side");
        var seconds = Many<double>("--seconds", "lengths of a clip");
        var precisions = Many<Precision>("--precision", "fp32, tf32, fp16, bf16; the last three on a GPU's tensor cores");
        return new BenchVerb("synthesis", "whole syntheses: times real time, latency, memory; given sizes are combined with each other", (parsed, settings) =>
        {
            IReadOnlyList<SynthesisCase> cases = !Any(parsed, presets, steps, batches, seconds, precisions) ? SynthesisBench.Usual(settings) :
            [
                .. from preset in Given(parsed, presets, "base") from schedule in Given(parsed, steps, "fast") from batch in Given(parsed, batches, 1) from length in Given(parsed, seconds, 5)
                   from precision in Given(parsed, precisions, Precision.Fp32) select new SynthesisCase(preset, schedule == "full", batch, length, precision),
            ];
            return Suite.Run("synthesis", "synthesis from a mel in memory to audio in memory", settings, [.. SynthesisBench.Cases(settings, cases)], Notes.Synthesis);
        }, presets, steps, batches, seconds, precisions);
    }

    public static Command Training()
    {
        var presets = Many<string>("--preset", "models: base, large, small, tiny");
        var batches = Many<int>("--batch", "crops a step");
        var frames = Many<int>("--crop-frames", "mel frames of a crop");
        var precisions = Many<Precision>("--precision", "fp32, tf32, fp16, bf16; the last three on a GPU's tensor cores");
        var recompute = new Option<bool>("--recompute") { Description = "compute the inputs of the gates again in backward instead of keeping them" };
        return new BenchVerb("training", "optimiser steps: samples a second, MFU, memory; given sizes are combined with each other", (parsed, settings) =>
        {
            IReadOnlyList<TrainingCase> cases = !Any(parsed, presets, batches, frames, precisions, recompute) ? TrainingBench.Usual(settings) :
            [
                .. from preset in Given(parsed, presets, "base") from batch in Given(parsed, batches, 4) from crop in Given(parsed, frames, 62) from precision in Given(parsed, precisions, Precision.Fp32)
                   select new TrainingCase(preset, batch, crop, parsed.GetValue(recompute), precision),
            ];
            return Suite.Run("training", "optimiser steps on a batch in memory", settings, [.. TrainingBench.Cases(settings, cases)], Notes.Training);
        }, presets, batches, frames, precisions, recompute);
    }

    public static Command Roofline()
    {
        var preset = new Option<string>("--preset") { Description = "model whose operations are measured", DefaultValueFactory = _ => OpsBench.UsualPreset };
        var sizes = new Option<string?>("--shape") { Description = "on a GPU: sizes for every kernel that can have them, such as rows=65536,blocks=132 (blocks of kernels that walk tiles: as many as the device has multiprocessors); the usual ones are small", HelpName = "NAME=SIZE,.." };
        return new BenchVerb("roofline", "every operation, on a GPU every kernel, beside the measured ceilings of the device: what bounds it and how much of its roof it reaches", (parsed, settings) =>
            !settings.IsCpu ? GpuRoofline.Run(settings, parsed.GetValue(sizes)) : Suite.Run("roofline", "operations and ceilings", settings, [.. OpsBench.Ceilings(settings), .. OpsBench.Cases(settings, parsed.GetValue(preset)!)], Notes.Roofline), preset, sizes);
    }

    private static Argument<string?> Filter() => new("FILTER") { Arity = ArgumentArity.ZeroOrOne, Description = "a part of a case's name, such as synthesis/base or residual_block" };

    private static BenchCase[] Matching(IEnumerable<BenchCase> cases, string? filter)
    {
        BenchCase[] matching = [.. cases.Where(one => filter is null || one.Name.Contains(filter, StringComparison.Ordinal))];
        return matching.Length > 0 ? matching : throw new ArgumentException($"no case holds '{filter}' in its name; list prints them all");
    }

    private static Option<T[]> Many<T>(string name, string description) => new(name) { Description = description, AllowMultipleArgumentsPerToken = true };

    private static bool Any(ParseResult parsed, params Option[] options) => options.Any(option => parsed.GetResult(option) is { Implicit: false });

    private static T[] Given<T>(ParseResult parsed, Option<T[]> option, T usual) => parsed.GetValue(option) is { Length: > 0 } given ? given : [usual];
}

/// <summary>What a reader of a table has to know, in a line or two below it.</summary>
internal static class Notes
{
    public static readonly string[] Synthesis =
    [
        "case: model / schedule / clips x length; +-: 95 % of the median; GFLOP/s by definition, every step computing everything; of FMA peak: products really executed beside the multiply-adds measured before every round (on a GPU: by definition, of its data sheet).",
    ];

    public static readonly string[] Training =
    [
        "case: model / crops x mel frames. MFU = 3 x FLOP of a forward pass by definition / seconds / peak of multiply-adds; executed: the same with the products really executed (minimal filtering, F(4, 3), takes half of a convolution's).",
    ];

    public static readonly string[] Roofline =
    [
        "effective: FLOP by definition beside the FMA peak, more than 100 % where minimal filtering needs fewer products; executed: products really computed; FLOP/B, the bound and the other shares are of these. Roof: the lower of the FMA peak and intensity x the copy rate of as many bytes; neither: less than a quarter of it is reached.",
    ];
}
