using System.Runtime.CompilerServices;

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
    public static void Panel<S, V>(float* a, nint lda, float* panel, int k, float* bias, float* o, nint ldo) where S : struct, ISimd<V> where V : struct
    {
        if (S.Width == 8) // 16 registers: twice four rows
        {
            Panel4<S, V>(a, lda, panel, k, bias, o, ldo);
            Panel4<S, V>(a + 4 * lda, lda, panel, k, bias, o + 4 * ldo, ldo);
        }
        else Panel8<S, V>(a, lda, panel, k, bias, o, ldo);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Panel8<S, V>(float* a, nint lda, float* panel, int k, float* bias, float* o, nint ldo) where S : struct, ISimd<V> where V : struct
    {
        V p = S.Load(bias), q = S.Load(bias + S.Width);
        V p0 = p, q0 = q, p1 = p, q1 = q, p2 = p, q2 = q, p3 = p, q3 = q, p4 = p, q4 = q, p5 = p, q5 = q, p6 = p, q6 = q, p7 = p, q7 = q;
        float* a4 = a + 4 * lda;
        nint lda3 = 3 * lda;
        for (; k > 0; k--)
        {
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
        S.Store(o, p0); S.Store(o + S.Width, q0); o += ldo;
        S.Store(o, p1); S.Store(o + S.Width, q1); o += ldo;
        S.Store(o, p2); S.Store(o + S.Width, q2); o += ldo;
        S.Store(o, p3); S.Store(o + S.Width, q3); o += ldo;
        S.Store(o, p4); S.Store(o + S.Width, q4); o += ldo;
        S.Store(o, p5); S.Store(o + S.Width, q5); o += ldo;
        S.Store(o, p6); S.Store(o + S.Width, q6); o += ldo;
        S.Store(o, p7); S.Store(o + S.Width, q7);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Panel4<S, V>(float* a, nint lda, float* panel, int k, float* bias, float* o, nint ldo) where S : struct, ISimd<V> where V : struct
    {
        V p = S.Load(bias), q = S.Load(bias + S.Width);
        V p0 = p, q0 = q, p1 = p, q1 = q, p2 = p, q2 = q, p3 = p, q3 = q;
        for (; k > 0; k--)
        {
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
        S.Store(o, p0); S.Store(o + S.Width, q0); o += ldo;
        S.Store(o, p1); S.Store(o + S.Width, q1); o += ldo;
        S.Store(o, p2); S.Store(o + S.Width, q2); o += ldo;
        S.Store(o, p3); S.Store(o + S.Width, q3);
    }
}
