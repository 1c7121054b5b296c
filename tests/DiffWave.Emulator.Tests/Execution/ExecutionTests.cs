using DiffWave.Cuda;

namespace DiffWave.Emulator.Tests.Execution;

public sealed class ExecutionTests
{
    private const string GlobalIndex = """
        mov.u32 %r0, %ctaid.x;
        mov.u32 %r1, %ntid.x;
        mov.u32 %r2, %tid.x;
        mad.lo.s32 %r0, %r0, %r1, %r2;

        """;

    [Fact]
    public void Saxpy_is_the_formula_over_ragged_blocks()
    {
        using var kernel = new Kernel(GlobalIndex + """
            ld.param.u32 %r3, [p3];
            setp.ge.s32 %p0, %r0, %r3;
            @%p0 bra DONE;
            ld.param.u64 %rd0, [p0];
            ld.param.u64 %rd1, [p1];
            ld.param.f32 %f0, [p2];
            cvta.to.global.u64 %rd0, %rd0;
            cvta.to.global.u64 %rd1, %rd1;
            mul.wide.s32 %rd2, %r0, 4;
            add.s64 %rd0, %rd0, %rd2;
            add.s64 %rd1, %rd1, %rd2;
            ld.global.nc.f32 %f1, [%rd0];
            ld.global.f32 %f2, [%rd1];
            fma.rn.f32 %f2, %f0, %f1, %f2;
            st.global.f32 [%rd1], %f2;
            DONE:
            ret;
            """, ["u64", "u64", "f32", "u32"]);
        float[] x = [.. Enumerable.Range(0, 1000).Select(i => i * 0.25f)], y = [.. Enumerable.Range(0, 1000).Select(i => 1000f - i)];
        ulong px = kernel.Upload(x), py = kernel.Upload(y);
        kernel.Launch(new Dim3(8), new Dim3(128), 0, px, py, 3f, 1000);
        Assert.Equal(x.Zip(y, (a, b) => MathF.FusedMultiplyAdd(3f, a, b)), kernel.Download<float>(py, 1000));
    }

    [Fact]
    public void A_block_reverses_through_shared_memory_and_a_barrier()
    {
        using var kernel = new Kernel("""
            .shared .align 4 .b8 tile[1024];
            mov.u32 %r0, %tid.x;
            ld.param.u64 %rd0, [p0];
            mul.wide.u32 %rd1, %r0, 4;
            add.s64 %rd1, %rd0, %rd1;
            ld.global.u32 %r1, [%rd1];
            mov.u32 %r2, tile;
            shl.b32 %r3, %r0, 2;
            add.s32 %r3, %r2, %r3;
            st.shared.u32 [%r3], %r1;
            bar.sync 0;
            mov.u32 %r4, %ntid.x;
            sub.s32 %r4, %r4, %r0;
            shl.b32 %r4, %r4, 2;
            add.s32 %r4, %r2, %r4;
            ld.shared.u32 %r5, [%r4+-4];
            st.global.u32 [%rd1], %r5;
            ret;
            """, ["u64"]);
        int[] values = [.. Enumerable.Range(0, 256)];
        ulong place = kernel.Upload(values);
        kernel.Launch(new Dim3(1), new Dim3(256), 0, place);
        Assert.Equal(values.Reverse(), kernel.Download<int>(place, 256));
    }

    [Fact]
    public void Loops_with_a_trip_count_of_each_lane_run_each_lane_its_own_number_of_times()
    {
        // Collatz steps: the lanes of a warp leave the loop at very different times.
        using var kernel = new Kernel(GlobalIndex + """
            add.s32 %r4, %r0, 1;
            mov.u32 %r5, 0;
            LOOP:
            setp.eq.s32 %p0, %r4, 1;
            @%p0 bra END;
            and.b32 %r6, %r4, 1;
            setp.eq.s32 %p1, %r6, 0;
            @%p1 bra EVEN;
            mad.lo.s32 %r4, %r4, 3, 1;
            bra.uni NEXT;
            EVEN:
            shr.u32 %r4, %r4, 1;
            NEXT:
            add.s32 %r5, %r5, 1;
            bra.uni LOOP;
            END:
            ld.param.u64 %rd0, [p0];
            mul.wide.u32 %rd1, %r0, 4;
            add.s64 %rd1, %rd0, %rd1;
            st.global.u32 [%rd1], %r5;
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(4 * 512);
        kernel.Launch(new Dim3(4), new Dim3(128), 0, place);
        Assert.Equal(Enumerable.Range(1, 512).Select(Steps), kernel.Download<int>(place, 512));

        static int Steps(int n)
        {
            int steps = 0;
            for (long value = n; value != 1; steps++) value = value % 2 == 0 ? value / 2 : 3 * value + 1;
            return steps;
        }
    }
}
