using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class FloatTests
{
    [Kernel("float_arithmetic")]
    internal static void Arithmetic(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float p = a[i], q = b[i];
        int o = i * 10;
        y[o] = p + q;
        y[o + 1] = p - q;
        y[o + 2] = p * q;
        y[o + 3] = p / q;
        y[o + 4] = -p;
        y[o + 5] = p * q + p;
        y[o + 6] = 1 / p - 0.1f * q;
        y[o + 7] = (float)((double)p * q + 1e-3);
        y[o + 8] = p - p * 0.5f;
        y[o + 9] = (p + 0f) * 1f - 0f;
    }

    [Kernel("float_compares")]
    internal static void Compares(ArrayView<float> a, ArrayView<float> b, ArrayView<int> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float p = a[i], q = b[i];
        int values = (p < q ? 1 : 0) | (p <= q ? 2 : 0) | (p > q ? 4 : 0) | (p >= q ? 8 : 0) | (p == q ? 16 : 0) | (p != q ? 32 : 0);
        bool less = p < q, notLess = !(p < q), notGreaterEqual = !(p >= q), equal = p == q;
        int negated = (less ? 1 : 0) | (notLess ? 2 : 0) | (notGreaterEqual ? 4 : 0) | (equal ? 8 : 0) | (!(p != q) ? 16 : 0) | (float.IsNaN(p) ? 32 : 0);
        int branches = 0;
        if (p < q) branches |= 1;
        if (!(p <= q)) branches |= 2;
        if (p > q) branches |= 4;
        if (!(p >= q)) branches |= 8;
        if (p == q) branches |= 16;
        if (!(p == q)) branches |= 32;
        while (p > 1e3f && q < p) p *= 0.25f;
        y[i] = values | negated << 8 | branches << 16 | (p < 1 ? 1 << 24 : 0);
    }

    [Kernel("double_arithmetic")]
    internal static void Doubles(ArrayView<double> a, ArrayView<double> b, ArrayView<double> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        double p = a[i], q = b[i];
        int o = i * 10;
        y[o] = p + q;
        y[o + 1] = p * q - p;
        y[o + 2] = p / q;
        y[o + 3] = Math.Sqrt(p);
        y[o + 4] = Math.FusedMultiplyAdd(p, q, p);
        y[o + 5] = Math.Abs(p) + Math.Floor(q) - Math.Ceiling(p);
        y[o + 6] = Math.Min(p, q) + 2 * Math.Max(p, q);
        y[o + 7] = Math.Truncate(p) + Math.Round(q);
        y[o + 8] = p < q ? 1 : p >= q ? 2 : 3;
        y[o + 9] = -p + (float)q;
    }

    [Kernel("math_functions")]
    internal static void Functions(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float p = a[i], q = b[i];
        int o = i * 12;
        y[o] = MathF.Sqrt(p);
        y[o + 1] = MathF.FusedMultiplyAdd(p, q, -p);
        y[o + 2] = MathF.Abs(p);
        y[o + 3] = MathF.Floor(p);
        y[o + 4] = MathF.Ceiling(p);
        y[o + 5] = MathF.Truncate(p);
        y[o + 6] = MathF.Round(p);
        y[o + 7] = MathF.Min(p, q);
        y[o + 8] = MathF.Max(p, q);
        y[o + 9] = Math.Abs(q) + XMath.Rsqrt(p);
        y[o + 10] = XMath.Clamp(p, -1, 1.5f) + XMath.Sign(q);
        y[o + 11] = (XMath.IsNaN(p) ? 1 : 0) + (XMath.IsInfinity(p) ? 2 : 0) + (XMath.IsFinite(p) ? 4 : 0);
    }

    [Fact]
    public void EveryOperationRoundsOnce() => KernelRun.SameAsNative(Arithmetic, Data.Floats(1), Data.Floats(2), new float[10 * Data.Length]);

    [Fact]
    public void ComparisonsKnowNaN()
    {
        float[] a = Data.Floats(3), b = Data.Floats(4);
        for (int i = 0; i < 40; i += 2) b[i] = a[i];
        a[1] = a[3] = b[3] = b[5] = float.NaN;
        KernelRun.SameAsNative(Compares, a, b, new int[Data.Length]);
    }

    [Fact]
    public void DoublesRoundOnce() => KernelRun.SameAsNative(Doubles, Data.Doubles(5), Data.Doubles(6), new double[10 * Data.Length]);

    [Fact]
    public void FunctionsOfTheLibraryAreExact() => KernelRun.SameAsNative(Functions, Data.Floats(7), Data.Floats(8), new float[12 * Data.Length]);
}
