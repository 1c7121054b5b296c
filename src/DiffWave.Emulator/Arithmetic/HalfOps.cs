using System.Runtime.Intrinsics;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>What becomes of 16-bit floating-point operands and results.</summary>
internal static class Halves
{
    /// <summary>Subnormal numbers as zeros of their sign.</summary>
    public static uint Flush<TFormat, TFtz>(uint a) where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag =>
        TFtz.Value && (a & 0x7FFF) < 1u << TFormat.FractionBits ? a & 0x8000 : a;

    /// <summary>The only rounding of an operation, from its result rounded to odd.</summary>
    public static ushort Finish<TFormat, TRounding, TFtz, TSat, TRelu>(double odd)
        where TFormat : struct, IBinaryFormat where TRounding : struct, IRounding where TFtz : struct, IFlag where TSat : struct, IFlag where TRelu : struct, IFlag
    {
        if (TSat.Value) odd = odd > 0 ? Math.Min(odd, 1) : 0;
        if (TRelu.Value && odd <= 0) odd = 0;
        return (ushort)Flush<TFormat, TFtz>(Rounding.Round<TFormat>(odd, TRounding.Mode));
    }
}

/// <summary>An operation on 16-bit numbers, and perhaps on eight at once, each in the low half of a word.</summary>
internal interface IHalf2 : IOp2<ushort, ushort, ushort>
{
    static virtual bool HasLanes => false;

    static virtual Vector256<uint> Lanes(Vector256<uint> a, Vector256<uint> b) => throw new NotSupportedException();
}

/// <summary>See <see cref="IHalf2"/>.</summary>
internal interface IHalf3 : IOp3<ushort, ushort, ushort, ushort>
{
    static virtual bool HasLanes => false;

    static virtual Vector256<uint> Lanes(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c) => throw new NotSupportedException();
}

internal readonly struct Half1<TFunction, TFormat, TFtz> : IOp1<ushort, ushort> where TFunction : struct, IFunction where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a) => Halves.Finish<TFormat, RoundNearest, TFtz, Off, Off>(TFunction.Of(TFormat.Value(Halves.Flush<TFormat, TFtz>(a))));
}

internal readonly struct Half2<TOp, TFormat, TRounding, TFtz, TSat> : IHalf2
    where TOp : struct, IReal2 where TFormat : struct, IBinaryFormat where TRounding : struct, IRounding where TFtz : struct, IFlag where TSat : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b) => Halves.Finish<TFormat, TRounding, TFtz, TSat, Off>(
        TOp.Odd(TFormat.Value(Halves.Flush<TFormat, TFtz>(a)), TFormat.Value(Halves.Flush<TFormat, TFtz>(b)), TRounding.Mode));

    // Of f16 numbers f32 holds products exactly and sums to more than twice as many bits and two, so rounding twice is rounding once. (Products of bf16 may be too small for f32.)
    public static bool HasLanes => typeof(TFormat) == typeof(Binary16) && !TFtz.Value && !TSat.Value;

    public static Vector256<uint> Lanes(Vector256<uint> a, Vector256<uint> b) => HalfVectors.ToHalf(TOp.Nearest(HalfVectors.FromHalf(a), HalfVectors.FromHalf(b)));
}

internal readonly struct HalfMultiplyAdd<TFormat, TFtz, TSat, TRelu> : IHalf3
    where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag where TSat : struct, IFlag where TRelu : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b, ushort c)
    {
        double product = TFormat.Value(Halves.Flush<TFormat, TFtz>(a)) * TFormat.Value(Halves.Flush<TFormat, TFtz>(b));
        return Halves.Finish<TFormat, RoundNearest, TFtz, TSat, TRelu>(Rounding.OddSum(product, TFormat.Value(Halves.Flush<TFormat, TFtz>(c)), RoundingMode.Nearest));
    }

    public static bool HasLanes => typeof(TFormat) == typeof(Binary16) && !TFtz.Value && !TSat.Value && !TRelu.Value;

    public static Vector256<uint> Lanes(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c) =>
        HalfVectors.ToHalf(HalfVectors.OddMultiplyAdd(HalfVectors.FromHalf(a), HalfVectors.FromHalf(b), HalfVectors.FromHalf(c)));
}

internal readonly struct HalfExtreme<TFormat, TGreater, TNaN, TFtz> : IHalf2
    where TFormat : struct, IBinaryFormat where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b) => Halves.Finish<TFormat, RoundNearest, TFtz, Off, Off>(
        Extreme.Of<TGreater, TNaN>(TFormat.Value(Halves.Flush<TFormat, TFtz>(a)), TFormat.Value(Halves.Flush<TFormat, TFtz>(b))));
}

internal readonly struct HalfExtremeXorSign<TFormat, TGreater, TNaN, TFtz> : IHalf2
    where TFormat : struct, IBinaryFormat where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b)
    {
        ushort extreme = HalfExtreme<TFormat, TGreater, TNaN, TFtz>.Apply((ushort)(a & 0x7FFF), (ushort)(b & 0x7FFF));
        return extreme == TFormat.NaN ? extreme : (ushort)(extreme | (a ^ b) & 0x8000);
    }
}

internal readonly struct HalfAbsolute<TFormat, TFtz> : IOp1<ushort, ushort> where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a) => (ushort)(Halves.Flush<TFormat, TFtz>(a) & 0x7FFF);
}

internal readonly struct HalfNegate<TFormat, TFtz> : IOp1<ushort, ushort> where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a) => (ushort)(Halves.Flush<TFormat, TFtz>(a) ^ 0x8000);
}

/// <summary>An operation on both halves of packed pairs.</summary>
internal readonly struct Pair1<TOp> : IOp1<uint, uint> where TOp : struct, IOp1<ushort, ushort>
{
    public static uint Apply(uint a) => (uint)TOp.Apply((ushort)(a >> 16)) << 16 | TOp.Apply((ushort)a);
}

internal readonly struct Pair2<TOp> : IOp2<uint, uint, uint> where TOp : struct, IHalf2
{
    public static bool IsVector => TOp.HasLanes;

    public static uint Apply(uint a, uint b) => (uint)TOp.Apply((ushort)(a >> 16), (ushort)(b >> 16)) << 16 | TOp.Apply((ushort)a, (ushort)b);

    public static Vector256<uint> Apply(Vector256<uint> a, Vector256<uint> b)
    {
        var low = Vector256.Create(0xFFFFu);
        return TOp.Lanes(a >> 16, b >> 16) << 16 | TOp.Lanes(a & low, b & low);
    }
}

internal readonly struct Pair3<TOp> : IOp3<uint, uint, uint, uint> where TOp : struct, IHalf3
{
    public static bool IsVector => TOp.HasLanes;

    public static uint Apply(uint a, uint b, uint c) => (uint)TOp.Apply((ushort)(a >> 16), (ushort)(b >> 16), (ushort)(c >> 16)) << 16 | TOp.Apply((ushort)a, (ushort)b, (ushort)c);

    public static Vector256<uint> Apply(Vector256<uint> a, Vector256<uint> b, Vector256<uint> c)
    {
        var low = Vector256.Create(0xFFFFu);
        return TOp.Lanes(a >> 16, b >> 16, c >> 16) << 16 | TOp.Lanes(a & low, b & low, c & low);
    }
}
