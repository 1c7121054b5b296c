namespace DiffWave.Kernels;

/// <summary>How version 3 cuts the gradient of a convolution's weights: what a block of eight warps computes and what a warp of it computes.</summary>
public interface IGradientTile
{
    /// <summary>Outputs of a block, a multiple of 64 and of <see cref="WarpOutputs"/>.</summary>
    static abstract int Outputs { get; }

    /// <summary>Inputs of taps of a block, a multiple of 64 and of <see cref="WarpColumns"/>; Outputs / WarpOutputs times Columns / WarpColumns is 8.</summary>
    static abstract int Columns { get; }

    /// <summary>Outputs of a warp: 16 for each warp that has the same ones, of which there are Columns / WarpColumns, a power of two.</summary>
    static abstract int WarpOutputs { get; }

    /// <summary>Inputs of taps of a warp, a multiple of 16.</summary>
    static abstract int WarpColumns { get; }

    /// <summary>Tiles of rows in shared memory, at least 2.</summary>
    static abstract int Stages { get; }
}

/// <summary>128 x 192, 64 x 48 a warp, four stages in 84 KiB: the three taps of 64 inputs.</summary>
public readonly struct Gradient128x192 : IGradientTile
{
    /// <inheritdoc/>
    public static int Outputs => 128;

    /// <inheritdoc/>
    public static int Columns => 192;

    /// <inheritdoc/>
    public static int WarpOutputs => 64;

    /// <inheritdoc/>
    public static int WarpColumns => 48;

    /// <inheritdoc/>
    public static int Stages => 4;
}

/// <summary>128 x 64, 32 x 32 a warp, four stages in 52 KiB: for 1x1 convolutions and few channels.</summary>
public readonly struct Gradient128x64 : IGradientTile
{
    /// <inheritdoc/>
    public static int Outputs => 128;

    /// <inheritdoc/>
    public static int Columns => 64;

    /// <inheritdoc/>
    public static int WarpOutputs => 32;

    /// <inheritdoc/>
    public static int WarpColumns => 32;

    /// <inheritdoc/>
    public static int Stages => 4;
}

/// <summary>A product over rows on tensor cores: both factors lie in shared memory row by row, so that what runs along the rows of an activation becomes the depth of the product.</summary>
/// <typeparam name="T">Element type of both.</typeparam>
public interface IRowsOperand<T> where T : unmanaged
{
    /// <summary>Rows of one product; half of it are the elements of 16 bytes.</summary>
    static abstract int Depth { get; }

    /// <summary>Where this lane's part of 16 channels of the left factor begins.</summary>
    /// <param name="lane">0 to 31.</param>
    /// <param name="pitch">Elements from row to row: 8 more than a multiple of 64, so that what a warp reads at once lies in different banks.</param>
    static abstract int LeftAt(int lane, int pitch);

    /// <summary>Where this lane's part of 16 channels of the right factor begins.</summary>
    /// <param name="lane">0 to 31.</param>
    /// <param name="pitch">As for the left factor.</param>
    static abstract int RightAt(int lane, int pitch);

    /// <summary>This lane's part of 16 channels of the left factor.</summary>
    /// <param name="shared">Shared memory.</param>
    /// <param name="at">From <see cref="LeftAt"/>, and where the 16 channels begin.</param>
    /// <param name="pitch">Elements from row to row.</param>
    static abstract UInt4 Left(ArrayView<T> shared, int at, int pitch);

    /// <summary>This lane's part of 16 channels of the right factor: X and Y of the first eight, Z and W of the others.</summary>
    /// <param name="shared">Shared memory.</param>
    /// <param name="at">From <see cref="RightAt"/>, and where the 16 channels begin.</param>
    /// <param name="pitch">Elements from row to row.</param>
    static abstract UInt4 Right(ArrayView<T> shared, int at, int pitch);

    /// <summary>This lane's part of a right factor whose channel lane / 4 is 1 in some rows and 0 in the others.</summary>
    /// <param name="lane">0 to 31.</param>
    /// <param name="row">The first row of the product, counted from the first one that is 1.</param>
    /// <param name="count">Rows that are 1.</param>
    static abstract UInt2 Ones(int lane, int row, int count);

