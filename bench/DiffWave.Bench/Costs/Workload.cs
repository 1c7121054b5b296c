using DiffWave.Audio;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench.Costs;

/// <summary>What the engine is asked for.</summary>
internal abstract record Workload(string Preset, int Batch, int Frames, Precision Precision)
{
    public ModelConfig Config { get; } = ModelConfig.Preset(Preset);

    /// <summary>Samples of an item.</summary>
    public int Samples => Frames * Config.Hop;

    /// <summary>FLOP of all of it by the definition of its operations, every step computing everything.</summary>
    public abstract double Flops { get; }

    /// <summary>One line about it.</summary>
    public string Text => $"{What}, {PrecisionText}";

    protected abstract string What { get; }

    /// <summary>What the command line calls the precision.</summary>
    public string PrecisionText => Precision.ToString().ToLowerInvariant();

    /// <summary>The same of another size.</summary>
    public Workload Sized(int batch, int frames) => this with { Batch = batch, Frames = frames };

    /// <summary>What the engine launches for it once everything is warm.</summary>
    /// <param name="recorder">Where it goes.</param>
    public void Record(LaunchRecorder recorder)
    {
        using var ops = new CudaOps(recorder, new CudaOptions { Precision = Precision });
        Run(ops, watched => recorder.IsRecording = watched, replayed: true);
    }

    /// <summary>Items that the engine takes together on a device.</summary>
    /// <param name="gpu">The device.</param>
    public virtual int Together(GpuModel gpu) => Batch;

    /// <summary>Runs it to warm up and once more.</summary>
    /// <param name="ops">The device.</param>
    /// <param name="watch">Called with true before the last run and with false after it.</param>
    /// <param name="replayed">Whether what can be replayed as a graph is; else it is launched one by one.</param>
    public abstract void Run(CudaOps ops, Action<bool> watch, bool replayed);

    /// <summary>Frames that hold so many seconds.</summary>
    public static int FramesOf(string preset, double seconds)
    {
        ModelConfig config = ModelConfig.Preset(preset);
        return (int)Math.Ceiling(seconds * config.SampleRate / config.Hop);
    }
}

/// <summary>A synthesis by the fast schedule or by the training schedule, from its mel to audio, replayed as a graph.</summary>
internal sealed record SynthesisWork(string Preset, int Batch, int Frames, bool Full, Precision Precision) : Workload(Preset, Batch, Frames, Precision)
{
    public IReadOnlyList<SamplerStep> Steps { get; } = Chain(ModelConfig.Preset(Preset), Full);

    /// <summary>Whether every clip is a frame shorter than the one before it.</summary>
    public bool Unequal { get; init; }

    public override double Flops => (double)OpCost.Evaluation(Config, (long)Batch * Samples).Flops * Steps.Count;

    protected override string What => FormattableString.Invariant($"synthesis, {Preset} (C={Config.Channels}, {Config.Layers} layers), {Batch} x {Samples / (double)Config.SampleRate:f2} s of audio, {Steps.Count} steps");

    public override void Run(CudaOps ops, Action<bool> watch, bool replayed)
    {
        ops.Load(Config, Initializer.Create(Config, seed: 1));
        SamplerRequest request = Request();
        var sampler = new Sampler(Config, ops);
        try
        {
            Once();
            if (!replayed) // a sampler replays its second run
            {
                sampler.Dispose();
                sampler = new Sampler(Config, ops);
            }
            watch(true);
            Once();
            watch(false);
        }
        finally
        {
            sampler.Dispose();
        }

        void Once() => sampler.Run(request, (_, _, _) => { });
    }

    public override int Together(GpuModel gpu)
    {
        using var recorder = new LaunchRecorder(gpu, null);
        using var ops = new CudaOps(recorder, new CudaOptions { Precision = Precision });
        using var sampler = new Sampler(Config, ops);
        return sampler.Together(Request());
    }

    private SamplerRequest Request() => new()
    {
        Steps = Steps,
        Noise = new SeededNoise(3),
        Lengths = [.. Enumerable.Range(0, Batch).Select(clip => (long)FramesOf(clip) * Config.Hop)],
        Mels = Config.HasMel ? [.. Enumerable.Range(0, Batch).Select(clip => new MemoryMel(new float[Config.Bands * FramesOf(clip)], Config.Bands, FramesOf(clip)))] : null,
        Labels = Config.HasLabel ? new int[Batch] : [],
    };

    private int FramesOf(int clip) => Unequal ? Frames - clip : Frames;

    private static IReadOnlyList<SamplerStep> Chain(ModelConfig config, bool full) =>
        SamplerStep.Chain(new NoiseSchedule(full ? config.TrainingBetas : config.FastBetas), new NoiseSchedule(config.TrainingBetas));
}

/// <summary>An optimiser step on crops, all of them at once, replayed as graphs.</summary>
internal sealed record TrainingWork(string Preset, int Batch, int Frames, bool Recompute, Precision Precision) : Workload(Preset, Batch, Frames, Precision)
{
    public override double Flops => 3.0 * OpCost.Evaluation(Config, (long)Batch * Samples).Flops;

    protected override string What => FormattableString.Invariant($"training step, {Preset} (C={Config.Channels}, {Config.Layers} layers), batch {Batch} of {Samples} samples{(Recompute ? ", gate inputs computed again" : "")}");

    public override void Run(CudaOps ops, Action<bool> watch, bool replayed)
    {
        var adam = new TrainingOptions();
        ops.LoadTraining(Config, new TrainingState(Config, Initializer.Create(Config, seed: 1), keepAverage: false));
        TrainingItem[] items = [.. Enumerable.Range(0, Batch).Select(item => new TrainingItem(new float[Samples], Config.HasMel ? new float[Frames * Config.Bands] : null, 0, Samples, $"item {item}"))];
        using IRecording update = ops.Record(ops.UpdateWeights);
        var pass = new TrainingPass(ops, Config, Batch, Samples, Recompute);
        const int Warm = 2; // working memory moves in the first step, the second runs where it stays; the third is replayed
        try
        {
            for (int step = 1; step <= Warm + 1; step++)
            {
                if (step > Warm && !replayed)
                {
                    pass.Dispose();
                    pass = new TrainingPass(ops, Config, Batch, Samples, Recompute);
                }
                if (step > Warm) watch(true);
                ops.BeginStep(new AdamStep(step, adam.LearningRate, adam.Beta1, adam.Beta2, adam.Epsilon, ClipNorm: 0, AverageDecay: 0, LossScale.First(Precision).Factor), 1f / ((long)Batch * Samples));
                ops.ZeroGradients();
                pass.Run(LossKind.L1, items, new NoiseDraw(0, 1, 0, 0, 0), new int[Batch], [.. Enumerable.Repeat(0.5f, Batch)], 0, backward: true);
                if (replayed) update.Run();
                else ops.UpdateWeights();
                ops.UpdateNorm();
            }
            watch(false);
        }
        finally
        {
            pass.Dispose();
        }
    }
}
