namespace DiffWave.Engine;

/// <summary>One named tensor inside the arena.</summary>
/// <param name="Name">lmnt's name, e.g. <c>residual_layers.3.dilated_conv.weight</c>.</param>
/// <param name="Shape">Shape in PyTorch order.</param>
/// <param name="Offset">First element in the arena.</param>
/// <param name="Count">Number of elements.</param>
public sealed record ParameterInfo(string Name, IReadOnlyList<int> Shape, int Offset, int Count)
{
    /// <summary>The shape as text, e.g. <c>[128, 64, 3]</c>.</summary>
    public string ShapeText => $"[{string.Join(", ", Shape)}]";
}

/// <summary>
/// The weights of one model: a named list (lmnt's names, shapes and order are canonical) over one contiguous block of float32. Gradients and optimiser
/// state are further blocks of the same layout.
/// </summary>
public sealed class Parameters
{
    private readonly Dictionary<string, ParameterInfo> _byName;

    /// <summary>Every tensor in canonical order (lmnt's registration order).</summary>
    public IReadOnlyList<ParameterInfo> Infos { get; }

    /// <summary>All values, tensor after tensor.</summary>
    public float[] Arena { get; }

    /// <summary>Zero-filled parameters of a configuration.</summary>
    /// <exception cref="ModelFormatException">The configuration asks for more than 2^31 - 57 values, the longest array.</exception>
    public Parameters(ModelConfig config)
    {
        Infos = Layout(config);
        _byName = Infos.ToDictionary(info => info.Name);
        Arena = new float[Infos[^1].Offset + Infos[^1].Count];
    }

    /// <summary>The values of a tensor, row-major in PyTorch order.</summary>
    /// <exception cref="KeyNotFoundException">No tensor of that name.</exception>
    public Span<float> this[string name] => Arena.AsSpan(Info(name).Offset, Info(name).Count);

    /// <summary>The description of a tensor.</summary>
    /// <exception cref="KeyNotFoundException">No tensor of that name.</exception>
    public ParameterInfo Info(string name) => _byName.TryGetValue(name, out var info) ? info : throw new KeyNotFoundException($"no parameter '{name}'");

    /// <summary>True when the model has a tensor of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Number of values a configuration needs, without allocating them.</summary>
    public static long CountOf(ModelConfig config) => Layout(config).Sum(info => (long)info.Count);

    /// <summary>Name prefix of a layer's upsampler stage: one for all layers, or one a layer.</summary>
    public static string UpsamplerName(ModelConfig config, int layer, int stage) =>
        config.Upsampler == Upsampler.Shared ? $"spectrogram_upsampler.conv{stage + 1}" : $"residual_layers.{layer}.spectrogram_upsampler.conv{stage + 1}";

    /// <summary>Kernel length along time of an upsampler stage: 2f for an even factor f, 2f - 1 for an odd one, so that F frames give exactly F f.</summary>
    public static int UpsamplerKernel(int factor) => factor + 2 * (factor / 2);

    /// <summary>Names, shapes and places of a configuration's tensors, without allocating their values.</summary>
    internal static List<ParameterInfo> Layout(ModelConfig config, string source = "config")
    {
        var infos = new List<ParameterInfo>();
        long offset = 0;
        void Add(string name, params int[] shape)
        {
            long count = shape.Aggregate(1L, (product, n) => product * n);
            if (offset + count > Array.MaxLength) throw new ModelFormatException(source, $"the model has over {Array.MaxLength} values; use fewer channels or layers");
            infos.Add(new ParameterInfo(name, shape, (int)offset, (int)count));
            offset += count;
        }
        void AddConv(string name, int outputs, int inputs, int taps) { Add($"{name}.weight", outputs, inputs, taps); Add($"{name}.bias", outputs); }
        void AddLinear(string name, int outputs, int inputs) { Add($"{name}.weight", outputs, inputs); Add($"{name}.bias", outputs); }
        void AddUpsampler(int layer)
        {
            for (int stage = 0; stage < config.UpsampleFactors.Count; stage++)
            {
                Add($"{UpsamplerName(config, layer, stage)}.weight", 1, 1, 3, UpsamplerKernel(config.UpsampleFactors[stage]));
                Add($"{UpsamplerName(config, layer, stage)}.bias", 1);
            }
        }

        int c = config.Channels;
        AddConv("input_projection", c, 1, 1);
        AddLinear("diffusion_embedding.projection1", ModelConfig.StepWidth, ModelConfig.StepTableWidth);
        AddLinear("diffusion_embedding.projection2", ModelConfig.StepWidth, ModelConfig.StepWidth);
        if (config.HasMel && config.Upsampler == Upsampler.Shared) AddUpsampler(0);
        if (config.HasLabel) Add("label_embedding.weight", config.Labels, ModelConfig.LabelWidth);
        for (int i = 0; i < config.Layers; i++)
        {
            string layer = $"residual_layers.{i}";
            AddConv($"{layer}.dilated_conv", 2 * c, c, 3);
            AddLinear($"{layer}.diffusion_projection", c, ModelConfig.StepWidth);
            if (config.HasMel && config.Upsampler == Upsampler.PerLayer) AddUpsampler(i);
            if (config.HasMel) AddConv($"{layer}.conditioner_projection", 2 * c, config.Bands, 1);
            if (config.HasLabel) AddConv($"{layer}.label_projection", 2 * c, ModelConfig.LabelWidth, 1);
            AddConv($"{layer}.output_projection", 2 * c, c, 1);
        }
        AddConv("skip_projection", c, c, 1);
        AddConv("output_projection", 1, c, 1);
        return infos;
    }
}
