namespace DiffWave.Kernels;

public static partial class ResidualBlockBackward
{
    /// <summary>Threads of a block of version 3.</summary>
    public const int ThreadsV3 = 256;

    // Eight warps: each computes 32 columns of some rows of a tile, and 16 rows of the halo. The lanes have rows and channels as in version 2.
    private const int WarpsV3 = ThreadsV3 / 32, HaloRows = 16, StagesV3 = 4, SliceChunks = 1024; // of 16 bytes

    /// <summary>R for a launch of version 3: 16384 / C, or half of it on devices whose blocks have less shared memory than that takes.</summary>
    /// <param name="channels">C: 128 or 256.</param>
    /// <param name="sharedBytes">What a block may have.</param>
    /// <exception cref="ArgumentOutOfRangeException">Neither fits.</exception>
    public static int TileRowsV3(int channels, int sharedBytes)
    {
        for (int warpRows = 64; warpRows >= 32; warpRows /= 2)
            if (SharedBytesV3(channels, warpRows * RowWarps(channels)) <= sharedBytes) return warpRows * RowWarps(channels);
        throw new ArgumentOutOfRangeException(nameof(sharedBytes), sharedBytes, $"{channels} channels need {SharedBytesV3(channels, 32 * RowWarps(channels))} bytes of shared memory a block");
    }

    /// <summary>q for a launch of version 3: that of <see cref="TimeTile.Neighbours"/>, at most what the halo of a tile holds.</summary>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="dilation">d.</param>
    /// <param name="channels">C: 128 or 256.</param>
    /// <param name="tileRows">R, from <see cref="TileRowsV3"/>.</param>
    public static int NeighboursV3(int rows, int dilation, int channels, int tileRows) => Math.Min(HaloRows / 2 * RowWarps(channels), TimeTile.Neighbours(rows, dilation, tileRows));

    /// <summary>Dynamic shared memory of version 3 in bytes: the ring of weights, what a tile and its halo multiply, what they kept and dh in its place, and the sums for the step.</summary>
    /// <param name="channels">C: 128 or 256.</param>
    /// <param name="tileRows">R, from <see cref="TileRowsV3"/>.</param>
    public static int SharedBytesV3(int channels, int tileRows) =>
        16 * (StagesV3 * SliceChunks + 2 * HeldRows(channels, tileRows) * (channels / 4)) + sizeof(float) * RowWarps(channels) * channels;

    /// <summary>
    /// Version 3. Blocks of <see cref="ThreadsV3"/> threads: any number along x, best the multiprocessors but no more than tiles; dynamic shared memory: <see cref="SharedBytesV3"/>. Every number of
    /// blocks gives the same bits. Addresses of all views are multiples of 16. Nothing that is written may be what is read: neighbouring tiles read the same rows.
    /// </summary>
    /// <remarks>
    /// Shared memory holds two halves of as many bytes, a row of each 2 C values: dy and dskip of a tile with its halo, and h, which arrives while those are multiplied and in whose place dh is stored. While
    /// dh is multiplied dy and dskip of the next tile arrive. The weights are multiplied in the order in which they lie in memory: a ring of slices that all warps read.
    /// </remarks>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <param name="dY">Gradient of y, [B, rows, C]; not read without <paramref name="hasY"/>.</param>
    /// <param name="dSkips">Gradient of the skips, [B, rows, C].</param>
    /// <param name="h">What forward kept, [B, rows, 2C].</param>
    /// <param name="weights">The layer's, from <see cref="BlockWeightsBackward"/>.</param>
    /// <param name="dH">Receives the gradient of h, [B, rows, 2C].</param>
    /// <param name="z">Receives the gated activation, [B, rows, C].</param>
    /// <param name="dX">Receives the gradient of x, [B, rows, C].</param>
    /// <param name="stepPartial">Receives [B, tiles of an item, C].</param>
    /// <param name="tiles">B times <see cref="TimeTile.Count"/>.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">d.</param>
    /// <param name="neighbours">q, from <see cref="NeighboursV3"/>.</param>
    /// <param name="channels">C: 128 or 256.</param>
    /// <param name="tileRows">R, from <see cref="TileRowsV3"/>.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    [Kernel("residual_block_backward_v3", BlockX = ThreadsV3, MinimumSm = 80)]
    public static void BackwardV3<T, P>(Rows<T> dY, Rows<T> dSkips, Rows<T> h, ArrayView<T> weights, Rows<T> dH, Rows<T> z, Rows<T> dX, ArrayView<float> stepPartial,
        int tiles, int rows, int dilation, int neighbours, [Const] int channels, [Const] int tileRows, [Const] bool hasY, [Const] bool gateFirst, [Const] bool stepInResidual)
        where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<UInt4> shared = SharedMemory.GetDynamic<UInt4>();
        int width = channels / Eight, rowWarps = RowWarps(channels), across = WarpsV3 / rowWarps, warpRows = tileRows / rowWarps, parts = warpRows / 16, steps = channels / 16, held = HeldRows(channels, tileRows);
        int given = StagesV3 * SliceChunks, gradients = given + held * 2 * width, inSlice = SliceChunks / (32 * steps); // where dy and dskip lie, where h and dh; steps of a slice
        ArrayView<float> stepSums = shared.SubView(gradients + held * 2 * width).Cast<float>();
        int thread = Group.IdxX, lane = thread % 32, eight = lane % 4, across4 = thread / 32 % across * 4, rowWarp = thread / 32 / across, row = rowWarp * warpRows + lane / 4;
        int filter = gateFirst ? width : 0, gate = width - filter, fragment = across4 / 2 * 32 + lane;

