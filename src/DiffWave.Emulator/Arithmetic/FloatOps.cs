using System.Runtime.Intrinsics;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>A function of two real numbers in all the precisions of PTX.</summary>
internal interface IReal2
{
    /// <summary>The exact result rounded to odd, from numbers of at most 24 bits.</summary>
    static abstract double Odd(double a, double b, RoundingMode mode);

    static abstract double Round(double a, double b, RoundingMode mode);

    static abstract Vector256<float> Nearest(Vector256<float> a, Vector256<float> b);

    static abstract Vector256<double> Nearest(Vector256<double> a, Vector256<double> b);
}

internal readonly struct Sum : IReal2
{
    public static double Odd(double a, double b, RoundingMode mode) => Rounding.OddSum(a, b, mode);

    public static double Round(double a, double b, RoundingMode mode) => ExactDouble.Add(a, b, mode);

    public static Vector256<float> Nearest(Vector256<float> a, Vector256<float> b) => a + b;

    public static Vector256<double> Nearest(Vector256<double> a, Vector256<double> b) => a + b;
}

internal readonly struct Difference : IReal2
{
    public static double Odd(double a, double b, RoundingMode mode) => Rounding.OddSum(a, -b, mode);

    public static double Round(double a, double b, RoundingMode mode) => ExactDouble.Add(a, -b, mode);

    public static Vector256<float> Nearest(Vector256<float> a, Vector256<float> b) => a - b;

    public static Vector256<double> Nearest(Vector256<double> a, Vector256<double> b) => a - b;
}

internal readonly struct Product : IReal2
{
    public static double Odd(double a, double b, RoundingMode mode) => a * b;

    public static double Round(double a, double b, RoundingMode mode) => ExactDouble.Multiply(a, b, mode);

    public static Vector256<float> Nearest(Vector256<float> a, Vector256<float> b) => a * b;

    public static Vector256<double> Nearest(Vector256<double> a, Vector256<double> b) => a * b;
}

internal readonly struct Ratio : IReal2
{
    public static double Odd(double a, double b, RoundingMode mode)
    {
        double quotient = a / b;
        if (quotient == 0 || !double.IsFinite(quotient) || !double.IsFinite(b)) return quotient;
        double rest = Math.FusedMultiplyAdd(-quotient, b, a);
        return Rounding.Odd(quotient, b < 0 ? -rest : rest);
    }

    public static double Round(double a, double b, RoundingMode mode) => ExactDouble.Divide(a, b, mode);

    public static Vector256<float> Nearest(Vector256<float> a, Vector256<float> b) => a / b;

    public static Vector256<double> Nearest(Vector256<double> a, Vector256<double> b) => a / b;
}

/// <summary>A function of one real number in all the precisions of PTX.</summary>
internal interface IReal1
{
    static abstract double Odd(double a, RoundingMode mode);

    static abstract double Round(double a, RoundingMode mode);

    static abstract Vector256<float> Nearest(Vector256<float> a);

    static abstract Vector256<double> Nearest(Vector256<double> a);
}

internal readonly struct SquareRoot : IReal1
{
    public static double Odd(double a, RoundingMode mode)
    {
        double root = Math.Sqrt(a);
        return root == 0 || !double.IsFinite(root) ? root : Rounding.Odd(root, Math.FusedMultiplyAdd(-root, root, a));
    }

    public static double Round(double a, RoundingMode mode) => ExactDouble.SquareRoot(a, mode);

    public static Vector256<float> Nearest(Vector256<float> a) => Vector256.Sqrt(a);

    public static Vector256<double> Nearest(Vector256<double> a) => Vector256.Sqrt(a);
}

internal readonly struct Reciprocal : IReal1
{
    public static double Odd(double a, RoundingMode mode) => Ratio.Odd(1, a, mode);

    public static double Round(double a, RoundingMode mode) => ExactDouble.Divide(1, a, mode);

    public static Vector256<float> Nearest(Vector256<float> a) => Vector256<float>.One / a;

    public static Vector256<double> Nearest(Vector256<double> a) => Vector256<double>.One / a;
}

/// <summary>What becomes of f32 operands and results: one NaN, subnormal numbers perhaps zero, results perhaps held in 0 .. 1.</summary>
internal static class Single
{
    public const uint NaN = 0x7FFFFFFF;
    private const float Smallest = 1.17549435e-38f;

