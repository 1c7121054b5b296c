using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>A choice made when the code is generated.</summary>
internal interface IFlag
{
    static abstract bool Value { get; }
}

internal readonly struct On : IFlag
{
    public static bool Value => true;
}

internal readonly struct Off : IFlag
{
    public static bool Value => false;
}

/// <summary>An operation of one operand, lane by lane, and perhaps for a vector of lanes at once; then both types are equally wide, 4 or 8 bytes.</summary>
internal interface IOp1<TA, TR>
{
    static abstract TR Apply(TA a);

    static virtual bool IsVector => false;

    static virtual Vector256<TR> Apply(Vector256<TA> a) => throw new NotSupportedException();
}

/// <summary>An operation of two operands, see <see cref="IOp1{TA, TR}"/>.</summary>
internal interface IOp2<TA, TB, TR>
{
    static abstract TR Apply(TA a, TB b);

    static virtual bool IsVector => false;

    static virtual Vector256<TR> Apply(Vector256<TA> a, Vector256<TB> b) => throw new NotSupportedException();
}

/// <summary>An operation of three operands, see <see cref="IOp1{TA, TR}"/>.</summary>
internal interface IOp3<TA, TB, TC, TR>
{
    static abstract TR Apply(TA a, TB b, TC c);

    static virtual bool IsVector => false;

    static virtual Vector256<TR> Apply(Vector256<TA> a, Vector256<TB> b, Vector256<TC> c) => throw new NotSupportedException();
}

/// <summary>An operation of four operands.</summary>
internal interface IOp4<TA, TB, TC, TD, TR>
{
    static abstract TR Apply(TA a, TB b, TC c, TD d);
}

/// <summary>An operation of two 32-bit operands, and perhaps a 64-bit one, with a 64-bit result, for four lanes at once.</summary>
internal interface IWide
{
    static abstract Vector256<ulong> Apply(Vector256<ulong> a, Vector256<ulong> b, Vector256<ulong> c);

    static abstract bool IsSigned { get; }

    /// <summary>Operands, 1 to 3.</summary>
    static abstract int Operands { get; }
}

/// <summary>
/// The loops over the 32 lanes of a warp. They are compiled with full optimisation at once, because a short test would otherwise spend its time in unoptimised vector code.
/// Everything a chunk of lanes reads is read before the chunk is written, so a destination may be a source.
/// </summary>
internal static unsafe class LaneLoops
{
    public const int Lanes = 32;

    public static void Run1<TA, TR, TOp>(LaneArguments* x) where TA : unmanaged where TR : unmanaged where TOp : struct, IOp1<TA, TR> => Body1<TA, TR, TOp>((*x)[0], (*x)[1], x->Mask);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body1<TA, TR, TOp>(byte* r, byte* a, uint mask) where TA : unmanaged where TR : unmanaged where TOp : struct, IOp1<TA, TR>
    {
        if (TOp.IsVector)
            for (int lane = 0; lane < Lanes; lane += Vector256<TR>.Count)
                Store(r, lane, TOp.Apply(Load<TA>(a, lane)), mask);
        else
            for (; mask != 0; mask &= mask - 1)
            {
                int lane = BitOperations.TrailingZeroCount(mask);
                Write(r, lane, TOp.Apply(Read<TA>(a, lane)));
            }
    }

