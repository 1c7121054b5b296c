using System.Reflection;
using System.Reflection.Emit;

namespace DiffWave.Compiler;

/// <summary>The instructions of one IL block.</summary>
internal sealed partial class Evaluator
{
    private List<Value> Stack => state.Stack;

    private Value Pop()
    {
        var value = Stack[^1];
        Stack.RemoveAt(Stack.Count - 1);
        return value;
    }

    private void Push(Value value) => Stack.Add(value);

    // A number; predicates become 0 or 1.
    private Operand PopNumber() => builder.Integer(PopOperand());

    private Operand PopOperand() => AsOperand(Pop());

    private Operand AsOperand(Value value) => value switch
    {
        Operand operand => operand,
        Poison poison => throw Fail(poison.Id, poison.Reason),
        PointerValue pointer => AddressOf(pointer),
        CellReference => throw Fail(DiagnosticTable.Reference, "the address of a local variable or of a register array is used as a number"),
        StructValue { Fields: [var only] } => AsOperand(only),
        _ => throw Fail(DiagnosticTable.Instruction, "a struct stands where a number is needed"),
    };

    private List<Edge> RunBlock(int number)
    {
        var block = frame.Code.Flow.Blocks[number];
        var code = frame.Code.Code;
        for (int i = block.First; i <= block.Last; i++)
        {
            var instruction = code[i];
            if (++steps > maxSteps) throw new BudgetException();
            if (!frame.Code.IsWord) builder.Line = frame.Code.Lines[i];
            switch (instruction.Op.FlowControl)
            {
                case FlowControl.Branch when instruction.Op == OpCodes.Br || instruction.Op == OpCodes.Br_S:
                    return [Leave(block.Successors[0])];
                case FlowControl.Cond_Branch when instruction.Op == OpCodes.Switch:
                    return Switch(block);
                case FlowControl.Cond_Branch:
                    return Branch(number, block, Condition(instruction.Op));
                case FlowControl.Return when instruction.Op == OpCodes.Ret:
                    foreach (int cell in frame.Arguments.Concat(frame.Locals)) state.Cells.Remove(cell);
                    frame.Returns.Add(Leave(-1));
                    return [];
                case FlowControl.Throw:
                    throw Fail(DiagnosticTable.Exceptions, "an exception is thrown");
                case FlowControl.Branch or FlowControl.Return:
                    throw Fail(DiagnosticTable.Exceptions, $"IL instruction {instruction.Op}");
                default:
                    Execute(instruction, i < block.Last ? code[i + 1] : null);
                    break;
            }
            if (!reachable) return [];
        }
        return [Leave(block.Successors[0])];
    }

    private List<Edge> Branch(int number, IlBlock block, Operand condition)
    {
        var (taken, other) = (block.Successors[0], block.Successors[1]);
        if (taken == other) return [Leave(taken)];
        if (condition is Imm known)
        {
            var (stays, left) = known.Bits != 0 ? (taken, other) : (other, taken);
            foreach (var trial in frame.Trials)
            {
                if (trial.Loop.Blocks.Contains(number) && trial.Loop.Blocks.Contains(stays) && !trial.Loop.Blocks.Contains(left)) trial.Decided = true;
            }
            return [Leave(stays)];
        }
        return Fork(condition, taken, other);
    }

    private List<Edge> Fork(Operand condition, int taken, int other)
    {
        var current = builder.Current;
        (current.Ending, current.Condition, current.Line) = (Ending.Branch, condition, builder.Line);
        return [new Edge(current, 0, state, taken), new Edge(current, 1, state.Clone(), other)];
    }

