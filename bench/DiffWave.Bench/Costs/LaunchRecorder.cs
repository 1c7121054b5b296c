using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using DiffWave.Cuda;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Bench.Costs;

/// <summary>Something a stream was given: a kernel, a fill or a copy within the device.</summary>
/// <param name="Kernel">Entry name; <c>(fill)</c> or <c>(copy)</c>.</param>
/// <param name="Grid">Blocks.</param>
/// <param name="Block">Threads of a block.</param>
/// <param name="Tensor">Operands of its matrix products.</param>
/// <param name="Buffers">For each 64-bit word of its arguments the buffer it points into, 0 where it points nowhere.</param>
internal sealed record RecordedLaunch(string Kernel, Dim3 Grid, Dim3 Block, TensorKind Tensor, IReadOnlyList<ulong> Buffers)
{
    /// <summary>Bytes a fill or copy writes.</summary>
    public long Bytes { get; init; }

    /// <summary>Tiles its blocks walk, where the kernel has a parameter of that name; else 0.</summary>
    public int Tiles { get; init; }

    /// <summary>Rows of an item that it works on, where the kernel has a parameter of that name; else 0.</summary>
    public int Rows { get; init; }

    /// <summary>The layer, where the kernel has a parameter of that name; else -1.</summary>
    public int Layer { get; init; } = -1;

    /// <summary>For each buffer that is given as rows of an activation: the first of them, and how many an item has.</summary>
    public IReadOnlyDictionary<ulong, (int First, int ItemRows)> Views { get; init; } = new Dictionary<ulong, (int, int)>();

    /// <summary>Whether it may begin while the launch before it still runs.</summary>
    public bool IsEarly { get; init; }

    /// <summary>What the emulator counted for a launch with the same kernel, grid and scalars, and the buffers of that launch; null where nothing is executed.</summary>
    public (LaunchReport Report, IReadOnlyList<ulong> Buffers)? Counted { get; set; }
}

/// <summary>
/// A device that writes down what the engine gives it. It shows itself as a certain GPU, so that the engine makes the launches it would make there. By itself it executes nothing and has as much
/// memory as that GPU, of which nothing exists; when it counts, the emulator executes the first launch of each kind on memory that is really there.
/// </summary>
internal sealed partial class LaunchRecorder : ForwardingDriver
{
    private const ulong FirstAddress = 0x7000_0000_0000;

    private readonly EmulatedDriver emulator;
    private readonly GpuModel gpu;
    private readonly bool counts;
    private readonly SortedList<ulong, long> buffers = [];
    private readonly Dictionary<ulong, long> sizes = [];
    private readonly Dictionary<nint, string> modules = [];
    private readonly Dictionary<nint, (string Entry, TensorKind Tensor, IReadOnlyList<(string Name, int Offset, int Bytes)> Layout)> functions = [];
    private readonly Dictionary<string, (LaunchReport Report, IReadOnlyList<ulong> Buffers)> counted = [];
    private readonly Dictionary<nint, List<Action>> graphs = [];
    private readonly List<RecordedLaunch> log = [];
    private List<Action>? capture;
    private nint captured, lastHandle = 0x100;
    private ulong end = FirstAddress;
    private long used;

    /// <summary>A device with nothing on it, whose launches are written down.</summary>
    /// <param name="gpu">What it shows itself as.</param>
    public LaunchRecorder(GpuModel gpu) : this(gpu, null)
    {
    }

    /// <summary>A device with nothing on it, whose launches are also executed by the emulator and counted.</summary>
    /// <param name="gpu">What it shows itself as.</param>
    /// <param name="multiprocessors">With so many of them, so that kernels that fill the device are counted with few blocks; null: nothing is counted.</param>
    public LaunchRecorder(GpuModel gpu, int? multiprocessors)
        : this(gpu, multiprocessors is not null, multiprocessors ?? gpu.Multiprocessors, new EmulatedDriver(new EmulatorOptions { Sm = gpu.Sm, Checks = false, Reports = multiprocessors is not null, MemoryBytes = 16L << 30 }))
    {
    }

    private LaunchRecorder(GpuModel gpu, bool counts, int multiprocessors, EmulatedDriver emulator) : base(emulator)
    {
        (this.gpu, this.counts, this.emulator) = (gpu, counts, emulator);
        Device = gpu.Describe(emulator.Device) with { Multiprocessors = multiprocessors };
    }

    public override CudaDeviceInfo Device { get; }

    public override string DeviceText => $"{gpu.Name} (recorded, not run)";

    /// <summary>Whether what comes is written down and counted.</summary>
    public bool IsRecording { get; set; }

    /// <summary>What was written down.</summary>
    public IReadOnlyList<RecordedLaunch> Log => log;

    /// <summary>PTX of all that was loaded.</summary>
    public IEnumerable<string> Modules => modules.Values;

    /// <summary>Bytes copied between host and device while recording.</summary>
    public long HostBytes { get; private set; }

