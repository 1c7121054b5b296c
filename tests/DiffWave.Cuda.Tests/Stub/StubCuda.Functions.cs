using System.Runtime.InteropServices;
using System.Text;

namespace DiffWave.Cuda.Tests;

/// <content>The C functions, in the order of <see cref="NvidiaLibrary"/>.</content>
public sealed unsafe partial class StubCuda
{
    private static readonly Dictionary<string, nint> Table = new()
    {
        ["cuGetErrorName"] = (nint)(delegate* unmanaged<int, byte**, int>)&GetErrorName,
        ["cuGetErrorString"] = (nint)(delegate* unmanaged<int, byte**, int>)&GetErrorString,
        ["cuInit"] = (nint)(delegate* unmanaged<uint, int>)&Init,
        ["cuDriverGetVersion"] = (nint)(delegate* unmanaged<int*, int>)&DriverGetVersion,
        ["cuDeviceGetCount"] = (nint)(delegate* unmanaged<int*, int>)&DeviceGetCount,
        ["cuDeviceGet"] = (nint)(delegate* unmanaged<int*, int, int>)&DeviceGet,
        ["cuDeviceGetName"] = (nint)(delegate* unmanaged<byte*, int, int, int>)&DeviceGetName,
        ["cuDeviceTotalMem_v2"] = (nint)(delegate* unmanaged<nuint*, int, int>)&DeviceTotalMem,
        ["cuDeviceGetAttribute"] = (nint)(delegate* unmanaged<int*, int, int, int>)&DeviceGetAttribute,
        ["cuDeviceGetPCIBusId"] = (nint)(delegate* unmanaged<byte*, int, int, int>)&DeviceGetPciBusId,
        ["cuDevicePrimaryCtxRetain"] = (nint)(delegate* unmanaged<nint*, int, int>)&DevicePrimaryCtxRetain,
        ["cuDevicePrimaryCtxRelease_v2"] = (nint)(delegate* unmanaged<int, int>)&DevicePrimaryCtxRelease,
        ["cuCtxSetCurrent"] = (nint)(delegate* unmanaged<nint, int>)&CtxSetCurrent,
        ["cuCtxSynchronize"] = (nint)(delegate* unmanaged<int>)&CtxSynchronize,
        ["cuMemGetInfo_v2"] = (nint)(delegate* unmanaged<nuint*, nuint*, int>)&MemGetInfo,
        ["cuMemAlloc_v2"] = (nint)(delegate* unmanaged<ulong*, nuint, int>)&MemAlloc,
        ["cuMemFree_v2"] = (nint)(delegate* unmanaged<ulong, int>)&MemFree,
        ["cuMemAllocHost_v2"] = (nint)(delegate* unmanaged<nint*, nuint, int>)&MemAllocHost,
        ["cuMemFreeHost"] = (nint)(delegate* unmanaged<nint, int>)&MemFreeHost,
        ["cuMemcpyHtoD_v2"] = (nint)(delegate* unmanaged<ulong, void*, nuint, int>)&MemcpyHtoD,
        ["cuMemcpyDtoH_v2"] = (nint)(delegate* unmanaged<void*, ulong, nuint, int>)&MemcpyDtoH,
        ["cuMemcpyHtoDAsync_v2"] = (nint)(delegate* unmanaged<ulong, nint, nuint, nint, int>)&MemcpyHtoDAsync,
        ["cuMemcpyDtoHAsync_v2"] = (nint)(delegate* unmanaged<nint, ulong, nuint, nint, int>)&MemcpyDtoHAsync,
        ["cuMemcpyDtoDAsync_v2"] = (nint)(delegate* unmanaged<ulong, ulong, nuint, nint, int>)&MemcpyDtoDAsync,
        ["cuMemsetD32Async"] = (nint)(delegate* unmanaged<ulong, uint, nuint, nint, int>)&MemsetD32Async,
        ["cuModuleLoadDataEx"] = (nint)(delegate* unmanaged<nint*, byte*, uint, int*, nint*, int>)&ModuleLoadDataEx,
        ["cuLinkCreate_v2"] = (nint)(delegate* unmanaged<uint, int*, nint*, nint*, int>)&LinkCreate,
        ["cuLinkAddData_v2"] = (nint)(delegate* unmanaged<nint, int, byte*, nuint, byte*, uint, int*, nint*, int>)&LinkAddData,
        ["cuLinkComplete"] = (nint)(delegate* unmanaged<nint, byte**, nuint*, int>)&LinkComplete,
        ["cuLinkDestroy"] = (nint)(delegate* unmanaged<nint, int>)&LinkDestroy,
        ["cuModuleUnload"] = (nint)(delegate* unmanaged<nint, int>)&ModuleUnload,
        ["cuModuleGetFunction"] = (nint)(delegate* unmanaged<nint*, nint, byte*, int>)&ModuleGetFunction,
        ["cuFuncGetAttribute"] = (nint)(delegate* unmanaged<int*, int, nint, int>)&FuncGetAttribute,
        ["cuFuncSetAttribute"] = (nint)(delegate* unmanaged<nint, int, int, int>)&FuncSetAttribute,
        ["cuOccupancyMaxActiveBlocksPerMultiprocessor"] = (nint)(delegate* unmanaged<int*, nint, int, nuint, int>)&OccupancyMaxActiveBlocks,
        ["cuLaunchKernel"] = (nint)(delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)&LaunchKernel,
        ["cuLaunchKernelEx"] = (nint)(delegate* unmanaged<uint*, nint, void**, void**, int>)&LaunchKernelEx,
        ["cuStreamCreate"] = (nint)(delegate* unmanaged<nint*, uint, int>)&StreamCreate,
        ["cuStreamDestroy_v2"] = (nint)(delegate* unmanaged<nint, int>)&StreamDestroy,
        ["cuStreamSynchronize"] = (nint)(delegate* unmanaged<nint, int>)&StreamSynchronize,
        ["cuStreamWaitEvent"] = (nint)(delegate* unmanaged<nint, nint, uint, int>)&StreamWaitEvent,
        ["cuStreamWaitValue32_v2"] = (nint)(delegate* unmanaged<nint, ulong, uint, uint, int>)&StreamWaitValue32,
        ["cuStreamBeginCapture_v2"] = (nint)(delegate* unmanaged<nint, int, int>)&StreamBeginCapture,
        ["cuStreamIsCapturing"] = (nint)(delegate* unmanaged<nint, int*, int>)&StreamIsCapturing,
        ["cuStreamEndCapture"] = (nint)(delegate* unmanaged<nint, nint*, int>)&StreamEndCapture,
        ["cuEventCreate"] = (nint)(delegate* unmanaged<nint*, uint, int>)&EventCreate,
        ["cuEventDestroy_v2"] = (nint)(delegate* unmanaged<nint, int>)&EventDestroy,
        ["cuEventRecord"] = (nint)(delegate* unmanaged<nint, nint, int>)&EventRecord,
        ["cuEventSynchronize"] = (nint)(delegate* unmanaged<nint, int>)&EventSynchronize,
        ["cuEventElapsedTime"] = (nint)(delegate* unmanaged<float*, nint, nint, int>)&EventElapsedTime,
        ["cuGraphInstantiateWithFlags"] = (nint)(delegate* unmanaged<nint*, nint, ulong, int>)&GraphInstantiate,
        ["cuGraphLaunch"] = (nint)(delegate* unmanaged<nint, nint, int>)&GraphLaunch,
        ["cuGraphExecDestroy"] = (nint)(delegate* unmanaged<nint, int>)&GraphExecDestroy,
        ["cuGraphDestroy"] = (nint)(delegate* unmanaged<nint, int>)&GraphDestroy,
        ["cuProfilerStart"] = (nint)(delegate* unmanaged<int>)&ProfilerStart,
        ["cuProfilerStop"] = (nint)(delegate* unmanaged<int>)&ProfilerStop,
    };

