namespace DiffWave.Device;

public static partial class XMath
{
    /// <summary>e to the power x. Up to 1.1 ulp; subnormal results and overflow to infinity as IEEE rounds them.</summary>
    [NoContraction]
    public static float Exp(float x)
    {
        float value = ScaledExp(x, 0);
        return x > 89 ? float.PositiveInfinity : x < -104 ? 0 : value;
    }

    /// <summary>2 to the power x. Up to 1 ulp; subnormal results and overflow to infinity as IEEE rounds them.</summary>
    [NoContraction]
    public static float Exp2(float x)
    {
        float shifted = x + Rounder, r = x - (shifted - Rounder);
        float p = 0.000154762674f;
        p = MathF.FusedMultiplyAdd(p, r, 0.00134002697f);
        p = MathF.FusedMultiplyAdd(p, r, 0.00961800385f);
        p = MathF.FusedMultiplyAdd(p, r, 0.055503279f);
        p = MathF.FusedMultiplyAdd(p, r, 0.240226507f);
        p = MathF.FusedMultiplyAdd(p, r, 0.693147182f);
        p = MathF.FusedMultiplyAdd(p, r, 1);
        float value = Scale(p, BitConverter.SingleToInt32Bits(shifted) - RounderBits);
        return x > 129 ? float.PositiveInfinity : x < -151 ? 0 : value;
    }

    /// <summary>Natural logarithm. Up to 1 ulp; -infinity at 0, NaN below.</summary>
    [NoContraction]
    public static float Log(float x)
    {
        float f = Mantissa(x, out float e), p = -0.129488721f;
        p = MathF.FusedMultiplyAdd(p, f, 0.140046626f);
        p = MathF.FusedMultiplyAdd(p, f, -0.121671721f);
        p = MathF.FusedMultiplyAdd(p, f, 0.140011802f);
        p = MathF.FusedMultiplyAdd(p, f, -0.166823044f);
        p = MathF.FusedMultiplyAdd(p, f, 0.20010747f);
        p = MathF.FusedMultiplyAdd(p, f, -0.249997169f);
        p = MathF.FusedMultiplyAdd(p, f, 0.333332092f);
        p = MathF.FusedMultiplyAdd(p, f, -0.5f);
        // ln 2 in two parts, the first so short that its multiples are exact.
        float value = MathF.FusedMultiplyAdd(f * f, p, MathF.FusedMultiplyAdd(e, 1.42860677e-06f, f));
        return OfPositive(x, MathF.FusedMultiplyAdd(e, 0.693145752f, value));
    }

    /// <summary>Logarithm to base 2. Up to 1.4 ulp, exact for powers of 2; -infinity at 0, NaN below.</summary>
    [NoContraction]
    public static float Log2(float x)
    {
        float f = Mantissa(x, out float e), p = -0.186812729f;
        p = MathF.FusedMultiplyAdd(p, f, 0.202044562f);
        p = MathF.FusedMultiplyAdd(p, f, -0.175535187f);
        p = MathF.FusedMultiplyAdd(p, f, 0.20199433f);
        p = MathF.FusedMultiplyAdd(p, f, -0.240674779f);
        p = MathF.FusedMultiplyAdd(p, f, 0.288694054f);
        p = MathF.FusedMultiplyAdd(p, f, -0.360669672f);
        p = MathF.FusedMultiplyAdd(p, f, 0.480896533f);
        p = MathF.FusedMultiplyAdd(p, f, -0.721347511f);
        // 1 / ln 2 in two parts.
        float value = MathF.FusedMultiplyAdd(f, 1.44269502f, MathF.FusedMultiplyAdd(f, 1.92596303e-08f, f * f * p));
        return OfPositive(x, e + value);
    }

    /// <summary>Logarithm to base 10. Up to 1.2 ulp; -infinity at 0, NaN below.</summary>
    [NoContraction]
    public static float Log10(float x)
    {
        float f = Mantissa(x, out float e), p = -0.0562362373f;
        p = MathF.FusedMultiplyAdd(p, f, 0.0608214736f);
        p = MathF.FusedMultiplyAdd(p, f, -0.0528413579f);
        p = MathF.FusedMultiplyAdd(p, f, 0.0608063526f);
        p = MathF.FusedMultiplyAdd(p, f, -0.0724503323f);
        p = MathF.FusedMultiplyAdd(p, f, 0.0869055688f);
        p = MathF.FusedMultiplyAdd(p, f, -0.108572394f);
        p = MathF.FusedMultiplyAdd(p, f, 0.144764289f);
        p = MathF.FusedMultiplyAdd(p, f, -0.217147246f);
        // 1 / ln 10 and log10 2 in two parts each.
        float value = MathF.FusedMultiplyAdd(f, 0.434294492f, MathF.FusedMultiplyAdd(f, -1.010305e-08f, MathF.FusedMultiplyAdd(e, 4.60503907e-06f, f * f * p)));
        return OfPositive(x, MathF.FusedMultiplyAdd(e, 0.301025391f, value));
    }

