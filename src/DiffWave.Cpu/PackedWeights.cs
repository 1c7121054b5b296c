using System.Runtime.InteropServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>A weight matrix cut into panels of two vectors of output columns, each [K, 2 W], with its biases in the same order.</summary>
internal sealed unsafe class PanelMatrix : IDisposable
{
    public int K { get; }
    public int Panels { get; }
    public int PanelColumns { get; }
    public float* Bias { get; private set; }
    private float* _data;

    /// <param name="k">Input channels.</param>
    /// <param name="panels">Number of panels.</param>
    /// <param name="panelColumns">Columns of a panel, 2 W.</param>
    /// <param name="outputOf">Output channel of (panel, column in the panel), or -1 for a padding column.</param>
    /// <param name="weight">Weight of (output channel, input channel).</param>
    /// <param name="bias">Bias of an output channel.</param>
    public PanelMatrix(int k, int panels, int panelColumns, Func<int, int, int> outputOf, Func<int, int, float> weight, Func<int, float> bias)
    {
        (K, Panels, PanelColumns) = (k, panels, panelColumns);
        _data = CpuBuffer.AllocateFloats((long)panels * k * panelColumns);
        Bias = CpuBuffer.AllocateFloats((long)panels * panelColumns);
        for (int panel = 0; panel < panels; panel++)
            for (int column = 0; column < panelColumns; column++)
            {
                int output = outputOf(panel, column);
                if (output < 0) continue;
                Bias[panel * panelColumns + column] = bias(output);
                for (int i = 0; i < k; i++) Panel(panel)[i * panelColumns + column] = weight(output, i);
            }
    }

    ~PanelMatrix() => Free();

    public float* Panel(int panel) => _data + (long)panel * K * PanelColumns;

    /// <summary>Panels in natural column order.</summary>
    public static PanelMatrix Natural(int outputs, int inputs, int panelColumns, Func<int, int, float> weight, Func<int, float> bias) =>
        new(inputs, (outputs + panelColumns - 1) / panelColumns, panelColumns,
            (panel, column) => panel * panelColumns + column < outputs ? panel * panelColumns + column : -1, weight, bias);

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_data);
        NativeMemory.AlignedFree(Bias);
        _data = Bias = null;
    }
}

/// <summary>One residual layer's weights in the order the kernels read them.</summary>
internal sealed class LayerWeights : IDisposable
{
    /// <summary>The transformed dilated convolution; panel p * 6 + xi holds, for W channels, [filter | gate] of transform point xi.</summary>
    public required PanelMatrix Dilated { get; init; }
    /// <summary>Residual columns (scaled by sqrt(1/2)), then skip columns, each part padded to the channel grain.</summary>
    public required PanelMatrix Output { get; init; }
    /// <summary>512 to C.</summary>
    public required PanelMatrix Step { get; init; }
    /// <summary>M to 2C; null without a mel.</summary>
    public PanelMatrix? Conditioner { get; init; }
    /// <summary>128 to 2C; null without labels.</summary>
    public PanelMatrix? Label { get; init; }
    /// <summary>Bias of the dilated convolution: the filter half, then the gate half, each padded to the channel grain.</summary>
    public required float[] DilatedBias { get; init; }
    /// <summary>The layer's mel upsampler: per stage weights [3, kernel] and a bias.</summary>
    public required UpsamplerStage[] Upsampler { get; init; }

    public void Dispose()
    {
        Dilated.Dispose();
        Output.Dispose();
        Step.Dispose();
        Conditioner?.Dispose();
        Label?.Dispose();
    }
}

/// <summary>All weights of a model, packed once for a vector width.</summary>
internal sealed class PackedWeights : IDisposable
{
    public ModelConfig Config { get; }
    public float[] InputWeight { get; }
    public float[] InputBias { get; }
    public PanelMatrix Step1 { get; }
    public PanelMatrix Step2 { get; }
    public LayerWeights[] Layers { get; }
    /// <summary>C to C, scaled by 1/sqrt(L).</summary>
    public PanelMatrix Skip { get; }
    /// <summary>C to 1.</summary>
    public PanelMatrix Head { get; }
    public float[] LabelEmbedding { get; }

