using System.Diagnostics;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// Every operation of the network by itself, on as many rows as the engine gives it, against the roofs of the CPU: forward ones on a chunk of the sampler, backward ones on a crop of training. Bytes are those of activations, and of
/// weights where an operation has few rows; they count once however often a cache serves them.
/// </summary>
internal static class OpsBench
{
    public const string UsualPreset = "base";

    private const double BatchSeconds = 0.03; // what a measurement lasts at least: the first call finds cold caches and a sleeping thread
    private const double WarmSeconds = 0.5;

    /// <summary>The cases of a model. The emulator and GPUs have kernels instead of these.</summary>
    public static IEnumerable<BenchCase> Cases(BenchSettings settings, string preset)
    {
        if (!settings.IsCpu) return [];
        var config = ModelConfig.Preset(preset);
        var ceilings = new CpuCeilings(settings.Threads);
        return OpWork.All(config).Select(work => new BenchCase($"op/{preset}/{work.Name}", () => Run(settings, config, work, ceilings, preset)));
    }

    /// <summary>The measured ceilings as rows, for the chart.</summary>
    public static IEnumerable<BenchCase> Ceilings(BenchSettings settings)
    {
        yield return new BenchCase("ceiling/fma", () =>
        {
            var peak = new Sample(Enumerable.Range(0, 25).Select(_ => FmaPeak.Measure(settings.Threads)));
            return new Row("ceiling/fma", null) { Figures = new Dictionary<string, object?> { ["gflops"] = peak.Median / 1e9, ["spread"] = peak.Spread, ["bound"] = "compute" } };
        });
        foreach (long size in CpuCeilings.Sizes)
            yield return new BenchCase($"ceiling/copy/{SizeText(size)}", () =>
            {
                var ceilings = new CpuCeilings(settings.Threads);
                double rate = ceilings.Copy(size);
                return new Row($"ceiling/copy/{SizeText(size)}", null) { Figures = new Dictionary<string, object?> { ["gigabytes_per_second"] = rate / 1e9, ["working_set_bytes"] = size, ["spread"] = ceilings.Copies[size].Spread, ["bound"] = "memory" } };
            });
    }

    private static string SizeText(long bytes) => bytes >= 1 << 20 ? $"{bytes >> 20}MiB" : $"{bytes >> 10}KiB";

    private static Row Run(BenchSettings settings, ModelConfig config, OpWork work, CpuCeilings ceilings, string preset)
    {
        using BenchDevice on = settings.Open();
        using OpBuffers buffers = work.Prepare(on.Ops, config);
        Action call = work.Call(on.Ops, config, buffers);
        for (double warm = 0; warm < WarmSeconds; warm += Seconds(1)) { } // what the runtime compiles, first and again, and pages and caches
        int calls = 1;
        for (; Seconds(calls) < BatchSeconds; calls *= 2) { }
        Row row = Suite.Measure($"op/{preset}/{work.Name}", settings.Repeat, on, () => Seconds(calls) / calls);
        Sample seconds = row.Seconds!;
        double copy = ceilings.Copy(work.Cost.Bytes), rate = work.Cost.Flops / seconds.Median, executed = work.ExecutedFlops / seconds.Median;
        double ofPeak = work.ExecutedFlops / row.WorkAtPeak!.Median;
        RoofPlace place = RoofPlace.Of(ofPeak * seconds.Median, work.Cost.Bytes / copy, seconds.Median);
        return row with
        {
            Figures = new Dictionary<string, object?>
            {
                ["rows"] = work.Rows, ["flops"] = work.Cost.Flops, ["bytes"] = work.Cost.Bytes, ["gflops"] = rate / 1e9, ["executed_gflops"] = executed / 1e9, ["gigabytes_per_second"] = work.Cost.Bytes / seconds.Median / 1e9,
                ["intensity"] = (double)work.ExecutedFlops / work.Cost.Bytes, ["bound"] = place.Bound, ["what"] = place.Bound == "neither" ? work.Besides : null, ["share_of_peak"] = ofPeak,
                ["effective_share_of_peak"] = work.Cost.Flops / row.WorkAtPeak!.Median, ["share_of_roof"] = place.Share, ["copy_bytes_per_second"] = copy,
            },
        };

        double Seconds(int count)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < count; i++) call();
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }
}
