using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>A comparison; of floating-point numbers false when one is NaN, unless it says otherwise.</summary>
internal interface ICompare<T>
{
    static abstract bool Apply(T a, T b);

    static virtual bool IsVector => false;

    static virtual Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => throw new NotSupportedException();
}

internal readonly struct Equal<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static bool Apply(T a, T b) => a == b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.Equals(a, b);
}

internal readonly struct Different<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static bool Apply(T a, T b) => a < b || a > b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.LessThan(a, b) | Vector256.GreaterThan(a, b);
}

internal readonly struct Less<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static bool Apply(T a, T b) => a < b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.LessThan(a, b);
}

internal readonly struct LessOrEqual<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static bool Apply(T a, T b) => a <= b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.LessThanOrEqual(a, b);
}

internal readonly struct Greater<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static bool Apply(T a, T b) => a > b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.GreaterThan(a, b);
}

internal readonly struct GreaterOrEqual<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static bool Apply(T a, T b) => a >= b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.GreaterThanOrEqual(a, b);
}

/// <summary>Neither is NaN.</summary>
internal readonly struct BothNumbers<T> : ICompare<T> where T : unmanaged, INumber<T>
{
    public static bool Apply(T a, T b) => !T.IsNaN(a) && !T.IsNaN(b);
}

/// <summary>The opposite: of "greater or equal" it is "less or unordered".</summary>
internal readonly struct Opposite<T, TCompare> : ICompare<T> where T : unmanaged where TCompare : struct, ICompare<T>
{
    public static bool IsVector => TCompare.IsVector;

    public static bool Apply(T a, T b) => !TCompare.Apply(a, b);

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => ~TCompare.Apply(a, b);
}

/// <summary>With subnormal f32 operands as zeros.</summary>
internal readonly struct FlushedCompare<TCompare> : ICompare<float> where TCompare : struct, ICompare<float>
{
    public static bool IsVector => TCompare.IsVector;

    public static bool Apply(float a, float b) => TCompare.Apply(Single.Flush<On>(a), Single.Flush<On>(b));

    public static Vector256<float> Apply(Vector256<float> a, Vector256<float> b) => TCompare.Apply(Single.Flush<On>(a), Single.Flush<On>(b));
}

/// <summary>A comparison of 16-bit floating-point numbers.</summary>
internal readonly struct HalfCompare<TFormat, TCompare, TFtz> : ICompare<ushort> where TFormat : struct, IBinaryFormat where TCompare : struct, ICompare<double> where TFtz : struct, IFlag
{
    public static bool Apply(ushort a, ushort b) => TCompare.Apply(TFormat.Value(Halves.Flush<TFormat, TFtz>(a)), TFormat.Value(Halves.Flush<TFormat, TFtz>(b)));
}

/// <summary>How the result of a comparison meets another predicate.</summary>
internal interface ICombine
{
    static virtual bool IsUsed => true;

    static abstract uint Apply(uint compared, uint other);
}

internal readonly struct CombineNone : ICombine
{
    public static bool IsUsed => false;

    public static uint Apply(uint compared, uint other) => compared;
}

internal readonly struct CombineAnd : ICombine
{
    public static uint Apply(uint compared, uint other) => compared & other;
}

internal readonly struct CombineOr : ICombine
{
    public static uint Apply(uint compared, uint other) => compared | other;
}

internal readonly struct CombineXor : ICombine
{
    public static uint Apply(uint compared, uint other) => compared ^ other;
}

/// <summary>What <c>set</c> gives where the comparison holds.</summary>
internal interface ITruth
{
    static abstract uint Bits { get; }
}

internal readonly struct TruthOnes : ITruth
{
    public static uint Bits => uint.MaxValue;
}

internal readonly struct TruthShortOnes : ITruth
{
    public static uint Bits => 0xFFFF;
}

internal readonly struct TruthSingle : ITruth
{
    public static uint Bits => 0x3F800000;
}

internal readonly struct TruthHalf : ITruth
{
    public static uint Bits => 0x3C00;
}

internal readonly struct TruthBrain : ITruth
{
    public static uint Bits => 0x3F80;
}

internal static unsafe class CompareLoops
{
    /// <summary><c>setp</c>: one predicate, or two where the second combines the opposite of the comparison.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SetPredicate<T, TCompare, TCombine, TPair>(LaneArguments* x) where T : unmanaged where TCompare : struct, ICompare<T> where TCombine : struct, ICombine where TPair : struct, IFlag
    {
        int source = TPair.Value ? 2 : 1;
        uint bits = Bits<T, TCompare>((*x)[source], (*x)[source + 1]), other = TCombine.IsUsed ? *(uint*)(*x)[source + 2] : 0;
        LaneLoops.SetPredicate((*x)[0], TCombine.Apply(bits, other), x->Mask);
        if (TPair.Value) LaneLoops.SetPredicate((*x)[1], TCombine.Apply(~bits, other), x->Mask);
    }

