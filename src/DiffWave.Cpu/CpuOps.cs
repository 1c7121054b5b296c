using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// The CPU backend: <see cref="IOps"/> over threads and vectors of one width. Work is cut into fixed pieces that share nothing, so results depend neither on the
/// number of threads nor on the vector width. Make one with <see cref="CpuDevice.Create"/>.
/// </summary>
internal sealed unsafe partial class CpuOps<S, V> : IOps where S : struct, ISimd<V> where V : struct
{
    private const int BlockRows = 128;
    private readonly Team _team;
    private readonly BufferMemory _memory = new();
    private readonly string _simd;
    private PackedWeights? _weights;
    private nint[] _scratch = [];
    private ulong _seed;
    private long _first; // element of a draw that counts as its first

    public CpuOps(int threads, string simd)
    {
        _team = new Team(threads);
        _simd = simd;
    }

    public string Device => $"cpu ({_simd}, {_team.Threads} thread{(_team.Threads == 1 ? "" : "s")})";

    public Precision Precision => Precision.Fp32;

    public bool PrefersWholeSignals => false;

    public long SamplingBudget => 512L << 20;

    public long TrainingBudget => long.MaxValue;

    public int ActivationBytes => sizeof(float);

    public bool BlocksProjectMel => false;

    public int ConditionersAtOnce(ModelConfig config) => 1;

    public int WindowRows(ModelConfig config, int batch, int rows) => 0;

    public long WorkingRowBytes(ModelConfig config) => 0; // tiles near the caches

    private PackedWeights Weights => _weights ?? throw new InvalidOperationException("no weights are loaded: call Load first");

    public void Load(ModelConfig config, Parameters parameters)
    {
        _weights?.Dispose();
        _weights = new PackedWeights(config, parameters, S.Width);
        int floats = Math.Max(ResidualBlock<S, V>.ScratchFloats(config.Channels), MelUpsampler<S, V>.ScratchFloats(config.Bands, _weights.Layers[0].Upsampler));
        floats = Math.Max(floats, Gemm.Rows * (CpuBuffer.RoundUp(config.Channels) + 4 * S.Width));
        FreeScratch();
        _scratch = new nint[_team.Threads];
        for (int i = 0; i < _scratch.Length; i++) _scratch[i] = (nint)CpuBuffer.AllocateFloats(floats + CpuBuffer.ChannelGrain);
    }

    public IBuffer Allocate(int batch, int rows, int channels) => new CpuBuffer(_memory, batch, rows, channels);

    public IBuffer AllocateActivation(int batch, int rows, int channels) => Allocate(batch, rows, channels);

    public IBuffer AllocateSignal(int batch, int rows) => new CpuBuffer(_memory, batch, rows, 1, packed: true);

    public void Upload(ReadOnlySpan<float> values, IBuffer destination, int item, int row)
    {
        var buffer = (CpuBuffer)destination;
        for (int from = 0; from < values.Length; from += buffer.Channels)
            values.Slice(from, buffer.Channels).CopyTo(new Span<float>(buffer.Row(item, row++), buffer.Channels));
    }

    public void Download(IBuffer source, int item, int row, Span<float> values)
    {
        var buffer = (CpuBuffer)source;
        for (int to = 0; to < values.Length; to += buffer.Channels)
            new Span<float>(buffer.Row(item, row++), buffer.Channels).CopyTo(values.Slice(to, buffer.Channels));
    }

    public IDownload BeginDownload(IBuffer signal)
    {
        float[] values = new float[checked(signal.Batch * signal.Rows)];
        for (int item = 0; item < signal.Batch; item++) Download(signal, item, 0, values.AsSpan(item * signal.Rows, signal.Rows));
        return new Copied(values);
    }

    private sealed class Copied(float[] values) : IDownload
    {
        public ReadOnlySpan<float> Wait() => values;

        public void Dispose() { }
    }

