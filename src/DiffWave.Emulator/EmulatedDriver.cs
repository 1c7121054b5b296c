using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Memory;
using DiffWave.Emulator.Reports;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator;

/// <summary>
/// A device that executes PTX on the CPU and checks it like a sanitizer. It proves what kernels compute, never how fast. What is queued on a stream is executed at once, unless the
/// stream is being captured; a finding is thrown by the call that queued it. <see cref="EmulatorOptions.Lazy"/> is the other extreme: as late as CUDA allows.
/// </summary>
public sealed unsafe partial class EmulatedDriver : ICudaDriver
{
    private const int DefaultDynamicShared = 48 << 10;

    private readonly EmulatorOptions options;
    private readonly DeviceMemory memory;
    private readonly Dictionary<nint, long> hostBlocks = [];
    private readonly Dictionary<nint, LoadedModule> modules = [];
    private readonly Dictionary<nint, LoadedFunction> functions = [];
    private readonly List<LaunchReport> reports = [];
    private nint lastHandle = 0x1000;

    /// <summary>A device with nothing on it.</summary>
    /// <param name="options">Choices; null: the defaults.</param>
    /// <exception cref="ArgumentException">Unknown architecture.</exception>
    public EmulatedDriver(EmulatorOptions? options = null)
    {
        this.options = options ?? new EmulatorOptions();
        memory = new DeviceMemory(this.options.MemoryBytes);
        Device = DeviceTable.Describe(this.options);
        streams.Add(0, new StreamState());
    }

    /// <inheritdoc/>
    public string Description => "emulator";

    /// <inheritdoc/>
    public string DeviceText => $"emulator (sm_{Device.Sm}, for checking)";

    /// <inheritdoc/>
    public CudaDeviceInfo Device { get; }

    /// <summary>Reports of the launches so far, in order; empty without <see cref="EmulatorOptions.Reports"/>.</summary>
    public IReadOnlyList<LaunchReport> Reports => reports;

    /// <summary>Forgets the reports.</summary>
    public void ClearReports() => reports.Clear();

    /// <inheritdoc/>
    public (long Free, long Total) MemoryInfo() => (memory.Capacity - memory.Used, memory.Capacity);

    /// <inheritdoc/>
    public ulong Allocate(long bytes)
    {
        RefuseInCapture("cuMemAlloc");
        return memory.Allocate(bytes).Address;
    }

    /// <inheritdoc/>
    public void Free(ulong address)
    {
        RefuseInCapture("cuMemFree");
        memory.Free(address);
    }

    /// <inheritdoc/>
    public void DeclareUsed(ulong address, long bytes, nint stream) => Queue("DeclareUsed", stream, () => memory.DeclareUsed(address, bytes), orders: false);

    /// <inheritdoc/>
    public nint AllocateHost(long bytes)
    {
        if (bytes < 1) throw new CudaException($"cuMemAllocHost({bytes} bytes)", "CUDA_ERROR_INVALID_VALUE", "at least one byte");
        nint place = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
        hostBlocks.Add(place, bytes);
        return place;
    }

    /// <inheritdoc/>
    public void FreeHost(nint address)
    {
        if (!hostBlocks.Remove(address)) throw new CudaException($"cuMemFreeHost(0x{address:x})", "CUDA_ERROR_INVALID_VALUE", "no page-locked memory starts there");
        NativeMemory.AlignedFree((void*)address);
    }

    /// <inheritdoc/>
    public void CopyToDevice(ulong target, ReadOnlySpan<byte> source)
    {
        RefuseInCapture("cuMemcpyHtoD");
        if (source.IsEmpty) return;
        RunQueued(0);
        fixed (byte* bytes = source) CopyIn("cuMemcpyHtoD", target, bytes, source.Length);
    }

    /// <inheritdoc/>
    public void CopyToHost(Span<byte> target, ulong source)
    {
        RefuseInCapture("cuMemcpyDtoH");
        if (target.IsEmpty) return;
        RunQueued(0);
        fixed (byte* bytes = target) CopyOut("cuMemcpyDtoH", bytes, source, target.Length);
    }

    /// <inheritdoc/>
    public void CopyToDeviceAsync(ulong target, nint source, long bytes, nint stream)
    {
        CheckHost("cuMemcpyHtoDAsync", source, bytes);
        Queue("cuMemcpyHtoDAsync", stream, () => CopyIn("cuMemcpyHtoDAsync", target, (byte*)source, bytes));
    }

