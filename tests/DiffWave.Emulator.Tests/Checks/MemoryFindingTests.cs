using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Checks;

/// <summary>Kernels with one planted mistake in an address: its class, line, thread and place.</summary>
public sealed class MemoryFindingTests
{
    private const string Index = """
        mov.u32 %r0, %ctaid.x;
        mov.u32 %r1, %ntid.x;
        mov.u32 %r2, %tid.x;
        mad.lo.s32 %r0, %r0, %r1, %r2;
        ld.param.u64 %rd0, [p0];
        mul.wide.s32 %rd1, %r0, 4;
        add.s64 %rd1, %rd0, %rd1;

        """;

    [Fact]
    public void A_read_past_the_end_names_line_thread_and_distance()
    {
        using var kernel = new Kernel(Index + """
            .loc 1 41 5
            ld.global.f32 %f0, [%rd1];
            .loc 1 42 5
            st.global.f32 [%rd1+4], %f0;
            ret;
            """, ["u64"]);
        ulong place = kernel.Upload(new float[100]);
        Finding finding = kernel.FindingOf(new Dim3(2), new Dim3(64), 0, place);
        Assert.Equal(FindingKind.OutOfBounds, finding.Kind);
        Assert.Equal(("Kernel.cs", 41), (finding.Source.File, finding.Source.Line));
        Assert.Equal(((1, 0, 0), (36, 0, 0)), (finding.Block, finding.Thread)); // element 100
        Assert.Equal(place + 400, finding.Address);
        Assert.Contains("ld.global.f32", finding.PtxText, StringComparison.Ordinal);
        Assert.Contains("of 400 bytes", finding.Detail, StringComparison.Ordinal);
        Assert.Equal(kernel.Ptx.Split('\n').ToList().FindIndex(line => line.Contains("ld.global.f32", StringComparison.Ordinal)) + 1, finding.PtxLine);
    }

