namespace DiffWave.Engine;

/// <summary>The globals a pickle of torch.save may name. Naming one runs nothing: each is a word to this reader, never a function.</summary>
internal enum TorchGlobal { OrderedDict, RebuildTensor, RebuildParameter }

/// <summary>
/// A dict or OrderedDict of a pickle; keys are text or whole numbers. Most hold one or two items and are never looked into, so the items are kept as they come and
/// indexed on the first look-up: a hostile file full of small dicts stays cheap.
/// </summary>
internal sealed class TorchDict
{
    private object?[] _pairs = [];
    private int _used;
    private Dictionary<object, object?>? _index;

    public int Count => Index.Count;

    public IEnumerable<KeyValuePair<object, object?>> Items => Index;

    public object? this[string key] => Index.GetValueOrDefault(key);

    /// <summary>Adds keys and values in turn; a later value of a key replaces an earlier one, as in Python.</summary>
    public void Add(object?[] pairs)
    {
        if (_used == 0) _pairs = pairs;
        else
        {
            if (_used + pairs.Length > _pairs.Length) Array.Resize(ref _pairs, Math.Max(2 * _pairs.Length, _used + pairs.Length));
            pairs.CopyTo(_pairs, _used);
        }
        _used += pairs.Length;
        _index = null;
    }

    private Dictionary<object, object?> Index
    {
        get
        {
            if (_index is null)
            {
                _index = [];
                for (int i = 0; i < _used; i += 2) _index[_pairs[i]!] = _pairs[i + 1];
            }
            return _index;
        }
    }
}

/// <summary>One block of elements of a checkpoint; its bytes stay in the file.</summary>
internal sealed class TorchStorage(string key, TensorType type, long count)
{
    public string Key => key;
    public TensorType Type => type;
    /// <summary>Number of elements.</summary>
    public long Count => count;
    /// <summary>Size in bytes; fits, because <see cref="TorchPickle"/> bounds the count.</summary>
    public long Length => count * TensorTypes.Size(type);
    /// <summary>First byte in the file; set by <see cref="TorchArchive"/>.</summary>
    public long Position { get; set; } = -1;
    /// <summary>The zip entry that holds it, if the container is a zip.</summary>
    public ZipEntry? Entry { get; set; }
    /// <summary>The bytes, only when the zip entry was compressed and has been used.</summary>
    public byte[]? Inflated { get; set; }
    /// <summary>True once its checksum was compared.</summary>
    public bool Verified { get; set; }
}

/// <summary>A strided view of a storage; checked to lie inside it.</summary>
internal sealed class TorchTensor(TorchStorage storage, long offset, long[] shape, long[] strides, long count)
{
    public TorchStorage Storage => storage;
    /// <summary>First element in the storage.</summary>
    public long Offset => offset;
    public long[] Shape => shape;
    public long[] Strides => strides;
    public long Count => count;

    /// <summary>True when the elements lie in row-major order without gaps.</summary>
    public bool IsContiguous
    {
        get
        {
            long expected = 1;
            for (int axis = shape.Length - 1; axis >= 0; axis--)
            {
                if (shape[axis] != 1 && strides[axis] != expected) return false;
                expected *= shape[axis];
            }
            return true;
        }
    }

    /// <summary>Number of storage elements from the first to the last used.</summary>
    public long Extent
    {
        get
        {
            if (count == 0) return 0;
            long last = 0;
            for (int axis = 0; axis < shape.Length; axis++) last += (shape[axis] - 1) * strides[axis];
            return last + 1;
        }
    }
}
