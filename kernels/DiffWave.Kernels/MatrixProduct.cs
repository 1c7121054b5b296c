// Matrix product
//
//   C[m, n] = sum over k of A[m, k] B[k, n]                       A: M x K, B: K x N, C: M x N, all row-major, sums in float32
//
// v1  one thread an element of C, operands from global memory
// v2  a block computes 128 x 128, operands through shared memory; each thread keeps 8 x 8 sums in registers
// v3  fp16 or bf16 operands on tensor cores: copies to shared memory overlap the arithmetic, swizzled so that neither side meets a bank conflict
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Matrix product: <c>C[m, n] = sum over k of A[m, k] B[k, n]</c>, A M x K, B K x N, C M x N, row-major.</summary>
public static partial class MatrixProduct
{
    /// <summary>The product, summed over ascending k, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="a">M x K.</param>
    /// <param name="b">K x N.</param>
    /// <param name="c">Receives M x N.</param>
    /// <param name="m">M.</param>
    /// <param name="n">N.</param>
    /// <param name="k">K.</param>
    public static void Reference<T>(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<T> c, int m, int n, int k) where T : IFloatingPointIeee754<T>
    {
        c[..(m * n)].Clear();
        for (int row = 0; row < m; row++)
            for (int i = 0; i < k; i++)
            {
                T factor = T.CreateChecked(a[row * k + i]);
                for (int column = 0; column < n; column++) c[row * n + column] += factor * T.CreateChecked(b[i * n + column]);
            }
    }

    /// <summary>Version 1. Threads: at least N along x and M along y.</summary>
    /// <param name="a">M x K, fewer than 2^31 elements, like the others.</param>
    /// <param name="b">K x N.</param>
    /// <param name="c">Receives M x N.</param>
    /// <param name="m">M.</param>
    /// <param name="n">N.</param>
    /// <param name="k">K.</param>
    [Kernel("matrix_product_v1", BlockX = 16, BlockY = 16)]
    public static void ProductV1(ArrayView<float> a, ArrayView<float> b, ArrayView<float> c, int m, int n, int k)
    {
        int column = Grid.GlobalIndex.X, row = Grid.GlobalIndex.Y;
        if (row >= m || column >= n) return;
        float sum = 0;
        for (int i = 0; i < k; i++) sum += a[row * k + i] * b[i * n + column];
        c[row * n + column] = sum;
    }

    /// <summary>Two FLOPs a product; each matrix is moved once.</summary>
    /// <param name="m">M.</param>
    /// <param name="n">N.</param>
    /// <param name="k">K.</param>
    /// <param name="operandBytes">Bytes of an element of A and B.</param>
    public static Cost ProductCost(long m, long n, long k, int operandBytes) => new(2 * m * n * k, operandBytes * (m * k + k * n) + sizeof(float) * m * n);
}
