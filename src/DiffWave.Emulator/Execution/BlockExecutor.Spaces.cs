using System.Runtime.Intrinsics;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Memory;
using DiffWave.Emulator.Reports;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal sealed unsafe partial class BlockExecutor
{
    // The allocation an instruction used last: most go to the same one every time.
    private struct AllocationCache
    {
        public ulong Start, End;
        public byte* Data;

        /// <summary>Null when every byte is known to be written.</summary>
        public byte* Shadow;
        public bool IsReadOnly;

        /// <summary>Marks of the sectors read, then of those written; null without reports.</summary>
        public byte* Touched;
        public long Sectors;

        /// <summary>Which blocks have touched it; null unless that is asked for.</summary>
        public BlockRaces.Unit* Units;

        public readonly void Touch(ulong offset, int bytes, bool isRead, bool isWrite)
        {
            for (ulong sector = offset >> Footprint.SectorShift; sector <= (offset + (ulong)bytes - 1) >> Footprint.SectorShift; sector++)
            {
                if (isRead) Touched[sector] = 1;
                if (isWrite) Touched[(ulong)Sectors + sector] = 1;
            }
        }
    }

    private readonly AllocationCache* caches;

    private void ResolveGlobal(Warp warp, MemoryOperation access, uint mask, AddressShape shape, bool isWrite, ulong* at, int laneBytes, int cacheIndex)
    {
        AllocationCache* cache = caches + 2 * access.Index + cacheIndex;
        if (shape != AddressShape.Scattered)
        {
            int bytes = shape == AddressShape.Uniform ? laneBytes : Warp.Lanes * laneBytes;
            ulong start = at[0];
            if ((start & (ulong)(laneBytes - 1)) == 0 && (Within(cache, start, bytes) || Find(cache, start, bytes)) && !(isWrite && cache->IsReadOnly))
            {
                ulong offset = start - cache->Start;
                byte* shadow = cache->Shadow;
                if (shadow is null || Shadowed(shadow + offset, bytes, isWrite))
                {
                    pointers[0] = cache->Data + offset;
                    if (cache->Touched is not null) cache->Touch(offset, bytes, !isWrite, isWrite);
                    if (cache->Units is not null) TrackBlocks(warp, access, FirstLane(mask), cache, offset, bytes);
                    return;
                }
            }
        }
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            ulong address = at[lane];
            if ((address & (ulong)(laneBytes - 1)) != 0) throw Misaligned(warp, access, lane, address, laneBytes);
            if (!Within(cache, address, laneBytes) && !Find(cache, address, laneBytes)) throw OutOfBounds(warp, access, lane, address, laneBytes);
            if (isWrite && cache->IsReadOnly)
                throw Fault(FindingKind.ReadOnly, warp, access.Pc, lane, $"writes {laneBytes} bytes at 0x{address:x} in {launch.Memory.Nearest(address)}, which is constant", address);
            ulong offset = address - cache->Start;
            byte* shadow = cache->Shadow;
            if (shadow is not null && !Shadowed(shadow + offset, laneBytes, isWrite))
                throw Fault(FindingKind.Uninitialised, warp, access.Pc, lane,
                    $"reads {laneBytes} bytes at 0x{address:x}, offset {offset} of {launch.Memory.Nearest(address)}, which nobody has written", address);
            pointers[lane] = cache->Data + offset;
            if (cache->Touched is not null) cache->Touch(offset, laneBytes, !isWrite, isWrite || access.Kind == MemoryKind.Atomic);
            if (cache->Units is not null) TrackBlocks(warp, access, lane, cache, offset, laneBytes);
        }
    }

    private void TrackBlocks(Warp warp, MemoryOperation access, int lane, AllocationCache* cache, ulong offset, int bytes)
    {
        if (launch.IsEarly && !warp.HasWaited)
        {
            if (access.Kind is MemoryKind.Store or MemoryKind.Atomic)
                throw Fault(FindingKind.EarlyAccess, warp, access.Pc, lane, $"{Verb(access)} {bytes} bytes at 0x{cache->Start + offset:x} before it has waited for the launches before it", cache->Start + offset);
            if (launch.Before?.Writer(launch.Memory.Nearest(cache->Start)!, offset, bytes) is { } writer)
                throw Fault(FindingKind.EarlyAccess, warp, access.Pc, lane, $"reads {bytes} bytes at 0x{cache->Start + offset:x}, which {writer} writes in the launch before, before it has waited for that", cache->Start + offset);
        }
        if (races!.Touch(cache->Units, offset, bytes, access) is not { } conflict) return;
        PtxInstruction other = program.Entry.Instructions[conflict.Pc];
        string rest = conflict.Kind == FindingKind.NonCoherentRead ? "which the same launch writes, and which is read as if nobody did" : $"which block {launch.BlockPosition(conflict.Block)} {conflict.Verb} in the same launch";
        throw Fault(conflict.Kind, warp, access.Pc, lane, $"{Verb(access)} {bytes} bytes at 0x{cache->Start + offset:x}, offset {offset} of {launch.Memory.Nearest(cache->Start)}, {rest} at {other.Source} (PTX line {other.Line}: {other.Text})", cache->Start + offset);
    }

    // A write marks its bytes; a read asks whether all are marked.
    private static bool Shadowed(byte* shadow, int bytes, bool isWrite)
    {
        if (isWrite)
        {
            new Span<byte>(shadow, bytes).Fill(255);
            return true;
        }
        if (bytes == 4) return *(uint*)shadow == ~0u;
        int done = 0;
        for (; done + 64 <= bytes; done += 64)
            if (Vector512.Load(shadow + done) != Vector512<byte>.AllBitsSet) return false;
        for (; done < bytes; done++)
            if (shadow[done] != 255) return false;
        return true;
    }

    private static bool Within(AllocationCache* cache, ulong address, int bytes) => address >= cache->Start && address + (ulong)bytes <= cache->End;

    private bool Find(AllocationCache* cache, ulong address, int bytes)
    {
        Allocation? allocation = launch.Memory.Nearest(address);
        if (allocation is null || allocation.Data is null || address + (ulong)bytes > allocation.End) return false;
        *cache = new AllocationCache
        {
            Start = allocation.Address,
            End = allocation.End,
            Data = allocation.Data,
            Shadow = !checks || allocation.IsInitialised ? null : allocation.Shadow,
            IsReadOnly = allocation.IsReadOnly,
            Touched = counters is null ? null : counters.Footprint.Of(allocation),
            Sectors = Footprint.Sectors(allocation),
            Units = races is null ? null : races.Of(allocation),
        };
        return true;
    }

    private void ResolveShared(Warp warp, MemoryOperation access, uint mask, AddressShape shape, bool isWrite, int laneBytes)
    {
        int size = launch.SharedBytes;
        if (shape != AddressShape.Scattered)
        {
            ulong bytes = (ulong)(shape == AddressShape.Uniform ? laneBytes : Warp.Lanes * laneBytes), start = addresses[0];
            if ((start & (ulong)(laneBytes - 1)) == 0 && start + bytes <= (ulong)size)
            {
                pointers[0] = shared + start;
                if (checks) TrackRange(warp, access, start, laneBytes, shape, mask, isWrite);
                return;
            }
        }
        var start8 = Vector512.Create((ulong)shared);
        Vector512<ulong> any = Vector512<ulong>.Zero, highest = any;
        for (int lane = 0; lane < Warp.Lanes; lane += 8)
        {
            Vector512<ulong> here = Vector512.LoadAligned(addresses + lane);
            any |= here & Vector512.Create((ulong)(laneBytes - 1));
            highest = Vector512.Max(highest, here);
            (here + start8).StoreAligned((ulong*)pointers + lane);
        }
        if (any != Vector512<ulong>.Zero || size < laneBytes || Vector512.GreaterThanAny(highest, Vector512.Create((ulong)(size - laneBytes))))
            for (uint rest = mask; rest != 0; rest &= rest - 1) CheckShared(warp, access, FirstLane(rest), addresses[FirstLane(rest)], laneBytes);
        if (checks) TrackLanes(warp, access, mask, laneBytes, isWrite);
    }

    private void CheckShared(Warp warp, MemoryOperation access, int lane, ulong address, int bytes)
    {
        int size = launch.SharedBytes;
        if ((address & (ulong)(bytes - 1)) != 0) throw Misaligned(warp, access, lane, address, bytes);
        if (address > (ulong)size || address + (ulong)bytes > (ulong)size)
            throw Fault(FindingKind.OutOfBounds, warp, access.Pc, lane,
                $"{Verb(access)} {bytes} bytes at shared address 0x{address:x}; the block has {size} bytes of shared memory", address);
    }

    private void ResolveLocal(Warp warp, MemoryOperation access, uint mask, int laneBytes)
    {
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            ulong address = addresses[lane];
            if ((address & (ulong)(laneBytes - 1)) != 0) throw Misaligned(warp, access, lane, address, laneBytes);
            if (address > (ulong)program.LocalBytes || address + (ulong)laneBytes > (ulong)program.LocalBytes)
                throw Fault(FindingKind.OutOfBounds, warp, access.Pc, lane,
                    $"{Verb(access)} {laneBytes} bytes at local address 0x{address:x}; the thread has {program.LocalBytes} bytes of local memory", address);
            pointers[lane] = local + (long)(warp.Index * Warp.Lanes + lane) * program.LocalBytes + (long)address;
        }
    }

    private void ResolveParameter(Warp warp, MemoryOperation access, uint mask, AddressShape shape, bool isWrite)
    {
        for (uint rest = shape == AddressShape.Uniform ? 1 : mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            ulong address = addresses[lane];
            if (isWrite) throw Fault(FindingKind.ReadOnly, warp, access.Pc, lane, $"writes {access.LaneBytes} bytes at offset {address} of the parameters", address);
            if ((address & (ulong)(access.LaneBytes - 1)) != 0) throw Misaligned(warp, access, lane, address, access.LaneBytes);
            if (address > (ulong)program.ParameterBytes || address + (ulong)access.LaneBytes > (ulong)program.ParameterBytes)
                throw Fault(FindingKind.OutOfBounds, warp, access.Pc, lane,
                    $"reads {access.LaneBytes} bytes at offset {(long)address} of the parameters, which have {program.ParameterBytes} bytes", address);
            pointers[lane] = parameters + address;
        }
    }

    private EmulatorException Misaligned(Warp warp, MemoryOperation access, int lane, ulong address, int bytes) =>
        Fault(FindingKind.Misaligned, warp, access.Pc, lane,
            $"{Verb(access)} {bytes} bytes at {access.Space.ToString().ToLowerInvariant()} address 0x{address:x}, which is no multiple of {bytes}", address);

    private EmulatorException OutOfBounds(Warp warp, MemoryOperation access, int lane, ulong address, int bytes)
    {
        Allocation? nearest = launch.Memory.Nearest(address);
        FindingKind kind = address < 4096 ? FindingKind.NullPointer
            : nearest is not null && nearest.Data is null && address < nearest.End ? FindingKind.UseAfterFree : FindingKind.OutOfBounds;
        return Fault(kind, warp, access.Pc, lane, $"{Verb(access)} {bytes} bytes at global address 0x{address:x}: {launch.Memory.Describe(address, bytes)}", address);
    }

    private static string Verb(MemoryOperation access) => access.Kind == MemoryKind.Atomic ? "updates" : access.IsWrite ? "writes" : "reads";
}
