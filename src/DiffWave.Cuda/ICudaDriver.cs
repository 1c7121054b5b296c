namespace DiffWave.Cuda;

/// <summary>Blocks of a grid, or threads of a block, along each axis.</summary>
/// <param name="X">Along x, at least 1.</param>
/// <param name="Y">Along y.</param>
/// <param name="Z">Along z.</param>
public readonly record struct Dim3(int X, int Y = 1, int Z = 1)
{
    /// <summary>Product of the three.</summary>
    public long Size => (long)X * Y * Z;

    /// <inheritdoc/>
    public override string ToString() => Z != 1 ? $"{X} x {Y} x {Z}" : Y != 1 ? $"{X} x {Y}" : $"{X}";
}

/// <summary>What a device is and how much it holds.</summary>
public sealed record CudaDeviceInfo
{
    /// <summary>Name as the driver gives it.</summary>
    public required string Name { get; init; }

    /// <summary>Where it is on the bus as nvidia-smi writes it, e.g. 0000:3b:00.0; empty when unknown.</summary>
    public string PciBusId { get; init; } = "";

    /// <summary>Architecture, e.g. 90 for compute capability 9.0.</summary>
    public required int Sm { get; init; }

    /// <summary>Streaming multiprocessors.</summary>
    public required int Multiprocessors { get; init; }

    /// <summary>Clock of the multiprocessors in kHz, 0 when unknown.</summary>
    public int ClockKilohertz { get; init; }

    /// <summary>Clock of the memory in kHz, 0 when unknown.</summary>
    public int MemoryClockKilohertz { get; init; }

    /// <summary>Width of the memory bus in bits, 0 when unknown.</summary>
    public int MemoryBusBits { get; init; }

    /// <summary>Bytes of device memory.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Bytes of L2 cache, 0 when unknown.</summary>
    public int L2Bytes { get; init; }

    /// <summary>Bytes of shared memory a block may have after asking for it.</summary>
    public required int SharedBytesPerBlock { get; init; }

    /// <summary>Bytes of shared memory of one multiprocessor.</summary>
    public int SharedBytesPerMultiprocessor { get; init; }

    /// <summary>32-bit registers of one multiprocessor.</summary>
    public int RegistersPerMultiprocessor { get; init; }

    /// <summary>Threads resident on one multiprocessor.</summary>
    public int ThreadsPerMultiprocessor { get; init; }

    /// <summary>Float32 operations a second outside the tensor cores when every core does a fused multiply-add a clock; null when cores or clock are unknown.</summary>
    public double? PeakFloat32Flops => Float32Cores is { } cores && ClockKilohertz > 0 ? 2e3 * cores * Multiprocessors * ClockKilohertz : null;

    /// <summary>Bytes a second the memory's bus carries, at two transfers a clock; null when clock or width are unknown.</summary>
    public double? PeakMemoryBytesPerSecond => MemoryClockKilohertz > 0 && MemoryBusBits > 0 ? 2e3 * MemoryClockKilohertz * (MemoryBusBits / 8) : null;

    // CUDA C++ programming guide, arithmetic throughput: float32 multiply-adds a clock and multiprocessor.
    private int? Float32Cores => Sm switch
    {
        70 or 72 or 75 or 80 => 64,
        86 or 87 or 89 or 90 or 100 or 101 or 103 or 110 or 120 or 121 => 128,
        _ => null,
    };
}

/// <summary>What the driver knows of a loaded function.</summary>
/// <param name="Registers">Registers of a thread; for the emulator those the PTX declares.</param>
/// <param name="LocalBytes">Bytes of local memory of a thread: above 0 registers spill or arrays are in memory.</param>
/// <param name="StaticSharedBytes">Bytes of static shared memory of a block.</param>
/// <param name="MaxThreadsPerBlock">Largest block.</param>
public sealed record CudaFunctionAttributes(int Registers, int LocalBytes, int StaticSharedBytes, int MaxThreadsPerBlock);

