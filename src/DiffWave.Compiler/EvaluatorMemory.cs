using System.Numerics;
using System.Reflection;

namespace DiffWave.Compiler;

/// <summary>Loads, stores, fields and addresses.</summary>
internal sealed partial class Evaluator
{
    private static Layout? LayoutOrNull(Type type) => Layout.Of(type);

    private Layout LayoutOf(Type type) => Layout.Of(type) ?? throw Fail(DiagnosticTable.TypeKind, $"type {type.Name}");

    private static string NameOf(Space space) => space switch { Space.Generic => "", Space.Parameter => ".param", _ => "." + space.ToString().ToLowerInvariant() };

    /// <summary>All bits zero.</summary>
    private Value Default(Type type)
    {
        var layout = LayoutOf(type);
        if (layout.IsPointer) return Poison.Null;
        if (layout.IsPrimitive) return new Imm(layout.Register, 0);
        return new StructValue(layout.Type, Array.ConvertAll(layout.Fields, field => Default(field.Type)));
    }

    // The address in one register.
    private Operand AddressOf(PointerValue pointer)
    {
        var origin = pointer.Base is Variable variable ? builder.Pure(variable.Type == RegType.B32 ? "mov.u32" : "mov.u64", variable.Type, variable) : pointer.Base;
        return pointer.Offset == 0 ? origin : builder.Add(origin, new Imm(origin.Type, (ulong)pointer.Offset));
    }

    private Value Load(Value reference, Type type)
    {
        switch (reference)
        {
            case PointerValue pointer:
                return LoadFrom(pointer, type);
            case CellReference cell:
                var value = state.Cells[cell.Cell];
                foreach (int step in cell.Path) value = Part(value, step);
                return cell.Type == type || Layout.Of(cell.Type)?.Type == Layout.Of(type)?.Type || value is not (Operand or StructValue) ? value : Reinterpret(value, cell.Type, type);
            default:
                throw NoReference(reference);
        }
    }

    private KernelCompileException NoReference(Value reference) =>
        reference is Poison poison ? Fail(poison.Id, poison.Reason) : Fail(DiagnosticTable.Reference, "a number is used as an address");

    private Value Part(Value value, int step) => value switch
    {
        StructValue s => s.Fields[step],
        RegisterArray a when (uint)step < (uint)a.Elements.Length => a.Elements[step],
        RegisterArray a => throw Fail(DiagnosticTable.Reference, $"index {step} in a register array of {a.Elements.Length} elements"),
        Poison poison => throw Fail(poison.Id, poison.Reason),
        _ => throw Fail(DiagnosticTable.Reference, "a field of a number"),
    };

    private void Store(Value reference, Type type, Value value)
    {
        switch (reference)
        {
            case PointerValue pointer:
                StoreTo(pointer, type, value);
                break;
            case CellReference cell:
                if (cell.Type != type && Layout.Of(cell.Type)?.Type != Layout.Of(type)?.Type && Layout.Of(type) is { IsPointer: false } && type != typeof(object)) value = Reinterpret(value, type, cell.Type);
                state.Cells[cell.Cell] = Replaced(cell, 0, state.Cells[cell.Cell], Normalize(value, cell.Type));
                break;
            default:
                throw NoReference(reference);
        }
    }

    private Value Replaced(CellReference cell, int depth, Value whole, Value part)
    {
        if (depth == cell.Path.Length) return part;
        int step = cell.Path[depth];
        // A struct may be filled field by field without a first value.
        if (whole is Poison && depth == 0 && OwnerType(cell) is { } owner) whole = Default(owner);
        if (whole is RegisterArray array)
        {
            var elements = (Value[])array.Elements.Clone();
            elements[step] = Replaced(cell, depth + 1, Part(whole, step), part);
            return new RegisterArray(array.Element, elements);
        }
        var inner = Replaced(cell, depth + 1, Part(whole, step), part);
        return ((StructValue)whole).With(step, inner);
    }

    private Type? OwnerType(CellReference cell)
    {
        for (var f = frame; f != null; f = f.Caller)
        {
            int local = Array.IndexOf(f.Locals, cell.Cell);
            if (local >= 0) return f.Code.Locals[local];
        }
        return null;
    }

