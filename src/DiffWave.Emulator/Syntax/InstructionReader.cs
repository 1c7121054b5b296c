using DiffWave.Emulator.Syntax.Instructions;

namespace DiffWave.Emulator.Syntax;

/// <summary>Reads an instruction and checks it against the table.</summary>
internal sealed class InstructionReader(TokenReader tokens, EntryReader entry)
{
    private const int MaxModifiers = 24, MaxOperands = 8;

    public void Read()
    {
        int line = tokens.Line, start = tokens.Next.Start;
        var (guard, negated) = ReadGuard();
        if (tokens.Next.Kind != TokenKind.Name) throw new PtxException(tokens.Line, $"an instruction expected, found {tokens.Found()}");
        string opcode = tokens.TextOf(tokens.Take());
        var modifiers = new List<string>();
        while (tokens.Next.Kind == TokenKind.Dotted)
        {
            if (modifiers.Count == MaxModifiers) throw new PtxException(line, $"more than {MaxModifiers} modifiers");
            modifiers.Add(tokens.TextOf(tokens.Take())[1..]);
        }
        var candidates = FindForms(opcode, modifiers, line);
        var raw = ReadOperands();
        int end = tokens.Next.Start;
        tokens.Expect(';', $"after '{opcode}'");
        var form = candidates.Find(candidate => candidate.Operands.Length == raw.Count) ?? throw new PtxException(line,
            $"'{opcode}' takes {string.Join(" or ", candidates.Select(candidate => candidate.Operands.Length).Distinct().Order())} operands here, not {raw.Count}");
        CheckTarget(form, opcode, modifiers, line);
        var types = modifiers.Select(PtxTypes.Find).Where(type => type != PtxType.None).ToArray();
        var operands = new OperandResolver(entry, opcode, modifiers, types, line).Resolve(form, raw);
        entry.Add(new PtxInstruction
        {
            Opcode = opcode, Modifiers = modifiers, Types = types, Operands = operands, Guard = guard, GuardNegated = negated, Line = line, Text = tokens.TextBetween(start, end),
        });
    }

    private (PtxRegister? Guard, bool Negated) ReadGuard()
    {
        if (!tokens.TakeSign('@')) return (null, false);
        int line = tokens.LineBefore;
        bool negated = tokens.TakeSign('!');
        string name = tokens.ExpectName("a predicate after '@'");
        return entry.Find(name) switch
        {
            PtxRegister { Type: PtxType.Pred } register => (register, negated),
            null => throw new PtxException(line, $"'{name}' is not declared"),
            _ => throw new PtxException(line, $"the guard '{name}' is no predicate"),
        };
    }

    private static List<InstructionForm> FindForms(string opcode, List<string> modifiers, int line)
    {
        var forms = InstructionTable.Find(opcode);
        string full = modifiers.Count == 0 ? opcode : $"{opcode}.{string.Join('.', modifiers)}";
        if (forms == null) throw InstructionTable.IsBeyond(full) ? Beyond(full, line) : new PtxException(line, $"unknown instruction '{Short(full)}'");
        var fitting = new List<InstructionForm>();
        int furthest = -1;
        string? missing = null;
        foreach (var form in forms)
        {
            if (form.Matches(modifiers, out int matched, out string? expected)) fitting.Add(form);
            if (matched > furthest || (matched == furthest && missing == null)) (furthest, missing) = (matched, expected);
        }
        if (fitting.Count > 0) return fitting;
        if (InstructionTable.IsBeyond(full)) throw Beyond(full, line);
        throw new PtxException(line, furthest >= modifiers.Count ? $"'{Short(full)}' is incomplete: {missing} is missing"
            : $"'{Short(full)}': .{Short(modifiers[furthest])} is not allowed there{(missing == null ? "" : $", {missing} expected")}");
    }

    private static PtxException Beyond(string full, int line) => new(line, $"'{Short(full)}' is not supported by the emulator", supported: false);

    private static string Short(string text) => text.Length > 80 ? text[..80] + "..." : text;

    private List<RawOperand> ReadOperands()
    {
        var operands = new List<RawOperand>();
        if (tokens.IsSign(';')) return operands;
        do
        {
            if (operands.Count == MaxOperands) throw new PtxException(tokens.Line, $"more than {MaxOperands} operands");
            operands.Add(RawOperand.Read(tokens));
        }
        while (tokens.TakeSign(','));
        return operands;
    }

    private void CheckTarget(InstructionForm form, string opcode, List<string> modifiers, int line)
    {
        Require(form.Version, form.Sm, $"this form of '{opcode}'", line);
        foreach (string modifier in modifiers)
        {
            var (version, sm) = InstructionTable.Need(modifier);
            if (version > 0) Require(version, sm, $".{modifier}", line);
        }
    }

    private void Require(int version, int sm, string what, int line)
    {
        if (entry.Version < version) throw new PtxException(line, $"{what} needs PTX {version / 10}.{version % 10}, the text says {entry.Version / 10}.{entry.Version % 10}");
        if (entry.Target < sm) throw new PtxException(line, $"{what} needs sm_{sm}, the target is sm_{entry.Target}");
    }
}
