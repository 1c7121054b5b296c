using System.Runtime.CompilerServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// One residual block, fused: for 32 tiles (128 rows) at a time the transformed convolution, conditioner, gate, output projection, residual and skip sums are done in
/// cache, and only x, the conditioner, y and the skips touch memory.
/// FLOPs a row by direct counting: 2 * 3 * C * 2C + 2 * C * 2C; executed by F(4, 3): 2 * 1.5 * C * 2C + 2 * C * 2C. Bytes a row: 4 (C x, 2C conditioner, C y, 2C skips).
/// </summary>
internal sealed unsafe class ResidualBlock<S, V> where S : struct, ISimd<V> where V : struct
{
    private const int Tiles = 32, Points = MinimalFilter.Points, Outputs = MinimalFilter.Outputs;

    public required LayerWeights Weights { get; init; }
    public required ModelConfig Config { get; init; }
    public required int Layer { get; init; }
    public required TimeRange Range { get; init; }
    public required CpuBuffer X { get; init; }
    public required int XRow { get; init; }
    public required CpuBuffer StepBias { get; init; }
    public required CpuBuffer? LabelBias { get; init; }
    public required CpuBuffer? Conditioner { get; init; }
    public required int ConditionerRow { get; init; }
    public required CpuBuffer Y { get; init; }
    public required int YRow { get; init; }
    public required CpuBuffer Skips { get; init; }
    public required int SkipRow { get; init; }
    public required BlockTape? Tape { get; init; }

    /// <summary>Floats of scratch a thread needs.</summary>
    public static int ScratchFloats(int channels)
    {
        int padded = CpuBuffer.RoundUp(channels);
        return (Points + Outputs) * Tiles * padded + Points * Tiles * 2 * S.Width + 8 * padded;
    }

    public void Run(Team team, Func<int, nint> scratch)
    {
        int dilation = Config.Dilation(Layer);
        // Rows of the range that exist.
        int first = (int)Math.Max(0, -Range.First), end = (int)Math.Min(Range.Count, Range.Length - Range.First);
        if (first >= end) return;
        var walk = new TileWalk(first, end, dilation);
        int blocks = (walk.Count + Tiles - 1) / Tiles, pieces = X.Batch * blocks;
        team.Run(pieces, (piece, thread) =>
        {
            int next = Math.Min(piece + 1, pieces - 1); // what this thread will most likely do next
            Block(piece / blocks, walk, piece % blocks * Tiles, next / blocks, next % blocks * Tiles, first, end, dilation, (float*)scratch(thread));
        });
    }

