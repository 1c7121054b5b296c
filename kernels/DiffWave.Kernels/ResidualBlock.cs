// Residual block, a whole layer in one launch
//
//   h[t] = b + sum over k = 0..2 of W_k x[t + (k - 1) d] [+ V mel[t]] - edges          x: rows x C; h: rows x 2C; W: 2C x C x 3; mel: rows x M, already upsampled; V: 2C x M
//   z[t] = tanh(filter half of h[t]) sigmoid(gate half of h[t])                        z: rows x C
//   (residual[t], skip[t]) = O z[t] + o                                                O: 2C x C
//   y[t] = (x[t] + residual[t]) / sqrt(2);   skips[t] += skip[t], for the first layer skips[t] = skip[t]; the last layer has no y
//
// The biases b and o come with everything folded in that is the same for all rows (BlockBias.cs): label, step and the conditioner's bias. The step is one of them because W_k (x + step) =
// W_k x + W_k step; where tap 0 or tap 2 reads a row that does not exist, which counts as zero after the step is added, its W_k step is taken off again: the edges.
// Operands of the products, x, mel, W, V, O and z, are rounded to the precision of the launch, sums are float32. x, mel, y and skips are stored in 16 bits for fp16 and bf16, in float for tf32.
//
// v1  float32 without rounded operands, a block a row: a thread the gate of some channels, then, from z in shared memory, some outputs
// v2  16 bits, up to 64 channels: weights stay in shared memory, two teams of warps walk tiles of time, both products on tensor cores, z between them in registers
// v3  any precision, C a multiple of 32: weights stream through a ring in shared memory, z stays there between both products
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>
/// Residual block: <c>h = b + sum over k of W_k x[t + (k - 1) d] [+ V mel[t]]; z = tanh(h) sigmoid(h); (residual, skip) = O z + o; y = (x + residual) / sqrt(2); skips += skip</c>.
/// </summary>
public static partial class ResidualBlock
{
    private const int Taps = 3, ThreadsV1 = 128;

    /// <summary>Weights of a layer in PyTorch order.</summary>
    /// <param name="Dilated">W, [2C, C, 3].</param>
    /// <param name="Conditioner">V, [2C, M]; empty without a mel.</param>
    /// <param name="Output">O, [2C, C].</param>
    public sealed record Weights(float[] Dilated, float[] Conditioner, float[] Output);