    public PackedWeights(ModelConfig config, Parameters parameters, int vectorWidth)
    {
        Config = config;
        int c = config.Channels, columns = 2 * vectorWidth;

        PanelMatrix Pack(string name, float scale = 1)
        {
            var info = parameters.Info($"{name}.weight");
            float[] weight = parameters[$"{name}.weight"].ToArray(), bias = parameters[$"{name}.bias"].ToArray();
            int inputs = info.Shape[1];
            return PanelMatrix.Natural(info.Shape[0], inputs, columns, (o, i) => weight[o * inputs + i] * scale, o => bias[o]);
        }

        float[] inputWeight = parameters["input_projection.weight"].ToArray(), inputBias = parameters["input_projection.bias"].ToArray();
        int padded = CpuBuffer.RoundUp(c);
        (InputWeight, InputBias) = (new float[padded], new float[padded]);
        inputWeight.CopyTo(InputWeight, 0);
        inputBias.CopyTo(InputBias, 0);
        Step1 = Pack("diffusion_embedding.projection1");
        Step2 = Pack("diffusion_embedding.projection2");
        Skip = Pack("skip_projection", 1f / MathF.Sqrt(config.Layers));
        Head = Pack("output_projection");
        LabelEmbedding = config.HasLabel ? parameters["label_embedding.weight"].ToArray() : [];

        Layers = new LayerWeights[config.Layers];
        for (int i = 0; i < config.Layers; i++)
        {
            string layer = $"residual_layers.{i}";
            Layers[i] = new LayerWeights
            {
                Dilated = PackDilated(config, parameters[$"{layer}.dilated_conv.weight"].ToArray(), vectorWidth),
                DilatedBias = PadHalves(config, parameters[$"{layer}.dilated_conv.bias"].ToArray()),
                Output = PackOutput(c, parameters[$"{layer}.output_projection.weight"].ToArray(), parameters[$"{layer}.output_projection.bias"].ToArray(), columns),
                Step = Pack($"{layer}.diffusion_projection"),
                Conditioner = config.HasMel ? Pack($"{layer}.conditioner_projection") : null,
                Label = config.HasLabel ? Pack($"{layer}.label_projection") : null,
                Upsampler = [.. config.UpsampleFactors.Select((factor, stage) => new UpsamplerStage(factor,
                    parameters[$"{Parameters.UpsamplerName(config, i, stage)}.weight"].ToArray(), parameters[$"{Parameters.UpsamplerName(config, i, stage)}.bias"][0]))],
            };
        }
    }

    /// <summary>Channel of the 2C pre-gate outputs where the filter (tanh) half starts, and where the gate (sigmoid) half starts.</summary>
    public static (int Filter, int Gate) Halves(ModelConfig config) => config.GateOrder == GateOrder.FilterFirst ? (0, config.Channels) : (config.Channels, 0);

    private static float[] PadHalves(ModelConfig config, float[] bias /* [2C] */)
    {
        var (filter, gate) = Halves(config);
        int c = config.Channels, padded = CpuBuffer.RoundUp(c);
        var halves = new float[2 * padded];
        bias.AsSpan(filter, c).CopyTo(halves);
        bias.AsSpan(gate, c).CopyTo(halves.AsSpan(padded));
        return halves;
    }

    private static PanelMatrix PackDilated(ModelConfig config, float[] weight /* [2C, C, 3] */, int width)
    {
        int c = config.Channels, points = MinimalFilter.Points;
        var (filter, gate) = Halves(config);
        int channelPanels = (c + width - 1) / width;
        // The transform is done in float64 and rounded once. Output index: transform point * 2C + channel.
        return new PanelMatrix(c, channelPanels * points, 2 * width, (panel, column) =>
        {
            int channel = panel / points * width + column % width;
            return channel < c ? (panel % points) * 2 * c + (column < width ? filter : gate) + channel : -1;
        },
        (output, i) =>
        {
            int at = (output % (2 * c) * c + i) * 3;
            return MinimalFilter.TransformWeight(output / (2 * c), weight[at], weight[at + 1], weight[at + 2]);
        },
        _ => 0);
    }

    private static PanelMatrix PackOutput(int c, float[] weight /* [2C, C] */, float[] bias, int columns)
    {
        int padded = CpuBuffer.RoundUp(c);
        float rootHalf = (float)Math.Sqrt(0.5);
        float Scale(int output) => output < c ? rootHalf : 1;
        return new PanelMatrix(c, 2 * padded / columns, columns, (panel, column) =>
        {
            int at = panel * columns + column, channel = at % padded;
            return channel < c ? at / padded * c + channel : -1;
        },
        (output, i) => weight[output * c + i] * Scale(output), output => bias[output] * Scale(output));
    }

    public void Dispose()
    {
        Step1.Dispose();
        Step2.Dispose();
        Skip.Dispose();
        Head.Dispose();
        foreach (var layer in Layers) layer.Dispose();
    }
}
