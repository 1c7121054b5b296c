// Gradient of the gated activation z, input of a residual block's output projection (residual, skip) = O z + o with y = (.. + residual) / sqrt(2)
//
//   dz[b, t, c] = sum over o of O[o, c] dy[b, t, o] / sqrt(2) + sum over o of O[C + o, c] dskip[b, t, o]      O: 2C x C; dy, dskip, dz: B x T x C
//
// The last layer has no y: its first sum is absent.
//
// b1  one thread an element of dz
// b2  128 rows x 64 channels a block by RowProduct, each of the two gradients a tap
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gradient of the gated activation: <c>dz[c] = sum of O[o, c] dy[o] / sqrt(2) + sum of O[C + o, c] dskip[o]</c> in every row.</summary>
public static partial class ResidualOutputBackward
{
    private const int Threads = 256;
    private const float RootHalf = 0.70710678f;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="weights">O, 2C x C.</param>
    /// <param name="dY">rows x C, B T rows; empty for the last layer.</param>
    /// <param name="dSkips">rows x C.</param>
    /// <param name="dZ">Receives rows x C.</param>
    /// <param name="channels">C.</param>
    public static void Reference<T>(ReadOnlySpan<float> weights, ReadOnlySpan<float> dY, ReadOnlySpan<float> dSkips, Span<T> dZ, int channels) where T : IFloatingPointIeee754<T>
    {
        T rootHalf = T.Sqrt(T.CreateChecked(0.5));
        for (int index = 0; index < dZ.Length; index++)
        {
            int row = index / channels * channels, c = index % channels;
            T residual = T.Zero, skip = T.Zero;
            for (int o = 0; o < channels; o++)
            {
                if (!dY.IsEmpty) residual += T.CreateChecked(weights[o * channels + c]) * T.CreateChecked(dY[row + o]);
                skip += T.CreateChecked(weights[(channels + o) * channels + c]) * T.CreateChecked(dSkips[row + o]);
            }
            dZ[index] = rootHalf * residual + skip;
        }
    }

    /// <summary>Version 1. Threads: at least one an element of an item of dZ along x; items along z.</summary>
    /// <param name="weights">O, 2C x C.</param>
    /// <param name="dY">Gradient of y; not read without <paramref name="hasY"/>.</param>
    /// <param name="dSkips">Gradient of the skip.</param>
    /// <param name="dZ">Receives the gradient of z.</param>
    /// <param name="rows">T.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    [Kernel("residual_output_backward_v1", BlockX = Threads)]
    public static void BackwardV1(ArrayView<float> weights, Rows<float> dY, Rows<float> dSkips, Rows<float> dZ, int rows, [Const] bool hasY)
    {
        int channels = dZ.Channels, row = Grid.GlobalIndex.X / channels, c = Grid.GlobalIndex.X % channels, item = Grid.IdxZ;
        if (row >= rows) return;
        float sum = 0;
        if (hasY)
        {
            ArrayView<float> residual = dY.Row(item, row);
            for (int o = 0; o < channels; o++) sum += weights[o * channels + c] * residual[o];
            sum *= RootHalf;
        }
        ArrayView<float> skip = dSkips.Row(item, row);
        for (int o = 0; o < channels; o++) sum += weights[(channels + o) * channels + c] * skip[o];
        dZ.Row(item, row)[c] = sum;
    }

    /// <summary>A product and an addition a weight and row; the gradients and the weights are read, dZ is written.</summary>
    /// <param name="rows">B T.</param>
    /// <param name="channels">C.</param>
    /// <param name="hasY">Whether the layer has y.</param>
    public static Cost BackwardCost(long rows, long channels, bool hasY)
    {
        long halves = hasY ? 2 : 1;
        return new(2 * rows * halves * channels * channels, sizeof(float) * (rows * (halves + 1) * channels + halves * channels * channels));
    }
}
