using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// What the blocks take of a mel: what it adds before the gate, [B, rows, 2C] a layer, or where a device's blocks project it themselves the upsampled mel, [B, rows, M], one for all layers that
/// share an upsampler. It does not depend on x or the diffusion step, so networks that follow each other along a signal share it: the first computes a chunk, the others, each a lag
/// behind, read it from a ring, where time t stands at row t modulo the ring. When nothing is kept each network computes its own.
/// </summary>
public sealed class MelConditioner : IDisposable
{
    /// <summary>The upsampler's reach in frames: one input row on each side a stage.</summary>
    internal const int MarginFrames = 3;

    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly long _length;
    private readonly IBuffer _mel;
    private readonly IBuffer? _upsampled; // between upsampling and projection; null where blocks project
    private readonly IBuffer[] _rings; // one a layer, or one for all
    private readonly float[] _frames;
    private IReadOnlyList<IMelSource> _mels = [];
    private int _firstFrame;

    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="chunkRows">Rows of a chunk.</param>
    /// <param name="networks">Networks that follow each other and are to find what the first one computed; 1: each computes its own.</param>
    public MelConditioner(IOps ops, ModelConfig config, int batch, long length, int chunkRows, int networks)
    {
        (_ops, _config, _length) = (ops, config, length);
        Keeps = networks > 1 || OneForAllLayers(ops, config);
        int windowFrames = (config.ContextRows + chunkRows) / config.Hop + 2 + 2 * MarginFrames, ringRows = RingRows(ops, config, length, chunkRows, networks);
        _mel = ops.Allocate(batch, windowFrames, config.Bands);
        _upsampled = ops.BlocksProjectMel ? null : ops.AllocateActivation(batch, chunkRows, config.Bands);
        _frames = new float[windowFrames * config.Bands];
        _rings = [.. Enumerable.Range(0, Keeps ? Rings(ops, config) : 1).Select(_ => ops.AllocateActivation(batch, ringRows, RingChannels(ops, config)))];
    }

    /// <summary>True when chunks are kept for the networks that follow.</summary>
    public bool Keeps { get; }

    // One upsampled mel serves all layers: even a single network's layers, which follow each other.
    internal static bool OneForAllLayers(IOps ops, ModelConfig config) => ops.BlocksProjectMel && config.Upsampler == Upsampler.Shared;

    internal static int Rings(IOps ops, ModelConfig config) => OneForAllLayers(ops, config) ? 1 : config.Layers;

    internal static int RingChannels(IOps ops, ModelConfig config) => ops.BlocksProjectMel ? config.Bands : 2 * config.Channels;

    /// <summary>Rows of a ring that networks in chunks share.</summary>
    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="length">T.</param>
    /// <param name="chunkRows">Rows of a chunk.</param>
    /// <param name="networks">How many follow each other.</param>
    public static int RingRows(IOps ops, ModelConfig config, long length, int chunkRows, int networks)
    {
        int lags = OneForAllLayers(ops, config) ? networks : networks - 1; // from the newest row to the oldest that somebody reads
        return (int)Math.Min((long)lags * config.ContextRows + chunkRows, (length + config.ContextRows + 2L * chunkRows - 1) / chunkRows * chunkRows);
    }

    /// <summary>Bytes a row of an item takes in all rings together when chunks are kept; 0 without a mel.</summary>
    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    public static long KeptRowBytes(IOps ops, ModelConfig config) => config.HasMel ? (long)Rings(ops, config) * RingChannels(ops, config) * ops.ActivationBytes : 0;

    /// <summary>Takes the mels of the signals to come.</summary>
    /// <param name="mels">One an item, of the same number of frames.</param>
    /// <exception cref="ArgumentException">The mels do not fit the model, each other or the length.</exception>
    public void Begin(IReadOnlyList<IMelSource> mels)
    {
        if (mels.Count != _mel.Batch) throw new ArgumentException($"{mels.Count} mels, expected {_mel.Batch}");
        foreach (var mel in mels)
        {
            RequireFit(_config, mel, _length);
            if (mel.Frames != mels[0].Frames) throw new ArgumentException($"mels of one batch have {mels[0].Frames} and {mel.Frames} frames, expected the same number");
        }
        _mels = mels;
    }

    /// <summary>Refuses a mel that does not fit the model or a signal's length.</summary>
    internal static void RequireFit(ModelConfig config, IMelSource mel, long length)
    {
        if (mel.Bands != config.Bands) throw new ArgumentException($"the mel has {mel.Bands} bands, expected {config.Bands}");
        if (length > (long)mel.Frames * config.Hop) throw new ArgumentException($"{length} samples need {(length - 1) / config.Hop + 1} mel frames, {mel.Frames} given");
    }

    /// <summary>Brings the frames for a front to the device. Called before the first network passes each front, or before every network when nothing is kept.</summary>
    public void Upload(long front)
    {
        int frames = _mels[0].Frames;
        _firstFrame = (int)Math.Clamp((front - _config.ContextRows) / _config.Hop - MarginFrames, 0, frames);
        int count = Math.Min(_mel.Rows, frames - _firstFrame);
        for (int item = 0; item < _mels.Count && count > 0; item++)
        {
            _mels[item].Read(_firstFrame, count, _frames.AsSpan(0, count * _config.Bands));
            _ops.Upload(_frames.AsSpan(0, count * _config.Bands), _mel, item, 0);
        }
    }

    /// <summary>What a layer takes of the mel at the times of <paramref name="range"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="range">Times.</param>
    /// <param name="compute">Whether to compute it; false where an earlier network did and it is kept.</param>
    public Window Rows(int layer, TimeRange range, bool compute)
    {
        IBuffer ring = _rings[_rings.Length > 1 ? layer : 0];
        if (compute && !range.IsEmpty)
        {
            if (_upsampled is null)
            {
                if (layer == 0 || _config.Upsampler == Upsampler.PerLayer) Upsample(layer, range, ring);
            }
            else
            {
                Upsample(layer, range, new Window(_upsampled, 0));
                _ops.ConditionerProjection(layer, range, new Window(_upsampled, 0), At(ring, range.First));
            }
        }
        return At(ring, range.First);
    }

    private void Upsample(int layer, TimeRange range, Window upsampled) => _ops.UpsampleMel(layer, range, new Window(_mel, 0), _firstFrame, _mels[0].Frames, upsampled);

    // Into a ring, in two where its end lies in between.
    private void Upsample(int layer, TimeRange range, IBuffer ring)
    {
        for (int done = 0, count; done < range.Count; done += count)
        {
            Window to = At(ring, range.First + done);
            count = Math.Min(range.Count - done, ring.Rows - to.Row);
            Upsample(layer, range with { First = range.First + done, Count = count }, to);
        }
    }

    private static Window At(IBuffer ring, long time) => new(ring, (int)((time % ring.Rows + ring.Rows) % ring.Rows));

    /// <summary>Frees the buffers; the mels stay open.</summary>
    public void Dispose()
    {
        _mel.Dispose();
        _upsampled?.Dispose();
        foreach (var ring in _rings) ring.Dispose();
    }
}
