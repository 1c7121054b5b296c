using DiffWave.Cuda;

namespace DiffWave.Emulator.Tests.Execution;

/// <summary>Control flow in which the lanes of a warp part, against the same program in C#, thread by thread.</summary>
public sealed class DivergenceTests
{
    // Runs a body that leaves its result in %r1 (thread in %r0) for 96 threads of 2 blocks.
    private static void Check(string body, Func<int, int> expected)
    {
        using var kernel = new Kernel($"""
            ld.param.u64 %rd0, [p0];
            mov.u32 %r30, %ctaid.x;
            mov.u32 %r31, %tid.x;
            mad.lo.s32 %r0, %r30, 96, %r31;
            mul.wide.u32 %rd1, %r0, 4;
            add.s64 %rd0, %rd0, %rd1;
            mov.u32 %r1, 0;
            {body}
            STORE:
            st.global.u32 [%rd0], %r1;
            ret;
            """, ["u64"]);
        ulong place = kernel.Upload(Enumerable.Repeat(-1, 192).ToArray());
        kernel.Launch(new Dim3(2), new Dim3(96), 0, place);
        Assert.Equal(Enumerable.Range(0, 192).Select(expected), kernel.Download<int>(place, 192));
    }

    [Fact]
    public void Nested_conditions() => Check("""
        and.b32 %r2, %r0, 1;
        setp.eq.u32 %p0, %r2, 0;
        and.b32 %r2, %r0, 2;
        setp.eq.u32 %p1, %r2, 0;
        and.b32 %r2, %r0, 4;
        setp.eq.u32 %p2, %r2, 0;
        @%p0 bra A;
        @%p1 bra B;
        add.s32 %r1, %r1, 1;
        @%p2 bra C;
        add.s32 %r1, %r1, 10;
        bra.uni C;
        B:
        add.s32 %r1, %r1, 100;
        C:
        add.s32 %r1, %r1, 1000;
        bra.uni D;
        A:
        @%p2 bra D;
        add.s32 %r1, %r1, 10000;
        D:
        add.s32 %r1, %r1, 100000;
        """, thread =>
    {
        int result = 0;
        if ((thread & 1) == 0)
        {
            if ((thread & 4) != 0) result += 10000;
        }
        else
        {
            if ((thread & 2) == 0) result += 100;
            else
            {
                result += 1;
                if ((thread & 4) != 0) result += 10;
            }
            result += 1000;
        }
        return result + 100000;
    });

    [Fact]
    public void Nested_loops_with_continue_and_break_out_of_both() => Check("""
        mov.u32 %r2, 0;
        OUTER:
        mov.u32 %r3, 0;
        INNER:
        add.s32 %r4, %r2, %r3;
        and.b32 %r4, %r4, 3;
        setp.eq.s32 %p0, %r4, 1;
        @%p0 bra CONTINUE;
        mad.lo.s32 %r1, %r1, 3, %r3;
        rem.u32 %r5, %r1, 17;
        rem.u32 %r6, %r0, 17;
        setp.eq.u32 %p1, %r5, %r6;
        @%p1 bra DONE;
        CONTINUE:
        add.s32 %r3, %r3, 1;
        and.b32 %r7, %r0, 7;
        setp.le.s32 %p2, %r3, %r7;
        @%p2 bra INNER;
        add.s32 %r1, %r1, %r2;
        add.s32 %r2, %r2, 1;
        and.b32 %r7, %r0, 3;
        setp.le.s32 %p3, %r2, %r7;
        @%p3 bra OUTER;
        add.s32 %r1, %r1, 7;
        DONE:
        """, thread =>
    {
        uint result = 0;
        for (int i = 0; i <= (thread & 3); i++)
        {
            for (int j = 0; j <= (thread & 7); j++)
            {
                if (((i + j) & 3) == 1) continue;
                result = result * 3 + (uint)j;
                if (result % 17 == (uint)thread % 17) return (int)result;
            }
            result += (uint)i;
        }
        return (int)result + 7;
    });

