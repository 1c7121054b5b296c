using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffWave.Engine;

/// <summary>What a training run was started with: the file <c>config.json</c> of its folder.</summary>
/// <param name="Model">The model.</param>
/// <param name="Training">The choices of the optimisation.</param>
/// <param name="Data">Folders and options of the training data, a JSON object; its fields are the concern of whoever reads the data.</param>
public sealed record RunFolderConfig(ModelConfig Model, TrainingOptions Training, string Data)
{
    private const string Format = "diffwave run", FormatVersion = "1";

    private static readonly JsonSerializerOptions Written = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>All of it as indented JSON.</summary>
    /// <exception cref="ArgumentException">The data is no JSON object.</exception>
    public string ToJson()
    {
        JsonNode? data;
        try { data = JsonNode.Parse(Data); }
        catch (JsonException e) { throw new ArgumentException($"data: {e.Message}", e); }
        if (data is not JsonObject) throw new ArgumentException("data: expected a JSON object");
        return new JsonObject
        {
            ["format"] = Format, ["format_version"] = FormatVersion, ["model"] = JsonNode.Parse(Model.ToJson()), ["training"] = JsonNode.Parse(Training.ToJson()), ["data"] = data,
        }.ToJsonString(Written);
    }

    /// <summary>Reads what <see cref="ToJson"/> writes.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">Bad JSON, a missing, unknown or duplicate key, or a value out of range.</exception>
    public static RunFolderConfig FromJson(string json, string source)
    {
        JsonObject? root;
        try { root = JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 }) as JsonObject; }
        catch (JsonException e) { throw new ModelFormatException(source, $"is not valid JSON: {e.Message}", e); }
        if (root is null) throw new ModelFormatException(source, "holds no JSON object");
        string[] keys = ["format", "format_version", "model", "training", "data"];
        foreach (string key in keys)
            if (root[key] is null) throw new ModelFormatException(source, $"key '{key}' is missing: not the configuration of a training run");
        if (root.Select(pair => pair.Key).FirstOrDefault(key => !keys.Contains(key)) is { } unknown)
            throw new ModelFormatException(source, $"key '{unknown}' is unknown, expected {string.Join(", ", keys)}");
        RequireText(root, "format", Format, source);
        RequireText(root, "format_version", FormatVersion, source);
        if (root["data"] is not JsonObject data) throw new ModelFormatException(source, "data: expected an object");
        return new RunFolderConfig(ModelConfig.FromJson(root["model"]!.ToJsonString(), source), TrainingOptions.FromJson(root["training"]!.ToJsonString(), source), data.ToJsonString(Written));
    }

    private static void RequireText(JsonObject root, string key, string expected, string source)
    {
        if (root[key] is not JsonValue value || !value.TryGetValue(out string? text) || text != expected)
            throw new ModelFormatException(source, $"{key} is {root[key]!.ToJsonString(Written)}, expected \"{expected}\"");
    }
}
