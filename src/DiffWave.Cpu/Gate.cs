using System.Runtime.CompilerServices;

namespace DiffWave.Cpu;

/// <summary>
/// tanh(filter) * sigmoid(gate) = u / ((u + 2) d) with u = e^(2 filter) - 1 and d = e^-gate + 1: two exponentials and one division. With n = round(x / ln 2) and
/// r = x - n ln 2, |r| &lt;= ln 2 / 2, e^x + c = 2^n r p(r) + (2^n + c), so that u loses nothing for small filters. p is a minimax polynomial of (e^r - 1) / r (Remez):
/// of degree 5 for u (e^r - 1 to 1.3e-8 of itself), of degree 4 for d (e^r to 1.1e-7 of itself, of which at most a quarter reaches the sigmoid). The factor of r in
/// the exponent, 2 or -1, stands in the constants. Absolute error of the product against float64: at most 2.4e-7 (a plain float32 evaluation: 1.5e-7); small filters
/// keep their relative accuracy. A NaN in either input gives NaN.
/// </summary>
internal static class Gate
{
    private const float LogE2 = 1.44269504f, Ln2 = 0.693147182f;
    private const float Shift = 12582912f + 127; // 1.5 * 2^23 and the bias of an exponent: adding it rounds to an integer n and leaves n + 127 in the low mantissa bits
    private const float TanhLimit = 9.1f, SigmoidLimit = 87f; // beyond these the result no longer changes in float32

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V TanhSigmoid<S, V>(V filter, V gate) where S : struct, ISimd<V> where V : struct
    {
        V u = ExpMinusOne<S, V>(filter), d = ExpPlusOne<S, V>(gate);
        return S.Div(u, S.Fma(u, d, S.Add(d, d)));
    }

    /// <summary>The two factors on their own, as backward needs them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TanhAndSigmoid<S, V>(V filter, V gate, out V tanh, out V sigmoid) where S : struct, ISimd<V> where V : struct
    {
        V u = ExpMinusOne<S, V>(filter);
        tanh = S.Div(u, S.Add(u, S.Broadcast(2f)));
        sigmoid = S.Div(S.Broadcast(1f), ExpPlusOne<S, V>(gate));
    }

    // e^(2x) - 1
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ExpMinusOne<S, V>(V x) where S : struct, ISimd<V> where V : struct
    {
        x = S.AtLeast(S.Broadcast(-TanhLimit), S.AtMost(S.Broadcast(TanhLimit), x));
        V shifted = S.Fma(x, S.Broadcast(2 * LogE2), S.Broadcast(Shift));
        V r = S.Fma(S.Sub(shifted, S.Broadcast(Shift)), S.Broadcast(-Ln2 / 2), x), power = S.PowerOfTwo(shifted);
        V p = S.Fma(S.Broadcast(64 * 0.0013882518978789449f), r, S.Broadcast(32 * 0.008366533555090427f));
        p = S.Fma(p, r, S.Broadcast(16 * 0.04166720062494278f));
        p = S.Fma(p, r, S.Broadcast(8 * 0.1666654348373413f));
        p = S.Fma(p, r, S.Broadcast(4 * 0.4999999701976776f));
        p = S.Fma(p, r, S.Broadcast(2f));
        return S.Fma(S.Mul(r, power), p, S.Sub(power, S.Broadcast(1f)));
    }

    // e^-x + 1
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ExpPlusOne<S, V>(V x) where S : struct, ISimd<V> where V : struct
    {
        x = S.AtLeast(S.Broadcast(-SigmoidLimit), S.AtMost(S.Broadcast(SigmoidLimit), x));
        V shifted = S.Fma(x, S.Broadcast(-LogE2), S.Broadcast(Shift));
        V r = S.Fma(S.Sub(shifted, S.Broadcast(Shift)), S.Broadcast(Ln2), x), power = S.PowerOfTwo(shifted);
        V p = S.Fma(S.Broadcast(-0.008312510326504707f), r, S.Broadcast(0.04189024493098259f));
        p = S.Fma(p, r, S.Broadcast(-0.16667115688323975f));
        p = S.Fma(p, r, S.Broadcast(0.499992311000824f));
        p = S.Fma(p, r, S.Broadcast(-1f));
        return S.Fma(S.Mul(r, power), p, S.Add(power, S.Broadcast(1f)));
    }
}
