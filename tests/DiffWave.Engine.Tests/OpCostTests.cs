namespace DiffWave.Engine.Tests;

public class OpCostTests
{
    // Multiply-adds a sample of the base model, summed by hand from the layer shapes: 30 blocks with conditioner, skip projection, input and output, upsampler.
    [Fact]
    public void TheBaseModelCostsWhatItsShapesSay()
    {
        const long Products = 30 * (3 * 64 * 128 + 80 * 128 + 64 * 128) + 64 * 64 + 2 * 64 + 510;
        Assert.Equal(1_294_974, Products);
        Assert.Equal(2 * Products * 512, OpCost.Evaluation(ModelConfig.Preset("base"), 512).Flops);
    }
}
