using System.Runtime.CompilerServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// Backward of one residual block. First, by slices of rows: the gradient before the gate, and what the rows add to the weight gradients. Then, by tiles: the gradient of x, a
/// three-tap convolution with the flipped, transposed weights, by minimal filtering like the forward one.
/// FLOPs a row by direct counting: 2 * 2 * (3 * C * 2C + C * 2C), twice the forward block's; executed with F(4, 3) for x: 2 * (1.5 + 3 + 2) * C * 2C.
/// Bytes a row: 4 (C x, 2 * 2C pre-gate in and its gradient out, 2C its gradient again, C skips, 2 C y in and x out).
/// </summary>
internal sealed unsafe class ResidualBlockBackward<S, V> where S : struct, ISimd<V> where V : struct
{
    private const int Tiles = 32, Points = MinimalFilter.Points, Outputs = MinimalFilter.Outputs, BlockRows = 128;

    public required BackwardLayer Layer { get; init; }
    public required ModelConfig Config { get; init; }
    public required CpuBuffer X { get; init; }
    public required CpuBuffer StepBias { get; init; }
    public required CpuBuffer PreGate { get; init; }
    public required CpuBuffer DSkips { get; init; }
    public required CpuBuffer DY { get; init; }
    public required CpuBuffer DX { get; init; }
    public required CpuBuffer DPreGate { get; init; }
    public required CpuBuffer DStepBias { get; init; }
    public required CpuBuffer? DLabelBias { get; init; }

    private int Padded => CpuBuffer.RoundUp(Config.Channels);
    private bool IsLast => Layer.Index == Config.Layers - 1;

    // A slice's sums, transposed so that outputs are vectors: dilated [3, C, 2C], output [C, 2C], then their biases [2C] each.
    private int Columns => SliceSums<S, V>.Columns(2 * Config.Channels);
    private int Inputs => SliceSums<S, V>.Inputs(Config.Channels);
    private int OutputAt => 3 * Inputs * Columns;
    private int DilatedBiasAt => 4 * Inputs * Columns;
    private int OutputBiasAt => DilatedBiasAt + Columns;
    private int SumFloats => OutputBiasAt + Columns;

    /// <summary>Floats of scratch a thread needs.</summary>
    public static int ScratchFloats(int channels)
    {
        int padded = CpuBuffer.RoundUp(channels), pair = CpuBuffer.RoundUp(2 * channels);
        int slices = BlockRows * (pair + 2 * padded) + 2 * pair, tiles = Points * Tiles * (pair + 2 * S.Width) + pair;
        return Math.Max(slices, tiles) + 2 * CpuBuffer.ChannelGrain;
    }

    public void Run(Team team, TrainingMemory memory)
    {
        int rows = X.Rows, slices = SliceSums<S, V>.Slices(rows), c = Config.Channels;
        var walk = new TileWalk(0, rows, Config.Dilation(Layer.Index));
        int blocks = (walk.Count + Tiles - 1) / Tiles;
        long stepAt = (long)slices * SumFloats;
        for (int item = 0; item < X.Batch; item++)
        {
            float* partial = memory.Partials.AtLeast(stepAt + (long)blocks * Padded);
            team.Run(slices, (slice, thread) =>
                WeightGradients(item, slice * SliceSums<S, V>.SliceRows, Math.Min(rows, (slice + 1) * SliceSums<S, V>.SliceRows), partial + (long)slice * SumFloats, memory.Scratch(thread, ScratchFloats(c))));
            int sumRows = 4 * c + 2;
            team.Run(sumRows + blocks, (piece, thread) =>
            {
                if (piece < sumRows) AddSums(item, piece, slices, partial, memory.Scratch(thread, ScratchFloats(c)));
                else DataGradient(item, walk, (piece - sumRows) * Tiles, partial + stepAt + (long)(piece - sumRows) * Padded, memory.Scratch(thread, ScratchFloats(c)));
            });
            SliceSums<S, V>.Total(partial + stepAt, Padded, blocks, Padded, DStepBias.Row(item, Layer.Index));
        }
    }

