namespace DiffWave.Kernels;

/// <summary>
/// What a <see cref="RowProduct"/> multiplies and what becomes of it, for one item: <c>sums[row, o] = start[o] + sum over taps k, channels i of a[row, k, i] weight[k, i, o]</c>. A tap is
/// any row of any activation that belongs to a row of the result: a shifted row of a convolution, the only row of a matrix product, or one of several activations side by side.
/// </summary>
internal interface IRowProduct
{
    /// <summary>Where the row that a tap reads lies, in whatever unit <see cref="Load"/> expects; negative where there is none, which counts as zeros.</summary>
    /// <param name="row">Row of the result that exists.</param>
    /// <param name="tap">k.</param>
    int Place(int row, int tap);

    /// <summary>Four channels of a row.</summary>
    /// <param name="tap">k.</param>
    /// <param name="place">From <see cref="Place"/>, not negative.</param>
    /// <param name="channel">First of them, a multiple of 4.</param>
    Float4 Load(int tap, int place, int channel);

    /// <summary>What four sums start from.</summary>
    /// <param name="output">First of them, a multiple of 4.</param>
    Float4 Start(int output);

    /// <summary>Does something with four finished sums.</summary>
    /// <param name="row">Row of the result that exists.</param>
    /// <param name="output">First of them, a multiple of 4.</param>
    /// <param name="sums">The sums.</param>
    void Finish(int row, int output, Float4 sums);
}

/// <summary>
/// The tile that the convolutions and their gradients share: rows of an activation times packed weights, in float32. A block of 128 threads computes 128 rows x 64 outputs from tiles of
/// 8 channels in shared memory, two of them, so that the next is read from global memory while this one is multiplied; a thread keeps 8 x 8 sums in registers. A sum is one chain of
/// fused multiply-adds over ascending taps and channels, whatever the rows and the launch.
/// For each channel a block moves 4 (128 + 64) bytes for 2 * 128 * 64 FLOP, 21 FLOP a byte; a thread reads 64 bytes of shared memory for 128 FLOP.
/// </summary>
public static class RowProduct
{
    /// <summary>Threads of a block, along x.</summary>
    public const int Threads = 128;

    private const int TileRows = 128, TileOutputs = 64, Depth = 8;
    private const int Pitch = TileRows + 4; // of the transposed tile of A: with 128 the two halves of each row's copy would meet in the same banks

    /// <summary>Blocks along x; items go along z.</summary>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="outputs">Outputs.</param>
    public static int Blocks(int rows, int outputs) => (rows + TileRows - 1) / TileRows * ((outputs + TileOutputs - 1) / TileOutputs);

