using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>How the addresses of a warp's lanes lie.</summary>
internal enum AddressShape : byte
{
    /// <summary>Anyhow.</summary>
    Scattered,

    /// <summary>All 32 lanes, one after the other without gaps.</summary>
    Contiguous,

    /// <summary>All active lanes at the same place.</summary>
    Uniform,
}

internal sealed unsafe partial class BlockExecutor
{
    private readonly ulong* addresses, sourceAddresses;
    private readonly byte** pointers;
    private readonly byte* shared, local;

    private void Access(Warp warp, MemoryOperation access, uint mask)
    {
        ulong* at = addresses;
        AddressShape shape = Addresses(access.Base, access.IsBaseWide, access.Displacement, warp.Registers, mask, access.LaneBytes, at);
        PtxSpace space = access.Space;
        if (space == PtxSpace.Generic)
        {
            ulong window = AddressWindows.Of(at[FirstLane(mask)]);
            uint same = 0;
            for (uint rest = mask; rest != 0; rest &= rest - 1)
                if (AddressWindows.Of(at[FirstLane(rest)]) == window) same |= rest & (uint)-(int)rest;
            if (same != mask)
            {
                Access(warp, access, same);
                Access(warp, access, mask & ~same);
                return;
            }
            space = window switch { AddressWindows.Shared => PtxSpace.Shared, AddressWindows.Local => PtxSpace.Local, AddressWindows.Parameter => PtxSpace.Parameter, _ => PtxSpace.Global };
            if (window != 0)
                for (int lane = 0; lane < Warp.Lanes; lane++) at[lane] &= 0xFFFF_FFFF;
        }

        if (space == PtxSpace.Local) shape = AddressShape.Scattered; // every thread has its own

        switch (access.Kind)
        {
            case MemoryKind.Load:
                Resolve(warp, access, space, mask, shape, isWrite: false);
                Load(access, warp.Registers, mask, shape);
                break;
            case MemoryKind.Store:
                Resolve(warp, access, space, mask, shape, isWrite: true);
                Store(access, warp.Registers, mask, shape);
                break;
            case MemoryKind.Atomic:
                ResolveAtomic(warp, access, space, mask);
                Atomic(access, warp.Registers, mask, space == PtxSpace.Global);
                break;
            case MemoryKind.AsyncCopy:
                StartCopy(warp, access, mask);
                break;
            case MemoryKind.MatrixLoad:
                LoadMatrices(warp, access);
                break;
            default:
                StoreMatrices(warp, access);
                break;
        }
    }

    // Addresses of all lanes and how they lie; lanes that do not take part get the first active lane's, so that all can be checked alike.
    private static AddressShape Addresses(int register, bool isWide, ulong displacement, byte* file, uint mask, int laneBytes, ulong* at)
    {
        if (register < 0)
        {
            var everywhere = Vector512.Create(displacement);
            for (int lane = 0; lane < Warp.Lanes; lane += 8) everywhere.StoreAligned(at + lane);
            return AddressShape.Uniform;
        }
        if (isWide)
        {
            ulong* source = (ulong*)(file + register);
            var add = Vector512.Create(displacement);
            Vector512<ulong> a0 = Vector512.LoadAligned(source) + add, a1 = Vector512.LoadAligned(source + 8) + add, a2 = Vector512.LoadAligned(source + 16) + add,
                a3 = Vector512.LoadAligned(source + 24) + add;
            a0.StoreAligned(at);
            a1.StoreAligned(at + 8);
            a2.StoreAligned(at + 16);
            a3.StoreAligned(at + 24);
        }
        else
        {
            uint* source = (uint*)(file + register);
            var add = Vector512.Create((uint)displacement);
            (Vector512<ulong> low, Vector512<ulong> high) = Vector512.Widen(Vector512.LoadAligned(source) + add);
            low.StoreAligned(at);
            high.StoreAligned(at + 8);
            (low, high) = Vector512.Widen(Vector512.LoadAligned(source + 16) + add);
            low.StoreAligned(at + 16);
            high.StoreAligned(at + 24);
        }
        Vector512<ulong> first = Vector512.Create(at[FirstLane(mask)]), uniform = Vector512<ulong>.Zero, contiguous = uniform, counting = Vector512.Create(0ul, 1, 2, 3, 4, 5, 6, 7);
        if (mask != ~0u)
        {
            for (int lane = 0; lane < Warp.Lanes; lane += 8)
            {
                Vector512<ulong> takesPart = Vector512.Equals(Vector512.Create((ulong)mask >> lane) & LaneBits, LaneBits), here = Vector512.ConditionalSelect(takesPart, Vector512.LoadAligned(at + lane), first);
                here.StoreAligned(at + lane);
                uniform |= here ^ first;
            }
            return uniform == Vector512<ulong>.Zero ? AddressShape.Uniform : AddressShape.Scattered;
        }
        Vector512<ulong> expected = first + counting * Vector512.Create((ulong)laneBytes), eight = Vector512.Create(8ul * (ulong)laneBytes);
        for (int lane = 0; lane < Warp.Lanes; lane += 8)
        {
            Vector512<ulong> here = Vector512.LoadAligned(at + lane);
            uniform |= here ^ first;
            contiguous |= here ^ expected;
            expected += eight;
        }
        return contiguous == Vector512<ulong>.Zero ? AddressShape.Contiguous : uniform == Vector512<ulong>.Zero ? AddressShape.Uniform : AddressShape.Scattered;
    }

    private static Vector512<ulong> LaneBits => Vector512.Create(1ul, 2, 4, 8, 16, 32, 64, 128);

