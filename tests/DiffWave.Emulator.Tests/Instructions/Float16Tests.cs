namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>f16 and bf16 arithmetic, single and packed, against fractions of integers: one rounding only.</summary>
public class Float16Tests
{
    public static TheoryData<string> Types => ["f16", "bf16"];

    private static FloatFormat Format(string type) => type == "f16" ? FloatFormat.F16 : FloatFormat.BF16;

    [Theory, MemberData(nameof(Types))]
    public void AddRoundsTheExactSum(string type) => Check("add", type, (f, a, b) => Reference.Add(f, a, b, "rn"), arithmetic: true);

    [Theory, MemberData(nameof(Types))]
    public void SubRoundsTheExactDifference(string type) => Check("sub", type, (f, a, b) => Reference.Add(f, a, b ^ 0x8000, "rn"), arithmetic: true);

    [Theory, MemberData(nameof(Types))]
    public void MulRoundsTheExactProduct(string type) => Check("mul", type, (f, a, b) => Reference.Multiply(f, a, b, "rn"), arithmetic: true);

    [Theory, MemberData(nameof(Types))]
    public void MinAndMaxFollowTheRulesOfNaNAndZero(string type)
    {
        Check("min", type, (f, a, b) => Reference.Extreme(f, a, b, greater: false, nan: false));
        Check("max", type, (f, a, b) => Reference.Extreme(f, a, b, greater: true, nan: false));
        Check("min.NaN", type, (f, a, b) => Reference.Extreme(f, a, b, greater: false, nan: true));
        Check("max.NaN", type, (f, a, b) => Reference.Extreme(f, a, b, greater: true, nan: true));
        Check("min.xorsign.abs", type, (f, a, b) => Reference.XorSign(f, a, b, greater: false, nan: false));
        Check("max.NaN.xorsign.abs", type, (f, a, b) => Reference.XorSign(f, a, b, greater: true, nan: true));
    }

    [Theory, MemberData(nameof(Types))]
    public void FmaRoundsOnce(string type)
    {
        var f = Format(type);
        var (a, b, c) = Numbers.Triples(Numbers.EdgeHalves, Numbers.Half, 3000);
        ushort[] expected = [.. a.Select((x, i) => (ushort)Reference.MultiplyAdd(f, x, b[i], c[i], "rn"))];
        Same("fma.rn", expected, a, b, c, Instruction.Run<ushort>($"fma.rn.{type}", a, b, c));
        Same("fma.rn x2", expected, a, b, c, Low(Instruction.Run<uint>($"fma.rn.{type}x2", Pair(a, b), Pair(b, a), Pair(c, c))));
        ushort[] relu = [.. expected.Select(x => f.IsNaN(x) ? x : x >> 15 != 0 ? (ushort)0 : x)];
        Same("fma.rn.relu", relu, a, b, c, Instruction.Run<ushort>($"fma.rn.relu.{type}", a, b, c));
        Same("fma.rn.relu x2", relu, a, b, c, High(Instruction.Run<uint>($"fma.rn.relu.{type}x2", Pair(b, a), Pair(a, b), Pair(c, c))));
        if (type != "f16") return;
        Same("fma.rn.sat", [.. expected.Select(Saturate)], a, b, c, Instruction.Run<ushort>("fma.rn.sat.f16", a, b, c));
        ushort[] fa = [.. a.Select(x => Flush(f, x))], fb = [.. b.Select(x => Flush(f, x))], fc = [.. c.Select(x => Flush(f, x))];
        Same("fma.rn.ftz", [.. fa.Select((x, i) => Flush(f, (ushort)Reference.MultiplyAdd(f, x, fb[i], fc[i], "rn")))], a, b, c, Instruction.Run<ushort>("fma.rn.ftz.f16", a, b, c));
    }

