using System.Numerics;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>Gradients of weights by tensor name, summed over calls.</summary>
internal sealed class Gradients<T> where T : struct, IFloatingPointIeee754<T>
{
    public Dictionary<string, T[]> ByName { get; } = [];

    public void Add(string name, T[] values)
    {
        if (!ByName.TryGetValue(name, out var sums)) ByName[name] = sums = new T[values.Length];
        for (int i = 0; i < sums.Length; i++) sums[i] += values[i];
    }
}

/// <summary>
/// Backward of every operation of <see cref="Reference{T}"/>, one plain loop each by the chain rule. Signals are [rows, channels], one item; gradients of weights are added to a <see cref="Gradients{T}"/>.
/// </summary>
internal static class ReferenceBackward<T> where T : struct, IFloatingPointIeee754<T>
{
    private static T Of(double value) => T.CreateChecked(value);

    /// <summary>Of y[row, o] = b[o] + sum over i of w[o, i] x[row, i]; returns dx.</summary>
    public static T[] Linear(Parameters parameters, string name, T[] x, int inputs, T[] dy, Gradients<T> gradients)
    {
        T[] w = Reference<T>.Of(parameters[$"{name}.weight"]), dw = new T[w.Length], db = new T[w.Length / inputs], dx = new T[x.Length];
        int outputs = db.Length;
        for (int row = 0; row < x.Length / inputs; row++)
            for (int o = 0; o < outputs; o++)
            {
                T d = dy[row * outputs + o];
                db[o] += d;
                for (int i = 0; i < inputs; i++)
                {
                    dw[o * inputs + i] += d * x[row * inputs + i];
                    dx[row * inputs + i] += d * w[o * inputs + i];
                }
            }
        gradients.Add($"{name}.weight", dw);
        gradients.Add($"{name}.bias", db);
        return dx;
    }

    /// <summary>Of relu; y is its result or its argument.</summary>
    private static T[] Relu(T[] y, T[] dy) => [.. y.Select((value, i) => value <= T.Zero ? T.Zero : dy[i])];

    private static T[] Silu(T[] x, T[] dy) => [.. x.Select((value, i) => dy[i] * Reference<T>.Sigmoid(value) * (T.One + value * (T.One - Reference<T>.Sigmoid(value))))];

    /// <summary>Of the three-tap dilated convolution; returns dx.</summary>
    public static T[] Conv3(Parameters parameters, string name, T[] x, int channels, T[] dy, int d, Gradients<T> gradients)
    {
        T[] w = Reference<T>.Of(parameters[$"{name}.weight"]), dw = new T[w.Length], db = new T[w.Length / (3 * channels)], dx = new T[x.Length];
        int rows = x.Length / channels, outputs = db.Length;
        for (int t = 0; t < rows; t++)
            for (int o = 0; o < outputs; o++)
            {
                T value = dy[t * outputs + o];
                db[o] += value;
                for (int k = 0; k < 3; k++)
                {
                    int from = t + (k - 1) * d;
                    if (from < 0 || from >= rows) continue;
                    for (int i = 0; i < channels; i++)
                    {
                        dw[(o * channels + i) * 3 + k] += value * x[from * channels + i];
                        dx[from * channels + i] += value * w[(o * channels + i) * 3 + k];
                    }
                }
            }
        gradients.Add($"{name}.weight", dw);
        gradients.Add($"{name}.bias", db);
        return dx;
    }

    public sealed record BlockResult(T[] DX, T[] DStep, T[] DPreGate, T[] DLabel);

