namespace DiffWave.Kernels;

/// <summary>
/// What a <see cref="RowProduct"/> multiplies and what becomes of it, for one item: <c>sums[row, o] = start[o] + sum over taps k, channels i of a[row, k, i] weight[k, i, o]</c>. A tap is
/// any row of any activation that belongs to a row of the result: a shifted row of a convolution, the only row of a matrix product, or one of several activations side by side.
/// Channels and outputs come in fours: four f holds channels 4 f to 4 f + 3.
/// </summary>
internal interface IRowProduct
{
    /// <summary>Where the row that a tap reads lies, in whatever unit <see cref="Load"/> expects; negative where there is none, which counts as zeros.</summary>
    /// <param name="row">Row of the result that exists.</param>
    /// <param name="tap">k; one past the last too, where nobody uses the answer.</param>
    int Place(int row, int tap);

    /// <summary>Reads four channels of a row, and does no more: whoever uses the values waits for them.</summary>
    /// <param name="tap">k.</param>
    /// <param name="place">From <see cref="Place"/>, not negative.</param>
    /// <param name="four">Which channels.</param>
    Float4 Load(int tap, int place, int four);

    /// <summary>What is multiplied, made from what was loaded; not asked where there is no row.</summary>
    /// <param name="loaded">From <see cref="Load"/>.</param>
    /// <param name="tap">k.</param>
    /// <param name="four">Which channels.</param>
    Float4 Operand(Float4 loaded, int tap, int four);

    /// <summary>What the sums of an output start from.</summary>
    /// <param name="output">The output, not its four: biases need not lie at multiples of 16 bytes.</param>
    float Start(int output);

    /// <summary>Does something with four finished sums.</summary>
    /// <param name="row">Row of the result that exists.</param>
    /// <param name="four">Which outputs.</param>
    /// <param name="sums">The sums.</param>
    void Finish(int row, int four, Float4 sums);
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

    /// <summary>Blocks of a multiprocessor: up to 168 registers a thread. With four, at 128 registers, ptxas spills 16 to 40 bytes.</summary>
    internal const int MinBlocks = 3;

    /// <summary>Groups of threads that share the rows of a tile.</summary>
    internal const int RowGroups = Threads / ThreadsAcross;

    /// <summary>Fours of outputs of a tile.</summary>
    internal const int TileFours = 64 / 4;

    private const int ThreadsAcross = 8; // share the outputs of a row
    private const int TileRows = 128, Depth = 8;
    private const int Pitch = TileRows + 4; // of the transposed tile of A: with 128 the two halves of each row's copy would meet in the same banks

    /// <summary>Blocks along x; items go along z.</summary>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="outputs">Outputs.</param>
    public static int Blocks(int rows, int outputs) => (rows + TileRows - 1) / TileRows * ((outputs + 4 * TileFours - 1) / (4 * TileFours));

    /// <summary>A place for what this thread finds out about four outputs, among <see cref="RowGroups"/> x <see cref="TileFours"/>: the group of rows, then the outputs of the tile.</summary>
    /// <param name="four">Which outputs: one this thread finishes.</param>
    internal static int Slot(int four) => Group.IdxX / ThreadsAcross * TileFours + four % TileFours;

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
        ArrayView<float> aTile = SharedMemory.Allocate<float>(2 * Depth * Pitch); // [channel][row], twice
        ArrayView<Float4> aFours = aTile.Cast<Float4>(), bFours = SharedMemory.Allocate<Float4>(2 * Depth * TileFours), weights = Fours.Of(weight); // [channel][output]
        ArrayView<float> starts = SharedMemory.Allocate<float>(4 * TileFours);
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(16); // 8 rows of 2 fours
        int inputFours = inputs / 4, outputFours = outputs / 4, pitchFours = pitch / 4;
        int thread = Group.IdxX, tilesAcross = (outputFours + TileFours - 1) / TileFours;
        int firstRow = Grid.IdxX / tilesAcross * TileRows, firstFour = Grid.IdxX % tilesAcross * TileFours;

        // A copy is two fours of A a thread, along the channels, to be transposed, and one of the weights, along the outputs.
        int aRow = thread / 2, aFour = thread % 2, aTo = 4 * aFour * Pitch + aRow, row0 = firstRow + aRow, row1 = row0 + TileRows / 2;
        int bDepth = thread / TileFours, bFour = firstFour + thread % TileFours, bLimit = bFour < outputFours ? inputs - bDepth : 0;
        int place0 = row0 < rows ? product.Place(row0, 0) : -1, place1 = row1 < rows ? product.Place(row1, 0) : -1, from = bDepth * pitchFours + bFour;

