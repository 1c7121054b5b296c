using System.Globalization;
using System.Text;
using DiffWave.Device;

namespace DiffWave.Compiler;

/// <summary>Writes a kernel as PTX text.</summary>
internal sealed class PtxWriter(PtxFunction function, PtxTarget target, bool lineInfo)
{
    private readonly StringBuilder text = new();
    private readonly Dictionary<Ssa, string> names = new(ReferenceEqualityComparer.Instance as IEqualityComparer<Ssa>);
    private readonly int[] counts = new int[6];
    private readonly List<Variable> variables = [];
    private readonly Dictionary<Block, string> labels = [];
    private readonly List<string> files = [];
    private SourcePoint line;

    public string Write(string entry, List<KernelParameter> parameters, KernelAttribute attribute, (int X, int Y, int Z)? block, out int sharedBytes, out bool dynamicShared)
    {
        Coalescing.Run(function);
        SkipEmptyBlocks();
        FindNames();
        text.Append(CultureInfo.InvariantCulture, $".version {target.PtxVersion / 10}.{target.PtxVersion % 10}\n.target {target.Name}\n.address_size 64\n\n");
        foreach (var dynamic in variables.Where(variable => variable.Space.StartsWith(".extern", StringComparison.Ordinal))) text.Append(CultureInfo.InvariantCulture, $".extern .shared .align 128 .b8 {dynamic.Name}[];\n\n");
        text.Append(CultureInfo.InvariantCulture, $".visible .entry {entry}(");
        text.AppendJoin(',', parameters.Select(parameter => "\n    " + Declaration(parameter)));
        text.Append(parameters.Count == 0 ? ")\n" : "\n)\n");
        if (block is { } fixedBlock) text.Append(CultureInfo.InvariantCulture, $".reqntid {fixedBlock.X}, {fixedBlock.Y}, {fixedBlock.Z}\n");
        else if (attribute.MaxThreads > 0) text.Append(CultureInfo.InvariantCulture, $".maxntid {attribute.MaxThreads}, 1, 1\n");
        if (attribute.MinBlocks > 0) text.Append(CultureInfo.InvariantCulture, $".minnctapersm {attribute.MinBlocks}\n");
        if (attribute.MaxRegisters > 0) text.Append(CultureInfo.InvariantCulture, $".maxnreg {attribute.MaxRegisters}\n");
        text.Append("{\n");
        string[] kinds = [".pred", ".b16", ".b32", ".b64", ".f32", ".f64"];
        for (int i = 0; i < kinds.Length; i++)
        {
            if (counts[i] > 0) text.Append(CultureInfo.InvariantCulture, $"    .reg {kinds[i],-5} {Prefixes[i]}<{counts[i] + 1}>;\n");
        }
        foreach (var variable in variables.Where(variable => variable.Bytes > 0)) text.Append(CultureInfo.InvariantCulture, $"    {variable.Space} .align {variable.Alignment} .b8 {variable.Name}[{variable.Bytes}];\n");
        text.Append('\n');
        for (int i = 0; i < function.Blocks.Count; i++) WriteBlock(function.Blocks[i], i + 1 < function.Blocks.Count ? function.Blocks[i + 1] : null);
        text.Append("}\n");
        for (int i = 0; i < files.Count; i++) text.Append(CultureInfo.InvariantCulture, $"{(i == 0 ? "\n" : "")}.file {i + 1} \"{files[i].Replace('\\', '/')}\"\n");
        sharedBytes = 0;
        foreach (var variable in variables.Where(variable => variable.Space == ".shared")) sharedBytes = (sharedBytes + variable.Alignment - 1) / variable.Alignment * variable.Alignment + (int)variable.Bytes;
        dynamicShared = variables.Exists(variable => variable.Space.StartsWith(".extern", StringComparison.Ordinal));
        return text.ToString();
    }

    private static readonly string[] Prefixes = ["%p", "%h", "%r", "%rd", "%f", "%fd"];

    private static string Declaration(KernelParameter parameter)
    {
        var layout = Layout.Of(parameter.Type)!;
        string name = "param_" + parameter.Name;
        if (!layout.IsPrimitive) return $".param .align {layout.Alignment} .b8 {name}[{layout.Size}]";
        return $".param .{(layout.Memory == "b16" ? "b16" : layout.Memory)} {name}";
    }

    // Registers are numbered by class in order of appearance, labels and variables likewise.
    private void FindNames()
    {
        var targets = new HashSet<Block>();
        for (int i = 0; i < function.Blocks.Count; i++)
        {
            var block = function.Blocks[i];
            var next = i + 1 < function.Blocks.Count ? function.Blocks[i + 1] : null;
            foreach (var successor in block.Successors)
            {
                if (!ReferenceEquals(successor, next)) targets.Add(successor);
            }
            foreach (var instruction in block.Body)
            {
                foreach (var arg in instruction.Args)
                {
                    Name(arg is Address address ? address.Base : arg);
                }
                foreach (var result in instruction.Results) Name(result);
            }
            if (block.Ending == Ending.Branch) Name(block.Condition!);
        }
        foreach (var block in function.Blocks)
        {
            if (targets.Contains(block)) labels[block] = "L" + (labels.Count + 1).ToString(CultureInfo.InvariantCulture);
        }
    }

