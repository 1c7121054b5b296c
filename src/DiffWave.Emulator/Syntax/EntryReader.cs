namespace DiffWave.Emulator.Syntax;

/// <summary>Reads a kernel.</summary>
internal sealed class EntryReader(TokenReader tokens, ModuleReader module)
{
    private const int MaxDepth = 32, MaxStaticShared = 48 * 1024, MaxThreads = 1024;

    private readonly List<PtxVariable> parameters = [], variables = [];
    private readonly List<PtxRegister> registers = [];
    private readonly List<PtxInstruction> instructions = [];
    private readonly List<(int Instruction, string Label, PtxScope Scope)> branches = [];
    private readonly Dictionary<PtxSpace, long> sizes = [];
    private readonly HashSet<PtxVariable> moduleShared = [];
    private PtxScope scope = new(module.Scope);
    private SourceLine source;

    /// <summary>PTX version of the module.</summary>
    public int Version => module.Version;

    /// <summary>Architecture of the module.</summary>
    public int Target => module.Target;

    public PtxEntry Read()
    {
        int line = tokens.Line;
        string name = tokens.ExpectName("the name of a kernel");
        if (!module.Scope.Declare(name, this)) throw new PtxException(line, $"'{name}' is declared twice");
        ReadParameters();
        (int X, int Y, int Z)? required = null;
        int? maxThreads = null, minBlocks = null, maxRegisters = null;
        while (!tokens.IsSign('{'))
        {
            int directive = tokens.Line;
            if (tokens.TakeDotted("reqntid")) required = ReadThreads(".reqntid");
            else if (tokens.TakeDotted("maxntid")) maxThreads = ReadThreads(".maxntid") is var (x, y, z) ? x * y * z : 0;
            else if (tokens.TakeDotted("minnctapersm")) minBlocks = (int)tokens.ExpectInteger(".minnctapersm", 1, 1 << 20);
            else if (tokens.TakeDotted("maxnctapersm")) tokens.ExpectInteger(".maxnctapersm", 1, 1 << 20);
            else if (tokens.TakeDotted("maxnreg")) maxRegisters = (int)tokens.ExpectInteger(".maxnreg", 1, 1 << 16);
            else if (tokens.TakeDotted("pragma")) SkipPragma();
            else if (tokens.IsDotted("explicitcluster") || tokens.IsDotted("reqnctapercluster") || tokens.IsDotted("maxclusterrank")) throw new PtxException(directive, "clusters are not supported", supported: false);
            else throw new PtxException(tokens.LineBefore, $"the kernel's '{{' expected, found {tokens.Found()}");
        }
        if (required != null && maxThreads != null) throw new PtxException(line, ".reqntid and .maxntid together");
        ReadBody();
        FindLabels();
        CheckShared(name, line);
        return new PtxEntry
        {
            Name = name, Parameters = parameters, Registers = registers, Variables = variables, Instructions = instructions,
            RequiredThreads = required, MaxThreads = maxThreads, MinBlocks = minBlocks, MaxRegisters = maxRegisters,
        };
    }

    /// <summary>What a name means where we are, with registers made at their first use; null when nothing.</summary>
    public object? Find(string name)
    {
        object? what = scope.Find(name, out var owner);
        if (what is PtxType type)
        {
            var register = new PtxRegister(name, type, registers.Count);
            registers.Add(register);
            owner!.Made(register);
            return register;
        }
        if (what is PtxVariable { Space: PtxSpace.Shared } variable && owner == module.Scope) moduleShared.Add(variable);
        return what;
    }

    /// <summary>Adds an instruction.</summary>
    public void Add(PtxInstruction instruction)
    {
        if (instruction.Operands is [LabelOperand label]) branches.Add((instructions.Count, label.Name, scope));
        instructions.Add(instruction with { Source = source });
    }

    private void ReadParameters()
    {
        if (!tokens.TakeSign('(')) return;
        if (tokens.TakeSign(')')) return;
        int limit = Version >= 81 && Target >= 70 ? 32764 : 4352;
        long end = 0;
        do
        {
            int line = tokens.Line;
            if (!tokens.TakeDotted("param")) throw new PtxException(line, $".param expected, found {tokens.Found()}");
            var reader = new VariableReader(tokens, scope, sizes, parameters);
            int alignment = reader.ReadAlignment();
            var type = reader.ReadType("a parameter");
            if (type == PtxType.Pred) throw new PtxException(line, "a parameter cannot be a predicate");
            ReadPointer();
            if (alignment == 0) alignment = reader.ReadAlignment();
            string name = tokens.ExpectName("the name of a parameter");
            var (size, open) = reader.ReadSize(type.Bytes());
            if (open) throw new PtxException(line, $"parameter '{name}' has no length");
            alignment = Math.Max(alignment, type.Bytes());
            long offset = (end + alignment - 1) / alignment * alignment;
            end = offset + size;
            if (end > limit) throw new PtxException(line, $"parameters of {end} bytes, more than {limit}");
            var variable = new PtxVariable(name, PtxSpace.Parameter, type, alignment, size, offset, false, null);
            if (!scope.Declare(name, variable)) throw new PtxException(line, $"'{name}' is declared twice");
            parameters.Add(variable);
        }
        while (tokens.TakeSign(','));
        tokens.Expect(')', "after the parameters");
    }

    // What a pointer parameter points to: a hint.
    private void ReadPointer()
    {
        if (!tokens.TakeDotted("ptr")) return;
        if (VariableReader.Space(tokens) is PtxSpace.Global or PtxSpace.Constant or PtxSpace.Local or PtxSpace.Shared) tokens.Take();
        new VariableReader(tokens, scope, sizes, parameters).ReadAlignment();
    }

