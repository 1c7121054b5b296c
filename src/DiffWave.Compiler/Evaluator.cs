using System.Reflection;

namespace DiffWave.Compiler;

/// <summary>A method body, decoded once per compilation.</summary>
internal sealed class MethodCode
{
    public MethodCode(MethodBase method, MethodBody body)
    {
        Method = method;
        Code = IlReader.Read(body.GetILAsByteArray()!);
        Locals = [.. body.LocalVariables.OrderBy(local => local.LocalIndex).Select(local => local.LocalType)];
        Flow = new ControlFlow(Code, Locals.Length);
        Lines = SourceLines.Of(method.Module).Lines(method.MetadataToken, Code);
        // The words' own source is not the kernel author's, and the framework's is not at hand: their lines are those of the call.
        IsWord = method.Module.Assembly == typeof(Device.Group).Assembly || Array.TrueForAll(Lines, line => line == default);
        Arguments = ArgumentTypes(method);
        Contract = !method.IsDefined(typeof(Device.NoContractionAttribute));
    }

    public MethodBase Method { get; }

    public List<IlInstruction> Code { get; }

    public Type[] Locals { get; }

    /// <summary>What locals hold at the start.</summary>
    public Value[]? LocalDefaults { get; set; }

    public ControlFlow Flow { get; }

    /// <summary>Source line of each instruction.</summary>
    public SourcePoint[] Lines { get; }

    public bool IsWord { get; }

    /// <summary>Types of the arguments, <c>this</c> as a reference first.</summary>
    public Type[] Arguments { get; }

    public bool Contract { get; }

    /// <summary>Members by token, resolved with the method's type arguments.</summary>
    public Dictionary<int, object> Members { get; } = [];

    private static Type[] ArgumentTypes(MethodBase method)
    {
        var types = method.GetParameters().Select(parameter => parameter.ParameterType);
        return [.. method.IsStatic ? types : types.Prepend(method.DeclaringType!.MakeByRefType())];
    }
}

/// <summary>A method being evaluated.</summary>
internal sealed class Frame(MethodCode code, Frame? caller, int callOffset)
{
    public MethodCode Code { get; } = code;

    public Frame? Caller { get; } = caller;

    public int Depth { get; } = caller == null ? 0 : caller.Depth + 1;

    /// <summary>The call sites that lead here.</summary>
    public string Path => Caller == null ? "" : Caller.Site(callOffset);

    public int[] Arguments { get; set; } = [];

    public int[] Locals { get; set; } = [];

    public List<Edge> Returns { get; } = [];

    /// <summary>Names a call of this method by its offset: the same for every iteration of a loop, another for every inlined copy.</summary>
    public string Site(int offset) => $"{Path}/{Code.Method.MetadataToken:x}.{offset:x}";

    /// <summary>Loops of this method whose iterations are being tried one by one, the innermost last.</summary>
    public List<Trial> Trials { get; } = [];
}

/// <summary>One iteration of a loop on trial.</summary>
internal sealed class Trial(NaturalLoop loop)
{
    public NaturalLoop Loop { get; } = loop;

    /// <summary>Whether a test that could have left the loop was decided in favour of staying.</summary>
    public bool Decided { get; set; }
}

/// <summary>
/// Evaluates a kernel's IL with what is known when it is compiled. Branches on known values are followed; others become blocks of instructions. Calls are inlined. This part walks
/// methods, their blocks in reverse postorder, and their loops.
/// </summary>
internal sealed partial class Evaluator(PtxTarget target, bool contract, HashSet<string> localMemorySites)
{
    private const int MaxDepth = 64, MaxIterations = 256, MaxTrialInstructions = 60_000, MaxInstructions = 120_000, MaxPasses = 40;
    private const long MaxTrialSteps = 2_000_000;

    private readonly PtxBuilder builder = new() { Limit = MaxInstructions };
    private readonly Dictionary<MethodBase, MethodCode> codes = [];
    private State state = new();
    private Frame frame = null!;
    private bool reachable = true;
    private int nextCell;
    private long steps, maxSteps = 20_000_000;

    public PtxBuilder Builder => builder;

    /// <summary>Diagnostics that do not stop the compilation.</summary>
    public List<Diagnostic> Warnings { get; } = [];

    /// <summary>Evaluates the kernel itself.</summary>
    public void Run(MethodInfo kernel, Func<ParameterInfo, Value> argument)
    {
        builder.Continue(builder.NewBlock());
        builder.Contract = contract;
        try
        {
            builder.Line = builder.FirstLine = CodeOf(kernel).Lines.FirstOrDefault();
            Invoke(kernel, [.. kernel.GetParameters().Select(argument)], callOffset: 0);
        }
        catch (BudgetException)
        {
            throw Fail(DiagnosticTable.Size, $"more than {MaxInstructions} instructions after inlining and unrolling, or more than {maxSteps} steps of evaluation");
        }
        if (reachable) builder.Current.Ending = Ending.Return;
    }

