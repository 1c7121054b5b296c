namespace DiffWave.Kernels;

public static partial class HeadBackward
{
    /// <summary>Rows a thread of version 2 computes.</summary>
    public const int RowsV2 = 8;

    /// <summary>Version 2. Threads: at least (T / 8) (C / 4) along x, the first quotient rounded up; items along z. Addresses of the activations are multiples of 16.</summary>
    /// <param name="hidden">C channels.</param>
    /// <param name="dEps">One channel.</param>
    /// <param name="weights">w, C values.</param>
    /// <param name="dHidden">Receives C channels; may be <paramref name="hidden"/>.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    [Kernel("head_backward_v2", BlockX = Threads)]
    public static void BackwardV2(Rows<float> hidden, Rows<float> dEps, ArrayView<float> weights, Rows<float> dHidden, int rows, [Const] int channels)
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(channels); // because the weights may begin anywhere
        for (int i = Group.IdxX; i < Loop.Rolled(channels); i += Threads) shared[i] = weights[i];
        Group.Barrier();
        int firstRow = Grid.GlobalIndex.X / (channels / 4) * RowsV2, four = Grid.GlobalIndex.X % (channels / 4), item = Grid.IdxZ;
        FourRows source = new(hidden, item), target = new(dHidden, item);
        Float4 w = shared.Cast<Float4>()[four];
        for (int i = 0; i < RowsV2; i++)
        {
            int row = firstRow + i;
            if (row >= rows) return;
            Float4 h = source.At(source.Place(row), four);
            float d = dEps.Row(item, row)[0];
            target.At(target.Place(row), four) = new Float4(h.X > 0 ? d * w.X : 0, h.Y > 0 ? d * w.Y : 0, h.Z > 0 ? d * w.Z : 0, h.W > 0 ? d * w.W : 0);
        }
    }

    /// <summary>Dynamic shared memory of version 3 in bytes: S in 16 bits, r and w, and the sums of every warp.</summary>
    /// <param name="channels">C.</param>
    public static int SharedBytesV3(int channels) => Head.SharedBytesV3(channels) + sizeof(float) * Head.WarpsV3 * (2 * channels + 1);

    /// <summary>
    /// Version 3. Blocks of 256 threads, any number along x: they take turns with the slices, B times <see cref="SliceSum.Slices"/>. Dynamic shared memory: <see cref="SharedBytesV3"/>. The same bits for any
    /// grid. The gradients of S and of the skips follow from dHidden: by WeightGradient with the skips, by PointwiseConvBackward with S, both scaled by s.
    /// </summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <param name="skips">[B, rows, C]; the address a multiple of 16, like that of dHidden.</param>
    /// <param name="skipWeight">S, [C, C]; rounded to T here.</param>
    /// <param name="skipBias">r, [C].</param>
    /// <param name="weight">w, [1, C].</param>
    /// <param name="dEps">[B, rows, 1].</param>
    /// <param name="dHidden">Receives [B, rows, C]; not the skips, which the gradient of S needs.</param>
    /// <param name="partial">Receives [B, slices, 2C + 1]: of each slice the sums for the gradients of r, of w and of b, in the order of the arena.</param>
    /// <param name="rows">T.</param>
    /// <param name="items">B.</param>
    /// <param name="scale">s.</param>
    /// <param name="channels">C, a multiple of 32 up to 256.</param>
    [Kernel("head_backward_v3", BlockX = Head.WarpsV3 * 32, MinimumSm = 80)]
    public static void BackwardV3<T, P>(Rows<T> skips, ArrayView<float> skipWeight, ArrayView<float> skipBias, ArrayView<float> weight, Rows<float> dEps, Rows<T> dHidden, ArrayView<float> partial, int rows,
        int items, float scale, [Const] int channels) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<UInt4> factors = SharedMemory.GetDynamic<UInt4>();
        ArrayView<float> columns = factors.SubView(channels * channels / 8).Cast<float>(), ofWarps = columns.SubView(2 * channels), totals = ofWarps.SubView(Head.WarpsV3 * 2 * channels);
        for (int c = Group.IdxX; c < channels; c += Threads) (columns[c], columns[channels + c]) = (skipBias[c], weight[c]);
        for (int index = Group.IdxX; index < channels * channels / 8; index += Threads) factors[index] = Head.Factors<T, P>(skipWeight, index, channels);
        Group.Barrier();

        int thread = Group.IdxX, warp = thread / 32, lane = thread % 32, j = lane % 4, warpRows = Head.WarpRows(channels), roundRows = Head.WarpsV3 * warpRows, slices = SliceSum.Slices(rows);
        ArrayView<UInt4> values = LocalMemory.Allocate<UInt4>(warpRows / 8 * (channels / 32)); // eight rows apart, then 32 channels apart
        ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(warpRows / 8), starts = Fours.Of(columns), weights = Fours.Of(columns.SubView(channels));
        ArrayView<float> ds = LocalMemory.Allocate<float>(warpRows / 8), own = LocalMemory.Allocate<float>(8);
        for (int slice = Grid.IdxX; slice < slices * items; slice += Grid.DimX)
        {
            int item = slice / slices, firstRow = slice % slices * SliceSum.SliceRows;
            ArrayView<UInt4> source = skips.Run(item, rows).AsAligned16().Cast<UInt4>();
            ArrayView<UInt2> target = dHidden.Run(item, rows).AsAligned8().Cast<UInt2>();
            float total = 0;
            for (int round = 0; round < Loop.Rolled(SliceSum.SliceRows / roundRows); round++)
            {
                int first = firstRow + round * roundRows + warp * warpRows + lane / 4;
                Head.Load(source, values, first, j, rows, channels);
                for (int part = 0; part < ds.IntLength; part++)
                {
                    ds[part] = first + 8 * part < rows ? dEps.Row(item, first + 8 * part)[0] : 0;
                    total += ds[part];
                }
                for (int pair = 0; pair < Loop.Rolled(channels / Head.Depth); pair++)
                {
                    Head.Multiply<T, P>(factors, values, sums, pair, lane, channels);
                    Float4 r = starts[4 * pair + j], w = weights[4 * pair + j];
                    for (int i = 0; i < own.IntLength; i++) own[i] = 0;
                    for (int part = 0; part < ds.IntLength; part++)
                    {
                        Float4 even = sums[part / 2 * 2], odd = sums[part / 2 * 2 + 1];
                        Float4 product = part % 2 == 0 ? new Float4(even.X, even.Y, odd.X, odd.Y) : new Float4(even.Z, even.W, odd.Z, odd.W);
                        var gradient = new Float4(Gradient(product.X, scale, r.X, w.X, ds[part], own, 0), Gradient(product.Y, scale, r.Y, w.Y, ds[part], own, 1),
                            Gradient(product.Z, scale, r.Z, w.Z, ds[part], own, 2), Gradient(product.W, scale, r.W, w.W, ds[part], own, 3));
                        if (first + 8 * part < rows) target[((first + 8 * part) * channels + 16 * pair) / 4 + j] = new UInt2(P.Pack(gradient.X, gradient.Y), P.Pack(gradient.Z, gradient.W));
                    }
                    EightLanes.Sum(own, lane);
                    ref float ofWarp = ref ofWarps[(warp * (channels / Head.Depth) + pair) * 32 + lane];
                    ofWarp = round == 0 ? own[0] : ofWarp + own[0];
                }
            }
            for (int lanes = 4; lanes < 32; lanes *= 2) total += Warp.ShuffleXor(total, lanes);
            if (lane == 0) totals[warp] = total;
            Group.Barrier(); // the sums of all warps are there
            ArrayView<float> result = partial.SubView((long)slice * (2 * channels + 1), 2 * channels + 1);
            for (int index = thread; index < 2 * channels; index += Threads)
            {
                float sum = ofWarps[index];
                for (int other = 1; other < Head.WarpsV3; other++) sum += ofWarps[other * 2 * channels + index];
                result[index / 16 % 2 * channels + index / 32 * 16 + index % 4 * 4 + index / 4 % 4] = sum; // as EightLanes leaves them
            }
            if (thread == 0)
            {
                for (int other = 1; other < Head.WarpsV3; other++) total += totals[other];
                result[2 * channels] = total;
            }
            Group.Barrier(); // they have been read
        }
    }

    // The gradient of a hidden value; what its row adds to the sums of its column, four columns for r and four for w, is added.
    private static float Gradient(float product, float scale, float r, float w, float d, ArrayView<float> own, int column)
    {
        float hidden = XMath.Max(0, scale * product + r), gradient = hidden > 0 ? w * d : 0;
        own[column] += gradient;
        own[4 + column] += d * hidden;
        return gradient;
    }
}
