using DiffWave.Cuda;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Instructions in kernels: constants of every width, special registers, negated predicates, guards and sinks, as the executor hands them over.</summary>
public class LaunchTests
{
    private const int Lanes = 32;

    // A constant has the width of its operand, not of the instruction's first type.
    [Theory]
    [InlineData("add.s32 %r0, %r1, -7", "5", 0xFFFFFFFE)]
    [InlineData("mul.wide.s32 %rd0, %r1, -7; cvt.u32.u64 %r0, %rd0", "5", 0xFFFFFFDD)]
    [InlineData("mul.wide.s32 %rd0, %r1, -7; shr.u64 %rd0, %rd0, 32; cvt.u32.u64 %r0, %rd0", "5", 0xFFFFFFFF)]
    [InlineData("mad.wide.u32 %rd0, %r1, 2, 0x100000000; shr.u64 %rd0, %rd0, 32; cvt.u32.u64 %r0, %rd0", "0x80000001", 2)]
    [InlineData("cvt.u64.u32 %rd0, %r1; shl.b64 %rd0, %rd0, 33; shr.s64 %rd0, %rd0, 63; cvt.u32.u64 %r0, %rd0", "0x40000000", 0xFFFFFFFF)]
    [InlineData("cvt.u16.u32 %h0, %r1; add.u16 %h0, %h0, -1; cvt.u32.u16 %r0, %h0", "0x12340000", 0xFFFF)]
    [InlineData("cvt.u16.u32 %h0, %r1; or.b16 %h0, %h0, -32768; cvt.s32.s16 %r0, %h0", "1", 0xFFFF8001)]
    [InlineData("mov.u16 %h0, -1; cvt.u32.u16 %r0, %h0", "0", 0xFFFF)]
    [InlineData("mov.b16 %h0, 0x1234; mov.b16 %h1, -2; mov.b32 %r0, {%h0, %h1}", "0", 0xFFFE1234)]
    [InlineData("mov.b32 {%h0, _}, %r1; mov.b32 {_, %h1}, %r1; mov.b32 %r0, {%h1, %h0}", "0x12345678", 0x56781234)]
    [InlineData("bfe.u32 %r0, %r1, 8, 12", "0x12345678", 0x456)]
    [InlineData("cvt.u64.u32 %rd0, %r1; bfe.u64 %rd0, %rd0, 4, 8; cvt.u32.u64 %r0, %rd0", "0x12345678", 0x67)]
    [InlineData("bfi.b32 %r0, 15, %r1, 8, 4", "0x12345078", 0x12345F78)]
    [InlineData("lop3.b32 %r0, %r1, 0xFF00FF00, 0x0F0F0F0F, 0x6A", "0x33333333", 0x3C0F3C0F)]
    [InlineData("prmt.b32 %r0, %r1, 0x77665544, 0x5140", "0x33221100", 0x55114400)]
    [InlineData("shf.l.wrap.b32 %r0, %r1, 1, 4", "0xF0000000", 0x1F)]
    [InlineData("setp.lt.s32 %p0, %r1, -3; selp.b32 %r0, 111, 222, %p0", "-4", 111)]
    [InlineData("setp.lt.s32 %p0, %r1, -3; selp.b32 %r0, 111, 222, !%p0", "-4", 222)]
    [InlineData("setp.gt.s32 %p1, %r1, 0; setp.gt.and.s32 %p0|%p2, %r1, 10, !%p1; selp.u32 %r0, 1, 0, %p2", "-4", 1)]
    [InlineData("setp.eq.s32 %p0, %r1, 3; not.pred %p1, %p0; and.pred %p2, %p1, !%p0; selp.u32 %r0, 7, 8, %p2", "3", 8)]
    [InlineData("slct.u32.s32 %r0, 5, 6, %r1", "-1", 6)]
    [InlineData("mov.f32 %f0, 0f3FC00000; add.f32 %f0, %f0, 0f40000000; mov.b32 %r0, %f0", "0", 0x40600000)]
    [InlineData("mov.f64 %d0, 0d3FF8000000000000; fma.rn.f64 %d0, %d0, 0d4000000000000000, 0dBFF0000000000000; cvt.rzi.s32.f64 %r0, %d0", "0", 2)]
    [InlineData("cvt.rn.f32.s32 %f0, %r1; mul.rn.f32 %f0, %f0, 0f3F000000; cvt.rni.s32.f32 %r0, %f0", "5", 2)]
    [InlineData("cvt.s64.s32 %rd0, %r1; setp.lt.s64 %p0, %rd0, -5000000000; selp.u32 %r0, 1, 2, %p0", "-5", 2)]
    [InlineData("setp.eq.s32 %p0, %r1, 9; @%p0 add.s32 %r0, %r1, 1; @!%p0 sub.s32 %r0, %r1, 1", "9", 10)]
    public void ConstantsHaveTheWidthOfTheirOperand(string statements, string input, uint expected)
    {
        uint value = input.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToUInt32(input, 16) : (uint)int.Parse(input);
        uint[] actual = Run(statements, [.. Enumerable.Repeat(value, Lanes)]);
        Assert.All(actual, word => Assert.Equal(expected, word));
    }

