namespace DiffWave.Engine;

/// <summary>
/// The network over whole crops, forward and backward: q-sample, eps(x, step, conditioners), loss, gradients. Backward is the forward list of operations in reverse.
/// </summary>
/// <remarks>
/// What forward keeps, in activations a sample and item: the input of every block (C a layer), the input of every gate (2C a layer), the upsampled mel (M), the sum of
/// skips (C). The inputs of the first gates are computed again in backward where they do not fit into <see cref="IOps.TrainingBudget"/>, those of all if asked, which costs one more forward block a
/// layer and does not change a bit. The base model keeps 366 MB of floats an item of 15,872 samples, 130 MB with all gates recomputed. Gradients are summed over calls, so a batch
/// of any size fits in the memory of one item. What a run does on the device is recorded, see <see cref="IOps.Record"/>, once for each kind, noise, first item and direction it is asked for:
/// these should recur from step to step. Everything else is uploaded before.
/// </remarks>
public sealed class TrainingPass : IDisposable
{
    private const int ChunkRows = 8192; // bounds the conditioner's memory
    private const int MostSamples = 1 << 24; // whole numbers a float32 holds

    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly int _length, _frames, _chunk;
    private readonly Dictionary<Work, IRecording> _recordings = [];
    private readonly List<IBuffer> _buffers = [];
    private readonly IBuffer _audio, _noise, _noisy, _eps, _dEps;
    private readonly IBuffer _alphaBars, _validSamples, _stepTable, _embedding, _stepBias, _dStepBias;
    private readonly IBuffer? _labels, _labelBias, _dLabelBias;
    private readonly IBuffer? _mel, _upsampled, _conditioner, _dUpsampled;
    private readonly IBuffer[] _x, _preGate; // an entry a layer; those that are computed again share a pre-gate
    private readonly IBuffer[] _dX; // of a block's input and of its result, in turn
    private readonly IBuffer[] _dPreGate; // of as many layers as the gradient of what they share is taken of at once
    private readonly IBuffer _y, _skips, _discarded, _dSkips;

    // What is the same in every run of a recording; null: the noise is uploaded.
    private readonly record struct Work(LossKind Kind, NoiseDraw? Noise, int FirstItem, bool Backward);

    /// <summary>B, items one call takes.</summary>
    public int Batch { get; }

    /// <summary>Layers, the last ones, whose gates' inputs are kept for backward; those of the others are computed again.</summary>
    public int KeptLayers { get; }

    /// <summary>Bytes of all buffers of the pass.</summary>
    public long BufferBytes { get; private set; }

    /// <param name="ops">The device. Its weights are loaded by <see cref="IOps.LoadTraining"/>, or <see cref="IOps.Load"/> when only losses are asked for.</param>
    /// <param name="config">The model.</param>
    /// <param name="batch">B, items one call takes.</param>
    /// <param name="length">T, samples of an item; a multiple of the hop, at most 2^24.</param>
    /// <param name="recompute">Compute the inputs of all gates again in backward, whether there is memory to keep them or not.</param>
    /// <exception cref="ArgumentException">The length is not a multiple of the hop, or larger than 2^24.</exception>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    public TrainingPass(IOps ops, ModelConfig config, int batch, int length, bool recompute = false)
    {
        if (length <= 0 || length % config.Hop != 0) throw new ArgumentException($"crops of {length} samples, expected a multiple of the hop {config.Hop}");
        if (length > MostSamples) throw new ArgumentException($"crops of {length} samples, at most {MostSamples} can be trained on: use shorter crops");
        (_ops, _config, Batch, _length, _frames) = (ops, config, batch, length, length / config.Hop);
        int c = config.Channels, layers = config.Layers, grain = Network.ChunkGrain(config);
        _chunk = ops.PrefersWholeSignals ? length : Math.Min(length, (ChunkRows + grain - 1) / grain * grain);
        (_audio, _noise, _noisy) = (Signal(), Signal(), Signal());
        (_eps, _dEps) = (Signal(), Signal());
        (_alphaBars, _validSamples) = (New(1, 1), New(1, 1));
        (_stepTable, _embedding) = (New(1, ModelConfig.StepTableWidth), New(1, ModelConfig.StepWidth));
        (_stepBias, _dStepBias) = (New(layers, c), New(layers, c));
        if (config.HasLabel) (_labels, _labelBias, _dLabelBias) = (New(1, 1), New(layers, 2 * c), New(layers, 2 * c));
        if (config.HasMel)
        {
            (_mel, _upsampled, _dUpsampled) = (New(_frames, config.Bands), Activation(config.Bands), New(length, config.Bands));
            if (!ops.BlocksProjectMel) _conditioner = New(_chunk, 2 * c);
        }
        _x = [.. Enumerable.Range(0, layers).Select(_ => Activation(c))];
        (_y, _skips, _discarded) = (Activation(c), Activation(c), Activation(c));
        (_dX, _dSkips) = ([Activation(c), Activation(c)], Activation(c));
        int together = config.HasMel && config.Upsampler == Upsampler.Shared ? Math.Min(ops.ConditionersAtOnce(config), layers) : 1;
        _dPreGate = [.. Enumerable.Range(0, together).Select(_ => Activation(2 * c))];
        long fitting = Math.Max(0, ops.TrainingBudget - BufferBytes) / ((long)batch * length * 2 * c * ops.ActivationBytes);
        KeptLayers = recompute ? 0 : fitting >= layers ? layers : (int)Math.Max(0, fitting - 1);
        IBuffer? shared = KeptLayers < layers ? Activation(2 * c) : null;
        _preGate = [.. Enumerable.Range(0, layers).Select(layer => IsKept(layer) ? Activation(2 * c) : shared!)];
    }

