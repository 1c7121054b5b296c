using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

internal readonly struct And<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => a & b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a & b;
}

internal readonly struct Or<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => a | b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a | b;
}

internal readonly struct Xor<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => a ^ b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a ^ b;
}

internal readonly struct Not<T> : IOp1<T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a) => ~a;

    public static Vector256<T> Apply(Vector256<T> a) => ~a;
}

/// <summary>1 for zero, else 0.</summary>
internal readonly struct LogicalNot<T> : IOp1<T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a) => T.IsZero(a) ? T.One : T.Zero;
}

/// <summary>Shift to the left; a count beyond the width leaves 0.</summary>
internal readonly struct ShiftLeft<T> : IOp2<T, uint, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() == 4 && Avx2.IsSupported;

    public static T Apply(T a, uint count) => count >= Unsafe.SizeOf<T>() * 8 ? T.Zero : a << (int)count;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<uint> count) => Avx2.ShiftLeftLogicalVariable(a.As<T, uint>(), count).As<uint, T>();
}

/// <summary>Shift to the right; a count beyond the width leaves 0, or the sign of a signed number.</summary>
internal readonly struct ShiftRight<T> : IOp2<T, uint, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() == 4 && Avx2.IsSupported;

    public static T Apply(T a, uint count) => a >> (int)Math.Min(count, (uint)Unsafe.SizeOf<T>() * 8 - 1) >> (count >= Unsafe.SizeOf<T>() * 8 ? 1 : 0);

    public static Vector256<T> Apply(Vector256<T> a, Vector256<uint> count) => typeof(T) == typeof(int)
        ? Avx2.ShiftRightArithmeticVariable(a.As<T, int>(), count).As<int, T>()
        : Avx2.ShiftRightLogicalVariable(a.As<T, uint>(), count).As<uint, T>();
}

/// <summary>The upper half of b:a shifted to the left, or the lower half of it shifted to the right; counts beyond 32 are 32 or taken modulo 32.</summary>
internal readonly struct FunnelShift<TLeft, TWrap> : IOp3<uint, uint, uint, uint> where TLeft : struct, IFlag where TWrap : struct, IFlag
{
    public static uint Apply(uint a, uint b, uint count)
    {
        int n = (int)(TWrap.Value ? count & 31 : Math.Min(count, 32));
        ulong both = (ulong)b << 32 | a;
        return TLeft.Value ? (uint)(both << n >> 32) : (uint)(both >> n);
    }
}

internal static unsafe class BitLoops
{
    /// <summary><c>lop3</c>: any logical function of three bits, by its table of truth, which is the same for all lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LogicByTable(LaneArguments* x)
    {
        uint table = *(uint*)(*x)[4];
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 8)
        {
            Vector256<uint> a = LaneLoops.Load<uint>((*x)[1], lane), b = LaneLoops.Load<uint>((*x)[2], lane), c = LaneLoops.Load<uint>((*x)[3], lane), r = default;
            for (int i = 0; i < 8; i++)
                if ((table >> i & 1) != 0) r |= ((i & 4) != 0 ? a : ~a) & ((i & 2) != 0 ? b : ~b) & ((i & 1) != 0 ? c : ~c);
            LaneLoops.Store((*x)[0], lane, r, x->Mask);
        }
    }
}

/// <summary>Which bytes <c>prmt</c> takes.</summary>
internal interface IBytePick
{
    /// <summary>Number of the byte for place <paramref name="place"/> of the result, 0 .. 7; bit 3 set: its sign eight times.</summary>
    static abstract uint Pick(uint control, int place);
}

internal readonly struct PickEach : IBytePick
{
    public static uint Pick(uint control, int place) => control >> (4 * place) & 15;
}

internal readonly struct PickForward : IBytePick
{
    public static uint Pick(uint control, int place) => (control & 3) + (uint)place;
}

internal readonly struct PickBackward : IBytePick
{
    public static uint Pick(uint control, int place) => (control & 3) - (uint)place & 7;
}

internal readonly struct PickReplicated : IBytePick
{
    public static uint Pick(uint control, int place) => control & 3;
}

internal readonly struct PickEdgeLeft : IBytePick
{
    public static uint Pick(uint control, int place) => Math.Max(control & 3, (uint)place);
}

internal readonly struct PickEdgeRight : IBytePick
{
    public static uint Pick(uint control, int place) => Math.Min(control & 3, (uint)place);
}

internal readonly struct PickReplicated16 : IBytePick
{
    public static uint Pick(uint control, int place) => (control & 1) * 2 + ((uint)place & 1);
}

/// <summary>Four bytes picked from the eight of b:a.</summary>
internal readonly struct Permute<TPick> : IOp3<uint, uint, uint, uint> where TPick : struct, IBytePick
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Apply(uint a, uint b, uint control)
    {
        ulong bytes = (ulong)b << 32 | a;
        return Byte(bytes, TPick.Pick(control, 0)) | Byte(bytes, TPick.Pick(control, 1)) << 8 | Byte(bytes, TPick.Pick(control, 2)) << 16 | Byte(bytes, TPick.Pick(control, 3)) << 24;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Byte(ulong bytes, uint pick)
    {
        uint value = (uint)(bytes >> (int)(8 * (pick & 7))) & 255;
        return (pick & 8) == 0 ? value : (uint)(sbyte)value >> 31 == 0 ? 0 : 255u;
    }
}

