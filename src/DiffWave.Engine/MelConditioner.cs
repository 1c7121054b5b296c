using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// What a mel adds before the gate of every layer, [B, rows, 2C] a layer. It does not depend on x or the diffusion step, so networks that follow each other along a
/// signal share it: the first computes a chunk, the others, each a lag behind, read it from a ring, where time t stands at row t modulo the ring. When nothing is kept each network
/// computes its own.
/// </summary>
public sealed class MelConditioner : IDisposable
{
    private const int MarginFrames = 3; // the upsampler's reach: one input row on each side a stage

    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly long _length;
    private readonly bool _whole; // every call computes the whole signal, upsampled once for all layers
    private readonly IBuffer _mel, _upsampled;
    private readonly IBuffer[] _rings; // one a layer, or one for all when nothing is kept
    private readonly float[] _frames;
    private IReadOnlyList<IMelSource> _mels = [];
    private int _firstFrame;

    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="chunkRows">Rows of a chunk.</param>
    /// <param name="ringRows">Rows of a ring: at least a chunk, or the signal.</param>
    /// <param name="keeps">Whether there is a ring a layer, so that networks that follow find what the first one computed.</param>
    /// <param name="whole">For a network of whole signals: the chunk covers the signal and the network's lag.</param>
    public MelConditioner(IOps ops, ModelConfig config, int batch, long length, int chunkRows, int ringRows, bool keeps, bool whole = false)
    {
        (_ops, _config, _length, _whole) = (ops, config, length, whole);
        int windowFrames = (config.ContextRows + chunkRows) / config.Hop + 2 + 2 * MarginFrames;
        _mel = ops.Allocate(batch, windowFrames, config.Bands);
        _upsampled = ops.Allocate(batch, chunkRows, config.Bands);
        _frames = new float[windowFrames * config.Bands];
        _rings = [.. Enumerable.Range(0, keeps ? config.Layers : 1).Select(_ => ops.Allocate(batch, ringRows, 2 * config.Channels))];
    }

    /// <summary>True when chunks are kept for the networks that follow.</summary>
    public bool Keeps => _rings.Length > 1;

    /// <summary>Takes the mels of the signals to come.</summary>
    /// <param name="mels">One an item, of the same number of frames.</param>
    /// <exception cref="ArgumentException">The mels do not fit the model, each other or the length.</exception>
    public void Begin(IReadOnlyList<IMelSource> mels)
    {
        if (mels.Count != _mel.Batch) throw new ArgumentException($"{mels.Count} mels, expected {_mel.Batch}");
        foreach (var mel in mels)
        {
            if (mel.Bands != _config.Bands) throw new ArgumentException($"the mel has {mel.Bands} bands, expected {_config.Bands}");
            if (mel.Frames != mels[0].Frames) throw new ArgumentException($"mels of one batch have {mels[0].Frames} and {mel.Frames} frames, expected the same number");
        }
        if (_length > (long)mels[0].Frames * _config.Hop) throw new ArgumentException($"{_length} samples need {(_length - 1) / _config.Hop + 1} mel frames, {mels[0].Frames} given");
        _mels = mels;
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

    /// <summary>The conditioner of a layer at the times of <paramref name="range"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="range">Times.</param>
    /// <param name="compute">Whether to compute it; false where an earlier network did and it is kept.</param>
    public Window Rows(int layer, TimeRange range, bool compute)
    {
        IBuffer ring = _rings[Keeps ? layer : 0];
        if (compute && !range.IsEmpty)
        {
            var computed = _whole ? new TimeRange(0, (int)_length, _length) : range;
            if (!_whole || layer == 0 || _config.Upsampler == Upsampler.PerLayer)
                _ops.UpsampleMel(layer, computed, new Window(_mel, 0), _firstFrame, _mels[0].Frames, new Window(_upsampled, 0));
            _ops.ConditionerProjection(layer, computed, new Window(_upsampled, 0), At(computed.First));
        }
        return At(range.First);

        Window At(long time) => new(ring, (int)((time % ring.Rows + ring.Rows) % ring.Rows));
    }

    /// <summary>Frees the buffers; the mels stay open.</summary>
    public void Dispose()
    {
        _mel.Dispose();
        _upsampled.Dispose();
        foreach (var ring in _rings) ring.Dispose();
    }
}
