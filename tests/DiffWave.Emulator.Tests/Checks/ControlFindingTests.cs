using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Checks;

/// <summary>Warps that part where they must not, barriers that never fill, loops that never end.</summary>
public sealed class ControlFindingTests
{
    private static Finding Find(string body, int threads, EmulatorOptions? options = null)
    {
        using var kernel = new Kernel("mov.u32 %r0, %tid.x;\n" + body + "\nret;", [], options: options);
        return kernel.FindingOf(new Dim3(1), new Dim3(threads), 0);
    }

    [Fact]
    public void A_barrier_for_half_a_warp()
    {
        Finding finding = Find("""
            setp.lt.u32 %p0, %r0, 16;
            @!%p0 bra SKIP;
            .loc 1 5 1
            bar.sync 0;
            SKIP:
            """, 64);
        Assert.Equal((FindingKind.DivergentWarp, 5), (finding.Kind, finding.Source.Line));
        Assert.Contains("0x0000ffff", finding.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void A_barrier_after_some_lanes_have_ended()
    {
        Finding finding = Find("""
            setp.ge.u32 %p0, %r0, 40;
            @%p0 exit;
            .loc 1 5 1
            bar.sync 0;
            """, 64);
        Assert.Equal((FindingKind.DivergentWarp, 5, (32, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread));
        Assert.Contains("have ended", finding.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void A_barrier_after_a_whole_warp_has_ended()
    {
        Finding finding = Find("""
            setp.ge.u32 %p0, %r0, 32;
            @%p0 exit;
            .loc 1 5 1
            bar.sync 0;
            """, 64);
        Assert.Equal((FindingKind.BarrierDeadlock, 5), (finding.Kind, finding.Source.Line));
        Assert.Contains("warp 1 has ended", finding.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Warps_at_different_barriers()
    {
        Finding finding = Find("""
            setp.ge.u32 %p0, %r0, 32;
            @%p0 bra OTHER;
            .loc 1 5 1
            bar.sync 1;
            bra DONE;
            OTHER:
            .loc 1 6 1
            bar.sync 2;
            DONE:
            """, 64);
        Assert.Equal((FindingKind.BarrierDeadlock, 5), (finding.Kind, finding.Source.Line));
        Assert.Contains("warp 1 waits at barrier 2 at Kernel.cs:6", finding.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_barrier_at_different_places_is_one_barrier()
    {
        using var kernel = new Kernel("""
            mov.u32 %r0, %tid.x;
            setp.ge.u32 %p0, %r0, 32;
            @%p0 bra OTHER;
            bar.sync 0;
            bra DONE;
            OTHER:
            bar.sync 0;
            DONE:
            bar.sync 0;
            ret;
            """, []);
        kernel.Launch(new Dim3(1), new Dim3(64), 0);
    }

    [Fact]
    public void A_shuffle_that_names_lanes_elsewhere()
    {
        Finding finding = Find("""
            setp.lt.u32 %p0, %r0, 16;
            @!%p0 bra SKIP;
            .loc 1 5 1
            shfl.sync.bfly.b32 %r1, %r0, 1, 31, 0xffffffff;
            SKIP:
            """, 32);
        Assert.Equal((FindingKind.DivergentWarp, 5), (finding.Kind, finding.Source.Line));
        finding = Find(".loc 1 5 1\nshfl.sync.bfly.b32 %r1, %r0, 1, 31, 0x0000ffff;", 32);
        Assert.Equal((FindingKind.DivergentWarp, (16, 0, 0)), (finding.Kind, finding.Thread));
    }

    [Fact]
    public void A_matrix_load_by_a_part_of_the_warp()
    {
        Finding finding = Find("""
            .shared .align 16 .b8 tile[512];
            setp.lt.u32 %p0, %r0, 31;
            mov.u32 %r1, tile;
            .loc 1 5 1
            @%p0 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1];
            """, 32);
        Assert.Equal((FindingKind.DivergentWarp, 5), (finding.Kind, finding.Source.Line));
    }

    [Fact]
    public void A_uniform_branch_whose_lanes_disagree()
    {
        Finding finding = Find("""
            setp.lt.u32 %p0, %r0, 7;
            .loc 1 5 1
            @%p0 bra.uni SKIP;
            SKIP:
            """, 32);
        Assert.Equal((FindingKind.DivergentUniformBranch, 5), (finding.Kind, finding.Source.Line));
    }

    [Fact]
    public void An_endless_loop_and_a_trap()
    {
        Finding finding = Find("""
            LOOP:
            .loc 1 5 1
            bra.uni LOOP;
            """, 32, new EmulatorOptions { WarpInstructionLimit = 1_000_000, MemoryBytes = 1 << 20 });
        Assert.Equal((FindingKind.InstructionLimit, 5), (finding.Kind, finding.Source.Line));
        finding = Find("setp.eq.u32 %p0, %r0, 3;\n.loc 1 6 1\n@%p0 trap;", 32);
        Assert.Equal((FindingKind.Trap, 6, (3, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread));
    }

    [Fact]
    public void A_warp_that_spins_lets_the_warp_it_waits_for_run()
    {
        using var kernel = new Kernel("""
            ld.param.u64 %rd0, [p0];
            mov.u32 %r0, %tid.x;
            setp.lt.u32 %p0, %r0, 32;
            @!%p0 bra WRITE;
            SPIN:
            ld.volatile.global.u32 %r1, [%rd0];
            setp.eq.u32 %p1, %r1, 0;
            @%p1 bra SPIN;
            bra DONE;
            WRITE:
            mov.u32 %r2, 1;
            st.volatile.global.u32 [%rd0], %r2;
            DONE:
            ret;
            """, ["u64"]);
        kernel.Launch(new Dim3(1), new Dim3(64), 0, kernel.Upload(0));
    }

    [Theory]
    [InlineData(33)]
    [InlineData(128)]
    public void A_barrier_for_an_impossible_number_of_threads(int count) => Assert.Equal(FindingKind.BarrierDeadlock, Find($"mov.u32 %r1, {count}; bar.sync 0, %r1;", 64).Kind);
}
