using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace DiffWave.Engine;

/// <summary>A message in the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), built field by field.</summary>
internal sealed class ProtoMessage
{
    private enum Wire { Varint = 0, Fixed64 = 1, Length = 2, Fixed32 = 5 }

    private readonly ArrayBufferWriter<byte> _bytes = new();

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    public ProtoMessage Int(int field, long value)
    {
        Tag(field, Wire.Varint);
        Varint((ulong)value);
        return this;
    }

    public ProtoMessage Double(int field, double value)
    {
        Tag(field, Wire.Fixed64);
        BinaryPrimitives.WriteDoubleLittleEndian(_bytes.GetSpan(8), value);
        _bytes.Advance(8);
        return this;
    }

    public ProtoMessage Float(int field, float value)
    {
        Tag(field, Wire.Fixed32);
        BinaryPrimitives.WriteSingleLittleEndian(_bytes.GetSpan(4), value);
        _bytes.Advance(4);
        return this;
    }

    public ProtoMessage Data(int field, ReadOnlySpan<byte> value)
    {
        Tag(field, Wire.Length);
        Varint((ulong)value.Length);
        _bytes.Write(value);
        return this;
    }

    public ProtoMessage Text(int field, string value) => Data(field, Encoding.UTF8.GetBytes(value));

    public ProtoMessage Message(int field, ProtoMessage value) => Data(field, value.Bytes);

    private void Tag(int field, Wire type) => Varint((ulong)(field << 3 | (int)type));

    // Seven bits a byte, the lowest first; the top bit says that more follow.
    private void Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7) _bytes.Write([(byte)(value | 0x80)]);
        _bytes.Write([(byte)value]);
    }
}
