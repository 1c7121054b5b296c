using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
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
        int blocks = (walk.Count + Tiles - 1) / Tiles;
        team.Run(X.Batch * blocks, (piece, thread) => Block(piece / blocks, walk, piece % blocks * Tiles, first, end, dilation, (float*)scratch(thread)));
    }

    // One block of tiles. Scratch: v [6, 32, C], z [4, 32, C], m [6, 32, 2W] and eight vectors over channels.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Block(int item, in TileWalk walk, int firstTile, int first, int end, int dilation, float* v)
    {
        int padded = CpuBuffer.RoundUp(Config.Channels), tiles = Math.Min(Tiles, walk.Count - firstTile), tiles8 = (tiles + Gemm.Rows - 1) & -Gemm.Rows;
        float* z = v + Points * Tiles * padded, m = z + Outputs * Tiles * padded;
        float* absent = m + Points * Tiles * 2 * S.Width, filterBias = absent + padded, gateBias = filterBias + padded, residualBias = gateBias + padded;
        float* nowhere = residualBias + padded, zeros = nowhere + padded; // a row to write what nobody needs, and 2C zeros
        int* rows = stackalloc int[Tiles];
        walk.FirstRows(firstTile, new Span<int>(rows, tiles));
        PrepareBiases(item, absent, filterBias, gateBias, residualBias, zeros, padded);

        // Where the rows of output j of each tile stand; rows outside the range are computed with the others and go nowhere.
        float** conditioner = stackalloc float*[Outputs * Tiles], x = stackalloc float*[Outputs * Tiles], y = stackalloc float*[Outputs * Tiles];
        float** skips = stackalloc float*[Outputs * Tiles], skipsBefore = stackalloc float*[Outputs * Tiles];
        float* conditioner0 = Conditioner is null ? null : Conditioner.Row(item, 0), x0 = X.Row(item, XRow), y0 = Y.Row(item, YRow), skips0 = Skips.Row(item, SkipRow);
        nint conditionerStride = Conditioner?.Stride ?? 0, xStride = X.Stride, yStride = Y.Stride, skipStride = Skips.Stride;
        int ring = Conditioner?.Rows ?? 0;
        for (int j = 0; j < Outputs; j++)
            for (int tile = 0; tile < tiles8; tile++)
            {
                int row = tile < tiles ? rows[tile] + j * dilation : -1, at = j * Tiles + tile, conditionerRow = ConditionerRow + row;
                bool needed = row >= first && row < end;
                conditioner[at] = needed && conditioner0 != null ? conditioner0 + (conditionerRow < ring ? conditionerRow : conditionerRow - ring) * conditionerStride : zeros;
                x[at] = needed ? x0 + row * xStride : zeros;
                y[at] = needed ? y0 + row * yStride : nowhere;
                skips[at] = needed ? skips0 + row * skipStride : nowhere;
                skipsBefore[at] = Layer == 0 ? zeros : skips[at];
                // The conditioner comes from main memory, once a chain step; asked for here, it arrives while the products of the first panel are computed.
                if (Sse.IsSupported)
                    for (int c = 0; c < 2 * Config.Channels; c += 16) Sse.Prefetch1(conditioner[at] + c);
            }

        // Inputs reach d rows over both ends of the range, never over the ends of the signal: there stands a row of -step, so that x + step is exactly zero.
        int low = (int)Math.Max(-dilation, -Range.First), high = (int)Math.Min(Range.Count + (long)dilation, Range.Length - Range.First);
        TransformInputs(item, rows, tiles, dilation, low, high, StepBias.Row(item, Layer), absent, v, padded);

        int width = S.Width, columns = 2 * width, panels = Weights.Dilated.Panels / Points;
        for (int panel = 0; panel < panels; panel++)
        {
            for (int xi = 0; xi < Points; xi++)
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                    Gemm.Panel<S, V>(v + (xi * Tiles + tile) * padded, padded, Weights.Dilated.Panel(panel * Points + xi), Config.Channels, zeros, m + (xi * Tiles + tile) * columns, columns);
            GateOutputs(item, rows, tiles, dilation, first, end, panel * width, filterBias, gateBias, conditioner, m, z, padded);
        }

        // y = x sqrt(1/2) + residual columns (nobody reads the last layer's); skips = skips before (none for the first layer) + skip columns.
        int half = Weights.Output.Panels / 2;
        V rootHalf = S.Broadcast((float)Math.Sqrt(0.5)), one = S.Broadcast(1f);
        for (int panel = Layer == Config.Layers - 1 ? half : 0; panel < 2 * half; panel++)
        {
            float* bias = panel < half ? residualBias + panel * columns : Weights.Output.Bias + panel * columns;
            for (int j = 0; j < Outputs; j++)
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                {
                    int at = j * Tiles + tile;
                    var epilogue = panel < half
                        ? new Gemm.AddScaled<S, V>(x + at, rootHalf, y + at, panel * columns)
                        : new Gemm.AddScaled<S, V>(skipsBefore + at, one, skips + at, (panel - half) * columns);
                    Gemm.Panel<S, V, Gemm.AddScaled<S, V>>(z + at * padded, padded, Weights.Output.Panel(panel), Config.Channels, bias, epilogue);
                }
        }
    }

    private void PrepareBiases(int item, float* absent, float* filterBias, float* gateBias, float* residualBias, float* zeros, int padded)
    {
        var (filter, gate) = PackedWeights.Halves(Config);
        float* step = StepBias.Row(item, Layer), label = LabelBias is null ? null : LabelBias.Row(item, Layer);
        float stepScale = Config.ResidualIncludesStepEmbedding ? (float)Math.Sqrt(0.5) : 0;
        new Span<float>(absent, 5 * padded).Clear();
        new Span<float>(zeros, 2 * padded).Clear();
        for (int c = 0; c < Config.Channels; c++)
        {
            absent[c] = -step[c];
            filterBias[c] = Weights.DilatedBias[filter + c] + (label == null ? 0 : label[filter + c]);
            gateBias[c] = Weights.DilatedBias[gate + c] + (label == null ? 0 : label[gate + c]);
            residualBias[c] = Weights.Output.Bias[c] + stepScale * step[c];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransformInputs(int item, int* rows, int tiles, int dilation, int low, int high, float* step, float* absent, float* v, int padded)
    {
        float* x = X.Row(item, 0) + (nint)XRow * X.Stride;
        nint stride = X.Stride, plane = (nint)Tiles * padded;
        for (int tile = 0; tile < tiles; tile++)
        {
            int row = rows[tile] - dilation;
            float* x0 = row >= low && row < high ? x + row * stride : absent; row += dilation;
            float* x1 = row >= low && row < high ? x + row * stride : absent; row += dilation;
            float* x2 = row >= low && row < high ? x + row * stride : absent; row += dilation;
            float* x3 = row >= low && row < high ? x + row * stride : absent; row += dilation;
            float* x4 = row >= low && row < high ? x + row * stride : absent; row += dilation;
            float* x5 = row >= low && row < high ? x + row * stride : absent;
            float* target = v + tile * padded;
            for (int c = 0; c < Config.Channels; c += S.Width)
            {
                V e = S.Load(step + c);
                MinimalFilter.TransformInput<S, V>(S.Add(S.Load(x0 + c), e), S.Add(S.Load(x1 + c), e), S.Add(S.Load(x2 + c), e),
                    S.Add(S.Load(x3 + c), e), S.Add(S.Load(x4 + c), e), S.Add(S.Load(x5 + c), e), target + c, plane);
            }
        }
    }

    // Pre-gate sums of W channels from c on, and their gate: z[j, tile, c..c+W).
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void GateOutputs(int item, int* rows, int tiles, int dilation, int first, int end, int c, float* filterBias, float* gateBias, float** conditioner, float* m, float* z, int padded)
    {
        nint plane = Tiles * 2 * S.Width, next = Tiles * padded;
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        V biasF = S.Load(filterBias + c), biasG = S.Load(gateBias + c);
        for (int tile = 0; tile < tiles; tile++)
        {
            float* from = m + tile * 2 * S.Width, to = z + tile * padded + c;
            MinimalFilter.TransformOutput<S, V>(from, plane, out V filter0, out V filter1, out V filter2, out V filter3);
            MinimalFilter.TransformOutput<S, V>(from + S.Width, plane, out V gate0, out V gate1, out V gate2, out V gate3);
            filter0 = Sum(filter0, biasF, conditioner[tile] + filterAt + c); gate0 = Sum(gate0, biasG, conditioner[tile] + gateAt + c);
            filter1 = Sum(filter1, biasF, conditioner[Tiles + tile] + filterAt + c); gate1 = Sum(gate1, biasG, conditioner[Tiles + tile] + gateAt + c);
            filter2 = Sum(filter2, biasF, conditioner[2 * Tiles + tile] + filterAt + c); gate2 = Sum(gate2, biasG, conditioner[2 * Tiles + tile] + gateAt + c);
            filter3 = Sum(filter3, biasF, conditioner[3 * Tiles + tile] + filterAt + c); gate3 = Sum(gate3, biasG, conditioner[3 * Tiles + tile] + gateAt + c);
            S.Store(to, Gate.TanhSigmoid<S, V>(filter0, gate0));
            S.Store(to + next, Gate.TanhSigmoid<S, V>(filter1, gate1));
            S.Store(to + 2 * next, Gate.TanhSigmoid<S, V>(filter2, gate2));
            S.Store(to + 3 * next, Gate.TanhSigmoid<S, V>(filter3, gate3));
            if (Tape is not { } tape) continue;
            int row = rows[tile];
            if (row >= first && row < end) Keep(tape, item, row, c, filter0, gate0, to);
            if (row + dilation >= first && row + dilation < end) Keep(tape, item, row + dilation, c, filter1, gate1, to + next);
            if (row + 2 * dilation >= first && row + 2 * dilation < end) Keep(tape, item, row + 2 * dilation, c, filter2, gate2, to + 2 * next);
            if (row + 3 * dilation >= first && row + 3 * dilation < end) Keep(tape, item, row + 3 * dilation, c, filter3, gate3, to + 3 * next);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Sum(V value, V bias, float* conditioner) => S.Add(S.Add(value, bias), S.Load(conditioner));

    private void Keep(BlockTape tape, int item, int row, int c, V filter, V gate, float* gated)
    {
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        float* preGate = ((CpuBuffer)tape.PreGate.Buffer).Row(item, tape.PreGate.Row + row) + c;
        int lanes = Math.Min(S.Width, Config.Channels - c);
        if (lanes == S.Width)
        {
            S.Store(preGate + filterAt, filter);
            S.Store(preGate + gateAt, gate);
        }
        else // the other half may stand right behind
        {
            float* kept = stackalloc float[S.Width];
            S.Store(kept, filter);
            new Span<float>(kept, lanes).CopyTo(new Span<float>(preGate + filterAt, lanes));
            S.Store(kept, gate);
            new Span<float>(kept, lanes).CopyTo(new Span<float>(preGate + gateAt, lanes));
        }
        if (tape.Gated is { } target) new Span<float>(gated, lanes).CopyTo(new Span<float>(((CpuBuffer)target.Buffer).Row(item, target.Row + row) + c, lanes));
    }
}
