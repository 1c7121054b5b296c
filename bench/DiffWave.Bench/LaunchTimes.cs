using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A driver that takes the time of every launch by the device's own clock.</summary>
/// <param name="inner">The device.</param>
internal sealed class LaunchTimer(ICudaDriver inner) : ForwardingDriver(inner)
{
    private readonly Dictionary<nint, string> entries = [];
    private readonly List<(string Kernel, nint Start, nint Stop)> taken = [];

    /// <summary>Whether launches are timed.</summary>
    public bool IsTiming { get; set; }

    /// <summary>Seconds of every launch so far by kernel, the one that takes most of the time first.</summary>
    public IReadOnlyList<(string Kernel, Sample Seconds)> Kernels()
    {
        Inner.Synchronize();
        return [.. taken.GroupBy(launch => launch.Kernel).Select(kernel => (kernel.Key, new Sample(kernel.Select(launch => Inner.Elapsed(launch.Start, launch.Stop)!.Value / 1e3)))).OrderByDescending(kernel => kernel.Item2.Values.Sum())];
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

/// <summary>The time of each kernel within a synthesis or a training step, launch by launch: what predictions are compared with.</summary>
internal static class LaunchTimes
{
    public static readonly string Note = "us: one launch, by the device's clock around each of them, in the order the engine makes them; launches do not overlap, and one of few microseconds is measured too long by the events around it. us in all: those of one synthesis or step.";

    public static readonly string RoofNote = "executed: FLOP the emulator counts, matrix products among them; GB/s: device memory by the model of the L2 cache of bench costs, so that what L2 serves is not in it; both over measured time. neither: less than a quarter of the lower roof, for whatever reason, L2 and shared memory included.";

    /// <summary>Name of a workload's cases. A clip's length, which is of whole frames, is rounded as people say it.</summary>
    public static string Name(Workload workload) => workload switch
    {
        SynthesisWork synthesis when synthesis.Samples / (double)synthesis.Config.SampleRate is var seconds =>
            new SynthesisCase(synthesis.Preset, synthesis.Full, synthesis.Batch, Math.Round(seconds, seconds < 1 ? 3 : 1), synthesis.Precision).Name,
        TrainingWork training => new TrainingCase(training.Preset, training.Batch, training.Frames, training.Recompute, training.Precision).Name,
        _ => throw new NotSupportedException($"{workload.GetType().Name} has no name"),
    };

    /// <summary>Times a workload on a device: a row a kernel.</summary>
    /// <param name="driver">The device, which has a clock.</param>
    /// <param name="workload">The work.</param>
    /// <exception cref="UnsupportedPrecisionException">The device has no kernels for its precision.</exception>
    public static IReadOnlyList<Row> Run(ICudaDriver driver, Workload workload)
    {
        using var timer = new LaunchTimer(driver);
        using (CudaOps ops = Open(timer, workload)) workload.Run(ops, watched => timer.IsTiming = watched, replayed: false);
        IReadOnlyList<(string Kernel, Sample Seconds)> kernels = timer.Kernels();
        double all = kernels.Sum(kernel => kernel.Seconds.Values.Sum());
        return [.. kernels.Select(kernel => new Row($"{Name(workload)}/{kernel.Kernel}", kernel.Seconds)
        {
            Figures = new Dictionary<string, object?>
            {
                ["workload"] = workload.Text, ["kernel"] = kernel.Kernel, ["launches"] = kernel.Seconds.Count, ["total_seconds"] = kernel.Seconds.Values.Sum(), ["share"] = kernel.Seconds.Values.Sum() / all,
            },
        })];
    }

    /// <summary>Rows of <see cref="Run"/> under measured roofs: FLOP and bytes of device memory as the emulator and the model of the L2 cache count them at the workload's size, over the time that was measured.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="counted">What is counted of each kernel.</param>
    /// <param name="tensor">Operands of matrix products.</param>
    /// <param name="ceilings">The roofs.</param>
    public static IEnumerable<Row> Placed(IEnumerable<Row> rows, IReadOnlyList<KernelCost> counted, TensorKind tensor, GpuCeilings ceilings)
    {
        foreach (Row row in rows)
        {
            // Launched as often as it was counted: else the engine works otherwise here, and nothing is said.
            if (counted.FirstOrDefault(kernel => kernel.Kernel == (string)row.Value("kernel")! && kernel.Launches == (int)row.Value("launches")!) is not { } cost)
            {
                yield return row;
                continue;
            }
            double flops = cost.Work[(int)Count.Flops], products = cost.Work[(int)Count.TensorFlops], seconds = (double)row.Value("total_seconds")!;
            double compute = Math.Max(flops / ceilings.Flops(TensorKind.None), products > 0 ? products / ceilings.Flops(tensor) : 0);
            RoofPlace place = RoofPlace.Of(compute, cost.DramBytes / ceilings.CopyBytes, seconds);
            yield return row with
            {
                Figures = new Dictionary<string, object?>(row.Figures)
                {
                    ["executed_gflops"] = (flops + products) / seconds / 1e9, ["gigabytes_per_second"] = cost.DramBytes / seconds / 1e9, ["intensity"] = cost.DramBytes > 0 ? (flops + products) / cost.DramBytes : null,
                    ["bound"] = place.Bound, ["share_of_roof"] = place.Share, ["predicted_seconds"] = cost.Seconds,
                },
            };
        }
    }

    /// <summary>Counts a workload for <see cref="Placed"/>.</summary>
    /// <param name="device">The device.</param>
    /// <param name="workload">The work.</param>
    /// <exception cref="NotSupportedException">Nothing is known of the device's architecture.</exception>
    public static IReadOnlyList<KernelCost> Counted(CudaDeviceInfo device, Workload workload)
    {
        GpuModel gpu = GpuModel.Like(device);
        return KernelCost.Of(gpu, EngineWork.Of(gpu, workload, CostsBench.CountFrames(workload)).Launches);
    }

    /// <summary>Runs a workload as the engine does, graphs and all, and lets a profiler see its last run only.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="workload">The work.</param>
    public static void Profile(ICudaDriver driver, Workload workload)
    {
        using CudaOps ops = Open(driver, workload);
        workload.Run(ops, watched =>
        {
            driver.Synchronize();
            if (watched) driver.StartProfiler();
            else driver.StopProfiler();
        }, replayed: true);
    }

    /// <summary>Whether a device has a clock.</summary>
    public static bool HasClock(ICudaDriver driver)
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

    private static CudaOps Open(ICudaDriver driver, Workload workload) => new(driver, new CudaOptions { Precision = workload.Precision, Tuning = TileTuning.Open(driver) });
}
