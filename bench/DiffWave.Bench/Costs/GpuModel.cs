using DiffWave.Cuda;

namespace DiffWave.Bench.Costs;

/// <summary>What the operands of matrix products are.</summary>
internal enum TensorKind
{
    /// <summary>No matrix products.</summary>
    None,
    F16,
    BF16,
    TF32,
}

/// <summary>Figures of a GPU: from data sheets and white papers where they give them, else assumed, as said at each.</summary>
internal sealed record GpuModel
{
    /// <summary>What the command line calls it.</summary>
    public required string Name { get; init; }

    /// <summary>Where the figures of data sheets come from.</summary>
    public required string Source { get; init; }

    /// <summary>Architecture, e.g. 90.</summary>
    public required int Sm { get; init; }

    /// <summary>Streaming multiprocessors (SMs).</summary>
    public required int Multiprocessors { get; init; }

    /// <summary>Boost clock in Hz, assumed to hold under load.</summary>
    public required double Clock { get; init; }

    /// <summary>Lanes of an SM that do a float32 multiply-add a clock.</summary>
    public required int Float32Lanes { get; init; }

    /// <summary>Lanes of an SM that do a float64 multiply-add a clock.</summary>
    public required double Float64Lanes { get; init; }

    /// <summary>Lanes of an SM that do a packed pair of 16-bit multiply-adds a clock.</summary>
    public required int Float16PairLanes { get; init; }

    /// <summary>Dense matrix products with float32 sums, FLOP/s, 16-bit operands.</summary>
    public required double Tensor16Flops { get; init; }

    /// <summary>The same with tf32 operands.</summary>
    public required double Tensor32Flops { get; init; }

    /// <summary>Share of the tensor figures that mma.sync can reach. Assumed: Hopper's full rate needs wgmma, 60 to 65 % without it is commonly quoted; all of it elsewhere.</summary>
    public double MmaShare { get; init; } = 1;

    /// <summary>Bytes a second of device memory.</summary>
    public required double DramBandwidth { get; init; }

    /// <summary>Bytes of L2 cache.</summary>
    public required long L2Bytes { get; init; }

    /// <summary>Bytes a second between L2 and the SMs. Assumed: no data sheet gives it; of the order of public microbenchmarks.</summary>
    public required double L2Bandwidth { get; init; }

    /// <summary>Bytes of device memory.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Bytes a clock of an SM's shared memory and L1, which share one path (programming guide: 32 banks of 4 bytes).</summary>
    public const double SharedBytesPerClock = 128;

    /// <summary>Instructions an SM issues a clock: four schedulers.</summary>
    public const double IssuesPerClock = 4;

    /// <summary>Lanes of an SM for 32-bit integers, comparisons and conversions (programming guide, arithmetic throughput).</summary>
    public const double IntegerLanes = 64, ConversionLanes = 64;

    /// <summary>Lanes for special functions, and for shuffles and votes.</summary>
    public const double SpecialLanes = 16, ExchangeLanes = 32;

    /// <summary>
    /// Seconds from the last work of a kernel to full speed of the next one in a graph: assumed. The gap between nodes, the start of the blocks, one trip to memory, and the drain at the end.
    /// </summary>
    public const double GraphLaunch = 1.5e-6;

    /// <summary>The same for a launch that may begin before the one ahead of it ends: assumed. Its blocks are there when the others go; it still waits for their last results.</summary>
    public const double EarlyLaunch = 0.8e-6;

