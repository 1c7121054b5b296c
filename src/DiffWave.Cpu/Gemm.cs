using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace DiffWave.Cpu;

/// <summary>
/// The matrix kernel everything runs on: 8 rows times a panel of two vectors of output columns. A weight panel is [K, 2 W], W the vector width, so that a step of k
/// is two vector loads, eight broadcasts and sixteen FMAs. Each output is one chain of FMAs in the order of k, started from the bias: the result does not
/// depend on the vector width or on how rows are grouped.
/// FLOPs: 2 * 8 * K * 2 W a call.
/// </summary>
internal static unsafe class Gemm
{
    public const int Rows = 8;

    /// <summary>o[r, 0..2W) = bias[0..2W) + sum over k of a[r, k] * panel[k, 0..2W), for r in 0..7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Panel<S, V>(float* a, nint lda, float* panel, int k, float* bias, float* o, nint ldo) where S : struct, ISimd<V> where V : struct =>
        Panel<S, V, Store<S, V>>(a, lda, panel, k, bias, new Store<S, V>(o, ldo));

    /// <summary>The same product, handed to <paramref name="epilogue"/> row by row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Panel<S, V, E>(float* a, nint lda, float* panel, int k, float* bias, in E epilogue) where S : struct, ISimd<V> where V : struct where E : struct, IEpilogue<V> =>
        Panel<S, V, E, NothingAhead>(a, lda, panel, k, bias, in epilogue, default);

    /// <summary>The same, asking for memory ahead of its use as the products go on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Panel<S, V, E, A>(float* a, nint lda, float* panel, int k, float* bias, in E epilogue, A ahead)
        where S : struct, ISimd<V> where V : struct where E : struct, IEpilogue<V> where A : struct, IAhead
    {
        if (S.Width == 8) // 16 registers: twice four rows
        {
            Panel4<S, V, E, A>(a, lda, panel, k, bias, in epilogue, 0, ahead);
            Panel4<S, V, E, NothingAhead>(a + 4 * lda, lda, panel, k, bias, in epilogue, 4, default);
        }
        else Panel8<S, V, E, A>(a, lda, panel, k, bias, in epilogue, ahead);
    }

    /// <summary>Memory to ask for, a cache line a step of k: all at once the requests would hold up the loads of the products.</summary>
    public interface IAhead
    {
        void Ask(int k);
    }