    private List<Edge> Switch(IlBlock block)
    {
        var value = PopNumber();
        int otherwise = block.Successors[^1];
        if (value is Imm known) return [Leave(known.Bits < (ulong)(block.Successors.Length - 1) ? block.Successors[known.Int] : otherwise)];
        var edges = new List<Edge>();
        for (int i = 0; i < block.Successors.Length - 1; i++)
        {
            if (block.Successors[i] == otherwise) continue;
            var pair = Fork(builder.Pure("setp.eq.s32", RegType.Pred, value, Imm.Of(i)), block.Successors[i], -1);
            edges.Add(pair[0]);
            Enter([pair[1]]);
        }
        edges.Add(Leave(otherwise));
        return edges;
    }

    // The condition of a branch, its operands taken from the stack.
    private Operand Condition(OpCode op)
    {
        string name = op.Name!.EndsWith(".s", StringComparison.Ordinal) ? op.Name[..^2] : op.Name;
        if (name is "brtrue" or "brfalse")
        {
            var value = Pop();
            if (value is CellReference or PointerValue { Space: Space.Shared or Space.Local }) return new Imm(RegType.Pred, name == "brtrue" ? 1u : 0u); // never null
            var predicate = builder.Predicate(AsOperand(value));
            return name == "brtrue" ? predicate : builder.Not(predicate);
        }
        bool unsigned = name.EndsWith(".un", StringComparison.Ordinal);
        var (b, a) = (Pop(), Pop());
        return Compare(name[1..3], unsigned, a, b);
    }

    // A comparison as the branch instructions know it. For floats the unordered forms are true with a NaN, except that bne is unordered by nature.
    private Operand Compare(string relation, bool unsigned, Value left, Value right)
    {
        var (a, b) = (AsOperand(left), AsOperand(right));
        if (a.Type == RegType.Pred || b.Type == RegType.Pred)
        {
            if (relation is "eq" or "ne")
            {
                if (a is Imm) (a, b) = (b, a);
                if (b is Imm { Bits: <= 1 } bit && IsTruth(a)) return (relation == "eq") == (bit.Bits == 1) ? builder.Predicate(a) : builder.Not(builder.Predicate(a));
            }
            (a, b) = (builder.Integer(a), builder.Integer(b));
        }
        if (a.Type == RegType.B64 && b.Type == RegType.B32) b = Convert(b, "s64", unsignedSource: false);
        if (b.Type == RegType.B64 && a.Type == RegType.B32) a = Convert(a, "s64", unsignedSource: false);
        bool real = a.Type is RegType.F32 or RegType.F64;
        if (relation == "ne" && !real) unsigned = false;
        // setp.ne is false with a NaN: unequal is the unordered neu.
        string name = relation + (real && unsigned && relation != "eq" ? "u" : "");
        if (relation == "ne" && real) name = "neu";
        if (a is Imm x && b is Imm y) return new Imm(RegType.Pred, Comparison.Decide(name, unsigned, x, y) ? 1u : 0u);
        if (!real && ReferenceEquals(a, b)) return new Imm(RegType.Pred, relation is "eq" or "le" or "ge" ? 1u : 0u);
        if (a is Imm && !real)
        {
            (a, b) = (b, a);
            name = name switch { "lt" => "gt", "gt" => "lt", "le" => "ge", "ge" => "le", _ => name };
        }
        // A truth value compared with 0 or 1 is the predicate it was made from.
        if (name is "eq" or "ne" && b is Imm { Bits: <= 1 } truth && a is Ssa { Def.Opcode: "selp.b32", Small: Small.Bool })
            return (name == "eq") == (truth.Bits == 1) ? builder.Predicate(a) : builder.Not(builder.Predicate(a));
        string type = a.Type switch { RegType.F32 => "f32", RegType.F64 => "f64", RegType.B32 => unsigned ? "u32" : "s32", _ => unsigned ? "u64" : "s64" };
        if (name is "gt" && unsigned && b is Imm { Bits: 0 } && !real) (name, type) = ("ne", a.Type == RegType.B32 ? "s32" : "s64"); // C#'s "differs from zero"
        return builder.Pure($"setp.{name}.{type}", RegType.Pred, a, b);
    }

