using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace DiffWave.Audio;

/// <summary>An array in memory.</summary>
/// <param name="Data">Numbers in C order (the last index runs fastest).</param>
/// <param name="Shape">Sizes; their product is the length of <paramref name="Data"/>.</param>
public sealed record NpyArray(float[] Data, int[] Shape);

/// <summary>
/// NumPy's .npy files: reads float16/32/64 and integers of 1 to 8 bytes, either byte order, C or Fortran order, versions 1.0 to 3.0, all converted to float32; writes float32.
/// Object arrays, which hold pickles, and structured arrays are refused.
/// </summary>
public static class Npy
{
    /// <summary>Reads a whole array.</summary>
    /// <exception cref="InputFileException">Not a .npy file, truncated, or of another type.</exception>
    public static NpyArray Read(string path)
    {
        using var reader = new NpyReader(path);
        return reader.ReadAll();
    }

    /// <summary>Writes a float32 array in C order; the file holds its old or its whole new content at any time.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="data">Numbers in C order.</param>
    /// <param name="shape">Sizes; their product is the length of <paramref name="data"/>.</param>
    /// <exception cref="ArgumentException">Shape and length do not fit.</exception>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public static void Write(string path, ReadOnlySpan<float> data, ReadOnlySpan<int> shape)
    {
        using var file = new AtomicFile(path);
        Write(file.Stream, data, shape);
        file.Commit();
    }

    /// <summary>Writes a float32 array in C order to a stream.</summary>
    /// <param name="stream">Where to write.</param>
    /// <param name="data">Numbers in C order.</param>
    /// <param name="shape">Sizes; their product is the length of <paramref name="data"/>.</param>
    /// <exception cref="ArgumentException">Shape and length do not fit.</exception>
    public static void Write(Stream stream, ReadOnlySpan<float> data, ReadOnlySpan<int> shape)
    {
        long count = 1;
        foreach (int size in shape) count = checked(count * size);
        if (count != data.Length) throw new ArgumentException($"shape [{string.Join(", ", shape.ToArray())}] has {count} numbers, {data.Length} given", nameof(shape));
        stream.Write(NpyHeader.Write(shape));
        if (BitConverter.IsLittleEndian)
        {
            stream.Write(MemoryMarshal.AsBytes(data));
            return;
        }
        Span<byte> number = stackalloc byte[4];
        foreach (float value in data)
        {
            BinaryPrimitives.WriteSingleLittleEndian(number, value);
            stream.Write(number);
        }
    }
}

/// <summary>
/// An open .npy file read in blocks, so that a mel of an hour needs no more memory than one of a second. The last two sizes are taken as [rows, columns], for a mel
/// [bands, frames].
/// </summary>
public sealed class NpyReader : IDisposable
{
    private readonly Stream _stream;
    private readonly string _name;
    private readonly NpyHeader _header;
    private byte[] _bytes = [];
    private float[] _line = [];

    /// <summary>Sizes of the array.</summary>
    public IReadOnlyList<int> Shape => _header.Shape;

    /// <summary>Rows of the matrix: the last size but one (1 for a vector).</summary>
    public int Rows { get; }

    /// <summary>Columns of the matrix: the last size (1 for a single number).</summary>
    public int Columns { get; }

    /// <summary>Opens a file and reads its header.</summary>
    /// <exception cref="InputFileException">Not a .npy file, truncated, or of a type that is not read.</exception>
    public NpyReader(string path) : this(InputFile.Open(path), path) { }

    /// <summary>Takes over a seekable stream that starts with the magic of a .npy file.</summary>
    /// <param name="stream">The bytes; disposed with the reader.</param>
    /// <param name="name">Name of the source for messages.</param>
    /// <exception cref="InputFileException">As for a file.</exception>
    public NpyReader(Stream stream, string name)
    {
        (_stream, _name) = (stream, name);
        try
        {
            if (!stream.CanSeek) throw new InputFileException(name, "a pipe, expected a file that can be read at any position");
            _header = NpyHeader.Read(stream, name);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
        int[] shape = _header.Shape;
        Columns = shape.Length >= 1 ? shape[^1] : 1;
        Rows = shape.Length >= 2 ? shape[^2] : 1;
    }

    /// <summary>Reads the whole array in C order.</summary>
    /// <exception cref="InputFileException">The file changed since it was opened.</exception>
    public NpyArray ReadAll()
    {
        int[] shape = _header.Shape;
        var data = new float[_header.Count]; // the header check has seen these numbers in the file
        ReadRun(0, data);
        if (_header.FortranOrder && shape.Count(size => size > 1) > 1)
        {
            var ordered = new float[data.Length];
            int[] index = new int[shape.Length];
            int[] strides = new int[shape.Length];
            for (int d = 0, stride = 1; d < shape.Length; stride *= shape[d++]) strides[d] = stride;
            for (int i = 0, source = 0; i < ordered.Length; i++)
            {
                ordered[i] = data[source];
                for (int d = shape.Length - 1; d >= 0; d--) // count up in C order, last index first
                {
                    source += strides[d];
                    if (++index[d] < shape[d]) break;
                    source -= shape[d] * strides[d];
                    index[d] = 0;
                }
            }
            data = ordered;
        }
        return new NpyArray(data, (int[])shape.Clone());
    }

    /// <summary>Reads columns <paramref name="first"/> .. first+count-1 of the matrix, transposed: for a mel [bands, frames] that is [count, bands].</summary>
    /// <param name="first">First column.</param>
    /// <param name="count">Number of columns.</param>
    /// <param name="destination">[count, <see cref="Rows"/>].</param>
    /// <exception cref="InputFileException">More than two sizes above 1, or the file changed since it was opened.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The columns are not all in the matrix, or the destination is too small.</exception>
    public void ReadFrames(int first, int count, Span<float> destination)
    {
        if (Shape.SkipLast(2).Any(size => size != 1)) throw new InputFileException(_name, $"an array [{string.Join(", ", Shape)}], expected a matrix");
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, Columns - count);
        if ((long)count * Rows > destination.Length) throw new ArgumentOutOfRangeException(nameof(destination), $"{destination.Length} numbers, expected {count} x {Rows}");
        if (_header.FortranOrder)
        {
            ReadRun((long)first * Rows, destination[..(count * Rows)]);
            return;
        }
        if (_line.Length < count) _line = new float[count];
        Span<float> line = _line.AsSpan(0, count);
        for (int row = 0; row < Rows; row++)
        {
            ReadRun((long)row * Columns + first, line);
            for (int column = 0; column < count; column++) destination[column * Rows + row] = line[column];
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _stream.Dispose();

    // Numbers in file order, from the given index on.
    private void ReadRun(long index, Span<float> values)
    {
        const int block = 16384;
        NpyType type = _header.Type;
        int size = Math.Min(block, values.Length) * type.Bytes;
        if (_bytes.Length < size) _bytes = new byte[size];
        _stream.Position = _header.DataOffset + index * type.Bytes;
        for (int done = 0; done < values.Length; done += block)
        {
            Span<float> part = values.Slice(done, Math.Min(block, values.Length - done));
            Span<byte> bytes = _bytes.AsSpan(0, part.Length * type.Bytes);
            if (InputFile.ReadUpTo(_stream, bytes) < bytes.Length) throw new InputFileException(_name, "truncated while it was being read");
            if (type is { Kind: 'f', Bytes: 4, BigEndian: false } && BitConverter.IsLittleEndian) MemoryMarshal.Cast<byte, float>(bytes).CopyTo(part);
            else type.Decode(bytes, part);
        }
    }
}