    // One block of tiles. Scratch: v [6, 32, C], z [4, 32, C], m [6, 32, 2W] and eight vectors over channels.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Block(int item, in TileWalk walk, int firstTile, int nextItem, int nextTile, int first, int end, int dilation, float* v)
    {
        int padded = CpuBuffer.RoundUp(Config.Channels), tiles = Math.Min(Tiles, walk.Count - firstTile), tiles8 = (tiles + Gemm.Rows - 1) & -Gemm.Rows;
        float* z = v + Points * Tiles * padded, m = z + Outputs * Tiles * padded;
        float* absent = m + Points * Tiles * 2 * S.Width, filterBias = absent + padded, gateBias = filterBias + padded, residualBias = gateBias + padded;
        float* nowhere = residualBias + padded, zeros = nowhere + padded; // a row to write what nobody needs, and 2C zeros
        int* rows = stackalloc int[Tiles];
        walk.FirstRows(firstTile, new Span<int>(rows, tiles));
        PrepareBiases(item, absent, filterBias, gateBias, residualBias, nowhere, padded);

        // Where the rows of output j of each tile stand: of the conditioner's two halves, skips, y, x, and skips before.
        const int Rows = Outputs * Tiles;
        float** filter = stackalloc float*[6 * Rows], gate = filter + Rows, skips = gate + Rows, y = skips + Rows, x = y + Rows, skipsBefore = x + Rows;
        FindRows(item, rows, tiles, dilation, first, end, nowhere, zeros, filter);

        float** inputs = stackalloc float*[Points * Tiles];
        FindInputs(item, rows, tiles, dilation, absent, inputs);
        TransformInputs(inputs, tiles, StepBias.Row(item, Layer), v, padded);

        int width = S.Width, columns = 2 * width, panels = Weights.Dilated.Panels / Points;
        // The conditioner, the skips and y come from main memory, once a chain step; asked for as products go on, they arrive before their use.
        float** ahead = filter;
        for (int panel = 0; panel < panels; panel++)
        {
            for (int xi = 0; xi < Points; xi++)
            {
                float* weights = Weights.Dilated.Panel(panel * Points + xi);
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                {
                    float* a = v + (xi * Tiles + tile) * padded;
                    var products = new Gemm.Store<S, V>(m + (xi * Tiles + tile) * columns, columns);
                    if (ahead < x) Gemm.Panel<S, V, Gemm.Store<S, V>, Gemm.RowsAhead>(a, padded, weights, Config.Channels, zeros, products, new Gemm.RowsAhead(ahead));
                    else Gemm.Panel<S, V, Gemm.Store<S, V>>(a, padded, weights, Config.Channels, zeros, products);
                    ahead += Gemm.RowsAhead.Count;
                }
            }
            GateOutputs(item, rows, tiles, dilation, first, end, panel * width, filterBias, gateBias, filter, gate, m, z, padded);
        }

        // y = x sqrt(1/2) + residual columns (nobody reads the last layer's); skips = skips before (none for the first layer) + skip columns.
        // Meanwhile the inputs of the next block are asked for.
        int nextTiles = Math.Min(Tiles, walk.Count - nextTile);
        walk.FirstRows(nextTile, new Span<int>(rows, nextTiles));
        FindInputs(nextItem, rows, nextTiles, dilation, absent, inputs);
        ahead = inputs;
        int half = Weights.Output.Panels / 2;
        float rootHalf = (float)Math.Sqrt(0.5);
        for (int panel = Layer == Config.Layers - 1 ? half : 0; panel < 2 * half; panel++)
        {
            bool residual = panel < half;
            float* weights = Weights.Output.Panel(panel), bias = residual ? residualBias + panel * columns : Weights.Output.Bias + panel * columns;
            for (int j = 0; j < Outputs; j++)
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                {
                    int at = j * Tiles + tile;
                    var epilogue = residual
                        ? new Gemm.AddScaled<S, V>(x + at, rootHalf, y + at, panel * columns)
                        : new Gemm.AddScaled<S, V>(skipsBefore + at, 1, skips + at, (panel - half) * columns);
                    if (ahead < inputs + Points * Tiles) Gemm.Panel<S, V, Gemm.AddScaled<S, V>, Gemm.RowsAhead>(z + at * padded, padded, weights, Config.Channels, bias, epilogue, new Gemm.RowsAhead(ahead));
                    else Gemm.Panel<S, V, Gemm.AddScaled<S, V>>(z + at * padded, padded, weights, Config.Channels, bias, epilogue);
                    ahead += Gemm.RowsAhead.Count;
                }
        }
    }

