namespace DiffWave.Kernels;

/// <summary>How the streamed residual block is cut: rows of a tile, how its eight warps share a chunk of channels, and the ring of weights.</summary>
public interface IStreamedTile
{
    /// <summary>Rows of a tile, R: 64, 128 or 256.</summary>
    static abstract int Rows { get; }

    /// <summary>Warps side by side, 1, 2 or 4: a warp computes both halves of 32 channels, so that a chunk is 32 times as many; C is a multiple of it.</summary>
    static abstract int WarpsAcross { get; }

    /// <summary>Steps of 32 bytes of a row in a slice of weights: 1, 2 or 4; divides those of C channels.</summary>
    static abstract int Steps { get; }

    /// <summary>Slices in shared memory, at least 2.</summary>
    static abstract int Stages { get; }
}

/// <summary>128 rows, chunks of 128 channels, four slices of 16 KiB: 16 bits at C = 128.</summary>
public readonly struct StreamedTile128 : IStreamedTile
{
    /// <inheritdoc/>
    public static int Rows => 128;

    /// <inheritdoc/>
    public static int WarpsAcross => 4;

    /// <inheritdoc/>
    public static int Steps => 2;

    /// <inheritdoc/>
    public static int Stages => 4;
}

/// <summary>
/// 256 rows, chunks of 64 channels, three slices of 8 KiB: 16 bits at C = 128 or TF32 at C = 64, for signals with a tile for each multiprocessor. Half as many bytes of weights for a row.
/// </summary>
public readonly struct StreamedTile256 : IStreamedTile
{
    /// <inheritdoc/>
    public static int Rows => 256;

    /// <inheritdoc/>
    public static int WarpsAcross => 2;

    /// <inheritdoc/>
    public static int Steps => 2;

    /// <inheritdoc/>
    public static int Stages => 3;
}

/// <summary>128 rows, chunks of 128 channels, three slices of 16 KiB, which leaves room for rows of 512 bytes: 16 bits at C = 256, TF32 at C = 128.</summary>
public readonly struct StreamedTile128Wide : IStreamedTile
{
    /// <inheritdoc/>
    public static int Rows => 128;

    /// <inheritdoc/>
    public static int WarpsAcross => 4;

    /// <inheritdoc/>
    public static int Steps => 2;

    /// <inheritdoc/>
    public static int Stages => 3;
}

/// <summary>64 rows, chunks of 128 channels, four slices of 8 KiB, which leaves room for rows of 1 KiB: TF32 at C = 256.</summary>
public readonly struct StreamedTile64Wide : IStreamedTile
{
    /// <inheritdoc/>
    public static int Rows => 64;

    /// <inheritdoc/>
    public static int WarpsAcross => 4;

    /// <inheritdoc/>
    public static int Steps => 1;

    /// <inheritdoc/>
    public static int Stages => 4;
}

/// <summary>128 rows, chunks of 64 channels, three slices of 16 KiB: TF32 at C = 64.</summary>
public readonly struct StreamedTile64Channels : IStreamedTile
{
    /// <inheritdoc/>
    public static int Rows => 128;

    /// <inheritdoc/>
    public static int WarpsAcross => 2;

    /// <inheritdoc/>
    public static int Steps => 4;

    /// <inheritdoc/>
    public static int Stages => 3;
}

/// <summary>128 rows, chunks of 32 channels, three slices of 8 KiB: TF32 at any other C, a multiple of 32.</summary>
public readonly struct StreamedTile32Channels : IStreamedTile
{
    /// <inheritdoc/>
    public static int Rows => 128;

    /// <inheritdoc/>
    public static int WarpsAcross => 1;

    /// <inheritdoc/>
    public static int Steps => 4;

    /// <inheritdoc/>
    public static int Stages => 3;
}

