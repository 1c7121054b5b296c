using DiffWave.Device;

namespace DiffWave.Kernels.Tests;

/// <summary>The references of the fused block and its folded biases say what those of the layer's parts say one after the other.</summary>
public class ResidualBlockReferenceTests
{
    [Theory]
    [InlineData(7, 4, 5, 1, 0, 0, false, false, false)]
    [InlineData(7, 4, 5, 2, 1, 3, true, true, true)]
    [InlineData(1, 3, 0, 4, 0, 0, true, false, true)]
    [InlineData(5, 6, 2, 8, 9, 2, false, true, false)]
    public void TheBlockIsItsPartsInTurn(int rows, int channels, int bands, int dilation, int before, int after, bool gateFirst, bool stepInResidual, bool first)
    {
        var random = new Random(1);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextSingle() - 1)];
        int outputs = 2 * channels;
        float[] x = Values((before + rows + after) * channels), mel = Values(rows * bands), step = Values(channels), label = Values(outputs), skipsBefore = first ? [] : Values(rows * channels);
        var weights = new ResidualBlock.Weights(Values(outputs * channels * 3), Values(outputs * bands), Values(outputs * channels));
        float[] dilatedBias = Values(outputs), conditionerBias = bands > 0 ? Values(outputs) : [], outputBias = Values(outputs);

        // The parts hand float32 on to each other: the conditioner, what goes through the gate and the folded biases carry roundings of it.
        float[] conditioner = new float[rows * outputs], h = new float[rows * outputs], gated = new float[rows * channels];
        if (bands > 0) PointwiseConv.Reference(mel, weights.Conditioner, conditionerBias, conditioner.AsSpan(), 1, false);
        DilatedConv.Reference(x, step, weights.Dilated, dilatedBias, label, bands > 0 ? conditioner : [], h.AsSpan(), before, dilation);
        GatedActivation.Reference(h, gated.AsSpan(), channels, gateFirst);
        double[] yParts = new double[rows * channels], skipsParts = new double[rows * channels];
        ResidualOutput.Reference(x.AsSpan(before * channels, rows * channels), stepInResidual ? step : [], gated, weights.Output, outputBias, skipsBefore, yParts, skipsParts.AsSpan());

        float[] bias = new float[outputs], edges = new float[2 * outputs], folded = new float[outputs];
        BlockBias.Reference(step, label, weights.Dilated, dilatedBias, conditionerBias, outputBias, bias, edges, folded.AsSpan(), stepInResidual);
        double[] preGate = new double[rows * outputs], z = new double[rows * channels], y = new double[rows * channels], skips = new double[rows * channels];
        ResidualBlock.Reference(x, mel, weights, bias, edges, folded, skipsBefore, preGate, z, y, skips.AsSpan(), before, dilation, gateFirst);

        Same(h.Select(value => (double)value), preGate);
        Same(gated.Select(value => (double)value), z);
        Same(yParts, y);
        Same(skipsParts, skips);

        static void Same(IEnumerable<double> expected, double[] actual) => Assert.All(expected.Zip(actual), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 1e-5));
    }

    [Fact]
    public void OperandsAreRoundedAndTheResidualIsNot()
    {
        double[] h = new double[2], z = new double[1], y = new double[1], skips = new double[1];
        var weights = new ResidualBlock.Weights([0, 1.3f, 0, 0, 0, 0], [], [0, 0]);
        ResidualBlock.Reference([0.6f], [], weights, [0, 0], [0, 0, 0, 0], [0, 0], [], h, z, y, skips.AsSpan(), 0, 1, false, MathF.Round);
        Assert.Equal((Math.Tanh(1) / 2, (float)0.6f * Math.Sqrt(0.5)), (z[0], y[0]));
    }

    [Fact]
    public void TheCostIsThatOfThePartsWithoutWhatTheyHandOn()
    {
        const int channels = 64, bands = 80, layers = 30;
        Cost block = ResidualBlock.ForwardCost(2, 1000, channels, bands, 1, layers, 2), dilated = DilatedConv.ForwardCost(2000, channels, false), gate = GatedActivation.ForwardCost(2000, channels),
            conditioner = PointwiseConv.ForwardCost(2000, bands, 2 * channels), output = ResidualOutput.ForwardCost(2000, channels, 1, layers);
        Assert.Equal(dilated.Flops + gate.Flops + conditioner.Flops + output.Flops, block.Flops);
        const long weights = 2 * channels * (3 * channels + bands) + 2 * channels * channels, biases = 2 * (2 * channels + 4 * channels + 2 * channels);
        Assert.Equal(2 * (2000 * (channels + bands + channels + 2 * channels) + weights) + 4 * biases, block.Bytes);
        Assert.True(ResidualBlock.ForwardCost(2, 1000, channels, bands, 0, layers, 2).Bytes < block.Bytes);
        Assert.Equal(new Cost(block.Flops, block.Bytes + 2 * 2000 * 2 * channels), ResidualBlock.ForwardCost(2, 1000, channels, bands, 1, layers, 2, keep: true));
    }
}
