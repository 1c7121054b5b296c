using System.Globalization;
using System.Text;

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
    // What the table shows of each kernel, as a share of what takes longest.
    private static readonly Bound[] Shown = [Bound.Tensor, Bound.Fma, Bound.Integer, Bound.Special, Bound.Issue, Bound.Shared, Bound.L2, Bound.Dram, Bound.Launch];

    /// <summary>Predicted seconds of all launches.</summary>
    public double Seconds => Kernels.Sum(kernel => kernel.Seconds);

    /// <summary>Seconds of audio that come out or are trained on.</summary>
    public double AudioSeconds => Workload.Batch * (Workload.Samples / (double)Workload.Config.SampleRate);

    public override string ToString()
    {
        var text = new StringBuilder();
        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
        Line($"predicted: {Workload.Text}, on {Gpu.Name} ({Gpu.Source})");
        text.Append(Table.Format(
            ["kernel", "launches", "blocks", "fill", "us each", "us", "share", "bound", .. Shown.Select(Name), "DRAM MB", "measured us", "/ predicted"], leftColumns: [0, 7],
            Kernels.Select(kernel => (string[])
            [
                kernel.Kernel, Text($"{kernel.Launches}"), kernel.Blocks == 0 ? "" : Text($"{kernel.Blocks}"), Text($"{100 * kernel.Fill:f0}%"), Text($"{kernel.Seconds / kernel.Launches * 1e6:f1}"), Text($"{kernel.Seconds * 1e6:f0}"),
                Text($"{100 * kernel.Seconds / Seconds:f1}%"), Name(kernel.Bound),
                .. Shown.Select(bound => Text($"{100 * kernel.Parts[(int)bound] / kernel.Parts[(int)kernel.Bound]:f0}%")), Text($"{kernel.DramBytes / 1e6:f1}"),
                Measured?.Of(kernel.Kernel) is { } measured ? Text($"{measured * 1e6:f0}") : "", Measured?.Of(kernel.Kernel) is { } time ? Text($"{time / kernel.Seconds:f2}") : "",
            ])));
        double executed = Sum(Count.Flops) + Sum(Count.TensorFlops);
        Line($"sum: {Kernels.Sum(kernel => kernel.Launches)} launches, {Seconds * 1e3:f3} ms, {AudioSeconds / Seconds:f0} x real time; {Workload.Flops / 1e9:f0} GFLOP by definition, {executed / 1e9:f0} executed ({Sum(Count.TensorFlops) / executed:p0} on tensor cores), {executed / Seconds / 1e12:f1} TFLOP/s, {Kernels.Sum(kernel => kernel.DramBytes) / 1e9:f2} GB of device memory");
        Line($"not in it: {Work.HostBytes / 1e6:f1} MB between host and device");
        foreach (string doubt in Work.Doubts) Line($"doubtful: {doubt}");
        if (Measured is { } all) Line($"measured ({all.Device}): {(all.Whole is { } whole ? Text($"{whole * 1e3:f3} ms, {AudioSeconds / whole:f0} x real time, {whole / Seconds:f2} of the prediction") : "no whole run of this workload")}");
        return text.ToString();
    }

    /// <summary>For a file.</summary>
    public Dictionary<string, object?> ToJson() => new()
    {
        ["gpu"] = Gpu.Name, ["source"] = Gpu.Source, ["workload"] = Workload.Text, ["preset"] = Workload.Preset, ["batch"] = Workload.Batch, ["samples"] = Workload.Samples,
        ["predicted_seconds"] = Seconds, ["predicted_times_real_time"] = AudioSeconds / Seconds, ["flops_by_definition"] = Workload.Flops, ["host_bytes"] = Work.HostBytes, ["doubts"] = Work.Doubts,
        ["measured_seconds"] = Measured?.Whole,
        ["kernels"] = Kernels.Select(kernel => new Dictionary<string, object?>
        {
            ["kernel"] = kernel.Kernel, ["launches"] = kernel.Launches, ["blocks"] = kernel.Blocks, ["fill"] = kernel.Fill, ["predicted_seconds"] = kernel.Seconds, ["bound"] = Name(kernel.Bound),
            ["part_seconds"] = Enum.GetValues<Bound>().ToDictionary(Name, bound => kernel.Parts[(int)bound]), ["dram_bytes"] = kernel.DramBytes, ["measured_seconds"] = Measured?.Of(kernel.Kernel),
            ["counts"] = Enum.GetValues<Count>().ToDictionary(count => count.ToString(), count => kernel.Work[(int)count]),
        }).ToArray(),
    };

    /// <summary>What tables call a bound.</summary>
    public static string Name(Bound bound) => bound switch { Bound.Dram => "DRAM", Bound.L2 => "L2", _ => bound.ToString().ToLowerInvariant() };

    private double Sum(Count count) => Kernels.Sum(kernel => kernel.Work[(int)count]);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
