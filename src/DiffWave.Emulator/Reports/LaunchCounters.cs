using System.Numerics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Reports;

/// <summary>What one access site moved, summed over warp requests.</summary>
internal struct SiteCounts
{
    /// <summary>Warp instructions with at least one lane.</summary>
    public long Requests;

    /// <summary>Sectors of 32 bytes, or wavefronts of shared memory.</summary>
    public long Moved;

    /// <summary>The fewest that could carry the distinct bytes asked for.</summary>
    public long Ideal;

    /// <summary>Bytes the lanes asked for.</summary>
    public long Bytes;

    public void Add(in SiteCounts other)
    {
        Requests += other.Requests;
        Moved += other.Moved;
        Ideal += other.Ideal;
        Bytes += other.Bytes;
    }
}

/// <summary>Counts of a launch. Each host thread has its own; sums do not depend on how blocks are spread.</summary>
/// <param name="program">The kernel.</param>
/// <param name="footprint">What the launch has touched, one for all host threads.</param>
internal sealed unsafe class LaunchCounters(KernelProgram program, Footprint footprint)
{
    private const int SectorBytes = 1 << Footprint.SectorShift, Banks = 32;

    private readonly long[] warps = new long[program.Count], lanes = new long[program.Count];
    private readonly SiteCounts[] global = new SiteCounts[program.Memory.Length], shared = new SiteCounts[program.Memory.Length];
    private readonly ulong[] sorted = new ulong[Warp.Lanes];

    /// <summary>What the launch has touched.</summary>
    public Footprint Footprint => footprint;

    /// <summary>Warp instructions by position.</summary>
    public ReadOnlySpan<long> Warps => warps;

    /// <summary>Thread instructions by position: lanes that took part.</summary>
    public ReadOnlySpan<long> Lanes => lanes;

    /// <summary>By position: branches whose lanes disagreed.</summary>
    public long[] Divergent { get; } = new long[program.Count];

    /// <summary>Accesses to global memory by memory operation.</summary>
    public ReadOnlySpan<SiteCounts> Global => global;

    /// <summary>Accesses to shared memory by memory operation.</summary>
    public ReadOnlySpan<SiteCounts> Shared => shared;

    /// <summary>One warp instruction.</summary>
    public void Count(int pc, uint mask)
    {
        warps[pc]++;
        lanes[pc] += BitOperations.PopCount(mask);
    }

    /// <summary>A request to global memory: distinct sectors of all lanes.</summary>
    public void CountGlobal(int site, ulong* addresses, uint mask, AddressShape shape, int laneBytes)
    {
        if (mask == 0) return;
        ref SiteCounts counts = ref global[site];
        counts.Requests++;
        counts.Bytes += (long)laneBytes * BitOperations.PopCount(mask);
        if (shape != AddressShape.Scattered)
        {
            int bytes = shape == AddressShape.Uniform ? laneBytes : laneBytes * Warp.Lanes;
            counts.Moved += (long)((addresses[0] + (ulong)bytes - 1) / SectorBytes - addresses[0] / SectorBytes + 1);
            counts.Ideal += (bytes + SectorBytes - 1) / SectorBytes;
            return;
        }
        int count = 0;
        for (uint rest = mask; rest != 0; rest &= rest - 1) Insert(addresses[BitOperations.TrailingZeroCount(rest)], ref count);
        int sectors = 0;
        ulong last = ulong.MaxValue;
        for (int i = 0; i < count; i++)
        {
            ulong sector = sorted[i] / SectorBytes;
            if (sector != last) sectors++;
            last = sector;
        }
        counts.Moved += sectors;
        counts.Ideal += (count * laneBytes + SectorBytes - 1) / SectorBytes;
    }

    /// <summary>A request to shared memory: 32 banks of 4 bytes; lanes that ask for 8 or 16 bytes come in halves or quarters of a warp; the same word for several lanes is free.</summary>
    public void CountShared(int site, ulong* addresses, uint mask, AddressShape shape, int laneBytes)
    {
        if (mask == 0) return;
        ref SiteCounts counts = ref shared[site];
        counts.Requests++;
        counts.Bytes += (long)laneBytes * BitOperations.PopCount(mask);
        if (shape != AddressShape.Scattered)
        {
            int waves = shape == AddressShape.Uniform ? 1 : Math.Max(1, laneBytes / 4);
            counts.Moved += waves;
            counts.Ideal += waves;
            return;
        }
        // Accesses of the same size are aligned to it, so an element of 8 or 16 bytes lies in its own two or four banks.
        int size = Math.Max(4, laneBytes), shift = BitOperations.Log2((uint)size), lanesAtOnce = Warp.Lanes * 4 / size, columns = Banks * 4 / size;
        ulong* held = stackalloc ulong[Banks];
        for (int start = 0; start < Warp.Lanes; start += lanesAtOnce)
        {
            uint part = lanesAtOnce == Warp.Lanes ? mask : mask >> start & ((1u << lanesAtOnce) - 1);
            if (part == 0) continue;
            uint taken = 0;
            bool isFree = true;
            for (uint rest = part; rest != 0 && isFree; rest &= rest - 1)
            {
                ulong element = addresses[start + BitOperations.TrailingZeroCount(rest)] >> shift;
                int column = (int)(element & (ulong)(columns - 1));
                isFree = (taken >> column & 1) == 0 || held[column] == element;
                held[column] = element;
                taken |= 1u << column;
            }
            int distinct = 1;
            counts.Moved += isFree ? 1 : Wavefronts(addresses + start, part, shift, columns, out distinct);
            counts.Ideal += (distinct + columns - 1) / columns;
        }
    }

    // Elements that fall into the fullest column of banks.
    private int Wavefronts(ulong* addresses, uint mask, int shift, int columns, out int distinct)
    {
        int count = 0, most = 0;
        for (uint rest = mask; rest != 0; rest &= rest - 1) Insert(addresses[BitOperations.TrailingZeroCount(rest)] >> shift, ref count);
        byte* fill = stackalloc byte[Banks];
        new Span<byte>(fill, Banks).Clear();
        for (int i = 0; i < count; i++) most = Math.Max(most, ++fill[sorted[i] & (ulong)(columns - 1)]);
        distinct = count;
        return most;
    }

    /// <summary>Adds the counts of another host thread.</summary>
    public void Add(LaunchCounters other)
    {
        for (int i = 0; i < warps.Length; i++)
        {
            warps[i] += other.warps[i];
            lanes[i] += other.lanes[i];
            Divergent[i] += other.Divergent[i];
        }
        for (int i = 0; i < global.Length; i++)
        {
            global[i].Add(other.global[i]);
            shared[i].Add(other.shared[i]);
        }
    }

    // Keeps distinct values in order; they mostly come in order.
    private void Insert(ulong value, ref int count)
    {
        int at = count;
        while (at > 0 && sorted[at - 1] > value) at--;
        if (at > 0 && sorted[at - 1] == value) return;
        for (int i = count; i > at; i--) sorted[i] = sorted[i - 1];
        sorted[at] = value;
        count++;
    }
}
