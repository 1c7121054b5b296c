namespace DiffWave.Compiler;

/// <summary>Arithmetic and conversions of IL.</summary>
internal sealed partial class Evaluator
{
    private void Binary(string name, bool unsigned)
    {
        var (right, left) = (Pop(), Pop());
        if (left is PointerValue || right is PointerValue)
        {
            Push(PointerArithmetic(name, left, right));
            return;
        }
        var (a, b) = (AsOperand(left), AsOperand(right));
        if (name is "and" or "or" or "xor" && (a.Type == RegType.Pred || b.Type == RegType.Pred))
        {
            if (IsTruth(a) && IsTruth(b)) (a, b) = (builder.Predicate(a), builder.Predicate(b));
            else (a, b) = (builder.Integer(a), builder.Integer(b));
        }
        else (a, b) = (builder.Integer(a), builder.Integer(b));
        if (a.Type == RegType.B64 && b.Type == RegType.B32) b = Convert(b, "s64", unsignedSource: false);
        else if (b.Type == RegType.B64 && a.Type == RegType.B32) a = Convert(a, "s64", unsignedSource: false);
        else if (a.Type == RegType.F64 && b.Type == RegType.F32) b = Convert(b, "f64", unsignedSource: false);
        else if (b.Type == RegType.F64 && a.Type == RegType.F32) a = Convert(a, "f64", unsignedSource: false);
        if (a.Type != b.Type) throw Fail(DiagnosticTable.Internal, $"{name} of operands of different types");
        Push(name switch
        {
            "add" => builder.Add(a, b),
            "sub" => builder.Sub(a, b),
            "mul" => builder.Mul(a, b),
            "div" => builder.Div(a, b, unsigned),
            "rem" => PtxBuilder.IsInteger(a) ? builder.Rem(a, b, unsigned) : throw Fail(DiagnosticTable.Arithmetic, "remainder of floating-point numbers"),
            "and" => builder.And(a, b),
            "or" => builder.Or(a, b),
            _ => builder.Xor(a, b),
        });
    }

    private static bool IsTruth(Operand a) => a.Type == RegType.Pred || a is Imm { Type: RegType.B32, Bits: <= 1 } || a is Ssa { Small: Small.Bool };

    private PointerValue PointerArithmetic(string name, Value left, Value right)
    {
        if (left is not PointerValue && name == "add") (left, right) = (right, left);
        if (name is not ("add" or "sub") || left is not PointerValue pointer || right is not Operand offset) throw Fail(DiagnosticTable.Reference, $"{name} of references");
        offset = builder.Integer(offset);
        if (name == "sub") offset = builder.Neg(offset);
        return Displaced(pointer, offset, 1);
    }

    // A narrow type that a local variable, argument or field holds: the value as it comes back when it is read.
    private Value Normalize(Value value, Type type)
    {
        if (value is not Operand operand || LayoutOrNull(type) is not { IsPrimitive: true, IsPointer: false } layout) return value;
        if (layout.Small == Small.Bool) return value;
        operand = builder.Integer(operand);
        if (layout.Register == RegType.B32 && operand.Type == RegType.B64) operand = Convert(operand, "u32", unsignedSource: true);
        if (layout.Register == RegType.B64 && operand.Type == RegType.B32) operand = Convert(operand, "s64", unsignedSource: false);
        return layout.Small == Small.None ? operand : Narrow(operand, layout.Small);
    }

    private Operand Narrow(Operand a, Small small)
    {
        a = builder.Integer(a);
        if (a is Imm x)
        {
            return Imm.Of(small switch { Small.S8 => (sbyte)x.Int, Small.U8 => (byte)x.Int, Small.S16 => (short)x.Int, Small.U16 => (ushort)x.Int, _ => x.Int });
        }
        var known = ((Ssa)a).Small;
        if (known == small || known == Small.Bool || (known == Small.U8 && small is Small.U16 or Small.S16) || (known == Small.S8 && small == Small.S16)) return a;
        if (small is Small.U8 or Small.U16)
        {
            var masked = (Ssa)builder.And(a, Imm.Of(small == Small.U8 ? 0xFF : 0xFFFF));
            masked.Small = small;
            return masked;
        }
        var result = builder.Pure(small == Small.S8 ? "cvt.s32.s8" : "cvt.s32.s16", RegType.B32, a);
        result.Small = small;
        return result;
    }