    public readonly struct NothingAhead : IAhead
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Ask(int k) { }
    }

    /// <summary>The first K floats of each of sixteen rows anywhere in memory.</summary>
    public readonly struct RowsAhead(float** rows) : IAhead
    {
        public const int Count = 16;
        private readonly float** _rows = rows;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Ask(int k)
        {
            if (Sse.IsSupported) Sse.Prefetch1(_rows[k & (Count - 1)] + (nint)((uint)k / Count * 16));
        }
    }

    /// <summary>What becomes of a row of two vectors.</summary>
    public interface IEpilogue<V> where V : struct
    {
        void Row(int row, V p, V q);
    }

    /// <summary>Rows of one matrix.</summary>
    public readonly struct Store<S, V>(float* o, nint ldo) : IEpilogue<V> where S : struct, ISimd<V> where V : struct
    {
        private readonly float* _o = o;
        private readonly nint _ldo = ldo;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Row(int row, V p, V q)
        {
            S.Store(_o + row * _ldo, p);
            S.Store(_o + row * _ldo + S.Width, q);
        }
    }

    /// <summary>Rows anywhere in memory, each with the scaled row of another added: o[r] = product + scale * x[r], from a column on.</summary>
    public readonly struct AddScaled<S, V>(float** x, float scale, float** o, nint column) : IEpilogue<V> where S : struct, ISimd<V> where V : struct
    {
        private readonly float** _x = x, _o = o;
        private readonly float _scale = scale;
        private readonly nint _column = column;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Row(int row, V p, V q)
        {
            float* from = _x[row] + _column, to = _o[row] + _column;
            V scale = S.Broadcast(_scale);
            S.Store(to, S.Fma(S.Load(from), scale, p));
            S.Store(to + S.Width, S.Fma(S.Load(from + S.Width), scale, q));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Panel8<S, V, E, A>(float* a, nint lda, float* panel, int k, float* bias, in E epilogue, A ahead)
        where S : struct, ISimd<V> where V : struct where E : struct, IEpilogue<V> where A : struct, IAhead
    {
        V p = S.Load(bias), q = S.Load(bias + S.Width);
        V p0 = p, q0 = q, p1 = p, q1 = q, p2 = p, q2 = q, p3 = p, q3 = q, p4 = p, q4 = q, p5 = p, q5 = q, p6 = p, q6 = q, p7 = p, q7 = q;
        float* a4 = a + 4 * lda;
        nint lda3 = 3 * lda;
        while (k > 0)
        {
            ahead.Ask(--k);
            p = S.Load(panel);
            q = S.Load(panel + S.Width);
            V x = S.Broadcast(a[0]);
            p0 = S.Fma(x, p, p0); q0 = S.Fma(x, q, q0);
            x = S.Broadcast(a[lda]);
            p1 = S.Fma(x, p, p1); q1 = S.Fma(x, q, q1);
            x = S.Broadcast(a[2 * lda]);
            p2 = S.Fma(x, p, p2); q2 = S.Fma(x, q, q2);
            x = S.Broadcast(a[lda3]);
            p3 = S.Fma(x, p, p3); q3 = S.Fma(x, q, q3);
            x = S.Broadcast(a4[0]);
            p4 = S.Fma(x, p, p4); q4 = S.Fma(x, q, q4);
            x = S.Broadcast(a4[lda]);
            p5 = S.Fma(x, p, p5); q5 = S.Fma(x, q, q5);
            x = S.Broadcast(a4[2 * lda]);
            p6 = S.Fma(x, p, p6); q6 = S.Fma(x, q, q6);
            x = S.Broadcast(a4[lda3]);
            p7 = S.Fma(x, p, p7); q7 = S.Fma(x, q, q7);
            a++; a4++;
            panel += 2 * S.Width;
        }
        epilogue.Row(0, p0, q0);
        epilogue.Row(1, p1, q1);
        epilogue.Row(2, p2, q2);
        epilogue.Row(3, p3, q3);
        epilogue.Row(4, p4, q4);
        epilogue.Row(5, p5, q5);
        epilogue.Row(6, p6, q6);
        epilogue.Row(7, p7, q7);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Panel4<S, V, E, A>(float* a, nint lda, float* panel, int k, float* bias, in E epilogue, int firstRow, A ahead)
        where S : struct, ISimd<V> where V : struct where E : struct, IEpilogue<V> where A : struct, IAhead
    {
        V p = S.Load(bias), q = S.Load(bias + S.Width);
        V p0 = p, q0 = q, p1 = p, q1 = q, p2 = p, q2 = q, p3 = p, q3 = q;
        while (k > 0)
        {
            ahead.Ask(--k);
            p = S.Load(panel);
            q = S.Load(panel + S.Width);
            V x = S.Broadcast(a[0]);
            p0 = S.Fma(x, p, p0); q0 = S.Fma(x, q, q0);
            x = S.Broadcast(a[lda]);
            p1 = S.Fma(x, p, p1); q1 = S.Fma(x, q, q1);
            x = S.Broadcast(a[2 * lda]);
            p2 = S.Fma(x, p, p2); q2 = S.Fma(x, q, q2);
            x = S.Broadcast(a[3 * lda]);
            p3 = S.Fma(x, p, p3); q3 = S.Fma(x, q, q3);
            a++;
            panel += 2 * S.Width;
        }
        epilogue.Row(firstRow, p0, q0);
        epilogue.Row(firstRow + 1, p1, q1);
        epilogue.Row(firstRow + 2, p2, q2);
        epilogue.Row(firstRow + 3, p3, q3);
    }

    /// <summary>
    /// The product of two tall matrices, as weight gradients need it: acc[i, 0..2W) += sum over rows t of a[t, i] * b[t, 0..2W), for i in 0..7. Each output is one chain
    /// of FMAs in the order of t, started from what stands in acc. FLOPs: 2 * 8 * rows * 2 W a call.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Outer<S, V>(float* a, nint aStride, float* b, nint bStride, int rows, float* acc, nint accStride) where S : struct, ISimd<V> where V : struct
    {
        if (S.Width == 8)
        {
            Outer4<S, V>(a, aStride, b, bStride, rows, acc, accStride);
            Outer4<S, V>(a + 4, aStride, b, bStride, rows, acc + 4 * accStride, accStride);
        }
        else Outer8<S, V>(a, aStride, b, bStride, rows, acc, accStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Outer8<S, V>(float* a, nint aStride, float* b, nint bStride, int rows, float* acc, nint accStride) where S : struct, ISimd<V> where V : struct
    {
        float* acc4 = acc + 4 * accStride;
        nint stride3 = 3 * accStride;
        V p0 = S.Load(acc), q0 = S.Load(acc + S.Width), p1 = S.Load(acc + accStride), q1 = S.Load(acc + accStride + S.Width);
        V p2 = S.Load(acc + 2 * accStride), q2 = S.Load(acc + 2 * accStride + S.Width), p3 = S.Load(acc + stride3), q3 = S.Load(acc + stride3 + S.Width);
        V p4 = S.Load(acc4), q4 = S.Load(acc4 + S.Width), p5 = S.Load(acc4 + accStride), q5 = S.Load(acc4 + accStride + S.Width);
        V p6 = S.Load(acc4 + 2 * accStride), q6 = S.Load(acc4 + 2 * accStride + S.Width), p7 = S.Load(acc4 + stride3), q7 = S.Load(acc4 + stride3 + S.Width);
        for (; rows > 0; rows--)
        {
            V p = S.Load(b), q = S.Load(b + S.Width);
            V x = S.Broadcast(a[0]);
            p0 = S.Fma(x, p, p0); q0 = S.Fma(x, q, q0);
            x = S.Broadcast(a[1]);
            p1 = S.Fma(x, p, p1); q1 = S.Fma(x, q, q1);
            x = S.Broadcast(a[2]);
            p2 = S.Fma(x, p, p2); q2 = S.Fma(x, q, q2);
            x = S.Broadcast(a[3]);
            p3 = S.Fma(x, p, p3); q3 = S.Fma(x, q, q3);
            x = S.Broadcast(a[4]);
            p4 = S.Fma(x, p, p4); q4 = S.Fma(x, q, q4);
            x = S.Broadcast(a[5]);
            p5 = S.Fma(x, p, p5); q5 = S.Fma(x, q, q5);
            x = S.Broadcast(a[6]);
            p6 = S.Fma(x, p, p6); q6 = S.Fma(x, q, q6);
            x = S.Broadcast(a[7]);
            p7 = S.Fma(x, p, p7); q7 = S.Fma(x, q, q7);
            a += aStride;
            b += bStride;
        }
        S.Store(acc, p0); S.Store(acc + S.Width, q0);
        S.Store(acc + accStride, p1); S.Store(acc + accStride + S.Width, q1);
        S.Store(acc + 2 * accStride, p2); S.Store(acc + 2 * accStride + S.Width, q2);
        S.Store(acc + stride3, p3); S.Store(acc + stride3 + S.Width, q3);
        S.Store(acc4, p4); S.Store(acc4 + S.Width, q4);
        S.Store(acc4 + accStride, p5); S.Store(acc4 + accStride + S.Width, q5);
        S.Store(acc4 + 2 * accStride, p6); S.Store(acc4 + 2 * accStride + S.Width, q6);
        S.Store(acc4 + stride3, p7); S.Store(acc4 + stride3 + S.Width, q7);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Outer4<S, V>(float* a, nint aStride, float* b, nint bStride, int rows, float* acc, nint accStride) where S : struct, ISimd<V> where V : struct
    {
        nint stride3 = 3 * accStride;
        V p0 = S.Load(acc), q0 = S.Load(acc + S.Width), p1 = S.Load(acc + accStride), q1 = S.Load(acc + accStride + S.Width);
        V p2 = S.Load(acc + 2 * accStride), q2 = S.Load(acc + 2 * accStride + S.Width), p3 = S.Load(acc + stride3), q3 = S.Load(acc + stride3 + S.Width);
        for (; rows > 0; rows--)
        {
            V p = S.Load(b), q = S.Load(b + S.Width);
            V x = S.Broadcast(a[0]);
            p0 = S.Fma(x, p, p0); q0 = S.Fma(x, q, q0);
            x = S.Broadcast(a[1]);
            p1 = S.Fma(x, p, p1); q1 = S.Fma(x, q, q1);
            x = S.Broadcast(a[2]);
            p2 = S.Fma(x, p, p2); q2 = S.Fma(x, q, q2);
            x = S.Broadcast(a[3]);
            p3 = S.Fma(x, p, p3); q3 = S.Fma(x, q, q3);
            a += aStride;
            b += bStride;
        }
        S.Store(acc, p0); S.Store(acc + S.Width, q0);
        S.Store(acc + accStride, p1); S.Store(acc + accStride + S.Width, q1);
        S.Store(acc + 2 * accStride, p2); S.Store(acc + 2 * accStride + S.Width, q2);
        S.Store(acc + stride3, p3); S.Store(acc + stride3 + S.Width, q3);
    }
}
