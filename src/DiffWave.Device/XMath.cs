namespace DiffWave.Device;

/// <summary>
/// Elementary functions for kernels, made of IEEE additions, multiplications, fused multiply-adds and divisions in a fixed order: ordinary C#, the emulator and a GPU give the same bits.
/// Errors are the greatest found against double precision, in units of the last place. Functions whose name ends in Approx are the device's fast instructions instead, whose bits differ
/// from place to place.
/// </summary>
public static partial class XMath
{
    /// <summary>The circle's circumference by its diameter.</summary>
    public const float PI = 3.14159265f;

    /// <summary>The base of natural logarithms.</summary>
    public const float E = 2.71828183f;

    // 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum, ties to even.
    private const float Rounder = 12582912;
    private const int RounderBits = 0x4B400000;

    /// <summary>The value without its sign.</summary>
    public static float Abs(float value) => MathF.Abs(value);

    /// <summary>The value without its sign.</summary>
    public static double Abs(double value) => Math.Abs(value);

    /// <summary>The value without its sign; the most negative one stays.</summary>
    public static int Abs(int value) => IntrinsicMath.Abs(value);

    /// <summary>The smaller of both; NaN if one is NaN.</summary>
    public static float Min(float first, float second) => MathF.Min(first, second);

    /// <summary>The smaller of both; NaN if one is NaN.</summary>
    public static double Min(double first, double second) => Math.Min(first, second);

    /// <summary>The smaller of both.</summary>
    public static int Min(int first, int second) => IntrinsicMath.Min(first, second);

    /// <summary>The smaller of both.</summary>
    public static uint Min(uint first, uint second) => IntrinsicMath.Min(first, second);

    /// <summary>The smaller of both.</summary>
    public static long Min(long first, long second) => IntrinsicMath.Min(first, second);

    /// <summary>The smaller of both.</summary>
    public static ulong Min(ulong first, ulong second) => IntrinsicMath.Min(first, second);

    /// <summary>The greater of both; NaN if one is NaN.</summary>
    public static float Max(float first, float second) => MathF.Max(first, second);

    /// <summary>The greater of both; NaN if one is NaN.</summary>
    public static double Max(double first, double second) => Math.Max(first, second);

    /// <summary>The greater of both.</summary>
    public static int Max(int first, int second) => IntrinsicMath.Max(first, second);

    /// <summary>The greater of both.</summary>
    public static uint Max(uint first, uint second) => IntrinsicMath.Max(first, second);

    /// <summary>The greater of both.</summary>
    public static long Max(long first, long second) => IntrinsicMath.Max(first, second);

    /// <summary>The greater of both.</summary>
    public static ulong Max(ulong first, ulong second) => IntrinsicMath.Max(first, second);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static float Clamp(float value, float min, float max) => MathF.Max(MathF.Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static double Clamp(double value, double min, double max) => Math.Max(Math.Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static int Clamp(int value, int min, int max) => IntrinsicMath.Clamp(value, min, max);

    /// <summary>The greatest integer not above the value.</summary>
    public static float Floor(float value) => MathF.Floor(value);

    /// <summary>The greatest integer not above the value.</summary>
    public static double Floor(double value) => Math.Floor(value);

    /// <summary>The smallest integer not below the value.</summary>
    public static float Ceiling(float value) => MathF.Ceiling(value);

    /// <summary>The smallest integer not below the value.</summary>
    public static double Ceiling(double value) => Math.Ceiling(value);

    /// <summary>The integer next to the value towards zero.</summary>
    public static float Truncate(float value) => MathF.Truncate(value);

    /// <summary>The integer next to the value towards zero.</summary>
    public static double Truncate(double value) => Math.Truncate(value);

    /// <summary>The nearest integer, ties to even.</summary>
    public static float Round(float value) => MathF.Round(value);

    /// <summary>The nearest integer, ties to even.</summary>
    public static double Round(double value) => Math.Round(value);

    /// <summary>-1, 0 or 1; 0 for NaN.</summary>
    public static int Sign(float value) => value > 0 ? 1 : value < 0 ? -1 : 0;

    /// <summary>-1, 0 or 1; 0 for NaN.</summary>
    public static int Sign(double value) => value > 0 ? 1 : value < 0 ? -1 : 0;

    /// <summary>Whether the value is not a number.</summary>
    public static bool IsNaN(float value) => float.IsNaN(value);

    /// <summary>Whether the value is not a number.</summary>
    public static bool IsNaN(double value) => double.IsNaN(value);

    /// <summary>Whether the value is positive or negative infinity.</summary>
    public static bool IsInfinity(float value) => MathF.Abs(value) == float.PositiveInfinity;

    /// <summary>Whether the value is positive or negative infinity.</summary>
    public static bool IsInfinity(double value) => Math.Abs(value) == double.PositiveInfinity;

    /// <summary>Whether the value is neither NaN nor infinite.</summary>
    public static bool IsFinite(float value) => MathF.Abs(value) < float.PositiveInfinity;

    /// <summary>Whether the value is neither NaN nor infinite.</summary>
    public static bool IsFinite(double value) => Math.Abs(value) < double.PositiveInfinity;

    /// <summary>Square root, correctly rounded.</summary>
    public static float Sqrt(float value) => MathF.Sqrt(value);

    /// <summary>Square root, correctly rounded.</summary>
    public static double Sqrt(double value) => Math.Sqrt(value);

    /// <summary>1 / value, correctly rounded.</summary>
    public static float Rcp(float value) => 1 / value;

    /// <summary>1 / value, correctly rounded.</summary>
    public static double Rcp(double value) => 1 / value;

    /// <summary>1 / sqrt(value), two correctly rounded operations: up to 1.5 ulp.</summary>
    public static float Rsqrt(float value) => 1 / MathF.Sqrt(value);

    /// <summary>1 / sqrt(value), two correctly rounded operations: up to 1.5 ulp.</summary>
    public static double Rsqrt(double value) => 1 / Math.Sqrt(value);

    /// <summary>e to the power x by the device's instruction for powers of 2: a few ulp, growing with |x|.</summary>
    public static float ExpApprox(float x) => Ptx.Ex2Approx(x * 1.44269502f);

    /// <summary>2 to the power x, see <see cref="Ptx.Ex2Approx(float)"/>.</summary>
    public static float Exp2Approx(float x) => Ptx.Ex2Approx(x);

    /// <summary>Natural logarithm by the device's instruction for base 2.</summary>
    public static float LogApprox(float x) => Ptx.Lg2Approx(x) * 0.693147182f;

    /// <summary>Logarithm to base 2, see <see cref="Ptx.Lg2Approx"/>.</summary>
    public static float Log2Approx(float x) => Ptx.Lg2Approx(x);

    /// <summary>Sine, see <see cref="Ptx.SinApprox"/>.</summary>
    public static float SinApprox(float x) => Ptx.SinApprox(x);

    /// <summary>Cosine, see <see cref="Ptx.CosApprox"/>.</summary>
    public static float CosApprox(float x) => Ptx.CosApprox(x);

    /// <summary>Hyperbolic tangent, see <see cref="Ptx.TanhApprox(float)"/>.</summary>
    public static float TanhApprox(float x) => Ptx.TanhApprox(x);

    /// <summary>1 / x, see <see cref="Ptx.RcpApprox"/>.</summary>
    public static float RcpApprox(float x) => Ptx.RcpApprox(x);

    /// <summary>1 / sqrt(x), see <see cref="Ptx.RsqrtApprox"/>.</summary>
    public static float RsqrtApprox(float x) => Ptx.RsqrtApprox(x);
}
