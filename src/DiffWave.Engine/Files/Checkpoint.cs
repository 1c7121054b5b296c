namespace DiffWave.Engine;

/// <summary>
/// The project's own model file: a safetensors file whose tensors are the <see cref="Parameters"/> under their canonical names, float32, in canonical order, with
/// the configuration and the card in its metadata (keys <c>format</c>, <c>format_version</c>, <c>config</c>, <c>card</c>). Any safetensors library can read the weights.
/// </summary>
public static class Checkpoint
{
    /// <summary>Value of the metadata key <c>format</c>.</summary>
    public const string Format = "diffwave";

    /// <summary>Value of the metadata key <c>format_version</c>.</summary>
    public const string FormatVersion = "1";

    private const int MaxMetadata = 1 << 20;

    /// <summary>Writes a model. An existing file is replaced only once the new one is complete, flushed and read back.</summary>
    /// <exception cref="ModelFormatException">A weight is NaN or infinite: such a model is never written.</exception>
    /// <exception cref="ArgumentException">The configuration is not sound, or the parameters were laid out for another one.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, ModelConfig config, Parameters parameters, ModelCard card)
    {
        if (config.Problem() is { } problem) throw new ArgumentException($"config: {problem}");
        if (Parameters.CountOf(config) != parameters.Arena.Length) throw new ArgumentException($"the parameters hold {parameters.Arena.Length} values, the configuration asks for {Parameters.CountOf(config)}");
        RequireFinite(path, parameters);
        var metadata = new Dictionary<string, string> { ["format"] = Format, ["format_version"] = FormatVersion, ["config"] = config.ToJson(), ["card"] = card.ToJson() };
        SafetensorsFile.Write(path, metadata, Tensors(parameters));
    }

    /// <summary>Reads a model: every tensor of the configuration must be there with its exact shape and finite values, and no other.</summary>
    /// <exception cref="ModelFormatException">The file is damaged, incomplete or of another kind; the message names the tensor or field and says what to do.</exception>
    public static Model Load(string path)
    {
        Stream stream = ModelStream.Open(path);
        FileKind kind;
        try { kind = FileKinds.Detect(stream, path); }
        catch { stream.Dispose(); throw; }
        if (kind != FileKind.Safetensors)
        {
            stream.Dispose();
            throw new ModelFormatException(path, $"is a PyTorch checkpoint ({FileKinds.Describe(kind)}), expected a DiffWave checkpoint; convert it with: diffwave import {path}");
        }
        using var file = new SafetensorsFile(stream, path);
        return Load(file);
    }

    internal static Model Load(SafetensorsFile file)
    {
        string path = file.Path;
        if (!IsOurs(file))
            throw new ModelFormatException(path, file.Metadata.TryGetValue("format", out string? format)
                ? $"metadata format is '{format}', expected '{Format}': weights of another program; convert them with: diffwave import {path}"
                : $"has no metadata format, expected '{Format}': weights of another program; convert them with: diffwave import {path}");
        if (Required(file, "format_version") is var version && version != FormatVersion)
            throw new ModelFormatException(path, $"metadata format_version is '{version}', expected '{FormatVersion}': written by a newer program");
        ModelConfig config = ModelConfig.FromJson(Required(file, "config"), path);
        ModelCard card = ModelCard.FromJson(Required(file, "card"), path);
        return new Model(config, ReadParameters(file, config), card);
    }

    internal static bool IsOurs(SafetensorsFile file) => file.Metadata.TryGetValue("format", out string? format) && format == Format;

    /// <summary>Names, shapes and values of all parameters in canonical order, without copying.</summary>
    internal static IEnumerable<(string Name, long[] Shape, ReadOnlyMemory<float> Data)> Tensors(Parameters parameters) =>
        parameters.Infos.Select(info => (info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)parameters.Arena.AsMemory(info.Offset, info.Count)));

    /// <summary>Throws when a weight is NaN or infinite, naming it.</summary>
    internal static void RequireFinite(string path, Parameters parameters)
    {
        foreach (ParameterInfo info in parameters.Infos)
        {
            ReadOnlySpan<float> values = parameters.Arena.AsSpan(info.Offset, info.Count);
            for (int i = 0; i < values.Length; i++)
                if (!float.IsFinite(values[i])) throw new ModelFormatException(path, $"tensor '{info.Name}' {info.ShapeText} holds {values[i]} at index {i}, expected finite values");
        }
    }

    private static Parameters ReadParameters(SafetensorsFile file, ModelConfig config)
    {
        // Every tensor is compared with the file before memory is taken: the configuration alone could ask for gigabytes.
        List<ParameterInfo> layout = Parameters.Layout(config, file.Path);
        foreach (ParameterInfo info in layout)
        {
            if (!file.Contains(info.Name)) throw new ModelFormatException(file.Path, $"tensor '{info.Name}' {info.ShapeText} is missing");
            SafetensorsEntry entry = file.Entry(info.Name);
            if (!entry.Shape.SequenceEqual(info.Shape.Select(n => (long)n)))
                throw new ModelFormatException(file.Path, $"tensor '{info.Name}' has shape {entry.ShapeText}, expected {info.ShapeText}");
            if (entry.DType != TensorType.F32) throw new ModelFormatException(file.Path, $"tensor '{info.Name}' has dtype {entry.DType}, expected F32");
        }
        if (file.Entries.Count != layout.Count)
        {
            var expected = layout.Select(info => info.Name).ToHashSet();
            SafetensorsEntry extra = file.Entries.First(entry => !expected.Contains(entry.Name));
            throw new ModelFormatException(file.Path, $"tensor '{extra.Name}' {extra.ShapeText} is not part of the configured model");
        }
        var parameters = new Parameters(config);
        foreach (ParameterInfo info in layout) file.ReadFloats(info.Name, parameters[info.Name]);
        RequireFinite(file.Path, parameters);
        return parameters;
    }

    private static string Required(SafetensorsFile file, string key)
    {
        if (!file.Metadata.TryGetValue(key, out string? value)) throw new ModelFormatException(file.Path, $"metadata key '{key}' is missing");
        return value.Length <= MaxMetadata ? value : throw new ModelFormatException(file.Path, $"metadata key '{key}' has {value.Length} characters, expected at most {MaxMetadata}");
    }
}
