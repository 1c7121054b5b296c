using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Memory;

namespace DiffWave.Emulator.Execution;

/// <summary>A grid to execute.</summary>
/// <param name="Program">The kernel.</param>
/// <param name="Grid">Blocks.</param>
/// <param name="Block">Threads of a block.</param>
/// <param name="DynamicSharedBytes">Bytes of dynamic shared memory.</param>
/// <param name="Parameters">The packed arguments.</param>
/// <param name="Memory">The device's memory.</param>
/// <param name="Options">Choices.</param>
internal sealed record KernelLaunch(KernelProgram Program, Dim3 Grid, Dim3 Block, int DynamicSharedBytes, byte[] Parameters, DeviceMemory Memory, EmulatorOptions Options)
{
    /// <summary>What its blocks touch, where that is asked for; and what those of the launch right before it did, where it may begin before that has ended.</summary>
    public BlockRaces? Races { get; init; }
    public BlockRaces? Before { get; init; }

    /// <summary>Whether it may begin early.</summary>
    public bool IsEarly { get; init; }

    /// <summary>Bytes of shared memory of a block.</summary>
    public int SharedBytes => DynamicSharedBytes > 0 ? Program.DynamicSharedOffset + DynamicSharedBytes : Program.StaticSharedBytes;

    /// <summary>Warps of a block.</summary>
    public int Warps => (int)((Block.Size + Warp.Lanes - 1) / Warp.Lanes);

    /// <summary>Position of a block in the grid.</summary>
    public (int X, int Y, int Z) BlockPosition(long block) => ((int)(block % Grid.X), (int)(block / Grid.X % Grid.Y), (int)(block / Grid.X / Grid.Y));

    /// <summary>Position of a thread in its block.</summary>
    public (int X, int Y, int Z) ThreadPosition(int thread) => (thread % Block.X, thread / Block.X % Block.Y, thread / Block.X / Block.Y);
}
