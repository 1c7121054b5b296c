using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Cpu;

namespace DiffWave.Bench;

/// <summary>The machine's fused multiply-add rate: twelve independent chains in registers, the limit no matrix kernel can pass.</summary>
internal static class FmaPeak
{
    private const int Chains = 12;
    private static readonly (Func<int, float> Run, int Lanes) Best = CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => (Loop<Simd512, Vector512<float>>, Simd512.Width),
        SimdLevel.Avx2 => (Loop<Simd256, Vector256<float>>, Simd256.Width),
        _ => (Loop<SimdPortable, Vector<float>>, SimdPortable.Width),
    };
    private static readonly Lazy<double> RoundsPerSecond = new(() =>
    {
        for (int rounds = 100_000; ; rounds *= 2) // long enough to time, and warm
        {
            long start = Stopwatch.GetTimestamp();
            Best.Run(rounds);
            if (Stopwatch.GetElapsedTime(start).TotalSeconds is > 0.02 and double seconds) return rounds / seconds;
        }
    });

    /// <summary>
    /// FLOP/s of <paramref name="threads"/> threads together, over about <paramref name="seconds"/>. The caller is one of them: a processor that slept while others measured would be slow at what comes next.
    /// </summary>
    public static double Measure(int threads, double seconds = 0.04)
    {
        int rounds = (int)(seconds * RoundsPerSecond.Value);
        using var barrier = new Barrier(threads);
        var times = new double[threads];
        var others = Enumerable.Range(1, threads - 1).Select(i => new Thread(() => Run(i))).ToArray();
        foreach (Thread other in others) other.Start();
        Run(0);
        foreach (Thread other in others) other.Join();
        return times.Sum(time => 2.0 * Chains * Best.Lanes * rounds / time);

        void Run(int i)
        {
            Best.Run(rounds / 4); // meanwhile threads of the last operation stop waiting for another
            barrier.SignalAndWait();
            long start = Stopwatch.GetTimestamp();
            Best.Run(rounds);
            times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    /// <summary>Twelve chains of <paramref name="n"/> multiply-adds each; returns something of all of them, so that none is left out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe float Loop<S, V>(int n) where S : struct, ISimd<V> where V : struct
    {
        V x = S.Broadcast(0.999f), y = S.Broadcast(1e-3f);
        V a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; n > 0; n--)
        {
            a = S.Fma(x, y, a); b = S.Fma(x, y, b); c = S.Fma(x, y, c); d = S.Fma(x, y, d); e = S.Fma(x, y, e); f = S.Fma(x, y, f);
            g = S.Fma(x, y, g); h = S.Fma(x, y, h); i = S.Fma(x, y, i); j = S.Fma(x, y, j); k = S.Fma(x, y, k); l = S.Fma(x, y, l);
        }
        V sum = S.Add(S.Add(S.Add(S.Add(a, b), S.Add(c, d)), S.Add(S.Add(e, f), S.Add(g, h))), S.Add(S.Add(i, j), S.Add(k, l)));
        float* lanes = stackalloc float[S.Width];
        S.Store(lanes, sum);
        return lanes[0];
    }
}
