using System.Numerics;
using System.Reflection;

namespace DiffWave.Compiler;

/// <summary>A register array would have to live in memory.</summary>
internal sealed class LocalMemoryException(string site) : Exception
{
    public string Site { get; } = site;
}

/// <summary>Views, shared memory and register arrays.</summary>
internal sealed partial class Evaluator
{
    private const int MaxSharedBytes = 48 * 1024, MaxDecomposition = 8, MaxFoldedIndex = 1 << 24;

    private readonly Dictionary<string, Variable> variables = [];
    private readonly Dictionary<int, string> arraySites = [];
    private Variable? dynamicShared;

    /// <summary>Whether a register array with an index that is not constant goes to memory instead of being an error.</summary>
    public bool AllowLocalMemory { get; init; }

    private bool ViewWord(MethodBase method, Value[] arguments, int size, out Value? result)
    {
        var type = method.DeclaringType!;
        var view = method.IsStatic || arguments[0] is not (CellReference or PointerValue) ? arguments[0] : Load(arguments[0], type);
        if (view is Poison poison) throw Fail(poison.Id, poison.Reason);
        if (method.IsConstructor)
        {
            Store(arguments[0], type, NewView(type, arguments[1], AsOperand(arguments[2])));
            result = null;
            return true;
        }
        var fields = ((StructValue)view).Fields;
        switch (method.Name)
        {
            case "get_Length":
                result = fields[1];
                return true;
            case "get_IntLength":
                result = Convert(AsOperand(fields[1]), "s32", unsignedSource: false);
                return true;
            case "get_LengthInBytes":
                result = builder.Mul(AsOperand(fields[1]), Imm.Of((long)size));
                return true;
            case "get_IsValid":
                result = fields[0] is PointerValue valid ? builder.Pure("setp.ne.s64", RegType.Pred, Widened(AddressOf(valid)), Imm.Of(0L)) 
                    : fields[0] is Poison unknown && !ReferenceEquals(unknown, Poison.Null) ? throw Fail(unknown.Id, unknown.Reason) : Imm.Of(fields[0] is CellReference);
                return true;
            case "get_Address":
                result = fields[0];
                return true;
            case "get_Item":
                result = Element(fields[0], AsOperand(arguments[1]), size);
                return true;
            case "SubView":
                var offset = AsOperand(arguments[1]);
                var length = arguments.Length > 2 ? Widened(AsOperand(arguments[2])) : builder.Sub(AsOperand(fields[1]), Widened(offset));
                result = new StructValue(type, [Element(fields[0], offset, size), length]);
                return true;
            case "Cast":
                var other = ((MethodInfo)method).ReturnType;
                var target = other.GetGenericArguments()[0];
                if (fields[0] is CellReference { Type: var element } && target != element) throw Fail(DiagnosticTable.Reference, $"a register array of {element.Name} is cast to {target.Name}");
                var bytes = builder.Mul(AsOperand(fields[1]), Imm.Of((long)size));
                result = new StructValue(other, [fields[0], LayoutOf(target).Size == size ? fields[1] : builder.Div(bytes, Imm.Of((long)LayoutOf(target).Size), unsigned: true)]);
                return true;
            case "AsAligned8" or "AsAligned16" or "AsAligned32" or "AsAligned64" or "AsAligned128":
                int promised = int.Parse(method.Name.AsSpan("AsAligned".Length), System.Globalization.CultureInfo.InvariantCulture);
                result = fields[0] is PointerValue aligned ? new StructValue(type, [Aligned(aligned, promised), fields[1]]) : view;
                return true;
            default:
                result = null;
                return false;
        }
    }

    // A promise about base + offset says something about the base only as far as the offset is aligned.
    private PointerValue Aligned(PointerValue pointer, int promised)
    {
        if (pointer.Alignment >= promised) return pointer;
        if (pointer.Offset % promised == 0) return new PointerValue(pointer.Space, pointer.Base, pointer.Offset, promised);
        return new PointerValue(pointer.Space, AddressOf(pointer), 0, promised);
    }

    private Operand Widened(Operand a) => a.Type == RegType.B64 ? a : Convert(a, "s64", unsignedSource: false);