    private void Execute(IlInstruction il, IlInstruction? next)
    {
        string name = il.Name, family = il.Family;
        switch (family)
        {
            case "volatile" or "unaligned":
                throw Fail(DiagnosticTable.Instruction, family == "volatile" ? "a volatile access (Atomic and Ptx have words for it)" : "an unaligned access");
            case "nop" or "break" or "readonly" or "constrained" or "tail":
                if (family == "constrained") constrained = (Type)Resolve(il);
                break;
            case "ldc":
                Push(Constant(il));
                break;
            case "ldarg" or "ldarga":
                int argument = name.Length == 7 && char.IsAsciiDigit(name[^1]) ? name[^1] - '0' : (int)il.Operand;
                Push(family == "ldarga" ? new CellReference(frame.Arguments[argument], [], ArgumentType(argument)) : Read(frame.Arguments[argument]));
                break;
            case "starg":
                state.Cells[frame.Arguments[il.Operand]] = Normalize(Pop(), ArgumentType((int)il.Operand));
                break;
            case "ldloc":
                Push(Read(frame.Locals[ControlFlow.LocalOf(il)]));
                break;
            case "ldloca":
                Push(new CellReference(frame.Locals[(int)il.Operand], [], frame.Code.Locals[(int)il.Operand]));
                break;
            case "stloc":
                int local = ControlFlow.LocalOf(il);
                state.Cells[frame.Locals[local]] = Normalize(Pop(), frame.Code.Locals[local]);
                break;
            case "dup":
                Push(Stack[^1]);
                break;
            case "pop":
                Pop();
                break;
            case "add" or "sub" or "mul" or "div" or "rem" or "and" or "or" or "xor":
                if (name.Contains("ovf", StringComparison.Ordinal)) throw Fail(DiagnosticTable.Checked, $"checked arithmetic ({name})");
                Binary(family, unsigned: name.EndsWith(".un", StringComparison.Ordinal));
                break;
            case "shl" or "shr":
                var count = PopNumber();
                var shifted = PopNumber();
                if (count.Type == RegType.B64) count = Convert(count, "u32", unsignedSource: true);
                Push(family == "shl" ? builder.ShiftLeft(shifted, count) : builder.ShiftRight(shifted, count, name == "shr.un"));
                break;
            case "neg":
                Push(builder.Neg(PopNumber()));
                break;
            case "not":
                Push(builder.Not(PopNumber()));
                break;
            case "ceq" or "cgt" or "clt":
                var (right, left) = (Pop(), Pop());
                Push(family == "ceq" && (left is not Operand || right is not Operand) ? CompareReferences(left, right) : Compare(family[1..], name.EndsWith(".un", StringComparison.Ordinal), left, right));
                break;
            case "conv":
                Conversion(name == "conv.r.un" && next is { Name: "conv.r4" } ? "conv.r4.un" : name);
                break;
            case "ldind" or "ldobj":
                Push(Load(Pop(), family == "ldobj" ? (Type)Resolve(il) : IndirectType(name)));
                break;
            case "stind" or "stobj":
                var stored = Pop();
                Store(Pop(), family == "stobj" ? (Type)Resolve(il) : IndirectType(name), stored);
                break;
            case "cpobj":
                var source = Pop();
                Store(Pop(), (Type)Resolve(il), Load(source, (Type)Resolve(il)));
                break;
            case "initobj":
                var cleared = (Type)Resolve(il);
                Store(Pop(), cleared, Default(cleared));
                break;
            case "ldfld":
                LoadField((FieldInfo)Resolve(il));
                break;
            case "ldflda":
                FieldAddress((FieldInfo)Resolve(il));
                break;
            case "stfld":
                StoreField((FieldInfo)Resolve(il));
                break;
            case "ldsfld":
                Push(StaticField((FieldInfo)Resolve(il)));
                break;
            case "sizeof":
                Push(Imm.Of(LayoutOf((Type)Resolve(il)).Size));
                break;
            case "call" or "callvirt":
                Call((MethodBase)Resolve(il), il.Offset);
                break;
            case "newobj":
                NewObject((ConstructorInfo)Resolve(il), il.Offset);
                break;
            case "box" or "ldstr":
                // Harmless until it is used: a switch expression hands the unexpected value to the helper that throws.
                if (family == "box") Pop();
                Push(new Poison(family == "box" ? "a value is made an object" : "a string", DiagnosticTable.Heap));
                break;
            case "ldtoken" when Resolve(il) is Type token:
                Push(new TypeValue(token));
                break;
            case "newarr" or "unbox" or "ldftn" or "ldvirtftn" or "castclass" or "isinst" or "ldelem" or "ldelema" or "stelem" or "ldlen" or "ldnull":
                throw Fail(DiagnosticTable.Heap, $"IL instruction {name}");
            case "localloc":
                throw Fail(DiagnosticTable.Heap, "stackalloc");
            case "stsfld" or "ldsflda":
                throw Fail(DiagnosticTable.StaticField, $"static field {((FieldInfo)Resolve(il)).Name} is written or its address taken");
            default:
                throw Fail(DiagnosticTable.Instruction, $"IL instruction {name}");
        }
    }

