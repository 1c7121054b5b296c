using DiffWave.Cuda;

namespace DiffWave.Emulator.Tests.Execution;

/// <summary>Loads, stores, atomics, matrices and copies in every width and space.</summary>
public sealed class MemoryTests
{
    private static int[] Lanes => [.. Enumerable.Range(0, 32)];

    // Runs one warp with p0 an input and p1 an output of 32 words, %r0 the lane, %rd0 and %rd1 the lane's word in each.
    private static T[] Run<T>(string body, byte[] input, int outputs = 32, string module = "", Dim3? block = null) where T : unmanaged
    {
        using var kernel = new Kernel($"""
            ld.param.u64 %rd10, [p0];
            ld.param.u64 %rd11, [p1];
            mov.u32 %r0, %tid.x;
            mul.wide.u32 %rd2, %r0, 4;
            add.s64 %rd0, %rd10, %rd2;
            add.s64 %rd1, %rd11, %rd2;
            {body}
            ret;
            """, ["u64", "u64"], module);
        ulong from = kernel.Upload(input), to = kernel.Upload(new byte[outputs * 8]);
        kernel.Launch(new Dim3(1), block ?? new Dim3(32), 1024, from, to);
        return kernel.Download<T>(to, outputs);
    }

    private static byte[] Random(int bytes)
    {
        var data = new byte[bytes];
        new Random(5).NextBytes(data);
        return data;
    }

    [Fact]
    public void Narrow_loads_extend_sign_or_zero()
    {
        byte[] input = Random(128);
        Assert.Equal(Lanes.Select(lane => (int)(sbyte)input[4 * lane + 1]), Run<int>("ld.global.s8 %r1, [%rd0+1]; st.global.u32 [%rd1], %r1;", input));
        Assert.Equal(Lanes.Select(lane => (int)input[4 * lane + 1]), Run<int>("ld.global.u8 %r1, [%rd0+1]; st.global.u32 [%rd1], %r1;", input));
        Assert.Equal(Lanes.Select(lane => (int)BitConverter.ToInt16(input, 4 * lane + 2)), Run<int>("ld.global.s16 %r1, [%rd0+2]; st.global.u32 [%rd1], %r1;", input));
        Assert.Equal(Lanes.Select(lane => (int)BitConverter.ToUInt16(input, 4 * lane + 2)), Run<int>("ld.global.u16 %h0, [%rd0+2]; cvt.u32.u16 %r1, %h0; st.global.u32 [%rd1], %r1;", input));
        Assert.Equal(Lanes.Select(lane => (int)(sbyte)input[4 * lane]), Run<int>("ld.global.s8 %h0, [%rd0]; cvt.s32.s16 %r1, %h0; st.global.u32 [%rd1], %r1;", input));
        Assert.Equal(Lanes.Select(lane => (long)BitConverter.ToInt32(input, 4 * lane)),
            Run<long>("ld.global.s32 %rd3, [%rd0]; add.s64 %rd1, %rd1, %rd2; st.global.u64 [%rd1], %rd3;", input));
        Assert.Equal(Lanes.Select(lane => (int)input[4 * lane + 3]), Run<int>("ld.global.u32 %r1, [%rd0]; shr.u32 %r1, %r1, 24; st.global.u8 [%rd1], %r1;", input));
        Assert.Equal(Enumerable.Repeat(0x1234, 32), Run<int>("st.global.u16 [%rd1], 0x1234;", input));
        Assert.Equal(Enumerable.Repeat((int)input[5], 32), Run<int>("ld.global.u8 %r1, [%rd10+5]; st.global.u32 [%rd1], %r1;", input)); // the same place for all
    }

