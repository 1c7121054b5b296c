using System.Runtime.InteropServices;
using DiffWave.Emulator.Execution;
using DiffWave.Emulator.Syntax;
using DiffWave.Emulator.Syntax.Instructions;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>No holes: whatever the parser's table allows is executed, or refused by name.</summary>
public sealed unsafe class CoverageTests
{
    private const int Lanes = 32, SlotBytes = 256;
    private const uint SomeLanes = 0x8F0C1235;

    /// <summary>What the executor does itself.</summary>
    private static readonly string[] Executor =
    [
        "atom", "bar", "barrier", "bra", "brkpt", "cp", "cvta", "exit", "fence", "griddepcontrol", "isspacep", "ld", "ldmatrix", "ldu", "membar", "nanosleep", "prefetch", "prefetchu", "red", "ret", "st",
        "stmatrix", "trap",
    ];

    /// <summary>The carry of extended-precision arithmetic is no register, and not emulated.</summary>
    private static readonly string[] Refused = ["add.cc", "addc", "mad.hi.cc", "mad.lo.cc", "madc", "sub.cc", "subc"];

    private static readonly string[] AcrossLanes = ["shfl", "vote", "match", "redux", "activemask", "mma"];

    private static IEnumerable<(string Opcodes, string[] Forms)> Rows =>
        [.. IntegerForms.Rows, .. FloatForms.Rows, .. ComparisonForms.Rows, .. ConversionForms.Rows, .. WarpForms.Rows, .. MatrixForms.Rows, .. MemoryForms.Rows, .. AtomicForms.Rows, .. ControlForms.Rows];

    [Fact]
    public void EveryFormOfTheTableIsExecutedOrRefused()
    {
        var refused = new SortedSet<string>(StringComparer.Ordinal);
        var executor = new SortedSet<string>(StringComparer.Ordinal);
        var others = new List<string>();
        foreach (var (opcode, line) in Lines())
        {
            var instruction = Parse(line);
            try
            {
                if (LaneFunctions.Find(instruction) is null)
                {
                    executor.Add(opcode);
                    others.Add(line);
                }
            }
            catch (PtxException exception) when (!exception.IsSupported)
            {
                if (IsOrderOfFloats(instruction)) continue;
                refused.Add(string.Join('.', instruction.Modifiers.Contains("cc") && !opcode.EndsWith('c') ? instruction.Modifiers.TakeWhile(m => m != "cc").Prepend(opcode).Append("cc") : [opcode]));
            }
        }

        Assert.Equal(Executor, executor);
        Assert.Equal(Refused, refused);
        using var driver = new EmulatedDriver(new EmulatorOptions { MemoryBytes = 1 << 20 });
        foreach (string line in others.Where(line => line != "brkpt ;")) driver.LoadModule(Module(line)); // a breakpoint is for debuggers
    }

    // Instructions that work lane by lane give each lane the same whoever else takes part; the others' destinations stay as they are.
    [Fact]
    public void EveryLaneFunctionTouchesOnlyTheLanesThatTakePart()
    {
        byte* memory = (byte*)NativeMemory.AlignedAlloc(40 * SlotBytes, 64), expected = (byte*)NativeMemory.AlignedAlloc(40 * SlotBytes, 64), before = stackalloc byte[SlotBytes];
        foreach (var (opcode, line) in Lines().DistinctBy(pair => string.Join(' ', pair.Line.Split(' ')[0].Split('.').Where(part => part is not ("and" or "xor" or "rm" or "rp")))))
        {
            var instruction = Parse(line);
            if (Refused.Contains(opcode) || instruction.Modifiers.Contains("cc") || Executor.Contains(opcode) || IsOrderOfFloats(instruction)) continue;
            var function = LaneFunctions.Find(instruction)!;
            var operands = instruction.Operands.SelectMany(Flat).ToArray();
            int targets = instruction.Operands[0] is VectorOperand vector ? vector.Elements.Count : instruction.Operands[0] is PredicatePairOperand ? 2 : 1;
            Prepare(memory, operands);
            Prepare(expected, operands);
            Execute(function, memory, operands.Length, SomeLanes);
            if (!AcrossLanes.Contains(opcode)) Execute(function, expected, operands.Length, uint.MaxValue);
            else Execute(function, expected, operands.Length, SomeLanes);
            for (int i = 0; i < operands.Length; i++)
            {
                new Span<byte>(before, SlotBytes).Clear();
                PrepareOne(before, operands[i], i);
                for (int lane = 0; lane < Lanes; lane++)
                {
                    bool changes = i < targets && (SomeLanes >> lane & 1) != 0;
                    ulong was = Lane(changes ? expected + i * SlotBytes : before, operands[i], lane), now = Lane(memory + i * SlotBytes, operands[i], lane);
                    if (was != now) Assert.Fail($"{line} operand {i} lane {lane}: {now:X}, not {was:X}");
                    if (changes && Bits(operands[i]) == 16) Assert.Equal(0ul, now >> 16);
                }
            }
        }

        NativeMemory.AlignedFree(memory);
        NativeMemory.AlignedFree(expected);
    }

    // The table lets set compare integers by words that exist only for floats (equ, nan ..), which ptxas refuses; so does the emulator, later.
    private static bool IsOrderOfFloats(PtxInstruction instruction) =>
        instruction.Opcode == "set" && instruction.Types[^1] < PtxType.F16 && instruction.Modifiers[0] is "equ" or "neu" or "ltu" or "leu" or "gtu" or "geu" or "num" or "nan";