    /// <summary>Loss of a batch, with noise from the host; waits for the sums.</summary>
    /// <param name="kind">Which loss.</param>
    /// <param name="items">The crops.</param>
    /// <param name="noise">Standard normal noise, T values an item.</param>
    /// <param name="steps">Diffusion step of each item, zero-based.</param>
    /// <param name="alphaBars">alpha_bar of each item's step.</param>
    /// <param name="sums">Out: the loss summed over each item's valid samples.</param>
    /// <param name="backward">Whether to compute gradients.</param>
    public void Run(LossKind kind, IReadOnlyList<TrainingItem> items, IReadOnlyList<float[]> noise, ReadOnlySpan<int> steps, ReadOnlySpan<float> alphaBars, Span<double> sums, bool backward)
    {
        if (noise.Count != Batch) throw new ArgumentException($"{noise.Count} noises, expected {Batch}");
        for (int item = 0; item < Batch; item++)
        {
            if (noise[item].Length != _length) throw new ArgumentException($"item {item} has {noise[item].Length} samples of noise, expected {_length}");
            _ops.Upload(noise[item], _noise, item, 0);
        }
        Run(new Work(kind, null, 0, backward), items, steps, alphaBars);
        _ops.ReadLosses(sums);
    }

    /// <summary>Loss of a batch; with <paramref name="backward"/> its gradients, by the numbers of <see cref="IOps.BeginStep"/>, are added to the device's. Does not wait for the device.</summary>
    /// <param name="kind">Which loss.</param>
    /// <param name="items">The crops.</param>
    /// <param name="noise">Which standard normals to mix in; the device's seed is set.</param>
    /// <param name="steps">Diffusion step of each item, zero-based.</param>
    /// <param name="alphaBars">alpha_bar of each item's step.</param>
    /// <param name="firstItem">Place of the first item among those of the optimiser step, see <see cref="IOps.Loss"/>.</param>
    /// <param name="backward">Whether to compute gradients.</param>
    public void Run(LossKind kind, IReadOnlyList<TrainingItem> items, NoiseDraw noise, ReadOnlySpan<int> steps, ReadOnlySpan<float> alphaBars, int firstItem, bool backward) =>
        Run(new Work(kind, noise, firstItem, backward), items, steps, alphaBars);

    private void Run(Work work, IReadOnlyList<TrainingItem> items, ReadOnlySpan<int> steps, ReadOnlySpan<float> alphaBars)
    {
        Upload(items, steps, alphaBars);
        if (!_recordings.TryGetValue(work, out IRecording? recording)) _recordings.Add(work, recording = _ops.Record(() => Compute(work)));
        recording.Run();
    }

    private void Compute(Work work)
    {
        if (work.Noise is { } draw) _ops.Normals(draw, _length, new Window(_noise, 0));
        _ops.Diffuse(_audio, _noise, _alphaBars, _noisy);
        Forward();
        _ops.Loss(work.Kind, _eps, _noise, _validSamples, work.FirstItem, _dEps);
        if (work.Backward) Backward();
    }

    /// <summary>The noise predicted by the last run for one item, T values.</summary>
    public void ReadPrediction(int item, Span<float> eps) => _ops.Download(_eps, item, 0, eps);

    private void Forward()
    {
        var range = new TimeRange(0, _length, _length);
        _ops.StepEmbedding(_stepTable, _embedding, _stepBias);
        if (_labels is not null) _ops.LabelBias(_labels, _labelBias!);
        _ops.FoldBiases(_stepBias, _labelBias);
        _ops.InputProjection(range, new Window(_noisy, 0), new Window(_x[0], 0));
        for (int layer = 0; layer < _config.Layers; layer++)
            Block(layer, layer + 1 < _config.Layers ? _x[layer + 1] : _y, _skips, _preGate[layer]);
        _ops.Head(range, new Window(_skips, 0), new Window(_eps, 0));
    }