    [Fact]
    public void Vectors_of_every_shape()
    {
        byte[] input = Random(512);
        // Four words a lane, all lanes, then lanes in reverse.
        const string Sum = "add.u32 %r1, %r1, %r2; xor.b32 %r3, %r3, %r4; sub.u32 %r1, %r1, %r3; st.global.u32 [%rd1], %r1;";
        uint Word(int index) => BitConverter.ToUInt32(input, 4 * index);
        uint Combine(int lane) => Word(4 * lane) + Word(4 * lane + 1) - (Word(4 * lane + 2) ^ Word(4 * lane + 3));
        Assert.Equal(Lanes.Select(Combine), Run<uint>("mul.wide.u32 %rd3, %r0, 16; add.s64 %rd3, %rd10, %rd3; ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd3];" + Sum, input));
        Assert.Equal(Lanes.Select(lane => Combine(31 - lane)),
            Run<uint>("xor.b32 %r9, %r0, 31; mul.wide.u32 %rd3, %r9, 16; add.s64 %rd3, %rd10, %rd3; ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd3];" + Sum, input));
        Assert.Equal(Enumerable.Range(0, 64).Select(index => Word(index) + 1),
            Run<uint>("""
                add.s64 %rd0, %rd0, %rd2;
                add.s64 %rd1, %rd1, %rd2;
                ld.global.v2.u32 {%r1, %r2}, [%rd0];
                add.u32 %r1, %r1, 1;
                add.u32 %r2, %r2, 1;
                st.global.v2.u32 [%rd1], {%r1, %r2};
                """, input, 64));
        Assert.Equal(Lanes.Select(lane => input[4 * lane] + 256u * input[4 * lane + 3]),
            Run<uint>("ld.global.v4.u8 {%h0, %h1, %h2, %h3}, [%rd0]; cvt.u32.u16 %r1, %h0; cvt.u32.u16 %r2, %h3; mad.lo.u32 %r1, %r2, 256, %r1; st.global.u32 [%rd1], %r1;", input));
        Assert.Equal(Lanes.Select(lane => BitConverter.ToDouble(Finite(input), 16 * (lane / 2) + 8 * (lane % 2))),
            Run<double>("""
                shr.u32 %r9, %r0, 1;
                mul.wide.u32 %rd3, %r9, 16;
                add.s64 %rd3, %rd10, %rd3;
                ld.global.v2.f64 {%d0, %d1}, [%rd3];
                and.b32 %r9, %r0, 1;
                setp.eq.u32 %p0, %r9, 1;
                selp.f64 %d0, %d1, %d0, %p0;
                add.s64 %rd1, %rd1, %rd2;
                st.global.f64 [%rd1], %d0;
                """, Finite(input)));
    }

    // Random doubles that are no NaN.
    private static byte[] Finite(byte[] data) => [.. Enumerable.Range(0, data.Length / 8).SelectMany(i => BitConverter.GetBytes(BitConverter.ToInt64(data, 8 * i) % 1000 / 7.0))];

    [Fact]
    public void Generic_addresses_reach_shared_local_and_global_memory_even_within_one_instruction()
    {
        int[] result = Run<int>("""
            .shared .align 4 .b8 tile[128];
            .local .align 8 .b8 depot[16];
            mov.u32 %r1, tile;
            shl.b32 %r2, %r0, 2;
            add.s32 %r1, %r1, %r2;
            mul.lo.s32 %r3, %r0, 10;
            st.shared.u32 [%r1], %r3;
            cvt.u64.u32 %rd3, %r1;
            cvta.shared.u64 %rd3, %rd3;
            mov.u64 %rd4, depot;
            cvta.local.u64 %rd5, %rd4;
            mul.lo.s32 %r3, %r0, 100;
            st.u32 [%rd5+8], %r3;
            add.s64 %rd5, %rd5, 8;
            // A third of the lanes each.
            rem.u32 %r4, %r0, 3;
            setp.eq.u32 %p0, %r4, 0;
            setp.eq.u32 %p1, %r4, 1;
            selp.b64 %rd6, %rd3, %rd0, %p0;
            selp.b64 %rd6, %rd5, %rd6, %p1;
            ld.u32 %r5, [%rd6];
            st.global.u32 [%rd1], %r5;
            isspacep.shared %p2, %rd6;
            isspacep.local %p3, %rd6;
            isspacep.global %p4, %rd6;
            cvta.to.shared.u64 %rd7, %rd3;
            cvt.u32.u64 %r6, %rd7;
            setp.ne.u32 %p5, %r6, %r1;
            @%p5 trap;
            xor.pred %p6, %p2, %p0;
            @%p6 trap;
            xor.pred %p6, %p3, %p1;
            @%p6 trap;
            or.pred %p6, %p0, %p1;
            xor.pred %p6, %p6, %p4;
            @!%p6 trap;
            """, [.. Lanes.SelectMany(lane => BitConverter.GetBytes(1000 * lane))]);
        Assert.Equal(Lanes.Select(lane => lane * (lane % 3) switch { 0 => 10, 1 => 100, _ => 1000 }), result);
    }