    // Rows outside the range are computed with the others and go nowhere.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FindRows(int item, int* rows, int tiles, int dilation, int first, int end, float* nowhere, float* zeros, float** table)
    {
        const int Rows = Outputs * Tiles;
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        float* conditioner = Conditioner is null ? zeros : Conditioner.Row(item, 0), x = X.Row(item, XRow), y = Y.Row(item, YRow), skips = Skips.Row(item, SkipRow);
        nint conditionerStride = Conditioner?.Stride ?? 0, stride = X.Stride; // x, y and skips have the same channels
        int conditionerRow = ConditionerRow, ring = Conditioner?.Rows ?? int.MaxValue;
        bool firstLayer = Layer == 0;
        bool whole = AreIn(rows, tiles, first, end - (Outputs - 1) * dilation);
        for (int j = 0; j < Outputs; j++)
            for (int tile = 0; tile < Tiles; tile++, table++)
            {
                int row = rows[tile] + j * dilation;
                if (whole || (tile < tiles && row >= first && row < end))
                {
                    int ringRow = conditionerRow + row;
                    float* given = conditioner + (ringRow < ring ? ringRow : ringRow - ring) * conditionerStride;
                    nint offset = row * stride;
                    table[0] = given + filterAt;
                    table[Rows] = given + gateAt;
                    table[2 * Rows] = skips + offset;
                    table[3 * Rows] = y + offset;
                    table[4 * Rows] = x + offset;
                    table[5 * Rows] = firstLayer ? zeros : skips + offset;
                }
                else
                {
                    table[0] = table[Rows] = table[4 * Rows] = table[5 * Rows] = zeros;
                    table[2 * Rows] = table[3 * Rows] = nowhere;
                }
            }
    }

    // Whether there are all tiles of a block and every first row is in [first, end): the common case, which needs no look at single rows.
    private static bool AreIn(int* rows, int tiles, int first, int end)
    {
        if (tiles < Tiles) return false;
        int low = rows[0], high = rows[0];
        for (int tile = 1; tile < Tiles; tile++) (low, high) = (Math.Min(low, rows[tile]), Math.Max(high, rows[tile]));
        return low >= first && high < end;
    }

    // Lanes behind the channels take what stands there: nobody reads what comes of them.
    private void PrepareBiases(int item, float* absent, float* filterBias, float* gateBias, float* residualBias, float* nowhere, int padded)
    {
        var (filter, gate) = PackedWeights.Halves(Config);
        float* step = StepBias.Row(item, Layer), label = LabelBias is null ? null : LabelBias.Row(item, Layer);
        float stepScale = Config.ResidualIncludesStepEmbedding ? (float)Math.Sqrt(0.5) : 0;
        V residualStep = S.Broadcast(stepScale);
        new Span<float>(nowhere, 3 * padded).Clear();
        fixed (float* bias = Weights.DilatedBias)
            for (int c = 0; c < padded; c += S.Width)
            {
                V e = S.Load(step + c), f = S.Load(bias + c), g = S.Load(bias + padded + c);
                S.Store(absent + c, S.Sub(S.Zero, e));
                S.Store(filterBias + c, label == null ? f : S.Add(f, S.Load(label + filter + c)));
                S.Store(gateBias + c, label == null ? g : S.Add(g, S.Load(label + gate + c)));
                S.Store(residualBias + c, S.Add(S.Load(Weights.Output.Bias + c), S.Mul(residualStep, e)));
            }
    }

