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
        return (Points + Outputs) * Tiles * padded + (Points * Tiles + Gemm.Rows) * 2 * S.Width + 4 * padded;
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

    // One block of tiles. Scratch: v [6, 32, C], z [4, 32, C], m [6, 32, 2W], t [8, 2W], and four vectors over channels.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Block(int item, in TileWalk walk, int firstTile, int first, int end, int dilation, float* v)
    {
        int padded = CpuBuffer.RoundUp(Config.Channels), tiles = Math.Min(Tiles, walk.Count - firstTile), tiles8 = (tiles + Gemm.Rows - 1) & -Gemm.Rows;
        float* z = v + Points * Tiles * padded, m = z + Outputs * Tiles * padded, t = m + Points * Tiles * 2 * S.Width;
        float* absent = t + Gemm.Rows * 2 * S.Width, filterBias = absent + padded, gateBias = filterBias + padded, zeros = gateBias + padded;
        float* step = StepBias.Row(item, Layer);
        int* rows = stackalloc int[Tiles];
        walk.FirstRows(firstTile, new Span<int>(rows, tiles));
        PrefetchConditioner(item, rows, tiles, dilation, first, end);
        PrepareBiases(item, step, absent, filterBias, gateBias, zeros, padded);

        // Inputs reach d rows over both ends of the range, never over the ends of the signal: there stands a row of -step, so that x + step is exactly zero.
        int low = (int)Math.Max(-dilation, -Range.First), high = (int)Math.Min(Range.Count + (long)dilation, Range.Length - Range.First);
        TransformInputs(item, rows, tiles, dilation, low, high, step, absent, v, padded);

        int width = S.Width, columns = 2 * width, panels = Weights.Dilated.Panels / Points;
        for (int panel = 0; panel < panels; panel++)
        {
            for (int xi = 0; xi < Points; xi++)
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                    Gemm.Panel<S, V>(v + (xi * Tiles + tile) * padded, padded, Weights.Dilated.Panel(panel * Points + xi), Config.Channels, zeros, m + (xi * Tiles + tile) * columns, columns);
            GateOutputs(item, rows, tiles, dilation, first, end, panel * width, filterBias, gateBias, m, z, padded);
        }
        ProjectOutputs(item, rows, tiles, tiles8, dilation, first, end, step, z, t, padded);
    }

    // The conditioner comes from main memory, once a chain step; asked for here, it arrives while the products of the first panel are computed.
    private void PrefetchConditioner(int item, int* rows, int tiles, int dilation, int first, int end)
    {
        if (Conditioner is null || !Sse.IsSupported) return;
        for (int tile = 0; tile < tiles; tile++)
            for (int j = 0, row = rows[tile]; j < Outputs; j++, row += dilation)
            {
                if (row < first || row >= end) continue;
                int at = ConditionerRow + row;
                float* values = Conditioner.Row(item, at < Conditioner.Rows ? at : at - Conditioner.Rows);
                for (int c = 0; c < 2 * Config.Channels; c += 16) Sse.Prefetch1(values + c);
            }
    }

    private void PrepareBiases(int item, float* step, float* absent, float* filterBias, float* gateBias, float* zeros, int padded)
    {
        var (filter, gate) = PackedWeights.Halves(Config);
        float* label = LabelBias is null ? null : LabelBias.Row(item, Layer);
        for (int c = 0; c < padded; c++)
        {
            bool real = c < Config.Channels;
            absent[c] = real ? -step[c] : 0;
            filterBias[c] = real ? Weights.DilatedBias[filter + c] + (label == null ? 0 : label[filter + c]) : 0;
            gateBias[c] = real ? Weights.DilatedBias[gate + c] + (label == null ? 0 : label[gate + c]) : 0;
            zeros[c] = 0;
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
    private void GateOutputs(int item, int* rows, int tiles, int dilation, int first, int end, int c, float* filterBias, float* gateBias, float* m, float* z, int padded)
    {
        nint plane = Tiles * 2 * S.Width;
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        var conditioner = Conditioner is null ? default : new ConditionerRows(Conditioner.Row(item, 0) + c, Conditioner.Stride, Conditioner.Rows, ConditionerRow, filterAt, gateAt);
        V biasF = S.Load(filterBias + c), biasG = S.Load(gateBias + c);
        for (int tile = 0; tile < tiles; tile++)
        {
            float* from = m + tile * 2 * S.Width, to = z + tile * padded + c;
            int row = rows[tile];
            MinimalFilter.TransformOutput<S, V>(from, plane, out V filter0, out V filter1, out V filter2, out V filter3);
            MinimalFilter.TransformOutput<S, V>(from + S.Width, plane, out V gate0, out V gate1, out V gate2, out V gate3);
            if (row >= first && row < end) GateRow(conditioner, item, row, c, S.Add(filter0, biasF), S.Add(gate0, biasG), to);
            row += dilation; to += Tiles * padded;
            if (row >= first && row < end) GateRow(conditioner, item, row, c, S.Add(filter1, biasF), S.Add(gate1, biasG), to);
            row += dilation; to += Tiles * padded;
            if (row >= first && row < end) GateRow(conditioner, item, row, c, S.Add(filter2, biasF), S.Add(gate2, biasG), to);
            row += dilation; to += Tiles * padded;
            if (row >= first && row < end) GateRow(conditioner, item, row, c, S.Add(filter3, biasF), S.Add(gate3, biasG), to);
        }
    }

    // Where the conditioner of a row stands, for W channels; Values is null without one.
    private readonly struct ConditionerRows(float* values, nint stride, int ring, int first, int filterAt, int gateAt)
    {
        public readonly float* Values = values;
        public readonly int FilterAt = filterAt, GateAt = gateAt;
        private readonly nint _stride = stride;
        private readonly int _ring = ring, _first = first;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public float* Row(int row) => Values + (_first + row < _ring ? _first + row : _first + row - _ring) * _stride;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void GateRow(in ConditionerRows conditioner, int item, int row, int c, V filter, V gate, float* gated)
    {
        if (conditioner.Values != null)
        {
            float* values = conditioner.Row(row);
            filter = S.Add(filter, S.Load(values + conditioner.FilterAt));
            gate = S.Add(gate, S.Load(values + conditioner.GateAt));
        }
        S.Store(gated, Gate.TanhSigmoid<S, V>(filter, gate));
        if (Tape is { } tape) Keep(tape, item, row, c, filter, gate, gated);
    }

    private void Keep(BlockTape tape, int item, int row, int c, V filter, V gate, float* gated)
    {
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        int lanes = Math.Min(S.Width, Config.Channels - c);
        float* preGate = ((CpuBuffer)tape.PreGate.Buffer).Row(item, tape.PreGate.Row + row);
        float* kept = stackalloc float[S.Width];
        S.Store(kept, filter);
        new Span<float>(kept, lanes).CopyTo(new Span<float>(preGate + filterAt + c, lanes));
        S.Store(kept, gate);
        new Span<float>(kept, lanes).CopyTo(new Span<float>(preGate + gateAt + c, lanes));
        new Span<float>(gated, lanes).CopyTo(new Span<float>(((CpuBuffer)tape.Gated.Buffer).Row(item, tape.Gated.Row + row) + c, lanes));
    }

    // y = (x [+ step]) sqrt(1/2) + residual columns; skips (+)= skip columns.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ProjectOutputs(int item, int* rows, int tiles, int tiles8, int dilation, int first, int end, float* step, float* z, float* t, int padded)
    {
        int columns = 2 * S.Width, half = Weights.Output.Panels / 2;
        bool addStep = Config.ResidualIncludesStepEmbedding, starts = Layer == 0;
        float* x = X.Row(item, 0) + (nint)XRow * X.Stride, y = Y.Row(item, 0) + (nint)YRow * Y.Stride, skips = Skips.Row(item, 0) + (nint)SkipRow * Skips.Stride;
        V rootHalf = S.Broadcast((float)Math.Sqrt(0.5));
        for (int panel = Layer == Config.Layers - 1 ? half : 0; panel < Weights.Output.Panels; panel++)
        {
            bool residual = panel < half;
            int c = panel % half * columns;
            float* weights = Weights.Output.Panel(panel), bias = Weights.Output.Bias + panel * columns;
            V stepP = addStep ? S.Load(step + c) : S.Zero, stepQ = addStep ? S.Load(step + c + S.Width) : S.Zero;
            for (int j = 0; j < Outputs; j++)
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                {
                    Gemm.Panel<S, V>(z + (j * Tiles + tile) * padded, padded, weights, Config.Channels, bias, t, columns);
                    int here = Math.Min(Gemm.Rows, tiles - tile);
                    for (int i = 0; i < here; i++)
                    {
                        int row = rows[tile + i] + j * dilation;
                        if (row < first || row >= end) continue;
                        V p = S.Load(t + i * columns), q = S.Load(t + i * columns + S.Width);
                        if (residual)
                        {
                            float* from = x + (nint)row * X.Stride + c, to = y + (nint)row * Y.Stride + c;
                            S.Store(to, S.Fma(S.Add(S.Load(from), stepP), rootHalf, p));
                            S.Store(to + S.Width, S.Fma(S.Add(S.Load(from + S.Width), stepQ), rootHalf, q));
                        }
                        else
                        {
                            float* to = skips + (nint)row * Skips.Stride + c;
                            S.Store(to, starts ? p : S.Add(S.Load(to), p));
                            S.Store(to + S.Width, starts ? q : S.Add(S.Load(to + S.Width), q));
                        }
                    }
                }
        }
    }
}
