namespace DiffWave.Engine.Tests;

public class InitializerTests
{
    private static readonly ModelConfig Small = ModelConfig.Preset("small");
    private static readonly ModelConfig MelAndLabel = ModelConfig.Preset("tiny") with { Conditioner = Conditioner.Mel | Conditioner.Label, Labels = 10, Upsampler = Upsampler.PerLayer };

    [Fact]
    public void SameSeedSameBitsOtherSeedOthers()
    {
        float[] first = Initializer.Create(Small, 1234).Arena;
        Assert.Equal(first, Initializer.Create(Small, 1234).Arena);
        Assert.NotEqual(first, Initializer.Create(Small, 1235).Arena);
        Assert.NotEqual(first, Initializer.Create(Small, 1234 + (1UL << 32)).Arena);
    }

    // Expected bounds and variances are PyTorch's: nn.init.kaiming_normal_ (variance 2 / fan_in), nn.Linear and nn.ConvTranspose2d reset_parameters (uniform ±1 / sqrt(fan_in),
    // variance bound^2 / 3), fan_in by hand from each layer's definition.
    public static TheoryData<string, bool, int> Tensors() => new()
    {
        // name, normal, fan_in; C = 32 ("small") except where the label model (C = 16) is meant
        { "input_projection.weight", true, 1 },
        { "input_projection.bias", false, 1 },
        { "diffusion_embedding.projection1.weight", false, 128 },
        { "diffusion_embedding.projection1.bias", false, 128 },
        { "diffusion_embedding.projection2.weight", false, 512 },
        { "diffusion_embedding.projection2.bias", false, 512 },
        { "spectrogram_upsampler.conv1.weight", false, 3 * 32 },
        { "spectrogram_upsampler.conv2.weight", false, 3 * 32 },
        { "residual_layers.7.dilated_conv.weight", true, 32 * 3 },
        { "residual_layers.7.dilated_conv.bias", false, 32 * 3 },
        { "residual_layers.7.diffusion_projection.weight", false, 512 },
        { "residual_layers.7.diffusion_projection.bias", false, 512 },
        { "residual_layers.7.conditioner_projection.weight", true, 80 },
        { "residual_layers.7.conditioner_projection.bias", false, 80 },
        { "residual_layers.7.output_projection.weight", true, 32 },
        { "residual_layers.7.output_projection.bias", false, 32 },
        { "skip_projection.weight", true, 32 },
        { "skip_projection.bias", false, 32 },
        { "output_projection.bias", false, 32 },
    };

    [Theory]
    [MemberData(nameof(Tensors))]
    public void EveryTensorHasPyTorchsDistribution(string name, bool normal, int fanIn) => CheckDistribution(Initializer.Create(Small, 7)[name], normal ? 2.0 / fanIn : null, fanIn);

    [Theory]
    [InlineData("label_embedding.weight", 1.0, 0)]
    [InlineData("residual_layers.2.label_projection.weight", 2.0 / 128, 0)]
    [InlineData("residual_layers.2.label_projection.bias", null, 128)]
    [InlineData("residual_layers.5.spectrogram_upsampler.conv2.weight", null, 96)]
    public void LabelAndPerLayerTensorsHaveTheirDistribution(string name, double? variance, int fanIn) => CheckDistribution(Initializer.Create(MelAndLabel, 7)[name], variance, fanIn);

    [Fact]
    public void OnlyTheLastProjectionsWeightsAreZeroAndTensorsDiffer()
    {
        var parameters = Initializer.Create(Small, 3);
        foreach (var info in parameters.Infos)
        {
            if (info.Name == "output_projection.weight") Assert.All(parameters[info.Name].ToArray(), value => Assert.Equal(0, value));
            else Assert.DoesNotContain(0f, parameters[info.Name].ToArray());
            Assert.All(parameters[info.Name].ToArray(), value => Assert.True(float.IsFinite(value)));
        }
        Assert.NotEqual(parameters["residual_layers.0.dilated_conv.weight"].ToArray(), parameters["residual_layers.1.dilated_conv.weight"].ToArray());
    }

    // Noise drawn with the model's seed must not repeat a weight tensor.
    [Fact]
    public void WeightsAreIndependentOfNoiseOfTheSameSeed()
    {
        var parameters = Initializer.Create(Small, 3);
        var info = parameters.Info("residual_layers.0.dilated_conv.weight");
        int stream = parameters.Infos.ToList().IndexOf(info);
        var noise = new float[info.Count];
        for (uint step = 0; step < 3; step++)
        {
            PhiloxNoise.Fill(3, (uint)stream, step, 0, noise);
            double correlation = 0;
            for (int i = 0; i < noise.Length; i++) correlation += noise[i] * parameters[info.Name][i] / Math.Sqrt(2.0 / 96);
            Assert.InRange(correlation / noise.Length, -4 / Math.Sqrt(noise.Length), 4 / Math.Sqrt(noise.Length));
        }
    }

    private static void CheckDistribution(ReadOnlySpan<float> values, double? normalVariance, int fanIn)
    {
        double sum = 0, squares = 0, largest = 0;
        foreach (double value in values) { sum += value; squares += value * value; largest = Math.Max(largest, Math.Abs(value)); }
        double n = values.Length, bound = 1 / Math.Sqrt(fanIn), variance = normalVariance ?? bound * bound / 3;
        // Four standard errors of the mean, and of the mean square: 2 sigma^4 / n for a normal, 0.8 sigma^4 / n for a uniform.
        Assert.InRange(sum / n, -4 * Math.Sqrt(variance / n), 4 * Math.Sqrt(variance / n));
        double error = 4 * variance * Math.Sqrt((normalVariance is null ? 0.8 : 2) / n);
        Assert.InRange(squares / n, variance - error, variance + error);
        if (normalVariance is null) Assert.InRange(largest, bound * (1 - 12 / n), bound * (1 + 1e-7)); // n draws leave the top 12/n empty with probability e^-12
        else Assert.InRange(largest, 0, 6.77 * Math.Sqrt(variance));
    }
}
