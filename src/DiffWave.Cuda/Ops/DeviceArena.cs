using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>Weight and bias of a convolution or linear layer.</summary>
internal readonly record struct DeviceTensors(ArrayView<float> Weight, ArrayView<float> Bias)
{
    /// <summary>The weight and, right behind it, the bias.</summary>
    public ArrayView<float> Both => new(Weight.Address, Weight.Length + Bias.Length);
}

/// <summary>One value for every weight of a model, or its gradient, in device memory, in the order of <see cref="Parameters"/>.</summary>
internal sealed class DeviceArena
{
    private readonly Dictionary<string, ParameterInfo> infos;

    /// <summary>The tensors of one residual layer; those the model lacks are empty.</summary>
    public sealed record Layer(DeviceTensors Dilated, DeviceTensors Conditioner, DeviceTensors Output, DeviceTensors[] Upsampler);

    /// <param name="config">The model.</param>
    /// <param name="infos">Its tensors.</param>
    /// <param name="address">Device memory of as many values.</param>
    public DeviceArena(ModelConfig config, IReadOnlyList<ParameterInfo> infos, ulong address)
    {
        this.infos = infos.ToDictionary(info => info.Name);
        All = new ArrayView<float>((nint)address, infos[^1].Offset + (long)infos[^1].Count);
        (Input, Skip, Head) = (Tensors("input_projection"), Tensors("skip_projection"), Tensors("output_projection"));
        (Step1, Step2, StepOfLayers) = (Tensors("diffusion_embedding.projection1"), Tensors("diffusion_embedding.projection2"), OfLayers("diffusion_projection"));
        if (config.HasLabel) (LabelTable, LabelOfLayers) = (View("label_embedding.weight"), OfLayers("label_projection"));
        Layers = [.. Enumerable.Range(0, config.Layers).Select(layer => LayerOf(config, layer))];
        LayerStride = config.Layers == 1 ? 0 : this.infos["residual_layers.1.dilated_conv.weight"].Offset - this.infos["residual_layers.0.dilated_conv.weight"].Offset;
    }

    /// <summary>All values.</summary>
    public ArrayView<float> All { get; }

    /// <summary>The input projection, [C, 1].</summary>
    public DeviceTensors Input { get; }

    /// <summary>The first linear layer of the step embedding, [512, 128].</summary>
    public DeviceTensors Step1 { get; }

    /// <summary>The second, [512, 512].</summary>
    public DeviceTensors Step2 { get; }

    /// <summary>The step projection of layer 0, [C, 512], and from there on to those of all layers.</summary>
    public DeviceTensors StepOfLayers { get; }

    /// <summary>The label embedding, [labels, 128]; empty without labels.</summary>
    public ArrayView<float> LabelTable { get; }

    /// <summary>The label projection of layer 0, [2C, 128], and from there on to those of all layers; empty without labels.</summary>
    public DeviceTensors LabelOfLayers { get; }

    /// <summary>The skip projection, [C, C].</summary>
    public DeviceTensors Skip { get; }

    /// <summary>The output projection, [1, C].</summary>
    public DeviceTensors Head { get; }

    /// <summary>The residual layers.</summary>
    public Layer[] Layers { get; }

    /// <summary>Values from a tensor of one layer to that of the next.</summary>
    public int LayerStride { get; }

    /// <summary>A tensor of layer 0 and everything behind it, up to those of the last layer.</summary>
    public ArrayView<float> From(ArrayView<float> tensor) => tensor.IsValid ? All.SubView((tensor.Address - All.Address) / sizeof(float)) : default;

    private Layer LayerOf(ModelConfig config, int layer)
    {
        string name = $"residual_layers.{layer}";
        return new Layer(Tensors($"{name}.dilated_conv"), config.HasMel ? Tensors($"{name}.conditioner_projection") : default, Tensors($"{name}.output_projection"),
            [.. Enumerable.Range(0, config.UpsampleFactors.Count).Select(stage => Tensors(Parameters.UpsamplerName(config, layer, stage)))]);
    }

    private ArrayView<float> View(string name) => All.SubView(infos[name].Offset, infos[name].Count);

    private DeviceTensors Tensors(string name) => new(View($"{name}.weight"), View($"{name}.bias"));

    private DeviceTensors OfLayers(string name) => new(All.SubView(infos[$"residual_layers.0.{name}.weight"].Offset), All.SubView(infos[$"residual_layers.0.{name}.bias"].Offset));
}
