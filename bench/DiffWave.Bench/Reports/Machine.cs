using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using DiffWave.Cpu;
using DiffWave.Cuda;

namespace DiffWave.Bench;

/// <summary>What a result was measured on; stored beside it.</summary>
internal static class Machine
{
    /// <summary>Machine, program and moment; on a GPU also the device and its driver.</summary>
    public static Dictionary<string, object?> Describe(BenchSettings? settings = null)
    {
        var about = new Dictionary<string, object?>
        {
            ["processor"] = ProcessorName(),
            ["processors"] = Environment.ProcessorCount,
            ["simd"] = CpuDevice.BestLevel.ToString(),
            ["clock_mhz"] = ClockMegahertz(),
            ["memory_bytes"] = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            ["os"] = RuntimeInformation.OSDescription,
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["version"] = typeof(CpuDevice).Assembly.GetName().Version?.ToString(3),
            ["load_average"] = File.Exists("/proc/loadavg") ? File.ReadAllText("/proc/loadavg").Split(' ')[0] : "unknown",
            ["date"] = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture),
            ["commit"] = Commit(),
        };
        if (settings is { IsCpu: false })
        {
            using ICudaDriver driver = BenchDevice.OpenDriver(settings.Device);
            CudaDeviceInfo device = driver.Device;
            (about["gpu"], about["gpu_driver"], about["gpu_sm"], about["gpu_multiprocessors"]) = (device.Name, driver.Description, device.Sm, device.Multiprocessors);
            (about["gpu_clock_khz"], about["gpu_memory_clock_khz"], about["gpu_memory_bytes"]) = (device.ClockKilohertz, device.MemoryClockKilohertz, device.MemoryBytes);
            (about["gpu_float32_peak_flops"], about["gpu_memory_peak_bytes_per_second"]) = (device.PeakFloat32Flops, device.PeakMemoryBytesPerSecond);
        }
        return about;
    }

    /// <summary>Makes <see cref="PeakMemory"/> begin anew, after a collection, where the system can (Linux).</summary>
    public static void ForgetPeakMemory()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        if (!OperatingSystem.IsLinux()) return;
        try { File.WriteAllText("/proc/self/clear_refs", "5"); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { } // a system that keeps its peak: figures then hold the cases before
    }

    /// <summary>Largest resident size of this process since <see cref="ForgetPeakMemory"/>, in bytes.</summary>
    public static long PeakMemory()
    {
        if (OperatingSystem.IsLinux())
        {
            foreach (string line in File.ReadLines("/proc/self/status"))
                if (line.StartsWith("VmHWM:", StringComparison.Ordinal)) return 1024 * long.Parse(line.AsSpan(6).Trim(" \tkB"), CultureInfo.InvariantCulture);
        }
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    // Of the first processor at this moment, where the system tells.
    private static double? ClockMegahertz() => File.Exists("/proc/cpuinfo") && File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("cpu MHz", StringComparison.Ordinal)) is { } line
        && double.TryParse(line.Split(':')[1], CultureInfo.InvariantCulture, out double clock) ? clock : null;

    private static string ProcessorName()
    {
        if (!File.Exists("/proc/cpuinfo")) return RuntimeInformation.ProcessArchitecture.ToString();
        return File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown";
    }

    private static string Commit()
    {
        if (Environment.GetEnvironmentVariable("DIFFWAVE_COMMIT") is { Length: > 0 } named) return named; // a packed copy has no repository
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", "describe --always --dirty") { RedirectStandardOutput = true, RedirectStandardError = true });
            string text = git!.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return text.Length > 0 ? text : "unknown";
        }
        catch (System.ComponentModel.Win32Exception) { return "unknown"; }
    }
}
