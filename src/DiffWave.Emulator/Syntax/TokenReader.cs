namespace DiffWave.Emulator.Syntax;

/// <summary>Walks over the tokens of a text.</summary>
internal sealed class TokenReader(string text)
{
    private readonly List<Token> tokens = PtxLexer.Read(text);
    private int at;

    /// <summary>The next token.</summary>
    public Token Next => tokens[at];

    /// <summary>Line of the next token.</summary>
    public int Line => Next.Line;

    /// <summary>Line where the token before the next one ends: where something missing should have stood.</summary>
    public int LineBefore => at == 0 ? 1 : tokens[at - 1].Line;

    public bool AtEnd => Next.Kind == TokenKind.End;

    public ReadOnlySpan<char> Span(Token token) => text.AsSpan(token.Start, token.End - token.Start);

    public string TextOf(Token token) => text[token.Start..token.End];

    /// <summary>The text from one token's start to another's.</summary>
    public string TextBetween(int start, int end)
    {
        var span = text.AsSpan(start, end - start).Trim();
        return span.IndexOfAny("\t\r\n") < 0 ? span.ToString() : string.Join(' ', span.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    public Token Take()
    {
        var token = tokens[at];
        if (token.Kind != TokenKind.End) at++;
        return token;
    }

    public bool IsSign(char sign, int ahead = 0)
    {
        var token = tokens[Math.Min(at + ahead, tokens.Count - 1)];
        return token.Kind == TokenKind.Sign && text[token.Start] == sign;
    }

    public bool TakeSign(char sign)
    {
        if (!IsSign(sign)) return false;
        at++;
        return true;
    }

    public void Expect(char sign, string where)
    {
        if (!TakeSign(sign)) throw new PtxException(LineBefore, $"'{sign}' expected {where}, found {Found()}");
    }

    public bool IsDotted(string word) => Next.Kind == TokenKind.Dotted && Span(Next)[1..].SequenceEqual(word);

    public bool TakeDotted(string word)
    {
        if (!IsDotted(word)) return false;
        at++;
        return true;
    }

    public string ExpectName(string what)
    {
        if (Next.Kind != TokenKind.Name) throw new PtxException(LineBefore, $"{what} expected, found {Found()}");
        return TextOf(Take());
    }

    public string ExpectText(string what)
    {
        if (Next.Kind != TokenKind.Text) throw new PtxException(LineBefore, $"{what} expected, found {Found()}");
        return TextOf(Take())[1..^1];
    }

    /// <summary>Takes a number, perhaps with a minus sign.</summary>
    public PtxNumber ExpectNumber(string what)
    {
        bool negative = TakeSign('-');
        if (Next.Kind != TokenKind.Number) throw new PtxException(LineBefore, $"{what} expected, found {Found()}");
        int line = Line;
        var number = PtxNumber.Read(Span(Take()), line);
        return negative ? number.Negated() : number;
    }

    /// <summary>Takes an integer from <paramref name="low"/> to <paramref name="high"/>.</summary>
    public long ExpectInteger(string what, long low, long high)
    {
        int line = Line;
        var number = ExpectNumber(what);
        if (number.IsFloat) throw new PtxException(line, $"{what} must be an integer");
        long value = (long)number.Integer;
        return value >= low && value <= high ? value : throw new PtxException(line, $"{what} is {value}, outside {low} to {high}");
    }

    /// <summary>All <c>.file</c> directives, wherever they stand.</summary>
    public IEnumerable<(int Index, string Name)> Files()
    {
        for (int i = 0; i + 2 < tokens.Count; i++)
        {
            if (tokens[i].Kind == TokenKind.Dotted && tokens[i + 1].Kind == TokenKind.Number && tokens[i + 2].Kind == TokenKind.Text && Span(tokens[i]).SequenceEqual(".file")
                && int.TryParse(Span(tokens[i + 1]), out int index))
                yield return (index, TextOf(tokens[i + 2])[1..^1]);
        }
    }

    /// <summary>The next token for a message.</summary>
    public string Found()
    {
        if (AtEnd) return "the end of the text";
        var span = Span(Next);
        return span.Length > 40 ? $"'{span[..40]}...'" : $"'{span}'";
    }
}
