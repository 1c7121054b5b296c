using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// The reverse chain over signals held whole on the device, one step after the other. All its operations form one recording that the device replays for further signals of the same
/// shape; the seed, the mels and the labels are what differs between runs.
/// </summary>
internal sealed class WholeChain : IDisposable
{
    private const int PieceRows = 1 << 16; // audio handed on at a time

    /// <summary>What a chain is made for.</summary>
    /// <param name="Lengths">T of each signal.</param>
    /// <param name="Frames">Frames of each signal's mel; none without a mel.</param>
    /// <param name="Steps">The reverse steps.</param>
    /// <param name="Stream">Sequence of the first signal's noise.</param>
    /// <param name="StreamStride">From a signal's sequence to the next one's.</param>
    /// <param name="KeepsMel">Whether there is memory for every layer's conditioner; else each step computes them again.</param>
    internal sealed record Shape(IReadOnlyList<int> Lengths, IReadOnlyList<int> Frames, IReadOnlyList<SamplerStep> Steps, uint Stream, uint StreamStride, bool KeepsMel)
    {
        /// <summary>The shape of some items of a request, or null when their activations do not fit a budget in bytes of a device.</summary>
        public static Shape? Of(ModelConfig config, IOps ops, SamplerRequest request, int first, int count, long budget)
        {
            long rows = 0;
            for (int item = first; item < first + count; item++) rows += request.Lengths[item];
            if (rows > int.MaxValue / 2) return null;
            // x, y and skips; working memory; signals; what becomes of the mel, for a layer at a time or for all.
            long others = 3L * config.Channels * ops.ActivationBytes + ops.WorkingRowBytes(config) + 4 * sizeof(float);
            long one = others + WholeMel.RowBytes(ops, config, keeps: false), kept = others + WholeMel.RowBytes(ops, config, keeps: true);
            long bytes = budget / rows;
            if (bytes < one) return null;
            uint stride = request.Noise.StreamStride;
            return new Shape([.. request.Lengths.Skip(first).Take(count).Select(length => (int)length)], config.HasMel ? [.. request.Mels!.Skip(first).Take(count).Select(mel => mel.Frames)] : [], [.. request.Steps],
                (uint)first * stride, stride, config.HasMel && bytes >= kept);
        }

        /// <summary>Whether a chain made for this shape serves another.</summary>
        public bool Serves(Shape other) => (Stream, StreamStride, KeepsMel) == (other.Stream, other.StreamStride, other.KeepsMel)
            && Lengths.SequenceEqual(other.Lengths) && Frames.SequenceEqual(other.Frames) && Steps.SequenceEqual(other.Steps);
    }

    private readonly ModelConfig _config;
    private readonly IOps _ops;
    private readonly Disposables _owned = new();
    private readonly WholeSignals _signals;
    private readonly WholeNetwork _network;
    private readonly StepCondition[] _conditions;
    private readonly WholeMel? _mel;
    private readonly IBuffer _x, _eps, _noise;
    private readonly IRecording _recording;
    private SamplerRun? _run; // under way
    private int _first;