    private static void Execute(LaneFunction function, byte* memory, int operands, uint mask)
    {
        LaneArguments arguments = default;
        arguments.Mask = mask;
        for (int i = 0; i < operands; i++) arguments.Operands[i] = (ulong)(memory + i * SlotBytes);
        function.Execute(&arguments);
    }

    private static void Prepare(byte* memory, PtxOperand[] operands)
    {
        new Span<byte>(memory, 40 * SlotBytes).Clear();
        for (int i = 0; i < operands.Length; i++) PrepareOne(memory + i * SlotBytes, operands[i], i);
    }

    // Numbers of any kind, the same at each call.
    private static void PrepareOne(byte* array, PtxOperand operand, int seed)
    {
        if (operand is ImmediateOperand immediate) new Span<uint>(array, Lanes).Fill((uint)immediate.Bits);
        else
        {
            new Random(seed).NextBytes(new Span<byte>(array, Bits(operand) switch { 1 => 4, 64 => SlotBytes, _ => Lanes * 4 }));
            if (Bits(operand) == 16)
                for (int lane = 0; lane < Lanes; lane++) ((uint*)array)[lane] &= 0xFFFF;
        }
    }

    private static ulong Lane(byte* array, PtxOperand operand, int lane) => Bits(operand) switch { 1 => *(uint*)array >> lane & 1, 64 => ((ulong*)array)[lane], _ => ((uint*)array)[lane] };

    private static int Bits(PtxOperand operand) => operand is RegisterOperand { Register.Type: var type } ? LaneForm.Bits(type) : 32;

    private static IEnumerable<PtxOperand> Flat(PtxOperand operand) => operand switch
    {
        VectorOperand vector => vector.Elements.SelectMany(Flat),
        PredicatePairOperand pair => [new RegisterOperand(pair.First!), new RegisterOperand(pair.Second!)],
        _ => [operand],
    };

    private static PtxInstruction Parse(string line) => PtxParser.Parse(Module(line)).Entries[0].Instructions[0];

    private static string Module(string line) => $$"""
        .version 8.0
        .target sm_90
        .address_size 64
        .visible .entry k(.param .b64 p)
        {
        .reg .pred %p<16>; .reg .b16 %h<16>; .reg .b32 %r<16>; .reg .b64 %l<16>;
        {{line}}
        END: ret;
        }
        """;

    /// <summary>An instruction for every form: all combinations of its choices where there are few, else every choice beside the first of all others.</summary>
    private static IEnumerable<(string Opcode, string Line)> Lines()
    {
        foreach (var (opcodes, forms) in Rows)
            foreach (string opcode in opcodes.Split(' '))
                foreach (string form in forms)
                {
                    string body = " " + form.Split(';')[0];
                    int colon = body.IndexOf(" :", StringComparison.Ordinal);
                    string[][] groups = [.. body[..colon].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Choices)];
                    var operands = body[(colon + 2)..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(OperandForm.Read).ToArray();
                    foreach (string[] choice in groups.Aggregate(1, (n, group) => n * group.Length) <= 64 ? Combinations(groups) : OneByOne(groups))
                    {
                        string[] modifiers = [.. choice.Where(c => c.Length > 0)];
                        yield return (opcode, $"{string.Join('.', modifiers.Prepend(opcode))} {Operands(operands, modifiers)};");
                    }
                }
    }

    private static string[] Choices(string group)
    {
        bool optional = group.EndsWith('?');
        var choices = (optional ? group[..^1] : group).Split('|').SelectMany(choice => choice[0] == '<' ? InstructionTable.Choices(choice[1..^1]) : [choice]);
        return optional ? [.. choices, ""] : [.. choices];
    }

    private static IEnumerable<string[]> Combinations(string[][] groups) =>
        groups.Aggregate((IEnumerable<string[]>)[[]], (sofar, group) => sofar.SelectMany(start => group.Select(choice => (string[])[.. start, choice])));

    private static IEnumerable<string[]> OneByOne(string[][] groups) =>
        groups.SelectMany((group, i) => group.Select(choice => groups.Select((g, j) => j == i ? choice : g[0]).ToArray())).DistinctBy(choice => string.Join('.', choice));

    private static string Operands(OperandForm[] operands, string[] modifiers)
    {
        PtxType[] types = [.. modifiers.Select(m => Enum.TryParse<PtxType>(m, ignoreCase: true, out var type) ? type : PtxType.None).Where(type => type != PtxType.None)];
        int next = 0;
        return string.Join(", ", operands.Select(operand =>
        {
            var type = operand.Type != PtxType.None ? operand.Type : operand.TypeIndex < types.Length ? types[operand.TypeIndex] : PtxType.B32;
            int bits = LaneForm.Bits(type) * (operand.Doubled ? 2 : 1), elements = operand.Elements == -1 ? modifiers.Contains("v2") ? 2 : modifiers.Contains("v4") ? 4 : 0 : operand.Elements;
            string Register() => bits switch { 1 => $"%p{next++ % 16}", 8 or 16 => $"%h{next++ % 16}", 64 => $"%l{next++ % 16}", _ => $"%r{next++ % 16}" };
            return operand.Kind switch
            {
                OperandKind.Pair => $"{Register()}|%p15",
                OperandKind.Address => "[%l15]",
                OperandKind.Constant => operand.Range.Low == 4 ? "16" : operand.Range.Low > 0 ? $"{operand.Range.Low}" : operand.Range.Low < 0 ? "1" : $"{Math.Min(operand.Range.High, 0x96)}",
                OperandKind.Label => "END",
                _ => elements == 0 ? Register() : $"{{{string.Join(", ", Enumerable.Range(0, elements).Select(_ => Register()))}}}",
            };
        }));
    }
}
