namespace DiffWave.Emulator.Syntax;

/// <summary>Facts about types.</summary>
public static class PtxTypes
{
    private static readonly Dictionary<string, PtxType> ByName = Enum.GetValues<PtxType>().Where(type => type != PtxType.None).ToDictionary(type => type.Name(), StringComparer.Ordinal);

    /// <summary>The name in PTX, without the dot, e.g. <c>f16x2</c>.</summary>
    public static string Name(this PtxType type) => type.ToString().ToLowerInvariant();

    /// <summary>The type of a name without the dot, or <see cref="PtxType.None"/>.</summary>
    public static PtxType Find(string name) => ByName.GetValueOrDefault(name);

    /// <summary>Bits of a value; 1 for a predicate.</summary>
    public static int Bits(this PtxType type) => type switch
    {
        PtxType.Pred => 1,
        PtxType.B8 or PtxType.U8 or PtxType.S8 => 8,
        PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.F16 or PtxType.BF16 => 16,
        PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.F32 or PtxType.F16x2 or PtxType.BF16x2 or PtxType.TF32 => 32,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 64,
        PtxType.B128 => 128,
        _ => 0,
    };

    /// <summary>Bytes of a value in memory.</summary>
    public static int Bytes(this PtxType type) => type.Bits() / 8;

    /// <summary>Whether it is one of <c>.b8</c> to <c>.b128</c>.</summary>
    public static bool IsUntyped(this PtxType type) => type is PtxType.B8 or PtxType.B16 or PtxType.B32 or PtxType.B64 or PtxType.B128;

    /// <summary>Whether it is a signed integer.</summary>
    public static bool IsSigned(this PtxType type) => type is PtxType.S8 or PtxType.S16 or PtxType.S32 or PtxType.S64;

    /// <summary>Whether it is a signed or unsigned integer.</summary>
    public static bool IsInteger(this PtxType type) => type.IsSigned() || type is PtxType.U8 or PtxType.U16 or PtxType.U32 or PtxType.U64;

    /// <summary>Whether it is a floating-point type, packed ones included.</summary>
    public static bool IsFloat(this PtxType type)
        => type is PtxType.F16 or PtxType.F16x2 or PtxType.BF16 or PtxType.BF16x2 or PtxType.TF32 or PtxType.F32 or PtxType.F64;

    /// <summary>The type of the same kind and twice the width, for <c>.wide</c>.</summary>
    internal static PtxType Doubled(this PtxType type) => type switch
    {
        PtxType.U16 => PtxType.U32,
        PtxType.S16 => PtxType.S32,
        PtxType.U32 => PtxType.U64,
        PtxType.S32 => PtxType.S64,
        _ => PtxType.None,
    };

    /// <summary>Types a register, variable or parameter can have.</summary>
    internal static bool IsDeclarable(this PtxType type) => type is not (PtxType.None or PtxType.B128 or PtxType.BF16 or PtxType.BF16x2 or PtxType.TF32);

    /// <summary>Whether a register may stand where an instruction has a type: bits go with anything of their size, signed with unsigned, and floats only with their own type or bits.
    /// The newer formats (bf16, tf32) live in registers of bits.</summary>
    /// <param name="instruction">Type of the operand by the instruction.</param>
    /// <param name="register">Type of the register.</param>
    /// <param name="wider">The register may be wider (loads, stores, conversions).</param>
    internal static bool Accepts(this PtxType instruction, PtxType register, bool wider)
    {
        if (instruction == PtxType.Pred || register == PtxType.Pred) return instruction == register;
        int needed = instruction.Bits(), has = register.Bits();
        if (wider ? has < needed : has != needed) return false;
        if (instruction.IsUntyped() || register.IsUntyped()) return true;
        return instruction.IsFloat() ? instruction == register : register.IsInteger();
    }
}
