namespace DiffWave.Engine;

/// <summary>What the diffusion step of every item, and its label where the model has labels, add in each layer.</summary>
public sealed class StepCondition : IDisposable
{
    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly IBuffer _table, _embedding;
    private readonly IBuffer? _labels;

    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="steps">One step an item, fractional where the schedule is aligned.</param>
    public StepCondition(IOps ops, ModelConfig config, ReadOnlySpan<float> steps)
    {
        (_ops, _config) = (ops, config);
        _table = ops.Allocate(steps.Length, 1, ModelConfig.StepTableWidth);
        _embedding = ops.Allocate(steps.Length, 1, ModelConfig.StepWidth);
        StepBias = ops.Allocate(steps.Length, config.Layers, config.Channels);
        if (config.HasLabel) (_labels, LabelBias) = (ops.Allocate(steps.Length, 1, 1), ops.Allocate(steps.Length, config.Layers, 2 * config.Channels));
        Span<float> row = stackalloc float[ModelConfig.StepTableWidth];
        for (int item = 0; item < steps.Length; item++)
        {
            StepEmbedding.Row(config.StepExponent, steps[item], config.TrainingBetas.Count, row);
            ops.Upload(row, _table, item, 0);
        }
    }

    /// <summary>[B, L, C], added to the input of each layer.</summary>
    public IBuffer StepBias { get; }

    /// <summary>[B, L, 2C], added before each layer's gate; null for models without labels.</summary>
    public IBuffer? LabelBias { get; }

    /// <summary>Computes what the labels add; <see cref="Compute"/> is to follow.</summary>
    /// <param name="labels">One label an item; ignored by models without labels.</param>
    /// <exception cref="ArgumentException">A label is missing or out of range.</exception>
    public void SetLabels(ReadOnlySpan<int> labels)
    {
        if (_labels is null) return;
        Upload(_ops, _config, labels, _labels);
        _ops.LabelBias(_labels, LabelBias!);
    }

    /// <summary>Brings labels to a device, where nothing checks them any more.</summary>
    /// <param name="ops">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="labels">One label an item.</param>
    /// <param name="target">Receives them, [B, 1, 1].</param>
    /// <exception cref="ArgumentException">A label is missing or out of range.</exception>
    internal static void Upload(IOps ops, ModelConfig config, ReadOnlySpan<int> labels, IBuffer target)
    {
        if (labels.Length != target.Batch) throw new ArgumentException($"the model needs a label an item: {target.Batch} expected, {labels.Length} given");
        foreach (int label in labels)
            if (label < 0 || label >= config.Labels) throw new ArgumentException($"label {label} is outside 0..{config.Labels - 1}");
        for (int item = 0; item < labels.Length; item++) ops.Upload([labels[item]], target, item, 0);
    }

    /// <summary>Computes what the steps add, by the weights loaded now, and readies both for the blocks.</summary>
    public void Compute()
    {
        _ops.StepEmbedding(_table, _embedding, StepBias);
        _ops.FoldBiases(StepBias, LabelBias);
    }

    /// <summary>Frees the buffers.</summary>
    public void Dispose()
    {
        foreach (IBuffer? buffer in new[] { _table, _embedding, _labels, StepBias, LabelBias }) buffer?.Dispose();
    }
}
