namespace DiffWave.Kernels;

public static partial class WeightGradient
{
    /// <summary>Outputs a block of version 2 computes, and inputs of taps.</summary>
    public const int TileV2 = 64;

    private const int ThreadsV2 = 64, DepthV2 = 8, FoursV2 = TileV2 / 4, TileFoursV2 = DepthV2 * FoursV2;

    /// <summary>Version 2. Blocks of 64 threads: (O / 64) (K I / 64) along x, both quotients rounded up; slices along y, items along z.</summary>
    /// <param name="d">Gradient of the convolution's result, O channels, a multiple of 4; the address a multiple of 16, like the others.</param>
    /// <param name="x">Its input, I channels, a multiple of 4.</param>
    /// <param name="step">Row 0 of an item is added to the item's inputs, I channels; not read without <paramref name="hasStep"/>.</param>
    /// <param name="partial">Receives B x slices x O x K x I.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">Rows between taps.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="taps">K, 1 or 3.</param>
    /// <param name="hasStep">Whether there is a step to add.</param>
    [Kernel("weight_gradient_v2", BlockX = ThreadsV2)]
    public static void GradientV2(Rows<float> d, Rows<float> x, Rows<float> step, ArrayView<float> partial, int rows, int dilation, float scale, [Const] int taps, [Const] bool hasStep)
    {
        ArrayView<Float4> dTile = SharedMemory.Allocate<Float4>(2 * TileFoursV2), xTile = SharedMemory.Allocate<Float4>(2 * TileFoursV2); // two of 8 rows x 64: one is read, the next comes
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(16); // 8 outputs of 2 fours
        int thread = Group.IdxX, slice = Grid.IdxY, item = Grid.IdxZ, inputs = x.Channels, outputs = d.Channels, columns = taps * inputs, tiles = (columns + TileV2 - 1) / TileV2;
        int firstOutput = Grid.IdxX / tiles * TileV2, firstColumn = Grid.IdxX % tiles * TileV2;

        // A copy is two fours of each operand a thread, four rows apart, always of the same channels. A column is an input of a tap.
        int output = firstOutput + thread % FoursV2 * 4, column = firstColumn + thread % FoursV2 * 4, shift = (column / inputs - taps / 2) * dilation, input = column % inputs;
        int first = slice * SliceSum.SliceRows, end = XMath.Min(first + SliceSum.SliceRows, rows), dEnd = output < outputs ? end : 0, xEnd = column < columns ? XMath.Clamp(end + shift, 0, rows) : 0;
        ArrayView<Float4> dSource = Item(d, item), xSource = Item(x, item);
        int dRow = first + thread / FoursV2, xRow = dRow + shift, dFrom = (dRow * outputs + output) / 4, xFrom = (xRow * inputs + input) / 4;
        Float4 added = new(0, 0, 0, 0);
        if (hasStep) added = Fours.Of(step.Row(item, 0))[input / 4];

        // The sums of a thread are 4 x 4 in each quarter of the tile, so that the fours read by neighbours lie side by side.
        int columnFour = thread % 8, outputFour = thread / 8;
        Float4 d0 = Existing(dSource, dFrom, dRow, dEnd), d1 = Existing(dSource, dFrom + outputs, dRow + 4, dEnd);
        Float4 x0 = Existing(xSource, xFrom, xRow, xEnd), x1 = Existing(xSource, xFrom + inputs, xRow + 4, xEnd);
        for (int tile = 0; first < end; first += DepthV2, tile = TileFoursV2 - tile)
        {
            dTile[tile + thread] = d0;
            dTile[tile + ThreadsV2 + thread] = d1;
            xTile[tile + thread] = hasStep ? Shifted(x0, added, xRow, xEnd) : x0;
            xTile[tile + ThreadsV2 + thread] = hasStep ? Shifted(x1, added, xRow + 4, xEnd) : x1;
            Group.Barrier(); // all have written this tile, and read the one before
            dRow += DepthV2;
            xRow += DepthV2;
            dFrom += DepthV2 / 4 * outputs;
            xFrom += DepthV2 / 4 * inputs;
            d0 = Existing(dSource, dFrom, dRow, dEnd);
            d1 = Existing(dSource, dFrom + outputs, dRow + 4, dEnd);
            x0 = Existing(xSource, xFrom, xRow, xEnd);
            x1 = Existing(xSource, xFrom + inputs, xRow + 4, xEnd);
            for (int i = 0; i < DepthV2; i++)
            {
                int at = tile + i * FoursV2;
                Float4 column0 = xTile[at + columnFour], column1 = xTile[at + 8 + columnFour];
                for (int half = 0; half < 2; half++)
                {
                    Float4 part = dTile[at + 8 * half + outputFour];
                    Fours.AddOuter(sums, 8 * half, part.X, column0, column1);
                    Fours.AddOuter(sums, 8 * half + 2, part.Y, column0, column1);
                    Fours.AddOuter(sums, 8 * half + 4, part.Z, column0, column1);
                    Fours.AddOuter(sums, 8 * half + 6, part.W, column0, column1);
                }
            }
        }

        ArrayView<Float4> target = Fours.Of(partial.SubView(((long)item * Grid.DimY + slice) * outputs * columns));
        for (int i = 0; i < 8; i++)
        {
            int o = firstOutput + i / 4 * 32 + outputFour * 4 + i % 4;
            if (o >= outputs) continue;
            for (int half = 0; half < 2; half++)
            {
                int c = firstColumn + 32 * half + 4 * columnFour;
                if (c < columns) target[(o * columns + c) / 4] = Fours.Scaled(sums[2 * i + half], scale);
            }
        }
    }

    // All rows of an item, four channels at a time.
    private static ArrayView<Float4> Item(Rows<float> rows, int item) => Fours.Of(rows.Values.SubView(((long)item * rows.ItemRows + rows.First) * rows.Channels));

    // Zero outside [0, end).
    private static Float4 Existing(ArrayView<Float4> source, int at, int row, int end)
    {
        Float4 four = new(0, 0, 0, 0);
        if ((uint)row < (uint)end) four = source[at];
        return four;
    }

    // Adds where there is a row.
    private static Float4 Shifted(Float4 x, Float4 added, int row, int end) => (uint)row < (uint)end ? Fours.Sum(x, added) : x;
}
