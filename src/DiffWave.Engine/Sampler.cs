using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>How a reverse step is taken.</summary>
public enum SamplerKind
{
    /// <summary>Ancestral sampling (Ho et al. 2020; Kong et al. 2021, algorithm 2).</summary>
    Ddpm,
    /// <summary>Song et al. 2021, equation 12, with eta from 0 (deterministic) to 1 (ancestral noise).</summary>
    Ddim,
}

/// <summary>One reverse step as the device takes it: x' = Scale (x - EpsWeight eps(x, Step)) + Sigma z.</summary>
/// <param name="Index">n, from N-1 down to 0; names the noise z.</param>
/// <param name="Step">Diffusion step passed to the network.</param>
/// <param name="Scale">Factor of the mean.</param>
/// <param name="EpsWeight">Factor of the predicted noise.</param>
/// <param name="Sigma">Standard deviation of the added noise; 0 at n = 0.</param>
public readonly record struct SamplerStep(int Index, float Step, float Scale, float EpsWeight, float Sigma)
{
    /// <summary>The steps of a schedule, in order of execution, for a network trained on another.</summary>
    /// <param name="schedule">The betas to run.</param>
    /// <param name="training">The betas the network was trained on.</param>
    /// <param name="kind">The sampler.</param>
    /// <param name="eta">Noise of <see cref="SamplerKind.Ddim"/>, 0 to 1.</param>
    /// <exception cref="ArgumentException">A step cannot be aligned, or eta is out of range.</exception>
    public static IReadOnlyList<SamplerStep> Chain(NoiseSchedule schedule, NoiseSchedule training, SamplerKind kind = SamplerKind.Ddpm, double eta = 0)
    {
        if (!(eta >= 0 && eta <= 1)) throw new ArgumentException($"eta is {eta}, expected 0 to 1");
        return [.. schedule.ReverseChain(training).Select(s => kind == SamplerKind.Ddpm ? Ddpm(s) : Ddim(s, eta))];
    }

    private static SamplerStep Ddpm(ReverseStepInfo s)
    {
        double sigma = s.Index > 0 ? Math.Sqrt((1 - s.PreviousAlphaBar) / (1 - s.AlphaBar) * s.Beta) : 0;
        return new SamplerStep(s.Index, s.Step, (float)(1 / Math.Sqrt(1 - s.Beta)), (float)(s.Beta / Math.Sqrt(1 - s.AlphaBar)), (float)sigma);
    }

    // x0 = (x - sqrt(1 - ab) eps) / sqrt(ab); x' = sqrt(ab') x0 + sqrt(1 - ab' - sigma^2) eps + sigma z, gathered by x and eps.
    private static SamplerStep Ddim(ReverseStepInfo s, double eta)
    {
        double sigma = s.Index > 0 ? eta * Math.Sqrt((1 - s.PreviousAlphaBar) / (1 - s.AlphaBar) * s.Beta) : 0;
        double scale = Math.Sqrt(s.PreviousAlphaBar / s.AlphaBar), direction = Math.Sqrt(Math.Max(0, 1 - s.PreviousAlphaBar - sigma * sigma));
        return new SamplerStep(s.Index, s.Step, (float)scale, (float)(Math.Sqrt(1 - s.AlphaBar) - direction / scale), (float)sigma);
    }
}

/// <summary>Where the chain's random numbers come from.</summary>
public interface INoise
{
    /// <summary>Standard normals of an item for times first ...; <paramref name="index"/> is N for the initial x and n for the noise added at step n.</summary>
    void Fill(int index, int item, long first, Span<float> normals);
}

/// <summary>Counter-based noise: a value depends only on the seed, the item, the step and the time.</summary>
/// <param name="seed">The seed.</param>
public sealed class SeededNoise(ulong seed) : INoise
{
    /// <inheritdoc/>
    public void Fill(int index, int item, long first, Span<float> normals) => PhiloxNoise.Fill(seed, (uint)item, (uint)index, first, normals);
}