    /// <summary>The formula for one item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">(before + rows + after) x C: every row that exists.</param>
    /// <param name="mel">rows x M, or empty.</param>
    /// <param name="weights">Of the layer.</param>
    /// <param name="bias">b, 2C.</param>
    /// <param name="edges">2 x 2C: W_0 step and W_2 step.</param>
    /// <param name="outputBias">o, 2C.</param>
    /// <param name="skipsBefore">rows x C, or empty for the first layer.</param>
    /// <param name="h">Receives rows x 2C: what the gate reads.</param>
    /// <param name="z">Receives rows x C: the gated activation, not rounded.</param>
    /// <param name="y">Receives rows x C.</param>
    /// <param name="skips">Receives rows x C.</param>
    /// <param name="before">Rows of x before the first row of y.</param>
    /// <param name="dilation">d.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    /// <param name="round">Rounds what is given and multiplied, x, mel and weights, to the precision; null: nothing is rounded. The x that is added to the residual is not rounded.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> mel, Weights weights, ReadOnlySpan<float> bias, ReadOnlySpan<float> edges, ReadOnlySpan<float> outputBias,
        ReadOnlySpan<float> skipsBefore, Span<T> h, Span<T> z, Span<T> y, Span<T> skips, int before, int dilation, bool gateFirst, Func<float, float>? round = null) where T : IFloatingPointIeee754<T>
    {
        int outputs = bias.Length, channels = outputs / 2, rows = y.Length / channels, bands = mel.Length / rows;
        T[] xs = Operands<T>(x, round), mels = Operands<T>(mel, round), w = Operands<T>(weights.Dilated, round), v = Operands<T>(weights.Conditioner, round), output = Operands<T>(weights.Output, round);
        T rootHalf = T.Sqrt(T.CreateChecked(0.5));
        for (int row = 0; row < rows; row++)
        {
            for (int o = 0; o < outputs; o++)
            {
                T sum = T.CreateChecked(bias[o]);
                for (int k = 0; k < Taps; k++)
                {
                    int at = (before + row + (k - 1) * dilation) * channels;
                    if (at < 0 || at >= x.Length) sum -= T.CreateChecked(edges[k / 2 * outputs + o]);
                    else for (int i = 0; i < channels; i++) sum += w[(o * channels + i) * Taps + k] * xs[at + i];
                }
                for (int m = 0; m < bands; m++) sum += v[o * bands + m] * mels[row * bands + m];
                h[row * outputs + o] = sum;
            }
            Span<T> gated = z.Slice(row * channels, channels), filter = h.Slice(row * outputs + (gateFirst ? channels : 0), channels), gate = h.Slice(row * outputs + (gateFirst ? 0 : channels), channels);
            for (int c = 0; c < channels; c++) gated[c] = T.Tanh(filter[c]) / (T.One + T.Exp(-gate[c]));
            for (int o = 0; o < outputs; o++)
            {
                T sum = T.CreateChecked(outputBias[o]);
                for (int i = 0; i < channels; i++) sum += output[o * channels + i] * gated[i];
                int at = row * channels + o % channels;
                if (o < channels) y[at] = (T.CreateChecked(x[before * channels + at]) + sum) * rootHalf;
                else skips[at] = skipsBefore.Length > 0 ? T.CreateChecked(skipsBefore[at]) + sum : sum;
            }
        }
    }

    private static T[] Operands<T>(ReadOnlySpan<float> values, Func<float, float>? round) where T : IFloatingPointIeee754<T>
    {
        T[] operands = new T[values.Length];
        for (int i = 0; i < operands.Length; i++) operands[i] = T.CreateChecked(round is null ? values[i] : round(values[i]));
        return operands;
    }

    /// <summary>Version 1. Blocks of 128 threads: one a row, along x; B along z; dynamic shared memory: C floats.</summary>
    /// <param name="x">[B, rows, C].</param>
    /// <param name="mel">[B, rows, M], upsampled; not read without <paramref name="hasMel"/>.</param>
    /// <param name="dilated">W, [2C, C, 3].</param>
    /// <param name="conditioner">V, [2C, M]; not read without <paramref name="hasMel"/>.</param>
    /// <param name="output">O, [2C, C].</param>
    /// <param name="bias">[B, L, 2C].</param>
    /// <param name="edges">[B, L, 2, 2C].</param>
    /// <param name="outputBias">[B, L, 2C].</param>
    /// <param name="y">Receives [B, rows, C], another buffer than <paramref name="x"/>; not touched for the last layer.</param>
    /// <param name="skips">[B, rows, C], added to; for layer 0 set.</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="before">Rows of x that exist before its first one.</param>
    /// <param name="after">Rows of x that exist behind the last of the <paramref name="rows"/>.</param>
    /// <param name="dilation">d.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="hasMel">Whether there is a mel.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    [Kernel("residual_block_v1", BlockX = ThreadsV1)]
    public static void ForwardV1(Rows<float> x, Rows<float> mel, ArrayView<float> dilated, ArrayView<float> conditioner, ArrayView<float> output, ArrayView<float> bias, ArrayView<float> edges,
        ArrayView<float> outputBias, Rows<float> y, Rows<float> skips, int rows, int before, int after, int dilation, int layer, int layers, [Const] bool hasMel, [Const] bool gateFirst)
    {
        ArrayView<float> z = SharedMemory.GetDynamic<float>();
        int row = Grid.IdxX, item = Grid.IdxZ, channels = x.Channels, outputs = 2 * channels;
        long itemLayer = (long)item * layers + layer;
        ArrayView<float> start = bias.SubView(itemLayer * outputs, outputs), outside = edges.SubView(itemLayer * 2 * outputs, 2 * outputs), end = outputBias.SubView(itemLayer * outputs, outputs);
        for (int c = Group.IdxX; c < channels; c += ThreadsV1)
        {
            int filter = gateFirst ? channels + c : c, gate = gateFirst ? c : channels + c;
            float filterSum = start[filter], gateSum = start[gate];
            for (int k = 0; k < Taps; k++)
            {
                int at = row + (k - 1) * dilation;
                if (at < -before || at >= rows + after)
                {
                    filterSum -= outside[k / 2 * outputs + filter];
                    gateSum -= outside[k / 2 * outputs + gate];
                    continue;
                }
                ArrayView<float> source = x.Row(item, at);
                for (int i = 0; i < channels; i++)
                {
                    filterSum += dilated[(filter * channels + i) * Taps + k] * source[i];
                    gateSum += dilated[(gate * channels + i) * Taps + k] * source[i];
                }
            }
            if (hasMel)
            {
                ArrayView<float> bands = mel.Row(item, row);
                for (int m = 0; m < mel.Channels; m++)
                {
                    filterSum += conditioner[filter * mel.Channels + m] * bands[m];
                    gateSum += conditioner[gate * mel.Channels + m] * bands[m];
                }
            }
            z[c] = XMath.Tanh(filterSum) / (1 + XMath.Exp(-gateSum));
        }
        Group.Barrier();
        for (int o = Group.IdxX + (layer == layers - 1 ? channels : 0); o < outputs; o += ThreadsV1)
        {
            float sum = end[o];
            for (int i = 0; i < channels; i++) sum += output[o * channels + i] * z[i];
            int c = o % channels;
            if (o < channels) y.Row(item, row)[c] = (x.Row(item, row)[c] + sum) * 0.707106781f;
            else if (layer == 0) skips.Row(item, row)[c] = sum;
            else skips.Row(item, row)[c] += sum;
        }
    }

    /// <summary>
    /// FLOPs: the products of the dilated convolution, of the mel and of the output projection, two activations and a product a gated value, the sums of residual and skips. Bytes: x and mel are read, the
    /// skips read and written, y written, each once; the weights and the biases of the items read once.
    /// </summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="channels">C.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="layer">The layer: the first reads no skips.</param>
    /// <param name="layers">L: the last has no y.</param>
    /// <param name="elementBytes">Bytes of a stored value: 2 or 4.</param>
    /// <param name="keep">Whether h is written.</param>
    public static Cost ForwardCost(long batch, long rows, int channels, int bands, int layer, int layers, int elementBytes, bool keep = false)
    {
        long residual = layer == layers - 1 ? 0 : channels, outputs = residual + channels, skipsRead = layer == 0 ? 0 : channels, inputs = Taps * channels + bands;
        long flops = 4 * inputs * channels + 3 * channels + 2 * outputs * channels + 2 * residual + skipsRead, values = channels + bands + residual + channels + skipsRead + (keep ? 2 * channels : 0);
        return new(batch * rows * flops, elementBytes * (batch * rows * values + 2 * inputs * channels + outputs * channels) + sizeof(float) * batch * (6 * channels + outputs));
    }
}
