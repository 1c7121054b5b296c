using System.Numerics;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>A floating-point format by its numbers of bits.</summary>
internal sealed record FloatFormat(int Exponent, int Fraction, ulong NaN)
{
    public static readonly FloatFormat F16 = new(5, 10, 0x7FFF), BF16 = new(8, 7, 0x7FFF), F32 = new(8, 23, 0x7FFFFFFF), TF32 = new(8, 10, 0x7FFFFFFF >> 13), F64 = new(11, 52, 0x7FFFFFFFFFFFFFFF);

    public ulong SignBit => 1ul << (Exponent + Fraction);

    public ulong Infinity => ((1ul << Exponent) - 1) << Fraction;

    public bool IsNaN(ulong bits) => (bits & ~SignBit) > Infinity;

    public bool IsInfinite(ulong bits) => (bits & ~SignBit) == Infinity;

    public bool IsSubnormal(ulong bits) => (bits & ~SignBit) >> Fraction == 0 && (bits & ~SignBit) != 0;

    /// <summary>The number as a fraction; it is finite.</summary>
    public Exact Value(ulong bits)
    {
        int bias = (1 << (Exponent - 1)) - 1, exponent = (int)((bits & ~SignBit) >> Fraction);
        BigInteger significand = (bits & ((1ul << Fraction) - 1)) + (exponent == 0 ? 0 : 1ul << Fraction);
        var magnitude = new Exact(significand, 1) * Exact.Power(Math.Max(exponent, 1) - bias - Fraction);
        return (bits & SignBit) != 0 ? -magnitude : magnitude;
    }

    /// <summary>The number of the format next to a fraction, by the definition of the mode.</summary>
    /// <param name="value">Not 0.</param>
    /// <param name="mode">rn, rz, rm, rp or rna.</param>
    public ulong Round(Exact value, string mode)
    {
        bool negative = value.Numerator.Sign < 0;
        var magnitude = negative ? -value : value;
        int lowest = 2 - (1 << (Exponent - 1)), exponent = Math.Max(magnitude.Logarithm(), lowest);
        var scaled = magnitude * Exact.Power(Fraction - exponent);
        var whole = BigInteger.DivRem(scaled.Numerator, scaled.Denominator, out var rest);
        int half = (2 * rest).CompareTo(scaled.Denominator);
        if (mode switch { "rn" => half > 0 || (half == 0 && !whole.IsEven), "rna" => half >= 0, "rm" => negative && !rest.IsZero, "rp" => !negative && !rest.IsZero, _ => false }) whole++;
        if (whole == BigInteger.One << (Fraction + 1)) (whole, exponent) = (whole >> 1, exponent + 1);
        ulong sign = negative ? SignBit : 0;
        if (exponent > (1 << (Exponent - 1)) - 1) return sign | (mode is "rn" or "rna" || mode == (negative ? "rm" : "rp") ? Infinity : Infinity - 1);
        ulong bits = (ulong)whole;
        return sign | (bits < 1ul << Fraction ? bits : bits - (1ul << Fraction) + ((ulong)(exponent - lowest + 1) << Fraction));
    }
}

/// <summary>A fraction of integers, without any rounding.</summary>
internal readonly record struct Exact(BigInteger Numerator, BigInteger Denominator)
{
    public bool IsZero => Numerator.IsZero;

    public static Exact operator -(Exact a) => new(-a.Numerator, a.Denominator);

    public static Exact operator +(Exact a, Exact b) => new(a.Numerator * b.Denominator + b.Numerator * a.Denominator, a.Denominator * b.Denominator);

    public static Exact operator -(Exact a, Exact b) => a + -b;

    public static Exact operator *(Exact a, Exact b) => new(a.Numerator * b.Numerator, a.Denominator * b.Denominator);

    public static Exact operator /(Exact a, Exact b) => b.Numerator.Sign < 0 ? -a / -b : new(a.Numerator * b.Denominator, a.Denominator * b.Numerator);

    public int CompareTo(Exact other) => (Numerator * other.Denominator).CompareTo(other.Numerator * Denominator);

    public static Exact Power(int exponent) => exponent >= 0 ? new(BigInteger.One << exponent, 1) : new(1, BigInteger.One << -exponent);

    /// <summary>The largest n with 2^n not above this; it is positive.</summary>
    public int Logarithm()
    {
        int n = (int)(Numerator.GetBitLength() - Denominator.GetBitLength());
        return CompareTo(Power(n)) < 0 ? n - 1 : n;
    }

    /// <summary>A fraction that lies on the same side as the square root of every number with a few hundred bits; the root itself when that is a fraction of powers of two.</summary>
    public Exact SquareRoot()
    {
        const int digits = 700;
        BigInteger scaled = (Numerator << (2 * digits)) / Denominator, root = BigInteger.One << ((int)scaled.GetBitLength() / 2 + 1);
        for (BigInteger next; (next = (root + scaled / root) / 2) < root;) root = next;

        bool exact = root * root == scaled && scaled * Denominator == Numerator << (2 * digits);
        return new Exact(2 * root + (exact ? 0 : 1), BigInteger.One << (digits + 1));
    }
}