/// <summary>
/// One device as the CUDA driver API shows it: the seam between everything we ship and the driver. <see cref="NvidiaDriver"/> is the real one; the emulator is another, so that all
/// code above runs unchanged without a GPU. Handles are the driver's own; 0 is the default stream. Every method throws <see cref="CudaException"/> when the driver refuses. Not for several threads at once.
/// </summary>
/// <remarks>
/// What is ordered with what: launches, copies, fills and graphs on one stream run in the order they were queued, on the default stream as well. Nothing else is ordered by itself: streams
/// of <see cref="CreateStream"/> wait neither for one another nor for the default stream, nor that for them. Order between streams comes from <see cref="RecordEvent"/> with <see cref="StreamWaitEvent"/>,
/// and between a stream and the host from <see cref="SynchronizeStream"/>, <see cref="SynchronizeEvent"/> and <see cref="Synchronize"/>. <see cref="CopyToDevice"/> and <see cref="CopyToHost"/> run
/// on the default stream and are done on return: what any stream is given afterwards sees the values of <see cref="CopyToDevice"/>, but work that another stream still has to do is neither seen by
/// <see cref="CopyToHost"/> nor kept from seeing what <see cref="CopyToDevice"/> writes, unless the host waited for that stream before. <see cref="Free"/> does not wait either.
/// An error of queued work may come out of any later call.
/// </remarks>
public interface ICudaDriver : IDisposable
{
    /// <summary>For messages: what runs the kernels, e.g. "NVIDIA driver 13.0" or "emulator".</summary>
    string Description { get; }

    /// <summary>For messages: which device this is and what runs it, e.g. "cuda:0 (NVIDIA H100 80GB HBM3, sm_90, driver 13.0)" or "emulator (sm_90, for checking)".</summary>
    string DeviceText { get; }

    /// <summary>The device.</summary>
    CudaDeviceInfo Device { get; }

    /// <summary>Bytes free and in all.</summary>
    (long Free, long Total) MemoryInfo();

    /// <summary>Device memory, aligned to 256 bytes, its contents unknown.</summary>
    /// <param name="bytes">At least 1.</param>
    ulong Allocate(long bytes);

    /// <summary>Gives device memory back, which no queued work may still use.</summary>
    /// <param name="address">An address <see cref="Allocate"/> returned.</param>
    void Free(ulong address);

    /// <summary>
    /// Tells a driver that checks accesses, in stream order, how much of a block is in use from here on; what it held counts as never written. A real driver ignores it. For pools, which would
    /// otherwise hide accesses past the end, to values of an earlier use, and to blocks given back.
    /// </summary>
    /// <param name="address">An address <see cref="Allocate"/> returned.</param>
    /// <param name="bytes">Bytes from there on that may be accessed, at most those allocated; 0: none.</param>
    /// <param name="stream">The stream.</param>
    void DeclareUsed(ulong address, long bytes, nint stream);

    /// <summary>Page-locked host memory, which asynchronous copies need.</summary>
    /// <param name="bytes">At least 1.</param>
    nint AllocateHost(long bytes);

    /// <summary>Gives page-locked memory back.</summary>
    /// <param name="address">An address <see cref="AllocateHost"/> returned.</param>
    void FreeHost(nint address);

    /// <summary>Host to device on the default stream, done on return. Other streams are not waited for.</summary>
    void CopyToDevice(ulong target, ReadOnlySpan<byte> source);

    /// <summary>Device to host after everything queued on the default stream, done on return. Other streams are not waited for.</summary>
    void CopyToHost(Span<byte> target, ulong source);

    /// <summary>Host to device in stream order; the source is page-locked and stays untouched until then.</summary>
    void CopyToDeviceAsync(ulong target, nint source, long bytes, nint stream);

    /// <summary>Device to host in stream order.</summary>
    void CopyToHostAsync(nint target, ulong source, long bytes, nint stream);

    /// <summary>Device to device in stream order.</summary>
    void CopyOnDeviceAsync(ulong target, ulong source, long bytes, nint stream);

    /// <summary>Fills 32-bit words in stream order.</summary>
    /// <param name="target">A multiple of 4.</param>
    /// <param name="value">The word.</param>
    /// <param name="words">How many.</param>
    /// <param name="stream">The stream.</param>
    void FillAsync(ulong target, uint value, long words, nint stream);

