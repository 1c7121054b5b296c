namespace DiffWave.Engine;

/// <summary>
/// Weights at the start of training, distributed as PyTorch and lmnt's model initialise theirs: Conv1d weights N(0, 2 / fan_in) (Kaiming), Linear and
/// ConvTranspose2d weights and every bias uniform within ±1 / sqrt(fan_in) (PyTorch's defaults), label embedding N(0, 1), and zero for the last projection's weights, so that
/// an untrained network predicts a constant.
/// </summary>
public static class Initializer
{
    // Noise draws count their steps from 0; the last step number keeps the weights independent of every noise drawn with the same seed.
    private const uint WeightStep = uint.MaxValue;

    /// <summary>Initial parameters of a configuration; the same seed gives the same bits.</summary>
    /// <param name="config">The model.</param>
    /// <param name="seed">Key of <see cref="PhiloxNoise"/>; tensor number i of <see cref="Parameters.Infos"/> draws from stream i.</param>
    /// <exception cref="ModelFormatException">The configuration asks for more than 2^31 - 1 values.</exception>
    public static Parameters Create(ModelConfig config, ulong seed)
    {
        var parameters = new Parameters(config);
        int fanIn = 0;
        for (int i = 0; i < parameters.Infos.Count; i++)
        {
            var info = parameters.Infos[i];
            var values = parameters[info.Name];
            uint stream = (uint)i;
            if (info.Shape.Count > 1) fanIn = FanIn(info); // a bias follows its weight and takes the weight's
            if (info.Name == "output_projection.weight") values.Clear();
            else if (info.Name == "label_embedding.weight") FillNormal(values, 1, seed, stream);
            else if (info.Shape.Count == 3) FillNormal(values, MathF.Sqrt(2f / fanIn), seed, stream);
            else FillUniform(values, 1 / MathF.Sqrt(fanIn), seed, stream);
        }
        return parameters;
    }

    // PyTorch's rule: size(1) times the kernel's taps. For a transposed convolution [in, out, kh, kw] that is out kh kw.
    private static int FanIn(ParameterInfo weight) => weight.Count / weight.Shape[0];

    private static void FillNormal(Span<float> values, float deviation, ulong seed, uint stream)
    {
        PhiloxNoise.Fill(seed, stream, WeightStep, 0, values);
        for (int i = 0; i < values.Length; i++) values[i] *= deviation;
    }

    // Symmetric and strictly inside the bound: (k + 1/2) 2^-23 with k of 24 bits is exact in float32.
    private static void FillUniform(Span<float> values, float bound, ulong seed, uint stream)
    {
        for (int i = 0; i < values.Length; i += 4)
        {
            var words = PhiloxNoise.Bits(seed, stream, WeightStep, (ulong)i / 4);
            ReadOnlySpan<uint> four = [words.X, words.Y, words.Z, words.W];
            for (int k = 0; k < 4 && i + k < values.Length; k++) values[i + k] = bound * (((int)(four[k] >> 8) - (1 << 23) + 0.5f) / (1 << 23));
        }
    }
}
