using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>A model with weights, and what to evaluate it on.</summary>
internal sealed record NetworkCase(ModelConfig Config, int Rows, int Batch)
{
    public Parameters Parameters { get; } = Setup.Weights(Config);
    public float[][] Audio { get; } = [.. Enumerable.Range(0, Batch).Select(item => Setup.Normals(Rows, (uint)item))];
    public float[] Steps { get; } = [.. new[] { 3f, 49, 17.3125f }[..Batch]];
    public int[] Labels { get; } = Config.HasLabel ? new[] { 5, 0, 3 }[..Batch] : [];
    public int Frames { get; } = (Rows - 1) / Config.Hop + 1;
    public IMelSource[]? Mels => Config.HasMel ? Setup.Mels(Config, Batch, Frames).Sources : null;
    public override string ToString() => $"C={Config.Channels} {Config.Conditioner} T={Rows} B={Batch}";

    /// <summary>Evaluates the network on a device and compares every item with <see cref="Reference{T}.Network"/> in float64.</summary>
    public void AssertAsAccurateAsPlainFloat32(IOps ops)
    {
        ops.Load(Config, Parameters);
        float[][] eps = Network.Evaluate(ops, Config, Audio, Steps, Mels, Labels);
        float[][]? mels = Config.HasMel ? Setup.Mels(Config, Batch, Frames).Rows : null;
        for (int item = 0; item < Batch; item++)
        {
            int label = Labels.Length > 0 ? Labels[item] : 0;
            Setup.AssertAsGoodAsNaive($"eps, {this}", Reference<double>.Network(Config, Parameters, Reference<double>.Of(Audio[item]), Steps[item], mels is null ? null : Reference<double>.Of(mels[item]), label),
                Reference<float>.Network(Config, Parameters, Audio[item], Steps[item], mels?[item], label), eps[item]);
        }
    }
}
