namespace DiffWave.Compiler;

/// <summary>
/// Which parts of the state change round a loop. They are found by comparing the state at the loop's start with that after an iteration; each becomes a register, or, where no
/// register can hold it, a value that must not be used.
/// </summary>
internal sealed class Widening
{
    private sealed class Node
    {
        public SortedDictionary<int, Node> Children { get; } = [];

        public bool IsLeaf { get; set; }

        public bool IsPoison { get; set; }

        public RegType Type { get; set; }

        public int Alignment { get; set; }
    }

    // Cells by number, then stack slots as negative numbers.
    private readonly Node root = new();

    /// <summary>Adds what differs.</summary>
    /// <returns>Whether anything was added.</returns>
    public bool Include(State start, State back)
    {
        bool changed = false;
        foreach (var (cell, value) in start.Cells)
        {
            if (back.Cells.TryGetValue(cell, out var other)) changed |= Include(root, cell, value, other);
        }
        for (int slot = 0; slot < start.Stack.Count; slot++) changed |= Include(root, -1 - slot, start.Stack[slot], back.Stack[slot]);
        return changed;
    }

    /// <summary>The state at the start of any iteration.</summary>
    /// <param name="start">The state before the loop.</param>
    /// <param name="register">Makes a register of a class.</param>
    public State Begin(State start, Func<RegType, Operand> register)
    {
        var begin = start.Clone();
        foreach (var (key, node) in root.Children)
        {
            if (key >= 0) begin.Cells[key] = Begin(node, begin.Cells[key], register);
            else begin.Stack[-1 - key] = Begin(node, begin.Stack[-1 - key], register);
        }
        return begin;
    }

    /// <summary>Names the values for the registers of <see cref="Begin(State, Func{RegType, Operand})"/>, in its order.</summary>
    public void Collect(State from, Action<Value, RegType> add)
    {
        foreach (var (key, node) in root.Children) Collect(node, key >= 0 ? from.Cells[key] : from.Stack[-1 - key], add);
    }

    private static bool Include(Node parent, int key, Value start, Value back)
    {
        if (Values.Same(start, back)) return false;
        bool known = parent.Children.TryGetValue(key, out var node);
        if (!known) node = new Node();
        bool changed = Include(node!, start, back);
        if (changed && !known) parent.Children[key] = node!;
        return changed;
    }

    private static bool Include(Node node, Value start, Value back)
    {
        if (node.IsPoison || (start is Poison && !ReferenceEquals(start, Poison.Null))) return false;
        switch (start, back)
        {
            case (StructValue a, StructValue b) when a.Type == b.Type && !node.IsLeaf:
                return IncludeAll(node, a.Fields, b.Fields);
            case (RegisterArray a, RegisterArray b) when a.Elements.Length == b.Elements.Length && !node.IsLeaf:
                return IncludeAll(node, a.Elements, b.Elements);
            case (Operand a, Operand b) when a.Type == b.Type || (IsBit(a) && IsBit(b)):
                if (node.IsLeaf) return false;
                (node.IsLeaf, node.Type) = (true, a.Type == RegType.Pred && b.Type == RegType.Pred ? RegType.Pred : a.Type == RegType.Pred ? RegType.B32 : a.Type);
                return true;
            case (PointerValue a, PointerValue b) when a.Space == b.Space:
                int alignment = Math.Min(a.Alignment, b.Alignment);
                if (node.IsLeaf && node.Alignment <= alignment) return false;
                (node.IsLeaf, node.Type, node.Alignment) = (true, a.AddressType, alignment);
                return true;
            default:
                (node.IsLeaf, node.IsPoison) = (true, true);
                return true;
        }
    }

    private static bool IncludeAll(Node node, Value[] start, Value[] back)
    {
        bool changed = false;
        for (int i = 0; i < start.Length; i++) changed |= Include(node, i, start[i], back[i]);
        return changed;
    }

    // Truth values are predicates or integers, as they come.
    private static bool IsBit(Operand a) => a.Type is RegType.Pred or RegType.B32;

    private static Value Begin(Node node, Value start, Func<RegType, Operand> register)
    {
        if (node.IsPoison) return new Poison("the value changes round the loop in a way that no register can hold");
        if (node.IsLeaf) return start is PointerValue pointer ? new PointerValue(pointer.Space, register(node.Type), 0, node.Alignment) : register(node.Type);
        var parts = (Value[])(start is StructValue s ? s.Fields : ((RegisterArray)start).Elements).Clone();
        foreach (var (key, child) in node.Children) parts[key] = Begin(child, parts[key], register);
        return start is StructValue value ? new StructValue(value.Type, parts) : new RegisterArray(((RegisterArray)start).Element, parts);
    }

    private static void Collect(Node node, Value value, Action<Value, RegType> add)
    {
        if (node.IsPoison) return;
        if (node.IsLeaf)
        {
            add(value, node.Type);
            return;
        }
        foreach (var (key, child) in node.Children) Collect(child, value is StructValue s ? s.Fields[key] : ((RegisterArray)value).Elements[key], add);
    }
}