    public IRecording Record(Action operations) => new Repetition(operations);

    private sealed class Repetition(Action operations) : IRecording
    {
        public void Run() => operations();

        public void Dispose() { }
    }

    public void SetSeed(ulong seed, long first) => (_seed, _first) = (seed, first);

    public void Normals(NoiseDraw draw, int rows, Window normals)
    {
        const int PieceRows = 4096;
        var to = (CpuBuffer)normals.Buffer;
        int pieces = (rows + PieceRows - 1) / PieceRows;
        _team.Run(to.Batch * pieces, (piece, _) =>
        {
            int item = piece / pieces, first = piece % pieces * PieceRows, count = Math.Min(PieceRows, rows - first);
            long element = _first + draw.First + item * draw.FirstStride + first;
            uint stream = draw.Stream + (uint)item * draw.StreamStride;
            float* target = to.Row(item, normals.Row + first);
            if (to.Stride == 1)
            {
                PhiloxNoise.Fill(_seed, stream, draw.Step, element, new Span<float>(target, count));
                return;
            }
            Span<float> values = stackalloc float[PieceRows];
            PhiloxNoise.Fill(_seed, stream, draw.Step, element, values[..count]);
            for (int row = 0; row < count; row++) target[(nint)row * to.Stride] = values[row];
        });
    }

    public void Clear(IBuffer buffer)
    {
        var cleared = (CpuBuffer)buffer;
        for (int item = 0; item < cleared.Batch; item++) // rows of 2 MB at a time, so that Span's length never overflows
            for (int row = 0; row < cleared.Rows; row += 4096) new Span<float>(cleared.Row(item, row), Math.Min(4096, cleared.Rows - row) * cleared.Stride).Clear();
    }

    public void Copy(Window source, Window destination, int rows)
    {
        var (from, to) = ((CpuBuffer)source.Buffer, (CpuBuffer)destination.Buffer);
        for (int item = 0; item < from.Batch; item++)
            new Span<float>(from.Row(item, source.Row), rows * from.Stride).CopyTo(new Span<float>(to.Row(item, destination.Row), rows * to.Stride));
    }

    public void StepEmbedding(IBuffer table, IBuffer embedding, IBuffer stepBias)
    {
        var e = (CpuBuffer)embedding;
        var hidden = new CpuBuffer(_memory, table.Batch, 1, ModelConfig.StepWidth);
        for (int item = 0; item < table.Batch; item++)
        {
            Vector(Weights.Step1, (CpuBuffer)table, item, hidden, item, 0, silu: true);
            Vector(Weights.Step2, hidden, item, e, item, 0, silu: true);
        }
        int layers = Weights.Config.Layers;
        _team.Run(table.Batch * layers, (piece, _) => Vector(Weights.Layers[piece % layers].Step, e, piece / layers, (CpuBuffer)stepBias, piece / layers, piece % layers, silu: false));
        hidden.Dispose();
    }

    public void LabelBias(IBuffer labels, IBuffer labelBias)
    {
        for (int item = 0; item < labels.Batch; item++)
        {
            using var row = new CpuBuffer(_memory, 1, 1, ModelConfig.LabelWidth);
            Upload(Weights.LabelEmbedding.AsSpan((int)*((CpuBuffer)labels).Row(item, 0) * ModelConfig.LabelWidth, ModelConfig.LabelWidth), row, 0, 0);
            for (int layer = 0; layer < Weights.Config.Layers; layer++)
                Vector(Weights.Layers[layer].Label!, row, 0, (CpuBuffer)labelBias, item, layer, silu: false);
        }
    }

    public void FoldBiases(IBuffer stepBias, IBuffer? labelBias) { }

