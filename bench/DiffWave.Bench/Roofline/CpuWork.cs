using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// Products the CPU backend really executes, as FLOP. Its three-tap convolutions take 1.5 products an output by minimal filtering, F(4, 3), in place of 3; weight gradients take all three; what the mel adds to a layer is
/// computed once a synthesis. Transforms, gates and sums are not counted.
/// </summary>
internal static class CpuWork
{
    /// <summary>A residual block: 1.5 C 2C + C 2C products a row.</summary>
    public static double ResidualBlock(ModelConfig config, long rows) => 2.0 * rows * 2.5 * config.Channels * 2 * config.Channels;

    /// <summary>Its backward: 1.5 + 3 for the convolution's input and weights, 2 for the output projection.</summary>
    public static double ResidualBlockBackward(ModelConfig config, long rows) => 2.0 * rows * 6.5 * config.Channels * 2 * config.Channels;

    /// <summary>A synthesis of so many samples: blocks and ends at every step, the conditioner once.</summary>
    public static double Synthesis(ModelConfig config, long rows, int steps) => steps * (config.Layers * ResidualBlock(config, rows) + OpCost.Ends(config, rows).Flops) + Conditioner(config, rows);

    /// <summary>A training step: forward and twice as much backward, where minimal filtering saves less; blocks and what the mel adds to them once more where they are computed again.</summary>
    public static double TrainingStep(ModelConfig config, long rows, bool recompute) =>
        config.Layers * ((recompute ? 2 : 1) * ResidualBlock(config, rows) + ResidualBlockBackward(config, rows)) + 3.0 * (OpCost.Ends(config, rows).Flops + Conditioner(config, rows))
        + (recompute ? (double)config.Layers * OpCost.Conditioner(config, rows).Flops : 0);

    private static double Conditioner(ModelConfig config, long rows)
    {
        OpCost all = OpCost.Evaluation(config, rows);
        return all.Flops - config.Layers * OpCost.ResidualBlock(config, rows).Flops - OpCost.Ends(config, rows).Flops;
    }
}
