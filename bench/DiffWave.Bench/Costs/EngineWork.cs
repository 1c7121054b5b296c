namespace DiffWave.Bench.Costs;

/// <summary>The launches of a workload with what each executes and moves.</summary>
/// <param name="Launches">In order.</param>
/// <param name="HostBytes">Bytes copied between host and device.</param>
/// <param name="Doubts">What may be wrong with the counts.</param>
internal sealed record EngineWork(IReadOnlyList<LaunchWork> Launches, long HostBytes, IReadOnlyList<string> Doubts)
{
    /// <summary>Records the workload at its full size, counts it at two smaller lengths, and scales the counts.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="workload">What the engine is asked for.</param>
    /// <param name="countFrames">Mel frames of the larger of the two lengths that are counted; the smaller has half of them.</param>
    public static EngineWork Of(GpuModel gpu, Workload workload, int countFrames)
    {
        if (countFrames < 2) throw new ArgumentException($"{countFrames} frames to count, expected at least 2");
        LaunchRecorder Recorded(Workload sized, int? multiprocessors)
        {
            var recorder = new LaunchRecorder(gpu, multiprocessors);
            sized.Record(recorder);
            return recorder;
        }
        using LaunchRecorder full = Recorded(workload, null), small = Recorded(workload.Sized(1, countFrames / 2), 1), large = Recorded(workload.Sized(1, countFrames), 1);
        using LaunchRecorder? two = full.Log.Any(launch => launch.Tiles > 0) ? Recorded(workload.Sized(1, countFrames / 2), 2) : null; // tells what blocks that walk tiles do once each
        IReadOnlyList<RecordedLaunch> wide = (two ?? small).Log;
        int hop = workload.Config.Hop;
        RequireSame(small.Log, large.Log);
        var windows = new WindowedWork(small.Log, full.Log);
        (long, long, long) Rows(RecordedLaunch launch) => (countFrames / 2 * hop, countFrames * hop, windows.IsWindow(launch) ? launch.Rows : workload.Samples);
        LaunchWork[] launches = [.. full.Log.Zip(windows.Counted, (launch, i) =>
            windows.InPieces(LaunchWork.Extrapolate(new(small.Log[i], large.Log[i], wide[i]), launch, Rows(launch), workload.Batch, full.SizeOf), launch))];
        string[] doubts = [.. full.Log.Zip(windows.Counted, (launch, i) => Doubt(small.Log[i], large.Log[i], launch, Rows(launch), workload.Batch)).OfType<string>().Distinct()];
        return new EngineWork(launches, full.HostBytes, doubts);
    }

    private static void RequireSame(IReadOnlyList<RecordedLaunch> small, IReadOnlyList<RecordedLaunch> large)
    {
        int same = small.Zip(large).TakeWhile(pair => pair.First.Kernel == pair.Second.Kernel).Count();
        if (same == small.Count && same == large.Count) return;
        string Name(IReadOnlyList<RecordedLaunch> log) => same < log.Count ? log[same].Kernel : "nothing more";
        throw new InvalidOperationException($"launch {same} is {Name(large)}, at half the length that is counted {Name(small)}: count at a longer one");
    }

    // A grid that grows with the rows below and no longer above means that what a block does once was counted as if it grew.
    private static string? Doubt(RecordedLaunch small, RecordedLaunch large, RecordedLaunch full, (long Small, long Large, long Full) rows, int batch)
    {
        if (small.Grid == large.Grid || small.Tiles > 0) return null; // tiles that are walked are scaled by their number
        double times = (double)(rows.Full - rows.Small) / (rows.Large - rows.Small);
        double expected = batch * (small.Grid.Size + (large.Grid.Size - small.Grid.Size) * times);
        return Math.Abs(full.Grid.Size - expected) > batch * (Math.Abs(times) + 1) + expected / 50 // a grid is rounded up to whole blocks
            ? FormattableString.Invariant($"{full.Kernel}: a grid of {full.Grid}, {expected:f0} blocks expected from {small.Grid} and {large.Grid} at the lengths that are counted") : null;
    }
}
