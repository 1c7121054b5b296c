using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DiffWave.Emulator.Arithmetic;

internal readonly struct Add<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => unchecked(a + b);

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a + b;
}

internal readonly struct Subtract<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => unchecked(a - b);

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a - b;
}

internal readonly struct AddSaturated : IOp2<int, int, int>
{
    public static int Apply(int a, int b) => (int)Math.Clamp((long)a + b, int.MinValue, int.MaxValue);
}

internal readonly struct SubtractSaturated : IOp2<int, int, int>
{
    public static int Apply(int a, int b) => (int)Math.Clamp((long)a - b, int.MinValue, int.MaxValue);
}

internal readonly struct MultiplyLow<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() == 4;

    public static T Apply(T a, T b) => unchecked(a * b);

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => a * b;
}

/// <summary>The upper half of the full product; <typeparamref name="TWide"/> is twice as wide.</summary>
internal readonly struct MultiplyHigh<T, TWide> : IOp2<T, T, T>, IOp3<T, T, T, T> where T : unmanaged, IBinaryInteger<T> where TWide : unmanaged, IBinaryInteger<TWide>
{
    public static bool IsVector => false;

    public static T Apply(T a, T b) => T.CreateTruncating(TWide.CreateTruncating(a) * TWide.CreateTruncating(b) >> (Unsafe.SizeOf<T>() * 8));

    public static T Apply(T a, T b, T c) => unchecked(Apply(a, b) + c);
}

/// <summary>The full product, perhaps with an addend as wide.</summary>
internal readonly struct MultiplyWide<T, TWide> : IOp2<T, T, TWide>, IOp3<T, T, TWide, TWide> where T : unmanaged, IBinaryInteger<T> where TWide : unmanaged, IBinaryInteger<TWide>
{
    public static bool IsVector => false;

    public static TWide Apply(T a, T b) => unchecked(TWide.CreateTruncating(a) * TWide.CreateTruncating(b));

    public static TWide Apply(T a, T b, TWide c) => unchecked(Apply(a, b) + c);
}

/// <summary>32-bit numbers to 64 bits, their product, or it and an addend.</summary>
internal readonly struct WideProduct<TSigned, TAdds> : IWide where TSigned : struct, IFlag where TAdds : struct, IFlag
{
    public static bool IsSigned => TSigned.Value;

    public static int Operands => TAdds.Value ? 3 : 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<ulong> Apply(Vector256<ulong> a, Vector256<ulong> b, Vector256<ulong> c)
    {
        var product = !Avx2.IsSupported ? a * b : TSigned.Value ? Avx2.Multiply(a.AsInt32(), b.AsInt32()).AsUInt64() : Avx2.Multiply(a.AsUInt32(), b.AsUInt32());
        return TAdds.Value ? product + c : product;
    }
}

/// <summary>32-bit numbers as 64-bit ones.</summary>
internal readonly struct Extend32<TSigned> : IWide where TSigned : struct, IFlag
{
    public static bool IsSigned => TSigned.Value;

    public static int Operands => 1;

    public static Vector256<ulong> Apply(Vector256<ulong> a, Vector256<ulong> b, Vector256<ulong> c) => a;
}

internal readonly struct MultiplyAddLow<T> : IOp3<T, T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() == 4;

    public static T Apply(T a, T b, T c) => unchecked(a * b + c);

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b, Vector256<T> c) => a * b + c;
}

internal readonly struct MultiplyAddHighSaturated : IOp3<int, int, int, int>
{
    public static int Apply(int a, int b, int c) => (int)Math.Clamp(((long)a * b >> 32) + c, int.MinValue, int.MaxValue);
}