    private Value Element(Value pointer, Operand index, int size)
    {
        index = builder.Integer(index);
        if (pointer is PointerValue memory) return Displaced(memory, index, size);
        if (pointer is not CellReference array) throw NoReference(pointer);
        if (index is not Imm constant)
        {
            string site = arraySites.GetValueOrDefault(array.Cell, "");
            if (AllowLocalMemory && site.Length > 0) throw new LocalMemoryException(site);
            throw Fail(DiagnosticTable.RegisterIndex, "a LocalMemory array is indexed by a value that is known only at run time");
        }
        var path = (int[])array.Path.Clone();
        path[^1] += (int)constant.Signed;
        return new CellReference(array.Cell, path, array.Type);
    }

    /// <summary>pointer + index * scale. Constant parts of the index go into the offset, so that neighbouring elements share one address register.</summary>
    private PointerValue Displaced(PointerValue pointer, Operand index, int scale)
    {
        if (index is Imm constant) return pointer.Add(constant.Signed * scale);
        if (pointer.AddressType == RegType.B32 && index.Type == RegType.B64) index = Convert(index, "u32", unsignedSource: true);
        if (pointer.AddressType == RegType.B64 && index is Ssa { Def: { Opcode: "cvt.s64.s32", Args: [var narrow] } }) index = narrow;
        var (rest, added) = Decompose(index, MaxDecomposition);
        // The sum may wrap round in 32 bits and an address in 64 does not; with a small constant a wrapped index lies outside every view, with a large one it need not.
        if (pointer.AddressType == RegType.B64 && index.Type == RegType.B32 && Math.Abs(added) > MaxFoldedIndex) (rest, added) = (index, 0);
        if (rest is Imm all) return pointer.Add((all.Signed + added) * scale);
        int alignment = (int)Math.Min(pointer.BaseAlignment, (long)(scale & -scale) * Multiple(rest, MaxDecomposition));
        var origin = pointer.Base is Variable variable ? AddressOf(new PointerValue(pointer.Space, variable, 0, 1)) : pointer.Base;
        var bytes = index.Type == pointer.AddressType ? builder.Mul(rest, new Imm(rest.Type, (ulong)scale))
            : scale == 1 ? Convert(rest, "s64", unsignedSource: false) : builder.Pure("mul.wide.s32", RegType.B64, rest, Imm.Of(scale));
        long offset = pointer.AddressType == RegType.B32 ? (int)(pointer.Offset + added * scale) : pointer.Offset + added * scale;
        return new PointerValue(pointer.Space, builder.Add(origin, bytes), offset, alignment);
    }

    // The value as something that varies plus a constant.
    private (Operand Varying, long Constant) Decompose(Operand x, int depth)
    {
        if (x is Imm imm) return (new Imm(x.Type, 0), imm.Signed);
        if (depth == 0 || x is not Ssa { Def: { Args: [var a, var b] } def }) return (x, 0);
        switch (def.Opcode)
        {
            case "add.s32" or "add.s64" or "sub.s32" or "sub.s64":
                bool minus = def.Opcode[0] == 's';
                var (left, c) = Decompose(a, depth - 1);
                var (right, d) = Decompose(b, depth - 1);
                if (c == 0 && d == 0) return (x, 0);
                return (minus ? builder.Sub(left, right) : builder.Add(left, right), Wrapped(x, minus ? c - d : c + d));
            case "shl.b32" or "shl.b64" or "mul.lo.s32" or "mul.lo.s64" when b is Imm factor:
                var (inner, e) = Decompose(a, depth - 1);
                if (e == 0) return (x, 0);
                long scale = def.Opcode[0] == 's' ? 1L << factor.Int : factor.Signed;
                return (builder.Mul(inner, new Imm(x.Type, (ulong)scale)), Wrapped(x, e * scale));
            default:
                return (x, 0);
        }
    }

    private static long Wrapped(Operand x, long constant) => x.Type == RegType.B32 ? (int)constant : constant;

