namespace DiffWave.Emulator.Syntax;

/// <summary>Reads what stands outside of kernels.</summary>
internal sealed class ModuleReader(TokenReader tokens)
{
    private const int MaxConstant = 64 * 1024;

    // First PTX version of each architecture, both as the texts write them without the dot.
    private static readonly Dictionary<int, int> Architectures = new()
    {
        [30] = 30, [32] = 40, [35] = 31, [37] = 41, [50] = 40, [52] = 41, [53] = 42, [60] = 50, [61] = 50, [62] = 50, [70] = 60, [72] = 61, [75] = 63, [80] = 70, [86] = 71, [87] = 74,
        [88] = 90, [89] = 78, [90] = 78, [100] = 86, [101] = 86, [103] = 88, [110] = 90, [120] = 87, [121] = 88,
    };

    private static readonly int[] Versions =
        [10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 30, 31, 32, 40, 41, 42, 43, 50, 60, 61, 62, 63, 64, 65, 70, 71, 72, 73, 74, 75, 76, 77, 78, 80, 81, 82, 83, 84, 85, 86, 87, 88, 90, 91];

    private readonly List<PtxVariable> variables = [];
    private readonly List<PtxEntry> entries = [];
    private readonly Dictionary<int, string> files = [];
    private readonly PtxScope scope = new(null);
    private readonly Dictionary<PtxSpace, long> sizes = [];
    private int version, target;
    private bool specific, hasAddressSize;

    /// <summary>PTX version as major * 10 + minor.</summary>
    public int Version => version;

    /// <summary>Architecture.</summary>
    public int Target => target;

    /// <summary>Names of the module.</summary>
    public PtxScope Scope => scope;

    /// <summary>Name of a source file.</summary>
    public string FileName(int index) => files.GetValueOrDefault(index, "");

    public PtxModule Read()
    {
        FindFiles();
        ReadVersion();
        ReadTarget();
        while (!tokens.AtEnd) ReadStatement();
        if (!hasAddressSize) throw new PtxException(1, ".address_size 64 is missing: the text would mean 32-bit addresses");
        return new PtxModule(version, target, specific, variables, entries);
    }

    /// <summary>Skips from an opening brace to the one that closes it.</summary>
    public static void SkipBraces(TokenReader tokens)
    {
        int line = tokens.Line;
        tokens.Expect('{', "before a section's contents");
        for (int depth = 1; depth > 0;)
        {
            if (tokens.AtEnd) throw new PtxException(line, "a '{' is never closed");
            if (tokens.TakeSign('{')) depth++;
            else if (tokens.TakeSign('}')) depth--;
            else tokens.Take();
        }
    }

    // The compiler writes .file after the kernels whose .loc lines name it.
    private void FindFiles()
    {
        foreach (var (index, name) in tokens.Files())
        {
            files[index] = name;
        }
    }

    private void ReadVersion()
    {
        int line = tokens.Line;
        if (!tokens.TakeDotted("version")) throw new PtxException(line, "the text must begin with .version");
        var text = tokens.Next.Kind == TokenKind.Number ? tokens.Span(tokens.Take()) : default;
        int dot = text.IndexOf('.');
        if (dot < 1 || text.Length != dot + 2 || !int.TryParse(text[..dot], out int major) || !int.TryParse(text[(dot + 1)..], out int minor) || !Versions.Contains(major * 10 + minor))
            throw new PtxException(line, $"'.version {text}' is no version of PTX");
        version = major * 10 + minor;
    }

