using System.Numerics;
using System.Runtime.CompilerServices;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>Rounding modes of PTX.</summary>
internal enum RoundingMode
{
    /// <summary>rn, rni: to nearest, ties to even.</summary>
    Nearest,

    /// <summary>rz, rzi: towards zero.</summary>
    Zero,

    /// <summary>rm, rmi: towards minus infinity.</summary>
    Down,

    /// <summary>rp, rpi: towards plus infinity.</summary>
    Up,

    /// <summary>rna: to nearest, ties away from zero.</summary>
    NearestAway,
}

internal interface IRounding
{
    static abstract RoundingMode Mode { get; }
}

internal readonly struct RoundNearest : IRounding
{
    public static RoundingMode Mode => RoundingMode.Nearest;
}

internal readonly struct RoundZero : IRounding
{
    public static RoundingMode Mode => RoundingMode.Zero;
}

internal readonly struct RoundDown : IRounding
{
    public static RoundingMode Mode => RoundingMode.Down;
}

internal readonly struct RoundUp : IRounding
{
    public static RoundingMode Mode => RoundingMode.Up;
}

internal readonly struct RoundNearestAway : IRounding
{
    public static RoundingMode Mode => RoundingMode.NearestAway;
}

/// <summary>A binary format of at most 32 bits: sign, exponent, fraction.</summary>
internal interface IBinaryFormat
{
    static abstract int FractionBits { get; }

    static abstract int ExponentBits { get; }

    /// <summary>The NaN that operations give.</summary>
    static abstract uint NaN { get; }

    /// <summary>The value of a number, exactly.</summary>
    static abstract double Value(uint bits);
}

internal readonly struct Binary16 : IBinaryFormat
{
    public static int FractionBits => 10;

    public static int ExponentBits => 5;

    public static uint NaN => 0x7FFF;

    public static double Value(uint bits) => (double)BitConverter.UInt16BitsToHalf((ushort)bits);
}

internal readonly struct Brain16 : IBinaryFormat
{
    public static int FractionBits => 7;

    public static int ExponentBits => 8;

    public static uint NaN => 0x7FFF;

    public static double Value(uint bits) => BitConverter.UInt32BitsToSingle(bits << 16);
}

internal readonly struct Binary32 : IBinaryFormat
{
    public static int FractionBits => 23;

    public static int ExponentBits => 8;

    public static uint NaN => 0x7FFFFFFF;

    public static double Value(uint bits) => BitConverter.UInt32BitsToSingle(bits);
}

/// <summary>The upper 19 bits of an f32, counted from their lowest.</summary>
internal readonly struct Tensor32 : IBinaryFormat
{
    public static int FractionBits => 10;

    public static int ExponentBits => 8;

    public static uint NaN => 0x3FFFF;

    public static double Value(uint bits) => BitConverter.UInt32BitsToSingle(bits << 13);
}

/// <summary>
/// Correct rounding to formats of at most 24 bits by way of f64: the exact result is first rounded to odd (where it is inexact, to the neighbour whose last bit is 1), which keeps all
/// that a second rounding, in any mode and to at least two bits less, has to know.
/// </summary>
internal static class Rounding
{
    /// <summary>The number of a format next to <paramref name="value"/>, as bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static uint Round<TFormat>(double value, RoundingMode mode) where TFormat : struct, IBinaryFormat
    {
        int fraction = TFormat.FractionBits, bias = (1 << (TFormat.ExponentBits - 1)) - 1, top = fraction + TFormat.ExponentBits;
        ulong bits = BitConverter.DoubleToUInt64Bits(value);
        bool negative = bits >> 63 != 0;
        uint sign = negative ? 1u << top : 0, infinity = (uint)((1 << TFormat.ExponentBits) - 1) << fraction;
        int exponent = (int)(bits >> 52 & 0x7FF) - 1023;
        ulong significand = bits & 0xFFFFFFFFFFFFF;
        if (exponent == 1024) return significand != 0 ? TFormat.NaN : sign | infinity;
        if (exponent == -1023) exponent++;
        else significand |= 1UL << 52;
        if (significand == 0) return sign;

        int shift = 52 - fraction + Math.Max(0, 1 - bias - exponent);
        if (shift > 54) (significand, shift) = (1, 54);
        ulong kept = significand >> shift, rest = significand & ((1UL << shift) - 1), half = 1UL << (shift - 1);
        bool up = mode switch
        {
            RoundingMode.Nearest => rest > half || (rest == half && (kept & 1) != 0),
            RoundingMode.NearestAway => rest >= half,
            RoundingMode.Down => negative && rest != 0,
            RoundingMode.Up => !negative && rest != 0,
            _ => false,
        };
        // The hidden bit of a normal number adds 1 to the exponent field; a carry out of the fraction adds another.
        long result = ((long)Math.Max(exponent + bias - 1, 0) << fraction) + (long)kept + (up ? 1 : 0);
        if (result < infinity) return sign | (uint)result;
        bool finite = mode == RoundingMode.Zero || mode == (negative ? RoundingMode.Up : RoundingMode.Down);
        return sign | (finite ? infinity - 1 : infinity);
    }

    /// <summary>A sum of two numbers, rounded to odd; exact zeros have the sign of the mode.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double OddSum(double a, double b, RoundingMode mode)
    {
        double sum = a + b;
        if (sum == 0) return mode == RoundingMode.Down && double.IsNegative(a) != double.IsNegative(b) ? -0.0 : sum;
        if (!double.IsFinite(sum)) return sum;
        double part = sum - a;
        return Odd(sum, a - (sum - part) + (b - part));
    }

    /// <summary>From the nearest number and the sign of what it lacks the number rounded to odd.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Odd(double nearest, double missing)
    {
        if (missing == 0 || double.IsNaN(missing) || (BitConverter.DoubleToUInt64Bits(nearest) & 1) != 0) return nearest;
        return missing > 0 ? Math.BitIncrement(nearest) : Math.BitDecrement(nearest);
    }

    /// <summary>A number of 24 bits.</summary>
    public static float ToSingle(double value, RoundingMode mode) => BitConverter.UInt32BitsToSingle(Round<Binary32>(value, mode));

    /// <summary>An integer in floating point; ties as <see cref="RoundingMode"/> says.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double ToIntegral(double value, RoundingMode mode) => mode switch
    {
        RoundingMode.Nearest => Math.Round(value, MidpointRounding.ToEven),
        RoundingMode.Zero => Math.Truncate(value),
        RoundingMode.Down => Math.Floor(value),
        RoundingMode.Up => Math.Ceiling(value),
        _ => Math.Round(value, MidpointRounding.AwayFromZero),
    };

    /// <summary>An integer as f64 rounded to odd, so that it can be rounded once more; exact up to 53 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double OddInteger(bool negative, ulong magnitude)
    {
        int drop = Math.Max(0, 64 - 53 - BitOperations.LeadingZeroCount(magnitude));
        ulong kept = magnitude >> drop;
        if (kept << drop != magnitude) kept |= 1;
        double value = (double)(long)kept * (1UL << drop);
        return negative ? -value : value;
    }
}
