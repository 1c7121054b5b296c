using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>The data gradients of a block in one launch: what its reference says, and what does not depend on how it is launched.</summary>
public sealed class ResidualBlockBackwardTests : IDisposable
{
    private readonly TrialsOnEmulator trials = new();

    [Theory]
    [InlineData(7, 4, 2, true, false, false)]
    [InlineData(7, 4, 2, true, true, true)]
    [InlineData(1, 3, 4, true, false, true)]
    [InlineData(5, 6, 8, false, true, false)]
    [InlineData(9, 2, 1, false, false, true)]
    public void TheReferenceIsThatOfTheParts(int rows, int channels, int dilation, bool hasY, bool gateFirst, bool stepInResidual)
    {
        var random = new Random(1);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextSingle() - 1)];
        int values = rows * channels;
        float[] dY = hasY ? Values(values) : [], dSkips = Values(values), h = Values(2 * values), dilated = Values(6 * channels * channels), output = Values(2 * channels * channels);
        float[] dZ = new float[values], dH = new float[2 * values], z = new float[values];
        ResidualOutputBackward.Reference(output, dY, dSkips, dZ.AsSpan(), channels);
        GatedActivation.ReferenceBackward(h, dZ, dH.AsSpan(), channels, gateFirst);
        GatedActivation.Reference(h, z.AsSpan(), channels, gateFirst);
        double[] dX = [.. hasY ? dY.Select(value => (double)value) : new double[values]], step = new double[channels];
        DilatedConvBackward.Reference(dilated, dH, dX.AsSpan(), step.AsSpan(), rows, channels, dilation, hasY, stepInResidual);

        float[] scaled = [.. output.Select((weight, i) => i < channels * channels ? weight * MathF.Sqrt(0.5f) : weight)];
        ResidualBlockBackward.Gradients<double> block = ResidualBlockBackward.Reference<double>(dY, dSkips, h, dilated, scaled, channels, dilation, gateFirst, stepInResidual);
        Same(dZ.Select(value => (double)value), block.DZ);
        Same(z.Select(value => (double)value), block.Z);
        Same(dH.Select(value => (double)value), block.DH);
        Same(dX, block.DX);
        Same(step, [.. Enumerable.Range(0, channels).Select(i => Enumerable.Range(0, rows).Sum(row => block.Step[row * channels + i]))]);

        void Same(IEnumerable<double> expected, double[] actual) => Assert.All(expected.Zip(actual), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 1e-5)); // the parts hand float32 on
    }

    [Theory]
    [InlineData("residual_block_backward_v2", "batch=2,rows=600,channels=32,dilation=4")]
    [InlineData("residual_block_backward_v2_bf16", "batch=2,rows=400,channels=64,dilation=256,hasY=0")]
    [InlineData("residual_block_backward_v3", "batch=2,rows=300,dilation=4")]
    [InlineData("residual_block_backward_v3_bf16", "batch=1,rows=300,dilation=32,hasY=0")]
    [InlineData("residual_block_backward_v3_c256", "batch=2,rows=150,dilation=64,half=1")]
    public void AnyNumberOfBlocksGivesTheSameBits(string name, string shape)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        trials.AssertSameBitsForAnyNumberOfBlocks(version, version.Shapes[0].With(shape), 3, 7, 40);
    }

    [Theory]
    [InlineData("residual_block_backward_v2", 32)]
    [InlineData("residual_block_backward_v2_bf16", 64)]
    [InlineData("residual_block_backward_v3", 128)]
    [InlineData("residual_block_backward_v3_c256_bf16", 256)]
    public void AnItemHasTheSameBitsAloneAndInABatch(string name, int channels)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        KernelShape alone = version.Shapes[0].With($"batch=1,rows=200,channels={channels},dilation=16"), together = alone.With("batch=2");
        foreach (var (first, both) in trials.Outputs(version, alone).Zip(trials.Outputs(version, together))) Assert.Equal(first, both[..first.Length]); // random data begin alike
    }

    [Fact]
    public void TheShapesOfTheTrialsHaveEveryHalo()
    {
        IEnumerable<int> halos = KernelCatalog.Find("residual_block_backward_v2")!.Shapes.Select(shape => ResidualBlockBackward.NeighboursV2((int)shape["rows"], (int)shape["dilation"]));
        Assert.Equal([1, 4, 8, 16], halos.Distinct().Order());
        Assert.Equal(1, ResidualBlockBackward.NeighboursV2(15872, 4)); // crops of the base model: no row in vain and the smallest halo
        Assert.InRange(ResidualBlockBackward.NeighboursV2(15872, 512), 4, 8);
    }

    [Theory]
    [InlineData("residual_block_backward_v3", 1, 4, 8, 16)]
    [InlineData("residual_block_backward_v3_c256", 1, 2, 8)]
    public void SoHaveThoseOfStreamedTiles(string name, params int[] expected)
    {
        Assert.Equal(expected, KernelCatalog.Find(name)!.Shapes.Select(shape =>
        {
            int channels = (int)shape["channels"], tileRows = ResidualBlockBackward.TileRowsV3(channels, shape["half"] == 1 ? 163 << 10 : 227 << 10);
            return ResidualBlockBackward.NeighboursV3((int)shape["rows"], (int)shape["dilation"], channels, tileRows);
        }).Distinct().Order());
    }

    [Theory, InlineData(32), InlineData(64)]
    public void TwoBlocksFitOnAMultiprocessor(int channels) => Assert.InRange(2 * (ResidualBlockBackward.SharedBytesV2(channels, 16) + 1024), 1, 228 * 1024);

    [Theory]
    [InlineData("residual_block_backward_v3", "rows=200,dilation=8,hasY=0")]
    [InlineData("residual_block_backward_v3_c256", "rows=100,dilation=2")]
    public void HalfTilesLeaveTheSameBits(string name, string shape)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        byte[][] Bits(int half) => trials.Outputs(version, version.Shapes[0].With($"{shape},half={half}"))[..3]; // without the sums of the tiles
        Assert.Equal(Bits(0), Bits(1));
    }

    // What is multiplied for the halo is 16 rows of each eight warps with the same rows, used or not.
    [Theory]
    [InlineData("residual_block_backward_v3", 128, 2 * (128 * 8 + 32 * 2))]
    [InlineData("residual_block_backward_v3_c256", 256, 2 * (64 * 8 + 16 * 2))]
    public void EveryProductIsOnTensorCoresAndWarpsStayTogether(string name, long channels, long rowsTimesWeights)
    {
        LaunchReport report = OnEmulator.Report(name);
        Assert.Equal(2 * channels * channels * rowsTimesWeights, report.TensorFlops);
        Assert.Empty(report.DivergentBranches);
    }

    [Theory]
    [InlineData("residual_block_backward_v3", 4, 4)]
    [InlineData("residual_block_backward_v3_c256", 2, 4)]
    [InlineData("residual_block_backward_v3_bf16", 4, 4)]
    public void ASliceOfTheRingIsMultipliedBetweenTwoBarriers(string name, int steps, int parts)
    {
        List<string> loop = Ptx.Loop(Ptx.Of(name), "ldmatrix");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.Equal((4 * parts * steps, parts * steps, 2 * steps), (Count("mma.sync"), Count("ldmatrix.sync"), Count("ld.shared.v4")));
        Assert.Equal((1, 1, 1, 0), (Count("cp.async.commit_group"), Count("cp.async.wait_group"), Count("bar.sync"), Count("ld.global")));
    }

    [Fact]
    public void AStreamedTileTakesWhatSharedMemoryThereIs()
    {
        Assert.Equal((128, 64), (ResidualBlockBackward.TileRowsV3(128, 227 << 10), ResidualBlockBackward.TileRowsV3(256, 227 << 10)));
        Assert.Equal((64, 32), (ResidualBlockBackward.TileRowsV3(128, 163 << 10), ResidualBlockBackward.TileRowsV3(256, 163 << 10)));
        Assert.Contains("128 channels need 164864 bytes", Assert.Throws<ArgumentOutOfRangeException>(() => ResidualBlockBackward.TileRowsV3(128, 99 << 10)).Message);
        Assert.Equal((16, 8), (ResidualBlockBackward.NeighboursV3(200, 64, 128, 128), ResidualBlockBackward.NeighboursV3(200, 64, 256, 64))); // as many as the halo holds
        Assert.Equal(32, TimeTile.Neighbours(200, 64, 128));
        Assert.Equal(1, ResidualBlockBackward.NeighboursV3(1000, 3, 128, 128));
    }

    public void Dispose() => trials.Dispose();
}
