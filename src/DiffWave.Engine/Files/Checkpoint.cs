namespace DiffWave.Engine;

/// <summary>
/// The project's own model file: a safetensors file whose tensors are the <see cref="Parameters"/> under their canonical names, float32, in canonical order, with
/// the configuration and the card in its metadata (keys <c>format</c>, <c>format_version</c>, <c>config</c>, <c>card</c>). Any safetensors library can read the weights.
/// A checkpoint of a training run (<see cref="TrainingCheckpoint"/>) is such a file with further tensors and one more metadata key.
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
        RequireSound(config, parameters);
        RequireFinite(path, parameters);
        SafetensorsFile.Write(path, Metadata(config, card), Tensors(parameters));
    }

    /// <summary>
    /// Reads a model: every tensor of the configuration must be there with its exact shape and finite values, and no other; what a training run needs besides is not read.
    /// </summary>
    /// <exception cref="ModelFormatException">The file is damaged, incomplete or of another kind; the message names the tensor or field and says what to do.</exception>
    public static Model Load(string path)
    {
        using SafetensorsFile file = Open(path);
        return Load(file);
    }

    internal static Model Load(SafetensorsFile file)
    {
        (ModelConfig config, ModelCard card) = ReadHeader(file);
        return new Model(config, ReadParameters(file, config), card);
    }

    internal static bool IsOurs(SafetensorsFile file) => file.Metadata.TryGetValue("format", out string? format) && format == Format;

    /// <summary>Opens a safetensors file; a PyTorch file is refused with advice.</summary>
    internal static SafetensorsFile Open(string path)
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
        return new SafetensorsFile(stream, path);
    }

    /// <summary>Checks the format and reads the configuration and the card.</summary>
    internal static (ModelConfig Config, ModelCard Card) ReadHeader(SafetensorsFile file)
    {
        string path = file.Path;
        if (!IsOurs(file))
            throw new ModelFormatException(path, file.Metadata.TryGetValue("format", out string? format)
                ? $"metadata format is '{format}', expected '{Format}': weights of another program; convert them with: diffwave import {path}"
                : $"has no metadata format, expected '{Format}': weights of another program; convert them with: diffwave import {path}");
        if (Required(file, "format_version") is var version && version != FormatVersion)
            throw new ModelFormatException(path, $"metadata format_version is '{version}', expected '{FormatVersion}': written by a newer program");
        return (ModelConfig.FromJson(Required(file, "config"), path), ModelCard.FromJson(Required(file, "card"), path));
    }

    internal static Dictionary<string, string> Metadata(ModelConfig config, ModelCard card) =>
        new() { ["format"] = Format, ["format_version"] = FormatVersion, ["config"] = config.ToJson(), ["card"] = card.ToJson() };

    internal static void RequireSound(ModelConfig config, Parameters parameters)
    {
        if (config.Problem() is { } problem) throw new ArgumentException($"config: {problem}");
        if (Parameters.CountOf(config) != parameters.Arena.Length)
            throw new ArgumentException($"the parameters hold {parameters.Arena.Length} values, the configuration asks for {Parameters.CountOf(config)}");
    }

    /// <summary>Names, shapes and values of all parameters in canonical order, without copying.</summary>
    internal static IEnumerable<(string Name, long[] Shape, ReadOnlyMemory<float> Data)> Tensors(Parameters parameters) => Tensors(parameters.Infos, "", parameters.Arena);

    /// <summary>The same of any block of values laid out like the parameters, under names with a prefix.</summary>
    internal static IEnumerable<(string Name, long[] Shape, ReadOnlyMemory<float> Data)> Tensors(IEnumerable<ParameterInfo> infos, string prefix, float[] arena) =>
        infos.Select(info => (prefix + info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)arena.AsMemory(info.Offset, info.Count)));

    /// <summary>Throws when a weight is NaN or infinite, naming it.</summary>
    internal static void RequireFinite(string path, Parameters parameters) => RequireFinite(path, parameters.Infos, "", parameters.Arena);

    /// <summary>The same for any block of values laid out like the parameters.</summary>
    internal static void RequireFinite(string path, IEnumerable<ParameterInfo> infos, string prefix, float[] arena)
    {
        foreach (ParameterInfo info in infos)
        {
            ReadOnlySpan<float> values = arena.AsSpan(info.Offset, info.Count);
            for (int i = 0; i < values.Length; i++)
                if (!float.IsFinite(values[i])) throw new ModelFormatException(path, $"tensor '{prefix}{info.Name}' {info.ShapeText} holds {values[i]} at index {i}, expected finite values");
        }
    }

    /// <summary>
    /// Compares the tensors of the given layout, once for every prefix, with the file; no other is accepted, except under <paramref name="ignored"/>. To be called before memory is
    /// taken: the configuration alone could ask for gigabytes.
    /// </summary>
    internal static void RequireTensors(SafetensorsFile file, List<ParameterInfo> layout, ReadOnlySpan<string> prefixes, string? ignored = null)
    {
        var expected = new HashSet<string>();
        foreach (string prefix in prefixes)
            foreach (ParameterInfo info in layout)
            {
                string name = prefix + info.Name;
                if (!file.Contains(name)) throw new ModelFormatException(file.Path, $"tensor '{name}' {info.ShapeText} is missing");
                SafetensorsEntry entry = file.Entry(name);
                if (!entry.Shape.SequenceEqual(info.Shape.Select(n => (long)n)))
                    throw new ModelFormatException(file.Path, $"tensor '{name}' has shape {entry.ShapeText}, expected {info.ShapeText}");
                if (entry.DType != TensorType.F32) throw new ModelFormatException(file.Path, $"tensor '{name}' has dtype {entry.DType}, expected F32");
                expected.Add(name);
            }
        foreach (SafetensorsEntry entry in file.Entries)
            if (!expected.Contains(entry.Name) && !(ignored is not null && entry.Name.StartsWith(ignored, StringComparison.Ordinal)))
                throw new ModelFormatException(file.Path, $"tensor '{entry.Name}' {entry.ShapeText} is not part of the configured model");
    }

    private static Parameters ReadParameters(SafetensorsFile file, ModelConfig config)
    {
        List<ParameterInfo> layout = Parameters.Layout(config, file.Path);
        RequireTensors(file, layout, [""], file.Metadata.ContainsKey(TrainingCheckpoint.MetadataKey) ? TrainingCheckpoint.Prefix : null);
        var parameters = new Parameters(config);
        foreach (ParameterInfo info in layout) file.ReadFloats(info.Name, parameters[info.Name]);
        RequireFinite(file.Path, parameters);
        return parameters;
    }

    internal static string Required(SafetensorsFile file, string key)
    {
        if (!file.Metadata.TryGetValue(key, out string? value)) throw new ModelFormatException(file.Path, $"metadata key '{key}' is missing");
        return value.Length <= MaxMetadata ? value : throw new ModelFormatException(file.Path, $"metadata key '{key}' has {value.Length} characters, expected at most {MaxMetadata}");
    }
}
