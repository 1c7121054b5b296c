using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>What backward of one residual layer reads, its weights transposed and packed, and where it writes, its places in the gradient arena.</summary>
internal sealed class BackwardLayer : IDisposable
{
    private readonly Parameters _gradients;
    private readonly string _name;

    /// <summary>The layer's number.</summary>
    public int Index { get; }
    /// <summary>2C to C: the dilated convolution with its taps reversed, transformed like the forward one; panel p * 6 + xi holds 2W input channels of transform point xi.</summary>
    public PanelMatrix Dilated { get; }
    /// <summary>2C to C.</summary>
    public PanelMatrix Output { get; }
    /// <summary>2C to M; null without a mel.</summary>
    public PanelMatrix? Conditioner { get; }

    /// <summary>[2C, C, 3]</summary>
    public Span<float> DilatedWeight => _gradients[$"{_name}.dilated_conv.weight"];
    /// <summary>[2C]</summary>
    public Span<float> DilatedBias => _gradients[$"{_name}.dilated_conv.bias"];
    /// <summary>[2C, C]</summary>
    public Span<float> OutputWeight => _gradients[$"{_name}.output_projection.weight"];
    /// <summary>[2C]</summary>
    public Span<float> OutputBias => _gradients[$"{_name}.output_projection.bias"];
    /// <summary>[2C, M]</summary>
    public Span<float> ConditionerWeight => _gradients[$"{_name}.conditioner_projection.weight"];
    /// <summary>[2C]</summary>
    public Span<float> ConditionerBias => _gradients[$"{_name}.conditioner_projection.bias"];

    /// <param name="config">The model.</param>
    /// <param name="weights">Weights to transpose; not kept.</param>
    /// <param name="gradients">The gradient arena.</param>
    /// <param name="index">The layer's number.</param>
    /// <param name="vectorWidth">W.</param>
    public BackwardLayer(ModelConfig config, Parameters weights, Parameters gradients, int index, int vectorWidth)
    {
        (_gradients, _name, Index) = (gradients, $"residual_layers.{index}", index);
        int c = config.Channels, bands = config.Bands, columns = 2 * vectorWidth, points = MinimalFilter.Points;
        float[] dilated = weights[$"{_name}.dilated_conv.weight"].ToArray(), output = weights[$"{_name}.output_projection.weight"].ToArray();
        Dilated = new PanelMatrix(2 * c, (c + columns - 1) / columns * points, columns, (panel, column) =>
        {
            int channel = panel / points * columns + column;
            return channel < c ? panel % points * c + channel : -1;
        },
        (point, o) =>
        {
            int at = (o * c + point % c) * 3;
            return MinimalFilter.TransformWeight(point / c, dilated[at + 2], dilated[at + 1], dilated[at]);
        },
        _ => 0);
        Output = PanelMatrix.Natural(c, 2 * c, columns, (i, o) => output[o * c + i], _ => 0);
        if (!config.HasMel) return;
        float[] conditioner = weights[$"{_name}.conditioner_projection.weight"].ToArray();
        Conditioner = PanelMatrix.Natural(bands, 2 * c, columns, (band, o) => conditioner[o * bands + band], _ => 0);
    }

    public void Dispose()
    {
        Dilated.Dispose();
        Output.Dispose();
        Conditioner?.Dispose();
    }
}