/// <summary>A field of c bits from bit b; signed numbers repeat the field's highest bit, or the sign of the number where the field goes beyond it.</summary>
internal readonly struct ExtractField<T> : IOp3<T, uint, uint, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a, uint position, uint length)
    {
        int width = Unsafe.SizeOf<T>() * 8, p = (int)(position & 255), n = (int)(length & 255);
        bool signed = T.IsNegative(~T.Zero);
        T sign = !signed || n == 0 ? T.Zero : a >> Math.Min(p + n - 1, width - 1) & T.One;
        T field = p >= width ? T.Zero : a >>> p;
        T mask = n >= width ? ~T.Zero : (T.One << n) - T.One;
        // Bits of the number that lie above its width are the sign too.
        T present = p == 0 ? ~T.Zero : p >= width ? T.Zero : (T.One << (width - p)) - T.One;
        T fill = T.IsZero(sign) ? T.Zero : ~(mask & present);
        return field & mask | fill;
    }
}

/// <summary>b with its bits from c on replaced by the low d bits of a.</summary>
internal readonly struct InsertField<T> : IOp4<T, T, uint, uint, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a, T b, uint position, uint length)
    {
        int width = Unsafe.SizeOf<T>() * 8, p = (int)(position & 255), n = (int)(length & 255);
        if (p >= width) return b;
        T mask = (n >= width ? ~T.Zero : (T.One << n) - T.One) << p;
        return b & ~mask | a << p & mask;
    }
}

/// <summary>Position of the highest bit that differs from the sign (of the highest 1 of an unsigned number), or the shift that would bring it to the top; all ones when there is none.</summary>
internal readonly struct FindLeadingBit<T, TShift> : IOp1<T, uint> where T : unmanaged, IBinaryInteger<T> where TShift : struct, IFlag
{
    public static uint Apply(T a)
    {
        int width = Unsafe.SizeOf<T>() * 8, zeros = int.CreateTruncating(T.LeadingZeroCount(T.IsNegative(a) ? ~a : a));
        return zeros == width ? uint.MaxValue : (uint)(TShift.Value ? zeros : width - 1 - zeros);
    }
}

internal readonly struct ReverseBits<T> : IOp1<T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a)
    {
        T r = T.Zero;
        for (int i = 0; i < Unsafe.SizeOf<T>() * 8; i++) r = r << 1 | a >> i & T.One;
        return r;
    }
}

internal readonly struct LeadingZeros<T> : IOp1<T, uint> where T : unmanaged, IBinaryInteger<T>
{
    public static uint Apply(T a) => uint.CreateTruncating(T.LeadingZeroCount(a));
}

internal readonly struct CountOnes<T> : IOp1<T, uint> where T : unmanaged, IBinaryInteger<T>
{
    public static uint Apply(T a) => uint.CreateTruncating(T.PopCount(a));
}

/// <summary>Position of the n-th 1 counted from a base, upwards for a positive n and downwards for a negative one, the base itself for 0; all ones when there is none.</summary>
internal readonly struct FindNthOne : IOp3<uint, uint, int, uint>
{
    public static uint Apply(uint a, uint start, int n)
    {
        if (start > 31) return uint.MaxValue;
        if (n == 0) return (a >> (int)start & 1) != 0 ? start : uint.MaxValue;
        int step = Math.Sign(n), left = Math.Abs((long)n) > 32 ? 33 : Math.Abs(n);
        for (int i = (int)start; i is >= 0 and < 32; i += step)
            if ((a >> i & 1) != 0 && --left == 0) return (uint)i;
        return uint.MaxValue;
    }
}

/// <summary>The low b bits of a, with the highest of them repeated above when signed; a width beyond 32 is 32 or taken modulo 32.</summary>
internal readonly struct ExtendField<T, TWrap> : IOp2<T, uint, T> where T : unmanaged, IBinaryInteger<T> where TWrap : struct, IFlag
{
    public static T Apply(T a, uint width)
    {
        int n = (int)(TWrap.Value ? width & 31 : Math.Min(width, 32));
        return n == 0 ? T.Zero : a << (32 - n) >> (32 - n);
    }
}

/// <summary>b ones from bit a on; both beyond 32 are 32, or taken modulo 32.</summary>
internal readonly struct BitMask<TWrap> : IOp2<uint, uint, uint> where TWrap : struct, IFlag
{
    public static uint Apply(uint start, uint count)
    {
        int from = (int)(TWrap.Value ? start & 31 : Math.Min(start, 32)), n = (int)(TWrap.Value ? count & 31 : Math.Min(count, 32));
        return (uint)((1UL << n) - 1 << from);
    }
}
