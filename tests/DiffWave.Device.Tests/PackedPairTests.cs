using System.Numerics;

namespace DiffWave.Device.Tests;

public class PackedPairTests
{
    [Fact]
    public void EveryBFloat16SurvivesTheWayThroughFloat()
    {
        for (int bits = 0; bits <= 0xFFFF; bits++)
        {
            float value = new BFloat16((ushort)bits);
            Assert.Equal(float.IsNaN(value) ? 0x7FFF : bits, ((BFloat16)value).Bits);
        }
    }

    [Fact]
    public void ConversionTakesTheNearestAndTheEvenOfTwo()
    {
        for (uint bits = 0; bits < 0x7F800000; bits += 977)
        {
            float x = BitConverter.UInt32BitsToSingle(bits);
            // All arithmetic is exact in double: the neighbours of x whose lower 16 bits are zero, infinity counting as 2^128.
            ushort below = (ushort)(bits >> 16), chosen = ((BFloat16)x).Bits;
            double down = x - Value(below), up = Value((ushort)(below + 1)) - x;
            int expected = down < up || down == up && below % 2 == 0 ? below : below + 1;
            Assert.Equal(expected, chosen);
            Assert.Equal(expected | 0x8000, ((BFloat16)(-x)).Bits);
        }

        static double Value(ushort bits) => bits == 0x7F80 ? Math.ScaleB(1, 128) : new BFloat16(bits);
    }

    [Fact]
    public void PairsKeepTheirOrder()
    {
        var half = new Half2(1.5f, -2);
        Assert.Equal((0xC0003E00u, 1.5f, -2f), (half.Bits, (float)half.Low, (float)half.High));
        Assert.Equal((1.5f, -2f), (half.ToFloat2().X, half.ToFloat2().Y));
        var brain = new BFloat162(1.5f, -2);
        Assert.Equal((0xC0003FC0u, 1.5f, -2f), (brain.Bits, (float)brain.Low, (float)brain.High));
        Assert.Equal((1.5f, -2f), (brain.ToFloat2().X, brain.ToFloat2().Y));
        Assert.Equal(half.Bits, Ptx.CvtRnF16x2(1.5f, -2).Bits);
        Assert.Equal(brain.Bits, Ptx.CvtRnBf16x2(1.5f, -2).Bits);
    }

    [Fact]
    public void PairArithmeticIsExactAndRoundedOnce()
    {
        var random = new Random(3);
        for (int i = 0; i < 10_000; i++)
        {
            uint a = (uint)random.NextInt64(), b = (uint)random.NextInt64(), c = (uint)random.NextInt64();
            if (i % 2 == 0) c = Near(a, b, random); // summands of the product's size, where rounding is delicate
            CheckHalf(new Half2(a), new Half2(b), new Half2(c));
            CheckBrain(new BFloat162(a), new BFloat162(b), new BFloat162(c));
        }

        static uint Near(uint a, uint b, Random random) => (a ^ b) & 0x80008000 | (uint)random.Next(0x7FFF) << 16 | (uint)random.Next(0x7FFF);
    }

    [Fact]
    public void FusedBFloat16SeesWhatLiesBeyondDoublePrecision()
    {
        // 1.0001 squared is 1.00100001 in binary, a tie between 1.0010000 and 1.0010001, which the sign of a summand 2^-100 as large decides.
        var one = new BFloat162(1 + 1 / 16f, 1 + 1 / 16f);
        var up = Ptx.Fma(one, one, new BFloat162(1e-30f, -1e-30f));
        Assert.Equal((0x3F91, 0x3F90), (up.Low.Bits, up.High.Bits));
    }

    private static void CheckHalf(Half2 a, Half2 b, Half2 c)
    {
        if (!Half.IsFinite(a.Low) || !Half.IsFinite(b.Low) || !Half.IsFinite(c.Low)) return;
        double x = (double)a.Low, y = (double)b.Low, z = (double)c.Low;
        Same(x + y, Ptx.Add(a, b).Low);
        Same(x - y, Ptx.Sub(a, b).Low);
        Same(x * y, Ptx.Mul(a, b).Low);
        Assert.Equal(Nearest(Units(x) * Units(y) + (Units(z) << 133), 11, -24), (double)Ptx.Fma(a, b, c).Low);
        Same(double.MinNumber(x, y), Ptx.Min(a, b).Low);
        Same(double.MaxNumber(x, y), Ptx.Max(a, b).Low);
        Same(-x, Ptx.Neg(a).Low);
        Same(Math.Abs(x), Ptx.Abs(a).Low);

        static void Same(double expected, Half actual) => Assert.Equal((double)(Half)expected, (double)actual);
    }

    private static void CheckBrain(BFloat162 a, BFloat162 b, BFloat162 c)
    {
        double x = a.High, y = b.High, z = c.High;
        if (!double.IsFinite(x) || !double.IsFinite(y) || !double.IsFinite(z)) return;
        Assert.Equal(Nearest((Units(x) + Units(y)) << 133, 8, -133), (double)Ptx.Add(a, b).High);
        Assert.Equal(Nearest((Units(x) - Units(y)) << 133, 8, -133), (double)Ptx.Sub(a, b).High);
        Assert.Equal(Nearest(Units(x) * Units(y), 8, -133), (double)Ptx.Mul(a, b).High);
        Assert.Equal(Nearest(Units(x) * Units(y) + (Units(z) << 133), 8, -133), (double)Ptx.Fma(a, b, c).High);
    }

    // A number as an integer in units of 2^-133, the smallest of both formats; products are in units of 2^-266.
    private static BigInteger Units(double value) => (BigInteger)Math.ScaleB(value, 133);

    // An integer in units of 2^-266, rounded to so many bits but not below 2^last, ties to even; beyond the format's range infinite.
    private static double Nearest(BigInteger value, int bits, int last)
    {
        var size = BigInteger.Abs(value);
        int drop = Math.Max((int)size.GetBitLength() - bits, last + 266);
        var unit = BigInteger.One << drop;
        var (quotient, rest) = BigInteger.DivRem(size, unit);
        if (rest * 2 > unit || rest * 2 == unit && !quotient.IsEven) quotient++;
        double result = Math.ScaleB((double)quotient, drop - 266);
        if (result > (bits == 11 ? 65504 : Math.ScaleB(255.0 / 128, 127))) result = double.PositiveInfinity;
        return value.Sign < 0 ? -result : result;
    }
}
