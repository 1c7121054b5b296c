using System.Runtime.CompilerServices;

namespace DiffWave.Cpu;

/// <summary>
/// tanh(filter) * sigmoid(gate) = u / ((u + 2) (1 + e^-gate)) with u = e^(2 filter) - 1: two exponentials and one division. e^x - 1 = 2^n (e^r - 1) + (2^n - 1),
/// n = round(x / ln 2), |r| &lt;= ln 2 / 2, e^r - 1 by a degree 6 polynomial (relative error 1.8e-8, fitted by iteratively reweighted least squares). Absolute error of
/// the product against float64: at most 2.4e-7 (a plain float32 evaluation: 1.5e-7); small filters keep their relative accuracy. A NaN in either input gives NaN.
/// </summary>
internal static class Gate
{
    private const float LogE2 = 1.44269504f, Ln2 = 0.693147182f;
    private const float Shift = 12582912f; // 1.5 * 2^23: adding it rounds to an integer and leaves that integer in the low mantissa bits
    private const float TanhLimit = 9.1f, SigmoidLimit = 87f; // beyond these the result no longer changes in float32

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V TanhSigmoid<S, V>(V filter, V gate) where S : struct, ISimd<V> where V : struct
    {
        V f = S.AtLeast(S.Broadcast(-TanhLimit), S.AtMost(S.Broadcast(TanhLimit), filter));
        V g = S.AtLeast(S.Broadcast(-SigmoidLimit), S.AtMost(S.Broadcast(SigmoidLimit), gate));
        Exp<S, V>(S.Add(f, f), out V q, out V power);
        V u = S.Fma(q, power, S.Sub(power, S.Broadcast(1f)));
        Exp<S, V>(S.Sub(S.Zero, g), out q, out power);
        V e = S.Fma(q, power, power);
        return S.Div(u, S.Mul(S.Add(u, S.Broadcast(2f)), S.Add(e, S.Broadcast(1f))));
    }

    /// <summary>The two factors on their own, as backward needs them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TanhAndSigmoid<S, V>(V filter, V gate, out V tanh, out V sigmoid) where S : struct, ISimd<V> where V : struct
    {
        V f = S.AtLeast(S.Broadcast(-TanhLimit), S.AtMost(S.Broadcast(TanhLimit), filter));
        V g = S.AtLeast(S.Broadcast(-SigmoidLimit), S.AtMost(S.Broadcast(SigmoidLimit), gate));
        Exp<S, V>(S.Add(f, f), out V q, out V power);
        V u = S.Fma(q, power, S.Sub(power, S.Broadcast(1f)));
        tanh = S.Div(u, S.Add(u, S.Broadcast(2f)));
        Exp<S, V>(S.Sub(S.Zero, g), out q, out power);
        sigmoid = S.Div(S.Broadcast(1f), S.Add(S.Fma(q, power, power), S.Broadcast(1f)));
    }

    // e^x = power * (1 + q)
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Exp<S, V>(V x, out V q, out V power) where S : struct, ISimd<V> where V : struct
    {
        V shifted = S.Fma(x, S.Broadcast(LogE2), S.Broadcast(Shift));
        V n = S.Sub(shifted, S.Broadcast(Shift));
        V r = S.Fma(n, S.Broadcast(-Ln2), x);
        V p = S.Fma(S.Broadcast(0.0013946450781077147f), r, S.Broadcast(0.008366583846509457f));
        p = S.Fma(p, r, S.Broadcast(0.04166628047823906f));
        p = S.Fma(p, r, S.Broadcast(0.1666654348373413f));
        p = S.Fma(p, r, S.Broadcast(0.5f));
        q = S.Fma(S.Mul(r, r), p, r);
        power = S.PowerOfTwo(shifted);
    }
}
