using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>Translates an entry into a <see cref="KernelProgram"/>.</summary>
internal sealed unsafe class Translator
{
    private readonly KernelProgram program;
    private readonly ControlFlow flow;
    private readonly RegisterFile file;
    private readonly Dictionary<PtxVariable, ulong> addresses;
    private readonly List<MemoryOperation> memory = [];
    private readonly List<BarrierOperation> barriers = [];

    private Translator(PtxEntry entry, IReadOnlyDictionary<PtxVariable, ulong> moduleAddresses)
    {
        program = new KernelProgram { Entry = entry };
        flow = new ControlFlow(entry.Instructions);
        file = new RegisterFile(program, new Liveness(entry, flow));
        addresses = new Dictionary<PtxVariable, ulong>(moduleAddresses);
    }

    /// <summary>Translates.</summary>
    /// <param name="entry">A valid entry.</param>
    /// <param name="moduleVariables">The module's variables.</param>
    /// <param name="moduleAddresses">Addresses of those that are global or constant.</param>
    /// <exception cref="PtxException">Something is beyond the emulator.</exception>
    public static KernelProgram Translate(PtxEntry entry, IReadOnlyList<PtxVariable> moduleVariables, IReadOnlyDictionary<PtxVariable, ulong> moduleAddresses)
    {
        var translator = new Translator(entry, moduleAddresses);
        try
        {
            translator.PlaceVariables(moduleVariables);
            translator.Run();
            return translator.program;
        }
        catch
        {
            translator.program.Dispose();
            throw;
        }
    }

    private void PlaceVariables(IReadOnlyList<PtxVariable> moduleVariables)
    {
        PtxEntry entry = program.Entry;
        var used = new HashSet<PtxVariable>(entry.Instructions.SelectMany(instruction => instruction.Operands).Select(operand => operand switch
        {
            AddressOperand address => address.Variable,
            VariableOperand variable => variable.Variable,
            _ => null,
        }).OfType<PtxVariable>());

        // A kernel has those of the module's shared arrays that it names, and all of its own.
        List<PtxVariable> shared = [.. moduleVariables.Where(used.Contains), .. entry.Variables];
        shared.RemoveAll(variable => variable.Space != PtxSpace.Shared);
        long offset = 0, dynamicAlignment = 16;
        foreach (PtxVariable variable in shared)
        {
            if (variable.IsExtern)
            {
                dynamicAlignment = Math.Max(dynamicAlignment, variable.Alignment);
                continue;
            }
            offset = AlignUp(offset, variable.Alignment);
            addresses[variable] = (ulong)offset;
            offset += variable.Size;
        }
        program.StaticSharedBytes = (int)offset;
        program.DynamicSharedOffset = (int)AlignUp(offset, dynamicAlignment);
        foreach (PtxVariable variable in shared)
            if (variable.IsExtern) addresses[variable] = (ulong)program.DynamicSharedOffset;

        long local = 0;
        foreach (PtxVariable variable in entry.Variables)
        {
            if (variable.Space != PtxSpace.Local) continue;
            local = AlignUp(local, variable.Alignment);
            addresses[variable] = (ulong)local;
            local += variable.Size;
        }
        program.LocalBytes = (int)AlignUp(local, 16);
        foreach (PtxVariable parameter in entry.Parameters) addresses[parameter] = (ulong)parameter.Offset;
        program.ParameterBytes = entry.Parameters.Count == 0 ? 0 : (int)(entry.Parameters[^1].Offset + entry.Parameters[^1].Size);
    }

    private static long AlignUp(long offset, long alignment) => (offset + alignment - 1) / alignment * alignment;

    private ulong AddressOf(PtxVariable variable) => addresses[variable];

    private void Run()
    {
        IReadOnlyList<PtxInstruction> instructions = program.Entry.Instructions;
        int count = instructions.Count;
        program.Operations = (Operation*)program.Reserve((count + 1) * sizeof(Operation));
        program.Classes = new InstructionClass[count];
        program.FlopsPerLane = new int[count];
        int[] joins = flow.Joins();
        for (int pc = 0; pc < count; pc++)
        {
            PtxInstruction instruction = instructions[pc];
            ref Operation operation = ref program.Operations[pc];
            operation.Guard = instruction.Guard is null ? -1 : file[instruction.Guard];
            operation.GuardFlip = instruction.GuardNegated ? ~0u : 0;
            operation.Join = joins[pc];
            if (!Special(instruction, pc, ref operation)) Lane(instruction, pc, ref operation);
        }
        program.Operations[count] = new Operation { Kind = OperationKind.Exit, Guard = -1, Join = -1 };
        program.Memory = [.. memory];
        program.Barriers = [.. barriers];
        program.Specials = file.Specials;
        program.RegisterFileBytes = (file.Bytes + 127) & ~127;
        program.GlobalUnit = memory.Where(access => access.Space is PtxSpace.Global or PtxSpace.Generic || access.Kind == MemoryKind.AsyncCopy)
            .Select(access => Math.Min(4, access.ElementBytes)).DefaultIfEmpty(4).Min();
        program.SharedUnit = memory.Where(access => access.Space is PtxSpace.Shared or PtxSpace.Generic).Select(access => Math.Min(4, access.ElementBytes)).DefaultIfEmpty(4).Min();
        program.DeclaredRegisters = program.Entry.Registers.Sum(register => RegisterFile.LaneBytes(register.Type) / 4);
    }

