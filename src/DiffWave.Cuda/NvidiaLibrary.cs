using System.Runtime.InteropServices;

namespace DiffWave.Cuda;

/// <summary>The driver's library: its entry points by their names in cuda.h, so that an absent library or one without some of them is an ordinary answer.</summary>
internal sealed unsafe class NvidiaLibrary
{
    /// <summary>Oldest driver that will do, as the driver counts: CUDA 11.8, the first for sm_90.</summary>
    public const int MinimumVersion = 11080;

    private readonly Func<string, nint> find;

    private NvidiaLibrary(Func<string, nint> find)
    {
        this.find = find;
        // First, so that any failure below can be told by name.
        GetErrorName = (delegate* unmanaged<int, byte**, int>)Export("cuGetErrorName");
        GetErrorString = (delegate* unmanaged<int, byte**, int>)Export("cuGetErrorString");
        Init = (delegate* unmanaged<uint, int>)Export("cuInit");
        DriverGetVersion = (delegate* unmanaged<int*, int>)Export("cuDriverGetVersion");
        DeviceGetCount = (delegate* unmanaged<int*, int>)Export("cuDeviceGetCount");
        DeviceGet = (delegate* unmanaged<int*, int, int>)Export("cuDeviceGet");
        DeviceGetName = (delegate* unmanaged<byte*, int, int, int>)Export("cuDeviceGetName");
        DeviceTotalMem = (delegate* unmanaged<nuint*, int, int>)Export("cuDeviceTotalMem_v2");
        DeviceGetAttribute = (delegate* unmanaged<int*, int, int, int>)Export("cuDeviceGetAttribute");
        DeviceGetPciBusId = (delegate* unmanaged<byte*, int, int, int>)Export("cuDeviceGetPCIBusId");
        DevicePrimaryCtxRetain = (delegate* unmanaged<nint*, int, int>)Export("cuDevicePrimaryCtxRetain");
        DevicePrimaryCtxRelease = (delegate* unmanaged<int, int>)Export("cuDevicePrimaryCtxRelease_v2");
        CtxSetCurrent = (delegate* unmanaged<nint, int>)Export("cuCtxSetCurrent");
        CtxSynchronize = (delegate* unmanaged<int>)Export("cuCtxSynchronize");
        MemGetInfo = (delegate* unmanaged<nuint*, nuint*, int>)Export("cuMemGetInfo_v2");
        MemAlloc = (delegate* unmanaged<ulong*, nuint, int>)Export("cuMemAlloc_v2");
        MemFree = (delegate* unmanaged<ulong, int>)Export("cuMemFree_v2");
        MemAllocHost = (delegate* unmanaged<nint*, nuint, int>)Export("cuMemAllocHost_v2");
        MemFreeHost = (delegate* unmanaged<nint, int>)Export("cuMemFreeHost");
        MemcpyHtoD = (delegate* unmanaged<ulong, void*, nuint, int>)Export("cuMemcpyHtoD_v2");
        MemcpyDtoH = (delegate* unmanaged<void*, ulong, nuint, int>)Export("cuMemcpyDtoH_v2");
        MemcpyHtoDAsync = (delegate* unmanaged<ulong, nint, nuint, nint, int>)Export("cuMemcpyHtoDAsync_v2");
        MemcpyDtoHAsync = (delegate* unmanaged<nint, ulong, nuint, nint, int>)Export("cuMemcpyDtoHAsync_v2");
        MemcpyDtoDAsync = (delegate* unmanaged<ulong, ulong, nuint, nint, int>)Export("cuMemcpyDtoDAsync_v2");
        MemsetD32Async = (delegate* unmanaged<ulong, uint, nuint, nint, int>)Export("cuMemsetD32Async");
        ModuleLoadDataEx = (delegate* unmanaged<nint*, byte*, uint, int*, nint*, int>)Export("cuModuleLoadDataEx");
        LinkCreate = (delegate* unmanaged<uint, int*, nint*, nint*, int>)Export("cuLinkCreate_v2");
        LinkAddData = (delegate* unmanaged<nint, int, byte*, nuint, byte*, uint, int*, nint*, int>)Export("cuLinkAddData_v2");
        LinkComplete = (delegate* unmanaged<nint, byte**, nuint*, int>)Export("cuLinkComplete");
        LinkDestroy = (delegate* unmanaged<nint, int>)Export("cuLinkDestroy");
        ModuleUnload = (delegate* unmanaged<nint, int>)Export("cuModuleUnload");
        ModuleGetFunction = (delegate* unmanaged<nint*, nint, byte*, int>)Export("cuModuleGetFunction");
        FuncGetAttribute = (delegate* unmanaged<int*, int, nint, int>)Export("cuFuncGetAttribute");
        FuncSetAttribute = (delegate* unmanaged<nint, int, int, int>)Export("cuFuncSetAttribute");
        OccupancyMaxActiveBlocks = (delegate* unmanaged<int*, nint, int, nuint, int>)Export("cuOccupancyMaxActiveBlocksPerMultiprocessor");
        LaunchKernel = (delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)Export("cuLaunchKernel");
        LaunchKernelEx = (delegate* unmanaged<LaunchConfig*, nint, void**, void**, int>)Export("cuLaunchKernelEx");
        StreamCreate = (delegate* unmanaged<nint*, uint, int>)Export("cuStreamCreate");
        StreamDestroy = (delegate* unmanaged<nint, int>)Export("cuStreamDestroy_v2");
        StreamSynchronize = (delegate* unmanaged<nint, int>)Export("cuStreamSynchronize");
        StreamWaitEvent = (delegate* unmanaged<nint, nint, uint, int>)Export("cuStreamWaitEvent");
        StreamBeginCapture = (delegate* unmanaged<nint, int, int>)Export("cuStreamBeginCapture_v2");
        StreamIsCapturing = (delegate* unmanaged<nint, int*, int>)Export("cuStreamIsCapturing");
        StreamEndCapture = (delegate* unmanaged<nint, nint*, int>)Export("cuStreamEndCapture");
        EventCreate = (delegate* unmanaged<nint*, uint, int>)Export("cuEventCreate");
        EventDestroy = (delegate* unmanaged<nint, int>)Export("cuEventDestroy_v2");
        EventRecord = (delegate* unmanaged<nint, nint, int>)Export("cuEventRecord");
        EventSynchronize = (delegate* unmanaged<nint, int>)Export("cuEventSynchronize");
        EventElapsedTime = (delegate* unmanaged<float*, nint, nint, int>)Export("cuEventElapsedTime");
        GraphInstantiate = (delegate* unmanaged<nint*, nint, ulong, int>)Export("cuGraphInstantiateWithFlags");
        GraphLaunch = (delegate* unmanaged<nint, nint, int>)Export("cuGraphLaunch");
        GraphExecDestroy = (delegate* unmanaged<nint, int>)Export("cuGraphExecDestroy");
        GraphDestroy = (delegate* unmanaged<nint, int>)Export("cuGraphDestroy");
        ProfilerStart = (delegate* unmanaged<int>)Export("cuProfilerStart");
        ProfilerStop = (delegate* unmanaged<int>)Export("cuProfilerStop");
        // Only this version of it is always switched on; the first one had to be asked for when the driver's module was loaded.
        StreamWaitValue = (delegate* unmanaged<nint, ulong, uint, uint, int>)find("cuStreamWaitValue32_v2");
    }