    [Fact]
    public void The_write_of_the_last_element_is_found_one_element_past_the_end()
    {
        using var kernel = new Kernel(Index + """
            .loc 1 42 5
            st.global.f32 [%rd1+4], %f0;
            ret;
            """, ["u64"]);
        Finding finding = kernel.FindingOf(new Dim3(1), new Dim3(64), 0, kernel.Driver.Allocate(256));
        Assert.Equal((FindingKind.OutOfBounds, 42, (63, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread));
        Assert.Contains("0 bytes after the end", finding.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ld.global.u32 %r3, [%rd0+2];", FindingKind.Misaligned)]
    [InlineData("ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%rd0+8];", FindingKind.Misaligned)]
    [InlineData("ld.global.u32 %r3, [%rd0+-4];", FindingKind.OutOfBounds)]
    [InlineData("mov.u64 %rd2, 0; ld.global.u32 %r3, [%rd2+8];", FindingKind.NullPointer)]
    [InlineData("mov.u64 %rd2, 0; ld.u32 %r3, [%rd2];", FindingKind.NullPointer)]
    [InlineData("mov.u64 %rd2, 0; atom.global.add.u32 %r3, [%rd2], 1;", FindingKind.NullPointer)]
    [InlineData("mov.u64 %rd2, 123456789; st.global.u8 [%rd2], %r0;", FindingKind.OutOfBounds)]
    [InlineData("ld.shared.u32 %r3, [%r0+1024];", FindingKind.OutOfBounds)]
    [InlineData("mov.u32 %r4, 1022; st.shared.u32 [%r4], %r0;", FindingKind.Misaligned)]
    [InlineData("mov.u32 %r4, -4; st.shared.u32 [%r4], %r0;", FindingKind.OutOfBounds)]
    [InlineData("mov.u64 %rd2, depot; st.local.u32 [%rd2+32], %r0;", FindingKind.OutOfBounds)]
    [InlineData("mov.u64 %rd2, depot; st.local.u32 [%rd2+30], %r0;", FindingKind.Misaligned)]
    [InlineData("mov.u64 %rd2, table; st.global.u32 [%rd2], %r0;", FindingKind.ReadOnly)]
    [InlineData("mov.u64 %rd2, table; ld.const.u32 %r3, [%rd2+16];", FindingKind.OutOfBounds)]
    [InlineData("ld.global.u32 %r3, [%rd0+252];", FindingKind.Uninitialised)]
    [InlineData("ld.shared.u32 %r3, [16];", FindingKind.Uninitialised)]
    public void Each_kind_of_wrong_address_is_told_apart(string instruction, FindingKind kind)
    {
        using var kernel = new Kernel($"""
            .shared .align 4 .b8 tile[1024];
            .local .align 4 .b8 depot[32];
            mov.u32 %r4, tile;
            {Index}
            .loc 1 7 1
            {instruction}
            .loc 1 8 1
            ret;
            """, ["u64"], ".const .align 4 .b32 table[4] = {1, 2, 3, 4};");
        ulong place = kernel.Driver.Allocate(256);
        kernel.Driver.FillAsync(place, 7, 63, 0);
        Finding finding = kernel.FindingOf(new Dim3(1), new Dim3(1), 0, place);
        Assert.Equal((kind, 7, (0, 0, 0)), (finding.Kind, finding.Source.Line, finding.Thread));
    }

    [Fact]
    public void Freed_memory_is_known_as_such()
    {
        using var kernel = new Kernel(Index + """
            .loc 1 9 1
            ld.global.u32 %r3, [%rd1];
            ret;
            """, ["u64"]);
        ulong place = kernel.Upload(new int[64]);
        kernel.Driver.Free(place);
        Finding finding = kernel.FindingOf(new Dim3(1), new Dim3(64), 0, place);
        Assert.Equal((FindingKind.UseAfterFree, 9), (finding.Kind, finding.Source.Line));
        Assert.Contains("has been freed", finding.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void One_unwritten_byte_within_a_warp_s_read_is_found_in_its_lane()
    {
        using var kernel = new Kernel(Index + """
            .loc 1 9 1
            ld.global.u32 %r3, [%rd1];
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(4 * 64);
        kernel.Driver.CopyToDevice(place, new byte[4 * 40 + 3]);
        kernel.Driver.CopyToDevice(place + 4 * 40 + 4, new byte[4 * 23]);
        Finding finding = kernel.FindingOf(new Dim3(1), new Dim3(64), 0, place);
        Assert.Equal((FindingKind.Uninitialised, (40, 0, 0)), (finding.Kind, finding.Thread));
        kernel.Driver.CopyToDevice(place + 4 * 40 + 3, new byte[1]);
        kernel.Launch(new Dim3(1), new Dim3(64), 0, place);
    }

    [Fact]
    public void What_a_kernel_writes_counts_as_written_and_the_rest_does_not()
    {
        using var kernel = new Kernel(Index + """
            setp.lt.s32 %p0, %r0, 10;
            @%p0 st.global.u32 [%rd1], %r0;
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(64 * 4);
        kernel.Launch(new Dim3(1), new Dim3(64), 0, place);
        Assert.Equal(Enumerable.Range(0, 10), kernel.Download<int>(place, 10));
        var unread = Assert.Throws<CudaException>(() => kernel.Download<int>(place, 11));
        Assert.Contains("byte 40", unread.Message, StringComparison.Ordinal);
        kernel.Driver.CopyOnDeviceAsync(kernel.Driver.Allocate(44) is var copy ? copy : 0, place, 44, 0);
        Assert.Throws<CudaException>(() => kernel.Download<int>(copy, 11));
        Assert.Equal(9, kernel.Download<int>(copy, 10)[9]);
    }

    [Fact]
    public void Without_checks_unwritten_memory_reads_as_it_is_and_bounds_still_hold()
    {
        var options = new EmulatorOptions { Checks = false, Threads = 1, MemoryBytes = 1 << 20 };
        using var kernel = new Kernel(Index + "ld.global.u32 %r3, [%rd1]; ret;", ["u64"], options: options);
        ulong place = kernel.Driver.Allocate(128);
        kernel.Launch(new Dim3(1), new Dim3(32), 0, place);
        Assert.Equal(FindingKind.OutOfBounds, kernel.FindingOf(new Dim3(1), new Dim3(33), 0, place).Kind);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void The_finding_of_the_first_block_is_thrown_whatever_the_number_of_threads(int threads)
    {
        using var kernel = new Kernel(Index + "st.global.u32 [%rd1], %r0; ret;", ["u64"], options: new EmulatorOptions { Threads = threads, MemoryBytes = 1 << 20 });
        Finding finding = kernel.FindingOf(new Dim3(500), new Dim3(32), 0, kernel.Driver.Allocate(4 * 32 * 37));
        Assert.Equal(((37, 0, 0), (0, 0, 0)), (finding.Block, finding.Thread));
    }

    [Fact]
    public void The_message_is_one_readable_paragraph()
    {
        using var kernel = new Kernel(Index + """
            .loc 1 12 1
            st.global.u32 [%rd1], %r0;
            ret;
            """, ["u64"]);
        ulong place = kernel.Driver.Allocate(100);
        var exception = Assert.Throws<EmulatorException>(() => kernel.Launch(new Dim3(1), new Dim3(32), 0, place));
        Assert.Equal("CUDA_ERROR_ILLEGAL_ADDRESS", exception.Error);
        Assert.Equal($"launch k: CUDA_ERROR_ILLEGAL_ADDRESS: OutOfBounds in k at Kernel.cs:12 (PTX line {exception.Finding.PtxLine}: {exception.Finding.PtxText}), block (0, 0, 0), thread (25, 0, 0): "
            + $"writes 4 bytes at global address 0x{place + 100:x}: 0 bytes after the end of the allocation of 100 bytes at 0x{place:x}", exception.Message);
    }
}
