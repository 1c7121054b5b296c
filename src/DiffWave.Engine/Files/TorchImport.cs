using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace DiffWave.Engine;

/// <summary>What a foreign checkpoint does not say about itself.</summary>
public sealed record TorchImportOptions
{
    /// <summary>
    /// JSON file with the hyperparameters: philsyn's config (diffusion_config, wavenet_config, trainset_config) or lmnt's params. Null: the ones inside the
    /// checkpoint, else <c>&lt;name&gt;.json</c> or <c>config.json</c> in its folder.
    /// </summary>
    public string? ConfigPath { get; init; }

    /// <summary>For philsyn's names only: whether the residual path carries the step embedding. Null means true, as philsyn's code computes; a corrected fork needs false.</summary>
    public bool? ResidualIncludesStepEmbedding { get; init; }

    /// <summary>Name for the card; null: the file's name without extension.</summary>
    public string? Name { get; init; }

    /// <summary>Licence of the weights for the card.</summary>
    public string? License { get; init; }
}

/// <summary>
/// Reads checkpoints of the two public PyTorch implementations, lmnt-com/diffwave (<c>.pt</c>, or its state dict as safetensors) and philsyn's DiffWave repositories
/// (<c>.pkl</c>), and our own files. The graph each was trained with is kept exactly, by the switches of <see cref="ModelConfig"/>. Runs no code of the file.
/// </summary>
public static class TorchImport
{
    /// <summary>Imports a checkpoint.</summary>
    /// <param name="path">The file; its kind is told from its content.</param>
    /// <param name="options">What the file does not say.</param>
    /// <exception cref="ModelFormatException">Not such a checkpoint, damaged, hostile, incomplete, or of a graph this program does not have; the message says which.</exception>
    public static Model Import(string path, TorchImportOptions options) => Import(ModelStream.Open(path), path, options);

    /// <summary>Imports from a seekable stream, which is closed in every case.</summary>
    internal static Model Import(Stream stream, string path, TorchImportOptions options)
    {
        FileKind kind;
        string sha256;
        try
        {
            kind = FileKinds.Detect(stream, path);
            stream.Position = 0;
            sha256 = System.Convert.ToHexStringLower(SHA256.HashData(stream));
        }
        catch { stream.Dispose(); throw; }
        string name = Path.GetFileNameWithoutExtension(path);
        var card = new ModelCard { Name = options.Name ?? name, License = options.License, SourceSha256 = sha256 };

        if (kind == FileKind.Safetensors)
        {
            using var file = new SafetensorsFile(stream, path);
            if (Checkpoint.IsOurs(file)) return Checkpoint.Load(file);
            ForeignSettings? settings = file.Metadata.TryGetValue("params", out string? json)
                ? ForeignSettings.From(path, ForeignSettings.Parse(path, Encoding.UTF8.GetBytes(json))) : null;
            return Convert(StateDict.From(file), settings, options, card with { Source = $"{Path.GetFileName(path)} (safetensors)" });
        }

        using var archive = new TorchArchive(stream, path);
        card = card with { Source = $"{Path.GetFileName(path)} (PyTorch, {FileKinds.Describe(kind)})" };
        if (archive.Root is not TorchDict root) throw new ModelFormatException(path, "does not hold a dict: not a checkpoint");
        if (root["model"] is TorchDict lmnt)
        {
            ForeignSettings? settings = root["params"] is TorchDict dict ? ForeignSettings.From(path, dict) : null;
            return Convert(StateDict.From(archive, lmnt), settings, options, card with { TrainedSteps = root["step"] as long? });
        }
        // philsyn's files are named after the iteration.
        if (root["model_state_dict"] is TorchDict philsyn)
            return Convert(StateDict.From(archive, philsyn), null, options, card with { TrainedSteps = long.TryParse(name, NumberStyles.None, null, out long steps) ? steps : null });
        if (root.Count > 0 && root.Items.All(item => item.Value is TorchTensor)) return Convert(StateDict.From(archive, root), null, options, card);
        throw new ModelFormatException(path, $"has the keys {string.Join(", ", root.Items.Take(8).Select(item => $"'{item.Key}'"))}, expected 'model' (lmnt), 'model_state_dict' (philsyn) or a state dict");
    }