    /// <summary>c + a b of a warp: 16 channels by 8.</summary>
    /// <param name="a">This lane's part of the left factor.</param>
    /// <param name="b">This lane's part of the right factor.</param>
    /// <param name="c">This lane's part of the sums.</param>
    static abstract Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c);
}

/// <summary>Rows of 16-bit numbers: ldmatrix turns them on their way to the registers.</summary>
/// <typeparam name="T">Half or BFloat16.</typeparam>
/// <typeparam name="P">Its product.</typeparam>
public readonly struct RowsOf16Bits<T, P> : IRowsOperand<T> where T : unmanaged where P : struct, IMatrixPair<T>
{
    /// <inheritdoc/>
    public static int Depth => 16;

    /// <inheritdoc/>
    public static int LeftAt(int lane, int pitch) => (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8;

    /// <inheritdoc/>
    public static int RightAt(int lane, int pitch) => lane % 16 * pitch + lane / 16 * 8;

    /// <inheritdoc/>
    public static UInt4 Left(ArrayView<T> shared, int at, int pitch) => Ptx.LdMatrixX4Trans(ref shared[at]);

    /// <inheritdoc/>
    public static UInt4 Right(ArrayView<T> shared, int at, int pitch) => Ptx.LdMatrixX4Trans(ref shared[at]);

    /// <inheritdoc/>
    public static UInt2 Ones(int lane, int row, int count)
    {
        int at = row + lane % 4 * 2;
        return new UInt2(Pair(at, count), Pair(at + 8, count));
    }

    /// <inheritdoc/>
    public static Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c) => P.MultiplyAdd(a, b, c);

    private static uint Pair(int row, int count) => P.Pack((uint)row < (uint)count ? 1 : 0, (uint)(row + 1) < (uint)count ? 1 : 0);
}

/// <summary>Rows of floats, rounded to TF32 on their way into the product.</summary>
public readonly struct RowsOfTf32 : IRowsOperand<float>
{
    /// <inheritdoc/>
    public static int Depth => 8;

    /// <inheritdoc/>
    public static int LeftAt(int lane, int pitch) => lane % 4 * pitch + lane / 4;

    /// <inheritdoc/>
    public static int RightAt(int lane, int pitch) => lane % 4 * pitch + lane / 4;

    /// <inheritdoc/>
    public static UInt4 Left(ArrayView<float> shared, int at, int pitch) =>
        new(Ptx.CvtRnaTf32(shared[at]), Ptx.CvtRnaTf32(shared[at + 8]), Ptx.CvtRnaTf32(shared[at + 4 * pitch]), Ptx.CvtRnaTf32(shared[at + 4 * pitch + 8]));

    /// <inheritdoc/>
    public static UInt4 Right(ArrayView<float> shared, int at, int pitch) =>
        new(Ptx.CvtRnaTf32(shared[at]), Ptx.CvtRnaTf32(shared[at + 4 * pitch]), Ptx.CvtRnaTf32(shared[at + 8]), Ptx.CvtRnaTf32(shared[at + 4 * pitch + 8]));

    /// <inheritdoc/>
    public static UInt2 Ones(int lane, int row, int count)
    {
        const uint one = 0x3F800000;
        int at = row + lane % 4;
        return new UInt2((uint)at < (uint)count ? one : 0, (uint)(at + 4) < (uint)count ? one : 0);
    }

    /// <inheritdoc/>
    public static Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c) => Ptx.MmaM16N8K8TF32(a, b, c);
}

public static partial class WeightGradient
{
    /// <summary>Threads of a block of version 3.</summary>
    public const int ThreadsV3 = 256;

    /// <summary>Rows of a slice of version 3, the same on every device, since bits depend on it. At 512 rows, as the others have them, the sums of the dilated convolution (C = 64) took as many bytes as its activations.</summary>
    public const int SliceRowsV3 = 1024;

    private const int GroupV3 = 64, PadV3 = 8; // channels of a row that neighbouring threads copy; elements between rows