    /// <summary>Bytes of a buffer, also of one that was given back.</summary>
    public long SizeOf(ulong buffer) => sizes.GetValueOrDefault(buffer);

    public override (long Free, long Total) MemoryInfo() => (gpu.MemoryBytes - used, gpu.MemoryBytes);

    public override ulong Allocate(long bytes)
    {
        if (used + bytes > gpu.MemoryBytes) throw new CudaException($"cuMemAlloc({bytes} bytes)", "CUDA_ERROR_OUT_OF_MEMORY", $"{gpu.Name} has {gpu.MemoryBytes} bytes, {used} are in use");
        ulong address = counts ? emulator.Allocate(bytes) : end;
        end += (ulong)((bytes + 511) / 512 * 512);
        used += bytes;
        buffers.Add(address, bytes);
        sizes[address] = bytes;
        return address;
    }

    public override void Free(ulong address)
    {
        buffers.Remove(address, out long bytes);
        used -= bytes;
        if (counts) emulator.Free(address);
    }

    public override void DeclareUsed(ulong address, long bytes, nint stream)
    {
    }

    public override void CopyToDevice(ulong target, ReadOnlySpan<byte> source)
    {
        if (IsRecording) HostBytes += source.Length;
        if (counts) emulator.CopyToDevice(target, source);
    }

    public override void CopyToHost(Span<byte> target, ulong source)
    {
        if (IsRecording) HostBytes += target.Length;
        if (counts) emulator.CopyToHost(target, source);
        else target.Clear();
    }

    public override void CopyToDeviceAsync(ulong target, nint source, long bytes, nint stream) => Queue(() =>
    {
        if (IsRecording) HostBytes += bytes;
        if (counts) emulator.CopyToDeviceAsync(target, source, bytes, 0);
    });

    public override unsafe void CopyToHostAsync(nint target, ulong source, long bytes, nint stream) => Queue(() =>
    {
        if (IsRecording) HostBytes += bytes;
        if (counts) emulator.CopyToHostAsync(target, source, bytes, 0);
        else NativeMemory.Clear((void*)target, (nuint)bytes);
    });

    public override void CopyOnDeviceAsync(ulong target, ulong source, long bytes, nint stream) => Queue(() =>
    {
        Write(new RecordedLaunch("(copy)", default, default, TensorKind.None, [Buffer(target), Buffer(source)]) { Bytes = bytes });
        if (counts) emulator.CopyOnDeviceAsync(target, source, bytes, 0);
    });

    public override void FillAsync(ulong target, uint value, long words, nint stream) => Queue(() =>
    {
        Write(new RecordedLaunch("(fill)", default, default, TensorKind.None, [Buffer(target)]) { Bytes = 4 * words });
        if (counts) emulator.FillAsync(target, value, words, 0);
    });

    public override nint LoadModule(string ptx)
    {
        nint module = emulator.LoadModule(ptx);
        modules[module] = ptx;
        return module;
    }

    /// <summary>Operands of the matrix products of a module.</summary>
    public static TensorKind TensorOf(string ptx)
    {
        int product = ptx.IndexOf("mma.sync", StringComparison.Ordinal);
        if (product < 0) return TensorKind.None;
        string instruction = ptx[product..ptx.IndexOf(' ', product)];
        return instruction.Contains(".tf32", StringComparison.Ordinal) ? TensorKind.TF32 : instruction.Contains(".bf16", StringComparison.Ordinal) ? TensorKind.BF16 : TensorKind.F16;
    }

    /// <summary>Where the parameters lie in the arguments of a module's only kernel.</summary>
    /// <param name="ptx">The module, with parameters named as in C#.</param>
    public static IEnumerable<(string Name, int Offset, int Bytes)> Layout(string ptx)
    {
        int offset = 0;
        foreach (Match parameter in Parameters().Matches(ptx))
        {
            int size = parameter.Groups["bytes"].Success ? int.Parse(parameter.Groups["bytes"].ValueSpan, CultureInfo.InvariantCulture) : int.Parse(parameter.Groups["bits"].ValueSpan, CultureInfo.InvariantCulture) / 8;
            int align = parameter.Groups["align"].Success ? int.Parse(parameter.Groups["align"].ValueSpan, CultureInfo.InvariantCulture) : size;
            offset = (offset + align - 1) / align * align;
            yield return (parameter.Groups["name"].Value, offset, size);
            offset += size;
        }
    }

    [GeneratedRegex(@"^\s*\.param (\.align (?<align>\d+) )?\.[a-z](?<bits>\d+) param_(?<name>\w+)(\[(?<bytes>\d+)\])?", RegexOptions.Multiline)]
    private static partial Regex Parameters();

    public override nint GetFunction(nint module, string entryName)
    {
        nint function = emulator.GetFunction(module, entryName);
        functions[function] = (entryName, TensorOf(modules[module]), [.. Layout(modules[module])]);
        return function;
    }

