using System.Numerics;
using System.Runtime.Intrinsics;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>A floating-point type as it lies in the lanes of a register.</summary>
internal interface IFloatType<TLane>
{
    /// <summary>The value, exactly.</summary>
    static abstract double Read(TLane bits);

    /// <summary>The nearest number by the mode; <paramref name="value"/> is exact or rounded to odd.</summary>
    static abstract TLane Write(double value, RoundingMode mode);

    /// <summary>An integer, rounded once.</summary>
    static abstract TLane WriteInteger(bool negative, ulong magnitude, RoundingMode mode);
}

/// <summary>A type of at most 32 bits, perhaps with subnormal numbers as zeros.</summary>
internal readonly struct FloatType<TFormat, TFtz> : IFloatType<uint> where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
{
    public static double Read(uint bits) => TFormat.Value(Flush(bits));

    public static uint Write(double value, RoundingMode mode) => Flush(Rounding.Round<TFormat>(value, mode));

    public static uint WriteInteger(bool negative, ulong magnitude, RoundingMode mode) => Write(Rounding.OddInteger(negative, magnitude), mode);

    private static uint Flush(uint bits)
    {
        uint sign = 1u << (TFormat.FractionBits + TFormat.ExponentBits);
        return TFtz.Value && (bits & (sign - 1)) < 1u << TFormat.FractionBits ? bits & sign : bits;
    }
}

internal readonly struct DoubleType : IFloatType<ulong>
{
    public static double Read(ulong bits) => BitConverter.UInt64BitsToDouble(bits);

    public static ulong Write(double value, RoundingMode mode) => BitConverter.DoubleToUInt64Bits(Doubles.Finish(value));

    public static ulong WriteInteger(bool negative, ulong magnitude, RoundingMode mode) => BitConverter.DoubleToUInt64Bits(ExactDouble.FromInteger(negative ? -(BigInteger)magnitude : magnitude, mode));
}

/// <summary>Integers to integers: from the low bits of the source's register to all bits of the target's.</summary>
internal readonly struct IntegerToInteger<TSource, TTarget, TSourceRegister, TTargetRegister, TSat> : IOp1<TSourceRegister, TTargetRegister>
    where TSource : unmanaged, IBinaryInteger<TSource> where TTarget : unmanaged, IBinaryInteger<TTarget>
    where TSourceRegister : unmanaged, IBinaryInteger<TSourceRegister> where TTargetRegister : unmanaged, IBinaryInteger<TTargetRegister> where TSat : struct, IFlag
{
    public static TTargetRegister Apply(TSourceRegister a)
    {
        var value = TSource.CreateTruncating(a);
        return TTargetRegister.CreateTruncating(TSat.Value ? TTarget.CreateSaturating(value) : TTarget.CreateTruncating(value));
    }
}

internal readonly struct IntegerToFloat<TSource, TSourceRegister, TFloat, TLane, TRounding, TSat> : IOp1<TSourceRegister, TLane>
    where TSource : unmanaged, IBinaryInteger<TSource> where TSourceRegister : unmanaged, IBinaryInteger<TSourceRegister> where TFloat : struct, IFloatType<TLane> where TRounding : struct, IRounding
    where TSat : struct, IFlag
{
    public static TLane Apply(TSourceRegister a)
    {
        var value = TSource.CreateTruncating(a);
        if (TSat.Value) return TFloat.Write(value > TSource.Zero ? 1 : 0, RoundingMode.Nearest);
        bool negative = TSource.IsNegative(value);
        ulong bits = ulong.CreateTruncating(value);
        return TFloat.WriteInteger(negative, negative ? 0 - bits : bits, TRounding.Mode);
    }
}

/// <summary>32-bit integers to the nearest f32.</summary>
internal readonly struct SignedToSingle : IOp1<int, float>
{
    public static bool IsVector => true;

    public static float Apply(int a) => a;

    public static Vector256<float> Apply(Vector256<int> a) => Vector256.ConvertToSingle(a);
}

/// <summary>f16 or bf16 to f32.</summary>
internal readonly struct HalfToSingle<TBrain, TFtz> : IOp1<uint, float> where TBrain : struct, IFlag where TFtz : struct, IFlag
{
    public static bool IsVector => true;

    public static float Apply(uint a) => throw new NotSupportedException();

    public static Vector256<float> Apply(Vector256<uint> a) => Single.Finish<TFtz, Off>(TBrain.Value ? HalfVectors.FromBrain(a) : HalfVectors.FromHalf(a));
}

/// <summary>f32 to the nearest f16 or bf16.</summary>
internal readonly struct SingleToHalf<TBrain, TFtz> : IOp1<float, uint> where TBrain : struct, IFlag where TFtz : struct, IFlag
{
    public static bool IsVector => true;

    public static uint Apply(float a) => throw new NotSupportedException();

    public static Vector256<uint> Apply(Vector256<float> a) => TBrain.Value ? HalfVectors.ToBrain(Single.Flush<TFtz>(a)) : HalfVectors.ToHalf(Single.Flush<TFtz>(a));
}

