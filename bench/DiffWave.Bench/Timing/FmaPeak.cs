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
    private static readonly (Func<int, float> Run, int Lanes) Loop = CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => (Loop512, 16),
        SimdLevel.Avx2 => (Loop256, 8),
        _ => (LoopPortable, Vector<float>.Count),
    };
    private static readonly Lazy<double> RoundsPerSecond = new(() =>
    {
        for (int rounds = 100_000; ; rounds *= 2) // long enough to time, and warm
        {
            long start = Stopwatch.GetTimestamp();
            Loop.Run(rounds);
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
        return times.Sum(time => 2.0 * Chains * Loop.Lanes * rounds / time);

        void Run(int i)
        {
            Loop.Run(rounds / 4); // meanwhile threads of the last operation stop waiting for another
            barrier.SignalAndWait();
            long start = Stopwatch.GetTimestamp();
            Loop.Run(rounds);
            times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Loop512(int n)
    {
        Vector512<float> x = Vector512.Create(0.999f), y = Vector512.Create(1e-3f);
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; n > 0; n--)
        {
            a = Vector512.FusedMultiplyAdd(x, y, a); b = Vector512.FusedMultiplyAdd(x, y, b); c = Vector512.FusedMultiplyAdd(x, y, c);
            d = Vector512.FusedMultiplyAdd(x, y, d); e = Vector512.FusedMultiplyAdd(x, y, e); f = Vector512.FusedMultiplyAdd(x, y, f);
            g = Vector512.FusedMultiplyAdd(x, y, g); h = Vector512.FusedMultiplyAdd(x, y, h); i = Vector512.FusedMultiplyAdd(x, y, i);
            j = Vector512.FusedMultiplyAdd(x, y, j); k = Vector512.FusedMultiplyAdd(x, y, k); l = Vector512.FusedMultiplyAdd(x, y, l);
        }
        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Loop256(int n)
    {
        Vector256<float> x = Vector256.Create(0.999f), y = Vector256.Create(1e-3f);
        Vector256<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; n > 0; n--)
        {
            a = Vector256.FusedMultiplyAdd(x, y, a); b = Vector256.FusedMultiplyAdd(x, y, b); c = Vector256.FusedMultiplyAdd(x, y, c);
            d = Vector256.FusedMultiplyAdd(x, y, d); e = Vector256.FusedMultiplyAdd(x, y, e); f = Vector256.FusedMultiplyAdd(x, y, f);
            g = Vector256.FusedMultiplyAdd(x, y, g); h = Vector256.FusedMultiplyAdd(x, y, h); i = Vector256.FusedMultiplyAdd(x, y, i);
            j = Vector256.FusedMultiplyAdd(x, y, j); k = Vector256.FusedMultiplyAdd(x, y, k); l = Vector256.FusedMultiplyAdd(x, y, l);
        }
        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float LoopPortable(int n)
    {
        Vector<float> x = new(0.999f), y = new(1e-3f);
        Vector<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; n > 0; n--)
        {
            a = Vector.FusedMultiplyAdd(x, y, a); b = Vector.FusedMultiplyAdd(x, y, b); c = Vector.FusedMultiplyAdd(x, y, c);
            d = Vector.FusedMultiplyAdd(x, y, d); e = Vector.FusedMultiplyAdd(x, y, e); f = Vector.FusedMultiplyAdd(x, y, f);
            g = Vector.FusedMultiplyAdd(x, y, g); h = Vector.FusedMultiplyAdd(x, y, h); i = Vector.FusedMultiplyAdd(x, y, i);
            j = Vector.FusedMultiplyAdd(x, y, j); k = Vector.FusedMultiplyAdd(x, y, k); l = Vector.FusedMultiplyAdd(x, y, l);
        }
        return Vector.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
