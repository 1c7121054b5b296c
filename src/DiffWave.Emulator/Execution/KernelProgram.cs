using System.Runtime.InteropServices;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>What the interpreter does for an instruction.</summary>
internal enum OperationKind : byte
{
    /// <summary>A lane function.</summary>
    Lane,
    Branch,
    Exit,
    Trap,

    /// <summary>Load, store, atomic, asynchronous copy, matrix load or store: see <see cref="MemoryOperation"/>.</summary>
    Memory,

    /// <summary>A barrier of the block.</summary>
    Barrier,
    WarpBarrier,
    AsyncCommit,

    /// <summary>Waits until at most so many groups of asynchronous copies are pending.</summary>
    AsyncWait,

    /// <summary>Adds a constant to a 64-bit register: conversions between generic addresses and state spaces.</summary>
    AddConstant,

    /// <summary>Whether a generic address is in a state space.</summary>
    IsSpace,

    /// <summary>Reads the counter that stands for a clock.</summary>
    Clock,

    /// <summary>Orders a block's accesses for other blocks.</summary>
    Fence,

    /// <summary>Waits for the launches before this one.</summary>
    GridWait,

    /// <summary>Prefetches, fences within a block and other things without effect here.</summary>
    Nothing,
}

/// <summary>What an instruction demands of its warp.</summary>
internal enum WarpDemand : byte
{
    None,

    /// <summary>All 32 lanes.</summary>
    Full,

    /// <summary>The lanes of the mask in the last operand.</summary>
    Members,
}

/// <summary>One prepared instruction.</summary>
internal unsafe struct Operation
{
    public delegate*<LaneArguments*, void> Execute;

    /// <summary>Operands as pairs of vectors of eight: what to add to the warp's register file, where the file counts (all ones) or the place is fixed (0).</summary>
    public ulong* Operands;

    /// <summary>Pairs of predicate places: the negation of the first goes to the second beforehand.</summary>
    public int* Negations;

    public int OperandCount, NegationCount;

    /// <summary>Place of the guard in the register file, or -1.</summary>
    public int Guard;

    /// <summary>All ones when the guard is negated.</summary>
    public uint GuardFlip;

    /// <summary>Branch: where to.</summary>
    public int Target;

    /// <summary>Branch: where its lanes meet again; -1: nowhere.</summary>
    public int Join;

    /// <summary>Place of an operand or index of a side table, by kind.</summary>
    public int Data;

    public OperationKind Kind;
    public WarpDemand Demand;

    /// <summary>A branch with .uni.</summary>
    public bool IsUniform;
}

/// <summary>Special registers that a kernel reads: each has a place in every warp's register file, filled when a block starts.</summary>
/// <param name="Name">With its percent sign.</param>
/// <param name="Offset">In the register file.</param>
/// <param name="IsWide">64 bits.</param>
internal sealed record SpecialRegister(string Name, int Offset, bool IsWide);

/// <summary>A kernel translated for execution. Unmanaged parts live as long as the object.</summary>
internal sealed unsafe class KernelProgram : IDisposable
{
    private readonly List<nint> blocks = [];

    public required PtxEntry Entry { get; init; }
    public Operation* Operations { get; set; }
    public int Count => Entry.Instructions.Count;
    public MemoryOperation[] Memory { get; set; } = [];
    public BarrierOperation[] Barriers { get; set; } = [];
    public SpecialRegister[] Specials { get; set; } = [];

    /// <summary>For each instruction, what the reports call it and what it computes.</summary>
    public InstructionClass[] Classes { get; set; } = [];
    public int[] FlopsPerLane { get; set; } = [];

    /// <summary>Bytes of a warp's register file.</summary>
    public int RegisterFileBytes { get; set; }

    /// <summary>Parts of the file set to zero when a block starts: registers that may be read before they are written.</summary>
    public (int Offset, int Bytes)[] Cleared { get; set; } = [];

    public int StaticSharedBytes { get; set; }

    /// <summary>Where the dynamic shared array starts.</summary>
    public int DynamicSharedOffset { get; set; }
    public int LocalBytes { get; set; }
    public int ParameterBytes { get; set; }

    /// <summary>Smallest element of any access that may reach shared memory, at most 4: what races are tracked by.</summary>
    public int SharedUnit { get; set; } = 4;

    /// <summary>Smallest element of any access that may reach global memory, at most 4: what races between blocks are tracked by.</summary>
    public int GlobalUnit { get; set; } = 4;

    /// <summary>Blocks may depend on each other's order, so they run one after the other.</summary>
    public bool IsSequential { get; set; }

    /// <summary>32-bit registers declared, predicates not counted.</summary>
    public int DeclaredRegisters { get; set; }

    /// <summary>Unmanaged memory, aligned to 64 bytes and zeroed, freed with the program.</summary>
    public byte* Reserve(int bytes)
    {
        nuint size = (nuint)Math.Max(64, (bytes + 63) & ~63);
        byte* block = (byte*)NativeMemory.AlignedAlloc(size, 64);
        NativeMemory.Clear(block, size);
        blocks.Add((nint)block);
        return block;
    }

    public void Dispose()
    {
        foreach (nint block in blocks) NativeMemory.AlignedFree((void*)block);
        blocks.Clear();
    }
}

/// <summary>A barrier instruction.</summary>
internal sealed record BarrierOperation
{
    /// <summary>Places of the barrier's number, its thread count and the predicate, as operands of the instruction; -1 when there is none.</summary>
    public required int Number { get; init; }
    public required int ThreadCount { get; init; }
    public int Predicate { get; init; } = -1;

    /// <summary>Arrives without waiting.</summary>
    public bool IsArrive { get; init; }

    /// <summary>popc, and, or; empty: no reduction.</summary>
    public string Reduction { get; init; } = "";
}
