namespace DiffWave.Emulator.Syntax;

/// <summary>Shapes of operands as the grammar sees them.</summary>
internal enum RawKind : byte
{
    /// <summary>A name, perhaps with a dot part (<c>%tid.x</c>), an offset (<c>tile+4</c>) or <c>!</c> before it.</summary>
    Name,

    /// <summary>A number.</summary>
    Number,

    /// <summary>Elements in braces.</summary>
    Vector,

    /// <summary>A name, number or both in square brackets.</summary>
    Address,

    /// <summary>Two names with a bar between.</summary>
    Pair,
}

/// <summary>An operand before its instruction says what it means.</summary>
internal sealed record RawOperand(RawKind Kind)
{
    /// <summary>The name, empty when there is none.</summary>
    public string Name { get; init; } = "";

    /// <summary>Right of the bar of a pair.</summary>
    public string Second { get; init; } = "";

    /// <summary>Written with <c>!</c>.</summary>
    public bool Negated { get; init; }

    /// <summary>Bytes added to a name.</summary>
    public long Offset { get; init; }

    /// <summary>An offset was written.</summary>
    public bool HasOffset { get; init; }

    /// <summary>The number.</summary>
    public PtxNumber Number { get; init; }

    /// <summary>Elements of a vector.</summary>
    public IReadOnlyList<RawOperand> Elements { get; init; } = [];

    /// <summary>Reads an operand.</summary>
    public static RawOperand Read(TokenReader tokens)
    {
        if (tokens.TakeSign('{'))
        {
            var elements = new List<RawOperand>();
            do
            {
                if (elements.Count == 8) throw new PtxException(tokens.Line, "a vector of more than 8 elements");
                elements.Add(ReadScalar(tokens));
            }
            while (tokens.TakeSign(','));
            tokens.Expect('}', "after a vector");
            return new RawOperand(RawKind.Vector) { Elements = elements };
        }
        if (tokens.TakeSign('['))
        {
            var inside = ReadScalar(tokens);
            if (inside.Negated || inside.Kind == RawKind.Pair) throw new PtxException(tokens.LineBefore, "no address");
            tokens.Expect(']', "after an address");
            if (inside.Kind == RawKind.Name) return inside with { Kind = RawKind.Address };
            if (inside.Number.IsFloat) throw new PtxException(tokens.LineBefore, "an address must be an integer");
            return new RawOperand(RawKind.Address) { Offset = (long)inside.Number.Integer };
        }
        return ReadScalar(tokens);
    }

    private static RawOperand ReadScalar(TokenReader tokens)
    {
        if (tokens.Next.Kind == TokenKind.Number || tokens.IsSign('-')) return new RawOperand(RawKind.Number) { Number = tokens.ExpectNumber("a number") };
        bool negated = tokens.TakeSign('!');
        string name = tokens.ExpectName("an operand");
        if (tokens.Next.Kind == TokenKind.Dotted) name += tokens.TextOf(tokens.Take());
        if (tokens.TakeSign('|')) return new RawOperand(RawKind.Pair) { Name = name, Second = tokens.ExpectName("a name after '|'"), Negated = negated };
        bool plus = tokens.IsSign('+'), minus = tokens.IsSign('-');
        if (plus) tokens.Take();
        long offset = plus || minus ? tokens.ExpectInteger("an offset", int.MinValue, uint.MaxValue) : 0;
        return new RawOperand(RawKind.Name) { Name = name, Negated = negated, Offset = offset, HasOffset = plus || minus };
    }
}