    [Fact]
    public void A_loop_with_two_conditions_and_two_exits() => Check("""
        mov.u32 %r2, %r0;
        LOOP:
        setp.le.s32 %p0, %r2, 3;
        @%p0 bra SMALL;
        rem.s32 %r3, %r2, 11;
        setp.eq.s32 %p1, %r3, 0;
        @%p1 bra ELEVEN;
        add.s32 %r1, %r1, %r2;
        shr.s32 %r2, %r2, 1;
        bra LOOP;
        ELEVEN:
        add.s32 %r1, %r1, 1000;
        bra OUT;
        SMALL:
        add.s32 %r1, %r1, 5000;
        OUT:
        """, thread =>
    {
        int result = 0, value = thread;
        while (value > 3 && value % 11 != 0)
        {
            result += value;
            value >>= 1;
        }
        return result + (value > 3 ? 1000 : 5000);
    });

    [Fact]
    public void Lanes_that_end_early_leave_the_others_together() => Check("""
        and.b32 %r2, %r0, 3;
        setp.eq.s32 %p0, %r2, 1;
        setp.eq.s32 %p1, %r2, 2;
        @%p0 bra GO;
        @%p1 exit;
        add.s32 %r1, %r1, 10;
        GO:
        vote.sync.ballot.b32 %r3, %p0, 0xbbbbbbbb;
        add.s32 %r1, %r1, %r3;
        """, thread => (thread & 3) switch { 2 => -1, 1 => 0x22222222, _ => 0x22222222 + 10 });

    [Fact]
    public void A_return_within_a_loop_within_a_condition() => Check("""
        setp.lt.s32 %p0, %r0, 50;
        @!%p0 bra AFTER;
        mov.u32 %r2, 0;
        LOOP:
        mad.lo.s32 %r3, %r2, 5, %r0;
        and.b32 %r3, %r3, 31;
        setp.eq.s32 %p1, %r3, 0;
        @%p1 ret;
        add.s32 %r1, %r1, %r3;
        add.s32 %r2, %r2, 1;
        setp.lt.s32 %p2, %r2, 6;
        @%p2 bra LOOP;
        AFTER:
        // All that are left are together here.
        activemask.b32 %r4;
        popc.b32 %r4, %r4;
        mad.lo.s32 %r1, %r4, 1000, %r1;
        """, thread =>
    {
        static int? Sum(int thread)
        {
            int sum = 0;
            if (thread >= 50) return 0;
            for (int i = 0; i < 6; i++)
            {
                int value = 5 * i + thread & 31;
                if (value == 0) return null;
                sum += value;
            }
            return sum;
        }
        int first = thread / 96 * 96 + thread % 96 / 32 * 32, left = Enumerable.Range(first, 32).Count(other => Sum(other) is not null);
        return Sum(thread) is { } own ? own + 1000 * left : -1;
    });

    [Fact]
    public void Divergent_lanes_meet_before_a_barrier()
    {
        using var kernel = new Kernel("""
            .shared .align 4 .b8 tile[256];
            ld.param.u64 %rd0, [p0];
            mov.u32 %r0, %tid.x;
            mul.wide.u32 %rd1, %r0, 4;
            add.s64 %rd0, %rd0, %rd1;
            shl.b32 %r1, %r0, 2;
            mov.u32 %r9, tile;
            add.s32 %r1, %r1, %r9;
            mov.u32 %r2, 0;
            mov.u32 %r3, 0;
            LOOP:
            add.s32 %r3, %r3, %r2;
            add.s32 %r2, %r2, 1;
            setp.le.u32 %p0, %r2, %r0;
            @%p0 bra LOOP;
            st.shared.u32 [%r1], %r3;
            bar.sync 0;
            xor.b32 %r1, %r1, 252;
            ld.shared.u32 %r4, [%r1];
            st.global.u32 [%rd0], %r4;
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(256);
        kernel.Launch(new Dim3(1), new Dim3(64), 0, place);
        Assert.Equal(Enumerable.Range(0, 64).Select(thread => (63 - thread) * (64 - thread) / 2), kernel.Download<int>(place, 64));
    }
}
