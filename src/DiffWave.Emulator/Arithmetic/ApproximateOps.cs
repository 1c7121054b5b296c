using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>
/// A function that the special-function units approximate. Here it is computed in f64 and rounded once: always within the bounds that the PTX ISA states, often not the same bits as a device.
/// Special values are those of the ISA's tables.
/// </summary>
internal interface IFunction
{
    static abstract double Of(double a);

    static virtual bool IsVector => false;

    static virtual Vector256<double> Of(Vector256<double> a) => throw new NotSupportedException();
}

internal readonly struct ExponentialBase2 : IFunction
{
    public static double Of(double a) => Math.Pow(2, a);

    public static bool IsVector => true;

    public static Vector256<double> Of(Vector256<double> a) => Vector256.Exp(a * Vector256.Create(0.69314718055994530942));
}

internal readonly struct LogarithmBase2 : IFunction
{
    public static double Of(double a) => Math.Log2(a);

    public static bool IsVector => true;

    public static Vector256<double> Of(Vector256<double> a) => Vector256.Log2(a);
}

internal readonly struct Sine : IFunction
{
    public static double Of(double a) => Math.Sin(a);

    public static bool IsVector => true;

    public static Vector256<double> Of(Vector256<double> a) => Vector256.Sin(a);
}

internal readonly struct Cosine : IFunction
{
    public static double Of(double a) => Math.Cos(a);

    public static bool IsVector => true;

    public static Vector256<double> Of(Vector256<double> a) => Vector256.Cos(a);
}

internal readonly struct HyperbolicTangent : IFunction
{
    public static double Of(double a) => Math.Tanh(a);

    public static bool IsVector => true;

    // Near zero the quotient would lose what 1 - 1 takes away; there the series does it: the term left out is below 2^-56 of the value.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<double> Of(Vector256<double> a)
    {
        Vector256<double> one = Vector256<double>.One, square = a * a;
        var series = a * (one + square * (Vector256.Create(-1.0 / 3) + square * (Vector256.Create(2.0 / 15) + square * (Vector256.Create(-17.0 / 315) + square * (Vector256.Create(62.0 / 2835) + square * Vector256.Create(-1382.0 / 155925))))));
        var quotient = one - Vector256.Create(2.0) / (Vector256.Exp(a + a) + one);
        return Vector256.ConditionalSelect(Vector256.LessThan(Vector256.Abs(a), Vector256.Create(0.03)), series, quotient);
    }
}

internal readonly struct ReciprocalSquareRoot : IFunction
{
    public static double Of(double a) => 1 / Math.Sqrt(a);

    public static bool IsVector => true;

    public static Vector256<double> Of(Vector256<double> a) => Vector256<double>.One / Vector256.Sqrt(a);
}

internal readonly struct SingleFunction<TFunction, TFtz> : IOp1<float, float> where TFunction : struct, IFunction where TFtz : struct, IFlag
{
    public static bool IsVector => TFunction.IsVector;

    public static float Apply(float a) => Single.Finish<TFtz, Off>((float)TFunction.Of(Single.Flush<TFtz>(a)));

    public static Vector256<float> Apply(Vector256<float> a)
    {
        a = Single.Flush<TFtz>(a);
        return Single.Finish<TFtz, Off>(Vector256.Narrow(TFunction.Of(Vector256.WidenLower(a)), TFunction.Of(Vector256.WidenUpper(a))));
    }
}

/// <summary>Division as a * (1 / b): divisors above 2^126 count as infinite.</summary>
internal readonly struct SingleQuotientApproximate<TFtz> : IOp2<float, float, float> where TFtz : struct, IFlag
{
    public static float Apply(float a, float b)
    {
        b = Math.Abs(b) > 8.50705917e37f ? float.CopySign(float.PositiveInfinity, b) : b;
        a = Single.Flush<TFtz>(a);
        b = Single.Flush<TFtz>(b);
        return Single.Finish<TFtz, Off>(float.IsInfinity(a) && float.IsInfinity(b) ? float.NaN : a / b);
    }
}

/// <summary>The coarse f64 approximations: the low 32 bits of the result are 0, subnormal numbers too.</summary>
internal readonly struct DoubleFunction<TFunction, TFtz> : IOp1<double, double> where TFunction : struct, IFunction where TFtz : struct, IFlag
{
    public static double Apply(double a)
    {
        double value = TFunction.Of(Flush(a));
        return double.IsNaN(value) ? Doubles.Finish(value) : Flush(BitConverter.UInt64BitsToDouble(BitConverter.DoubleToUInt64Bits(value) & 0xFFFFFFFF00000000));
    }

    private static double Flush(double a) => TFtz.Value && Math.Abs(a) < 2.2250738585072014e-308 ? double.CopySign(0, a) : a;
}

internal readonly struct ReciprocalFunction : IFunction
{
    public static double Of(double a) => 1 / a;
}

/// <summary>Classes of numbers that <c>testp</c> tells apart.</summary>
internal interface INumberClass
{
    static abstract bool Has(double value, double smallestNormal);
}

internal readonly struct IsFinite : INumberClass
{
    public static bool Has(double value, double smallestNormal) => double.IsFinite(value);
}

internal readonly struct IsInfinite : INumberClass
{
    public static bool Has(double value, double smallestNormal) => double.IsInfinity(value);
}

internal readonly struct IsNumber : INumberClass
{
    public static bool Has(double value, double smallestNormal) => !double.IsNaN(value);
}

internal readonly struct IsNotANumber : INumberClass
{
    public static bool Has(double value, double smallestNormal) => double.IsNaN(value);
}

/// <summary>Zeros count as normal.</summary>
internal readonly struct IsNormal : INumberClass
{
    public static bool Has(double value, double smallestNormal) => double.IsFinite(value) && (value == 0 || Math.Abs(value) >= smallestNormal);
}

internal readonly struct IsSubnormal : INumberClass
{
    public static bool Has(double value, double smallestNormal) => value != 0 && Math.Abs(value) < smallestNormal;
}
