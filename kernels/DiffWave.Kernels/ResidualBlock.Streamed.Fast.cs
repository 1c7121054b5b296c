namespace DiffWave.Kernels;

public static partial class ResidualBlock
{
    /// <summary>Threads of a block of the streamed version.</summary>
    public const int StreamedThreads = 256;

    /// <summary>
    /// The streamed version: weights come through a ring in shared memory, tiles are rows by <see cref="TimeTile"/>. Blocks of 256 threads: any number along x, best as many as fit on the multiprocessors but no
    /// more than tiles; dynamic shared memory: <see cref="StreamedBytes{S}"/>. Every number of blocks and every number of rows of a tile gives the same bits. Addresses of all views are multiples of 16.
    /// </summary>
    /// <remarks>
    /// For each chunk of channels a warp sums filter and gate of 32 channels over x and mel of its rows, gates them and stores z in shared memory; then, for each chunk again, residual and skip of 32 channels
    /// over z. The weights of both products, in the order in which lanes read them, arrive in slices a few steps ahead, copied once for all warps; beside the last chunk of a tile x of the next one arrives.
    /// Every row of x and z begins 16 bytes of banks after the one before it: neither ldmatrix nor the gate's stores meet a conflict.
    /// </remarks>
    /// <typeparam name="T">What activations and weights are stored as.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <typeparam name="S">The cut.</typeparam>
    /// <param name="x">[B, rows, C], input of the layer; the rows before and behind too.</param>
    /// <param name="mel">[B, rows, M], upsampled; not read without bands.</param>
    /// <param name="weights">[L, <see cref="BlockWeights.Size"/>], of all layers, by <see cref="BlockWeights"/>.</param>
    /// <param name="bias">[B, L, 2C], what an interior row starts from.</param>
    /// <param name="edges">[B, L, 2, 2C], subtracted where tap 0 or tap 2 lies outside.</param>
    /// <param name="outputBias">[B, L, 2C].</param>
    /// <param name="y">Receives [B, rows, C]; not touched for the last layer. Another buffer than <paramref name="x"/>.</param>
    /// <param name="skips">[B, rows, C], added to; for layer 0 set.</param>
    /// <param name="h">Receives [B, rows, 2C], what the gate reads, in the model's order of halves, for the backward pass; not touched without <paramref name="keep"/>.</param>
    /// <param name="parts">With <paramref name="packed"/> the table of <see cref="PackedSignals"/>; else not read.</param>
    /// <param name="tiles">B <see cref="TimeTile.Count"/>, or the sum over the parts.</param>
    /// <param name="rows">Rows to compute, of an item or of all parts together.</param>
    /// <param name="before">Rows that exist before the first one.</param>
    /// <param name="after">Rows that exist behind the last one.</param>
    /// <param name="dilation">d.</param>
    /// <param name="neighbours">q, by <see cref="TimeTile.Neighbours"/> or less, so that shared memory holds the tile.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="channels">C, a multiple of the channels of a chunk.</param>
    /// <param name="bands">M, rows of a multiple of 16 bytes; 0 without a mel.</param>
    /// <param name="gateFirst">Whether the first half of h, and so of bias and edges, is the gate.</param>
    /// <param name="keep">Whether h is kept. y and the skips have the same bits.</param>
    /// <param name="packed">Whether the rows are parts of packed signals, whose biases are items of theirs. Every signal has the bits that it has alone.</param>
    /// <param name="early">
    /// Whether it may be launched early, on sm_90 and later: everything but the weights and the table of packed signals, which the kernel right before it must not have written, is touched after the kernels before it are complete.
    /// </param>
    [Kernel("residual_block_streamed_v3", BlockX = StreamedThreads, MinimumSm = 80)]
    public static void StreamedV3<T, P, S>(Rows<T> x, Rows<T> mel, ArrayView<T> weights, ArrayView<float> bias, ArrayView<float> edges, ArrayView<float> outputBias, Rows<T> y, Rows<T> skips, Rows<T> h,
        ArrayView<int> parts, int tiles, int rows, int before, int after, int dilation, int neighbours, int layer, int layers, [Const] int channels, [Const] int bands, [Const] bool gateFirst, [Const] bool keep,
        [Const] bool packed, [Const] bool early)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        ArrayView<UInt4> shared = SharedMemory.GetDynamic<UInt4>();
        var cut = new StreamedCut<S>(channels, bands, Interop.SizeOf<T>());
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(cut.WarpRows / 16 * 8); // [16 rows][4 tiles of columns of either half]
        int thread = Group.IdxX, lane = thread % 32, warp = thread / 32;
        int warpRow = warp / S.WarpsAcross * cut.WarpRows, warpChannel = warp % S.WarpsAcross * 32;
        int xAt = cut.MelAt + cut.MelChunks;

