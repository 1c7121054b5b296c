using System.Runtime.Intrinsics;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

// Shadow of shared memory, one entry for each unit of the kernel's smallest access (at most 4 bytes): its last writer and two readers. An entry is
// time (32 bits) | copy still pending (1) | atomic (1) | memory operation (20) | thread (10). Entries not after the block's start are void: nobody has written or read.
// Two readers suffice: the first, and one of another warp if there is any. Only where barriers of some warps separate the readers may a third be forgotten.
// Threads of one warp race like any others unless bar.warp.sync or a barrier lies between: the hardware does not promise lockstep.
internal sealed unsafe partial class BlockExecutor
{
    private const ulong PendingBit = 1ul << 31, AtomicBit = 1ul << 30, ThreadMask = 0x3FF, WarpMask = 0x3E0;
    private const int SiteShift = 10, SiteMask = 0xFFFFF;

    // Lanes of units that lie one after the other: entry (shift * 512 + i) is i >> shift.
    private static readonly ulong[] LaneOfUnit = [.. Enumerable.Range(0, 5 * 512).Select(i => (ulong)(i % 512 >> i / 512))];

    private readonly ulong* writers, readers, otherReaders;
    private readonly int unitShift;

    private ulong Stamp(Warp warp, MemoryOperation access, int lane) =>
        (ulong)warp.Now << 32 | (access.Kind == MemoryKind.AsyncCopy ? PendingBit : access.Kind == MemoryKind.Atomic ? AtomicBit : 0) | (ulong)access.Index << SiteShift | (uint)(warp.Index << 5 | lane);

    // What makes entries void or ordered for a warp, eight times.
    private readonly ref struct Limits(Warp warp, uint blockStart, uint everyoneKnows)
    {
        public readonly Vector512<ulong> Valid = Vector512.Create((ulong)(blockStart + 1) << 32), Known = Vector512.Create((ulong)(everyoneKnows + 1) << 32),
            KnownWarp = Vector512.Create((ulong)(warp.Synchronised + 1) << 32);

        // Ordered before the accesses of the threads in "mine": by a barrier of the block, by one of the warp, or because it is the same thread.
        public Vector512<ulong> Ordered(Vector512<ulong> entry, Vector512<ulong> mine)
        {
            Vector512<ulong> difference = entry ^ mine;
            return Vector512.LessThan(entry, Known) | Vector512.Equals(difference & Vector512.Create(ThreadMask), Vector512<ulong>.Zero)
                | Vector512.Equals(difference & Vector512.Create(WarpMask), Vector512<ulong>.Zero) & Vector512.LessThan(entry, KnownWarp);
        }
    }

    private void TrackRange(Warp warp, MemoryOperation access, ulong start, int laneBytes, AddressShape shape, uint mask, bool isWrite)
    {
        if (shape == AddressShape.Uniform)
        {
            if (isWrite)
            {
                TrackLanes(warp, access, mask, laneBytes, isWrite);
                return;
            }
            int firstLane = FirstLane(mask), lastLane = 31 - System.Numerics.BitOperations.LeadingZeroCount(mask);
            TrackRead(warp, access, start, laneBytes, firstLane);
            if (lastLane != firstLane) TrackRead(warp, access, start, laneBytes, lastLane);
            return;
        }
        int shift = System.Numerics.BitOperations.Log2((uint)(laneBytes >> unitShift)), units = Warp.Lanes << shift;
        ulong first = start >> unitShift;
        var limits = new Limits(warp, blockStart, everyoneKnows);
        Vector512<ulong> stamp = Vector512.Create(Stamp(warp, access, 0)), all = Vector512<ulong>.AllBitsSet;
        bool good = isWrite || !partialSince;
        fixed (ulong* lanes = &LaneOfUnit[512 * shift])
        {
            for (int i = 0; i < units && good; i += 8)
            {
                Vector512<ulong> mine = stamp | Vector512.Load(lanes + i);
                good = isWrite ? WriteEight(limits, first + (ulong)i, mine, all) : ReadEight(limits, first + (ulong)i, mine, all);
            }
        }
        if (!good) TrackEach(warp, access, mask, mask, laneBytes, isWrite);
    }

