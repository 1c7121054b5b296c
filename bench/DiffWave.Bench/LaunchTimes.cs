using System.Globalization;
using DiffWave.Bench.Costs;
using DiffWave.Cuda;

namespace DiffWave.Bench;

/// <summary>A driver that takes the time of every launch by the device's own clock.</summary>
/// <param name="inner">The device.</param>
internal sealed class LaunchTimer(ICudaDriver inner) : ForwardingDriver(inner)
{
    private readonly Dictionary<nint, string> entries = [];
    private readonly List<(string Kernel, nint Start, nint Stop)> taken = [];

    /// <summary>Whether launches are timed.</summary>
    public bool IsTiming { get; set; }

    /// <summary>Launches and seconds by kernel so far.</summary>
    public IReadOnlyList<(string Kernel, int Launches, double Seconds)> Totals()
    {
        Inner.Synchronize();
        return [.. taken.GroupBy(launch => launch.Kernel).Select(kernel => (kernel.Key, kernel.Count(), kernel.Sum(launch => Inner.Elapsed(launch.Start, launch.Stop)!.Value) / 1e3)).OrderByDescending(kernel => kernel.Item3)];
    }

    public override nint GetFunction(nint module, string entryName)
    {
        nint function = Inner.GetFunction(module, entryName);
        entries[function] = entryName;
        return function;
    }

    public override void Launch(nint function, Dim3 grid, Dim3 block, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> arguments, bool early = false)
    {
        if (!IsTiming)
        {
            Inner.Launch(function, grid, block, dynamicSharedBytes, stream, arguments, early);
            return;
        }
        nint start = Inner.CreateEvent(), stop = Inner.CreateEvent();
        taken.Add((entries[function], start, stop)); // the events keep a launch from beginning early
        Inner.RecordEvent(start, stream);
        Inner.Launch(function, grid, block, dynamicSharedBytes, stream, arguments);
        Inner.RecordEvent(stop, stream);
    }

    public override void Dispose()
    {
        foreach ((_, nint start, nint stop) in taken)
        {
            Inner.DestroyEvent(start);
            Inner.DestroyEvent(stop);
        }
        taken.Clear();
    }
}

/// <summary>The time of each kernel within a workload, launch by launch: what predictions are compared with. A launch of few microseconds is measured too long, by the events around it.</summary>
internal static class LaunchTimes
{
    /// <summary>Times a workload on a device; null where there is no clock.</summary>
    public static Dictionary<string, object>? Run(ICudaDriver driver, Workload workload)
    {
        if (!HasClock(driver)) return null;
        using var timer = new LaunchTimer(driver);
        using var ops = new CudaOps(timer, new CudaOptions { Precision = workload.Precision, Tuning = TileTuning.Open(timer) });
        workload.Run(ops, watched => timer.IsTiming = watched, replayed: false);
        var totals = timer.Totals();
        Console.WriteLine($"launches: {workload.Text}");
        Console.Write(Table.Format(["kernel", "launches", "us each", "us"], leftColumns: [0], totals.Select(kernel => (string[])
        [
            kernel.Kernel, kernel.Launches.ToString(CultureInfo.InvariantCulture), (kernel.Seconds / kernel.Launches * 1e6).ToString("f1", CultureInfo.InvariantCulture), (kernel.Seconds * 1e6).ToString("f0", CultureInfo.InvariantCulture),
        ])));
        return new()
        {
            ["workload"] = workload.Text,
            ["kernels"] = totals.Select(kernel => new Dictionary<string, object> { ["kernel"] = kernel.Kernel, ["launches"] = kernel.Launches, ["seconds"] = kernel.Seconds }).ToArray(),
        };
    }

    private static bool HasClock(ICudaDriver driver)
    {
        nint start = driver.CreateEvent(), stop = driver.CreateEvent();
        driver.RecordEvent(start, 0);
        driver.RecordEvent(stop, 0);
        driver.SynchronizeEvent(stop);
        bool has = driver.Elapsed(start, stop) is not null;
        driver.DestroyEvent(start);
        driver.DestroyEvent(stop);
        return has;
    }
}
