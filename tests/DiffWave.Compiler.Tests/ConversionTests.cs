using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

// .NET converts numbers out of range to the nearest end and NaN to 0, and to types below int by way of int.
public class ConversionTests
{
    [Kernel("integers_to_integers")]
    internal static void IntegersToIntegers(ArrayView<int> a, ArrayView<long> b, ArrayView<long> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int p = a[i], o = i * 12;
        long q = b[i];
        y[o] = (sbyte)p;
        y[o + 1] = (byte)p;
        y[o + 2] = (short)p;
        y[o + 3] = (ushort)p;
        y[o + 4] = (uint)p;
        y[o + 5] = (int)q;
        y[o + 6] = (uint)q;
        y[o + 7] = (sbyte)q + (byte)q * 3;
        y[o + 8] = (short)q - (ushort)q;
        y[o + 9] = (long)(ulong)p;
        y[o + 10] = (nint)p + (long)(nuint)(uint)p;
        y[o + 11] = (char)p;
    }

    [Kernel("integers_to_floats")]
    internal static void IntegersToFloats(ArrayView<int> a, ArrayView<long> b, ArrayView<float> y, ArrayView<double> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        int p = a[i], o = i * 6;
        long q = b[i];
        y[o] = p;
        y[o + 1] = (uint)p;
        y[o + 2] = q;
        y[o + 3] = (sbyte)p;
        y[o + 4] = (ushort)p;
        y[o + 5] = (float)(double)q;
        z[o] = p;
        z[o + 1] = (uint)p;
        z[o + 2] = q;
        z[o + 3] = (ulong)q;
        z[o + 4] = (byte)p;
        z[o + 5] = (short)p;
    }

    [Kernel("unsigned_longs_to_floats")]
    internal static void UnsignedLongsToFloats(ArrayView<long> b, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i < b.Length) y[i] = (ulong)b[i];
    }

    [Kernel("floats_to_integers")]
    internal static void FloatsToIntegers(ArrayView<float> a, ArrayView<long> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float p = a[i];
        int o = i * 8;
        y[o] = (int)p;
        y[o + 1] = (uint)p;
        y[o + 2] = (long)p;
        y[o + 3] = (long)(ulong)p;
        y[o + 4] = (sbyte)p;
        y[o + 5] = (byte)p;
        y[o + 6] = (short)p;
        y[o + 7] = (ushort)p;
    }

    [Kernel("doubles_to_integers")]
    internal static void DoublesToIntegers(ArrayView<double> a, ArrayView<long> y, ArrayView<float> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        double p = a[i];
        int o = i * 8;
        y[o] = (int)p;
        y[o + 1] = (uint)p;
        y[o + 2] = (long)p;
        y[o + 3] = (long)(ulong)p;
        y[o + 4] = (sbyte)p;
        y[o + 5] = (byte)p;
        y[o + 6] = (short)p;
        y[o + 7] = (ushort)p;
        z[i] = (float)p;
    }

    [Kernel("representations")]
    internal static void Representations(ArrayView<float> a, ArrayView<double> b, ArrayView<uint> y, ArrayView<ulong> z)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        y[i] = BitConverter.SingleToUInt32Bits(a[i]) ^ (uint)BitConverter.SingleToInt32Bits(a[i]) >> 3;
        a[i] = BitConverter.Int32BitsToSingle(i << 23) + BitConverter.UInt32BitsToSingle(0x3F800000u + (uint)i) + Interop.IntAsFloat(Interop.FloatAsInt(a[i]) & 0x7FFFFF);
        z[i] = BitConverter.DoubleToUInt64Bits(b[i]) ^ (ulong)BitConverter.DoubleToInt64Bits(b[i]) >> 9;
        b[i] = BitConverter.Int64BitsToDouble((long)i << 52);
    }

    [Fact]
    public void IntegersAreCutAndExtended() => KernelRun.SameAsNative(IntegersToIntegers, Data.Ints(1), Data.Longs(2), new long[12 * Data.Length]);

    [Fact]
    public void IntegersBecomeTheNearestFloats() => KernelRun.SameAsNative(IntegersToFloats, Data.Ints(3), Data.Longs(4), new float[6 * Data.Length], new double[6 * Data.Length]);

    [Fact]
    public void UnsignedLongsBecomeTheNearestFloats() => KernelRun.SameAsNative(UnsignedLongsToFloats, Data.Longs(5), new float[Data.Length]);

    [Fact]
    public void FloatsAreCutToIntegers() => KernelRun.SameAsNative(FloatsToIntegers, Data.Floats(5), new long[8 * Data.Length]);

    [Fact]
    public void DoublesAreCutToIntegers() => KernelRun.SameAsNative(DoublesToIntegers, Data.Doubles(6), new long[8 * Data.Length], new float[Data.Length]);

    [Fact]
    public void BitsAreReinterpreted() =>
        KernelRun.SameAsNative(Representations, Data.Floats(7).Where(x => !float.IsNaN(x)).ToArray(), Data.Doubles(8).Select(x => double.IsNaN(x) ? 0 : x).ToArray(), new uint[Data.Length], new ulong[Data.Length]);
}
