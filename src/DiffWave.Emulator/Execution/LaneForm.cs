using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>An instruction's modifiers, with account of which have been asked for: one that nobody asked for would be ignored silently.</summary>
internal sealed class LaneForm(PtxInstruction instruction)
{
    private readonly HashSet<string> asked = [];

    public string Opcode => instruction.Opcode;

    public IReadOnlyList<PtxOperand> Operands => instruction.Operands;

    public IReadOnlyList<PtxType> Types => instruction.Types;

    /// <summary>The first type: of most instructions the only one.</summary>
    public PtxType Type => instruction.Types.Count > 0 ? instruction.Types[0] : PtxType.None;

    /// <summary>Whether the first operand is a pair of destinations.</summary>
    public bool HasPair => instruction.Operands[0] is PredicatePairOperand;

    public bool Has(string modifier)
    {
        asked.Add(modifier);
        return instruction.Modifiers.Contains(modifier);
    }

    /// <summary>The one of several modifiers that the instruction has, or null.</summary>
    public string? Among(params ReadOnlySpan<string> modifiers)
    {
        string? found = null;
        foreach (string modifier in modifiers)
            if (Has(modifier)) found ??= modifier;
        return found;
    }

    /// <summary>The rounding mode, to nearest when none is given.</summary>
    public RoundingMode Rounding => Among("rn", "rz", "rm", "rp", "rna") switch
    {
        "rz" => RoundingMode.Zero,
        "rm" => RoundingMode.Down,
        "rp" => RoundingMode.Up,
        "rna" => RoundingMode.NearestAway,
        _ => RoundingMode.Nearest,
    };

    /// <summary>A modifier that nobody has asked for and that is no type, or null.</summary>
    public string? FirstUnread() => instruction.Modifiers.FirstOrDefault(m => !asked.Contains(m) && !Enum.TryParse<PtxType>(m, ignoreCase: true, out _));

    public PtxException Unsupported() => new(instruction.Line, $"{instruction.Text}: this form is not emulated", supported: false);

    /// <summary>Bits of a type; 1 for a predicate.</summary>
    public static int Bits(PtxType type) => type switch
    {
        PtxType.Pred => 1,
        PtxType.B8 or PtxType.U8 or PtxType.S8 => 8,
        PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.F16 or PtxType.BF16 => 16,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 64,
        PtxType.B128 => 128,
        _ => 32,
    };

    /// <summary>The integer type twice as wide.</summary>
    public static PtxType Wide(PtxType type) => Bits(type) == 16 ? PtxType.B32 : PtxType.B64;

    /// <summary>The type of one of <paramref name="count"/> parts of a register.</summary>
    public static PtxType Part(PtxType type, int count) => (Bits(type) / count) switch { 8 => PtxType.B8, 16 => PtxType.B16, 32 => PtxType.B32, _ => PtxType.B64 };
}
