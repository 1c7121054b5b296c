namespace DiffWave.Engine;

/// <summary>
/// Arithmetic and memory traffic of the network's operations, counted from their definitions: a multiply-add is two FLOPs, three-tap convolutions take three products
/// an output, every tensor is read or written once. Activation functions are not counted. What a backend saves by a better algorithm shows as a rate above its peak.
/// </summary>
/// <param name="Flops">Floating-point operations.</param>
/// <param name="Bytes">Bytes of activations read and written, float32.</param>
public readonly record struct OpCost(long Flops, long Bytes)
{
    /// <summary>A residual block over <paramref name="rows"/> rows, the conditioner given.</summary>
    public static OpCost ResidualBlock(ModelConfig config, long rows)
    {
        long c = config.Channels;
        return new OpCost(rows * (2 * 3 * c * 2 * c + 2 * c * 2 * c), rows * sizeof(float) * (4 * c + (config.HasMel ? 2 * c : 0)));
    }

    /// <summary>A layer's conditioner: its projection from M bands to 2C.</summary>
    public static OpCost Conditioner(ModelConfig config, long rows) =>
        config.HasMel ? new OpCost(rows * 2 * config.Bands * 2 * config.Channels, rows * sizeof(float) * (config.Bands + 2L * config.Channels)) : default;

    /// <summary>One mel upsampler.</summary>
    public static OpCost MelUpsampler(ModelConfig config, long rows)
    {
        double products = 0, stageRows = rows; // each output reads about K / f inputs of three bands
        foreach (int factor in config.UpsampleFactors.Reverse())
        {
            products += stageRows * config.Bands * 3 * Parameters.UpsamplerKernel(factor) / factor;
            stageRows /= factor;
        }
        return new OpCost((long)(2 * products), rows * sizeof(float) * config.Bands);
    }

    /// <summary>Input projection and head.</summary>
    public static OpCost Ends(ModelConfig config, long rows)
    {
        long c = config.Channels;
        return new OpCost(rows * (2 * c + 2 * c * c + 2 * c), rows * sizeof(float) * (2 * c + 2));
    }

    /// <summary>The embedding of a diffusion step for <paramref name="items"/> items: two fully connected layers and one a residual layer. It does not grow with the samples; bytes are those of its weights.</summary>
    public static OpCost StepEmbedding(ModelConfig config, long items)
    {
        const long table = ModelConfig.StepTableWidth, width = ModelConfig.StepWidth;
        long weights = table * width + width * width + config.Layers * width * config.Channels;
        return new OpCost(2 * items * weights, sizeof(float) * weights);
    }

    /// <summary>
    /// One network evaluation over <paramref name="rows"/> samples, everything computed anew as the reference implementation does. <see cref="StepEmbedding"/> is left out: an evaluation has one an item, whatever its samples,
    /// for the base model half a percent of what a hundredth of a second of audio takes.
    /// </summary>
    public static OpCost Evaluation(ModelConfig config, long rows)
    {
        long upsamplers = config.HasMel ? config.Upsampler == Upsampler.Shared ? 1 : config.Layers : 0;
        OpCost block = ResidualBlock(config, rows), conditioner = Conditioner(config, rows), upsampler = MelUpsampler(config, rows), ends = Ends(config, rows);
        return new OpCost(config.Layers * (block.Flops + conditioner.Flops) + upsamplers * upsampler.Flops + ends.Flops,
            config.Layers * (block.Bytes + conditioner.Bytes) + upsamplers * upsampler.Bytes + ends.Bytes);
    }
}