    private void TrackLanes(Warp warp, MemoryOperation access, uint mask, int laneBytes, bool isWrite)
    {
        int units = laneBytes >> unitShift;
        if (!isWrite && partialSince || access.Kind == MemoryKind.Atomic || units is not (1 or 4 or 8))
        {
            TrackEach(warp, access, mask, mask, laneBytes, isWrite);
            return;
        }
        var limits = new Limits(warp, blockStart, everyoneKnows);
        ulong stamp = Stamp(warp, access, 0);
        if (units > 1)
        {
            // The units of a lane at once.
            Vector512<ulong> part = units == 8 ? Vector512<ulong>.AllBitsSet : Vector512.Create(~0ul, ~0ul, ~0ul, ~0ul, 0, 0, 0, 0);
            ulong last = ulong.MaxValue;
            int repeated = 0;
            for (uint rest = mask; rest != 0; rest &= rest - 1)
            {
                int lane = FirstLane(rest);
                ulong unit = addresses[lane] >> unitShift;
                if (!isWrite)
                {
                    repeated = unit == last ? repeated + 1 : 0;
                    last = unit;
                    if (repeated > 1) continue;
                }
                var mine = Vector512.Create(stamp | (uint)lane);
                if (isWrite ? WriteEight(limits, unit, mine, part) : ReadEight(limits, unit, mine, part)) continue;
                TrackEach(warp, access, rest, mask, laneBytes, isWrite);
                return;
            }
            return;
        }
        // Rows of eight lanes at once where they lie one after the other.
        Vector512<ulong> counting = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7), steps = counting << unitShift;
        for (int lane = 0; lane < Warp.Lanes; lane += 8)
        {
            uint part = mask >> lane & 0xFF;
            if (part == 0) continue;
            if (part == 0xFF && Vector512.LoadAligned(addresses + lane) == Vector512.Create(addresses[lane]) + steps)
            {
                Vector512<ulong> mine = Vector512.Create(stamp | (uint)lane) | counting, all = Vector512<ulong>.AllBitsSet;
                ulong unit = addresses[lane] >> unitShift;
                if (isWrite ? WriteEight(limits, unit, mine, all) : ReadEight(limits, unit, mine, all)) continue;
            }
            TrackEach(warp, access, part << lane, mask, laneBytes, isWrite);
        }
    }

    private void TrackEach(Warp warp, MemoryOperation access, uint lanes, uint mask, int laneBytes, bool isWrite)
    {
        ulong last = ulong.MaxValue;
        int repeated = 0;
        for (uint rest = lanes; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            ulong address = addresses[lane];
            if (isWrite)
            {
                TrackWrite(warp, access, address, laneBytes, lane, mask);
                continue;
            }
            // Of the lanes that read the same place two stand for all.
            repeated = address == last ? repeated + 1 : 0;
            last = address;
            if (repeated < 2) TrackRead(warp, access, address, laneBytes, lane);
        }
    }

    // Eight units by the threads in "mine", of which those in "part" count. False: something needs a closer look.
    private bool ReadEight(in Limits limits, ulong unit, Vector512<ulong> mine, Vector512<ulong> part)
    {
        Vector512<ulong> writer = Vector512.Load(writers + unit), one = Vector512.Load(readers + unit), two = Vector512.Load(otherReaders + unit);
        Vector512<ulong> good = Vector512.GreaterThanOrEqual(writer, limits.Valid) & Vector512.Equals(writer & Vector512.Create(PendingBit), Vector512<ulong>.Zero) & limits.Ordered(writer, mine);
        if ((good | ~part) != Vector512<ulong>.AllBitsSet) return false;
        Vector512<ulong> takeOne = Vector512.LessThan(one, limits.Known) | Vector512.Equals((one ^ mine) & Vector512.Create(ThreadMask), Vector512<ulong>.Zero);
        Vector512<ulong> takeTwo = ~takeOne & (Vector512.LessThan(two, limits.Known) | Vector512.Equals((one ^ two) & Vector512.Create(WarpMask), Vector512<ulong>.Zero));
        Vector512.ConditionalSelect(takeOne & part, mine, one).Store(readers + unit);
        Vector512.ConditionalSelect(takeTwo & part, mine, two).Store(otherReaders + unit);
        return true;
    }

    private bool WriteEight(in Limits limits, ulong unit, Vector512<ulong> mine, Vector512<ulong> part)
    {
        Vector512<ulong> writer = Vector512.Load(writers + unit), one = Vector512.Load(readers + unit), two = Vector512.Load(otherReaders + unit);
        Vector512<ulong> good = Vector512.Equals(writer & Vector512.Create(PendingBit), Vector512<ulong>.Zero) & limits.Ordered(writer, mine) & limits.Ordered(one, mine) & limits.Ordered(two, mine);
        if ((good | ~part) != Vector512<ulong>.AllBitsSet) return false;
        Vector512.ConditionalSelect(part, mine, writer).Store(writers + unit);
        return true;
    }

    private void TrackRead(Warp warp, MemoryOperation access, ulong address, int bytes, int lane)
    {
        ulong mine = Stamp(warp, access, lane), valid = (ulong)(blockStart + 1) << 32;
        for (ulong unit = address >> unitShift; unit < (address + (ulong)bytes) >> unitShift; unit++)
        {
            ulong writer = writers[unit];
            if (writer < valid) throw Fault(FindingKind.Uninitialised, warp, access.Pc, lane, $"reads {bytes} bytes at shared address 0x{address:x}, which no thread of the block has written", address);
            if ((writer & PendingBit) != 0) throw Race(FindingKind.AsyncCopyPending, warp, access, lane, address, bytes, writer, "without having waited for the asynchronous copy to it", true);
            if (!IsOrdered(writer, warp, lane)) throw Race(FindingKind.SharedRace, warp, access, lane, address, bytes, writer, "that another thread writes without a barrier between", true);
            ulong one = readers[unit], two = otherReaders[unit];
            if (one < valid || IsOrdered(one, warp, lane)) readers[unit] = mine;
            else if (two < valid || ((one ^ two) & WarpMask) == 0 || IsOrdered(two, warp, lane)) otherReaders[unit] = mine;
        }
    }

    private void TrackWrite(Warp warp, MemoryOperation access, ulong address, int bytes, int lane, uint mask)
    {
        ulong mine = Stamp(warp, access, lane), valid = (ulong)(blockStart + 1) << 32;
        for (ulong unit = address >> unitShift; unit < (address + (ulong)bytes) >> unitShift; unit++)
        {
            ulong writer = writers[unit];
            if (writer < valid)
            {
                if (access.Kind == MemoryKind.Atomic)
                    throw Fault(FindingKind.Uninitialised, warp, access.Pc, lane, $"updates {bytes} bytes at shared address 0x{address:x}, which no thread of the block has written", address);
            }
            else
            {
                if ((writer & PendingBit) != 0 && !IsSameInstruction(writer, warp, access, lane, mask))
                    throw Race(FindingKind.AsyncCopyPending, warp, access, lane, address, bytes, writer, "while an asynchronous copy to it may still be under way", true);
                bool areAtomic = (writer & AtomicBit) != 0 && access.Kind == MemoryKind.Atomic;
                if (!areAtomic && !IsOrdered(writer, warp, lane) && !(IsSameInstruction(writer, warp, access, lane, mask) && AreSameValues(warp, access, (int)(writer & 31), lane)))
                    throw Race(FindingKind.SharedRace, warp, access, lane, address, bytes, writer, "that another thread writes without a barrier between", true);
            }
            foreach (ulong reader in (ReadOnlySpan<ulong>)[readers[unit], otherReaders[unit]])
                if (reader >= valid && !IsOrdered(reader, warp, lane))
                    throw Race(FindingKind.SharedRace, warp, access, lane, address, bytes, reader, "that another thread reads without a barrier between", false);
            writers[unit] = mine;
        }
    }

    // The copy has been awaited by the thread that started it: from here on it counts as that thread's write.
    private void TrackArrival(Warp warp, in AsyncCopy copy)
    {
        ulong mine = Stamp(warp, copy.Access, copy.Lane) & ~PendingBit;
        for (uint unit = copy.Target >> unitShift; unit < copy.Target + (uint)copy.Access.ElementBytes >> unitShift; unit++) writers[unit] = mine;
    }

    private bool IsOrdered(ulong entry, Warp warp, int lane)
    {
        uint when = (uint)(entry >> 32);
        int thread = (int)(entry & ThreadMask);
        if (when <= everyoneKnows || thread == (warp.Index << 5 | lane)) return true;
        if (thread >> 5 != warp.Index) return when <= warp.Known[thread >> 5];
        return when <= warp.Synchronised || warp.PairSynchronised is { } pairs && when <= pairs[(thread & 31) * Warp.Lanes + lane];
    }

    // Whether an entry was made by another lane in this very execution of the instruction.
    private bool IsSameInstruction(ulong entry, Warp warp, MemoryOperation access, int lane, uint mask)
    {
        int other = (int)(entry & 31);
        return (entry >> 32) == warp.Now && (int)(entry >> SiteShift & SiteMask) == access.Index && (int)(entry & ThreadMask) >> 5 == warp.Index && other < lane && (mask >> other & 1) != 0
            && addresses[other] == addresses[lane];
    }

    private static bool AreSameValues(Warp warp, MemoryOperation access, int first, int second)
    {
        if (access.Kind != MemoryKind.Store) return false;
        foreach (DataPlace place in access.Data)
            if (Lane(place.In(warp.Registers), place.LaneBytes, first) != Lane(place.In(warp.Registers), place.LaneBytes, second)) return false;
        return true;
    }

    private EmulatorException Race(FindingKind kind, Warp warp, MemoryOperation access, int lane, ulong address, int bytes, ulong entry, string how, bool otherWrites)
    {
        int thread = (int)(entry & ThreadMask);
        PtxInstruction other = program.Entry.Instructions[program.Memory[(int)(entry >> SiteShift & SiteMask)].Pc];
        return Fault(kind, warp, access.Pc, lane, $"{Verb(access)} {bytes} bytes at shared address 0x{address:x} {how}", address,
            new OtherAccess(launch.ThreadPosition(thread), other.Source, other.Line, other.Text, otherWrites));
    }
}
