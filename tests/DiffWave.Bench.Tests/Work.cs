using DiffWave.Bench.Costs;
using DiffWave.Cuda;

namespace DiffWave.Bench.Tests;

/// <summary>Devices and launches with round numbers.</summary>
internal static class Work
{
    /// <summary>Ten multiprocessors at 1 GHz; 1,000 FLOP a clock and multiprocessor on tensor cores, of which mma.sync reaches half; 100 bytes a clock and multiprocessor from L2, 10 from device memory.</summary>
    public static GpuModel Gpu { get; } = new()
    {
        Name = "round", Source = "made up", Sm = 90, Multiprocessors = 10, Clock = 1e9, Float32Lanes = 128, Float64Lanes = 2, Float16PairLanes = 64, Tensor16Flops = 10e12, Tensor32Flops = 5e12, MmaShare = 0.5,
        L2Bandwidth = 1e12, DramBandwidth = 1e11, L2Bytes = 1000, MemoryBytes = 1 << 30,
    };

    /// <summary>A launch with some counts.</summary>
    public static LaunchWork Launch(int blocks, TensorKind tensor, params (Count Count, double Value)[] values)
    {
        var counts = new double[Enum.GetValues<Count>().Length];
        foreach ((Count count, double value) in values) counts[(int)count] = value;
        return new LaunchWork("kernel", new Dim3(blocks), tensor, counts, []);
    }
}