    /// <summary>Of one residual block at the pre-gate values it had; dY is null for the last layer. DPreGate is the conditioner's gradient too.</summary>
    public static BlockResult Block(ModelConfig config, Parameters parameters, int layer, T[] x, T[] step, T[] preGate, T[]? dY, T[] dSkip, Gradients<T> gradients)
    {
        int c = config.Channels, rows = x.Length / c;
        string name = $"residual_layers.{layer}";
        var (filter, gate) = config.GateOrder == GateOrder.FilterFirst ? (0, c) : (c, 0);
        T rootTwo = T.Sqrt(Of(2));
        T[] h = [.. x.Select((value, i) => value + step[i % c])], gated = new T[x.Length], dOutput = new T[2 * x.Length], dPreGate = new T[2 * x.Length];
        for (int t = 0; t < rows; t++)
            for (int i = 0; i < c; i++)
            {
                gated[t * c + i] = T.Tanh(preGate[t * 2 * c + filter + i]) * Reference<T>.Sigmoid(preGate[t * 2 * c + gate + i]);
                if (dY is not null) dOutput[t * 2 * c + i] = dY[t * c + i] / rootTwo;
                dOutput[t * 2 * c + c + i] = dSkip[t * c + i];
            }
        T[] dGated = Linear(parameters, $"{name}.output_projection", gated, c, dOutput, gradients);
        for (int t = 0; t < rows; t++)
            for (int i = 0; i < c; i++)
            {
                T tanh = T.Tanh(preGate[t * 2 * c + filter + i]), sigma = Reference<T>.Sigmoid(preGate[t * 2 * c + gate + i]), d = dGated[t * c + i];
                dPreGate[t * 2 * c + filter + i] = d * sigma * (T.One - tanh * tanh);
                dPreGate[t * 2 * c + gate + i] = d * tanh * sigma * (T.One - sigma);
            }
        T[] dH = Conv3(parameters, $"{name}.dilated_conv", h, c, dPreGate, config.Dilation(layer), gradients), dX = new T[x.Length], dStep = new T[c], dLabel = new T[2 * c];
        for (int i = 0; i < x.Length; i++)
        {
            T direct = dY is null ? T.Zero : dY[i] / rootTwo;
            dX[i] = dH[i] + direct;
            dStep[i % c] += config.ResidualIncludesStepEmbedding ? dX[i] : dH[i];
        }
        for (int i = 0; i < dPreGate.Length; i++) dLabel[i % (2 * c)] += dPreGate[i];
        return new BlockResult(dX, dStep, dPreGate, dLabel);
    }

    /// <summary>Of the mel upsampler, stage after stage backwards; returns the gradient of the mel. The result may be given, so that every evaluation sees the same signs.</summary>
    public static T[] Upsample(ModelConfig config, Parameters parameters, int layer, T[] mel, T[] upsampled, T[] dUpsampled, Gradients<T> gradients)
    {
        int bands = config.Bands;
        T[] d = dUpsampled, output = upsampled;
        for (int stage = config.UpsampleFactors.Count - 1; stage >= 0; stage--)
        {
            int f = config.UpsampleFactors[stage], kernel = Parameters.UpsamplerKernel(f);
            string name = Parameters.UpsamplerName(config, layer, stage);
            T[] input = Reference<T>.Upsample(config with { UpsampleFactors = [.. config.UpsampleFactors.Take(stage)] }, parameters, layer, mel);
            T[] w = Reference<T>.Of(parameters[$"{name}.weight"]), dw = new T[w.Length], db = new T[1], dInput = new T[input.Length];
            T[] g = [.. d.Select((value, i) => output[i] <= T.Zero ? value * Of(0.4f) : value)];
            foreach (T value in g) db[0] += value;
            for (int t = 0; t < input.Length / bands; t++)
                for (int k = 0; k < kernel; k++)
                {
                    int to = t * f + k - f / 2;
                    if (to < 0 || to >= output.Length / bands) continue;
                    for (int m = 0; m < bands; m++)
                        for (int j = 0; j < 3; j++)
                        {
                            if (m + j - 1 < 0 || m + j - 1 >= bands) continue;
                            dw[j * kernel + k] += g[to * bands + m + j - 1] * input[t * bands + m];
                            dInput[t * bands + m] += g[to * bands + m + j - 1] * w[j * kernel + k];
                        }
                }
            gradients.Add($"{name}.weight", dw);
            gradients.Add($"{name}.bias", db);
            (d, output) = (dInput, input);
        }
        return d;
    }

