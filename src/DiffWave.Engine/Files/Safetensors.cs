using System.Runtime.InteropServices;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="DType">Element type.</param>
/// <param name="Shape">Dimensions, row-major; empty for a scalar.</param>
/// <param name="Begin">First byte, counted from the end of the header.</param>
/// <param name="End">One past the last byte.</param>
public sealed record SafetensorsEntry(string Name, TensorType DType, long[] Shape, long Begin, long End)
{
    /// <summary>Number of elements.</summary>
    public long Count => (End - Begin) / TensorTypes.Size(DType);

    /// <summary>The shape as text, e.g. <c>[128, 64, 3]</c>.</summary>
    public string ShapeText => TensorTypes.ShapeText(Shape);
}

/// <summary>
/// A safetensors file (8-byte little-endian header length, JSON header, raw data), opened for reading. The header is checked completely on opening: every
/// claim it makes is compared with the length of the file before memory is taken for it. Tensors are read on demand. Not safe for use by several threads.
/// </summary>
/// <remarks>Format: https://github.com/huggingface/safetensors. Stricter than required: unknown keys inside a tensor's description are refused too.</remarks>
public sealed class SafetensorsFile : IDisposable
{
    /// <summary>Longest header accepted, in bytes; the same limit as the reference implementation.</summary>
    public const int MaxHeaderLength = 100_000_000;

    private readonly Stream _stream;
    private readonly SafetensorsHeader _header;
    private readonly long _dataStart;

    /// <summary>The file as the user named it.</summary>
    public string Path { get; }

    /// <summary>The <c>__metadata__</c> of the header; empty when it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>All tensors in the order of the header.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="ModelFormatException">The file cannot be opened or is not a sound safetensors file.</exception>
    public static SafetensorsFile Open(string path) => new(ModelStream.Open(path), path);

