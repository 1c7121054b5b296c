using System.Numerics;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>f64 results in the directed rounding modes, by integers as long as it takes.</summary>
/// <param name="Significand">The number is this ..</param>
/// <param name="Exponent">.. times two to the power of this.</param>
internal readonly record struct ExactDouble(BigInteger Significand, int Exponent)
{
    private const int Fraction = 52, LowestExponent = -1074;

    private static ExactDouble Of(double value)
    {
        ulong bits = BitConverter.DoubleToUInt64Bits(value);
        int exponent = (int)(bits >> Fraction & 0x7FF);
        long significand = (long)(bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << Fraction);
        return new(double.IsNegative(value) ? -significand : significand, Math.Max(exponent, 1) + LowestExponent - 1);
    }

    /// <summary>a + b.</summary>
    public static double Add(double a, double b, RoundingMode mode)
    {
        double nearest = a + b;
        return !double.IsFinite(a) || !double.IsFinite(b) ? nearest : Round(Sum(Of(a), Of(b)), false, mode, Zero(a, b, mode));
    }

    /// <summary>a * b.</summary>
    public static double Multiply(double a, double b, RoundingMode mode)
    {
        double nearest = a * b;
        return !double.IsFinite(a) || !double.IsFinite(b) || a == 0 || b == 0 ? nearest : Round(Product(Of(a), Of(b)), false, mode, nearest);
    }

    /// <summary>a * b + c.</summary>
    public static double MultiplyAdd(double a, double b, double c, RoundingMode mode)
    {
        if (!double.IsFinite(a) || !double.IsFinite(b) || !double.IsFinite(c)) return Math.FusedMultiplyAdd(a, b, c);
        double sign = double.IsNegative(a) != double.IsNegative(b) ? -0.0 : 0.0;
        bool cancels = a != 0 && b != 0 && c != 0;
        return Round(Sum(Product(Of(a), Of(b)), Of(c)), false, mode, cancels ? Zero(1, -1, mode) : Zero(sign, c, mode));
    }

    /// <summary>a / b.</summary>
    public static double Divide(double a, double b, RoundingMode mode)
    {
        double nearest = a / b;
        if (!double.IsFinite(a) || !double.IsFinite(b) || a == 0 || b == 0) return nearest;
        ExactDouble x = Of(a), y = Of(b);
        var quotient = BigInteger.DivRem(BigInteger.Abs(x.Significand) << 120, BigInteger.Abs(y.Significand), out var rest);
        return Round(new(a < 0 != b < 0 ? -quotient : quotient, x.Exponent - y.Exponent - 120), !rest.IsZero, mode, nearest);
    }

    /// <summary>The square root.</summary>
    public static double SquareRoot(double a, RoundingMode mode)
    {
        double nearest = Math.Sqrt(a);
        if (!double.IsFinite(nearest) || nearest == 0) return nearest;
        var x = Of(a);
        int shift = 120 + (x.Exponent & 1);
        BigInteger square = x.Significand << shift, low = BigInteger.Zero, high = BigInteger.One << 90;
        while (high - low > 1)
        {
            var middle = low + high >> 1;
            if (middle * middle <= square) low = middle;
            else high = middle;
        }

        return Round(new(low, x.Exponent - shift >> 1), low * low != square, mode, nearest);
    }

    /// <summary>An integer.</summary>
    public static double FromInteger(BigInteger value, RoundingMode mode) => Round(new(value, 0), false, mode, 0);

    private static double Zero(double a, double b, RoundingMode mode) => mode == RoundingMode.Down && double.IsNegative(a) != double.IsNegative(b) ? -0.0 : a + b == 0 ? a + b : 0.0;

    private static ExactDouble Product(ExactDouble a, ExactDouble b) => new(a.Significand * b.Significand, a.Exponent + b.Exponent);

    private static ExactDouble Sum(ExactDouble a, ExactDouble b)
    {
        int exponent = Math.Min(a.Exponent, b.Exponent);
        return new((a.Significand << (a.Exponent - exponent)) + (b.Significand << (b.Exponent - exponent)), exponent);
    }

    private static double Round(ExactDouble value, bool more, RoundingMode mode, double zero)
    {
        if (value.Significand.IsZero) return zero;
        bool negative = value.Significand.Sign < 0;
        var magnitude = BigInteger.Abs(value.Significand);
        int exponent = Math.Max(value.Exponent + (int)magnitude.GetBitLength() - Fraction - 1, LowestExponent), shift = exponent - value.Exponent;
        BigInteger kept = shift > 0 ? magnitude >> shift : magnitude << -shift, rest = shift > 0 ? magnitude - (kept << shift) : 0, half = shift > 0 ? BigInteger.One << (shift - 1) : 1;
        bool inexact = more || !rest.IsZero;
        bool up = mode switch
        {
            RoundingMode.Nearest => rest > half || (rest == half && shift > 0 && (more || !kept.IsEven)),
            RoundingMode.Down => negative && inexact,
            RoundingMode.Up => !negative && inexact,
            _ => false,
        };
        ulong bits = ((ulong)(exponent - LowestExponent) << Fraction) + (ulong)kept + (up ? 1UL : 0);
        const ulong infinity = 0x7FFUL << Fraction;
        if (exponent > 1023 - Fraction || bits >= infinity)
            bits = mode == RoundingMode.Zero || mode == (negative ? RoundingMode.Up : RoundingMode.Down) ? infinity - 1 : infinity;
        return BitConverter.UInt64BitsToDouble(bits | (negative ? 1UL << 63 : 0));
    }
}
