using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace DiffWave.Engine;

/// <summary>One file in a zip archive, as its central directory describes it.</summary>
internal sealed record ZipEntry(string Name, bool Deflated, uint Crc, long CompressedLength, long Length, long HeaderPosition);

/// <summary>
/// The central directory of a zip archive (APPNOTE 6.3, zip64 included): the only part that counts, so a second archive hidden between its entries is never read.
/// Every length is compared with the file, and the sum of all unpacked lengths with a bound, before anything is unpacked.
/// </summary>
internal sealed class ZipDirectory
{
    private const int MaxEntries = 10_000, EndLength = 22, MaxComment = 65_535, MaxDirectory = 8 << 20;
    // Weights hardly compress (torch.save stores them as they are); more than this is a bomb.
    private const long MaxInflation = 32 << 20;

    private readonly Stream _stream;
    private readonly string _path;
    private readonly Dictionary<string, ZipEntry> _entries = [];
    private long _directoryStart;

    public IReadOnlyDictionary<string, ZipEntry> Entries => _entries;

    public ZipDirectory(Stream stream, string path)
    {
        (_stream, _path) = (stream, path);
        var (count, position, length) = FindDirectory();
        if (count > MaxEntries) throw Bad($"zip has {count} entries, expected at most {MaxEntries}");
        if (length > MaxDirectory) throw Bad($"zip directory has {length} bytes, expected at most {MaxDirectory}");
        _directoryStart = position;
        byte[] directory = new byte[length];
        ModelStream.ReadAt(stream, path, position, directory);
        ReadEntries(directory, (int)count);
    }

