using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// The reverse chain x_N -> x_0. A device that prefers whole signals gets the items of a request in groups, as many together as suit it and fit the budget (<see cref="WholeChain"/>), in order;
/// buffers and recorded operations of the last shape are kept for the next group. On other devices, and for a signal that does not fit, an item's steps run as one pipeline along time: while
/// the last step finishes an early chunk, the first works on a later one, each step's network trailing the one before by its lag. So audio comes out in order while it is made, memory stays
/// bounded for any length, and the mel conditioner is computed once. When the pipeline would not fit the budget the chain is cut into passes, with x kept in host memory between them.
/// An item's audio does not depend on the items beside it. Not for several threads at once.
/// </summary>
public sealed class Sampler(ModelConfig config, IOps ops) : IDisposable
{
    private const int DefaultChunkRows = 4096;   // near the caches, and long against the start of an operation
    private const int LargestChunkRows = 1 << 18; // for devices that want long pieces
    private const long GroupRows = 1 << 20; // some 60 tiles of 128 rows for each of 132 multiprocessors: larger groups would not be faster, and audio would come later

    private WholeChain? _whole;
    private WholeChain.Arriving? _arriving;

    /// <summary>Runs the chain for every item: <see cref="Begin"/>, then <see cref="Finish"/>.</summary>
    /// <param name="request">What to sample.</param>
    /// <param name="write">Called with (item, first time, samples) as audio is finished, item after item, in order of time.</param>
    /// <param name="progress">Told the finished fraction.</param>
    /// <param name="cancel">Stops between chunks.</param>
    /// <exception cref="ArgumentException">The request does not fit the model.</exception>
    /// <exception cref="OperationCanceledException">Stopped by <paramref name="cancel"/>.</exception>
    public void Run(SamplerRequest request, Action<int, long, ReadOnlySpan<float>> write, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        Begin(request, write, progress, cancel);
        Finish();
    }

    /// <summary>
    /// Runs the chain for every item and hands on the audio of each group once the next one is under way, so that a device that works on its own does not wait for the host: on return the last
    /// group may still be made, and its audio comes out of the next call or of <see cref="Finish"/>. Whatever order that gives, it is that of the calls. Where the chain cannot be started, audio
    /// of earlier groups can still be fetched by <see cref="Finish"/>; where <paramref name="write"/> throws, audio that waits is given up.
    /// </summary>
    /// <param name="request">What to sample.</param>
    /// <param name="write">As in <see cref="Run"/>; also called after this method has returned.</param>
    /// <param name="progress">Told the finished fraction.</param>
    /// <param name="cancel">Stops between chunks.</param>
    /// <exception cref="ArgumentException">The request does not fit the model.</exception>
    /// <exception cref="OperationCanceledException">Stopped by <paramref name="cancel"/>.</exception>
    public void Begin(SamplerRequest request, Action<int, long, ReadOnlySpan<float>> write, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        int items = request.Lengths.Count;
        if (items == 0) throw new ArgumentException("lengths is empty, expected at least one item");
        foreach (long length in request.Lengths)
            if (length < 1) throw new ArgumentException($"length is {length}, expected at least 1 sample");
        if (request.Steps.Count == 0) throw new ArgumentException("steps is empty, expected at least one reverse step");
        if (config.HasMel && request.Mels?.Count != items) throw new ArgumentException($"the model needs a mel an item: {items} expected, {request.Mels?.Count ?? 0} given");
        if (config.HasLabel && request.Labels.Count != items) throw new ArgumentException($"the model needs a label an item: {items} expected, {request.Labels.Count} given");
        var run = new SamplerRun(request, write, progress, cancel);
        for (int first = 0, count; first < items; first += count)
        {
            WholeChain.Shape? shape = Group(request, first);
            count = shape?.Lengths.Count ?? 1;
            if (shape is null)
            {
                Finish();
                RunAlongTime(run, first);
            }
            else
            {
                WholeChain.Arriving next = Whole(shape).Start(run, first);
                try { Finish(); }
                catch
                {
                    next.Dispose();
                    throw;
                }
                _arriving = next;
            }
        }
    }

