namespace DiffWave.Engine;

/// <summary>What the names and shapes of a foreign state dict say about its graph, and which of its modules make up each of our parameters.</summary>
internal sealed record ForeignGraph
{
    private const string PhilsynFirst = "init_conv.0.conv", PhilsynBlocks = "residual_layer.residual_blocks.";

    public required string Path { get; init; }
    /// <summary>philsyn's names; otherwise lmnt's.</summary>
    public required bool IsPhilsyn { get; init; }
    public required int Channels { get; init; }
    public required int Layers { get; init; }
    /// <summary>Mel bands; 0 when unconditional.</summary>
    public required int Bands { get; init; }
    public required IReadOnlyList<int> UpsampleFactors { get; init; }

    public bool HasMel => Bands > 0;

    public int Hop => UpsampleFactors.Aggregate(1, (product, factor) => product * factor);

    /// <summary>One line for messages.</summary>
    public string Summary => $"has the weights of {(IsPhilsyn ? "philsyn's" : "lmnt's")} DiffWave ({Channels} channels, {Layers} layers, {(HasMel ? $"{Bands} mel bands, hop {Hop}" : "unconditional")})";

    public static ForeignGraph Of(StateDict state)
    {
        bool philsyn = state.Has($"{PhilsynFirst}.bias");
        if (!philsyn && !state.Has("input_projection.bias"))
            throw new ModelFormatException(state.Path, $"has no tensor 'input_projection.bias' (lmnt) or '{PhilsynFirst}.bias' (philsyn); it begins with {string.Join(", ", state.Names.Take(4).Select(name => $"'{name}'"))}: not a DiffWave model this program knows");
        int Size(string name) => (int)Math.Min(state.Shape(name, 1)[0], int.MaxValue);
        int channels = Size(philsyn ? $"{PhilsynFirst}.bias" : "input_projection.bias");
        string blocks = philsyn ? PhilsynBlocks : "residual_layers.";
        string condition = philsyn ? $"{blocks}0.mel_conv.conv.weight" : $"{blocks}0.conditioner_projection.weight";
        if (!state.Has(condition)) condition += "_v";
        bool mel = state.Has(condition);
        if (philsyn && Size($"{blocks}0.skip_conv.bias") is var skip && skip != channels)
            throw new ModelFormatException(state.Path, $"has {skip} skip channels and {channels} residual channels; only models where both are equal can be used");
        return new ForeignGraph
        {
            Path = state.Path,
            IsPhilsyn = philsyn,
            Channels = channels,
            Layers = state.LayerCount(blocks),
            Bands = mel ? (int)Math.Min(state.Shape(condition, 3)[1], int.MaxValue) : 0,
            UpsampleFactors = mel ? Factors(state, philsyn ? $"{blocks}0.upsample_conv2d." : "spectrogram_upsampler.conv", philsyn ? 0 : 1) : [],
        };
    }

    /// <summary>The foreign modules whose weights or biases, one after another along the first axis, are the parameter of that name.</summary>
    public IReadOnlyList<string> SourcesOf(string parameter)
    {
        string module = parameter[..parameter.LastIndexOf('.')];
        if (!IsPhilsyn) return [module];
        if (!module.StartsWith("residual_layers.", StringComparison.Ordinal))
            return module switch
            {
                "input_projection" => [PhilsynFirst],
                "diffusion_embedding.projection1" => ["residual_layer.fc_t1"],
                "diffusion_embedding.projection2" => ["residual_layer.fc_t2"],
                "skip_projection" => ["final_conv.0.conv"],
                "output_projection" => ["final_conv.2.conv"],
                _ => [module],
            };
        string[] parts = module.Split('.', 3);
        string block = $"{PhilsynBlocks}{parts[1]}.";
        const string upsampler = "spectrogram_upsampler.conv";
        return parts[2] switch
        {
            "dilated_conv" => [$"{block}dilated_conv_layer.conv"],
            "diffusion_projection" => [$"{block}fc_t"],
            "conditioner_projection" => [$"{block}mel_conv.conv"],
            "output_projection" => [$"{block}res_conv", $"{block}skip_conv"],
            var name when name.StartsWith(upsampler, StringComparison.Ordinal) => [$"{block}upsample_conv2d.{int.Parse(name[upsampler.Length..]) - 1}"],
            var name => [$"{block}{name}"],
        };
    }

    // A stage of factor f has a kernel of 2f (even f) or 2f - 1 (odd f) along time.
    private static List<int> Factors(StateDict state, string prefix, int first)
    {
        var factors = new List<int>();
        for (int stage = first; factors.Count < 8; stage++)
        {
            string name = state.Has($"{prefix}{stage}.weight") ? $"{prefix}{stage}.weight" : $"{prefix}{stage}.weight_v";
            if (!state.Has(name)) break;
            long kernel = state.Shape(name, 4)[3], factor = (kernel + 1) / 2;
            if (factor is < 1 or > 4096 || Parameters.UpsamplerKernel((int)factor) != kernel)
                throw new ModelFormatException(state.Path, $"tensor '{name}' has a kernel of {kernel} along time, expected 2f for an even upsampling factor f or 2f - 1 for an odd one");
            factors.Add((int)factor);
        }
        return factors;
    }
}
