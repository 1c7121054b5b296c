using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using DiffWave.Cpu;

namespace DiffWave.Bench;

/// <summary>
/// How fast the machine is at this moment at what networks do, whatever the engine's code: the rate at which a fixed piece of work is done. The peak of multiply-adds alone does not tell: another program on the other half of a core, or
/// in the shared cache, slows loads and short arithmetic far more. So a piece takes, on the machine it was made on, two fifths of its time for multiply-adds out of registers, two fifths for products with weights out of the second-level
/// cache, a tenth for a polynomial and a division as gates have them, a tenth for a pass over memory in the last-level cache.
/// </summary>
/// <remarks>Results can be compared as long as the piece stays as it is.</remarks>
internal static class NetworkPace
{
    private static readonly IPiece Best = CpuDevice.BestLevel switch
    {
        SimdLevel.Avx512 => new Piece<Simd512, Vector512<float>>(),
        SimdLevel.Avx2 => new Piece<Simd256, Vector256<float>>(),
        _ => new Piece<SimdPortable, Vector<float>>(),
    };
    private static readonly Lazy<double> PiecesPerSecond = new(() =>
    {
        using var memory = new PieceMemory();
        for (int count = 250; ; count *= 2) // long enough to time, and warm
        {
            long start = Stopwatch.GetTimestamp();
            for (int piece = 0; piece < count; piece++) Best.Run(memory, piece);
            if (Stopwatch.GetElapsedTime(start).TotalSeconds is > 0.02 and double seconds) return count / seconds;
        }
    });

    /// <summary>Pieces a second of <paramref name="threads"/> threads together, each of which takes the next one when it is done, over about <paramref name="seconds"/>. The caller is one of them.</summary>
    public static double Measure(int threads, double seconds = 0.04)
    {
        int count = Math.Max(threads, (int)(threads * seconds * PiecesPerSecond.Value)), taken = 0;
        long start = 0;
        using var barrier = new Barrier(threads, _ => start = Stopwatch.GetTimestamp());
        Thread[] others = [.. Enumerable.Range(1, threads - 1).Select(_ => new Thread(Run))];
        foreach (Thread other in others) other.Start();
        Run();
        foreach (Thread other in others) other.Join();
        return count / Stopwatch.GetElapsedTime(start).TotalSeconds;

        void Run()
        {
            using var memory = new PieceMemory();
            for (int piece = 0; piece < count / threads / 4; piece++) Best.Run(memory, piece); // pages and caches
            barrier.SignalAndWait();
            while (Interlocked.Increment(ref taken) is int piece && piece <= count) Best.Run(memory, piece);
        }
    }

    private interface IPiece
    {
        void Run(PieceMemory memory, int piece);
    }

    // Weights [panels, K, 2 W], rows [Rows, K], sums [Rows, 2 W], and a stretch that is passed over part by part.
    private sealed unsafe class PieceMemory : IDisposable
    {
        public const int K = 64, Rows = 32, Panels = 24, PartFloats = 6 << 14, Parts = 4;
        private const int MostColumns = 32, WeightFloats = Panels * K * MostColumns, RowFloats = Rows * K, SumFloats = Rows * MostColumns;

        public PieceMemory()
        {
            const int Count = WeightFloats + RowFloats + SumFloats + PartFloats * Parts;
            Weights = CpuBuffer.AllocateFloats(Count);
            new Span<float>(Weights, Count).Fill(0.01f);
        }

        public float* Weights { get; }
        public float* X => Weights + WeightFloats;
        public float* Sums => X + RowFloats;
        public float* Stretch => Sums + SumFloats;

        public void Dispose() => NativeMemory.AlignedFree(Weights);
    }

    private sealed unsafe class Piece<S, V> : IPiece where S : struct, ISimd<V> where V : struct
    {
        private const int MultiplyAdds = 10_400, GateTimes = 27, Degree = 6, Tile = 4;

        public void Run(PieceMemory memory, int piece)
        {
            FmaPeak.Loop<S, V>(MultiplyAdds);
            for (int panel = 0; panel < PieceMemory.Panels; panel++)
                for (int row = 0; row < PieceMemory.Rows; row += Tile)
                    Products(memory.X + row * PieceMemory.K, memory.Weights + (nint)panel * PieceMemory.K * 2 * S.Width, memory.Sums + row * 2 * S.Width);
            Gates(memory.Sums);
            Pass(memory.Stretch + piece % PieceMemory.Parts * PieceMemory.PartFloats);
        }

        // Four rows by two vectors of columns.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Products(float* x, float* w, float* y)
        {
            const int K = PieceMemory.K;
            V a0 = S.Zero, a1 = S.Zero, b0 = S.Zero, b1 = S.Zero, c0 = S.Zero, c1 = S.Zero, d0 = S.Zero, d1 = S.Zero;
            for (int k = 0; k < K; k++, w += 2 * S.Width)
            {
                V p = S.Load(w), q = S.Load(w + S.Width), a = S.Broadcast(x[k]), b = S.Broadcast(x[k + K]), c = S.Broadcast(x[k + 2 * K]), d = S.Broadcast(x[k + 3 * K]);
                (a0, a1) = (S.Fma(a, p, a0), S.Fma(a, q, a1));
                (b0, b1) = (S.Fma(b, p, b0), S.Fma(b, q, b1));
                (c0, c1) = (S.Fma(c, p, c0), S.Fma(c, q, c1));
                (d0, d1) = (S.Fma(d, p, d0), S.Fma(d, q, d1));
            }
            S.Store(y, a0); S.Store(y + S.Width, a1); S.Store(y + 2 * S.Width, b0); S.Store(y + 3 * S.Width, b1);
            S.Store(y + 4 * S.Width, c0); S.Store(y + 5 * S.Width, c1); S.Store(y + 6 * S.Width, d0); S.Store(y + 7 * S.Width, d1);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Gates(float* y)
        {
            V third = S.Broadcast(0.3f), one = S.Broadcast(1);
            for (int times = 0; times < GateTimes; times++)
                for (int i = 0; i < 2 * PieceMemory.Rows; i++)
                {
                    V x = S.Load(y + i * S.Width), p = third;
                    for (int degree = 0; degree < Degree; degree++) p = S.Fma(p, x, third);
                    S.Store(y + i * S.Width, S.Div(p, S.Add(one, S.Mul(p, p))));
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Pass(float* part)
        {
            V factor = S.Broadcast(0.9999f);
            for (float* end = part + PieceMemory.PartFloats; part < end; part += S.Width) S.Store(part, S.Mul(S.Load(part), factor));
        }
    }
}