    /// <summary>A power of two that the value is a multiple of.</summary>
    private static int Multiple(Operand x, int depth)
    {
        const int Most = 1 << 12;
        if (x is Imm imm) return imm.Bits == 0 ? Most : (int)Math.Min(Most, imm.Bits & (0 - imm.Bits));
        if (depth == 0 || x is not Ssa { Def: { } def }) return 1;
        return def.Opcode switch
        {
            "shl.b32" or "shl.b64" when def.Args[1] is Imm shift => (int)Math.Min(Most, (long)Multiple(def.Args[0], depth - 1) << Math.Min(12, shift.Int)),
            "mul.lo.s32" or "mul.lo.s64" or "mul.wide.s32" or "mul.wide.u32" => (int)Math.Min(Most, (long)Multiple(def.Args[0], depth - 1) * Multiple(def.Args[1], depth - 1)),
            "add.s32" or "add.s64" or "sub.s32" or "sub.s64" => Math.Min(Multiple(def.Args[0], depth - 1), Multiple(def.Args[1], depth - 1)),
            "and.b32" or "and.b64" => Math.Max(Multiple(def.Args[0], depth - 1), Multiple(def.Args[1], depth - 1)),
            "cvt.s64.s32" or "cvt.u64.u32" => Multiple(def.Args[0], depth - 1),
            _ => 1,
        };
    }

    private int LengthOf(Value value, string what)
    {
        if (AsOperand(value) is not Imm length) throw Fail(DiagnosticTable.Length, $"the length of a {what} array is known only at run time");
        if (length.Int < 1) throw Fail(DiagnosticTable.Length, $"the length of a {what} array is {length.Int}");
        return length.Int;
    }

    private Value SharedWord(MethodInfo method, Value[] arguments, string site)
    {
        var element = LayoutOf(method.GetGenericArguments()[0]);
        var view = typeof(Device.ArrayView<>).MakeGenericType(method.GetGenericArguments()[0]);
        if (method.Name == nameof(Device.SharedMemory.GetDynamic))
        {
            dynamicShared ??= new Variable(RegType.B32, ".extern .shared", 0, 128);
            var size = builder.Prologue("mov.u32", RegType.B32, new SpecialRegister("%dynamic_smem_size"));
            size.NonNegative = true;
            return new StructValue(view, [new PointerValue(Space.Shared, dynamicShared, 0, 128), Convert(builder.Div(size, Imm.Of(element.Size), unsigned: true), "s64", unsignedSource: true)]);
        }
        int length = arguments.Length == 0 ? 1 : LengthOf(arguments[0], "shared");
        if (!variables.TryGetValue(site, out var variable)) variables[site] = variable = new Variable(RegType.B32, ".shared", (long)length * element.Size, 16);
        if (variable.Bytes > MaxSharedBytes) throw Fail(DiagnosticTable.SharedSize, $"{variable.Bytes} bytes of static shared memory");
        var pointer = new PointerValue(Space.Shared, variable, 0, 16);
        return arguments.Length == 0 ? pointer : new StructValue(view, [pointer, Imm.Of((long)length)]);
    }

    private StructValue AllocateLocal(Type type, Value lengthValue, string site)
    {
        var element = LayoutOf(type);
        int length = LengthOf(lengthValue, "local");
        var view = typeof(Device.ArrayView<>).MakeGenericType(type);
        if (localMemorySites.Contains(site))
        {
            // Another array for each unrolled iteration, as it would be in registers.
            var variable = new Variable(RegType.B64, ".local", (long)length * element.Size, 16);
            var pointer = new PointerValue(Space.Local, variable, 0, 16);
            var warning = DiagnosticTable.Create(DiagnosticTable.RegisterIndex, builder.Line, $"a LocalMemory array of {length} elements lives in local memory, {variable.Bytes} bytes for each thread");
            if (!Warnings.Contains(warning)) Warnings.Add(warning);
            for (int i = 0; i < length; i++) StoreTo(pointer.Add((long)i * element.Size), type, Default(type));
            return new StructValue(view, [pointer, Imm.Of((long)length)]);
        }
        if (length > 4096) throw Fail(DiagnosticTable.Length, $"a local array of {length} elements cannot be registers");
        int cell = nextCell++;
        arraySites[cell] = site;
        var elements = new Value[length];
        Array.Fill(elements, Default(type));
        state.Cells[cell] = new RegisterArray(type, elements);
        return new StructValue(view, [new CellReference(cell, [0], type), Imm.Of((long)length)]);
    }
}
