using System.Text;

namespace DiffWave.Cuda;

/// <summary>The NVIDIA driver: one GPU through its primary context. Absence is told by <see cref="Devices(out string?)"/> and by the exception of <see cref="Open"/>.</summary>
public sealed unsafe partial class NvidiaDriver : ICudaDriver
{
    private readonly NvidiaLibrary api;
    private readonly Nvtx? nvtx = Nvtx.Open();
    private readonly int device;
    private nint context;

    private NvidiaDriver(NvidiaLibrary api, int device, nint context, CudaDeviceInfo info) => (this.api, this.device, this.context, Device) = (api, device, context, info);

    /// <inheritdoc/>
    public string Description => $"NVIDIA driver for CUDA {NvidiaLibrary.VersionText(api.Version)}";

    /// <inheritdoc/>
    public string DeviceText => $"cuda:{device} ({Device.Name}, sm_{Device.Sm}, driver {NvidiaLibrary.VersionText(api.Version)})";

    /// <inheritdoc/>
    public CudaDeviceInfo Device { get; }

    /// <summary>Opens a GPU.</summary>
    /// <param name="device">Its number as the driver counts, from 0.</param>
    /// <exception cref="CudaException">There is no driver, it is too old, or it has no such GPU; the text says what to do.</exception>
    public static NvidiaDriver Open(int device = 0)
    {
        var api = NvidiaLibrary.Load(NvidiaLibrary.Names);
        int count = Count(api);
        if (device < 0 || device >= count)
        {
            string error = count == 0 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_INVALID_DEVICE";
            throw new CudaException($"cuDeviceGet({device})", error, $"the driver shows {count} GPU{(count == 1 ? "" : "s")}", CudaErrors.Fix(error));
        }
        int handle = 0;
        api.Check(api.DeviceGet(&handle, device), $"cuDeviceGet({device})");
        var info = Info(api, handle);
        nint context = 0;
        api.Check(api.DevicePrimaryCtxRetain(&context, handle), $"cuDevicePrimaryCtxRetain({info.Name})");
        return new NvidiaDriver(api, handle, context, info);
    }

    /// <summary>The GPUs the driver shows, by number. Without a usable driver or GPU the list is empty.</summary>
    /// <param name="whyNone">Why the list is empty, or null.</param>
    public static IReadOnlyList<CudaDeviceInfo> Devices(out string? whyNone) => Devices(NvidiaLibrary.Names, out whyNone);

    /// <summary>The same of a library of another name.</summary>
    internal static IReadOnlyList<CudaDeviceInfo> Devices(string[] libraryNames, out string? whyNone)
    {
        try
        {
            var api = NvidiaLibrary.Load(libraryNames);
            var devices = new CudaDeviceInfo[Count(api)];
            for (int i = 0; i < devices.Length; i++)
            {
                int handle = 0;
                api.Check(api.DeviceGet(&handle, i), $"cuDeviceGet({i})");
                devices[i] = Info(api, handle);
            }
            whyNone = devices.Length == 0 ? "the driver shows no GPU" : null;
            return devices;
        }
        catch (CudaException e)
        {
            whyNone = e.Message;
            return [];
        }
    }

    /// <inheritdoc/>
    public (long Free, long Total) MemoryInfo()
    {
        Use();
        nuint free = 0, total = 0;
        api.Check(api.MemGetInfo(&free, &total), $"cuMemGetInfo");
        return ((long)free, (long)total);
    }