    private void Backward()
    {
        _ops.HeadBackward(_skips, _dEps, _dSkips);
        bool shared = _config.Upsampler == Upsampler.Shared;
        if (_dUpsampled is not null) _ops.Clear(_dUpsampled);
        (IBuffer dY, IBuffer dX) = (_dX[0], _dX[1]);
        int waiting = 0; // layers whose gradient has not reached the upsampled mel
        for (int layer = _config.Layers - 1; layer >= 0; layer--)
        {
            IBuffer preGate = _preGate[layer];
            if (!IsKept(layer)) Block(layer, _y, _discarded, preGate); // the skips go where nobody reads them
            else if (_mel is not null && !shared) Upsample(layer);
            _ops.ResidualBlockBackward(layer, _x[layer], _stepBias, preGate, _dSkips, dY, dX, _dPreGate[waiting], _dStepBias, _dLabelBias);
            (dY, dX) = (dX, dY);
            if (_dUpsampled is null || ++waiting < _dPreGate.Length && layer > 0) continue;
            _ops.ConditionerProjectionBackward(layer + waiting - 1, _upsampled!, _dPreGate[..waiting], _dUpsampled);
            waiting = 0;
            if (shared && layer > 0) continue;
            _ops.UpsampleMelBackward(layer, _mel!, _upsampled!, _dUpsampled);
            _ops.Clear(_dUpsampled);
        }
        _ops.InputProjectionBackward(_noisy, _x[0], dY, null);
        _ops.StepEmbeddingBackward(_stepTable, _embedding, _dStepBias);
        if (_labels is not null) _ops.LabelBiasBackward(_labels, _dLabelBias!);
    }

    // One residual block with its conditioner, some rows at a time; the shared upsampler runs once, for the first layer.
    private void Block(int layer, IBuffer y, IBuffer skips, IBuffer preGate)
    {
        if (_mel is not null && (layer == 0 || _config.Upsampler == Upsampler.PerLayer)) Upsample(layer);
        for (int row = 0; row < _length; row += _chunk)
        {
            var range = new TimeRange(row, Math.Min(_chunk, _length - row), _length);
            Window? conditioner = _upsampled is null ? null : new Window(_upsampled, row);
            if (_conditioner is not null)
            {
                var projected = new Window(_conditioner, 0);
                _ops.ConditionerProjection(layer, range, new Window(_upsampled!, row), projected);
                conditioner = projected;
            }
            _ops.ResidualBlock(layer, range, new Window(_x[layer], row), _stepBias, _labelBias, conditioner, new Window(y, row), new Window(skips, row), new BlockTape(new Window(preGate, row)));
        }
    }

    private void Upsample(int layer) => _ops.UpsampleMel(layer, new TimeRange(0, _length, _length), new Window(_mel!, 0), 0, _frames, new Window(_upsampled!, 0));

    private void Upload(IReadOnlyList<TrainingItem> items, ReadOnlySpan<int> steps, ReadOnlySpan<float> alphaBars)
    {
        if (items.Count != Batch || steps.Length != Batch || alphaBars.Length != Batch)
            throw new ArgumentException($"{items.Count} items, {steps.Length} steps and {alphaBars.Length} noise levels, expected {Batch} of each");
        if (_labels is not null) StepCondition.Upload(_ops, _config, [.. items.Select(item => item.Label)], _labels);
        Span<float> row = stackalloc float[ModelConfig.StepTableWidth];
        for (int item = 0; item < Batch; item++)
        {
            if (items[item].Audio.Length != _length) throw new ArgumentException($"item {item} has {items[item].Audio.Length} samples, expected {_length}");
            _ops.Upload(items[item].Audio, _audio, item, 0);
            if (_mel is not null) _ops.Upload(items[item].Mel ?? throw new ArgumentException($"item {item} has no mel"), _mel, item, 0);
            StepEmbedding.Row(_config.StepExponent, steps[item], _config.TrainingBetas.Count, row);
            _ops.Upload(row, _stepTable, item, 0);
            _ops.Upload([alphaBars[item]], _alphaBars, item, 0);
            _ops.Upload([items[item].ValidSamples], _validSamples, item, 0);
        }
    }

    private bool IsKept(int layer) => layer >= _config.Layers - KeptLayers;

    private IBuffer New(int rows, int channels) => Keep(_ops.Allocate(Batch, rows, channels), sizeof(float));

    private IBuffer Activation(int channels) => Keep(_ops.AllocateActivation(Batch, _length, channels), _ops.ActivationBytes);

    private IBuffer Signal() => Keep(_ops.AllocateSignal(Batch, _length), sizeof(float));

    private IBuffer Keep(IBuffer buffer, int valueBytes)
    {
        BufferBytes += (long)buffer.Batch * buffer.Rows * buffer.Channels * valueBytes;
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Frees recordings and buffers.</summary>
    public void Dispose()
    {
        foreach (IRecording recording in _recordings.Values) recording.Dispose();
        _buffers.ForEach(buffer => buffer.Dispose());
    }
}
