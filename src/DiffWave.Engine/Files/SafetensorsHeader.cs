using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;

namespace DiffWave.Engine;

/// <summary>The JSON header of a safetensors file: parsing with every check, and writing.</summary>
internal sealed class SafetensorsHeader
{
    // Limits that keep the memory of a parsed header below 64 MiB whatever its JSON says; real files stay far below them.
    private const int MaxTensors = 100_000, MaxRank = 16, MaxText = 12_000_000;
    private const string MetadataKey = "__metadata__";

    private readonly string _path;
    private readonly List<SafetensorsEntry> _entries = [];
    private readonly Dictionary<string, SafetensorsEntry> _byName = [];
    private readonly Dictionary<string, string> _metadata = [];
    private int _text;

    public IReadOnlyList<SafetensorsEntry> Entries => _entries;
    public IReadOnlyDictionary<string, SafetensorsEntry> ByName => _byName;
    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    private SafetensorsHeader(string path) => _path = path;

    /// <param name="json">The header's bytes.</param>
    /// <param name="dataLength">Bytes that follow the header.</param>
    /// <param name="path">The file, for messages.</param>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long dataLength, string path)
    {
        if (json.Length == 0 || json[0] != (byte)'{') throw new ModelFormatException(path, "header does not start with '{': not a safetensors file");
        if (!Utf8.IsValid(json)) throw new ModelFormatException(path, "header is not valid UTF-8");
        var header = new SafetensorsHeader(path);
        // InvalidOperationException: an escaped surrogate without its other half, which JSON's grammar allows and text cannot hold.
        try { header.ReadRoot(json); }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { throw new ModelFormatException(path, $"header is not valid JSON: {e.Message}", e); }
        header.CheckLayout(dataLength);
        return header;
    }

