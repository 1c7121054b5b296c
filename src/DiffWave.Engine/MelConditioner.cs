using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// What a mel adds before the gate of every layer, [B, rows, 2C] a layer. It does not depend on x or the diffusion step, so networks that follow each other along a
/// signal share it: the first computes a chunk, the others, each a lag behind, read it from a ring. With a ring of one chunk nothing is kept and each network computes
/// its own.
/// </summary>
public sealed class MelConditioner : IDisposable
{
    private const int MarginFrames = 3; // the upsampler's reach: one input row on each side a stage

    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly IReadOnlyList<IMelSource> _mels;
    private readonly IBuffer _mel, _upsampled;
    private readonly IBuffer[] _rings; // one a layer, or one for all when nothing is kept
    private readonly float[] _frames;
    private int _firstFrame;
    private long _computedTo = long.MinValue;

    /// <param name="ops">The device; the model's weights are loaded.</param>
    /// <param name="config">The model.</param>
    /// <param name="mels">One mel an item, of the same number of frames.</param>
    /// <param name="length">T, at most frames times hop.</param>
    /// <param name="chunkRows">Rows of a chunk.</param>
    /// <param name="ringRows">Rows kept: at least a chunk.</param>
    /// <exception cref="ArgumentException">The mels do not fit the model, each other or the length.</exception>
    public MelConditioner(IOps ops, ModelConfig config, IReadOnlyList<IMelSource> mels, long length, int chunkRows, int ringRows)
    {
        (_ops, _config, _mels) = (ops, config, mels);
        foreach (var mel in mels)
        {
            if (mel.Bands != config.Bands) throw new ArgumentException($"the mel has {mel.Bands} bands, expected {config.Bands}");
            if (mel.Frames != mels[0].Frames) throw new ArgumentException($"mels of one batch have {mels[0].Frames} and {mel.Frames} frames, expected the same number");
        }
        if (length > (long)mels[0].Frames * config.Hop) throw new ArgumentException($"{length} samples need {(length - 1) / config.Hop + 1} mel frames, {mels[0].Frames} given");
        int windowFrames = (config.ContextRows + chunkRows) / config.Hop + 2 + 2 * MarginFrames;
        _mel = ops.Allocate(mels.Count, windowFrames, config.Bands);
        _upsampled = ops.Allocate(mels.Count, chunkRows, config.Bands);
        _frames = new float[windowFrames * config.Bands];
        _rings = [.. Enumerable.Range(0, ringRows > chunkRows ? config.Layers : 1).Select(_ => ops.Allocate(mels.Count, ringRows, 2 * config.Channels))];
    }

    /// <summary>True when chunks are kept for the networks that follow.</summary>
    public bool Keeps => _rings.Length > 1;

    /// <summary>Brings the frames for a new front to the device. Called by the first network at each front, or by every network when nothing is kept.</summary>
    public void Advance(long front)
    {
        _computedTo = front;
        int frames = _mels[0].Frames;
        _firstFrame = (int)Math.Clamp((front - _config.ContextRows) / _config.Hop - MarginFrames, 0, frames);
        int count = Math.Min(_mel.Rows, frames - _firstFrame);
        for (int item = 0; item < _mels.Count && count > 0; item++)
        {
            _mels[item].Read(_firstFrame, count, _frames.AsSpan(0, count * _config.Bands));
            _ops.Upload(_frames.AsSpan(0, count * _config.Bands), _mel, item, 0);
        }
    }

    /// <summary>The conditioner of a layer at the times of <paramref name="range"/>, for a network at <paramref name="front"/>; computed if this front is new.</summary>
    public Window Rows(int layer, long front, TimeRange range)
    {
        IBuffer ring = _rings[Keeps ? layer : 0];
        var rows = new Window(ring, (int)((front % ring.Rows + ring.Rows) % ring.Rows));
        if (front == _computedTo && !range.IsEmpty)
        {
            _ops.UpsampleMel(layer, range, new Window(_mel, 0), _firstFrame, _mels[0].Frames, new Window(_upsampled, 0));
            _ops.ConditionerProjection(layer, range, new Window(_upsampled, 0), rows);
        }
        return rows;
    }

    /// <summary>Frees the buffers; the mels stay open.</summary>
    public void Dispose()
    {
        _mel.Dispose();
        _upsampled.Dispose();
        foreach (var ring in _rings) ring.Dispose();
    }
}
