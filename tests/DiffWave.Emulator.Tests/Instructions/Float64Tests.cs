namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>f64 arithmetic against fractions of integers, in every rounding mode.</summary>
public class Float64Tests
{
    private static readonly FloatFormat Format = FloatFormat.F64;

    public static TheoryData<string> RoundingModes => ["rn", "rz", "rm", "rp"];

    [Theory, MemberData(nameof(RoundingModes))]
    public void AddRoundsTheExactSum(string mode) => Check($"add.{mode}.f64", (a, b) => Reference.Add(Format, a, b, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void SubRoundsTheExactDifference(string mode) => Check($"sub.{mode}.f64", (a, b) => Reference.Add(Format, a, b ^ Format.SignBit, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void MulRoundsTheExactProduct(string mode) => Check($"mul.{mode}.f64", (a, b) => Reference.Multiply(Format, a, b, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void DivRoundsTheExactQuotient(string mode) => Check($"div.{mode}.f64", (a, b) => Reference.Divide(Format, a, b, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void FmaRoundsOnce(string mode)
    {
        var (a, b, c) = Numbers.Triples(Numbers.EdgeDoubles, Numbers.Double, 300);
        double[] actual = Instruction.Run<double>($"fma.{mode}.f64", a.Doubles(), b.Doubles(), c.Doubles());
        for (int i = 0; i < a.Length; i++) Same($"fma.{mode}", Reference.MultiplyAdd(Format, a[i], b[i], c[i], mode), actual[i], a[i], b[i], c[i]);
    }

    [Theory, MemberData(nameof(RoundingModes))]
    public void SqrtRoundsTheExactRoot(string mode) => Check1($"sqrt.{mode}.f64", a => Reference.SquareRoot(Format, a, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void RcpRoundsTheExactReciprocal(string mode) => Check1($"rcp.{mode}.f64", a => Reference.Divide(Format, 0x3FF0000000000000, a, mode));

    [Fact]
    public void AddSubAndMulWithoutAModeRoundToNearest()
    {
        Check("add.f64", (a, b) => Reference.Add(Format, a, b, "rn"));
        Check("sub.f64", (a, b) => Reference.Add(Format, a, b ^ Format.SignBit, "rn"));
        Check("mul.f64", (a, b) => Reference.Multiply(Format, a, b, "rn"));
    }

    [Fact]
    public void AbsAndNegChangeOnlyTheSign()
    {
        ulong[] a = Numbers.EdgeDoubles;
        Assert.Equal(a.Select(x => x & ~Format.SignBit), Instruction.Run<ulong>("abs.f64", a));
        Assert.Equal(a.Select(x => x ^ Format.SignBit), Instruction.Run<ulong>("neg.f64", a));
    }

    [Fact]
    public void MinAndMaxPreferNumbersToNaN()
    {
        Check("min.f64", (a, b) => Reference.Extreme(Format, a, b, greater: false, nan: false));
        Check("max.f64", (a, b) => Reference.Extreme(Format, a, b, greater: true, nan: false));
    }

    [Fact]
    public void CopysignTakesTheSignOfTheFirst()
    {
        double[] sign = [1, -0.0, -3, double.NegativeInfinity], value = [-5, 5, double.PositiveInfinity, 0.0];
        Assert.Equal([5.0, -5.0, double.NegativeInfinity, -0.0], Instruction.Run<double>("copysign.f64", sign, value));
    }

    // At most 2^-20 off, the low half of the result 0.
    [Theory]
    [InlineData("rcp.approx.ftz.f64", false)]
    [InlineData("rsqrt.approx.ftz.f64", true)]
    [InlineData("rsqrt.approx.f64", true)]
    public void ApproximationsAreCoarse(string opcode, bool root)
    {
        double[] a = [1, 3, 0.1, 1e300, 2.5e-10, 7e22, 0.0, -0.0, double.PositiveInfinity, double.NaN, 5e-324];
        double[] actual = Instruction.Run<double>(opcode, a);
        for (int i = 0; i < 6; i++)
        {
            double exact = 1 / (root ? Math.Sqrt(a[i]) : a[i]);
            Assert.InRange(actual[i] / exact, 1 - 1e-6, 1 + 1e-6);
            Assert.Equal(0u, (uint)BitConverter.DoubleToUInt64Bits(actual[i]));
        }

        Assert.Equal([double.PositiveInfinity, double.NegativeInfinity, 0.0, double.NaN], actual[6..10]);
        if (opcode.Contains("ftz")) Assert.Equal(double.PositiveInfinity, actual[10]);
        else Assert.InRange(actual[10] * Math.Sqrt(5e-324), 1 - 1e-6, 1 + 1e-6);
    }

    private static void Check(string opcode, Func<ulong, ulong, ulong> reference)
    {
        var (a, b) = Numbers.Pairs(Numbers.EdgeDoubles, Numbers.Double, 300);
        double[] actual = Instruction.Run<double>(opcode, a.Doubles(), b.Doubles());
        for (int i = 0; i < a.Length; i++) Same(opcode, reference(a[i], b[i]), actual[i], a[i], b[i]);
    }

    private static void Check1(string opcode, Func<ulong, ulong> reference)
    {
        var generator = new Random(3);
        ulong[] a = [.. Numbers.EdgeDoubles, .. Enumerable.Range(0, 60).Select(_ => Numbers.Double(generator) & (generator.Next(8) == 0 ? ulong.MaxValue : ~Format.SignBit))];
        double[] actual = Instruction.Run<double>(opcode, a.Doubles());
        for (int i = 0; i < a.Length; i++) Same(opcode, reference(a[i]), actual[i], a[i]);
    }

    private static void Same(string opcode, ulong expected, double actual, params ulong[] operands)
    {
        ulong bits = BitConverter.DoubleToUInt64Bits(actual);
        if (expected != bits) Assert.Fail($"{opcode} of {string.Join(", ", operands.Select(a => a.ToString("X16")))}: {bits:X16}, not {expected:X16}");
    }
}