    /// <summary>The GPUs that are known.</summary>
    public static IReadOnlyList<GpuModel> All { get; } =
    [
        new() { Name = "h100", Source = "NVIDIA H100 data sheet, SXM5", Sm = 90, Multiprocessors = 132, Clock = 1.98e9, Float32Lanes = 128, Float64Lanes = 64, Float16PairLanes = 128, Tensor16Flops = 989.4e12, Tensor32Flops = 494.7e12,
            MmaShare = 0.63, DramBandwidth = 3.35e12, L2Bytes = 50 << 20, L2Bandwidth = 5.5e12, MemoryBytes = 80L << 30 },
        new() { Name = "h100-pcie", Source = "NVIDIA H100 data sheet, PCIe", Sm = 90, Multiprocessors = 114, Clock = 1.755e9, Float32Lanes = 128, Float64Lanes = 64, Float16PairLanes = 128, Tensor16Flops = 756e12, Tensor32Flops = 378e12,
            MmaShare = 0.63, DramBandwidth = 2.0e12, L2Bytes = 50 << 20, L2Bandwidth = 5.0e12, MemoryBytes = 80L << 30 },
        new() { Name = "h200", Source = "NVIDIA H200 data sheet, SXM", Sm = 90, Multiprocessors = 132, Clock = 1.98e9, Float32Lanes = 128, Float64Lanes = 64, Float16PairLanes = 128, Tensor16Flops = 989.4e12, Tensor32Flops = 494.7e12,
            MmaShare = 0.63, DramBandwidth = 4.8e12, L2Bytes = 50 << 20, L2Bandwidth = 5.5e12, MemoryBytes = 141L << 30 },
        new() { Name = "a100", Source = "NVIDIA A100 data sheet, SXM4 80 GB", Sm = 80, Multiprocessors = 108, Clock = 1.41e9, Float32Lanes = 64, Float64Lanes = 32, Float16PairLanes = 128, Tensor16Flops = 312e12, Tensor32Flops = 156e12,
            DramBandwidth = 2.039e12, L2Bytes = 40 << 20, L2Bandwidth = 4.5e12, MemoryBytes = 80L << 30 },
        new() { Name = "rtx4090", Source = "NVIDIA Ada GPU architecture white paper, RTX 4090", Sm = 89, Multiprocessors = 128, Clock = 2.52e9, Float32Lanes = 128, Float64Lanes = 2, Float16PairLanes = 64, Tensor16Flops = 165.2e12,
            Tensor32Flops = 82.6e12, DramBandwidth = 1.008e12, L2Bytes = 72 << 20, L2Bandwidth = 5.0e12, MemoryBytes = 24L << 30 },
    ];

    /// <summary>A GPU by its name.</summary>
    /// <exception cref="ArgumentException">No such GPU is known.</exception>
    public static GpuModel Find(string name) =>
        All.FirstOrDefault(gpu => gpu.Name == name) ?? throw new ArgumentException($"GPU '{name}', expected one of {string.Join(", ", All.Select(gpu => gpu.Name))}");

    /// <summary>The known GPU that a device is, or is most like: of its architecture, with its own multiprocessors, clock and sizes. For counts, which need no rates.</summary>
    /// <exception cref="NotSupportedException">None of its architecture is known.</exception>
    public static GpuModel Like(CudaDeviceInfo device) =>
        (All.FirstOrDefault(gpu => gpu.Sm == device.Sm) ?? throw new NotSupportedException($"{device.Name} is sm_{device.Sm}; GPUs that are known: {string.Join(", ", All.Select(gpu => $"{gpu.Name} (sm_{gpu.Sm})"))}")) with
        {
            Name = device.Name, Multiprocessors = device.Multiprocessors, L2Bytes = device.L2Bytes, MemoryBytes = device.MemoryBytes,
        };

    /// <summary>What mma.sync can reach, FLOP/s.</summary>
    public double TensorFlops(TensorKind kind) => MmaShare * (kind == TensorKind.TF32 ? Tensor32Flops : Tensor16Flops);

    private const int BusBytes = 1024; // with the clock that gives the bandwidth

    /// <summary>The device as a driver would show it to the engine.</summary>
    /// <param name="like">A device of the same architecture, for its limits.</param>
    public CudaDeviceInfo Describe(CudaDeviceInfo like) =>
        like with { Name = Name, Multiprocessors = Multiprocessors, ClockKilohertz = (int)(Clock / 1e3), MemoryBytes = MemoryBytes, L2Bytes = (int)L2Bytes,
            MemoryClockKilohertz = (int)(DramBandwidth / 2e3 / BusBytes), MemoryBusBits = 8 * BusBytes };
}
