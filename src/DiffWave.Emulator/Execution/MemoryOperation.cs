using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>Kinds of instructions that touch memory.</summary>
internal enum MemoryKind : byte
{
    Load,
    Store,

    /// <summary>atom and red.</summary>
    Atomic,
    AsyncCopy,
    MatrixLoad,
    MatrixStore,
}

/// <summary>A prepared instruction that touches memory; also an access site of the reports.</summary>
internal sealed record MemoryOperation
{
    /// <summary>Position among the kernel's memory operations.</summary>
    public required int Index { get; init; }

    /// <summary>Position among the instructions.</summary>
    public required int Pc { get; init; }
    public required MemoryKind Kind { get; init; }

    /// <summary>Never <see cref="PtxSpace.Constant"/>: constants have addresses in the global space.</summary>
    public required PtxSpace Space { get; init; }

    /// <summary>Place of the address register, or -1.</summary>
    public required int Base { get; init; }

    /// <summary>The address register has 64 bits.</summary>
    public required bool IsBaseWide { get; init; }

    /// <summary>Bytes added to the address register, or the address.</summary>
    public required ulong Displacement { get; init; }

    /// <summary>Bytes of an element.</summary>
    public required int ElementBytes { get; init; }

    /// <summary>Elements of a vector access; matrices of ldmatrix and stmatrix.</summary>
    public required int Elements { get; init; }

    /// <summary>Loads extend the sign.</summary>
    public bool IsSigned { get; init; }

    /// <summary>ld.global.nc.</summary>
    public bool IsNonCoherent { get; init; }

    /// <summary>Destinations have 16 bits: what extends the sign stops there.</summary>
    public bool IsHalfDestination { get; init; }

    /// <summary>Register operands, each as what to add to the register file and whether the file counts; loads: destinations; stores: sources; atomics: destination, then sources.</summary>
    public DataPlace[] Data { get; init; } = [];

    /// <summary>atom and red: what they do, e.g. <c>add</c>, and on which type.</summary>
    public string Atomic { get; init; } = "";
    public PtxType AtomicType { get; init; }

    /// <summary>ldmatrix: transposed.</summary>
    public bool IsTransposed { get; init; }

    /// <summary>cp.async: second address (the source), and the operand that says how many bytes to read.</summary>
    public int SourceBase { get; init; } = -1;
    public ulong SourceDisplacement { get; init; }
    public DataPlace SourceBytes { get; init; }

    /// <summary>Bytes of one lane.</summary>
    public int LaneBytes => ElementBytes * Elements;

    public bool IsWrite => Kind is MemoryKind.Store or MemoryKind.Atomic or MemoryKind.AsyncCopy or MemoryKind.MatrixStore;
}

/// <summary>Where an operand's array lies.</summary>
/// <param name="Value">Bytes from the register file, or a fixed place; both 0 for the sink.</param>
/// <param name="FileMask">All ones when from the file.</param>
/// <param name="LaneBytes">4 or 8.</param>
internal readonly record struct DataPlace(ulong Value, ulong FileMask, int LaneBytes)
{
    public bool IsSink => Value == 0 && FileMask == 0;

    public unsafe byte* In(byte* registers) => (byte*)(Value + ((ulong)registers & FileMask));
}
