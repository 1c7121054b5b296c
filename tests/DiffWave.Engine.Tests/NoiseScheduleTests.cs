namespace DiffWave.Engine.Tests;

public class NoiseScheduleTests
{
    private static readonly double[] FastBase = [1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5], FastLarge = [1e-4, 1e-3, 0.01, 0.05, 0.2, 0.7];
    private static readonly Lazy<GoldenFile> Golden = new(() => new GoldenFile("sample.safetensors"));

    private static NoiseSchedule Linear(int steps, double last) => new(NoiseSchedule.LinearBetas(1e-4, last, steps));

    [Fact]
    public void LinearBetasEqualNumpysLinspaceBitForBit() =>
        Assert.Equal(Golden.Value.Doubles("full50_uncond.beta"), NoiseSchedule.LinearBetas(1e-4, 0.05, 50));

    [Fact]
    public void LogSpacedNoiseLevelsFormAGeometricRowAndTheirPartsAlignWithWholeSteps()
    {
        double[] betas = NoiseSchedule.LogSpacedBetas(0.002, 0.85, 50);
        var levels = new NoiseSchedule(betas).AlphaBars;
        for (int t = 0; t < 50; t++) Assert.Equal(Math.Log(0.002) + t / 49.0 * Math.Log(0.85 / 0.002), 0.5 * Math.Log(1 - levels[t]), 1e-6);
        var chain = new NoiseSchedule(NoiseSchedule.Thinned(betas, 0, 8, 49)).ReverseChain(new NoiseSchedule(betas));
        Assert.Equal([49f, 8f, 0f], chain.Select(step => step.Step));
    }

    [Fact]
    public void ASingleBetaIsTheFirst() => Assert.Equal([0.25], NoiseSchedule.LinearBetas(0.25, 0.5, 1));

    [Theory]
    [InlineData("fast6")]
    [InlineData("full50_uncond")]
    public void TheReverseChainEqualsTheReferenceTables(string chainName)
    {
        double[] betas = Golden.Value.Doubles($"{chainName}.beta"), alphaBars = Golden.Value.Doubles($"{chainName}.alpha_cum"), sigma = Golden.Value.Doubles($"{chainName}.sigma");
        double[] c1 = Golden.Value.Doubles($"{chainName}.c1"), c2 = Golden.Value.Doubles($"{chainName}.c2");
        float[] steps = Golden.Value.Floats($"{chainName}.T");
        var training = Linear(50, 0.05);
        Assert.Equal(Golden.Value.Doubles($"{chainName}.talpha_cum"), training.AlphaBars);

        var chain = new NoiseSchedule(betas).ReverseChain(training);

        Assert.Equal(Enumerable.Range(0, betas.Length).Reverse(), chain.Select(info => info.Index));
        foreach (var info in chain)
        {
            int n = info.Index;
            Assert.Equal(steps[n], info.Step); // exactly, in float32
            Assert.Equal(betas[n], info.Beta);
            Assert.Equal(alphaBars[n], info.AlphaBar);
            Assert.Equal(n > 0 ? alphaBars[n - 1] : 1, info.PreviousAlphaBar);
            // The update's coefficients follow from these fields.
            Assert.Equal(c1[n], 1 / Math.Sqrt(1 - info.Beta), 1e-15);
            Assert.Equal(c2[n], info.Beta / Math.Sqrt(1 - info.AlphaBar), 1e-15);
            Assert.Equal(sigma[n], Math.Sqrt((1 - info.PreviousAlphaBar) / (1 - info.AlphaBar) * info.Beta), 1e-15);
        }
    }

    // Steps found by the paper's alignment (appendix B) in float64, six decimals.
    [Theory]
    [InlineData(50, 0.05, 0.5, new[] { 0, 0.894134, 4.086654, 10.451817, 22.992493, 42.918643 })]
    [InlineData(200, 0.02, 0.7, new[] { 0, 3.200680, 13.430277, 33.820288, 73.982461, 170.605125 })]
    [InlineData(200, 0.02, 0.5, new[] { 0, 3.200680, 13.430277, 33.820288, 73.982461, 138.083865 })]
    public void FastSchedulesAlignToThePublishedFractionalSteps(int trainingSteps, double lastTrainingBeta, double lastFastBeta, double[] expected)
    {
        var chain = new NoiseSchedule([.. FastBase[..5], lastFastBeta]).ReverseChain(Linear(trainingSteps, lastTrainingBeta));
        foreach (var info in chain) Assert.Equal(expected[info.Index], info.Step, 1e-5); // half a unit of the sixth decimal and float32's rounding of 170
    }

    [Theory]
    [InlineData(20, 0.05, 0.6006)]
    [InlineData(40, 0.05, 0.3608)]
    [InlineData(50, 0.05, 0.27967)]
    [InlineData(200, 0.02, 0.13218)]
    public void TheTrainingSchedulesEndAtTheKnownNoiseLevel(int steps, double lastBeta, double alphaBar) =>
        Assert.Equal(alphaBar, Linear(steps, lastBeta).AlphaBars[^1], 5e-5);

    [Fact]
    public void AStepBeyondTheTrainingScheduleIsAnErrorThatNamesIt()
    {
        var error = Assert.Throws<ArgumentException>(() => new NoiseSchedule(FastLarge).ReverseChain(Linear(50, 0.05)));
        Assert.Contains("step 5 ", error.Message);
        Assert.Contains("T=50", error.Message);
        var below = Assert.Throws<ArgumentException>(() => new NoiseSchedule([1e-6, 0.1]).ReverseChain(Linear(50, 0.05)));
        Assert.Contains("step 0 ", below.Message);
    }

    [Theory]
    [InlineData(new double[0], "betas has 0 entries")]
    [InlineData(new[] { 0.1, 0 }, "betas[1] is 0")]
    [InlineData(new[] { 0.1, 0.2, 1 }, "betas[2] is 1")]
    [InlineData(new[] { -0.5 }, "betas[0] is -0.5")]
    [InlineData(new[] { double.NaN }, "betas[0] is NaN")]
    [InlineData(new[] { double.PositiveInfinity }, "betas[0] is")]
    public void BadBetasAreRefusedByName(double[] betas, string message) =>
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => new NoiseSchedule(betas)).Message);

    [Fact]
    public void TooManyBetasAreRefused() =>
        Assert.Contains("10001", Assert.Throws<ArgumentException>(() => new NoiseSchedule(new double[10_001])).Message);
}
