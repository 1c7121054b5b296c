using System.Text.Json;
using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;
using DiffWave.Emulator;

namespace DiffWave.Bench.Tests;

/// <summary>Times of bench gpu beside predictions.</summary>
public sealed class MeasuredTimesTests : IDisposable
{
    private static readonly SynthesisWork Workload = new("tiny", 1, 2, Full: false, Precision.Fp32);

    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    [Fact]
    public void AFileOfTheSameWorkloadFillsTheColumn()
    {
        Write(new
        {
            benchmark = "gpu",
            results = new
            {
                device = new { name = "a GPU" },
                synthesis = new object[]
                {
                    new { preset = "tiny", batch = 1, steps = 7, precision = "fp32", audio_seconds = 5.0, median_seconds = 9.0 },               // another length
                    new { preset = "tiny", batch = 1, steps = 7, precision = "fp16", audio_seconds = 512 / 22050.0, median_seconds = 9.0 }, // another precision
                    new { preset = "tiny", batch = 1, steps = 7, precision = "fp32", audio_seconds = 512 / 22050.0, median_seconds = 0.004 },
                },
                launches = new object[]
                {
                    new { workload = "another", kernels = new[] { new { kernel = "head_v2_channels16", launches = 1, seconds = 9.0 } } },
                    new { workload = Workload.Text, kernels = new[] { new { kernel = "head_v2_channels16", launches = 7, seconds = 21e-6 } } },
                },
            },
        });
        MeasuredTimes times = MeasuredTimes.Read(file, Workload);
        Assert.Equal(("a GPU", 0.004, 21e-6), (times.Device, times.Whole, times.Of("head_v2_channels16")));
        Assert.Null(times.Of("dilated_conv_v2"));

        GpuModel gpu = GpuModel.Find("h100");
        LaunchWork work = Work.Launch(264, TensorKind.None, (Count.Issued, 528 * 1.98e9 * 5.5e-6)) with { Kernel = "head_v2_channels16" }; // 5.5 us and a start of 1.5
        LaunchWork other = work with { Kernel = "other" };
        LaunchWork[] launches = [work, work, work, other];
        var sheet = new CostSheet(gpu, Workload, new EngineWork(launches, 0, []), KernelCost.Of(gpu, launches), times);
        string[] lines = Table.Text(sheet.ToResult()).Split(Environment.NewLine);
        Assert.Matches(@"^head_v2_channels16 +3 +264 +100 % +7\.0 +21 +75\.0 % +issue .* 21 +1\.00$", lines.Single(line => line.StartsWith("head_v2", StringComparison.Ordinal)));
        Assert.Matches(@"^other +1 +264 +100 % +7\.0 +7 +25\.0 % +issue .* 0\.0$", lines.Single(line => line.StartsWith("other", StringComparison.Ordinal))); // nothing measured
        Assert.Contains(lines, line => line.StartsWith("measured (a GPU): 4.000 ms", StringComparison.Ordinal));
        Assert.Equal(0.004, sheet.ToResult().Rows[^1].Value("measured_seconds"));
    }

    [Fact]
    public void TimesOfAnotherSizeAreRefused()
    {
        Write(new { benchmark = "gpu", results = new { device = new { name = "a GPU" }, synthesis = new[] { new { preset = "tiny", batch = 2, steps = 7, precision = "fp32", audio_seconds = 512 / 22050.0, median_seconds = 0.004 } } } });
        Assert.Contains("nothing measured of: synthesis, tiny", Assert.Throws<InvalidDataException>(() => MeasuredTimes.Read(file, Workload)).Message, StringComparison.Ordinal);
        Write(new { benchmark = "synthesis", results = new { } });
        Assert.Contains("no result of bench gpu", Assert.Throws<InvalidDataException>(() => MeasuredTimes.Read(file, Workload)).Message, StringComparison.Ordinal);
    }

    // The emulator with a clock by which everything takes a quarter of a millisecond: what is written by bench gpu is what is read here.
    [Fact]
    public void TimedLaunchesAreReadBack()
    {
        using var emulator = new EmulatedDriver(new EmulatorOptions { Checks = false });
        using var driver = new Clocked(emulator);
        Dictionary<string, object> timed = LaunchTimes.Run(driver, Workload)!;
        Write(new { benchmark = "gpu", results = new { device = new { name = "a GPU" }, launches = new[] { timed } } });
        MeasuredTimes times = MeasuredTimes.Read(file, Workload);
        Assert.Equal(7 * 0.25e-3, times.Of("head_v2_channels16")!.Value, 9);
        using var recorder = new LaunchRecorder(GpuModel.Find("h100"));
        Workload.Record(recorder);
        var launched = recorder.Log.Where(launch => launch.Bytes == 0).GroupBy(launch => launch.Kernel).ToDictionary(kernel => kernel.Key, kernel => kernel.Count() * 0.25e-3);
        Assert.Equal(launched.Keys.Order(), times.Kernels.Keys.Order());
        Assert.All(launched, kernel => Assert.Equal(kernel.Value, times.Kernels[kernel.Key], 9));
        Assert.Null(times.Whole);
    }

    [Fact]
    public void WithoutAClockNothingIsTimed()
    {
        using var emulator = new EmulatedDriver();
        Assert.Null(LaunchTimes.Run(emulator, Workload));
    }

    private void Write(object document) => File.WriteAllText(file, JsonSerializer.Serialize(document));

    private sealed class Clocked(ICudaDriver inner) : ForwardingDriver(inner)
    {
        public override double? Elapsed(nint start, nint stop) => Inner.Elapsed(start, stop) is null && start != stop ? 0.25 : throw new InvalidOperationException("the emulator has a clock");
    }
}
