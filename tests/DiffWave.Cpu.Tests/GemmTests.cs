using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DiffWave.Cpu.Tests;

public class GemmTests
{
    // The definition, one chain of fused multiply-adds an output (System.MathF), in the order of rows.
    [Fact]
    public void OuterIsOneChainAnOutput()
    {
        if (Avx512F.IsSupported) Check<Simd512, Vector512<float>>();
        if (Vector256.IsHardwareAccelerated) Check<Simd256, Vector256<float>>();
        Check<SimdPortable, Vector<float>>();
    }

    private static unsafe void Check<S, V>() where S : struct, ISimd<V> where V : struct
    {
        int columns = 2 * S.Width, aStride = 11, bStride = columns + 3, accStride = columns + 5;
        foreach (int rows in new[] { 0, 1, 7, 130 })
        {
            float[] a = Setup.Normals(rows * aStride + 8, 0), b = Setup.Normals(rows * bStride + columns, 1), start = Setup.Normals(8 * accStride, 2), acc = [.. start], expected = [.. start];
            for (int i = 0; i < 8; i++)
                for (int c = 0; c < columns; c++)
                    for (int t = 0; t < rows; t++) expected[i * accStride + c] = MathF.FusedMultiplyAdd(a[t * aStride + i], b[t * bStride + c], expected[i * accStride + c]);
            fixed (float* pa = a, pb = b, to = acc) Gemm.Outer<S, V>(pa, aStride, pb, bStride, rows, to, accStride);
            Setup.AssertSameBits($"outer, {rows} rows, {S.Width} lanes", expected, acc);
        }
    }
}