    private static readonly Dictionary<string, nint> NvtxTable = new()
    {
        ["nvtxRangePushA"] = (nint)(delegate* unmanaged<byte*, int>)&RangePush,
        ["nvtxRangePop"] = (nint)(delegate* unmanaged<int>)&RangePop,
    };

    [UnmanagedCallersOnly]
    private static int GetErrorName(int result, byte** name)
    {
        if (Current.Value is not { } stub || !Enum.IsDefined((CudaResult)result)) return (int)CudaResult.InvalidValue;
        *name = (byte*)stub.TextOf(NameOf((CudaResult)result));
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int GetErrorString(int result, byte** text)
    {
        if (Current.Value is not { } stub || !Enum.IsDefined((CudaResult)result)) return (int)CudaResult.InvalidValue;
        *text = (byte*)stub.TextOf(stub.lastText.Length > 0 ? stub.lastText : "said by the stub");
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int Init(uint flags) => Call("cuInit", stub =>
    {
        if (stub.DeviceCount == 0) return CudaResult.NoDevice; // as the driver says where no GPU is visible
        stub.isInitialised = true;
        return flags == 0 ? CudaResult.Success : CudaResult.InvalidValue;
    });

    [UnmanagedCallersOnly]
    private static int DriverGetVersion(int* version) => Call("cuDriverGetVersion", stub =>
    {
        *version = stub.Version;
        return CudaResult.Success;
    });

    [UnmanagedCallersOnly]
    private static int DeviceGetCount(int* count) => Call("cuDeviceGetCount", stub =>
    {
        *count = stub.DeviceCount;
        return CudaResult.Success;
    });

    [UnmanagedCallersOnly]
    private static int DeviceGet(int* device, int ordinal) => OfDevice("cuDeviceGet", ordinal, _ => *device = ordinal);

    [UnmanagedCallersOnly]
    private static int DeviceGetName(byte* name, int length, int device) => OfDevice("cuDeviceGetName", device, stub => Copy($"Stub GPU {device} (sm_{stub.options.Sm})", name, length));

    [UnmanagedCallersOnly]
    private static int DeviceTotalMem(nuint* bytes, int device) => OfDevice("cuDeviceTotalMem", device, stub => *bytes = (nuint)stub.options.MemoryBytes);

    [UnmanagedCallersOnly]
    private static int DeviceGetAttribute(int* value, int attribute, int device) => Call("cuDeviceGetAttribute", stub =>
    {
        if (device < 0 || device >= stub.DeviceCount) return CudaResult.InvalidDevice;
        if (stub.Attribute(attribute) is not { } known) return CudaResult.InvalidValue;
        *value = known;
        return CudaResult.Success;
    });

    [UnmanagedCallersOnly]
    private static int DeviceGetPciBusId(byte* text, int length, int device) => OfDevice("cuDeviceGetPCIBusId", device, _ => Copy($"0000:{device + 1:x2}:00.0", text, length));

    [UnmanagedCallersOnly]
    private static int DevicePrimaryCtxRetain(nint* context, int device) => Call("cuDevicePrimaryCtxRetain", stub => stub.Retain(device, context));

    [UnmanagedCallersOnly]
    private static int DevicePrimaryCtxRelease(int device)
    {
        if (Current.Value is not { } stub) return (int)CudaResult.Deinitialized;
        lock (stub.turn)
        {
            CudaResult released = stub.Release(device); // also when the call tells of an error
            return stub.Answer("cuDevicePrimaryCtxRelease", _ => released);
        }
    }

    // By hand, as the launch: see Enter.
    [UnmanagedCallersOnly]
    private static int CtxSetCurrent(nint context)
    {
        if (Current.Value is not { } stub) return (int)CudaResult.Deinitialized;
        lock (stub.turn)
        {
            if (stub.Enter("cuCtxSetCurrent") is not CudaResult.Success and var fault) return (int)fault;
            if (context != 0 && !stub.contexts.ContainsKey(context)) return (int)CudaResult.InvalidContext;
        }
        currentContext = context;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int CtxSynchronize() => InContext("cuCtxSynchronize", (_, context) => context.Device.Synchronize());

    [UnmanagedCallersOnly]
    private static int MemGetInfo(nuint* free, nuint* total) => InContext("cuMemGetInfo", (_, context) => (*free, *total) = ((nuint)context.Device.MemoryInfo().Free, (nuint)context.Device.MemoryInfo().Total));

    [UnmanagedCallersOnly]
    private static int MemAlloc(ulong* address, nuint bytes) => Create("cuMemAlloc", HandleKind.Memory, (nint*)address, (_, context) => (nint)context.Device.Allocate((long)bytes));

    [UnmanagedCallersOnly]
    private static int MemFree(ulong address) => Destroy("cuMemFree", HandleKind.Memory, (nint)address, (_, context) => context.Device.Free(address));

    [UnmanagedCallersOnly]
    private static int MemAllocHost(nint* address, nuint bytes) => Create("cuMemAllocHost", HandleKind.HostMemory, address, (_, context) => context.Device.AllocateHost((long)bytes));

    [UnmanagedCallersOnly]
    private static int MemFreeHost(nint address) => Destroy("cuMemFreeHost", HandleKind.HostMemory, address, (_, context) => context.Device.FreeHost(address));

    [UnmanagedCallersOnly]
    private static int MemcpyHtoD(ulong target, void* source, nuint bytes) => InContext("cuMemcpyHtoD", (_, context) => context.Device.CopyToDevice(target, new ReadOnlySpan<byte>(source, (int)bytes)));

    [UnmanagedCallersOnly]
    private static int MemcpyDtoH(void* target, ulong source, nuint bytes) => InContext("cuMemcpyDtoH", (_, context) => context.Device.CopyToHost(new Span<byte>(target, (int)bytes), source));

    [UnmanagedCallersOnly]
    private static int MemcpyHtoDAsync(ulong target, nint source, nuint bytes, nint stream) =>
        InContext("cuMemcpyHtoDAsync", (_, context) => context.Device.CopyToDeviceAsync(target, source, (long)bytes, stream));

    [UnmanagedCallersOnly]
    private static int MemcpyDtoHAsync(nint target, ulong source, nuint bytes, nint stream) =>
        InContext("cuMemcpyDtoHAsync", (_, context) => context.Device.CopyToHostAsync(target, source, (long)bytes, stream));

    [UnmanagedCallersOnly]
    private static int MemcpyDtoDAsync(ulong target, ulong source, nuint bytes, nint stream) =>
        InContext("cuMemcpyDtoDAsync", (_, context) => context.Device.CopyOnDeviceAsync(target, source, (long)bytes, stream));

    [UnmanagedCallersOnly]
    private static int MemsetD32Async(ulong target, uint value, nuint words, nint stream) => InContext("cuMemsetD32Async", (_, context) => context.Device.FillAsync(target, value, (long)words, stream));

    [UnmanagedCallersOnly]
    private static int ModuleLoadDataEx(nint* module, byte* image, uint count, int* options, nint* values) =>
        Create("cuModuleLoadDataEx", HandleKind.Module, module, (stub, context) => stub.LoadModule(context, image, new JitOptions(count, options, values)));

    [UnmanagedCallersOnly]
    private static int LinkCreate(uint count, int* options, nint* values, nint* link) => Create("cuLinkCreate", HandleKind.Link, link, (stub, _) =>
    {
        nint handle = stub.NewHandle();
        stub.links.Add(handle, []);
        return handle;
    });

    [UnmanagedCallersOnly]
    private static int LinkAddData(nint link, int type, byte* data, nuint size, byte* name, uint count, int* options, nint* values) => InContext("cuLinkAddData", (stub, _) =>
    {
        if (type != 1 || data[size - 1] != 0) throw new CudaException("stub", NameOf(CudaResult.InvalidValue), "PTX is text with a zero at its end");
        stub.links[link].Add(Encoding.UTF8.GetString(data, (int)size - 1));
    });

    [UnmanagedCallersOnly]
    private static int LinkComplete(nint link, byte** cubin, nuint* size) => InContext("cuLinkComplete", (stub, context) => stub.CompleteLink(context, link, cubin, size));

    [UnmanagedCallersOnly]
    private static int LinkDestroy(nint link) => Destroy("cuLinkDestroy", HandleKind.Link, link, (stub, _) =>
    {
        stub.links.Remove(link);
        if (stub.images.Remove(link, out nint image)) NativeMemory.Free((void*)image);
    });

    [UnmanagedCallersOnly]
    private static int ModuleUnload(nint module) => Destroy("cuModuleUnload", HandleKind.Module, module, (_, context) => context.Device.UnloadModule(module));

    [UnmanagedCallersOnly]
    private static int ModuleGetFunction(nint* function, nint module, byte* name) =>
        InContext("cuModuleGetFunction", (_, context) => *function = context.Device.GetFunction(module, Marshal.PtrToStringUTF8((nint)name)!));

    [UnmanagedCallersOnly]
    private static int FuncGetAttribute(int* value, int attribute, nint function) => InContext("cuFuncGetAttribute", (_, context) =>
    {
        CudaFunctionAttributes known = context.Device.GetAttributes(function);
        *value = attribute switch
        {
            0 => known.MaxThreadsPerBlock,
            1 => known.StaticSharedBytes,
            3 => known.LocalBytes,
            4 => known.Registers,
            _ => throw new CudaException("stub", NameOf(CudaResult.InvalidValue), $"attribute {attribute}"),
        };
    });

    [UnmanagedCallersOnly]
    private static int FuncSetAttribute(nint function, int attribute, int value) => InContext("cuFuncSetAttribute", (_, context) =>
    {
        if (attribute != 8) throw new CudaException("stub", NameOf(CudaResult.InvalidValue), $"attribute {attribute}");
        context.Device.SetMaxDynamicShared(function, value);
    });

    [UnmanagedCallersOnly]
    private static int OccupancyMaxActiveBlocks(int* blocks, nint function, int threads, nuint sharedBytes) =>
        InContext("cuOccupancyMaxActiveBlocksPerMultiprocessor", (_, context) => *blocks = context.Device.MaxActiveBlocks(function, threads, (int)sharedBytes));

    [UnmanagedCallersOnly]
    private static int LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream, void** parameters, void** extra)
    {
        if (Current.Value is { SkipsLaunches: true } stub) return (int)stub.Enter("cuLaunchKernel");
        return Launch("cuLaunchKernel", function, new Dim3((int)gridX, (int)gridY, (int)gridZ), new Dim3((int)blockX, (int)blockY, (int)blockZ), (int)sharedBytes, stream, false, parameters, extra);
    }

    // Seven numbers, the stream at byte 32, the attributes at 40, how many at 48; an attribute has its number at 0, its value at 8 and 72 bytes.
    [UnmanagedCallersOnly]
    private static int LaunchKernelEx(uint* config, nint function, void** parameters, void** extra)
    {
        int* attribute = ((int**)config)[5];
        bool early = config[12] == 1 && attribute[0] == 6 && attribute[2] == 1;
        return Launch("cuLaunchKernelEx", function, new Dim3((int)config[0], (int)config[1], (int)config[2]), new Dim3((int)config[3], (int)config[4], (int)config[5]), (int)config[6], ((nint*)config)[4], early,
            parameters, extra);
    }

    private static int Launch(string call, nint function, Dim3 grid, Dim3 block, int sharedBytes, nint stream, bool early, void** parameters, void** extra) => InContext(call, (_, context) =>
    {
        // CU_LAUNCH_PARAM_BUFFER_POINTER, _BUFFER_SIZE, _END
        bool isPacked = extra != null && extra[0] == (void*)1 && extra[2] == (void*)2 && extra[4] == null;
        if (parameters != null || (extra != null && !isPacked)) throw new CudaException("stub", NameOf(CudaResult.InvalidValue), "parameters are taken packed only");
        context.Device.Launch(function, grid, block, sharedBytes, stream, isPacked ? new ReadOnlySpan<byte>(extra[1], (int)*(nuint*)extra[3]) : [], early);
    });

    [UnmanagedCallersOnly]
    private static int StreamCreate(nint* stream, uint flags) => Create("cuStreamCreate", HandleKind.Stream, stream, (_, context) => flags == 1 ? context.Device.CreateStream()
        : throw new CudaException("stub", NameOf(CudaResult.InvalidValue), "only streams that do not wait for the default one"));

    [UnmanagedCallersOnly]
    private static int StreamDestroy(nint stream) => Destroy("cuStreamDestroy", HandleKind.Stream, stream, (_, context) => context.Device.DestroyStream(stream));

    [UnmanagedCallersOnly]
    private static int StreamSynchronize(nint stream) => InContext("cuStreamSynchronize", (_, context) => context.Device.SynchronizeStream(stream));

    [UnmanagedCallersOnly]
    private static int StreamWaitEvent(nint stream, nint handle, uint flags) => InContext("cuStreamWaitEvent", (_, context) => context.Device.StreamWaitEvent(stream, handle));

    // Where work is not done lazily nothing can be held back: a device that has no such waits.
    [UnmanagedCallersOnly]
    private static int StreamWaitValue32(nint stream, ulong address, uint value, uint flags) => InContext("cuStreamWaitValue32", (_, context) =>
    {
        if (flags != 0) throw new CudaException("stub", NameOf(CudaResult.InvalidValue), "only waits for at least a value");
        if (!context.Device.StreamWaitHost(stream, (nint)address, value)) throw new CudaException("stub", NameOf(CudaResult.NotSupported), "no waits for memory");
    });

    [UnmanagedCallersOnly]
    private static int StreamBeginCapture(nint stream, int mode) => InContext("cuStreamBeginCapture", (_, context) => context.Device.BeginCapture(stream));

    [UnmanagedCallersOnly]
    private static int StreamIsCapturing(nint stream, int* status) => InContext("cuStreamIsCapturing", (_, context) => *status = context.Device.IsCapturing(stream) ? 1 : 0);

    [UnmanagedCallersOnly]
    private static int StreamEndCapture(nint stream, nint* graph) => Create("cuStreamEndCapture", HandleKind.Recording, graph, (stub, context) =>
    {
        nint handle = stub.NewHandle();
        stub.graphs.Add(handle, context.Device.EndCapture(stream));
        return handle;
    });

    [UnmanagedCallersOnly]
    private static int EventCreate(nint* handle, uint flags) => Create("cuEventCreate", HandleKind.Event, handle, (_, context) => context.Device.CreateEvent());

    [UnmanagedCallersOnly]
    private static int EventDestroy(nint handle) => Destroy("cuEventDestroy", HandleKind.Event, handle, (_, context) => context.Device.DestroyEvent(handle));

    [UnmanagedCallersOnly]
    private static int EventRecord(nint handle, nint stream) => InContext("cuEventRecord", (stub, context) =>
    {
        context.Device.RecordEvent(handle, stream);
        stub.eventTimes[handle] = ++stub.clock;
    });

    [UnmanagedCallersOnly]
    private static int EventSynchronize(nint handle) => InContext("cuEventSynchronize", (_, context) => context.Device.SynchronizeEvent(handle));

    // A millisecond from each recorded event to the next.
    [UnmanagedCallersOnly]
    private static int EventElapsedTime(float* milliseconds, nint start, nint stop) => InContext("cuEventElapsedTime", (stub, context) =>
    {
        context.Device.Elapsed(start, stop);
        *milliseconds = stub.eventTimes[stop] - stub.eventTimes[start];
    });

    [UnmanagedCallersOnly]
    private static int GraphInstantiate(nint* executable, nint recording, ulong flags) => Create("cuGraphInstantiateWithFlags", HandleKind.Graph, executable, (stub, _) =>
    {
        nint handle = stub.NewHandle();
        stub.graphs.Add(handle, stub.graphs[recording]);
        return handle;
    });

    [UnmanagedCallersOnly]
    private static int GraphLaunch(nint graph, nint stream) => InContext("cuGraphLaunch", (stub, context) => context.Device.LaunchGraph(stub.graphs.GetValueOrDefault(graph), stream));

    [UnmanagedCallersOnly]
    private static int GraphExecDestroy(nint graph) => Destroy("cuGraphExecDestroy", HandleKind.Graph, graph, (stub, context) => stub.ForgetGraph(context, graph));

    [UnmanagedCallersOnly]
    private static int GraphDestroy(nint recording) => Destroy("cuGraphDestroy", HandleKind.Recording, recording, (stub, context) => stub.ForgetGraph(context, recording));

    [UnmanagedCallersOnly]
    private static int ProfilerStart() => InContext("cuProfilerStart", (_, _) => { });

    [UnmanagedCallersOnly]
    private static int ProfilerStop() => InContext("cuProfilerStop", (_, _) => { });

    [UnmanagedCallersOnly]
    private static int RangePush(byte* name)
    {
        if (Current.Value is not { } stub) return -1;
        stub.Ranges.Add(Marshal.PtrToStringUTF8((nint)name)!);
        return stub.openRanges++;
    }

    [UnmanagedCallersOnly]
    private static int RangePop() => Current.Value is { openRanges: > 0 } stub ? --stub.openRanges : -2;

    private static int OfDevice(string function, int device, Action<StubCuda> action) => Call(function, stub =>
    {
        if (device < 0 || device >= stub.DeviceCount) return CudaResult.InvalidDevice;
        action(stub);
        return CudaResult.Success;
    });

    private static void Copy(string text, byte* target, int length)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text + '\0');
        bytes.AsSpan(0, Math.Min(length, bytes.Length)).CopyTo(new Span<byte>(target, length));
    }
}
