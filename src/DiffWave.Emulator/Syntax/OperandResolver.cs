using DiffWave.Emulator.Syntax.Instructions;

namespace DiffWave.Emulator.Syntax;

/// <summary>Gives the operands of one instruction their meaning and checks them against its form.</summary>
internal sealed class OperandResolver(EntryReader entry, string opcode, List<string> modifiers, PtxType[] types, int line)
{
    private int addresses;

    public PtxOperand[] Resolve(InstructionForm form, List<RawOperand> raw)
    {
        var operands = new PtxOperand[raw.Count];
        for (int i = 0; i < operands.Length; i++) operands[i] = Resolve(form.Operands[i], raw[i], i + 1);
        CheckWhole(operands);
        return operands;
    }

    private PtxOperand Resolve(OperandForm form, RawOperand raw, int position)
    {
        switch (form.Kind)
        {
            case OperandKind.Label: return raw.Kind == RawKind.Name && !raw.HasOffset && !raw.Negated ? new LabelOperand(0, raw.Name) : throw Wrong(position, "must be a label");
            case OperandKind.Address: return Address(raw, position);
            case OperandKind.Constant: return Constant(form, raw, position);
            case OperandKind.Predicate: return Predicate(raw, position);
            case OperandKind.Anything: return Move(raw, position);
            case OperandKind.Pair when raw.Kind == RawKind.Pair: return Pair(form, raw, position);
        }
        var type = TypeOf(form);
        int elements = form.Elements < 0 ? modifiers.Contains("v2") ? 2 : modifiers.Contains("v4") ? 4 : 0 : form.Elements;
        if (elements * type.Bits() > 128) throw new PtxException(line, $"a vector of {elements * type.Bits()} bits, more than 128");
        if (elements == 0) return Value(form, type, raw, position, sink: false);
        if (raw.Kind != RawKind.Vector) throw Wrong(position, $"must be {elements} register{(elements == 1 ? "" : "s")} in braces");
        if (raw.Elements.Count != elements) throw Wrong(position, $"must have {elements} elements, not {raw.Elements.Count}");
        return new VectorOperand([.. raw.Elements.Select(element => Value(form, type, element, position, sink: form.IsTarget && form.Elements < 0))]);
    }

    private PtxType TypeOf(OperandForm form)
    {
        var type = form.Type != PtxType.None ? form.Type : types[form.TypeIndex];
        return form.Doubled ? type.Doubled() : type;
    }

    private PtxOperand Value(OperandForm form, PtxType type, RawOperand raw, int position, bool sink)
    {
        switch (raw.Kind)
        {
            case RawKind.Number when form.IsTarget: throw Wrong(position, "must be a register: it is written");
            case RawKind.Number when form.RegisterOnly: throw Wrong(position, "must be a register");
            case RawKind.Number: return Immediate(type, raw.Number, position);
            case RawKind.Vector: throw Wrong(position, "must not be a vector");
            case RawKind.Address: throw Wrong(position, "must not be an address in brackets");
            case RawKind.Pair: throw Wrong(position, "must not be a pair");
        }
        if (raw.Negated) throw Wrong(position, "cannot be negated");
        if (raw.Name == "_") return sink ? new SinkOperand() : throw new PtxException(line, $"operand {position} of '{opcode}' cannot be left out with '_'", supported: opcode != "atom");
        if (SpecialRegisters.Bits(raw.Name) is int bits and > 0 && entry.Find(raw.Name) == null)
            return form.Special && SpecialRegisters.Fits(raw.Name, bits, type) ? new SpecialOperand(raw.Name) : throw Wrong(position, $"cannot be the special register '{raw.Name}' here");
        return new RegisterOperand(Register(raw, type, position, form.MayBeWider));
    }

    private PtxRegister Register(RawOperand raw, PtxType type, int position, bool mayBeWider)
    {
        if (raw.HasOffset) throw Wrong(position, "must not have an offset");
        var register = Register(raw.Name, position);
        if (!type.Accepts(register.Type, mayBeWider))
            throw Wrong(position, $"must be .{type.Name()}{(mayBeWider ? " or wider" : "")}, and '{raw.Name}' is .{register.Type.Name()}");
        return register;
    }

