using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

internal readonly struct Copy<T> : IOp1<T, T> where T : unmanaged
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a) => a;

    public static Vector256<T> Apply(Vector256<T> a) => a;
}

/// <summary>a where c is at least 0 (-0 too, NaN not), else b.</summary>
internal readonly struct SelectBySign<T, TSign, TFtz> : IOp3<T, T, TSign, T> where T : unmanaged where TSign : unmanaged, INumber<TSign> where TFtz : struct, IFlag
{
    public static T Apply(T a, T b, TSign c) => c >= TSign.Zero || (TFtz.Value && float.CreateTruncating(c) > -1.17549435e-38f) ? a : b;
}

internal static unsafe class SelectLoops
{
    /// <summary><c>selp</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Select<T>(LaneArguments* x) where T : unmanaged
    {
        byte* r = (*x)[0], a = (*x)[1], b = (*x)[2];
        uint bits = *(uint*)(*x)[3], mask = x->Mask;
        for (int lane = 0; lane < LaneLoops.Lanes; lane += Vector256<T>.Count)
            LaneLoops.Store(r, lane, Vector256.ConditionalSelect(LaneLoops.Expand<T>(bits >> lane), LaneLoops.Load<T>(a, lane), LaneLoops.Load<T>(b, lane)), mask);
    }

    /// <summary><c>selp</c> of 16 bits; an immediate may have more.</summary>
    public static void Select16(LaneArguments* x)
    {
        uint bits = *(uint*)(*x)[3];
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 8)
        {
            var chosen = Vector256.ConditionalSelect(LaneLoops.Expand<uint>(bits >> lane), LaneLoops.Load<uint>((*x)[1], lane), LaneLoops.Load<uint>((*x)[2], lane));
            LaneLoops.Store((*x)[0], lane, chosen & Vector256.Create(0xFFFFu), x->Mask);
        }
    }

    /// <summary><c>mov.pred</c>.</summary>
    public static void Copy(LaneArguments* x) => LaneLoops.SetPredicate((*x)[0], *(uint*)(*x)[1], x->Mask);

    /// <summary><c>not.pred</c>.</summary>
    public static void Not(LaneArguments* x) => LaneLoops.SetPredicate((*x)[0], ~*(uint*)(*x)[1], x->Mask);

    /// <summary><c>and.pred</c> and its like.</summary>
    public static void Combine<TCombine>(LaneArguments* x) where TCombine : struct, ICombine =>
        LaneLoops.SetPredicate((*x)[0], TCombine.Apply(*(uint*)(*x)[1], *(uint*)(*x)[2]), x->Mask);

    /// <summary><c>mov.b32 d, {a, b}</c> of 16-bit registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackHalves(LaneArguments* x)
    {
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 8)
            LaneLoops.Store((*x)[0], lane, LaneLoops.Load<uint>((*x)[1], lane) & Vector256.Create(0xFFFFu) | LaneLoops.Load<uint>((*x)[2], lane) << 16, x->Mask);
    }

    /// <summary><c>mov.b32 {a, b}, d</c> of 16-bit registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void UnpackHalves(LaneArguments* x)
    {
        byte* low = (*x)[0], high = (*x)[1];
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 8)
        {
            var whole = LaneLoops.Load<uint>((*x)[2], lane);
            if (low != null) LaneLoops.Store(low, lane, whole & Vector256.Create(0xFFFFu), x->Mask);
            if (high != null) LaneLoops.Store(high, lane, whole >> 16, x->Mask);
        }
    }

    /// <summary><c>mov.b64 d, {a, b}</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackWords(LaneArguments* x)
    {
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 4)
        {
            Vector128<uint> low = Vector128.Load((uint*)(*x)[1] + lane), high = Vector128.Load((uint*)(*x)[2] + lane);
            var whole = Vector256.Create(Vector128.WidenLower(low), Vector128.WidenUpper(low)) | Vector256.Create(Vector128.WidenLower(high), Vector128.WidenUpper(high)) << 32;
            LaneLoops.Store((*x)[0], lane, whole, x->Mask);
        }
    }

    /// <summary><c>mov.b64 {a, b}, d</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void UnpackWords(LaneArguments* x)
    {
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 8)
        {
            Vector256<ulong> first = LaneLoops.Load<ulong>((*x)[2], lane), second = LaneLoops.Load<ulong>((*x)[2], lane + 4);
            if ((*x)[0] != null) LaneLoops.Store((*x)[0], lane, Vector256.Narrow(first, second), x->Mask);
            if ((*x)[1] != null) LaneLoops.Store((*x)[1], lane, Vector256.Narrow(first >> 32, second >> 32), x->Mask);
        }
    }

    /// <summary><c>mov</c> of a vector into one register, the first element lowest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack<TElement, TWhole, TCount>(LaneArguments* x) where TElement : unmanaged, IBinaryInteger<TElement> where TWhole : unmanaged, IBinaryInteger<TWhole> where TCount : struct, IFlag
    {
        int count = TCount.Value ? 4 : 2;
        for (uint mask = x->Mask; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            var whole = TWhole.Zero;
            for (int i = 0; i < count; i++) whole |= TWhole.CreateTruncating(LaneLoops.Read<TElement>((*x)[1 + i], lane)) << (i * sizeof(TElement) * 8);
            LaneLoops.Write((*x)[0], lane, whole);
        }
    }

    /// <summary><c>mov</c> of one register into a vector, whose elements may be sinks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack<TElement, TWhole, TCount>(LaneArguments* x) where TElement : unmanaged, IBinaryInteger<TElement> where TWhole : unmanaged, IBinaryInteger<TWhole> where TCount : struct, IFlag
    {
        int count = TCount.Value ? 4 : 2;
        for (uint mask = x->Mask; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            var whole = LaneLoops.Read<TWhole>((*x)[count], lane);
            for (int i = 0; i < count; i++)
                if ((*x)[i] != null) LaneLoops.Write((*x)[i], lane, TElement.CreateTruncating(whole >> (i * sizeof(TElement) * 8)));
        }
    }
}