    /// <summary>Computes the tile of this block. Outputs are the faster axis of the blocks, so that those which read the same rows run side by side.</summary>
    /// <typeparam name="P">The product.</typeparam>
    /// <param name="product">Its data.</param>
    /// <param name="weight">[taps, inputs, pitch], the outputs side by side; the address a multiple of 16.</param>
    /// <param name="pitch">Distance of the weights of two inputs, a multiple of 4.</param>
    /// <param name="rows">Rows of the item.</param>
    /// <param name="taps">Taps.</param>
    /// <param name="inputs">Channels of a tap, a multiple of 4.</param>
    /// <param name="outputs">Outputs, a multiple of 4.</param>
    internal static void Run<P>(P product, ArrayView<float> weight, int pitch, int rows, int taps, int inputs, int outputs) where P : struct, IRowProduct
    {
        ArrayView<float> aTile = SharedMemory.Allocate<float>(2 * Depth * Pitch), bTile = SharedMemory.Allocate<float>(2 * Depth * TileOutputs); // [channel][row] and [channel][output], twice
        ArrayView<Float4> aFours = aTile.Cast<Float4>(), bFours = bTile.Cast<Float4>(), weightFours = weight.AsAligned16().Cast<Float4>();
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(16); // 8 rows of 2 fours
        int thread = Group.IdxX, tilesAcross = (outputs + TileOutputs - 1) / TileOutputs;
        int firstRow = Grid.IdxX / tilesAcross * TileRows, firstOutput = Grid.IdxX % tilesAcross * TileOutputs;

        // A copy is two fours of A a thread, along the channels, to be transposed, and one of the weights, along the outputs.
        int aRow = thread / 2, aDepth = thread % 2 * 4, bDepth = thread / 16, bFour = thread % 16;
        int row0 = firstRow + aRow, row1 = row0 + TileRows / 2;
        int place0 = row0 < rows ? product.Place(row0, 0) : -1, place1 = row1 < rows ? product.Place(row1, 0) : -1;
        int bLimit = firstOutput + 4 * bFour < outputs ? inputs - bDepth : 0, bFrom = (bDepth * pitch + firstOutput) / 4 + bFour;

        // The sums of a thread are 4 x 4 in each quarter of the tile, so that the fours read by neighbours lie side by side.
        int four = thread % 8, rowFour = thread / 8;
        for (int half = 0; half < 2; half++)
        {
            int output = firstOutput + 32 * half + 4 * four;
            Float4 start = new(0, 0, 0, 0);
            if (output < outputs) start = product.Start(output);
            for (int i = 0; i < 8; i++) sums[2 * i + half] = start;
        }

        int tap = 0, channel = 0, at = 0;
        Float4 a0 = Fetch(product, 0, place0, aDepth, inputs), a1 = Fetch(product, 0, place1, aDepth, inputs), b = new(0, 0, 0, 0);
        if (0 < bLimit) b = weightFours[bFrom];
        while (tap < taps)
        {
            Transpose(aTile, at * Depth * Pitch + aDepth * Pitch + aRow, a0);
            Transpose(aTile, at * Depth * Pitch + aDepth * Pitch + aRow + TileRows / 2, a1);
            bFours[at * Depth * (TileOutputs / 4) + thread] = b;
            Group.Barrier(); // all have written this tile, and all have read the one before it
            channel += Depth;
            bFrom += Depth * pitch / 4;
            if (channel >= inputs)
            {
                channel = 0;
                tap++;
                place0 = row0 < rows ? product.Place(row0, tap) : -1;
                place1 = row1 < rows ? product.Place(row1, tap) : -1;
                bFrom = ((tap * inputs + bDepth) * pitch + firstOutput) / 4 + bFour;
            }
            if (tap < taps)
            {
                a0 = Fetch(product, tap, place0, channel + aDepth, inputs);
                a1 = Fetch(product, tap, place1, channel + aDepth, inputs);
                b = new Float4(0, 0, 0, 0);
                if (channel < bLimit) b = weightFours[bFrom];
            }
            int aRead = at * Depth * (Pitch / 4) + rowFour, bRead = at * Depth * (TileOutputs / 4) + four;
            for (int i = 0; i < Depth; i++)
            {
                Float4 b0 = bFours[bRead + i * (TileOutputs / 4)], b1 = bFours[bRead + i * (TileOutputs / 4) + 8];
                for (int half = 0; half < 2; half++)
                {
                    Float4 part = aFours[aRead + i * (Pitch / 4) + 16 * half];
                    AddOuter(sums, 8 * half, part.X, b0, b1);
                    AddOuter(sums, 8 * half + 2, part.Y, b0, b1);
                    AddOuter(sums, 8 * half + 4, part.Z, b0, b1);
                    AddOuter(sums, 8 * half + 6, part.W, b0, b1);
                }
            }
            at ^= 1;
        }

        for (int i = 0; i < 8; i++)
        {
            int row = firstRow + i / 4 * (TileRows / 2) + rowFour * 4 + i % 4;
            if (row >= rows) continue;
            for (int half = 0; half < 2; half++)
            {
                int output = firstOutput + 32 * half + 4 * four;
                if (output < outputs) product.Finish(row, output, sums[2 * i + half]);
            }
        }
    }

    private static Float4 Fetch<P>(P product, int tap, int place, int channel, int inputs) where P : struct, IRowProduct
    {
        Float4 values = new(0, 0, 0, 0);
        if (place >= 0 && channel < inputs) values = product.Load(tap, place, channel);
        return values;
    }

    private static void Transpose(ArrayView<float> tile, int to, Float4 values)
    {
        tile[to] = values.X;
        tile[to + Pitch] = values.Y;
        tile[to + 2 * Pitch] = values.Z;
        tile[to + 3 * Pitch] = values.W;
    }

    private static void AddOuter(ArrayView<Float4> sums, int index, float a, Float4 b0, Float4 b1)
    {
        AddScaled(ref sums[index], a, b0);
        AddScaled(ref sums[index + 1], a, b1);
    }

    private static void AddScaled(ref Float4 sum, float a, Float4 b)
    {
        sum.X += a * b.X;
        sum.Y += a * b.Y;
        sum.Z += a * b.Z;
        sum.W += a * b.W;
    }
}

/// <summary>Rows of one item in fours of channels: what products load from and finish to.</summary>
internal readonly struct FourRows
{
    private readonly ArrayView<Float4> fours;
    private readonly int first, width, itemRows;

    /// <summary>The rows of an item; the address of the buffer a multiple of 16, the channels a multiple of 4.</summary>
    public FourRows(Rows rows, int item)
    {
        fours = rows.Values.SubView((long)item * rows.ItemRows * rows.Channels).AsAligned16().Cast<Float4>();
        first = rows.First;
        width = rows.Channels / 4;
        itemRows = rows.ItemRows;
    }

    /// <summary>Where a row begins, counted from the start of the item in fours.</summary>
    public int Place(int row) => (first + row) * width;

    /// <summary>Where a row of a ring begins, see <see cref="Rows.RingRow"/>.</summary>
    public int RingPlace(int row) => Place(first + row < itemRows ? row : row - itemRows);

    /// <summary>Four channels of the row that begins at a place.</summary>
    public ref Float4 At(int place, int channel) => ref fours[place + channel / 4];
}