    /// <summary>The complete start of a file: length prefix and header, padded with spaces to a multiple of 8.</summary>
    public static byte[] Compose(IReadOnlyDictionary<string, string> metadata, IEnumerable<(string Name, long[] Shape, long Count)> tensors)
    {
        var memory = new MemoryStream();
        memory.Write(new byte[8]);
        using (var writer = new Utf8JsonWriter(memory))
        {
            writer.WriteStartObject();
            if (metadata.Count > 0)
            {
                writer.WriteStartObject(MetadataKey);
                foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal)) writer.WriteString(key, value);
                writer.WriteEndObject();
            }
            var names = new HashSet<string>();
            long begin = 0;
            foreach (var (name, shape, count) in tensors)
            {
                if (name == MetadataKey || !names.Add(name)) throw new ArgumentException($"tensor name '{name}' is reserved or used twice");
                if (TensorTypes.ElementCount(shape) != count) throw new ArgumentException($"tensor '{name}' has {count} values, its shape {TensorTypes.ShapeText(shape)} asks for another number");
                writer.WriteStartObject(name);
                writer.WriteString("dtype", nameof(TensorType.F32));
                writer.WriteStartArray("shape");
                foreach (long n in shape) writer.WriteNumberValue(n);
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(begin);
                writer.WriteNumberValue(begin += 4 * count);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        while (memory.Length % 8 != 0) memory.WriteByte((byte)' ');
        byte[] bytes = memory.ToArray();
        if (bytes.Length - 8 > SafetensorsFile.MaxHeaderLength) throw new ArgumentException($"the header has {bytes.Length - 8} bytes, expected at most {SafetensorsFile.MaxHeaderLength}");
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)(bytes.Length - 8));
        return bytes;
    }

    private void ReadRoot(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 4 });
        reader.Read();
        bool hasMetadata = false;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string name = Text(ref reader);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject) throw Bad($"header entry '{Short(name)}' is {Found(reader.TokenType)}, expected an object");
            if (name == MetadataKey)
            {
                if (hasMetadata) throw Bad($"header has '{MetadataKey}' twice");
                hasMetadata = true;
                ReadMetadata(ref reader);
            }
            else
            {
                if (_entries.Count == MaxTensors) throw Bad($"header has over {MaxTensors} tensors");
                SafetensorsEntry entry = ReadEntry(ref reader, name);
                if (!_byName.TryAdd(name, entry)) throw Bad($"header has tensor '{Short(name)}' twice");
                _entries.Add(entry);
            }
        }
        if (reader.Read()) throw Bad("header has text after its closing brace");
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            string key = Text(ref reader);
            reader.Read();
            if (reader.TokenType != JsonTokenType.String) throw Bad($"{MetadataKey} '{Short(key)}' is {Found(reader.TokenType)}, expected a string");
            if (!_metadata.TryAdd(key, Text(ref reader))) throw Bad($"{MetadataKey} has '{Short(key)}' twice");
        }
    }

    private SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string name)
    {
        TensorType? type = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            if (reader.ValueTextEquals("dtype"u8) && type is null) type = ReadType(ref reader, name);
            else if (reader.ValueTextEquals("shape"u8) && shape is null) shape = ReadNumbers(ref reader, name, "shape");
            else if (reader.ValueTextEquals("data_offsets"u8) && offsets is null) offsets = ReadNumbers(ref reader, name, "data_offsets");
            else throw Bad($"tensor '{Short(name)}' has key '{Short(Text(ref reader))}', expected dtype, shape and data_offsets, each once");
        }
        if (type is null || shape is null || offsets is null)
            throw Bad($"tensor '{Short(name)}' has no {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        if (offsets.Length != 2) throw Bad($"tensor '{Short(name)}' has {offsets.Length} data_offsets, expected 2");
        if (TensorTypes.ElementCount(shape) is not { } count)
            throw Bad($"tensor '{Short(name)}' has shape {TensorTypes.ShapeText(shape)}, expected dimensions whose product is below 2^63");
        if (offsets[1] < offsets[0]) throw Bad($"tensor '{Short(name)}' has data_offsets {TensorTypes.ShapeText(offsets)}, expected begin <= end");
        UInt128 expected = (UInt128)count * (UInt128)TensorTypes.Size(type.Value);
        if (expected != (UInt128)(offsets[1] - offsets[0]))
            throw Bad($"tensor '{Short(name)}' {type} {TensorTypes.ShapeText(shape)} needs {expected} bytes, its data_offsets {TensorTypes.ShapeText(offsets)} hold {offsets[1] - offsets[0]}");
        return new SafetensorsEntry(name, type.Value, shape, offsets[0], offsets[1]);
    }

    private TensorType ReadType(ref Utf8JsonReader reader, string name)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.String) throw Bad($"tensor '{Short(name)}' has a dtype that is {Found(reader.TokenType)}, expected a string");
        string text = Text(ref reader);
        return text switch
        {
            "F64" => TensorType.F64, "F32" => TensorType.F32, "F16" => TensorType.F16, "BF16" => TensorType.BF16,
            "I64" => TensorType.I64, "I32" => TensorType.I32, "I16" => TensorType.I16, "I8" => TensorType.I8,
            "U64" => TensorType.U64, "U32" => TensorType.U32, "U16" => TensorType.U16, "U8" => TensorType.U8, "BOOL" => TensorType.Bool,
            _ => throw Bad($"tensor '{Short(name)}' has dtype '{Short(text)}', expected F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8 or BOOL"),
        };
    }

    private long[] ReadNumbers(ref Utf8JsonReader reader, string name, string field)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray) throw Bad($"tensor '{Short(name)}' has {field} that is {Found(reader.TokenType)}, expected an array");
        Span<long> numbers = stackalloc long[MaxRank];
        int count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (count == MaxRank) throw Bad($"tensor '{Short(name)}' has over {MaxRank} entries in {field}");
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw Bad($"tensor '{Short(name)}' has a {field} entry that is no whole number from 0 to 2^63 - 1");
            numbers[count++] = number;
        }
        return numbers[..count].ToArray();
    }

    // The data must be covered exactly: a hole could hide other content, an overlap could alias tensors. Empty tensors may share an offset.
    private void CheckLayout(long dataLength)
    {
        var ordered = _entries.ToArray();
        Array.Sort(ordered, (a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        long end = 0;
        foreach (SafetensorsEntry entry in ordered)
        {
            if (entry.Begin != end)
                throw Bad($"tensor '{Short(entry.Name)}' begins at byte {entry.Begin}, expected {end}: the data has {(entry.Begin < end ? "an overlap" : "a hole")}");
            end = entry.End;
            if (end > dataLength) throw Bad($"tensor '{Short(entry.Name)}' ends at byte {end}, the data has {dataLength}: the file is cut off");
        }
        if (end != dataLength) throw Bad($"the tensors end at byte {end}, the data has {dataLength}: bytes left over");
    }

    private string Text(ref Utf8JsonReader reader)
    {
        if ((_text += reader.ValueSpan.Length) > MaxText) throw Bad($"header has over {MaxText} bytes of names and metadata");
        return reader.GetString()!;
    }

    private ModelFormatException Bad(string problem) => new(_path, problem);

    private static string Found(JsonTokenType token) => token switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        _ => "null",
    };

    private static string Short(string text) => text.Length <= 100 ? text : text[..100] + "...";
}