        // The sums of a thread are 4 x 4 in each quarter of the tile, so that the fours read by neighbours lie side by side.
        int four = thread % ThreadsAcross, rowFour = thread / ThreadsAcross;
        if (thread < starts.IntLength) starts[thread] = 4 * firstFour + thread < outputs ? product.Start(4 * firstFour + thread) : 0;
        Group.Barrier();
        for (int half = 0; half < 2; half++)
        {
            Float4 start = starts.Cast<Float4>()[8 * half + four];
            for (int i = 0; i < 8; i++) sums[2 * i + half] = start;
        }

        int tap = 0, read = 0, at = 0; // read: first four of the channels that are copied
        Float4 a0 = Fetch(product, 0, place0, aFour, inputFours), a1 = Fetch(product, 0, place1, aFour, inputFours), b = new(0, 0, 0, 0);
        if (0 < bLimit) b = weights[from];
        while (tap < taps)
        {
            if (place0 >= 0 && read + aFour < inputFours) a0 = product.Operand(a0, tap, read + aFour);
            if (place1 >= 0 && read + aFour < inputFours) a1 = product.Operand(a1, tap, read + aFour);
            Transpose(aTile, at * Depth * Pitch + aTo, a0);
            Transpose(aTile, at * Depth * Pitch + aTo + TileRows / 2, a1);
            bFours[at * Depth * TileFours + thread] = b;
            Group.Barrier(); // all have written this tile, and all have read the one before it
            read += Depth / 4;
            from += Depth * pitchFours;
            if (read >= inputFours)
            {
                (tap, read) = (tap + 1, 0);
                place0 = row0 < rows ? product.Place(row0, tap) : -1;
                place1 = row1 < rows ? product.Place(row1, tap) : -1;
                from = (tap * inputs + bDepth) * pitchFours + bFour;
            }
            if (tap < taps)
            {
                a0 = Fetch(product, tap, place0, read + aFour, inputFours);
                a1 = Fetch(product, tap, place1, read + aFour, inputFours);
                b = new Float4(0, 0, 0, 0);
                if (4 * read < bLimit) b = weights[from];
            }
            int aRead = at * Depth * (Pitch / 4) + rowFour, bRead = at * Depth * TileFours + four;
            for (int i = 0; i < Depth; i++)
            {
                Float4 b0 = bFours[bRead + i * TileFours], b1 = bFours[bRead + i * TileFours + 8];
                for (int half = 0; half < 2; half++)
                {
                    Float4 part = aFours[aRead + i * (Pitch / 4) + 16 * half];
                    Fours.AddOuter(sums, 8 * half, part.X, b0, b1);
                    Fours.AddOuter(sums, 8 * half + 2, part.Y, b0, b1);
                    Fours.AddOuter(sums, 8 * half + 4, part.Z, b0, b1);
                    Fours.AddOuter(sums, 8 * half + 6, part.W, b0, b1);
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
                int output = firstFour + 8 * half + four;
                if (output < outputFours) product.Finish(row, output, sums[2 * i + half]);
            }
        }
    }

    private static Float4 Fetch<P>(P product, int tap, int place, int four, int inputFours) where P : struct, IRowProduct
    {
        Float4 values = new(0, 0, 0, 0);
        if (place >= 0 && four < inputFours) values = product.Load(tap, place, four);
        return values;
    }

    private static void Transpose(ArrayView<float> tile, int to, Float4 values)
    {
        tile[to] = values.X;
        tile[to + Pitch] = values.Y;
        tile[to + 2 * Pitch] = values.Z;
        tile[to + 3 * Pitch] = values.W;
    }
}

/// <summary>Numbers four at a time.</summary>
internal static class Fours
{
    /// <summary>A view in fours; its address is a multiple of 16.</summary>
    public static ArrayView<Float4> Of(ArrayView<float> values) => values.AsAligned16().Cast<Float4>();

    /// <summary>a + b.</summary>
    public static Float4 Sum(Float4 a, Float4 b) => new(a.X + b.X, a.Y + b.Y, a.Z + b.Z, a.W + b.W);

    /// <summary>a times a number.</summary>
    public static Float4 Scaled(Float4 a, float factor) => new(a.X * factor, a.Y * factor, a.Z * factor, a.W * factor);

    /// <summary>sums[index] += a b0 and sums[index + 1] += a b1: a row of an outer product.</summary>
    public static void AddOuter(ArrayView<Float4> sums, int index, float a, Float4 b0, Float4 b1)
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
    public FourRows(Rows<float> rows, int item)
    {
        fours = Fours.Of(rows.Values.SubView((long)item * rows.ItemRows * rows.Channels));
        first = rows.First;
        width = rows.Channels / 4;
        itemRows = rows.ItemRows;
    }

    /// <summary>Where a row begins, counted from the start of the item in fours.</summary>
    public int Place(int row) => (first + row) * width;

    /// <summary>Where a row of a ring begins, see <see cref="Rows{T}.RingRow"/>.</summary>
    public int RingPlace(int row) => Place(first + row < itemRows ? row : row - itemRows);

    /// <summary>Four channels of the row that begins at a place.</summary>
    public ref Float4 At(int place, int four) => ref fours[place + four];
}
