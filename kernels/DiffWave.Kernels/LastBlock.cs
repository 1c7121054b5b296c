namespace DiffWave.Kernels;

/// <summary>For what all blocks leave and one of them puts together within the same launch: the block that finishes last.</summary>
internal static class LastBlock
{
    /// <summary>
    /// True in the block that comes here last of a grid along x; its threads see what the first thread of every block wrote before. Every thread of every block must come here, once.
    /// </summary>
    /// <param name="finished">Blocks that have been here, in the first element: 0 before the launch and after it.</param>
    public static bool IsThis(ArrayView<int> finished)
    {
        bool last = false;
        if (Group.IdxX == 0)
        {
            MemoryFence.DeviceLevel(); // what was written is there before the count tells of it
            last = Atomic.Add(ref finished[0], 1) == Grid.DimX - 1;
            if (last)
            {
                MemoryFence.DeviceLevel(); // and is not read before the count
                finished[0] = 0;
            }
        }
        return Group.BarrierOr(last);
    }
}
