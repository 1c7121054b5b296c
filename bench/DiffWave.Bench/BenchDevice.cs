using System.Globalization;
using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>What a benchmark runs on, and the most it could do.</summary>
/// <param name="Ops">The device; belongs to this.</param>
/// <param name="Driver">The driver below it, or null for the CPU.</param>
/// <param name="Peak">Float32 multiply-adds, in FLOP/s: measured on the CPU, by data sheet and current top clock on a GPU, null where time means nothing.</param>
/// <param name="Pace">How fast the CPU is at this moment (<see cref="NetworkPace"/>); null on other devices.</param>
internal sealed record BenchDevice(IOps Ops, ICudaDriver? Driver, Func<double?> Peak, Func<double?> Pace) : IDisposable
{
    /// <summary>Opens <c>cpu</c>, <c>cuda</c>, <c>cuda:N</c> or <c>emulator</c>, which checks every access unless told not to.</summary>
    public static BenchDevice Open(string device, int threads, SimdLevel level, Precision precision = Precision.Fp32, bool checks = true)
    {
        if (device == "cpu" && precision != Precision.Fp32) throw new ArgumentException($"precision {precision.ToString().ToLowerInvariant()}: the CPU computes in fp32");
        if (device == "cpu") return new BenchDevice(CpuDevice.Create(threads, level), null, () => FmaPeak.Measure(threads), () => NetworkPace.Measure(threads));
        ICudaDriver driver = OpenDriver(device, checks);
        try { return new BenchDevice(new CudaOps(driver, new CudaOptions { Precision = precision, Tuning = TileTuning.Open(driver) }), driver, () => device == "emulator" ? null : driver.Device.PeakFloat32Flops, () => null); }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    /// <summary>Opens the driver of <c>cuda</c>, <c>cuda:N</c> or <c>emulator</c>.</summary>
    public static ICudaDriver OpenDriver(string device, bool checks = true) => device == "emulator" ? new EmulatedDriver(new EmulatorOptions { Checks = checks }) : NvidiaDriver.Open(Index(device));

    /// <summary>Most device memory held so far, in bytes; null on the CPU.</summary>
    public long? PeakDeviceMemory => (Ops as CudaOps)?.PeakMemoryBytes;

    /// <summary>True on the CPU, which is fastest with a crop at a time.</summary>
    public bool IsCpu => Driver is null;

    public void Dispose()
    {
        Ops.Dispose();
        Driver?.Dispose();
    }

    private static int Index(string device)
    {
        if (device == "cuda") return 0;
        if (device.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(device.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int index)) return index;
        throw new ArgumentException($"device '{device}', expected cpu, cuda, cuda:N or emulator");
    }
}