    // The same bits as another type of the same size.
    private Value Reinterpret(Value value, Type from, Type to)
    {
        var (source, target) = (LayoutOf(from), LayoutOf(to));
        if (source.Size != target.Size || source.IsPointer || target.IsPointer) throw Fail(DiagnosticTable.Reference, $"{from.Name} reinterpreted as {to.Name}, which has another size");
        var operands = new List<Operand>();
        Flatten(value, operands);
        var pieces = new List<(int Offset, Layout Layout)>();
        Pieces(source, 0, pieces);
        return Built(target, 0);

        Value Built(Layout layout, int offset) => layout.IsPrimitive ? Part(layout, offset) : new StructValue(layout.Type, Array.ConvertAll(layout.Fields, field => Built(LayoutOf(field.Type), offset + field.Offset)));

        Operand Part(Layout layout, int offset)
        {
            Operand? bits = null;
            bool wide = layout.Size == 8;
            for (int i = 0; i < pieces.Count; i++)
            {
                var (start, piece) = pieces[i];
                if (start == offset && piece.Size == layout.Size) return BitCast(operands[i], layout);
                if (start >= offset + layout.Size || start + piece.Size <= offset) continue;
                var part = BitCast(operands[i], LayoutOf(piece.Size switch { 1 => typeof(byte), 2 => typeof(ushort), 4 => typeof(uint), _ => typeof(ulong) }));
                if (start < offset) part = builder.ShiftRight(part, Imm.Of((offset - start) * 8), unsigned: true);
                if (wide && part.Type == RegType.B32) part = Convert(part, "u64", unsignedSource: true);
                if (!wide && part.Type == RegType.B64) part = Convert(part, "u32", unsignedSource: true);
                if (start > offset) part = builder.ShiftLeft(part, Imm.Of((start - offset) * 8));
                bits = bits == null ? part : builder.Or(bits, part);
            }
            return BitCast(bits ?? new Imm(wide ? RegType.B64 : RegType.B32, 0), layout);
        }
    }

    private static void Pieces(Layout layout, int offset, List<(int Offset, Layout Layout)> pieces)
    {
        if (layout.IsPrimitive) pieces.Add((offset, layout));
        else
        {
            foreach (var field in layout.Fields) Pieces(Layout.Of(field.Type)!, offset + field.Offset, pieces);
        }
    }

    private Operand BitCast(Operand a, Layout to)
    {
        a = builder.Integer(a);
        if (a.Type == to.Register) return to.Small is Small.None or Small.Bool ? a : Narrow(a, to.Small);
        if (a is Imm x) return to.Register == RegType.B32 ? Narrow(new Imm(to.Register, x.Bits), to.Small) : new Imm(to.Register, x.Bits);
        if (a.Type == RegType.B16) return Narrow(builder.Pure("cvt.u32.u16", RegType.B32, a), to.Small);
        if (to.Register == RegType.B16) return builder.Pure("cvt.u16.u32", RegType.B16, a);
        if (a is Ssa { Def: { Opcode: "mov.b32" or "mov.b64", Args: [Ssa origin] } } && origin.Type == to.Register) return origin;
        return builder.Pure(to.Size == 8 ? "mov.b64" : "mov.b32", to.Register, a);
    }

    /// <summary>A kernel parameter's value.</summary>
    public Value Parameter(KernelParameter parameter) => LoadFrom(new PointerValue(Space.Parameter, new ParameterName("param_" + parameter.Name), 0, 1), parameter.Type);

