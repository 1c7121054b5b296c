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
    public void AnyNumberOfBlocksGivesTheSameBits(string name, string shape)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        trials.AssertSameBitsForAnyNumberOfBlocks(version, version.Shapes[0].With(shape), 3, 7, 40);
    }

    [Theory]
    [InlineData("residual_block_backward_v2", 32)]
    [InlineData("residual_block_backward_v2_bf16", 64)]
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

    [Theory, InlineData(32), InlineData(64)]
    public void TwoBlocksFitOnAMultiprocessor(int channels) => Assert.InRange(2 * (ResidualBlockBackward.SharedBytesV2(channels, 16) + 1024), 1, 228 * 1024);

    public void Dispose() => trials.Dispose();
}