    private static Model Convert(StateDict state, ForeignSettings? own, TorchImportOptions options, ModelCard card)
    {
        ForeignGraph graph = ForeignGraph.Of(state);
        string? configPath = options.ConfigPath ?? (own is null ? ConfigBeside(state.Path) : null);
        ModelConfig config;
        if (graph.IsPhilsyn)
        {
            if (configPath is null) throw new ModelFormatException(state.Path, $"{graph.Summary}, but no configuration: the training schedule and the dilation cycle stand only in the JSON it was trained "
                + $"with. Give that file, or write {Path.ChangeExtension(Path.GetFileName(state.Path), ".json")} beside it with diffusion_config (T, beta_0, beta_T), wavenet_config (dilation_cycle)"
                + (graph.HasMel ? " and trainset_config (sampling_rate, filter_length, hop_length, win_length, mel_fmin, mel_fmax)" : " and trainset_config (sampling_rate)"));
            config = ForeignConfig.FromPhilsyn(graph, configPath, ForeignSettings.ParseFile(configPath), options.ResidualIncludesStepEmbedding ?? true);
        }
        else
        {
            if (options.ResidualIncludesStepEmbedding == true) throw new ModelFormatException(state.Path, "has lmnt's names, whose residual path never carries the step embedding");
            ForeignSettings settings = configPath is not null ? ForeignSettings.From(configPath, ForeignSettings.ParseFile(configPath))!
                : own ?? throw new ModelFormatException(state.Path, $"{graph.Summary}, but no params. Give a JSON file, or write {Path.ChangeExtension(Path.GetFileName(state.Path), ".json")} beside it, with lmnt's keys "
                    + "noise_schedule, dilation_cycle_length, sample_rate" + (graph.HasMel ? ", hop_samples, n_fft" : ""));
            config = ForeignConfig.FromLmnt(graph, settings);
        }
        if (config.Problem() is { } problem) throw new ModelFormatException(configPath ?? state.Path, problem);
        Parameters parameters = Read(state, graph, config);
        Checkpoint.RequireFinite(state.Path, parameters);
        return new Model(config, parameters, card);
    }

    private static string? ConfigBeside(string path)
    {
        string[] candidates = [Path.ChangeExtension(path, ".json"), Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, "config.json")];
        return candidates.FirstOrDefault(File.Exists);
    }

    // Two passes: every shape is compared with the file before memory is taken for the values.
    private static Parameters Read(StateDict state, ForeignGraph graph, ModelConfig config)
    {
        List<ParameterInfo> layout = Parameters.Layout(config, state.Path);
        var readers = new List<Action<Memory<float>>>();
        foreach (ParameterInfo info in layout) readers.Add(Reader(state, graph.SourcesOf(info.Name), info));
        state.RequireAllUsed();
        var parameters = new Parameters(config);
        for (int i = 0; i < layout.Count; i++) readers[i](parameters.Arena.AsMemory(layout[i].Offset, layout[i].Count));
        return parameters;
    }

    // One tensor of ours is one tensor of theirs, or several along the first axis; each plain, or weight-normed as weight_g and weight_v.
    private static Action<Memory<float>> Reader(StateDict state, IReadOnlyList<string> modules, ParameterInfo info)
    {
        int[] shape = [info.Shape[0] / modules.Count, .. info.Shape.Skip(1)];
        string kind = info.Name[(info.Name.LastIndexOf('.') + 1)..];
        var parts = new List<Action<Memory<float>>>();
        foreach (string module in modules)
        {
            if (kind == "weight" && !state.Has($"{module}.weight") && state.Has($"{module}.weight_g"))
            {
                StateTensor g = state.Take($"{module}.weight_g", [shape[0], .. Enumerable.Repeat(1, shape.Length - 1)]), v = state.Take($"{module}.weight_v", shape);
                parts.Add(target => Fuse(g, v, target.Span));
            }
            else
            {
                StateTensor plain = state.Take($"{module}.{kind}", shape);
                parts.Add(target => plain.ReadFloats(target.Span));
            }
        }
        return target =>
        {
            int length = target.Length / parts.Count;
            for (int part = 0; part < parts.Count; part++) parts[part](target.Slice(part * length, length));
        };
    }

    // Weight normalisation (Salimans and Kingma 2016): w[o] = g[o] v[o] / ||v[o]||, the norm over every axis but the first; in double, rounded once.
    private static void Fuse(StateTensor g, StateTensor v, Span<float> weight)
    {
        float[] gains = new float[g.Count];
        g.ReadFloats(gains);
        v.ReadFloats(weight);
        int width = weight.Length / gains.Length;
        for (int o = 0; o < gains.Length; o++)
        {
            Span<float> row = weight.Slice(o * width, width);
            double squares = 0;
            foreach (float value in row) squares += (double)value * value;
            double scale = gains[o] / Math.Sqrt(squares);
            foreach (ref float value in row) value = (float)(scale * value);
        }
    }
}
