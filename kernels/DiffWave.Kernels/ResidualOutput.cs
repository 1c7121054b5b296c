// Output projection of a residual layer, its residual path and the sum of skips
//
//   (residual[t], skip[t]) = O z[t] + o          z: rows x C, the gated activation; O: 2C x C, the residual's C outputs before the skip's
//   y[t] = (x[t] [+ step] + residual[t]) / sqrt(2);   skips[t] += skip[t], for the first layer skips[t] = skip[t]
//
// The last layer has no y: of its O only the skip's half is used.
//
// v1  one thread an element of (residual, skip)
// v2  128 rows x 64 outputs a block by RowProduct, packed weights through shared memory, 8 x 8 sums a thread
//     At C = 64 16,576 FLOP and 1,280 bytes a row, 13 FLOP a byte of memory: about where a device's float32 rate and its bandwidth meet.
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Output projection of a residual layer: <c>(residual, skip) = O z + o; y = (x [+ step] + residual) / sqrt(2); skips += skip</c>, all rows x C.</summary>
public static partial class ResidualOutput
{
    private const float RootHalf = 0.707106781f;

    /// <summary>The formula for one item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">rows x C.</param>
    /// <param name="step">C to include the step, or empty.</param>
    /// <param name="gated">rows x C.</param>
    /// <param name="weight">2C x C.</param>
    /// <param name="bias">2C.</param>
    /// <param name="skipsBefore">rows x C, or empty for the first layer.</param>
    /// <param name="y">Receives rows x C.</param>
    /// <param name="skips">Receives rows x C.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> step, ReadOnlySpan<float> gated, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, ReadOnlySpan<float> skipsBefore,
        Span<T> y, Span<T> skips) where T : IFloatingPointIeee754<T>
    {
        int channels = bias.Length / 2;
        T rootHalf = T.Sqrt(T.CreateChecked(0.5));
        for (int index = 0; index < skips.Length; index++)
        {
            int row = index / channels, c = index % channels;
            T value = T.CreateChecked(x[index]);
            if (step.Length > 0) value += T.CreateChecked(step[c]);
            y[index] = (value + Output<T>(gated[(row * channels)..], weight, bias, c)) * rootHalf;
            T skip = Output<T>(gated[(row * channels)..], weight, bias, channels + c);
            skips[index] = skipsBefore.Length > 0 ? T.CreateChecked(skipsBefore[index]) + skip : skip;
        }
    }

    private static T Output<T>(ReadOnlySpan<float> gated, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, int o) where T : IFloatingPointIeee754<T>
    {
        int channels = bias.Length / 2;
        T sum = T.CreateChecked(bias[o]);
        for (int i = 0; i < channels; i++) sum += T.CreateChecked(weight[o * channels + i]) * T.CreateChecked(gated[i]);
        return sum;
    }

    /// <summary>Version 1. Blocks of 256 threads: rows 2C / 256 along x, rounded up, B along z.</summary>
    /// <param name="x">[B, rows, C], input of the layer; not read for the last layer.</param>
    /// <param name="gated">[B, rows, C].</param>
    /// <param name="stepBias">[B, L, C]; not read without <paramref name="includesStep"/>.</param>
    /// <param name="weight">[2C, C].</param>
    /// <param name="bias">[2C].</param>
    /// <param name="y">Receives [B, rows, C]; not touched for the last layer. May be <paramref name="x"/>.</param>
    /// <param name="skips">[B, rows, C], added to; for layer 0 set.</param>
    /// <param name="rows">Rows to compute, rows 2C below 2^31.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="includesStep">Whether the residual path carries x + step.</param>
    [Kernel("residual_output_v1", BlockX = 256)]
    public static void ForwardV1(Rows<float> x, Rows<float> gated, ArrayView<float> stepBias, ArrayView<float> weight, ArrayView<float> bias, Rows<float> y, Rows<float> skips, int rows, int layer, int layers,
        [Const] bool includesStep)
    {
        int index = Grid.GlobalIndex.X, item = Grid.IdxZ, channels = gated.Channels;
        if (index >= rows * 2 * channels) return;
        int row = index / (2 * channels), o = index % (2 * channels), c = o % channels;
        if (o < channels && layer == layers - 1) return;
        ArrayView<float> source = gated.Row(item, row);
        float sum = bias[o];
        for (int i = 0; i < channels; i++) sum += weight[o * channels + i] * source[i];
        if (o < channels)
        {
            float value = x.Row(item, row)[c];
            if (includesStep) value += stepBias[((long)item * layers + layer) * channels + c];
            y.Row(item, row)[c] = (value + sum) * RootHalf;
        }
        else if (layer == 0) skips.Row(item, row)[c] = sum;
        else skips.Row(item, row)[c] += sum;
    }

    /// <summary>Two C FLOPs an output, and the sums; z, x and the skips are read, y and the skips written, the weights read once.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="layers">L.</param>
    public static Cost ForwardCost(long rows, int channels, int layer, int layers)
    {
        long residual = layer == layers - 1 ? 0 : channels, outputs = residual + channels, skipsRead = layer == 0 ? 0 : channels;
        return new(rows * (2 * outputs * channels + 2 * residual + skipsRead), sizeof(float) * (rows * (channels + 2 * residual + channels + skipsRead) + outputs * channels));
    }
}