    private PtxRegister Register(string name, int position) => entry.Find(name) switch
    {
        PtxRegister register => register,
        null => throw new PtxException(line, $"'{name}' is not declared"),
        _ => throw Wrong(position, $"must be a register, and '{name}' is none"),
    };

    private ImmediateOperand Immediate(PtxType type, PtxNumber number, int position)
    {
        // As bits a floating-point constant has its own width: 32 when written 0f.., else 64.
        bool allowed = type.IsFloat() ? number.IsFloat && type is PtxType.F32 or PtxType.F64 : !number.IsFloat || type == (number.Single != null ? PtxType.B32 : PtxType.B64);
        if (!allowed) throw Wrong(position, $"cannot be {(number.IsFloat ? "a floating-point" : "an integer")} constant for .{type.Name()}");
        return type == PtxType.Pred ? new ImmediateOperand(number.Integer == 0 ? 0ul : 1, false) : new ImmediateOperand(number.BitsFor(type), number.IsFloat);
    }

    private ImmediateOperand Constant(OperandForm form, RawOperand raw, int position)
    {
        if (raw.Kind != RawKind.Number || raw.Number.IsFloat) throw Wrong(position, "must be a constant integer");
        long value = (long)raw.Number.Integer;
        var (low, high) = form.Range;
        return value >= low && value <= high ? new ImmediateOperand(raw.Number.Integer, false) : throw Wrong(position, $"is {value}, outside {low} to {high}");
    }

    private PtxOperand Predicate(RawOperand raw, int position)
    {
        if (raw.Kind == RawKind.Number) return Immediate(PtxType.Pred, raw.Number, position);
        if (raw.Kind != RawKind.Name || raw.Name == "_") throw Wrong(position, "must be a predicate");
        return new RegisterOperand(Register(raw, PtxType.Pred, position, false), raw.Negated);
    }

    private PredicatePairOperand Pair(OperandForm form, RawOperand raw, int position)
    {
        if (raw.Negated) throw Wrong(position, "cannot be negated: it is written");
        PtxRegister? Part(string name, PtxType type) => name == "_" ? null : Register(new RawOperand(RawKind.Name) { Name = name }, type, position, false);
        return new PredicatePairOperand(Part(raw.Name, TypeOf(form)), Part(raw.Second, PtxType.Pred));
    }

    private AddressOperand Address(RawOperand raw, int position)
    {
        var space = SpaceOf(addresses++);
        if (raw.Kind != RawKind.Address) throw Wrong(position, "must be an address in square brackets");
        if (raw.Name.Length == 0) return new AddressOperand(null, null, raw.Offset);
        switch (entry.Find(raw.Name))
        {
            case null: throw new PtxException(line, $"'{raw.Name}' is not declared");
            case PtxRegister register:
                if (!register.Type.IsInteger() && !register.Type.IsUntyped()) throw Wrong(position, $"has an address in '{raw.Name}', which is .{register.Type.Name()}");
                int bits = register.Type.Bits();
                if (bits != 64 && (bits != 32 || space is PtxSpace.Generic or PtxSpace.Global)) throw Wrong(position, $"has a {bits}-bit address in '{raw.Name}'");
                return new AddressOperand(register, null, raw.Offset);
            case PtxVariable variable:
                if (space != PtxSpace.Generic && variable.Space != space || (space == PtxSpace.Generic && variable.Space == PtxSpace.Parameter))
                    throw Wrong(position, $"is '{raw.Name}' in .{SpaceName(variable.Space)} memory, and '{opcode}' is for {(space == PtxSpace.Generic ? "generic addresses" : "." + SpaceName(space))}");
                if (space == PtxSpace.Parameter) CheckParameter(variable, raw.Offset, position);
                return new AddressOperand(null, variable, raw.Offset);
            default: throw Wrong(position, $"must be an address, and '{raw.Name}' is none");
        }
    }

    private void CheckParameter(PtxVariable parameter, long offset, int position)
    {
        int bytes = types[0].Bytes(), count = modifiers.Contains("v2") ? 2 : modifiers.Contains("v4") ? 4 : 1;
        if (offset < 0 || offset + bytes * count > parameter.Size)
            throw Wrong(position, $"reads bytes {offset} to {offset + bytes * count} of parameter '{parameter.Name}', which has {parameter.Size}");
        if ((parameter.Offset + offset) % (bytes * count) != 0) throw Wrong(position, $"is no multiple of {bytes * count} bytes");
    }