    /// <summary>Of the embedding of a step's table row and of all layers' step biases, dStepBias [L, C]; returns the gradient of the table row.</summary>
    public static T[] StepEmbedding(ModelConfig config, Parameters parameters, T[] row, T[] dStepBias, Gradients<T> gradients)
    {
        T[] Layer(T[] x, string name) => Reference<T>.Linear(x, x.Length, Reference<T>.Of(parameters[$"{name}.weight"]), Reference<T>.Of(parameters[$"{name}.bias"]));
        const string First = "diffusion_embedding.projection1", Second = "diffusion_embedding.projection2";
        T[] u1 = Layer(row, First), h1 = [.. u1.Select(Reference<T>.Silu)], u2 = Layer(h1, Second), e = [.. u2.Select(Reference<T>.Silu)], dE = new T[e.Length];
        for (int layer = 0; layer < config.Layers; layer++)
        {
            T[] d = Linear(parameters, $"residual_layers.{layer}.diffusion_projection", e, e.Length, dStepBias[(layer * config.Channels)..((layer + 1) * config.Channels)], gradients);
            for (int i = 0; i < d.Length; i++) dE[i] += d[i];
        }
        T[] dH1 = Linear(parameters, Second, h1, h1.Length, Silu(u2, dE), gradients);
        return Linear(parameters, First, row, row.Length, Silu(u1, dH1), gradients);
    }

    /// <summary>Of all layers' label biases, dLabelBias [L, 2C].</summary>
    public static void LabelBias(ModelConfig config, Parameters parameters, int label, T[] dLabelBias, Gradients<T> gradients)
    {
        const int Width = ModelConfig.LabelWidth;
        T[] embedding = Reference<T>.Of(parameters["label_embedding.weight"].Slice(label * Width, Width)), dTable = new T[config.Labels * Width];
        int outputs = 2 * config.Channels;
        for (int layer = 0; layer < config.Layers; layer++)
        {
            T[] d = Linear(parameters, $"residual_layers.{layer}.label_projection", embedding, Width, dLabelBias[(layer * outputs)..((layer + 1) * outputs)], gradients);
            for (int i = 0; i < Width; i++) dTable[label * Width + i] += d[i];
        }
        gradients.Add("label_embedding.weight", dTable);
    }

    public static T[] MelBias(ModelConfig config, Parameters parameters, int layer, T[] upsampled, T[] dConditioner, Gradients<T> gradients) =>
        Linear(parameters, $"residual_layers.{layer}.conditioner_projection", upsampled, config.Bands, dConditioner, gradients);

    /// <summary>Of the input projection with result x; returns the gradient of the audio.</summary>
    public static T[] InputProjection(Parameters parameters, T[] audio, T[] x, T[] dX, Gradients<T> gradients) => Linear(parameters, "input_projection", audio, 1, Relu(x, dX), gradients);

    public static T[] Head(ModelConfig config, Parameters parameters, T[] skips, T[] dEps, Gradients<T> gradients)
    {
        T root = T.Sqrt(Of(config.Layers));
        T[] scaled = [.. skips.Select(s => s / root)];
        T[] pre = Reference<T>.Linear(scaled, config.Channels, Reference<T>.Of(parameters["skip_projection.weight"]), Reference<T>.Of(parameters["skip_projection.bias"]));
        T[] dHidden = Linear(parameters, "output_projection", [.. pre.Select(Reference<T>.Relu)], config.Channels, dEps, gradients);
        T[] dScaled = Linear(parameters, "skip_projection", scaled, config.Channels, Relu(pre, dHidden), gradients);
        return [.. dScaled.Select(d => d / root)];
    }
}
