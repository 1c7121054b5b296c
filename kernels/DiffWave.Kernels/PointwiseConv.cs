// Convolution of one tap, a matrix product row by row
//
//   y[t, o] = b[o] + sum over i of w[o, i] (s x[t, i]), then max(0, .) if asked          x: rows x I; y: rows x O; s: a factor of the input
//
// The conditioner projection (s = 1, y a ring) and the hidden layer of the head (s = 1 / sqrt(L), max(0, .)).
//
// v1  one thread an element, as the formula reads
// v2  128 rows x 64 outputs a block by RowProduct, packed weights through shared memory, 8 x 8 sums a thread
//     For 80 bands to 128 outputs 20,480 FLOP and 832 bytes a row, 25 FLOP a byte of memory: the float32 units limit it, not the memory.
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Convolution of one tap: <c>y[t] = W (s x[t]) + b</c>, then <c>max(0, y)</c> if asked; x rows x I, y rows x O.</summary>
public static partial class PointwiseConv
{
    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">rows x I.</param>
    /// <param name="weight">O x I.</param>
    /// <param name="bias">O.</param>
    /// <param name="y">Receives rows x O.</param>
    /// <param name="scale">s.</param>
    /// <param name="relu">Whether negative results become 0.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, Span<T> y, float scale, bool relu) where T : IFloatingPointIeee754<T>
    {
        int outputs = bias.Length, inputs = weight.Length / outputs;
        for (int index = 0; index < y.Length; index++)
        {
            int row = index / outputs, o = index % outputs;
            T sum = T.CreateChecked(bias[o]);
            for (int i = 0; i < inputs; i++) sum += T.CreateChecked(weight[o * inputs + i]) * (T.CreateChecked(scale) * T.CreateChecked(x[row * inputs + i]));
            y[index] = relu ? T.Max(T.Zero, sum) : sum;
        }
    }

    /// <summary>Version 1. Blocks of 256 threads: rows O / 256 along x, rounded up, B along z.</summary>
    /// <param name="x">[B, rows, I].</param>
    /// <param name="weight">[O, I].</param>
    /// <param name="bias">[O].</param>
    /// <param name="y">Receives [B, rows, O]; a ring: rows past the end of an item continue at its start.</param>
    /// <param name="rows">Rows to compute, rows O below 2^31.</param>
    /// <param name="scale">s.</param>
    /// <param name="relu">Whether negative results become 0.</param>
    [Kernel("pointwise_conv_v1", BlockX = 256)]
    public static void ForwardV1(Rows<float> x, ArrayView<float> weight, ArrayView<float> bias, Rows<float> y, int rows, float scale, [Const] bool relu)
    {
        int index = Grid.GlobalIndex.X, item = Grid.IdxZ, inputs = x.Channels, outputs = y.Channels;
        if (index >= rows * outputs) return;
        int row = index / outputs, o = index % outputs;
        ArrayView<float> source = x.Row(item, row);
        float sum = bias[o];
        for (int i = 0; i < inputs; i++) sum += weight[o * inputs + i] * (scale * source[i]);
        y.RingRow(item, row)[o] = relu ? XMath.Max(0, sum) : sum;
    }

    /// <summary>Two I FLOPs an output; x, y and the weights are moved once.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="inputs">I.</param>
    /// <param name="outputs">O.</param>
    public static Cost ForwardCost(long rows, int inputs, int outputs) => new(2 * rows * inputs * outputs, sizeof(float) * (rows * (inputs + outputs) + (long)inputs * outputs));
}
