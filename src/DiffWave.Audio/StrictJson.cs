using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffWave.Audio;

/// <summary>
/// JSON as this program stores settings: snake_case, indented, and read strictly: unknown, duplicate and null keys are refused, an enum is exactly one of its names.
/// </summary>
public static class StrictJson
{
    /// <summary>Settings with these rules, and converters for types that need their own form.</summary>
    public static JsonSerializerOptions Options(params ReadOnlySpan<JsonConverter> converters)
    {
        var options = new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
            UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
            AllowDuplicateProperties = false,
            RespectNullableAnnotations = true,
            WriteIndented = true,
            MaxDepth = 16,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // files, not web pages: a plus sign stays a plus sign
        };
        foreach (var converter in converters) options.Converters.Add(converter);
        options.Converters.Add(new EnumNames());
        return options;
    }

    /// <summary>What is wrong with a text, with the place (<c>$.mel.scale</c>) where the serializer knows it.</summary>
    public static string Describe(JsonException e) => e.Path is null || e.Message.Contains(e.Path, StringComparison.Ordinal) ? e.Message : $"{e.Path}: {e.Message}";

    // The framework's converter would also accept "a, b" and combine the values.
    private sealed class EnumNames : JsonConverterFactory
    {
        public override bool CanConvert(Type type) => type.IsEnum;

        public override JsonConverter CreateConverter(Type type, JsonSerializerOptions options) => (JsonConverter)Activator.CreateInstance(typeof(EnumName<>).MakeGenericType(type))!;
    }

    private sealed class EnumName<T> : JsonConverter<T> where T : struct, Enum
    {
        private static readonly (string Name, T Value)[] Names = [.. Enum.GetValues<T>().Select(value => (JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString()), value))];

        public override T Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
        {
            string? text = reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
            foreach (var (name, value) in Names)
                if (name == text) return value;
            throw new JsonException($"expected {string.Join(" or ", Names.Select(entry => $"\"{entry.Name}\""))}");
        }

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString()));
    }
}
