namespace DiffWave.Kernels;

/// <summary>Sums over the 256 threads of a block in float64, in an order that is always the same. Every thread of the block must come here.</summary>
internal static partial class GroupSum
{
    public const int Threads = 256;

    /// <summary>The sum of every thread's <paramref name="value"/>, by a tree in shared memory; valid in thread 0.</summary>
    public static double Tree(double value)
    {
        ArrayView<double> sums = SharedMemory.Allocate<double>(Threads);
        int thread = Group.IdxX;
        sums[thread] = value;
        Group.Barrier();
        for (int half = Threads / 2; half > 0; half /= 2)
        {
            if (thread < half) sums[thread] += sums[thread + half];
            Group.Barrier();
        }
        return sums[0];
    }
}