    [Fact]
    public void SpecialRegistersAreSourcesOfConversions()
    {
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => (uint)i), Run("cvt.u64.u32 %rd0, %tid.x; cvt.u32.u64 %r0, %rd0", new uint[Lanes]));
        Assert.Equal(Enumerable.Range(0, Lanes).Select(i => (uint)BitConverter.SingleToInt32Bits(i)), Run("cvt.s64.s32 %rd0, %laneid; cvt.rn.f32.s64 %f0, %rd0; mov.b32 %r0, %f0", new uint[Lanes]));
    }

    [Fact]
    public void ExchangesGoThroughTheExecutor()
    {
        uint[] values = [.. Enumerable.Range(0, Lanes).Select(i => (uint)(i * i + 1))];
        Assert.Equal(values.Select((_, i) => values[i ^ 5]), Run("shfl.sync.bfly.b32 %r0, %r1, 5, 31, -1", values));
        Assert.Equal(values.Select((_, i) => i >= 3 ? values[i - 3] : 777), Run("shfl.sync.up.b32 %r0|%p0, %r1, 3, 0, 0xFFFFFFFF; selp.b32 %r0, %r0, 777, %p0", values));
        Assert.Equal(values.Select(_ => 0xAAAAAAAA ^ uint.MaxValue), Run("and.b32 %r2, %r1, 1; setp.eq.s32 %p0, %r2, 1; vote.sync.ballot.b32 %r0, %p0, -1", values));
        Assert.Equal(values.Select(_ => 0xAAAAAAAA), Run("and.b32 %r2, %r1, 1; setp.eq.s32 %p0, %r2, 1; vote.sync.ballot.b32 %r0, !%p0, -1", values));
        Assert.Equal(values.Select(_ => (uint)values.Sum(v => v)), Run("redux.sync.add.u32 %r0, %r1, -1", values));
        // Only half of the warp takes part.
        Assert.Equal(values.Select((_, i) => i < 16 ? 0xFFFFu : 5), Run("mov.u32 %r2, %laneid; mov.u32 %r0, 5; setp.lt.u32 %p0, %r2, 16; @%p0 activemask.b32 %r0", values));
    }

    // Statements read %r1 and leave their result in %r0.
    private static uint[] Run(string statements, uint[] input)
    {
        using var kernel = new Kernel($"""
            ld.param.u64 %rd10, [p0];
            mov.u32 %r10, %tid.x;
            mul.wide.u32 %rd11, %r10, 4;
            add.s64 %rd10, %rd10, %rd11;
            ld.global.u32 %r1, [%rd10];
            {statements};
            st.global.u32 [%rd10], %r0;
            ret;
            """, ["u64"]);
        ulong place = kernel.Upload(input);
        kernel.Launch(new Dim3(1), new Dim3(Lanes), 0, place);
        return kernel.Download<uint>(place, Lanes);
    }
}
