using System.Numerics;

namespace DiffWave.Compiler;

/// <summary>Appends instructions to the current block. Pure instructions that the block already has are not repeated, and constants are computed here.</summary>
internal sealed class PtxBuilder
{
    private readonly Dictionary<(string, Operand, Operand?, Operand?), Ssa> known = [];
    private int nextId, nextBlock;

    /// <summary>Blocks in the order of the text.</summary>
    public List<Block> Blocks { get; } = [];

    /// <summary>The block instructions are appended to.</summary>
    public Block Current { get; private set; } = null!;

    /// <summary>Line of the instructions to come.</summary>
    public SourcePoint Line { get; set; }

    /// <summary>Instructions that stand in the blocks.</summary>
    public int Count { get; private set; }

    /// <summary>Most instructions there may be; exceeding it throws <see cref="BudgetException"/>.</summary>
    public int Limit { get; set; } = int.MaxValue;

    /// <summary>Whether float products and sums may be fused.</summary>
    public bool Contract { get; set; }

    public Block NewBlock()
    {
        var block = new Block(nextBlock++);
        Blocks.Add(block);
        return block;
    }

    public void Continue(Block block)
    {
        if (ReferenceEquals(Current, block)) return;
        Current = block;
        known.Clear();
    }

    public Ssa NewRegister(RegType type) => new(type, nextId++);

    /// <summary>A place to come back to: the end of the current block.</summary>
    public BuilderMark Mark() => new(Current, Current.Body.Count, Blocks.Count, Count);

    /// <summary>Forgets everything after the mark.</summary>
    public void Return(BuilderMark mark)
    {
        Blocks.RemoveRange(mark.Blocks, Blocks.Count - mark.Blocks);
        mark.Current.Body.RemoveRange(mark.Body, mark.Current.Body.Count - mark.Body);
        (mark.Current.Ending, mark.Current.Condition) = (Ending.None, null);
        (Current, Count) = (mark.Current, mark.Count);
        known.Clear();
    }

    /// <summary>Reads of parameters and special registers: they stand once, before everything else.</summary>
    public List<Instruction> Prologues { get; } = [];

    /// <summary>A pure instruction without register operands at the start of the kernel.</summary>
    public Ssa Prologue(string opcode, RegType type, Operand a)
    {
        foreach (var old in Prologues)
        {
            if (old.Opcode == opcode && old.Args[0].Equals(a)) return old.Result;
        }
        var result = NewRegister(type);
        result.Def = new Instruction(opcode, [result], [a], Effect.Pure) { Line = FirstLine };
        Prologues.Add(result.Def);
        return result;
    }

    /// <summary>Line of the kernel's first statement.</summary>
    public SourcePoint FirstLine { get; set; }

    public Phi AddPhi(Block block, RegType type)
    {
        var phi = new Phi(NewRegister(type));
        phi.Result.PhiBlock = block;
        block.Phis.Add(phi);
        return phi;
    }

    public Instruction Append(string opcode, Ssa[] results, Operand[] args, Effect effect, TemplatePart[]? template = null, bool earlyClobber = false)
    {
        if (++Count > Limit) throw new BudgetException();
        var instruction = new Instruction(opcode, results, args, effect) { Line = Line, Contract = Contract, Template = template, EarlyClobber = earlyClobber };
        foreach (var result in results) result.Def = instruction;
        Current.Body.Add(instruction);
        return instruction;
    }

    /// <summary>A pure instruction with one result.</summary>
    public Ssa Pure(string opcode, RegType type, Operand a, Operand? b = null, Operand? c = null)
    {
        var key = (opcode, a, b, c);
        if (known.TryGetValue(key, out var old) && old.Def!.Contract == Contract) return old;
        var result = NewRegister(type);
        Append(opcode, [result], c != null ? [a, b!, c] : b != null ? [a, b] : [a], Effect.Pure);
        known[key] = result;
        return result;
    }

    public void Jump(Block target, Block from)
    {
        (from.Ending, from.Targets[0]) = (Ending.Jump, target);
        target.Predecessors.Add(from);
    }

    public Operand Add(Operand a, Operand b)
    {
        if (a is Imm) (a, b) = (b, a);
        if (b is Imm y)
        {
            if (a is Imm x) return Fold(a.Type, x.Bits + y.Bits, () => x.Single + y.Single, () => x.Double + y.Double);
            if (IsInteger(a) && y.Bits == 0) return a;
            if (IsInteger(a) && a is Ssa { Def: { Args: [var inner, Imm before] } def } && def.Opcode == Name("add", a)) return Add(inner, new Imm(a.Type, before.Bits + y.Bits));
        }
        return Pure(a.Type switch { RegType.F32 => "add.rn.f32", RegType.F64 => "add.rn.f64", _ => Name("add", a) }, a.Type, a, b);
    }

