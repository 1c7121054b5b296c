namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>One form of an instruction: its modifiers in order, its operands, and from which PTX version and architecture on it exists.</summary>
internal sealed class InstructionForm
{
    private readonly Group[] groups;

    private InstructionForm(Group[] groups, OperandForm[] operands, int version, int sm)
        => (this.groups, Operands, Version, Sm) = (groups, operands, version, sm);

    /// <summary>Operands in order, destinations first.</summary>
    public OperandForm[] Operands { get; }

    /// <summary>First PTX version, as major * 10 + minor.</summary>
    public int Version { get; }

    /// <summary>First architecture.</summary>
    public int Sm { get; }

    /// <summary>Reads a row of the tables: modifiers separated by spaces, <c>a|b</c> for a choice, <c>?</c> after one that may be left out, <c>&lt;name&gt;</c> for a named choice; then a colon
    /// and the operands; then perhaps a semicolon and the first version and architecture, e.g. <c>; ptx70 sm80</c>.</summary>
    public static InstructionForm Read(string row)
    {
        string[] parts = row.Split(';', StringSplitOptions.TrimEntries);
        string form = " " + parts[0]; // so that the colon always has a space before it, unlike the colons in names
        int colon = form.IndexOf(" :", StringComparison.Ordinal);
        var groups = form[..colon].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Group.Read).ToArray();
        var operands = form[(colon + 2)..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(OperandForm.Read).ToArray();
        int version = 0, sm = 0;
        foreach (string need in parts.Length > 1 ? parts[1].Split(' ') : [])
        {
            if (need.StartsWith("ptx", StringComparison.Ordinal)) version = int.Parse(need.AsSpan(3));
            else if (need.StartsWith("sm", StringComparison.Ordinal)) sm = int.Parse(need.AsSpan(2));
            else throw new InvalidOperationException($"row '{row}' of the instruction table");
        }
        return new InstructionForm(groups, operands, version, sm);
    }

    /// <summary>Whether an instruction has these modifiers.</summary>
    /// <param name="modifiers">Modifiers in order.</param>
    /// <param name="matched">How many of them fit before the first that does not.</param>
    /// <param name="missing">What should have stood there, when something must; else null.</param>
    public bool Matches(IReadOnlyList<string> modifiers, out int matched, out string? missing)
    {
        matched = 0;
        missing = null;
        foreach (var group in groups)
        {
            if (matched < modifiers.Count && group.Choices.Contains(modifiers[matched]))
            {
                matched++;
            }
            else if (!group.Optional)
            {
                missing = string.Join(" or ", group.Choices.Order(StringComparer.Ordinal).Select(choice => "." + choice));
                return false;
            }
        }
        return matched == modifiers.Count;
    }

    private sealed record Group(HashSet<string> Choices, bool Optional)
    {
        public static Group Read(string text)
        {
            bool optional = text.EndsWith('?');
            string body = optional ? text[..^1] : text;
            var choices = body.Split('|').SelectMany(choice => choice[0] == '<' ? InstructionTable.Choices(choice[1..^1]) : [choice]);
            return new Group([.. choices], optional);
        }
    }
}
