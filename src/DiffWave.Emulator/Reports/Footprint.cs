using System.Runtime.InteropServices;
using DiffWave.Emulator.Memory;

namespace DiffWave.Emulator.Reports;

/// <summary>
/// Which 32-byte sectors of each allocation a launch has read and written at least once: what would have to come from and go to DRAM if the cache held everything. A byte a sector, so that
/// host threads need no lock: they only ever set it to 1.
/// </summary>
internal sealed unsafe class Footprint : IDisposable
{
    /// <summary>log2 of a sector's bytes.</summary>
    public const int SectorShift = 5;

    private readonly Lock gate = new();
    private readonly Dictionary<Allocation, nint> marks = [];

    /// <summary>The marks of an allocation: sectors read, then sectors written.</summary>
    public byte* Of(Allocation allocation)
    {
        lock (gate)
        {
            if (!marks.TryGetValue(allocation, out nint place)) marks.Add(allocation, place = (nint)NativeMemory.AllocZeroed((nuint)(2 * Sectors(allocation))));
            return (byte*)place;
        }
    }

    /// <summary>Sums by allocation, in order of their addresses.</summary>
    public List<AllocationTraffic> Summarise()
    {
        var traffic = new List<AllocationTraffic>();
        foreach ((Allocation allocation, nint place) in marks.OrderBy(pair => pair.Key.Address))
        {
            long sectors = Sectors(allocation), read = Count((byte*)place, sectors), written = Count((byte*)place + sectors, sectors);
            if (read + written > 0) traffic.Add(new AllocationTraffic(allocation.Address, allocation.Name, allocation.Bytes, read, written));
        }
        return traffic;
    }

    /// <summary>Sectors of an allocation.</summary>
    public static long Sectors(Allocation allocation) => (allocation.Bytes >> SectorShift) + 1;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint place in marks.Values) NativeMemory.Free((void*)place);
        marks.Clear();
    }

    private static long Count(byte* marks, long count)
    {
        long sum = 0;
        for (long i = 0; i < count; i++) sum += marks[i];
        return sum;
    }
}
