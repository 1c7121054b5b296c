namespace DiffWave.Emulator.Syntax;

/// <summary>Kinds of tokens.</summary>
internal enum TokenKind : byte
{
    /// <summary>The end of the text.</summary>
    End,

    /// <summary>A name, perhaps with a percent or dollar sign first.</summary>
    Name,

    /// <summary>A dot and what belongs to it, e.g. <c>.f32</c> or <c>.L2::128B</c>.</summary>
    Dotted,

    /// <summary>A number.</summary>
    Number,

    /// <summary>Text in quotes.</summary>
    Text,

    /// <summary>One punctuation character.</summary>
    Sign,
}

/// <summary>A token: a stretch of the text.</summary>
internal readonly record struct Token(TokenKind Kind, int Start, int End, int Line);

/// <summary>Cuts PTX text into tokens.</summary>
internal static class PtxLexer
{
    /// <summary>Characters a text may have.</summary>
    public const int MaxLength = 1 << 24;

    private const int MaxWord = 1 << 14;

    private const string Signs = ",;:{}[]()<>@!|+-=*/%&^~?";

    /// <summary>The tokens, an <see cref="TokenKind.End"/> last.</summary>
    public static List<Token> Read(string text)
    {
        if (text.Length > MaxLength) throw new PtxException(1, $"text of {text.Length} characters, more than {MaxLength}", supported: false);
        var tokens = new List<Token>(text.Length / 4 + 1);
        int at = 0, line = 1;
        while (true)
        {
            SkipSpace(text, ref at, ref line);
            if (at >= text.Length) break;
            int start = at;
            char first = text[at];
            TokenKind kind;
            if (char.IsAsciiDigit(first))
            {
                kind = TokenKind.Number;
                at = NumberEnd(text, at);
            }
            else if (IsNameStart(first) || (first == '%' && at + 1 < text.Length && IsNameStart(text[at + 1])))
            {
                kind = TokenKind.Name;
                at = NameEnd(text, at + 1);
            }
            else if (first == '.')
            {
                kind = TokenKind.Dotted;
                at = DottedEnd(text, at);
                if (at == start + 1) throw new PtxException(line, "a dot with nothing after it");
            }
            else if (first == '"')
            {
                kind = TokenKind.Text;
                at = text.AsSpan(start + 1).IndexOfAny('"', '\n');
                if (at < 0 || text[start + 1 + at] == '\n') throw new PtxException(line, "text in quotes does not end on its line");
                at += start + 2;
            }
            else if (Signs.Contains(first))
            {
                kind = TokenKind.Sign;
                at++;
            }
            else
            {
                throw new PtxException(line, first is > ' ' and < (char)127 ? $"unexpected character '{first}'" : $"unexpected character U+{(int)first:X4}");
            }
            if (at - start > MaxWord && kind != TokenKind.Text) throw new PtxException(line, $"a word of {at - start} characters", supported: false);
            tokens.Add(new Token(kind, start, at, line));
        }
        tokens.Add(new Token(TokenKind.End, text.Length, text.Length, line));
        return tokens;
    }

    private static void SkipSpace(string text, ref int at, ref int line)
    {
        while (at < text.Length)
        {
            char c = text[at];
            if (c == '\n') line++;
            if (c is ' ' or '\t' or '\r' or '\n' or '\f' or '\v')
            {
                at++;
            }
            else if (c == '/' && at + 1 < text.Length && text[at + 1] == '/')
            {
                int end = text.IndexOf('\n', at);
                at = end < 0 ? text.Length : end;
            }
            else if (c == '/' && at + 1 < text.Length && text[at + 1] == '*')
            {
                int end = text.IndexOf("*/", at + 2, StringComparison.Ordinal);
                if (end < 0) throw new PtxException(line, "a comment does not end");
                line += text.AsSpan(at, end - at).Count('\n');
                at = end + 2;
            }
            else
            {
                return;
            }
        }
    }

    private static bool IsNameStart(char c) => char.IsAsciiLetter(c) || c is '_' or '$';

    private static bool IsNamePart(char c) => char.IsAsciiLetterOrDigit(c) || c is '_' or '$';

    private static int NameEnd(string text, int at)
    {
        while (at < text.Length && IsNamePart(text[at])) at++;
        return at;
    }

    // Modifiers such as .shared::cta and .L1::no_allocate are one word.
    private static int DottedEnd(string text, int at)
    {
        at = NameEnd(text, at + 1);
        while (at + 2 < text.Length && text[at] == ':' && text[at + 1] == ':' && IsNamePart(text[at + 2])) at = NameEnd(text, at + 2);
        return at;
    }

    private static int NumberEnd(string text, int at)
    {
        bool plainZero = text[at] == '0' && at + 1 < text.Length && text[at + 1] is 'x' or 'X' or 'f' or 'F' or 'd' or 'D' or 'b' or 'B';
        if (plainZero) return NameEnd(text, at + 2);
        while (at < text.Length && char.IsAsciiDigit(text[at])) at++;
        if (at + 1 < text.Length && text[at] == '.' && char.IsAsciiDigit(text[at + 1]))
        {
            at++;
            while (at < text.Length && char.IsAsciiDigit(text[at])) at++;
        }
        if (at < text.Length && text[at] is 'e' or 'E')
        {
            int digits = at + 1 < text.Length && text[at + 1] is '+' or '-' ? at + 2 : at + 1;
            if (digits < text.Length && char.IsAsciiDigit(text[digits])) at = digits;
        }
        return NameEnd(text, at);
    }
}
