namespace DiffWave.Emulator.Syntax;

/// <summary>Names of one pair of braces: registers one by one and in ranges such as <c>%r&lt;10&gt;</c>, variables, and labels with the index of the instruction they stand before.</summary>
internal sealed class PtxScope(PtxScope? parent)
{
    private const int MaxDigits = 9;

    private readonly Dictionary<string, object> names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (PtxType Type, int Count)> ranges = new(StringComparer.Ordinal);

    // Names that end in digits, by what stands before each choice of those digits, so that a later range finds what it would declare twice without a walk over all names.
    private readonly Dictionary<string, List<int>> numbered = new(StringComparer.Ordinal);

    public PtxScope? Parent { get; } = parent;

    public int Depth { get; } = parent == null ? 0 : parent.Depth + 1;

    /// <summary>Declares a register type (the register is made when first used), variable or label.</summary>
    /// <returns>False when the scope has the name already.</returns>
    public bool Declare(string name, object what)
    {
        if (FindRange(name) != PtxType.None || !names.TryAdd(name, what)) return false;
        Remember(name);
        return true;
    }

    /// <summary>Declares registers <paramref name="prefix"/>0 to <paramref name="prefix"/>(count - 1).</summary>
    public bool DeclareRange(string prefix, PtxType type, int count)
    {
        if (count == 0) return true;
        if (FindRange(prefix + "0") != PtxType.None || ranges.ContainsKey(prefix)) return false;
        if (numbered.TryGetValue(prefix, out var taken) && taken.Any(number => number < count)) return false;
        ranges.Add(prefix, (type, count));
        Remember(prefix + "0");
        return true;
    }

    /// <summary>What a name means here and in the scopes around: a <see cref="PtxVariable"/>, a label's index, a <see cref="PtxRegister"/>, or the type of a register not yet made.</summary>
    /// <param name="name">The name.</param>
    /// <param name="owner">The scope that has it.</param>
    public object? Find(string name, out PtxScope? owner)
    {
        for (owner = this; owner != null; owner = owner.Parent)
        {
            if (owner.names.TryGetValue(name, out object? what)) return what;
            var type = owner.FindRange(name);
            if (type != PtxType.None) return type;
        }
        return null;
    }

    /// <summary>Puts a register in place of its type.</summary>
    public void Made(PtxRegister register) => names[register.Name] = register;

    private PtxType FindRange(string name)
    {
        if (ranges.Count == 0) return PtxType.None;
        var byPrefix = ranges.GetAlternateLookup<ReadOnlySpan<char>>();
        for (int digits = 1; digits <= MaxDigits && digits < name.Length && char.IsAsciiDigit(name[^digits]); digits++)
        {
            if (!IsNumber(name, digits)) continue;
            if (byPrefix.TryGetValue(name.AsSpan(0, name.Length - digits), out var range) && int.Parse(name.AsSpan(name.Length - digits)) < range.Count) return range.Type;
        }
        return PtxType.None;
    }

    private void Remember(string name)
    {
        for (int digits = 1; digits <= MaxDigits && digits < name.Length && char.IsAsciiDigit(name[^digits]); digits++)
        {
            if (!IsNumber(name, digits)) continue;
            string prefix = name[..^digits];
            if (!numbered.TryGetValue(prefix, out var list)) numbered.Add(prefix, list = []);
            list.Add(int.Parse(name.AsSpan(name.Length - digits)));
        }
    }

    // The end of a name reads as a number without leading zeros.
    private static bool IsNumber(string name, int digits) => digits == 1 || name[^digits] != '0';
}
