using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>An optimiser step to measure.</summary>
/// <param name="Preset">The model.</param>
/// <param name="Batch">Crops a step.</param>
/// <param name="CropFrames">Mel frames a crop.</param>
/// <param name="Recompute">Compute the inputs of the gates again in backward instead of keeping them.</param>
/// <param name="Precision">What it is computed with.</param>
internal sealed record TrainingCase(string Preset, int Batch, int CropFrames, bool Recompute, Precision Precision)
{
    public string Name => $"training/{Preset}/{Batch}x{CropFrames}{(Recompute ? "/recompute" : "")}{(Precision == Precision.Fp32 ? "" : "/" + Precision.ToString().ToLowerInvariant())}";
}

/// <summary>
/// Optimiser steps: samples a second and MFU, the FLOP of three forward passes by definition over time and the peak of multiply-adds. On the CPU <c>executed_mfu</c> counts the products it really executes.
/// </summary>
internal static class TrainingBench
{
    /// <summary>What is measured unless the user says otherwise.</summary>
    public static IReadOnlyList<TrainingCase> Usual(BenchSettings settings) => settings.Device switch
    {
        "cpu" => [new("base", 1, 62, false, Precision.Fp32), new("base", 4, 62, false, Precision.Fp32), new("base", 4, 62, true, Precision.Fp32), new("small", 4, 62, false, Precision.Fp32), new("tiny", 8, 32, false, Precision.Fp32)],
        "emulator" => [new("tiny", 1, 2, false, Precision.Fp32)],
        _ => [.. from precision in Enum.GetValues<Precision>() select new TrainingCase("base", 16, 62, false, precision), new("large", 16, 62, false, Precision.Fp16), new("small", 16, 62, false, Precision.Fp16)],
    };

    public static IEnumerable<BenchCase> Cases(BenchSettings settings, IEnumerable<TrainingCase> cases) => cases.Select(one => new BenchCase(one.Name, repeat => Run(settings, repeat, one)) { Derive = Derive });

    private static Row Run(BenchSettings settings, Repeat repeat, TrainingCase one)
    {
        Machine.ForgetPeakMemory();
        using BenchDevice on = settings.Open(one.Precision);
        using var training = new TimedTraining(on, ModelConfig.Preset(one.Preset), one.Batch, one.CropFrames, one.Recompute, settings.Seed);
        var first = training.Step();
        for (int warm = 0; warm < (on.IsCpu ? 0 : 3); warm++) training.Step(); // a GPU records it
        Row row = Suite.Measure(one.Name, repeat, on, () => training.Step().Seconds);
        return row with
        {
            Figures = new Dictionary<string, object?>
            {
                ["preset"] = one.Preset, ["batch"] = one.Batch, ["crop_samples"] = training.Length, ["samples"] = training.Samples, ["recompute"] = one.Recompute, ["precision"] = one.Precision.ToString().ToLowerInvariant(),
                ["device"] = on.Ops.Device, ["first_loss"] = first.Loss, ["first_gradient_norm"] = first.Norm, ["flops"] = training.Flops, ["data_sheet_flops"] = on.IsCpu ? null : on.Peak(),
                ["executed_flops"] = on.IsCpu ? CpuWork.TrainingStep(training.Config, training.Samples, one.Recompute) : null, ["peak_memory_bytes"] = Machine.PeakMemory(), ["peak_device_memory_bytes"] = on.PeakDeviceMemory,
            },
        };
    }

    private static Row Derive(Row row)
    {
        double seconds = row.Seconds!.Median, flops = (double)row.Figures["flops"]!;
        double? atPeak = row.WorkAtPeak?.Median ?? seconds * (double?)row.Figures["data_sheet_flops"];
        return row.And(("samples_per_second", (long)row.Figures["samples"]! / seconds), ("gflops", flops / seconds / 1e9), ("mfu", flops / atPeak), ("executed_mfu", (double?)row.Figures["executed_flops"] / atPeak));
    }
}
