namespace DiffWave.Kernels;

public static partial class ResidualBlockBackward
{
    /// <summary>R of version 2: rows of a tile.</summary>
    public const int TileRowsV2 = 128;

    /// <summary>Threads of a block of version 2.</summary>
    public const int ThreadsV2 = 128;

    // A warp computes 32 rows of a tile with all C columns. Lane 4 i + j has rows i, i + 8, i + 16 and i + 24 of them, and of each group of 32 channels the 16 bytes of channels 8 j to 8 j + 7.
    private const int Warps = ThreadsV2 / 32, WarpRows = TileRowsV2 / Warps, LaneRows = WarpRows / 8, Eight = 8, MostNeighbours = 16;
    private const float Log2E = 1.44269504f, MostExponent = 60;

    /// <summary>q for a launch of version 2: that of <see cref="TimeTile.Neighbours"/>, at most 16, so that two blocks fit on a multiprocessor.</summary>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="dilation">d.</param>
    public static int NeighboursV2(int rows, int dilation) => Math.Min(MostNeighbours, TimeTile.Neighbours(rows, dilation, TileRowsV2));

    /// <summary>Dynamic shared memory of version 2 in bytes: the weights, dh of a tile, and what the rows of a warp add to the step's gradient.</summary>
    /// <param name="channels">C.</param>
    /// <param name="neighbours">q.</param>
    public static int SharedBytesV2(int channels, int neighbours) => 2 * (BlockWeightsBackward.Size(channels) + (TileRowsV2 + 2 * neighbours) * 2 * channels) + sizeof(float) * Warps * channels;

    /// <summary>
    /// Version 2. Blocks of <see cref="ThreadsV2"/> threads: any number along x, best twice the multiprocessors but no more than tiles; dynamic shared memory: <see cref="SharedBytesV2"/>. Every number of
    /// blocks gives the same bits. Addresses of all views are multiples of 16. Nothing that is written may be what is read: neighbouring tiles read the same rows.
    /// </summary>
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
    /// <param name="neighbours">q, from <see cref="NeighboursV2"/>.</param>
    /// <param name="channels">C: 32 or 64.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    [Kernel("residual_block_backward_v2", BlockX = ThreadsV2, MinBlocks = 2, MinimumSm = 80)]
    public static void BackwardV2<T, P>(Rows<T> dY, Rows<T> dSkips, Rows<T> h, ArrayView<T> weights, Rows<T> dH, Rows<T> z, Rows<T> dX, ArrayView<float> stepPartial,
        int tiles, int rows, int dilation, int neighbours, [Const] int channels, [Const] bool hasY, [Const] bool gateFirst, [Const] bool stepInResidual)
        where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<T> shared = SharedMemory.GetDynamic<T>();
        ArrayView<UInt4> eights = shared.AsAligned16().Cast<UInt4>();
        int groups = channels / 32, width = channels / Eight, steps = channels / 16, size = BlockWeightsBackward.Size(channels);
        int gradients = size + Warps * 2 * channels; // where dh begins; the sums for the step lie before it
        ArrayView<float> stepSums = shared.SubView(size).AsAligned16().Cast<float>();
        int thread = Group.IdxX, lane = thread % 32, warp = thread / 32, row = warp * WarpRows + lane / 4, eight = lane % 4;
        int filter = gateFirst ? width : 0, gate = width - filter;

        int write = gradients / Eight + Place(row + neighbours, eight, width); // a chunk's number is a constant exclusive-ored, eight rows further a constant added

