namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>f32 arithmetic against fractions of integers, in every rounding mode.</summary>
public class Float32Tests
{
    private static readonly FloatFormat Format = FloatFormat.F32;

    public static TheoryData<string> RoundingModes => ["rn", "rz", "rm", "rp"];

    [Theory, MemberData(nameof(RoundingModes))]
    public void AddRoundsTheExactSum(string mode) => Check($"add.{mode}", (a, b) => Reference.Add(Format, a, b, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void SubRoundsTheExactDifference(string mode) => Check($"sub.{mode}", (a, b) => Reference.Add(Format, a, b ^ Format.SignBit, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void MulRoundsTheExactProduct(string mode) => Check($"mul.{mode}", (a, b) => Reference.Multiply(Format, a, b, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void DivRoundsTheExactQuotient(string mode) => Check($"div.{mode}", (a, b) => Reference.Divide(Format, a, b, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void FmaRoundsOnce(string mode)
    {
        var (a, b, c) = Numbers.Triples(Numbers.EdgeSingles, Numbers.Single, 1000);
        var expected = a.Select((x, i) => Reference.MultiplyAdd(Format, x, b[i], c[i], mode)).Select(v => (uint)v);
        Assert.Equal(expected, Bits(Instruction.Run<float>($"fma.{mode}.f32", a.Singles(), b.Singles(), c.Singles())));
    }

    [Theory, MemberData(nameof(RoundingModes))]
    public void SqrtRoundsTheExactRoot(string mode) => Check1($"sqrt.{mode}", a => Reference.SquareRoot(Format, a, mode));

    [Theory, MemberData(nameof(RoundingModes))]
    public void RcpRoundsTheExactReciprocal(string mode) => Check1($"rcp.{mode}", a => Reference.Divide(Format, 0x3F800000, a, mode));

    [Fact]
    public void WithoutAModeRoundsToNearest()
    {
        Check("add", (a, b) => Reference.Add(Format, a, b, "rn"));
        Check("sub", (a, b) => Reference.Add(Format, a, b ^ Format.SignBit, "rn"));
        Check("mul", (a, b) => Reference.Multiply(Format, a, b, "rn"));
    }

    [Fact]
    public void FmaSaturatesAndFlushesAndMadIsFma()
    {
        var (a, b, c) = Numbers.Triples(Numbers.EdgeSingles, Numbers.Single, 300);
        uint[] exact = [.. a.Select((x, i) => (uint)Reference.MultiplyAdd(Format, x, b[i], c[i], "rn"))];
        uint[] flushed = [.. a.Select((x, i) => Flush((uint)Reference.MultiplyAdd(Format, Flush(x), Flush(b[i]), Flush(c[i]), "rz")))];
        Same("mad.rn", exact, Instruction.Run<float>("mad.rn.f32", a.Singles(), b.Singles(), c.Singles()), a, b);
        Same("fma.rn.sat", [.. exact.Select(Saturate)], Instruction.Run<float>("fma.rn.sat.f32", a.Singles(), b.Singles(), c.Singles()), a, b);
        Same("fma.rz.ftz", flushed, Instruction.Run<float>("fma.rz.ftz.f32", a.Singles(), b.Singles(), c.Singles()), a, b);
        Same("mad.rz.ftz.sat", [.. flushed.Select(Saturate)], Instruction.Run<float>("mad.rz.ftz.sat.f32", a.Singles(), b.Singles(), c.Singles()), a, b);
    }

    [Fact]
    public void MinAndMaxFollowTheRulesOfNaNAndZero()
    {
        foreach (bool greater in (bool[])[false, true])
            foreach (bool nan in (bool[])[false, true])
            {
                string name = (greater ? "max" : "min") + "{0}" + (nan ? ".NaN" : "");
                CheckExtreme(name + "{1}", (a, b) => Reference.Extreme(Format, a, b, greater, nan));
                CheckExtreme(name + ".xorsign.abs{1}", (a, b) => Reference.XorSign(Format, a, b, greater, nan));
            }
    }

    [Fact]
    public void AbsAndNegChangeOnlyTheSign()
    {
        uint[] a = Numbers.EdgeSingles;
        Assert.Equal(a.Select(x => x & 0x7FFFFFFF), Instruction.Run<uint>("abs.f32", a));
        Assert.Equal(a.Select(x => x ^ 0x80000000), Instruction.Run<uint>("neg.f32", a));
        Assert.Equal(a.Select(x => Flush(x) & 0x7FFFFFFF), Instruction.Run<uint>("abs.ftz.f32", a));
        Assert.Equal(a.Select(x => Flush(x) ^ 0x80000000), Instruction.Run<uint>("neg.ftz.f32", a));
    }

    [Fact]
    public void CopysignTakesTheSignOfTheFirst()
    {
        var (a, b) = Numbers.Pairs(Numbers.EdgeSingles, Numbers.Single, 0);
        Assert.Equal(a.Select((x, i) => x & 0x80000000 | b[i] & 0x7FFFFFFF), Instruction.Run<uint>("copysign.f32", a, b));
    }

    private static void CheckExtreme(string name, Func<ulong, ulong, ulong> reference)
    {
        var (a, b) = Numbers.Pairs(Numbers.EdgeSingles, Numbers.Single, 100);
        string plain = string.Format(name, "", ".f32"), flushing = string.Format(name, ".ftz", ".f32");
        Same(plain, [.. a.Select((x, i) => (uint)reference(x, b[i]))], Instruction.Run<float>(plain, a.Singles(), b.Singles()), a, b);
        Same(flushing, [.. a.Select((x, i) => (uint)reference(Flush(x), Flush(b[i])))], Instruction.Run<float>(flushing, a.Singles(), b.Singles()), a, b);
    }

    private static void Check(string opcode, Func<ulong, ulong, ulong> reference)
    {
        var (a, b) = Numbers.Pairs(Numbers.EdgeSingles, Numbers.Single, 1000);
        var expected = a.Select((x, i) => (uint)reference(x, b[i])).ToArray();
        Same(opcode, expected, Instruction.Run<float>($"{opcode}.f32", a.Singles(), b.Singles()), a, b);
        // With subnormal operands and results as zeros of their sign.
        uint[] fa = [.. a.Select(Flush)], fb = [.. b.Select(Flush)];
        uint[] flushed = [.. fa.Select((x, i) => Flush((uint)reference(x, fb[i])))];
        Same(opcode, flushed, Instruction.Run<float>($"{opcode}.ftz.f32", a.Singles(), b.Singles()), a, b);
        if (opcode.StartsWith("div", StringComparison.Ordinal)) return;
        Same(opcode, [.. expected.Select(Saturate)], Instruction.Run<float>($"{opcode}.sat.f32", a.Singles(), b.Singles()), a, b);
        Same(opcode, [.. flushed.Select(Saturate)], Instruction.Run<float>($"{opcode}.ftz.sat.f32", a.Singles(), b.Singles()), a, b);
    }

    private static void Check1(string opcode, Func<ulong, ulong> reference)
    {
        var generator = new Random(3);
        uint[] a = [.. Numbers.EdgeSingles, .. Enumerable.Range(0, 300).Select(_ => Numbers.Single(generator) & (generator.Next(8) == 0 ? uint.MaxValue : 0x7FFFFFFF))];
        Same(opcode, [.. a.Select(x => (uint)reference(x))], Instruction.Run<float>($"{opcode}.f32", a.Singles()), a, a);
        Same(opcode, [.. a.Select(x => Flush((uint)reference(Flush(x))))], Instruction.Run<float>($"{opcode}.ftz.f32", a.Singles()), a, a);
    }

    private static void Same(string opcode, uint[] expected, float[] actual, uint[] a, uint[] b)
    {
        uint[] bits = Bits(actual);
        for (int i = 0; i < expected.Length; i++)
            if (expected[i] != bits[i]) Assert.Fail($"{opcode} of {a[i]:X8} and {b[i]:X8}: {bits[i]:X8}, not {expected[i]:X8}");
    }

    private static uint Flush(uint a) => Format.IsSubnormal(a) ? a & 0x80000000 : a;

    private static uint Saturate(uint a) => Format.IsNaN(a) || a >> 31 != 0 ? 0 : Math.Min(a, 0x3F800000);

    private static uint[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToUInt32Bits)];
}
