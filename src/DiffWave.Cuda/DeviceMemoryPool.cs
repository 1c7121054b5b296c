using System.Numerics;

namespace DiffWave.Cuda;

/// <summary>
/// Device memory for the work of one stream, with a budget. A block that is given back stays reserved and serves the next request of its size class: because the stream runs in order, it
/// may be handed out again at once, while work queued before still uses it. The driver is asked only when nothing fits, and cached blocks go back to it when it or the budget has no more.
/// While the stream is being captured only cached blocks are handed out; what a captured graph uses must stay allocated as long as the graph lives. Not for several threads at once.
/// </summary>
public sealed class DeviceMemoryPool : IDisposable
{
    // Eight sizes a doubling waste at most an eighth; 512 bytes is the grain at which the driver itself hands out memory.
    private const int SizesPerDoubling = 8, Grain = 512;

    private readonly ICudaDriver driver;
    private readonly nint stream;
    private readonly bool isLimited;
    private readonly Dictionary<ulong, (long Reserved, long Asked)> used = [];
    private readonly SortedDictionary<long, Stack<ulong>> cached = []; // by size class, never an empty stack

    /// <summary>A pool that holds nothing yet.</summary>
    /// <param name="driver">The device; stays the caller's.</param>
    /// <param name="stream">The only stream whose work uses the memory.</param>
    /// <param name="budgetBytes">Most bytes the pool may reserve, at least 0; null: what the device has.</param>
    public DeviceMemoryPool(ICudaDriver driver, nint stream, long? budgetBytes = null)
    {
        if (budgetBytes is { } budget) ArgumentOutOfRangeException.ThrowIfNegative(budget, nameof(budgetBytes));
        (this.driver, this.stream, isLimited, Budget) = (driver, stream, budgetBytes is not null, budgetBytes ?? driver.Device.MemoryBytes);
    }

    /// <summary>Most bytes the pool may reserve; without a budget what the device has, though others may use some of that.</summary>
    public long Budget { get; }

    /// <summary>Bytes of the blocks in use, each rounded up to its size class.</summary>
    public long BytesInUse { get; private set; }

    /// <summary>Bytes of the blocks that wait to be used again.</summary>
    public long BytesCached { get; private set; }

    /// <summary>Most bytes that were in use at once.</summary>
    public long PeakBytesInUse { get; private set; }

    /// <summary>Blocks asked of the driver so far; a loop that has settled asks for none.</summary>
    public long DriverAllocations { get; private set; }

    /// <summary>Memory aligned to 256 bytes, its contents unknown.</summary>
    /// <param name="bytes">At least 1.</param>
    /// <exception cref="CudaException">CUDA_ERROR_OUT_OF_MEMORY: neither budget nor device has room even without cached blocks; the text gives every number. Or another failure of the driver.</exception>
    /// <exception cref="InvalidOperationException">No cached block fits and the stream is being captured.</exception>
    public ulong Allocate(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        long size = SizeClass(bytes);
        ulong address = Take(size) ?? Reserve(bytes, size);
        used.Add(address, (size, bytes));
        BytesInUse += size;
        PeakBytesInUse = Math.Max(PeakBytesInUse, BytesInUse);
        driver.DeclareUsed(address, bytes, stream);
        return address;
    }

    /// <summary>Gives a block back. Work already queued on the stream may still use it.</summary>
    /// <param name="address">An address <see cref="Allocate"/> returned and that has not been given back since.</param>
    /// <exception cref="ArgumentException">It is none.</exception>
    public void Free(ulong address)
    {
        if (!used.Remove(address, out var block)) throw new ArgumentException($"0x{address:x} is no block of this pool, or was given back before", nameof(address));
        if (!cached.TryGetValue(block.Reserved, out Stack<ulong>? blocks)) cached.Add(block.Reserved, blocks = new Stack<ulong>());
        blocks.Push(address);
        BytesInUse -= block.Reserved;
        BytesCached += block.Reserved;
        driver.DeclareUsed(address, 0, stream);
    }

    /// <summary>Gives all cached blocks back to the driver, after everything queued on the stream.</summary>
    /// <exception cref="CudaException">The driver refuses, as while the stream is being captured.</exception>
    public void Trim() => Release(long.MaxValue);

    /// <summary>Gives everything back to the driver, blocks in use as well, after everything queued on the stream.</summary>
    public void Dispose()
    {
        List<ulong> all = [.. used.Keys, .. cached.Values.SelectMany(blocks => blocks)];
        used.Clear();
        cached.Clear();
        (BytesInUse, BytesCached) = (0, 0);
        if (all.Count > 0) Cleanup.Run([() => driver.SynchronizeStream(stream), .. all.Select(address => (Action)(() => driver.Free(address)))]);
    }

    /// <summary>Bytes rounded up: to the grain below eight of them, else to an eighth of the power of two below.</summary>
    internal static long SizeClass(long bytes)
    {
        long step = Math.Max(Grain, (long)BitOperations.RoundUpToPowerOf2((ulong)bytes + 1) / 2 / SizesPerDoubling);
        return checked((bytes + step - 1) / step * step);
    }

    private ulong? Take(long size)
    {
        if (!cached.TryGetValue(size, out Stack<ulong>? blocks)) return null;
        ulong address = blocks.Pop();
        if (blocks.Count == 0) cached.Remove(size);
        BytesCached -= size;
        return address;
    }

    private ulong Reserve(long bytes, long size)
    {
        if (driver.IsCapturing(stream))
            throw new InvalidOperationException($"{bytes} bytes of device memory are needed while the stream is being captured and no cached block fits: run the work once before it is captured");
        if (isLimited && size > Budget - BytesInUse) throw OutOfMemory(bytes, $"the budget of {Budget} bytes is too small", "raise the budget, or use a smaller batch or length");
        if (isLimited && size > Budget - BytesInUse - BytesCached) Release(size - (Budget - BytesInUse - BytesCached));
        while (true)
        {
            try
            {
                ulong address = driver.Allocate(size);
                DriverAllocations++;
                return address;
            }
            catch (CudaException e) when (e.Error == CudaErrors.OutOfMemory)
            {
                if (BytesCached == 0) throw OutOfMemory(bytes, "the device has no more", CudaErrors.Fix(CudaErrors.OutOfMemory));
                Release(long.MaxValue);
            }
        }
    }

    // The largest first: the fewest calls, and the best chance of a hole that is large enough.
    private void Release(long bytes)
    {
        if (BytesCached == 0) return;
        driver.SynchronizeStream(stream);
        for (long released = 0; released < bytes && BytesCached > 0;)
        {
            long size = cached.Keys.Last();
            driver.Free(cached[size].Peek());
            Take(size);
            released += size;
        }
    }

    private CudaException OutOfMemory(long bytes, string reason, string fix)
    {
        string device;
        try
        {
            (long free, long total) = driver.MemoryInfo();
            device = $"{free} of {total} free on the device";
        }
        catch (CudaException)
        {
            device = "how much is free on the device is unknown";
        }
        return new CudaException($"allocate {bytes} bytes of device memory", CudaErrors.OutOfMemory, $"{reason}: {BytesInUse} in use, {BytesCached} cached, {(isLimited ? $"a budget of {Budget}" : "no budget")}, {device}", fix);
    }
}
