using System.Globalization;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Bench;

/// <summary>Registers, spills, occupancy and time of every kernel at its usual shape.</summary>
internal static class KernelResources
{
    private const int WarmUp = 5, Launches = 20; // launches a timed round

    public static Dictionary<string, object>[] Run(ICudaDriver driver, int rounds)
    {
        using var runner = new KernelRunner(driver);
        Console.WriteLine($"{"kernel",-44}  {"shape",-44}  registers  local  shared  blocks/SM  occupancy  median us  [low .. high]   GFLOP/s    GB/s");
        Dictionary<string, object>[] results = [.. KernelCatalog.All.Select(version => Measured(driver, runner, version, rounds)).OfType<Dictionary<string, object>>()];
        int spilling = results.Count(result => (int)result["local_bytes"] > 0);
        Console.WriteLine($"kernels: {results.Length}, at most {results.Max(result => (int)result["registers"])} registers, {spilling} with local memory");
        return results;
    }

    // Null and a line where the device cannot run it.
    private static Dictionary<string, object>? Measured(ICudaDriver driver, KernelRunner runner, KernelVersion version, int rounds)
    {
        try { return Measure(driver, runner, version, rounds); }
        catch (UnsupportedKernelException e)
        {
            Console.WriteLine($"{version.Name,-44}  not run: {e.Message}");
            return null;
        }
    }

    private static Dictionary<string, object> Measure(ICudaDriver driver, KernelRunner runner, KernelVersion version, int rounds)
    {
        using PreparedTrial trial = runner.Prepare(version, version.Shapes[0]);
        CudaFunctionAttributes attributes = driver.GetAttributes(trial.Kernel.Function);
        KernelLaunch launch = trial.Trial.Launches[0];
        int threads = (int)launch.Group.Size, blocks = driver.MaxActiveBlocks(trial.Kernel.Function, threads, launch.DynamicSharedBytes);
        int shared = attributes.StaticSharedBytes + launch.DynamicSharedBytes;
        double occupancy = driver.Device.ThreadsPerMultiprocessor > 0 ? (double)blocks * threads / driver.Device.ThreadsPerMultiprocessor : 0;
        var result = new Dictionary<string, object>
        {
            ["kernel"] = version.Name, ["shape"] = version.Shapes[0].ToString(), ["registers"] = attributes.Registers, ["local_bytes"] = attributes.LocalBytes, ["shared_bytes"] = shared,
            ["blocks_per_multiprocessor"] = blocks, ["occupancy"] = occupancy,
        };
        string text = string.Create(CultureInfo.InvariantCulture,
            $"{version.Name,-44}  {version.Shapes[0],-44}  {attributes.Registers,9}  {attributes.LocalBytes,5}  {shared,6}  {blocks,9}  {occupancy,8:p0}");
        if (Times(driver, trial, rounds) is { } times)
        {
            Cost cost = trial.Trial.Cost;
            (result["rounds"], result["median_seconds"], result["low_seconds"], result["high_seconds"]) = (times.Count, times.Median, times.Low, times.High);
            (result["gflops"], result["gigabytes_per_second"]) = (cost.Flops / times.Median / 1e9, cost.Bytes / times.Median / 1e9);
            text += string.Create(CultureInfo.InvariantCulture,
                $"  {times.Median * 1e6,9:f1}  [{times.Low * 1e6:f1} .. {times.High * 1e6:f1}]  {cost.Flops / times.Median / 1e9,8:f1}  {cost.Bytes / times.Median / 1e9,6:f1}");
        }
        else text += "  no time: the emulator has none";
        Console.WriteLine(text);
        return result;
    }

    // Seconds of one run of the trial by the device's own clock, its launches one after the other in cache; null where there is no clock.
    private static Sample? Times(ICudaDriver driver, PreparedTrial trial, int rounds)
    {
        nint start = driver.CreateEvent(), stop = driver.CreateEvent();
        try
        {
            trial.Launch();
            driver.RecordEvent(start, 0);
            driver.RecordEvent(stop, 0);
            driver.SynchronizeEvent(stop);
            if (driver.Elapsed(start, stop) is null) return null;
            for (int i = 0; i < WarmUp; i++) trial.Launch();
            var times = new Sample();
            for (int round = 0; round < rounds; round++)
            {
                driver.RecordEvent(start, 0);
                for (int i = 0; i < Launches; i++) trial.Launch();
                driver.RecordEvent(stop, 0);
                driver.SynchronizeEvent(stop);
                times.Add(driver.Elapsed(start, stop)!.Value / 1e3 / Launches);
            }
            return times;
        }
        finally
        {
            driver.DestroyEvent(start);
            driver.DestroyEvent(stop);
        }
    }
}