    // Checks the addresses and turns them into pointers of the host: of every lane where they are scattered, else of the first.
    private void Resolve(Warp warp, MemoryOperation access, PtxSpace space, uint mask, AddressShape shape, bool isWrite)
    {
        switch (space)
        {
            case PtxSpace.Global:
                ResolveGlobal(warp, access, mask, shape, isWrite, addresses, access.LaneBytes, 0);
                counters?.CountGlobal(access.Index, addresses, mask, shape, access.LaneBytes);
                break;
            case PtxSpace.Shared:
                ResolveShared(warp, access, mask, shape, isWrite, access.LaneBytes);
                counters?.CountShared(access.Index, addresses, mask, shape, access.LaneBytes);
                break;
            case PtxSpace.Local:
                ResolveLocal(warp, access, mask, access.LaneBytes);
                break;
            default:
                ResolveParameter(warp, access, mask, shape, isWrite);
                break;
        }
    }

    private void Load(MemoryOperation access, byte* file, uint mask, AddressShape shape)
    {
        int bytes = access.ElementBytes, elements = access.Elements;
        if (shape == AddressShape.Scattered)
        {
            for (int element = 0; element < elements; element++)
            {
                DataPlace place = access.Data[element];
                if (place.IsSink) continue;
                byte* target = place.In(file);
                int offset = element * bytes;
                if (bytes == 4 && place.LaneBytes == 4)
                {
                    for (uint rest = mask; rest != 0; rest &= rest - 1)
                    {
                        int lane = FirstLane(rest);
                        ((uint*)target)[lane] = *(uint*)(pointers[lane] + offset);
                    }
                    continue;
                }
                for (uint rest = mask; rest != 0; rest &= rest - 1)
                {
                    int lane = FirstLane(rest);
                    SetLane(target, place.LaneBytes, lane, Read(access, pointers[lane] + offset));
                }
            }
            return;
        }
        byte* source = pointers[0];
        int stride = shape == AddressShape.Uniform ? 0 : access.LaneBytes;
        for (int element = 0; element < elements; element++)
        {
            DataPlace place = access.Data[element];
            if (place.IsSink) continue;
            byte* target = place.In(file), from = source + element * bytes;
            if (stride == 0)
            {
                ulong value = Read(access, from);
                if (mask != ~0u)
                {
                    for (uint rest = mask; rest != 0; rest &= rest - 1) SetLane(target, place.LaneBytes, FirstLane(rest), value);
                    continue;
                }
                if (place.LaneBytes == 4)
                {
                    var filled = Vector512.Create((uint)value);
                    filled.StoreAligned((uint*)target);
                    filled.StoreAligned((uint*)target + 16);
                    continue;
                }
                var wide = Vector512.Create(value);
                for (int lane = 0; lane < Warp.Lanes; lane += 8) wide.StoreAligned((ulong*)target + lane);
            }
            else if (stride == place.LaneBytes && stride == bytes) Unsafe.CopyBlock(target, from, (uint)(Warp.Lanes * stride));
            else if (bytes == 4 && place.LaneBytes == 4)
            {
                for (int lane = 0; lane < Warp.Lanes; lane++, from += stride) ((uint*)target)[lane] = *(uint*)from;
            }
            else
            {
                for (int lane = 0; lane < Warp.Lanes; lane++, from += stride) SetLane(target, place.LaneBytes, lane, Read(access, from));
            }
        }
    }

    private void Store(MemoryOperation access, byte* file, uint mask, AddressShape shape)
    {
        int bytes = access.ElementBytes, elements = access.Elements;
        for (int element = 0; element < elements; element++)
        {
            DataPlace place = access.Data[element];
            byte* source = place.In(file);
            int offset = element * bytes;
            if (shape == AddressShape.Contiguous)
            {
                byte* target = pointers[0] + offset;
                int stride = access.LaneBytes;
                if (stride == place.LaneBytes && stride == bytes)
                {
                    Unsafe.CopyBlock(target, source, (uint)(Warp.Lanes * stride));
                    continue;
                }
                if (bytes == 4)
                {
                    for (int lane = 0; lane < Warp.Lanes; lane++, target += stride) *(uint*)target = (uint)Lane(source, place.LaneBytes, lane);
                    continue;
                }
                for (int lane = 0; lane < Warp.Lanes; lane++, target += stride) Write(target, bytes, Lane(source, place.LaneBytes, lane));
                continue;
            }
            // Where lanes write to the same place the highest wins.
            for (uint rest = mask; rest != 0; rest &= rest - 1)
            {
                int lane = FirstLane(rest);
                Write((shape == AddressShape.Uniform ? pointers[0] : pointers[lane]) + offset, bytes, Lane(source, place.LaneBytes, lane));
            }
        }
    }

    private static ulong Read(MemoryOperation access, byte* from)
    {
        switch (access.ElementBytes)
        {
            case 1: return !access.IsSigned ? *from : access.IsHalfDestination ? (ushort)*(sbyte*)from : (ulong)*(sbyte*)from;
            case 2: return !access.IsSigned || access.IsHalfDestination ? *(ushort*)from : (ulong)*(short*)from;
            case 4: return access.IsSigned ? (ulong)*(int*)from : *(uint*)from;
            default: return *(ulong*)from;
        }
    }

    private static void Write(byte* to, int bytes, ulong value)
    {
        switch (bytes)
        {
            case 1: *to = (byte)value; break;
            case 2: *(ushort*)to = (ushort)value; break;
            case 4: *(uint*)to = (uint)value; break;
            default: *(ulong*)to = value; break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Lane(byte* array, int laneBytes, int lane) => laneBytes == 8 ? ((ulong*)array)[lane] : ((uint*)array)[lane];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetLane(byte* array, int laneBytes, int lane, ulong value)
    {
        if (laneBytes == 8) ((ulong*)array)[lane] = value;
        else ((uint*)array)[lane] = (uint)value;
    }
}