/// <summary>Products of the low 24 bits: the low or the high 32 bits of the 48.</summary>
internal readonly struct Multiply24<T, THigh> : IOp2<T, T, T>, IOp3<T, T, T, T> where T : unmanaged, IBinaryInteger<T> where THigh : struct, IFlag
{
    public static bool IsVector => false;

    public static T Apply(T a, T b) => T.CreateTruncating(long.CreateTruncating(a << 8 >> 8) * long.CreateTruncating(b << 8 >> 8) >> (THigh.Value ? 16 : 0));

    public static T Apply(T a, T b, T c) => unchecked(Apply(a, b) + c);
}

internal readonly struct MultiplyAdd24HighSaturated : IOp3<int, int, int, int>
{
    public static int Apply(int a, int b, int c) => (int)Math.Clamp((long)Multiply24<int, On>.Apply(a, b) + c, int.MinValue, int.MaxValue);
}

internal readonly struct SumOfAbsoluteDifference<T> : IOp3<T, T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a, T b, T c) => unchecked(c + (a < b ? b - a : a - b));
}

/// <summary>Quotient towards zero; by zero all ones, as the hardware does where PTX leaves it open.</summary>
internal readonly struct Quotient<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a, T b) => T.IsZero(b) ? ~T.Zero : T.IsNegative(b) && b == ~T.Zero ? unchecked(T.Zero - a) : a / b;
}

/// <summary>Remainder with the sign of the dividend; by zero all ones too.</summary>
internal readonly struct Remainder<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static T Apply(T a, T b) => T.IsZero(b) ? ~T.Zero : T.IsNegative(b) && b == ~T.Zero ? T.Zero : a % b;
}

internal readonly struct Absolute<T> : IOp1<T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() == 4;

    public static T Apply(T a) => T.IsNegative(a) ? unchecked(T.Zero - a) : a;

    public static Vector256<T> Apply(Vector256<T> a) => Vector256.Abs(a);
}

internal readonly struct Negate<T> : IOp1<T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a) => unchecked(T.Zero - a);

    public static Vector256<T> Apply(Vector256<T> a) => -a;
}

internal readonly struct Minimum<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => a < b ? a : b;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.Min(a, b);
}

internal readonly struct Maximum<T> : IOp2<T, T, T> where T : unmanaged, IBinaryInteger<T>
{
    public static bool IsVector => Unsafe.SizeOf<T>() >= 4;

    public static T Apply(T a, T b) => a < b ? b : a;

    public static Vector256<T> Apply(Vector256<T> a, Vector256<T> b) => Vector256.Max(a, b);
}

/// <summary>Minimum or maximum, negative results made zero.</summary>
internal readonly struct Relu<TOp> : IOp2<int, int, int> where TOp : struct, IOp2<int, int, int>
{
    public static int Apply(int a, int b) => Math.Max(TOp.Apply(a, b), 0);
}

/// <summary>Four products of bytes and an addend.</summary>
internal readonly struct DotOfBytes<TA, TB> : IOp3<uint, uint, uint, uint> where TA : unmanaged, IBinaryInteger<TA> where TB : unmanaged, IBinaryInteger<TB>
{
    public static uint Apply(uint a, uint b, uint c)
    {
        for (int i = 0; i < 32; i += 8) c += (uint)(int.CreateTruncating(TA.CreateTruncating(a >> i)) * int.CreateTruncating(TB.CreateTruncating(b >> i)));
        return c;
    }
}

/// <summary>Two products of a 16-bit number and a byte, from the low or the high half of b, and an addend.</summary>
internal readonly struct DotOfHalves<TA, TB, THigh> : IOp3<uint, uint, uint, uint> where TA : unmanaged, IBinaryInteger<TA> where TB : unmanaged, IBinaryInteger<TB> where THigh : struct, IFlag
{
    public static uint Apply(uint a, uint b, uint c)
    {
        if (THigh.Value) b >>= 16;
        for (int i = 0; i < 2; i++) c += (uint)(int.CreateTruncating(TA.CreateTruncating(a >> (i * 16))) * int.CreateTruncating(TB.CreateTruncating(b >> (i * 8))));
        return c;
    }
}
