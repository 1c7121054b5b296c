using System.Runtime.CompilerServices;
using DiffWave.Device;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>What the residual block with streamed weights was written for, in the emulator's counts, and that its bits depend on nothing but the signal.</summary>
public class StreamedBlockTests
{
    // Rows of 64 to 1024 bytes, of mel 160 and 320; 1, 2, 8 and more neighbours.
    [Theory]
    [InlineData("residual_block_streamed_v3", "")]
    [InlineData("residual_block_streamed_v3", "rows=200,dilation=64,before=64,after=10,layer=0,bands=0")]
    [InlineData("residual_block_streamed_v3_bf16", "rows=300,dilation=2,gateFirst=1")]
    [InlineData("residual_block_streamed_v3_rows256", "dilation=64")]
    [InlineData("residual_block_streamed_v3_c256", "dilation=1")]
    [InlineData("residual_block_streamed_v3_tf32", "")]
    [InlineData("residual_block_streamed_v3_tf32_c256", "dilation=3,rows=150")]
    [InlineData("residual_block_streamed_v3_tf32_c64", "layer=2")]
    [InlineData("residual_block_streamed_v3_tf32_c64_rows256", "")]
    [InlineData("residual_block_streamed_v3_tf32_c32", "channels=96,bands=16")]
    [InlineData("residual_block_streamed_v3_kept", "")]
    [InlineData("residual_block_streamed_v3_bf16_c256_kept", "gateFirst=1")]
    [InlineData("residual_block_streamed_v3_tf32_c64_kept", "gateFirst=1,layer=0")]
    [InlineData("residual_block_streamed_v3_packed", "dilation=64")]
    public void MovesWholeSectorsWithoutBankConflicts(string name, string sizes)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        LaunchReport report = sizes.Length == 0 ? OnEmulator.Report(name) : OnEmulator.Run(version, version.Shapes[0].With(sizes)).Reports[0];
        BlockReports.AssertWholeSectorsWithoutBankConflicts(report, "ld.global.nc.v4.f32");
    }

    [Theory]
    [InlineData("residual_block_streamed_v3", 128)]
    [InlineData("residual_block_streamed_v3_c256", 256)]
    [InlineData("residual_block_streamed_v3_tf32_c32", 32)]
    public void EveryProductIsOnTensorCoresOnceAndWarpsStayTogether(string name, long channels)
    {
        LaunchReport report = OnEmulator.Report(name);
        Assert.Equal(256 * 2 * 2 * channels * (3 * channels + 80 + channels), report.TensorFlops);
        Assert.Empty(report.DivergentBranches);
    }

    // The shortest loop: of 16 bits a tap's, of TF32 the second product's, which rounds no operand and copies x of the next tile too.
    [Theory]
    [InlineData("residual_block_streamed_v3", 2 * 4, 4)]
    [InlineData("residual_block_streamed_v3_bf16", 2 * 4, 4)]
    [InlineData("residual_block_streamed_v3_tf32", 2 * 4, 4 + 1)]
    [InlineData("residual_block_streamed_v3_tf32_c64", 4 * 2, 4 + 1)]
    public void AStepOfTheRingHoldsItsProductsLoadsAndCopies(string name, int fragments, int copies)
    {
        List<string> loop = Ptx.Loop(Ptx.Of(name), "mma.sync");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.Equal((8 * fragments, fragments), (Count("mma.sync"), Count("ldmatrix.sync")));
        Assert.Equal((copies, 1, 1, 1), (Count("cp.async.cg"), Count("cp.async.commit_group"), Count("cp.async.wait_group"), Count("bar.sync")));
        Assert.Equal((0, 0), (Count("ld.global"), Count("st.")));
    }

    [Fact]
    public void TheGateOfTf32IsWithinTwoToTheMinus20()
    {
        double worst = 0;
        for (int i = -400; i <= 400; i++)
            for (int j = -400; j <= 400; j++)
            {
                float filter = i * 0.031f, gate = j * 0.053f;
                worst = Math.Max(worst, Math.Abs(TF32.Gate(filter, gate) - Math.Tanh(filter) / (1 + Math.Exp(-gate))));
            }
        Assert.InRange(worst, 1e-9, 1.0 / (1 << 20));
        float[] far = [-1e4f, -100, 0, 100, 1e4f];
        Assert.All(far, filter => Assert.All(far, gate => Assert.Equal((float)(Math.Tanh(filter) / (1 + Math.Exp(-gate))), TF32.Gate(filter, gate), 1e-9f)));
        Assert.True(float.IsNaN(TF32.Gate(float.NaN, 0)) && float.IsNaN(TF32.Gate(0, float.NaN)));
    }

    // Six tiles: all for one block, one each, and blocks without any.
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(9)]
    public void TheBitsDoNotDependOnTheBlocks(int blocks)
    {
        using BlockOnEmulator<Half, F16> half = Of<Half, F16, StreamedTile128>(128, 8);
        half.AssertBitsDoNotDependOnBlocks(2, blocks);
        using BlockOnEmulator<float, TF32> single = Of<float, TF32, StreamedTile32Channels>(32, 8);
        single.AssertBitsDoNotDependOnBlocks(2, blocks);
    }

    [Fact]
    public void NorOnTheRowsOfATile()
    {
        using BlockOnEmulator<Half, F16> small = Of<Half, F16, StreamedTile128>(128, 8);
        using BlockOnEmulator<Half, F16> large = Of<Half, F16, StreamedTile256>(128, 8);
        small.Launch(0, 300, 2);
        large.Launch(0, 300, 2);
        Assert.NotEqual(small.None, small.Y());
        Assert.Equal(small.Y(), large.Y());
        Assert.Equal(small.Skips(), large.Skips());
    }

    [Fact]
    public void KeepingWhatTheGateReadsChangesNoBit()
    {
        using BlockOnEmulator<Half, F16> half = Of<Half, F16, StreamedTile128>(128, 8);
        half.AssertKeepingChangesNoBit();
        using BlockOnEmulator<Half, F16> large = Of<Half, F16, StreamedTile256>(128, 64);
        large.AssertKeepingChangesNoBit();
        using BlockOnEmulator<float, TF32> single = Of<float, TF32, StreamedTile32Channels>(32, 1);
        single.AssertKeepingChangesNoBit();
    }

    [Theory]
    [InlineData(1, new[] { 128 })]
    [InlineData(8, new[] { 1, 7, 150 })]
    [InlineData(512, new[] { 299 })]
    public void ASignalInPiecesHasTheSameBits(int dilation, int[] cuts)
    {
        using BlockOnEmulator<BFloat16, BF16> half = Of<BFloat16, BF16, StreamedTile128>(128, dilation);
        half.AssertBitsDoNotDependOnPieces(cuts);
        using BlockOnEmulator<float, TF32> single = Of<float, TF32, StreamedTile64Channels>(64, dilation);
        single.AssertBitsDoNotDependOnPieces(cuts);
    }

    [Fact]
    public void LaunchedEarlyItWaitsBeforeItTouchesMoreThanWeights()
    {
        using BlockOnEmulator<BFloat16, BF16> half = Of<BFloat16, BF16, StreamedTile128>(128, 8);
        half.AssertItTouchesOnlyWeightsBeforeOthersAreComplete();
        using BlockOnEmulator<float, TF32> single = Of<float, TF32, StreamedTile64Channels>(64, 8);
        single.AssertItTouchesOnlyWeightsBeforeOthersAreComplete();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    public void PackedSignalsHaveTheBitsTheyHaveAlone(int dilation)
    {
        int[] lengths = [200, 1, 37, 362], cuts = [50, 150, 200, 220, 500];
        using BlockOnEmulator<BFloat16, BF16> half = Of<BFloat16, BF16, StreamedTile128>(128, dilation);
        half.AssertPackedSignalsHaveTheBitsTheyHaveAlone(lengths, cuts);
        using BlockOnEmulator<float, TF32> single = Of<float, TF32, StreamedTile32Channels>(32, dilation);
        single.AssertPackedSignalsHaveTheBitsTheyHaveAlone(lengths, cuts);
    }

    private static BlockOnEmulator<T, P> Of<T, P, S>(int channels, int dilation) where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        const int Bands = 16;
        int size = Unsafe.SizeOf<T>();
        var kernel = new BlockKernel(typeof(ResidualBlock).GetMethod(nameof(ResidualBlock.StreamedV3))!.MakeGenericMethod(typeof(T), typeof(P), typeof(S)), ResidualBlock.StreamedThreads, S.Rows,
            q => ResidualBlock.StreamedBytes<S>(channels, Bands, q, size));
        return new BlockOnEmulator<T, P>(kernel, channels, Bands, 300, dilation);
    }
}
