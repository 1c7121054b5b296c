namespace DiffWave.Device.Tests;

public class SpecialValueTests
{
    private static readonly float[] Edges =
    [
        0, -0f, 1, -1, 0.5f, -0.5f, 2, -2, 3, -3, 2.5f, -2.5f, 1e30f, -1e30f, 16777215, 16777216, -16777215, 8388609, float.Epsilon, -float.Epsilon, 1.17549435e-38f, 1.1754942e-38f,
        float.MaxValue, float.MinValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 0.99999994f, 1.0000001f,
    ];

    private static void SameBits(float expected, float actual, string what)
    {
        if (float.IsNaN(expected)) Assert.True(float.IsNaN(actual), $"{what}: {actual} instead of NaN");
        else Assert.True(BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(actual), $"{what}: {actual:R} instead of {expected:R}");
    }

    [Theory]
    [InlineData("Exp", 0, 1)]
    [InlineData("Exp", -0f, 1)]
    [InlineData("Exp", float.NegativeInfinity, 0)]
    [InlineData("Exp", float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData("Exp", 88.72284f, float.PositiveInfinity)] // the first argument whose power lies beyond the largest float
    [InlineData("Exp", -103.97f, float.Epsilon)]
    [InlineData("Exp", -103.98f, 0)]
    [InlineData("Exp", float.NaN, float.NaN)]
    [InlineData("Exp2", -149, float.Epsilon)]
    [InlineData("Exp2", -150, 0)]
    [InlineData("Exp2", 127, 1.7014118e38f)]
    [InlineData("Exp2", 128, float.PositiveInfinity)]
    [InlineData("Exp2", float.MinValue, 0)]
    [InlineData("Exp2", float.MaxValue, float.PositiveInfinity)]
    [InlineData("Exp2", float.NaN, float.NaN)]
    [InlineData("Log", 1, 0)]
    [InlineData("Log", 0, float.NegativeInfinity)]
    [InlineData("Log", -0f, float.NegativeInfinity)]
    [InlineData("Log", -float.Epsilon, float.NaN)]
    [InlineData("Log", float.NegativeInfinity, float.NaN)]
    [InlineData("Log", float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData("Log", float.NaN, float.NaN)]
    [InlineData("Log2", float.Epsilon, -149)]
    [InlineData("Log2", 0, float.NegativeInfinity)]
    [InlineData("Log2", -1, float.NaN)]
    [InlineData("Log10", 1000, 3)]
    [InlineData("Log10", 0, float.NegativeInfinity)]
    [InlineData("Log10", -1, float.NaN)]
    [InlineData("Sin", 0, 0)]
    [InlineData("Sin", -0f, -0f)]
    [InlineData("Sin", float.Epsilon, float.Epsilon)]
    [InlineData("Sin", float.PositiveInfinity, float.NaN)]
    [InlineData("Sin", float.NegativeInfinity, float.NaN)]
    [InlineData("Sin", float.NaN, float.NaN)]
    [InlineData("Cos", -0f, 1)]
    [InlineData("Cos", float.NegativeInfinity, float.NaN)]
    [InlineData("Cos", float.NaN, float.NaN)]
    [InlineData("Tan", -0f, -0f)]
    [InlineData("Tan", float.PositiveInfinity, float.NaN)]
    [InlineData("Sinh", -0f, -0f)]
    [InlineData("Sinh", -90, float.NegativeInfinity)]
    [InlineData("Sinh", 89.4159f, 3.402534e38f)] // beyond where e^x itself is a float; the exact value by 60 digits
    [InlineData("Sinh", float.NaN, float.NaN)]
    [InlineData("Cosh", -90, float.PositiveInfinity)]
    [InlineData("Cosh", 0, 1)]
    [InlineData("Cosh", float.NaN, float.NaN)]
    [InlineData("Tanh", -0f, -0f)]
    [InlineData("Tanh", 9.02f, 1)]
    [InlineData("Tanh", float.NegativeInfinity, -1)]
    [InlineData("Tanh", float.NaN, float.NaN)]
    public void SpecialArgumentsGiveTheirValues(string name, float x, float expected) => SameBits(expected, name switch
    {
        "Exp" => XMath.Exp(x),
        "Exp2" => XMath.Exp2(x),
        "Log" => XMath.Log(x),
        "Log2" => XMath.Log2(x),
        "Log10" => XMath.Log10(x),
        "Sin" => XMath.Sin(x),
        "Cos" => XMath.Cos(x),
        "Tan" => XMath.Tan(x),
        "Sinh" => XMath.Sinh(x),
        "Cosh" => XMath.Cosh(x),
        _ => XMath.Tanh(x),
    }, $"{name}({x:R})");

    [Fact]
    public void PowersOfTwoAreExact()
    {
        for (int k = -149; k <= 127; k++)
        {
            SameBits((float)Math.ScaleB(1, k), XMath.Exp2(k), $"Exp2({k})");
            SameBits(k, XMath.Log2((float)Math.ScaleB(1, k)), $"Log2(2^{k})");
        }
    }

    [Fact]
    public void PowHasTheSpecialValuesOfTheLibrary()
    {
        foreach (float x in Edges)
            foreach (float y in Edges)
                if (!float.IsFinite(MathF.Pow(x, y)) || MathF.Pow(x, y) is 0 or 1 or -1 || float.IsInteger(y) && Math.Abs(y) <= 1)
                    SameBits(MathF.Pow(x, y), XMath.Pow(x, y), $"Pow({x:R}, {y:R})");
    }

    [Fact]
    public void PowIsWithinTheStatedBound()
    {
        var random = new Random(11);
        double worst = 0;
        for (int i = 0; i < 300_000; i++)
        {
            float x = BitConverter.UInt32BitsToSingle((uint)random.Next(1, 0x7F800000)), y = (float)((random.NextDouble() * 2 - 1) * 160 / Math.Log2(x == 1 ? 2 : x));
            double exact = Math.Pow(x, y);
            float actual = XMath.Pow(x, y);
            if (exact is < 1e-45 or > 3.4e38) continue;
            worst = Math.Max(worst, Math.Abs(actual - exact) / Math.ScaleB(1, Math.Max(-126, Math.ILogB(exact)) - 23));
        }
        Assert.InRange(worst, 0.4, 0.51);
    }

    [Fact]
    public void SineAndCosineTogetherAreTheSameBits()
    {
        for (uint bits = 0; bits < 0x7F800000; bits += 99991)
        {
            float x = BitConverter.UInt32BitsToSingle(bits);
            XMath.SinCos(-x, out float sin, out float cos);
            SameBits(XMath.Sin(-x), sin, $"sin({-x:R})");
            SameBits(XMath.Cos(-x), cos, $"cos({-x:R})");
        }
    }

    [Fact]
    public void ComparisonsAndRoundingsFollowTheLibrary()
    {
        foreach (float x in Edges)
        {
            SameBits(MathF.Floor(x), XMath.Floor(x), "floor");
            SameBits(MathF.Ceiling(x), XMath.Ceiling(x), "ceiling");
            SameBits(MathF.Truncate(x), XMath.Truncate(x), "truncate");
            SameBits(MathF.Round(x), XMath.Round(x), "round");
            Assert.Equal(float.IsNaN(x), XMath.IsNaN(x));
            Assert.Equal(float.IsInfinity(x), XMath.IsInfinity(x));
            Assert.Equal(float.IsFinite(x), XMath.IsFinite(x));
            Assert.Equal(float.IsFinite(x), XMath.IsFinite((double)x));
            Assert.Equal(float.IsNaN(x) ? 0 : Math.Sign(x), XMath.Sign(x));
            if (!float.IsNaN(x)) SameBits(Math.Clamp(x, -1, 2.5f), XMath.Clamp(x, -1, 2.5f), "clamp");
        }
    }

    [Fact]
    public void IntegerBitsAreCountedAsByTheLibrary()
    {
        foreach (int x in new[] { 0, 1, -1, int.MinValue, int.MaxValue, 0x00F0, 6 << 20 })
        {
            Assert.Equal(int.PopCount(x), IntrinsicMath.PopCount(x));
            Assert.Equal(int.LeadingZeroCount(x), IntrinsicMath.LeadingZeroCount(x));
            Assert.Equal(int.TrailingZeroCount(x), IntrinsicMath.TrailingZeroCount(x));
            long wide = (long)x << 17;
            Assert.Equal(long.PopCount(wide), IntrinsicMath.PopCount(wide));
            Assert.Equal(long.LeadingZeroCount(wide), IntrinsicMath.LeadingZeroCount(wide));
            Assert.Equal(long.TrailingZeroCount(wide), IntrinsicMath.TrailingZeroCount(wide));
        }
        Assert.Equal(int.MinValue, IntrinsicMath.Abs(int.MinValue));
        Assert.Equal(7, IntrinsicMath.Abs((sbyte)-7));
        Assert.Equal(-3, IntrinsicMath.Clamp(-7, -3, 5));
    }
}
