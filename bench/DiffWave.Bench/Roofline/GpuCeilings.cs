using DiffWave.Bench.Costs;
using DiffWave.Cuda;

namespace DiffWave.Bench;

/// <summary>What a GPU can do at most, measured by kernels that do nothing else, with what the data sheet says beside it. Each is measured when it is first asked for.</summary>
/// <param name="driver">The device.</param>
/// <param name="runner">Its kernels.</param>
/// <param name="timer">Times them; with a clock.</param>
internal sealed class GpuCeilings(ICudaDriver driver, KernelRunner runner, GpuTimer timer)
{
    private const int FmaRounds = 1000, TensorRounds = 256; // about a millisecond of a large GPU
    private const int Resident = 8; // blocks of 256 threads on a multiprocessor of 2048; whatever fits of them runs at once, and a grid of several times that ends evenly

    private readonly Dictionary<string, Row> rows = [];

    /// <summary>The ceilings in order.</summary>
    public static IReadOnlyList<string> Names { get; } = ["copy", "fma", "tensor"];

    /// <summary>Bytes a second of a copy between two buffers many times the L2 cache, read and written.</summary>
    public double CopyBytes => Figure("copy", "gigabytes_per_second") * 1e9;

    /// <summary>FLOP/s of a kernel's arithmetic: of matrix products for one that has them, of float32 multiply-adds for others.</summary>
    /// <param name="kind">Its operands. tf32 counts half of fp16, which is measured: so say the data sheets of every GPU that has it.</param>
    public double Flops(TensorKind kind) => 1e9 * kind switch
    {
        TensorKind.None => Figure("fma", "gflops"),
        TensorKind.TF32 => Figure("tensor", "gflops") / 2,
        _ => Figure("tensor", "gflops"),
    };

    /// <summary>A ceiling as a row of a result.</summary>
    /// <exception cref="UnsupportedKernelException">The device has no such units.</exception>
    public Row Row(string name)
    {
        if (rows.TryGetValue(name, out Row? known)) return known;
        using Ceiling ceiling = Make(name);
        GpuTimes times = timer.Hot(ceiling.Launch);
        double seconds = times.Seconds.Median, flops = ceiling.TensorFlops > 0 ? ceiling.TensorFlops : ceiling.Cost.Flops;
        double rate = name == "copy" ? ceiling.Cost.Bytes / seconds : flops / seconds;
        double? dataSheet = DataSheet(name);
        var figures = new Dictionary<string, object?>
        {
            [name == "copy" ? "gigabytes_per_second" : "gflops"] = rate / 1e9, ["bound"] = name == "copy" ? "memory" : "compute", ["hot_seconds"] = seconds, ["data_sheet"] = dataSheet / 1e9,
            ["share_of_data_sheet"] = rate / dataSheet, ["held"] = times.IsHeld, ["batch"] = times.Batch, ["discarded_rounds"] = times.Discarded,
        };
        if (name == "copy") figures["working_set_bytes"] = ceiling.Cost.Bytes;
        return rows[name] = new Row($"ceiling/{name}", times.Seconds) { Figures = figures };
    }

    /// <summary>GPUs whose figures are known, by what their driver calls them; matrix products are in no attribute of the driver.</summary>
    public static GpuModel? Known(string deviceName)
    {
        string? name = deviceName switch
        {
            _ when deviceName.Contains("H100 80GB HBM3", StringComparison.Ordinal) => "h100",
            _ when deviceName.Contains("H100 PCIe", StringComparison.Ordinal) => "h100-pcie",
            _ when deviceName.EndsWith("H200", StringComparison.Ordinal) => "h200",
            _ when deviceName.Contains("A100-SXM4-80GB", StringComparison.Ordinal) => "a100",
            _ when deviceName.EndsWith("RTX 4090", StringComparison.Ordinal) => "rtx4090",
            _ => null,
        };
        return name is null ? null : GpuModel.Find(name);
    }

    private double Figure(string ceiling, string figure) => (double)Row(ceiling).Figures[figure]!;

    private double? DataSheet(string name) => name switch
    {
        "copy" => driver.Device.PeakMemoryBytesPerSecond,
        "fma" => driver.Device.PeakFloat32Flops,
        _ => Known(driver.Device.Name)?.Tensor16Flops,
    };

    private Ceiling Make(string name)
    {
        int blocks = 4 * Resident * driver.Device.Multiprocessors;
        return name switch
        {
            "copy" => Ceiling.Copy(driver, runner, Math.Min(Math.Max(256L << 20, 8L * driver.Device.L2Bytes), driver.MemoryInfo().Free / 4) & ~0xFFFL),
            "fma" => Ceiling.Fma(driver, runner, blocks, FmaRounds / 4),
            _ => Ceiling.Tensor(driver, runner, blocks, TensorRounds / 4),
        };
    }
}