    // One row through a matrix; the kernel's other seven rows repeat it.
    private static void Vector(PanelMatrix matrix, CpuBuffer from, int item, CpuBuffer to, int toItem, int toRow, bool silu)
    {
        int columns = matrix.PanelColumns;
        float* t = stackalloc float[Gemm.Rows * columns];
        float* target = to.Row(toItem, toRow);
        for (int panel = 0; panel < matrix.Panels; panel++)
        {
            Gemm.Panel<S, V>(from.Row(item, 0), 0, matrix.Panel(panel), matrix.K, matrix.Bias + panel * columns, t, columns);
            for (int c = 0; c < columns && panel * columns + c < to.Channels; c++)
                target[panel * columns + c] = silu ? t[c] / (1f + MathF.Exp(-t[c])) : t[c];
        }
    }

    public void InputProjection(TimeRange range, Window audio, Window x)
    {
        var (from, to) = ((CpuBuffer)audio.Buffer, (CpuBuffer)x.Buffer);
        var weights = Weights;
        Rows(range, from.Batch, (item, first, end, _) =>
        {
            float* source = from.Row(item, audio.Row);
            fixed (float* w = weights.InputWeight, b = weights.InputBias)
                for (int row = first; row < end; row++)
                {
                    V sample = S.Broadcast(source[(nint)row * from.Stride]);
                    float* target = to.Row(item, x.Row + row);
                    for (int c = 0; c < weights.InputWeight.Length; c += S.Width)
                        S.Store(target + c, S.AtLeast(S.Zero, S.Fma(S.Load(w + c), sample, S.Load(b + c))));
                }
        });
    }

    public void UpsampleMel(int layer, TimeRange range, Window mel, int firstFrame, int frames, Window upsampled) =>
        Upsample(Weights.Layers[layer].Upsampler, range, mel, firstFrame, frames, upsampled);

    private void Upsample(UpsamplerStage[] stages, TimeRange range, Window mel, int firstFrame, int frames, Window upsampled)
    {
        var (from, to) = ((CpuBuffer)mel.Buffer, (CpuBuffer)upsampled.Buffer);
        Rows(range, from.Batch, (item, first, end, thread) =>
        {
            for (int block = first; block < end; block += MelUpsampler<S, V>.BlockRows)
                MelUpsampler<S, V>.Run(stages, from.Channels, from.Row(item, mel.Row), from.Stride, firstFrame, frames,
                    range.First + block, range.First + Math.Min(end, block + MelUpsampler<S, V>.BlockRows), to.Row(item, upsampled.Row + block), to.Stride, (float*)_scratch[thread]);
        });
    }

    public void ConditionerProjection(int layer, TimeRange range, Window upsampled, Window conditioner)
    {
        var (from, to) = ((CpuBuffer)upsampled.Buffer, (CpuBuffer)conditioner.Buffer);
        var matrix = Weights.Layers[layer].Conditioner!;
        Rows(range, from.Batch, (item, first, end, thread) =>
        {
            float* t = (float*)_scratch[thread];
            for (int panel = 0; panel < matrix.Panels; panel++)
                for (int row = first; row < end; row += Gemm.Rows)
                {
                    int columns = matrix.PanelColumns, here = Math.Min(Gemm.Rows, end - row), at = (conditioner.Row + row) % to.Rows;
                    bool whole = here == Gemm.Rows && at + Gemm.Rows <= to.Rows;
                    float* target = to.Row(item, at) + panel * columns;
                    Gemm.Panel<S, V>(from.Row(item, upsampled.Row + row), from.Stride, matrix.Panel(panel), matrix.K, matrix.Bias + panel * columns, whole ? target : t, whole ? to.Stride : columns);
                    for (int i = 0; !whole && i < here; i++)
                        new Span<float>(t + i * columns, columns).CopyTo(new Span<float>(to.Row(item, (at + i) % to.Rows) + panel * columns, columns));
                }
        });
    }

