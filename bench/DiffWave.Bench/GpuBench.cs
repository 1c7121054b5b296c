using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>The first figures of a GPU, in one run: resources and times of every kernel, the time of each within a workload, syntheses of one clip and of a batch, and a training step.</summary>
internal static class GpuBench
{
    private const int CropFrames = 62;

    public static Dictionary<string, object> Run(string device, string preset, double seconds, int batch, int rounds)
    {
        var result = new Dictionary<string, object>();
        using (ICudaDriver driver = BenchDevice.OpenDriver(device))
        {
            CudaDeviceInfo info = driver.Device;
            Console.WriteLine($"{driver.Description}: {info.Name}, sm_{info.Sm}, {info.Multiprocessors} multiprocessors");
            result["device"] = new Dictionary<string, object?>
            {
                ["driver"] = driver.Description, ["name"] = info.Name, ["sm"] = info.Sm, ["multiprocessors"] = info.Multiprocessors, ["clock_kilohertz"] = info.ClockKilohertz,
                ["memory_bytes"] = info.MemoryBytes, ["float32_peak_flops"] = info.PeakFloat32Flops, ["memory_peak_bytes_per_second"] = info.PeakMemoryBytesPerSecond,
            };
            result["kernels"] = KernelResources.Run(driver, rounds);
            List<Dictionary<string, object>> launches = [];
            foreach (Workload workload in Syntheses(preset, seconds, batch).Concat(Precisions(preset).Select(precision => new TrainingWork(preset, batch, CropFrames, Recompute: false, precision))))
                if (Tried(() => LaunchTimes.Run(driver, workload)) is { } times) launches.Add(times);
            if (launches.Count > 0) result["launches"] = launches;
        }
        result["synthesis"] = Syntheses(preset, seconds, batch).Select(work => Tried(() => SynthesisBench.Run(device, preset, seconds, work.Batch, full: false, 1, default, rounds, null, work.Precision)))
            .OfType<Dictionary<string, object>>().ToArray();
        result["training"] = Precisions(preset).Select(precision => Tried(() => TrainingBench.Run(device, preset, batch, CropFrames, recompute: false, 1, default, rounds, null, precision))).OfType<Dictionary<string, object>>().ToArray();
        return result;
    }

    // One clip and a batch, in every precision that has kernels for the model.
    private static IEnumerable<Workload> Syntheses(string preset, double seconds, int batch) =>
        from precision in Precisions(preset)
        from clips in new[] { 1, batch }.Distinct()
        select new SynthesisWork(preset, clips, Workload.FramesOf(preset, seconds), Full: false, precision);

    private static IEnumerable<Precision> Precisions(string preset) => Enum.GetValues<Precision>().Where(precision => CudaOps.Problem(precision, ModelConfig.Preset(preset)) is null);

    // A result, or null and a line where the device has no kernels for the precision.
    private static Dictionary<string, object>? Tried(Func<Dictionary<string, object>?> run)
    {
        try { return run(); }
        catch (UnsupportedPrecisionException e)
        {
            Console.WriteLine(e.Message);
            return null;
        }
    }
}
