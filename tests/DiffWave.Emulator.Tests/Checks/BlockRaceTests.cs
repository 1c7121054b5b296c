using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Checks;

/// <summary>Blocks of a launch that meet in global memory: planted mistakes are found whichever block runs first, what is ordered is not.</summary>
public sealed class BlockRaceTests
{
    private static readonly EmulatorOptions Options = new() { MemoryBytes = 1 << 26, BlockRaces = true };

    // %rd1: this block's element, %rd2: that of the block after it, %rd3: of the block before it.
    private const string Index = """
        mov.u32 %r0, %ctaid.x;
        mov.u32 %r1, %tid.x;
        ld.param.u64 %rd0, [p0];
        mul.wide.s32 %rd1, %r0, 4;
        add.s64 %rd1, %rd0, %rd1;
        add.s64 %rd2, %rd1, 4;
        sub.s64 %rd3, %rd1, 4;
        setp.eq.s32 %p0, %r0, 0;
        setp.ne.s32 %p1, %r0, 0;

        """;

    private static Finding? Found(string body, EmulatorOptions? options = null, int blocks = 3)
    {
        using var kernel = new Kernel($"{Index}{body}\nret;", ["u64"], options: options ?? Options);
        ulong place = kernel.Upload(new float[64]);
        try
        {
            kernel.Launch(new Dim3(blocks), new Dim3(32), 0, place);
            return null;
        }
        catch (EmulatorException e)
        {
            return e.Finding;
        }
    }

    [Theory]
    [InlineData("st.global.f32 [%rd0], 0f3F800000;", "writes")] // all blocks one element
    [InlineData("st.global.f32 [%rd1], 0f3F800000; @%p1 ld.global.f32 %f0, [%rd3];", "writes")] // the element of a block before
    [InlineData("st.global.f32 [%rd1], 0f3F800000; ld.global.f32 %f0, [%rd2];", "reads")] // of one behind: found when that writes it
    [InlineData("@%p0 st.global.f32 [%rd0], 0f3F800000; @%p1 atom.global.add.u32 %r2, [%rd0], 1;", "writes")]
    [InlineData("atom.global.add.u32 %r2, [%rd0], 1; @%p1 st.global.f32 [%rd0], 0f3F800000;", "updates")]
    [InlineData("atom.global.add.u32 %r2, [%rd0], 1; @%p1 ld.global.f32 %f0, [%rd0];", "updates")]
    public void WhatOneBlockWritesNoOtherMayTouch(string body, string verb)
    {
        Finding finding = Found(body)!;
        Assert.Equal((FindingKind.GlobalRace, (1, 0, 0)), (finding.Kind, finding.Block));
        Assert.Contains($"which block (0, 0, 0) {verb} in the same launch", finding.Detail, StringComparison.Ordinal);
        Assert.Null(Found(body, Options with { BlockRaces = false }));
        Assert.Null(Found(body, blocks: 1));
    }

    [Theory]
    [InlineData("ld.global.f32 %f0, [%rd0]; st.global.f32 [%rd2], 0f3F800000;")] // all read one, each writes its own
    [InlineData("atom.global.add.u32 %r2, [%rd0], 1; red.global.add.u32 [%rd0], 1;")]
    [InlineData("st.global.f32 [%rd1], 0f3F800000; ld.global.f32 %f0, [%rd1];")]
    public void WhatBlocksDoBesideEachOtherIsNone(string body) => Assert.Null(Found(body));

    [Theory]
    [InlineData("cp.async.ca.shared.global [s], [%rd3], 4;")]
    [InlineData("cp.async.ca.shared.global [s], [%rd3], 4, 2;")]
    public void AnAsynchronousCopyReads(string copy)
    {
        using var kernel = new Kernel($".shared .align 16 .b8 s[16];\n{Index}setp.eq.s32 %p2, %r1, 0; st.global.f32 [%rd1], 0f3F800000; and.pred %p1, %p1, %p2; @%p1 {copy} cp.async.wait_all; ret;", ["u64"], options: Options);
        Assert.Equal(FindingKind.GlobalRace, kernel.FindingOf(new Dim3(2), new Dim3(32), 0, kernel.Upload(new float[64])).Kind);
    }

    [Fact]
    public void HalvesOfAWordAreTwoPlaces()
    {
        const string Halves = "mul.wide.s32 %rd4, %r0, 2; add.s64 %rd4, %rd0, %rd4; mov.b16 %h0, 1; st.global.b16 [%rd4], %h0;";
        Assert.Null(Found(Halves));
        Assert.Equal(FindingKind.GlobalRace, Found($"{Halves} @%p1 ld.global.u16 %h1, [%rd4+-2];")!.Kind);
    }

    // The block that comes last sums what the others left and counts from anew: the fences before and behind the counter order it, and either is needed.
    [Theory]
    [InlineData("membar.gl;", "membar.gl;", true)]
    [InlineData("fence.acq_rel.gpu;", "fence.sc.gpu;", true)]
    [InlineData("", "membar.gl;", false)]
    [InlineData("membar.gl;", "", false)]
    [InlineData("membar.cta;", "membar.gl;", false)] // a fence within the block orders nothing for others
    public void TheLastBlockSeesWhatOthersPublished(string before, string behind, bool isOrdered)
    {
        Finding? finding = Found($$"""
            st.global.f32 [%rd1+4], 0f3F800000;
            {{before}}
            setp.eq.s32 %p2, %r1, 0;
            @%p2 atom.global.add.u32 %r2, [%rd0], 1;
            setp.eq.s32 %p3, %r2, 2;
            and.pred %p3, %p3, %p2;
            @!%p3 bra DONE;
            {{behind}}
            ld.global.f32 %f0, [%rd0+4];
            ld.global.f32 %f1, [%rd0+8];
            st.global.u32 [%rd0], 0;
            DONE:
            """);
        Assert.Equal(isOrdered, finding is null);
        if (!isOrdered) Assert.Equal((FindingKind.GlobalRace, (2, 0, 0)), (finding!.Kind, finding.Block));
    }

    [Theory]
    [InlineData("st.global.f32 [%rd1], 0f3F800000; ld.global.nc.f32 %f0, [%rd1];")]
    [InlineData("ld.global.nc.f32 %f0, [%rd1]; st.global.f32 [%rd1], 0f3F800000;")]
    public void WhatIsReadAsConstantMustNotBeWrittenEvenByTheBlockItself(string body) => Assert.Equal(FindingKind.NonCoherentRead, Found(body)!.Kind);
}