    public static Vector256<float> Flush<TFtz>(Vector256<float> a) where TFtz : struct, IFlag => !TFtz.Value
        ? a
        : Vector256.ConditionalSelect(Vector256.LessThan(Vector256.Abs(a), Vector256.Create(Smallest)), a & Vector256.Create(-0f), a);

    public static float Flush<TFtz>(float a) where TFtz : struct, IFlag => TFtz.Value && Math.Abs(a) < Smallest ? float.CopySign(0, a) : a;

    public static Vector256<float> Finish<TFtz, TSat>(Vector256<float> a) where TFtz : struct, IFlag where TSat : struct, IFlag
    {
        if (TSat.Value) a = Vector256.ConditionalSelect(Vector256.GreaterThan(a, Vector256<float>.Zero), Vector256.Min(a, Vector256<float>.One), Vector256<float>.Zero);
        else a = Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256.Create(NaN).AsSingle());
        return Flush<TFtz>(a);
    }

    public static float Finish<TFtz, TSat>(float a) where TFtz : struct, IFlag where TSat : struct, IFlag => Flush<TFtz>(Finish<TSat>(a));

    public static float Finish<TSat>(float a) where TSat : struct, IFlag =>
        TSat.Value ? a > 0 ? Math.Min(a, 1) : 0 : float.IsNaN(a) ? BitConverter.UInt32BitsToSingle(NaN) : a;
}

internal readonly struct Single1<TOp, TRounding, TFtz> : IOp1<float, float> where TOp : struct, IReal1 where TRounding : struct, IRounding where TFtz : struct, IFlag
{
    public static bool IsVector => TRounding.Mode == RoundingMode.Nearest;

    public static float Apply(float a) => Single.Finish<TFtz, Off>(Rounding.ToSingle(TOp.Odd(Single.Flush<TFtz>(a), TRounding.Mode), TRounding.Mode));

    public static Vector256<float> Apply(Vector256<float> a) => Single.Finish<TFtz, Off>(TOp.Nearest(Single.Flush<TFtz>(a)));
}

internal readonly struct Single2<TOp, TRounding, TFtz, TSat> : IOp2<float, float, float>
    where TOp : struct, IReal2 where TRounding : struct, IRounding where TFtz : struct, IFlag where TSat : struct, IFlag
{
    public static bool IsVector => TRounding.Mode == RoundingMode.Nearest;

    public static float Apply(float a, float b) =>
        Single.Finish<TFtz, TSat>(Rounding.ToSingle(TOp.Odd(Single.Flush<TFtz>(a), Single.Flush<TFtz>(b), TRounding.Mode), TRounding.Mode));

    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b) => Single.Finish<TFtz, TSat>(TOp.Nearest(Single.Flush<TFtz>(a), Single.Flush<TFtz>(b)));
}

internal readonly struct SingleMultiplyAdd<TRounding, TFtz, TSat> : IOp3<float, float, float, float> where TRounding : struct, IRounding where TFtz : struct, IFlag where TSat : struct, IFlag
{
    public static bool IsVector => TRounding.Mode == RoundingMode.Nearest;

    public static float Apply(float a, float b, float c) => Single.Finish<TFtz, TSat>(
        Rounding.ToSingle(Rounding.OddSum((double)Single.Flush<TFtz>(a) * Single.Flush<TFtz>(b), Single.Flush<TFtz>(c), TRounding.Mode), TRounding.Mode));

    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b, Vector256<float> c) =>
        Single.Finish<TFtz, TSat>(Vector256.FusedMultiplyAdd(Single.Flush<TFtz>(a), Single.Flush<TFtz>(b), Single.Flush<TFtz>(c)));
}

internal readonly struct SingleAbsolute<TFtz> : IOp1<float, float> where TFtz : struct, IFlag
{
    public static bool IsVector => true;

    public static float Apply(float a) => Math.Abs(Single.Flush<TFtz>(a));

    public static Vector256<float> Apply(Vector256<float> a) => Vector256.Abs(Single.Flush<TFtz>(a));
}

internal readonly struct SingleNegate<TFtz> : IOp1<float, float> where TFtz : struct, IFlag
{
    public static bool IsVector => true;

    public static float Apply(float a) => -Single.Flush<TFtz>(a);

    public static Vector256<float> Apply(Vector256<float> a) => Single.Flush<TFtz>(a) ^ Vector256.Create(-0f);
}

