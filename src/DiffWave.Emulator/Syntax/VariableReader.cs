namespace DiffWave.Emulator.Syntax;

/// <summary>Reads declarations of memory: <c>.shared .align 16 .b8 tile[1024];</c></summary>
internal sealed class VariableReader(TokenReader tokens, PtxScope scope, Dictionary<PtxSpace, long> sizes, List<PtxVariable> variables)
{
    private const long MaxSize = 1L << 40, MaxInitial = 1 << 26;

    /// <summary>The state space the next token names, or null; the token stays.</summary>
    public static PtxSpace? Space(TokenReader tokens) => tokens.Next.Kind != TokenKind.Dotted ? null : tokens.Span(tokens.Next) switch
    {
        ".reg" => PtxSpace.Register,
        ".shared" => PtxSpace.Shared,
        ".local" => PtxSpace.Local,
        ".global" => PtxSpace.Global,
        ".const" => PtxSpace.Constant,
        ".param" => PtxSpace.Parameter,
        _ => null,
    };

    /// <summary>Reads one declaration, from its state space to the semicolon.</summary>
    public void Read(PtxSpace space, bool isExtern)
    {
        tokens.Take();
        if (tokens.IsDotted("attribute")) throw new PtxException(tokens.Line, "variable attributes are not supported", supported: false);
        int alignment = ReadAlignment(), vector = tokens.TakeDotted("v2") ? 2 : tokens.TakeDotted("v4") ? 4 : 1;
        var type = ReadType("a variable");
        int bytes = type.Bytes() * vector;
        if (bytes > 16) throw new PtxException(tokens.Line, $"vector of {bytes} bytes, more than 16");
        if (type == PtxType.Pred) throw new PtxException(tokens.Line, "a predicate cannot live in memory");
        do
        {
            int line = tokens.Line;
            string name = tokens.ExpectName("the name of a variable");
            var (size, open) = ReadSize(bytes);
            if (open && !isExtern && !tokens.IsSign('=')) throw new PtxException(line, $"'{name}' has no length and is not .extern");
            byte[]? initial = tokens.TakeSign('=') ? ReadInitial(space, type, ref size, open, line) : null;
            int align = Math.Max(alignment, bytes);
            if (alignment > 0 && alignment < bytes && vector == 1 && space != PtxSpace.Parameter) align = alignment;
            long offset = isExtern ? 0 : (sizes.GetValueOrDefault(space) + align - 1) / align * align;
            var variable = new PtxVariable(name, space, type, align, open && isExtern ? 0 : size, offset, isExtern, initial);
            if (!scope.Declare(name, variable)) throw new PtxException(line, $"'{name}' is declared twice");
            if (!isExtern) sizes[space] = offset + size;
            variables.Add(variable);
        }
        while (tokens.TakeSign(','));
        tokens.Expect(';', "after a declaration");
    }

    /// <summary>Reads <c>.align n</c>, 0 when there is none.</summary>
    public int ReadAlignment()
    {
        if (!tokens.TakeDotted("align")) return 0;
        int line = tokens.Line;
        long value = tokens.ExpectInteger("an alignment", 1, 1 << 20);
        return long.IsPow2(value) ? (int)value : throw new PtxException(line, $"alignment {value} is no power of two");
    }

    /// <summary>Reads a type that can be declared.</summary>
    public PtxType ReadType(string what)
    {
        int line = tokens.Line;
        if (tokens.Next.Kind != TokenKind.Dotted) throw new PtxException(tokens.LineBefore, $"the type of {what} expected, found {tokens.Found()}");
        string name = tokens.TextOf(tokens.Next)[1..];
        var type = PtxTypes.Find(name);
        if (!type.IsDeclarable()) throw new PtxException(line, $"'.{name}' cannot be the type of {what}", supported: type != PtxType.B128);
        tokens.Take();
        return type;
    }

    /// <summary>Reads <c>[n][m]..</c>.</summary>
    /// <returns>Bytes, and whether the first length is left out.</returns>
    public (long Size, bool Open) ReadSize(int bytes)
    {
        long size = bytes;
        bool open = false;
        for (int dimension = 0; tokens.TakeSign('['); dimension++)
        {
            if (dimension == 0 && tokens.TakeSign(']'))
            {
                open = true;
                continue;
            }
            long length = tokens.ExpectInteger("the length of an array", 1, MaxSize);
            if (length > MaxSize / size) throw new PtxException(tokens.LineBefore, $"an array of more than {MaxSize} bytes");
            size *= length;
            tokens.Expect(']', "after the length of an array");
        }
        return (size, open);
    }

    private byte[] ReadInitial(PtxSpace space, PtxType type, ref long size, bool open, int line)
    {
        if (space is not (PtxSpace.Global or PtxSpace.Constant)) throw new PtxException(line, "only .global and .const variables have initial values");
        if (size > MaxInitial) throw new PtxException(line, $"initial values of {size} bytes are not supported", supported: false);
        var values = new List<byte>();
        ReadValues(type, values, 0);
        if (open) size = values.Count;
        if (values.Count > size) throw new PtxException(line, $"initial values of {values.Count} bytes for a variable of {size}");
        byte[] initial = new byte[size];
        values.CopyTo(initial);
        return initial;
    }

    private void ReadValues(PtxType type, List<byte> values, int depth)
    {
        if (depth > 4) throw new PtxException(tokens.Line, "initial values nested too deep", supported: false);
        if (tokens.TakeSign('{'))
        {
            do ReadValues(type, values, depth + 1);
            while (tokens.TakeSign(','));
            tokens.Expect('}', "after initial values");
            return;
        }
        int line = tokens.Line;
        if (tokens.Next.Kind == TokenKind.Name) throw new PtxException(line, "addresses as initial values are not supported", supported: false);
        var number = tokens.ExpectNumber("an initial value");
        if (type.IsFloat() != number.IsFloat && !(type.IsUntyped() && type.Bits() >= 32)) throw new PtxException(line, $"initial value of the wrong kind for .{type.Name()}");
        ulong bits = number.BitsFor(type);
        for (int i = 0; i < type.Bytes(); i++) values.Add((byte)(bits >> 8 * i));
    }
}
