using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>One operation of <see cref="IOps"/> as a piece of work.</summary>
/// <param name="Name">Its name, with what tells it from others of its kind.</param>
/// <param name="Rows">Rows of a call.</param>
/// <param name="Cost">By definition.</param>
/// <param name="ExecutedFlops">FLOP of the products the CPU executes.</param>
/// <param name="Besides">What it spends its time on where neither roof explains it.</param>
/// <param name="IsTraining">Whether it belongs to training.</param>
/// <param name="Call">Readies a call on the buffers.</param>
internal sealed record OpWork(string Name, int Rows, OpCost Cost, double ExecutedFlops, string? Besides, bool IsTraining, Func<IOps, ModelConfig, OpBuffers, Action> Call)
{
    private const int ChunkRows = 4096;  // of the sampler on a CPU
    private const int CropFrames = 62;   // of the paper's training

    /// <summary>Everything a synthesis and a training step call.</summary>
    public static IEnumerable<OpWork> All(ModelConfig config)
    {
        int crop = CropFrames * config.Hop;
        long c = config.Channels, m = config.Bands, layers = config.Layers, parameters = Parameters.CountOf(config);
        int[] dilated = [.. new[] { 0, config.DilationCycle / 2, config.DilationCycle - 1 }.Where(layer => layer < config.Layers).Distinct()];

        yield return Forward("normals", new(0, 4L * ChunkRows), "integer products of Philox, logarithm and sine", (ops, _, b) => () => ops.Normals(new NoiseDraw(0, 1, 0, 0, 0), b.Rows, new Window(b.Audio, 0)));
        OpCost step = OpCost.StepEmbedding(config, items: 1);
        yield return new OpWork("step_embedding", 1, step, 8.0 * step.Flops, "one row: each product is computed eight times", false, (ops, _, b) => () => ops.StepEmbedding(b.Table, b.Embedding, b.StepBias));
        yield return Forward("input_projection", new(2 * c * ChunkRows, 4 * (1 + c) * ChunkRows), null, (ops, _, b) => () => ops.InputProjection(b.Range, new Window(b.Audio, 0), new Window(b.X, b.History)));
        if (config.HasMel)
        {
            yield return Forward("mel_upsampler", OpCost.MelUpsampler(config, ChunkRows), "short filters, read unaligned", (ops, _, b) => () => ops.UpsampleMel(0, b.Range with { First = 0 }, new Window(b.Mel, 0), 0, b.Mel.Rows, new Window(b.Upsampled, 0)));
            yield return Forward("conditioner_projection", OpCost.Conditioner(config, ChunkRows), null, (ops, _, b) => () => ops.ConditionerProjection(0, b.Range, new Window(b.Upsampled, 0), new Window(b.Conditioner, 0)));
        }
        foreach (int layer in dilated)
            yield return Forward($"residual_block/d{config.Dilation(layer)}", OpCost.ResidualBlock(config, ChunkRows), null, (ops, _, b) => () => ops.ResidualBlock(layer, b.Range, new Window(b.X, b.History), b.StepBias, null,
                config.HasMel ? new Window(b.Conditioner, 0) : null, new Window(b.Y, b.History), new Window(b.Skips, 0))) with { ExecutedFlops = CpuWork.ResidualBlock(config, ChunkRows) };
        yield return Forward("head", new((2 * c * c + 2 * c) * ChunkRows, 4 * (c + 1) * ChunkRows), null, (ops, _, b) => () => ops.Head(b.Range, new Window(b.Skips, 0), new Window(b.Eps, 0)));
        yield return Forward("reverse_step", new(5L * ChunkRows, 16L * ChunkRows), "one thread, a sample at a time", (ops, _, b) => () => ops.ReverseStep(b.Range, new Window(b.Audio, 0), new Window(b.Eps, 0), new Window(b.Noise, 0), 1f, 0.1f, 0.1f, true, new Window(b.Audio, 0)));

        yield return Training("diffuse", new(3L * crop, 12L * crop), "one thread, a sample at a time", (ops, _, b) => () => ops.Diffuse(b.Audio, b.Noise, b.One, b.Eps));
        yield return Training("loss", new(3L * crop, 12L * crop), "one thread, sums in float64 in order", (ops, _, b) => () => ops.Loss(LossKind.L1, b.Eps, b.Noise, b.Valid, 0, b.DEps));
        yield return Training("head_backward", new(3 * (2 * c * c + 2 * c) * crop, 4 * (2 * c + 1) * crop), null, (ops, _, b) => () => ops.HeadBackward(b.Skips, b.DEps, b.DSkips));
        foreach (int layer in dilated)
            yield return Training($"residual_block_backward/d{config.Dilation(layer)}", new(2 * OpCost.ResidualBlock(config, crop).Flops, 4 * (9 * c) * crop), null,
                (ops, _, b) => () => ops.ResidualBlockBackward(layer, b.X, b.StepBias, b.PreGate, b.DSkips, b.Y, b.DX, b.DPreGate, b.DStepBias, null)) with { ExecutedFlops = CpuWork.ResidualBlockBackward(config, crop) };
        if (config.HasMel)
        {
            yield return Training("conditioner_backward", new(2 * OpCost.Conditioner(config, crop).Flops, 4 * (2 * c + 3 * m) * crop), null, (ops, _, b) => () => ops.ConditionerProjectionBackward(0, b.Upsampled, [b.DPreGate], b.DUpsampled));
            yield return Training("mel_upsampler_backward", new(2 * OpCost.MelUpsampler(config, crop).Flops, 4 * 2 * m * crop), "short filters, read unaligned", (ops, _, b) => () => ops.UpsampleMelBackward(0, b.Mel, b.Upsampled, b.DUpsampled));
        }
        yield return Training("input_projection_backward", new(4 * c * crop, 4 * (2 * c + 1) * crop), "sums over time in fixed order", (ops, _, b) => () => ops.InputProjectionBackward(b.Audio, b.X, b.DX, null));
        yield return Training("gradient_norm", new(2 * parameters, 4 * parameters), null, (ops, _, _) => () => ops.GradientNorm()) with { Rows = 1 };
        yield return Training("update_weights", new(14 * parameters, 28 * parameters), "weights packed anew for the kernels, in float64", (ops, _, _) => () => ops.UpdateWeights()) with { Rows = 1 };

        static OpWork Forward(string name, OpCost cost, string? besides, Func<IOps, ModelConfig, OpBuffers, Action> call) => new(name, ChunkRows, cost, cost.Flops, besides, false, call);
        OpWork Training(string name, OpCost cost, string? besides, Func<IOps, ModelConfig, OpBuffers, Action> call) => new(name, crop, cost, cost.Flops, besides, true, call);
    }