    private void Lane(PtxInstruction instruction, int pc, ref Operation operation)
    {
        LaneFunction function = LaneFunctions.Find(instruction)
            ?? throw new PtxException(instruction.Line, $"the emulator cannot execute '{instruction.Text}'", supported: false);
        operation.Kind = OperationKind.Lane;
        operation.Execute = function.Execute;
        program.Classes[pc] = function.Class;
        program.FlopsPerLane[pc] = function.FlopsPerLane;
        SetOperands(instruction, ref operation);
        operation.Demand = instruction.Modifiers.Contains("aligned") ? WarpDemand.Full
            : instruction.Opcode is "shfl" or "vote" or "match" or "redux" or "elect" && instruction.Modifiers.Contains("sync") ? WarpDemand.Members : WarpDemand.None;
    }

    private void SetOperands(PtxInstruction instruction, ref Operation operation)
    {
        var places = new List<DataPlace>();
        var negations = new List<int>();
        for (int i = 0; i < instruction.Operands.Count; i++)
            Add(instruction.Operands[i], operation.Kind == OperationKind.Lane ? LaneFunctions.LaneBytes(instruction, i) : instruction.Opcode == "cvta" ? 8 : 4);
        if (places.Count > 40) throw new PtxException(instruction.Line, $"more than 40 operands in '{instruction.Text}'", supported: false);

        operation.OperandCount = places.Count;
        int groups = (places.Count + 7) / 8;
        operation.Operands = (ulong*)program.Reserve(groups * 128);
        for (int i = 0; i < places.Count; i++)
        {
            operation.Operands[i / 8 * 16 + i % 8] = places[i].Value;
            operation.Operands[i / 8 * 16 + 8 + i % 8] = places[i].FileMask;
        }
        operation.NegationCount = negations.Count / 2;
        if (negations.Count == 0) return;
        operation.Negations = (int*)program.Reserve(4 * negations.Count);
        for (int i = 0; i < negations.Count; i++) operation.Negations[i] = negations[i];

        void Add(PtxOperand operand, int constantBytes)
        {
            switch (operand)
            {
                case VectorOperand vector:
                    foreach (PtxOperand element in vector.Elements) Add(element, constantBytes);
                    break;
                case PredicatePairOperand pair:
                    places.Add(pair.First is null ? default : file.Place(new RegisterOperand(pair.First), 0, AddressOf));
                    places.Add(pair.Second is null ? default : file.Place(new RegisterOperand(pair.Second), 0, AddressOf));
                    break;
                case RegisterOperand { Negated: true } negated:
                    negations.Add(file[negated.Register]);
                    negations.Add(file.Scratch());
                    places.Add(new DataPlace((ulong)negations[^1], ~0ul, 0));
                    break;
                case SpecialOperand special when !RegisterFile.KnowsSpecial(special.Name):
                    throw new PtxException(instruction.Line, $"the emulator does not know the special register {special.Name} here", supported: false);
                default:
                    places.Add(file.Place(operand, constantBytes, AddressOf));
                    break;
            }
        }
    }