/// <summary>The lesser (or greater) number, -0 below +0. A NaN gives way to a number, or with <typeparamref name="TNaN"/> wins.</summary>
internal readonly struct SingleExtreme<TGreater, TNaN, TFtz> : IOp2<float, float, float> where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag
{
    public static bool IsVector => true;

    public static float Apply(float a, float b) => Single.Finish<Off>((float)Extreme.Of<TGreater, TNaN>(Single.Flush<TFtz>(a), Single.Flush<TFtz>(b)));

    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b)
    {
        (a, b) = (Single.Flush<TFtz>(a), Single.Flush<TFtz>(b));
        return Single.Finish<Off, Off>(
            TNaN.Value ? TGreater.Value ? Vector256.Max(a, b) : Vector256.Min(a, b) : TGreater.Value ? Vector256.MaxNumber(a, b) : Vector256.MinNumber(a, b));
    }
}

/// <summary>The extreme of the absolute values with the product of the signs.</summary>
internal readonly struct SingleExtremeXorSign<TGreater, TNaN, TFtz> : IOp2<float, float, float> where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag
{
    public static float Apply(float a, float b)
    {
        float extreme = SingleExtreme<TGreater, TNaN, TFtz>.Apply(Math.Abs(a), Math.Abs(b));
        return float.IsNaN(extreme) ? extreme : float.IsNegative(a) != float.IsNegative(b) ? -extreme : extreme;
    }
}

internal static class Extreme
{
    public static double Of<TGreater, TNaN>(double a, double b) where TGreater : struct, IFlag where TNaN : struct, IFlag =>
        TNaN.Value ? TGreater.Value ? Math.Max(a, b) : Math.Min(a, b) : TGreater.Value ? double.MaxNumber(a, b) : double.MinNumber(a, b);
}

internal readonly struct CopySign32 : IOp2<uint, uint, uint>
{
    public static uint Apply(uint sign, uint value) => sign & 0x80000000 | value & 0x7FFFFFFF;
}

internal readonly struct CopySign64 : IOp2<ulong, ulong, ulong>
{
    public static ulong Apply(ulong sign, ulong value) => sign & 1UL << 63 | value & ~(1UL << 63);
}

/// <summary>f64 arithmetic.</summary>
internal static class Doubles
{
    private const ulong NaN = 0x7FFFFFFFFFFFFFFF;

    public static double Finish(double a) => double.IsNaN(a) ? BitConverter.UInt64BitsToDouble(NaN) : a;

    public static Vector256<double> Finish(Vector256<double> a) => Vector256.ConditionalSelect(Vector256.Equals(a, a), a, Vector256.Create(NaN).AsDouble());
}

internal readonly struct Double1<TOp, TRounding> : IOp1<double, double> where TOp : struct, IReal1 where TRounding : struct, IRounding
{
    public static bool IsVector => TRounding.Mode == RoundingMode.Nearest;

    public static double Apply(double a) => Doubles.Finish(TOp.Round(a, TRounding.Mode));

    public static Vector256<double> Apply(Vector256<double> a) => Doubles.Finish(TOp.Nearest(a));
}

internal readonly struct Double2<TOp, TRounding> : IOp2<double, double, double> where TOp : struct, IReal2 where TRounding : struct, IRounding
{
    public static bool IsVector => TRounding.Mode == RoundingMode.Nearest;

    public static double Apply(double a, double b) => Doubles.Finish(TOp.Round(a, b, TRounding.Mode));

    public static Vector256<double> Apply(Vector256<double> a, Vector256<double> b) => Doubles.Finish(TOp.Nearest(a, b));
}

internal readonly struct DoubleMultiplyAdd<TRounding> : IOp3<double, double, double, double> where TRounding : struct, IRounding
{
    public static bool IsVector => TRounding.Mode == RoundingMode.Nearest;

    public static double Apply(double a, double b, double c) => Doubles.Finish(ExactDouble.MultiplyAdd(a, b, c, TRounding.Mode));

    public static Vector256<double> Apply(Vector256<double> a, Vector256<double> b, Vector256<double> c) => Doubles.Finish(Vector256.FusedMultiplyAdd(a, b, c));
}

internal readonly struct DoubleAbsolute : IOp1<double, double>
{
    public static double Apply(double a) => Math.Abs(a);
}

internal readonly struct DoubleNegate : IOp1<double, double>
{
    public static double Apply(double a) => -a;
}

internal readonly struct DoubleExtreme<TGreater> : IOp2<double, double, double> where TGreater : struct, IFlag
{
    public static double Apply(double a, double b) => Doubles.Finish(Extreme.Of<TGreater, Off>(a, b));
}
