namespace DiffWave.Emulator.Syntax;

/// <summary>Types of PTX, fundamental and those that stand only in instructions.</summary>
public enum PtxType : byte
{
    /// <summary>No type.</summary>
    None,
#pragma warning disable CS1591 // named as in PTX
    B8, B16, B32, B64, B128, U8, U16, U32, U64, S8, S16, S32, S64, F16, F16x2, BF16, BF16x2, TF32, F32, F64, Pred,
#pragma warning restore CS1591
}

/// <summary>State spaces.</summary>
public enum PtxSpace : byte
{
    /// <summary>Any: the address says which.</summary>
    Generic,
#pragma warning disable CS1591 // named as in PTX
    Register, Constant, Global, Local, Parameter, Shared,
#pragma warning restore CS1591
}

/// <summary>A place in the C# source, from <c>.loc</c>.</summary>
/// <param name="File">File name as in <c>.file</c>; empty when there is none.</param>
/// <param name="Line">Line from 1; 0 when there is none.</param>
public readonly record struct SourceLine(string File, int Line)
{
    /// <inheritdoc/>
    public override string ToString() => Line == 0 ? "no source line" : $"{File}:{Line}";
}

/// <summary>A module that parsed and was found valid.</summary>
/// <param name="Version">PTX version as major * 10 + minor.</param>
/// <param name="Target">Architecture, e.g. 90; the text may say sm_90a.</param>
/// <param name="ArchitectureSpecific">The target ends in "a".</param>
/// <param name="Variables">Module variables: shared (static, and extern for the dynamic array), global, const.</param>
/// <param name="Entries">Kernels.</param>
public sealed record PtxModule(int Version, int Target, bool ArchitectureSpecific, IReadOnlyList<PtxVariable> Variables, IReadOnlyList<PtxEntry> Entries);

/// <summary>A named piece of memory, or a parameter.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Space">Where it lives.</param>
/// <param name="Type">Element type.</param>
/// <param name="Alignment">Bytes.</param>
/// <param name="Size">Bytes; 0 for an extern array without length.</param>
/// <param name="Offset">Parameters: bytes from the start of the packed arguments. Others: bytes from the start of their kind within the module or entry (shared: static arrays first, in order).</param>
/// <param name="IsExtern">An extern shared array: the block's dynamic memory.</param>
/// <param name="Initial">Initial bytes of a global or const variable, else null.</param>
public sealed record PtxVariable(string Name, PtxSpace Space, PtxType Type, int Alignment, long Size, long Offset, bool IsExtern, byte[]? Initial);

/// <summary>A register of an entry. Equal names in different scopes are different registers.</summary>
/// <param name="Name">As declared, e.g. <c>%f12</c>.</param>
/// <param name="Type">As declared.</param>
/// <param name="Index">Position in <see cref="PtxEntry.Registers"/>.</param>
public sealed record PtxRegister(string Name, PtxType Type, int Index);

/// <summary>A kernel.</summary>
public sealed record PtxEntry
{
    /// <summary>Entry name.</summary>
    public required string Name { get; init; }

    /// <summary>Parameters in order, with offsets.</summary>
    public required IReadOnlyList<PtxVariable> Parameters { get; init; }

    /// <summary>The registers the instructions name; those only declared are not among them.</summary>
    public required IReadOnlyList<PtxRegister> Registers { get; init; }

    /// <summary>Shared and local variables declared in the body.</summary>
    public required IReadOnlyList<PtxVariable> Variables { get; init; }

    /// <summary>Instructions in order. A branch may also go to the place after the last one, which ends the thread.</summary>
    public required IReadOnlyList<PtxInstruction> Instructions { get; init; }

    /// <summary><c>.reqntid</c>, or null.</summary>
    public (int X, int Y, int Z)? RequiredThreads { get; init; }

    /// <summary><c>.maxntid</c> as a product, or null.</summary>
    public int? MaxThreads { get; init; }

    /// <summary><c>.minnctapersm</c>, or null.</summary>
    public int? MinBlocks { get; init; }

