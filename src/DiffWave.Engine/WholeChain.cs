using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// The reverse chain over signals held whole on the device, one step after the other. All its operations form one recording that the device replays for further signals of the same
/// shape; the seed, the mel and the labels are what differs between runs.
/// </summary>
internal sealed class WholeChain : IDisposable
{
    private const int PieceRows = 1 << 16; // audio handed on at a time

    /// <summary>What a chain is made for.</summary>
    /// <param name="Batch">B.</param>
    /// <param name="Length">T.</param>
    /// <param name="Frames">Mel frames, 0 without a mel.</param>
    /// <param name="Steps">The reverse steps.</param>
    /// <param name="KeepsMel">Whether there is memory for every layer's conditioner; else each step computes them again.</param>
    internal sealed record Shape(int Batch, int Length, int Frames, IReadOnlyList<SamplerStep> Steps, bool KeepsMel)
    {
        /// <summary>The shape of a request, or null when its activations do not fit a budget in bytes of a device.</summary>
        public static Shape? Of(ModelConfig config, IOps ops, SamplerRequest request, long budget)
        {
            long rows = request.Length + config.ContextRows + 3L * Network.ChunkGrain(config);
            if (rows > int.MaxValue / 2) return null;
            // x, y and skips; working memory; signals; what becomes of the mel, for a layer at a time or for all.
            long others = 3L * config.Channels * ops.ActivationBytes + ops.WorkingRowBytes(config) + 4 * sizeof(float);
            long one = others + MelConditioner.RowBytes(ops, config, keeps: false), kept = others + MelConditioner.RowBytes(ops, config, keeps: true);
            long bytes = budget / request.Batch / rows;
            return bytes < one ? null : new Shape(request.Batch, (int)request.Length, request.Mels?[0].Frames ?? 0, [.. request.Steps], config.HasMel && bytes >= kept);
        }
    }

    private readonly ModelConfig _config;
    private readonly IOps _ops;
    private readonly Shape _shape;
    private readonly Disposables _owned = new();
    private readonly Network _network;
    private readonly StepCondition[] _conditions;
    private readonly MelConditioner? _mel;
    private readonly IBuffer _signal, _eps, _noise;
    private readonly IRecording _recording;
    private SamplerRequest? _request; // of the run under way
    private IProgress<double>? _progress;
    private CancellationToken _cancel;

    /// <param name="config">The model.</param>
    /// <param name="ops">The device.</param>
    /// <param name="shape">What the chain is made for.</param>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    public WholeChain(ModelConfig config, IOps ops, Shape shape)
    {
        (_config, _ops, _shape) = (config, ops, shape);
        try
        {
            int grain = Network.ChunkGrain(config), chunk = (shape.Length + config.ContextRows + grain - 1) / grain * grain;
            _network = _owned.Add(new Network(ops, config, shape.Length, _owned.Add(new NetworkWorkspace(ops, config, shape.Batch, chunk)), whole: true));
            _conditions = [.. shape.Steps.Select(step => _owned.Add(new StepCondition(ops, config, [.. Enumerable.Repeat(step.Step, shape.Batch)])))];
            _mel = config.HasMel ? _owned.Add(new MelConditioner(ops, config, shape.Batch, shape.Length, chunk, shape.KeepsMel ? shape.Steps.Count : 1, whole: true)) : null;
            _signal = _owned.Add(ops.AllocateSignal(shape.Batch, chunk));
            _eps = _owned.Add(ops.AllocateSignal(shape.Batch, chunk));
            _noise = _owned.Add(ops.AllocateSignal(shape.Batch, shape.Length));
            _recording = _owned.Add(ops.Record(Steps));
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    /// <summary>Whether the chain is made for a shape.</summary>
    public bool Fits(Shape shape) =>
        (_shape.Batch, _shape.Length, _shape.Frames, _shape.KeepsMel) == (shape.Batch, shape.Length, shape.Frames, shape.KeepsMel) && _shape.Steps.SequenceEqual(shape.Steps);

    /// <summary>Runs the chain; see <see cref="Sampler.Run"/>.</summary>
    public void Run(SamplerRequest request, Action<int, long, ReadOnlySpan<float>> write, IProgress<double>? progress, CancellationToken cancel)
    {
        (_request, _progress, _cancel) = (request, progress, cancel);
        _mel?.Begin(request.Mels!);
        _mel?.Upload(0);
        foreach (StepCondition condition in _conditions) condition.SetLabels([.. request.Labels]);
        if (request.Noise.Seed is { } seed)
        {
            _ops.SetSeed(seed);
            _recording.Run();
        }
        else Steps(); // with uploads in between it is no recording
        float[] values = new float[Math.Min(PieceRows, _shape.Length)];
        for (int first = 0; first < _shape.Length; first += PieceRows)
        {
            cancel.ThrowIfCancellationRequested();
            var piece = values.AsSpan(0, Math.Min(PieceRows, _shape.Length - first));
            for (int item = 0; item < _shape.Batch; item++)
            {
                _ops.Download(_signal, item, first, piece);
                write(item, first, piece);
            }
        }
        progress?.Report(1);
    }

    private void Steps()
    {
        var range = new TimeRange(0, _shape.Length, _shape.Length);
        Window x = new(_signal, 0), noise = new(_noise, 0);
        Noise(_shape.Steps.Count, x);
        for (int s = 0; s < _shape.Steps.Count; s++)
        {
            _cancel.ThrowIfCancellationRequested();
            SamplerStep step = _shape.Steps[s];
            _conditions[s].Compute();
            _network.Advance(0, x, _conditions[s], _mel, computeMel: s == 0 || _mel is { Keeps: false }, new Window(_eps, 0));
            if (step.Sigma != 0) Noise(step.Index, noise);
            _ops.ReverseStep(range, x, new Window(_eps, _network.Lag), noise, step.Scale, step.EpsWeight, step.Sigma, _config.ClampSamples, x);
            _progress?.Report((s + 1.0) / (_shape.Steps.Count + 1));
        }
    }

    private void Noise(int index, Window normals)
    {
        INoise noise = _request!.Noise;
        if (noise.Seed is not null)
        {
            _ops.Normals(SeededNoise.Draw(index, 0), _shape.Length, normals);
            return;
        }
        float[] values = new float[_shape.Length];
        for (int item = 0; item < _shape.Batch; item++)
        {
            noise.Fill(index, item, 0, values);
            _ops.Upload(values, normals.Buffer, item, normals.Row);
        }
    }

    /// <summary>Frees buffers and recording.</summary>
    public void Dispose() => _owned.Dispose();
}