    private KernelCompileException Fail(string id, string reason) => new(DiagnosticTable.Create(id, builder.Line, reason));

    private MethodCode CodeOf(MethodBase method)
    {
        if (codes.TryGetValue(method, out var code)) return code;
        var body = method.GetMethodBody() ?? throw Fail(DiagnosticTable.Call, $"{Describe(method)} has no IL");
        code = new MethodCode(method, body);
        if (body.ExceptionHandlingClauses.Count > 0) throw FailAt(code, code.Code.FindIndex(il => il.Offset >= body.ExceptionHandlingClauses[0].TryOffset), DiagnosticTable.Exceptions, $"{Describe(method)} has a try block");
        if (code.Flow.Irreducible >= 0) throw FailAt(code, code.Flow.Blocks[code.Flow.Irreducible].First, DiagnosticTable.Irreducible, $"a loop of {Describe(method)} is entered at two places");
        return codes[method] = code;
    }

    private KernelCompileException FailAt(MethodCode code, int instruction, string id, string reason)
    {
        if (!code.IsWord) builder.Line = code.Lines[instruction];
        return Fail(id, reason);
    }

    private static string Describe(MethodBase method) => $"{method.DeclaringType?.Name}.{method.Name}";

    // Inlines a method; its result, if any, is returned. After it the builder stands where the caller goes on; unreachable when no path returns.
    private Value? Invoke(MethodBase method, Value[] arguments, int callOffset)
    {
        var code = CodeOf(method);
        var caller = frame;
        if (caller != null && caller.Depth + 1 > MaxDepth) throw Fail(DiagnosticTable.Recursion, $"{Describe(method)} is called more than {MaxDepth} calls deep");
        for (var up = caller; up != null; up = up.Caller)
        {
            if (up.Code.Method == method) throw Fail(DiagnosticTable.Recursion, $"{Describe(method)} calls itself");
        }
        var (line, contracted, stack) = (builder.Line, builder.Contract, state.Stack);
        frame = new Frame(code, caller, callOffset) { Arguments = NewCells(arguments.Length), Locals = NewCells(code.Locals.Length) };
        for (int i = 0; i < arguments.Length; i++) state.Cells[frame.Arguments[i]] = arguments[i];
        code.LocalDefaults ??= Array.ConvertAll(code.Locals, type => LayoutOrNull(type) is { IsPointer: false } ? Default(type) : Poison.Dead);
        for (int i = 0; i < frame.Locals.Length; i++) state.Cells[frame.Locals[i]] = code.LocalDefaults[i];
        builder.Contract = contracted && code.Contract;
        var inner = frame;
        state = new State { Cells = state.Cells };
        var outgoing = new List<Edge>();
        RunRegion(null, [Leave(0)], outgoing);
        frame = caller!;
        (builder.Line, builder.Contract) = (line, contracted);
        if (inner.Returns.Count == 0)
        {
            reachable = false;
            return null;
        }
        Enter(inner.Returns);
        var result = state.Stack.Count > 0 ? state.Stack[0] : null;
        state = new State { Cells = state.Cells, Stack = stack };
        return result;
    }

    private int[] NewCells(int count)
    {
        var cells = new int[count];
        for (int i = 0; i < count; i++) cells[i] = nextCell++;
        return cells;
    }

    // Ends the current block with a jump whose target is filled in later.
    private Edge Leave(int targetBlock)
    {
        builder.Current.Ending = Ending.Jump;
        builder.Current.Line = builder.Line;
        return new Edge(builder.Current, 0, state, targetBlock);
    }

    // Evaluates the blocks of a loop, or of the whole method when the loop is null; what leaves them, or goes back to the header, is outgoing.
    private void RunRegion(NaturalLoop? region, List<Edge> entry, List<Edge> outgoing)
    {
        var flow = frame.Code.Flow;
        int start = region?.Header ?? 0;
        var pending = new Dictionary<int, List<Edge>> { [start] = entry };
        for (int rank = flow.Rank[start]; rank < flow.Order.Count; rank++)
        {
            int block = flow.Order[rank];
            if (!pending.Remove(block, out var edges)) continue;
            IEnumerable<Edge> next;
            if (flow.Loops.TryGetValue(block, out var inner) && !ReferenceEquals(inner, region)) next = RunLoop(inner, edges);
            else
            {
                Enter(edges);
                ForgetDead(block);
                next = RunBlock(block);
            }
            foreach (var edge in next)
            {
                if (region != null && (edge.Target == region.Header || !region.Blocks.Contains(edge.Target))) outgoing.Add(edge);
                else if (pending.TryGetValue(edge.Target, out var list)) list.Add(edge);
                else pending[edge.Target] = [edge];
            }
        }
    }

