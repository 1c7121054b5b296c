using DiffWave.Cuda;
using DiffWave.Cuda.Tests;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Kernels;

namespace DiffWave.Bench.Tests;

/// <summary>Kernels of the catalogue under their roofs: through the real driver class, on a libcuda by whose clock a millisecond lies between two events.</summary>
public class KernelBenchTests
{
    private static readonly KernelVersion Gate = KernelCatalog.Find("gated_activation_v2")!;

    // Launches are not run: what is tested is what is made of the times.
    private static StubCuda Gpu() => new(new EmulatorOptions { MemoryBytes = 128 << 20 }) { SkipsLaunches = true, Attributes = { [38] = 1 << 20 } };

    [Fact]
    public void ARowHoldsRatesByDefinitionAndThePlaceUnderMeasuredRoofs()
    {
        using var cuda = Gpu();
        using (var bench = new KernelBench(NvidiaDriver.Open(), new Repeat(1, 1)))
        {
            Assert.True(bench.HasClock);
            Row row = bench.Measure(Gate, Gate.Shapes[0]);
            Cost cost = Gate.Trial(Gate.Shapes[0]).Cost;
            Assert.Equal("kernel/gated_activation_v2/rows=1000,channels=64,gateFirst=0", row.Case);
            Assert.Equal((10, 1e-3, 1e-3), (row.Seconds!.Count, row.Seconds.Median, row.Value("hot_seconds")));
            Assert.Equal((cost.Flops / 1e6, cost.Bytes / 1e6, cost.Intensity), ((double)row.Value("gflops")!, (double)row.Value("gigabytes_per_second")!, (double)row.Value("intensity")!));
            Assert.Equal((256, 0, 8, 1.0, false), (row.Value("threads"), row.Value("local_bytes"), row.Value("blocks_per_multiprocessor"), row.Value("occupancy"), row.Value("held")));

            // A copy of what the memory leaves, a millisecond too: the gate moves so much less in it.
            Row copy = bench.Ceilings.Row("copy");
            double copied = (double)copy.Value("gigabytes_per_second")! * 1e6;
            Assert.InRange(copied, 8.0 * (1 << 20), 64.0 * (1 << 20));
            Assert.Equal((double)cost.Bytes / copied, (double)row.Value("share_of_roof")!, 1e-6);
            Assert.Equal("neither", row.Value("bound"));
            Assert.Equal(3352, (double)copy.Value("data_sheet")!, 1.0); // GB/s of the device's clock and bus
            Assert.Equal(66.9e3, (double)bench.Ceilings.Row("fma").Value("data_sheet")!, 100.0);
            Assert.Null(bench.Ceilings.Row("tensor").Value("data_sheet")); // nobody knows a Stub GPU
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void ForAProfilerThereIsOneLaunchAndNothingElse()
    {
        using var cuda = Gpu();
        using (var driver = NvidiaDriver.Open())
        {
            Row row = KernelBench.LaunchOnce(driver, Gate, Gate.Shapes[0]);
            Assert.Null(row.Seconds);
            Assert.True((int)row.Value("registers")! > 0);
        }
        Assert.Equal(1, cuda.Calls("cuLaunchKernel"));
        Assert.DoesNotContain(cuda.CalledFunctions, name => name.Contains("Event") || name.Contains("Memset") || name.Contains("StreamCreate"));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void OnTheEmulatorThereAreResourcesAndNoTimes()
    {
        using var bench = new KernelBench(new EmulatedDriver(), new Repeat());
        Row row = bench.Measure(Gate, Gate.Shapes[0].With("rows=10"));
        Assert.Null(row.Seconds);
        Assert.Equal(("kernel/gated_activation_v2/rows=10,channels=64,gateFirst=0", 0, 0), (row.Case, row.Value("local_bytes"), row.Value("shared_bytes")));
        Assert.Null(row.Value("gflops"));
        Result result = GpuRoofline.Noted(new Result("kernel", "", [row]), bench);
        Assert.Contains("no clock", Assert.Single(result.Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gated_activation_v2", null, "gated_activation_v2")]
    [InlineData("GatedActivation", 2, "gated_activation_v2 gated_activation_backward_v2")]
    [InlineData("BlockSum", null, "block_sum_v1 block_sum_v2")]
    public void KernelsAreFoundByNameOrByOperationAndVersion(string name, int? version, string expected) =>
        Assert.Equal(expected, string.Join(' ', KernelVerb.Chosen(name, version).Select(one => one.Name)));

    [Theory]
    [InlineData("GatedActivations", null, "no kernel of the catalogue and no operation; operations: GatedActivation, BlockSum")]
    [InlineData("GatedActivation", 9, "--version 9: GatedActivation has gated_activation_v1, ")]
    [InlineData("gated_activation_v2", 2, "--version is for operations such as GatedActivation")]
    public void WhatIsNotThereIsToldWithWhatIs(string name, int? version, string expected) =>
        Assert.Contains(expected, Assert.Throws<ArgumentException>(() => KernelVerb.Chosen(name, version)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("NVIDIA H100 80GB HBM3", "h100")]
    [InlineData("NVIDIA H100 PCIe", "h100-pcie")]
    [InlineData("NVIDIA H200", "h200")]
    [InlineData("NVIDIA A100-SXM4-80GB", "a100")]
    [InlineData("NVIDIA GeForce RTX 4090", "rtx4090")]
    [InlineData("NVIDIA GeForce RTX 4090 Laptop GPU", null)]
    [InlineData("NVIDIA H100 NVL", null)]
    public void GpusAreKnownByTheirDriversName(string device, string? known) => Assert.Equal(known, GpuCeilings.Known(device)?.Name);

    // Sizes a kernel does not have, or cannot have, leave it as usual; a case is named for what it runs.
    [Fact]
    public void SizesForAllAreTakenWhereTheyFit()
    {
        var settings = new BenchSettings("cuda", 1, default, 1, new Repeat());
        string[] names = [.. GpuRoofline.Cases(settings, new Lazy<KernelBench>(() => throw new InvalidOperationException("nothing is opened to list cases")), "rows=512,outputs=6").Select(one => one.Name)];
        Assert.Equal(["ceiling/copy", "ceiling/fma", "ceiling/tensor"], names[..3]);
        Assert.Equal(3 + KernelCatalog.All.Count, names.Length);
        Assert.Contains("kernel/gated_activation_v2/rows=512,channels=64,gateFirst=0", names);
        Assert.Contains("kernel/block_sum_v1/n=100000", names);
        Assert.Contains(names, name => name.StartsWith("kernel/pointwise_conv_v1/batch=1,rows=512,inputs=80,outputs=6", StringComparison.Ordinal));
        Assert.Contains(names, name => name.StartsWith("kernel/pointwise_conv_v2/batch=1,rows=128,inputs=80,outputs=128", StringComparison.Ordinal)); // six outputs are no multiple of four
    }
}
