namespace DiffWave.Compiler;

/// <summary>State spaces of addresses.</summary>
internal enum Space : byte { Generic, Global, Shared, Local, Parameter }

/// <summary>A struct, field by field in the order of its layout.</summary>
internal sealed class StructValue(Type type, Value[] fields) : Value
{
    public Type Type { get; } = type;

    public Value[] Fields { get; } = fields;

    public StructValue With(int field, Value value)
    {
        var copy = (Value[])Fields.Clone();
        copy[field] = value;
        return new StructValue(Type, copy);
    }
}

/// <summary>A register array, as the contents of a cell.</summary>
internal sealed class RegisterArray(Type element, Value[] elements) : Value
{
    public Type Element { get; } = element;

    public Value[] Elements { get; } = elements;
}

/// <summary>An address in memory: a base and a constant. The alignment is that of the base, in bytes.</summary>
internal sealed class PointerValue(Space space, Operand origin, long offset, int alignment) : Value
{
    public Space Space { get; } = space;

    public Operand Base { get; } = origin;

    public long Offset { get; } = offset;

    public int BaseAlignment { get; } = alignment;

    /// <summary>Alignment of the address itself.</summary>
    public int Alignment => Offset == 0 ? BaseAlignment : (int)Math.Min(BaseAlignment, Offset & -Offset);

    public RegType AddressType => Space == Space.Shared ? RegType.B32 : RegType.B64;

    public PointerValue Add(long bytes) => new(Space, Base, Offset + bytes, BaseAlignment);
}

/// <summary>A reference to a local variable, or to a field or element inside it.</summary>
internal sealed class CellReference(int cell, int[] path, Type type) : Value
{
    public int Cell { get; } = cell;

    /// <summary>Field numbers and element numbers from the outside in.</summary>
    public int[] Path { get; } = path;

    /// <summary>Type of what it refers to.</summary>
    public Type Type { get; } = type;

    public CellReference Into(int step, Type type) => new(Cell, [.. Path, step], type);
}

/// <summary>A value that cannot be used, with what is said when it is.</summary>
internal sealed class Poison(string reason, string id = DiagnosticTable.PathValue) : Value
{
    public static readonly Poison Dead = new("the local variable has no value here");

    /// <summary>The pointer of a view that nothing was assigned to.</summary>
    public static readonly Poison Null = new("the reference is null");

    public string Reason { get; } = reason;

    /// <summary>Id of the diagnostic.</summary>
    public string Id { get; } = id;
}

/// <summary>A type as a value, for <c>typeof(T) == typeof(U)</c>.</summary>
internal sealed class TypeValue(Type type) : Value
{
    public Type Type { get; } = type;
}

/// <summary>What the evaluator knows at a place: cells of all methods being evaluated, and the stack of the innermost.</summary>
internal sealed class State
{
    public Dictionary<int, Value> Cells { get; init; } = [];

    public List<Value> Stack { get; init; } = [];

    public State Clone() => new() { Cells = new Dictionary<int, Value>(Cells), Stack = [.. Stack] };
}

/// <summary>A way out of a block whose target block does not exist yet.</summary>
internal sealed record Edge(Block From, int Slot, State State, int Target);

/// <summary>Comparison of values.</summary>
internal static class Values
{
    public static bool Same(Value a, Value b)
    {
        if (ReferenceEquals(a, b)) return true;
        switch (a, b)
        {
            case (Imm x, Imm y): return x.Equals(y);
            case (PointerValue x, PointerValue y):
                return x.Space == y.Space && x.Offset == y.Offset && x.BaseAlignment == y.BaseAlignment && Same(x.Base, y.Base);
            case (CellReference x, CellReference y): return x.Cell == y.Cell && x.Type == y.Type && x.Path.AsSpan().SequenceEqual(y.Path);
            case (StructValue x, StructValue y): return x.Type == y.Type && SameAll(x.Fields, y.Fields);
            case (RegisterArray x, RegisterArray y): return x.Element == y.Element && SameAll(x.Elements, y.Elements);
            case (Poison x, Poison y): return ReferenceEquals(x, Poison.Null) == ReferenceEquals(y, Poison.Null);
            default: return false;
        }
    }

    private static bool SameAll(Value[] a, Value[] b)
    {
        if (a.Length != b.Length) return false;
        for (int i = 0; i < a.Length; i++)
        {
            if (!Same(a[i], b[i])) return false;
        }
        return true;
    }
}
