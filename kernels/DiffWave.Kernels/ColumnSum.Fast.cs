namespace DiffWave.Kernels;

public static partial class ColumnSum
{
    /// <summary>Columns a block of version 2 sums.</summary>
    public const int ColumnsV2 = 64;

    private const int FoursV2 = ColumnsV2 / 4, LanesV2 = 16;

    /// <summary>Version 2. Blocks of 16 x 16 threads: C / 64 along x, rounded up; slices along y, items along z.</summary>
    /// <param name="x">The activation, C a multiple of 4; the address a multiple of 16, like that of the sums.</param>
    /// <param name="weights">One channel; not read without <paramref name="weighted"/>.</param>
    /// <param name="partial">Receives B x slices x C.</param>
    /// <param name="rows">T.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="weighted">Whether rows have weights.</param>
    [Kernel("column_sum_v2", BlockX = FoursV2, BlockY = LanesV2)]
    public static void SumV2(Rows<float> x, Rows<float> weights, ArrayView<float> partial, int rows, float scale, [Const] bool weighted)
    {
        ArrayView<Float4> sums = SharedMemory.Allocate<Float4>(LanesV2 * FoursV2);
        int width = x.Channels / 4, four = Grid.IdxX * FoursV2 + Group.IdxX, slice = Grid.IdxY, item = Grid.IdxZ, end = four < width ? XMath.Min((slice + 1) * SliceSum.SliceRows, rows) : 0;
        FourRows source = new(x, item);
        Float4 sum = new(0, 0, 0, 0);
        for (int row = slice * SliceSum.SliceRows + Group.IdxY; row < end; row += LanesV2)
        {
            Float4 values = source.At(source.Place(row), four);
            sum = Fours.Sum(sum, weighted ? Fours.Scaled(values, weights.Row(item, row)[0]) : values);
        }
        sums[Group.IdxY * FoursV2 + Group.IdxX] = sum;
        Group.Barrier();
        if (Group.IdxY > 0 || four >= width) return;
        for (int lane = 1; lane < LanesV2; lane++) sum = Fours.Sum(sum, sums[lane * FoursV2 + Group.IdxX]);
        Fours.Of(partial.SubView(((long)item * Grid.DimY + slice) * x.Channels))[four] = Fours.Scaled(sum, scale);
    }
}
