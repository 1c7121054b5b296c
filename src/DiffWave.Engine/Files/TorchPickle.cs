using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace DiffWave.Engine;

/// <summary>
/// Reads one pickle as torch.save writes it (protocol 2) into plain values: null, bool, long, Int128, double, string, object?[] (tuple), List&lt;object?&gt;,
/// <see cref="TorchDict"/>, <see cref="TorchStorage"/> and <see cref="TorchTensor"/>. A pickle is a program for a stack machine; this one knows only the
/// instructions that build such values, calls nothing, and refuses every other instruction and global by name. Time is linear in the bytes read; memory is bounded.
/// </summary>
/// <remarks>Instruction set: CPython's pickletools. Tensors: torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks).</remarks>
internal sealed class TorchPickle
{
    // A checkpoint of 10,000 tensors, the most a zip may hold, stays below each of these (36 layers with Adam state: 4,000). Together they bound memory to about 50 MiB.
    private const int MaxInstructions = 500_000, MaxContainers = 80_000, MaxStack = 10_000, MaxMarks = 64, MaxMemo = 1_000_000;
    private const int MaxString = 1 << 16, MaxGlobal = 256, MaxRank = 16, MaxLongBytes = 16;
    /// <summary>Longest pickle accepted.</summary>
    public const int MaxBytes = 16 << 20;

    private const long MaxStorageCount = 1L << 40;

    private readonly Stream _stream;
    private readonly string _path, _where;
    private readonly Dictionary<string, TorchStorage> _storages;
    private readonly byte[] _buffer;
    private readonly long _start;
    private int _filled, _next;
    private long _bufferStart;
    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private object?[] _memo = [];
    private int _containers;

    /// <param name="stream">Seekable; read from <paramref name="start"/> on.</param>
    /// <param name="start">First byte of the pickle.</param>
    /// <param name="path">The file, for messages.</param>
    /// <param name="where">The part of the file, for messages, e.g. <c>data.pkl</c>.</param>
    /// <param name="storages">Receives every storage the pickle refers to, by key.</param>
    public TorchPickle(Stream stream, long start, string path, string where, Dictionary<string, TorchStorage> storages)
    {
        (_stream, _start, _bufferStart, _path, _where, _storages) = (stream, start, start, path, where, storages);
        _buffer = new byte[(int)Math.Min(1 << 14, Math.Max(0, stream.Length - start))];
    }

    /// <summary>Position in the stream after the last byte read.</summary>
    public long Position => _bufferStart + _next;

    private int Offset => (int)(Position - _start);

    /// <summary>Runs the pickle to its STOP and returns its one value.</summary>
    /// <exception cref="ModelFormatException">Anything torch.save does not write.</exception>
    public object? Read()
    {
        if (Byte() != 0x80 || Byte() != 2) throw Bad("does not start with pickle protocol 2, which torch.save writes");
        for (int instructions = 0; instructions < MaxInstructions; instructions++)
        {
            byte code = Byte();
            if (code == (byte)'.') return Result();
            Execute(code);
            if (_stack.Count > MaxStack) throw Bad($"has over {MaxStack} values on its stack");
        }
        throw Bad($"has over {MaxInstructions} instructions");
    }