    // Rows [first, end): their pre-gate gradient and their share of the weight gradients.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void WeightGradients(int item, int first, int end, float* partial, float* scratch)
    {
        int c = Config.Channels, padded = Padded, pair = CpuBuffer.RoundUp(2 * c), columns = 2 * S.Width;
        float* dOutput = scratch, z = dOutput + BlockRows * pair + CpuBuffer.ChannelGrain, h = z + BlockRows * padded, zeros = h + BlockRows * padded;
        new Span<float>(partial, SumFloats).Clear();
        new Span<float>(zeros, pair).Clear();
        for (int row = first; row < end; row += BlockRows)
        {
            int count = Math.Min(BlockRows, end - row);
            OutputGradient(item, row, count, dOutput, pair);
            for (int panel = 0; panel < Layer.Output.Panels; panel++)
                for (int t = 0; t < count; t += Gemm.Rows)
                    Gemm.Panel<S, V>(dOutput + t * pair, pair, Layer.Output.Panel(panel), 2 * c, zeros, z + t * padded + panel * columns, padded);
            float* dPreGate = DPreGate.Row(item, row);
            GateGradient(PreGate.Row(item, row), PreGate.Stride, dPreGate, DPreGate.Stride, count, z, padded);
            SliceSums<S, V>.AddRows(dOutput, pair, count, 2 * c, partial + OutputBiasAt);
            SliceSums<S, V>.AddRows(dPreGate, DPreGate.Stride, count, 2 * c, partial + DilatedBiasAt);
            SliceSums<S, V>.AddProducts(z, padded, c, dOutput, pair, 2 * c, count, partial + OutputAt);
            for (int tap = 0; tap < 3; tap++)
            {
                BlockInput(item, row + (tap - 1) * Config.Dilation(Layer.Index), count, h, padded);
                SliceSums<S, V>.AddProducts(h, padded, c, dPreGate, DPreGate.Stride, 2 * c, count, partial + tap * Inputs * Columns);
            }
        }
    }

    // Gradient of the output projection's result: [residual | skip] = [dy sqrt(1/2) | dskips].
    private void OutputGradient(int item, int row, int count, float* dOutput, int pair)
    {
        V rootHalf = S.Broadcast((float)Math.Sqrt(0.5));
        int c = Config.Channels;
        for (int t = 0; t < count; t++, dOutput += pair)
        {
            float* dy = DY.Row(item, row + t), dSkip = DSkips.Row(item, row + t);
            for (int i = 0; i < c; i += S.Width) S.Store(dOutput + i, IsLast ? S.Zero : S.Mul(rootHalf, S.Load(dy + i)));
            for (int i = 0; i < c; i += S.Width) S.Store(dOutput + c + i, S.Load(dSkip + i)); // over what the residual half wrote past its end
        }
    }

    // z comes as the gradient of the gated activation and leaves as that activation itself.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void GateGradient(float* preGate, nint stride, float* dPreGate, nint gradientStride, int count, float* z, int padded)
    {
        var (filterAt, gateAt) = PackedWeights.Halves(Config);
        V one = S.Broadcast(1f);
        float* kept = stackalloc float[2 * S.Width];
        for (int t = 0; t < count; t++, preGate += stride, dPreGate += gradientStride, z += padded)
            for (int c = 0; c < Config.Channels; c += S.Width)
            {
                float* filter = preGate + filterAt + c, gate = preGate + gateAt + c;
                Gate.TanhAndSigmoid<S, V>(S.Load(filter), S.Load(gate), out V tanh, out V sigmoid);
                V gated = S.Mul(tanh, sigmoid), dz = S.Load(z + c);
                V dFilter = S.Mul(S.Mul(dz, sigmoid), S.Mul(S.Sub(one, tanh), S.Add(one, tanh))), dGate = S.Mul(S.Mul(dz, gated), S.Sub(one, sigmoid));
                S.Store(z + c, gated);
                int lanes = Math.Min(S.Width, Config.Channels - c);
                if (lanes == S.Width)
                {
                    S.Store(dPreGate + filterAt + c, dFilter);
                    S.Store(dPreGate + gateAt + c, dGate);
                    continue;
                }
                S.Store(kept, dFilter); // the other half may stand right behind
                S.Store(kept + S.Width, dGate);
                new Span<float>(kept, lanes).CopyTo(new Span<float>(dPreGate + filterAt + c, lanes));
                new Span<float>(kept + S.Width, lanes).CopyTo(new Span<float>(dPreGate + gateAt + c, lanes));
            }
    }

    // h = x + step for rows [row, row + count); zero outside the signal.
    private void BlockInput(int item, int row, int count, float* h, int padded)
    {
        float* step = StepBias.Row(item, Layer.Index);
        for (int t = 0; t < count; t++, h += padded)
        {
            if (row + t < 0 || row + t >= X.Rows)
            {
                new Span<float>(h, padded).Clear();
                continue;
            }
            float* x = X.Row(item, row + t);
            for (int c = 0; c < Config.Channels; c += S.Width) S.Store(h + c, S.Add(S.Load(x + c), S.Load(step + c)));
        }
    }