    private void ReadTarget()
    {
        int line = tokens.Line;
        if (!tokens.TakeDotted("target")) throw new PtxException(line, ".target must follow .version");
        string name = tokens.ExpectName("an architecture such as sm_90");
        specific = name.EndsWith('a');
        if (!name.StartsWith("sm_", StringComparison.Ordinal) || !int.TryParse(name.AsSpan(3).TrimEnd("af"), out target) || !Architectures.TryGetValue(target, out int since))
            throw new PtxException(line, $"unknown architecture '{name}'");
        if (name.EndsWith('f') && version < 88) throw new PtxException(line, $"'{name}' needs PTX 8.8");
        if (specific && target < 90) throw new PtxException(line, $"unknown architecture '{name}': architecture-specific targets start with sm_90a");
        if (version < since) throw new PtxException(line, $"{name} needs PTX {since / 10}.{since % 10}, the text says {version / 10}.{version % 10}");
        while (tokens.TakeSign(','))
        {
            line = tokens.Line;
            string option = tokens.ExpectName("a target option");
            if (option is "texmode_unified" or "texmode_independent" or "debug") continue;
            throw new PtxException(line, option == "map_f64_to_f32" ? "map_f64_to_f32 is not supported" : $"unknown target option '{option}'", option != "map_f64_to_f32");
        }
    }

    private void ReadStatement()
    {
        int line = tokens.Line;
        if (tokens.Next.Kind != TokenKind.Dotted) throw new PtxException(line, $"a directive expected, found {tokens.Found()}");
        if (tokens.TakeDotted("address_size"))
        {
            long size = tokens.ExpectInteger("the address size", 0, 64);
            if (size is not (32 or 64)) throw new PtxException(line, $"address size {size} is neither 32 nor 64");
            if (size == 32) throw new PtxException(line, "32-bit addresses are not supported", supported: false);
            hasAddressSize = true;
            return;
        }
        if (tokens.TakeDotted("file"))
        {
            SkipFile();
            return;
        }
        if (tokens.TakeDotted("section"))
        {
            tokens.Take();
            SkipBraces(tokens);
            return;
        }
        if (tokens.TakeDotted("pragma"))
        {
            tokens.ExpectText("a pragma in quotes");
            tokens.Expect(';', "after .pragma");
            return;
        }
        if (tokens.IsDotted("version") || tokens.IsDotted("target")) throw new PtxException(line, $"a second {tokens.Found()}");
        ReadLinked(line);
    }

    private void ReadLinked(int line)
    {
        bool isExtern = false, linked = false;
        if (tokens.TakeDotted("extern")) linked = isExtern = true;
        else linked = tokens.TakeDotted("visible") || tokens.TakeDotted("weak") || tokens.TakeDotted("common");
        if (tokens.TakeDotted("entry"))
        {
            if (!hasAddressSize) throw new PtxException(line, ".address_size 64 must come before the kernels: the text would mean 32-bit addresses");
            if (isExtern) throw new PtxException(line, "a kernel cannot be .extern");
            entries.Add(new EntryReader(tokens, this).Read());
            return;
        }
        if (tokens.IsDotted("func") || tokens.IsDotted("alias")) throw new PtxException(line, "device functions and calls are not supported: inline them", supported: false);
        if (VariableReader.Space(tokens) is { } space)
        {
            if (space is PtxSpace.Register or PtxSpace.Local or PtxSpace.Parameter) throw new PtxException(line, $"{tokens.Found()} outside of a kernel");
            if (isExtern && space != PtxSpace.Shared) throw new PtxException(line, "external variables other than dynamic shared memory are not supported", supported: false);
            new VariableReader(tokens, scope, sizes, variables).Read(space, isExtern);
            if (sizes.GetValueOrDefault(PtxSpace.Constant) > MaxConstant) throw new PtxException(line, $"constants of {sizes[PtxSpace.Constant]} bytes, more than {MaxConstant}");
            return;
        }
        if (tokens.IsDotted("tex") || tokens.IsDotted("attribute")) throw new PtxException(line, $"{tokens.Found()} is not supported", supported: false);
        throw new PtxException(line, linked ? $".entry or a state space expected, found {tokens.Found()}" : $"unknown directive {tokens.Found()}");
    }

    private void SkipFile()
    {
        tokens.ExpectInteger("the index of the file", 0, int.MaxValue);
        tokens.ExpectText("the name of the file");
        for (int i = 0; i < 2 && tokens.TakeSign(','); i++) tokens.ExpectNumber("the file's time or size");
    }
}