    /// <inheritdoc/>
    public ulong Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        Use();
        ulong address = 0;
        int result = api.MemAlloc(&address, (nuint)bytes);
        api.Check(result, $"cuMemAlloc({bytes} bytes)", result == 0 ? "" : FreeText());
        return address;
    }

    /// <inheritdoc/>
    public void Free(ulong address)
    {
        UseToRelease();
        api.Check(api.MemFree(address), $"cuMemFree(0x{address:x})");
    }

    /// <summary>Does nothing: the hardware does not check.</summary>
    public void DeclareUsed(ulong address, long bytes, nint stream)
    {
    }

    /// <inheritdoc/>
    public nint AllocateHost(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        Use();
        nint address = 0;
        api.Check(api.MemAllocHost(&address, (nuint)bytes), $"cuMemAllocHost({bytes} bytes of page-locked host memory)");
        return address;
    }

    /// <inheritdoc/>
    public void FreeHost(nint address)
    {
        UseToRelease();
        api.Check(api.MemFreeHost(address), $"cuMemFreeHost(0x{address:x})");
    }

    /// <inheritdoc/>
    public void CopyToDevice(ulong target, ReadOnlySpan<byte> source)
    {
        if (source.IsEmpty) return;
        Use();
        fixed (byte* from = source) api.Check(api.MemcpyHtoD(target, from, (nuint)source.Length), $"cuMemcpyHtoD(0x{target:x}, {source.Length} bytes)");
        // From ordinary memory the call may return when the values are in the driver's own buffer, and streams that do not wait for the default one would not see them.
        api.Check(api.StreamSynchronize(0), $"cuStreamSynchronize (after cuMemcpyHtoD)");
    }

    /// <inheritdoc/>
    public void CopyToHost(Span<byte> target, ulong source)
    {
        if (target.IsEmpty) return;
        Use();
        fixed (byte* to = target) api.Check(api.MemcpyDtoH(to, source, (nuint)target.Length), $"cuMemcpyDtoH(0x{source:x}, {target.Length} bytes)");
    }

    /// <inheritdoc/>
    public void CopyToDeviceAsync(ulong target, nint source, long bytes, nint stream)
    {
        if (Nothing(bytes)) return;
        api.Check(api.MemcpyHtoDAsync(target, source, (nuint)bytes, stream), $"cuMemcpyHtoDAsync(0x{target:x}, {bytes} bytes)");
    }

    /// <inheritdoc/>
    public void CopyToHostAsync(nint target, ulong source, long bytes, nint stream)
    {
        if (Nothing(bytes)) return;
        api.Check(api.MemcpyDtoHAsync(target, source, (nuint)bytes, stream), $"cuMemcpyDtoHAsync(0x{source:x}, {bytes} bytes)");
    }

    /// <inheritdoc/>
    public void CopyOnDeviceAsync(ulong target, ulong source, long bytes, nint stream)
    {
        if (Nothing(bytes)) return;
        api.Check(api.MemcpyDtoDAsync(target, source, (nuint)bytes, stream), $"cuMemcpyDtoDAsync(0x{target:x}, 0x{source:x}, {bytes} bytes)");
    }

    /// <inheritdoc/>
    public void FillAsync(ulong target, uint value, long words, nint stream)
    {
        if (Nothing(words)) return;
        api.Check(api.MemsetD32Async(target, value, (nuint)words, stream), $"cuMemsetD32Async(0x{target:x}, {words} words)");
    }

    /// <summary>Gives the context back. Everything made by this driver is gone with it unless another user of the GPU in this process holds the context too.</summary>
    public void Dispose()
    {
        if (context == 0) return;
        context = 0;
        // Nothing can be done about a failure here, and an exception would hide the one that led here.
        _ = api.CtxSetCurrent(0);
        _ = api.DevicePrimaryCtxRelease(device);
    }

    // The driver keeps a current context per thread.
    private void Use()
    {
        ObjectDisposedException.ThrowIf(context == 0, this);
        api.Check(api.CtxSetCurrent(context), $"cuCtxSetCurrent");
    }

    // Mostly the context is the current one already: what is to be given back is not kept because this fails.
    private void UseToRelease()
    {
        ObjectDisposedException.ThrowIf(context == 0, this);
        _ = api.CtxSetCurrent(context);
    }

    private bool Nothing(long amount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(amount);
        if (amount == 0) return true;
        Use();
        return false;
    }

    private string FreeText()
    {
        nuint free = 0, total = 0;
        return api.MemGetInfo(&free, &total) == 0 ? $"{free} of {total} bytes are free" : "";
    }

    private static int Count(NvidiaLibrary api)
    {
        int count = 0;
        api.Check(api.DeviceGetCount(&count), $"cuDeviceGetCount");
        return count;
    }

    private static CudaDeviceInfo Info(NvidiaLibrary api, int handle)
    {
        int Needed(int attribute)
        {
            int value = 0;
            api.Check(api.DeviceGetAttribute(&value, attribute, handle), $"cuDeviceGetAttribute({attribute})");
            return value;
        }
        int OrZero(int attribute)
        {
            int value = 0;
            return api.DeviceGetAttribute(&value, attribute, handle) == 0 ? value : 0;
        }
        byte* name = stackalloc byte[256];
        api.Check(api.DeviceGetName(name, 256, handle), $"cuDeviceGetName");
        byte* bus = stackalloc byte[64];
        if (api.DeviceGetPciBusId(bus, 64, handle) != 0) *bus = 0;
        nuint memory = 0;
        api.Check(api.DeviceTotalMem(&memory, handle), $"cuDeviceTotalMem");
        // Numbers of CUdevice_attribute.
        return new CudaDeviceInfo
        {
            Name = Text(name),
            Sm = Needed(75) * 10 + Needed(76),
            Multiprocessors = Needed(16),
            PciBusId = Text(bus),
            MemoryBytes = (long)memory,
            SharedBytesPerBlock = Needed(97),
            ClockKilohertz = OrZero(13),
            MemoryClockKilohertz = OrZero(36),
            MemoryBusBits = OrZero(37),
            L2Bytes = OrZero(38),
            SharedBytesPerMultiprocessor = OrZero(81),
            RegistersPerMultiprocessor = OrZero(82),
            ThreadsPerMultiprocessor = OrZero(39),
        };
    }

    private static string Text(byte* text) => Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}
