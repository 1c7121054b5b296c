namespace DiffWave.Device;

public static partial class Ptx
{
    /// <summary><c>ex2.approx.f32</c>: 2 to the power x, relative error up to 2^-22.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("ex2.approx.f32 {r}, {0}")]
    public static float Ex2Approx(float x) => MathF.Pow(2, x);

    /// <summary><c>ex2.approx.ftz.f32</c>: 2 to the power x, relative error up to 2^-22, subnormal arguments and results being zero: one instruction of the device instead of several.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("ex2.approx.ftz.f32 {r}, {0}")]
    public static float Ex2ApproxFtz(float x) => MathF.Pow(2, x);

    /// <summary><c>lg2.approx.f32</c>: logarithm to base 2, error up to 2^-22 (absolute near 1).</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("lg2.approx.f32 {r}, {0}")]
    public static float Lg2Approx(float x) => MathF.Log2(x);

    /// <summary><c>sin.approx.f32</c>: sine, absolute error up to 2^-20.9 within -pi .. pi and growing outside.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("sin.approx.f32 {r}, {0}")]
    public static float SinApprox(float x) => MathF.Sin(x);

    /// <summary><c>cos.approx.f32</c>: cosine, absolute error up to 2^-20.9 within -pi .. pi and growing outside.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("cos.approx.f32 {r}, {0}")]
    public static float CosApprox(float x) => MathF.Cos(x);

    /// <summary><c>tanh.approx.f32</c>: hyperbolic tangent, relative error up to 2^-11.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("tanh.approx.f32 {r}, {0}", MinimumSm = 75)]
    public static float TanhApprox(float x) => MathF.Tanh(x);

    /// <summary><c>rcp.approx.f32</c>: 1 / x, error up to 1 ulp.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("rcp.approx.f32 {r}, {0}")]
    public static float RcpApprox(float x) => 1 / x;

    /// <summary><c>rcp.approx.ftz.f32</c>: 1 / x, error up to 1 ulp, subnormal arguments and results being zero.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("rcp.approx.ftz.f32 {r}, {0}")]
    public static float RcpApproxFtz(float x) => 1 / x;

    /// <summary><c>rsqrt.approx.f32</c>: 1 / sqrt(x), relative error up to 2^-22.4.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("rsqrt.approx.f32 {r}, {0}")]
    public static float RsqrtApprox(float x) => 1 / MathF.Sqrt(x);

    /// <summary><c>sqrt.approx.f32</c>: square root, relative error up to 2^-23.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("sqrt.approx.f32 {r}, {0}")]
    public static float SqrtApprox(float x) => MathF.Sqrt(x);

    /// <summary><c>div.approx.f32</c>: x / y, error up to 2 ulp for y within 2^-126 .. 2^126.</summary>
    /// <param name="x">Dividend.</param>
    /// <param name="y">Divisor.</param>
    [PtxInstruction("div.approx.f32 {r}, {0}, {1}")]
    public static float DivApprox(float x, float y) => x / y;

    /// <summary><c>add.rn.f16x2</c>: a + b for both numbers.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("add.rn.f16x2 {r}, {0}, {1}")]
    public static Half2 Add(Half2 a, Half2 b) => new((float)a.Low + (float)b.Low, (float)a.High + (float)b.High);

    /// <summary><c>sub.rn.f16x2</c>: a - b for both numbers.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("sub.rn.f16x2 {r}, {0}, {1}")]
    public static Half2 Sub(Half2 a, Half2 b) => new((float)a.Low - (float)b.Low, (float)a.High - (float)b.High);

    /// <summary><c>mul.rn.f16x2</c>: a * b for both numbers.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("mul.rn.f16x2 {r}, {0}, {1}")]
    public static Half2 Mul(Half2 a, Half2 b) => new((float)a.Low * (float)b.Low, (float)a.High * (float)b.High);

    /// <summary><c>fma.rn.f16x2</c>: a * b + c, rounded once, for both numbers.</summary>
    /// <param name="a">Factor.</param>
    /// <param name="b">Factor.</param>
    /// <param name="c">Summand.</param>
    [PtxInstruction("fma.rn.f16x2 {r}, {0}, {1}, {2}")]
    public static Half2 Fma(Half2 a, Half2 b, Half2 c) => new(Fused(a.Low, b.Low, c.Low), Fused(a.High, b.High, c.High));

