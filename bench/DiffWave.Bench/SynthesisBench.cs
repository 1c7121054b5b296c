using System.Globalization;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A synthesis to measure.</summary>
/// <param name="Preset">The model.</param>
/// <param name="Full">All steps of the training schedule instead of the fast one.</param>
/// <param name="Batch">Clips side by side.</param>
/// <param name="Seconds">Length of a clip.</param>
/// <param name="Precision">What it is computed with.</param>
internal sealed record SynthesisCase(string Preset, bool Full, int Batch, double Seconds, Precision Precision)
{
    public string Name => string.Create(CultureInfo.InvariantCulture, $"synthesis/{Preset}/{(Full ? "full" : "fast")}/{Batch}x{Seconds:0.###}s{(Precision == Precision.Fp32 ? "" : "/" + Precision.ToString().ToLowerInvariant())}");
}

/// <summary>Whole syntheses: how many times faster than real time, how soon, in how much memory.</summary>
internal static class SynthesisBench
{
    /// <summary>What is measured unless the user says otherwise: on a CPU what ends within minutes, on a GPU what fills it.</summary>
    public static IReadOnlyList<SynthesisCase> Usual(BenchSettings settings) => settings.Device switch
    {
        "cpu" =>
        [
            new("base", false, 1, 1, Precision.Fp32), new("base", false, 1, 5, Precision.Fp32), new("base", false, 2, 1, Precision.Fp32), new("base", true, 1, 0.25, Precision.Fp32), new("large", false, 1, 1, Precision.Fp32),
            new("small", false, 1, 5, Precision.Fp32), new("small", true, 1, 1, Precision.Fp32), new("tiny", false, 1, 5, Precision.Fp32), new("tiny", false, 1, 30, Precision.Fp32),
        ],
        "emulator" => [new("tiny", false, 1, 0.05, Precision.Fp32)],
        _ =>
        [
            .. from precision in new[] { Precision.Fp32, Precision.Fp16 }
               from full in new[] { false, true }
               from batch in new[] { 1, 16 }
               select new SynthesisCase("base", full, batch, 10, precision),
            .. from preset in new[] { "large", "small" } from batch in new[] { 1, 16 } select new SynthesisCase(preset, false, batch, 10, Precision.Fp16),
        ],
    };

    public static IEnumerable<BenchCase> Cases(BenchSettings settings, IEnumerable<SynthesisCase> cases) => cases.Select(one => new BenchCase(one.Name, repeat => Run(settings, repeat, one)) { Derive = Derive });

    private static Row Run(BenchSettings settings, Repeat repeat, SynthesisCase one)
    {
        Machine.ForgetPeakMemory();
        using BenchDevice on = settings.Open(one.Precision);
        using var synthesis = new TimedSynthesis(on.Ops, ModelConfig.Preset(one.Preset), one.Seconds, one.Batch, one.Full, settings.Seed);
        double first = synthesis.Once();      // compiles and allocates
        if (!on.IsCpu) synthesis.Once(); // a GPU records the chain
        var firstAudio = new Sample();
        Row row = Suite.Measure(one.Name, repeat, on, () =>
        {
            double taken = synthesis.Once();
            firstAudio.Add(synthesis.FirstAudioSeconds / taken);
            return taken;
        });
        return row with
        {
            Figures = new Dictionary<string, object?>
            {
                ["preset"] = one.Preset, ["channels"] = synthesis.Config.Channels, ["layers"] = synthesis.Config.Layers, ["steps"] = synthesis.Steps.Count, ["batch"] = one.Batch, ["clip_seconds"] = synthesis.AudioSeconds / one.Batch,
                ["precision"] = one.Precision.ToString().ToLowerInvariant(), ["device"] = on.Ops.Device, ["audio_seconds"] = synthesis.AudioSeconds, ["first_audio_share"] = firstAudio.Median, ["first_run_seconds"] = first,
                ["flops"] = synthesis.Flops, ["executed_flops"] = on.IsCpu ? CpuWork.Synthesis(synthesis.Config, synthesis.Samples, synthesis.Steps.Count) : null, ["data_sheet_flops"] = on.IsCpu ? null : on.Peak(),
                ["peak_memory_bytes"] = Machine.PeakMemory(), ["peak_device_memory_bytes"] = on.PeakDeviceMemory,
            },
        };
    }

    private static Row Derive(Row row)
    {
        double seconds = row.Seconds!.Median, flops = (double)row.Figures["flops"]!;
        double? executed = (double?)row.Figures["executed_flops"];
        return row.And(("times_real_time", (double)row.Figures["audio_seconds"]! / seconds), ("first_audio_seconds", (double)row.Figures["first_audio_share"]! * seconds), ("gflops", flops / seconds / 1e9), ("executed_gflops", executed / seconds / 1e9),
            ("share_of_peak", (executed ?? flops) / (row.WorkAtPeak?.Median ?? seconds * (double?)row.Figures["data_sheet_flops"])));
    }
}
