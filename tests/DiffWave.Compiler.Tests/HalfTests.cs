using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class HalfTests
{
    [Kernel("half_numbers")]
    internal static void Halves(ArrayView<Half> a, ArrayView<float> b, ArrayView<Half> y, ArrayView<float> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        Half p = a[i], q = (Half)b[i];
        int o = i * 6;
        y[o] = p + q;
        y[o + 1] = p * q - p;
        y[o + 2] = p / q;
        y[o + 3] = (Half)(b[i] * 0.37f);
        y[o + 4] = -p;
        y[o + 5] = p < q ? p : q;
        z[o] = (float)p;
        z[o + 1] = (float)p * (float)q + b[i];
        z[o + 2] = (p == q ? 1 : 0) + (p != q ? 2 : 0) + (p >= q ? 4 : 0);
        z[o + 3] = BitConverter.HalfToUInt16Bits(p);
        z[o + 4] = (float)BitConverter.UInt16BitsToHalf((ushort)(i * 331));
        z[o + 5] = (float)Half.Abs(p);
    }

    [Kernel("bfloat_numbers")]
    internal static void BFloats(ArrayView<BFloat16> a, ArrayView<float> b, ArrayView<BFloat16> y, ArrayView<float> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float p = a[i];
        y[i] = (BFloat16)(p * b[i]);
        z[i] = p + (BFloat16)b[i];
    }

    [Kernel("bfloat_conversions")]
    internal static void BFloatWord(ArrayView<float> a, ArrayView<BFloat16> y, ArrayView<uint> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        y[i] = Ptx.CvtRnBf16(a[i]);
        z[i] = Ptx.CvtRnBf16(a[i] * 3).Bits * 5u;
    }

    [Kernel("packed_pairs")]
    internal static void Pairs(ArrayView<float> a, ArrayView<uint> h, ArrayView<uint> y, ArrayView<Float2> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int o = i * 9;
        var p = new Half2(h[i]);
        var q = new Half2(a[i], 0.25f);
        y[o] = q.Bits;
        y[o + 1] = Ptx.Add(p, q).Bits;
        y[o + 2] = Ptx.Mul(p, q).Bits;
        y[o + 3] = Ptx.Fma(p, q, q).Bits;
        y[o + 4] = Ptx.Neg(Ptx.Abs(p)).Bits;
        y[o + 5] = Ptx.CvtRnF16x2(a[i], -a[i]).Bits;
        y[o + 6] = Ptx.CvtRnBf16x2(a[i], 3).Bits;
        var r = new BFloat162(h[i]);
        y[o + 7] = Ptx.Fma(r, r, new BFloat162(a[i], a[i])).Bits;
        y[o + 8] = Ptx.Fma(p, new Half2(0x38004200u), new Half2(0x3C00C000u)).Bits; // constants: 3 and 0.5, -2 and 1
        z[i] = new Float2(p.ToFloat2().X + r.ToFloat2().Y, (float)p.High - r.Low);
    }

    private static ushort[] Bits(int seed) => [.. Data.Ints(seed).Select(x => (ushort)(x ^ x >> 16))];

    [Fact]
    public void HalvesRoundAsInCSharp()
    {
        Half[] a = [.. Bits(1).Select(BitConverter.UInt16BitsToHalf)];
        float[] b = [.. Data.Floats(2).Select((x, i) => i % 2 == 0 ? x : i * 0.173f - 3)];
        KernelRun.SameAsNative(Halves, a, b, new Half[6 * Data.Length], new float[6 * Data.Length]);
    }

    [Fact]
    public void BFloatsRoundToEven() =>
        KernelRun.SameAsNative(BFloats, Bits(3).Select(bits => new BFloat16(bits)).ToArray(), Data.Floats(4), new BFloat16[Data.Length], new float[Data.Length]);

    [Fact]
    public void AWordMayResultInANumberOf16Bits() => KernelRun.SameAsNative(BFloatWord, Data.Floats(7), new BFloat16[Data.Length], new uint[Data.Length]);

    [Fact]
    public void PairsOfFiniteNumbersAgree()
    {
        float[] a = [.. Data.Floats(5).Select(x => float.IsFinite(x) && Math.Abs(x) < 100 ? x : 1.37f)];
        uint[] h = [.. Data.Ints(6).Select(x => (uint)x & 0xBBFFBBFF)]; // below 1 in size in both formats: no NaN
        KernelRun.SameAsNative(Pairs, a, h, new uint[9 * Data.Length], new Float2[Data.Length]);
    }
}