/// <summary>What to sample.</summary>
public sealed record SamplerRequest
{
    /// <summary>The reverse steps, in order of execution.</summary>
    public required IReadOnlyList<SamplerStep> Steps { get; init; }
    /// <summary>Noise for the initial x and every step.</summary>
    public required INoise Noise { get; init; }
    /// <summary>T, samples to make.</summary>
    public required long Length { get; init; }
    /// <summary>B, signals made side by side.</summary>
    public int Batch { get; init; } = 1;
    /// <summary>A mel an item, for models conditioned on one.</summary>
    public IReadOnlyList<IMelSource>? Mels { get; init; }
    /// <summary>A label an item, for models conditioned on one.</summary>
    public IReadOnlyList<int> Labels { get; init; } = [];
    /// <summary>Samples processed at a time, rounded up to the model's grain; 0 for the default. The result does not depend on it.</summary>
    public int ChunkRows { get; init; }
    /// <summary>Bytes the activations may take where there is a choice between memory and time. The result does not depend on it.</summary>
    public long MemoryBudget { get; init; } = 512L << 20;
}

/// <summary>
/// The reverse chain x_N -> x_0. All steps run as one pipeline along time: while the last step finishes an early chunk, the first works on a later one, each step's network
/// trailing the one before by its lag. So audio comes out in order while it is made, memory stays bounded for any length, and the mel conditioner is computed once.
/// When the pipeline would not fit the budget the chain is cut into passes, with x kept in host memory between them.
/// </summary>
public sealed class Sampler(ModelConfig config, IOps ops)
{
    private const int DefaultChunkRows = 4096; // near the caches, and long against the start of an operation

    /// <summary>Runs the chain.</summary>
    /// <param name="request">What to sample.</param>
    /// <param name="write">Called with (item, first time, samples) as audio is finished, in order of time.</param>
    /// <param name="progress">Told the finished fraction.</param>
    /// <param name="cancel">Stops between chunks.</param>
    /// <exception cref="ArgumentException">The request does not fit the model.</exception>
    /// <exception cref="OperationCanceledException">Stopped by <paramref name="cancel"/>.</exception>
    public void Run(SamplerRequest request, Action<int, long, ReadOnlySpan<float>> write, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        if (request.Length < 1) throw new ArgumentException($"length is {request.Length}, expected at least 1 sample");
        if (request.Steps.Count == 0) throw new ArgumentException("steps is empty, expected at least one reverse step");
        if (config.HasMel && request.Mels?.Count != request.Batch) throw new ArgumentException($"the model needs a mel an item: {request.Batch} expected, {request.Mels?.Count ?? 0} given");
        int grain = Network.ChunkGrain(config);
        long wanted = request.ChunkRows > 0 ? request.ChunkRows : Math.Min(DefaultChunkRows, request.Length);
        int chunk = checked((int)((wanted + grain - 1) / grain * grain));
        int stages = StagesPerPass(request, chunk), passes = (request.Steps.Count + stages - 1) / stages;

        if (passes > 1 && request.Length > Array.MaxLength)
            throw new ArgumentException($"{request.Length} samples in {passes} passes: at most {Array.MaxLength} can be kept between passes; raise the memory budget or use fewer steps");
        float[][]? x = null; // the signals between passes
        for (int pass = 0; pass < passes; pass++)
        {
            bool last = pass == passes - 1;
            var steps = request.Steps.Skip(pass * stages).Take(stages).ToArray();
            float[][]? source = x, target = last ? null : x ?? [.. Enumerable.Range(0, request.Batch).Select(_ => new float[request.Length])];
            int finishedPasses = pass;
            RunPass(request, steps, chunk, (long)pass * stages * config.ContextRows % grain,
                (item, first, values) =>
                {
                    if (source is null) request.Noise.Fill(request.Steps.Count, item, first, values);
                    else source[item].AsSpan((int)first, values.Length).CopyTo(values);
                },
                (item, first, values) =>
                {
                    if (target is null) write(item, first, values);
                    else values.CopyTo(target[item].AsSpan((int)first));
                },
                fraction => progress?.Report((finishedPasses + fraction) / passes), cancel);
            x = target;
        }
    }

    private delegate void Source(int item, long first, Span<float> values);

    private delegate void Sink(int item, long first, ReadOnlySpan<float> values);

