using System.Diagnostics;
using System.Globalization;

namespace DiffWave.Bench;

/// <summary>Processor time up to a moment, in seconds: of the whole machine, and of ours and a peer together.</summary>
/// <param name="Clock">The moment.</param>
/// <param name="All">Of all programs.</param>
/// <param name="Own">Of ours and the peer.</param>
internal readonly record struct ProcessorUse(double Clock, double All, double Own)
{
    private const double TicksPerSecond = 100; // of /proc/stat, on every Linux in use

    /// <summary>The use up to now; null where the system does not tell, or tells of more processors than we may use.</summary>
    /// <param name="peerSeconds">Processor time of the peer.</param>
    public static ProcessorUse? Now(double peerSeconds) =>
        File.Exists("/proc/stat") && Busy(File.ReadAllLines("/proc/stat"), Environment.ProcessorCount) is { } all
            ? new ProcessorUse(Stopwatch.GetElapsedTime(0).TotalSeconds, all, Environment.CpuUsage.TotalTime.TotalSeconds + peerSeconds) : null;

    /// <summary>How many processors other programs kept busy, on average, up to a later moment.</summary>
    public double OthersUntil(ProcessorUse later) => Math.Max(0, (later.All - All - (later.Own - Own)) / (later.Clock - Clock));

    /// <summary>Seconds that processors were not idle, by the lines of /proc/stat: user, nice, system, interrupts, and what a host took away; null when it does not tell of so many processors.</summary>
    internal static double? Busy(IReadOnlyList<string> lines, int processors)
    {
        if (lines.Count(line => line.StartsWith("cpu", StringComparison.Ordinal)) != processors + 1) return null;
        double[] ticks = [.. lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(word => double.Parse(word, CultureInfo.InvariantCulture))];
        return (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]) / TicksPerSecond;
    }
}
