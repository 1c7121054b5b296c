using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffWave.Bench;

/// <summary>
/// What a benchmark found: the one thing that is printed, stored, compared and drawn. Its file is JSON: <c>benchmark</c>, <c>title</c>, <c>machine</c>, <c>settings</c>, <c>notes</c> and <c>rows</c>, each row with its <c>case</c>,
/// <c>seconds</c> (median, low, high, and all values), <c>peak_flops</c>, <c>pace</c> and its figures.
/// </summary>
/// <param name="Benchmark">Name of the benchmark, which also names the columns of its table (<see cref="Layouts"/>).</param>
/// <param name="Title">One line: what, on which device.</param>
/// <param name="Rows">The cases.</param>
internal sealed record Result(string Benchmark, string Title, IReadOnlyList<Row> Rows)
{
    private static readonly string[] Reserved = ["case", "seconds", "peak_flops", "pace"];

    /// <summary>What it was measured on, see <see cref="Machine.Describe"/>.</summary>
    public IReadOnlyDictionary<string, object?> Machine { get; init; } = new Dictionary<string, object?>();

    /// <summary>What the whole benchmark was told: threads, seed, precision.</summary>
    public IReadOnlyDictionary<string, object?> Settings { get; init; } = new Dictionary<string, object?>();

    /// <summary>Lines for below the table.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Writes the file; an earlier one is replaced once the new one is complete.</summary>
    public void Write(string path) => TextFile.Write(path, ToJson().ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n");

    /// <summary>Reads a file of <see cref="Write"/>.</summary>
    /// <exception cref="InvalidDataException">It is none; the message names the file and what is wrong.</exception>
    public static Result Read(string path)
    {
        try
        {
            JsonObject file = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
            return new Result(Text(file, "benchmark"), Text(file, "title"), [.. file["rows"]!.AsArray().Select(row => ReadRow(row!.AsObject()))])
            {
                Machine = Values(file["machine"]!.AsObject()), Settings = Values(file["settings"]!.AsObject()), Notes = [.. file["notes"]!.AsArray().Select(note => (string)note!)],
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or FormatException or ArgumentException)
        {
            throw new InvalidDataException($"{path}: no result of a benchmark ({e.Message}); expected JSON with benchmark, title, machine, settings, notes and rows, as --json writes it");
        }
    }

    private JsonObject ToJson() => new()
    {
        ["benchmark"] = Benchmark,
        ["title"] = Title,
        ["machine"] = Json(Machine),
        ["settings"] = Json(Settings),
        ["notes"] = new JsonArray([.. Notes.Select(note => (JsonNode)note)]),
        ["rows"] = new JsonArray([.. Rows.Select(row =>
        {
            var json = new JsonObject { ["case"] = row.Case };
            if (row.Seconds is not null) json["seconds"] = Json(row.Seconds);
            if (row.Peak is not null) json["peak_flops"] = Json(row.Peak);
            if (row.Pace is not null) json["pace"] = Json(row.Pace);
            foreach (var (name, value) in row.Figures) json.Add(name, JsonSerializer.SerializeToNode(value));
            return (JsonNode)json;
        })]),
    };

    private static JsonObject Json(IReadOnlyDictionary<string, object?> values) => new(values.Select(value => KeyValuePair.Create(value.Key, JsonSerializer.SerializeToNode(value.Value))));

    private static JsonObject Json(Sample sample) => new() { ["median"] = sample.Median, ["low"] = sample.Low, ["high"] = sample.High, ["values"] = new JsonArray([.. sample.Values.Select(value => (JsonNode)value)]) };

    private static Row ReadRow(JsonObject json) => new(Text(json, "case"), ReadSample(json["seconds"]))
    {
        Peak = ReadSample(json["peak_flops"]), Pace = ReadSample(json["pace"]), Figures = Values(json).Where(value => !Reserved.Contains(value.Key)).ToDictionary(),
    };

    private static string Text(JsonObject json, string name) => (string?)json[name] ?? throw new FormatException($"{name} is missing");

    private static Sample? ReadSample(JsonNode? json) => json is null ? null : new Sample(json["values"]!.AsArray().Select(value => (double)value!));

    private static Dictionary<string, object?> Values(JsonObject json) => json.ToDictionary(value => value.Key, value => value.Value?.GetValueKind() switch
    {
        JsonValueKind.Number => (object?)(double)value.Value,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String => (string)value.Value!,
        null => null,
        _ => value.Value!.ToJsonString(),
    });
}