        // Of each 16 rows, those of the halo last, where the lane's 16 bytes lie in both its rows, those of its columns a constant exclusive-ored.
        ArrayView<int> places = LocalMemory.Allocate<int>(2 * (parts + 1));
        for (int r = 0; r < 2 * parts; r++) places[r] = Place(row + neighbours, eight, width) + r * 16 * width;
        for (int r = 0; r < 2; r++)
        {
            int at = rowWarp * HaloRows + lane / 4 + 8 * r;
            places[2 * parts + r] = Place(at < neighbours ? at : tileRows + at, eight, width);
        }

        int index = Grid.IdxX, firstStep = hasY ? 0 : steps;
        if (index >= tiles) return;
        var tile = new TimeTile(index, rows, dilation, neighbours, tileRows);
        var ring = new Ring(weights.AsAligned16().Cast<UInt4>(), firstStep * 32 * steps, 8 * steps * 32 * steps, (tiles - index + Grid.DimX - 1) / Grid.DimX);
        CopyGiven(dY, dSkips, shared, given, tile, neighbours, rows, tileRows, channels, hasY);
        ring.Begin(shared);
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>((parts + 1) * 4); // [16 rows][4 tiles of columns]
        while (index < tiles)
        {
            for (int i = 0; i < sums.IntLength; i++) sums[i] = default;
            for (int step = firstStep; step < Loop.Rolled(2 * steps); step += inSlice)
            {
                ring.Await();
                if (step == firstStep) // everybody is done with dh
                    for (int half = 0; half < 2 * width; half += width)
                        CopyRows(Of(h, tile.Item, 2 * channels), half, 2 * width, shared, gradients, half, width, tile, neighbours, rows, tileRows);
                ring.Copy(shared);
                ProjectBack<T, P>(shared, places, given, 2 * step, ring.Slice + fragment, inSlice, 32 * steps, sums);
            }
            ArrayView<UInt4> dYs = LocalMemory.Allocate<UInt4>(2 * parts);
            if (hasY)
                for (int r = 0; r < 2 * parts; r++) dYs[r] = shared[given + (places[r] ^ across4)];
            Ptx.CpAsyncWaitGroup(Math.Min(StagesV3 - 2, (2 * steps - firstStep) / inSlice - 1));
            Group.Barrier(); // h is there
            ArrayView<UInt4> dHs = Of(dH, tile.Item, 2 * channels), zs = Of(z, tile.Item, channels), dXs = Of(dX, tile.Item, channels);
            for (int r = 0; r < places.IntLength; r++)
            {
                if (r % 2 == 0) Warp.Barrier(); // as in version 2
                ref UInt4 filters = ref shared[gradients + (places[r] ^ across4 + filter)], gates = ref shared[gradients + (places[r] ^ across4 + gate)];
                UInt4 dFilters = filters, dGates = gates, gated = Differentiate<T, P>(ref dFilters, ref dGates, sums, r / 2 * 4, r % 2);
                filters = dFilters;
                gates = dGates;
                int time = tile.Time(row + 8 * r);
                if (r >= 2 * parts || time >= rows) continue;
                dHs[time * 2 * width + across4 + filter + eight] = dFilters;
                dHs[time * 2 * width + across4 + gate + eight] = dGates;
                zs[time * width + across4 + eight] = gated;
            }

            TimeTile current = tile;
            int currentIndex = index;
            index += Grid.DimX;
            tile = new TimeTile(Math.Min(index, tiles - 1), rows, dilation, neighbours, tileRows);
            for (int i = 0; i < parts * 4; i++) sums[i] = default;
            for (int tap = 0; tap < Loop.Rolled(Taps); tap++)
            {
                int at = gradients + Place(rowWarp * warpRows + lane % 16 + (2 - tap) * neighbours, lane / 16, width);
                for (int step = 0; step < Loop.Rolled(2 * steps); step += inSlice)
                {
                    ring.Await(); // the first time dh of the whole tile is there
                    if (tap == 0 && step == 0 && index < tiles) CopyGiven(dY, dSkips, shared, given, tile, neighbours, rows, tileRows, channels, hasY);
                    ring.Copy(shared);
                    Convolve<T, P>(shared, at ^ 2 * step, 32 * width, ring.Slice + fragment, inSlice, 32 * steps, sums);
                }
            }

            ArrayView<float> step8 = LocalMemory.Allocate<float>(Eight);
            for (int i = 0; i < Eight; i++) step8[i] = 0;
            for (int r = 0; r < 2 * parts; r++)
            {
                int time = current.Time(row + 8 * r);
                UInt4 result = Finish<T, P>(dYs[r], sums, r / 2 * 4, r % 2, step8, 0, time < rows, hasY, stepInResidual);
                if (time < rows) dXs[time * width + across4 + eight] = result;
            }
            EightLanes.Sum(step8, lane);
            stepSums[rowWarp * channels + (across4 + eight) * Eight + lane / 4] = step8[0];
            Group.Barrier(); // the sums of all warps are there
            if (thread < channels)
            {
                float sum = stepSums[thread];
                for (int other = 1; other < rowWarps; other++) sum += stepSums[other * channels + thread];
                stepPartial[(long)currentIndex * channels + thread] = sum;
            }
        }
    }

    // Warps with the same columns.
    private static int RowWarps(int channels) => WarpsV3 * 32 / channels;

    // Rows of a tile and its halo, and rows that are not used where there are fewer neighbours.
    private static int HeldRows(int channels, int tileRows) => tileRows + HaloRows * RowWarps(channels);

    // dy and dskip side by side.
    private static void CopyGiven<T>(Rows<T> dY, Rows<T> dSkips, ArrayView<UInt4> shared, int to, TimeTile tile, int neighbours, int rows, int tileRows, int channels, bool hasY) where T : unmanaged
    {
        int width = channels / Eight;
        if (hasY) CopyRows(Of(dY, tile.Item, channels), 0, width, shared, to, 0, width, tile, neighbours, rows, tileRows);
        CopyRows(Of(dSkips, tile.Item, channels), 0, width, shared, to, width, width, tile, neighbours, rows, tileRows);
    }

    // C channels of the rows of a tile and its halo, zeros where there are none. The rows a thread copies are a multiple of q apart and of the eight that Place tells apart: everything grows by the same from one to the next.
    private static void CopyRows(ArrayView<UInt4> source, int first, int pitch, ArrayView<UInt4> shared, int to, int firstTo, int width, TimeTile tile, int neighbours, int rows, int tileRows)
    {
        int chunk = Group.IdxX % width, row = Group.IdxX / width, next = ThreadsV3 / width, time = tile.Time(row - neighbours), later = tile.Time(row + next) - tile.Time(row);
        to += Place(row, firstTo + chunk, width);
        for (int i = 0; i < Loop.Rolled(HeldRows(Eight * width, tileRows) / next); i++)
        {
            bool exists = row < tileRows + 2 * neighbours & (uint)time < (uint)rows;
            Ptx.CpAsync16(ref shared[to], ref source[(exists ? time : 0) * pitch + first + chunk], exists ? 16 : 0);
            row += next;
            time += later;
            to += next * 2 * width;
        }
    }

    // A slice of O: the warp's rows and those of its halo times its 32 columns. A lane's 16 bytes are its part of two steps.
    private static void ProjectBack<T, P>(ArrayView<UInt4> shared, ArrayView<int> places, int given, int chunk, int fragment, int steps, int stepChunks, ArrayView<Float4> sums)
        where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int parts = places.IntLength / 2;
        ArrayView<UInt4> source = LocalMemory.Allocate<UInt4>(2 * parts);
        for (int step = 0; step < steps; step++)
        {
            if (step % 2 == 0)
                for (int r = 0; r < 2 * parts; r++) source[r] = shared[given + (places[r] ^ chunk + 2 * step)];
            UInt4 even = shared[fragment + step * stepChunks], odd = shared[fragment + step * stepChunks + 32];
            for (int m = 0; m < parts; m++) MultiplyFour<T, P>(Operand(source[2 * m], source[2 * m + 1], step % 2), even, odd, sums, 4 * m);
        }
    }

    // A slice of a tap: the warp's rows times its 32 columns.
    private static void Convolve<T, P>(ArrayView<UInt4> shared, int at, int partChunks, int fragment, int steps, int stepChunks, ArrayView<Float4> sums) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int parts = sums.IntLength / 4 - 1;
        ArrayView<UInt4> source = LocalMemory.Allocate<UInt4>(parts);
        for (int step = 0; step < steps; step++)
        {
            for (int m = 0; m < parts; m++) source[m] = Ptx.LdMatrixX4(ref shared[(at ^ 2 * step) + m * partChunks]);
            UInt4 even = shared[fragment + step * stepChunks], odd = shared[fragment + step * stepChunks + 32];
            for (int m = 0; m < parts; m++) MultiplyFour<T, P>(source[m], even, odd, sums, 4 * m);
        }
    }

    // 16 rows times four tiles of columns.
    private static void MultiplyFour<T, P>(UInt4 source, UInt4 even, UInt4 odd, ArrayView<Float4> sums, int index) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        sums[index] = P.MultiplyAdd(source, new UInt2(even.X, even.Y), sums[index]);
        sums[index + 1] = P.MultiplyAdd(source, new UInt2(even.Z, even.W), sums[index + 1]);
        sums[index + 2] = P.MultiplyAdd(source, new UInt2(odd.X, odd.Y), sums[index + 2]);
        sums[index + 3] = P.MultiplyAdd(source, new UInt2(odd.Z, odd.W), sums[index + 3]);
    }

    // The weights of a layer from one on, slice after slice, for every tile of the block again.
    private struct Ring(ArrayView<UInt4> weights, int start, int end, int tiles)
    {
        private readonly ArrayView<UInt4> weights = weights;
        private readonly int start = start, end = end;
        private int from = start, remaining = tiles;

        // Where the slice lies that is to be multiplied.
        public int Slice { get; private set; } = (StagesV3 - 1) * SliceChunks;

        // The slices before the first step.
        public void Begin(ArrayView<UInt4> shared)
        {
            for (int stage = 0; stage < StagesV3 - 1; stage++) Copy(shared, stage * SliceChunks);
        }

        // Until all threads are done with the slice before and have copied the next one, and whatever they copied before it.
        public void Await()
        {
            Ptx.CpAsyncWaitGroup(StagesV3 - 2);
            Group.Barrier();
            Slice = Slice == (StagesV3 - 1) * SliceChunks ? 0 : Slice + SliceChunks;
        }

        // The copy of a later slice, in place of the one before: a group of asynchronous copies, even if it is empty.
        public void Copy(ArrayView<UInt4> shared) => Copy(shared, Slice == 0 ? (StagesV3 - 1) * SliceChunks : Slice - SliceChunks);

        private void Copy(ArrayView<UInt4> shared, int to)
        {
            if (remaining > 0)
                for (int i = 0; i < SliceChunks; i += ThreadsV3) Ptx.CpAsync16(ref shared[to + Group.IdxX + i], ref weights[from + Group.IdxX + i]);
            Ptx.CpAsyncCommit();
            from += SliceChunks;
            if (from < end) return;
            from = start;
            remaining--;
        }
    }
}
