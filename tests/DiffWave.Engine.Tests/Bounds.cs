using System.Diagnostics;

namespace DiffWave.Engine.Tests;

/// <summary>Tests that measure time run one after another, and not beside others.</summary>
[CollectionDefinition(nameof(Bounds), DisableParallelization = true)]
public sealed class BoundsCollection;

/// <summary>The limits every reader of a stranger's file keeps.</summary>
internal static class Bounds
{
    private const int MaxMilliseconds = 100, ExtraBytes = 64 << 20;

    /// <summary>Runs a reader and checks its time and memory. A slow run is repeated: what counts is the reader, not what else the machine does.</summary>
    public static void Check(byte[] file, Action<byte[]> read, string what)
    {
        for (int attempt = 1; ; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
            read(file);
            double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > file.Length + ExtraBytes) Assert.Fail($"{what}: allocated {allocated} bytes for a file of {file.Length}");
            if (milliseconds <= MaxMilliseconds) return;
            if (attempt == 10) Assert.Fail($"{what}: took {milliseconds:f0} ms");
            Thread.Sleep(20 * attempt);
        }
    }
}
