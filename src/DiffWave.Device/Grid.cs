namespace DiffWave.Device;

/// <summary>Which block this thread belongs to.</summary>
public static class Grid
{
    /// <summary>Block number along x.</summary>
    public static int IdxX { [PtxInstruction("mov.u32 {r}, %ctaid.x")] get => SequentialLaunch.Current.Block.X; }

    /// <summary>Block number along y.</summary>
    public static int IdxY { [PtxInstruction("mov.u32 {r}, %ctaid.y")] get => SequentialLaunch.Current.Block.Y; }

    /// <summary>Block number along z.</summary>
    public static int IdxZ { [PtxInstruction("mov.u32 {r}, %ctaid.z")] get => SequentialLaunch.Current.Block.Z; }

    /// <summary>Blocks along x.</summary>
    public static int DimX { [PtxInstruction("mov.u32 {r}, %nctaid.x")] get => SequentialLaunch.Current.Grid.X; }

    /// <summary>Blocks along y.</summary>
    public static int DimY { [PtxInstruction("mov.u32 {r}, %nctaid.y")] get => SequentialLaunch.Current.Grid.Y; }

    /// <summary>Blocks along z.</summary>
    public static int DimZ { [PtxInstruction("mov.u32 {r}, %nctaid.z")] get => SequentialLaunch.Current.Grid.Z; }

    /// <summary>Block number.</summary>
    public static Index3D Index => new(IdxX, IdxY, IdxZ);

    /// <summary>Blocks of the grid.</summary>
    public static Index3D Dimension => new(DimX, DimY, DimZ);

    /// <summary>Block number counted through, x the fastest.</summary>
    public static int LinearIndex => (IdxZ * DimY + IdxY) * DimX + IdxX;

    /// <summary>Thread number within the whole grid along each axis: block number times block size plus thread number.</summary>
    public static Index3D GlobalIndex => new(IdxX * Group.DimX + Group.IdxX, IdxY * Group.DimY + Group.IdxY, IdxZ * Group.DimZ + Group.IdxZ);

    /// <summary>Thread number within the whole grid, counted through block by block.</summary>
    public static long GlobalLinearIndex => (long)LinearIndex * Group.Dimension.Size + Group.LinearIndex;
}