    /// <summary>Loads the model and makes the buffers of a call.</summary>
    public OpBuffers Prepare(IOps ops, ModelConfig config)
    {
        Parameters weights = Initializer.Create(config, seed: 1);
        if (IsTraining)
        {
            ops.LoadTraining(config, new TrainingState(config, weights, keepAverage: false));
            ops.BeginStep(new AdamStep(1, 1e-6f, 0.9f, 0.999f, 1e-8f, ClipNorm: 0, AverageDecay: 0, 1), 1e-4f);
        }
        else ops.Load(config, weights);
        return new OpBuffers(ops, config, IsTraining ? CropFrames * config.Hop : ChunkRows, IsTraining);
    }
}

/// <summary>Buffers for any operation, filled with normals; those of training hold whole crops, those of sampling a chunk in the middle of a long signal with its history.</summary>
internal sealed class OpBuffers : IDisposable
{
    private readonly List<IBuffer> _all = [];
    private readonly IOps _ops;
    private uint _streams;

    public OpBuffers(IOps ops, ModelConfig config, int rows, bool isTraining)
    {
        (_ops, Rows) = (ops, rows);
        int c = config.Channels;
        History = isTraining ? 0 : Network.ChunkGrain(config) / 2;
        Range = isTraining ? new TimeRange(0, rows, rows) : new TimeRange(1 << 20, rows, 1 << 30);
        (Audio, Noise, Eps, DEps) = (New(rows, 1), New(rows, 1), New(rows, 1), New(rows, 1));
        (X, Y, Skips) = (New(rows + 2 * History, c), New(rows + 2 * History, c), New(rows, c));
        (Table, Embedding, StepBias) = (New(1, ModelConfig.StepTableWidth), New(1, ModelConfig.StepWidth), New(config.Layers, c));
        (Mel, Upsampled) = (New(rows / config.Hop, Math.Max(1, config.Bands)), New(rows, Math.Max(1, config.Bands)));
        Conditioner = New(rows, 2 * c);
        (One, Valid) = (Filled(0.5f), Filled(rows));
        if (!isTraining) return;
        (DX, DSkips, PreGate, DPreGate, DStepBias, DUpsampled) = (New(rows, c), New(rows, c), New(rows, 2 * c), New(rows, 2 * c), New(config.Layers, c), New(rows, Math.Max(1, config.Bands)));
    }

    public int Rows { get; }
    public int History { get; }
    public TimeRange Range { get; }
    public IBuffer Audio { get; }
    public IBuffer Noise { get; }
    public IBuffer Eps { get; }
    public IBuffer DEps { get; }
    public IBuffer X { get; }
    public IBuffer Y { get; }
    public IBuffer Skips { get; }
    public IBuffer Table { get; }
    public IBuffer Embedding { get; }
    public IBuffer StepBias { get; }
    public IBuffer Mel { get; }
    public IBuffer Upsampled { get; }
    public IBuffer Conditioner { get; }
    public IBuffer One { get; }
    public IBuffer Valid { get; }
    public IBuffer DX { get; } = null!; // from here on only in training
    public IBuffer DSkips { get; } = null!;
    public IBuffer PreGate { get; } = null!;
    public IBuffer DPreGate { get; } = null!;
    public IBuffer DStepBias { get; } = null!;
    public IBuffer DUpsampled { get; } = null!;

    public void Dispose()
    {
        foreach (IBuffer buffer in _all) buffer.Dispose();
    }

    private IBuffer New(int rows, int channels)
    {
        IBuffer buffer = channels == 1 ? _ops.AllocateSignal(1, rows) : _ops.Allocate(1, rows, channels);
        _all.Add(buffer);
        var values = new float[rows * channels];
        PhiloxNoise.Fill(1, _streams++, 0, 0, values);
        _ops.Upload(values, buffer, 0, 0);
        return buffer;
    }

    private IBuffer Filled(float value)
    {
        IBuffer buffer = _ops.Allocate(1, 1, 1);
        _all.Add(buffer);
        _ops.Upload([value], buffer, 0, 0);
        return buffer;
    }
}
