// Last layer of the head, C channels to one value a row
//
//   eps[t] = b + sum over i of w[i] h[t, i]          h: rows x C, the hidden layer that PointwiseConv makes; eps: rows x 1
//
//   v3 takes the hidden layer along: h[t] = max(0, S (s skips[t]) + r)          S: C x C, r: C; skips: rows x C in 16 bits
//
// v1  one thread a row
// v2  sixteen lanes a row, four channels each at a time, their sums joined by shuffles
//     At C = 64 128 FLOP and 260 bytes a row, half a FLOP a byte: memory limits it, so every sector is read once and whole.
// v3  both layers on tensor cores: a warp takes 32 rows straight from global memory into the operand's registers, S lies in shared memory, h stays in registers
//     At C = 64 8,448 FLOP and 132 bytes a row, 64 FLOP a byte: memory limits it still.
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

    /// <summary>Both layers, in the precision of <typeparamref name="T"/>: <c>eps[t] = w max(0, S (s skips[t]) + r) + b</c>.</summary>
    /// <param name="skips">rows x C.</param>
    /// <param name="skipWeight">S, C x C.</param>
    /// <param name="skipBias">r, C.</param>
    /// <param name="weight">w, C.</param>
    /// <param name="bias">b.</param>
    /// <param name="scale">s.</param>
    /// <param name="eps">Receives rows.</param>
    public static void Reference<T>(ReadOnlySpan<float> skips, ReadOnlySpan<float> skipWeight, ReadOnlySpan<float> skipBias, ReadOnlySpan<float> weight, float bias, float scale, Span<T> eps) where T : IFloatingPointIeee754<T>
    {
        int channels = weight.Length;
        for (int row = 0; row < eps.Length; row++)
        {
            eps[row] = T.CreateChecked(bias);
            for (int o = 0; o < channels; o++)
            {
                T sum = T.Zero;
                for (int i = 0; i < channels; i++) sum += T.CreateChecked(skipWeight[o * channels + i]) * T.CreateChecked(skips[row * channels + i]);
                eps[row] += T.CreateChecked(weight[o]) * T.Max(T.Zero, T.CreateChecked(scale) * sum + T.CreateChecked(skipBias[o]));
            }
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

    /// <summary>Both layers: reads skips, writes eps; two FLOPs a product, and a product, a sum and a comparison a hidden value.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    /// <param name="elementBytes">Bytes of a value of the skips.</param>
    public static Cost WholeCost(long rows, int channels, int elementBytes) =>
        new(rows * channels * (2 * channels + 5), elementBytes * rows * channels + sizeof(float) * (rows + (long)channels * (channels + 2) + 1));
}
