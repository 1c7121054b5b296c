using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal sealed unsafe partial class BlockExecutor
{
    private void ResolveAtomic(Warp warp, MemoryOperation access, PtxSpace space, uint mask)
    {
        switch (space)
        {
            case PtxSpace.Global:
                ResolveGlobal(warp, access, mask, AddressShape.Scattered, isWrite: false, addresses, access.LaneBytes, 0);
                for (uint rest = mask; rest != 0; rest &= rest - 1)
                    if (launch.Memory.Nearest(addresses[FirstLane(rest)])!.IsReadOnly)
                        throw Fault(FindingKind.ReadOnly, warp, access.Pc, FirstLane(rest), $"updates {access.LaneBytes} bytes at 0x{addresses[FirstLane(rest)]:x}, which is constant", addresses[FirstLane(rest)]);
                counters?.CountGlobal(access.Index, addresses, mask, AddressShape.Scattered, access.LaneBytes);
                break;
            case PtxSpace.Shared:
                ResolveShared(warp, access, mask, AddressShape.Scattered, isWrite: true, access.LaneBytes);
                counters?.CountShared(access.Index, addresses, mask, AddressShape.Scattered, access.LaneBytes);
                break;
            default:
                throw Fault(FindingKind.OutOfBounds, warp, access.Pc, FirstLane(mask), $"updates {space.ToString().ToLowerInvariant()} memory; atomic operations need global or shared memory", addresses[FirstLane(mask)]);
        }
    }

    // Lane after lane, so that each sees what those before it did.
    private void Atomic(MemoryOperation access, byte* file, uint mask, bool isGlobal)
    {
        int elements = access.Elements, bytes = access.ElementBytes;
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            for (int element = 0; element < elements; element++)
            {
                byte* place = pointers[lane] + element * bytes;
                ulong old = Read(access, place);
                DataPlace first = access.Data[elements + element];
                ulong operand = Lane(first.In(file), first.LaneBytes, lane), second = 0;
                if (access.Atomic == "cas") second = Lane(access.Data[2].In(file), access.Data[2].LaneBytes, lane);
                Write(place, bytes, Combine(access.Atomic, access.AtomicType, old, operand, second, isGlobal));
                DataPlace result = access.Data[element];
                if (!result.IsSink) SetLane(result.In(file), result.LaneBytes, lane, old);
            }
        }
    }

    private static ulong Combine(string operation, PtxType type, ulong old, ulong operand, ulong second, bool isGlobal)
    {
        switch (operation)
        {
            case "exch": return operand;
            case "cas": return old == (MemoryTranslator.Bytes(type) switch { 2 => (ushort)operand, 4 => (uint)operand, _ => operand }) ? second : old;
            case "and": return old & operand;
            case "or": return old | operand;
            case "xor": return old ^ operand;
            case "inc": return (uint)old >= (uint)operand ? 0 : (uint)old + 1;
            case "dec": return (uint)old == 0 || (uint)old > (uint)operand ? (uint)operand : (uint)old - 1;
        }
        bool isAdd = operation == "add", isMin = operation == "min";
        switch (type)
        {
            case PtxType.U32 or PtxType.B32: return isAdd ? (uint)old + (uint)operand : isMin ? Math.Min((uint)old, (uint)operand) : Math.Max((uint)old, (uint)operand);
            case PtxType.S32: return (uint)(isAdd ? (int)old + (int)operand : isMin ? Math.Min((int)old, (int)operand) : Math.Max((int)old, (int)operand));
            case PtxType.U64 or PtxType.B64: return isAdd ? old + operand : isMin ? Math.Min(old, operand) : Math.Max(old, operand);
            case PtxType.S64: return isAdd ? old + operand : (ulong)(isMin ? Math.Min((long)old, (long)operand) : Math.Max((long)old, (long)operand));
            case PtxType.F64: return BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(old) + BitConverter.UInt64BitsToDouble(operand));
            case PtxType.F32:
                // On global memory the hardware has no subnormal numbers here.
                float a = BitConverter.UInt32BitsToSingle((uint)old), b = BitConverter.UInt32BitsToSingle((uint)operand);
                return BitConverter.SingleToUInt32Bits(isGlobal ? Flush(Flush(a) + Flush(b)) : a + b);
            case PtxType.F16: return CombineHalf(operation, (ushort)old, (ushort)operand);
            case PtxType.BF16: return CombineBrain(operation, (ushort)old, (ushort)operand);
            case PtxType.F16x2: return CombineHalf(operation, (ushort)old, (ushort)operand) | (uint)CombineHalf(operation, (ushort)(old >> 16), (ushort)(operand >> 16)) << 16;
            case PtxType.BF16x2: return CombineBrain(operation, (ushort)old, (ushort)operand) | (uint)CombineBrain(operation, (ushort)(old >> 16), (ushort)(operand >> 16)) << 16;
            default: throw new PtxException(0, $"the emulator has no atomic {operation} of {type}", supported: false);
        }
    }

    private static float Flush(float value) => float.IsSubnormal(value) ? MathF.CopySign(0, value) : value;

    // Rounding the float32 result once more is exact rounding: float32 has more than twice the digits and two.
    private static ushort CombineHalf(string operation, ushort old, ushort operand)
    {
        float a = (float)BitConverter.UInt16BitsToHalf(old), b = (float)BitConverter.UInt16BitsToHalf(operand);
        return BitConverter.HalfToUInt16Bits((Half)Combine(operation, a, b));
    }

    private static ushort CombineBrain(string operation, ushort old, ushort operand)
    {
        uint bits = BitConverter.SingleToUInt32Bits(Combine(operation, BitConverter.UInt32BitsToSingle((uint)old << 16), BitConverter.UInt32BitsToSingle((uint)operand << 16)));
        if ((bits & 0x7FFF_FFFF) > 0x7F80_0000) return 0x7FFF;
        return (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    // The number wins over NaN in min and max.
    private static float Combine(string operation, float a, float b) => operation switch { "add" => a + b, "min" => float.MinNumber(a, b), _ => float.MaxNumber(a, b) };
}
