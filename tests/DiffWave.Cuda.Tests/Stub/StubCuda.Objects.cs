using System.Runtime.InteropServices;
using System.Text;
using DiffWave.Emulator;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Cuda.Tests;

/// <content>Contexts, handles, and modules.</content>
public sealed unsafe partial class StubCuda
{
    private enum HandleKind { Memory, HostMemory, Module, Link, Stream, Event, Recording, Graph }

    private sealed class Context(int ordinal, EmulatedDriver device)
    {
        public int Ordinal { get; } = ordinal;
        public EmulatedDriver Device { get; } = device;
        public int Users { get; set; }

        /// <summary>What every call answers once something went wrong that a real context does not survive.</summary>
        public CudaResult Broken { get; set; }
    }

    // Four bytes every cubin begins with, then the stub's own: architecture, length and the PTX.
    private static readonly byte[] CubinMagic = [0x7F, (byte)'E', (byte)'L', (byte)'F'];

    private static long lastContext = 0x10;

    [ThreadStatic]
    private static nint currentContext;

    private readonly Dictionary<nint, Context> contexts = [];
    private readonly HashSet<(HandleKind Kind, Context Context, nint Value)> live = [];
    private readonly Dictionary<nint, nint> graphs = []; // recordings and executable graphs: the emulator's graph
    private readonly Dictionary<nint, List<string>> links = [];
    private readonly Dictionary<nint, nint> images = []; // cubins by their links
    private readonly Dictionary<nint, long> eventTimes = [];
    private nint lastHandle = 0x5000_0000;
    private long clock;
    private int openRanges;
    private bool isInitialised;

    private int Count(HandleKind kind) => live.Count(handle => handle.Kind == kind);

    private Context? Here => contexts.GetValueOrDefault(currentContext);

    private CudaResult Break(CudaResult result)
    {
        // cuda.h: after these the process must be started again.
        if (result is CudaResult.IllegalAddress or CudaResult.LaunchTimeout or CudaResult.MisalignedAddress or CudaResult.LaunchFailed or CudaResult.EccUncorrectable && Here is { } context) context.Broken = result;
        return result;
    }

    // Something the current context does.
    private static int InContext(string function, Action<StubCuda, Context> action) => Call(function, stub =>
    {
        if (stub.Here is not { } context) return CudaResult.InvalidContext;
        if (context.Broken == CudaResult.Success) action(stub, context);
        return context.Broken;
    });

    private static int Create(string function, HandleKind kind, nint* handle, Func<StubCuda, Context, nint> action) => InContext(function, (stub, context) =>
    {
        *handle = action(stub, context);
        stub.live.Add((kind, context, *handle));
    });

    // As with CUDA the handle is gone also when the call tells of an error, for that is one of earlier work.
    private static int Destroy(string function, HandleKind kind, nint handle, Action<StubCuda, Context> action)
    {
        if (Current.Value is not { } stub) return (int)CudaResult.Deinitialized;
        lock (stub.turn)
        {
            if (stub.Here is not { } context || !stub.live.Remove((kind, context, handle))) return stub.Answer(function, _ => CudaResult.InvalidHandle);
            try
            {
                action(stub, context);
            }
            catch (CudaException e)
            {
                return stub.Answer(function, _ => throw e);
            }
            return stub.Answer(function, _ => context.Broken);
        }
    }

    private CudaResult Retain(int ordinal, nint* handle)
    {
        if (ordinal < 0 || ordinal >= DeviceCount) return CudaResult.InvalidDevice;
        foreach ((nint known, Context context) in contexts)
        {
            if (context.Ordinal != ordinal) continue;
            context.Users++;
            *handle = known;
            return CudaResult.Success;
        }
        *handle = (nint)Interlocked.Add(ref lastContext, 0x10);
        contexts.Add(*handle, new Context(ordinal, new EmulatedDriver(options)) { Users = 1 });
        return CudaResult.Success;
    }

    private CudaResult Release(int ordinal)
    {
        foreach ((nint handle, Context context) in contexts)
        {
            if (context.Ordinal != ordinal) continue;
            if (--context.Users == 0)
            {
                contexts.Remove(handle);
                context.Device.Dispose();
            }
            return CudaResult.Success;
        }
        return CudaResult.InvalidContext;
    }

