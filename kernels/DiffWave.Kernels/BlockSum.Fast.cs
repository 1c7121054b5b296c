namespace DiffWave.Kernels;

public static partial class BlockSum
{
    /// <summary>Version 2. Blocks: any number of 256 threads.</summary>
    /// <param name="x">n numbers, at most 2^30; the address a multiple of 16.</param>
    /// <param name="partial">Receives a sum a block.</param>
    [Kernel("block_sum_v2", BlockX = Threads)]
    public static void SumV2(ArrayView<float> x, ArrayView<float> partial)
    {
        ArrayView<float> sums = SharedMemory.Allocate<float>(Threads / Warp.WarpSize);
        ArrayView<Float4> fours = x.AsAligned16().Cast<Float4>();
        int thread = Grid.GlobalIndex.X, rest = 4 * fours.IntLength + thread;
        float sum = rest < x.IntLength ? x[rest] : 0; // the last one to three elements
        for (int i = thread; i < fours.IntLength; i += Grid.DimX * Threads)
        {
            Float4 four = fours[i];
            sum += (four.X + four.Y) + (four.Z + four.W);
        }
        sum = WarpSum(sum);
        if (Warp.IsFirstLane) sums[Warp.WarpIdx] = sum;
        Group.Barrier();
        if (Warp.WarpIdx != 0) return;
        sum = WarpSum(Warp.LaneIdx < sums.IntLength ? sums[Warp.LaneIdx] : 0);
        if (Warp.IsFirstLane) partial[Grid.IdxX] = sum;
    }

    // The sum over the warp, in lane 0.
    private static float WarpSum(float value)
    {
        for (int distance = Warp.WarpSize / 2; distance > 0; distance /= 2) value += Warp.ShuffleDown(value, distance);
        return value;
    }
}
