using System.Numerics;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Logic, shifts and bit fields against their definition bit by bit.</summary>
public class BitTests
{
    public static TheoryData<int> Widths => [16, 32, 64];

    public static TheoryData<int> WideWidths => [32, 64];

    [Theory, MemberData(nameof(Widths))]
    public void LogicGoesBitByBit(int width)
    {
        var (a, b) = Numbers.Pairs(Words.Edges(width), random => Numbers.LongWord(random) & Words.Mask(width), 100);
        Words.Same("and", Words.Run($"and.b{width}", width, (width, a), (width, b)), i => Join(width, k => Bit(a[i], k) && Bit(b[i], k)), a, b);
        Words.Same("or", Words.Run($"or.b{width}", width, (width, a), (width, b)), i => Join(width, k => Bit(a[i], k) || Bit(b[i], k)), a, b);
        Words.Same("xor", Words.Run($"xor.b{width}", width, (width, a), (width, b)), i => Join(width, k => Bit(a[i], k) != Bit(b[i], k)), a, b);
        Words.Same("not", Words.Run($"not.b{width}", width, (width, a)), i => Join(width, k => !Bit(a[i], k)), a);
        Words.Same("cnot", Words.Run($"cnot.b{width}", width, (width, a)), i => a[i] == 0 ? 1ul : 0, a);
    }

    [Fact]
    public void PredicatesKnowLogicToo()
    {
        bool[] a = [.. Enumerable.Range(0, 32).Select(i => (i & 1) != 0)], b = [.. Enumerable.Range(0, 32).Select(i => (i & 2) != 0)];
        Assert.Equal(a.Select((x, i) => x && b[i]), Instruction.Run<bool>("and.pred", a, b));
        Assert.Equal(a.Select((x, i) => x || b[i]), Instruction.Run<bool>("or.pred", a, b));
        Assert.Equal(a.Select((x, i) => x != b[i]), Instruction.Run<bool>("xor.pred", a, b));
        Assert.Equal(a.Select(x => !x), Instruction.Run<bool>("not.pred", a));
        Assert.Equal(a, Instruction.Run<bool>("mov.pred", a));
        Assert.Equal(a.Select((x, i) => x && i < 5), Instruction.RunMasked<bool>("mov.pred", 31, a));
    }

    [Theory, MemberData(nameof(Widths))]
    public void ShiftsBeyondTheWidthLeaveNothingOrTheSign(int width)
    {
        uint[] counts = [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 0x80000000, uint.MaxValue];
        ulong[] a = [.. Words.Edges(width).SelectMany(x => counts.Select(_ => x))], n = [.. Words.Edges(width).SelectMany(_ => counts.Select(c => (ulong)c))];
        int Count(int i) => (int)Math.Min(n[i], 200);
        Words.Same("shl", Words.Run($"shl.b{width}", width, (width, a), (32, n)), i => Words.Wrap((BigInteger)a[i] << Count(i), width), a, n);
        Words.Same("shr.u", Words.Run($"shr.u{width}", width, (width, a), (32, n)), i => Words.Wrap((BigInteger)a[i] >> Count(i), width), a, n);
        Words.Same("shr.b", Words.Run($"shr.b{width}", width, (width, a), (32, n)), i => Words.Wrap((BigInteger)a[i] >> Count(i), width), a, n);
        Words.Same("shr.s", Words.Run($"shr.s{width}", width, (width, a), (32, n)), i => Words.Wrap(Words.Value(a[i], $"s{width}") >> Count(i), width), a, n);
    }

    [Fact]
    public void FunnelShiftsTakeBothWords()
    {
        ulong[] a = [.. Enumerable.Range(0, 80).Select(i => 0x89ABCDEFul + (ulong)i)], b = [.. a.Select(x => x * 2654435761 & uint.MaxValue)];
        ulong[] n = [.. Enumerable.Range(0, 80).Select(i => i < 70 ? (ulong)i : uint.MaxValue - (ulong)i)];
        BigInteger Both(int i) => ((BigInteger)b[i] << 32) + a[i];
        (int, ulong[])[] operands = [(32, a), (32, b), (32, n)];
        Words.Same("shf.l.clamp", Words.Run("shf.l.clamp.b32", 32, operands), i => Words.Wrap(Both(i) << (int)Math.Min(n[i], 32) >> 32, 32), a, b, n);
        Words.Same("shf.l.wrap", Words.Run("shf.l.wrap.b32", 32, operands), i => Words.Wrap(Both(i) << (int)(n[i] % 32) >> 32, 32), a, b, n);
        Words.Same("shf.r.clamp", Words.Run("shf.r.clamp.b32", 32, operands), i => Words.Wrap(Both(i) >> (int)Math.Min(n[i], 32), 32), a, b, n);
        Words.Same("shf.r.wrap", Words.Run("shf.r.wrap.b32", 32, operands), i => Words.Wrap(Both(i) >> (int)(n[i] % 32), 32), a, b, n);
    }

