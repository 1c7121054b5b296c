using System.Text.Json;

namespace DiffWave.Bench;

/// <summary>Files of what is no measurement of time: predictions and accuracy.</summary>
internal static class JsonDocuments
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes <c>benchmark</c>, <c>machine</c> and <c>results</c>; nothing without a path.</summary>
    public static void Write(string? path, string name, object results)
    {
        if (path is not null) TextFile.Write(path, JsonSerializer.Serialize(new Dictionary<string, object> { ["benchmark"] = name, ["machine"] = Machine.Describe(), ["results"] = results }, Indented) + "\n");
    }
}
