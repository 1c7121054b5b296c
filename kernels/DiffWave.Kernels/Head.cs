// Last layer of the head, C channels to one value a row
//
//   eps[t] = b + sum over i of w[i] h[t, i]          h: rows x C, the hidden layer that PointwiseConv makes; eps: rows x 1
//
// v1  one thread a row
// v2  sixteen lanes a row, four channels each at a time, their sums joined by shuffles
//     At C = 64 128 FLOP and 260 bytes a row, half a FLOP a byte: memory limits it, so every sector is read once and whole.
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Last layer of the head: <c>eps[t] = w h[t] + b</c>, h rows x C, eps rows x 1.</summary>
public static partial class Head
{
    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="h">rows x C.</param>
    /// <param name="weight">C.</param>
    /// <param name="bias">b.</param>
    /// <param name="eps">Receives rows.</param>
    public static void Reference<T>(ReadOnlySpan<float> h, ReadOnlySpan<float> weight, float bias, Span<T> eps) where T : IFloatingPointIeee754<T>
    {
        for (int row = 0; row < eps.Length; row++)
        {
            T sum = T.CreateChecked(bias);
            for (int i = 0; i < weight.Length; i++) sum += T.CreateChecked(weight[i]) * T.CreateChecked(h[row * weight.Length + i]);
            eps[row] = sum;
        }
    }

    /// <summary>Version 1. Blocks of 256 threads: rows / 256 along x, rounded up, B along z.</summary>
    /// <param name="h">[B, rows, C].</param>
    /// <param name="weight">[1, C].</param>
    /// <param name="bias">[1].</param>
    /// <param name="eps">Receives [B, rows, 1].</param>
    /// <param name="rows">Rows to compute.</param>
    [Kernel("head_v1", BlockX = 256)]
    public static void ForwardV1(Rows<float> h, ArrayView<float> weight, ArrayView<float> bias, Rows<float> eps, int rows)
    {
        int row = Grid.GlobalIndex.X, item = Grid.IdxZ;
        if (row >= rows) return;
        ArrayView<float> source = h.Row(item, row);
        float sum = bias[0];
        for (int i = 0; i < h.Channels; i++) sum += weight[i] * source[i];
        eps.Row(item, row)[0] = sum;
    }

    /// <summary>Reads h, writes eps; two FLOPs a product.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    public static Cost ForwardCost(long rows, int channels) => new(2 * rows * channels, sizeof(float) * (rows * (channels + 1) + channels + 1));
}
