using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

/// <summary>Guards, loops with several exits and small types where a mistake would be silent.</summary>
public class GuardTests
{
    [VectorAligned]
    private struct SBytes
    {
        public sbyte X, Y, Z, W;
    }

    private struct Padded
    {
        public byte Tag;
        public double Real;
        public bool Flag;
        public short Low;
        public ArrayView<int> View;
        public sbyte Last;
    }

    [Kernel("guarded_loads")]
    private static void GuardedLoads(ArrayView<int> a, ArrayView<int> b, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        int v = 0;
        if (i < a.Length) v = a[i];
        int w = i < b.Length ? b[i] : 7;
        int z = i + 1 < a.Length && a[i + 1] > 0 ? a[i + 1] : v;
        if (i < y.Length) y[i] = v + w * 3 + z * 5 + (v != 0 ? 1000 / v : 3);
    }

    [Kernel("early_exits")]
    private static void EarlyExits(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int x = a[i], state = 0, last = -1, k = 0;
        var seen = LocalMemory.Allocate<int>(4);
        for (; k < 12; k++)
        {
            last = k;
            switch ((x >> k) & 7)
            {
                case 0: state += 1; goto case 3;
                case 1: continue;
                case 3: state *= 3; break;
                case 5:
                    if (k > 6) goto done;
                    seen[k % 4] += state;
                    continue;
                case 6: state ^= k; goto default;
                default: state--; break;
            }
            seen[(k + 1) % 4] ^= state;
            for (int q = k; q < 5; q++)
            {
                if (q == 3) continue;
                seen[q % 4] += q;
                if (seen[1] == 12) { last += 100; break; }
            }
            if (state > 5000) { y[i] = state; return; }
        }
        state += 100000;
    done:
        y[i] = state + last * 7 + k * 11 + seen[0] * 13 + seen[1] * 17 + seen[2] * 19 + seen[3] * 23;
    }

    [Kernel("unrolled_too_far")]
    private static void UnrolledTooFar(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int p = a[i], q = 1, r = 2;
        var ring = LocalMemory.Allocate<int>(3);
        for (int k = 0; k < 3; k++)
        {
            ring[k] += p;
            for (int m = 0; m < 300 + k; m++)
            {
                (p, q, r) = (q + m, r ^ k, p);
                if ((p & 1023) == 77) break;
                (ring[0], ring[1], ring[2]) = (ring[1], ring[2], ring[0] + m);
            }
            int t = 0;
            do { t += q; r--; } while ((r & 3) != 0);
            p += t;
        }
        y[i] = p + q * 3 + r * 5 + ring[0] * 7 + ring[1] * 11 + ring[2] * 13;
    }

    [Kernel("small_numbers")]
    private static void SmallNumbers(ArrayView<int> a, ArrayView<SBytes> s, ArrayView<byte> bytes, ArrayView<long> y, byte first, bool flag, Padded p, short second)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        sbyte sb = (sbyte)a[i];
        byte by = (byte)a[i];
        short sh = (short)(a[i] >> 3);
        ushort us = (ushort)(a[i] >> 5);
        char ch = (char)(us + 40000);
        sb++;
        by -= 3;
        sh <<= 3;
        us >>>= 1;
        ch += (char)sh;
        sb = (sbyte)-sb;
        SBytes v = default;
        (v.X, v.Y, v.Z, v.W) = (sb, -1, (sbyte)by, (sbyte)(us >> 1));
        s[i] = v;
        v = s[i];
        bytes[i] = unchecked((byte)-2);
        bytes[i] += first;
        long result = sb + by * 3L + sh * 5L + us * 7L + ch * 11L + v.X + v.Y * 13 + v.Z * 17 + v.W * 19 + (sb < v.W ? 1 : 0) + (by >> 1) + ((uint)sb >> 3) + (sbyte)bytes[i];
        result += flag ? p.Tag : -p.Tag;
        result += (long)p.Real + (p.Flag ? 100 : 200) + p.Low * 3 + p.Last * 5 + second * 7 + (short)(first << 8);
        result += (a[i] << (a[i] & 63)) + ((long)a[i] << a[i]) + (int)(uint.MaxValue >> a[i]);
        result += a[i] / -8 + a[i] % -8 * 3L + a[i] / 7 + a[i] % int.MinValue + a[i] / int.MinValue + (long)a[i] / -16 + (uint)a[i] / 10 + (uint)a[i] % 16;
        y[i] = result;
    }

    [Kernel("unsigned_floats")]
    private static void UnsignedFloats(ArrayView<long> a, ArrayView<double> y, ArrayView<float> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        ulong u = (ulong)a[i];
        double d = u;
        float twice = (float)d, once = u;
        z[i] = once;
        y[i] = twice;
        float sum = 0;
        for (int k = 0; k < 3; k++) sum += (float)(double)(0x8000008000000000ul + (ulong)(k & 1)) - (float)(0x8000008000000000ul + (ulong)k);
        y[i] += sum;
    }

    [Kernel("constant_bits")]
    private static void ConstantBits(ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        y[i] = BitConverter.HalfToInt16Bits((Half)(-1f)) + BitConverter.HalfToUInt16Bits((Half)(-1f)) * 3 + (BitConverter.HalfToInt16Bits((Half)(-2f)) < 0 ? 1 : 0) + i;
    }

    [Kernel("two_arrays", AllowLocalMemory = true)]
    private static void TwoArrays(ArrayView<int> a, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        ArrayView<int> former = default;
        int sum = 0;
        for (int k = 0; k < 3; k++)
        {
            var now = LocalMemory.Allocate<int>(4);
            now[(a[i] >> k) & 3] = k + 1;
            if (k > 0) sum += former[a[i] & 3] * 10 + former[1];
            former = now;
        }
        y[i] = sum;
    }

    [Fact]
    public void BitsOfConstantsKeepTheirSign() => KernelRun.SameAsNative(ConstantBits, new int[Data.Length]);

    [Fact]
    public void ArraysOfEarlierIterationsStayApart() => KernelRun.SameAsNative(TwoArrays, Data.Ints(8), new int[Data.Length]);

    [Fact]
    public void LoadsStayBehindTheirGuards() => KernelRun.SameAsNative(GuardedLoads, Data.Ints(1, 70), Data.Ints(2, 33), new int[96]);

    [Fact]
    public void ExitsCarryTheirOwnValues() => KernelRun.SameAsNative(EarlyExits, Data.Ints(3), new int[Data.Length]);

    [Fact]
    public void LoopsTooLongToUnrollKeepTheirValues() => KernelRun.SameAsNative(UnrolledTooFar, Data.Ints(4), new int[Data.Length]);

    [Fact]
    public void UnsignedNumbersRoundAsOftenAsInCSharp()
    {
        long[] a = Data.Longs(6);
        (a[0], a[1], a[2]) = (unchecked((long)0x8000008000000001), unchecked((long)0x8000018000000001), 0x4000004000000001);
        KernelRun.SameAsNative(UnsignedFloats, a, new double[Data.Length], new float[Data.Length]);
    }

    [Fact]
    public void SmallNumbersWrapAsInCSharp()
    {
        var padded = new Padded { Tag = 200, Real = -1234.5, Flag = true, Low = -3000, Last = -7, View = default };
        KernelRun.SameAsNative(SmallNumbers, Data.Ints(5), new SBytes[Data.Length], new byte[Data.Length], new long[Data.Length], (byte)250, true, padded, (short)-32000);
    }
}