    // Control flow, barriers, memory and what depends on where memory lies; false: the rest.
    private bool Special(PtxInstruction instruction, int pc, ref Operation operation)
    {
        string Modifier(int index) => index < instruction.Modifiers.Count ? instruction.Modifiers[index] : "";
        program.Classes[pc] = InstructionClass.Control;
        switch (instruction.Opcode)
        {
            case "bra":
                operation.Kind = OperationKind.Branch;
                operation.Target = ((LabelOperand)instruction.Operands[^1]).Target;
                operation.IsUniform = instruction.Modifiers.Contains("uni");
                return true;
            case "exit" or "ret":
                operation.Kind = OperationKind.Exit;
                return true;
            case "trap":
                operation.Kind = OperationKind.Trap;
                return true;
            case "bar" or "barrier" when Modifier(0) == "warp":
                operation.Kind = OperationKind.WarpBarrier;
                program.Classes[pc] = InstructionClass.Barrier;
                SetOperands(instruction, ref operation);
                return true;
            case "bar" or "barrier" when Modifier(0) != "cluster":
                Barrier(instruction, pc, ref operation);
                return true;
            case "membar" or "fence" or "griddepcontrol" or "nanosleep":
                operation.Kind = instruction.Opcode is "membar" or "fence" && !instruction.Modifiers.Contains("cta") ? OperationKind.Fence
                    : instruction.Opcode == "griddepcontrol" && Modifier(0) == "wait" ? OperationKind.GridWait : OperationKind.Nothing;
                program.Classes[pc] = InstructionClass.Barrier;
                return true;
            case "prefetch" or "prefetchu" or "discard" or "applypriority":
                operation.Kind = OperationKind.Nothing;
                program.Classes[pc] = InstructionClass.Global;
                return true;
            case "cp" when Modifier(0) == "async" && Modifier(1) is "commit_group" or "wait_group" or "wait_all":
                operation.Kind = Modifier(1) == "commit_group" ? OperationKind.AsyncCommit : OperationKind.AsyncWait;
                operation.Data = Modifier(1) == "wait_group" ? (int)((ImmediateOperand)instruction.Operands[0]).Bits : -1;
                program.Classes[pc] = InstructionClass.AsyncCopy;
                return true;
            case "cvta" or "isspacep":
                AddressSpace(instruction, pc, ref operation);
                return true;
            case "mov" when instruction.Operands[1] is SpecialOperand { Name: "%clock" or "%clock64" or "%clock_hi" or "%globaltimer" or "%globaltimer_lo" or "%globaltimer_hi" } clock:
                operation.Kind = OperationKind.Clock;
                operation.Data = clock.Name.EndsWith("_hi", StringComparison.Ordinal) ? 1 : 0;
                program.Classes[pc] = InstructionClass.Move;
                SetOperands(instruction with { Operands = [instruction.Operands[0]] }, ref operation);
                return true;
            default:
                if (MemoryTranslator.Translate(instruction, pc, memory.Count, file, AddressOf) is not { } access) return false;
                operation.Kind = OperationKind.Memory;
                operation.Data = memory.Count;
                if (instruction.Modifiers.Contains("aligned")) operation.Demand = WarpDemand.Full;
                memory.Add(access);
                program.Classes[pc] = MemoryTranslator.ClassOf(access, instruction);
                program.IsSequential |= access.Space is PtxSpace.Global or PtxSpace.Generic
                    && (access.Kind == MemoryKind.Atomic || instruction.Modifiers.Any(modifier => modifier is "volatile" or "acquire" or "release" or "relaxed"));
                return true;
        }
    }

    private void Barrier(PtxInstruction instruction, int pc, ref Operation operation)
    {
        operation.Kind = OperationKind.Barrier;
        operation.Data = barriers.Count;
        program.Classes[pc] = InstructionClass.Barrier;
        SetOperands(instruction, ref operation);
        bool isReduction = instruction.Modifiers.Contains("red");
        int number = isReduction ? 1 : 0, operands = instruction.Operands.Count;
        int threadCount = operands > number + (isReduction ? 2 : 1) ? number + 1 : -1;
        barriers.Add(new BarrierOperation
        {
            Number = number,
            ThreadCount = threadCount,
            IsArrive = instruction.Modifiers.Contains("arrive"),
            Predicate = isReduction ? operands - 1 : -1,
            Reduction = isReduction ? instruction.Modifiers.First(modifier => modifier is "popc" or "and" or "or") : "",
        });
    }

    private void AddressSpace(PtxInstruction instruction, int pc, ref Operation operation)
    {
        program.Classes[pc] = InstructionClass.Conversion;
        if (instruction.Opcode == "cvta" && instruction.Types[0] != PtxType.U64) throw new PtxException(instruction.Line, "cvta needs 64-bit addresses", supported: false);
        ulong window = MemoryTranslator.Space(instruction) switch
        {
            PtxSpace.Shared => AddressWindows.Shared,
            PtxSpace.Local => AddressWindows.Local,
            PtxSpace.Parameter => AddressWindows.Parameter,
            _ => 0,
        };
        operation.Kind = instruction.Opcode == "cvta" ? OperationKind.AddConstant : OperationKind.IsSpace;
        operation.Target = instruction.Modifiers.Contains("to") ? -1 : 1;
        operation.Data = (int)(window >> 32);
        SetOperands(instruction, ref operation);
    }
}
