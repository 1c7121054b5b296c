namespace DiffWave.Kernels;

/// <summary>How version 3 cuts a matrix product: what a block of eight warps computes, what a warp of it computes, and how many tiles of the operands are on their way.</summary>
public interface IMatrixTile
{
    /// <summary>Rows of C a block computes, a multiple of <see cref="WarpM"/>.</summary>
    static abstract int BlockM { get; }

    /// <summary>Columns of C a block computes, a multiple of <see cref="WarpN"/> and at least 64.</summary>
    static abstract int BlockN { get; }

    /// <summary>Depth of a tile: 16, 32 or 64.</summary>
    static abstract int BlockK { get; }

    /// <summary>Rows of C a warp computes, a multiple of 16; BlockM / WarpM times BlockN / WarpN is 8.</summary>
    static abstract int WarpM { get; }

    /// <summary>Columns of C a warp computes, a multiple of 16.</summary>
    static abstract int WarpN { get; }

    /// <summary>Tiles in shared memory, at least 2.</summary>
    static abstract int Stages { get; }
}

/// <summary>128 x 128 x 32, four stages in 64 KiB: for large products.</summary>
public readonly struct Tile128x128 : IMatrixTile
{
    /// <inheritdoc/>
    public static int BlockM => 128;

    /// <inheritdoc/>
    public static int BlockN => 128;

    /// <inheritdoc/>
    public static int BlockK => 32;

    /// <inheritdoc/>
    public static int WarpM => 64;

    /// <inheritdoc/>
    public static int WarpN => 32;

    /// <inheritdoc/>
    public static int Stages => 4;
}

/// <summary>64 x 64 x 64, three stages in 48 KiB: for products too small to fill the device with large tiles.</summary>
public readonly struct Tile64x64 : IMatrixTile
{
    /// <inheritdoc/>
    public static int BlockM => 64;

    /// <inheritdoc/>
    public static int BlockN => 64;

    /// <inheritdoc/>
    public static int BlockK => 64;

    /// <inheritdoc/>
    public static int WarpM => 32;

    /// <inheritdoc/>
    public static int WarpN => 16;

    /// <inheritdoc/>
    public static int Stages => 3;
}

public static partial class MatrixProduct
{
    private const int ThreadsV3 = 256, Chunk = 8; // elements of 16 bytes, what one asynchronous copy moves and one lane of ldmatrix addresses

    /// <summary>Version 3. Blocks of 256 threads: M / BlockM along x, N / BlockN along y, rounded up; dynamic shared memory: <see cref="SharedBytes{S}"/>.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <typeparam name="S">The cut.</typeparam>
    /// <param name="a">M x K; the address a multiple of 16, like the others.</param>
    /// <param name="b">K x N.</param>
    /// <param name="c">Receives M x N.</param>
    /// <param name="m">M.</param>
    /// <param name="n">N, a multiple of 8.</param>
    /// <param name="k">K, a multiple of 8.</param>
    [Kernel("matrix_product_v3", BlockX = ThreadsV3, MinBlocks = 2, MinimumSm = 80)]
    public static void ProductV3<T, P, S>(ArrayView<T> a, ArrayView<T> b, ArrayView<float> c, int m, int n, int k)
        where T : unmanaged where P : struct, IMatrixOperand<T> where S : struct, IMatrixTile
    {
        ArrayView<T> shared = SharedMemory.GetDynamic<T>();
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(S.WarpM / 16 * (S.WarpN / 8));
        int thread = Group.IdxX, lane = thread % 32, warp = thread / 32;
        int firstRow = Grid.IdxX * S.BlockM, firstColumn = Grid.IdxY * S.BlockN;
        int warpRow = warp / (S.BlockN / S.WarpN) * S.WarpM, warpColumn = warp % (S.BlockN / S.WarpN) * S.WarpN;
        int aSize = S.BlockM * S.BlockK, stageSize = aSize + S.BlockK * S.BlockN;

        // What this thread copies of each tile: every copy one chunk, the next one some rows further down. A chunk is inside the matrix while the tile's first k is below its limit.
        int aChunks = S.BlockK / Chunk, aRow = thread / aChunks, aChunk = thread % aChunks, aRows = ThreadsV3 / aChunks;
        int bChunks = S.BlockN / Chunk, bRow = thread / bChunks, bChunk = thread % bChunks, bRows = ThreadsV3 / bChunks;
        ArrayView<int> aLimits = LocalMemory.Allocate<int>(S.BlockM / aRows), bLimits = LocalMemory.Allocate<int>(S.BlockK / bRows);
        for (int i = 0; i < S.BlockM / aRows; i++) aLimits[i] = firstRow + aRow + i * aRows < m ? k - aChunk * Chunk : 0;
        for (int i = 0; i < S.BlockK / bRows; i++) bLimits[i] = firstColumn + bChunk * Chunk < n ? k - bRow - i * bRows : 0;
        int aTo = aRow * S.BlockK + Swizzled(aRow, aChunk, aChunks) * Chunk, bTo = aSize + bRow * S.BlockN + Swizzled(bRow, bChunk, bChunks) * Chunk;
        int aFrom = (firstRow + aRow) * k + aChunk * Chunk, bFrom = bRow * n + firstColumn + bChunk * Chunk;

        // Where this lane's row of the first 16 x 16 of its warp lies in the tiles; later ones differ by constants, added or (across chunks) exclusive-ored.
        int aRead = (warpRow + lane % 16) * S.BlockK + Swizzled(lane % 16, lane / 16, aChunks) * Chunk;
        int bRead = aSize + lane % 16 * S.BlockN + Swizzled(lane % 16, warpColumn / Chunk + lane / 16, bChunks) * Chunk;

        int first = 0;
        for (int stage = 0; stage < S.Stages - 1; stage++, first += S.BlockK, aFrom += S.BlockK, bFrom += S.BlockK * n)
            CopyTile<T, S>(a, b, shared, stage * stageSize, first, aLimits, bLimits, aTo, bTo, aFrom, bFrom, aRows, bRows, n, k);
        int read = 0, write = (S.Stages - 1) * stageSize;
        for (int end = k + first; first < end; first += S.BlockK, aFrom += S.BlockK, bFrom += S.BlockK * n)
        {
            Ptx.CpAsyncWaitGroup(S.Stages - 2); // this thread's copies of the oldest tile are there
            Group.Barrier();                    // everybody's are, and everybody is done with the tile to be overwritten
            CopyTile<T, S>(a, b, shared, write, first, aLimits, bLimits, aTo, bTo, aFrom, bFrom, aRows, bRows, n, k);
            MultiplyTile<T, P, S>(shared, read + aRead, read + bRead, sums);
            write = read;
            read = read == (S.Stages - 1) * stageSize ? 0 : read + stageSize;
        }

        // Lane 4 i + j of a warp holds columns 2 j and 2 j + 1 of rows i and i + 8 of each 16 x 8.
        ArrayView<Float2> target = c.AsAligned8().Cast<Float2>();
        int row = firstRow + warpRow + lane / 4, column = firstColumn + warpColumn + lane % 4 * 2;
        for (int i = 0; i < S.WarpM / 16; i++)
            for (int j = 0; j < S.WarpN / 8; j++)
            {
                Float4 sum = sums[i * (S.WarpN / 8) + j];
                if (column + 8 * j >= n) continue;
                if (row + 16 * i < m) target[((row + 16 * i) * n + column + 8 * j) / 2] = new Float2(sum.X, sum.Y);
                if (row + 16 * i + 8 < m) target[((row + 16 * i + 8) * n + column + 8 * j) / 2] = new Float2(sum.Z, sum.W);
            }
    }

