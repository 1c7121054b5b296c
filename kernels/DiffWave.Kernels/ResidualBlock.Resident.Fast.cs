namespace DiffWave.Kernels;

public static partial class ResidualBlock
{
    /// <summary>R of the resident version: rows of a tile.</summary>
    public const int ResidentRows = 128;

    /// <summary>Threads of a block of the resident version.</summary>
    public const int ResidentThreads = Teams * TeamThreads;

    // A block is two teams of four warps, each with tiles of its own: while one team feeds the tensor cores, the other gates and stores. A warp computes 32 rows of a tile with all their 2C columns, so that
    // filter and gate of a channel meet in one lane, and z goes from the sums of GEMM 1 to the operands of GEMM 2 without leaving the lane's registers.
    private const int Teams = 2, TeamThreads = 128, WarpRows = 32, BothTeams = 1 + Teams; // barriers: one a team, one for both
    private const int Chunk = 8; // values of 16 bytes: what a copy moves, a lane addresses for ldmatrix, and owns of 32 channels of a row
    private const int Quad = 4;  // lanes that share a row
    private const float RootHalf = 0.707106781f;

    /// <summary>
    /// Version 2, the resident one: the layer's weights stay in shared memory for the whole launch, tiles are <see cref="ResidentRows"/> rows by <see cref="TimeTile"/>. Blocks: any number along x, best as many as
    /// multiprocessors but no more than tiles; dynamic shared memory: <see cref="ResidentSharedBytes"/>. Every number of blocks gives the same bits. Addresses of all views are multiples of 16.
    /// tanh and sigmoid are tanh.approx.f32: an absolute error of z up to 2^-11 + 2^-12, before it is rounded as an operand.
    /// </summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <param name="x">[B, rows, C].</param>
    /// <param name="mel">[B, rows, M], upsampled; not read without bands.</param>
    /// <param name="weights">[L, <see cref="BlockWeights.Size"/>], of all layers, by <see cref="BlockWeights"/>.</param>
    /// <param name="bias">[B, L, 2C].</param>
    /// <param name="edges">[B, L, 2, 2C].</param>
    /// <param name="outputBias">[B, L, 2C].</param>
    /// <param name="y">Receives [B, rows, C], another buffer than x; not touched for the last layer.</param>
    /// <param name="skips">[B, rows, C], added to; for layer 0 set.</param>
    /// <param name="h">Receives [B, rows, 2C], what the gate reads, in the model's order of halves, for the backward pass; not touched without <paramref name="keep"/>.</param>
    /// <param name="parts">With <paramref name="packed"/> the table of <see cref="PackedSignals"/>; else not read.</param>
    /// <param name="tiles">B times <see cref="TimeTile.Count"/>, or the sum over the parts.</param>
    /// <param name="rows">Rows to compute, of an item or of all parts together; those that an item holds, times C or M, below 2^31.</param>
    /// <param name="before">Rows of x that exist before its first one.</param>
    /// <param name="after">Rows of x that exist behind the last of the <paramref name="rows"/>.</param>
    /// <param name="dilation">d.</param>
    /// <param name="neighbours">q, by <see cref="TimeTile.Neighbours"/> or less, so that shared memory holds the tiles.</param>
    /// <param name="layer">The layer, 0 to L - 1.</param>
    /// <param name="layers">L.</param>
    /// <param name="channels">C: 32 or 64.</param>
    /// <param name="bands">M, a multiple of 8; 0 without a mel.</param>
    /// <param name="gateFirst">Whether the first half of h, and so of bias and edges, is the gate.</param>
    /// <param name="keep">Whether h is kept. y and the skips have the same bits.</param>
    /// <param name="packed">Whether the rows are parts of packed signals, whose biases are items of theirs. Every signal has the bits that it has alone.</param>
    /// <param name="early">
    /// Whether it may be launched early, on sm_90 and later: everything but the weights and the table of packed signals, which the kernel right before it must not have written, is touched after the kernels before it are complete.
    /// </param>
    [Kernel("residual_block_resident_v2", BlockX = ResidentThreads, MinimumSm = 80)]
    public static void ResidentV2<T, P>(Rows<T> x, Rows<T> mel, ArrayView<T> weights, ArrayView<float> bias, ArrayView<float> edges, ArrayView<float> outputBias, Rows<T> y, Rows<T> skips, Rows<T> h,
        ArrayView<int> parts, int tiles, int rows, int before, int after, int dilation, int neighbours, int layer, int layers, [Const] int channels, [Const] int bands, [Const] bool gateFirst, [Const] bool keep,
        [Const] bool packed, [Const] bool early)
        where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<T> shared = SharedMemory.GetDynamic<T>();
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(channels / 2); // [2 tiles of 16 rows][2C / 8 tiles of columns]
        ArrayView<UInt4> z = LocalMemory.Allocate<UInt4>(channels / 8);      // [2 tiles of 16 rows][C / 16 steps of k]
        int team = Group.IdxX / TeamThreads, member = Group.IdxX % TeamThreads, lane = member % 32, warpRow = member / 32 * WarpRows;
        int weightValues = BlockWeights.Size(channels, bands), tileValues = (ResidentRows + 2 * neighbours) * channels, melWidth = MelWidth(bands), steps = channels / 16, melSteps = melWidth / 16;
        int read = weightValues + team * 2 * tileValues, write = read + tileValues, melAt = weightValues + Teams * 2 * tileValues + (team * ResidentRows + warpRow) * melWidth;