    public Operand Sub(Operand a, Operand b)
    {
        if (IsInteger(a))
        {
            if (b is Imm y) return Add(a, new Imm(a.Type, 0 - y.Bits));
            if (ReferenceEquals(a, b)) return new Imm(a.Type, 0);
            if (a is Imm { Bits: 0 }) return Neg(b);
        }
        if (a is Imm c && b is Imm d) return Fold(a.Type, c.Bits - d.Bits, () => c.Single - d.Single, () => c.Double - d.Double);
        return Pure(a.Type switch { RegType.F32 => "sub.rn.f32", RegType.F64 => "sub.rn.f64", _ => Name("sub", a) }, a.Type, a, b);
    }

    public Operand Mul(Operand a, Operand b)
    {
        if (a is Imm) (a, b) = (b, a);
        if (b is Imm y)
        {
            if (a is Imm x) return Fold(a.Type, x.Bits * y.Bits, () => x.Single * y.Single, () => x.Double * y.Double);
            if (IsInteger(a))
            {
                if (y.Bits == 0) return y;
                if (y.Bits == 1) return a;
                if (a.Type == RegType.B64 && Wide(a, y) is { } product) return product;
                if (BitOperations.IsPow2(y.Bits)) return ShiftLeft(a, Imm.Of(BitOperations.Log2(y.Bits)));
            }
        }
        if (a.Type == RegType.B64 && Wide(a, b) is { } wide) return wide;
        return a.Type switch
        {
            RegType.F32 => Pure("mul.rn.f32", a.Type, a, b),
            RegType.F64 => Pure("mul.rn.f64", a.Type, a, b),
            _ => Pure(a.Type == RegType.B32 ? "mul.lo.s32" : "mul.lo.s64", a.Type, a, b),
        };
    }

    public Operand Neg(Operand a) => a switch
    {
        Imm x when IsInteger(a) => new Imm(a.Type, 0 - x.Bits),
        Imm { Type: RegType.F32 } x => Imm.Of(-x.Single),
        Imm { Type: RegType.F64 } x => Imm.Of(-x.Double),
        _ => Pure(a.Type switch { RegType.F32 => "neg.f32", RegType.F64 => "neg.f64", _ => Name("neg", a) }, a.Type, a),
    };

    /// <summary>Quotient. Division by zero and the smallest number by -1 are unspecified, as on the device.</summary>
    public Operand Div(Operand a, Operand b, bool unsigned)
    {
        if (!IsInteger(a))
        {
            if (a is Imm p && b is Imm q) return Fold(a.Type, 0, () => p.Single / q.Single, () => p.Double / q.Double);
            return Pure(a.Type == RegType.F32 ? "div.rn.f32" : "div.rn.f64", a.Type, a, b);
        }
        if (b is Imm { Bits: not 0 } y)
        {
            if (a is Imm x && (unsigned || y.Signed != -1)) return new Imm(a.Type, unsigned ? x.Bits / y.Bits : (ulong)(x.Signed / y.Signed));
            if (y.Bits == 1) return a;
            bool positive = unsigned || a is Ssa { NonNegative: true };
            if (BitOperations.IsPow2(y.Bits) && (unsigned || y.Signed > 0))
            {
                int log = BitOperations.Log2(y.Bits), width = a.Type == RegType.B32 ? 32 : 64;
                if (positive) return ShiftRight(a, Imm.Of(log), unsigned: true);
                var bias = ShiftRight(ShiftRight(a, Imm.Of(width - 1), unsigned: false), Imm.Of(width - log), unsigned: true);
                return ShiftRight(Add(a, bias), Imm.Of(log), unsigned: false);
            }
        }
        var result = Pure((unsigned ? "div.u" : "div.s") + Width(a), a.Type, a, b);
        result.NonNegative = !unsigned && IsNonNegative(a) && IsNonNegative(b);
        return result;
    }

