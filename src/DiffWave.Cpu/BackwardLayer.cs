using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>What backward of one residual layer reads, its weights transposed and packed, and where it writes, its places in the gradient arena.</summary>
internal sealed class BackwardLayer : IDisposable
{
    private readonly float[] _gradients;
    private readonly ParameterInfo _dilatedWeight, _dilatedBias, _outputWeight, _outputBias;
    private readonly ParameterInfo? _conditionerWeight, _conditionerBias;

    /// <summary>The layer's number.</summary>
    public int Index { get; }
    /// <summary>2C to C: the dilated convolution with its taps reversed, transformed like the forward one; panel p * 6 + xi holds 2W input channels of transform point xi.</summary>
    public PanelMatrix Dilated { get; }
    /// <summary>2C to C.</summary>
    public PanelMatrix Output { get; }
    /// <summary>2C to M; null without a mel.</summary>
    public PanelMatrix? Conditioner { get; }

    /// <summary>[2C, C, 3]</summary>
    public Span<float> DilatedWeight => Of(_dilatedWeight);
    /// <summary>[2C]</summary>
    public Span<float> DilatedBias => Of(_dilatedBias);
    /// <summary>[2C, C]</summary>
    public Span<float> OutputWeight => Of(_outputWeight);
    /// <summary>[2C]</summary>
    public Span<float> OutputBias => Of(_outputBias);
    /// <summary>[2C, M]</summary>
    public Span<float> ConditionerWeight => Of(_conditionerWeight!);
    /// <summary>[2C]</summary>
    public Span<float> ConditionerBias => Of(_conditionerBias!);

    /// <param name="config">The model.</param>
    /// <param name="weights">Weights to transpose; not kept.</param>
    /// <param name="gradients">The gradient arena.</param>
    /// <param name="index">The layer's number.</param>
    /// <param name="vectorWidth">W.</param>
    public BackwardLayer(ModelConfig config, Parameters weights, float[] gradients, int index, int vectorWidth)
    {
        (_gradients, Index) = (gradients, index);
        string name = $"residual_layers.{index}";
        (_dilatedWeight, _dilatedBias) = (weights.Info($"{name}.dilated_conv.weight"), weights.Info($"{name}.dilated_conv.bias"));
        (_outputWeight, _outputBias) = (weights.Info($"{name}.output_projection.weight"), weights.Info($"{name}.output_projection.bias"));
        int c = config.Channels, bands = config.Bands, columns = 2 * vectorWidth, points = MinimalFilter.Points;
        float[] dilated = weights[_dilatedWeight.Name].ToArray(), output = weights[_outputWeight.Name].ToArray();
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
        (_conditionerWeight, _conditionerBias) = (weights.Info($"{name}.conditioner_projection.weight"), weights.Info($"{name}.conditioner_projection.bias"));
        float[] conditioner = weights[_conditionerWeight.Name].ToArray();
        Conditioner = PanelMatrix.Natural(bands, 2 * c, columns, (band, o) => conditioner[o * bands + band], _ => 0);
    }

    private Span<float> Of(ParameterInfo tensor) => _gradients.AsSpan(tensor.Offset, tensor.Count);

    public void Dispose()
    {
        Dilated.Dispose();
        Output.Dispose();
        Conditioner?.Dispose();
    }
}
