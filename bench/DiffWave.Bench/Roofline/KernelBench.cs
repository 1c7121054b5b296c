using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Bench;

/// <summary>A GPU, or the emulator, which has no clock, with what kernels of the catalogue are measured by.</summary>
internal sealed class KernelBench : IDisposable
{
    private const int LeastRounds = 10;

    private readonly ICudaDriver driver;
    private readonly KernelRunner runner;
    private readonly GpuTimer timer;

    /// <param name="settings">The device, and how often.</param>
    public KernelBench(BenchSettings settings) : this(BenchDevice.OpenDriver(settings.Device), settings.Repeat)
    {
    }

    /// <param name="driver">The device; belongs to this.</param>
    /// <param name="repeat">How often; at least ten times.</param>
    public KernelBench(ICudaDriver driver, Repeat repeat)
    {
        this.driver = driver;
        runner = new KernelRunner(driver);
        Clocks = new ClockWatch(driver.Device.PciBusId);
        try { timer = new GpuTimer(driver, Clocks, repeat with { Least = Math.Max(LeastRounds, repeat.Least), Most = Math.Max(LeastRounds, repeat.Most) }); }
        catch
        {
            Clocks.Dispose();
            driver.Dispose();
            throw;
        }
        Ceilings = new GpuCeilings(driver, runner, timer);
    }

    /// <summary>Whether there is time to be measured.</summary>
    public bool HasClock => timer.HasClock;

    /// <summary>The clocks while it measures.</summary>
    public ClockWatch Clocks { get; }

    /// <summary>The roofs.</summary>
    public GpuCeilings Ceilings { get; }

    /// <summary>What the driver knows of a kernel, and where there is a clock how long it takes and where it stands under its roof.</summary>
    /// <param name="version">The kernel.</param>
    /// <param name="shape">Its sizes.</param>
    /// <exception cref="UnsupportedKernelException">The device cannot run it.</exception>
    public Row Measure(KernelVersion version, KernelShape shape)
    {
        using PreparedTrial trial = runner.Prepare(version, shape);
        Row row = Resources(driver, version, shape, trial);
        if (!HasClock) return row;
        Cost cost = trial.Trial.Cost;
        GpuTimes hot = timer.Hot(trial.Launch, trial.Trial.Launches.Count), cold = timer.Cold(trial.Launch);
        double seconds = cold.Seconds.Median;
        TensorKind kind = LaunchRecorder.TensorOf(trial.Kernel.Compiled.Ptx);
        RoofPlace place = RoofPlace.Of(cost.Flops / Ceilings.Flops(kind), cost.Bytes / Ceilings.CopyBytes, seconds);
        return row with
        {
            Seconds = cold.Seconds,
            Figures = new Dictionary<string, object?>(row.Figures)
            {
                ["hot_seconds"] = hot.Seconds.Median, ["hot_spread"] = hot.Seconds.Spread, ["hot_batch"] = hot.Batch, ["cold_seconds"] = seconds, ["held"] = hot.IsHeld && cold.IsHeld,
                ["discarded_rounds"] = hot.Discarded + cold.Discarded, ["gflops"] = cost.Flops / seconds / 1e9, ["gigabytes_per_second"] = cost.Bytes / seconds / 1e9,
                ["tensor"] = kind == TensorKind.None ? null : kind.ToString().ToLowerInvariant(), ["bound"] = place.Bound, ["share_of_roof"] = place.Share,
            },
        };
    }

    /// <summary>Launches a kernel once, without anything before or after it but copies of its data: what a profiler is to see.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="version">The kernel.</param>
    /// <param name="shape">Its sizes.</param>
    /// <exception cref="UnsupportedKernelException">The device cannot run it.</exception>
    public static Row LaunchOnce(ICudaDriver driver, KernelVersion version, KernelShape shape)
    {
        using var runner = new KernelRunner(driver);
        using PreparedTrial trial = runner.Prepare(version, shape);
        trial.LaunchOne();
        driver.Synchronize();
        return Resources(driver, version, shape, trial);
    }

    public void Dispose()
    {
        timer.Dispose();
        Clocks.Dispose();
        runner.Dispose();
        driver.Dispose();
    }

    private static Row Resources(ICudaDriver driver, KernelVersion version, KernelShape shape, PreparedTrial trial)
    {
        CudaFunctionAttributes attributes = driver.GetAttributes(trial.Kernel.Function);
        KernelLaunch launch = trial.Trial.Launches[0];
        Cost cost = trial.Trial.Cost;
        int threads = (int)launch.Group.Size, blocks = driver.MaxActiveBlocks(trial.Kernel.Function, threads, launch.DynamicSharedBytes), resident = driver.Device.ThreadsPerMultiprocessor;
        return new Row($"kernel/{version.Name}/{shape}", null)
        {
            Figures = new Dictionary<string, object?>
            {
                ["kernel"] = version.Name, ["op"] = version.Op, ["shape"] = shape.ToString(), ["launches"] = trial.Trial.Launches.Count, ["blocks"] = launch.Grid.Size, ["threads"] = threads, ["registers"] = attributes.Registers,
                ["local_bytes"] = attributes.LocalBytes, ["shared_bytes"] = attributes.StaticSharedBytes + launch.DynamicSharedBytes, ["blocks_per_multiprocessor"] = blocks,
                ["occupancy"] = resident > 0 ? (double)blocks * threads / resident : null, ["flops"] = cost.Flops, ["bytes"] = cost.Bytes, ["intensity"] = cost.Intensity,
            },
        };
    }
}