    // The table is what the function gives for 0xF0, 0xCC and 0xAA.
    [Theory, InlineData(0x80), InlineData(0xFE), InlineData(0x96), InlineData(0x1A), InlineData(0x40), InlineData(0xEA), InlineData(0), InlineData(0xFF), InlineData(0x35)]
    public void Lop3FollowsItsTable(int table)
    {
        ulong[] a = [0xF0F0F0F0, 0x12345678], b = [0xCCCCCCCC, 0xDEADBEEF], c = [0xAAAAAAAA, 0x0F1E2D3C];
        uint[] actual = Instruction.Run<uint>("lop3.b32", a.Select(x => (uint)x).ToArray(), b.Select(x => (uint)x).ToArray(), c.Select(x => (uint)x).ToArray(), $"{table}");
        for (int i = 0; i < 2; i++)
            Assert.Equal(Join(32, k => (table >> ((Bit(a[i], k) ? 4 : 0) + (Bit(b[i], k) ? 2 : 0) + (Bit(c[i], k) ? 1 : 0)) & 1) != 0), actual[i]);
        Assert.Equal((uint)table * 0x01010101, actual[0]);
    }

    [Fact]
    public void PrmtPicksBytes()
    {
        // Bytes 0 .. 7 of b:a hold 0x80, 0x11, 0xA2, 0x33, 0xC4, 0x55, 0xE6, 0x77.
        const ulong bytes = 0x77E655C433A21180;
        uint[] a = [(uint)(bytes & uint.MaxValue)], b = [(uint)(bytes >> 32)];
        uint Of(string mode, uint control) => Instruction.Run<uint>($"prmt.b32{mode}", a, b, (uint[])[control])[0];
        uint Bytes(params int[] places) => (uint)places.Select((p, i) => (long)(bytes >> (8 * p) & 255) << (8 * i)).Sum();
        Assert.Equal(Bytes(7, 5, 2, 0), Of("", 0x0257));
        for (int c = 0; c < 4; c++)
        {
            Assert.Equal(Bytes(c, c + 1, c + 2, c + 3), Of(".f4e", (uint)c));
            Assert.Equal(Bytes(c, c + 7 & 7, c + 6 & 7, c + 5 & 7), Of(".b4e", (uint)c));
            Assert.Equal(Bytes(c, c, c, c), Of(".rc8", (uint)c));
            Assert.Equal(Bytes(Math.Max(c, 0), Math.Max(c, 1), Math.Max(c, 2), 3), Of(".ecl", (uint)c));
            Assert.Equal(Bytes(0, Math.Min(c, 1), Math.Min(c, 2), Math.Min(c, 3)), Of(".ecr", (uint)c));
            Assert.Equal(Bytes(c % 2 * 2, c % 2 * 2 + 1, c % 2 * 2, c % 2 * 2 + 1), Of(".rc16", (uint)c));
        }
    }

    [Fact]
    public void PrmtRepeatsSigns()
    {
        uint[] a = [0x33A21180], b = [0x77E655C4];
        Assert.Equal(0xFF00FF00u, Instruction.Run<uint>("prmt.b32", a, b, (uint[])[0xA9E9])[0]);
        Assert.Equal(0x00FFC4FFu, Instruction.Run<uint>("prmt.b32", a, b, (uint[])[0xF848])[0]);
    }

    [Theory, MemberData(nameof(WideWidths))]
    public void BfeRepeatsTheSignOfTheField(int width)
    {
        var (a, p, n) = Fields(width);
        foreach (char sign in "us")
        {
            ulong Expected(int i)
            {
                int position = (int)p[i] & 255, length = (int)n[i] & 255;
                bool fill = sign == 's' && length > 0 && Bit(a[i], Math.Min(position + length - 1, width - 1));
                return Join(width, k => k < length && position + k < width ? Bit(a[i], position + k) : fill);
            }

            Words.Same($"bfe.{sign}{width}", Words.Run($"bfe.{sign}{width}", width, (width, a), (32, p), (32, n)), Expected, a, p, n);
        }
    }

    [Theory, MemberData(nameof(WideWidths))]
    public void BfiReplacesAField(int width)
    {
        var (a, p, n) = Fields(width);
        ulong[] b = [.. a.Select(x => ~x * 3 & Words.Mask(width))];
        ulong Expected(int i) => Join(width, k => k >= ((int)p[i] & 255) && k < ((int)p[i] & 255) + ((int)n[i] & 255) ? Bit(a[i], k - ((int)p[i] & 255)) : Bit(b[i], k));
        Words.Same("bfi", Words.Run($"bfi.b{width}", width, (width, a), (width, b), (32, p), (32, n)), Expected, a, b, p, n);
    }