    public void ResidualBlock(int layer, TimeRange range, Window x, IBuffer stepBias, IBuffer? labelBias, Window? conditioner, Window y, Window skips, BlockTape? tape = null)
    {
        new ResidualBlock<S, V>
        {
            Weights = Weights.Layers[layer], Config = Weights.Config, Layer = layer, Range = range, X = (CpuBuffer)x.Buffer, XRow = x.Row, StepBias = (CpuBuffer)stepBias,
            LabelBias = (CpuBuffer?)labelBias, Conditioner = (CpuBuffer?)conditioner?.Buffer, ConditionerRow = conditioner?.Row ?? 0,
            Y = (CpuBuffer)y.Buffer, YRow = y.Row, Skips = (CpuBuffer)skips.Buffer, SkipRow = skips.Row, Tape = tape,
        }.Run(_team, thread => _scratch[thread]);
    }

    public void Head(TimeRange range, Window skips, Window eps)
    {
        var (from, to) = ((CpuBuffer)skips.Buffer, (CpuBuffer)eps.Buffer);
        var weights = Weights;
        Rows(range, from.Batch, (item, first, end, thread) =>
        {
            int padded = CpuBuffer.RoundUp(weights.Config.Channels), columns = weights.Skip.PanelColumns;
            float* h = (float*)_scratch[thread], t = h + Gemm.Rows * padded;
            for (int row = first; row < end; row += Gemm.Rows)
            {
                for (int panel = 0; panel < weights.Skip.Panels; panel++)
                    Gemm.Panel<S, V>(from.Row(item, skips.Row + row), from.Stride, weights.Skip.Panel(panel), weights.Skip.K, weights.Skip.Bias + panel * columns, h + panel * columns, padded);
                for (int c = 0; c < Gemm.Rows * padded; c += S.Width) S.Store(h + c, S.AtLeast(S.Zero, S.Load(h + c)));
                Gemm.Panel<S, V>(h, padded, weights.Head.Panel(0), weights.Head.K, weights.Head.Bias, t, columns);
                for (int i = 0; i < Gemm.Rows && row + i < end; i++) *to.Row(item, eps.Row + row + i) = t[i * columns];
            }
        });
    }

    public void ReverseStep(TimeRange range, Window x, Window eps, Window noise, float scale, float epsWeight, float sigma, bool clamp, Window y)
    {
        var (first, end) = Existing(range);
        for (int item = 0; item < x.Buffer.Batch; item++)
            for (int row = first; row < end; row++)
            {
                // Plain products and sums, no FMA: the order and roundings of the reference samplers.
                float value = scale * (*At(x, item, row) - epsWeight * *At(eps, item, row));
                if (sigma != 0) value += sigma * *At(noise, item, row);
                *At(y, item, row) = clamp ? Math.Clamp(value, -1f, 1f) : value;
            }

        static float* At(Window window, int item, int row) => ((CpuBuffer)window.Buffer).Row(item, window.Row + row);
    }

    // Rows of a range that exist, relative to its start.
    private static (int First, int End) Existing(TimeRange range) => ((int)Math.Max(0, -range.First), (int)Math.Min(range.Count, range.Length - range.First));

    // Runs body(item, first, end, thread) over blocks of the rows that exist.
    private void Rows(TimeRange range, int batch, Action<int, int, int, int> body)
    {
        var (first, end) = Existing(range);
        if (first >= end) return;
        int blocks = (end - first + BlockRows - 1) / BlockRows;
        _team.Run(batch * blocks, (piece, thread) =>
        {
            int from = first + piece % blocks * BlockRows;
            body(piece / blocks, from, Math.Min(end, from + BlockRows), thread);
        });
    }

    public void Dispose()
    {
        _team.Dispose();
        _weights?.Dispose();
        _weights = null;
        _training?.Dispose();
        _training = null;
        _memory.Dispose();
        FreeScratch();
    }

    private void FreeScratch()
    {
        foreach (nint scratch in _scratch) NativeMemory.AlignedFree((void*)scratch);
        _scratch = [];
    }
}
