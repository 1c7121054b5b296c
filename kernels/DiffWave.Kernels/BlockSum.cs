// Sum of all elements, the reduction behind the loss and the gradient norm
//
//   sum = x[0] + x[1] + .. + x[n - 1]                             x: n numbers
//
// In two launches of the same kernel: each of G blocks leaves the sum of its share in partial[block], then one block sums the G partials. Which thread adds which
// element, and in which order, depends on n and G alone: the same bits every time, unlike atomic additions.
//
// v1  each thread sums a stride of the array, then a tree in shared memory with a barrier a level
// v2  128-bit loads, then warps sum by shuffles and one barrier joins them
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Sum of all elements: <c>sum = x[0] + .. + x[n - 1]</c>, by partial sums of blocks and then one block over those.</summary>
public static partial class BlockSum
{
    private const int Threads = 256;

    /// <summary>The sum, first to last, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="x">n numbers.</param>
    public static T Reference<T>(ReadOnlySpan<float> x) where T : IFloatingPointIeee754<T>
    {
        T sum = T.Zero;
        foreach (float value in x) sum += T.CreateChecked(value);
        return sum;
    }

    /// <summary>Version 1. Blocks: any number of 256 threads.</summary>
    /// <param name="x">n numbers, at most 2^30.</param>
    /// <param name="partial">Receives a sum a block.</param>
    [Kernel("block_sum_v1", BlockX = Threads)]
    public static void SumV1(ArrayView<float> x, ArrayView<float> partial)
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(Threads);
        int thread = Group.IdxX;
        float sum = 0;
        for (int i = Grid.GlobalIndex.X; i < x.IntLength; i += Grid.DimX * Threads) sum += x[i];
        sums[thread] = sum;
        Group.Barrier();
        for (int half = Threads / 2; half > 0; half /= 2)
        {
            if (thread < half) sums[thread] += sums[thread + half];
            Group.Barrier();
        }
        if (thread == 0) partial[Grid.IdxX] = sums[0];
    }

    /// <summary>Both launches: x is read, the partial sums are written and read, the sum is written.</summary>
    /// <param name="n">Elements.</param>
    /// <param name="blocks">Blocks of the first launch.</param>
    public static Cost SumCost(long n, int blocks) => new(n, sizeof(float) * (n + 2 * blocks + 1));
}