    /// <summary>The driver's version as it counts: CUDA 12.4 is 12040.</summary>
    public int Version { get; private set; }

    // The driver's signatures: 64-bit device addresses, sizes of the machine's width, handles as pointers, enumerations as int; the result 0 is success.
    public readonly delegate* unmanaged<int, byte**, int> GetErrorName, GetErrorString;
    public readonly delegate* unmanaged<uint, int> Init;
    public readonly delegate* unmanaged<int*, int> DriverGetVersion, DeviceGetCount;
    public readonly delegate* unmanaged<int*, int, int> DeviceGet;
    public readonly delegate* unmanaged<byte*, int, int, int> DeviceGetName, DeviceGetPciBusId;
    public readonly delegate* unmanaged<nuint*, int, int> DeviceTotalMem;
    public readonly delegate* unmanaged<int*, int, int, int> DeviceGetAttribute;
    public readonly delegate* unmanaged<nint*, int, int> DevicePrimaryCtxRetain;
    public readonly delegate* unmanaged<int, int> DevicePrimaryCtxRelease;
    public readonly delegate* unmanaged<nint, int> CtxSetCurrent;
    public readonly delegate* unmanaged<int> CtxSynchronize, ProfilerStart, ProfilerStop;
    public readonly delegate* unmanaged<nuint*, nuint*, int> MemGetInfo;
    public readonly delegate* unmanaged<ulong*, nuint, int> MemAlloc;
    public readonly delegate* unmanaged<ulong, int> MemFree;
    public readonly delegate* unmanaged<nint*, nuint, int> MemAllocHost;
    public readonly delegate* unmanaged<nint, int> MemFreeHost;
    public readonly delegate* unmanaged<ulong, void*, nuint, int> MemcpyHtoD;
    public readonly delegate* unmanaged<void*, ulong, nuint, int> MemcpyDtoH;
    public readonly delegate* unmanaged<ulong, nint, nuint, nint, int> MemcpyHtoDAsync;
    public readonly delegate* unmanaged<nint, ulong, nuint, nint, int> MemcpyDtoHAsync;
    public readonly delegate* unmanaged<ulong, ulong, nuint, nint, int> MemcpyDtoDAsync;
    public readonly delegate* unmanaged<ulong, uint, nuint, nint, int> MemsetD32Async;
    public readonly delegate* unmanaged<nint*, byte*, uint, int*, nint*, int> ModuleLoadDataEx;
    public readonly delegate* unmanaged<uint, int*, nint*, nint*, int> LinkCreate;
    public readonly delegate* unmanaged<nint, int, byte*, nuint, byte*, uint, int*, nint*, int> LinkAddData;
    public readonly delegate* unmanaged<nint, byte**, nuint*, int> LinkComplete;
    public readonly delegate* unmanaged<nint, int> ModuleUnload, LinkDestroy;
    public readonly delegate* unmanaged<nint*, nint, byte*, int> ModuleGetFunction;
    public readonly delegate* unmanaged<int*, int, nint, int> FuncGetAttribute;
    public readonly delegate* unmanaged<nint, int, int, int> FuncSetAttribute;
    public readonly delegate* unmanaged<int*, nint, int, nuint, int> OccupancyMaxActiveBlocks;
    public readonly delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int> LaunchKernel;
    public readonly delegate* unmanaged<LaunchConfig*, nint, void**, void**, int> LaunchKernelEx;
    public readonly delegate* unmanaged<nint*, uint, int> StreamCreate, EventCreate;
    public readonly delegate* unmanaged<nint, int> StreamDestroy, StreamSynchronize, EventDestroy, EventSynchronize, GraphExecDestroy, GraphDestroy;
    public readonly delegate* unmanaged<nint, nint, uint, int> StreamWaitEvent;
    public readonly delegate* unmanaged<nint, int, int> StreamBeginCapture;

