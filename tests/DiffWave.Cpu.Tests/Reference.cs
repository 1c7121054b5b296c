using System.Numerics;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>
/// The network's equations, written as they stand in the paper, one plain loop each, in the precision of T: double for the truth, float for what a naive evaluation loses.
/// Signals are [rows, channels], one item.
/// </summary>
internal static class Reference<T> where T : struct, IFloatingPointIeee754<T>
{
    public static T Of(double value) => T.CreateChecked(value);

    public static T[] Of(ReadOnlySpan<float> values)
    {
        var converted = new T[values.Length];
        for (int i = 0; i < converted.Length; i++) converted[i] = T.CreateChecked(values[i]);
        return converted;
    }

    /// <summary>y[row, o] = b[o] + sum over i of w[o, i] x[row, i]</summary>
    public static T[] Linear(T[] x, int inputs, T[] w, T[] b)
    {
        int outputs = b.Length, rows = x.Length / inputs;
        var y = new T[rows * outputs];
        for (int row = 0; row < rows; row++)
            for (int o = 0; o < outputs; o++)
            {
                T sum = b[o];
                for (int i = 0; i < inputs; i++) sum += w[o * inputs + i] * x[row * inputs + i];
                y[row * outputs + o] = sum;
            }
        return y;
    }

    public static T Relu(T x) => x < T.Zero ? T.Zero : x; // NaN stays NaN

    public static T Silu(T x) => x / (T.One + T.Exp(-x));

    public static T Sigmoid(T x) => T.One / (T.One + T.Exp(-x));

    /// <summary>y[t, o] = b[o] + sum over taps k and channels i of w[o, i, k] x[t + (k - 1) d, i]; zero outside the signal.</summary>
    public static T[] Conv3(T[] x, int channels, T[] w, T[] b, int d)
    {
        int rows = x.Length / channels, outputs = b.Length;
        var y = new T[rows * outputs];
        for (int t = 0; t < rows; t++)
            for (int o = 0; o < outputs; o++)
            {
                T sum = b[o];
                for (int k = 0; k < 3; k++)
                {
                    int from = t + (k - 1) * d;
                    if (from < 0 || from >= rows) continue;
                    for (int i = 0; i < channels; i++) sum += w[(o * channels + i) * 3 + k] * x[from * channels + i];
                }
                y[t * outputs + o] = sum;
            }
        return y;
    }

    public sealed record BlockResult(T[] PreGate, T[] Gated, T[] Y, T[] Skip);

    /// <summary>One residual block; step [C], label [2C] or null, conditioner [rows, 2C] or null.</summary>
    public static BlockResult Block(ModelConfig config, Parameters parameters, int layer, T[] x, T[] step, T[]? label, T[]? conditioner)
    {
        int c = config.Channels, rows = x.Length / c;
        T[] Weights(string name) => Of(parameters[$"residual_layers.{layer}.{name}"]);
        var h = new T[x.Length];
        for (int i = 0; i < x.Length; i++) h[i] = x[i] + step[i % c];
        T[] preGate = Conv3(h, c, Weights("dilated_conv.weight"), Weights("dilated_conv.bias"), config.Dilation(layer));
        for (int i = 0; i < preGate.Length; i++)
        {
            if (label is not null) preGate[i] += label[i % (2 * c)];
            if (conditioner is not null) preGate[i] += conditioner[i];
        }
        var gated = new T[x.Length];
        var (filter, gate) = config.GateOrder == GateOrder.FilterFirst ? (0, c) : (c, 0);
        for (int t = 0; t < rows; t++)
            for (int i = 0; i < c; i++) gated[t * c + i] = T.Tanh(preGate[t * 2 * c + filter + i]) * Sigmoid(preGate[t * 2 * c + gate + i]);
        T[] output = Linear(gated, c, Weights("output_projection.weight"), Weights("output_projection.bias"));
        T[] y = new T[x.Length], skip = new T[x.Length];
        T rootTwo = T.Sqrt(Of(2));
        for (int t = 0; t < rows; t++)
            for (int i = 0; i < c; i++)
            {
                y[t * c + i] = ((config.ResidualIncludesStepEmbedding ? h : x)[t * c + i] + output[t * 2 * c + i]) / rootTwo;
                skip[t * c + i] = output[t * 2 * c + c + i];
            }
        return new BlockResult(preGate, gated, y, skip);
    }

