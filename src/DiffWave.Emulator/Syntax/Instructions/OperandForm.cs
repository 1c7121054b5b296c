namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Kinds of operands a form may ask for.</summary>
internal enum OperandKind : byte
{
    /// <summary>A register, or where allowed a constant.</summary>
    Value,

    /// <summary>A destination <c>a|p</c> whose second part may be left out.</summary>
    Pair,

    /// <summary>A predicate that may be negated, or a constant.</summary>
    Predicate,

    /// <summary>Memory in square brackets.</summary>
    Address,

    /// <summary>A constant integer.</summary>
    Constant,

    /// <summary>A place to branch to.</summary>
    Label,

    /// <summary>What <c>mov</c> takes: registers, constants, special registers, addresses of variables, vectors.</summary>
    Anything,
}

/// <summary>One operand of an instruction form.</summary>
/// <param name="Kind">What may stand there.</param>
/// <param name="Type">Its type when that is fixed, else <see cref="PtxType.None"/>.</param>
/// <param name="TypeIndex">Which of the instruction's types it has when that is not fixed.</param>
internal sealed record OperandForm(OperandKind Kind, PtxType Type = PtxType.None, int TypeIndex = 0)
{
    /// <summary>A destination: no constant.</summary>
    public bool IsTarget { get; init; }

    /// <summary>Twice as wide as the instruction's type.</summary>
    public bool Doubled { get; init; }

    /// <summary>The register may be wider than the type.</summary>
    public bool MayBeWider { get; init; }

    /// <summary>Constants are refused.</summary>
    public bool RegisterOnly { get; init; }

    /// <summary>Special registers are allowed.</summary>
    public bool Special { get; init; }

    /// <summary>Elements in braces; 0: none; -1: as the modifier v2 or v4 says.</summary>
    public int Elements { get; init; }

    /// <summary>Smallest and largest constant.</summary>
    public (long Low, long High) Range { get; init; } = (long.MinValue, long.MaxValue);

    /// <summary>
    /// Reads the notation of the tables: <c>T U V W</c> the first to fourth type of the instruction, <c>TT</c> twice as wide as the first, or a type's name; before it <c>=</c> destination,
    /// <c>~</c> may be wider, <c>4*</c> that many in braces, <c>v*</c> as the vector modifier says; after it <c>!</c> no constants, <c>%</c> special registers too.
    /// <c>=T|p</c> a pair, <c>!p</c> a predicate that may be negated, <c>[]</c> memory, <c>#</c> or <c>#0..15</c> a constant, <c>label</c>, <c>mov</c>.
    /// </summary>
    public static OperandForm Read(string text)
    {
        switch (text)
        {
            case "!p": return new OperandForm(OperandKind.Predicate, PtxType.Pred);
            case "[]": return new OperandForm(OperandKind.Address);
            case "label": return new OperandForm(OperandKind.Label);
            case "mov": return new OperandForm(OperandKind.Anything);
        }
        if (text[0] == '#')
        {
            var constant = new OperandForm(OperandKind.Constant, PtxType.S64);
            int dots = text.IndexOf("..", StringComparison.Ordinal);
            return dots < 0 ? constant : constant with { Range = (long.Parse(text.AsSpan(1, dots - 1)), long.Parse(text.AsSpan(dots + 2))) };
        }
        bool target = text[0] == '=';
        string rest = target ? text[1..] : text;
        bool pair = rest.EndsWith("|p", StringComparison.Ordinal);
        if (pair) rest = rest[..^2];
        bool wider = rest[0] == '~';
        if (wider) rest = rest[1..];
        bool special = rest[^1] == '%', registerOnly = rest[^1] == '!';
        if (special || registerOnly) rest = rest[..^1];
        int star = rest.IndexOf('*');
        int elements = star < 0 ? 0 : rest[0] == 'v' ? -1 : int.Parse(rest.AsSpan(0, star));
        rest = rest[(star + 1)..];
        bool doubled = rest == "TT";
        int index = doubled ? 0 : rest.Length == 1 ? "TUVW".IndexOf(rest[0]) : -1;
        var type = index >= 0 ? PtxType.None : rest == "p" ? PtxType.Pred : PtxTypes.Find(rest);
        if (index < 0 && type == PtxType.None) throw new InvalidOperationException($"operand '{text}' of the instruction table");
        return new OperandForm(pair ? OperandKind.Pair : OperandKind.Value, type, Math.Max(0, index))
        {
            IsTarget = target, Doubled = doubled, MayBeWider = wider, RegisterOnly = registerOnly || target, Special = special, Elements = elements,
        };
    }
}
