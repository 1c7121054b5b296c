using DiffWave.Cuda;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Reports;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Reports;

/// <summary>Counts known by hand.</summary>
public sealed class ReportTests
{
    private static EmulatorOptions Options(int threads = 1) => new() { Reports = true, Threads = threads, MemoryBytes = 1 << 26 };

    // One warp reads "bytes" per lane at lane * stride + offset and reports the access.
    private static AccessSite Global(int stride, int offset, string type, string registers)
    {
        using var kernel = new Kernel($$"""
            mov.u32 %r0, %tid.x;
            ld.param.u64 %rd0, [p0];
            mul.wide.u32 %rd1, %r0, {{stride}};
            add.s64 %rd1, %rd0, %rd1;
            .loc 1 3 1
            ld.global.{{type}} {{registers}}, [%rd1+{{offset}}];
            ret;
            """, ["u64"], options: Options());
        kernel.Launch(new Dim3(1), new Dim3(32), 0, kernel.Upload(new byte[8192]));
        AccessSite site = Assert.Single(kernel.Report.Global);
        Assert.Equal((3, 1L), (site.Source.Line, site.Requests));
        return site;
    }

    [Theory]
    [InlineData(4, 0, 4, 4)] // coalesced: 128 bytes are four sectors
    [InlineData(8, 0, 8, 4)] // every second word
    [InlineData(4, 4, 5, 4)] // off by a word: one sector more
    [InlineData(4, 32, 4, 4)]
    [InlineData(32, 0, 32, 4)]
    [InlineData(128, 0, 32, 4)]
    [InlineData(0, 0, 1, 1)] // the same word for all
    public void Sectors_of_words(int stride, int offset, int sectors, int ideal)
    {
        AccessSite site = Global(stride, offset, "u32", "%r3");
        Assert.Equal((sectors, ideal, 128), (site.Moved, site.Ideal, site.Bytes));
        Assert.Equal((double)ideal / sectors, site.Efficiency);
    }

    [Theory]
    [InlineData(16, 0, 16, 16)]
    [InlineData(32, 0, 32, 16)]
    [InlineData(16, 16, 17, 16)]
    public void Sectors_of_four_words(int stride, int offset, int sectors, int ideal)
    {
        AccessSite site = Global(stride, offset, "v4.u32", "{%r3, %r4, %r5, %r6}");
        Assert.Equal((sectors, ideal, 512), (site.Moved, site.Ideal, site.Bytes));
    }

    [Fact]
    public void Sectors_of_bytes_and_halves()
    {
        Assert.Equal((1, 1), (Global(1, 0, "u8", "%r3").Moved, Global(1, 0, "u8", "%r3").Ideal));
        Assert.Equal((2, 2), (Global(2, 0, "u16", "%h0").Moved, Global(2, 0, "u16", "%h0").Ideal));
        Assert.Equal((4, 2), (Global(4, 0, "u16", "%h0").Moved, Global(4, 0, "u16", "%h0").Ideal));
    }