    private PtxSpace SpaceOf(int index)
    {
        if (opcode == "cp") return index == 0 ? PtxSpace.Shared : PtxSpace.Global;
        foreach (string modifier in modifiers)
        {
            switch (modifier)
            {
                case "shared" or "shared::cta": return PtxSpace.Shared;
                case "global": return PtxSpace.Global;
                case "local": return PtxSpace.Local;
                case "const": return PtxSpace.Constant;
                case "param": return PtxSpace.Parameter;
            }
        }
        return opcode is "ldmatrix" or "stmatrix" ? PtxSpace.Shared : PtxSpace.Generic;
    }

    private static string SpaceName(PtxSpace space) => space switch
    {
        PtxSpace.Register => "reg",
        PtxSpace.Constant => "const",
        PtxSpace.Parameter => "param",
        _ => space.ToString().ToLowerInvariant(),
    };

    // mov and cvta: the one operand that may be nearly anything.
    private PtxOperand Move(RawOperand raw, int position)
    {
        var type = types[0];
        bool target = position == 1;
        if (raw.Kind == RawKind.Vector) return Parts(raw, type, position);
        var what = raw.Kind == RawKind.Name ? entry.Find(raw.Name) : null;
        var plain = new OperandForm(OperandKind.Value, type) { IsTarget = target, RegisterOnly = target, Special = opcode == "mov" && !target };
        if (what is not PtxVariable variable || target) return Value(plain, type, raw, position, sink: false);
        if (!type.IsInteger() && !type.IsUntyped()) throw Wrong(position, $"is the address of '{raw.Name}', which is no .{type.Name()}");
        int bits = type.Bits();
        if (bits != 64 && (bits != 32 || variable.Space == PtxSpace.Global)) throw Wrong(position, $"is the address of '{raw.Name}', which does not fit in .{type.Name()}");
        if (raw.Negated) throw Wrong(position, "cannot be negated");
        if (opcode == "cvta" && SpaceOf(0) != variable.Space) throw Wrong(position, $"is '{raw.Name}' in .{SpaceName(variable.Space)} memory");
        return new VariableOperand(variable, raw.Offset);
    }

    private VectorOperand Parts(RawOperand raw, PtxType type, int position)
    {
        int count = raw.Elements.Count, bits = type.Bits() / Math.Max(1, count);
        if (opcode != "mov" || !type.IsUntyped()) throw Wrong(position, $"cannot be a vector with .{type.Name()}");
        if (count is not (2 or 4) || bits < 8) throw Wrong(position, $"has {count} elements, and .{type.Name()} has no {count} parts");
        var part = PtxTypes.Find($"b{bits}");
        var form = new OperandForm(OperandKind.Value, part) { IsTarget = position == 1, RegisterOnly = position == 1 };
        return new VectorOperand([.. raw.Elements.Select(element => Value(form, part, element, position, sink: position == 1))]);
    }

    private void CheckWhole(PtxOperand[] operands)
    {
        if (opcode == "mov" && operands[0] is VectorOperand && operands[1] is VectorOperand or SpecialOperand or VariableOperand) throw new PtxException(line, "'mov' of parts needs a register on the other side");
        if (opcode == "cp" && operands.Length > 2 && ((ImmediateOperand)operands[2]).Bits is not (4 or 8 or 16)) throw Wrong(3, "must be 4, 8 or 16 bytes");
        if (opcode is "bar" or "barrier" && modifiers[0] != "warp") CheckBarrier(operands, modifiers[0] == "red" ? 1 : 0);
    }

    private void CheckBarrier(PtxOperand[] operands, int number)
    {
        if (operands[number] is ImmediateOperand { Bits: > 15 }) throw Wrong(number + 1, "must be a barrier from 0 to 15");
        bool counts = operands.Length - (modifiers[0] == "red" ? 1 : 0) > number + 1;
        if (counts && operands[number + 1] is ImmediateOperand threads && (threads.Bits == 0 || threads.Bits % 32 != 0)) throw Wrong(number + 2, "must be a number of threads that is a multiple of 32");
    }

    private PtxException Wrong(int position, string what) => new(line, $"operand {position} of '{opcode}' {what}");
}
