using System.Diagnostics;
using System.Numerics;

namespace DiffWave.Bench;

/// <summary>
/// The rate at which the machine copies: every thread copies a part of its own, again and again, in whole vectors. Bytes read and bytes written count, what a cache fetches to write into it does not: as in STREAM (McCalpin 1995).
/// </summary>
internal static class CopyPeak
{
    /// <summary>Bytes a second.</summary>
    /// <param name="threads">Threads.</param>
    /// <param name="bytes">Bytes that one pass of all threads reads and writes: it decides which cache holds them.</param>
    /// <param name="seconds">How long it takes, about.</param>
    public static double Measure(int threads, long bytes, double seconds = 0.03)
    {
        int length = (int)Math.Max(Vector<float>.Count * 16, bytes / (2 * sizeof(float)) / threads);
        var rates = new double[threads];
        using var barrier = new Barrier(threads);
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(i => new Thread(() =>
        {
            float[] from = GC.AllocateUninitializedArray<float>(length, pinned: true), to = GC.AllocateUninitializedArray<float>(length, pinned: true);
            from.AsSpan().Fill(i); // touches the pages
            int passes = 1;
            for (; Passes(from, to, passes) < seconds / 4; passes *= 2) { }
            barrier.SignalAndWait();
            rates[i] = 2.0 * sizeof(float) * length * passes * 4 / Passes(from, to, 4 * passes);
        }))];
        foreach (Thread worker in workers) worker.Start();
        foreach (Thread worker in workers) worker.Join();
        return rates.Sum();
    }

    private static double Passes(float[] from, float[] to, int passes)
    {
        long start = Stopwatch.GetTimestamp();
        for (int pass = 0; pass < passes; pass++) Copy(from, to);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    // Four vectors a turn: neither the library's copy, which goes past the caches for long blocks, nor one vector at a time.
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.AggressiveOptimization)]
    private static unsafe void Copy(float[] from, float[] to)
    {
        int width = Vector<float>.Count, turns = from.Length / (4 * width);
        fixed (float* source = from, target = to)
        {
            float* a = source, b = target;
            for (; turns > 0; turns--, a += 4 * width, b += 4 * width)
            {
                Vector<float> p = Vector.Load(a), q = Vector.Load(a + width), r = Vector.Load(a + 2 * width), s = Vector.Load(a + 3 * width);
                p.Store(b);
                q.Store(b + width);
                r.Store(b + 2 * width);
                s.Store(b + 3 * width);
            }
        }
    }
}