        // Lane 8 m + i reads row i of matrix m for ldmatrix: rows 0 and 8 of the left 16 bytes, then of the right ones. Lane 4 i + j sums columns 2 j, 2 j + 1 of rows i and i + 8.
        int matrixRow = warpRow + FragmentRow<T>(lane % 8) + lane / 8 % 2 * 8, sumRow = warpRow + FragmentRow<T>(lane / 4), j = lane % 4;
        int bRead = warpChannel * 2 + lane;

        int size = BlockWeights.Size(channels, bands);
        var stream = new WeightStream<S>(cut, weights.SubView((long)layer * size, size).AsAligned16().Cast<UInt4>(), (tiles - Grid.IdxX + Grid.DimX - 1) / Grid.DimX);

        int index = Grid.IdxX;
        if (index >= tiles) return;
        var walk = new SignalTiles(parts, tiles, rows, before, after, dilation, neighbours, S.Rows, packed);
        SignalTile tile = walk.At(index);
        if (early) stream.BeginBefore(shared);
        if (early) EarlyLaunch.AwaitOthers();
        CopyX<T, S>(cut, x, shared, xAt, tile, neighbours);
        if (early) stream.EndBefore();
        else stream.Begin(shared);
        while (index < tiles)
        {
            // x of this tile came in one group with the slice of the first step of the last product before.
            Ptx.CpAsyncWaitGroup(Math.Min(S.Stages - 2, cut.TapSteps / S.Steps - 1));
            if (cut.SharesMel) Group.Barrier(); // all have multiplied the z that lies there
            CopyMel<T, S>(cut, mel, shared, tile); // in one group with the slice of the next step, long before it is needed
            long vector = ((long)tile.Signal * layers + layer) * 2 * channels;
            for (int chunk = 0; chunk < Loop.Rolled(cut.Chunks); chunk++)
            {
                int first = chunk * cut.ChunkChannels + warpChannel;
                StartHidden(cut, sums, bias.SubView(vector + first + 8 * j), edges.SubView(2 * vector + first + 8 * j), gateFirst, tile, sumRow);
                int aRead = xAt + matrixRow * cut.RowPitch + lane / 16;
                for (int tap = 0; tap < Loop.Rolled(Taps); tap++, aRead += neighbours * cut.RowPitch)
                    for (int step = 0; step < Loop.Rolled(cut.TapSteps); step += S.Steps)
                    {
                        stream.Await();
                        Multiply<T, P, S>(cut, ref stream, shared, aRead + 2 * step, cut.RowPitch, 1, bRead, S.Steps, false, sums);
                    }
                aRead = cut.MelAt + cut.MelPlace(matrixRow, lane / 16);
                for (int step = 0; step < Loop.Rolled(cut.MelSteps); step += S.Steps)
                {
                    stream.Await();
                    Multiply<T, P, S>(cut, ref stream, shared, StreamedCut<S>.Later(aRead, step, cut.MelTurns), cut.MelPitch, cut.MelTurns, bRead, cut.MelSteps - step, false, sums);
                }
                if (cut.SharesMel) Group.Barrier(); // all have multiplied the mel
                for (int i = 0; i < sums.IntLength / 8; i++)
                {
                    if (keep) Keep<T, P, S>(cut, h, tile, sumRow, i, first / cut.PieceValues + P.FirstPiece(j), gateFirst, sums);
                    if (keep) Warp.Barrier(); // 16 rows after the other: nothing is moved across, and for stores of all of them side by side there are too few registers
                    Gate<T, P, S>(cut, shared, (cut.GatedAt + (sumRow + 16 * i) * cut.RowPitch + first / cut.PieceValues) * 4 + j, i, sums);
                }
            }

            index += Grid.DimX;
            SignalTile next = walk.At(Math.Min(index, tiles - 1));
            for (int chunk = 0; chunk < Loop.Rolled(cut.Chunks); chunk++)
            {
                int first = chunk * cut.ChunkChannels + warpChannel;
                StartOutput<T, P, S>(cut, shared, xAt + (sumRow + neighbours) * cut.RowPitch + first / cut.PieceValues + j * cut.LanePieces, outputBias.SubView(vector + first + 8 * j), sums);
                int aRead = cut.GatedAt + matrixRow * cut.RowPitch + lane / 16;
                for (int step = 0; step < Loop.Rolled(cut.TapSteps); step += S.Steps)
                {
                    stream.Await();
                    if (step == 0 && chunk == cut.Chunks - 1 && index < tiles) CopyX<T, S>(cut, x, shared, xAt, next, neighbours);
                    Multiply<T, P, S>(cut, ref stream, shared, aRead + 2 * step, cut.RowPitch, 1, bRead, S.Steps, true, sums);
                }
                Finish<T, P, S>(cut, y, skips, tile, sumRow, first / cut.PieceValues + P.FirstPiece(j), layer, layers, sums);
            }
            tile = next;
        }
    }

    // Rows of x with their halo, zeros where there are none.
    private static void CopyX<T, S>(StreamedCut<S> cut, Rows<T> x, ArrayView<UInt4> shared, int to, SignalTile tile, int neighbours)
        where T : unmanaged where S : struct, IStreamedTile
    {
        ArrayView<UInt4> from = Pieces(x, tile.Item, cut.Channels);
        for (int i = Group.IdxX; i < (S.Rows + 2 * neighbours) * cut.RowPieces; i += StreamedThreads)
        {
            int row = i / cut.RowPieces, piece = i % cut.RowPieces, time = tile.Time(row - neighbours);
            bool exists = time >= tile.Begin & time < tile.Until;
            Ptx.CpAsync16(ref shared[to + row * cut.RowPitch + piece], ref from[(exists ? time : 0) * cut.RowPieces + piece], exists ? 16 : 0);
        }
    }

    // Rows of mel, zeros where there are none and up to whole steps.
    private static void CopyMel<T, S>(StreamedCut<S> cut, Rows<T> mel, ArrayView<UInt4> shared, SignalTile tile) where T : unmanaged where S : struct, IStreamedTile
    {
        if (cut.MelSteps == 0) return;
        ArrayView<UInt4> from = Pieces(mel, tile.Item, cut.Bands);
        for (int i = Group.IdxX; i < Loop.Rolled(S.Rows * cut.MelPitch); i += StreamedThreads)
        {
            int row = i / cut.MelPitch, piece = i % cut.MelPitch, time = tile.Time(row);
            bool exists = time < tile.End & piece < cut.MelPieces;
            Ptx.CpAsync16(ref shared[cut.MelAt + cut.MelPlace(row, piece)], ref from[exists ? time * cut.MelPieces + piece : 0], exists ? 16 : 0);
        }
    }

    // The bias, without what the taps outside would add to it.
    private static void StartHidden<S>(StreamedCut<S> cut, ArrayView<Float4> sums, ArrayView<float> bias, ArrayView<float> edges, bool gateFirst, SignalTile tile, int sumRow)
        where S : struct, IStreamedTile
    {
        ArrayView<Float4> start = LocalMemory.Allocate<Float4>(4);
        LoadHalves(bias, start, cut.Channels, gateFirst);
        for (int i = 0; i < sums.IntLength; i++)
        {
            Float2 pair = Pair(start, i % 8);
            sums[i] = new Float4(pair.X, pair.Y, pair.X, pair.Y);
        }
        if (tile.First - tile.Dilation >= tile.Begin && tile.Time(S.Rows - 1) + tile.Dilation < tile.Until) return;
        for (int tap = 0; tap < Taps; tap += 2)
        {
            LoadHalves(edges.SubView(tap * cut.Channels), start, cut.Channels, gateFirst);
            for (int i = 0; i < sums.IntLength / 8; i++)
            {
                float upper = Outside(tile, sumRow + 16 * i, tap), lower = Outside(tile, sumRow + 16 * i + 8, tap);
                for (int f = 0; f < 8; f++)
                {
                    Float2 edge = Pair(start, f);
                    ref Float4 sum = ref sums[8 * i + f];
                    sum = new Float4(sum.X - upper * edge.X, sum.Y - upper * edge.Y, sum.Z - lower * edge.X, sum.W - lower * edge.Y);
                }
            }
        }
    }

    private static float Outside(SignalTile tile, int row, int tap)
    {
        int time = tile.Time(row) + (tap - 1) * tile.Dilation;
        return time < tile.Begin | time >= tile.Until ? 1 : 0;
    }

    // The output's bias, and in the residual half x.
    private static void StartOutput<T, P, S>(StreamedCut<S> cut, ArrayView<UInt4> shared, int xRead, ArrayView<float> bias, ArrayView<Float4> sums)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        ArrayView<Float4> start = LocalMemory.Allocate<Float4>(4);
        ArrayView<UInt4> pieces = LocalMemory.Allocate<UInt4>(cut.LanePieces);
        ArrayView<Float2> upper = LocalMemory.Allocate<Float2>(4), lower = LocalMemory.Allocate<Float2>(4);
        LoadHalves(bias, start, cut.Channels, false);
        for (int i = 0; i < sums.IntLength / 8; i++)
        {
            for (int piece = 0; piece < cut.LanePieces; piece++) pieces[piece] = shared[xRead + 16 * i * cut.RowPitch + piece];
            P.Unpack(pieces, 0, upper);
            for (int piece = 0; piece < cut.LanePieces; piece++) pieces[piece] = shared[xRead + (16 * i + 8) * cut.RowPitch + piece];
            P.Unpack(pieces, 0, lower);
            for (int f = 0; f < 8; f++)
            {
                Float2 pair = Pair(start, f);
                sums[8 * i + f] = f < 4 ? new Float4(pair.X + upper[f].X, pair.Y + upper[f].Y, pair.X + lower[f].X, pair.Y + lower[f].Y) : new Float4(pair.X, pair.Y, pair.X, pair.Y);
            }
        }
    }

    // A lane's eight values of each half of a vector of 2C, or of the second half before the first.
    private static void LoadHalves(ArrayView<float> vector, ArrayView<Float4> start, int channels, bool swapped)
    {
        ArrayView<Float4> fours = vector.AsAligned16().Cast<Float4>();
        for (int i = 0; i < 4; i++) start[i] = Ptx.LdGlobalNc(ref fours[(i >= 2 != swapped ? channels / 4 : 0) + i % 2]);
    }

    private static Float2 Pair(ArrayView<Float4> start, int tile) => tile % 2 == 0 ? new(start[tile / 2].X, start[tile / 2].Y) : new(start[tile / 2].Z, start[tile / 2].W);

    // A slice of the product: the warp's rows times both halves of its 32 channels. The copy of a later slice begins while the first operands come.
    private static void Multiply<T, P, S>(StreamedCut<S> cut, ref WeightStream<S> stream, ArrayView<UInt4> shared, int aRead, int pitch, int turns, int bRead, int steps, bool rounded, ArrayView<Float4> sums)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        ArrayView<UInt4> aParts = LocalMemory.Allocate<UInt4>(sums.IntLength / 8), bParts = LocalMemory.Allocate<UInt4>(4);
        bRead += stream.Slice;
        for (int step = 0; step < S.Steps; step++)
        {
            if (step > 0 && step >= steps) continue;
            for (int i = 0; i < aParts.IntLength; i++) aParts[i] = Ptx.LdMatrixX4(ref shared[StreamedCut<S>.Later(aRead, step, turns) + 16 * i * pitch]);
            for (int u = 0; u < 4; u++) bParts[u] = shared[bRead + step * cut.StepChunks + u / 2 * cut.HalfChunks + u % 2 * 32];
            if (step == 0) stream.Copy(shared);
            for (int i = 0; i < aParts.IntLength; i++)
            {
                UInt4 part = rounded ? aParts[i] : P.Operand(aParts[i]);
                for (int u = 0; u < 4; u++)
                {
                    int index = 8 * i + 2 * u;
                    sums[index] = P.MultiplyAdd(part, new UInt2(bParts[u].X, bParts[u].Y), sums[index]);
                    sums[index + 1] = P.MultiplyAdd(part, new UInt2(bParts[u].Z, bParts[u].W), sums[index + 1]);
                }
            }
        }
    }

    // 16 rows.
    private static void Gate<T, P, S>(StreamedCut<S> cut, ArrayView<UInt4> shared, int word, int i, ArrayView<Float4> sums)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        ArrayView<uint> words = shared.Cast<uint>();
        for (int f = 0; f < 4; f++)
        {
            Float4 filter = sums[8 * i + f], gate = sums[8 * i + 4 + f];
            int upper = word + f * cut.LanePieces * 4, lower = upper + 8 * cut.RowPitch * 4;
            P.StoreGated(words, upper, new Float2(P.Gate(filter.X, gate.X), P.Gate(filter.Y, gate.Y)));
            P.StoreGated(words, lower, new Float2(P.Gate(filter.Z, gate.Z), P.Gate(filter.W, gate.W)));
        }
    }

    // 16 rows of h as the gate is about to read them, but rounded and in the model's order of halves.
    private static void Keep<T, P, S>(StreamedCut<S> cut, Rows<T> h, SignalTile tile, int sumRow, int i, int piece, bool gateFirst, ArrayView<Float4> sums)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        ArrayView<UInt4> target = Pieces(h, tile.Item, 2 * cut.Channels), pieces = LocalMemory.Allocate<UInt4>(cut.LanePieces);
        ArrayView<Float2> values = LocalMemory.Allocate<Float2>(4);
        for (int row = 2 * i; row < 2 * i + 2; row++)
        {
            int time = tile.Time(sumRow + 8 * row);
            for (int half = 0; half < 2; half++)
            {
                RowOf(sums, row, 4 * half, 1, values);
                P.Arrange(values);
                P.Pack(values, pieces);
                int at = (2 * time + (gateFirst ? 1 - half : half)) * cut.RowPieces + piece;
                if (time < tile.End)
                    for (int p = 0; p < cut.LanePieces; p++) target[at + p * P.PieceStride] = pieces[p];
            }
        }
    }

    // y and the skips. The skips there are asked for first and arrive while y is made.
    private static void Finish<T, P, S>(StreamedCut<S> cut, Rows<T> y, Rows<T> skips, SignalTile tile, int sumRow, int piece, int layer, int layers, ArrayView<Float4> sums)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        int pairRows = sums.IntLength / 4;
        ArrayView<UInt4> before = LocalMemory.Allocate<UInt4>(pairRows * cut.LanePieces), pieces = LocalMemory.Allocate<UInt4>(cut.LanePieces), target = Pieces(skips, tile.Item, cut.Channels);
        ArrayView<Float2> values = LocalMemory.Allocate<Float2>(4), added = LocalMemory.Allocate<Float2>(4);
        if (layer > 0)
            for (int i = 0; i < pairRows; i++)
            {
                int time = tile.Time(sumRow + 8 * i);
                if (time >= tile.End) continue;
                for (int p = 0; p < cut.LanePieces; p++) before[i * cut.LanePieces + p] = target[time * cut.RowPieces + piece + p * P.PieceStride];
            }
        if (layer < layers - 1)
        {
            ArrayView<UInt4> output = Pieces(y, tile.Item, cut.Channels);
            for (int i = 0; i < pairRows; i++)
            {
                RowOf(sums, i, 0, RootHalf, values);
                P.Arrange(values);
                P.Pack(values, pieces);
                int time = tile.Time(sumRow + 8 * i);
                if (time >= tile.End) continue;
                for (int p = 0; p < cut.LanePieces; p++) output[time * cut.RowPieces + piece + p * P.PieceStride] = pieces[p];
            }
        }
        for (int i = 0; i < pairRows; i++)
        {
            RowOf(sums, i, 4, 1, values);
            P.Arrange(values);
            if (layer > 0)
            {
                P.Unpack(before, i * cut.LanePieces, added);
                for (int f = 0; f < 4; f++) values[f] = new Float2(added[f].X + values[f].X, added[f].Y + values[f].Y);
            }
            P.Pack(values, pieces);
            int time = tile.Time(sumRow + 8 * i);
            if (time >= tile.End) continue;
            for (int p = 0; p < cut.LanePieces; p++) target[time * cut.RowPieces + piece + p * P.PieceStride] = pieces[p];
        }
    }

    // A row's pairs of four tiles: row 8 i of the lane's.
    private static void RowOf(ArrayView<Float4> sums, int i, int firstTile, float factor, ArrayView<Float2> values)
    {
        for (int f = 0; f < 4; f++)
        {
            Float4 sum = sums[i / 2 * 8 + firstTile + f];
            values[f] = i % 2 == 0 ? new Float2(sum.X * factor, sum.Y * factor) : new Float2(sum.Z * factor, sum.W * factor);
        }
    }

    // Row i of eight in a fragment. A lane reads 16 bytes of x for the residual, the four lanes of a row 64: with four rows between two rows of lanes those of eight lanes lie in different banks. Float's
    // lanes read every second 16 bytes, and rows beside each other fill the gaps.
    private static int FragmentRow<T>(int i) where T : unmanaged => Interop.SizeOf<T>() == 2 ? i / 2 + i % 2 * 4 : i;

    /// <summary>Dynamic shared memory of <see cref="StreamedV3"/> in bytes.</summary>
    /// <typeparam name="S">The cut.</typeparam>
    /// <param name="channels">C.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="neighbours">q.</param>
    /// <param name="elementBytes">Bytes of a stored value: 2 or 4.</param>
    public static int StreamedBytes<S>(int channels, int bands, int neighbours, int elementBytes) where S : struct, IStreamedTile
    {
        var cut = new StreamedCut<S>(channels, bands, elementBytes);
        return 16 * (cut.MelAt + cut.MelChunks + (S.Rows + 2 * neighbours) * cut.RowPitch);
    }
}
