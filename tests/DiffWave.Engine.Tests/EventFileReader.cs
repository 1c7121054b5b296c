using System.Buffers.Binary;
using System.Text;

namespace DiffWave.Engine.Tests;

/// <summary>
/// A strict reader of event files that shares no code with the writer, after the published formats: TFRecord (https://www.tensorflow.org/tutorials/load_data/tfrecord), the wire
/// format of protocol buffers (https://protobuf.dev/programming-guides/encoding), event.proto and summary.proto of TensorBoard.
/// </summary>
internal static class EventFileReader
{
    /// <summary>A value of a summary: Number, Picture or Sound.</summary>
    public sealed record Value(string Tag, float? Number, (long Height, long Width, long Colorspace, byte[] Png)? Picture, (float Rate, long Channels, long Frames, byte[] Wav, string Type)? Sound);

    public sealed record Event(double WallTime, long Step, string? FileVersion, long? SessionStatus, List<Value> Values);

    /// <summary>All whole events, and how many bytes of a cut-off one follow.</summary>
    public static (List<Event> Events, long Torn) Read(string path)
    {
        ReadOnlySpan<byte> file = File.ReadAllBytes(path);
        var events = new List<Event>();
        while (file.Length >= 12)
        {
            ulong length = BinaryPrimitives.ReadUInt64LittleEndian(file);
            Assert.Equal(Masked(file[..8]), BinaryPrimitives.ReadUInt32LittleEndian(file[8..]));
            if ((ulong)file.Length < length + 16) break;
            ReadOnlySpan<byte> data = file.Slice(12, (int)length);
            Assert.Equal(Masked(data), BinaryPrimitives.ReadUInt32LittleEndian(file[(12 + (int)length)..]));
            events.Add(ParseEvent(data));
            file = file[(16 + (int)length)..];
        }
        return (events, file.Length);
    }

    /// <summary>CRC-32C bit by bit, from its definition.</summary>
    public static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
        }
        return ~crc;
    }

    // "masked_crc = ((crc >> 15) | (crc << 17)) + 0xa282ead8ul"
    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        uint crc = Crc32C(bytes);
        return (crc >> 15 | crc << 17) + 0xa282ead8u;
    }

    private static Event ParseEvent(ReadOnlySpan<byte> data)
    {
        var fields = Fields(data);
        Assert.All(fields.Keys, field => Assert.Contains(field, new[] { 1, 2, 3, 5, 7 }));
        List<Value> values = fields.TryGetValue(5, out var summary) ? [.. Repeated((byte[])summary, 1).Select(ParseValue)] : [];
        return new Event((double)fields[1], (long)fields.GetValueOrDefault(2, 0L), fields.TryGetValue(3, out var version) ? Encoding.UTF8.GetString((byte[])version) : null,
            fields.TryGetValue(7, out var session) ? (long)Assert.Single(Fields((byte[])session), pair => pair.Key == 1).Value : null, values);
    }

    private static Value ParseValue(byte[] data)
    {
        var fields = Fields(data);
        Assert.Equal(2, fields.Count);
        string tag = Encoding.UTF8.GetString((byte[])fields[1]);
        if (fields.TryGetValue(2, out var number)) return new Value(tag, (float)number, null, null);
        if (fields.TryGetValue(4, out var image))
        {
            var picture = Fields((byte[])image);
            return new Value(tag, null, ((long)picture[1], (long)picture[2], (long)picture[3], (byte[])picture[4]), null);
        }
        var audio = Fields((byte[])fields[6]);
        return new Value(tag, null, null, ((float)audio[1], (long)audio[2], (long)audio[3], (byte[])audio[4], Encoding.UTF8.GetString((byte[])audio[5])));
    }

    private static List<byte[]> Repeated(ReadOnlySpan<byte> data, int field)
    {
        var list = new List<byte[]>();
        while (data.Length > 0)
        {
            var (number, value) = Next(ref data);
            Assert.Equal(field, number);
            list.Add((byte[])value);
        }
        return list;
    }

    private static Dictionary<int, object> Fields(ReadOnlySpan<byte> data)
    {
        var fields = new Dictionary<int, object>();
        while (data.Length > 0)
        {
            var (number, value) = Next(ref data);
            fields.Add(number, value); // each once
        }
        return fields;
    }

    // Wire types: 0 varint, 1 eight bytes (here always a double), 2 length and bytes, 5 four bytes (always a float).
    private static (int Field, object Value) Next(ref ReadOnlySpan<byte> data)
    {
        ulong key = Varint(ref data);
        object value;
        switch (key & 7)
        {
            case 0: value = (long)Varint(ref data); break;
            case 1: value = BinaryPrimitives.ReadDoubleLittleEndian(data); data = data[8..]; break;
            case 2: int length = (int)Varint(ref data); value = data[..length].ToArray(); data = data[length..]; break;
            case 5: value = BinaryPrimitives.ReadSingleLittleEndian(data); data = data[4..]; break;
            default: throw new InvalidDataException($"wire type {key & 7}");
        }
        return ((int)(key >> 3), value);
    }

    private static ulong Varint(ref ReadOnlySpan<byte> data)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte b = data[0];
            data = data[1..];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80) return value;
        }
    }
}
