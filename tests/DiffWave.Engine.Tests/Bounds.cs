using System.Diagnostics;
using System.Globalization;

namespace DiffWave.Engine.Tests;

/// <summary>Tests that measure time run one after another, and not beside others.</summary>
[CollectionDefinition(nameof(Bounds), DisableParallelization = true)]
public sealed class BoundsCollection;

/// <summary>The limits every reader of a stranger's file keeps.</summary>
internal static class Bounds
{
    private const int MaxMilliseconds = 100, ExtraBytes = 64 << 20, Attempts = 10;

    /// <summary>
    /// Runs a reader and checks its time and memory. A slow run is repeated and its processor time taken instead of the clock's, where the system tells it: what counts
    /// is the reader, not what else the machine does, nor that code is slow until it is compiled for good.
    /// </summary>
    public static void Check(byte[] file, Action<byte[]> read, string what)
    {
        double fastest = double.MaxValue;
        for (int attempt = 1; attempt <= Attempts; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            double start = attempt == 1 ? Clock() : ThreadTime();
            read(file);
            fastest = Math.Min(fastest, (attempt == 1 ? Clock() : ThreadTime()) - start);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > file.Length + ExtraBytes) Assert.Fail($"{what}: allocated {allocated} bytes for a file of {file.Length}");
            if (fastest <= MaxMilliseconds) return;
        }
        Assert.Fail($"{what}: took {fastest:f0} ms");
    }

    private static double Clock() => Stopwatch.GetTimestamp() * 1000.0 / Stopwatch.Frequency;

    // Milliseconds this thread has run: the first number of Linux's schedstat, in nanoseconds.
    private static double ThreadTime() =>
        OperatingSystem.IsLinux() && File.Exists("/proc/thread-self/schedstat") ? double.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], CultureInfo.InvariantCulture) / 1e6 : Clock();
}
