using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>Translates the instructions that touch memory.</summary>
internal static class MemoryTranslator
{
    /// <summary>The prepared access, or null when the instruction is none.</summary>
    /// <param name="instruction">A valid instruction.</param>
    /// <param name="pc">Its position.</param>
    /// <param name="index">Position among the memory operations.</param>
    /// <param name="file">Places of the registers.</param>
    /// <param name="addressOf">Addresses of the variables in their spaces.</param>
    public static MemoryOperation? Translate(PtxInstruction instruction, int pc, int index, RegisterFile file, Func<PtxVariable, ulong> addressOf)
    {
        IReadOnlyList<PtxOperand> operands = instruction.Operands;
        switch (instruction.Opcode)
        {
            case "ld" or "ldu":
                return Access(MemoryKind.Load, 1, operands[0]) with
                {
                    IsSigned = instruction.Types[^1] is PtxType.S8 or PtxType.S16 or PtxType.S32,
                    IsNonCoherent = instruction.Modifiers.Contains("nc"),
                    IsHalfDestination = operands[0] is RegisterOperand { Register.Type: var type } && Bytes(type) == 2,
                };
            case "st":
                return Access(MemoryKind.Store, 0, operands[1]);
            case "atom" or "red":
                bool isReduction = instruction.Opcode == "red";
                MemoryOperation atomic = Access(MemoryKind.Atomic, isReduction ? 0 : 1, [.. operands.Where(operand => operand is not AddressOperand)]);
                return atomic with
                {
                    Data = isReduction ? [.. new DataPlace[atomic.Elements], .. atomic.Data] : atomic.Data, // the destination of red is the sink
                    Atomic = instruction.Modifiers.First(modifier => modifier is "and" or "or" or "xor" or "cas" or "exch" or "add" or "inc" or "dec" or "min" or "max"),
                    AtomicType = instruction.Types[^1],
                };
            case "cp" when instruction.Modifiers[0] == "async" && instruction.Modifiers.Contains("global") && !instruction.Modifiers.Contains("bulk"):
                var source = (AddressOperand)operands[1];
                DataPlace bytes = file.Place(operands.Count > 3 ? operands[3] : operands[2], 4, addressOf);
                if (operands.Count > 3 && operands[3] is RegisterOperand { Register.Type: PtxType.Pred })
                    throw new PtxException(instruction.Line, "cp.async with ignore-src", supported: false);
                return Access(MemoryKind.AsyncCopy, 0) with
                {
                    ElementBytes = (int)((ImmediateOperand)operands[2]).Bits,
                    SourceBase = source.Register is null ? -1 : file[source.Register],
                    SourceDisplacement = (ulong)source.Offset + (source.Variable is null ? 0 : addressOf(source.Variable)),
                    SourceBytes = bytes,
                };
            case "ldmatrix":
                return Access(MemoryKind.MatrixLoad, 1, operands[0]) with { ElementBytes = 16, IsTransposed = instruction.Modifiers.Contains("trans") };
            case "stmatrix":
                return Access(MemoryKind.MatrixStore, 0, operands[1]) with { ElementBytes = 16, IsTransposed = instruction.Modifiers.Contains("trans") };
            default:
                return null;
        }

        MemoryOperation Access(MemoryKind kind, int addressIndex, params PtxOperand[] data)
        {
            var address = (AddressOperand)operands[addressIndex];
            int elementBytes = instruction.Types.Count == 0 ? 4 : Bytes(instruction.Types[^1]);
            PtxOperand[] flat = [.. data.SelectMany(operand => operand is VectorOperand vector ? vector.Elements : [operand])];
            PtxSpace space = Space(instruction);
            return new MemoryOperation
            {
                Index = index,
                Pc = pc,
                Kind = kind,
                Space = space == PtxSpace.Constant ? PtxSpace.Global : space,
                Base = address.Register is null ? -1 : file[address.Register],
                IsBaseWide = address.Register is not null && RegisterFile.LaneBytes(address.Register.Type) == 8,
                Displacement = (ulong)address.Offset + (address.Variable is null ? 0 : addressOf(address.Variable)),
                ElementBytes = elementBytes,
                Elements = data.Length > 0 && data[0] is VectorOperand first ? first.Elements.Count : 1,
                Data = [.. flat.Select(operand => file.Place(operand, Math.Max(4, Math.Min(8, elementBytes)), addressOf))],
            };
        }
    }

    /// <summary>The state space named first; that of the address where none is named.</summary>
    public static PtxSpace Space(PtxInstruction instruction)
    {
        foreach (string modifier in instruction.Modifiers)
        {
            if (modifier.StartsWith("shared", StringComparison.Ordinal)) return PtxSpace.Shared;
            if (modifier.StartsWith("param", StringComparison.Ordinal)) return PtxSpace.Parameter;
            if (modifier is "global") return PtxSpace.Global;
            if (modifier is "local") return PtxSpace.Local;
            if (modifier is "const") return PtxSpace.Constant;
        }
        return PtxSpace.Generic;
    }

    /// <summary>What the reports count the access as.</summary>
    public static InstructionClass ClassOf(MemoryOperation access, PtxInstruction instruction) => access.Kind switch
    {
        MemoryKind.Atomic => InstructionClass.Atomic,
        MemoryKind.AsyncCopy => InstructionClass.AsyncCopy,
        _ => Space(instruction) switch
        {
            PtxSpace.Shared => InstructionClass.Shared,
            PtxSpace.Local => InstructionClass.Local,
            PtxSpace.Parameter or PtxSpace.Constant => InstructionClass.Parameter,
            _ => InstructionClass.Global,
        },
    };

    /// <summary>Bytes of a type in memory.</summary>
    public static int Bytes(PtxType type) => type switch
    {
        PtxType.B8 or PtxType.U8 or PtxType.S8 => 1,
        PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.F16 or PtxType.BF16 => 2,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 8,
        PtxType.B128 => 16,
        _ => 4,
    };
}