    private (int X, int Y, int Z) ReadThreads(string directive)
    {
        int line = tokens.Line;
        long[] sizes = [1, 1, 1];
        int count = 0;
        do sizes[count++] = tokens.ExpectInteger(directive, 1, 1 << 20);
        while (count < 3 && tokens.TakeSign(','));
        if (sizes[0] * sizes[1] * sizes[2] > MaxThreads) throw new PtxException(line, $"{directive} of {sizes[0] * sizes[1] * sizes[2]} threads, more than {MaxThreads}");
        return ((int)sizes[0], (int)sizes[1], (int)sizes[2]);
    }

    private void ReadBody()
    {
        int line = tokens.Line;
        tokens.Expect('{', "before the kernel's body");
        while (scope != module.Scope)
        {
            if (tokens.AtEnd) throw new PtxException(line, "the kernel's '{' is never closed");
            if (tokens.TakeSign('{')) scope = scope.Depth < MaxDepth ? new PtxScope(scope) : throw new PtxException(tokens.LineBefore, "braces nested too deep", supported: false);
            else if (tokens.TakeSign('}')) scope = scope.Parent!;
            else if (tokens.Next.Kind == TokenKind.Dotted) ReadDirective();
            else if (tokens.Next.Kind == TokenKind.Name && tokens.IsSign(':', 1)) ReadLabel();
            else new InstructionReader(tokens, this).Read();
        }
    }

    private void ReadLabel()
    {
        int line = tokens.Line;
        string name = tokens.TextOf(tokens.Take());
        tokens.Take();
        if (!scope.Declare(name, instructions.Count)) throw new PtxException(line, $"'{name}' is declared twice");
    }

    private void ReadDirective()
    {
        int line = tokens.Line;
        if (tokens.TakeDotted("loc")) ReadLocation();
        else if (tokens.TakeDotted("pragma")) SkipPragma();
        else if (tokens.IsDotted("reg")) ReadRegisters();
        else if (tokens.IsDotted("extern")) throw new PtxException(line, ".extern inside a kernel is not supported", supported: false);
        else if (VariableReader.Space(tokens) is { } space)
        {
            if (space is PtxSpace.Constant or PtxSpace.Parameter) throw new PtxException(line, $"{tokens.Found()} inside a kernel is not supported", supported: false);
            new VariableReader(tokens, scope, sizes, variables).Read(space, isExtern: false);
        }
        else if (tokens.IsDotted("branchtargets") || tokens.IsDotted("calltargets") || tokens.IsDotted("callprototype")) throw new PtxException(line, $"{tokens.Found()} is not supported", supported: false);
        else throw new PtxException(line, $"unknown directive {tokens.Found()}");
    }

    private void ReadLocation()
    {
        int file = (int)tokens.ExpectInteger("the file of .loc", 0, int.MaxValue), row = (int)tokens.ExpectInteger("the line of .loc", 0, int.MaxValue);
        tokens.ExpectInteger("the column of .loc", 0, int.MaxValue);
        source = new SourceLine(module.FileName(file), row);
        while (tokens.TakeSign(','))
        {
            string part = tokens.ExpectName("function_name or inlined_at");
            if (part == "function_name")
            {
                tokens.ExpectName("a label");
                if (tokens.TakeSign('+')) tokens.ExpectNumber("an offset");
            }
            else if (part == "inlined_at")
            {
                for (int i = 0; i < 3; i++) tokens.ExpectNumber("a place");
            }
            else
            {
                throw new PtxException(tokens.LineBefore, $"unknown part '{part}' of .loc");
            }
        }
    }

    private void SkipPragma()
    {
        tokens.ExpectText("a pragma in quotes");
        tokens.Expect(';', "after .pragma");
    }

    private void ReadRegisters()
    {
        tokens.Take();
        if (tokens.IsDotted("v2") || tokens.IsDotted("v4")) throw new PtxException(tokens.Line, "vector registers are not supported: use scalar ones in braces", supported: false);
        var type = new VariableReader(tokens, scope, sizes, variables).ReadType("a register");
        do
        {
            int line = tokens.Line;
            string name = tokens.ExpectName("the name of a register");
            bool free;
            if (tokens.TakeSign('<'))
            {
                int count = (int)tokens.ExpectInteger("the number of registers", 1, int.MaxValue);
                tokens.Expect('>', "after the number of registers");
                free = scope.DeclareRange(name, type, count);
            }
            else
            {
                free = scope.Declare(name, type);
            }
            if (!free) throw new PtxException(line, $"'{name}' is declared twice");
        }
        while (tokens.TakeSign(','));
        tokens.Expect(';', "after a declaration");
    }

    private void FindLabels()
    {
        foreach (var (index, name, from) in branches)
        {
            var instruction = instructions[index];
            instructions[index] = from.Find(name, out _) is int target ? instruction with { Operands = [new LabelOperand(target, name)] }
                : throw new PtxException(instruction.Line, $"no label '{name}' in reach");
        }
    }

    private void CheckShared(string name, int line)
    {
        long bytes = sizes.GetValueOrDefault(PtxSpace.Shared) + moduleShared.Where(variable => !variable.IsExtern).Sum(variable => variable.Size);
        if (bytes > MaxStaticShared) throw new PtxException(line, $"kernel '{name}' has {bytes} bytes of static shared memory, more than {MaxStaticShared}");
    }
}
