namespace DiffWave.Engine;

/// <summary>What one optimiser step did.</summary>
/// <param name="Step">Number of the step, from 1.</param>
/// <param name="Loss">Mean over the batch's samples, before the update.</param>
/// <param name="GradientNorm">L2 norm of all gradients before clipping.</param>
/// <param name="LearningRate">Rate of the update.</param>
/// <param name="LossScale">What its gradients were scaled by; 1 but in fp16.</param>
/// <param name="Items">Diffusion step and mean loss of each crop.</param>
public sealed record TrainingStep(long Step, double Loss, double GradientNorm, double LearningRate, double LossScale, IReadOnlyList<(int DiffusionStep, double Loss)> Items);

/// <summary>Training met a loss or gradient that is not finite; the weights are those of the step before.</summary>
/// <param name="step">Number of the step that failed, from 1.</param>
/// <param name="message">What was not finite.</param>
public sealed class TrainingDivergedException(long step, string message) : Exception(message)
{
    /// <summary>Number of the step that failed, from 1.</summary>
    public long Step { get; } = step;
}

/// <summary>
/// The optimisation of the noise predictor (Kong et al., algorithm 1): crops, diffusion steps t ~ U{0 .. T-1}, noise, x_t, eps(x_t, t), loss, gradients, Adam. Crops, steps and noise are
/// functions of the seed and of the crop's number alone, so a run that is stopped and taken up again computes what it would have computed.
/// </summary>
public sealed class Trainer : IDisposable
{
    // Streams of the counter-based generator that belong to training; the sampler uses small numbers, one an item.
    private const uint StepStream = 0x2000_0000, NoiseStream = 0x2000_0001;

    private readonly IOps _ops;
    private readonly TrainingOptions _options;
    private readonly ITrainingData _data;
    private readonly TrainingState _state;
    private readonly TrainingPass _pass;
    private readonly IRecording _update;
    private readonly float[] _alphaBars;

    /// <param name="ops">The device; the state is loaded into it.</param>
    /// <param name="config">The model.</param>
    /// <param name="options">How to train.</param>
    /// <param name="data">Crops.</param>
    /// <param name="state">Where to start. <see cref="TrainingState.Step"/> moves with every step; the weights and moments only with <see cref="ReadState"/>.</param>
    /// <exception cref="ArgumentException">The device computes in another precision than the options ask for.</exception>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    public Trainer(IOps ops, ModelConfig config, TrainingOptions options, ITrainingData data, TrainingState state)
    {
        if (ops.Precision != options.Precision) throw new ArgumentException($"{ops.Device} computes in {ops.Precision}, the options ask for {options.Precision}");
        (_ops, _options, _data, _state) = (ops, options, data, state);
        _alphaBars = [.. new NoiseSchedule(config.TrainingBetas).AlphaBars.Select(level => (float)level)];
        _pass = new TrainingPass(ops, config, options.MicroBatch, data.CropSamples, options.Recompute);
        _update = ops.Record(ops.UpdateWeights);
        if (state.Step == 0) state.LossScale = LossScale.First(options.Precision);
        ops.LoadTraining(config, state);
    }

    /// <summary>One optimiser step. One whose gradients overflow under a loss scale above 1 is done again with half of it.</summary>
    /// <exception cref="TrainingDivergedException">The loss or a gradient is not finite, or its square would not be; nothing was updated.</exception>
    public TrainingStep Step()
    {
        int batch = _options.Batch;
        long first = _state.Step * batch;
        TrainingItem[] items = [.. Enumerable.Range(0, batch).Select(i => _data.Crop(first + i))];
        int[] steps = [.. items.Select((_, i) => DiffusionStep(first + i))];
        double[] sums = new double[batch];
        long valid = items.Sum(item => (long)item.ValidSamples);

        long number = _state.Step + 1;
        double rate = LearningRate(number), decay = Math.Min(_options.AverageDecay, (1.0 + number) / (10 + number));
        var update = new AdamStep(number, rate, _options.Beta1, _options.Beta2, _options.Epsilon, _options.ClipNorm, decay) { LossScale = _state.LossScale.Factor };
        double loss, norm;
        while (true)
        {
            Compute(update, items, steps, valid);
            _ops.ReadLosses(sums); // everything of this step is under way; only now the host waits, for the numbers it reports
            (loss, norm) = (sums.Sum() / valid, _ops.UpdateNorm());
            if (!double.IsFinite(loss)) throw new TrainingDivergedException(number, $"the loss is {loss} in step {number}, at {Where(items, steps, sums)}");
            if (double.IsFinite(norm)) break;
            _state.LossScale = _state.LossScale.Halved ?? throw new TrainingDivergedException(number, $"the gradient norm is {norm} in step {number}");
            update = update with { LossScale = _state.LossScale.Factor };
        }
        if (norm * update.GradientScale(norm) > AdamStep.LargestNorm) throw new TrainingDivergedException(number, $"the gradient norm is {norm} in step {number}, too large for Adam's second moment");
        _state.Step = number;
        _state.LossScale = _state.LossScale.Next(_options.Precision);
        return new TrainingStep(number, loss, norm, rate, update.LossScale, [.. items.Select((item, i) => (steps[i], sums[i] / item.ValidSamples))]);
    }

    // Losses, gradients and the update, queued.
    private void Compute(AdamStep update, TrainingItem[] items, int[] steps, long valid)
    {
        int micro = _options.MicroBatch;

        // Seed and numbers go ahead, so that all else is the same in every step and can be replayed.
        _ops.SetSeed(_options.Seed, _state.Step * items.Length * _data.CropSamples);
        _ops.BeginStep(update, 1f / valid);
        _ops.ZeroGradients();
        for (int at = 0; at < items.Length; at += micro)
        {
            var t = steps.AsSpan(at, micro);
            var noise = new NoiseDraw(NoiseStream, 0, 0, (long)at * _data.CropSamples, _data.CropSamples);
            _pass.Run(_options.Loss, items[at..(at + micro)], noise, t, Levels(t), at, backward: true);
        }
        _update.Run();
    }

    /// <summary>Brings the device's weights, moments and average into the state.</summary>
    public TrainingState ReadState()
    {
        _ops.ReadTraining(_state);
        return _state;
    }

    /// <summary>The learning rate of a step (from 1): a linear rise over the warm-up, then constant or a half cosine down to a tenth.</summary>
    public double LearningRate(long step)
    {
        if (step <= _options.WarmupSteps) return _options.LearningRate * step / _options.WarmupSteps;
        if (_options.DecaySteps == 0) return _options.LearningRate;
        double done = Math.Min(1, (double)(step - _options.WarmupSteps) / _options.DecaySteps);
        return _options.LearningRate * (0.1 + 0.45 * (1 + Math.Cos(Math.PI * done)));
    }

    private int DiffusionStep(long crop) => (int)((ulong)PhiloxNoise.Bits(_options.Seed, StepStream, 0, (ulong)crop).X * (ulong)_alphaBars.Length >> 32);

    private float[] Levels(ReadOnlySpan<int> steps)
    {
        float[] levels = new float[steps.Length];
        for (int i = 0; i < levels.Length; i++) levels[i] = _alphaBars[steps[i]];
        return levels;
    }

    private static string Where(TrainingItem[] items, int[] steps, double[] sums)
    {
        int bad = Math.Max(0, Array.FindIndex(sums, sum => !double.IsFinite(sum)));
        return $"a crop of {items[bad].Clip} with diffusion step {steps[bad]}";
    }

    /// <summary>Frees recordings and activations.</summary>
    public void Dispose()
    {
        _update.Dispose();
        _pass.Dispose();
    }
}
