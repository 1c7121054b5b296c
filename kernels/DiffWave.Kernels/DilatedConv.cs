// Dilated convolution, the pre-gate activation of a residual layer
//
//   h[t, o] = b[o] + sum over k = 0..2, i of w[o, i, k] (x[t + (k - 1) d, i] + step[i]) [+ label[o]] [+ conditioner[t, o]]          x: rows x C; h: rows x 2C
//
// d is the dilation. Rows that do not exist count as zero after the step is added: x + step is what the signal is padded around.
//
// v1  one thread an element, as the formula reads
// v2  128 rows x 64 outputs a block by RowProduct: taps and packed weights through shared memory, 8 x 8 sums a thread
//     At C = 64 with a conditioner 49,280 FLOP and 1,280 bytes a row, 38 FLOP a byte of memory: the float32 units limit it, not the memory.
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Dilated convolution of a residual layer: <c>h[t] = b + sum over k of W_k (x[t + (k - 1) d] + step) [+ label] [+ conditioner[t]]</c>, x rows x C, h rows x 2C.</summary>
public static partial class DilatedConv
{
    private const int Taps = 3;

    /// <summary>The formula for one item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">(before + rows + after) x C: every row that exists.</param>
    /// <param name="step">C.</param>
    /// <param name="weight">2C x C x 3.</param>
    /// <param name="bias">2C.</param>
    /// <param name="label">2C, or empty.</param>
    /// <param name="conditioner">rows x 2C, or empty.</param>
    /// <param name="h">Receives rows x 2C.</param>
    /// <param name="before">Rows of x before the first row of h.</param>
    /// <param name="dilation">d.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> step, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, ReadOnlySpan<float> label, ReadOnlySpan<float> conditioner,
        Span<T> h, int before, int dilation) where T : IFloatingPointIeee754<T>
    {
        int channels = step.Length, outputs = bias.Length;
        for (int index = 0; index < h.Length; index++)
        {
            int row = index / outputs, o = index % outputs;
            T sum = T.CreateChecked(bias[o]);
            for (int k = 0; k < Taps; k++)
            {
                int at = (before + row + (k - 1) * dilation) * channels;
                if (at < 0 || at >= x.Length) continue;
                for (int i = 0; i < channels; i++) sum += T.CreateChecked(weight[(o * channels + i) * Taps + k]) * (T.CreateChecked(x[at + i]) + T.CreateChecked(step[i]));
            }
            if (label.Length > 0) sum += T.CreateChecked(label[o]);
            if (conditioner.Length > 0) sum += T.CreateChecked(conditioner[index]);
            h[index] = sum;
        }
    }

    /// <summary>Version 1. Blocks of 256 threads: rows 2C / 256 along x, rounded up, B along z.</summary>
    /// <param name="x">[B, rows, C].</param>
    /// <param name="stepBias">[B, L, C].</param>
    /// <param name="weight">[2C, C, 3].</param>
    /// <param name="bias">[2C].</param>
    /// <param name="labelBias">[B, L, 2C]; not read without <paramref name="hasLabel"/>.</param>
    /// <param name="conditioner">[B, rows, 2C], a ring; not read without <paramref name="hasConditioner"/>.</param>
    /// <param name="h">Receives [B, rows, 2C].</param>
    /// <param name="rows">Rows to compute, rows 2C below 2^31.</param>
    /// <param name="before">Rows of x that exist before its first one.</param>
    /// <param name="after">Rows of x that exist behind the last of the <paramref name="rows"/>.</param>
    /// <param name="dilation">d.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="hasLabel">Whether there is a label bias.</param>
    /// <param name="hasConditioner">Whether there is a conditioner.</param>
    [Kernel("dilated_conv_v1", BlockX = 256)]
    public static void ForwardV1(Rows<float> x, ArrayView<float> stepBias, ArrayView<float> weight, ArrayView<float> bias, ArrayView<float> labelBias, Rows<float> conditioner, Rows<float> h,
        int rows, int before, int after, int dilation, int layer, int layers, [Const] bool hasLabel, [Const] bool hasConditioner)
    {
        int index = Grid.GlobalIndex.X, item = Grid.IdxZ, channels = x.Channels, outputs = h.Channels;
        if (index >= rows * outputs) return;
        int row = index / outputs, o = index % outputs;
        long itemLayer = (long)item * layers + layer;
        ArrayView<float> step = stepBias.SubView(itemLayer * channels, channels);
        float sum = bias[o];
        for (int k = 0; k < Taps; k++)
        {
            int at = row + (k - 1) * dilation;
            if (at < -before || at >= rows + after) continue;
            ArrayView<float> source = x.Row(item, at);
            for (int i = 0; i < channels; i++) sum += weight[(o * channels + i) * Taps + k] * (source[i] + step[i]);
        }
        if (hasLabel) sum += labelBias[itemLayer * outputs + o];
        if (hasConditioner) sum += conditioner.RingRow(item, row)[o];
        h.Row(item, row)[o] = sum;
    }

    /// <summary>Six C FLOPs an output and one more for each term added; x, the conditioner, h and the weights are moved once.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    /// <param name="hasConditioner">Whether there is a conditioner.</param>
    public static Cost ForwardCost(long rows, int channels, bool hasConditioner)
    {
        int outputs = 2 * channels, conditioner = hasConditioner ? outputs : 0;
        return new(rows * (2 * Taps * (long)channels * outputs + conditioner), sizeof(float) * (rows * (channels + conditioner + outputs) + Taps * channels * outputs));
    }
}