    private object? Result()
    {
        if (_stack.Count != 1 || _marks.Count != 0) throw Bad($"ends with {_stack.Count} values on its stack, expected 1");
        return Pop();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)] // compiled for good at once: a hostile pickle is one long loop through it
    private void Execute(byte code)
    {
        switch ((char)code)
        {
            case '}': Push(Container(new TorchDict())); break;
            case ']': Push(Container(new List<object?>())); break;
            case ')': Push(Array.Empty<object?>()); break;
            case '(':
                if (_marks.Count == MaxMarks) throw Bad($"is nested over {MaxMarks} levels deep");
                _marks.Add(_stack.Count);
                break;
            case 't': Push(Container(PopToMark())); break;
            case '\x85': Push(Container(PopMany(1))); break;
            case '\x86': Push(Container(PopMany(2))); break;
            case '\x87': Push(Container(PopMany(3))); break;
            case 'N': Push(null); break;
            case '\x88': Push(true); break;
            case '\x89': Push(false); break;
            case 'K': Push((long)Byte()); break;
            case 'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(stackalloc byte[2]))); break;
            case 'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(stackalloc byte[4]))); break;
            case '\x8a': Push(Long(Byte())); break;
            case 'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Bytes(stackalloc byte[8]))); break;
            case 'X': Push(Text(UInt32())); break;
            case 'q': Memoize(Byte()); break;
            case 'r': Memoize(UInt32()); break;
            case 'h': Recall(Byte()); break;
            case 'j': Recall(UInt32()); break;
            case 'a': { object? item = Pop(); Top<List<object?>>("APPEND").Add(item); break; }
            case 'e': { object?[] items = PopToMark(); Top<List<object?>>("APPENDS").AddRange(items); break; }
            case 's': { object?[] pair = PopMany(2); SetItems(pair); break; }
            case 'u': SetItems(PopToMark()); break;
            case 'c': Push(Global()); break;
            case 'R': Reduce(); break;
            case 'b': Build(); break;
            case 'Q': Push(Storage()); break;
            default: throw BadAt(Offset - 1, $"has instruction {InstructionName(code)}, which torch.save does not write");
        }
    }

    // --- stack and memo ---

    private void Push(object? value) => _stack.Add(value);

    private object? Pop()
    {
        if (_stack.Count == (_marks.Count > 0 ? _marks[^1] : 0)) throw Bad("takes a value from an empty stack");
        object? value = _stack[^1];
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object?[] PopMany(int count)
    {
        var values = new object?[count];
        for (int i = count - 1; i >= 0; i--) values[i] = Pop();
        return values;
    }

    private object?[] PopToMark()
    {
        if (_marks.Count == 0) throw Bad("closes a group that was not opened");
        int start = _marks[^1];
        _marks.RemoveAt(_marks.Count - 1);
        object?[] values = _stack.GetRange(start, _stack.Count - start).ToArray();
        _stack.RemoveRange(start, values.Length);
        return values;
    }

    private T Top<T>(string instruction) where T : class
    {
        int floor = _marks.Count > 0 ? _marks[^1] : 0;
        return _stack.Count > floor && _stack[^1] is T value ? value : throw Bad($"has {instruction} without the container it needs");
    }

    private T Container<T>(T value) => ++_containers <= MaxContainers ? value : throw Bad($"has over {MaxContainers} containers");

    private void Memoize(uint index)
    {
        if (index >= MaxMemo) throw Bad($"uses memo number {index}, expected below {MaxMemo}");
        object? value = Top<object>("PUT");
        if (index >= _memo.Length) Array.Resize(ref _memo, Math.Max((int)index + 1, Math.Min(2 * _memo.Length, MaxMemo)));
        _memo[index] = value;
    }

    private void Recall(uint index) => Push(index < _memo.Length && _memo[index] is { } value ? value : throw Bad($"recalls memo number {index}, which it did not set"));

    private void SetItems(object?[] pairs)
    {
        var target = Top<TorchDict>("SETITEMS");
        if (pairs.Length % 2 != 0) throw Bad("has SETITEMS with a key without a value");
        for (int i = 0; i < pairs.Length; i += 2)
            if (pairs[i] is not (string or long)) throw Bad($"has a key that is {Describe(pairs[i])}, expected text or a whole number");
        target.Add(pairs);
    }

    // --- globals, calls, tensors ---

    private object Global()
    {
        int at = Offset - 1;
        string name = $"{Line()}.{Line()}";
        if (name.StartsWith("torch.", StringComparison.Ordinal) && name.EndsWith("Storage", StringComparison.Ordinal) && StorageType(name[6..^7]) is { } type) return type;
        return name switch
        {
            "collections.OrderedDict" => TorchGlobal.OrderedDict,
            "torch._utils._rebuild_tensor_v2" => TorchGlobal.RebuildTensor,
            "torch._utils._rebuild_parameter" => TorchGlobal.RebuildParameter,
            _ => throw BadAt(at, $"names '{name}', which is not allowed: a checkpoint may hold tensors, numbers and text only. The file may be hostile; save the weights alone (torch.save of a state dict, or safetensors)"),
        };
    }

    private static object? StorageType(string name) => name switch
    {
        "Float" => TensorType.F32, "Double" => TensorType.F64, "Half" => TensorType.F16, "BFloat16" => TensorType.BF16, "Long" => TensorType.I64,
        "Int" => TensorType.I32, "Short" => TensorType.I16, "Char" => TensorType.I8, "Byte" => TensorType.U8, "Bool" => TensorType.Bool, _ => null,
    };

    private void Reduce()
    {
        if (Pop() is not object?[] arguments) throw Bad("has REDUCE without a tuple of arguments");
        object? callable = Pop();
        Push(callable switch
        {
            TorchGlobal.OrderedDict when arguments.Length == 0 => Container(new TorchDict()),
            TorchGlobal.OrderedDict => throw Bad("calls collections.OrderedDict with arguments, expected none"),
            TorchGlobal.RebuildTensor => Container(Tensor(arguments)),
            TorchGlobal.RebuildParameter => arguments is [TorchTensor tensor, bool, _] ? tensor : throw Bad("calls torch._utils._rebuild_parameter with other arguments than a tensor, a flag and hooks"),
            _ => throw Bad($"has REDUCE on {Describe(callable)}, expected one of the three functions torch.save uses"),
        });
    }

    // State of an OrderedDict or tensor (torch's _metadata with module versions): accepted and dropped.
    private void Build()
    {
        Pop();
        if (Top<object>("BUILD") is not (TorchDict or TorchTensor)) throw Bad("has BUILD on something that is neither a dict nor a tensor");
    }

    private TorchStorage Storage()
    {
        object? id = Pop();
        if (id is not object?[] { Length: 5 or 6 } parts || parts is not ["storage", TensorType type, string key, string, long count, ..] || (parts.Length == 6 && parts[5] is not null))
            throw Bad("has a persistent id that is no ('storage', type, key, device, count)");
        if (count is < 0 or > MaxStorageCount) throw Bad($"storage '{key}' has {count} elements, expected 0 to {MaxStorageCount}");
        if (!_storages.TryGetValue(key, out TorchStorage? storage)) _storages.Add(key, storage = Container(new TorchStorage(key, type, count)));
        else if (storage.Type != type || storage.Count != count) throw Bad($"storage '{key}' is {storage.Type} [{storage.Count}] and then {type} [{count}]");
        return storage;
    }

    private TorchTensor Tensor(object?[] arguments)
    {
        if (arguments.Length is < 6 or > 7 || arguments[0] is not TorchStorage storage || arguments[1] is not long offset || arguments[2] is not object?[] size || arguments[3] is not object?[] stride)
            throw Bad("calls torch._utils._rebuild_tensor_v2 with other arguments than storage, offset, size, stride, flag and hooks");
        if (size.Length != stride.Length || size.Length > MaxRank) throw Bad($"has a tensor with {size.Length} dimensions and {stride.Length} strides, expected the same number, at most {MaxRank}");
        long[] shape = Numbers(size), strides = Numbers(stride);
        string text = $"a tensor {TensorTypes.ShapeText(shape)}, strides {TensorTypes.ShapeText(strides)}, offset {offset}, in storage '{storage.Key}' of {storage.Count} elements";
        if (offset < 0 || TensorTypes.ElementCount(shape) is not { } count) throw Bad($"has {text}: negative or too large");
        Int128 last = offset;
        for (int axis = 0; axis < shape.Length; axis++)
        {
            if (strides[axis] < 0) throw Bad($"has {text}: negative stride");
            last += (Int128)Math.Max(0, shape[axis] - 1) * strides[axis];
        }
        if (count > 0 && last >= storage.Count) throw Bad($"has {text}: it reaches element {last}");
        if (count > storage.Count) throw Bad($"has {text}: {count} elements, more than the storage");
        return new TorchTensor(storage, offset, shape, strides, count);
    }

    private long[] Numbers(object?[] values)
    {
        var numbers = new long[values.Length];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = values[i] is long number ? number : throw Bad($"has a tensor dimension that is {Describe(values[i])}, expected a whole number");
        return numbers;
    }

    // --- bytes ---

    private byte Byte()
    {
        if (_next == _filled) Fill();
        return _buffer[_next++];
    }

    private void Fill()
    {
        _bufferStart += _filled;
        long left = Math.Min(_stream.Length - _bufferStart, _start + MaxBytes - _bufferStart);
        _next = 0;
        _filled = 0; // stays so when the next line throws
        if (left <= 0) throw Bad(_bufferStart - _start >= MaxBytes ? $"has over {MaxBytes} bytes" : "is cut off");
        int count = (int)Math.Min(left, _buffer.Length);
        ModelStream.ReadAt(_stream, _path, _bufferStart, _buffer.AsSpan(0, count));
        _filled = count;
    }

    private ReadOnlySpan<byte> Bytes(Span<byte> target)
    {
        for (int done = 0; done < target.Length;)
        {
            if (_next == _filled) Fill();
            int count = Math.Min(target.Length - done, _filled - _next);
            _buffer.AsSpan(_next, count).CopyTo(target[done..]);
            _next += count;
            done += count;
        }
        return target;
    }

    private uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(stackalloc byte[4]));

    private object Long(int count)
    {
        if (count > MaxLongBytes) throw Bad($"has a whole number of {count} bytes, expected at most {MaxLongBytes}");
        Int128 value = 0;
        for (int i = 0; i < count; i++)
        {
            byte b = Byte();
            value |= (i == count - 1 ? (Int128)(sbyte)b : b) << (8 * i);
        }
        return value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : value;
    }

    private string Text(uint length)
    {
        if (length > MaxString) throw Bad($"has a text of {length} bytes, expected at most {MaxString}");
        // Bytes are counted against the file before memory is taken for them.
        if (length > _stream.Length - Position) throw Bad("is cut off");
        byte[] bytes = new byte[length];
        Bytes(bytes);
        try { return StrictUtf8.GetString(bytes); }
        catch (DecoderFallbackException e) { throw new ModelFormatException(_path, $"{_where} has a text at byte {Offset} that is not UTF-8", e); }
    }

    private string Line()
    {
        var text = new StringBuilder();
        for (byte b; (b = Byte()) != (byte)'\n';)
        {
            if (text.Length == MaxGlobal) throw Bad($"has a global with a name of over {MaxGlobal} bytes");
            text.Append(b is >= 0x20 and < 0x7F ? (char)b : '?');
        }
        return text.ToString();
    }

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    // --- messages ---

    private ModelFormatException Bad(string problem) => BadAt(Offset, problem);

    private ModelFormatException BadAt(int offset, string problem) => new(_path, $"{_where} (at byte {offset}) {problem}");

    private static string Describe(object? value) => value switch
    {
        null => "None",
        bool => "a flag",
        long or Int128 => "a whole number",
        double => "a number",
        string => "text",
        object?[] => "a tuple",
        List<object?> => "a list",
        TorchDict => "a dict",
        TensorType or TorchStorage => "a storage",
        TorchTensor => "a tensor",
        _ => "a function",
    };

    private static string InstructionName(byte code)
    {
        string? name = (char)code switch
        {
            'i' => "INST", 'o' => "OBJ", '\x81' => "NEWOBJ", '\x92' => "NEWOBJ_EX", '\x93' => "STACK_GLOBAL", '\x82' => "EXT1", '\x83' => "EXT2", '\x84' => "EXT4", 'P' => "PERSID",
            '\x80' => "PROTO", '\x8b' => "LONG4", 'I' => "INT", 'L' => "LONG", 'F' => "FLOAT", 'S' => "STRING", 'T' => "BINSTRING", 'U' => "SHORT_BINSTRING", 'V' => "UNICODE",
            'B' => "BINBYTES", 'C' => "SHORT_BINBYTES", '\x8c' => "SHORT_BINUNICODE", '\x8d' => "BINUNICODE8", '\x8e' => "BINBYTES8", '\x8f' => "EMPTY_SET", '\x90' => "ADDITEMS",
            '\x91' => "FROZENSET", '\x94' => "MEMOIZE", '\x95' => "FRAME", '\x96' => "BYTEARRAY8", '\x97' => "NEXT_BUFFER", '\x98' => "READONLY_BUFFER",
            '0' => "POP", '1' => "POP_MARK", '2' => "DUP", 'd' => "DICT", 'l' => "LIST", 'g' => "GET", 'p' => "PUT", _ => null,
        };
        return name is null ? $"0x{code:X2}" : $"{name} (0x{code:X2})";
    }
}
