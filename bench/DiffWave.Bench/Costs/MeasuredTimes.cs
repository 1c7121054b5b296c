namespace DiffWave.Bench.Costs;

/// <summary>Times of a workload from files of <c>bench launches --json</c>, <c>synthesis</c> and <c>training</c>.</summary>
/// <param name="Device">What they were measured on.</param>
/// <param name="Whole">Median seconds of the whole workload, copies of the host included; null where it was not run.</param>
/// <param name="Kernels">Seconds of all launches of a kernel in it; empty where they were not timed.</param>
internal sealed record MeasuredTimes(string Device, double? Whole, IReadOnlyDictionary<string, double> Kernels)
{
    private static readonly string[] Benchmarks = ["launches", "synthesis", "training", "run"];

    /// <summary>Seconds of all launches of a kernel, or null.</summary>
    public double? Of(string kernel) => Kernels.TryGetValue(kernel, out double seconds) ? seconds : null;

    /// <summary>Reads what files have of a workload.</summary>
    /// <param name="paths">The files, all of the same GPU.</param>
    /// <param name="workload">Preset, batch, samples and steps must be its own: times of other sizes are not taken.</param>
    /// <exception cref="InvalidDataException">A file is of something else, or of another GPU than the first, or none has anything of this workload.</exception>
    public static MeasuredTimes Read(IReadOnlyList<string> paths, Workload workload)
    {
        string? device = null;
        double? whole = null;
        var kernels = new Dictionary<string, double>();
        foreach (string path in paths)
        {
            Result result = Result.Read(path);
            if (!Benchmarks.Contains(result.Benchmark)) throw new InvalidDataException($"{path}: benchmark is '{result.Benchmark}', expected {string.Join(", ", Benchmarks)}");
            string gpu = result.Machine.GetValueOrDefault("gpu") as string ?? throw new InvalidDataException($"{path}: machine has no gpu, expected a result of a GPU (--device cuda)");
            if (device is not null && device != gpu) throw new InvalidDataException($"{path}: machine.gpu is '{gpu}', expected '{device}' as in {paths[0]}");
            device = gpu;
            foreach (Row row in result.Rows)
            {
                if (IsWhole(row, workload)) whole = row.Seconds?.Median;
                else if (row.Value("workload") as string == workload.Text) kernels[(string)row.Value("kernel")!] = (double)row.Value("total_seconds")!;
            }
        }
        if (whole is null && kernels.Count == 0) throw new InvalidDataException($"{string.Join(", ", paths)}: nothing measured of {LaunchTimes.Name(workload)} ({workload.Text})");
        return new MeasuredTimes(device!, whole, kernels);
    }

    // By the figures of bench synthesis and training: the length in a name is rounded.
    private static bool IsWhole(Row row, Workload workload)
    {
        double Number(string name) => row.Value(name) is double value ? value : double.NaN;
        if (row.Value("preset") as string != workload.Preset || Number("batch") != workload.Batch || row.Value("precision") as string != workload.PrecisionText) return false;
        double clip = workload.Samples / (double)workload.Config.SampleRate;
        return workload switch
        {
            SynthesisWork synthesis => Number("steps") == synthesis.Steps.Count && Math.Abs(Number("clip_seconds") - clip) < 1e-6 * clip,
            TrainingWork training => Number("crop_samples") == training.Samples && row.Value("recompute") is bool recompute && recompute == training.Recompute,
            _ => false,
        };
    }
}