    /// <summary>Waits for the audio that <see cref="Begin"/> has not handed on yet, and hands it on. Without any, nothing happens.</summary>
    /// <exception cref="OperationCanceledException">Stopped by the token given to <see cref="Begin"/>.</exception>
    public void Finish()
    {
        using WholeChain.Arriving? last = _arriving;
        _arriving = null;
        last?.HandOn();
    }

    /// <summary>How many items of a request are made together, from one on; one where the device takes them one by one.</summary>
    /// <param name="request">What to sample.</param>
    /// <param name="first">The first of them.</param>
    public int Together(SamplerRequest request, int first = 0) => Group(request, first)?.Lengths.Count ?? 1;

    // The largest group in the order of the items that has a use: within the rows that keep a device busy (or one item), within the budget, and keeping the mel's projections if one item alone would.
    private WholeChain.Shape? Group(SamplerRequest request, int first)
    {
        if (!ops.PrefersWholeSignals || request.ChunkRows > 0 && request.Lengths[first] > request.ChunkRows || Shape(1) is not { } shape) return null;
        long rows = request.Lengths[first], most = request.ChunkRows > 0 ? request.ChunkRows : GroupRows;
        int count = 1;
        while (first + count < request.Lengths.Count && rows + request.Lengths[first + count] <= most) rows += request.Lengths[first + count++];
        for (; count > 1; count--)
            if (Shape(count) is { } larger && larger.KeepsMel == shape.KeepsMel) return larger;
        return shape;

        WholeChain.Shape? Shape(int count) => WholeChain.Shape.Of(config, ops, request, first, count, Budget(request));
    }

    private WholeChain Whole(WholeChain.Shape shape)
    {
        if (_whole?.Made.Serves(shape) == true) return _whole;
        _whole?.Dispose();
        _whole = null; // not the old one, should the next line fail
        return _whole = new WholeChain(config, ops, shape);
    }

    private void RunAlongTime(SamplerRun run, int item)
    {
        SamplerRequest request = run.Request;
        long length = request.Lengths[item];
        int grain = Network.ChunkGrain(config);
        int chunk = ChunkRows(request, length), stages = StagesPerPass(request, length, chunk), passes = (request.Steps.Count + stages - 1) / stages;

        if (passes > 1 && length > Array.MaxLength)
            throw new ArgumentException($"{length} samples in {passes} passes: at most {Array.MaxLength} can be kept between passes; raise the memory budget or use fewer steps");
        float[]? x = null; // the signal between passes
        for (int pass = 0; pass < passes; pass++)
        {
            bool last = pass == passes - 1;
            var steps = request.Steps.Skip(pass * stages).Take(stages).ToArray();
            float[]? source = x, target = last ? null : x ?? new float[length];
            int finishedPasses = pass;
            RunPass(run, item, steps, chunk, (long)pass * stages * config.ContextRows % grain,
                source is null ? null : (first, values) => source.AsSpan((int)first, values.Length).CopyTo(values),
                (first, values) =>
                {
                    if (target is null) run.Write(item, first, values);
                    else values.CopyTo(target.AsSpan((int)first));
                },
                fraction => run.Report(item, 1, (finishedPasses + fraction) / passes));
            x = target;
        }
    }

    private delegate void Source(long first, Span<float> values);

    private delegate void Sink(long first, ReadOnlySpan<float> values);