    /// <summary><c>min.f16x2</c>: the smaller for both numbers; of a number and a NaN the number.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("min.f16x2 {r}, {0}, {1}", MinimumSm = 80)]
    public static Half2 Min(Half2 a, Half2 b) => new(float.MinNumber((float)a.Low, (float)b.Low), float.MinNumber((float)a.High, (float)b.High));

    /// <summary><c>max.f16x2</c>: the greater for both numbers; of a number and a NaN the number.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("max.f16x2 {r}, {0}, {1}", MinimumSm = 80)]
    public static Half2 Max(Half2 a, Half2 b) => new(float.MaxNumber((float)a.Low, (float)b.Low), float.MaxNumber((float)a.High, (float)b.High));

    /// <summary><c>neg.f16x2</c>: both signs turned.</summary>
    /// <param name="a">Numbers.</param>
    [PtxInstruction("neg.f16x2 {r}, {0}")]
    public static Half2 Neg(Half2 a) => new(a.Bits ^ 0x80008000);

    /// <summary><c>abs.f16x2</c>: both signs cleared.</summary>
    /// <param name="a">Numbers.</param>
    [PtxInstruction("abs.f16x2 {r}, {0}")]
    public static Half2 Abs(Half2 a) => new(a.Bits & 0x7FFF7FFF);

    /// <summary><c>ex2.approx.f16x2</c>: 2 to the power x for both numbers, relative error up to 2^-9.9.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("ex2.approx.f16x2 {r}, {0}", MinimumSm = 75)]
    public static Half2 Ex2Approx(Half2 x) => new(MathF.Pow(2, (float)x.Low), MathF.Pow(2, (float)x.High));

    /// <summary><c>tanh.approx.f16x2</c>: hyperbolic tangent of both numbers, error up to 2^-10.987 absolute.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("tanh.approx.f16x2 {r}, {0}", MinimumSm = 75)]
    public static Half2 TanhApprox(Half2 x) => new(MathF.Tanh((float)x.Low), MathF.Tanh((float)x.High));

    /// <summary><c>add.rn.bf16x2</c>: a + b for both numbers.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("add.rn.bf16x2 {r}, {0}, {1}", MinimumSm = 90)]
    public static BFloat162 Add(BFloat162 a, BFloat162 b) => new((float)a.Low + (float)b.Low, (float)a.High + (float)b.High);

    /// <summary><c>sub.rn.bf16x2</c>: a - b for both numbers.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("sub.rn.bf16x2 {r}, {0}, {1}", MinimumSm = 90)]
    public static BFloat162 Sub(BFloat162 a, BFloat162 b) => new((float)a.Low - (float)b.Low, (float)a.High - (float)b.High);

    /// <summary><c>mul.rn.bf16x2</c>: a * b for both numbers.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("mul.rn.bf16x2 {r}, {0}, {1}", MinimumSm = 90)]
    public static BFloat162 Mul(BFloat162 a, BFloat162 b) => new((float)a.Low * (float)b.Low, (float)a.High * (float)b.High);

    /// <summary><c>fma.rn.bf16x2</c>: a * b + c, rounded once, for both numbers.</summary>
    /// <param name="a">Factor.</param>
    /// <param name="b">Factor.</param>
    /// <param name="c">Summand.</param>
    [PtxInstruction("fma.rn.bf16x2 {r}, {0}, {1}, {2}", MinimumSm = 80)]
    public static BFloat162 Fma(BFloat162 a, BFloat162 b, BFloat162 c) => new(Fused(a.Low, b.Low, c.Low), Fused(a.High, b.High, c.High));

    /// <summary><c>min.bf16x2</c>: the smaller for both numbers; of a number and a NaN the number.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("min.bf16x2 {r}, {0}, {1}", MinimumSm = 80)]
    public static BFloat162 Min(BFloat162 a, BFloat162 b) => new(float.MinNumber((float)a.Low, (float)b.Low), float.MinNumber((float)a.High, (float)b.High));

    /// <summary><c>max.bf16x2</c>: the greater for both numbers; of a number and a NaN the number.</summary>
    /// <param name="a">Left.</param>
    /// <param name="b">Right.</param>
    [PtxInstruction("max.bf16x2 {r}, {0}, {1}", MinimumSm = 80)]
    public static BFloat162 Max(BFloat162 a, BFloat162 b) => new(float.MaxNumber((float)a.Low, (float)b.Low), float.MaxNumber((float)a.High, (float)b.High));

