using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>What tests of backward operations share.</summary>
internal static class BackwardSetup
{
    /// <summary>Compares the gradients of the device, by name, with float64; the naive evaluation sums over items as well.</summary>
    public static void AssertGradients(string what, IOps ops, Parameters parameters, Action<Gradients<double>> truth, Action<Gradients<float>> naive)
    {
        float[] arena = new float[parameters.Arena.Length];
        ops.ReadGradients(arena);
        var (exact, plain) = (new Gradients<double>(), new Gradients<float>());
        truth(exact);
        naive(plain);
        Assert.NotEmpty(exact.ByName);
        foreach (var info in parameters.Infos)
            if (exact.ByName.TryGetValue(info.Name, out double[]? expected))
                Setup.AssertAsGoodAsNaive($"gradient of {info.Name}, {what}", expected, plain.ByName[info.Name], arena[info.Offset..(info.Offset + info.Count)]);
            else Assert.All(arena[info.Offset..(info.Offset + info.Count)], value => Assert.Equal(0, value));
    }

    /// <summary>Readies a device for training from random weights.</summary>
    public static Parameters Load(IOps ops, ModelConfig config)
    {
        var parameters = Setup.Weights(config);
        ops.LoadTraining(config, new TrainingState(config, parameters, keepAverage: false));
        return parameters;
    }

    /// <summary>Random values, an array an item.</summary>
    public static float[][] Items(int batch, int count, uint stream) => [.. Enumerable.Range(0, batch).Select(item => Setup.Normals(count, stream + (uint)item))];

    /// <summary>Where a hidden value is within rounding of zero, float32 and float64 may stand on different sides of the ReLU's kink and both be right: such rows are moved.</summary>
    public static void AwayFromKinks(ModelConfig config, Parameters parameters, float[] skips)
    {
        double[] w = Reference<double>.Of(parameters["skip_projection.weight"]), b = Reference<double>.Of(parameters["skip_projection.bias"]);
        int c = config.Channels;
        for (int row = 0; row < skips.Length / c; row++)
            while (Reference<double>.Linear([.. Reference<double>.Of(skips.AsSpan(row * c, c)).Select(s => s / Math.Sqrt(config.Layers))], c, w, b).Any(value => Math.Abs(value) < 1e-5))
                for (int i = 0; i < c; i++) skips[row * c + i] *= 1.25f;
    }
}
