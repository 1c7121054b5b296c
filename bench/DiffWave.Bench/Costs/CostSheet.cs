using System.Globalization;

namespace DiffWave.Bench.Costs;

/// <summary>The launches of one kernel in a workload.</summary>
/// <param name="Kernel">Entry name.</param>
/// <param name="Launches">How many.</param>
/// <param name="Seconds">Predicted, of all of them.</param>
/// <param name="Bound">What takes longest in all of them together.</param>
/// <param name="Parts">Seconds of each part alone, by <see cref="Costs.Bound"/>.</param>
/// <param name="Fill">Mean share of the multiprocessors' time the grids can use.</param>
/// <param name="Blocks">Blocks of the largest grid.</param>
/// <param name="Work">Sums of the counts.</param>
/// <param name="DramBytes">Bytes of device memory.</param>
internal sealed record KernelCost(string Kernel, int Launches, double Seconds, Bound Bound, IReadOnlyList<double> Parts, double Fill, long Blocks, IReadOnlyList<double> Work, double DramBytes)
{
    /// <summary>Predictions of a workload by kernel, the longest first.</summary>
    public static IReadOnlyList<KernelCost> Of(GpuModel gpu, IReadOnlyList<LaunchWork> launches)
    {
        double[] dram = CacheModel.DramBytes([.. launches.Select(launch => launch.Touches)], gpu.L2Bytes);
        return [.. launches.Select((launch, i) => (Launch: launch, Dram: dram[i], Predicted: CostModel.Predict(gpu, launch, dram[i], launch.IsEarly ? GpuModel.EarlyLaunch : GpuModel.GraphLaunch)))
            .GroupBy(item => item.Launch.Kernel)
            .Select(kernel =>
            {
                double[] parts = Sum(kernel.Select(item => item.Predicted.Parts));
                return new KernelCost(kernel.Key, kernel.Count(), kernel.Sum(item => item.Predicted.Seconds), (Bound)Array.IndexOf(parts, parts.Max()), parts,
                    kernel.Average(item => item.Predicted.Fill), kernel.Max(item => item.Launch.Grid.Size), Sum(kernel.Select(item => item.Launch.Counts)), kernel.Sum(item => item.Dram));
            })
            .OrderByDescending(kernel => kernel.Seconds)];
    }

    private static double[] Sum(IEnumerable<IReadOnlyList<double>> rows) => rows.Aggregate((a, b) => [.. a.Zip(b, (x, y) => x + y)]).ToArray();
}

/// <summary>The predicted cost of a workload on a GPU.</summary>
/// <param name="Gpu">The device.</param>
/// <param name="Workload">What the engine is asked for.</param>
/// <param name="Work">Its launches.</param>
/// <param name="Kernels">Predictions.</param>
/// <param name="Measured">What was measured; null: nothing.</param>
internal sealed record CostSheet(GpuModel Gpu, Workload Workload, EngineWork Work, IReadOnlyList<KernelCost> Kernels, MeasuredTimes? Measured)
{
    /// <summary>Predicted seconds of all launches.</summary>
    public double Seconds => Kernels.Sum(kernel => kernel.Seconds);

    /// <summary>Seconds of audio that come out or are trained on.</summary>
    public double AudioSeconds => Workload.Batch * (Workload.Samples / (double)Workload.Config.SampleRate);

    /// <summary>A row a kernel, the longest first, and their sum; nothing of it was measured unless a column says so.</summary>
    public Result ToResult()
    {
        double executed = Sum(Count.Flops) + Sum(Count.TensorFlops), dram = Kernels.Sum(kernel => kernel.DramBytes);
        int launches = Kernels.Sum(kernel => kernel.Launches);
        var sum = new Dictionary<string, object?>
        {
            ["launches"] = launches, ["predicted_seconds"] = Seconds, ["times_real_time"] = AudioSeconds / Seconds, ["flops"] = Workload.Flops, ["executed_flops"] = executed, ["tensor_share"] = Sum(Count.TensorFlops) / executed,
            ["tflops"] = executed / Seconds / 1e12, ["dram_bytes"] = dram, ["host_bytes"] = Work.HostBytes, ["measured_seconds"] = Measured?.Whole, ["of_prediction"] = Measured?.Whole / Seconds,
        };
        string Line(FormattableString line) => line.ToString(CultureInfo.InvariantCulture);
        string[] notes =
        [
            Line($"sum: {launches} launches, {Seconds * 1e3:f3} ms, {AudioSeconds / Seconds:f0} x real time; {Workload.Flops / 1e9:f0} GFLOP by definition, {executed / 1e9:f0} executed ({Sum(Count.TensorFlops) / executed:p0} on tensor cores), {executed / Seconds / 1e12:f1} TFLOP/s, {dram / 1e9:f2} GB of device memory"),
            Line($"not in it: {Work.HostBytes / 1e6:f1} MB between host and device"),
            .. Work.Doubts.Select(doubt => $"doubtful: {doubt}"),
            .. Measured is { } all ? [Line($"measured ({all.Device}): {(all.Whole is { } whole ? Line($"{whole * 1e3:f3} ms, {AudioSeconds / whole:f0} x real time, {whole / Seconds:f2} of the prediction") : "no whole run of this workload")}")] : Array.Empty<string>(),
        ];
        return new Result("costs", $"predicted: {Workload.Text}, on {Gpu.Name} ({Gpu.Source})", [.. Kernels.Select(RowOf), new Row("sum", null) { Figures = sum }])
        {
            Machine = Bench.Machine.Describe(), Notes = notes,
            Settings = new Dictionary<string, object?> { ["gpu"] = Gpu.Name, ["preset"] = Workload.Preset, ["batch"] = Workload.Batch, ["samples"] = Workload.Samples, ["precision"] = Workload.PrecisionText },
        };
    }

    // The parts stand as shares of what takes longest.
    private Row RowOf(KernelCost kernel)
    {
        var figures = new Dictionary<string, object?>
        {
            ["launches"] = kernel.Launches, ["blocks"] = kernel.Blocks == 0 ? null : kernel.Blocks, ["fill"] = kernel.Fill, ["each_seconds"] = kernel.Seconds / kernel.Launches, ["predicted_seconds"] = kernel.Seconds,
            ["share"] = kernel.Seconds / Seconds, ["bound"] = Name(kernel.Bound), ["dram_bytes"] = kernel.DramBytes, ["measured_seconds"] = Measured?.Of(kernel.Kernel), ["of_prediction"] = Measured?.Of(kernel.Kernel) / kernel.Seconds,
        };
        foreach (Bound bound in Enum.GetValues<Bound>()) figures[$"part_{Name(bound).ToLowerInvariant()}"] = kernel.Parts[(int)bound] / kernel.Parts[(int)kernel.Bound];
        foreach (Count count in Enum.GetValues<Count>()) figures[$"count_{count.ToString().ToLowerInvariant()}"] = kernel.Work[(int)count];
        return new Row(kernel.Kernel, null) { Figures = figures };
    }

    /// <summary>What tables call a bound.</summary>
    public static string Name(Bound bound) => bound switch { Bound.Dram => "DRAM", Bound.L2 => "L2", _ => bound.ToString().ToLowerInvariant() };

    private double Sum(Count count) => Kernels.Sum(kernel => kernel.Work[(int)count]);
}