    [Fact]
    public void Local_memory_belongs_to_each_thread()
    {
        using var kernel = new Kernel("""
            .local .align 4 .b8 depot[64];
            ld.param.u64 %rd0, [p0];
            mov.u32 %r0, %tid.x;
            mov.u64 %rd1, depot;
            and.b32 %r1, %r0, 15;
            mul.wide.u32 %rd2, %r1, 4;
            add.s64 %rd2, %rd1, %rd2;
            st.local.u32 [%rd2], %r0;
            xor.b32 %r1, %r1, 15;
            mul.wide.u32 %rd3, %r1, 4;
            add.s64 %rd3, %rd1, %rd3;
            st.local.u32 [%rd3], 7;
            ld.local.u32 %r2, [%rd2];
            mul.wide.u32 %rd4, %r0, 4;
            add.s64 %rd4, %rd0, %rd4;
            st.global.u32 [%rd4], %r2;
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(4 * 70);
        kernel.Launch(new Dim3(1), new Dim3(70), 0, place);
        Assert.Equal(Enumerable.Range(0, 70), kernel.Download<int>(place, 70));
        Assert.Equal(64, kernel.Driver.GetAttributes(kernel.Function).LocalBytes);
    }

    [Theory]
    [InlineData("add.u32", 5u, 0u, 32u * 5 + 100)]
    [InlineData("min.s32", unchecked((uint)-4), 0u, unchecked((uint)-4))]
    [InlineData("max.u32", unchecked((uint)-4), 0u, unchecked((uint)-4))]
    [InlineData("and.b32", 0x60u, 0u, 0x60u)]
    [InlineData("or.b32", 3u, 0u, 103u)]
    [InlineData("xor.b32", 0xFFu, 0u, 100u)]
    [InlineData("exch.b32", 9u, 0u, 9u)]
    [InlineData("inc.u32", 110u, 0u, 21u)] // 100 to 110 are ten steps, the next wraps to 0
    [InlineData("dec.u32", 200u, 0u, 68u)]
    [InlineData("cas.b32", 100u, 77u, 77u)]
    public void Atomics_of_a_warp_on_one_word(string operation, uint operand, uint second, uint expected)
    {
        string last = second != 0 ? $", {second}" : "";
        foreach (string space in (string[])["global", "shared", ""])
        {
            string address = space == "global" ? "%rd11" : space == "shared" ? "%r9" : "%rd9";
            uint[] result = Run<uint>($$"""
                .shared .align 4 .b8 tile[4];
                mov.u32 %r8, 100;
                mov.u32 %r9, tile;
                mov.u64 %rd9, tile;
                cvta.shared.u64 %rd9, %rd9;
                setp.eq.u32 %p0, %r0, 0;
                @%p0 st.shared.u32 [tile], %r8;
                @%p0 st.global.u32 [%rd11], %r8;
                bar.sync 0;
                atom{{(space.Length == 0 ? "" : "." + space)}}.{{operation}} %r1, [{{address}}], {{operand}}{{last}};
                bar.sync 0;
                ld.shared.u32 %r2, [tile];
                {{(space == "global" ? "" : "@%p0 st.global.u32 [%rd11], %r2;")}}
                """, new byte[128]);
            Assert.Equal(expected, result[0]);
        }
    }

    [Fact]
    public void Atomic_results_are_the_values_before_in_lane_order() =>
        Assert.Equal(Lanes.Select(lane => lane * (lane + 1) / 2), Run<int>("""
            add.s32 %r2, %r0, 1;
            atom.global.add.s32 %r1, [%rd10], %r2;
            st.global.u32 [%rd1], %r1;
            """, new byte[128]));

    [Fact]
    public void Atomics_of_floats_pairs_and_doubles()
    {
        Assert.Equal(16f + 0.25f * 32, Run<float>("mov.f32 %f0, 0f3E800000; red.global.add.f32 [%rd10], %f0; ld.global.f32 %f1, [%rd10]; @%p15 exit; st.global.f32 [%rd1], %f1;", [.. BitConverter.GetBytes(16f), .. new byte[124]])[31]);
        Assert.Equal(1.5 + 32 * 0.125, Run<double>("mov.f64 %d0, 0d3FC0000000000000; red.global.add.f64 [%rd10], %d0; ld.global.f64 %d1, [%rd10]; st.global.f64 [%rd11], %d1;", [.. BitConverter.GetBytes(1.5), .. new byte[120]])[0]);
        // Halves 1 and 2 added 32 times to 0.
        Half[] pair = Run<Half>("mov.b32 %r1, 0x40003C00; red.global.add.noftz.f16x2 [%rd10], %r1; ld.global.u32 %r2, [%rd10]; st.global.u32 [%rd11], %r2;", new byte[128], 2);
        Assert.Equal([(Half)32, (Half)64], pair);
    }

    [Fact]
    public void Matrices_of_ldmatrix_and_their_transposes()
    {
        // Element (row, column) of matrix m is 64 m + 8 row + column; lane l of register m holds two neighbours in its low and high half.
        byte[] input = [.. Enumerable.Range(0, 256).SelectMany(i => BitConverter.GetBytes((ushort)i))];
        string body(string trans) => $$"""
            .shared .align 16 .b8 tile[512];
            mov.u32 %r1, tile;
            shl.b32 %r2, %r0, 4;
            add.s32 %r1, %r1, %r2;
            mul.wide.u32 %rd3, %r0, 16;
            add.s64 %rd3, %rd10, %rd3;
            cp.async.cg.shared.global [%r1], [%rd3], 16;
            cp.async.wait_all;
            bar.sync 0;
            ldmatrix.sync.aligned.m8n8.x4{{trans}}.shared.b16 {%r4, %r5, %r6, %r7}, [%r1];
            mul.wide.u32 %rd4, %r0, 16;
            add.s64 %rd4, %rd11, %rd4;
            st.global.v4.u32 [%rd4], {%r4, %r5, %r6, %r7};
            """;
        ushort[] plain = Run<ushort>(body(""), input, 256), transposed = Run<ushort>(body(".trans"), input, 256);
        for (int lane = 0; lane < 32; lane++)
            for (int matrix = 0; matrix < 4; matrix++)
                for (int half = 0; half < 2; half++)
                {
                    int at = 8 * lane + 2 * matrix + half, major = lane / 4, minor = lane % 4 * 2 + half;
                    Assert.Equal(64 * matrix + 8 * major + minor, plain[at]);
                    Assert.Equal(64 * matrix + 8 * minor + major, transposed[at]);
                }
    }

    [Fact]
    public void An_asynchronous_copy_of_fewer_bytes_fills_with_zeros()
    {
        byte[] input = Random(512);
        byte[] result = Run<byte>("""
            .shared .align 16 .b8 tile[512];
            mov.u32 %r1, tile;
            shl.b32 %r2, %r0, 4;
            add.s32 %r1, %r1, %r2;
            mul.wide.u32 %rd3, %r0, 16;
            add.s64 %rd3, %rd10, %rd3;
            and.b32 %r3, %r0, 15;
            cp.async.cg.shared.global [%r1], [%rd3], 16, %r3;
            cp.async.commit_group;
            cp.async.wait_group 0;
            ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r1];
            add.s64 %rd4, %rd11, %rd2;
            mul.wide.u32 %rd4, %r0, 16;
            add.s64 %rd4, %rd11, %rd4;
            st.global.v4.u32 [%rd4], {%r4, %r5, %r6, %r7};
            """, input, 512);
        for (int i = 0; i < 512; i++) Assert.Equal(i % 16 < (i / 16 & 15) ? input[i] : 0, result[i]);
    }

    [Fact]
    public void Dynamic_shared_memory_follows_the_static_arrays()
    {
        int[] result = Run<int>("""
            .shared .align 4 .b8 fixed[20];
            mov.u32 %r1, fixed;
            mov.u32 %r2, dynamic;
            sub.s32 %r3, %r2, %r1;
            mov.u32 %r4, %dynamic_smem_size;
            mov.u32 %r5, %total_smem_size;
            add.s32 %r6, %r2, %r4;
            setp.ne.u32 %p0, %r5, %r6;
            @%p0 trap;
            st.shared.u32 [%r6+-4], %r3;
            bar.warp.sync -1;
            ld.shared.u32 %r7, [%r6+-4];
            st.global.u32 [%rd11], %r7;
            """, new byte[128], module: ".extern .shared .align 16 .b8 dynamic[];");
        Assert.Equal(32, result[0]);
    }

    [Fact]
    public void Special_registers_name_thread_block_and_lane()
    {
        using var kernel = new Kernel("""
            ld.param.u64 %rd0, [p0];
            mov.u32 %r0, %tid.x;
            mov.u32 %r1, %tid.y;
            mov.u32 %r2, %tid.z;
            mov.u32 %r3, %ntid.x;
            mov.u32 %r4, %ntid.y;
            mad.lo.s32 %r5, %r2, %r4, %r1;
            mad.lo.s32 %r5, %r5, %r3, %r0;
            mov.u32 %r6, %ctaid.x;
            mov.u32 %r7, %ctaid.y;
            mov.u32 %r8, %nctaid.x;
            mad.lo.s32 %r6, %r7, %r8, %r6;
            mov.u32 %r9, %ntid.z;
            mul.lo.s32 %r9, %r9, %r3;
            mul.lo.s32 %r9, %r9, %r4;
            mad.lo.s32 %r10, %r6, %r9, %r5;
            mul.wide.u32 %rd1, %r10, 4;
            add.s64 %rd0, %rd0, %rd1;
            mov.u32 %r11, %laneid;
            mov.u32 %r12, %warpid;
            mad.lo.s32 %r13, %r12, 32, %r11;
            setp.ne.u32 %p0, %r13, %r5;
            @%p0 trap;
            mov.u32 %r14, %lanemask_lt;
            popc.b32 %r14, %r14;
            setp.ne.u32 %p0, %r14, %r11;
            @%p0 trap;
            mov.u64 %rd2, %clock64;
            mov.u64 %rd3, %clock64;
            setp.le.u64 %p0, %rd3, %rd2;
            @%p0 trap;
            st.global.u32 [%rd0], %r10;
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(4 * 6 * 60);
        kernel.Launch(new Dim3(3, 2), new Dim3(5, 4, 3), 0, place);
        Assert.Equal(Enumerable.Range(0, 360), kernel.Download<int>(place, 360));
    }

