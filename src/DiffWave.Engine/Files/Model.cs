using System.Text.Json;
using System.Text.Json.Serialization;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>A model as files hold it.</summary>
/// <param name="Config">What decides its graph.</param>
/// <param name="Parameters">Its weights.</param>
/// <param name="Card">Where it comes from.</param>
public sealed record Model(ModelConfig Config, Parameters Parameters, ModelCard Card);

/// <summary>Where a model comes from, stored in its checkpoint. Every field is optional; nothing here changes what the model computes.</summary>
public sealed record ModelCard
{
    /// <summary>Short name.</summary>
    public string? Name { get; init; }
    /// <summary>One or two sentences: data, speaker, purpose.</summary>
    public string? Description { get; init; }
    /// <summary>Origin: an imported file's name and container, a URL, or the training data.</summary>
    public string? Source { get; init; }
    /// <summary>SHA-256 of the imported file, lower-case hexadecimal.</summary>
    public string? SourceSha256 { get; init; }
    /// <summary>Licence of the weights.</summary>
    public string? License { get; init; }
    /// <summary>Optimiser steps the weights have seen.</summary>
    public long? TrainedSteps { get; init; }
    /// <summary>When the weights were made, ISO 8601.</summary>
    public string? Created { get; init; }
    /// <summary>Anything else.</summary>
    public string? Notes { get; init; }

    /// <summary>The card as JSON, empty fields left out.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonOptions);

    /// <summary>Reads a card from the JSON <see cref="ToJson"/> writes.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">Bad JSON or an unknown key.</exception>
    public static ModelCard FromJson(string json, string source)
    {
        try { return JsonSerializer.Deserialize<ModelCard>(json, JsonOptions) ?? throw new ModelFormatException(source, "card: null, expected an object"); }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { throw new ModelFormatException(source, $"card: {e.Message}", e); }
    }

    private static readonly JsonSerializerOptions JsonOptions = new(StrictJson.Options()) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = false };
}
