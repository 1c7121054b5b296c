// libcuda for tests: the driver's C functions in C#, on an emulated device. What is tested is the program as shipped, from Main or NvidiaDriver.Open down to the last call of the driver.
//
//   using var cuda = new StubCuda();                              // an H100 as far as anyone can see; until Dispose every NvidiaDriver opened from here runs on it
//   using var cuda = new StubCuda(new EmulatorOptions { Sm = 80, MemoryBytes = 64 << 20, Lazy = true });
//   cuda.IsAbsent = true;                                         // no libcuda.so.1
//   cuda.Version = 11040;                                         // too old
//   cuda.DeviceCount = 0;                                         // no GPU
//   cuda.MissingFunction = "cuGraphLaunch";                       // a library without it
//   cuda.Fail("cuInit", CudaResult.NoDevice);                     // the next call of one function fails
//   cuda.Fail("cuMemAlloc", CudaResult.OutOfMemory, call: 3);     // its third call from here on
//   cuda.FailCall(17, CudaResult.Unknown);                        // the 17th call of anything from here on; cuda.Failed says what it was
//   cuda.State = () => new GpuState(1980, 2619, 40, 300, ThrottleReasons.None); // libnvidia-ml.so.1 is there, and this is what it tells
//   cuda.CompilerLog = "ptxas fatal: ...";                        // no PTX is taken, and this is the log
//   Assert.Equal(StubCuda.Nothing, cuda.Live);                    // nothing leaked: memory, modules, streams, ... that nobody gave back
//   Assert.Equal(1, cuda.Calls("cuLinkComplete"));
//
// Make it in the test method itself, not in a constructor or initialiser of the test class: it holds for the flow of calls it was made in, so tests may run side by side. A process started by a
// test does not see it. Names are those of cuda.h without _v2. Findings of the emulator arrive as CUDA_ERROR_ILLEGAL_ADDRESS whose text is the finding, and as on a real GPU the context
// is lost then. Cubins are kept in CubinFolder, which is removed at the end.
using System.Runtime.InteropServices;
using System.Text;
using DiffWave.Emulator;

namespace DiffWave.Cuda.Tests;

/// <summary>Handles nobody has given back.</summary>
public sealed record LiveHandles(int Contexts = 0, int Memory = 0, int HostMemory = 0, int Modules = 0, int Links = 0, int Streams = 0, int Events = 0, int Recordings = 0, int Graphs = 0, int Ranges = 0);

/// <summary>Values of CUresult that tests use by name.</summary>
public enum CudaResult
{
    Success = 0, InvalidValue = 1, OutOfMemory = 2, NotInitialized = 3, Deinitialized = 4, StubLibrary = 34, DeviceUnavailable = 46, NoDevice = 100, InvalidDevice = 101, InvalidImage = 200,
    InvalidContext = 201, NoBinaryForGpu = 209, EccUncorrectable = 214, InvalidPtx = 218, JitCompilerNotFound = 221, UnsupportedPtxVersion = 222, InvalidHandle = 400, IllegalState = 401, NotFound = 500,
    IllegalAddress = 700, LaunchOutOfResources = 701, LaunchTimeout = 702, MisalignedAddress = 716, LaunchFailed = 719, NotSupported = 801, SystemNotReady = 802, SystemDriverMismatch = 803,
    CompatNotSupportedOnDevice = 804, StreamCaptureUnsupported = 900, StreamCaptureInvalidated = 901, StreamCaptureMerge = 902, StreamCaptureUnmatched = 903, StreamCaptureUnjoined = 904,
    StreamCaptureIsolation = 905, StreamCaptureImplicit = 906, CapturedEvent = 907, Unknown = 999,
}

/// <summary>libcuda on an emulated device; the top of the file says how to use it.</summary>
public sealed unsafe partial class StubCuda : IDisposable
{
    /// <summary>No handle of any kind.</summary>
    public static readonly LiveHandles Nothing = new();