    private nint NewHandle() => lastHandle += 0x10;

    // The recording and the executable graph are two handles of one graph of the emulator.
    private void ForgetGraph(Context context, nint handle)
    {
        graphs.Remove(handle, out nint graph);
        if (!graphs.ContainsValue(graph)) context.Device.DestroyGraph(graph);
    }

    private nint LoadModule(Context context, byte* image, JitOptions jit)
    {
        if (new ReadOnlySpan<byte>(image, 4).SequenceEqual(CubinMagic))
        {
            int sm = *(int*)(image + 4), length = *(int*)(image + 8);
            if (sm != context.Device.Device.Sm) throw new CudaException("stub", NameOf(CudaResult.NoBinaryForGpu), $"a cubin for sm_{sm}");
            return context.Device.LoadModule(Encoding.UTF8.GetString(image + 12, length));
        }
        string ptx = Marshal.PtrToStringUTF8((nint)image)!;
        if (!ptx.Contains(".version", StringComparison.Ordinal)) throw new CudaException("stub", NameOf(CudaResult.InvalidImage), "neither PTX nor a cubin");
        return Compile(context, ptx, jit);
    }

    // The emulator's reader stands for ptxas.
    private nint Compile(Context context, string ptx, JitOptions jit)
    {
        try
        {
            if (CompilerLog is not null) throw new CudaException("stub", NameOf(CudaResult.InvalidPtx), CompilerLog);
            nint module = context.Device.LoadModule(ptx);
            jit.WriteInfo("ptxas info    : compiled by the stub");
            return module;
        }
        catch (CudaException e)
        {
            jit.WriteError(CompilerLog ?? (e is PtxException ptxError ? $"ptxas application ptx input, line {ptxError.Line}; error   : {ptxError.Reason}" : e.Message));
            throw new CudaException("stub", NameOf(CudaResult.InvalidPtx), "a PTX JIT compilation failed");
        }
    }

    private void CompleteLink(Context context, nint link, byte** cubin, nuint* size)
    {
        string ptx = string.Join('\n', links[link]);
        context.Device.UnloadModule(Compile(context, ptx, default)); // only to see whether it is right
        byte[] text = Encoding.UTF8.GetBytes(ptx);
        byte* image = (byte*)NativeMemory.Alloc((nuint)text.Length + 12);
        CubinMagic.CopyTo(new Span<byte>(image, 4));
        *(int*)(image + 4) = context.Device.Device.Sm;
        *(int*)(image + 8) = text.Length;
        text.CopyTo(new Span<byte>(image + 12, text.Length));
        images[link] = (nint)image;
        *cubin = image;
        *size = (nuint)text.Length + 12;
    }

    // The log buffers among the options of a compilation; their sizes are overwritten with what was filled.
    private readonly struct JitOptions(uint count, int* options, nint* values)
    {
        public void WriteInfo(string text) => Write(3, text);

        public void WriteError(string text) => Write(5, text);

        private void Write(int buffer, string text)
        {
            nint* size = Value(buffer + 1);
            if (Value(buffer) is var place && (place == null || size == null)) return;
            byte[] bytes = Encoding.UTF8.GetBytes(text + '\0');
            int length = (int)Math.Min(bytes.Length, *size);
            bytes.AsSpan(0, length).CopyTo(new Span<byte>((void*)*place, length));
            *size = length;
        }

        private nint* Value(int option)
        {
            for (uint i = 0; i < count; i++)
                if (options[i] == option) return values + i;
            return null;
        }
    }

    private int? Attribute(int number)
    {
        if (Attributes.TryGetValue(number, out int value)) return value;
        CudaDeviceInfo device = description ??= Describe();
        return number switch
        {
            75 => device.Sm / 10,
            76 => device.Sm % 10,
            97 => device.SharedBytesPerBlock,
            81 => device.SharedBytesPerMultiprocessor,
            82 => device.RegistersPerMultiprocessor,
            39 => device.ThreadsPerMultiprocessor,
            _ => null,
        };
    }

    private CudaDeviceInfo? description;

    private CudaDeviceInfo Describe()
    {
        using var device = new EmulatedDriver(options);
        return device.Device;
    }
}