        // Lane 4 i + j holds the sums of rows i and i + 8 of a tile, each with 8 consecutive channels of 32. As a lane of ldmatrix it addresses 16 bytes of a row.
        int row = warpRow + TileRow(lane / Quad, channels), eight = lane % Quad;
        int partRow = TileRow(lane % 8, channels) + lane / 8 % 2 * 8, part = lane / 16, melRead = melAt + Place(partRow, part, melWidth);

        for (int i = Group.IdxX * Chunk; i < weightValues; i += ResidentThreads * Chunk) Ptx.CpAsync16(ref shared[i], ref weights[(long)layer * weightValues + i]);
        int index = team * Grid.DimX + Grid.IdxX;
        var walk = new SignalTiles(parts, tiles, rows, before, after, dilation, neighbours, ResidentRows, packed);
        SignalTile tile = walk.At(index);
        if (early) EarlyLaunch.AwaitOthers();
        CopyRows(x, shared, read, tile, neighbours, index < tiles ? tile.Until : tile.Begin, channels);
        for (int pass = 0; pass < Loop.Rolled(melWidth / Chunk); pass++) CopyMel(mel, shared, melAt, tile, pass, warpRow, index < tiles ? tile.End : 0, bands);
        Ptx.CpAsyncWaitAll();
        Group.Barrier(); // the weights are there