    /// <summary>Dynamic shared memory of version 3 in bytes.</summary>
    /// <typeparam name="S">The cut.</typeparam>
    public static int SharedBytes<S>() where S : struct, IMatrixTile => S.Stages * (S.BlockM + S.BlockN) * S.BlockK * 2;

    // One group of asynchronous copies: a tile of A and one of B, zeros outside the matrices.
    private static void CopyTile<T, S>(ArrayView<T> a, ArrayView<T> b, ArrayView<T> shared, int stage, int first, ArrayView<int> aLimits, ArrayView<int> bLimits,
        int aTo, int bTo, int aFrom, int bFrom, int aRows, int bRows, int n, int k) where T : unmanaged where S : struct, IMatrixTile
    {
        for (int i = 0; i < S.BlockM / aRows; i++)
            Ptx.CpAsync16(ref shared[stage + aTo + i * aRows * S.BlockK], ref a[aFrom + i * aRows * k], first < aLimits[i] ? 16 : 0);
        for (int i = 0; i < S.BlockK / bRows; i++)
            Ptx.CpAsync16(ref shared[stage + bTo + i * bRows * S.BlockN], ref b[bFrom + i * bRows * n], first < bLimits[i] ? 16 : 0);
        Ptx.CpAsyncCommit();
    }

    private static void MultiplyTile<T, P, S>(ArrayView<T> shared, int aRead, int bRead, ArrayView<Float4> sums) where T : unmanaged where P : struct, IMatrixOperand<T> where S : struct, IMatrixTile
    {
        ArrayView<UInt4> aParts = LocalMemory.Allocate<UInt4>(S.WarpM / 16), bParts = LocalMemory.Allocate<UInt4>(S.WarpN / 16);
        for (int depth = 0; depth < S.BlockK; depth += 16)
        {
            for (int i = 0; i < S.WarpM / 16; i++) aParts[i] = Ptx.LdMatrixX4(ref shared[(aRead ^ depth) + i * 16 * S.BlockK]);
            for (int j = 0; j < S.WarpN / 16; j++) bParts[j] = Ptx.LdMatrixX4Trans(ref shared[(bRead ^ j * 16) + depth * S.BlockN]);
            for (int i = 0; i < S.WarpM / 16; i++)
                for (int j = 0; j < S.WarpN / 16; j++)
                {
                    int index = i * (S.WarpN / 8) + 2 * j;
                    sums[index] = P.MultiplyAdd(aParts[i], new UInt2(bParts[j].X, bParts[j].Y), sums[index]);
                    sums[index + 1] = P.MultiplyAdd(aParts[i], new UInt2(bParts[j].Z, bParts[j].W), sums[index + 1]);
                }
        }
    }

    // Eight consecutive rows of one chunk column, what ldmatrix reads at once, must lie in the eight different 16-byte parts of the 128 bytes of banks: the chunk's number is
    // exclusive-ored with the row's, counted in lines of 128 bytes.
    private static int Swizzled(int row, int chunk, int chunks) => chunk ^ (chunks >= 8 ? row % 8 : row / (8 / chunks) % chunks);
}
