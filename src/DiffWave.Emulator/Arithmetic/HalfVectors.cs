using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>Eight 16-bit floating-point numbers at once, each in the low half of a word.</summary>
internal static class HalfVectors
{
    /// <summary>f16 to f32, exactly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> FromHalf(Vector256<uint> halves)
    {
        // Shifted into place the exponent is 112 too small, of subnormal numbers too; infinity and NaN need an exponent of all ones.
        var shifted = (halves & Vector256.Create(0x7FFFu)) << 13;
        var value = (shifted.AsSingle() * Vector256.Create(BitConverter.UInt32BitsToSingle((127 + 112) << 23))).AsUInt32();
        value = Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(shifted, Vector256.Create(0x7C00u << 13)), shifted | Vector256.Create(0x7F800000u), value);
        return (value | (halves & Vector256.Create(0x8000u)) << 16).AsSingle();
    }

    /// <summary>bf16 to f32, exactly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> FromBrain(Vector256<uint> halves) => (halves << 16).AsSingle();

    /// <summary>f32 to the nearest f16; the upper halves are 0, NaN is 0x7FFF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> ToHalf(Vector256<float> values)
    {
        var bits = values.AsUInt32();
        var magnitude = bits & Vector256.Create(0x7FFFFFFFu);
        // Adding a little less than half a unit, and one more to odd numbers, carries into what stays; beyond the largest number it carries into infinity.
        var normal = magnitude + Vector256.Create(unchecked(0xFFFu - 0x38000000u)) + ((magnitude >> 13) & Vector256<uint>.One) >> 13;
        normal = Vector256.Min(normal, Vector256.Create(0x7C00u));
        // The unit of 0.5 is that of the subnormal numbers, so the addition rounds as they do.
        var subnormal = (magnitude.AsSingle() + Vector256.Create(0.5f)).AsUInt32() - Vector256.Create(0x3F000000u);
        var result = Vector256.ConditionalSelect(Vector256.LessThan(magnitude, Vector256.Create(0x38800000u)), subnormal, normal) | (bits >> 16 & Vector256.Create(0x8000u));
        return Vector256.ConditionalSelect(Vector256.Equals(values, values).AsUInt32(), result, Vector256.Create(0x7FFFu));
    }

    /// <summary>f32 to the nearest bf16; the upper halves are 0, NaN is 0x7FFF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> ToBrain(Vector256<float> values)
    {
        var bits = values.AsUInt32();
        var result = bits + Vector256.Create(0x7FFFu) + (bits >> 16 & Vector256<uint>.One) >> 16;
        return Vector256.ConditionalSelect(Vector256.Equals(values, values).AsUInt32(), result, Vector256.Create(0x7FFFu));
    }

    /// <summary>a * b + c of f16 values, rounded to odd: the product is exact in f32, and what the sum lacks is known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> OddMultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c)
    {
        var product = a * b;
        var sum = product + c;
        var part = sum - product;
        var missing = product - (sum - part) + (c - part);
        var inexact = (Vector256.LessThan(missing, Vector256<float>.Zero) | Vector256.GreaterThan(missing, Vector256<float>.Zero)).AsInt32();
        var bits = sum.AsInt32();
        var even = Vector256.Equals(bits & Vector256<int>.One, Vector256<int>.Zero);
        // Towards what is missing: one up in magnitude where the signs agree, else one down.
        var step = (missing.AsInt32() ^ bits) >> 31 | Vector256<int>.One;
        return (bits + (step & inexact & even)).AsSingle();
    }
}