    /// <summary>Dynamic shared memory of version 3 in bytes, whatever the precision.</summary>
    /// <typeparam name="S">The cut.</typeparam>
    public static int SharedBytesV3<S>() where S : struct, IGradientTile => S.Stages * (S.Outputs + S.Columns + 2 * PadV3) * 2 * 16 * 2;

    /// <summary>Slices of an item in version 3.</summary>
    /// <param name="rows">T.</param>
    public static int SlicesV3(int rows) => (rows + SliceRowsV3 - 1) / SliceRowsV3;

    /// <summary>Blocks of version 3 along x; slices go along y, items along z.</summary>
    /// <typeparam name="S">The cut.</typeparam>
    /// <param name="outputs">O.</param>
    /// <param name="columns">K I.</param>
    public static int BlocksV3<S>(int outputs, int columns) where S : struct, IGradientTile => (outputs + S.Outputs - 1) / S.Outputs * ((columns + S.Columns - 1) / S.Columns);

    /// <summary>
    /// Version 3. Blocks of <see cref="ThreadsV3"/> threads: <see cref="BlocksV3{S}"/> along x, slices along y, items along z; dynamic shared memory: <see cref="SharedBytesV3{S}"/>.
    /// What the step adds to the gradient is the sum of d over the rows where the tap exists, times the step: those sums are one more column of the product, and that of the middle tap, which always
    /// exists, is the gradient of the bias.
    /// </summary>
    /// <typeparam name="T">Half, BFloat16 or float.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <typeparam name="S">The cut.</typeparam>
    /// <param name="d">Gradient of the convolution's result, O channels, a multiple of 8; the address a multiple of 16, like the others.</param>
    /// <param name="x">Its input, I channels, a multiple of 8.</param>
    /// <param name="step">Row 0 of an item is added to the item's inputs, I channels; not read without <paramref name="hasStep"/>.</param>
    /// <param name="partial">Receives B x slices x O x K x I.</param>
    /// <param name="biasPartial">Receives B x slices x O, what ColumnSum gives for such slices; not touched without <paramref name="hasBias"/>.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">Rows between taps.</param>
    /// <param name="scale">Factor of every sum.</param>
    /// <param name="taps">K, 1 or 3.</param>
    /// <param name="hasStep">Whether there is a step to add.</param>
    /// <param name="hasBias">Whether the sums of d are wanted too.</param>
    [Kernel("weight_gradient_v3", BlockX = ThreadsV3, MinimumSm = 80)]
    public static void GradientV3<T, P, S>(Rows<T> d, Rows<T> x, Rows<float> step, ArrayView<float> partial, ArrayView<float> biasPartial, int rows, int dilation, float scale,
        [Const] int taps, [Const] bool hasStep, [Const] bool hasBias)
        where T : unmanaged where P : struct, IRowsOperand<T> where S : struct, IGradientTile
    {
        ArrayView<T> shared = SharedMemory.GetDynamic<T>();
        int stageRows = 2 * P.Depth, dPitch = S.Outputs + PadV3, xPitch = S.Columns + PadV3, dSize = stageRows * dPitch, stageSize = dSize + stageRows * xPitch;
        int warpsAcross = S.Columns / S.WarpColumns, leftParts = S.WarpOutputs / 16, rightParts = S.WarpColumns / 16;
        int thread = Group.IdxX, lane = thread % 32, warp = thread / 32, slice = Grid.IdxY, item = Grid.IdxZ;
        int outputs = d.Channels, inputs = x.Channels, columns = taps * inputs, tiles = (columns + S.Columns - 1) / S.Columns;
        int firstOutput = Grid.IdxX / tiles * S.Outputs, firstColumn = Grid.IdxX % tiles * S.Columns;
        int first = slice * SliceRowsV3, end = XMath.Min(first + SliceRowsV3, rows);

        // A thread copies 16 bytes of the same row of every group of 64 channels. What does not exist is zero: a row's number counts from the first that does.
        int chunk = P.Depth / 2, copyRow = thread / (GroupV3 / chunk), copyChannel = thread % (GroupV3 / chunk) * chunk;
        ArrayView<int> dFrom = LocalMemory.Allocate<int>(S.Outputs / GroupV3), dRow = LocalMemory.Allocate<int>(S.Outputs / GroupV3), dCount = LocalMemory.Allocate<int>(S.Outputs / GroupV3);
        ArrayView<int> xFrom = LocalMemory.Allocate<int>(S.Columns / GroupV3), xRow = LocalMemory.Allocate<int>(S.Columns / GroupV3), xCount = LocalMemory.Allocate<int>(S.Columns / GroupV3);
        ArrayView<T> dSource = d.Values.SubView(((long)item * d.ItemRows + d.First) * outputs), xSource = x.Values.SubView(((long)item * x.ItemRows + x.First) * inputs);
        for (int i = 0; i < S.Outputs / GroupV3; i++)
        {
            int output = firstOutput + i * GroupV3 + copyChannel;
            dFrom[i] = (first + copyRow) * outputs + output;
            dRow[i] = copyRow - first;
            dCount[i] = output < outputs ? end - first : 0;
        }
        for (int i = 0; i < S.Columns / GroupV3; i++)
        {
            int column = firstColumn + i * GroupV3 + copyChannel, tap = column / inputs, shift = Shift(tap, taps, dilation), exists = XMath.Max(first, -shift);
            xFrom[i] = (first + copyRow + shift) * inputs + column - tap * inputs;
            xRow[i] = copyRow - exists;
            xCount[i] = column < columns ? XMath.Max(0, XMath.Min(end, rows - shift) - exists) : 0;
        }
        int copyTo = copyRow * dPitch + copyChannel, xTo = dSize + copyRow * xPitch + copyChannel, copied = first, at = 0;

        // Warps that have the same outputs take each 16 of them first that no other does: those it sums, for all of them.
        bool summed = hasStep || hasBias;
        int across = summed ? warp % warpsAcross : 0, warpRow = warp / warpsAcross * S.WarpOutputs, warpColumn = warp % warpsAcross * S.WarpColumns;
        ArrayView<int> left = LocalMemory.Allocate<int>(leftParts);
        for (int i = 0; i < leftParts; i++) left[i] = P.LeftAt(lane, dPitch) + warpRow + 16 * (i ^ across);
        int right = dSize + P.RightAt(lane, xPitch) + warpColumn;
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(leftParts * rightParts * 2);
        Float4 total = new(0, 0, 0, 0);
        int tapShift = Shift(lane / 4, taps, dilation), tapFrom = XMath.Max(first, -tapShift), tapCount = lane / 4 < taps ? XMath.Max(0, XMath.Min(end, rows - tapShift) - tapFrom) : 0;

        for (int stage = 0; stage < S.Stages - 1; stage++)
        {
            CopyRows(shared, at + copyTo, dSource, dFrom, dRow, dCount, copied, stageRows * outputs);
            CopyRows(shared, at + xTo, xSource, xFrom, xRow, xCount, copied, stageRows * inputs);
            Ptx.CpAsyncCommit();
            copied += stageRows;
            at += stageSize;
        }
        int read = 0;
        for (; first < end; first += stageRows)
        {
            Ptx.CpAsyncWaitGroup(S.Stages - 2); // this thread's copies of the oldest rows are there
            Group.Barrier();                    // everybody's are, and everybody is done with those to be overwritten
            CopyRows(shared, at + copyTo, dSource, dFrom, dRow, dCount, copied, stageRows * outputs);
            CopyRows(shared, at + xTo, xSource, xFrom, xRow, xCount, copied, stageRows * inputs);
            Ptx.CpAsyncCommit();
            copied += stageRows;
            for (int depth = 0; depth < stageRows; depth += P.Depth)
            {
                ArrayView<UInt4> leftPart = LocalMemory.Allocate<UInt4>(leftParts), rightPart = LocalMemory.Allocate<UInt4>(rightParts);
                for (int i = 0; i < leftParts; i++) leftPart[i] = P.Left(shared, read + left[i] + depth * dPitch, dPitch);
                for (int j = 0; j < rightParts; j++) rightPart[j] = P.Right(shared, read + right + 16 * j + depth * xPitch, xPitch);
                for (int i = 0; i < leftParts; i++)
                    for (int j = 0; j < rightParts; j++)
                    {
                        int index = 2 * (i * rightParts + j);
                        sums[index] = P.MultiplyAdd(leftPart[i], new UInt2(rightPart[j].X, rightPart[j].Y), sums[index]);
                        sums[index + 1] = P.MultiplyAdd(leftPart[i], new UInt2(rightPart[j].Z, rightPart[j].W), sums[index + 1]);
                    }
                if (summed) total = P.MultiplyAdd(leftPart[0], P.Ones(lane, first + depth - tapFrom, tapCount), total);
            }
            at = read;
            read = read == (S.Stages - 1) * stageSize ? 0 : read + stageSize;
        }

        // Lane 4 i + j of a warp holds columns 2 j and 2 j + 1 of rows i and i + 8 of each 16 x 8; of the totals a column is a tap.
        ArrayView<float> totals = shared.Cast<float>();
        int totalPitch = S.Outputs + PadV3;
        if (summed)
        {
            Ptx.CpAsyncWaitAll();
            Group.Barrier(); // nobody reads or copies any more
            int row = warpRow + 16 * across + lane / 4, tap = lane % 4 * 2;
            if (tap < 4)
            {
                totals[tap * totalPitch + row] = total.X;
                totals[(tap + 1) * totalPitch + row] = total.Y;
                totals[tap * totalPitch + row + 8] = total.Z;
                totals[(tap + 1) * totalPitch + row + 8] = total.W;
            }
            Group.Barrier();
        }
        if (hasBias && firstColumn == 0 && thread < S.Outputs && firstOutput + thread < outputs)
            biasPartial[((long)item * Grid.DimY + slice) * outputs + firstOutput + thread] = scale * totals[taps / 2 * totalPitch + thread];
        ArrayView<Float2> target = partial.SubView(((long)item * Grid.DimY + slice) * outputs * columns).AsAligned8().Cast<Float2>();
        for (int j = 0; j < 2 * rightParts; j++)
        {
            int column = firstColumn + warpColumn + 8 * j + lane % 4 * 2, tap = column / inputs;
            if (column >= columns) continue;
            Float2 added = new(0, 0);
            if (hasStep) added = step.Row(item, 0).AsAligned8().Cast<Float2>()[(column - tap * inputs) / 2];
            for (int i = 0; i < leftParts; i++)
            {
                Float4 sum = sums[2 * i * rightParts + j];
                int row = warpRow + 16 * (i ^ across) + lane / 4;
                if (hasStep)
                {
                    float upper = totals[tap * totalPitch + row], lower = totals[tap * totalPitch + row + 8];
                    sum = new Float4(sum.X + upper * added.X, sum.Y + upper * added.Y, sum.Z + lower * added.X, sum.W + lower * added.Y);
                }
                if (firstOutput + row < outputs) target[((firstOutput + row) * columns + column) / 2] = new Float2(scale * sum.X, scale * sum.Y);
                if (firstOutput + row + 8 < outputs) target[((firstOutput + row + 8) * columns + column) / 2] = new Float2(scale * sum.Z, scale * sum.W);
            }
        }
    }

    // A row of a tile, 16 bytes of every group of channels; the next time the row as many further down as a tile has.
    private static void CopyRows<T>(ArrayView<T> shared, int to, ArrayView<T> source, ArrayView<int> from, ArrayView<int> row, ArrayView<int> count, int copied, int tile) where T : unmanaged
    {
        for (int i = 0; i < from.IntLength; i++)
        {
            Ptx.CpAsync16(ref shared[to + i * GroupV3], ref source[from[i]], (uint)(copied + row[i]) < (uint)count[i] ? 16 : 0);
            from[i] += tile;
        }
    }

    private static int Shift(int tap, int taps, int dilation) => (tap - taps / 2) * dilation;
}
