using System.Text.Json;

namespace DiffWave.Engine;

/// <summary>Hyperparameters that came with a foreign checkpoint, from its pickle or from a JSON file, read one key at a time with errors that name it.</summary>
internal sealed class ForeignSettings(string path, string where, Func<string, object?> get)
{
    private const int MaxJsonLength = 1 << 20;

    /// <summary>The params dict of a pickle.</summary>
    public static ForeignSettings From(string path, TorchDict dict) => new(path, "params", key => dict[key]);

    /// <summary>A JSON object, or one of its sections when <paramref name="section"/> is given; null when the section is absent.</summary>
    public static ForeignSettings? From(string path, JsonElement root, string? section = null)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new ModelFormatException(path, "is not a JSON object");
        if (section is null) return new ForeignSettings(path, "config", key => Value(root, key));
        if (!root.TryGetProperty(section, out JsonElement part)) return null;
        if (part.ValueKind != JsonValueKind.Object) throw new ModelFormatException(path, $"{section} is not a JSON object");
        return new ForeignSettings(path, section, key => Value(part, key));
    }

    /// <summary>Parses JSON text; duplicate keys are refused.</summary>
    public static JsonElement Parse(string path, ReadOnlyMemory<byte> json)
    {
        if (json.Length > MaxJsonLength) throw new ModelFormatException(path, $"has a configuration of {json.Length} bytes, expected at most {MaxJsonLength}");
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 16, AllowDuplicateProperties = false });
            return document.RootElement.Clone();
        }
        catch (JsonException e) { throw new ModelFormatException(path, $"is not valid JSON: {e.Message}", e); }
    }

    /// <summary>Parses a JSON file of at most 1 MiB.</summary>
    public static JsonElement ParseFile(string path)
    {
        using Stream stream = ModelStream.Open(path);
        if (stream.Length > MaxJsonLength) throw new ModelFormatException(path, $"has {stream.Length} bytes, expected a configuration of at most {MaxJsonLength}");
        byte[] json = new byte[stream.Length];
        ModelStream.ReadAt(stream, path, 0, json);
        return Parse(path, json);
    }

    public bool Has(string key) => get(key) is not null;

    public int Int(string key, int? otherwise = null) => get(key) switch
    {
        long and >= int.MinValue and <= int.MaxValue and var value => (int)value,
        null => otherwise ?? throw Missing(key),
        var other => throw Bad(key, other, "a whole number"),
    };

    public double Double(string key) => get(key) switch
    {
        long value => value,
        double value => value,
        null => throw Missing(key),
        var other => throw Bad(key, other, "a number"),
    };

    public bool Bool(string key, bool otherwise) => get(key) switch
    {
        bool value => value,
        null => otherwise,
        var other => throw Bad(key, other, "true or false"),
    };

    /// <summary>A list of at most 10,000 numbers.</summary>
    public double[] Doubles(string key)
    {
        if (get(key) is not { } value) throw Missing(key);
        if (value is not List<object?> { Count: <= 10_000 } list) throw Bad(key, value, "a list of at most 10000 numbers");
        return [.. list.Select(item => item is double number ? number : item is long whole ? whole : throw Bad(key, item, "a list of numbers"))];
    }

    /// <summary>Compares a setting, if present, with what the shapes of the weights say.</summary>
    public void RequireSame(string key, int fromShapes)
    {
        if (Has(key) && Int(key) != fromShapes) throw new ModelFormatException(path, $"{where}.{key} is {Int(key)}, the weights have {fromShapes}: the configuration belongs to another checkpoint");
    }

    private static object? Value(JsonElement element, string key) => element.TryGetProperty(key, out JsonElement value) ? Value(value) : null;

    private static object? Value(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Number => value.TryGetInt64(out long whole) ? (object)whole : value.GetDouble(),
        // Lists hold numbers only; anything deeper is no setting this program reads.
        JsonValueKind.Array => value.EnumerateArray().Select(item => item.ValueKind is JsonValueKind.Number ? Value(item) : item.GetRawText()).ToList(),
        _ => value,
    };

    private ModelFormatException Missing(string key) => new(path, $"{where}.{key} is missing");

    private ModelFormatException Bad(string key, object? value, string expected)
    {
        string found = value switch { string text => text.Length > 40 ? text[..40] + "..." : text, long or double or bool => $"{value}", List<object?> list => $"a list of {list.Count}", _ => "something else" };
        return new(path, $"{where}.{key} is {found}, expected {expected}");
    }
}