    // Tries the loop iteration by iteration; as soon as nothing known keeps it going, or it becomes too large, it is evaluated as a loop instead.
    private List<Edge> RunLoop(NaturalLoop loop, List<Edge> entry)
    {
        Enter(entry);
        ForgetDead(loop.Header);
        var start = state;
        var mark = builder.Mark();
        int limit = builder.Limit, returns = frame.Returns.Count;
        long stepLimit = maxSteps;
        bool contracted = builder.Contract;
        var widened = new Widening();
        var trial = new Trial(loop);
        var outer = frame;
        frame.Trials.Add(trial);
        try
        {
            builder.Limit = Math.Min(limit, builder.Count + MaxTrialInstructions);
            maxSteps = Math.Min(stepLimit, steps + MaxTrialSteps);
            state = start.Clone();
            List<Edge> edges = [Leave(loop.Header)], exits = [];
            for (int iteration = 0; iteration < MaxIterations; iteration++)
            {
                trial.Decided = false;
                var outgoing = new List<Edge>();
                RunRegion(loop, edges, outgoing);
                edges = outgoing.FindAll(edge => edge.Target == loop.Header);
                exits.AddRange(outgoing.FindAll(edge => edge.Target != loop.Header));
                if (edges.Count == 0) return exits;
                if (iteration < 2) edges.ForEach(edge => widened.Include(start, edge.State));
                if (!trial.Decided) break;
            }
        }
        catch (BudgetException) when (limit > builder.Limit && stepLimit > maxSteps)
        {
            (frame, reachable, builder.Contract, constrained) = (outer, true, contracted, null);
        }
        finally
        {
            outer.Trials.Remove(trial);
            (builder.Limit, maxSteps) = (limit, stepLimit);
        }
        return RunRolled(loop, start, mark, widened, returns);
    }

    // Finds by trial what changes round the loop: whatever differs when control comes back is held in registers, and the body is evaluated again until nothing new differs.
    private List<Edge> RunRolled(NaturalLoop loop, State start, BuilderMark mark, Widening widened, int returns)
    {
        for (int pass = 0; pass < MaxPasses; pass++)
        {
            builder.Return(mark);
            frame.Returns.RemoveRange(returns, frame.Returns.Count - returns);
            var before = builder.Current;
            var header = builder.NewBlock();
            var phis = new List<Phi>();
            var begin = widened.Begin(start, type => AddPhi(header, type, phis));
            builder.Jump(header, before);
            before.Line = builder.Line;
            builder.Continue(header);
            state = begin.Clone();
            var outgoing = new List<Edge>();
            RunRegion(loop, [Leave(loop.Header)], outgoing);
            bool changed = false;
            foreach (var edge in outgoing)
            {
                if (edge.Target == loop.Header) changed |= widened.Include(begin, edge.State);
            }
            if (changed) continue;
            AddArguments(widened, start, before, phis);
            foreach (var edge in outgoing)
            {
                if (edge.Target != loop.Header) continue;
                edge.From.Targets[edge.Slot] = header;
                header.Predecessors.Add(edge.From);
                AddArguments(widened, edge.State, edge.From, phis);
            }
            return outgoing.FindAll(edge => edge.Target != loop.Header);
        }
        throw Fail(DiagnosticTable.Internal, "the values of a loop did not settle");
    }

    private Operand AddPhi(Block header, RegType type, List<Phi> phis)
    {
        phis.Add(builder.AddPhi(header, type));
        return phis[^1].Result;
    }

    private void AddArguments(Widening widened, State from, Block block, List<Phi> phis)
    {
        var values = new List<Operand>();
        widened.Collect(from, (value, type) => values.Add(At(block, () => Materialize(value, type))));
        for (int i = 0; i < phis.Count; i++) phis[i].Args.Add(values[i]);
    }

    private void ForgetDead(int block)
    {
        var live = frame.Code.Flow.LiveLocals[block];
        for (int i = 0; i < live.Length; i++)
        {
            if (!live[i]) state.Cells[frame.Locals[i]] = Poison.Dead;
        }
    }

    // Evaluates something whose instructions belong at the end of another block.
    private T At<T>(Block block, Func<T> build)
    {
        var current = builder.Current;
        builder.Continue(block);
        var result = build();
        builder.Continue(current);
        return result;
    }