    /// <summary><c>.maxnreg</c>, or null.</summary>
    public int? MaxRegisters { get; init; }
}

/// <summary>One instruction, valid by the instruction table.</summary>
public sealed record PtxInstruction
{
    /// <summary>The opcode before the first dot, e.g. <c>mad</c>.</summary>
    public required string Opcode { get; init; }

    /// <summary>What follows, in order and without dots, types included, e.g. <c>lo</c>, <c>s32</c>.</summary>
    public required IReadOnlyList<string> Modifiers { get; init; }

    /// <summary>The types among the modifiers, in order; for most instructions one.</summary>
    public required IReadOnlyList<PtxType> Types { get; init; }

    /// <summary>Destinations first.</summary>
    public required IReadOnlyList<PtxOperand> Operands { get; init; }

    /// <summary>Register of the guard, or null; the instruction runs in lanes where it is true (false when <see cref="GuardNegated"/>).</summary>
    public PtxRegister? Guard { get; init; }

    /// <summary>Whether the guard is <c>@!p</c>.</summary>
    public bool GuardNegated { get; init; }

    /// <summary>Line of the PTX text, from 1.</summary>
    public required int Line { get; init; }

    /// <summary>C# source line.</summary>
    public SourceLine Source { get; init; }

    /// <summary>The instruction as it stands in the text.</summary>
    public required string Text { get; init; }
}

/// <summary>An operand.</summary>
public abstract record PtxOperand;

/// <summary>A register, perhaps a negated predicate.</summary>
/// <param name="Register">The register.</param>
/// <param name="Negated">A predicate source with <c>!</c>.</param>
public sealed record RegisterOperand(PtxRegister Register, bool Negated = false) : PtxOperand;

/// <summary>A pair as destination: the predicates <c>p|q</c> of setp, or the value and the predicate <c>d|p</c> of shfl and match. A lone destination is a <see cref="RegisterOperand"/>.</summary>
/// <param name="First">Left of the bar; null for the sink.</param>
/// <param name="Second">Right of it, a predicate; null for the sink.</param>
public sealed record PredicatePairOperand(PtxRegister? First, PtxRegister? Second) : PtxOperand;

/// <summary>
/// A constant, already converted to the instruction's operand type: integers cut to its width and sign-extended to 64 bits, floats as the bits of that type (an f32 in the low 32 bits),
/// a predicate 0 or 1.
/// </summary>
/// <param name="Bits">The value.</param>
/// <param name="IsFloat">Written as a floating-point number.</param>
public sealed record ImmediateOperand(ulong Bits, bool IsFloat) : PtxOperand;

/// <summary>A special register such as <c>%tid.x</c>, with its percent sign.</summary>
/// <param name="Name">The name.</param>
public sealed record SpecialOperand(string Name) : PtxOperand;

/// <summary>The address of a variable as a value, as in <c>mov.u32 %r1, tile;</c>.</summary>
/// <param name="Variable">The variable.</param>
/// <param name="Offset">Bytes added.</param>
public sealed record VariableOperand(PtxVariable Variable, long Offset) : PtxOperand;

/// <summary>Memory: <c>[register + offset]</c>, <c>[variable + offset]</c> or <c>[offset]</c>.</summary>
/// <param name="Register">Base register, or null.</param>
/// <param name="Variable">Base variable, or null.</param>
/// <param name="Offset">Bytes added.</param>
public sealed record AddressOperand(PtxRegister? Register, PtxVariable? Variable, long Offset) : PtxOperand;

/// <summary>A vector <c>{a, b, ..}</c> of registers, immediates or sinks.</summary>
/// <param name="Elements">In order.</param>
public sealed record VectorOperand(IReadOnlyList<PtxOperand> Elements) : PtxOperand;

/// <summary>A branch target.</summary>
/// <param name="Target">Index of the instruction; the number of instructions for the end.</param>
/// <param name="Name">The label.</param>
public sealed record LabelOperand(int Target, string Name) : PtxOperand;

/// <summary>The sink <c>_</c>.</summary>
public sealed record SinkOperand : PtxOperand;