// Sizes of a tile in shared memory, in units of 16 bytes ("pieces" of rows, "chunks" of weights), all known when the kernel is compiled.
internal readonly struct StreamedCut<S>(int channels, int bands, int elementBytes) where S : struct, IStreamedTile
{
    public readonly int Channels = channels, Bands = bands;

    private readonly int elementBytes = elementBytes;

    // Values of 16 bytes and of a step.
    public int PieceValues => 16 / elementBytes;
    public int StepValues => 32 / elementBytes;

    // What a lane reads and writes of a row's group of 32 channels.
    public int LanePieces => elementBytes / 2;

    // A row of x or z, one more between two rows.
    public int RowPieces => Channels / PieceValues;
    public int RowPitch => RowPieces + 1;

    // A row of mel, with zeros up to whole steps of 16 bands. It is no whole number of lines of banks: rows as ldmatrix reads them, eight, change the places of this many pieces, the largest power of two
    // up to 8 that divides a row's.
    public int MelPieces => Bands / PieceValues;
    public int MelSteps => (Bands + 15) / 16 * (elementBytes / 2);
    public int MelPitch => 2 * MelSteps;
    public int MelTurns => MelPitch % 8 == 0 ? 8 : MelPitch % 4 == 0 ? 4 : 2;
    public int MelPlace(int row, int piece) => row * MelPitch + (piece ^ row / (8 / MelTurns) % MelTurns);

    // From the place of a piece of the first step to that of one some steps further.
    public static int Later(int place, int step, int turns) => turns <= 2 ? place + 2 * step : (place ^ 2 * step % turns) + 2 * step / turns * turns;

    // Chunks of channels, and steps of a tap.
    public int Chunks => Channels / ChunkChannels;
    public int TapSteps => Channels / StepValues;

    public int WarpRows => S.Rows * S.WarpsAcross / 8;
    public int ChunkChannels => 32 * S.WarpsAcross;

    // Weights of a step: those of a chunk's one half, of both, and of all channels' one half.
    public int HalfChunks => 2 * ChunkChannels;
    public int StepChunks => 2 * HalfChunks;
    public int PackedHalf => 2 * Channels;
    public int SliceChunks => S.Steps * StepChunks;
    public int HiddenSteps => 3 * TapSteps + MelSteps;

    public int RingChunks => S.Stages * SliceChunks;

    // Behind the ring lie z and mel, and behind them x. With a single chunk of channels z is made when mel is done with, and takes its place.
    public bool SharesMel => Chunks == 1 && MelSteps > 0;
    public int GatedAt => RingChunks;
    public int MelAt => SharesMel ? RingChunks : RingChunks + S.Rows * RowPitch;
    public int MelChunks => S.Rows * (SharesMel ? Math.Max(RowPitch, MelPitch) : MelPitch);
}

// The weights of a layer in the order in which blocks use them, slice by slice: the first product's for each chunk of channels, then the second's, tile after tile.
internal struct WeightStream<S> where S : struct, IStreamedTile
{
    private readonly StreamedCut<S> cut;
    private readonly ArrayView<UInt4> weights;
    private int from, left, product, remaining; // remaining: chunks of both products of all tiles of the block

    public WeightStream(StreamedCut<S> cut, ArrayView<UInt4> weights, int tiles)
    {
        this.cut = cut;
        this.weights = weights;
        remaining = 2 * cut.Chunks * tiles;
        Slice = (S.Stages - 1) * cut.SliceChunks;
        from = product = 0;
        left = cut.HiddenSteps;
    }

    // Where the slice lies that is to be multiplied.
    public int Slice { get; private set; }

    // The slices before the first step; what was copied before them comes with the first.
    public void Begin(ArrayView<UInt4> shared)
    {
        for (int stage = 0; stage < S.Stages - 1; stage++) Copy(shared, stage * cut.SliceChunks);
    }

    // The same in two parts: what is copied between them comes with all slices.
    public void BeginBefore(ArrayView<UInt4> shared)
    {
        for (int stage = 0; stage < S.Stages - 1; stage++)
        {
            CopySlice(shared, stage * cut.SliceChunks);
            Advance();
        }
    }

    public readonly void EndBefore()
    {
        for (int stage = 0; stage < S.Stages - 1; stage++) Ptx.CpAsyncCommit();
    }

    // Until all threads are done with the slice before and have copied the next one, and whatever they copied before it.
    public void Await()
    {
        Ptx.CpAsyncWaitGroup(S.Stages - 2);
        Group.Barrier();
        Slice = Slice == (S.Stages - 1) * cut.SliceChunks ? 0 : Slice + cut.SliceChunks;
    }

    // The copy of a later slice, in place of the one before.
    public void Copy(ArrayView<UInt4> shared) => Copy(shared, Slice == 0 ? (S.Stages - 1) * cut.SliceChunks : Slice - cut.SliceChunks);

    // One group of asynchronous copies.
    private void Copy(ArrayView<UInt4> shared, int to)
    {
        CopySlice(shared, to);
        Ptx.CpAsyncCommit();
        Advance();
    }

    // A whole slice, even where a product has fewer steps left, or nothing behind the last. A step has halves of HalfChunks, PackedHalf apart.
    private readonly void CopySlice(ArrayView<UInt4> shared, int to)
    {
        int thread = Group.IdxX, source = from + thread / cut.HalfChunks * cut.PackedHalf + thread % cut.HalfChunks;
        if (left > 0)
            for (int i = 0; i < cut.SliceChunks / 256; i++)
                Ptx.CpAsync16(ref shared[to + thread + 256 * i], ref weights[source + i * (256 / cut.HalfChunks * cut.PackedHalf)]);
    }

    private void Advance()
    {
        from += S.Steps * 2 * cut.PackedHalf;
        left -= S.Steps;
        if (left > 0) return;
        remaining--;
        product++;
        if (product == 2 * cut.Chunks) product = 0;
        left = remaining <= 0 ? 0 : product < cut.Chunks ? cut.HiddenSteps : cut.TapSteps;
        from = product < cut.Chunks ? product * cut.HalfChunks : cut.HiddenSteps * 2 * cut.PackedHalf + (product - cut.Chunks) * cut.HalfChunks;
    }
}