    // Blocks that only go on elsewhere are left out.
    private void SkipEmptyBlocks()
    {
        // A branch whose ways are one is a jump, which may make its block empty too.
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (var block in function.Blocks)
            {
                for (int i = 0; i < 2; i++)
                {
                    if (block.Targets[i] is { } target) block.Targets[i] = Destination(target);
                }
                if (block.Ending != Ending.Branch || !ReferenceEquals(block.Targets[0], block.Targets[1])) continue;
                block.Ending = Ending.Jump;
                changed = true;
            }
        }
        for (int i = function.Blocks.Count - 1; i > 0; i--)
        {
            if (!ReferenceEquals(Destination(function.Blocks[i]), function.Blocks[i])) function.Blocks.RemoveAt(i);
        }
    }

    // A loop without instructions leads nowhere and stays.
    private static Block Destination(Block block)
    {
        var slow = block;
        bool advance = false;
        for (var at = block; at is { Ending: Ending.Jump, Body.Count: 0 }; advance = !advance)
        {
            at = at.Targets[0]!;
            if (ReferenceEquals(at, slow)) return block;
            if (advance) slow = slow.Targets[0]!;
            if (at is not { Ending: Ending.Jump, Body.Count: 0 }) return at;
        }
        return block;
    }

    private void Name(Operand operand)
    {
        if (operand is Ssa ssa && !names.ContainsKey(ssa)) names[ssa] = Prefixes[(int)ssa.Type] + (++counts[(int)ssa.Type]).ToString(CultureInfo.InvariantCulture);
        if (operand is not Variable variable || variables.Contains(variable)) return;
        string kind = variable.Space switch { ".shared" => "shared", ".local" => "local", _ => "dynamic_shared" };
        variable.Name = variable.Bytes == 0 ? kind : kind + (variables.Count(other => other.Space == variable.Space) + 1).ToString(CultureInfo.InvariantCulture);
        variables.Add(variable);
    }

    private void WriteBlock(Block block, Block? next)
    {
        if (labels.TryGetValue(block, out string? label)) text.Append(label).Append(":\n");
        foreach (var instruction in block.Body) WriteInstruction(instruction);
        switch (block.Ending)
        {
            case Ending.Jump:
                Jump(block, block.Targets[0]!, next);
                break;
            case Ending.Branch:
                var (taken, other) = (block.Targets[0]!, block.Targets[1]!);
                Locate(block.Line);
                if (ReferenceEquals(taken, next)) text.Append(CultureInfo.InvariantCulture, $"    @!{Text(block.Condition!)} bra {labels[other]};\n");
                else
                {
                    text.Append(CultureInfo.InvariantCulture, $"    @{Text(block.Condition!)} bra {labels[taken]};\n");
                    Jump(block, other, next);
                }
                break;
            default:
                Locate(block.Line);
                text.Append("    ret;\n");
                break;
        }
    }

    private void Jump(Block block, Block to, Block? next)
    {
        if (ReferenceEquals(to, next)) return;
        Locate(block.Line);
        text.Append(CultureInfo.InvariantCulture, $"    bra {labels[to]};\n");
    }

    private void Locate(SourcePoint point)
    {
        if (!lineInfo || point == line || point.File == null || point.File.Length == 0) return;
        line = point;
        int file = files.IndexOf(point.File);
        if (file < 0)
        {
            file = files.Count;
            files.Add(point.File);
        }
        text.Append(CultureInfo.InvariantCulture, $"    .loc {file + 1} {point.Line} 0\n");
    }

    private void WriteInstruction(Instruction instruction)
    {
        Locate(instruction.Line);
        text.Append("    ");
        if (instruction.Template != null)
        {
            foreach (var part in instruction.Template)
            {
                text.Append(part.Text);
                if (part.IsResult) Group(instruction.Results, part.Start, part.Count);
                else if (part.Count > 0) Group(instruction.Args, part.Start, part.Count);
            }
            text.Append(";\n");
            return;
        }
        text.Append(instruction.Opcode);
        if (instruction.Results.Length + instruction.Args.Length > 0) text.Append(' ');
        bool store = instruction.Results.Length == 0;
        if (!store)
        {
            Group(instruction.Results, 0, instruction.Results.Length);
            text.Append(", ");
        }
        for (int i = 0; i < instruction.Args.Length; i++)
        {
            if (i > 0) text.Append(", ");
            if (instruction.Args[i] is Address) text.Append('[').Append(Text(instruction.Args[i])).Append(']');
            else if (store && i == 1)
            {
                Group(instruction.Args, 1, instruction.Args.Length - 1);
                break;
            }
            else text.Append(Text(instruction.Args[i]));
        }
        text.Append(";\n");
    }

    private void Group(Operand[] operands, int start, int count)
    {
        if (count > 1) text.Append('{');
        for (int i = 0; i < count; i++) text.Append(i > 0 ? ", " : "").Append(Text(operands[start + i]));
        if (count > 1) text.Append('}');
    }

    private string Text(Operand operand) => operand switch
    {
        Ssa ssa => names[ssa],
        Imm { Type: RegType.F32 } imm => $"0f{imm.Bits:X8}",
        Imm { Type: RegType.F64 } imm => $"0d{imm.Bits:X16}",
        Imm { Type: RegType.B16 } imm => $"0x{imm.Bits:X4}",
        Imm imm => imm.Signed.ToString(CultureInfo.InvariantCulture),
        Variable variable => variable.Name,
        ParameterName parameter => parameter.Name,
        SpecialRegister special => special.Name,
        Address { Offset: 0 } address => Text(address.Base),
        Address address => $"{Text(address.Base)}+{address.Offset.ToString(CultureInfo.InvariantCulture)}",
        _ => throw new InvalidOperationException($"operand {operand.GetType().Name}"),
    };
}
