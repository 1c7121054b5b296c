namespace DiffWave.Device;

/// <summary>The thread block: the threads that share memory and meet at barriers.</summary>
public static class Group
{
    /// <summary>Thread number along x.</summary>
    public static int IdxX { [PtxInstruction("mov.u32 {r}, %tid.x")] get => SequentialLaunch.Current.Thread.X; }

    /// <summary>Thread number along y.</summary>
    public static int IdxY { [PtxInstruction("mov.u32 {r}, %tid.y")] get => SequentialLaunch.Current.Thread.Y; }

    /// <summary>Thread number along z.</summary>
    public static int IdxZ { [PtxInstruction("mov.u32 {r}, %tid.z")] get => SequentialLaunch.Current.Thread.Z; }

    /// <summary>Threads along x; a constant when the kernel fixes its block.</summary>
    public static int DimX { [PtxInstruction("mov.u32 {r}, %ntid.x")] get => SequentialLaunch.Current.Group.X; }

    /// <summary>Threads along y.</summary>
    public static int DimY { [PtxInstruction("mov.u32 {r}, %ntid.y")] get => SequentialLaunch.Current.Group.Y; }

    /// <summary>Threads along z.</summary>
    public static int DimZ { [PtxInstruction("mov.u32 {r}, %ntid.z")] get => SequentialLaunch.Current.Group.Z; }

    /// <summary>Thread number.</summary>
    public static Index3D Index => new(IdxX, IdxY, IdxZ);

    /// <summary>Threads of the block.</summary>
    public static Index3D Dimension => new(DimX, DimY, DimZ);

    /// <summary>Thread number counted through, x the fastest.</summary>
    public static int LinearIndex => (IdxZ * DimY + IdxY) * DimX + IdxX;

    /// <summary>Whether this is thread 0 of the block.</summary>
    public static bool IsFirstThread => LinearIndex == 0;

    /// <summary>All threads of the block wait here for each other, and see what the others wrote to shared and global memory before.</summary>
    [PtxInstruction("bar.sync 0", Volatile = true)]
    public static void Barrier() => SequentialLaunch.RequireOneThread("Group.Barrier");

    /// <summary>A barrier of its own number for part of the block: <c>bar.sync id, threads</c>.</summary>
    /// <param name="id">1 .. 15, the same in all threads that meet.</param>
    /// <param name="threads">How many threads meet, a multiple of 32.</param>
    [PtxInstruction("bar.sync {0}, {1}", Volatile = true)]
    public static void NamedBarrier(int id, int threads) => SequentialLaunch.RequireOneThread("Group.NamedBarrier");

    /// <summary>Tells a named barrier that this thread is there, without waiting: <c>bar.arrive id, threads</c>.</summary>
    /// <param name="id">1 .. 15.</param>
    /// <param name="threads">How many threads meet, a multiple of 32.</param>
    [PtxInstruction("bar.arrive {0}, {1}", Volatile = true)]
    public static void NamedArrive(int id, int threads) => SequentialLaunch.RequireOneThread("Group.NamedArrive");

    /// <summary>A barrier that says whether the value was true in all threads.</summary>
    /// <param name="value">This thread's value.</param>
    [PtxInstruction("bar.red.and.pred {r}, 0, {0}", Volatile = true)]
    public static bool BarrierAnd(bool value)
    {
        SequentialLaunch.RequireOneThread("Group.BarrierAnd");
        return value;
    }

    /// <summary>A barrier that says whether the value was true in any thread.</summary>
    /// <param name="value">This thread's value.</param>
    [PtxInstruction("bar.red.or.pred {r}, 0, {0}", Volatile = true)]
    public static bool BarrierOr(bool value)
    {
        SequentialLaunch.RequireOneThread("Group.BarrierOr");
        return value;
    }

    /// <summary>A barrier that counts the threads whose value is true.</summary>
    /// <param name="value">This thread's value.</param>
    [PtxInstruction("bar.red.popc.u32 {r}, 0, {0}", Volatile = true)]
    public static int BarrierPopCount(bool value)
    {
        SequentialLaunch.RequireOneThread("Group.BarrierPopCount");
        return value ? 1 : 0;
    }
}