    // Where the six input rows of each tile stand. They reach d rows over both ends of the range, never over the ends of the signal: there stands a row of -step, so that x + step is exactly zero.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FindInputs(int item, int* rows, int tiles, int dilation, float* absent, float** table)
    {
        int low = (int)Math.Max(-dilation, -Range.First), high = (int)Math.Min(Range.Count + (long)dilation, Range.Length - Range.First);
        float* x = X.Row(item, 0) + (nint)XRow * X.Stride;
        nint stride = X.Stride;
        bool whole = AreIn(rows, tiles, low + dilation, high - (Points - 2) * dilation);
        for (int point = 0; point < Points; point++)
        {
            int shift = (point - 1) * dilation;
            if (whole) for (int tile = 0; tile < Tiles; tile++) table[tile] = x + (rows[tile] + shift) * stride;
            else for (int tile = 0; tile < Tiles; tile++) table[tile] = tile < tiles && rows[tile] + shift >= low && rows[tile] + shift < high ? x + (rows[tile] + shift) * stride : absent;
            table += Tiles;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransformInputs(float** inputs, int tiles, float* step, float* v, int padded)
    {
        nint plane = (nint)Tiles * padded;
        for (int tile = 0; tile < tiles; tile++, inputs++, v += padded)
        {
            float* x0 = inputs[0], x1 = inputs[Tiles], x2 = inputs[2 * Tiles], x3 = inputs[3 * Tiles], x4 = inputs[4 * Tiles], x5 = inputs[5 * Tiles];
            for (int c = 0; c < Config.Channels; c += S.Width)
            {
                V e = S.Load(step + c);
                MinimalFilter.TransformInput<S, V>(S.Add(S.Load(x0 + c), e), S.Add(S.Load(x1 + c), e), S.Add(S.Load(x2 + c), e),
                    S.Add(S.Load(x3 + c), e), S.Add(S.Load(x4 + c), e), S.Add(S.Load(x5 + c), e), v + c, plane);
            }
        }
    }

    // Pre-gate sums of W channels from c on, and their gate: z[j, tile, c..c+W). For the tape the sums replace products of the tile in m.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void GateOutputs(int item, int* rows, int tiles, int dilation, int first, int end, int c, float* filterBias, float* gateBias, float** filter, float** gate, float* m, float* z, int padded)
    {
        nint plane = Tiles * 2 * S.Width, next = Tiles * padded;
        bool keep = Tape is not null;
        V biasF = S.Load(filterBias + c), biasG = S.Load(gateBias + c);
        for (int tile = 0; tile < tiles; tile++)
        {
            float* from = m + tile * 2 * S.Width, to = z + tile * padded + c;
            MinimalFilter.TransformOutput<S, V>(from, plane,
                Sum(biasF, filter[tile] + c), Sum(biasF, filter[Tiles + tile] + c), Sum(biasF, filter[2 * Tiles + tile] + c), Sum(biasF, filter[3 * Tiles + tile] + c),
                out V filter0, out V filter1, out V filter2, out V filter3);
            MinimalFilter.TransformOutput<S, V>(from + S.Width, plane,
                Sum(biasG, gate[tile] + c), Sum(biasG, gate[Tiles + tile] + c), Sum(biasG, gate[2 * Tiles + tile] + c), Sum(biasG, gate[3 * Tiles + tile] + c),
                out V gate0, out V gate1, out V gate2, out V gate3);
            if (keep)
            {
                S.Store(from, filter0); S.Store(from + plane, filter1); S.Store(from + 2 * plane, filter2); S.Store(from + 3 * plane, filter3);
                from += S.Width;
                S.Store(from, gate0); S.Store(from + plane, gate1); S.Store(from + 2 * plane, gate2); S.Store(from + 3 * plane, gate3);
            }
            S.Store(to, Gate.TanhSigmoid<S, V>(filter0, gate0));
            S.Store(to + next, Gate.TanhSigmoid<S, V>(filter1, gate1));
            S.Store(to + 2 * next, Gate.TanhSigmoid<S, V>(filter2, gate2));
            S.Store(to + 3 * next, Gate.TanhSigmoid<S, V>(filter3, gate3));
        }
        if (Tape is not { } tape) return;
        for (int j = 0; j < Outputs; j++)
            for (int tile = 0; tile < tiles; tile++)
            {
                int row = rows[tile] + j * dilation;
                if (row >= first && row < end) Keep(tape, item, row, c, m + j * plane + tile * 2 * S.Width, z + j * next + tile * padded + c);
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Sum(V bias, float* conditioner) => S.Add(bias, S.Load(conditioner));

    private void Keep(BlockTape tape, int item, int row, int c, float* sums, float* gated)
    {
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        float* preGate = ((CpuBuffer)tape.PreGate.Buffer).Row(item, tape.PreGate.Row + row) + c;
        int lanes = Math.Min(S.Width, Config.Channels - c); // behind the filter half the gate half stands without padding
        new Span<float>(sums, lanes).CopyTo(new Span<float>(preGate + filterAt, lanes));
        new Span<float>(sums + S.Width, lanes).CopyTo(new Span<float>(preGate + gateAt, lanes));
        if (tape.Gated is { } target) new Span<float>(gated, lanes).CopyTo(new Span<float>(((CpuBuffer)target.Buffer).Row(item, target.Row + row) + c, lanes));
    }
}
