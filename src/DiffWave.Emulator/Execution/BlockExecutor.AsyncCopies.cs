using System.Runtime.CompilerServices;

namespace DiffWave.Emulator.Execution;

/// <summary>An asynchronous copy of one lane, done when it is awaited: data read too early is the old data.</summary>
/// <param name="Access">The instruction.</param>
/// <param name="Lane">The lane.</param>
/// <param name="Group">Groups the lane had committed before it.</param>
/// <param name="Target">Shared address.</param>
/// <param name="Source">Where the bytes lie.</param>
/// <param name="SourceBytes">Bytes to copy; the rest of the target becomes zero.</param>
internal readonly record struct AsyncCopy(MemoryOperation Access, int Lane, int Group, uint Target, nint Source, int SourceBytes);

internal sealed unsafe partial class BlockExecutor
{
    private void StartCopy(Warp warp, MemoryOperation access, uint mask)
    {
        int bytes = access.ElementBytes;
        AddressShape shape = Addresses(access.SourceBase, isWide: true, access.SourceDisplacement, warp.Registers, mask, bytes, sourceAddresses);
        ResolveShared(warp, access, mask, AddressShape.Scattered, isWrite: true, bytes);
        counters?.CountShared(access.Index, addresses, mask, AddressShape.Scattered, bytes);

        byte* sizes = access.SourceBytes.In(warp.Registers);
        uint read = 0; // lanes that read anything
        bool isWhole = true;
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            uint size = ((uint*)sizes)[lane];
            if (size > bytes) throw Fault(Checks.FindingKind.OutOfBounds, warp, access.Pc, lane, $"copies {size} bytes with an instruction for {bytes}");
            if (size > 0) read |= 1u << lane;
            isWhole &= size == bytes;
        }
        if (isWhole)
        {
            ResolveGlobal(warp, access, mask, AddressShape.Scattered, isWrite: false, sourceAddresses, bytes, 1);
        }
        else
        {
            for (uint rest = read; rest != 0; rest &= rest - 1)
            {
                int lane = FirstLane(rest);
                if ((sourceAddresses[lane] & (ulong)(bytes - 1)) != 0) throw Misaligned(warp, access, lane, sourceAddresses[lane], bytes);
                ResolvePart(warp, access, lane, (int)((uint*)sizes)[lane]);
            }
        }
        counters?.CountGlobal(access.Index, sourceAddresses, read, isWhole ? shape : AddressShape.Scattered, bytes);
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest), size = (int)((uint*)sizes)[lane];
            warp.Copies.Add(new AsyncCopy(access, lane, warp.CommittedGroups[lane], (uint)addresses[lane], size == 0 ? 0 : (nint)pointers[lane], size));
        }
    }

    // A copy of fewer bytes than the instruction names: only those are read, at any size.
    private void ResolvePart(Warp warp, MemoryOperation access, int lane, int bytes)
    {
        AllocationCache* cache = caches + 2 * access.Index + 1;
        ulong address = sourceAddresses[lane];
        if (!Within(cache, address, bytes) && !Find(cache, address, bytes)) throw OutOfBounds(warp, access, lane, address, bytes);
        ulong offset = address - cache->Start;
        if (cache->Shadow is not null && !Shadowed(cache->Shadow + offset, bytes, isWrite: false))
            throw Fault(Checks.FindingKind.Uninitialised, warp, access.Pc, lane,
                $"copies {bytes} bytes from 0x{address:x}, offset {offset} of {launch.Memory.Nearest(address)}, which nobody has written", address);
        pointers[lane] = cache->Data + offset;
        if (cache->Touched is not null && bytes > 0) cache->Touch(offset, bytes, isRead: true, isWrite: false);
        if (cache->Units is not null) TrackBlocks(warp, access, lane, cache, offset, bytes);
    }

    // Ends the copies of all but the last groups of each lane; -1: all copies, committed or not.
    private void CompleteCopies(Warp warp, uint mask, int pendingGroups)
    {
        int kept = 0;
        for (int i = 0; i < warp.Copies.Count; i++)
        {
            AsyncCopy copy = warp.Copies[i];
            bool isDone = (mask >> copy.Lane & 1) != 0 && (pendingGroups < 0 || copy.Group < warp.CommittedGroups[copy.Lane] - pendingGroups);
            if (!isDone)
            {
                warp.Copies[kept++] = copy;
                continue;
            }
            byte* target = shared + copy.Target;
            Unsafe.CopyBlockUnaligned(target, (void*)copy.Source, (uint)copy.SourceBytes);
            Unsafe.InitBlockUnaligned(target + copy.SourceBytes, 0, (uint)(copy.Access.ElementBytes - copy.SourceBytes));
            if (checks) TrackArrival(warp, copy);
        }
        warp.Copies.RemoveRange(kept, warp.Copies.Count - kept);
    }
}