    /// <summary>Reads from an open, seekable stream, from its start; the stream is closed with this object, also when this constructor throws.</summary>
    /// <param name="stream">The content.</param>
    /// <param name="path">What messages call it.</param>
    /// <exception cref="ModelFormatException">Not a sound safetensors file.</exception>
    public SafetensorsFile(Stream stream, string path)
    {
        _stream = stream;
        Path = path;
        try
        {
            long length = stream.Length;
            if (length < 8) throw new ModelFormatException(path, $"has {length} bytes, expected a safetensors file (at least 8)");
            Span<byte> prefix = stackalloc byte[8];
            ModelStream.ReadAt(stream, path, 0, prefix);
            ulong headerLength = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            ulong limit = (ulong)Math.Min(MaxHeaderLength, length - 8);
            if (headerLength > limit)
                throw new ModelFormatException(path, $"header length is {headerLength}, expected at most {limit}: not a safetensors file, or cut off");
            byte[] json = new byte[headerLength];
            ModelStream.ReadAt(stream, path, 8, json);
            _dataStart = 8 + (long)headerLength;
            _header = SafetensorsHeader.Parse(json, length - _dataStart, path);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>True when the file has a tensor of that name.</summary>
    public bool Contains(string name) => _header.ByName.ContainsKey(name);

    /// <summary>The description of a tensor.</summary>
    /// <exception cref="ModelFormatException">No tensor of that name.</exception>
    public SafetensorsEntry Entry(string name) =>
        _header.ByName.TryGetValue(name, out var entry) ? entry : throw new ModelFormatException(Path, $"tensor '{name}' is missing");

    /// <summary>Reads a tensor of floats (F32; F64, F16 and BF16 converted), row-major.</summary>
    /// <exception cref="ModelFormatException">No such tensor, not of a float type, or the file cannot be read.</exception>
    public float[] ReadFloats(string name)
    {
        float[] values = new float[ArrayLength(name)];
        ReadFloats(name, values);
        return values;
    }

    /// <summary>Reads a tensor of floats into <paramref name="destination"/>, which must hold exactly its elements.</summary>
    /// <exception cref="ModelFormatException">No such tensor, not of a float type, another number of elements, or the file cannot be read.</exception>
    public void ReadFloats(string name, Span<float> destination)
    {
        SafetensorsEntry entry = Checked(name, destination.Length, "F32, F64, F16 or BF16", TensorTypes.IsFloat(Entry(name).DType));
        if (entry.DType == TensorType.F32) ModelStream.ReadAt(_stream, Path, _dataStart + entry.Begin, MemoryMarshal.AsBytes(destination));
        else ReadConverted(entry, destination, TensorTypes.ToFloats);
    }

    /// <summary>Reads a tensor of floats as doubles (F64; F32, F16 and BF16 converted exactly), row-major.</summary>
    /// <exception cref="ModelFormatException">No such tensor, not of a float type, or the file cannot be read.</exception>
    public double[] ReadDoubles(string name)
    {
        double[] values = new double[ArrayLength(name)];
        ReadConverted(Checked(name, values.Length, "F32, F64, F16 or BF16", TensorTypes.IsFloat(Entry(name).DType)), values, TensorTypes.ToDoubles);
        return values;
    }

    /// <summary>Reads a tensor of integers or booleans (every integer type but U64), row-major.</summary>
    /// <exception cref="ModelFormatException">No such tensor, not of an integer type, or the file cannot be read.</exception>
    public long[] ReadInts(string name)
    {
        long[] values = new long[ArrayLength(name)];
        bool readable = !TensorTypes.IsFloat(Entry(name).DType) && Entry(name).DType != TensorType.U64;
        ReadConverted(Checked(name, values.Length, "an integer type other than U64", readable), values, TensorTypes.ToInts);
        return values;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _stream.Dispose();

    /// <summary>
    /// Writes float32 tensors, in the order given, as a safetensors file: the same input gives the same bytes. The data starts at a multiple of 8. The file is
    /// written beside the target, read back and compared, and only then takes its name (<see cref="AtomicFile"/>).
    /// </summary>
    /// <param name="path">The target; its folder must exist.</param>
    /// <param name="metadata">Stored under <c>__metadata__</c>, sorted by key.</param>
    /// <param name="tensors">Names, shapes and row-major values.</param>
    /// <exception cref="ArgumentException">A name twice, a reserved name, or a shape that does not fit its values.</exception>
    /// <exception cref="IOException">The file cannot be written, or what was read back differs.</exception>
    public static void Write(string path, IReadOnlyDictionary<string, string> metadata, IEnumerable<(string Name, long[] Shape, ReadOnlyMemory<float> Data)> tensors)
    {
        var list = tensors.ToList();
        byte[] header = SafetensorsHeader.Compose(metadata, list.Select(tensor => (tensor.Name, tensor.Shape, (long)tensor.Data.Length)));
        using var file = new AtomicFile(path);
        file.Stream.Write(header);
        foreach (var tensor in list) file.Stream.Write(MemoryMarshal.AsBytes(tensor.Data.Span));
        file.Stream.Flush();
        file.Stream.Position = 0;
        bool same = Matches(file.Stream, header);
        foreach (var tensor in list) same = same && Matches(file.Stream, MemoryMarshal.AsBytes(tensor.Data.Span));
        if (!same || file.Stream.Position != file.Stream.Length) throw new IOException($"{path}: what was read back differs from what was written; the disk or file system is faulty");
        file.Commit();
    }

    private static bool Matches(Stream stream, ReadOnlySpan<byte> expected)
    {
        byte[] buffer = new byte[Math.Min(expected.Length, 1 << 16)];
        while (expected.Length > 0)
        {
            Span<byte> chunk = buffer.AsSpan(0, Math.Min(buffer.Length, expected.Length));
            if (stream.ReadAtLeast(chunk, chunk.Length, throwOnEndOfStream: false) != chunk.Length || !chunk.SequenceEqual(expected[..chunk.Length])) return false;
            expected = expected[chunk.Length..];
        }
        return true;
    }

    private int ArrayLength(string name)
    {
        SafetensorsEntry entry = Entry(name);
        if (entry.Count > Array.MaxLength) throw new ModelFormatException(Path, $"tensor '{name}' {entry.ShapeText} has over {Array.MaxLength} elements");
        return (int)entry.Count;
    }

    private SafetensorsEntry Checked(string name, int length, string expectedTypes, bool typeFits)
    {
        SafetensorsEntry entry = Entry(name);
        if (!typeFits) throw new ModelFormatException(Path, $"tensor '{name}' has dtype {entry.DType}, expected {expectedTypes}");
        if (entry.Count != length) throw new ModelFormatException(Path, $"tensor '{name}' {entry.ShapeText} has {entry.Count} elements, expected {length}");
        return entry;
    }

    private delegate void Converter<T>(TensorType type, ReadOnlySpan<byte> source, Span<T> target);

    private void ReadConverted<T>(SafetensorsEntry entry, Span<T> destination, Converter<T> convert)
    {
        int size = TensorTypes.Size(entry.DType), done = 0;
        byte[] buffer = new byte[(int)Math.Min(entry.End - entry.Begin, 1 << 16)];
        while (done < destination.Length)
        {
            int count = Math.Min(destination.Length - done, buffer.Length / size);
            Span<byte> bytes = buffer.AsSpan(0, count * size);
            ModelStream.ReadAt(_stream, Path, _dataStart + entry.Begin + (long)done * size, bytes);
            convert(entry.DType, bytes, destination.Slice(done, count));
            done += count;
        }
    }
}
