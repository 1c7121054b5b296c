namespace DiffWave.Engine;

/// <summary>One named tensor of a foreign checkpoint, read on demand.</summary>
internal sealed record StateTensor(long[] Shape, TensorType Type, StateTensor.Reader ReadFloats)
{
    /// <summary>Fills exactly the tensor's elements, rounded to float32.</summary>
    public delegate void Reader(Span<float> destination);

    public long Count => TensorTypes.ElementCount(Shape) ?? 0;
}

/// <summary>
/// The weights of a foreign checkpoint by name, whatever file holds them. Names are normalised: DistributedDataParallel's <c>module.</c> is dropped, and weight
/// normalisation's newer names become weight_g and weight_v. Remembers which names were used, so that none is lost silently.
/// </summary>
internal sealed class StateDict
{
    private readonly Dictionary<string, StateTensor> _tensors = [];
    private readonly HashSet<string> _used = [];

    /// <summary>The file, for messages.</summary>
    public string Path { get; }

    public IEnumerable<string> Names => _tensors.Keys;

    private StateDict(string path, IReadOnlyCollection<(string Name, StateTensor Tensor)> tensors)
    {
        Path = path;
        bool parallel = tensors.Count > 0 && tensors.All(item => item.Name.StartsWith("module.", StringComparison.Ordinal));
        foreach (var (name, tensor) in tensors)
        {
            string normal = (parallel ? name["module.".Length..] : name)
                .Replace("parametrizations.weight.original0", "weight_g", StringComparison.Ordinal).Replace("parametrizations.weight.original1", "weight_v", StringComparison.Ordinal);
            if (!_tensors.TryAdd(normal, tensor)) throw new ModelFormatException(path, $"has weights of '{normal}' under two names");
            if (!TensorTypes.IsFloat(tensor.Type)) throw new ModelFormatException(path, $"tensor '{name}' has dtype {tensor.Type}, expected F32, F64, F16 or BF16");
        }
    }

    public static StateDict From(SafetensorsFile file) => new(file.Path, [.. file.Entries.Select(entry => (entry.Name, new StateTensor(
        entry.Shape, entry.DType, destination => file.ReadFloats(entry.Name, destination))))]);

    public static StateDict From(TorchArchive archive, TorchDict dict)
    {
        var tensors = new List<(string, StateTensor)>();
        foreach (var (key, value) in dict.Items)
        {
            if (key is not string name || value is not TorchTensor tensor) throw new ModelFormatException(archive.Path, $"state dict entry '{key}' is not a tensor");
            tensors.Add((name, new StateTensor(tensor.Shape, tensor.Storage.Type, destination => archive.ReadFloats(tensor, destination))));
        }
        // Views of one storage could ask for many times the file's size.
        UInt128 total = 0;
        foreach (var (_, tensor) in tensors) total += (UInt128)(ulong)(tensor.Count * TensorTypes.Size(tensor.Type));
        if (total > (UInt128)archive.UnpackedLength) throw new ModelFormatException(archive.Path, $"has weights of {total} bytes in a file of {archive.UnpackedLength}: tensors overlap");
        return new StateDict(archive.Path, tensors);
    }

    public bool Has(string name) => _tensors.ContainsKey(name);

    /// <summary>The shape of a tensor of a known rank, for inferring the configuration.</summary>
    public long[] Shape(string name, int rank)
    {
        StateTensor tensor = _tensors.TryGetValue(name, out var found) ? found : throw Bad($"tensor '{name}' is missing");
        if (tensor.Shape.Length != rank) throw Bad($"tensor '{name}' has shape {TensorTypes.ShapeText(tensor.Shape)}, expected {rank} dimensions");
        return tensor.Shape;
    }

    /// <summary>A tensor, marked as used, after comparing its shape.</summary>
    public StateTensor Take(string name, ReadOnlySpan<int> shape)
    {
        if (!_tensors.TryGetValue(name, out StateTensor? tensor)) throw Bad($"tensor '{name}' [{string.Join(", ", shape.ToArray())}] is missing");
        bool same = tensor.Shape.Length == shape.Length;
        for (int axis = 0; same && axis < shape.Length; axis++) same = tensor.Shape[axis] == shape[axis];
        if (!same) throw Bad($"tensor '{name}' has shape {TensorTypes.ShapeText(tensor.Shape)}, expected [{string.Join(", ", shape.ToArray())}]");
        _used.Add(name);
        return tensor;
    }

    /// <summary>Throws when a tensor was never taken, naming it.</summary>
    public void RequireAllUsed()
    {
        string[] left = [.. Names.Where(name => !_used.Contains(name))];
        if (left.Length > 0)
            throw Bad($"has {left.Length} tensor{(left.Length > 1 ? "s" : "")} this program does not know: {string.Join(", ", left.Take(5))}{(left.Length > 5 ? ", ..." : "")}");
    }

    /// <summary>Number of layers under names such as <c>prefix3.x</c>: one more than the largest number.</summary>
    public int LayerCount(string prefix)
    {
        int count = 0;
        foreach (string name in Names)
        {
            if (!name.StartsWith(prefix, StringComparison.Ordinal)) continue;
            ReadOnlySpan<char> rest = name.AsSpan(prefix.Length);
            int dot = rest.IndexOf('.');
            if (dot <= 0 || !int.TryParse(rest[..dot], System.Globalization.NumberStyles.None, null, out int layer) || layer > 1000) throw Bad($"tensor '{name}' has no layer number below 1000");
            count = Math.Max(count, layer + 1);
        }
        return count;
    }

    private ModelFormatException Bad(string problem) => new(Path, problem);
}
