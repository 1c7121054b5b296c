namespace DiffWave.Kernels;

public static partial class Head
{
    private const int ThreadsV2 = 256, LanesV2 = 16; // of a row

    /// <summary>Rows of a block of version 2.</summary>
    public const int RowsV2 = ThreadsV2 / LanesV2;

    /// <summary>Version 2. Blocks of 256 threads: rows / 16 along x, rounded up, B along z.</summary>
    /// <param name="h">[B, rows, C]; the address a multiple of 16.</param>
    /// <param name="weight">[1, C].</param>
    /// <param name="bias">[1].</param>
    /// <param name="eps">Receives [B, rows, 1].</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    [Kernel("head_v2", BlockX = ThreadsV2)]
    public static void ForwardV2(Rows<float> h, ArrayView<float> weight, ArrayView<float> bias, Rows<float> eps, int rows, [Const] int channels)
    {
        ArrayView<Float4> factors = SharedMemory.Allocate<Float4>(channels / 4); // weights need not lie at multiples of 16 bytes
        for (int c = Group.IdxX; c < channels; c += ThreadsV2) factors.Cast<float>()[c] = weight[c];
        Group.Barrier();
        int item = Grid.IdxZ, row = Grid.GlobalIndex.X / LanesV2, lane = Group.IdxX % LanesV2;
        var source = new FourRows(h, item);
        float sum = 0;
        if (row < rows)
        {
            int place = source.Place(row);
            for (int four = lane; four < channels / 4; four += LanesV2)
            {
                Float4 a = source.At(place, four), w = factors[four];
                sum += a.X * w.X + a.Y * w.Y + (a.Z * w.Z + a.W * w.W);
            }
        }
        for (int distance = LanesV2 / 2; distance > 0; distance /= 2) sum += Warp.ShuffleXor(sum, distance);
        if (row < rows && lane == 0) eps.Row(item, row)[0] = sum + bias[0];
    }

    internal const int WarpsV3 = 8, Depth = 16; // of a tensor core's product

    /// <summary>Rows a block of version 3 takes at a time.</summary>
    /// <param name="channels">C.</param>
    public static int RowsV3(int channels) => WarpsV3 * WarpRows(channels);

    /// <summary>Dynamic shared memory of version 3 in bytes: S in 16 bits, r and w.</summary>
    /// <param name="channels">C.</param>
    public static int SharedBytesV3(int channels) => 2 * channels * channels + 2 * sizeof(float) * channels;

    // Their values take channels / 4 registers of each lane for 16 rows.
    internal static int WarpRows(int channels) => channels <= 128 ? 32 : 16;

    /// <summary>Version 3. Blocks of 256 threads, any number along x: they take turns. Dynamic shared memory: <see cref="SharedBytesV3"/>. The same bits for any grid.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product, and how it is stored.</typeparam>
    /// <param name="skips">[B, rows, C]; the address a multiple of 16.</param>
    /// <param name="skipWeight">S, [C, C]; rounded to T here.</param>
    /// <param name="skipBias">r, [C].</param>
    /// <param name="weight">w, [1, C].</param>
    /// <param name="bias">b, [1].</param>
    /// <param name="eps">Receives [B, rows, 1].</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="items">B.</param>
    /// <param name="scale">s.</param>
    /// <param name="channels">C, a multiple of 32 up to 256.</param>
    /// <param name="early">Whether it may be launched early, on sm_90 and later: everything but the weights, which the kernel right before it must not have written, is touched after the kernels before it are complete.</param>
    [Kernel("head_v3", BlockX = WarpsV3 * 32, MinimumSm = 80)]
    public static void ForwardV3<T, P>(Rows<T> skips, ArrayView<float> skipWeight, ArrayView<float> skipBias, ArrayView<float> weight, ArrayView<float> bias, Rows<float> eps, int rows, int items,
        float scale, [Const] int channels, [Const] bool early) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<UInt4> factors = SharedMemory.GetDynamic<UInt4>();
        ArrayView<float> columns = factors.SubView(channels * channels / 8).Cast<float>();
        for (int c = Group.IdxX; c < channels; c += WarpsV3 * 32) (columns[c], columns[channels + c]) = (skipBias[c], weight[c]);
        for (int index = Group.IdxX; index < channels * channels / 8; index += WarpsV3 * 32) factors[index] = Factors<T, P>(skipWeight, index, channels);
        if (early) EarlyLaunch.AwaitOthers();
        Group.Barrier();