    /// <summary>Null where the driver does not have it: nothing that is shipped needs it, only measuring does.</summary>
    public readonly delegate* unmanaged<nint, ulong, uint, uint, int> StreamWaitValue;

    public readonly delegate* unmanaged<nint, int*, int> StreamIsCapturing;
    public readonly delegate* unmanaged<nint, nint*, int> StreamEndCapture;
    public readonly delegate* unmanaged<nint, nint, int> EventRecord, GraphLaunch;
    public readonly delegate* unmanaged<float*, nint, nint, int> EventElapsedTime;
    public readonly delegate* unmanaged<nint*, nint, ulong, int> GraphInstantiate;

    /// <summary>The driver's CUlaunchConfig.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct LaunchConfig
    {
        public uint GridX, GridY, GridZ, BlockX, BlockY, BlockZ, SharedBytes;
        public nint Stream;
        public LaunchAttribute* Attributes;
        public uint AttributeCount;
    }

    /// <summary>The driver's CUlaunchAttribute: a number that says which, and a union of 64 bytes behind 8.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 72)]
    public struct LaunchAttribute
    {
        /// <summary>CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: its value is 1 where the kernel may begin before the one ahead of it in the stream has ended.</summary>
        public const int ProgrammaticStreamSerialization = 6;

        [FieldOffset(0)]
        public int Id;

        [FieldOffset(8)]
        public int Value;
    }

    /// <summary>Names of the library on this system.</summary>
    public static string[] Names => OperatingSystem.IsWindows() ? ["nvcuda.dll"] : ["libcuda.so.1"];

    /// <summary>Loads and initialises the driver.</summary>
    /// <param name="names">Names of the library to try in order.</param>
    /// <exception cref="CudaException">There is no driver, it is too old, or it refuses to start; the text says which.</exception>
    public static NvidiaLibrary Load(string[] names)
    {
        Func<string, nint> find = names.Select(NativeFunctions.Open).FirstOrDefault(found => found is not null)
            ?? throw new CudaException($"load {string.Join(" or ", names)}", "no NVIDIA driver",
                "the library of the NVIDIA driver is not on this machine", "install the driver of the GPU, or use another device");
        var library = new NvidiaLibrary(find);
        int version = 0;
        library.Check(library.DriverGetVersion(&version), $"cuDriverGetVersion");
        if (version < MinimumVersion)
            throw new CudaException("cuDriverGetVersion", "driver too old", $"the driver knows CUDA {VersionText(version)} and {VersionText(MinimumVersion)} is needed", CudaErrors.UpdateDriver);
        library.Version = version;
        library.Check(library.Init(0), $"cuInit");
        return library;
    }

    /// <summary>A version as people write it, e.g. 12.4 for 12040.</summary>
    public static string VersionText(int version) => $"{version / 1000}.{version % 1000 / 10}";

    /// <summary>Throws when a call failed.</summary>
    /// <param name="result">What the driver returned.</param>
    /// <param name="call">The call with its sizes; put together only when it failed.</param>
    /// <param name="log">What a compiler said.</param>
    /// <exception cref="CudaException">The result is not 0.</exception>
    public void Check(int result, [System.Runtime.CompilerServices.InterpolatedStringHandlerArgument(nameof(result))] ref CallText call, string log = "")
    {
        if (result == 0) return;
        byte* name = null, text = null;
        // Of an error the driver itself does not know, both give null.
        if (GetErrorName(result, &name) != 0) name = null;
        if (GetErrorString(result, &text) != 0) text = null;
        string error = name == null ? $"CUDA error {result}" : Marshal.PtrToStringUTF8((nint)name)!;
        string said = text == null ? "unknown to this driver" : Marshal.PtrToStringUTF8((nint)text)!;
        throw new CudaException(call.ToString(), error, log.Length == 0 ? said : $"{said}\n{log}", CudaErrors.Fix(error));
    }

    private nint Export(string name) => find(name) is not 0 and var address ? address
        : throw new CudaException($"find {name} in the driver", "driver too old", $"the driver has no {name}; CUDA {VersionText(MinimumVersion)} or newer is needed", CudaErrors.UpdateDriver);
}