    public Operand Rem(Operand a, Operand b, bool unsigned)
    {
        if (b is Imm { Bits: not 0 } y)
        {
            if (a is Imm x && (unsigned || y.Signed != -1)) return new Imm(a.Type, unsigned ? x.Bits % y.Bits : (ulong)(x.Signed % y.Signed));
            if (y.Bits == 1) return new Imm(a.Type, 0);
            if (BitOperations.IsPow2(y.Bits) && (unsigned || y.Signed > 0))
            {
                if (unsigned || IsNonNegative(a)) return And(a, new Imm(a.Type, y.Bits - 1));
                int log = BitOperations.Log2(y.Bits), width = a.Type == RegType.B32 ? 32 : 64;
                var bias = ShiftRight(ShiftRight(a, Imm.Of(width - 1), unsigned: false), Imm.Of(width - log), unsigned: true);
                return Sub(a, And(Add(a, bias), new Imm(a.Type, 0 - y.Bits)));
            }
        }
        var result = Pure((unsigned ? "rem.u" : "rem.s") + Width(a), a.Type, a, b);
        result.NonNegative = !unsigned && IsNonNegative(a);
        return result;
    }

    public Operand And(Operand a, Operand b)
    {
        if (a is Imm) (a, b) = (b, a);
        if (b is Imm y)
        {
            if (a is Imm x) return new Imm(a.Type, x.Bits & y.Bits);
            if (y.Bits == 0) return y;
            if (y.Bits == new Imm(y.Type, ulong.MaxValue).Bits) return a;
        }
        var result = Pure("and." + Bits(a), a.Type, a, b);
        result.NonNegative = IsNonNegative(a) || IsNonNegative(b);
        return result;
    }

    public Operand Or(Operand a, Operand b)
    {
        if (a is Imm) (a, b) = (b, a);
        if (b is Imm y)
        {
            if (a is Imm x) return new Imm(a.Type, x.Bits | y.Bits);
            if (y.Bits == 0) return a;
            if (a.Type == RegType.Pred) return y;
        }
        return Pure("or." + Bits(a), a.Type, a, b);
    }

    public Operand Xor(Operand a, Operand b)
    {
        if (a is Imm) (a, b) = (b, a);
        if (b is Imm y)
        {
            if (a is Imm x) return new Imm(a.Type, x.Bits ^ y.Bits);
            if (y.Bits == 0) return a;
            if (a.Type == RegType.Pred) return Not(a);
        }
        return Pure("xor." + Bits(a), a.Type, a, b);
    }

    public Operand Not(Operand a)
    {
        if (a is Imm x) return new Imm(a.Type, ~x.Bits);
        if (a is Ssa { Type: RegType.Pred, Def: { } def })
        {
            if (def.Opcode == "not.pred") return def.Args[0];
            if (Comparison.Inverse(def.Opcode) is { } inverse) return Pure(inverse, RegType.Pred, def.Args[0], def.Args[1]);
        }
        return Pure("not." + Bits(a), a.Type, a);
    }

    /// <summary>Shift by a count that C# takes modulo the width.</summary>
    public Operand ShiftLeft(Operand a, Operand count)
    {
        count = Masked(a, count);
        if (count is Imm y)
        {
            if (a is Imm x) return new Imm(a.Type, x.Bits << y.Int);
            if (y.Int == 0) return a;
        }
        return Pure(a.Type == RegType.B32 ? "shl.b32" : "shl.b64", a.Type, a, count);
    }

    public Operand ShiftRight(Operand a, Operand count, bool unsigned)
    {
        count = Masked(a, count);
        if (count is Imm y)
        {
            if (a is Imm x) return new Imm(a.Type, unsigned ? x.Bits >> y.Int : (ulong)(x.Signed >> y.Int));
            if (y.Int == 0) return a;
        }
        var result = Pure((unsigned ? "shr.u" : "shr.s") + Width(a), a.Type, a, count);
        result.NonNegative = IsNonNegative(a) || (unsigned && count is Imm { Int: > 0 });
        return result;
    }

    /// <summary>1 or 0 for a predicate.</summary>
    public Operand Integer(Operand a)
    {
        if (a.Type != RegType.Pred) return a;
        if (a is Imm x) return Imm.Of(x.Bits != 0);
        var result = Pure("selp.b32", RegType.B32, Imm.One, Imm.Zero, a);
        (result.Small, result.NonNegative) = (Small.Bool, true);
        return result;
    }

    /// <summary>Whether a value differs from zero.</summary>
    public Operand Predicate(Operand a)
    {
        if (a.Type == RegType.Pred) return a;
        if (a is Imm x) return new Imm(RegType.Pred, x.Bits != 0 ? 1u : 0u);
        if (a is Ssa { Def: { Opcode: "selp.b32", Args: [Imm { Bits: 1 }, Imm { Bits: 0 }, var predicate] } }) return predicate;
        return Pure("setp.ne." + (a.Type switch { RegType.B32 => "s32", RegType.B64 => "s64", RegType.F32 => "f32", _ => "f64" }), RegType.Pred, a, new Imm(a.Type, 0));
    }