    // The second stage: row `piece` of the sums over all slices, onto the gradients.
    private void AddSums(int item, int piece, int slices, float* partial, float* total)
    {
        int c = Config.Channels, at = piece < 3 * c ? (piece / c * Inputs + piece % c) * Columns : piece < 4 * c ? OutputAt + (piece - 3 * c) * Columns : piece == 4 * c ? DilatedBiasAt : OutputBiasAt;
        SliceSums<S, V>.Total(partial + at, SumFloats, slices, Columns, total);
        if (piece < 3 * c) Scatter(Layer.DilatedWeight, piece % c * 3 + piece / c, 3 * c);
        else if (piece < 4 * c) Scatter(Layer.OutputWeight, piece - 3 * c, c);
        else Scatter(piece == 4 * c ? Layer.DilatedBias : Layer.OutputBias, 0, 1);
        if (piece == 4 * c && DLabelBias is not null) new Span<float>(total, 2 * c).CopyTo(new Span<float>(DLabelBias.Row(item, Layer.Index), 2 * c));

        void Scatter(Span<float> gradient, int from, int stride)
        {
            for (int o = 0; o < 2 * c; o++) gradient[from + o * stride] += total[o];
        }
    }

    // One block of tiles of dx = [dy sqrt(1/2)] + conv3(d pre-gate), and its rows' share of the step's gradient. Scratch: v [6, 32, 2C], m [6, 32, 2W] and 2C zeros.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void DataGradient(int item, in TileWalk walk, int firstTile, float* stepSum, float* v)
    {
        int c = Config.Channels, pair = CpuBuffer.RoundUp(2 * c), columns = 2 * S.Width, dilation = Config.Dilation(Layer.Index), end = X.Rows;
        int tiles = Math.Min(Tiles, walk.Count - firstTile), tiles8 = (tiles + Gemm.Rows - 1) & -Gemm.Rows;
        float* m = v + Points * Tiles * pair, zeros = m + Points * Tiles * columns;
        new Span<float>(zeros, pair).Clear();
        int* rows = stackalloc int[Tiles];
        walk.FirstRows(firstTile, new Span<int>(rows, tiles));

        nint vPlane = Tiles * pair;
        for (int tile = 0; tile < tiles; tile++)
        {
            float* x0 = RowOrZero(rows[tile] - dilation), x1 = RowOrZero(rows[tile]), x2 = RowOrZero(rows[tile] + dilation);
            float* x3 = RowOrZero(rows[tile] + 2 * dilation), x4 = RowOrZero(rows[tile] + 3 * dilation), x5 = RowOrZero(rows[tile] + 4 * dilation);
            for (int i = 0; i < 2 * c; i += S.Width)
                MinimalFilter.TransformInput<S, V>(S.Load(x0 + i), S.Load(x1 + i), S.Load(x2 + i), S.Load(x3 + i), S.Load(x4 + i), S.Load(x5 + i), v + tile * pair + i, vPlane);
        }

        V residual = S.Broadcast((float)Math.Sqrt(0.5));
        nint plane = Tiles * columns;
        for (int panel = 0; panel < Layer.Dilated.Panels / Points; panel++)
        {
            for (int xi = 0; xi < Points; xi++)
                for (int tile = 0; tile < tiles8; tile += Gemm.Rows)
                    Gemm.Panel<S, V>(v + (xi * Tiles + tile) * pair, pair, Layer.Dilated.Panel(panel * Points + xi), 2 * c, zeros, m + (xi * Tiles + tile) * columns, columns);
            for (int at = panel * columns; at < (panel + 1) * columns; at += S.Width)
            {
                V sum = S.Zero;
                for (int tile = 0; tile < tiles; tile++)
                {
                    MinimalFilter.TransformOutput<S, V>(m + tile * columns + at % columns, plane, S.Zero, S.Zero, S.Zero, S.Zero, out V y0, out V y1, out V y2, out V y3);
                    sum = Finish(rows[tile], y0, at, sum);
                    sum = Finish(rows[tile] + dilation, y1, at, sum);
                    sum = Finish(rows[tile] + 2 * dilation, y2, at, sum);
                    sum = Finish(rows[tile] + 3 * dilation, y3, at, sum);
                }
                S.Store(stepSum + at, sum);
            }
        }

        float* RowOrZero(int row) => row >= 0 && row < end ? DPreGate.Row(item, row) : zeros;

        V Finish(int row, V convolved, int at, V sum)
        {
            if (row >= end) return sum;
            V carried = IsLast ? S.Zero : S.Mul(residual, S.Load(DY.Row(item, row) + at)), result = S.Add(carried, convolved);
            S.Store(DX.Row(item, row) + at, result);
            return S.Add(sum, Config.ResidualIncludesStepEmbedding ? result : convolved);
        }
    }
}
