using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>What the residual block with resident weights was written for, in the emulator's counts, and that its bits depend on nothing but the signal.</summary>
public class ResidentBlockTests
{
    // 8, 1, 2 and 32 neighbours; rows of 64, 96, 128 and 160 bytes.
    [Theory]
    [InlineData("residual_block_resident_v2", "dilation=8")]
    [InlineData("residual_block_resident_v2_bf16", "dilation=1")]
    [InlineData("residual_block_resident_v2", "rows=600,dilation=2,gateFirst=1")]
    [InlineData("residual_block_resident_v2", "rows=200,dilation=64,before=64,after=10,layer=0")]
    [InlineData("residual_block_resident_v2", "channels=32,bands=48,dilation=3")]
    [InlineData("residual_block_resident_v2", "channels=32,bands=0,layer=2")]
    [InlineData("residual_block_resident_v2_kept", "dilation=1")]
    [InlineData("residual_block_resident_v2_bf16_kept", "channels=32,bands=16,gateFirst=1")]
    [InlineData("residual_block_resident_v2_packed", "dilation=64")]
    public void MovesWholeSectorsWithoutBankConflicts(string name, string sizes)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        LaunchReport report = OnEmulator.Run(version, version.Shapes[0].With(sizes)).Reports[0];
        BlockReports.AssertWholeSectorsWithoutBankConflicts(report, "ld.global.v4.f32");
    }

    [Fact]
    public void ProductsAreOnTensorCoresAndWarpsStayTogether()
    {
        LaunchReport report = OnEmulator.Report("residual_block_resident_v2");
        Assert.Equal(256 * 2 * 128 * (3 * 64 + 80 + 64), report.TensorFlops);
        Assert.InRange(report.Flops, 1, 10 * 256 * 64);
        Assert.Empty(report.DivergentBranches);
    }

    [Fact]
    public void EachTileIsOneStreamOfTensorInstructions()
    {
        List<string> loop = Ptx.Loop(Ptx.Of("residual_block_resident_v2"), "mma.sync");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        const int steps = 3 * 64 / 16 + 80 / 16, outputSteps = 64 / 16;
        Assert.Equal((2 * 16 * (steps + outputSteps), 2 * steps), (Count("mma.sync"), Count("ldmatrix.sync")));
        Assert.Equal(8 * (steps + outputSteps) + 8, Count("ld.shared.v4")); // a fragment of the weights for two products of each half, and x once more
        Assert.Equal((8, 16), (Count("ld.global.v4.u32"), Count("st.global.v4.u32")));
        Assert.Equal((128, 0), (Count("tanh.approx.f32"), Count("ex2")));
        Assert.Equal((1, 1, 1), (Count("bar.sync"), Count("bar.arrive"), Count("bar.warp.sync")));
    }

    // Six tiles, for one block, both teams of three, a block for each with and without work.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData(9)]
    public void TheBitsDoNotDependOnTheBlocks(int blocks)
    {
        using BlockOnEmulator<Half, F16> block = Of(8);
        block.AssertBitsDoNotDependOnBlocks(4, blocks);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(512)]
    public void KeepingWhatTheGateReadsChangesNoBit(int dilation)
    {
        using BlockOnEmulator<Half, F16> block = Of(dilation);
        block.AssertKeepingChangesNoBit();
    }

    [Theory]
    [InlineData(1, new[] { 128 })]
    [InlineData(8, new[] { 1, 7, 150 })]
    [InlineData(512, new[] { 299 })]
    public void ASignalInPiecesHasTheSameBits(int dilation, int[] cuts)
    {
        using BlockOnEmulator<Half, F16> block = Of(dilation);
        block.AssertBitsDoNotDependOnPieces(cuts);
    }

    [Fact]
    public void LaunchedEarlyItWaitsBeforeItTouchesMoreThanWeights()
    {
        using BlockOnEmulator<Half, F16> block = Of(8);
        block.AssertItTouchesOnlyWeightsBeforeOthersAreComplete();
    }

    // A piece that is a whole signal, pieces inside one, and pieces over several.
    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(512)]
    public void PackedSignalsHaveTheBitsTheyHaveAlone(int dilation)
    {
        using BlockOnEmulator<Half, F16> block = Of(dilation);
        block.AssertPackedSignalsHaveTheBitsTheyHaveAlone([200, 1, 37, 362], [50, 150, 200, 220, 500]);
    }

    private static BlockOnEmulator<Half, F16> Of(int dilation)
    {
        const int Channels = 64, Bands = 80;
        var kernel = new BlockKernel(typeof(ResidualBlock).GetMethod(nameof(ResidualBlock.ResidentV2))!.MakeGenericMethod(typeof(Half), typeof(F16)), ResidualBlock.ResidentThreads, ResidualBlock.ResidentRows,
            q => ResidualBlock.ResidentSharedBytes(Channels, Bands, q));
        return new BlockOnEmulator<Half, F16>(kernel, Channels, Bands, 300, dilation);
    }
}