    // One warp reads shared memory at (lane * stride) modulo 32768.
    private static AccessSite Shared(string address, string type, string registers)
    {
        using var kernel = new Kernel($$"""
            .shared .align 16 .b8 tile[32768];
            mov.u32 %r0, %tid.x;
            mov.u32 %r9, tile;
            {{address}}
            add.s32 %r1, %r1, %r9;
            .loc 1 3 1
            ld.shared.{{type}} {{registers}}, [%r1];
            ret;
            """, [], options: Options() with { Checks = false });
        kernel.Launch(new Dim3(1), new Dim3(32), 0);
        return Assert.Single(kernel.Report.Shared);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 1)]
    [InlineData(4, 4)]
    [InlineData(16, 16)]
    [InlineData(32, 32)]
    [InlineData(33, 1)]
    [InlineData(0, 1)]
    public void Wavefronts_of_words_by_stride(int stride, int wavefronts) =>
        Assert.Equal(wavefronts, Shared($"mul.lo.u32 %r1, %r0, {4 * stride};", "u32", "%r3").Moved);

    [Theory]
    [InlineData("v2.u32", "{%r3, %r4}", 8, 2, 2)] // half a warp fills the banks
    [InlineData("v2.u32", "{%r3, %r4}", 16, 4, 2)]
    [InlineData("v2.u32", "{%r3, %r4}", 128, 32, 2)]
    [InlineData("v4.u32", "{%r3, %r4, %r5, %r6}", 16, 4, 4)] // a quarter does
    [InlineData("v4.u32", "{%r3, %r4, %r5, %r6}", 32, 8, 4)]
    [InlineData("v4.u32", "{%r3, %r4, %r5, %r6}", 80, 4, 4)] // rows of 20 words
    [InlineData("v4.u32", "{%r3, %r4, %r5, %r6}", 128, 32, 4)]
    public void Wavefronts_of_wide_accesses_by_stride(string type, string registers, int stride, int wavefronts, int ideal)
    {
        AccessSite site = Shared($"mul.lo.u32 %r1, %r0, {stride};", type, registers);
        Assert.Equal((wavefronts, ideal), (site.Moved, site.Ideal));
    }

    [Fact]
    public void Lanes_that_read_the_same_words_share_them()
    {
        Assert.Equal(1, Shared("shr.u32 %r1, %r0, 2; shl.b32 %r1, %r1, 2;", "u32", "%r3").Moved); // eight words
        Assert.Equal(2, Shared("and.b32 %r1, %r0, 1; shl.b32 %r1, %r1, 7;", "u32", "%r3").Moved); // two words of one bank
        Assert.Equal(1, Shared("shl.b32 %r1, %r0, 1;", "u16", "%h0").Moved); // two halves of each word
    }

    [Theory]
    [InlineData(16, 4)] // rows one after the other: each matrix in one pass
    [InlineData(128, 32)] // all rows of a matrix in the same banks
    [InlineData(144, 4)] // padded rows
    public void Wavefronts_of_ldmatrix(int rowBytes, int wavefronts)
    {
        using var kernel = new Kernel($$"""
            .shared .align 16 .b8 tile[8192];
            mov.u32 %r0, %tid.x;
            mov.u32 %r1, tile;
            mad.lo.u32 %r1, %r0, {{rowBytes}}, %r1;
            ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];
            ret;
            """, [], options: Options() with { Checks = false });
        kernel.Launch(new Dim3(1), new Dim3(32), 0);
        AccessSite site = Assert.Single(kernel.Report.Shared);
        Assert.Equal((wavefronts, 4, 512), (site.Moved, site.Ideal, site.Bytes));
    }

    private const string Loop = """
        mov.u32 %r0, %tid.x;
        mov.f32 %f0, 0f3F800000;
        and.b32 %r1, %r0, 3;
        LOOP:
        fma.rn.f32 %f0, %f0, %f0, %f0;
        add.f32 %f0, %f0, %f0;
        setp.eq.u32 %p0, %r1, 0;
        add.u32 %r1, %r1, -1;
        .loc 1 9 1
        @!%p0 bra LOOP;
        bar.sync 0;
        ret;
        """;

    [Fact]
    public void Instructions_lanes_and_operations_of_a_divergent_loop()
    {
        using var kernel = new Kernel(Loop, [], options: Options());
        kernel.Launch(new Dim3(5), new Dim3(64), 0);
        LaunchReport report = kernel.Report;
        // Lane l runs l mod 4 + 1 rounds of five instructions: the warp four rounds with 32, 24, 16 and 8 lanes.
        Assert.Equal(10 * (3 + 4 * 5 + 2), report.WarpInstructions);
        Assert.Equal(10 * (3 * 32 + 5 * 80 + 2 * 32), report.ThreadInstructions);
        Assert.Equal(10 * 80 * 3, report.Flops);
        Assert.Equal(new InstructionCount(InstructionClass.Float32, 10 * 8, 10 * 160), report.Instructions.Single(count => count.Class == InstructionClass.Float32));
        Assert.Equal(10, report.Barriers);
        BranchSite branch = Assert.Single(report.DivergentBranches);
        Assert.Equal((9, 40L, 30L), (branch.Source.Line, branch.Executed, branch.Divergent));
    }

    [Fact]
    public void Touched_sectors_count_once_for_the_launch()
    {
        // 64 threads of each of 4 blocks read the words 0, 8, 16, .. 504 and write the last of them plus the block.
        using var kernel = new Kernel("""
            mov.u32 %r0, %tid.x;
            mov.u32 %r2, %ctaid.x;
            ld.param.u64 %rd0, [p0];
            ld.param.u64 %rd1, [p1];
            mul.wide.u32 %rd2, %r0, 32;
            add.s64 %rd0, %rd0, %rd2;
            ld.global.u32 %r1, [%rd0];
            ld.global.u32 %r1, [%rd0+28];
            mul.wide.u32 %rd3, %r2, 8;
            add.s64 %rd1, %rd1, %rd3;
            red.global.add.u32 [%rd1], %r1;
            ret;
            """, ["u64", "u64"], options: Options());
        ulong read = kernel.Upload(new byte[4096]), added = kernel.Upload(new byte[64]);
        kernel.Launch(new Dim3(4), new Dim3(64), 0, read, added);
        Assert.Equal([new AllocationTraffic(read, "", 4096, 64, 0), new AllocationTraffic(added, "", 64, 1, 1)], kernel.Report.Allocations);
        Assert.Equal([256, 256, 8], kernel.Report.Global.Select(site => site.Moved));
    }

    [Fact]
    public void Reports_do_not_depend_on_the_number_of_threads()
    {
        string Run(int threads)
        {
            using var kernel = new Kernel(Loop, [], options: Options(threads));
            kernel.Launch(new Dim3(50), new Dim3(96), 0);
            return System.Text.Json.JsonSerializer.Serialize(kernel.Report) + ReportText.Format(kernel.Report);
        }
        string one = Run(1);
        Assert.Contains("\"WarpInstructions\":3750", one, StringComparison.Ordinal);
        Assert.Equal(one, Run(2));
        Assert.Equal(one, Run(3));
    }

    [Fact]
    public void The_text_is_a_table_with_the_source_lines()
    {
        using var kernel = new Kernel("""
            mov.u32 %r0, %tid.x;
            ld.param.u64 %rd0, [p0];
            mul.wide.u32 %rd1, %r0, 8;
            add.s64 %rd1, %rd0, %rd1;
            .loc 1 21 1
            st.global.f32 [%rd1], 0f3F800000;
            ret;
            """, ["u64"], options: Options());
        kernel.Launch(new Dim3(2), new Dim3(32), 0, kernel.Driver.Allocate(256));
        Assert.Equal("""
            k: grid 2, block 32
              declared registers 0, local 0 bytes, shared 0 static + 0 dynamic bytes
              12 warp instructions, 32.0 lanes each; 0 FLOP, 0 tensor FLOP; 0 barriers; 0 local accesses
              instructions  warp  thread
              Integer          4     128
              Move             2      64
              Global           2      64
              Parameter        2      64
              Control          2      64
              global memory  requests  bytes  sectors  ideal  efficiency  instruction
              Kernel.cs:21          2    256       16      8        50 %  st.global.f32 [%rd1], 0f3F800000
              allocations touched  bytes  sectors read  sectors written
              0x7f0000000000         256             0                8

            """.Replace("declared registers 0", $"declared registers {kernel.Report.DeclaredRegisters}", StringComparison.Ordinal), ReportText.Format(kernel.Report));
    }
}
