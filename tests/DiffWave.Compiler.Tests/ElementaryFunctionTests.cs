using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

public class ElementaryFunctionTests
{
    [Kernel("elementary_functions")]
    internal static void Functions(ArrayView<float> a, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float x = a[i];
        int o = i * 12;
        y[o] = XMath.Exp(x);
        y[o + 1] = XMath.Exp2(x);
        y[o + 2] = XMath.Log(x);
        y[o + 3] = XMath.Log2(x);
        y[o + 4] = XMath.Log10(x);
        XMath.SinCos(x, out y[o + 5], out y[o + 6]);
        y[o + 7] = XMath.Tan(x);
        y[o + 8] = XMath.Sinh(x);
        y[o + 9] = XMath.Cosh(x);
        y[o + 10] = XMath.Tanh(x);
        y[o + 11] = XMath.Pow(x, 1.7f) + XMath.Pow(2.5f, x);
    }

    [Kernel("approximations", MinimumSm = 75)]
    internal static void Approximations(ArrayView<float> a, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= a.Length) return;
        float x = a[i];
        int o = i * 9;
        y[o] = XMath.ExpApprox(x);
        y[o + 1] = XMath.Exp2Approx(x);
        y[o + 2] = XMath.LogApprox(XMath.Abs(x));
        y[o + 3] = XMath.SinApprox(x);
        y[o + 4] = XMath.CosApprox(x);
        y[o + 5] = XMath.TanhApprox(x);
        y[o + 6] = XMath.RcpApprox(x);
        y[o + 7] = XMath.RsqrtApprox(XMath.Abs(x));
        y[o + 8] = Ptx.SqrtApprox(XMath.Abs(x)) + Ptx.DivApprox(1, x);
    }

    // The functions keep their own roundings, so the bits agree even where the kernel may contract.
    [Fact]
    public void ElementaryFunctionsGiveTheSameBitsOnTheCpuAndTheEmulator()
    {
        float[] a = [.. Data.Floats(1, 90), .. Enumerable.Range(-3, 6).Select(k => k * 1.5707964f)];
        KernelRun.SameAsNative(Functions, a, new float[12 * a.Length]);
        KernelRun.SameAsNative(Functions, Enumerable.Range(0, 96).Select(i => (i - 48) * 0.21f).ToArray(), new float[12 * 96]);
    }

    [Fact]
    public void ApproximationsStayWithinTheirBounds()
    {
        float[] a = [.. Enumerable.Range(0, 96).Select(i => (i - 47.5f) * 0.06f)], y = new float[9 * 96];
        KernelRun.OnEmulator(Approximations, new Cuda.Dim3(3), new Cuda.Dim3(32), 0, a, y);
        for (int i = 0; i < 96; i++)
        {
            double x = a[i];
            double[] exact = [Math.Exp(x), Math.Pow(2, x), Math.Log(Math.Abs(x)), Math.Sin(x), Math.Cos(x), Math.Tanh(x), 1 / x, 1 / Math.Sqrt(Math.Abs(x)), Math.Sqrt(Math.Abs(x)) + 1 / x];
            for (int k = 0; k < 9; k++)
            {
                double bound = k switch { 5 => 7e-4, 2 or 3 or 4 => 2e-6, _ => Math.Abs(exact[k]) * 2e-6 };
                Assert.True(Math.Abs(y[9 * i + k] - exact[k]) <= bound, $"function {k} of {x}: {y[9 * i + k]} instead of {exact[k]}");
            }
        }
    }
}