    /// <summary><c>set</c>: a pattern of bits where it holds, 0 elsewhere.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SetValue<T, TCompare, TCombine, TTruth>(LaneArguments* x) where T : unmanaged where TCompare : struct, ICompare<T> where TCombine : struct, ICombine where TTruth : struct, ITruth
    {
        uint bits = TCombine.Apply(Bits<T, TCompare>((*x)[1], (*x)[2]), TCombine.IsUsed ? *(uint*)(*x)[3] : 0);
        for (int lane = 0; lane < LaneLoops.Lanes; lane += 8) LaneLoops.Store((*x)[0], lane, LaneLoops.Expand<uint>(bits >> lane) & Vector256.Create(TTruth.Bits), x->Mask);
    }

    /// <summary><c>set</c> of packed pairs: a pattern of 16 bits for each half.</summary>
    public static void SetValues<TCompare, TCombine, TTruth>(LaneArguments* x) where TCompare : struct, ICompare<ushort> where TCombine : struct, ICombine where TTruth : struct, ITruth
    {
        var (low, high) = PairBits<TCompare, TCombine>((*x)[1], (*x)[2], (*x)[3]);
        for (uint mask = x->Mask; mask != 0; mask &= mask - 1)
        {
            int lane = BitOperations.TrailingZeroCount(mask);
            LaneLoops.Write((*x)[0], lane, ((high >> lane & 1) != 0 ? TTruth.Bits << 16 : 0) | ((low >> lane & 1) != 0 ? TTruth.Bits : 0));
        }
    }

    /// <summary><c>setp</c> of packed pairs: a predicate for each half.</summary>
    public static void SetPredicates<TCompare, TCombine>(LaneArguments* x) where TCompare : struct, ICompare<ushort> where TCombine : struct, ICombine
    {
        var (low, high) = PairBits<TCompare, TCombine>((*x)[2], (*x)[3], (*x)[4]);
        LaneLoops.SetPredicate((*x)[0], low, x->Mask);
        LaneLoops.SetPredicate((*x)[1], high, x->Mask);
    }

    /// <summary><c>testp</c>.</summary>
    public static void Test<T, TClass>(LaneArguments* x) where T : unmanaged, IBinaryFloatingPointIeee754<T> where TClass : struct, INumberClass
    {
        double smallest = sizeof(T) == 4 ? 1.1754943508222875e-38 : 2.2250738585072014e-308;
        uint bits = 0;
        for (int lane = 0; lane < LaneLoops.Lanes; lane++)
            if (TClass.Has(double.CreateTruncating(LaneLoops.Read<T>((*x)[1], lane)), smallest)) bits |= 1u << lane;
        LaneLoops.SetPredicate((*x)[0], bits, x->Mask);
    }

    private static (uint Low, uint High) PairBits<TCompare, TCombine>(byte* a, byte* b, byte* c) where TCompare : struct, ICompare<ushort> where TCombine : struct, ICombine
    {
        uint low = 0, high = 0, other = TCombine.IsUsed ? *(uint*)c : 0;
        for (int lane = 0; lane < LaneLoops.Lanes; lane++)
        {
            uint x = LaneLoops.Read<uint>(a, lane), y = LaneLoops.Read<uint>(b, lane);
            if (TCompare.Apply((ushort)x, (ushort)y)) low |= 1u << lane;
            if (TCompare.Apply((ushort)(x >> 16), (ushort)(y >> 16))) high |= 1u << lane;
        }

        return (TCombine.Apply(low, other), TCombine.Apply(high, other));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Bits<T, TCompare>(byte* a, byte* b) where T : unmanaged where TCompare : struct, ICompare<T>
    {
        uint bits = 0;
        if (TCompare.IsVector)
            for (int lane = 0; lane < LaneLoops.Lanes; lane += Vector256<T>.Count)
                bits |= TCompare.Apply(LaneLoops.Load<T>(a, lane), LaneLoops.Load<T>(b, lane)).ExtractMostSignificantBits() << lane;
        else
            for (int lane = 0; lane < LaneLoops.Lanes; lane++)
                if (TCompare.Apply(LaneLoops.Read<T>(a, lane), LaneLoops.Read<T>(b, lane))) bits |= 1u << lane;
        return bits;
    }
}