    private Value LoadFrom(PointerValue pointer, Type type)
    {
        var layout = LayoutOf(type);
        var effect = pointer.Space == Space.Parameter ? Effect.Pure : Effect.Load;
        if (layout.IsPointer)
        {
            var loaded = LoadFrom(pointer, typeof(ulong));
            int alignment = layout.Type.GetElementType() is { } element && Layout.Of(element) is { } target ? MemoryAlignment(target) : 1;
            if (pointer.Space != Space.Parameter) return new PointerValue(Space.Generic, (Operand)loaded, 0, alignment);
            return new PointerValue(Space.Global, builder.Prologue("cvta.to.global.u64", RegType.B64, (Operand)loaded), 0, alignment);
        }
        if (layout.IsPrimitive)
        {
            string memory = layout.Memory == "s32" && effect == Effect.Pure ? "u32" : layout.Memory == "s64" && effect == Effect.Pure ? "u64" : layout.Memory;
            var address = new Address(pointer.Base, pointer.Offset);
            string opcode = $"ld{NameOf(pointer.Space)}.{memory}";
            if (effect == Effect.Pure)
            {
                var parameter = builder.Prologue(opcode, layout.Register, address);
                (parameter.Small, parameter.NonNegative) = (layout.Small, layout.Small is Small.U8 or Small.U16 or Small.Bool);
                return parameter;
            }
            var result = builder.NewRegister(layout.Register);
            (result.Small, result.NonNegative) = (layout.Small, layout.Small is Small.U8 or Small.U16 or Small.Bool);
            builder.Append(opcode, [result], [address], effect);
            return result;
        }
        if (effect != Effect.Pure && VectorOf(layout, pointer.Alignment) is { } part)
        {
            var results = new Ssa[layout.Size / part.Size];
            for (int i = 0; i < results.Length; i++) results[i] = builder.NewRegister(part.Register);
            builder.Append($"ld{NameOf(pointer.Space)}.v{results.Length}.{part.Memory}", results, [new Address(pointer.Base, pointer.Offset)], effect);
            foreach (var result in results) (result.Small, result.NonNegative) = (part.Small, part.Small is Small.U8 or Small.U16 or Small.Bool);
            int next = 0;
            return Assemble(layout, results, ref next);
        }
        return new StructValue(layout.Type, Array.ConvertAll(layout.Fields, field => LoadFrom(pointer.Add(field.Offset), field.Type)));
    }

    private void StoreTo(PointerValue pointer, Type type, Value value)
    {
        var layout = LayoutOf(type);
        if (layout.IsPointer || pointer.Space == Space.Parameter) throw Fail(DiagnosticTable.Reference, "a reference is stored in memory");
        if (value is Poison poison) throw Fail(poison.Id, poison.Reason);
        if (layout.IsPrimitive)
        {
            var operand = builder.Integer(AsOperand(value));
            if (layout.Register == RegType.B32 && operand.Type == RegType.B64) operand = Convert(operand, "u32", unsignedSource: true);
            if (operand is Imm constant && layout.Size < 4 && layout.Register == RegType.B32) operand = Imm.Of(layout.Size == 1 ? (byte)constant.Int : (ushort)constant.Int);
            if (operand.Type != layout.Register) throw Fail(DiagnosticTable.Reference, $"a value of another type is stored as {layout.Type.Name}");
            builder.Append($"st{NameOf(pointer.Space)}.{Stored(layout)}", [], [new Address(pointer.Base, pointer.Offset), operand], Effect.Volatile);
            return;
        }
        if (value is not StructValue s) throw Fail(DiagnosticTable.Internal, "a number is stored as a struct");
        if (VectorOf(layout, pointer.Alignment) is { } part)
        {
            var parts = new List<Operand>();
            Flatten(s, parts);
            builder.Append($"st{NameOf(pointer.Space)}.v{parts.Count}.{Stored(part)}", [], [new Address(pointer.Base, pointer.Offset), .. parts.Select(builder.Integer)], Effect.Volatile);
            return;
        }
        for (int i = 0; i < layout.Fields.Length; i++) StoreTo(pointer.Add(layout.Fields[i].Offset), layout.Fields[i].Type, s.Fields[i]);
    }

    private static string Stored(Layout layout) => layout.Memory switch { "s8" => "u8", "s16" => "u16", _ => layout.Memory };

    /// <summary>The primitive a struct of two or four equal ones consists of, when one vector instruction moves it at this alignment; else null.</summary>
    private static Layout? VectorOf(Layout layout, int alignment)
    {
        var parts = new List<(int Offset, Layout Layout)>();
        Pieces(layout, 0, parts);
        bool equal = parts.Count is 2 or 4 && parts.TrueForAll(part => part.Layout == parts[0].Layout) && layout.Size == parts.Count * parts[0].Layout.Size;
        return equal && layout.Size <= 16 && alignment >= layout.Size ? parts[0].Layout : null;
    }

