using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>A pass of the whole network over two crops, forward and backward: a small model with weights, and all that is drawn for a training step.</summary>
internal sealed class PassCase(int channels, Conditioner conditioner, bool philsyn, int[] factors, int samples, int bands = 5, int layers = 4)
{
    public ModelConfig Config { get; } = Setup.Config(channels, conditioner, bands, factors: factors, philsyn: philsyn, layers: layers, cycle: 3);
    public Parameters Weights => field ??= Setup.Weights(Config);
    public TrainingItem[] Items => field ??= [.. Enumerable.Range(0, 2).Select(i => new Crops(Config, samples).Crop(i))];
    public float[][] Noise { get; } = [Setup.Normals(samples, 600), Setup.Normals(samples, 601)];
    public int[] Steps { get; } = [3, 40];
    public float[] Levels => field ??= [.. Steps.Select(step => (float)new NoiseSchedule(Config.TrainingBetas).AlphaBars[step])];

    /// <summary>The sum of squared differences, and the gradients of <paramref name="scale"/> times that sum.</summary>
    public (double Loss, Parameters Gradients) Run(IOps ops, bool recompute, float scale)
    {
        ops.LoadTraining(Config, new TrainingState(Config, Weights, false));
        using var pass = new TrainingPass(ops, Config, 2, samples, recompute);
        double[] sums = new double[2];
        ops.BeginStep(new AdamStep(1, 0, 0.9, 0.999, 1e-8, 0, 0), scale);
        pass.Run(LossKind.Mse, Items, Noise, Steps, Levels, sums, backward: true);
        var gradients = new Parameters(Config);
        ops.ReadGradients(gradients.Arena);
        return (sums.Sum(), gradients);
    }
}