    public static bool IsInteger(Operand a) => a.Type is RegType.B32 or RegType.B64;

    public static bool IsNonNegative(Operand a) => a is Ssa { NonNegative: true } || (a is Imm imm && imm.Signed >= 0);

    private Operand Masked(Operand a, Operand count) => And(count, Imm.Of(a.Type == RegType.B32 ? 31 : 63));

    // The product of two 32-bit numbers that were widened for it.
    private Ssa? Wide(Operand a, Operand b)
    {
        if (a is not Ssa { Def: { Opcode: "cvt.s64.s32" or "cvt.u64.u32" } x }) return null;
        bool unsigned = x.Opcode == "cvt.u64.u32";
        if (b is Ssa { Def: { } y } && y.Opcode == x.Opcode) return Pure(unsigned ? "mul.wide.u32" : "mul.wide.s32", RegType.B64, x.Args[0], y.Args[0]);
        if (b is Imm imm && (unsigned ? imm.Bits <= uint.MaxValue : imm.Signed == (int)imm.Signed))
            return Pure(unsigned ? "mul.wide.u32" : "mul.wide.s32", RegType.B64, x.Args[0], new Imm(RegType.B32, imm.Bits));
        return null;
    }

    private static Imm Fold(RegType type, ulong bits, Func<float> single, Func<double> real) =>
        type switch { RegType.F32 => Imm.Of(single()), RegType.F64 => Imm.Of(real()), _ => new Imm(type, bits) };

    private static string Name(string op, Operand a) => a.Type == RegType.B32 ? op + ".s32" : op + ".s64";

    private static string Width(Operand a) => a.Type == RegType.B32 ? "32" : "64";

    private static string Bits(Operand a) => a.Type switch { RegType.Pred => "pred", RegType.B16 => "b16", RegType.B32 => "b32", _ => "b64" };
}

/// <summary>The end of a block at some time.</summary>
internal readonly record struct BuilderMark(Block Current, int Body, int Blocks, int Count);

/// <summary>A trial grew too large.</summary>
internal sealed class BudgetException : Exception;

/// <summary>Names of comparisons.</summary>
internal static class Comparison
{
    private static readonly Dictionary<string, string> Inverses = new()
    {
        ["eq"] = "ne", ["ne"] = "eq", ["lt"] = "ge", ["le"] = "gt", ["gt"] = "le", ["ge"] = "lt", ["lo"] = "hs", ["ls"] = "hi", ["hi"] = "ls", ["hs"] = "lo",
    };

    // With a NaN every ordered comparison is false and its unordered inverse true.
    private static readonly Dictionary<string, string> FloatInverses = new()
    {
        ["eq"] = "neu", ["ne"] = "equ", ["lt"] = "geu", ["le"] = "gtu", ["gt"] = "leu", ["ge"] = "ltu",
        ["equ"] = "ne", ["neu"] = "eq", ["ltu"] = "ge", ["leu"] = "gt", ["gtu"] = "le", ["geu"] = "lt",
    };

    /// <summary>The setp that is true exactly where this one is false, or null.</summary>
    public static string? Inverse(string opcode)
    {
        var parts = opcode.Split('.');
        if (parts is not ["setp", var name, var type]) return null;
        return (type[0] == 'f' ? FloatInverses : Inverses).TryGetValue(name, out string? inverse) ? $"setp.{inverse}.{type}" : null;
    }

    /// <summary>Decides a comparison of constants.</summary>
    public static bool Decide(string name, bool unsigned, Imm a, Imm b)
    {
        if (a.Type is RegType.F32 or RegType.F64)
        {
            double x = a.Type == RegType.F32 ? a.Single : a.Double, y = b.Type == RegType.F32 ? b.Single : b.Double;
            bool unordered = name.Length == 3;
            if (double.IsNaN(x) || double.IsNaN(y)) return unordered;
            return Ordered(name[..2], x.CompareTo(y));
        }
        if (a.Type == RegType.Pred) return Ordered(name, a.Bits.CompareTo(b.Bits));
        return Ordered(name, unsigned ? a.Bits.CompareTo(b.Bits) : a.Signed.CompareTo(b.Signed));
    }

    private static bool Ordered(string name, int sign) => name switch { "eq" => sign == 0, "ne" => sign != 0, "lt" => sign < 0, "le" => sign <= 0, "gt" => sign > 0, _ => sign >= 0 };
}
