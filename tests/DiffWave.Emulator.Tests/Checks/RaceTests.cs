using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Checks;

/// <summary>Threads of a block that meet in shared memory, with and without what orders them.</summary>
public sealed class RaceTests
{
    // %r0: thread; %r1: address of its own word; %r2: of the word of thread ^ 32, in the other warp; %r3: of thread ^ 1, in the same warp.
    private const string Start = """
        .shared .align 16 .b8 tile[512];
        mov.u32 %r0, %tid.x;
        mov.u32 %r4, tile;
        shl.b32 %r1, %r0, 2;
        add.s32 %r1, %r1, %r4;
        xor.b32 %r2, %r1, 128;
        xor.b32 %r3, %r1, 4;
        shr.u32 %r5, %r0, 5;
        setp.eq.s32 %p0, %r5, 0;

        """;

    private static Kernel Make(string body) => new(Start + body + "\nret;", []);

    private static Finding Find(string body, int threads = 64)
    {
        using Kernel kernel = Make(body);
        return kernel.FindingOf(new Dim3(1), new Dim3(threads), 0);
    }

    private static void Clean(string body, int threads = 64)
    {
        using Kernel kernel = Make(body);
        kernel.Launch(new Dim3(3), new Dim3(threads), 0);
    }

    [Fact]
    public void A_read_of_another_warp_s_word_needs_a_barrier()
    {
        Finding finding = Find("""
            .loc 1 10 1
            st.shared.u32 [%r1], %r0;
            .loc 1 11 1
            ld.shared.u32 %r6, [%r2];
            """);
        // The first warp runs first and finds nothing written; the second would race.
        Assert.Equal((FindingKind.Uninitialised, 11), (finding.Kind, finding.Source.Line));

        finding = Find("""
            st.shared.u32 [%r1], %r0;
            bar.sync 0;
            .loc 1 10 1
            st.shared.u32 [%r1], %r0;
            .loc 1 11 1
            ld.shared.u32 %r6, [%r2];
            """);
        // The last warp to reach the barrier goes on first and reads; the other's write after that is out of order.
        Assert.Equal((FindingKind.SharedRace, 10, (0, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread));
        Assert.Equal((11, (32, 0, 0), false), (finding.Other!.Source.Line, finding.Other.Thread, finding.Other.IsWrite));

        Clean("""
            st.shared.u32 [%r1], %r0;
            bar.sync 0;
            ld.shared.u32 %r6, [%r2];
            bar.sync 0;
            st.shared.u32 [%r1], %r0;
            """);
    }

    [Fact]
    public void Threads_of_one_warp_need_a_warp_barrier()
    {
        Finding finding = Find("""
            .loc 1 10 1
            st.shared.u32 [%r1], %r0;
            .loc 1 11 1
            ld.shared.u32 %r6, [%r3];
            """, 32);
        Assert.Equal((FindingKind.SharedRace, 11, (0, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread));
        Assert.Equal((10, (1, 0, 0), true), (finding.Other!.Source.Line, finding.Other.Thread, finding.Other.IsWrite));

        Clean("""
            st.shared.u32 [%r1], %r0;
            bar.warp.sync 0xffffffff;
            ld.shared.u32 %r6, [%r3];
            bar.warp.sync 0xffffffff;
            st.shared.u32 [%r1], %r6;
            """);
    }

    [Fact]
    public void A_warp_barrier_of_some_lanes_orders_those()
    {
        const string Halves = """
            and.b32 %r7, %r0, 16;
            setp.eq.s32 %p1, %r7, 0;
            selp.b32 %r8, 0x0000ffff, 0xffff0000, %p1;
            st.shared.u32 [%r1], %r0;
            @%p1 bra LOW;
            bar.warp.sync %r8;
            bra.uni BOTH;
            LOW:
            bar.warp.sync %r8;
            BOTH:

            """;
        Clean(Halves + "ld.shared.u32 %r6, [%r3];", 32);
        Assert.Equal(FindingKind.SharedRace, Find(Halves + "xor.b32 %r3, %r1, 64; ld.shared.u32 %r6, [%r3];", 32).Kind);
    }

    [Fact]
    public void Two_threads_that_write_the_same_word_must_write_the_same_value()
    {
        Clean("mov.u32 %r6, 5; st.shared.u32 [tile], %r6;", 32);
        Finding finding = Find("""
            .loc 1 9 1
            st.shared.u32 [tile], %r0;
            """, 32);
        Assert.Equal((FindingKind.SharedRace, 9, (1, 0, 0), (0, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread, finding.Other!.Thread));
        finding = Find("""
            mov.u32 %r6, 5;
            .loc 1 9 1
            @%p0 st.shared.u32 [%r1], %r6;
            .loc 1 10 1
            @!%p0 st.shared.u32 [%r2], %r6;
            """);
        Assert.Equal((FindingKind.SharedRace, 10, 9), (finding.Kind, finding.Source.Line, finding.Other!.Source.Line));
    }

    [Fact]
    public void Neighbours_in_one_word_do_not_race()
    {
        Clean("""
            shl.b32 %r6, %r0, 1;
            add.s32 %r6, %r6, %r4;
            cvt.u16.u32 %h0, %r0;
            st.shared.u16 [%r6], %h0;
            ld.shared.u16 %h1, [%r6];
            """);
    }

    [Theory]
    [InlineData("ld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [%r9];")]
    [InlineData("ld.shared.v2.u32 {%r10, %r11}, [%r9];")]
    [InlineData("@%p1 ld.shared.u32 %r10, [%r9];")]
    [InlineData("atom.shared.add.u32 %r10, [%r9], 1;")]
    public void Wide_partial_and_atomic_accesses_race_as_well(string access)
    {
        string body = $"""
            shl.b32 %r9, %r0, 4;
            and.b32 %r9, %r9, 127;
            setp.gt.u32 %p1, %r0, 3;
            st.shared.u32 [%r1], %r0;
            BARRIER
            .loc 1 20 1
            {access}
            """;
        Clean(body.Replace("BARRIER", "bar.sync 0;", StringComparison.Ordinal), 32);
        Finding finding = Find(body.Replace("BARRIER", "", StringComparison.Ordinal), 32);
        // Lanes read what other lanes of their own warp have written.
        Assert.Equal((FindingKind.SharedRace, 20), (finding.Kind, finding.Source.Line));
    }

    [Fact]
    public void Atomic_operations_do_not_race_with_each_other_but_with_plain_ones()
    {
        const string Zero = "mov.u32 %r6, 0; @%p0 st.shared.u32 [tile], %r6; bar.sync 0;\n";
        Clean(Zero + "atom.shared.add.u32 %r7, [tile], 1; red.shared.add.u32 [tile], 1;");
        Finding finding = Find(Zero + """
            .loc 1 9 1
            atom.shared.add.u32 %r7, [tile], 1;
            .loc 1 10 1
            @%p0 ld.shared.u32 %r7, [tile];
            """);
        Assert.Equal((FindingKind.SharedRace, 10, 9), (finding.Kind, finding.Source.Line, finding.Other!.Source.Line));
    }

    [Fact]
    public void A_named_barrier_orders_only_its_warps()
    {
        // Warps 0 and 1 meet at barrier 1, warps 2 and 3 at barrier 2.
        const string Pairs = """
            shr.u32 %r6, %r0, 6;
            add.s32 %r6, %r6, 1;
            st.shared.u32 [%r1], %r0;
            bar.sync %r6, 64;

            """;
        Clean(Pairs + "ld.shared.u32 %r7, [%r2];", 128);
        Finding finding = Find(Pairs + """
            .loc 1 8 1
            xor.b32 %r2, %r1, 256;
            setp.ge.u32 %p1, %r0, 64;
            @%p1 ld.shared.u32 %r7, [%r2];
            """, 128);
        Assert.Equal((FindingKind.SharedRace, 8), (finding.Kind, finding.Source.Line));
    }

    [Fact]
    public void Producers_arrive_and_consumers_wait()
    {
        // Warp 1 writes and arrives, warp 0 waits and reads; what warp 1 writes afterwards is not covered.
        const string Hand = """
            @%p0 bra CONSUME;
            st.shared.u32 [%r2], %r0;
            bar.arrive 3, 64;
            EXTRA
            bra DONE;
            CONSUME:
            bar.sync 3, 64;
            .loc 1 30 1
            ld.shared.u32 %r6, [%r1];
            DONE:
            """;
        Clean(Hand.Replace("EXTRA", "", StringComparison.Ordinal));
        Finding finding = Find(Hand.Replace("EXTRA", "st.shared.u32 [%r2], %r0;", StringComparison.Ordinal));
        Assert.Equal((FindingKind.SharedRace, 30), (finding.Kind, finding.Source.Line));
    }

    [Fact]
    public void A_tile_loop_with_both_barriers_is_clean_and_without_the_second_is_not()
    {
        const string Loop = """
            mov.u32 %r10, 0;
            LOOP:
            .loc 1 50 1
            st.shared.u32 [%r1], %r10;
            bar.sync 0;
            .loc 1 52 1
            ld.shared.u32 %r11, [%r2];
            SECOND
            add.s32 %r10, %r10, 1;
            setp.lt.s32 %p1, %r10, 5;
            @%p1 bra LOOP;
            """;
        Clean(Loop.Replace("SECOND", "bar.sync 0;", StringComparison.Ordinal));
        Finding finding = Find(Loop.Replace("SECOND", "", StringComparison.Ordinal));
        Assert.Equal((FindingKind.SharedRace, 52, 50), (finding.Kind, finding.Source.Line, finding.Other!.Source.Line));
    }

    [Fact]
    public void An_asynchronous_copy_must_be_awaited_by_its_thread_and_then_by_the_others()
    {
        const string Copy = """
            ld.param.u64 %rd0, [p0];
            mul.wide.u32 %rd1, %r0, 4;
            add.s64 %rd1, %rd0, %rd1;
            .loc 1 60 1
            cp.async.ca.shared.global [%r1], [%rd1], 4;
            cp.async.commit_group;

            """;
        Finding Run(string rest)
        {
            using var kernel = new Kernel(Start + Copy + rest + "\nret;", ["u64"]);
            return kernel.FindingOf(new Dim3(1), new Dim3(64), 0, kernel.Upload(new int[64]));
        }
        Assert.Equal(FindingKind.AsyncCopyPending, Run("ld.shared.u32 %r6, [%r1];").Kind);
        Assert.Equal(FindingKind.AsyncCopyPending, Run("cp.async.wait_group 1;\nld.shared.u32 %r6, [%r1];").Kind);
        Assert.Equal(FindingKind.AsyncCopyPending, Run("bar.sync 0;\nld.shared.u32 %r6, [%r2];").Kind);
        Finding unordered = Run("cp.async.wait_all;\n.loc 1 61 1\nld.shared.u32 %r6, [%r3];");
        Assert.Equal((FindingKind.SharedRace, 61, 60), (unordered.Kind, unordered.Source.Line, unordered.Other!.Source.Line));

        using var clean = new Kernel(Start + Copy + """
            cp.async.wait_group 0;
            bar.sync 0;
            ld.shared.u32 %r6, [%r2];
            st.global.u32 [%rd1], %r6;
            ret;
            """, ["u64"]);
        int[] values = [.. Enumerable.Range(0, 64)];
        ulong place = clean.Upload(values);
        clean.Launch(new Dim3(1), new Dim3(64), 0, place);
        Assert.Equal(values.Select(value => value ^ 32), clean.Download<int>(place, 64));
    }
}
