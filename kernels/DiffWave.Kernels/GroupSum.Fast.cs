namespace DiffWave.Kernels;

internal static partial class GroupSum
{
    /// <summary>The sum of every thread's <paramref name="value"/>, by shuffles within warps and one barrier that joins them; valid in thread 0.</summary>
    public static double Shuffles(double value)
    {
        ArrayView<double> sums = SharedMemory.Allocate<double>(Threads / Warp.WarpSize);
        value = OverWarp(value);
        if (Warp.IsFirstLane) sums[Warp.WarpIdx] = value;
        Group.Barrier();
        return Warp.WarpIdx == 0 ? OverWarp(Warp.LaneIdx < sums.IntLength ? sums[Warp.LaneIdx] : 0) : 0;
    }

    private static double OverWarp(double value)
    {
        for (int distance = Warp.WarpSize / 2; distance > 0; distance /= 2) value += Warp.ShuffleDown(value, distance);
        return value;
    }
}
