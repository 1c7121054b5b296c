namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Exchanges within a warp against the ISA's formulas.</summary>
public class ExchangeTests
{
    private const int Lanes = 32;

    private static readonly uint[] All = [.. Enumerable.Repeat(uint.MaxValue, Lanes)], Values = [.. Enumerable.Range(0, Lanes).Select(i => 1000u + (uint)(i * i))];

    public static TheoryData<string> Shuffles => ["up", "down", "bfly", "idx"];

    // Segments of 32, 16, 8 .. lanes, each with all offsets.
    [Theory, MemberData(nameof(Shuffles))]
    public void ShflReadsWithinItsSegment(string kind)
    {
        foreach (int width in (int[])[32, 16, 8, 4, 2, 1])
            for (int offset = 0; offset < 34; offset++)
            {
                uint c = (uint)(32 - width) << 8 | (kind == "up" ? 0u : 31);
                int b = offset & 31;
                (int Source, bool Inside) Of(int lane)
                {
                    int first = lane / width * width;
                    int source = kind switch { "up" => lane - b, "down" => lane + b, "bfly" => lane ^ b, _ => first + b % width };
                    bool inside = source >= 0 && (kind == "up" ? source >= first : source < first + width) && (kind != "bfly" || source < first + width);
                    return (inside ? source : lane, inside);
                }

                var (d, p) = Instruction.RunPair<uint, bool>($"shfl.sync.{kind}.b32", Values, Fill((uint)offset), Fill(c), All);
                Assert.Equal(Enumerable.Range(0, Lanes).Select(lane => Values[Of(lane).Source]), d);
                Assert.Equal(Enumerable.Range(0, Lanes).Select(lane => Of(lane).Inside), p);
                Assert.Equal(d, Instruction.Run<uint>($"shfl.sync.{kind}.b32", Values, Fill((uint)offset), Fill(c), All));
            }
    }

    [Fact]
    public void ShflTakesALaneNumberOfEachLane()
    {
        uint[] from = [.. Enumerable.Range(0, Lanes).Select(i => (uint)(31 - i))];
        Assert.Equal(Values.Reverse(), Instruction.Run<uint>("shfl.sync.idx.b32", Values, from, Fill(31), All));
        // A clamp of 7 lets only the first eight lanes be read.
        var (d, p) = Instruction.RunPair<uint, bool>("shfl.sync.idx.b32", Values, from, Fill(7), All);
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => 31 - i <= 7 ? Values[31 - i] : Values[i]), d);
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => 31 - i <= 7), p);
    }

    [Fact]
    public void VotesCountMembersOnly()
    {
        bool[] odd = [.. Enumerable.Range(0, Lanes).Select(i => i % 2 == 1)];
        // Even and odd lanes vote among themselves.
        uint[] members = [.. odd.Select(o => o ? 0xAAAAAAAA : 0x55555555)];
        Assert.Equal(odd, Instruction.Run<bool>("vote.sync.all.pred", odd, members));
        Assert.Equal(odd, Instruction.Run<bool>("vote.sync.any.pred", odd, members));
        Assert.All(Instruction.Run<bool>("vote.sync.uni.pred", odd, members), Assert.True);
        Assert.Equal(odd.Select(o => o ? 0xAAAAAAAA : 0u), Instruction.Run<uint>("vote.sync.ballot.b32", odd, members));

        Assert.All(Instruction.Run<bool>("vote.sync.all.pred", odd, All), Assert.False);
        Assert.All(Instruction.Run<bool>("vote.sync.any.pred", odd, All), Assert.True);
        Assert.All(Instruction.Run<bool>("vote.sync.uni.pred", odd, All), Assert.False);
        Assert.Equal(Fill(0xAAAAAAAA), Instruction.Run<uint>("vote.sync.ballot.b32", odd, All));
    }

    [Fact]
    public void LanesThatTakeNoPartHaveNoVote()
    {
        bool[] first = [.. Enumerable.Range(0, Lanes).Select(i => i < 4)];
        Assert.Equal(first, Instruction.RunMasked<bool>("vote.sync.all.pred", 0xF, first, All));
        Assert.Equal(first.Select(f => f ? 0xFu : 0), Instruction.RunMasked<uint>("vote.sync.ballot.b32", 0xF, first, All));
        Assert.Equal(first.Select(f => f ? 0xFu : 0), Instruction.RunMasked<uint>("activemask.b32", 0xF));
        Assert.Equal(first.Select(f => f ? 10u : 0), Instruction.RunMasked<uint>("redux.sync.add.u32", 0xF, (uint[])[1, 2, 3, 4, .. Enumerable.Repeat(100u, 28)], All));
    }

    [Fact]
    public void MatchFindsEqualValues()
    {
        uint[] a = [.. Enumerable.Range(0, Lanes).Select(i => (uint)(i % 5))];
        uint Equal(int lane, uint members) => (uint)Enumerable.Range(0, Lanes).Where(i => a[i] == a[lane] && (members >> i & 1) != 0).Sum(i => 1L << i);
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => Equal(i, uint.MaxValue)), Instruction.Run<uint>("match.any.sync.b32", a, All));
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => Equal(i, uint.MaxValue)), Instruction.Run<uint>("match.any.sync.b64", a.Select(x => (ulong)x << 40).ToArray(), All));
        uint[] halves = [.. Enumerable.Range(0, Lanes).Select(i => i < 16 ? 0xFFFFu : 0xFFFF0000)];
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => Equal(i, halves[i])), Instruction.Run<uint>("match.any.sync.b32", a, halves));

        uint[] b = [.. Enumerable.Range(0, Lanes).Select(i => i < 16 ? 7u : (uint)i)];
        var (d, p) = Instruction.RunPair<uint, bool>("match.all.sync.b32", b, halves);
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => i < 16 ? 0xFFFFu : 0), d);
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => i < 16), p);
        Assert.Equal(d, Instruction.Run<uint>("match.all.sync.b32", b, halves));
        Assert.Equal(d, Instruction.Run<uint>("match.all.sync.b64", b.Select(x => (ulong)x << 33).ToArray(), halves));
    }

    [Fact]
    public void ReduxReducesItsMembers()
    {
        int[] a = [.. Enumerable.Range(0, Lanes).Select(i => (i * 7919 % 101 - 50) * 12345678)];
        uint[] u = [.. a.Select(x => (uint)x)], quarters = [.. Enumerable.Range(0, Lanes).Select(i => 0xFFu << (i / 8 * 8))];
        void Check<T>(string opcode, T[] source, Func<T, T, T> reduce) where T : unmanaged =>
            Assert.Equal(Enumerable.Range(0, Lanes).Select(i => source.Skip(i / 8 * 8).Take(8).Aggregate(reduce)), Instruction.Run<T>(opcode, source, quarters));
        Check("redux.sync.add.u32", u, (x, y) => x + y);
        Check("redux.sync.add.s32", a, (x, y) => x + y);
        Check("redux.sync.min.u32", u, Math.Min);
        Check("redux.sync.min.s32", a, Math.Min);
        Check("redux.sync.max.u32", u, Math.Max);
        Check("redux.sync.max.s32", a, Math.Max);
        Check("redux.sync.and.b32", u, (x, y) => x & y);
        Check("redux.sync.or.b32", u, (x, y) => x | y);
        Check("redux.sync.xor.b32", u, (x, y) => x ^ y);
    }

    private static uint[] Fill(uint value) => [.. Enumerable.Repeat(value, Lanes)];
}
