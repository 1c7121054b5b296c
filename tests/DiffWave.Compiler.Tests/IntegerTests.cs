using System.Numerics;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class IntegerTests
{
    [Kernel("integer_arithmetic")]
    internal static void Arithmetic(ArrayView<int> a, ArrayView<int> b, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int p = a[i], q = b[i], o = i * 12;
        y[o] = p + q;
        y[o + 1] = p - q;
        y[o + 2] = p * q;
        y[o + 3] = p & ~q;
        y[o + 4] = p ^ (q | 0x1234);
        y[o + 5] = p << q;
        y[o + 6] = p >> q;
        y[o + 7] = p >>> q;
        y[o + 8] = q == 0 || (p == int.MinValue && q == -1) ? 0 : p / q;
        y[o + 9] = q == 0 || (p == int.MinValue && q == -1) ? 0 : p % q;
        y[o + 10] = -p + p / 7 + p % 10 + p / 8 + p % 16;
        y[o + 11] = p * 5 + q * -3 + (p + 4) * 8;
    }

    [Kernel("unsigned_arithmetic")]
    internal static void UnsignedArithmetic(ArrayView<uint> a, ArrayView<uint> b, ArrayView<uint> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        uint p = a[i], q = b[i];
        int o = i * 8;
        y[o] = p + q * 3;
        y[o + 1] = p - q;
        y[o + 2] = q == 0 ? 0 : p / q;
        y[o + 3] = q == 0 ? 0 : p % q;
        y[o + 4] = p / 7 + p % 1000 + p / 16 + p % 32;
        y[o + 5] = (p >> 5) ^ (p << 27) ^ (p >> (int)q);
        y[o + 6] = (p < q ? 1u : 0) | (p <= q ? 2u : 0) | (p > 0x80000000 ? 4u : 0) | (p >= q ? 8u : 0);
        y[o + 7] = ~p * p + uint.Max(p, q) - Math.Min(p, q);
    }

    [Kernel("long_arithmetic")]
    internal static void LongArithmetic(ArrayView<long> a, ArrayView<long> b, ArrayView<long> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        long p = a[i], q = b[i];
        int o = i * 10;
        y[o] = p + q;
        y[o + 1] = p * q - q;
        y[o + 2] = q == 0 || (p == long.MinValue && q == -1) ? 0 : p / q;
        y[o + 3] = q == 0 || (p == long.MinValue && q == -1) ? 0 : p % q;
        y[o + 4] = p << (int)q;
        y[o + 5] = p >> (int)(q & 0xFF);
        y[o + 6] = (long)((ulong)p >> (int)q) ^ ~q;
        y[o + 7] = (p < q ? 1 : 0) + (p > 0 ? 2 : 0) + ((ulong)p < (ulong)q ? 4 : 0) + (p == q ? 8 : 0);
        y[o + 8] = (long)((ulong)p / 10) + (long)((ulong)q % 1000003) + p / 16 + q % 3;
        y[o + 9] = -p & Math.Max(p, q) | Math.Min(p, q);
    }

    [Kernel("small_widths")]
    internal static void SmallWidths(ArrayView<sbyte> a, ArrayView<byte> b, ArrayView<short> c, ArrayView<ushort> d, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        sbyte p = a[i];
        byte q = b[i];
        short r = c[i];
        ushort s = d[i];
        p += 100;
        q -= 200;
        r *= 3;
        s++;
        a[i] = p;
        b[i] = (byte)(q << 1);
        c[i] = (short)(r ^ p);
        d[i] = (ushort)(s - q);
        p >>= 1;
        y[i] = p * 3 + q * 5 + r * 7 + s * 11 + (p < q ? 1 : 0) + (r < s ? 2 : 0) + (char)(r + s);
    }

    [Kernel("wide_products")]
    internal static void WideProducts(ArrayView<int> a, ArrayView<int> b, ArrayView<long> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int p = a[i], q = b[i], o = i * 6;
        y[o] = (long)p * q;
        y[o + 1] = (long)((ulong)(uint)p * (uint)q);
        y[o + 2] = (long)p * q + p;
        y[o + 3] = Math.BigMul(p, q) >> 7;
        y[o + 4] = (uint)p * (long)q;
        y[o + 5] = (long)i * 0x100000001 + p * 8L;
    }

    [Kernel("bit_operations")]
    internal static void BitWords(ArrayView<uint> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        uint p = a[i];
        ulong w = (ulong)p << 20 | (uint)i;
        int o = i * 8;
        y[o] = BitOperations.PopCount(p) + 100 * BitOperations.LeadingZeroCount(p) + 10000 * BitOperations.TrailingZeroCount(p);
        y[o + 1] = (int)(BitOperations.RotateLeft(p, 7) ^ BitOperations.RotateRight(p, i));
        y[o + 2] = IntrinsicMath.PopCount(w) + 100 * IntrinsicMath.LeadingZeroCount(w) + 10000 * IntrinsicMath.TrailingZeroCount(w);
        y[o + 3] = (int)Ptx.Prmt(p, ~p, 0x7531) ^ (int)Ptx.Brev(p);
        y[o + 4] = (int)(Ptx.Bfe(p, i & 31, 9) + Ptx.Bfi(p, 0x12345678, 5, i & 31));
        y[o + 5] = (int)Ptx.Lop3(p, 0xF0F0F0F0, (uint)i * 0x01010101, 0x96);
        y[o + 6] = (int)Ptx.MulHi(p, 0x9E3779B9) ^ Ptx.MulHi((int)p, -7) ^ Ptx.Dp4a((int)p, 0x01020304, 5);
        y[o + 7] = (int)Ptx.FunnelShiftLeft(p, 77, i) ^ (int)Ptx.FunnelShiftRight(p, 77, i) ^ IntrinsicMath.Clamp((int)p, -5, 100) ^ IntrinsicMath.Abs((int)p);
    }

    private static uint[] Unsigned(int seed) => [.. Data.Ints(seed).Select(x => (uint)x)];

    [Fact]
    public void SignedArithmeticWrapsAndDividesAsInCSharp() => KernelRun.SameAsNative(Arithmetic, Data.Ints(1), Data.Ints(2), new int[12 * Data.Length]);

    [Fact]
    public void UnsignedArithmeticWrapsAndDividesAsInCSharp() => KernelRun.SameAsNative(UnsignedArithmetic, Unsigned(3), Unsigned(4), new uint[8 * Data.Length]);

    [Fact]
    public void LongArithmeticWrapsAndDividesAsInCSharp() => KernelRun.SameAsNative(LongArithmetic, Data.Longs(5), Data.Longs(6), new long[10 * Data.Length]);

    [Fact]
    public void SmallIntegersWrapInTheirOwnWidth()
    {
        int[] x = Data.Ints(7);
        sbyte[] a = [.. x.Select(v => (sbyte)v)];
        KernelRun.SameAsNative(SmallWidths, a, x.Select(v => (byte)(v >> 3)).ToArray(), x.Select(v => (short)(v >> 5)).ToArray(), x.Select(v => (ushort)(v >> 7)).ToArray(), new int[Data.Length]);
    }

    [Fact]
    public void ProductsAreAsWideAsTheirType() => KernelRun.SameAsNative(WideProducts, Data.Ints(8), Data.Ints(9), new long[6 * Data.Length]);

    [Fact]
    public void BitsAreCountedAndMoved() => KernelRun.SameAsNative(BitWords, Unsigned(10), new int[8 * Data.Length]);

    [Fact]
    public void AProductOfTwoWordsIsOneInstruction() =>
        Assert.Contains("mul.wide.", KernelRun.Compile(((Action<ArrayView<int>, ArrayView<int>, ArrayView<long>>)WideProducts).Method).Ptx);
}
