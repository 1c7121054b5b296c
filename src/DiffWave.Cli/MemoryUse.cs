using System.Diagnostics;
using System.Globalization;

namespace DiffWave.Cli;

/// <summary>Memory the process has needed.</summary>
internal static class MemoryUse
{
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
