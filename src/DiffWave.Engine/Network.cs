using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// The noise-predicting network eps(x, step, conditioners), moving along a signal. Each call of <see cref="Advance"/> takes the next chunk of x and gives a chunk of eps
/// that lies <see cref="Lag"/> samples behind, because every layer trails the one before it by its dilation. Between calls a layer keeps only the last 2 d rows of its input, so
/// memory does not grow with the signal, no sample is computed twice, and the result is that of the uncut network. <see cref="WholeNetwork"/> is the network over signals held whole.
/// </summary>
public sealed class Network : IDisposable
{
    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly long _length;
    private readonly int _history;
    private readonly NetworkWorkspace _work;
    private readonly IBuffer[] _histories;   // a layer: [B, 2 d, C]
    private readonly IBuffer _skips;         // [B, Lag + chunk, C], row 0 stands Lag behind the front

    /// <summary>Rows taken and given by one call.</summary>
    public int ChunkRows { get; }

    /// <summary>Samples by which the output trails the input: the sum of all dilations.</summary>
    public int Lag { get; }

    /// <param name="ops">The device; the model's weights are loaded.</param>
    /// <param name="config">The model.</param>
    /// <param name="length">T, length of the signal.</param>
    /// <param name="work">Buffers that networks working in turn share; they fix the batch and the chunk.</param>
    public Network(IOps ops, ModelConfig config, long length, NetworkWorkspace work)
    {
        (_ops, _config, _length, _work) = (ops, config, length, work);
        ChunkRows = work.ChunkRows;
        Lag = config.ContextRows;
        _history = work.History;
        int batch = work.X.Batch;
        _histories = [.. Enumerable.Range(0, config.Layers).Select(layer => ops.AllocateActivation(batch, 2 * config.Dilation(layer), config.Channels))];
        _skips = ops.AllocateActivation(batch, Lag + ChunkRows, config.Channels);
    }

    /// <summary>Chunks must be multiples of this many rows: four times the largest dilation, so that every layer cuts the signal at the same places whatever the chunk.</summary>
    public static int ChunkGrain(ModelConfig config) => 4 * config.Dilation(Math.Min(config.Layers, config.DilationCycle) - 1);

