namespace DiffWave.Engine;

/// <summary>
/// The noise-predicting network eps(x, step, conditioners) over signals held whole, for devices whose results do not depend on how a signal is cut. Its layers take all rows one after the other; or, where
/// the device asks for it (<see cref="IOps.WindowRows"/>), a window of rows after the other, each layer trailing the one before it, so that what a layer leaves is still in the device's cache when the
/// next one comes for it. Nothing is copied or computed twice for that, and the result has the same bits.
/// </summary>
/// <remarks>
/// Two buffers take turns: layer l reads h_l in one and writes h_{l+1} to the other, over h_{l-1}. Say layer l has come to the end e_l of its rows in every window but the last, and d_l is its dilation.
/// What it reads must be there: h_l up to e_l + d_l, so e_l + d_l &lt;= e_{l-1}. What it writes over must not be needed any more: h_{l-1} up to e_l, of which layer l-1 reads in its next window from
/// e_{l-1} - d_{l-1} on, so e_l &lt;= e_{l-1} - d_{l-1}. Hence e_l = e_{l-1} - max(d_{l-1}, d_l), with no d before layer 0. That is all: the rows below e_l - d_l that layer l reads are still h_l, because
/// layer l+1, the only one that writes to that buffer behind it, has come to e_{l+1} &lt;= e_l - d_l; and layer l-1, which writes to the buffer layer l writes to no more than layer l+1 does, is ahead of
/// both. In the last window every layer goes to the end of the signal: what it would read beyond does not exist, and nobody reads what it writes over.
/// </remarks>
internal sealed class WholeNetwork : IDisposable
{
    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly WholeSignals _signals;
    private readonly int _windowRows;
    private readonly int[] _trails; // of each layer: rows from the end of a window to where it goes, the sum of what it and those before it trail
    private readonly IBuffer _x, _y, _skips; // [B, rows, C]

    /// <param name="ops">The device; the model's weights are loaded.</param>
    /// <param name="config">The model.</param>
    /// <param name="signals">The signals.</param>
    /// <param name="windows">Whether windows are possible: what the blocks take of a mel is kept for all layers.</param>
    public WholeNetwork(IOps ops, ModelConfig config, WholeSignals signals, bool windows)
    {
        (_ops, _config, _signals) = (ops, config, signals);
        int rows = windows ? ops.WindowRows(config, signals.Batch, signals.Rows) : 0;
        _windowRows = rows > 0 ? rows : signals.Rows;
        _trails = new int[config.Layers];
        for (int layer = 0, trail = 0; layer < config.Layers; layer++) _trails[layer] = trail += Math.Max(config.Dilation(layer), layer > 0 ? config.Dilation(layer - 1) : 0);
        _x = ops.AllocateActivation(signals.Batch, signals.Rows, config.Channels);
        _y = ops.AllocateActivation(signals.Batch, signals.Rows, config.Channels);
        _skips = ops.AllocateActivation(signals.Batch, signals.Rows, config.Channels);
    }

    /// <summary>Evaluates the network.</summary>
    /// <param name="audio">[B, rows, 1]: x.</param>
    /// <param name="step">The diffusion step of every signal, computed.</param>
    /// <param name="mel">The mels, or null.</param>
    /// <param name="computeMel">Whether what the blocks take of them is to be computed: true when no evaluation before this one did, or nothing is kept.</param>
    /// <param name="eps">Out: [B, rows, 1].</param>
    public void Evaluate(Window audio, StepCondition step, WholeMel? mel, bool computeMel, Window eps)
    {
        for (int start = 0; start < _signals.Rows; start = IsLast(start) ? _signals.Rows : start + _windowRows)
        {
            TimeRange range = Range(start, 0);
            _ops.InputProjection(range, At(audio, range), new Window(_x, (int)range.First));
            IBuffer x = _x, y = _y;
            for (int layer = 0; layer < _config.Layers; layer++, (x, y) = (y, x))
            {
                range = Range(start, _trails[layer]);
                if (range.Count == 0) continue;
                Window here = new(x, (int)range.First);
                _ops.ResidualBlock(layer, range, here, step.StepBias, step.LabelBias, mel?.Rows(layer, range, computeMel && range.First == 0), here with { Buffer = y }, here with { Buffer = _skips });
            }
            if (range.Count > 0) _ops.Head(range, new Window(_skips, (int)range.First), At(eps, range));
        }
    }

    // A rest of less than half a window goes with the one before it.
    private bool IsLast(int start) => _signals.Rows - start < 1.5 * _windowRows;

    // The rows of a window, moved back by what a layer trails.
    private TimeRange Range(int start, int trail)
    {
        int first = Math.Max(0, start - trail), end = IsLast(start) ? _signals.Rows : Math.Max(0, start + _windowRows - trail);
        return _signals.Range with { First = first, Count = end - first };
    }

    private static Window At(Window window, TimeRange range) => window with { Row = window.Row + (int)range.First };

    /// <summary>Frees the buffers.</summary>
    public void Dispose()
    {
        foreach (IBuffer buffer in new[] { _x, _y, _skips }) buffer.Dispose();
    }
}
