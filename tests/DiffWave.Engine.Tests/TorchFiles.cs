using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace DiffWave.Engine.Tests;

/// <summary>Builds the containers of torch.save around any pickle, with an independent zip writer.</summary>
internal static class TorchFiles
{
    public static byte[] Zip(byte[] pickle, CompressionLevel level = CompressionLevel.NoCompression, params (string Name, byte[] Data)[] others)
    {
        var memory = new MemoryStream();
        using (var zip = new ZipArchive(memory, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, data) in others.Prepend(("data.pkl", pickle)))
            {
                using Stream entry = zip.CreateEntry($"any name/{name}", level).Open();
                entry.Write(data);
            }
        }
        return memory.ToArray();
    }

    public static byte[] Legacy(byte[] pickle, byte[]? keys = null, byte[]? data = null) =>
    [
        .. new Pickle().Raw(0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19).Stop(), .. new Pickle().Int(1001).Stop(),
        .. new Pickle().Op('}').Op('(').Text("protocol_version").Int(1001).Text("little_endian").Raw(0x88).Op('u').Stop(), .. pickle,
        .. keys ?? new Pickle().Op(']').Stop(), .. data ?? [],
    ];

    public static TorchArchive Open(byte[] file) => new(new MemoryStream(file), "test.pt");

    /// <summary>Every tensor reachable from a value, each object visited once.</summary>
    public static IEnumerable<TorchTensor> Tensors(object? root)
    {
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
        var pending = new Stack<object?>([root]);
        while (pending.TryPop(out object? value))
        {
            if (value is null || !seen.Add(value)) continue;
            if (value is TorchTensor tensor) yield return tensor;
            IEnumerable<object?> children = value switch { TorchDict dict => dict.Items.Select(item => item.Value), List<object?> list => list, object?[] tuple => tuple, _ => [] };
            foreach (object? child in children) pending.Push(child);
        }
    }

    public static float[] Values(TorchArchive archive, TorchTensor tensor)
    {
        var values = new float[tensor.Count];
        archive.ReadFloats(tensor, values);
        return values;
    }
}

/// <summary>Writes pickle instructions one by one.</summary>
internal sealed class Pickle
{
    private readonly List<byte> _bytes = [0x80, 2];

    public Pickle Raw(params byte[] bytes) { _bytes.AddRange(bytes); return this; }
    public Pickle Op(char code) => Raw((byte)code);
    public Pickle Repeat(int count, params byte[] bytes) { for (int i = 0; i < count; i++) _bytes.AddRange(bytes); return this; }
    public Pickle Int(int value) { Span<byte> b = stackalloc byte[4]; BinaryPrimitives.WriteInt32LittleEndian(b, value); return Op('J').Raw(b.ToArray()); }
    public Pickle Text(string text) { byte[] utf8 = Encoding.UTF8.GetBytes(text); return Op('X').Raw(BitConverter.GetBytes(utf8.Length)).Raw(utf8); }
    public Pickle Global(string module, string name) => Raw(Encoding.UTF8.GetBytes($"c{module}\n{name}\n"));
    public Pickle Put(byte index) => Raw((byte)'q', index);
    public Pickle Get(byte index) => Raw((byte)'h', index);
    public Pickle Ints(params int[] values) { Op('('); foreach (int value in values) Int(value); return Op('t'); }

    /// <summary>A storage reference as torch.save writes it.</summary>
    public Pickle Storage(string type, string key, int count) => Op('(').Text("storage").Global("torch", type).Text(key).Text("cpu").Int(count).Op('t').Op('Q');

    /// <summary>A tensor as torch.save writes it.</summary>
    public Pickle Tensor(string type, string key, int count, int offset, int[] shape, int[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage(type, key, count).Int(offset).Ints(shape).Ints(strides).Raw(0x89).Global("collections", "OrderedDict").Op(')').Op('R').Op('t').Op('R');

    public byte[] Stop() => [.. _bytes, (byte)'.'];
}
