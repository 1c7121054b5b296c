using System.Runtime.InteropServices;

namespace DiffWave.Emulator.Execution;

/// <summary>Whether a warp can go on.</summary>
internal enum WarpState : byte
{
    Ready,
    AtBarrier,
    Finished,
}

/// <summary>Lanes that wait until those that run now reach their join, or end.</summary>
/// <param name="Pc">Where the waiting lanes go on.</param>
/// <param name="Mask">The waiting lanes.</param>
/// <param name="OuterJoin">Where the waiting lanes stop in turn.</param>
internal readonly record struct WaitingLanes(int Pc, uint Mask, int OuterJoin);

/// <summary>32 threads of a block that execute together, and what they have in registers.</summary>
internal sealed unsafe class Warp(int index)
{
    public const int Lanes = 32;

    private WaitingLanes[] stack = new WaitingLanes[16];

    /// <summary>Position in the block.</summary>
    public int Index { get; } = index;

    /// <summary>The register file.</summary>
    public byte* Registers;

    /// <summary>Next instruction of the active lanes.</summary>
    public int Pc;

    /// <summary>Lanes that run.</summary>
    public uint Active;

    /// <summary>Lanes that have not ended.</summary>
    public uint Live;

    /// <summary>Where the active lanes stop and wait for others; -1: nowhere.</summary>
    public int Join;

    /// <summary>Entries of the stack in use.</summary>
    public int Depth;

    public WarpState State;

    /// <summary>Number of the barrier it waits at or last waited at.</summary>
    public int Barrier;

    /// <summary>Instructions executed in this block.</summary>
    public long Steps;

    /// <summary>Whether it has waited for the launches before this one.</summary>
    public bool HasWaited;

    /// <summary>Asynchronous copies not yet awaited.</summary>
    public readonly List<AsyncCopy> Copies = [];

    /// <summary>Groups of asynchronous copies each lane has committed.</summary>
    public readonly int[] CommittedGroups = new int[Lanes];

    /// <summary>Time of the block since the warp's last barrier: what stamps its accesses to shared memory.</summary>
    public uint Now;

    /// <summary>The warp's own accesses up to this time are ordered between its lanes.</summary>
    public uint Synchronised;

    /// <summary>For each warp of the block the time up to which its accesses happened before this warp's next.</summary>
    public uint[] Known = [];

    /// <summary>For pairs of lanes, first * 32 + second: like <see cref="Synchronised"/>, for warp barriers of some lanes only. Null: there were none.</summary>
    public uint[]? PairSynchronised;

    /// <summary>Starts a block.</summary>
    public void Start((int Offset, int Bytes)[] cleared, uint live)
    {
        foreach ((int offset, int bytes) in cleared) NativeMemory.Clear(Registers + offset, (nuint)bytes);
        Pc = 0;
        Active = Live = live;
        HasWaited = false;
        Join = -1;
        Depth = 0;
        State = WarpState.Ready;
        Barrier = -1;
        Steps = 0;
        Copies.Clear();
        Array.Clear(CommittedGroups);
    }

    /// <summary>Lets lanes wait.</summary>
    public void Push(WaitingLanes lanes)
    {
        if (Depth == stack.Length) Array.Resize(ref stack, 2 * Depth);
        stack[Depth++] = lanes;
    }

    /// <summary>Goes on with the lanes that waited last and are still alive; false: there are none.</summary>
    public bool Pop()
    {
        while (Depth > 0)
        {
            WaitingLanes lanes = stack[--Depth];
            Active = lanes.Mask & Live;
            if (Active == 0) continue;
            Pc = lanes.Pc;
            Join = lanes.OuterJoin;
            return true;
        }
        State = WarpState.Finished;
        return false;
    }

    /// <summary>A branch whose lanes disagree: those taken go first, the others wait, and all meet at the join.</summary>
    public void Diverge(uint taken, int target, int join)
    {
        int next = Pc + 1;
        uint others = Active & ~taken;
        // Lanes that already wait at the same place include these.
        if (join >= 0 && join != Join) Push(new WaitingLanes(join, Active, Join));
        if (next != join) Push(new WaitingLanes(next, others, join));
        Active = taken;
        Pc = target;
        Join = join;
    }
}
