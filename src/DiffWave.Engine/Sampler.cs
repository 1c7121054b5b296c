using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// The reverse chain x_N -> x_0. All steps run as one pipeline along time: while the last step finishes an early chunk, the first works on a later one, each step's network
/// trailing the one before by its lag. So audio comes out in order while it is made, memory stays bounded for any length, and the mel conditioner is computed once.
/// When the pipeline would not fit the budget the chain is cut into passes, with x kept in host memory between them. A device that prefers whole signals gets them as long as they fit
/// the budget (<see cref="WholeChain"/>); buffers and recorded operations of the last shape are kept for the next run. Not for several threads at once.
/// </summary>
public sealed class Sampler(ModelConfig config, IOps ops) : IDisposable
{
    private const int DefaultChunkRows = 4096;   // near the caches, and long against the start of an operation
    private const int LargestChunkRows = 1 << 18; // for devices that want long pieces

    private WholeChain? _whole;

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
        if (ops.PrefersWholeSignals && request.ChunkRows == 0 && WholeChain.Shape.Of(config, ops, request, Budget(request)) is { } shape)
        {
            if (_whole is null || !_whole.Fits(shape))
            {
                _whole?.Dispose();
                _whole = null; // not the old one, should the next line fail
                _whole = new WholeChain(config, ops, shape);
            }
            _whole.Run(request, write, progress, cancel);
            return;
        }
        int grain = Network.ChunkGrain(config);
        int chunk = ChunkRows(request), stages = StagesPerPass(request, chunk), passes = (request.Steps.Count + stages - 1) / stages;

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
                source is null ? null : (item, first, values) => source[item].AsSpan((int)first, values.Length).CopyTo(values),
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
    private void RunPass(SamplerRequest request, SamplerStep[] steps, int chunk, long before, Source? source, Sink sink, Action<double> progress, CancellationToken cancel)
    {
        using var owned = new Disposables();
        int batch = request.Batch, lag = config.ContextRows;
        long length = request.Length;
        var work = owned.Add(new NetworkWorkspace(ops, config, batch, chunk));
        var mel = config.HasMel ? owned.Add(new MelConditioner(ops, config, batch, length, chunk, steps.Length)) : null;
        mel?.Begin(request.Mels!);
        IBuffer eps = owned.Add(ops.AllocateSignal(batch, chunk)), noise = owned.Add(ops.AllocateSignal(batch, chunk)), finished = owned.Add(ops.AllocateSignal(batch, chunk));
        var networks = new Network[steps.Length];
        var conditions = new StepCondition[steps.Length];
        var signals = new IBuffer[steps.Length]; // x of each step, [B, lag + chunk, 1], row 0 stands lag behind the step's front
        int[] labels = [.. request.Labels];
        for (int s = 0; s < steps.Length; s++)
        {
            networks[s] = owned.Add(new Network(ops, config, length, work));
            signals[s] = owned.Add(ops.AllocateSignal(batch, lag + chunk));
            conditions[s] = owned.Add(new StepCondition(ops, config, [.. Enumerable.Repeat(steps[s].Step, batch)]));
            conditions[s].SetLabels(labels);
            conditions[s].Compute();
        }
        if (request.Noise.Seed is { } seed) ops.SetSeed(seed);

        var values = new float[chunk];
        long end = length + (long)steps.Length * lag;
        for (long front = -before; front < end; front += chunk)
        {
            cancel.ThrowIfCancellationRequested();
            if (source is null) Noise(request.Steps.Count, front, new Window(signals[0], lag));
            else ForExisting(front, (item, first, count, row) =>
            {
                source(item, first, values.AsSpan(0, count));
                ops.Upload(values.AsSpan(0, count), signals[0], item, lag + row);
            });
            for (int s = 0; s < steps.Length; s++)
            {
                long stageFront = front - (long)s * lag;
                bool computeMel = mel is not null && (s == 0 || !mel.Keeps);
                if (computeMel) mel!.Upload(stageFront);
                networks[s].Advance(stageFront, new Window(signals[s], lag), conditions[s], mel, computeMel, new Window(eps, 0));
                if (steps[s].Sigma != 0) Noise(steps[s].Index, stageFront - lag, new Window(noise, 0));
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

        void Noise(int index, long from, Window window)
        {
            int skipped = (int)Math.Max(0, -from), count = (int)Math.Min(chunk, length - from) - skipped;
            if (request.Noise.Seed is not null && count > 0) ops.Normals(SeededNoise.Draw(index, from + skipped), count, window with { Row = window.Row + skipped });
            if (request.Noise.Seed is not null) return;
            ForExisting(from, (item, first, count, row) =>
            {
                request.Noise.Fill(index, item, first, values.AsSpan(0, count));
                ops.Upload(values.AsSpan(0, count), window.Buffer, item, window.Row + row);
            });
        }

        // Calls action(item, first time, count, row) for the rows of a chunk that exist.
        void ForExisting(long first, Action<int, long, int, int> action)
        {
            long from = Math.Max(0, first), to = Math.Min(length, first + chunk);
            for (int item = 0; item < batch && from < to; item++) action(item, from, (int)(to - from), (int)(from - first));
        }
    }

    private long Budget(SamplerRequest request) => request.MemoryBudget > 0 ? request.MemoryBudget : ops.SamplingBudget;

    // As asked; else what suits the device, in half and half again until the pipeline of all steps fits.
    private int ChunkRows(SamplerRequest request)
    {
        int grain = Network.ChunkGrain(config);
        if (request.ChunkRows > 0) return Grains(request.ChunkRows);
        int chunk = Grains(Math.Min(ops.PrefersWholeSignals ? LargestChunkRows : DefaultChunkRows, request.Length));
        while (chunk > Grains(DefaultChunkRows) && StagesPerPass(request, chunk) < request.Steps.Count) chunk = Grains(chunk / 2);
        return chunk;

        int Grains(long rows) => checked((int)((rows + grain - 1) / grain * grain));
    }

    // As many steps a pass as fit the budget: a step needs its histories and skips, all of them together the conditioner's ring.
    private int StagesPerPass(SamplerRequest request, int chunk)
    {
        long stage = (long)request.Batch * config.Channels * ops.ActivationBytes * (3L * config.ContextRows + chunk);
        long ringRow = request.Batch * MelConditioner.KeptRowBytes(ops, config);
        int stages = request.Steps.Count;
        while (stages > 1 && stages * stage + MelConditioner.RingRows(ops, config, request.Length, chunk, stages) * ringRow > Budget(request)) stages--;
        int passes = (request.Steps.Count + stages - 1) / stages;
        return (request.Steps.Count + passes - 1) / passes;
    }

    /// <summary>Frees what is kept for the next run.</summary>
    public void Dispose() => _whole?.Dispose();
}
