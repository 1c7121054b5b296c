using System.Numerics;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Integer arithmetic against integers without bounds.</summary>
public class IntegerTests
{
    public static TheoryData<string> Types => ["u16", "s16", "u32", "s32", "u64", "s64"];

    public static TheoryData<string> NarrowTypes => ["u16", "s16", "u32", "s32"];

    public static TheoryData<string> SignedTypes => ["s16", "s32", "s64"];

    [Theory, MemberData(nameof(Types))]
    public void AddAndSubWrap(string type)
    {
        Check2($"add.{type}", type, (a, b) => a + b);
        Check2($"sub.{type}", type, (a, b) => a - b);
    }

    [Fact]
    public void AddAndSubSaturate()
    {
        Check2("add.sat.s32", "s32", (a, b) => Clamp(a + b, "s32"));
        Check2("sub.sat.s32", "s32", (a, b) => Clamp(a - b, "s32"));
    }

    [Theory, MemberData(nameof(Types))]
    public void MulGivesEitherHalfOfTheProduct(string type)
    {
        Check2($"mul.lo.{type}", type, (a, b) => a * b);
        Check2($"mul.hi.{type}", type, (a, b) => a * b >> Words.Width(type));
    }

    [Theory, MemberData(nameof(Types))]
    public void MadAddsToEitherHalfOfTheProduct(string type)
    {
        Check3($"mad.lo.{type}", type, (a, b, c) => a * b + c);
        Check3($"mad.hi.{type}", type, (a, b, c) => (a * b >> Words.Width(type)) + c);
    }

    [Fact]
    public void MadHighSaturates() => Check3("mad.hi.sat.s32", "s32", (a, b, c) => Clamp((a * b >> 32) + c, "s32"));

    [Theory, MemberData(nameof(NarrowTypes))]
    public void WideProductsAreWhole(string type)
    {
        int width = Words.Width(type);
        var (a, b) = Pairs(width);
        ulong[] product = Words.Run($"mul.wide.{type}", 2 * width, (width, a), (width, b));
        Words.Same($"mul.wide.{type}", product, i => Words.Wrap(Words.Value(a[i], type) * Words.Value(b[i], type), 2 * width), a, b);
        ulong[] c = [.. a.Select((x, i) => x * 0x9E3779B97F4A7C15 + b[i] & Words.Mask(2 * width))];
        ulong[] sum = Words.Run($"mad.wide.{type}", 2 * width, (width, a), (width, b), (2 * width, c));
        Words.Same($"mad.wide.{type}", sum, i => Words.Wrap(Words.Value(a[i], type) * Words.Value(b[i], type) + c[i], 2 * width), a, b, c);
    }

    [Theory, InlineData("u32"), InlineData("s32")]
    public void ProductsOf24Bits(string type)
    {
        BigInteger Low24(BigInteger a) => Words.Value(Words.Wrap(a, 24), type[0] + "24");
        Check2($"mul24.lo.{type}", type, (a, b) => Low24(a) * Low24(b));
        Check2($"mul24.hi.{type}", type, (a, b) => Low24(a) * Low24(b) >> 16);
        Check3($"mad24.lo.{type}", type, (a, b, c) => Low24(a) * Low24(b) + c);
        Check3($"mad24.hi.{type}", type, (a, b, c) => (Low24(a) * Low24(b) >> 16) + c);
        if (type == "s32") Check3("mad24.hi.sat.s32", type, (a, b, c) => Clamp(Words.Value(Words.Wrap(Low24(a) * Low24(b) >> 16, 32), "s32") + c, "s32"));
    }

    [Theory, MemberData(nameof(Types))]
    public void SadAddsTheDistance(string type) => Check3($"sad.{type}", type, (a, b, c) => c + BigInteger.Abs(a - b));

    // PTX leaves division by zero open; ptxas folds quotient and remainder to all ones, and so does the code it makes.
    [Theory, MemberData(nameof(Types))]
    public void DivAndRemRoundTowardsZero(string type)
    {
        Check2($"div.{type}", type, (a, b) => b.IsZero ? -1 : BigInteger.Divide(a, b));
        Check2($"rem.{type}", type, (a, b) => b.IsZero ? -1 : BigInteger.Remainder(a, b));
    }

    [Theory, MemberData(nameof(SignedTypes))]
    public void AbsAndNegWrapAtTheLowest(string type)
    {
        int width = Words.Width(type);
        ulong[] a = Words.Edges(width);
        Words.Same($"abs.{type}", Words.Run($"abs.{type}", width, (width, a)), i => Words.Wrap(BigInteger.Abs(Words.Value(a[i], type)), width), a);
        Words.Same($"neg.{type}", Words.Run($"neg.{type}", width, (width, a)), i => Words.Wrap(-Words.Value(a[i], type), width), a);
    }

