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

internal readonly struct Half1<TFunction, TFormat, TFtz> : IOp1<ushort, ushort> where TFunction : struct, IFunction where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a) => Halves.Finish<TFormat, RoundNearest, TFtz, Off, Off>(TFunction.Of(TFormat.Value(Halves.Flush<TFormat, TFtz>(a))));
}

internal readonly struct Half2<TOp, TFormat, TRounding, TFtz, TSat> : IOp2<ushort, ushort, ushort>
    where TOp : struct, IReal2 where TFormat : struct, IBinaryFormat where TRounding : struct, IRounding where TFtz : struct, IFlag where TSat : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b) => Halves.Finish<TFormat, TRounding, TFtz, TSat, Off>(
        TOp.Odd(TFormat.Value(Halves.Flush<TFormat, TFtz>(a)), TFormat.Value(Halves.Flush<TFormat, TFtz>(b)), TRounding.Mode));
}

internal readonly struct HalfMultiplyAdd<TFormat, TFtz, TSat, TRelu> : IOp3<ushort, ushort, ushort, ushort>
    where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag where TSat : struct, IFlag where TRelu : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b, ushort c)
    {
        double product = TFormat.Value(Halves.Flush<TFormat, TFtz>(a)) * TFormat.Value(Halves.Flush<TFormat, TFtz>(b));
        return Halves.Finish<TFormat, RoundNearest, TFtz, TSat, TRelu>(Rounding.OddSum(product, TFormat.Value(Halves.Flush<TFormat, TFtz>(c)), RoundingMode.Nearest));
    }
}

internal readonly struct HalfExtreme<TFormat, TGreater, TNaN, TFtz> : IOp2<ushort, ushort, ushort>
    where TFormat : struct, IBinaryFormat where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag
{
    public static ushort Apply(ushort a, ushort b) => Halves.Finish<TFormat, RoundNearest, TFtz, Off, Off>(
        Extreme.Of<TGreater, TNaN>(TFormat.Value(Halves.Flush<TFormat, TFtz>(a)), TFormat.Value(Halves.Flush<TFormat, TFtz>(b))));
}

internal readonly struct HalfExtremeXorSign<TFormat, TGreater, TNaN, TFtz> : IOp2<ushort, ushort, ushort>
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

internal readonly struct Pair2<TOp> : IOp2<uint, uint, uint> where TOp : struct, IOp2<ushort, ushort, ushort>
{
    public static uint Apply(uint a, uint b) => (uint)TOp.Apply((ushort)(a >> 16), (ushort)(b >> 16)) << 16 | TOp.Apply((ushort)a, (ushort)b);
}

internal readonly struct Pair3<TOp> : IOp3<uint, uint, uint, uint> where TOp : struct, IOp3<ushort, ushort, ushort, ushort>
{
    public static uint Apply(uint a, uint b, uint c) => (uint)TOp.Apply((ushort)(a >> 16), (ushort)(b >> 16), (ushort)(c >> 16)) << 16 | TOp.Apply((ushort)a, (ushort)b, (ushort)c);
}
