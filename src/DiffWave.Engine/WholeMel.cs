using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// What the blocks take of the mels of whole signals, as <see cref="MelConditioner"/> gives it along a signal: computed for all rows at once, at the first layer that needs it, and upsampled once for
/// all layers that share an upsampler.
/// </summary>
internal sealed class WholeMel : IDisposable
{
    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly WholeSignals _signals;
    private readonly int[] _frames, _held; // of each mel: all, and those that its signal needs
    private readonly Place[] _places;      // of each mel's frames
    private readonly IBuffer _mel;         // [B, frames, M]
    private readonly IBuffer? _upsampled;  // [B, rows, M], between upsampling and projection; null where blocks project
    private readonly IBuffer[] _rows;      // one a layer, or one for all

    /// <param name="ops">The device; the model's weights are loaded.</param>
    /// <param name="config">The model.</param>
    /// <param name="signals">The signals.</param>
    /// <param name="frames">Frames of each signal's mel, the same number for signals side by side.</param>
    /// <param name="keeps">Whether the networks that follow find what the first one computed.</param>
    public WholeMel(IOps ops, ModelConfig config, WholeSignals signals, IReadOnlyList<int> frames, bool keeps)
    {
        (_ops, _config, _signals, _frames) = (ops, config, signals, [.. frames]);
        Keeps = keeps || MelConditioner.OneForAllLayers(ops, config);
        _held = [.. signals.Lengths.Select((length, s) => Math.Min(frames[s], (length - 1) / config.Hop + 1 + MelConditioner.MarginFrames))];
        var placed = new Segments(_held);
        _places = [.. Enumerable.Range(0, _held.Length).Select(s => signals.Packed is null ? new Place(s, 0) : new Place(0, placed.Starts[s]))];
        _mel = ops.Allocate(signals.Batch, signals.Packed is null ? _held[0] : placed.Total, config.Bands);
        _upsampled = ops.BlocksProjectMel ? null : ops.AllocateActivation(signals.Batch, signals.Rows, config.Bands);
        _rows = [.. Enumerable.Range(0, Keeps ? MelConditioner.Rings(ops, config) : 1).Select(_ => ops.AllocateActivation(signals.Batch, signals.Rows, MelConditioner.RingChannels(ops, config)))];
    }

    /// <summary>True when what one network computed is there for those that follow.</summary>
    public bool Keeps { get; }

    /// <summary>Bytes a row takes in all buffers; 0 without a mel.</summary>
    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="keeps">Whether the networks that follow find what the first one computed.</param>
    public static long RowBytes(IOps ops, ModelConfig config, bool keeps)
    {
        if (!config.HasMel) return 0;
        long upsampled = ops.BlocksProjectMel ? 0 : (long)config.Bands * ops.ActivationBytes, rows = (long)MelConditioner.RingChannels(ops, config) * ops.ActivationBytes;
        return upsampled + (keeps ? MelConditioner.Rings(ops, config) * rows : rows);
    }

    /// <summary>Brings the mels of the signals to the device.</summary>
    /// <param name="mels">One a signal, with the frames the buffers are made for.</param>
    /// <exception cref="ArgumentException">A mel does not fit the model or its signal.</exception>
    public void Upload(IReadOnlyList<IMelSource> mels)
    {
        for (int s = 0; s < mels.Count; s++) MelConditioner.RequireFit(_config, mels[s], _signals.Lengths[s]);
        float[] values = new float[_held.Max() * _config.Bands];
        for (int s = 0; s < mels.Count; s++)
        {
            Span<float> held = values.AsSpan(0, _held[s] * _config.Bands);
            mels[s].Read(0, _held[s], held);
            _ops.Upload(held, _mel, _places[s].Item, _places[s].Row);
        }
    }

    /// <summary>What a layer takes of the mels at the times of <paramref name="range"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="range">Times, all of them within the signals.</param>
    /// <param name="compute">Whether to compute it, for all rows.</param>
    public Window Rows(int layer, TimeRange range, bool compute)
    {
        IBuffer rows = _rows[_rows.Length > 1 ? layer : 0];
        if (compute)
        {
            if (layer == 0 || _config.Upsampler == Upsampler.PerLayer) Upsample(layer, _upsampled ?? rows);
            if (_upsampled is not null) _ops.ConditionerProjection(layer, _signals.Range, new Window(_upsampled, 0), new Window(rows, 0));
        }
        return new Window(rows, (int)range.First);
    }

    private void Upsample(int layer, IBuffer upsampled)
    {
        for (int s = 0; s < (_signals.Packed is null ? 1 : _held.Length); s++)
            _ops.UpsampleMel(layer, new TimeRange(0, _signals.Lengths[s], _signals.Lengths[s]), new Window(_mel, _places[s].Row), 0, _frames[s], new Window(upsampled, _signals.PlaceOf(s).Row));
    }

    /// <summary>Frees the buffers; the mels stay open.</summary>
    public void Dispose()
    {
        _mel.Dispose();
        _upsampled?.Dispose();
        foreach (var rows in _rows) rows.Dispose();
    }
}
