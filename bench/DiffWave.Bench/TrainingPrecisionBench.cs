using System.Diagnostics;
using System.Globalization;
using DiffWave.Audio;
using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// Where a training in each precision of a GPU goes: a small model from the same weights through the same crops, diffusion steps and noise, in fp32, tf32, fp16 and bf16, beside fp32 on the CPU. How far the CPU and
/// the GPU end from each other in fp32 is what rounding alone does.
/// </summary>
internal static class TrainingPrecisionBench
{
    private const int Channels = 32, Layers = 4, Cycle = 4, Bands = 16, Hop = 64;
    private const int LeastWindow = 20;

    private static readonly TrainingOptions Options = new() { Batch = 8, MicroBatch = 8, CropFrames = 4, LearningRate = 1e-3, WarmupSteps = 50, ClipNorm = 1, Seed = 1 };

    // 0.9 M multiply-adds a sample: small enough for the emulator.
    private static ModelConfig Config => ModelConfig.Preset("tiny") with
    {
        Channels = Channels, Layers = Layers, DilationCycle = Cycle, Mel = MelRecipe.Lmnt(22050, Hop, Bands), UpsampleFactors = [8, 8],
    };

    /// <summary>Trains in every precision: a row for each.</summary>
    /// <param name="device"><c>cuda</c>, <c>cuda:N</c> or <c>emulator</c>.</param>
    /// <param name="data">A recording, or a folder of them.</param>
    /// <param name="steps">Optimiser steps.</param>
    public static Result Run(string device, string data, int steps)
    {
        ModelConfig config = Config;
        if (config.Problem() is { } problem) throw new InvalidOperationException(problem);
        Dataset dataset = Dataset.Open(config, Options.CropSamples(config), Options.Seed, new DatasetOptions { Roots = [data], ValidationFraction = 0 });
        int window = Math.Max(LeastWindow, steps / 10);
        List<Row> rows = [];
        List<TrainingStep>? reference = null;
        foreach (Precision? precision in new Precision?[] { Precision.Fp32, Precision.Tf32, Precision.Fp16, Precision.Bf16, null })
        {
            using BenchDevice on = BenchDevice.Open(precision is null ? "cpu" : device, 0, default, precision ?? Precision.Fp32, checks: false);
            (List<TrainingStep> taken, double seconds) = Train(on.Ops, config, dataset, steps);
            reference ??= taken;
            double loss = Last(taken), apart = loss / Last(reference) - 1, worst = taken.Zip(reference, (a, b) => Math.Abs(a.Loss / b.Loss - 1)).Max();
            string name = (precision ?? Precision.Fp32).ToString().ToLowerInvariant();
            rows.Add(new Row($"training-precision/{(precision is null ? "cpu" : device.Split(':')[0])}/{name}", null)
            {
                Figures = new Dictionary<string, object?>
                {
                    ["device"] = on.Ops.Device, ["loss"] = loss, ["loss_beside_fp32"] = apart, ["largest_step_difference"] = worst, ["gradient_norm"] = taken[^1].GradientNorm, ["last_loss_scale"] = taken[^1].LossScale, ["seconds_per_step"] = seconds / steps,
                },
            });
        }
        return new Result("training-precision", Invariant($"C={config.Channels}, {config.Layers} layers, mel of {Bands} bands, {Options.Batch} crops of {dataset.CropSamples} samples of {Path.GetFileName(data)}, {steps} steps, learning rate {Options.LearningRate}"), rows)
        {
            Machine = Machine.Describe(), Settings = new Dictionary<string, object?> { ["device"] = device, ["steps"] = steps, ["loss_window"] = Math.Min(window, steps) },
            Notes = [Invariant($"loss: mean of the last {Math.Min(window, steps)} steps; the last line is fp32 on the CPU: what rounding alone does")],
        };

        double Last(List<TrainingStep> taken) => taken.TakeLast(window).Average(step => step.Loss);
    }

    private static (List<TrainingStep> Steps, double Seconds) Train(IOps ops, ModelConfig config, Dataset data, int steps)
    {
        TrainingOptions options = Options with { Precision = ops.Precision };
        using var trainer = new Trainer(ops, config, options, data, new TrainingState(config, Initializer.Create(config, options.Seed), keepAverage: false));
        List<TrainingStep> taken = [];
        long start = Stopwatch.GetTimestamp();
        for (int step = 0; step < steps; step++) taken.Add(trainer.Step());
        return (taken, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
