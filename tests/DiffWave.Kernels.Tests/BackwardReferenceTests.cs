namespace DiffWave.Kernels.Tests;

/// <summary>
/// The references of the backward kernels are the gradients of those of the forward kernels, in float64. What is linear is held to the adjoint's identity, dy . (A x) = (A' dy) . x, which
/// one wrong element breaks; the others are held to differences.
/// </summary>
public class BackwardReferenceTests
{
    [Theory]
    [InlineData(1, 4, 1)]
    [InlineData(5, 3, 8)]
    [InlineData(700, 2, 64)]
    public void TheDilatedConvolutionAndItsGradientsAreAdjoint(int rows, int channels, int dilation)
    {
        int outputs = 2 * channels;
        float[] x = Random(1, rows * channels), step = Random(2, channels), weight = Random(3, outputs * channels * 3), dPreGate = Random(4, rows * outputs);
        double[] preGate = new double[rows * outputs], dX = new double[rows * channels], stepTiles = new double[DilatedConvBackward.Tiles(rows) * channels];
        double[] slices = new double[SliceSum.Slices(rows) * weight.Length];
        DilatedConv.Reference(x, step, weight, new float[outputs], [], [], preGate.AsSpan(), 0, dilation);
        DilatedConvBackward.Reference(weight, dPreGate, dX.AsSpan(), stepTiles.AsSpan(), rows, channels, dilation, false, false);
        WeightGradient.Reference(dPreGate, x, step, slices.AsSpan(), rows, outputs, channels, 3, dilation, 1);
        double[] dStep = new double[channels], dWeight = new double[weight.Length];
        for (int i = 0; i < stepTiles.Length; i++) dStep[i % channels] += stepTiles[i];
        for (int i = 0; i < slices.Length; i++) dWeight[PyTorchOrder(i % weight.Length, channels, 3)] += slices[i];
        AssertEqual(Dot(dPreGate, preGate), Dot(x, dX) + Dot(step, dStep));
        AssertEqual(Dot(dPreGate, preGate), Dot(weight, dWeight));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheOutputProjectionAndItsGradientsAreAdjoint(bool includesStep)
    {
        const int rows = 9, channels = 6;
        float[] x = Random(1, rows * channels), step = Random(2, channels), gated = Random(3, rows * channels), weight = Random(4, 2 * channels * channels);
        float[] dY = Random(5, rows * channels), dSkips = Random(6, rows * channels);
        double[] y = new double[rows * channels], skips = new double[rows * channels], dGated = new double[rows * channels], dX = [.. dY], stepTiles = new double[channels];
        ResidualOutput.Reference(x, includesStep ? step : [], gated, weight, new float[2 * channels], [], y.AsSpan(), skips.AsSpan());
        ResidualOutputBackward.Reference(weight, dY, dSkips, dGated.AsSpan(), channels);
        float[] noWeight = new float[6 * channels * channels], noGradient = new float[2 * rows * channels]; // leave what goes past the convolution
        DilatedConvBackward.Reference(noWeight, noGradient, dX.AsSpan(), stepTiles.AsSpan(), rows, channels, 1, true, includesStep);
        AssertEqual(Dot(dY, y) + Dot(dSkips, skips), Dot(gated, dGated) + Dot(x, dX) + Dot(step, stepTiles));
        double[] residual = new double[channels * channels], skip = new double[channels * channels];
        WeightGradient.Reference(dY, gated, [], residual.AsSpan(), rows, channels, channels, 1, 1, (float)Math.Sqrt(0.5));
        WeightGradient.Reference(dSkips, gated, [], skip.AsSpan(), rows, channels, channels, 1, 1, 1);
        Assert.Equal(Dot(gated, dGated), Dot(weight, [.. residual, .. skip]), 1e-6); // float32's root of a half
    }

    [Fact]
    public void AOneTapConvolutionAndItsGradientsAreAdjoint()
    {
        const int rows = 600, inputs = 5, outputs = 7;
        const float scale = 0.25f;
        float[] x = Random(1, rows * inputs), weight = Random(2, outputs * inputs), dY = Random(3, rows * outputs), bias = Random(4, outputs);
        double[] y = new double[rows * outputs], dX = [.. x.Select(value => (double)value)], dWeight = new double[2 * weight.Length], dBias = new double[2 * outputs];
        PointwiseConv.Reference(x, weight, bias, y.AsSpan(), scale, false);
        PointwiseConvBackward.Reference(weight, dY, dX.AsSpan(), outputs, inputs, scale, true);
        WeightGradient.Reference(dY, x, [], dWeight.AsSpan(), rows, outputs, inputs, 1, 1, scale);
        ColumnSum.Reference(dY, [], dBias.AsSpan(), rows, outputs, 1);
        AssertEqual(Dot(dY, y), Dot(x, dX) - Dot(x, [.. x.Select(value => (double)value)]) + Dot([.. bias, .. bias], dBias));
        AssertEqual(Dot(dY, y), Dot([.. weight, .. weight], dWeight) + Dot([.. bias, .. bias], dBias));
    }

    // The network's last two operations are linear on each side of the ReLU's kink, which no value here is near.
    [Fact]
    public void TheHeadsGradientsAreDifferences()
    {
        const int rows = 3, channels = 8;
        const float h = 1f / (1 << 12);
        float[] hidden = [.. Random(1, rows * channels).Select(value => MathF.Round(value * 64) / 64)], weight = Random(2, channels), dEps = Random(3, rows);
        double[] dHidden = new double[hidden.Length], dWeight = new double[channels];
        HeadBackward.Reference(hidden, dEps, weight, dHidden.AsSpan());
        float[] rectified = [.. hidden.Select(value => Math.Max(0, value))];
        ColumnSum.Reference(rectified, dEps, dWeight.AsSpan(), rows, channels, 1);
        double Loss(float[] values)
        {
            double[] eps = new double[rows];
            Head.Reference([.. values.Select(value => Math.Max(0, value))], weight, 0, eps.AsSpan());
            return Dot(dEps, eps);
        }
        AssertEqual(Loss(hidden), Dot(weight, dWeight));
        for (int i = 0; i < hidden.Length; i++)
        {
            if (hidden[i] == 0) continue;
            Assert.Equal((Loss(Moved(hidden, i, h)) - Loss(Moved(hidden, i, -h))) / (2 * h), dHidden[i], 1e-10);
        }
        Assert.Contains(dHidden, value => value == 0);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheGatesGradientIsADifference(bool gateFirst)
    {
        const int rows = 2, channels = 5;
        const float step = 1f / (1 << 10); // and every value a multiple of it, so that nothing is rounded; the difference's own error is step^2 / 6 times a third derivative of at most 2
        float[] h = [.. Random(1, 2 * rows * channels).Select(value => MathF.Round(3 * value / step) * step)], dY = Random(2, rows * channels);
        double[] dH = new double[h.Length];
        GatedActivation.ReferenceBackward(h, dY, dH.AsSpan(), channels, gateFirst);
        double Loss(float[] values)
        {
            double[] y = new double[rows * channels];
            GatedActivation.Reference(values, y.AsSpan(), channels, gateFirst);
            return Dot(dY, y);
        }
        for (int i = 0; i < h.Length; i++) Assert.Equal((Loss(Moved(h, i, step)) - Loss(Moved(h, i, -step))) / (2 * step), dH[i], (double)step * step / 3);
    }

    // A leaky ReLU, like a ReLU, is linear where no value changes its sign, so the identity holds through it.
    [Theory]
    [InlineData(1, 6)]
    [InlineData(2, 1)]
    [InlineData(5, 120)]
    [InlineData(16, 33)]
    public void AStageOfTheUpsamplerAndItsGradientsAreAdjoint(int factor, int inputs)
    {
        const int bands = 5;
        const float bias = 0.125f;
        float[] x = Random(1, inputs * bands), weight = Random(2, 3 * MelUpsampler.Taps(factor)), dY = Random(3, x.Length * factor);
        double[] y = new double[dY.Length], dX = new double[x.Length], slices = new double[MelUpsampler.Slices(inputs, factor) * (weight.Length + 1)], gradient = new double[weight.Length + 1];
        MelUpsampler.Reference(x, weight, bias, y.AsSpan(), inputs, bands, factor);
        float[] results = [.. y.Select(value => (float)value)];
        MelUpsampler.ReferenceBackwardInput(results, dY, weight, dX.AsSpan(), inputs, bands, factor);
        MelUpsampler.ReferenceBackwardWeights(x, results, dY, slices.AsSpan(), inputs, bands, factor);
        for (int i = 0; i < slices.Length; i++) gradient[i % gradient.Length] += slices[i];
        Assert.Contains(y, value => value < 0);
        AssertEqual(Dot(dY, y), Dot(x, dX) + bias * gradient[^1]);
        AssertEqual(Dot(dY, y), Dot([.. weight, bias], gradient));
    }

    [Fact]
    public void TheInputProjectionAndItsGradientsAreAdjoint()
    {
        const int rows = 600, channels = 6;
        float[] audio = Random(1, rows), weight = Random(2, channels), bias = Random(3, channels), dX = Random(4, rows * channels);
        double[] x = new double[dX.Length], dAudio = new double[rows], slices = new double[2 * 2 * channels], gradient = new double[2 * channels];
        InputProjection.Reference(audio, weight, bias, x.AsSpan());
        float[] results = [.. x.Select(value => (float)value)];
        InputProjectionBackward.ReferenceAudio(weight, results, dX, dAudio.AsSpan());
        InputProjectionBackward.ReferenceWeights(audio, results, dX, slices.AsSpan(), rows, channels);
        for (int i = 0; i < slices.Length; i++) gradient[i % gradient.Length] += slices[i];
        Assert.Contains(x, value => value == 0);
        AssertEqual(Dot(dX, x), Dot([.. weight, .. bias], gradient));
        AssertEqual(Dot(dX, x), Dot(audio, dAudio) + Dot(bias, gradient[channels..]));
    }

    [Fact]
    public void LinearLayersOfOneRowAndTheirGradientsAreAdjoint()
    {
        const int batch = 3, layers = 2, inputs = 5, outputs = 4, stride = outputs * (inputs + 1) + 3;
        float[] x = Random(1, batch * inputs), arena = Random(2, layers * stride), bias = arena[(outputs * inputs)..], d = Random(3, batch * layers * outputs), u = Random(4, batch * inputs);
        double[] y = new double[d.Length], dX = new double[x.Length], dU = new double[x.Length], gradient = new double[arena.Length], biasGradient = new double[bias.Length];
        VectorLinear.Reference(x, arena, bias, y.AsSpan(), layers, inputs, outputs, stride, silu: false);
        VectorLinear.ReferenceBackwardInput(d, arena, [], dX.AsSpan(), layers, inputs, outputs, stride);
        VectorLinear.ReferenceBackwardWeights(d, x, gradient.AsSpan(), biasGradient.AsSpan(), layers, inputs, outputs, stride);
        AssertEqual(Dot(d, y), Dot(x, dX) + Dot(bias, biasGradient));
        AssertEqual(Dot(d, y), Dot(arena, gradient) + Dot(bias, biasGradient));
        VectorLinear.ReferenceBackwardInput(d, arena, u, dU.AsSpan(), layers, inputs, outputs, stride);
        double Silu(double value) => value / (1 + Math.Exp(-value));
        for (int i = 0; i < u.Length; i++) Assert.Equal(dX[i] * (Silu(u[i] + 1e-4) - Silu(u[i] - 1e-4)) / 2e-4, dU[i], 1e-7);
    }

    private static float[] Moved(float[] values, int at, float by) => [.. values.Select((value, i) => i == at ? value + by : value)];

    // From [outputs, taps, inputs] to [outputs, inputs, taps].
    private static int PyTorchOrder(int value, int inputs, int taps) => (value / (taps * inputs) * inputs + value % inputs) * taps + value / inputs % taps;

    private static float[] Random(int seed, int length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => 2 * random.NextSingle() - 1)];
    }

    private static double Dot(float[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static void AssertEqual(double expected, double actual) => Assert.Equal(expected, actual, 1e-10 * Math.Max(1, Math.Abs(expected)));
}