        for (int i = thread * Eight; i < size; i += ThreadsV2 * Eight) Ptx.CpAsync16(ref shared[i], ref weights[i]);
        ArrayView<int> times = LocalMemory.Allocate<int>(LaneRows); // of the lane's rows; -1 where there is none
        ArrayView<UInt4> dYs = LocalMemory.Allocate<UInt4>(LaneRows * groups), dSs = LocalMemory.Allocate<UInt4>(LaneRows * groups);
        int index = Grid.IdxX;
        var tile = new TimeTile(index, rows, dilation, neighbours, TileRowsV2);
        SetTimes(times, tile, row, index < tiles ? rows : 0);
        if (hasY) Load(Of(dY, tile.Item, channels), times, dYs, width, eight, groups);
        Load(Of(dSkips, tile.Item, channels), times, dSs, width, eight, groups);
        Ptx.CpAsyncWaitAll();
        Group.Barrier(); // the weights are there
        while (index < tiles)
        {
            // What this lane's rows kept arrives where their dh will lie, while the halo is computed, of which two warps share 16 rows with 64 channels, a group each, and while its own rows are multiplied.
            ArrayView<UInt4> hs = Of(h, tile.Item, 2 * channels), dHs = Of(dH, tile.Item, 2 * channels), zs = Of(z, tile.Item, channels);
            for (int r = 0; r < LaneRows; r++)
                for (int chunk = 0; chunk < 2 * width; chunk += 4)
                    Ptx.CpAsync16(ref eights[(write ^ chunk) + r * 16 * width], ref hs[Math.Max(0, times[r]) * 2 * width + chunk + eight], times[r] >= 0 ? 16 : 0);
            if (warp / groups * 16 < 2 * neighbours)
                Halo<T, P>(eights, gradients / Eight, tile, warp / groups * 16 + lane / 4, warp % groups, neighbours, rows, dY, dSkips, hs, filter, gate, lane, channels, hasY);

            ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(channels / 4); // [2 tiles of 16 rows][C / 8 tiles of columns]
            if (hasY) ProjectBack<T, P>(eights, dYs, sums, 0, lane, groups);
            ProjectBack<T, P>(eights, dSs, sums, steps, lane, groups);
            Ptx.CpAsyncWaitAll();
            for (int r = 0; r < LaneRows; r++)
            {
                Warp.Barrier(); // keeps ptxas from computing several rows at once in more registers than there are
                for (int g = 0; g < groups; g++)
                {
                    ref UInt4 filters = ref eights[(write ^ 4 * g + filter) + r * 16 * width], gates = ref eights[(write ^ 4 * g + gate) + r * 16 * width];
                    UInt4 dFilters = filters, dGates = gates, gated = Differentiate<T, P>(ref dFilters, ref dGates, sums, r / 2 * width + 4 * g, r % 2);
                    filters = dFilters;
                    gates = dGates;
                    if (times[r] < 0) continue;
                    dHs[times[r] * 2 * width + 4 * g + filter + eight] = dFilters;
                    dHs[times[r] * 2 * width + 4 * g + gate + eight] = dGates;
                    zs[times[r] * width + 4 * g + eight] = gated;
                }
            }
            Group.Barrier(); // dh of the whole tile is there

            // The next tile's dskip arrives while this one's taps are multiplied, its dy when this one's has been added.
            ArrayView<UInt4> dXs = Of(dX, tile.Item, channels);
            ArrayView<int> own = LocalMemory.Allocate<int>(LaneRows);
            for (int r = 0; r < LaneRows; r++) own[r] = times[r];
            int current = index;
            index += Grid.DimX;
            tile = new TimeTile(index, rows, dilation, neighbours, TileRowsV2);
            SetTimes(times, tile, row, index < tiles ? rows : 0);
            Load(Of(dSkips, tile.Item, channels), times, dSs, width, eight, groups);
            for (int i = 0; i < channels / 4; i++) sums[i] = new Float4(0, 0, 0, 0);
            for (int tap = 0; tap < Loop.Rolled(Taps); tap++)
            {
                int at = gradients + Eight * Place(warp * WarpRows + lane % 16 + (2 - tap) * neighbours, lane / 16, width), fragments = (2 * steps * (1 + tap) * steps) * 32 + lane;
                for (int step = 0; step < 2 * steps; step++)
                {
                    UInt4 upper = Ptx.LdMatrixX4(ref shared[at ^ 16 * step]), lower = Ptx.LdMatrixX4(ref shared[(at ^ 16 * step) + 16 * 2 * channels]);
                    for (int pair = 0; pair < steps; pair++) MultiplyPair<T, P>(eights[fragments + (step * steps + pair) * 32], upper, lower, sums, 2 * pair, width);
                }
            }

            ArrayView<float> step8 = LocalMemory.Allocate<float>(Eight * groups);
            for (int r = 0; r < LaneRows; r++)
                for (int g = 0; g < groups; g++)
                {
                    UInt4 result = Finish<T, P>(dYs[r * groups + g], sums, r / 2 * width + 4 * g, r % 2, step8, Eight * g, own[r] >= 0, hasY, stepInResidual);
                    if (own[r] >= 0) dXs[own[r] * width + 4 * g + eight] = result;
                }
            if (hasY) Load(Of(dY, tile.Item, channels), times, dYs, width, eight, groups);
            for (int g = 0; g < groups; g++)
            {
                EightLanes.Sum(step8.SubView(Eight * g, Eight), lane);
                stepSums[warp * channels + 32 * g + Eight * eight + lane / 4] = step8[Eight * g];
            }
            Group.Barrier(); // the sums of all warps are there, and everybody is done with dh
            if (thread < channels)
            {
                float sum = stepSums[thread];
                for (int other = 1; other < Warps; other++) sum += stepSums[other * channels + thread];
                stepPartial[(long)current * channels + thread] = sum;
            }
        }
    }

    private static ArrayView<UInt4> Of<T>(Rows<T> rows, int item, int channels) where T : unmanaged =>
        rows.Values.SubView(((long)item * rows.ItemRows + rows.First) * channels).AsAligned16().Cast<UInt4>();

    // Where 16 bytes of a row of dh lie, in units of 16 bytes, a row being 2 width of them: of eight consecutive rows, which ldmatrix reads at once, in the eight different parts of the 128 bytes of
    // banks, and of two consecutive rows, four of which a quarter of a warp writes at once, in different halves.
    private static int Place(int row, int chunk, int width) => row * 2 * width + (chunk ^ (row % 2 * 4 + row / 2 % 4));

    private static void SetTimes(ArrayView<int> times, TimeTile tile, int row, int rows)
    {
        for (int r = 0; r < times.IntLength; r++)
        {
            int time = tile.Time(row + 8 * r);
            times[r] = time < rows ? time : -1;
        }
    }

    // [rows][groups], zero for rows that do not exist.
    private static void Load(ArrayView<UInt4> source, ArrayView<int> times, ArrayView<UInt4> to, int width, int first, int groups)
    {
        for (int r = 0; r < times.IntLength; r++)
        {
            for (int g = 0; g < groups; g++) to[r * groups + g] = new UInt4(0, 0, 0, 0);
            if (times[r] >= 0)
                for (int g = 0; g < groups; g++) to[r * groups + g] = source[times[r] * width + 4 * g + first];
        }
    }

    // dh of 16 rows of the halo and a group of 32 channels, by a warp.
    private static void Halo<T, P>(ArrayView<UInt4> shared, int gradients, TimeTile tile, int row, int group, int neighbours, int rows, Rows<T> dY, Rows<T> dSkips, ArrayView<UInt4> h, int filter, int gate,
        int lane, int channels, bool hasY) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int groups = channels / 32, width = channels / Eight, steps = channels / 16, eight = lane % 4;
        ArrayView<int> times = LocalMemory.Allocate<int>(2);
        for (int r = 0; r < 2; r++)
        {
            int at = row + 8 * r, time = tile.Time(at < neighbours ? at - neighbours : TileRowsV2 + at - neighbours);
            times[r] = at < 2 * neighbours && (uint)time < (uint)rows ? time : -1;
        }
        ArrayView<UInt4> dYs = LocalMemory.Allocate<UInt4>(2 * groups), dSs = LocalMemory.Allocate<UInt4>(2 * groups), filters = LocalMemory.Allocate<UInt4>(2), gates = LocalMemory.Allocate<UInt4>(2);
        if (hasY) Load(Of(dY, tile.Item, channels), times, dYs, width, eight, groups);
        Load(Of(dSkips, tile.Item, channels), times, dSs, width, eight, groups);
        Load(h, times, filters, 2 * width, 4 * group + filter + eight, 1);
        Load(h, times, gates, 2 * width, 4 * group + gate + eight, 1);
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(4);
        for (int step = hasY ? 0 : steps; step < 2 * steps; step++)
        {
            ArrayView<UInt4> source = step < steps ? dYs : dSs;
            UInt4 part = Operand(source[step % steps / 2], source[groups + step % steps / 2], step % 2);
            for (int pair = 0; pair < 2; pair++)
            {
                UInt4 fragment = shared[(step * steps + 2 * group + pair) * 32 + lane];
                sums[2 * pair] = P.MultiplyAdd(part, new UInt2(fragment.X, fragment.Y), sums[2 * pair]);
                sums[2 * pair + 1] = P.MultiplyAdd(part, new UInt2(fragment.Z, fragment.W), sums[2 * pair + 1]);
            }
        }
        for (int r = 0; r < 2; r++)
        {
            Differentiate<T, P>(ref filters[r], ref gates[r], sums, 0, r);
            int at = row + 8 * r, to = at < neighbours ? at : TileRowsV2 + at;
            if (at >= 2 * neighbours) continue;
            int place = gradients + Place(to, 4 * group + eight, width);
            shared[place ^ filter] = filters[r];
            shared[place ^ gate] = gates[r];
        }
    }

    // 32 rows by C channels of dy or dskip, as the lanes hold them, times their half of O: 32 rows by C.
    private static void ProjectBack<T, P>(ArrayView<UInt4> shared, ArrayView<UInt4> source, ArrayView<Float4> sums, int firstStep, int lane, int groups) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        for (int step = 0; step < 2 * groups; step++)
        {
            UInt4 upper = Operand(source[step / 2], source[groups + step / 2], step % 2), lower = Operand(source[2 * groups + step / 2], source[3 * groups + step / 2], step % 2);
            for (int pair = 0; pair < 2 * groups; pair++)
                MultiplyPair<T, P>(shared[((firstStep + step) * 2 * groups + pair) * 32 + lane], upper, lower, sums, 2 * pair, 4 * groups);
        }
    }

    // The left operand of a step: 4 of the 8 channels of rows i and i + 8.
    private static UInt4 Operand(UInt4 upper, UInt4 lower, int half) => half == 0 ? new UInt4(upper.X, lower.X, upper.Y, lower.Y) : new UInt4(upper.Z, lower.Z, upper.W, lower.W);

    // Two tiles of columns for both tiles of rows.
    private static void MultiplyPair<T, P>(UInt4 pair, UInt4 upper, UInt4 lower, ArrayView<Float4> sums, int index, int tiles) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        UInt2 even = new(pair.X, pair.Y), odd = new(pair.Z, pair.W);
        sums[index] = P.MultiplyAdd(upper, even, sums[index]);
        sums[index + 1] = P.MultiplyAdd(upper, odd, sums[index + 1]);
        sums[tiles + index] = P.MultiplyAdd(lower, even, sums[tiles + index]);
        sums[tiles + index + 1] = P.MultiplyAdd(lower, odd, sums[tiles + index + 1]);
    }

    // Filter and gate of eight channels become their gradients by the gradient of their product, four tiles of columns from one on; returns the product.
    private static UInt4 Differentiate<T, P>(ref UInt4 filters, ref UInt4 gates, ArrayView<Float4> sums, int first, int lower) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        UInt4 products = new(0, 0, 0, 0);
        DifferentiatePair<T, P>(ref filters.X, ref gates.X, ref products.X, sums[first], lower);
        DifferentiatePair<T, P>(ref filters.Y, ref gates.Y, ref products.Y, sums[first + 1], lower);
        DifferentiatePair<T, P>(ref filters.Z, ref gates.Z, ref products.Z, sums[first + 2], lower);
        DifferentiatePair<T, P>(ref filters.W, ref gates.W, ref products.W, sums[first + 3], lower);
        return products;
    }

    private static void DifferentiatePair<T, P>(ref uint filters, ref uint gates, ref uint products, Float4 sum, int lower) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        Float2 filter = P.Unpack(filters), gate = P.Unpack(gates), product = lower == 0 ? new Float2(sum.X, sum.Y) : new Float2(sum.Z, sum.W);
        Differentiate(ref filter.X, ref gate.X, ref product.X);
        Differentiate(ref filter.Y, ref gate.Y, ref product.Y);
        filters = P.Pack(filter.X, filter.Y);
        gates = P.Pack(gate.X, gate.Y);
        products = P.Pack(product.X, product.Y);
    }

    // With u = sigmoid(2 filter), tanh = 2 u - 1 and its derivative is 4 u (1 - u). Both sigmoids come of one reciprocal, of the product of their denominators, which exponents up to 60 keep finite: a sigmoid of
    // 2^-60 is 0 beside everything it is added to.
    private static void Differentiate(ref float filter, ref float gate, ref float product)
    {
        float a = 1 + Ptx.Ex2ApproxFtz(MathF.Min(MostExponent, -2 * Log2E * filter)), b = 1 + Ptx.Ex2ApproxFtz(MathF.Min(MostExponent, -Log2E * gate)), both = Ptx.RcpApproxFtz(a * b);
        float u = both * b, s = both * a, ds = product * s, z = (2 * u - 1) * s, dProduct = product * z;
        filter = 4 * ds * (u - u * u);
        gate = dProduct - dProduct * s;
        product = z;
    }

    // dx of eight channels of a row, and what it adds to the step's gradient.
    private static UInt4 Finish<T, P>(UInt4 dY, ArrayView<Float4> sums, int first, int lower, ArrayView<float> step, int firstStep, bool exists, bool hasY, bool stepInResidual)
        where T : unmanaged where P : struct, IMatrixPair<T> =>
        new(FinishPair<T, P>(dY.X, sums[first], lower, step, firstStep, exists, hasY, stepInResidual), FinishPair<T, P>(dY.Y, sums[first + 1], lower, step, firstStep + 2, exists, hasY, stepInResidual),
            FinishPair<T, P>(dY.Z, sums[first + 2], lower, step, firstStep + 4, exists, hasY, stepInResidual), FinishPair<T, P>(dY.W, sums[first + 3], lower, step, firstStep + 6, exists, hasY, stepInResidual));

    private static uint FinishPair<T, P>(uint dY, Float4 sum, int lower, ArrayView<float> step, int at, bool exists, bool hasY, bool stepInResidual) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        Float2 sums = lower == 0 ? new Float2(sum.X, sum.Y) : new Float2(sum.Z, sum.W), total = sums;
        if (hasY)
        {
            Float2 residual = P.Unpack(dY);
            total = new Float2(sums.X + RootHalf * residual.X, sums.Y + RootHalf * residual.Y);
        }
        step[at] += exists ? stepInResidual ? total.X : sums.X : 0;
        step[at + 1] += exists ? stepInResidual ? total.Y : sums.Y : 0;
        return P.Pack(total.X, total.Y);
    }
}
