using System.Text.Json;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>A preset or a configuration file, with single fields changed and the fields that follow from them brought along.</summary>
internal static class ConfigEditor
{
    /// <summary>Every key <c>--set</c> takes: the JSON names of <see cref="ModelConfig"/>, those of the mel recipe with <c>mel.</c> before them.</summary>
    public static IReadOnlyList<string> Keys { get; } = [.. KeysOf(Parse(ModelConfig.Preset("base").ToJson()))];

    /// <summary>The configuration a command line asks for.</summary>
    /// <param name="source">Preset or file.</param>
    /// <param name="changes">Each <c>key=value</c>; values are JSON or bare words.</param>
    /// <exception cref="UsageException">No such preset, file or key, or changes that make no sound configuration.</exception>
    /// <exception cref="ModelFormatException">The file is no configuration.</exception>
    public static ModelConfig Resolve(string source, IReadOnlyList<string> changes)
    {
        ModelConfig start = Load(source);
        if (changes.Count == 0) return start;
        JsonObject json = Parse(start.ToJson());
        var given = new Dictionary<string, string>();
        foreach (string change in changes)
        {
            int equals = change.IndexOf('=');
            string key = equals < 0 ? change : change[..equals];
            if (equals < 0) throw new UsageException($"--set {change}: expected key=value");
            if (!Keys.Contains(key)) throw new UsageException($"--set {change}: no key '{key}', expected one of {string.Join(", ", Keys)}");
            if (!given.TryAdd(key, change[(equals + 1)..])) throw new UsageException($"--set {change}: {key} is set twice");
        }
        if (given.Remove("conditioner", out string? conditioner)) SetConditioner(json, conditioner, start.SampleRate);
        foreach ((string key, string value) in given) Set(json, key, value);
        Derive(json, given.ContainsKey, start);
        try { return ModelConfig.FromJson(json.ToJsonString(), "--set"); }
        catch (ModelFormatException e) { throw new UsageException(e.Message); }
    }

    private static ModelConfig Load(string source)
    {
        if (ModelConfig.PresetNames.Contains(source)) return ModelConfig.Preset(source);
        if (!File.Exists(source)) throw new UsageException($"--config {source}: neither a file nor a preset ({string.Join(", ", ModelConfig.PresetNames)})");
        const int most = 1 << 20;
        try
        {
            if (new FileInfo(source).Length > most) throw new ModelFormatException(source, $"is longer than {most} bytes, expected a configuration");
            return ModelConfig.FromJson(File.ReadAllText(source), source);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new ModelFormatException(source, $"cannot be read: {e.Message}", e); }
    }

    private static void SetConditioner(JsonObject json, string conditioner, int sampleRate)
    {
        if (conditioner is not ("none" or "mel" or "label" or "mel+label")) throw new UsageException($"--set conditioner={conditioner}: expected none, mel, label or mel+label");
        json["conditioner"] = conditioner;
        bool mel = conditioner.Split('+').Contains("mel");
        if (!conditioner.Split('+').Contains("label")) json["labels"] = 0;
        if (!mel) (json["mel"], json["upsample_factors"]) = (null, new JsonArray());
        else if (json["mel"] is null)
        {
            json["mel"] = Parse(MelRecipe.Lmnt(sampleRate).ToJson());
            json["upsample_factors"] = new JsonArray(16, 16);
        }
    }

    private static void Set(JsonObject json, string key, string value)
    {
        string[] path = key.Split('.');
        if (path.Length == 2 && json["mel"] is null) throw new UsageException($"--set {key}={value}: the model has no mel; set conditioner=mel as well");
        JsonObject owner = path.Length == 2 ? json["mel"]!.AsObject() : json;
        bool list = owner[path[^1]] is JsonArray;
        owner[path[^1]] = Value(list && !value.StartsWith('[') ? $"[{value}]" : value);
    }

    private static JsonNode? Value(string text)
    {
        try { return JsonNode.Parse(text); }
        catch (JsonException) { return JsonValue.Create(text); }
    }

    // Fields that follow from those set, unless they were set themselves. Values of the wrong kind are left for the configuration's own check.
    private static void Derive(JsonObject json, Predicate<string> given, ModelConfig start)
    {
        if (json["mel"] is not JsonObject mel) return;
        if (given("mel.sample_rate") && !given("sample_rate")) json["sample_rate"] = mel["sample_rate"]?.DeepClone();
        if (Whole(json["sample_rate"]) is { } rate)
        {
            if (!given("mel.sample_rate")) mel["sample_rate"] = rate;
            double oldHigh = start.Mel?.HighHz ?? rate / 2.0;
            bool toNyquist = oldHigh == start.SampleRate / 2.0;
            if (!given("mel.high_hz")) mel["high_hz"] = toNyquist ? rate / 2.0 : Math.Min(oldHigh, rate / 2.0);
        }
        if (given("upsample_factors") && !given("mel.hop") && json["upsample_factors"] is JsonArray factors && factors.All(factor => Whole(factor) is > 0 and < 100_000))
            mel["hop"] = (int)Math.Min(int.MaxValue, factors.Aggregate(1.0, (product, factor) => product * Whole(factor)!.Value));
        if (Whole(mel["hop"]) is not { } hop || hop is < 1 or > 65536 || hop == start.Mel?.Hop) return;
        if (!given("upsample_factors")) json["upsample_factors"] = new JsonArray([.. Factors(hop).Select(factor => JsonValue.Create(factor))]);
        // A window of four hops, as the presets have; the FFT grows if it is shorter.
        if (!given("mel.fft_size") && Whole(mel["fft_size"]) is { } fft) while (fft < 4 * hop && fft < 65536) mel["fft_size"] = fft *= 2;
        if (!given("mel.window_length") && Whole(mel["fft_size"]) is { } size) mel["window_length"] = Math.Min(4 * hop, size);
    }

    /// <summary>Two upsampling stages as equal as the hop allows, the smaller first; one when the hop is prime.</summary>
    internal static int[] Factors(int hop)
    {
        int small = (int)Math.Sqrt(hop);
        while (hop % small != 0) small--;
        return small == 1 ? [hop] : [small, hop / small];
    }

    private static int? Whole(JsonNode? node) => node is JsonValue value && value.TryGetValue(out int number) ? number : null;

    private static JsonObject Parse(string json) => JsonNode.Parse(json)!.AsObject();

    private static IEnumerable<string> KeysOf(JsonObject config) =>
        config.SelectMany(field => field.Value is JsonObject inner ? inner.Select(nested => $"{field.Key}.{nested.Key}") : [field.Key]);
}
