using DiffWave.Bench.Costs;
using DiffWave.Cuda;

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
            Workload[] workloads = [.. new[] { 1, batch }.Distinct().Select(clips => new SynthesisWork(preset, clips, Workload.FramesOf(preset, seconds), Full: false)), new TrainingWork(preset, batch, CropFrames, Recompute: false)];
            if (workloads.Select(workload => LaunchTimes.Run(driver, workload)).OfType<Dictionary<string, object>>().ToArray() is { Length: > 0 } launches) result["launches"] = launches;
        }
        result["synthesis"] = new[] { 1, batch }.Distinct().Select(clips => SynthesisBench.Run(device, preset, seconds, clips, full: false, 1, default, rounds, null)).ToArray();
        result["training"] = TrainingBench.Run(device, preset, batch, CropFrames, recompute: false, 1, default, rounds, null);
        return result;
    }
}
