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

    public static IEnumerable<BenchCase> Cases(BenchSettings settings, IEnumerable<TrainingCase> cases) => cases.Select(one => new BenchCase(one.Name, () => Run(settings, one)));

    private static Row Run(BenchSettings settings, TrainingCase one)
    {
        Machine.ForgetPeakMemory();
        using BenchDevice on = settings.Open(one.Precision);
        using var training = new TimedTraining(on, ModelConfig.Preset(one.Preset), one.Batch, one.CropFrames, one.Recompute, settings.Seed);
        var first = training.Step();
        for (int warm = 0; warm < (on.IsCpu ? 1 : 3); warm++) training.Step(); // a GPU records it
        var (seconds, peak) = Suite.Measure(settings, on, () => training.Step().Seconds);
        var row = new Row(one.Name, seconds) { Peak = peak };
        double? atPeak = row.WorkAtPeak?.Median ?? seconds.Median * on.Peak();
        return row with
        {
            Figures = new Dictionary<string, object?>
            {
                ["preset"] = one.Preset, ["batch"] = one.Batch, ["crop_samples"] = training.Length, ["recompute"] = one.Recompute, ["precision"] = one.Precision.ToString().ToLowerInvariant(), ["device"] = on.Ops.Device,
                ["samples_per_second"] = training.Samples / seconds.Median, ["first_loss"] = first.Loss, ["first_gradient_norm"] = first.Norm, ["flops"] = training.Flops, ["gflops"] = training.Flops / seconds.Median / 1e9, ["mfu"] = training.Flops / atPeak,
                ["executed_mfu"] = on.IsCpu ? CpuWork.TrainingStep(training.Config, training.Samples, one.Recompute) / atPeak : null,
                ["peak_memory_bytes"] = Machine.PeakMemory(), ["peak_device_memory_bytes"] = on.PeakDeviceMemory,
            },
        };
    }
}