    // Continues where the edges meet. Values that differ become phis; values that cannot be held in one register cannot be used any more.
    private void Enter(List<Edge> edges)
    {
        reachable = true;
        if (edges.Count == 1 && edges[0].From.Ending == Ending.Jump)
        {
            edges[0].From.Ending = Ending.None;
            builder.Continue(edges[0].From);
            state = edges[0].State;
            return;
        }
        var block = builder.NewBlock();
        foreach (var edge in edges)
        {
            edge.From.Targets[edge.Slot] = block;
            block.Predecessors.Add(edge.From);
        }
        builder.Continue(block);
        state = edges.Count == 1 ? edges[0].State : Merge(block, edges);
    }

    private State Merge(Block block, List<Edge> edges)
    {
        var merged = new State();
        var values = new Value[edges.Count];
        foreach (int cell in edges[0].State.Cells.Keys.Order())
        {
            bool everywhere = true;
            for (int i = 0; i < edges.Count && everywhere; i++) everywhere = edges[i].State.Cells.TryGetValue(cell, out values[i]!);
            if (everywhere) merged.Cells[cell] = MergeValues(block, edges, values);
        }
        for (int slot = 0; slot < edges[0].State.Stack.Count; slot++)
        {
            for (int i = 0; i < edges.Count; i++) values[i] = edges[i].State.Stack[slot];
            merged.Stack.Add(MergeValues(block, edges, values));
        }
        return merged;
    }

    private Value MergeValues(Block block, List<Edge> edges, Value[] values)
    {
        var first = values[0];
        if (Array.TrueForAll(values, value => Values.Same(value, first))) return first;
        if (Array.TrueForAll(values, value => value is StructValue s && s.Type == (first as StructValue)?.Type))
        {
            var fields = new Value[((StructValue)first).Fields.Length];
            for (int f = 0; f < fields.Length; f++) fields[f] = MergeValues(block, edges, Array.ConvertAll(values, value => ((StructValue)value).Fields[f]));
            return new StructValue(((StructValue)first).Type, fields);
        }
        if (Array.TrueForAll(values, value => value is RegisterArray a && a.Elements.Length == (first as RegisterArray)?.Elements.Length))
        {
            var elements = new Value[((RegisterArray)first).Elements.Length];
            for (int e = 0; e < elements.Length; e++) elements[e] = MergeValues(block, edges, Array.ConvertAll(values, value => ((RegisterArray)value).Elements[e]));
            return new RegisterArray(((RegisterArray)first).Element, elements);
        }
        if (Array.TrueForAll(values, value => value is Operand))
        {
            bool predicate = Array.Exists(values, value => ((Operand)value).Type == RegType.Pred) && Array.TrueForAll(values, value => value is Operand { Type: RegType.Pred } or Imm { Type: RegType.B32, Bits: <= 1 });
            var type = predicate ? RegType.Pred : Array.Find(values, value => ((Operand)value).Type != RegType.Pred) is Operand typed ? typed.Type : RegType.B32;
            if (Array.TrueForAll(values, value => ((Operand)value).Type == type || ((Operand)value).Type == RegType.Pred || predicate)) return NewPhi(block, edges, values, type);
        }
        if (Array.TrueForAll(values, value => value is PointerValue p && p.Space == (first as PointerValue)?.Space))
        {
            var pointer = (PointerValue)first;
            return new PointerValue(pointer.Space, NewPhi(block, edges, values, pointer.AddressType), 0, values.Min(value => ((PointerValue)value).Alignment));
        }
        return Array.Find(values, value => value is Poison && !ReferenceEquals(value, Poison.Null)) ?? new Poison("the value is not of the same kind on every path that leads here");
    }

    private Ssa NewPhi(Block block, List<Edge> edges, Value[] values, RegType type)
    {
        var phi = builder.AddPhi(block, type);
        for (int i = 0; i < edges.Count; i++)
        {
            var value = values[i];
            phi.Args.Add(At(edges[i].From, () => Materialize(value, type)));
        }
        phi.Result.NonNegative = phi.Args.TrueForAll(PtxBuilder.IsNonNegative);
        return phi.Result;
    }

    // The value as one operand of a register class.
    private Operand Materialize(Value value, RegType type) => value switch
    {
        Operand operand when operand.Type == type => operand,
        Operand operand when type == RegType.Pred => builder.Predicate(operand),
        Operand { Type: RegType.Pred } operand when type == RegType.B32 => builder.Integer(operand),
        PointerValue pointer => AddressOf(pointer),
        Poison poison => throw Fail(poison.Id, poison.Reason),
        _ => throw Fail(DiagnosticTable.PathValue, "a value has different types on different paths"),
    };
}
