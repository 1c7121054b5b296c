using System.Diagnostics;
using System.Runtime.InteropServices;
using DiffWave.Cpu;

namespace DiffWave.Bench;

/// <summary>What a result was measured on; stored beside it.</summary>
internal static class Machine
{
    public static Dictionary<string, object> Describe() => new()
    {
        ["processor"] = ProcessorName(),
        ["processors"] = Environment.ProcessorCount,
        ["simd"] = CpuDevice.BestLevel.ToString(),
        ["os"] = RuntimeInformation.OSDescription,
        ["runtime"] = RuntimeInformation.FrameworkDescription,
        ["load_average"] = File.Exists("/proc/loadavg") ? File.ReadAllText("/proc/loadavg").Split(' ')[0] : "unknown",
        ["date"] = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ"),
        ["commit"] = Commit(),
    };

    /// <summary>Largest resident size of this process so far, in bytes.</summary>
    public static long PeakMemory()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

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