    /// <summary>x to the power y, computed in double precision, with <see cref="MathF.Pow"/>'s special values. Up to 0.51 ulp.</summary>
    [NoContraction]
    public static float Pow(float x, float y)
    {
        float size = MathF.Abs(x);
        if (y == 0 || x == 1) return 1;
        if (IsNaN(x) || IsNaN(y)) return float.NaN;
        float f = Mantissa(size, out float e);
        // log2(1 + f) = 2 atanh(f / (2 + f)) / ln 2
        double z = f / (2.0 + f), s = z * z;
        double sum = 1.0 / 17;
        sum = sum * s + 1.0 / 15;
        sum = sum * s + 1.0 / 13;
        sum = sum * s + 1.0 / 11;
        sum = sum * s + 1.0 / 9;
        sum = sum * s + 1.0 / 7;
        sum = sum * s + 1.0 / 5;
        sum = sum * s + 1.0 / 3;
        sum = sum * s + 1;
        double log = size == 0 ? double.NegativeInfinity : IsInfinity(size) ? double.PositiveInfinity : e + sum * z * 2.8853900817779268;
        double power = size == 1 ? 0 : Math.Max(Math.Min(log * y, 200), -200);
        // 2 to the power k + r / ln 2
        double k = Math.Round(power), r = (power - k) * 0.69314718055994531, p = 1.0 / 39916800;
        p = p * r + 1.0 / 3628800;
        p = p * r + 1.0 / 362880;
        p = p * r + 1.0 / 40320;
        p = p * r + 1.0 / 5040;
        p = p * r + 1.0 / 720;
        p = p * r + 1.0 / 120;
        p = p * r + 1.0 / 24;
        p = p * r + 1.0 / 6;
        p = p * r + 0.5;
        p = p * r + 1;
        p = p * r + 1;
        float value = (float)(p * BitConverter.Int64BitsToDouble((long)((int)k + 1023) << 52));
        if (BitConverter.SingleToInt32Bits(x) >= 0) return value;
        bool whole = MathF.Truncate(y) == y;
        if (!whole && x < 0 && !IsInfinity(x)) return float.NaN;
        return whole && MathF.Abs(y) < 16777216 && ((int)y & 1) != 0 ? -value : value;
    }

    /// <summary>Hyperbolic cosine. Up to 1.5 ulp.</summary>
    [NoContraction]
    public static float Cosh(float x)
    {
        float size = MathF.Abs(x), half = ScaledExp(MathF.Min(size, 91), -1);
        return half + 0.25f / half;
    }

    /// <summary>Hyperbolic sine. Up to 1.6 ulp.</summary>
    [NoContraction]
    public static float Sinh(float x)
    {
        float size = MathF.Abs(x), value;
        if (size < 1)
        {
            float s = size * size, p = 2.50521084e-08f;
            p = MathF.FusedMultiplyAdd(p, s, 2.75573192e-06f);
            p = MathF.FusedMultiplyAdd(p, s, 0.000198412698f);
            p = MathF.FusedMultiplyAdd(p, s, 0.00833333333f);
            p = MathF.FusedMultiplyAdd(p, s, 0.166666667f);
            value = MathF.FusedMultiplyAdd(size * s, p, size);
        }
        else
        {
            float half = ScaledExp(MathF.Min(size, 91), -1);
            value = half - 0.25f / half;
        }
        return WithSign(value, x);
    }

    /// <summary>Hyperbolic tangent. Up to 1.5 ulp; exactly 1 from 9.02 on.</summary>
    [NoContraction]
    public static float Tanh(float x)
    {
        float size = MathF.Abs(x), value;
        if (size < 0.55f)
        {
            float s = size * size, p = 0.00243605347f;
            p = MathF.FusedMultiplyAdd(p, s, -0.00845170487f);
            p = MathF.FusedMultiplyAdd(p, s, 0.0217961967f);
            p = MathF.FusedMultiplyAdd(p, s, -0.0539618507f);
            p = MathF.FusedMultiplyAdd(p, s, 0.133333102f);
            p = MathF.FusedMultiplyAdd(p, s, -0.333333343f);
            value = MathF.FusedMultiplyAdd(size * s, p, size);
        }
        else value = 1 - 2 / (ScaledExp(MathF.Min(2 * size, 20), 0) + 1);
        return WithSign(value, x);
    }

    // e^x 2^shift for -104 <= x <= 91, and NaN for NaN.
    [NoContraction]
    private static float ScaledExp(float x, int shift)
    {
        float shifted = MathF.FusedMultiplyAdd(x, 1.44269502f, Rounder), k = shifted - Rounder;
        float r = MathF.FusedMultiplyAdd(k, 1.90465421e-09f, MathF.FusedMultiplyAdd(k, -0.693147182f, x));
        float p = 0.00139505335f;
        p = MathF.FusedMultiplyAdd(p, r, 0.00836888235f);
        p = MathF.FusedMultiplyAdd(p, r, 0.041666206f);
        p = MathF.FusedMultiplyAdd(p, r, 0.166665196f);
        p = MathF.FusedMultiplyAdd(p, r, 0.5f);
        p = MathF.FusedMultiplyAdd(p, r * r, r) + 1;
        return Scale(p, BitConverter.SingleToInt32Bits(shifted) - RounderBits + shift);
    }

    // value * 2^k in two steps, of which only the second can round or overflow.
    [NoContraction]
    private static float Scale(float value, int k)
    {
        int half = k >> 1;
        return value * BitConverter.Int32BitsToSingle((half + 127) << 23) * BitConverter.Int32BitsToSingle((k - half + 127) << 23);
    }

    // x = (1 + f) 2^e with 2/3 <= 1 + f < 4/3 for positive finite x.
    [NoContraction]
    private static float Mantissa(float x, out float e)
    {
        bool subnormal = x < 1.17549435e-38f;
        int bits = BitConverter.SingleToInt32Bits(subnormal ? x * 8388608 : x), exponent = (bits - 0x3F2AAAAB) >> 23;
        e = subnormal ? exponent - 23 : exponent;
        return BitConverter.Int32BitsToSingle(bits - (exponent << 23)) - 1;
    }

    // What a logarithm is where its argument is not a positive number.
    private static float OfPositive(float x, float log) => x == 0 ? float.NegativeInfinity : x < 0 ? float.NaN : x < float.PositiveInfinity ? log : x;

    private static float WithSign(float size, float sign) =>
        BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(size) | (BitConverter.SingleToUInt32Bits(sign) & 0x80000000));
}