    [Theory, MemberData(nameof(Types))]
    public void MinAndMaxKnowTheSign(string type)
    {
        Check2($"min.{type}", type, BigInteger.Min);
        Check2($"max.{type}", type, BigInteger.Max);
    }

    [Fact]
    public void MinAndMaxWithReluAreNotNegative()
    {
        Check2("min.relu.s32", "s32", (a, b) => BigInteger.Max(BigInteger.Min(a, b), 0));
        Check2("max.relu.s32", "s32", (a, b) => BigInteger.Max(BigInteger.Max(a, b), 0));
    }

    [Theory]
    [InlineData("u32", "u32")]
    [InlineData("u32", "s32")]
    [InlineData("s32", "u32")]
    [InlineData("s32", "s32")]
    public void DotProductsOfBytesAndHalves(string typeA, string typeB)
    {
        static BigInteger Part(ulong word, int index, int bits, string type) => Words.Value(word >> (index * bits) & Words.Mask(bits), type[0] + $"{bits}");
        var (a, b) = Pairs(32);
        ulong[] c = [.. a.Select((x, i) => x * 2654435761 + b[i] & uint.MaxValue)];
        (int, ulong[])[] operands = [(32, a), (32, b), (32, c)];
        BigInteger Sum(int i, int count, int bits, int first) => c[i] + Enumerable.Range(0, count).Aggregate(BigInteger.Zero, (s, k) => s + Part(a[i], k, bits, typeA) * Part(b[i], first + k, 8, typeB));
        Words.Same("dp4a", Words.Run($"dp4a.{typeA}.{typeB}", 32, operands), i => Words.Wrap(Sum(i, 4, 8, 0), 32), a, b, c);
        Words.Same("dp2a.lo", Words.Run($"dp2a.lo.{typeA}.{typeB}", 32, operands), i => Words.Wrap(Sum(i, 2, 16, 0), 32), a, b, c);
        Words.Same("dp2a.hi", Words.Run($"dp2a.hi.{typeA}.{typeB}", 32, operands), i => Words.Wrap(Sum(i, 2, 16, 2), 32), a, b, c);
    }

    [Fact]
    public void LanesThatTakeNoPartKeepTheirDestination()
    {
        uint[] a = [.. Enumerable.Range(1, 32).Select(i => (uint)i)];
        const uint mask = 0x80F0_1235;
        uint[] Expected(uint factor) => [.. a.Select((x, i) => (mask >> i & 1) != 0 ? x * factor : 0)];
        Assert.Equal(Expected(2), Instruction.RunMasked<uint>("add.u32", mask, a, a));
        Assert.Equal(Expected(2).Select(x => (ulong)x), Instruction.RunMasked<ulong>("mul.wide.u32", mask, a, "2"));
        Assert.Equal(Expected(2).Select(x => (ulong)x), Instruction.RunMasked<ulong>("add.u64", mask, a.Select(x => (ulong)x).ToArray(), a.Select(x => (ulong)x).ToArray()));
        Assert.Equal(Expected(3).Select(x => (ushort)x), Instruction.RunMasked<ushort>("mul.lo.u16", mask, a.Select(x => (ushort)x).ToArray(), "3"));
    }

    private static BigInteger Clamp(BigInteger value, string type) => BigInteger.Max(Words.Lowest(type), BigInteger.Min(Words.Highest(type), value));

    private static (ulong[] A, ulong[] B) Pairs(int width) => Numbers.Pairs(Words.Edges(width), random => Numbers.LongWord(random) & Words.Mask(width), 300);

    private static void Check2(string opcode, string type, Func<BigInteger, BigInteger, BigInteger> reference)
    {
        int width = Words.Width(type);
        var (a, b) = Pairs(width);
        Words.Same(opcode, Words.Run(opcode, width, (width, a), (width, b)), i => Words.Wrap(reference(Words.Value(a[i], type), Words.Value(b[i], type)), width), a, b);
    }

    private static void Check3(string opcode, string type, Func<BigInteger, BigInteger, BigInteger, BigInteger> reference)
    {
        int width = Words.Width(type);
        var (a, b, c) = Numbers.Triples(Words.Edges(width), random => Numbers.LongWord(random) & Words.Mask(width), 300);
        Words.Same(opcode, Words.Run(opcode, width, (width, a), (width, b), (width, c)),
            i => Words.Wrap(reference(Words.Value(a[i], type), Words.Value(b[i], type), Words.Value(c[i], type)), width), a, b, c);
    }
}
