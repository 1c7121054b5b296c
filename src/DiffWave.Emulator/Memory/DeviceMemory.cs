using System.Runtime.InteropServices;
using DiffWave.Cuda;

namespace DiffWave.Emulator.Memory;

/// <summary>One allocation of device memory. Its address is invented; the bytes and a shadow byte for each (255: written, 0: not) are the host's.</summary>
internal sealed unsafe class Allocation
{
    /// <summary>Device address of the first byte.</summary>
    public required ulong Address { get; init; }

    /// <summary>Bytes as asked for of the device.</summary>
    public required long Reserved { get; init; }

    /// <summary>Bytes that may be accessed: those asked for, or as many of them as a pool has handed out.</summary>
    public required long Bytes { get; set; }

    /// <summary>What it is, for messages: empty for memory of <see cref="DeviceMemory.Allocate"/>, else the variable's name.</summary>
    public required string Name { get; init; }

    /// <summary>Constants.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>The bytes, null once freed.</summary>
    public byte* Data { get; set; }

    /// <summary>The shadow, null once freed.</summary>
    public byte* Shadow { get; set; }

    /// <summary>Every byte is known to be written: the shadow need not be looked at.</summary>
    public bool IsInitialised { get; set; }

    /// <summary>Address after the last byte.</summary>
    public ulong End => Address + (ulong)Bytes;

    /// <summary>For messages.</summary>
    public override string ToString() => $"{(Name.Length == 0 ? "the allocation" : $"variable {Name}")} of {Bytes} bytes at 0x{Address:x}";
}

/// <summary>The device's memory: allocations at addresses that are never used twice, with gaps between, so that every stray access is found.</summary>
internal sealed unsafe class DeviceMemory(long capacity) : IDisposable
{
    private const ulong Base = 0x7F00_0000_0000, Gap = 1 << 20;

    private readonly List<Allocation> allocations = []; // by address, freed ones included
    private ulong next = Base;

    /// <summary>Bytes in use.</summary>
    public long Used { get; private set; }

    /// <summary>Bytes in all.</summary>
    public long Capacity => capacity;

    /// <summary>New memory, nothing of it written.</summary>
    public Allocation Allocate(long bytes, string name = "", bool isReadOnly = false)
    {
        string call = $"cuMemAlloc({bytes} bytes)";
        if (bytes < 1) throw new CudaException(call, "CUDA_ERROR_INVALID_VALUE", "at least one byte");
        long rounded = (bytes + 255) & ~255L;
        if (rounded > capacity - Used)
            throw new CudaException(call, "CUDA_ERROR_OUT_OF_MEMORY", $"{capacity - Used} of {capacity} bytes are free", "raise EmulatorOptions.MemoryBytes or use less");
        var allocation = new Allocation
        {
            Address = next,
            Reserved = bytes,
            Bytes = bytes,
            Name = name,
            IsReadOnly = isReadOnly,
            Data = (byte*)NativeMemory.AllocZeroed((nuint)rounded),
            Shadow = (byte*)NativeMemory.AllocZeroed((nuint)rounded),
        };
        allocations.Add(allocation);
        Used += rounded;
        next = (next + (ulong)rounded + Gap + Gap - 1) & ~(Gap - 1);
        return allocation;
    }

    /// <summary>Gives memory back; its place stays known.</summary>
    public void Free(ulong address)
    {
        string call = $"cuMemFree(0x{address:x})";
        Allocation? allocation = Nearest(address);
        if (allocation is null || allocation.Address != address) throw new CudaException(call, "CUDA_ERROR_INVALID_VALUE", "no allocation starts there");
        if (allocation.Data is null) throw new CudaException(call, "CUDA_ERROR_INVALID_VALUE", "freed before");
        Release(allocation);
    }

    /// <summary>Sets how much of an allocation may be accessed; nothing of it counts as written.</summary>
    public void DeclareUsed(ulong address, long bytes)
    {
        Allocation? allocation = Nearest(address);
        if (allocation is null || allocation.Address != address || allocation.Data is null || bytes < 0 || bytes > allocation.Reserved)
            throw new CudaException($"DeclareUsed(0x{address:x}, {bytes} bytes)", "CUDA_ERROR_INVALID_VALUE", "no allocation of so many bytes starts there");
        allocation.Bytes = bytes;
        allocation.IsInitialised = false;
        NativeMemory.Clear(allocation.Shadow, (nuint)bytes);
    }

    /// <summary>The last allocation that starts at or below an address, freed or not; null when there is none.</summary>
    public Allocation? Nearest(ulong address)
    {
        int low = 0, high = allocations.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (allocations[middle].Address <= address) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? null : allocations[low - 1];
    }

    /// <summary>The live allocation that holds a whole range, for copies and fills of the host.</summary>
    /// <exception cref="CudaException">There is none.</exception>
    public Allocation Range(string call, ulong address, long bytes)
    {
        Allocation? allocation = Nearest(address);
        if (allocation is null || bytes < 0 || address + (ulong)bytes > allocation.End || allocation.Data is null)
            throw new CudaException(call, "CUDA_ERROR_INVALID_VALUE", $"{bytes} bytes at 0x{address:x}: {Describe(address, bytes)}");
        return allocation;
    }

    /// <summary>Where an address lies that is in no live allocation.</summary>
    public string Describe(ulong address, long bytes)
    {
        Allocation? below = Nearest(address);
        if (below is { Bytes: 0, Data: not null } && address < below.Address + (ulong)below.Reserved)
            return $"inside a block of {below.Reserved} bytes at 0x{below.Address:x} that has been given back to its pool";
        if (below is not null && address < below.End)
            return below.Data is null ? $"inside {below}, which has been freed"
                : $"{address + (ulong)bytes - below.End} bytes past the end of {below}, from its offset {address - below.Address}";
        Allocation? above = allocations.Find(allocation => allocation.Address > address);
        if (above is not null && (below is null || above.Address - address < address - below.End)) return $"{above.Address - address} bytes before {above}";
        return below is null ? "there are no allocations" : $"{address - below.End} bytes after the end of {below}{(below.Data is null ? ", which has been freed" : "")}";
    }

    /// <summary>Marks bytes as written.</summary>
    public static void MarkWritten(Allocation allocation, ulong address, long bytes)
    {
        if (allocation.IsInitialised) return;
        if (bytes == allocation.Bytes) allocation.IsInitialised = true;
        NativeMemory.Fill(allocation.Shadow + (address - allocation.Address), (nuint)bytes, 255);
    }

    /// <summary>Offset of the first byte of a range that nobody has written, or -1.</summary>
    public static long FirstUnwritten(Allocation allocation, ulong address, long bytes)
    {
        if (allocation.IsInitialised) return -1;
        byte* shadow = allocation.Shadow + (address - allocation.Address);
        for (long done = 0; done < bytes;)
        {
            int part = (int)Math.Min(bytes - done, 1 << 30), found = new ReadOnlySpan<byte>(shadow + done, part).IndexOf((byte)0);
            if (found >= 0) return done + found;
            done += part;
        }
        return -1;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Allocation allocation in allocations)
            if (allocation.Data is not null) Release(allocation);
    }

    private void Release(Allocation allocation)
    {
        NativeMemory.Free(allocation.Data);
        NativeMemory.Free(allocation.Shadow);
        allocation.Data = allocation.Shadow = null;
        Used -= (allocation.Reserved + 255) & ~255L;
    }
}