    public static void Run2<TA, TB, TR, TOp>(LaneArguments* x) where TA : unmanaged where TB : unmanaged where TR : unmanaged where TOp : struct, IOp2<TA, TB, TR> =>
        Body2<TA, TB, TR, TOp>((*x)[0], (*x)[1], (*x)[2], x->Mask);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body2<TA, TB, TR, TOp>(byte* r, byte* a, byte* b, uint mask) where TA : unmanaged where TB : unmanaged where TR : unmanaged where TOp : struct, IOp2<TA, TB, TR>
    {
        if (TOp.IsVector)
            for (int lane = 0; lane < Lanes; lane += Vector256<TR>.Count)
                Store(r, lane, TOp.Apply(Load<TA>(a, lane), Load<TB>(b, lane)), mask);
        else
            for (; mask != 0; mask &= mask - 1)
            {
                int lane = BitOperations.TrailingZeroCount(mask);
                Write(r, lane, TOp.Apply(Read<TA>(a, lane), Read<TB>(b, lane)));
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run3<TA, TB, TC, TR, TOp>(LaneArguments* x)
        where TA : unmanaged where TB : unmanaged where TC : unmanaged where TR : unmanaged where TOp : struct, IOp3<TA, TB, TC, TR>
    {
        byte* r = (*x)[0], a = (*x)[1], b = (*x)[2], c = (*x)[3];
        uint mask = x->Mask;
        if (TOp.IsVector)
            for (int lane = 0; lane < Lanes; lane += Vector256<TR>.Count)
                Store(r, lane, TOp.Apply(Load<TA>(a, lane), Load<TB>(b, lane), Load<TC>(c, lane)), mask);
        else
            for (; mask != 0; mask &= mask - 1)
            {
                int lane = BitOperations.TrailingZeroCount(mask);
                Write(r, lane, TOp.Apply(Read<TA>(a, lane), Read<TB>(b, lane), Read<TC>(c, lane)));
            }
    }

    /// <summary>Lanes of 4 bytes widened to 8; a third operand is 8 bytes wide already.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RunWide<TOp>(LaneArguments* x) where TOp : struct, IWide
    {
        byte* r = (*x)[0], a = (*x)[1], b = (*x)[2], c = (*x)[3];
        for (int lane = 0; lane < Lanes; lane += 4)
            Store(r, lane, TOp.Apply(Widen<TOp>(a, lane), TOp.Operands > 1 ? Widen<TOp>(b, lane) : default, TOp.Operands > 2 ? Load<ulong>(c, lane) : default), x->Mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Widen<TOp>(byte* a, int lane) where TOp : struct, IWide
    {
        var narrow = Vector128.Load((uint*)a + lane);
        return TOp.IsSigned
            ? Vector256.Create(Vector128.WidenLower(narrow.AsInt32()), Vector128.WidenUpper(narrow.AsInt32())).AsUInt64()
            : Vector256.Create(Vector128.WidenLower(narrow), Vector128.WidenUpper(narrow));
    }

    /// <summary>The low halves of lanes of 8 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RunNarrow(LaneArguments* x)
    {
        for (int lane = 0; lane < Lanes; lane += 8)
            Store((*x)[0], lane, Vector256.Narrow(Load<ulong>((*x)[1], lane), Load<ulong>((*x)[1], lane + 4)), x->Mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run4<TA, TB, TC, TD, TR, TOp>(LaneArguments* x)
        where TA : unmanaged where TB : unmanaged where TC : unmanaged where TD : unmanaged where TR : unmanaged where TOp : struct, IOp4<TA, TB, TC, TD, TR>
    {
        byte* r = (*x)[0], a = (*x)[1], b = (*x)[2], c = (*x)[3], d = (*x)[4];
        for (uint mask = x->Mask; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            Write(r, lane, TOp.Apply(Read<TA>(a, lane), Read<TB>(b, lane), Read<TC>(c, lane), Read<TD>(d, lane)));
        }
    }

    /// <summary>Bytes from one lane to the next.</summary>
    public static int Stride<T>() where T : unmanaged => sizeof(T) == 8 ? 8 : 4;

    /// <summary>One lane of a register or of the low bits of a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Read<T>(byte* register, int lane) where T : unmanaged => *(T*)(register + lane * Stride<T>());

    /// <summary>Sets one lane; what is narrower than 4 bytes leaves zeros above it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write<T>(byte* register, int lane, T value) where T : unmanaged
    {
        byte* place = register + lane * Stride<T>();
        if (sizeof(T) == 1) *(uint*)place = *(byte*)&value;
        else if (sizeof(T) == 2) *(uint*)place = *(ushort*)&value;
        else *(T*)place = value;
    }

    /// <summary>As many lanes as a vector has.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Load<T>(byte* register, int lane) where T : unmanaged => Vector256.Load((T*)register + lane);

    /// <summary>Sets those lanes of a vector whose mask bits are set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<T>(byte* register, int lane, Vector256<T> value, uint mask) where T : unmanaged
    {
        T* place = (T*)register + lane;
        if (mask != uint.MaxValue) value = Vector256.ConditionalSelect(Expand<T>(mask >> lane), value, Vector256.Load(place));
        Vector256.Store(value, place);
    }

    /// <summary>All bits of a lane from its mask bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Expand<T>(uint bits) where T : unmanaged
    {
        if (sizeof(T) == 8)
        {
            var bit = Vector256.Create(1UL, 2, 4, 8);
            return Vector256.Equals(Vector256.Create((ulong)bits) & bit, bit).As<ulong, T>();
        }

        var bit4 = Vector256.Create(1u, 2, 4, 8, 16, 32, 64, 128);
        return Vector256.Equals(Vector256.Create(bits) & bit4, bit4).As<uint, T>();
    }

    /// <summary>Puts the bits of the lanes that take part into a predicate; a sink takes nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetPredicate(byte* predicate, uint bits, uint mask)
    {
        if (predicate != null) *(uint*)predicate = *(uint*)predicate & ~mask | bits & mask;
    }
}
