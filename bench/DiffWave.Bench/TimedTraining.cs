using System.Diagnostics;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// Optimiser steps on one batch held in memory, one after the other: q-sample, forward, L1 loss, backward, gradient norm, Adam. A CPU takes the batch crop by crop, a GPU all of it at once.
/// </summary>
internal sealed class TimedTraining : IDisposable
{
    private static readonly TrainingOptions Adam = new();

    private readonly IOps _ops;
    private readonly Precision _precision;
    private readonly TrainingPass _pass;
    private readonly IRecording _update;
    private readonly int _micro;
    private long _taken;

    /// <param name="on">The device; gets the weights.</param>
    /// <param name="config">The model.</param>
    /// <param name="batch">B, crops a step.</param>
    /// <param name="cropFrames">Mel frames a crop.</param>
    /// <param name="recompute">Compute the inputs of the gates again in backward instead of keeping them.</param>
    /// <param name="seed">Of weights and crops.</param>
    public TimedTraining(BenchDevice on, ModelConfig config, int batch, int cropFrames, bool recompute, ulong seed)
    {
        (_ops, _precision, Config, Batch) = (on.Ops, on.Ops.Precision, config, batch);
        Length = (Adam with { CropFrames = cropFrames }).CropSamples(config);
        Crops = new NoiseCrops(config, batch, Length, seed);
        Weights = Initializer.Create(config, seed);
        PhiloxNoise.Fill(seed, 0, 1, 0, Weights["output_projection.weight"]); // starts at zero, and then only its own gradient is not zero
        _micro = on.IsCpu ? 1 : batch;
        _ops.LoadTraining(config, new TrainingState(config, Weights, keepAverage: false));
        _pass = new TrainingPass(_ops, config, _micro, Length, recompute);
        _update = _ops.Record(_ops.UpdateWeights);
    }

    public ModelConfig Config { get; }

    public int Batch { get; }

    /// <summary>Samples of a crop.</summary>
    public int Length { get; }

    /// <summary>The batch.</summary>
    public NoiseCrops Crops { get; }

    /// <summary>Weights before the first step.</summary>
    public Parameters Weights { get; }

    public long Samples => (long)Batch * Length;

    /// <summary>FLOP of a step by definition: three forward passes.</summary>
    public double Flops => 3.0 * OpCost.Evaluation(Config, Samples).Flops;

    /// <summary>Takes a step: its seconds, its loss and the norm of its gradients.</summary>
    public (double Seconds, double Loss, double Norm) Step()
    {
        long start = Stopwatch.GetTimestamp();
        double[] sums = new double[Batch];
        _ops.BeginStep(new AdamStep(++_taken, Adam.LearningRate, Adam.Beta1, Adam.Beta2, Adam.Epsilon, ClipNorm: 0, AverageDecay: 0, LossScale.First(_precision).Factor), 1f / (Batch * Length));
        _ops.ZeroGradients();
        for (int at = 0; at < Batch; at += _micro)
        {
            Range now = at..(at + _micro);
            _pass.Run(LossKind.L1, Crops.Items[now], Crops.Noise[now], Crops.Steps[now], Crops.AlphaBars[now], sums.AsSpan(at, _micro), backward: true);
        }
        _update.Run();
        double norm = _ops.UpdateNorm(); // waits for the device
        return (Stopwatch.GetElapsedTime(start).TotalSeconds, sums.Sum() / Samples, norm);
    }

    public void Dispose()
    {
        _update.Dispose();
        _pass.Dispose();
    }
}

/// <summary>A batch of noise in place of speech; time does not depend on it.</summary>
internal sealed class NoiseCrops
{
    public TrainingItem[] Items { get; }
    public float[][] Noise { get; }
    public int[] Steps { get; }
    public float[] AlphaBars { get; }

    public NoiseCrops(ModelConfig config, int batch, int length, ulong seed)
    {
        IReadOnlyList<double> levels = new NoiseSchedule(config.TrainingBetas).AlphaBars;
        Steps = [.. Enumerable.Range(0, batch).Select(item => (2 * item + 1) * levels.Count / (2 * batch))];
        AlphaBars = [.. Steps.Select(step => (float)levels[step])];
        Noise = [.. Steps.Select((_, item) => Normals(seed, 3, item, length))];
        Items = [.. Steps.Select((_, item) => new TrainingItem(
            Array.ConvertAll(Normals(seed, 4, item, length), value => 0.1f * value), config.HasMel ? Normals(seed, 5, item, length / config.Hop * config.Bands) : null, 0, length, $"item {item}"))];
    }

    private static float[] Normals(ulong seed, uint stream, int item, int count)
    {
        var values = new float[count];
        PhiloxNoise.Fill(seed, stream, (uint)item, 0, values);
        return values;
    }
}

