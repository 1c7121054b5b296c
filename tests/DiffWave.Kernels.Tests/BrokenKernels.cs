using DiffWave.Device;

namespace DiffWave.Kernels.Tests;

/// <summary>Kernels with one mistake each.</summary>
public static class BrokenKernels
{
    /// <summary>Reverses a tile in place: between the read and the write a barrier is missing.</summary>
    /// <param name="values">Receives 255 .. 0 from each block.</param>
    [Kernel("reversed_without_barrier", BlockX = 256)]
    public static void ReversedWithoutBarrier(ArrayView<float> values)
    {
        ArrayView<float> tile = SharedMemory.Allocate<float>(256);
        int thread = Group.IdxX;
        tile[thread] = thread;
        Group.Barrier();
        float other = tile[255 - thread];
        tile[thread] = other;
        Group.Barrier();
        values[Grid.GlobalIndex.X] = tile[thread];
    }
}