    private static readonly AsyncLocal<StubCuda?> Current = new();

    private static readonly Dictionary<string, CudaResult> ByName = Enum.GetValues<CudaResult>().ToDictionary(NameOf);

    private readonly EmulatorOptions options;
    private readonly Dictionary<string, int> calls = [];
    private readonly List<(string? Function, int Call, CudaResult Result)> faults = []; // Function null: of all calls
    private readonly Dictionary<string, nint> texts = [];
    private readonly Lock turn = new();
    private readonly string ownFolder = Path.Combine(Path.GetTempPath(), $"diffwave-cubin-{Guid.NewGuid():N}");
    private string lastText = "";
    private int allCalls;

    /// <summary>Puts this library in the place of the system's.</summary>
    /// <param name="options">The device; null: sm_90 with 4 GiB.</param>
    public StubCuda(EmulatorOptions? options = null)
    {
        this.options = options ?? new EmulatorOptions();
        if (Current.Value is not null) throw new InvalidOperationException("one stub at a time");
        Current.Value = this;
        NativeFunctions.Substitute.Value = Open;
        CubinCache.Substitute.Value = ownFolder;
    }

    /// <summary>Where compiled kernels are kept; to be changed before a driver is opened, <c>off</c> for nowhere.</summary>
    public string CubinFolder
    {
        get => CubinCache.Substitute.Value!;
        set => CubinCache.Substitute.Value = value;
    }

    /// <summary>There is no library.</summary>
    public bool IsAbsent { get; set; }

    /// <summary>There is a library for ranges of profilers.</summary>
    public bool HasNvtx { get; set; }

    /// <summary>The version the driver tells.</summary>
    public int Version { get; set; } = 13000;

    /// <summary>GPUs the driver shows, all alike.</summary>
    public int DeviceCount { get; set; } = 1;

    /// <summary>A function the library does not have, by its name in cuda.h without _v2.</summary>
    public string? MissingFunction { get; set; }

    /// <summary>No PTX is taken and the compiler says this.</summary>
    public string? CompilerLog { get; set; }

    /// <summary>Launches are taken and not run, for measuring the way to them.</summary>
    public bool SkipsLaunches { get; set; }

    /// <summary>Attributes of the device by their numbers in cuda.h, over those of the emulator.</summary>
    public Dictionary<int, int> Attributes { get; } = new() { [13] = 1_980_000, [36] = 2_619_000, [37] = 5120, [38] = 50 << 20, [16] = 132 };

    /// <summary>The function whose call was made to fail last.</summary>
    public string? Failed { get; private set; }

    /// <summary>Names of the ranges begun, in order.</summary>
    public List<string> Ranges { get; } = [];

    /// <summary>Calls of all functions so far.</summary>
    public int AllCalls => allCalls;

    /// <summary>Functions called so far.</summary>
    public IEnumerable<string> CalledFunctions => calls.Keys;

    /// <summary>Calls of a function so far.</summary>
    public int Calls(string function) => calls.GetValueOrDefault(Known(function));

    /// <summary>The names the library exports.</summary>
    public static IEnumerable<string> FunctionNames => Table.Keys;

    /// <summary>The emulator behind the current context of a device.</summary>
    public EmulatedDriver Emulator(int device = 0) => contexts.Values.Single(context => context.Ordinal == device).Device;

    /// <summary>Lets a call of a function fail.</summary>
    /// <param name="function">Its name without _v2.</param>
    /// <param name="result">What it returns; it does nothing.</param>
    /// <param name="call">Which of its calls from here on, from 1.</param>
    public void Fail(string function, CudaResult result, int call = 1) => faults.Add((Known(function), Calls(function) + call, result));

    /// <summary>Lets one call fail, whichever it is.</summary>
    /// <param name="call">Which call from here on, from 1.</param>
    /// <param name="result">What it returns; it does nothing.</param>
    public void FailCall(int call, CudaResult result) => faults.Add((null, allCalls + call, result));

