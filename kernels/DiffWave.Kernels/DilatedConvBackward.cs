// Gradient of a residual block's input x, through its dilated convolution of h = x + step and through y = (x [+ step] + residual) / sqrt(2)
//
//   dh[b, t, i] = sum over k and o of W[o, i, k] dpre[b, t - (k - 1) d, o]              W: 2C x C x 3; dpre: B x T x 2C, zero outside the signal; d the dilation
//   dx = dh + dy / sqrt(2)                                                              dx, dy: B x T x C; the last layer has no y: dx = dh
//   p[b, n, i] = sum of dh[b, t, i], or of dx[b, t, i], over the 128 rows t of tile n   the step's gradient, of dx where the residual includes the step
//
// SliceSum adds the tiles of an item to the gradient of its step.
//
// b1  one thread every eighth row of a channel of a tile
// b2  128 rows x 64 inputs a block by RowProduct: taps and packed weights through shared memory, 8 x 8 sums a thread
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Gradient of a residual block's input: <c>dx[t, i] = dy[t, i] / sqrt(2) + sum over k and o of W[o, i, k] dpre[t - (k - 1) d, o]</c>, and what each tile of rows adds to the step's.</summary>
public static partial class DilatedConvBackward
{
    /// <summary>Rows of a tile.</summary>
    public const int TileRows = 128;

    private const int LanesV1 = 32, RowsV1 = 8;
    private const float RootHalf = 0.70710678f;

    /// <summary>Tiles of an item.</summary>
    /// <param name="rows">T.</param>
    public static int Tiles(int rows) => (rows + TileRows - 1) / TileRows;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="weights">W, 2C x C x 3.</param>
    /// <param name="dPreGate">B x T x 2C.</param>
    /// <param name="dX">In: gradient of y, B x T x C; not read without <paramref name="hasY"/>. Out: gradient of x.</param>
    /// <param name="stepPartial">Receives B x tiles x C.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    /// <param name="dilation">d.</param>
    /// <param name="hasY">Whether the layer has y.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    public static void Reference<T>(ReadOnlySpan<float> weights, ReadOnlySpan<float> dPreGate, Span<T> dX, Span<T> stepPartial, int rows, int channels, int dilation, bool hasY, bool stepInResidual)
        where T : IFloatingPointIeee754<T>
    {
        T rootHalf = T.Sqrt(T.CreateChecked(0.5));
        stepPartial.Clear();
        for (int index = 0; index < dX.Length; index++)
        {
            int i = index % channels, t = index / channels % rows, item = index / channels / rows;
            T dH = T.Zero;
            for (int k = 0; k < 3; k++)
            {
                int from = t - (k - 1) * dilation;
                if (from < 0 || from >= rows) continue;
                for (int o = 0; o < 2 * channels; o++)
                    dH += T.CreateChecked(weights[(o * channels + i) * 3 + k]) * T.CreateChecked(dPreGate[(item * rows + from) * 2 * channels + o]);
            }
            dX[index] = hasY ? rootHalf * dX[index] + dH : dH;
            stepPartial[(item * Tiles(rows) + t / TileRows) * channels + i] += stepInResidual ? dX[index] : dH;
        }
    }

    /// <summary>Version 1. Blocks of 32 x 8 threads: T / 128 along x, C / 32 along y, rounded up; items along z.</summary>
    /// <param name="weights">W, 2C x C x 3.</param>
    /// <param name="dPreGate">2C channels.</param>
    /// <param name="dY">Gradient of y, C channels; not read without <paramref name="hasY"/>.</param>
    /// <param name="dX">Receives the gradient of x, C channels; may be <paramref name="dY"/>.</param>
    /// <param name="stepPartial">Receives B x tiles x C.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">d.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    [Kernel("dilated_conv_backward_v1", BlockX = LanesV1, BlockY = RowsV1)]
    public static void BackwardV1(ArrayView<float> weights, Rows<float> dPreGate, Rows<float> dY, Rows<float> dX, ArrayView<float> stepPartial, int rows, int dilation, [Const] bool hasY, [Const] bool stepInResidual)
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(RowsV1 * LanesV1);
        int channels = dX.Channels, i = Grid.IdxY * LanesV1 + Group.IdxX, item = Grid.IdxZ;
        int end = i < channels ? XMath.Min((Grid.IdxX + 1) * TileRows, rows) : 0;
        float step = 0;
        for (int row = Grid.IdxX * TileRows + Group.IdxY; row < end; row += RowsV1)
        {
            float dH = 0;
            for (int k = 0; k < 3; k++)
            {
                int from = row - (k - 1) * dilation;
                if (from < 0 || from >= rows) continue;
                ArrayView<float> d = dPreGate.Row(item, from);
                for (int o = 0; o < 2 * channels; o++) dH += weights[(o * channels + i) * 3 + k] * d[o];
            }
            float total = hasY ? RootHalf * dY.Row(item, row)[i] + dH : dH;
            dX.Row(item, row)[i] = total;
            step += stepInResidual ? total : dH;
        }
        sums[Group.IdxY * LanesV1 + Group.IdxX] = step;
        Group.Barrier();
        if (Group.IdxY > 0 || i >= channels) return;
        for (int lane = 1; lane < RowsV1; lane++) step += sums[lane * LanesV1 + Group.IdxX];
        stepPartial[(item * Grid.DimX + Grid.IdxX) * channels + i] = step;
    }

    /// <summary>A product and an addition a weight and row, for taps inside the signal; the gradients before the gate and of y and the weights are read, that of x is written.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    /// <param name="dilation">d.</param>
    /// <param name="hasY">Whether the layer has y.</param>
    public static Cost BackwardCost(long items, int rows, long channels, int dilation, bool hasY)
    {
        long taps = rows + 2L * Math.Max(0, rows - dilation); // of all rows
        return new(4 * items * taps * channels * channels, sizeof(float) * (items * (rows * (hasY ? 4 : 3) + Tiles(rows)) * channels + 6 * channels * channels));
    }
}