        // Teams that begin together would gate together. The second one begins when the first is through its first GEMM 1, and half a tile they stay apart.
        bool both = Grid.DimX + Grid.IdxX < tiles, leads = both && team == 0;
        if (both && team == 1) Group.NamedBarrier(BothTeams, ResidentThreads);
        while (index < tiles)
        {
            index += Teams * Grid.DimX;
            SignalTile next = walk.At(index);
            int nextUntil = index < tiles ? next.Until : next.Begin, nextEnd = index < tiles ? next.End : 0; // behind the last tile nothing is there to be copied
            int low = tile.Begin + dilation, high = tile.Until - dilation; // rows whose tap 0 and tap 2 exist
            long itemLayer = (long)tile.Signal * layers + layer;
            Begin(sums, Fours.Of(bias.SubView(itemLayer * 2 * channels)), eight, channels, gateFirst);
            Ptx.CpAsyncWaitAll();
            Group.NamedBarrier(1 + team, TeamThreads); // the tile is there, and the team is done with the one before
            CopyRows(x, shared, write, next, neighbours, nextUntil, channels);
            if (tile.Time(warpRow) < low || tile.Time(warpRow + WarpRows - 1) >= high)
                TakeEdges(sums, Fours.Of(edges.SubView(itemLayer * 4 * channels)), tile, row, eight, low, high, channels, gateFirst);

            // GEMM 1, and between its steps the copies of the next tile. The mel comes first: its rows are the warp's own, so that the next ones can take their place at once.
            for (int step = 0; step < melSteps; step++) MultiplyStep<T, P>(shared, Later(melRead, step, melWidth), melWidth, Taps * steps + step, lane, sums, channels);
            if (bands > 0) Warp.Barrier();
            for (int step = 0; step < Taps * steps; step++)
            {
                int tapRead = read + Place(warpRow + partRow + step / steps * neighbours, part, channels);
                MultiplyStep<T, P>(shared, Later(tapRead, step % steps, channels), channels, step, lane, sums, channels);
                for (int pass = 0; pass < melWidth / Chunk && step == 0; pass++) CopyMel(mel, shared, melAt, next, pass, warpRow, nextEnd, bands);
            }
            if (leads) Group.NamedArrive(BothTeams, ResidentThreads);
            leads = false;

            // The lane's rows in the buffers, in units of its eight channels; negative where there are none. The skips arrive while the lane gates.
            ArrayView<int> at = LocalMemory.Allocate<int>(4);
            for (int i = 0; i < 4; i++) at[i] = tile.Time(row + 8 * i) < tile.End ? tile.Time(row + 8 * i) * (channels / Chunk) + eight : -1;
            if (keep) Keep<T, P>(Pieces(h, tile.Item, 2 * channels), at, sums, eight, channels, gateFirst);
            ArrayView<UInt4> all = Pieces(skips, tile.Item, channels), skipped = LocalMemory.Allocate<UInt4>(channels / 8);
            for (int i = 0; i < channels / 8; i++)
            {
                UInt4 values = new(0, 0, 0, 0);
                if (layer > 0 & at[i % 4] >= 0) values = all[at[i % 4] + i / 4 * Quad];
                skipped[i] = values;
            }
            ArrayView<Float4> start = Fours.Of(outputBias.SubView(itemLayer * 2 * channels)), starts = LocalMemory.Allocate<Float4>(channels / 8);
            for (int i = 0; i < channels / 8; i++) starts[i] = start[Four(i, eight, channels, false)];
            Gate<T, P>(sums, z, channels);

            if (layer < layers - 1)
            {
                Project<T, P>(shared, z, sums, starts, 0, Taps * steps + melSteps, lane, channels);
                ArrayView<UInt4> ys = Pieces(y, tile.Item, channels), xs = shared.AsAligned16().Cast<UInt4>();
                int own = read + Place(row + neighbours, eight, channels);
                for (int i = 0; i < channels / 8; i++)
                {
                    UInt4 sum = Added<T, P>(xs[Later(own, i / 4 * 2, channels) / Chunk + i % 4 * channels], sums, i % 4, i / 4, channels, true);
                    if (at[i % 4] >= 0) ys[at[i % 4] + i / 4 * Quad] = sum;
                }
            }
            Project<T, P>(shared, z, sums, starts, 1, Taps * steps + melSteps, lane, channels);
            for (int i = 0; i < channels / 8; i++)
            {
                UInt4 sum = Added<T, P>(skipped[i], sums, i % 4, i / 4, channels, false);
                if (at[i % 4] >= 0) all[at[i % 4] + i / 4 * Quad] = sum;
            }
            tile = next;
            (read, write) = (write, read);
        }
    }

    /// <summary>Dynamic shared memory of the resident version in bytes: the weights, two tiles of x and one of the mel a team.</summary>
    /// <param name="channels">C.</param>
    /// <param name="bands">M; 0 without a mel.</param>
    /// <param name="neighbours">q.</param>
    public static int ResidentSharedBytes(int channels, int bands, int neighbours) =>
        2 * (BlockWeights.Size(channels, bands) + Teams * (2 * (ResidentRows + 2 * neighbours) * channels + ResidentRows * MelWidth(bands)));

    private static int MelWidth(int bands) => (bands + 15) / 16 * 16;

    // Which row of eight is row i of a fragment. A quarter of a warp reads two rows of x to add them to the residual: they must lie in different halves of the banks.
    private static int TileRow(int i, int channels) => channels >= 64 ? i / 2 + i % 2 * 4 : i;

    // Where 16 bytes of a row lie in a tile of rows as long: eight consecutive rows, which ldmatrix reads at once, in the eight different parts of the 128 bytes of banks.
    private static int Place(int row, int chunk, int width) => row * width + (chunk ^ (int)((uint)row / (uint)(8 / Turns(width)) % (uint)Turns(width))) * Chunk;

    // From the place of the first chunk or its neighbour to that of one 2 step further.
    private static int Later(int place, int step, int width) => (place ^ 2 * step % Turns(width) * Chunk) + 2 * step / Turns(width) * Turns(width) * Chunk;

    // Chunks that change places: the largest power of two, up to 8, that divides those of a row.
    private static int Turns(int width) => width / Chunk % 8 == 0 ? 8 : width / Chunk % 4 == 0 ? 4 : width / Chunk % 2 == 0 ? 2 : 1;

    // An item's rows from the first on, 16 bytes an element.
    private static ArrayView<UInt4> Pieces<T>(Rows<T> rows, int item, int channels) where T : unmanaged =>
        rows.Values.SubView(((long)item * rows.ItemRows + rows.First) * channels).AsAligned16().Cast<UInt4>();

    // The rows of x a tile reads; those that do not exist become zero.
    private static void CopyRows<T>(Rows<T> x, ArrayView<T> shared, int to, SignalTile tile, int neighbours, int until, int channels) where T : unmanaged
    {
        ArrayView<T> values = x.Values.SubView((long)tile.Item * x.ItemRows * channels);
        int chunks = channels / Chunk, member = Group.IdxX % TeamThreads, chunk = member % chunks;
        to += Place(member / chunks, chunk, channels);
        for (int row = member / chunks - neighbours; row < ResidentRows + neighbours; row += TeamThreads / chunks, to += TeamThreads * Chunk)
        {
            int time = tile.Time(row);
            Ptx.CpAsync16(ref shared[to], ref values[(x.First + time) * channels + chunk * Chunk], (uint)(time - tile.Begin) < (uint)(until - tile.Begin) ? 16 : 0);
        }
    }

    // A pass over the rows of the mel of this warp, of M' / 8: 512 bytes one after the other.
    private static void CopyMel<T>(Rows<T> mel, ArrayView<T> shared, int to, SignalTile tile, int pass, int warpRow, int end, int bands) where T : unmanaged
    {
        int width = MelWidth(bands), chunks = width / Chunk;
        uint index = (uint)(Group.IdxX % 32 + 32 * pass);
        int row = (int)(index / (uint)chunks), chunk = (int)(index % (uint)chunks), time = tile.Time(warpRow + row);
        ArrayView<T> values = mel.Values.SubView((long)tile.Item * mel.ItemRows * bands);
        Ptx.CpAsync16(ref shared[to + Place(row, chunk, width)], ref values[(mel.First + time) * bands + chunk * Chunk], time < end & chunk * Chunk < bands ? 16 : 0);
    }

    // Every row begins with the bias. In the order of fragments the filter comes first, whatever the model's order.
    private static void Begin(ArrayView<Float4> sums, ArrayView<Float4> bias, int eight, int channels, bool gateFirst)
    {
        for (int i = 0; i < channels / 8; i++)
        {
            Float4 four = bias[Four(i, eight, channels, gateFirst)];
            for (int rows = 0; rows < 2; rows++)
            {
                sums[rows * (channels / 4) + 2 * i] = new Float4(four.X, four.Y, four.X, four.Y);
                sums[rows * (channels / 4) + 2 * i + 1] = new Float4(four.Z, four.W, four.Z, four.W);
            }
        }
    }

    // Rows whose tap 0 or 2 does not exist have its part of the bias taken off.
    private static void TakeEdges(ArrayView<Float4> sums, ArrayView<Float4> edges, SignalTile tile, int row, int eight, int low, int high, int channels, bool gateFirst)
    {
        for (int edge = 0; edge < 2; edge++)
            for (int i = 0; i < channels / 8; i++)
            {
                Float4 four = edges[edge * (channels / 2) + Four(i, eight, channels, gateFirst)];
                for (int rows = 0; rows < 2; rows++)
                {
                    int upper = tile.Time(row + 16 * rows), lower = tile.Time(row + 16 * rows + 8);
                    float takeUpper = (edge == 0 ? upper < low : upper >= high) ? 1 : 0, takeLower = (edge == 0 ? lower < low : lower >= high) ? 1 : 0;
                    Take(ref sums[rows * (channels / 4) + 2 * i], four.X, four.Y, takeUpper, takeLower);
                    Take(ref sums[rows * (channels / 4) + 2 * i + 1], four.Z, four.W, takeUpper, takeLower);
                }
            }
    }

    private static void Take(ref Float4 sum, float even, float odd, float upper, float lower)
    {
        sum.X -= upper * even;
        sum.Y -= upper * odd;
        sum.Z -= lower * even;
        sum.W -= lower * odd;
    }

    // Which four of 2C floats, in the model's order, belong to tiles 2 i and 2 i + 1 of the columns.
    private static int Four(int i, int eight, int channels, bool swapped)
    {
        int half = i / (channels / 16), within = i % (channels / 16);
        return (swapped ? 1 - half : half) * (channels / 4) + within / 2 * 8 + 2 * eight + within % 2;
    }

    // One step of k of GEMM 1: 32 rows by 16 by 2C columns.
    private static void MultiplyStep<T, P>(ArrayView<T> shared, int place, int width, int step, int lane, ArrayView<Float4> sums, int channels) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<UInt4> fragments = shared.AsAligned16().Cast<UInt4>();
        UInt4 upper = Ptx.LdMatrixX4(ref shared[place]), lower = Ptx.LdMatrixX4(ref shared[place + 16 * width]);
        for (int i = 0; i < channels / 8; i++)
            MultiplyPair<T, P>(fragments[(step * (channels / 8) + i) * 32 + lane], upper, lower, sums, 2 * i, channels / 4);
    }

    // Two tiles of columns for both tiles of rows.
    private static void MultiplyPair<T, P>(UInt4 pair, UInt4 upper, UInt4 lower, ArrayView<Float4> sums, int index, int tiles) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        UInt2 even = new(pair.X, pair.Y), odd = new(pair.Z, pair.W);
        sums[index] = P.MultiplyAdd(upper, even, sums[index]);
        sums[index + 1] = P.MultiplyAdd(upper, odd, sums[index + 1]);
        sums[tiles + index] = P.MultiplyAdd(lower, even, sums[tiles + index]);
        sums[tiles + index + 1] = P.MultiplyAdd(lower, odd, sums[tiles + index + 1]);
    }

    // h as the gate is about to read it, but rounded and in the model's order of halves.
    private static void Keep<T, P>(ArrayView<UInt4> to, ArrayView<int> at, ArrayView<Float4> sums, int eight, int channels, bool gateFirst) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int halfGroups = channels / 32;
        for (int i = 0; i < channels / 4; i++)
        {
            int row = i % 4, group = i / 4, first = row / 2 * (channels / 4) + 4 * group, modelGroup = gateFirst ? (group + halfGroups) % (2 * halfGroups) : group;
            UInt4 values = new(RowPair<T, P>(sums[first], row), RowPair<T, P>(sums[first + 1], row), RowPair<T, P>(sums[first + 2], row), RowPair<T, P>(sums[first + 3], row));
            if (at[row] >= 0) to[2 * at[row] - eight + modelGroup * Quad] = values;
        }
    }

    private static uint RowPair<T, P>(Float4 sum, int row) where T : unmanaged where P : struct, IMatrixPair<T> => row % 2 == 0 ? P.Pack(sum.X, sum.Y) : P.Pack(sum.Z, sum.W);

    // z as GEMM 2 wants its operand: the sums of two tiles of columns are 16 of k.
    private static void Gate<T, P>(ArrayView<Float4> sums, ArrayView<UInt4> z, int channels) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        for (int i = 0; i < channels / 8; i++)
        {
            int at = i / (channels / 16) * (channels / 4) + i % (channels / 16) * 2;
            Float4 filter0 = sums[at], filter1 = sums[at + 1], gate0 = sums[at + channels / 8], gate1 = sums[at + channels / 8 + 1];
            z[i] = new UInt4(GatedPair<T, P>(filter0.X, filter0.Y, gate0.X, gate0.Y), GatedPair<T, P>(filter0.Z, filter0.W, gate0.Z, gate0.W),
                GatedPair<T, P>(filter1.X, filter1.Y, gate1.X, gate1.Y), GatedPair<T, P>(filter1.Z, filter1.W, gate1.Z, gate1.W));
        }
    }

    private static uint GatedPair<T, P>(float filter0, float filter1, float gate0, float gate1) where T : unmanaged where P : struct, IMatrixPair<T> =>
        P.Pack(GatedActivation.Approximate(filter0, gate0), GatedActivation.Approximate(filter1, gate1));

    // A half of GEMM 2: 32 rows by C columns, those of the residual or of the skip.
    private static void Project<T, P>(ArrayView<T> shared, ArrayView<UInt4> z, ArrayView<Float4> sums, ArrayView<Float4> starts, int half, int stepsBefore, int lane, int channels)
        where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<UInt4> fragments = shared.AsAligned16().Cast<UInt4>();
        for (int i = 0; i < channels / 16; i++)
        {
            Float4 four = starts[half * (channels / 16) + i];
            for (int rows = 0; rows < 2; rows++)
            {
                sums[rows * (channels / 8) + 2 * i] = new Float4(four.X, four.Y, four.X, four.Y);
                sums[rows * (channels / 8) + 2 * i + 1] = new Float4(four.Z, four.W, four.Z, four.W);
            }
        }
        for (int step = 0; step < channels / 16; step++)
            for (int i = 0; i < channels / 16; i++)
                MultiplyPair<T, P>(fragments[((stepsBefore + step) * (channels / 8) + half * (channels / 16) + i) * 32 + lane], z[step], z[channels / 16 + step], sums, 2 * i, channels / 8);
    }

    // Eight channels of the lane's row i, 0 to 3: what is given and the sums of four tiles of columns; the residual path divides by sqrt(2).
    private static UInt4 Added<T, P>(UInt4 values, ArrayView<Float4> sums, int i, int group, int channels, bool residual) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int at = i / 2 * (channels / 8) + 4 * group;
        return new UInt4(AddedPair<T, P>(values.X, sums[at], i, residual), AddedPair<T, P>(values.Y, sums[at + 1], i, residual),
            AddedPair<T, P>(values.Z, sums[at + 2], i, residual), AddedPair<T, P>(values.W, sums[at + 3], i, residual));
    }

    private static uint AddedPair<T, P>(uint pair, Float4 sum, int i, bool residual) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        Float2 values = P.Unpack(pair);
        float x = values.X + (i % 2 == 0 ? sum.X : sum.Z), y = values.Y + (i % 2 == 0 ? sum.Y : sum.W);
        return residual ? P.Pack(x * RootHalf, y * RootHalf) : P.Pack(x, y);
    }
}