    // One pipeline over some of the steps. Step s works at front - s * lag; what it finishes is what step s + 1 takes in. The first front lies before the signal by what the steps
    // of earlier passes trail, modulo the grain: so each step cuts the signal where it would in a single pass, and rounds alike.
    private void RunPass(SamplerRequest request, SamplerStep[] steps, int chunk, long before, Source source, Sink sink, Action<double> progress, CancellationToken cancel)
    {
        using var owned = new Disposables();
        int batch = request.Batch, lag = config.ContextRows;
        long length = request.Length;
        var work = owned.Add(new NetworkWorkspace(ops, config, batch, chunk));
        var mel = config.HasMel ? owned.Add(new MelConditioner(ops, config, request.Mels!, length, chunk, RingRows(steps.Length, chunk, length))) : null;
        IBuffer eps = owned.Add(ops.AllocateSignal(batch, chunk)), noise = owned.Add(ops.AllocateSignal(batch, chunk)), finished = owned.Add(ops.AllocateSignal(batch, chunk));
        var networks = new Network[steps.Length];
        var signals = new IBuffer[steps.Length]; // x of each step, [B, lag + chunk, 1], row 0 stands lag behind the step's front
        int[] labels = [.. request.Labels];
        for (int s = 0; s < steps.Length; s++)
        {
            networks[s] = owned.Add(new Network(ops, config, length, work));
            signals[s] = owned.Add(ops.AllocateSignal(batch, lag + chunk));
            networks[s].Condition([.. Enumerable.Repeat(steps[s].Step, batch)], labels);
        }

        var values = new float[chunk];
        long end = length + (long)steps.Length * lag;
        for (long front = -before; front < end; front += chunk)
        {
            cancel.ThrowIfCancellationRequested();
            ForExisting(front, (item, first, count, row) =>
            {
                source(item, first, values.AsSpan(0, count));
                ops.Upload(values.AsSpan(0, count), signals[0], item, lag + row);
            });
            for (int s = 0; s < steps.Length; s++)
            {
                long stageFront = front - (long)s * lag;
                if (mel is not null && (s == 0 || !mel.Keeps)) mel.Advance(stageFront);
                networks[s].Advance(stageFront, new Window(signals[s], lag), mel, new Window(eps, 0));
                if (steps[s].Sigma != 0)
                    ForExisting(stageFront - lag, (item, first, count, row) =>
                    {
                        request.Noise.Fill(steps[s].Index, item, first, values.AsSpan(0, count));
                        ops.Upload(values.AsSpan(0, count), noise, item, row);
                    });
                var next = s + 1 < steps.Length ? new Window(signals[s + 1], lag) : new Window(finished, 0);
                ops.ReverseStep(new TimeRange(stageFront - lag, chunk, length), new Window(signals[s], 0), new Window(eps, 0), new Window(noise, 0),
                    steps[s].Scale, steps[s].EpsWeight, steps[s].Sigma, config.ClampSamples, next);
                ops.Copy(new Window(signals[s], chunk), new Window(signals[s], 0), lag);
            }
            ForExisting(front - (long)steps.Length * lag, (item, first, count, row) =>
            {
                ops.Download(finished, item, row, values.AsSpan(0, count));
                sink(item, first, values.AsSpan(0, count));
            });
            progress(Math.Min(1, (double)(front + chunk) / end));
        }

        // Calls action(item, first time, count, row) for the rows of a chunk that exist.
        void ForExisting(long first, Action<int, long, int, int> action)
        {
            long from = Math.Max(0, first), to = Math.Min(length, first + chunk);
            for (int item = 0; item < batch && from < to; item++) action(item, from, (int)(to - from), (int)(from - first));
        }
    }

    // Rows of the conditioner that all steps of a pass can share.
    private int RingRows(int stages, int chunk, long length) =>
        (int)Math.Min((long)(stages - 1) * config.ContextRows + chunk, (length + config.ContextRows + 2L * chunk - 1) / chunk * chunk);

    // As many steps a pass as fit the budget: a step needs its histories and skips, all of them together the conditioner's ring.
    private int StagesPerPass(SamplerRequest request, int chunk)
    {
        long rowBytes = (long)request.Batch * config.Channels * sizeof(float);
        long stage = rowBytes * (3L * config.ContextRows + chunk);
        long ringRow = config.HasMel ? 2 * rowBytes * config.Layers : 0;
        int stages = request.Steps.Count;
        while (stages > 1 && stages * stage + RingRows(stages, chunk, request.Length) * ringRow > request.MemoryBudget) stages--;
        int passes = (request.Steps.Count + stages - 1) / stages;
        return (request.Steps.Count + passes - 1) / passes;
    }

    private sealed class Disposables : IDisposable
    {
        private readonly Stack<IDisposable> _items = new();

        public T Add<T>(T item) where T : IDisposable
        {
            _items.Push(item);
            return item;
        }

        public void Dispose()
        {
            while (_items.TryPop(out var item)) item.Dispose();
        }
    }
}
