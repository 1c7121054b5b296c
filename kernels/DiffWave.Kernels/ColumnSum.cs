// Sums of the columns of an activation, by slices of rows: the gradient of a bias
//
//   p[b, s, c] = scale * sum over the rows t of slice s of w[b, t] x[b, t, c]           x: B x T x C; w: B x T, or 1
//
// SliceSum adds the slices, of all items for a bias or of each for itself. With weights it is the gradient of a convolution between C channels and one. A slice is 512 rows (SliceSum.SliceRows).
//
// v1  one thread a column of a slice
// v2  four columns a thread with 128-bit loads, sixteen threads to share the rows of a slice
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Sums of the columns of an activation by slices of rows: <c>p[b, s, c] = scale * sum of w[b, t] x[b, t, c]</c> over the rows t of a slice.</summary>
public static partial class ColumnSum
{
    private const int ThreadsV1 = 64;

    /// <summary>The formula, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">B x T x C.</param>
    /// <param name="weights">B x T; empty for 1.</param>
    /// <param name="partial">Receives B x slices x C.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="sliceRows">Rows of a slice.</param>
    public static void Reference<T>(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, Span<T> partial, int rows, int channels, float scale, int sliceRows = SliceSum.SliceRows) where T : IFloatingPointIeee754<T>
    {
        int slices = (rows + sliceRows - 1) / sliceRows;
        for (int index = 0; index < partial.Length; index++)
        {
            int slice = index / channels % slices, item = index / channels / slices;
            T sum = T.Zero;
            for (int row = slice * sliceRows; row < rows && row < (slice + 1) * sliceRows; row++)
            {
                T value = T.CreateChecked(x[(item * rows + row) * channels + index % channels]);
                sum += weights.IsEmpty ? value : T.CreateChecked(weights[item * rows + row]) * value;
            }
            partial[index] = T.CreateChecked(scale) * sum;
        }
    }

    /// <summary>Version 1. Threads: at least one a column along x; slices along y, items along z.</summary>
    /// <param name="x">The activation.</param>
    /// <param name="weights">One channel; not read without <paramref name="weighted"/>.</param>
    /// <param name="partial">Receives B x slices x C.</param>
    /// <param name="rows">T.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="weighted">Whether rows have weights.</param>
    [Kernel("column_sum_v1", BlockX = ThreadsV1)]
    public static void SumV1(Rows<float> x, Rows<float> weights, ArrayView<float> partial, int rows, float scale, [Const] bool weighted)
    {
        int column = Grid.GlobalIndex.X, slice = Grid.IdxY, item = Grid.IdxZ;
        if (column >= x.Channels) return;
        int end = XMath.Min((slice + 1) * SliceSum.SliceRows, rows);
        float sum = 0;
        for (int row = slice * SliceSum.SliceRows; row < end; row++) sum += weighted ? weights.Row(item, row)[0] * x.Row(item, row)[column] : x.Row(item, row)[column];
        partial[((long)item * Grid.DimY + slice) * x.Channels + column] = scale * sum;
    }

    /// <summary>An addition an element, with weights a product too; everything is read once, the sums of the slices are written.</summary>
    /// <param name="items">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    /// <param name="weighted">Whether rows have weights.</param>
    public static Cost SumCost(long items, int rows, long channels, bool weighted) =>
        new((weighted ? 2 : 1) * items * rows * channels, sizeof(float) * items * (rows * (channels + (weighted ? 1 : 0)) + SliceSum.Slices(rows) * channels));
}