    private void Conversion(string name)
    {
        if (name.Contains("ovf", StringComparison.Ordinal)) throw Fail(DiagnosticTable.Checked, $"checked conversion ({name})");
        var value = Pop();
        string to = name["conv.".Length..];
        if (value is PointerValue or CellReference)
        {
            Push(to is "i" or "u" or "i8" or "u8" ? value : throw Fail(DiagnosticTable.Reference, "an address is converted to a number"));
            return;
        }
        var a = builder.Integer(AsOperand(value));
        Push(to switch
        {
            "i1" => Narrow(Convert(a, "s32", false), Small.S8),
            "u1" => Narrow(Convert(a, "s32", false), Small.U8),
            "i2" => Narrow(Convert(a, "s32", false), Small.S16),
            "u2" => Narrow(Convert(a, "s32", false), Small.U16),
            "i4" => Convert(a, "s32", false),
            "u4" => Convert(a, "u32", false),
            "i8" or "i" => Convert(a, "s64", false),
            "u8" or "u" => Convert(a, "u64", true),
            "r4" => Convert(a, "f32", false),
            "r8" => Convert(a, "f64", false),
            "r4.un" => Convert(a, "f32", true),
            "r.un" => Convert(a, "f64", true),
            _ => throw Fail(DiagnosticTable.Instruction, $"IL instruction {name}"),
        });
    }

    /// <summary>Converts as C# does. Integers to 64 bits extend by the signedness of the source; floats to integers saturate and turn NaN to 0.</summary>
    private Operand Convert(Operand a, string to, bool unsignedSource)
    {
        var type = to switch { "s32" or "u32" => RegType.B32, "s64" or "u64" => RegType.B64, "f32" => RegType.F32, "f16" => RegType.B16, _ => RegType.F64 };
        a = builder.Integer(a);
        if (a is Imm constant) return ConvertConstant(constant, type, to, unsignedSource);
        if (a.Type == type) return a;
        bool fromInteger = PtxBuilder.IsInteger(a);
        string from = a.Type switch { RegType.B32 => unsignedSource ? "u32" : "s32", RegType.B64 => unsignedSource ? "u64" : "s64", RegType.F32 => "f32", RegType.B16 => "f16", _ => "f64" };
        switch (type)
        {
            case RegType.B32 when fromInteger:
                // The low half of a widened number, or of a 64-bit parameter, is read directly.
                if (a is Ssa { Def: { Opcode: "cvt.s64.s32" or "cvt.u64.u32" } widened }) return widened.Args[0];
                if (a is Ssa { Def: { Opcode: "ld.param.u64", Args: [var address] } }) return builder.Prologue("ld.param.u32", RegType.B32, address);
                return builder.Pure("cvt.u32.u64", type, a);
            case RegType.B64 when fromInteger:
                var wide = builder.Pure(unsignedSource ? "cvt.u64.u32" : "cvt.s64.s32", type, a);
                wide.NonNegative = unsignedSource || PtxBuilder.IsNonNegative(a);
                return wide;
            case RegType.B32 or RegType.B64:
                var integer = builder.Pure($"cvt.rzi.{to}.{from}", type, a);
                if (type == RegType.B32 && a.Type == RegType.F32) return integer;
                // With 64 bits on either side the instruction does not turn a NaN into 0.
                return builder.Pure(type == RegType.B32 ? "selp.b32" : "selp.b64", type, new Imm(type, 0), integer, builder.Pure($"setp.neu.{from}", RegType.Pred, a, a));
            case RegType.F64 when a.Type is RegType.F32 or RegType.B16:
            case RegType.F32 when a.Type == RegType.B16:
                return builder.Pure($"cvt.{to}.{from}", type, a);
            default:
                return builder.Pure($"cvt.rn.{to}.{from}", type, a);
        }
    }

    private static Imm ConvertConstant(Imm a, RegType type, string to, bool unsignedSource)
    {
        if (a.Type == type) return a;
        if (PtxBuilder.IsInteger(a))
        {
            return type switch
            {
                RegType.B32 => new Imm(type, a.Bits),
                RegType.B64 => new Imm(type, unsignedSource ? a.Bits : (ulong)a.Signed),
                RegType.F32 => Imm.Of(unsignedSource ? (float)a.Bits : (float)a.Signed),
                RegType.F64 => Imm.Of(unsignedSource ? (double)a.Bits : (double)a.Signed),
                _ => Imm.Of((Half)(float)a.Signed),
            };
        }
        if (a.Type == RegType.F32 && type == RegType.B16) return Imm.Of((Half)a.Single);
        double x = a.Type switch { RegType.F32 => a.Single, RegType.F64 => a.Double, _ => (double)a.Half };
        return to switch
        {
            "s32" => Imm.Of((int)x),
            "u32" => new Imm(type, (uint)x),
            "s64" => Imm.Of((long)x),
            "u64" => new Imm(type, (ulong)x),
            "f32" => Imm.Of((float)x),
            "f16" => Imm.Of((Half)x),
            _ => Imm.Of(x),
        };
    }
}