    /// <summary>Compiles and loads PTX text. The exception holds the compiler's log.</summary>
    nint LoadModule(string ptx);

    /// <summary>Unloads a module and its functions.</summary>
    void UnloadModule(nint module);

    /// <summary>An entry of a module.</summary>
    nint GetFunction(nint module, string entryName);

    /// <summary>What the driver knows of a function.</summary>
    CudaFunctionAttributes GetAttributes(nint function);

    /// <summary>Allows a function dynamic shared memory above 48 KiB.</summary>
    void SetMaxDynamicShared(nint function, int bytes);

    /// <summary>Blocks of a function that fit on one multiprocessor at once.</summary>
    int MaxActiveBlocks(nint function, int threadsPerBlock, int dynamicSharedBytes);

    /// <summary>Queues a kernel.</summary>
    /// <param name="function">From <see cref="GetFunction"/>.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="block">Threads of a block.</param>
    /// <param name="dynamicSharedBytes">Bytes of dynamic shared memory.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="arguments">The parameters packed at their offsets; copied before the call returns.</param>
    /// <param name="early">
    /// Whether it may begin while the launch before it in the stream still runs (programmatic dependent launch, sm_90 and later): it gets its blocks as those of the other end, and waits itself,
    /// by griddepcontrol.wait, before it touches what the other reads or writes.
    /// </param>
    void Launch(nint function, Dim3 grid, Dim3 block, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> arguments, bool early = false);

    /// <summary>A stream that does not wait for the default stream.</summary>
    nint CreateStream();

    /// <summary>Ends a stream.</summary>
    void DestroyStream(nint stream);

    /// <summary>Waits until a stream has done everything.</summary>
    void SynchronizeStream(nint stream);

    /// <summary>Waits until the device has done everything.</summary>
    void Synchronize();

    /// <summary>An event that takes the time.</summary>
    nint CreateEvent();

    /// <summary>Ends an event.</summary>
    void DestroyEvent(nint handle);

    /// <summary>Marks this place of a stream.</summary>
    void RecordEvent(nint handle, nint stream);

    /// <summary>Waits until the marked place has been reached.</summary>
    void SynchronizeEvent(nint handle);

    /// <summary>Lets a stream wait for the marked place of another.</summary>
    void StreamWaitEvent(nint stream, nint handle);

    /// <summary>
    /// Holds a stream for the host: what is queued on it from here on waits until the 32-bit word at a place of page-locked memory is at least a value. The host has to write it whatever happens
    /// in between, and until then makes no call that waits for the stream.
    /// </summary>
    /// <param name="stream">The stream, not one that is being captured.</param>
    /// <param name="address">A multiple of 4 in memory of <see cref="AllocateHost"/>.</param>
    /// <param name="value">The value; compared modulo 2^32, so that a counter may pass its end.</param>
    /// <returns>False where driver or device cannot wait for memory; nothing is queued then.</returns>
    bool StreamWaitHost(nint stream, nint address, uint value);

    /// <summary>Milliseconds between two events; null where time means nothing (the emulator).</summary>
    double? Elapsed(nint start, nint stop);

    /// <summary>From here on what is queued on the stream is recorded instead of run.</summary>
    void BeginCapture(nint stream);

    /// <summary>Whether what is queued on the stream is being recorded.</summary>
    bool IsCapturing(nint stream);

    /// <summary>Ends the recording and makes it ready to launch.</summary>
    /// <returns>The executable graph.</returns>
    nint EndCapture(nint stream);

    /// <summary>Queues a graph.</summary>
    void LaunchGraph(nint graph, nint stream);

    /// <summary>Ends a graph.</summary>
    void DestroyGraph(nint graph);

    /// <summary>Begins a range profilers show under a name, around what this thread queues until <see cref="PopRange"/>; ranges nest. Without a profiler's library nothing happens.</summary>
    void PushRange(string name);

    /// <summary>Ends the range begun last.</summary>
    void PopRange();

    /// <summary>Lets a profiler that waits for it begin to record.</summary>
    void StartProfiler();

    /// <summary>Lets a profiler stop recording.</summary>
    void StopProfiler();
}