    [Fact]
    public void Barriers_reduce_over_the_block()
    {
        int[] result = Run<int>("""
            rem.u32 %r1, %r0, 3;
            setp.eq.u32 %p0, %r1, 0;
            setp.lt.u32 %p1, %r0, 100;
            setp.gt.u32 %p2, %r0, 94;
            bar.red.popc.u32 %r2, 0, %p0;
            bar.red.and.pred %p3, 0, %p1;
            bar.red.or.pred %p4, 0, !%p1;
            bar.red.or.pred %p5, 0, %p2;
            selp.b32 %r3, 100, 0, %p3;
            selp.b32 %r4, 1000, 0, %p4;
            selp.b32 %r5, 10000, 0, %p5;
            add.s32 %r2, %r2, %r3;
            add.s32 %r2, %r2, %r4;
            add.s32 %r2, %r2, %r5;
            st.global.u32 [%rd1], %r2;
            """, new byte[128], 96, block: new Dim3(96));
        Assert.Equal(Enumerable.Repeat(32 + 100 + 10000, 96), result);
    }

    [Fact]
    public void Module_variables_start_with_their_values_and_keep_what_kernels_write()
    {
        using var kernel = new Kernel("""
            ld.param.u64 %rd0, [p0];
            ld.const.u32 %r1, [table+8];
            ld.global.u32 %r2, [count];
            add.s32 %r2, %r2, %r1;
            st.global.u32 [count], %r2;
            st.global.u32 [%rd0], %r2;
            ret;
            """, ["u64"], ".const .align 4 .u32 table[4] = {1, 2, 3};\n.global .align 4 .u32 count = 10;");
        ulong place = kernel.Driver.Allocate(4);
        kernel.Launch(new Dim3(1), new Dim3(1), 0, place);
        kernel.Launch(new Dim3(1), new Dim3(1), 0, place);
        Assert.Equal(16, kernel.Download<int>(place, 1)[0]);
    }
}