    public override void Launch(nint function, Dim3 grid, Dim3 block, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> arguments, bool early = false)
    {
        byte[] packed = arguments.ToArray();
        Queue(() =>
        {
            if (!IsRecording) return;
            ulong[] pointed = Pointed(packed);
            var (entry, tensor, layout) = functions[function];
            var launch = new RecordedLaunch(entry, grid, block, tensor, pointed)
            {
                IsEarly = early, Tiles = Number(packed, layout, "tiles") ?? 0, Rows = Number(packed, layout, "rows") ?? 0, Layer = Number(packed, layout, "layer") ?? -1, Views = ViewsOf(packed, layout, pointed),
            };
            if (counts)
            {
                string key = $"{function} {grid} {block} {dynamicSharedBytes} {Scalars(packed, pointed)}";
                if (!counted.TryGetValue(key, out var known))
                {
                    emulator.Launch(function, grid, block, dynamicSharedBytes, 0, packed);
                    counted.Add(key, known = (emulator.Reports[^1], pointed));
                    emulator.ClearReports();
                }
                launch.Counted = known;
            }
            Write(launch);
        });
    }

    // Streams, events and time: everything happens at once, in the order in which it is given.
    public override nint CreateStream() => lastHandle += 8;

    public override void DestroyStream(nint stream)
    {
    }

    public override void SynchronizeStream(nint stream)
    {
    }

    public override void Synchronize()
    {
    }

    public override nint CreateEvent() => lastHandle += 8;

    public override void DestroyEvent(nint handle)
    {
    }

    public override void RecordEvent(nint handle, nint stream)
    {
    }

    public override void SynchronizeEvent(nint handle)
    {
    }

    public override void StreamWaitEvent(nint stream, nint handle)
    {
    }

    public override double? Elapsed(nint start, nint stop) => null;

    public override void BeginCapture(nint stream) => (capture, captured) = ([], stream);

    public override bool IsCapturing(nint stream) => capture is not null && captured == stream;

    public override nint EndCapture(nint stream)
    {
        nint graph = lastHandle += 8;
        graphs.Add(graph, capture!);
        capture = null;
        return graph;
    }

    public override void LaunchGraph(nint graph, nint stream) => graphs[graph].ForEach(action => action());

    public override void DestroyGraph(nint graph) => graphs.Remove(graph);

    public override void Dispose() => emulator.Dispose();

    private void Queue(Action action)
    {
        if (capture is { } recording) recording.Add(action);
        else action();
    }

    private void Write(RecordedLaunch launch)
    {
        if (IsRecording) log.Add(launch);
    }

    // By word of the arguments the buffer it points into. Scalars are too small to be addresses.
    private ulong[] Pointed(byte[] arguments)
    {
        var pointed = new ulong[arguments.Length / 8];
        for (int word = 0; word < pointed.Length; word++) pointed[word] = Buffer(BinaryPrimitives.ReadUInt64LittleEndian(arguments.AsSpan(8 * word)));
        return pointed;
    }

    private static int? Number(byte[] arguments, IReadOnlyList<(string Name, int Offset, int Bytes)> layout, string name)
    {
        foreach (var parameter in layout)
            if (parameter.Name == name && parameter.Bytes == sizeof(int)) return BinaryPrimitives.ReadInt32LittleEndian(arguments.AsSpan(parameter.Offset));
        return null;
    }

    // Rows<T> is a view, the rows of an item, the first row and the channels; nothing else is as large.
    private static Dictionary<ulong, (int First, int ItemRows)> ViewsOf(byte[] arguments, IReadOnlyList<(string Name, int Offset, int Bytes)> layout, ulong[] pointed)
    {
        const int View = 16, Smallest = View + 3 * sizeof(int);
        var views = new Dictionary<ulong, (int, int)>();
        foreach (var (_, offset, bytes) in layout)
            if (bytes >= Smallest && pointed[offset / 8] is not 0 and var buffer)
                views[buffer] = (BinaryPrimitives.ReadInt32LittleEndian(arguments.AsSpan(offset + View + sizeof(int))), BinaryPrimitives.ReadInt32LittleEndian(arguments.AsSpan(offset + View)));
        return views;
    }

    private static string Scalars(byte[] arguments, ulong[] pointed)
    {
        byte[] scalars = [.. arguments];
        for (int word = 0; word < pointed.Length; word++)
            if (pointed[word] != 0) scalars.AsSpan(8 * word, 8).Fill(255);
        return Convert.ToHexString(scalars);
    }

    // The buffer that holds an address, or 0.
    private ulong Buffer(ulong address)
    {
        IList<ulong> starts = buffers.Keys;
        int low = 0, high = starts.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (starts[middle] <= address) low = middle + 1;
            else high = middle;
        }
        return low > 0 && address - starts[low - 1] < (ulong)buffers.Values[low - 1] ? starts[low - 1] : 0;
    }
}