    /// <inheritdoc/>
    public void CopyToHostAsync(nint target, ulong source, long bytes, nint stream)
    {
        CheckHost("cuMemcpyDtoHAsync", target, bytes);
        Queue("cuMemcpyDtoHAsync", stream, () => CopyOut("cuMemcpyDtoHAsync", (byte*)target, source, bytes));
    }

    /// <inheritdoc/>
    public void CopyOnDeviceAsync(ulong target, ulong source, long bytes, nint stream) => Queue("cuMemcpyDtoDAsync", stream, () =>
    {
        if (bytes == 0) return;
        Allocation from = memory.Range("cuMemcpyDtoDAsync", source, bytes), to = memory.Range("cuMemcpyDtoDAsync", target, bytes);
        ulong fromOffset = source - from.Address, toOffset = target - to.Address;
        Buffer.MemoryCopy(from.Data + fromOffset, to.Data + toOffset, bytes, bytes);
        if (from.IsInitialised) DeviceMemory.MarkWritten(to, target, bytes);
        else
        {
            // What nobody has written stays so in the copy.
            if (to.IsInitialised)
            {
                NativeMemory.Fill(to.Shadow, (nuint)to.Bytes, 255);
                to.IsInitialised = false;
            }
            Buffer.MemoryCopy(from.Shadow + fromOffset, to.Shadow + toOffset, bytes, bytes);
        }
    });

    /// <inheritdoc/>
    public void FillAsync(ulong target, uint value, long words, nint stream)
    {
        if (target % 4 != 0) throw new CudaException($"cuMemsetD32Async(0x{target:x})", "CUDA_ERROR_INVALID_VALUE", "the address must be a multiple of 4");
        Queue("cuMemsetD32Async", stream, () =>
        {
            if (words == 0) return;
            Allocation allocation = memory.Range("cuMemsetD32Async", target, 4 * words);
            uint* place = (uint*)(allocation.Data + (target - allocation.Address));
            for (long done = 0; done < words; done += 1 << 28) new Span<uint>(place + done, (int)Math.Min(words - done, 1 << 28)).Fill(value);
            DeviceMemory.MarkWritten(allocation, target, 4 * words);
        });
    }

    /// <summary>Does nothing: the emulator's reports are by launch.</summary>
    public void PushRange(string name)
    {
    }

    /// <summary>Does nothing.</summary>
    public void PopRange()
    {
    }

    /// <summary>Does nothing: <see cref="EmulatorOptions.Reports"/> says whether there are reports.</summary>
    public void StartProfiler()
    {
    }

    /// <summary>Does nothing.</summary>
    public void StopProfiler()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LoadedModule module in modules.Values) module.Dispose();
        modules.Clear();
        foreach (nint place in hostBlocks.Keys) NativeMemory.AlignedFree((void*)place);
        hostBlocks.Clear();
        foreach (StreamState stream in streams.Values) stream.Last?.Dispose();
        memory.Dispose();
    }

    private void CopyIn(string call, ulong target, byte* source, long bytes)
    {
        if (bytes == 0) return;
        Allocation allocation = memory.Range(call, target, bytes);
        Buffer.MemoryCopy(source, allocation.Data + (target - allocation.Address), bytes, bytes);
        DeviceMemory.MarkWritten(allocation, target, bytes);
    }

    private void CopyOut(string call, byte* target, ulong source, long bytes)
    {
        if (bytes == 0) return;
        Allocation allocation = memory.Range(call, source, bytes);
        if (options.Checks && DeviceMemory.FirstUnwritten(allocation, source, bytes) is var offset and >= 0)
            throw new CudaException(call, "emulator check failed",
                $"byte {offset} of the {bytes} at 0x{source:x} (offset {source - allocation.Address} of {allocation}) has never been written");
        Buffer.MemoryCopy(allocation.Data + (source - allocation.Address), target, bytes, bytes);
    }

    private void CheckHost(string call, nint address, long bytes)
    {
        foreach ((nint start, long size) in hostBlocks)
            if (address >= start && address + bytes <= start + size) return;
        throw new CudaException(call, "CUDA_ERROR_INVALID_VALUE", $"the {bytes} bytes at 0x{address:x} of the host are not page-locked", "use AllocateHost");
    }

    private nint NewHandle() => lastHandle += 8;
}