    // One pipeline over some of the steps. Step s works at front - s * lag; what it finishes is what step s + 1 takes in. The first front lies before the signal by what the steps
    // of earlier passes trail, modulo the grain: so each step cuts the signal where it would in a single pass, and rounds alike.
    private void RunPass(SamplerRun run, int item, SamplerStep[] steps, int chunk, long before, Source? source, Sink sink, Action<double> progress)
    {
        SamplerRequest request = run.Request;
        using var owned = new Disposables();
        int lag = config.ContextRows;
        long length = request.Lengths[item];
        var work = owned.Add(new NetworkWorkspace(ops, config, 1, chunk));
        var mel = config.HasMel ? owned.Add(new MelConditioner(ops, config, 1, length, chunk, steps.Length)) : null;
        mel?.Begin([request.Mels![item]]);
        IBuffer eps = owned.Add(ops.AllocateSignal(1, chunk)), noise = owned.Add(ops.AllocateSignal(1, chunk)), finished = owned.Add(ops.AllocateSignal(1, chunk));
        var networks = new Network[steps.Length];
        var conditions = new StepCondition[steps.Length];
        var signals = new IBuffer[steps.Length]; // x of each step, [1, lag + chunk, 1], row 0 stands lag behind the step's front
        int[] labels = config.HasLabel ? [request.Labels[item]] : [];
        for (int s = 0; s < steps.Length; s++)
        {
            networks[s] = owned.Add(new Network(ops, config, length, work));
            signals[s] = owned.Add(ops.AllocateSignal(1, lag + chunk));
            conditions[s] = owned.Add(new StepCondition(ops, config, [steps[s].Step]));
            conditions[s].SetLabels(labels);
            conditions[s].Compute();
        }
        if (request.Noise.Seed is { } seed) ops.SetSeed(seed);

        var values = new float[chunk];
        long end = length + (long)steps.Length * lag;
        for (long front = -before; front < end; front += chunk)
        {
            run.Cancel.ThrowIfCancellationRequested();
            if (source is null) Noise(request.Steps.Count, front, new Window(signals[0], lag));
            else ForExisting(front, (first, count, row) =>
            {
                source(first, values.AsSpan(0, count));
                ops.Upload(values.AsSpan(0, count), signals[0], 0, lag + row);
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
            ForExisting(front - (long)steps.Length * lag, (first, count, row) =>
            {
                ops.Download(finished, 0, row, values.AsSpan(0, count));
                sink(first, values.AsSpan(0, count));
            });
            progress(Math.Min(1, (double)(front + chunk) / end));
        }

        void Noise(int index, long from, Window window)
        {
            ForExisting(from, (first, count, row) =>
            {
                if (request.Noise.Seed is not null)
                {
                    ops.Normals(new NoiseDraw((uint)item * request.Noise.StreamStride, 0, (uint)index, first, 0), count, window with { Row = window.Row + row });
                    return;
                }
                request.Noise.Fill(index, item, first, values.AsSpan(0, count));
                ops.Upload(values.AsSpan(0, count), window.Buffer, 0, window.Row + row);
            });
        }

        // Calls action(first time, count, row) for the rows of a chunk that exist.
        void ForExisting(long first, Action<long, int, int> action)
        {
            long from = Math.Max(0, first), to = Math.Min(length, first + chunk);
            if (from < to) action(from, (int)(to - from), (int)(from - first));
        }
    }

    private long Budget(SamplerRequest request) => request.MemoryBudget > 0 ? request.MemoryBudget : ops.SamplingBudget;

    // As asked; else what suits the device, in half and half again until the pipeline of all steps fits.
    private int ChunkRows(SamplerRequest request, long length)
    {
        int grain = Network.ChunkGrain(config);
        if (request.ChunkRows > 0) return Grains(Math.Min(request.ChunkRows, length));
        int chunk = Grains(Math.Min(ops.PrefersWholeSignals ? LargestChunkRows : DefaultChunkRows, length));
        while (chunk > Grains(DefaultChunkRows) && StagesPerPass(request, length, chunk) < request.Steps.Count) chunk = Grains(chunk / 2);
        return chunk;

        int Grains(long rows) => checked((int)((rows + grain - 1) / grain * grain));
    }

    // As many steps a pass as fit the budget: a step needs its histories and skips, all of them together the conditioner's ring.
    private int StagesPerPass(SamplerRequest request, long length, int chunk)
    {
        long stage = (long)config.Channels * ops.ActivationBytes * (3L * config.ContextRows + chunk);
        long ringRow = MelConditioner.KeptRowBytes(ops, config);
        int stages = request.Steps.Count;
        while (stages > 1 && stages * stage + MelConditioner.RingRows(ops, config, length, chunk, stages) * ringRow > Budget(request)) stages--;
        int passes = (request.Steps.Count + stages - 1) / stages;
        return (request.Steps.Count + passes - 1) / passes;
    }

    /// <summary>Frees what is kept for the next run, and gives up audio that has not been handed on.</summary>
    public void Dispose()
    {
        _arriving?.Dispose();
        _whole?.Dispose();
    }
}
