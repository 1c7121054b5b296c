using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Cuda.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Bench.Tests;

/// <summary>Kernels within their work, under measured roofs.</summary>
public class LaunchTimesTests
{
    // A device by whose clock every ceiling takes a millisecond, so that its rates are what a launch of them computes and moves a millisecond.
    [Fact]
    public void ARowStandsUnderItsRoofByWhatIsCountedOfIt()
    {
        using var cuda = new StubCuda(new EmulatorOptions { MemoryBytes = 128 << 20 }) { SkipsLaunches = true, Attributes = { [38] = 1 << 20 } };
        using var bench = new KernelBench(NvidiaDriver.Open(), new Repeat(1, 1));
        double fma = bench.Ceilings.Flops(TensorKind.None), tensor = bench.Ceilings.Flops(TensorKind.F16), copy = bench.Ceilings.CopyBytes;
        Assert.Equal(tensor / 2, bench.Ceilings.Flops(TensorKind.TF32));
        Row[] rows = [Timed("products", 4, 0.002), Timed("memory", 1, 0.002), Timed("tiny", 1, 0.002), Timed("unknown", 1, 0.002), Timed("other number", 2, 0.002)];
        KernelCost[] counted =
        [
            Counted("products", 4, 1e-4 * fma, 1e-3 * tensor, 5e-4 * copy),  // its matrix products alone would take a millisecond, half of its time
            Counted("memory", 1, 1e-4 * fma, 0, 1.5e-3 * copy), Counted("tiny", 1, 1e-5 * fma, 0, 1e-5 * copy), Counted("other number", 3, fma, 0, copy),
        ];
        Row[] placed = [.. LaunchTimes.Placed(rows, counted, TensorKind.F16, bench.Ceilings)];
        Assert.Equal(["compute", "memory", "neither", null, null], placed.Select(row => (string?)row.Value("bound")));
        Assert.Equal(0.5, (double)placed[0].Value("share_of_roof")!, 9);
        Assert.Equal(0.75, (double)placed[1].Value("share_of_roof")!, 9);
        Assert.Equal((1e-4 * fma + 1e-3 * tensor) / 0.002 / 1e9, (double)placed[0].Value("executed_gflops")!, 3);
        Assert.Equal(0.75 * copy / 1e9, (double)placed[1].Value("gigabytes_per_second")!, 6);
        Assert.Equal(1e-4 * fma / (1.5e-3 * copy), (double)placed[1].Value("intensity")!, 9);
    }

    [Fact]
    public void ADeviceIsCountedWithItsOwnSizesAndAsOneOfItsArchitecture()
    {
        using var cuda = new StubCuda();
        CudaDeviceInfo device = NvidiaDriver.Devices(out _)[0];
        GpuModel gpu = GpuModel.Like(device with { Multiprocessors = 7, L2Bytes = 1 << 20 });
        Assert.Equal(("Stub GPU 0 (sm_90)", 90, 7, 1L << 20), (gpu.Name, gpu.Sm, gpu.Multiprocessors, gpu.L2Bytes));
        Assert.Equal(GpuModel.Find("a100").Clock, GpuModel.Like(device with { Sm = 80 }).Clock);
        Assert.Contains("sm_61; GPUs that are known: h100 (sm_90)", Assert.Throws<NotSupportedException>(() => GpuModel.Like(device with { Sm = 61 })).Message, StringComparison.Ordinal);
        Assert.Equal((16, 64), (CostsBench.CountFrames(new SynthesisWork("tiny", 1, 2, false, Precision.Fp32)), CostsBench.CountFrames(new SynthesisWork("small", 1, 2, false, Precision.Fp16))));
    }

    private static Row Timed(string kernel, int launches, double seconds) => new($"synthesis/{kernel}", new Sample(seconds / launches))
    {
        Figures = new Dictionary<string, object?> { ["kernel"] = kernel, ["launches"] = launches, ["total_seconds"] = seconds },
    };

    private static KernelCost Counted(string kernel, int launches, double flops, double products, double dram)
    {
        var work = new double[Enum.GetValues<Count>().Length];
        (work[(int)Count.Flops], work[(int)Count.TensorFlops]) = (flops, products);
        return new KernelCost(kernel, launches, 1, Bound.Fma, [], 1, 1, work, dram);
    }
}