    /// <param name="config">The model.</param>
    /// <param name="ops">The device.</param>
    /// <param name="shape">What the chain is made for.</param>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    public WholeChain(ModelConfig config, IOps ops, Shape shape)
    {
        (_config, _ops, Made) = (config, ops, shape);
        _signals = new WholeSignals(shape.Lengths, sideBySide: shape.Frames.Distinct().Count() <= 1);
        try
        {
            _conditions = [.. shape.Steps.Select(step => _owned.Add(new StepCondition(ops, config, [.. Enumerable.Repeat(step.Step, shape.Lengths.Count)])))];
            _mel = config.HasMel ? _owned.Add(new WholeMel(ops, config, _signals, shape.Frames, shape.KeepsMel)) : null;
            _network = _owned.Add(new WholeNetwork(ops, config, _signals, windows: _mel is null or { Keeps: true }));
            _x = _owned.Add(ops.AllocateSignal(_signals.Batch, _signals.Rows));
            _eps = _owned.Add(ops.AllocateSignal(_signals.Batch, _signals.Rows));
            _noise = _owned.Add(ops.AllocateSignal(_signals.Batch, _signals.Rows));
            _recording = _owned.Add(ops.Record(Steps));
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    /// <summary>What the chain is made for.</summary>
    public Shape Made { get; }

    /// <summary>Runs the chain over the items of a request from one on, and begins to fetch their audio.</summary>
    public Arriving Start(SamplerRun run, int first)
    {
        (_run, _first) = (run, first);
        SamplerRequest request = run.Request;
        int count = Made.Lengths.Count;
        _mel?.Upload([.. request.Mels!.Skip(first).Take(count)]);
        foreach (StepCondition condition in _conditions) condition.SetLabels([.. request.Labels.Skip(first).Take(count)]);
        if (request.Noise.Seed is { } seed)
        {
            _ops.SetSeed(seed);
            _recording.Run();
        }
        else Steps(); // with uploads in between it is no recording
        return new Arriving(run, first, _signals, _ops.BeginDownload(_x));
    }

    /// <summary>Audio of items on its way to the host.</summary>
    internal sealed class Arriving(SamplerRun run, int first, WholeSignals signals, IDownload audio) : IDisposable
    {
        /// <summary>Hands it on, item after item.</summary>
        public void HandOn()
        {
            ReadOnlySpan<float> values = audio.Wait();
            for (int s = 0; s < signals.Lengths.Count; s++)
                for (int row = 0; row < signals.Lengths[s]; row += PieceRows)
                {
                    run.Cancel.ThrowIfCancellationRequested();
                    Place place = signals.PlaceOf(s);
                    run.Write(first + s, row, values.Slice(place.Item * signals.Rows + place.Row + row, Math.Min(PieceRows, signals.Lengths[s] - row)));
                }
            run.Report(first, signals.Lengths.Count, 1);
        }

        /// <summary>Gives the memory back.</summary>
        public void Dispose() => audio.Dispose();
    }

    private void Steps()
    {
        Window x = new(_x, 0), eps = new(_eps, 0), noise = new(_noise, 0);
        Noise(Made.Steps.Count, x);
        for (int s = 0; s < Made.Steps.Count; s++)
        {
            _run!.Cancel.ThrowIfCancellationRequested();
            SamplerStep step = Made.Steps[s];
            _conditions[s].Compute();
            _network.Evaluate(x, _conditions[s], _mel, computeMel: s == 0 || _mel is { Keeps: false }, eps);
            if (step.Sigma != 0) Noise(step.Index, noise);
            _ops.ReverseStep(_signals.Range, x, eps, noise, step.Scale, step.EpsWeight, step.Sigma, _config.ClampSamples, x);
            _run.Report(_first, Made.Lengths.Count, (s + 1.0) / (Made.Steps.Count + 1));
        }
    }

    // Into buffers where the signals lie as in x.
    private void Noise(int index, Window normals)
    {
        INoise noise = _run!.Request.Noise;
        int count = Made.Lengths.Count;
        if (noise.Seed is not null)
        {
            var draw = new NoiseDraw(Made.Stream, Made.StreamStride, (uint)index, 0, 0);
            if (_signals.Packed is null) _ops.Normals(draw, _signals.Rows, normals);
            else for (int s = 0; s < count; s++) _ops.Normals(draw with { Stream = Made.Stream + (uint)s * Made.StreamStride }, Made.Lengths[s], normals with { Row = normals.Row + _signals.PlaceOf(s).Row });
            return;
        }
        float[] values = new float[Made.Lengths.Max()];
        for (int s = 0; s < count; s++)
        {
            Span<float> drawn = values.AsSpan(0, Made.Lengths[s]);
            noise.Fill(index, _first + s, 0, drawn);
            _ops.Upload(drawn, normals.Buffer, _signals.PlaceOf(s).Item, normals.Row + _signals.PlaceOf(s).Row);
        }
    }

    /// <summary>Frees buffers and recording.</summary>
    public void Dispose() => _owned.Dispose();
}