    [Theory, MemberData(nameof(Types))]
    public void AbsAndNegChangeOnlyTheSign(string type)
    {
        ushort[] a = Numbers.EdgeHalves;
        Assert.Equal(a.Select(x => (ushort)(x & 0x7FFF)), Instruction.Run<ushort>($"abs.{type}", a));
        Assert.Equal(a.Select(x => (ushort)(x ^ 0x8000)), Instruction.Run<ushort>($"neg.{type}", a));
        Assert.Equal(a.Select(x => (uint)(x & 0x7FFF) << 16 | 0x1234), Instruction.Run<uint>($"abs.{type}x2", (uint[])[.. a.Select(x => (uint)x << 16 | 0x9234)]));
        Assert.Equal(a.Select(x => (uint)(x ^ 0x8000) << 16 | 0x1234), Instruction.Run<uint>($"neg.{type}x2", (uint[])[.. a.Select(x => (uint)x << 16 | 0x9234)]));
    }

    [Fact]
    public void AbsAndNegFlushWhenAsked()
    {
        ushort[] a = Numbers.EdgeHalves;
        Assert.Equal(a.Select(x => (ushort)(Flush(FloatFormat.F16, x) & 0x7FFF)), Instruction.Run<ushort>("abs.ftz.f16", a));
        Assert.Equal(a.Select(x => (ushort)(Flush(FloatFormat.F16, x) ^ 0x8000)), Instruction.Run<ushort>("neg.ftz.f16", a));
    }

    private static void Check(string operation, string type, Func<FloatFormat, ulong, ulong, ulong> reference, bool arithmetic = false)
    {
        var f = Format(type);
        var (a, b) = Numbers.Pairs(Numbers.EdgeHalves, Numbers.Half, 2000);
        ushort[] expected = [.. a.Select((x, i) => (ushort)reference(f, x, b[i]))];
        Same(operation, expected, a, b, b, Instruction.Run<ushort>($"{operation}.{type}", a, b));
        // Packed: the pair in the upper half, and swapped in the lower.
        uint[] packed = Instruction.Run<uint>($"{operation}.{type}x2", Pair(b, a), Pair(a, b));
        Same(operation + " upper", expected, a, b, b, High(packed));
        Same(operation + " lower", [.. b.Select((x, i) => (ushort)reference(f, x, a[i]))], b, a, a, Low(packed));
        if (type != "f16") return;
        string flushing = operation.Contains('.') ? operation.Insert(operation.IndexOf('.'), ".ftz") : operation + ".ftz";
        ushort[] fa = [.. a.Select(x => Flush(f, x))], fb = [.. b.Select(x => Flush(f, x))];
        Same(flushing, [.. fa.Select((x, i) => Flush(f, (ushort)reference(f, x, fb[i])))], a, b, b, Instruction.Run<ushort>($"{flushing}.f16", a, b));
        if (arithmetic) Same(operation + ".sat", [.. expected.Select(Saturate)], a, b, b, Instruction.Run<ushort>($"{operation}.sat.f16", a, b));
    }

    private static void Same(string opcode, ushort[] expected, ushort[] a, ushort[] b, ushort[] c, ushort[] actual)
    {
        for (int i = 0; i < expected.Length; i++)
            if (expected[i] != actual[i]) Assert.Fail($"{opcode} of {a[i]:X4}, {b[i]:X4} and {c[i]:X4}: {actual[i]:X4}, not {expected[i]:X4}");
    }

    private static ushort Flush(FloatFormat f, ushort a) => f.IsSubnormal(a) ? (ushort)(a & 0x8000) : a;

    private static ushort Saturate(ushort a) => FloatFormat.F16.IsNaN(a) || a >> 15 != 0 ? (ushort)0 : Math.Min(a, (ushort)0x3C00);

    private static uint[] Pair(ushort[] low, ushort[] high) => [.. low.Select((x, i) => (uint)high[i] << 16 | x)];

    private static ushort[] Low(uint[] pairs) => [.. pairs.Select(x => (ushort)x)];

    private static ushort[] High(uint[] pairs) => [.. pairs.Select(x => (ushort)(x >> 16))];
}