    /// <summary><c>neg.bf16x2</c>: both signs turned.</summary>
    /// <param name="a">Numbers.</param>
    [PtxInstruction("neg.bf16x2 {r}, {0}", MinimumSm = 80)]
    public static BFloat162 Neg(BFloat162 a) => new(a.Bits ^ 0x80008000);

    /// <summary><c>abs.bf16x2</c>: both signs cleared.</summary>
    /// <param name="a">Numbers.</param>
    [PtxInstruction("abs.bf16x2 {r}, {0}", MinimumSm = 80)]
    public static BFloat162 Abs(BFloat162 a) => new(a.Bits & 0x7FFF7FFF);

    /// <summary><c>ex2.approx.ftz.bf16x2</c>: 2 to the power x for both numbers, relative error up to 2^-7, subnormal arguments and results being zero.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("ex2.approx.ftz.bf16x2 {r}, {0}", MinimumSm = 90)]
    public static BFloat162 Ex2ApproxFtz(BFloat162 x) => new(MathF.Pow(2, x.Low), MathF.Pow(2, x.High));

    /// <summary><c>tanh.approx.bf16x2</c>: hyperbolic tangent of both numbers, error up to 2^-8 relative.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("tanh.approx.bf16x2 {r}, {0}", MinimumSm = 90)]
    public static BFloat162 TanhApprox(BFloat162 x) => new(MathF.Tanh((float)x.Low), MathF.Tanh((float)x.High));

    /// <summary><c>cvt.rn.f16x2.f32</c>: two floats to half precision, ties to even.</summary>
    /// <param name="low">First number.</param>
    /// <param name="high">Second number.</param>
    [PtxInstruction("cvt.rn.f16x2.f32 {r}, {1}, {0}", MinimumSm = 80)]
    public static Half2 CvtRnF16x2(float low, float high) => new(low, high);

    /// <summary><c>cvt.rn.bf16x2.f32</c>: two floats to bfloat16, ties to even.</summary>
    /// <param name="low">First number.</param>
    /// <param name="high">Second number.</param>
    [PtxInstruction("cvt.rn.bf16x2.f32 {r}, {1}, {0}", MinimumSm = 80)]
    public static BFloat162 CvtRnBf16x2(float low, float high) => new(low, high);

    /// <summary><c>cvt.rn.bf16.f32</c>: a float to bfloat16, ties to even.</summary>
    /// <param name="x">Argument.</param>
    [PtxInstruction("cvt.rn.bf16.f32 {r}, {0}", MinimumSm = 80)]
    public static BFloat16 CvtRnBf16(float x) => (BFloat16)x;

    /// <summary><c>cvt.rna.tf32.f32</c>: a float rounded to 10 bits of fraction, ties away from zero, as matrix products in TF32 want it.</summary>
    /// <param name="x">Argument.</param>
    /// <returns>The bits of a float whose 13 lowest are zero.</returns>
    [PtxInstruction("cvt.rna.tf32.f32 {r}, {0}", MinimumSm = 80)]
    public static uint CvtRnaTf32(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return float.IsNaN(x) ? 0x7FFFFFFF : float.IsInfinity(x) ? bits : (bits + 0x1000) & 0xFFFFE000;
    }

    // Exact in double: the product has 22 bits and no result that fits lies further than 53 bits from its summands' last ones.
    private static Half Fused(Half a, Half b, Half c) => (Half)Math.FusedMultiplyAdd((double)a, (double)b, (double)c);

    // The product is exact in double. The sum is rounded to odd, in double and in float, so that the last rounding sees on which side of a tie it was.
    private static BFloat16 Fused(BFloat16 a, BFloat16 b, BFloat16 c)
    {
        double product = (double)a * b, sum = product + c, back = sum - product, error = product - (sum - back) + (c - back);
        if (double.IsFinite(error) && error != 0 && (BitConverter.DoubleToInt64Bits(sum) & 1) == 0)
            sum = error > 0 ? Math.BitIncrement(sum) : Math.BitDecrement(sum);
        float single = (float)sum;
        if (double.IsFinite(sum) && single != sum)
        {
            uint bits = BitConverter.SingleToUInt32Bits(single);
            single = BitConverter.UInt32BitsToSingle((Math.Abs((double)single) > Math.Abs(sum) ? bits - 1 : bits) | 1);
        }
        return (BFloat16)single;
    }
}