        int lane = Group.IdxX % 32, i = lane / 4, j = lane % 4, warpRows = WarpRows(channels), tiles = (rows + warpRows - 1) / warpRows, groups = channels / 32;
        ArrayView<UInt4> values = LocalMemory.Allocate<UInt4>(warpRows / 8 * groups); // eight rows apart, then 32 channels apart
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(warpRows / 8);
        ArrayView<Float2> results = LocalMemory.Allocate<Float2>(warpRows / 16);
        ArrayView<Float4> starts = Fours.Of(columns), weights = Fours.Of(columns.SubView(channels));
        for (int tile = Grid.IdxX * WarpsV3 + Group.IdxX / 32; tile < tiles * items; tile += Grid.DimX * WarpsV3)
        {
            int item = tile / tiles, first = tile % tiles * warpRows + i;
            Load(skips.Run(item, rows).AsAligned16().Cast<UInt4>(), values, first, j, rows, channels);
            for (int m = 0; m < warpRows / 16; m++) results[m] = default;
            for (int pair = 0; pair < skips.Channels / Depth; pair++)
            {
                Multiply<T, P>(factors, values, sums, pair, lane, channels);
                Float4 r = starts[4 * pair + j], w = weights[4 * pair + j];
                for (int m = 0; m < warpRows / 16; m++)
                {
                    Float4 even = sums[2 * m], odd = sums[2 * m + 1];
                    results[m] = new Float2(Added(results[m].X, even.X, even.Y, odd.X, odd.Y, scale, r, w), Added(results[m].Y, even.Z, even.W, odd.Z, odd.W, scale, r, w));
                }
            }
            for (int m = 0; m < warpRows / 16; m++)
            {
                StoreRow(eps, item, first + 16 * m, rows, bias, results[m].X);
                StoreRow(eps, item, first + 16 * m + 8, rows, bias, results[m].Y);
            }
        }
    }

    // Sixteen bytes of each group of 32 channels of every eighth row of a warp, zeros where there is no row.
    internal static void Load(ArrayView<UInt4> source, ArrayView<UInt4> values, int first, int j, int rows, int channels)
    {
        int groups = channels / 32;
        for (int part = 0; part < values.IntLength / groups; part++)
            for (int group = 0; group < groups; group++)
                values[part * groups + group] = first + 8 * part < rows ? source[(first + 8 * part) * (channels / 8) + 4 * group + j] : default;
    }

    // Sixteen columns of S skips for the rows of a warp, two tiles of columns for every 16 rows.
    internal static void Multiply<T, P>(ArrayView<UInt4> factors, ArrayView<UInt4> values, ArrayView<Float4> sums, int pair, int lane, int channels) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int groups = channels / 32;
        for (int k = 0; k < sums.IntLength; k++) sums[k] = default;
        for (int step = 0; step < channels / Depth; step++)
        {
            UInt4 b = factors[(step * (channels / Depth) + pair) * 32 + lane];
            for (int m = 0; m < sums.IntLength / 2; m++)
            {
                UInt4 upper = values[2 * m * groups + step / 2], lower = values[(2 * m + 1) * groups + step / 2];
                UInt4 a = step % 2 == 0 ? new UInt4(upper.X, lower.X, upper.Y, lower.Y) : new UInt4(upper.Z, lower.Z, upper.W, lower.W);
                sums[2 * m] = P.MultiplyAdd(a, new UInt2(b.X, b.Y), sums[2 * m]);
                sums[2 * m + 1] = P.MultiplyAdd(a, new UInt2(b.Z, b.W), sums[2 * m + 1]);
            }
        }
    }

    // Four columns of a row of h times their weights.
    private static float Added(float result, float x, float y, float z, float w, float scale, Float4 r, Float4 weights) =>
        result + weights.X * XMath.Max(0, scale * x + r.X) + weights.Y * XMath.Max(0, scale * y + r.Y) + weights.Z * XMath.Max(0, scale * z + r.Z) + weights.W * XMath.Max(0, scale * w + r.W);

    // Sixteen bytes of S as a lane needs them for a step of 16 inputs and two products, whose results are then four columns of h side by side in a row of each lane: columns 4 j and 4 j + 1 come of the first
    // product, the two behind them of the second. The lane reads eight neighbouring channels of a row of skips at once, of which a step takes four, so S has its inputs in that order too.
    internal static UInt4 Factors<T, P>(ArrayView<float> skipWeight, int index, int channels) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        int lane = index % 32, pair = index / 32 % (channels / Depth), step = index / 32 / (channels / Depth);
        int even = (pair * 16 + lane / 8 * 4 + lane / 4 % 2) * channels + step / 2 * 32 + lane % 4 * 8 + step % 2 * 4, odd = even + 2 * channels;
        return new UInt4(P.Pack(skipWeight[even], skipWeight[even + 1]), P.Pack(skipWeight[even + 2], skipWeight[even + 3]),
            P.Pack(skipWeight[odd], skipWeight[odd + 1]), P.Pack(skipWeight[odd + 2], skipWeight[odd + 3]));
    }

    // The four lanes of a row have summed different columns.
    private static void StoreRow(Rows<float> eps, int item, int row, int rows, ArrayView<float> bias, float sum)
    {
        sum += Warp.ShuffleXor(sum, 1);
        sum += Warp.ShuffleXor(sum, 2);
        if (row < rows && Group.IdxX % 4 == 0) eps.Row(item, row)[0] = sum + bias[0];
    }
}