    private StructValue Assemble(Layout layout, Ssa[] parts, ref int next)
    {
        var fields = new Value[layout.Fields.Length];
        for (int i = 0; i < fields.Length; i++)
        {
            var field = LayoutOf(layout.Fields[i].Type);
            fields[i] = field.IsPrimitive ? parts[next++] : Assemble(field, parts, ref next);
        }
        return new StructValue(layout.Type, fields);
    }

    private void Flatten(Value value, List<Operand> parts)
    {
        if (value is StructValue s)
        {
            foreach (var field in s.Fields) Flatten(field, parts);
        }
        else parts.Add(AsOperand(value));
    }

    // A type that promises vector alignment is aligned to its size; others to their widest field.
    private static int MemoryAlignment(Layout layout) =>
        !layout.IsPrimitive && BitOperations.IsPow2(layout.Size) && layout.Type.IsDefined(typeof(Device.VectorAlignedAttribute), inherit: false) ? layout.Size : layout.Alignment;

    private void LoadField(FieldInfo field)
    {
        if (field.IsStatic)
        {
            Pop();
            Push(StaticField(field));
            return;
        }
        var owner = Pop();
        int index = FieldIndex(field);
        Push(owner switch
        {
            StructValue value => value.Fields[index],
            CellReference cell => Load(FieldOf(cell, field, index), field.FieldType),
            PointerValue pointer => LoadFrom(pointer.Add(LayoutOf(field.DeclaringType!).Fields[index].Offset), field.FieldType),
            _ => throw NoReference(owner),
        });
    }

    private void FieldAddress(FieldInfo field)
    {
        var owner = Pop();
        int index = FieldIndex(field);
        Push(owner switch
        {
            CellReference cell => FieldOf(cell, field, index),
            PointerValue pointer => pointer.Add(LayoutOf(field.DeclaringType!).Fields[index].Offset),
            _ => throw NoReference(owner),
        });
    }

    private CellReference FieldOf(CellReference cell, FieldInfo field, int index) =>
        cell.Type == field.DeclaringType ? cell.Into(index, field.FieldType) : throw Fail(DiagnosticTable.Reference, $"a {cell.Type.Name} in registers is read as a {field.DeclaringType!.Name}");

    private void StoreField(FieldInfo field)
    {
        var value = Pop();
        if (field.IsStatic) throw Fail(DiagnosticTable.StaticField, $"static field {field.Name} is written");
        FieldAddress(field);
        Store(Pop(), field.FieldType, value);
    }

    private int FieldIndex(FieldInfo field)
    {
        if (!field.DeclaringType!.IsValueType) throw Fail(DiagnosticTable.Heap, $"field {field.Name} of class {field.DeclaringType.Name}");
        return LayoutOf(field.DeclaringType).IndexOf(field);
    }

    private Value StaticField(FieldInfo field)
    {
        if (!field.IsInitOnly && !field.IsLiteral) throw Fail(DiagnosticTable.StaticField, $"{field.DeclaringType?.Name}.{field.Name} may change");
        return Constant(field.GetValue(null), field.FieldType) ?? throw Fail(DiagnosticTable.StaticField, $"{field.DeclaringType?.Name}.{field.Name} is of type {field.FieldType.Name}");
    }

    /// <summary>A value of the host as a constant; null when its type is no primitive and no struct of primitives.</summary>
    internal static Value? Constant(object? value, Type type)
    {
        if (Layout.Of(type) is not { IsPointer: false } layout || value == null) return null;
        if (value is Enum) value = System.Convert.ChangeType(value, layout.Type, System.Globalization.CultureInfo.InvariantCulture);
        if (!layout.IsPrimitive)
        {
            var fields = Array.ConvertAll(layout.Fields, field => Constant(field.Info.GetValue(value), field.Type));
            return Array.TrueForAll(fields, field => field != null) ? new StructValue(layout.Type, fields!) : null;
        }
        return value switch
        {
            bool b => Imm.Of(b),
            float f => Imm.Of(f),
            double d => Imm.Of(d),
            Half h => Imm.Of(h),
            ulong u => new Imm(RegType.B64, u),
            nuint u => new Imm(RegType.B64, u),
            long l => Imm.Of(l),
            nint l => Imm.Of((long)l),
            uint u => new Imm(RegType.B32, u),
            char c => Imm.Of(c),
            _ => Imm.Of(System.Convert.ToInt32(value, System.Globalization.CultureInfo.InvariantCulture)),
        };
    }
}