    [Theory, MemberData(nameof(WideWidths))]
    public void BitsAreFoundCountedAndReversed(int width)
    {
        ulong[] a = [.. Words.Edges(width), .. Enumerable.Range(0, width).Select(k => Words.Mask(width) >> k), .. Enumerable.Range(0, width).Select(k => 1ul << k)];
        Words.Same("popc", Words.Run($"popc.b{width}", 32, (width, a)), i => (ulong)Enumerable.Range(0, width).Count(k => Bit(a[i], k)), a);
        Words.Same("clz", Words.Run($"clz.b{width}", 32, (width, a)), i => (ulong)(width - 1 - Highest(a[i], width)), a);
        Words.Same("brev", Words.Run($"brev.b{width}", width, (width, a)), i => Join(width, k => Bit(a[i], width - 1 - k)), a);
        foreach (char sign in "us")
        {
            int Found(int i) => Highest(sign == 's' && Bit(a[i], width - 1) ? ~a[i] & Words.Mask(width) : a[i], width);
            Words.Same($"bfind.{sign}", Words.Run($"bfind.{sign}{width}", 32, (width, a)), i => (uint)Found(i), a);
            Words.Same($"bfind.shiftamt.{sign}", Words.Run($"bfind.shiftamt.{sign}{width}", 32, (width, a)), i => Found(i) < 0 ? uint.MaxValue : (uint)(width - 1 - Found(i)), a);
        }
    }

    [Fact]
    public void FnsCountsOnesFromTheBase()
    {
        // The ones of 0b1011_0010 stand at 1, 4, 5 and 7.
        (uint Base, int N, uint Expected)[] cases = [(0, 1, 1), (0, 2, 4), (0, 4, 7), (0, 5, uint.MaxValue), (2, 1, 4), (4, 1, 4), (4, 2, 5), (7, -1, 7), (7, -2, 5), (6, -1, 5), (3, -2, uint.MaxValue), (4, 0, 4), (3, 0, uint.MaxValue)];
        uint[] actual = Instruction.Run<uint>("fns.b32", Enumerable.Repeat(0b1011_0010u, cases.Length).ToArray(), cases.Select(c => c.Base).ToArray(), cases.Select(c => c.N).ToArray());
        Assert.Equal(cases.Select(c => c.Expected), actual);
    }

    [Fact]
    public void BmskAndSzextClampOrWrap()
    {
        var (a, b) = Numbers.Pairs<ulong>([0ul, 1, 5, 31, 32, 33, 63, 64, (ulong)uint.MaxValue], random => Numbers.Word(random), 50);
        Words.Same("bmsk.clamp", Words.Run("bmsk.clamp.b32", 32, (32, a), (32, b)), i => Words.Wrap((BigInteger.One << (int)Math.Min(b[i], 32)) - 1 << (int)Math.Min(a[i], 32), 32), a, b);
        Words.Same("bmsk.wrap", Words.Run("bmsk.wrap.b32", 32, (32, a), (32, b)), i => Words.Wrap((BigInteger.One << (int)(b[i] % 32)) - 1 << (int)(a[i] % 32), 32), a, b);
        foreach (string mode in (string[])["clamp", "wrap"])
            foreach (char sign in "us")
                Words.Same($"szext.{mode}", Words.Run($"szext.{mode}.{sign}32", 32, (32, a), (32, b)), i =>
                {
                    int n = (int)(mode == "wrap" ? b[i] % 32 : Math.Min(b[i], 32));
                    return n == 0 ? 0 : Words.Wrap(Words.Value(a[i], $"{sign}{n}"), 32);
                }, a, b);
    }

    private static (ulong[] A, ulong[] P, ulong[] N) Fields(int width)
    {
        uint[] places = [0, 1, 7, 31, 32, 33, 63, 64, 255, 256, 0x101];
        return ([.. Words.Edges(width).SelectMany(x => places.SelectMany(_ => places.Select(_ => x)))], [.. Words.Edges(width).SelectMany(_ => places.SelectMany(p => places.Select(_ => (ulong)p)))],
            [.. Words.Edges(width).SelectMany(_ => places.SelectMany(_ => places.Select(n => (ulong)n)))]);
    }

    private static bool Bit(ulong a, int index) => (a >> index & 1) != 0;

    private static ulong Join(int width, Func<int, bool> bit) => Enumerable.Range(0, width).Where(bit).Aggregate(0ul, (sum, k) => sum | 1ul << k);

    private static int Highest(ulong a, int width) => Enumerable.Range(0, width).Where(k => Bit(a, k)).DefaultIfEmpty(-1).Max();
}
