namespace DiffWave.Compiler;

/// <summary>Classes of PTX registers.</summary>
internal enum RegType : byte { Pred, B16, B32, B64, F32, F64 }

/// <summary>What a value of 32 bits is known to hold.</summary>
internal enum Small : byte { None, S8, U8, S16, U16, Bool }

/// <summary>What an instruction may be subjected to.</summary>
internal enum Effect : byte
{
    /// <summary>A function of its operands: may be merged, moved and removed.</summary>
    Pure,

    /// <summary>Reads memory: may only be removed.</summary>
    Load,

    /// <summary>Stays where it is.</summary>
    Volatile,
}

/// <summary>Something the evaluator's stack, locals and fields hold.</summary>
internal abstract class Value;

/// <summary>A value that an instruction can name.</summary>
internal abstract class Operand(RegType type) : Value
{
    public RegType Type { get; } = type;
}

/// <summary>A constant. Bits above the type's width are zero.</summary>
internal sealed class Imm(RegType type, ulong bits) : Operand(type)
{
    public static readonly Imm Zero = Of(0), One = Of(1);

    public ulong Bits { get; } = type switch { RegType.Pred => bits & 1, RegType.B16 => (ushort)bits, RegType.B32 or RegType.F32 => (uint)bits, _ => bits };

    public int Int => (int)Bits;

    public float Single => BitConverter.UInt32BitsToSingle((uint)Bits);

    public double Double => BitConverter.UInt64BitsToDouble(Bits);

    public Half Half => BitConverter.UInt16BitsToHalf((ushort)Bits);

    /// <summary>As a signed number of the type's width.</summary>
    public long Signed => Type == RegType.B32 ? (int)Bits : (long)Bits;

    public static Imm Of(int value) => new(RegType.B32, (uint)value);

    public static Imm Of(long value) => new(RegType.B64, (ulong)value);

    public static Imm Of(float value) => new(RegType.F32, BitConverter.SingleToUInt32Bits(value));

    public static Imm Of(double value) => new(RegType.F64, BitConverter.DoubleToUInt64Bits(value));

    public static Imm Of(Half value) => new(RegType.B16, BitConverter.HalfToUInt16Bits(value));

    public static Imm Of(bool value) => new(RegType.B32, value ? 1u : 0u);

    public override bool Equals(object? obj) => obj is Imm other && other.Type == Type && other.Bits == Bits;

    public override int GetHashCode() => HashCode.Combine(Type, Bits);
}

/// <summary>A register that is assigned once, by an instruction or by a phi.</summary>
internal sealed class Ssa(RegType type, int id) : Operand(type)
{
    public int Id { get; } = id;

    public Instruction? Def { get; set; }

    public Block? PhiBlock { get; set; }

    public Small Small { get; set; }

    /// <summary>Known to be at least zero as a signed number.</summary>
    public bool NonNegative { get; set; }
}

/// <summary>A shared or local variable; as an operand its address.</summary>
internal sealed class Variable(RegType type, string space, long bytes, int alignment) : Operand(type)
{
    /// <summary>Given when the text is written, in order of use.</summary>
    public string Name { get; set; } = "";

    public string Space { get; } = space;

    public long Bytes { get; } = bytes;

    public int Alignment { get; } = alignment;
}

/// <summary>A kernel parameter's name inside an address.</summary>
internal sealed class ParameterName(string name) : Operand(RegType.B64)
{
    public string Name { get; } = name;

    public override bool Equals(object? obj) => obj is ParameterName other && other.Name == Name;

    public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);
}

/// <summary>A special register such as <c>%tid.x</c>.</summary>
internal sealed class SpecialRegister(string name) : Operand(RegType.B32)
{
    public string Name { get; } = name;

    public override bool Equals(object? obj) => obj is SpecialRegister other && other.Name == Name;

    public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);
}

/// <summary>Memory at base + offset.</summary>
internal sealed class Address(Operand origin, long offset) : Operand(origin.Type)
{
    public Operand Base { get; } = origin;

    public long Offset { get; } = offset;

    public override bool Equals(object? obj) => obj is Address other && other.Offset == Offset && other.Base.Equals(Base);

    public override int GetHashCode() => HashCode.Combine(Base, Offset);
}

/// <summary>An instruction. Without a template its text is the opcode, the results and the arguments.</summary>
internal sealed class Instruction(string opcode, Ssa[] results, Operand[] args, Effect effect)
{
    public string Opcode { get; set; } = opcode;

    public Ssa[] Results { get; } = results;

    public Operand[] Args { get; set; } = args;

    public Effect Effect { get; } = effect;

    public SourcePoint Line { get; init; }

    /// <summary>Whether it may become part of a fused multiply-add.</summary>
    public bool Contract { get; init; }

    /// <summary>Text with the places of results and arguments, or null.</summary>
    public TemplatePart[]? Template { get; init; }

    /// <summary>Several machine instructions: a result must not share a register with an argument.</summary>
    public bool EarlyClobber { get; init; }

    public Ssa Result => Results[0];

    public IEnumerable<Ssa> Uses
    {
        get
        {
            foreach (var arg in Args)
            {
                if (arg is Ssa ssa) yield return ssa;
                else if (arg is Address { Base: Ssa origin }) yield return origin;
            }
        }
    }

    public void Replace(Func<Ssa, Operand> map)
    {
        for (int i = 0; i < Args.Length; i++)
        {
            if (Args[i] is Ssa ssa) Args[i] = map(ssa);
            else if (Args[i] is Address { Base: Ssa origin } address)
            {
                var target = map(origin);
                if (!ReferenceEquals(target, origin)) Args[i] = new Address(target, address.Offset);
            }
        }
    }
}

/// <summary>Literal text, or a run of results or arguments.</summary>
internal readonly record struct TemplatePart(string Text, bool IsResult = false, int Start = 0, int Count = 0);

/// <summary>A value that depends on the way control came.</summary>
internal sealed class Phi(Ssa result)
{
    public Ssa Result { get; } = result;

    /// <summary>One for each predecessor of the block, in its order.</summary>
    public List<Operand> Args { get; } = [];
}

internal enum Ending : byte { None, Jump, Branch, Return }

/// <summary>A basic block.</summary>
internal sealed class Block(int id)
{
    public int Id { get; } = id;

    public List<Phi> Phis { get; } = [];

    public List<Instruction> Body { get; } = [];

    public List<Block> Predecessors { get; } = [];

    public Ending Ending { get; set; }

    /// <summary>Predicate of a branch.</summary>
    public Operand? Condition { get; set; }

    /// <summary>Targets: of a jump the first, of a branch the one taken when the condition is true, then the other.</summary>
    public Block?[] Targets { get; } = new Block?[2];

    public SourcePoint Line { get; set; }

    public IEnumerable<Block> Successors => Ending switch
    {
        Ending.Jump => [Targets[0]!],
        Ending.Branch => [Targets[0]!, Targets[1]!],
        _ => [],
    };
}

/// <summary>A line of a source file.</summary>
internal readonly record struct SourcePoint(string File, int Line);