    /// <summary>
    /// Transposed convolutions over (bands, time), each followed by leaky ReLU: every input scatters its kernel, out[t f + k - f/2, m + j - 1] += w[j, k] in[t, m]. [frames, M] to [frames hop, M].
    /// </summary>
    public static T[] Upsample(ModelConfig config, Parameters parameters, int layer, T[] mel)
    {
        int bands = config.Bands;
        T[] input = mel;
        for (int stage = 0; stage < config.UpsampleFactors.Count; stage++)
        {
            int f = config.UpsampleFactors[stage], kernel = Parameters.UpsamplerKernel(f), rows = input.Length / bands;
            string name = Parameters.UpsamplerName(config, layer, stage);
            T[] w = Of(parameters[$"{name}.weight"]);
            var output = new T[rows * f * bands];
            Array.Fill(output, Of(parameters[$"{name}.bias"])[0]);
            for (int t = 0; t < rows; t++)
                for (int k = 0; k < kernel; k++)
                {
                    int to = t * f + k - f / 2;
                    if (to < 0 || to >= rows * f) continue;
                    for (int m = 0; m < bands; m++)
                        for (int j = 0; j < 3; j++)
                            if (m + j - 1 >= 0 && m + j - 1 < bands) output[to * bands + m + j - 1] += w[j * kernel + k] * input[t * bands + m];
                }
            for (int i = 0; i < output.Length; i++) if (output[i] < T.Zero) output[i] *= Of(0.4f);
            input = output;
        }
        return input;
    }

    /// <summary>Embedding [512] of a step's table row [128].</summary>
    public static T[] Embedding(Parameters parameters, T[] row)
    {
        T[] Layer(T[] x, string name) => [.. Linear(x, x.Length, Of(parameters[$"{name}.weight"]), Of(parameters[$"{name}.bias"])).Select(Silu)];
        return Layer(Layer(row, "diffusion_embedding.projection1"), "diffusion_embedding.projection2");
    }

    public static T[] StepBias(Parameters parameters, int layer, T[] embedding) =>
        Linear(embedding, embedding.Length, Of(parameters[$"residual_layers.{layer}.diffusion_projection.weight"]), Of(parameters[$"residual_layers.{layer}.diffusion_projection.bias"]));

    public static T[] LabelBias(Parameters parameters, int layer, int label) =>
        Linear(Of(parameters["label_embedding.weight"].Slice(label * ModelConfig.LabelWidth, ModelConfig.LabelWidth)), ModelConfig.LabelWidth,
            Of(parameters[$"residual_layers.{layer}.label_projection.weight"]), Of(parameters[$"residual_layers.{layer}.label_projection.bias"]));

    public static T[] MelBias(ModelConfig config, Parameters parameters, int layer, T[] upsampled) =>
        Linear(upsampled, config.Bands, Of(parameters[$"residual_layers.{layer}.conditioner_projection.weight"]), Of(parameters[$"residual_layers.{layer}.conditioner_projection.bias"]));

    public static T[] InputProjection(Parameters parameters, T[] audio) =>
        [.. Linear(audio, 1, Of(parameters["input_projection.weight"]), Of(parameters["input_projection.bias"])).Select(Relu)];

    public static T[] Head(ModelConfig config, Parameters parameters, T[] skips)
    {
        T root = T.Sqrt(Of(config.Layers));
        T[] hidden = [.. Linear([.. skips.Select(s => s / root)], config.Channels, Of(parameters["skip_projection.weight"]), Of(parameters["skip_projection.bias"])).Select(Relu)];
        return Linear(hidden, config.Channels, Of(parameters["output_projection.weight"]), Of(parameters["output_projection.bias"]));
    }

    /// <summary>eps of a whole signal; mel [frames, M] or null.</summary>
    public static T[] Network(ModelConfig config, Parameters parameters, T[] audio, float step, T[]? mel, int label)
    {
        float[] row = new float[ModelConfig.StepTableWidth];
        StepEmbedding.Row(config.StepExponent, step, config.TrainingBetas.Count, row);
        T[] embedding = Embedding(parameters, Of(row)), x = InputProjection(parameters, audio), skips = new T[x.Length];
        for (int layer = 0; layer < config.Layers; layer++)
        {
            T[]? conditioner = mel is null ? null : MelBias(config, parameters, layer, Upsample(config, parameters, layer, mel)[..(audio.Length * config.Bands)]);
            var block = Block(config, parameters, layer, x, StepBias(parameters, layer, embedding), config.HasLabel ? LabelBias(parameters, layer, label) : null, conditioner);
            for (int i = 0; i < skips.Length; i++) skips[i] += block.Skip[i];
            x = block.Y;
        }
        return Head(config, parameters, skips);
    }
}
