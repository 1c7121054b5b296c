namespace DiffWave.Emulator.Execution;

/// <summary>
/// The operands of one instruction in one warp. A register of up to 32 bits is an array of 32 lanes of 4 bytes (8- and 16-bit values in the low bits, the rest zero), a 64-bit register of
/// 32 lanes of 8 bytes, a predicate one 32-bit mask, bit i for lane i. Immediates and special registers come as arrays filled alike. Arrays are 64-byte aligned.
/// A destination may be the same array as a source. Lanes whose bit in <see cref="Mask"/> is clear keep their destination.
/// </summary>
internal unsafe struct LaneArguments
{
    /// <summary>Operands in the order of the instruction, destinations first; vector operands and predicate pairs take one place an element; null is the sink. Negated predicates come as the mask already negated.</summary>
    public fixed ulong Operands[40];

    /// <summary>Lanes that take part.</summary>
    public uint Mask;

    /// <summary>Address of the array of operand <paramref name="index"/>.</summary>
    public readonly byte* this[int index] => (byte*)Operands[index];
}

/// <summary>What an instruction does to registers: arithmetic, conversions, comparisons, shuffles, votes, matrix products. Memory and control flow are not among them.</summary>
internal sealed unsafe class LaneFunction(delegate*<LaneArguments*, void> execute, InstructionClass kind, int flopsPerLane)
{
    /// <summary>Does it for one warp.</summary>
    public readonly delegate*<LaneArguments*, void> Execute = execute;

    /// <summary>For the reports.</summary>
    public InstructionClass Class { get; } = kind;

    /// <summary>Floating-point operations of one lane: 1 for an addition, 2 for a fused multiply-add, twice that for packed pairs; for matrix products their share of a lane.</summary>
    public int FlopsPerLane { get; } = flopsPerLane;
}

/// <summary>Kinds of instructions the reports count.</summary>
public enum InstructionClass
{
    /// <summary>Integer and bit arithmetic, comparisons, selections.</summary>
    Integer,

    /// <summary>16-bit floating point and packed pairs.</summary>
    Float16,

    /// <summary>32-bit floating point.</summary>
    Float32,

    /// <summary>64-bit floating point.</summary>
    Float64,

    /// <summary>Approximate functions of the special-function units.</summary>
    Special,

    /// <summary>Conversions between types.</summary>
    Conversion,

    /// <summary>Moves.</summary>
    Move,

    /// <summary>Matrix products.</summary>
    Tensor,

    /// <summary>Shuffles, votes and other exchanges within a warp.</summary>
    Exchange,

    /// <summary>Global memory.</summary>
    Global,

    /// <summary>Shared memory, ldmatrix included.</summary>
    Shared,

    /// <summary>Local memory: arrays and spills of a thread.</summary>
    Local,

    /// <summary>Parameters and constants.</summary>
    Parameter,

    /// <summary>Asynchronous copies from global to shared memory.</summary>
    AsyncCopy,

    /// <summary>Atomic operations.</summary>
    Atomic,

    /// <summary>Branches and exits.</summary>
    Control,

    /// <summary>Barriers and fences.</summary>
    Barrier,
}
