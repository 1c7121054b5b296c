using System.Diagnostics;
using System.Globalization;

namespace DiffWave.Cli;

/// <summary>Memory the process has needed.</summary>
internal static class MemoryUse
{
    /// <summary>Peaks as people read them: of the machine and, where there is one, of the GPU, emulated or not.</summary>
    public static string Text(long bytes, long? gpuBytes) =>
        string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:F0} MiB{(gpuBytes is null ? "" : string.Create(CultureInfo.InvariantCulture, $" and {gpuBytes / 1048576.0:F0} MiB on the device"))}");

    /// <summary>Most physical memory the process has held so far, in bytes.</summary>
    public static long PeakBytes()
    {
        if (OperatingSystem.IsLinux())
        {
            foreach (string line in File.ReadLines("/proc/self/status"))
                if (line.StartsWith("VmHWM:", StringComparison.Ordinal)) return 1024 * long.Parse(line.AsSpan(6).Trim(" \tkB"), CultureInfo.InvariantCulture);
        }
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