    /// <summary>CUDA's name of a result.</summary>
    public static string NameOf(CudaResult result) => result == CudaResult.Success ? "CUDA_SUCCESS"
        : $"CUDA_ERROR_{string.Concat(result.ToString().Select((letter, i) => i > 0 && char.IsUpper(letter) ? $"_{letter}" : $"{char.ToUpperInvariant(letter)}"))}";

    /// <summary>What has not been given back, also of contexts that are gone.</summary>
    public LiveHandles Live => new(contexts.Values.Sum(context => context.Users), Count(HandleKind.Memory), Count(HandleKind.HostMemory), Count(HandleKind.Module), Count(HandleKind.Link), Count(HandleKind.Stream),
        Count(HandleKind.Event), Count(HandleKind.Recording), Count(HandleKind.Graph), openRanges);

    /// <summary>Takes the library away.</summary>
    public void Dispose()
    {
        if (Current.Value == this) Current.Value = null;
        NativeFunctions.Substitute.Value = null;
        CubinCache.Substitute.Value = null;
        foreach (Context context in contexts.Values) context.Device.Dispose();
        foreach (nint text in texts.Values) Marshal.FreeCoTaskMem(text);
        foreach (nint image in images.Values) NativeMemory.Free((void*)image);
        if (Directory.Exists(ownFolder)) Directory.Delete(ownFolder, recursive: true);
    }

    private Func<string, nint>? Open(string library)
    {
        Dictionary<string, nint>? functions = Nvtx.Names.Contains(library) ? HasNvtx ? NvtxTable : null : library == Nvml.Library ? State is null ? null : NvmlTable
            : IsAbsent || !NvidiaLibrary.Names.Contains(library) ? null : Table;
        if (functions is null) return null;
        return name => Plain(name) == MissingFunction ? 0 : functions.GetValueOrDefault(name);
    }

    private static string Known(string function) => Table.Keys.Any(name => Plain(name) == function) ? function : throw new ArgumentException($"the stub has no {function}");

    private static string Plain(string name) => name.EndsWith("_v2", StringComparison.Ordinal) ? name[..^3] : name;

    // What every call begins with: it is counted, and fails where a test wants it. Nothing is allocated, so that the cost of a launch can be measured.
    private CudaResult Enter(string function)
    {
        allCalls++;
        int call = ++CollectionsMarshal.GetValueRefOrAddDefault(calls, function, out _);
        foreach ((string? name, int number, CudaResult result) in faults)
        {
            if (name is null ? number != allCalls : name != function || number != call) continue;
            Failed = function;
            lastText = $"made to fail by a test at call {call} of {function}";
            return result;
        }
        return CudaResult.Success;
    }

    private static int Call(string function, Func<StubCuda, CudaResult> action)
    {
        if (Current.Value is not { } stub) return (int)CudaResult.Deinitialized;
        lock (stub.turn) return stub.Answer(function, action);
    }

    private int Answer(string function, Func<StubCuda, CudaResult> action)
    {
        if (Enter(function) is not CudaResult.Success and var fault) return (int)Break(fault);
        if (!isInitialised && function is not ("cuInit" or "cuDriverGetVersion")) return (int)CudaResult.NotInitialized;
        try
        {
            return (int)action(this);
        }
        catch (CudaException e)
        {
            lastText = e.Message;
            return (int)Break(ByName.GetValueOrDefault(e.Error, CudaResult.IllegalAddress));
        }
        catch (KeyNotFoundException)
        {
            return (int)CudaResult.InvalidHandle;
        }
        catch (Exception e) // none may pass through native code
        {
            lastText = $"the stub itself failed: {e}";
            return (int)CudaResult.Unknown;
        }
    }

    private nint TextOf(string text)
    {
        if (!texts.TryGetValue(text, out nint place)) texts.Add(text, place = Marshal.StringToCoTaskMemUTF8(text));
        return place;
    }
}