    /// <summary>Moves on by one chunk.</summary>
    /// <param name="front">Time of the first new row; each call's is <see cref="ChunkRows"/> after the last one's.</param>
    /// <param name="audio">[B, chunk, 1]: x at times front ...</param>
    /// <param name="step">The diffusion step of every item, computed.</param>
    /// <param name="mel">The mel conditioner, or null.</param>
    /// <param name="computeMel">Whether its rows are to be computed: true when no network before this one has passed this front, or nothing is kept.</param>
    /// <param name="eps">Out: [B, chunk, 1] at times front - Lag ...</param>
    public void Advance(long front, Window audio, StepCondition step, MelConditioner? mel, bool computeMel, Window eps)
    {
        IBuffer x = _work.X, y = _work.Y;
        var range = new TimeRange(front, ChunkRows, _length);
        _ops.InputProjection(range, audio, new Window(x, _history));
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            int d = _config.Dilation(layer);
            _ops.Copy(new Window(_histories[layer], 0), new Window(x, _history - 2 * d), 2 * d);
            _ops.Copy(new Window(x, _history + ChunkRows - 2 * d), new Window(_histories[layer], 0), 2 * d);
            range = range with { First = range.First - d };
            _ops.ResidualBlock(layer, range, new Window(x, _history - d), step.StepBias, step.LabelBias, mel?.Rows(layer, range, computeMel),
                new Window(y, _history), new Window(_skips, (int)(range.First - front) + Lag));
            (x, y) = (y, x);
        }
        _ops.Head(range, new Window(_skips, 0), eps);
        _ops.Copy(new Window(_skips, ChunkRows), new Window(_skips, 0), Lag);
    }

    /// <summary>Evaluates the network on whole signals held in memory; for tests and checks.</summary>
    /// <param name="ops">The device; the model's weights are loaded.</param>
    /// <param name="config">The model.</param>
    /// <param name="audio">x, one array of T samples an item.</param>
    /// <param name="steps">Diffusion step of each item.</param>
    /// <param name="mels">A mel an item, or null.</param>
    /// <param name="labels">A label an item; empty for models without labels.</param>
    /// <param name="chunkRows">Rows at a time; 0 for the smallest.</param>
    /// <returns>eps, one array of T samples an item.</returns>
    public static float[][] Evaluate(IOps ops, ModelConfig config, IReadOnlyList<float[]> audio, ReadOnlySpan<float> steps, IReadOnlyList<IMelSource>? mels, ReadOnlySpan<int> labels, int chunkRows = 0)
    {
        int batch = audio.Count, length = audio[0].Length, chunk = chunkRows == 0 ? ChunkGrain(config) : chunkRows;
        using var work = new NetworkWorkspace(ops, config, batch, chunk);
        using var network = new Network(ops, config, length, work);
        using var condition = new StepCondition(ops, config, steps);
        using var mel = config.HasMel ? new MelConditioner(ops, config, batch, length, chunk, networks: 1) : null;
        mel?.Begin(mels ?? throw new ArgumentException("the model needs a mel"));
        using IBuffer input = ops.AllocateSignal(batch, chunk), output = ops.AllocateSignal(batch, chunk);
        condition.SetLabels(labels);
        condition.Compute();
        var eps = audio.Select(_ => new float[length]).ToArray();
        for (long front = 0; front < length + network.Lag; front += chunk)
        {
            for (int item = 0; item < batch && front < length; item++) ops.Upload(audio[item].AsSpan((int)front, (int)Math.Min(chunk, length - front)), input, item, 0);
            mel?.Upload(front);
            network.Advance(front, new Window(input, 0), condition, mel, computeMel: true, new Window(output, 0));
            long first = Math.Max(0, front - network.Lag), end = Math.Min(length, front - network.Lag + chunk);
            for (int item = 0; item < batch && first < end; item++) ops.Download(output, item, (int)(first - front + network.Lag), eps[item].AsSpan((int)first, (int)(end - first)));
        }
        return eps;
    }

    /// <summary>Frees the network's buffers, not the shared ones.</summary>
    public void Dispose()
    {
        foreach (var history in _histories) history.Dispose();
        _skips.Dispose();
    }
}

/// <summary>The two large buffers a network needs while it advances; networks that take turns share them.</summary>
public sealed class NetworkWorkspace : IDisposable
{
    /// <summary>Rows before the chunk, for the history of any layer.</summary>
    public int History { get; }
    /// <summary>Rows of a chunk.</summary>
    public int ChunkRows { get; }
    /// <summary>[B, history + chunk, C].</summary>
    public IBuffer X { get; }
    /// <summary>[B, history + chunk, C].</summary>
    public IBuffer Y { get; }

    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="batch">B.</param>
    /// <param name="chunkRows">A multiple of <see cref="Network.ChunkGrain"/>.</param>
    /// <exception cref="ArgumentException">The chunk is not such a multiple.</exception>
    public NetworkWorkspace(IOps ops, ModelConfig config, int batch, int chunkRows)
    {
        int grain = Network.ChunkGrain(config);
        if (chunkRows <= 0 || chunkRows % grain != 0) throw new ArgumentException($"a chunk of {chunkRows} rows is not a multiple of {grain}");
        ChunkRows = chunkRows;
        History = grain / 2;
        X = ops.AllocateActivation(batch, History + chunkRows, config.Channels);
        Y = ops.AllocateActivation(batch, History + chunkRows, config.Channels);
    }

    /// <summary>Frees the buffers.</summary>
    public void Dispose()
    {
        X.Dispose();
        Y.Dispose();
    }
}
