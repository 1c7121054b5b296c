namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> BlockSums
    {
        get
        {
            KernelShape Shape(long n) => new(("n", n));
            KernelShape[] shapes = [Shape(100_000), Shape(1), Shape(3), Shape(255), Shape(1025)];
            string? Problem(KernelShape shape) => shape["n"] is < 1 or > 1 << 30 ? "n is 1 to 2^30" : null;
            return
            [
                new(nameof(BlockSum), "each thread sums a stride of the array, then a tree in shared memory with a barrier a level", Method(typeof(BlockSum), nameof(BlockSum.SumV1)), shapes,
                    NoConstants, Problem, Sum) { Name = "block_sum_v1" },
                new(nameof(BlockSum), "128-bit loads, then warps sum by shuffles and one barrier joins them", Method(typeof(BlockSum), nameof(BlockSum.SumV2)), shapes,
                    NoConstants, Problem, Sum) { Name = "block_sum_v2" },
            ];
        }
    }

    private static KernelTrial Sum(KernelShape shape)
    {
        const int mostBlocks = 64, perThread = 16;
        long n = shape["n"];
        int blocks = Math.Min(mostBlocks, Blocks(n, perThread * Threads));
        float[] x = Random(3, n, 1), partial = Unwritten(blocks), sum = Unwritten(1);
        return new KernelTrial(
            [new(new(blocks, 1, 1), new(Threads, 1, 1), 0, x, partial), new(new(1, 1, 1), new(Threads, 1, 1), 0, partial, sum)],
            BlockSum.SumCost(n, blocks),
            [KernelOutput.Float32("sum", sum, [BlockSum.Reference<double>(x)], [BlockSum.Reference<float>(x)], x.Sum(value => Math.Abs((double)value)))]);
    }

    private static IReadOnlyList<KernelVersion> MatrixProducts
    {
        get
        {
            KernelShape Shape(long m, long n, long k) => new(("m", m), ("n", n), ("k", k));
            string? Multiples(KernelShape shape, int n, int k) => shape["m"] < 1 || shape["n"] < 1 || shape["k"] < 1 ? "m, n and k are at least 1"
                : shape["n"] % n != 0 || shape["k"] % k != 0 ? $"n is a multiple of {n} and k of {k}" : null;
            KernelShape[] any = [Shape(64, 48, 32), Shape(1, 1, 1), Shape(17, 3, 5), Shape(33, 31, 29)],
                fours = [Shape(256, 128, 64), Shape(1, 4, 4), Shape(7, 12, 20), Shape(130, 132, 36)],
                eights = [Shape(256, 128, 128), Shape(8, 8, 8), Shape(1, 16, 24), Shape(136, 136, 200)];
            const string TensorIdea = "fp16 or bf16 operands on tensor cores: copies to shared memory overlap the arithmetic, swizzled so that neither side meets a bank conflict";
            Type op = typeof(MatrixProduct);
            KernelVersion Tensor<T, P, S>(string name) where T : unmanaged where P : struct, IMatrixOperand<T> where S : struct, IMatrixTile => new(nameof(MatrixProduct), TensorIdea,
                Method(op, nameof(MatrixProduct.ProductV3), typeof(T), typeof(P), typeof(S)), eights, NoConstants, shape => Multiples(shape, 8, 8),
                shape => Product<T>(shape, new(Blocks(shape["m"], S.BlockM), Blocks(shape["n"], S.BlockN), 1), new(Threads, 1, 1), MatrixProduct.SharedBytes<S>())) { Name = name };
            return
            [
                new(nameof(MatrixProduct), "one thread an element of C, operands from global memory", Method(op, nameof(MatrixProduct.ProductV1)), any, NoConstants, shape => Multiples(shape, 1, 1),
                    shape => Product<float>(shape, new(Blocks(shape["n"], 16), Blocks(shape["m"], 16), 1), new(16, 16, 1), 0)) { Name = "matrix_product_v1" },
                new(nameof(MatrixProduct), "a block computes 128 x 128, operands through shared memory; each thread keeps 8 x 8 sums in registers", Method(op, nameof(MatrixProduct.ProductV2)), fours,
                    NoConstants, shape => Multiples(shape, 4, 4), shape => Product<float>(shape, new(Blocks(shape["n"], 128), Blocks(shape["m"], 128), 1), new(Threads, 1, 1), 0)) { Name = "matrix_product_v2" },
                Tensor<Half, F16, Tile128x128>("matrix_product_v3"), Tensor<Half, F16, Tile64x64>("matrix_product_v3_64x64"), Tensor<BFloat16, BF16, Tile128x128>("matrix_product_v3_bf16"),
            ];
        }
    }

    private static KernelTrial Product<T>(KernelShape shape, Index3D grid, Index3D group, int dynamicSharedBytes) where T : unmanaged
    {
        int m = (int)shape["m"], n = (int)shape["n"], k = (int)shape["k"];
        Array a = Rounded<T>(Random(4, (long)m * k, 1), out float[] aValues), b = Rounded<T>(Random(5, (long)k * n, 1), out float[] bValues);
        float[] c = Unwritten((long)m * n), naive = new float[m * n];
        double[] expected = new double[m * n], magnitude = new double[m * n];
        MatrixProduct.Reference(aValues, bValues, expected.AsSpan(), m, n, k);
        MatrixProduct.Reference(aValues, bValues, naive.AsSpan(), m, n, k);
        MatrixProduct.Reference([.. aValues.Select(Math.Abs)], [.. bValues.Select(Math.Abs)], magnitude.AsSpan(), m, n, k);
        KernelOutput output = KernelOutput.Float32("c", c, expected, naive, Largest(magnitude));
        // Tensor cores cut instead of rounding, down to a unit of the largest magnitude, once for every eight products they add.
        if (typeof(T) != typeof(float)) output = output with { Bound = output.Bound + (k + 7) / 8 * Largest(magnitude) / (1 << 23), BoundReason = $"{output.BoundReason}, and a unit cut off every eight products" };
        return new KernelTrial([new(grid, group, dynamicSharedBytes, a, b, c, m, n, k)], MatrixProduct.ProductCost(m, n, k, typeof(T) == typeof(float) ? 4 : 2), [output]);
    }

    // The values as the operand type holds them, and again as float32.
    private static Array Rounded<T>(float[] values, out float[] rounded) where T : unmanaged
    {
        if (typeof(T) == typeof(Half))
        {
            Half[] halves = [.. values.Select(value => (Half)value)];
            rounded = [.. halves.Select(value => (float)value)];
            return halves;
        }
        if (typeof(T) == typeof(BFloat16))
        {
            BFloat16[] brain = [.. values.Select(value => (BFloat16)value)];
            rounded = [.. brain.Select(value => (float)value)];
            return brain;
        }
        return rounded = values;
    }
}