    private Value Read(int cell) => state.Cells[cell] is Poison poison && !ReferenceEquals(poison, Poison.Dead) ? throw Fail(poison.Id, poison.Reason) : state.Cells[cell];

    private Type ArgumentType(int argument) => frame.Code.Arguments[argument];

    private static Imm Constant(IlInstruction il)
    {
        string name = il.Op.Name!;
        if (name.StartsWith("ldc.r4", StringComparison.Ordinal)) return new Imm(RegType.F32, (uint)il.Operand);
        if (name.StartsWith("ldc.r8", StringComparison.Ordinal)) return new Imm(RegType.F64, (ulong)il.Operand);
        if (name.StartsWith("ldc.i8", StringComparison.Ordinal)) return Imm.Of(il.Operand);
        if (name is "ldc.i4" or "ldc.i4.s") return Imm.Of((int)il.Operand);
        return Imm.Of(name[^1] == '1' && name[^2] is 'm' or 'M' ? -1 : name[^1] - '0');
    }

    private static Type IndirectType(string name) => name[(name.IndexOf('.', StringComparison.Ordinal) + 1)..] switch
    {
        "i1" => typeof(sbyte), "u1" => typeof(byte), "i2" => typeof(short), "u2" => typeof(ushort), "i4" => typeof(int), "u4" => typeof(uint), "i8" => typeof(long),
        "i" => typeof(nint), "r4" => typeof(float), "r8" => typeof(double), _ => typeof(object),
    };

    private Operand CompareReferences(Value left, Value right)
    {
        // Two ways to the same memory are equal where the addresses are.
        if (left is PointerValue a && right is PointerValue b && !Values.Same(a, b))
        {
            if (a.Space != b.Space) throw Fail(DiagnosticTable.Reference, "references to memory of different kinds are compared");
            return Compare("eq", unsigned: true, AddressOf(a), AddressOf(b));
        }
        if (left is Poison or Operand || right is Poison or Operand) throw Fail(DiagnosticTable.Reference, "references are compared");
        return new Imm(RegType.Pred, Values.Same(left, right) ? 1u : 0u);
    }

    // Members of generic code are resolved with the type arguments of this inlined copy.
    private object Resolve(IlInstruction il)
    {
        var code = frame.Code;
        int token = (int)il.Operand;
        if (code.Members.TryGetValue(token, out object? known)) return known;
        var types = code.Method.DeclaringType is { IsGenericType: true } declaring ? declaring.GetGenericArguments() : null;
        var arguments = code.Method.IsGenericMethod ? code.Method.GetGenericArguments() : null;
        object member = code.Method.Module.ResolveMember(token, types, arguments)!;
        return code.Members[token] = member is TypeInfo type ? type.AsType() : member;
    }
}
