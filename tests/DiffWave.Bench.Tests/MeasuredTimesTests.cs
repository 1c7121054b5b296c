using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;
using DiffWave.Emulator;

namespace DiffWave.Bench.Tests;

/// <summary>Measured times beside predictions.</summary>
public sealed class MeasuredTimesTests : IDisposable
{
    private static readonly SynthesisWork Workload = new("tiny", 1, 2, Full: false, Precision.Fp32);
    private const double Clip = 512 / 22050.0;

    private readonly string folder = Directory.CreateTempSubdirectory("diffwave-measured-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void FilesOfTheSameWorkloadFillTheColumn()
    {
        string whole = Write("synthesis", Synthesis(1, "fp32", 5.0, 9.0), Synthesis(1, "fp16", Clip, 9.0), Synthesis(2, "fp32", Clip, 9.0), Synthesis(1, "fp32", Clip, 0.004));
        string launches = Write("launches", Kernel("another", "head_v2_channels16", 9.0), Kernel(Workload.Text, "head_v2_channels16", 21e-6));
        MeasuredTimes times = MeasuredTimes.Read([whole, launches], Workload);
        Assert.Equal(("a GPU", 0.004, 21e-6), (times.Device, times.Whole, times.Of("head_v2_channels16")));
        Assert.Null(times.Of("dilated_conv_v2"));
        Assert.Null(MeasuredTimes.Read([launches], Workload).Whole);
        Assert.Empty(MeasuredTimes.Read([whole], Workload).Kernels);

        GpuModel gpu = GpuModel.Find("h100");
        LaunchWork work = Work.Launch(264, TensorKind.None, (Count.Issued, 528 * 1.98e9 * 5.5e-6)) with { Kernel = "head_v2_channels16" }; // 5.5 us and a start of 1.5
        LaunchWork other = work with { Kernel = "other" };
        LaunchWork[] all = [work, work, work, other];
        var sheet = new CostSheet(gpu, Workload, new EngineWork(all, 0, []), KernelCost.Of(gpu, all), times);
        string[] lines = Table.Text(sheet.ToResult()).Split(Environment.NewLine);
        Assert.Matches(@"^head_v2_channels16 +3 +264 +100 % +7\.0 +21 +75\.0 % +issue .* 21 +1\.00$", lines.Single(line => line.StartsWith("head_v2", StringComparison.Ordinal)));
        Assert.Matches(@"^other +1 +264 +100 % +7\.0 +7 +25\.0 % +issue .* 0\.0$", lines.Single(line => line.StartsWith("other", StringComparison.Ordinal))); // nothing measured
        Assert.Contains(lines, line => line.StartsWith("measured (a GPU): 4.000 ms", StringComparison.Ordinal));
        Assert.Equal(0.004, sheet.ToResult().Rows[^1].Value("measured_seconds"));
    }

    [Fact]
    public void ATrainingStepIsFoundByItsCropsAndWhetherItRecomputes()
    {
        var work = new TrainingWork("tiny", 2, 4, Recompute: true, Precision.Tf32);
        Row Step(double samples, bool recompute, double seconds) => new("training", new Sample(seconds))
        {
            Figures = new Dictionary<string, object?> { ["preset"] = "tiny", ["batch"] = 2, ["crop_samples"] = samples, ["recompute"] = recompute, ["precision"] = "tf32" },
        };
        Assert.Equal(0.5, MeasuredTimes.Read([Write("training", Step(work.Samples, false, 9), Step(256, true, 9), Step(work.Samples, true, 0.5))], work).Whole);
    }

    [Fact]
    public void OtherFilesAreRefused()
    {
        string Message(params string[] files) => Assert.Throws<InvalidDataException>(() => MeasuredTimes.Read(files, Workload)).Message;
        string fits = Write("synthesis", Synthesis(1, "fp32", Clip, 0.004));
        Assert.Contains("nothing measured of synthesis/tiny/fast/1x0.023s (synthesis, tiny", Message(Write("synthesis", Synthesis(2, "fp32", Clip, 0.004))), StringComparison.Ordinal);
        Assert.Contains("benchmark is 'compiler', expected launches", Message(Write("compiler")), StringComparison.Ordinal);
        Assert.Contains("machine has no gpu", Message(Write(new Result("synthesis", "on a CPU", []))), StringComparison.Ordinal);
        Assert.Contains("machine.gpu is 'another', expected 'a GPU'", Message(fits, Write(new Result("launches", "", []) { Machine = new Dictionary<string, object?> { ["gpu"] = "another" } })), StringComparison.Ordinal);
    }

    // A device that runs nothing, with a clock by which everything takes a quarter of a millisecond: what is written by bench launches is what is read here.
    [Fact]
    public void TimedLaunchesAreReadBack()
    {
        using var device = new LaunchRecorder(GpuModel.Find("h100"));
        using var driver = new Clocked(device);
        IReadOnlyList<Row> timed = LaunchTimes.Run(driver, Workload);
        Assert.Equal(1, timed.Sum(row => (double)row.Value("share")!), 9);
        MeasuredTimes times = MeasuredTimes.Read([Write("launches", [.. timed])], Workload);
        Assert.Equal(7 * 0.25e-3, times.Of("head_v2_channels16")!.Value, 9);
        using var recorder = new LaunchRecorder(GpuModel.Find("h100"));
        Workload.Record(recorder);
        var launched = recorder.Log.Where(launch => launch.Bytes == 0).GroupBy(launch => launch.Kernel).ToDictionary(kernel => kernel.Key, kernel => kernel.Count() * 0.25e-3);
        Assert.Equal(launched.Keys.Order(), times.Kernels.Keys.Order());
        Assert.All(launched, kernel => Assert.Equal(kernel.Value, times.Kernels[kernel.Key], 9));
        Assert.Null(times.Whole);
    }

    [Fact]
    public void TheEmulatorHasNoClock()
    {
        using var emulator = new EmulatedDriver();
        Assert.False(LaunchTimes.HasClock(emulator));
        using var clocked = new Clocked(emulator);
        Assert.True(LaunchTimes.HasClock(clocked));
    }

    // A profiler sees the last run only, and it is the one that is replayed.
    [Fact]
    public void AProfilerSeesOneRun()
    {
        using var device = new LaunchRecorder(GpuModel.Find("h100"));
        using var driver = new Watched(device);
        LaunchTimes.Profile(driver, Workload);
        Assert.Equal(["start", "graph", "stop"], driver.Seen.SkipWhile(what => what != "start").TakeWhile(what => what != "stop").Append("stop").Distinct());
        Assert.Contains("graph", driver.Seen);
        Assert.Equal(2, driver.Seen.Count(what => what is "start" or "stop"));
    }

    private static Row Synthesis(int batch, string precision, double clip, double seconds) => new("synthesis", new Sample(seconds))
    {
        Figures = new Dictionary<string, object?> { ["preset"] = "tiny", ["batch"] = batch, ["steps"] = 7, ["precision"] = precision, ["clip_seconds"] = clip },
    };

    private static Row Kernel(string workload, string kernel, double seconds) => new(kernel, new Sample(seconds))
    {
        Figures = new Dictionary<string, object?> { ["workload"] = workload, ["kernel"] = kernel, ["total_seconds"] = seconds },
    };

    private string Write(string benchmark, params Row[] rows) => Write(new Result(benchmark, "", rows) { Machine = new Dictionary<string, object?> { ["gpu"] = "a GPU" } });

    private string Write(Result result)
    {
        string path = Path.Combine(folder, $"{Guid.NewGuid():N}.json");
        result.Write(path);
        return path;
    }

    private sealed class Clocked(ICudaDriver inner) : ForwardingDriver(inner)
    {
        public override double? Elapsed(nint start, nint stop) => Inner.Elapsed(start, stop) is null && start != stop ? 0.25 : throw new InvalidOperationException("the emulator has a clock");
    }

    private sealed class Watched(ICudaDriver inner) : ForwardingDriver(inner)
    {
        public List<string> Seen { get; } = [];

        public override void StartProfiler() => Seen.Add("start");

        public override void StopProfiler() => Seen.Add("stop");

        public override void LaunchGraph(nint graph, nint stream)
        {
            Seen.Add("graph");
            Inner.LaunchGraph(graph, stream);
        }
    }
}
