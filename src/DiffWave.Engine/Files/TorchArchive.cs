using System.Runtime.InteropServices;

namespace DiffWave.Engine;

/// <summary>
/// A file written by torch.save, zip or legacy container. Opening reads the pickle alone; the tensors' bytes stay in the file until a tensor is read, so a
/// checkpoint with optimiser state costs memory only for what is asked for. Device tags are ignored. Not safe for use by several threads.
/// </summary>
internal sealed class TorchArchive : IDisposable
{
    private static readonly Int128 LegacyMagic = Int128.Parse("119547037146038801333356");
    private const int LegacyVersion = 1001;

    private readonly Stream _stream;
    private readonly Dictionary<string, TorchStorage> _storages = [];
    private readonly ZipDirectory? _zip;
    private long _readBudget;

    /// <summary>The file as the user named it.</summary>
    public string Path { get; }

    public FileKind Kind { get; }

    /// <summary>What was given to torch.save.</summary>
    public object? Root { get; }

    /// <summary>Length of all storages together in bytes.</summary>
    public long UnpackedLength => _storages.Values.Sum(storage => storage.Length);

    public static TorchArchive Open(string path) => new(ModelStream.Open(path), path);

    /// <summary>Reads from a seekable stream, which is closed with this object, also when this constructor throws.</summary>
    /// <exception cref="ModelFormatException">Not a file of torch.save, damaged, or hostile.</exception>
    public TorchArchive(Stream stream, string path)
    {
        _stream = stream;
        Path = path;
        try
        {
            // Tensors may share storages, and a view may span one: reading everything a few times over is the most that real files need.
            _readBudget = 4 * stream.Length + (64 << 20);
            Kind = FileKinds.Detect(stream, path);
            if (Kind == FileKind.TorchZip) Root = OpenZip(_zip = new ZipDirectory(stream, path));
            else if (Kind == FileKind.TorchLegacy) Root = OpenLegacy();
            else throw new ModelFormatException(path, "is a safetensors file, expected a PyTorch checkpoint");
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Reads a tensor of a float type, row-major whatever its strides, into exactly its elements; F64 is rounded.</summary>
    public void ReadFloats(TorchTensor tensor, Span<float> destination)
    {
        if (!TensorTypes.IsFloat(tensor.Storage.Type)) throw Bad($"storage '{tensor.Storage.Key}' has type {tensor.Storage.Type}, expected F32, F64, F16 or BF16");
        if (destination.Length != tensor.Count) throw new ArgumentException($"the tensor has {tensor.Count} elements, the destination {destination.Length}");
        if (tensor.Count == 0) return;
        Prepare(tensor.Storage);
        long extent = tensor.Extent;
        Spend(extent * TensorTypes.Size(tensor.Storage.Type));
        if (tensor.IsContiguous)
        {
            ReadRun(tensor.Storage, tensor.Offset, destination);
            return;
        }
        float[] run = new float[extent];
        ReadRun(tensor.Storage, tensor.Offset, run);
        Gather(run, tensor.Shape, tensor.Strides, destination);
    }

    public void Dispose() => _stream.Dispose();

    private object? OpenZip(ZipDirectory zip)
    {
        ZipEntry[] pickles = [.. zip.Entries.Values.Where(entry => entry.Name.EndsWith("/data.pkl", StringComparison.Ordinal))];
        if (pickles.Length != 1) throw Bad($"zip has {pickles.Length} entries named data.pkl, expected one: not a PyTorch checkpoint");
        string prefix = pickles[0].Name[..^"data.pkl".Length];
        if (zip.Entries.TryGetValue($"{prefix}byteorder", out ZipEntry? order) && !(order.Length == 6 && zip.ReadAll(order).AsSpan().SequenceEqual("little"u8)))
            throw Bad("was written on a big-endian machine, expected little-endian data");
        if (pickles[0].Length > TorchPickle.MaxBytes) throw Bad($"data.pkl has over {TorchPickle.MaxBytes} bytes");
        byte[] pickle = zip.ReadAll(pickles[0]);
        object? root = new TorchPickle(new MemoryStream(pickle), 0, Path, "data.pkl", _storages).Read();
        foreach (TorchStorage storage in _storages.Values)
        {
            if (!zip.Entries.TryGetValue($"{prefix}data/{storage.Key}", out ZipEntry? entry)) throw Bad($"storage '{storage.Key}' is missing");
            if (entry.Length != storage.Length) throw Bad($"storage '{storage.Key}' has {entry.Length} bytes, expected {storage.Length} ({storage.Type} [{storage.Count}])");
            storage.Entry = entry;
        }
        return root;
    }

    // Five pickles (magic number, version, system, object, storage keys), then for each key its element count and bytes.
    private object? OpenLegacy()
    {
        long position = 0;
        object? Next(string where)
        {
            var pickle = new TorchPickle(_stream, position, Path, where, _storages);
            object? value = pickle.Read();
            position = pickle.Position;
            return value;
        }
        if (Next("magic number") is not Int128 magic || magic != LegacyMagic) throw Bad("does not start with PyTorch's magic number: a pickle, but not one of torch.save");
        if (Next("version") is not (long)LegacyVersion) throw Bad($"has another legacy version than {LegacyVersion}");
        if (Next("system info") is not TorchDict system || system["little_endian"] is not true) throw Bad("was written on a big-endian machine, expected little-endian data");
        object? root = Next("object");
        if (Next("storage keys") is not List<object?> keys) throw Bad("has no list of storage keys");
        Span<byte> prefix = stackalloc byte[8];
        foreach (object? item in keys)
        {
            if (item is not string key || !_storages.TryGetValue(key, out TorchStorage? storage)) throw Bad("has a storage that no tensor uses");
            if (storage.Position >= 0) throw Bad($"has storage '{key}' twice");
            ModelStream.ReadAt(_stream, Path, position, prefix);
            long count = System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(prefix);
            if (count != storage.Count) throw Bad($"storage '{key}' has {count} elements, its tensors expect {storage.Count}");
            if (storage.Length > _stream.Length - position - 8) throw Bad($"storage '{key}' is cut off");
            storage.Position = position + 8;
            position += 8 + storage.Length;
        }
        foreach (TorchStorage storage in _storages.Values)
            if (storage.Position < 0) throw Bad($"storage '{storage.Key}' is missing");
        if (position != _stream.Length) throw Bad($"has {_stream.Length - position} bytes after its last storage");
        return root;
    }

    private static void Gather(float[] source, long[] shape, long[] strides, Span<float> destination)
    {
        Span<long> index = stackalloc long[shape.Length];
        index.Clear();
        long at = 0;
        for (int i = 0; i < destination.Length; i++)
        {
            destination[i] = source[at];
            for (int axis = shape.Length - 1; axis >= 0; axis--)
            {
                at += strides[axis];
                if (++index[axis] < shape[axis]) break;
                at -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
    }

    // Elements of a storage from `first` on, through a small buffer.
    private void ReadRun(TorchStorage storage, long first, Span<float> destination)
    {
        int size = TensorTypes.Size(storage.Type);
        byte[] buffer = new byte[(int)Math.Min((long)destination.Length * size, 1 << 16)];
        for (int done = 0; done < destination.Length;)
        {
            int count = Math.Min(destination.Length - done, buffer.Length / size);
            long start = (first + done) * size;
            Span<byte> bytes = buffer.AsSpan(0, count * size);
            if (storage.Inflated is not null) bytes = storage.Inflated.AsSpan((int)start, count * size);
            else ModelStream.ReadAt(_stream, Path, storage.Position + start, bytes);
            TensorTypes.ToFloats(storage.Type, bytes, destination.Slice(done, count));
            done += count;
        }
    }

    // Finds a zip storage's bytes and compares their checksum, once.
    private void Prepare(TorchStorage storage)
    {
        if (_zip is null || storage.Verified) return;
        ZipEntry entry = storage.Entry!;
        if (entry.Deflated) storage.Inflated = _zip.ReadAll(entry);
        else
        {
            storage.Position = _zip.DataPosition(entry);
            uint crc = 0;
            byte[] buffer = new byte[(int)Math.Min(storage.Length, 1 << 16)];
            for (long done = 0; done < storage.Length;)
            {
                Span<byte> bytes = buffer.AsSpan(0, (int)Math.Min(buffer.Length, storage.Length - done));
                ModelStream.ReadAt(_stream, Path, storage.Position + done, bytes);
                crc = Crc32.Append(crc, bytes);
                done += bytes.Length;
            }
            if (crc != entry.Crc) throw _zip.Damaged(entry);
        }
        storage.Verified = true;
    }

    private void Spend(long bytes)
    {
        if ((_readBudget -= bytes) < 0) throw Bad("has tensors that overlap so often that reading them takes far more than the file's size");
    }

    private ModelFormatException Bad(string problem) => new(Path, problem);
}