/// <summary>Two f32 to a packed pair of the nearest numbers, the first in the upper half.</summary>
internal readonly struct PackNearest<TBrain> : IOp2<float, float, uint> where TBrain : struct, IFlag
{
    public static bool IsVector => true;

    public static uint Apply(float a, float b) => throw new NotSupportedException();

    public static Vector256<uint> Apply(Vector256<float> a, Vector256<float> b) =>
        TBrain.Value ? HalfVectors.ToBrain(a) << 16 | HalfVectors.ToBrain(b) : HalfVectors.ToHalf(a) << 16 | HalfVectors.ToHalf(b);
}

/// <summary>f32 to s32, held in its range; NaN gives 0.</summary>
internal readonly struct SingleToSigned<TRounding, TFtz> : IOp1<float, int> where TRounding : struct, IRounding where TFtz : struct, IFlag
{
    public static bool IsVector => true;

    public static int Apply(float a) => throw new NotSupportedException();

    public static Vector256<int> Apply(Vector256<float> a)
    {
        a = Single.Flush<TFtz>(a);
        return Vector256.ConvertToInt32(TRounding.Mode switch
        {
            RoundingMode.Nearest => Vector256.Round(a, MidpointRounding.ToEven),
            RoundingMode.Down => Vector256.Floor(a),
            RoundingMode.Up => Vector256.Ceiling(a),
            _ => Vector256.Truncate(a),
        });
    }
}

internal readonly struct UnsignedToSingle : IOp1<uint, float>
{
    public static float Apply(uint a) => (float)(double)a;
}

/// <summary>Floating point to integers, held in the range of the target. NaN gives 0, but the highest bit alone where one of both types has 64 bits.</summary>
internal readonly struct FloatToInteger<TFloat, TLane, TTarget, TTargetRegister, TRounding> : IOp1<TLane, TTargetRegister>
    where TFloat : struct, IFloatType<TLane> where TLane : unmanaged where TTarget : unmanaged, IBinaryInteger<TTarget> where TTargetRegister : unmanaged, IBinaryInteger<TTargetRegister>
    where TRounding : struct, IRounding
{
    public static unsafe TTargetRegister Apply(TLane a)
    {
        double value = TFloat.Read(a);
        if (double.IsNaN(value)) return TTargetRegister.CreateTruncating(sizeof(TLane) == 8 || sizeof(TTarget) == 8 ? TTarget.One << (sizeof(TTarget) * 8 - 1) : TTarget.Zero);
        return TTargetRegister.CreateTruncating(TTarget.CreateSaturating(Rounding.ToIntegral(value, TRounding.Mode)));
    }
}

/// <summary>Floating point to floating point, perhaps rounded to an integer first.</summary>
internal readonly struct FloatToFloat<TSource, TSourceLane, TTarget, TTargetLane, TRounding, TIntegral, TSat, TRelu> : IOp1<TSourceLane, TTargetLane>
    where TSource : struct, IFloatType<TSourceLane> where TTarget : struct, IFloatType<TTargetLane> where TRounding : struct, IRounding
    where TIntegral : struct, IFlag where TSat : struct, IFlag where TRelu : struct, IFlag
{
    public static TTargetLane Apply(TSourceLane a)
    {
        double value = TSource.Read(a);
        if (TIntegral.Value) value = Rounding.ToIntegral(value, TRounding.Mode);
        if (TSat.Value) value = value > 0 ? Math.Min(value, 1) : 0;
        if (TRelu.Value && value <= 0) value = 0;
        return TTarget.Write(value, TRounding.Mode);
    }
}

/// <summary>Two f32 to a packed pair, the first in the upper half.</summary>
internal readonly struct PackSingles<TFormat, TRounding, TRelu> : IOp2<float, float, uint> where TFormat : struct, IBinaryFormat where TRounding : struct, IRounding where TRelu : struct, IFlag
{
    public static uint Apply(float a, float b) => Convert(a) << 16 | Convert(b);

    private static uint Convert(float a) => Rounding.Round<TFormat>(TRelu.Value && a <= 0 ? 0 : a, TRounding.Mode);
}

/// <summary>f32 to tf32: the low 13 bits are 0, those of a NaN all ones.</summary>
internal readonly struct SingleToTensor<TRounding, TRelu> : IOp1<float, uint> where TRounding : struct, IRounding where TRelu : struct, IFlag
{
    public static uint Apply(float a) => float.IsNaN(a) ? Single.NaN : Rounding.Round<Tensor32>(TRelu.Value && a <= 0 ? 0 : a, TRounding.Mode) << 13;
}