    /// <summary>First byte of an entry's data in the file.</summary>
    public long DataPosition(ZipEntry entry)
    {
        Span<byte> header = stackalloc byte[30];
        if (entry.HeaderPosition > _directoryStart - header.Length) throw Bad($"zip entry '{entry.Name}' begins at byte {entry.HeaderPosition}, behind the data");
        ModelStream.ReadAt(_stream, _path, entry.HeaderPosition, header);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != 0x04034b50) throw Bad($"zip entry '{entry.Name}' has no header at byte {entry.HeaderPosition}");
        long position = entry.HeaderPosition + 30 + BinaryPrimitives.ReadUInt16LittleEndian(header[26..]) + BinaryPrimitives.ReadUInt16LittleEndian(header[28..]);
        if (position > _directoryStart - entry.CompressedLength) throw Bad($"zip entry '{entry.Name}' reaches behind the data: the file is damaged");
        return position;
    }

    /// <summary>A whole entry, unpacked and compared with its checksum.</summary>
    public byte[] ReadAll(ZipEntry entry)
    {
        long position = DataPosition(entry);
        byte[] packed = new byte[entry.CompressedLength];
        ModelStream.ReadAt(_stream, _path, position, packed);
        byte[] bytes = entry.Deflated ? Inflate(entry, packed) : packed;
        if (Crc32.Append(0, bytes) != entry.Crc) throw Damaged(entry);
        return bytes;
    }

    public ModelFormatException Damaged(ZipEntry entry) => Bad($"zip entry '{entry.Name}' does not match its checksum: the file is damaged, fetch or copy it again");

    private byte[] Inflate(ZipEntry entry, byte[] packed)
    {
        byte[] bytes = new byte[entry.Length];
        try
        {
            using var inflater = new DeflateStream(new MemoryStream(packed), CompressionMode.Decompress);
            inflater.ReadExactly(bytes);
            if (inflater.ReadByte() >= 0) throw Bad($"zip entry '{entry.Name}' unpacks to more than the {entry.Length} bytes it declares");
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException) { throw Bad($"zip entry '{entry.Name}' cannot be unpacked to the {entry.Length} bytes it declares", e); }
        return bytes;
    }

    private (long Count, long Position, long Length) FindDirectory()
    {
        int tailLength = (int)Math.Min(_stream.Length, EndLength + MaxComment);
        long end = -1;
        // An archive without a comment ends with its end record; only otherwise is the space a comment may take searched.
        byte[] tail = [];
        foreach (int length in (ReadOnlySpan<int>)[Math.Min(tailLength, EndLength), tailLength])
        {
            tail = new byte[length];
            ModelStream.ReadAt(_stream, _path, _stream.Length - length, tail);
            for (int at = length - EndLength; at >= 0 && end < 0; at--)
                if (UInt32(tail, at) == 0x06054b50 && UInt16(tail, at + 20) == length - EndLength - at) end = _stream.Length - length + at;
            if (end >= 0) break;
        }
        if (end < 0) throw Bad("zip has no end record: the file is cut off");
        ReadOnlySpan<byte> record = tail.AsSpan((int)(end - (_stream.Length - tail.Length)), EndLength);
        if (UInt16(record, 4) is not (0 or 0xFFFF) || UInt16(record, 6) is not (0 or 0xFFFF)) throw Bad("zip is split over several files");
        long count = UInt16(record, 10), size = UInt32(record, 12), position = UInt32(record, 16);
        if (count == 0xFFFF || size == 0xFFFFFFFF || position == 0xFFFFFFFF) (count, position, size, end) = ReadZip64(end);
        if (count < 0 || size < 0 || position < 0 || position > end || size > end - position) throw Bad($"zip directory at byte {position} with {size} bytes lies outside the file");
        return (count, position, size);
    }

    private (long Count, long Position, long Length, long End) ReadZip64(long end)
    {
        Span<byte> locator = stackalloc byte[20], record = stackalloc byte[56];
        if (end < locator.Length + record.Length) throw Bad("zip has no zip64 end record");
        ModelStream.ReadAt(_stream, _path, end - locator.Length, locator);
        long at = Int64(locator, 8);
        if (UInt32(locator, 0) != 0x07064b50 || at < 0 || at > end - locator.Length - record.Length) throw Bad("zip has no zip64 end record");
        ModelStream.ReadAt(_stream, _path, at, record);
        if (UInt32(record, 0) != 0x06064b50) throw Bad("zip has no zip64 end record");
        return (Int64(record, 32), Int64(record, 48), Int64(record, 40), at);
    }

    private void ReadEntries(ReadOnlySpan<byte> directory, int count)
    {
        long packed = 0, unpacked = 0;
        for (int i = 0; i < count; i++)
        {
            if (directory.Length < 46 || UInt32(directory, 0) != 0x02014b50) throw Bad($"zip directory entry {i} is damaged");
            int nameLength = UInt16(directory, 28), extraLength = UInt16(directory, 30), total = 46 + nameLength + extraLength + UInt16(directory, 32);
            if (directory.Length < total) throw Bad($"zip directory entry {i} is damaged");
            string name = Encoding.UTF8.GetString(directory.Slice(46, nameLength));
            int method = UInt16(directory, 10);
            if ((UInt16(directory, 8) & 1) != 0) throw Bad($"zip entry '{name}' is encrypted");
            if (method is not (0 or 8)) throw Bad($"zip entry '{name}' has compression method {method}, expected 0 (stored) or 8 (deflated)");
            ZipEntry entry = Widen(directory.Slice(46 + nameLength, extraLength), new ZipEntry(name, method == 8, UInt32(directory, 16), UInt32(directory, 20), UInt32(directory, 24), UInt32(directory, 42)));
            if (entry.CompressedLength < 0 || entry.Length < 0 || entry.HeaderPosition < 0 || entry.CompressedLength > _stream.Length)
                throw Bad($"zip entry '{name}' claims {entry.CompressedLength} bytes at byte {entry.HeaderPosition}, the file has {_stream.Length}");
            if (!entry.Deflated && entry.Length != entry.CompressedLength) throw Bad($"zip entry '{name}' is stored with {entry.CompressedLength} bytes but declares {entry.Length}");
            if (entry.Length > _stream.Length + MaxInflation) throw Bomb();
            if ((packed += entry.CompressedLength) > _stream.Length) throw Bad("zip entries overlap: together they are longer than the file");
            if ((unpacked += entry.Length) > _stream.Length + MaxInflation) throw Bomb();
            if (!_entries.TryAdd(name, entry)) throw Bad($"zip has entry '{name}' twice");
            directory = directory[total..];
        }
        if (directory.Length != 0) throw Bad($"zip directory has more than the {count} entries it declares");

        ModelFormatException Bomb() => Bad($"zip entries unpack to more than the file's {_stream.Length} bytes and {MaxInflation} on top: refused as a zip bomb");
    }

    // Fields too small for their value hold all ones; the value then stands in extra field 1, in this order, only those.
    private ZipEntry Widen(ReadOnlySpan<byte> extra, ZipEntry entry)
    {
        while (extra.Length >= 4)
        {
            int id = UInt16(extra, 0), length = UInt16(extra, 2);
            if (length > extra.Length - 4) throw Bad($"zip entry '{entry.Name}' has a damaged extra field");
            if (id == 1)
            {
                ReadOnlySpan<byte> field = extra.Slice(4, length);
                if (entry.Length == 0xFFFFFFFF) entry = entry with { Length = Next(ref field) };
                if (entry.CompressedLength == 0xFFFFFFFF) entry = entry with { CompressedLength = Next(ref field) };
                if (entry.HeaderPosition == 0xFFFFFFFF) entry = entry with { HeaderPosition = Next(ref field) };
            }
            extra = extra[(4 + length)..];
        }
        return entry;

        long Next(ref ReadOnlySpan<byte> field)
        {
            if (field.Length < 8) throw Bad($"zip entry '{entry.Name}' has a damaged zip64 field");
            long value = Int64(field, 0);
            field = field[8..];
            return value;
        }
    }

    private ModelFormatException Bad(string problem, Exception? inner = null) => new(_path, problem, inner);

    private static int UInt16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);
    private static long Int64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
