using System.Reflection;
using DiffWave.Device;

namespace DiffWave.Compiler;

/// <summary>Calls: device words, the few framework methods that are instructions, and everything else inlined.</summary>
internal sealed partial class Evaluator
{
    private Type? constrained;

    // What is asked of a method at each of its calls.
    private sealed record Callee(MethodBase Method, int Arguments, Type? Result, PtxInstructionAttribute? Word, int ElementSize);

    private readonly Dictionary<MethodBase, Callee> callees = [];

    private Callee CalleeOf(MethodBase method)
    {
        if (callees.TryGetValue(method, out var known)) return known;
        var result = method is MethodInfo { ReturnType: var type } && type != typeof(void) ? type : null;
        int element = IsView(method.DeclaringType) ? LayoutOf(method.DeclaringType!.GetGenericArguments()[0]).Size : 0;
        return callees[method] = new Callee(method, method.GetParameters().Length + (method.IsStatic ? 0 : 1), result, method.GetCustomAttribute<PtxInstructionAttribute>(), element);
    }

    private void Call(MethodBase method, int offset)
    {
        var callee = CalleeOf(method);
        var arguments = new Value[callee.Arguments];
        for (int i = arguments.Length - 1; i >= 0; i--) arguments[i] = Pop();
        if (constrained != null)
        {
            method = Implementation(method, constrained);
            callee = CalleeOf(method);
            constrained = null;
        }
        if (method.DeclaringType is { IsInterface: true } && method.IsAbstract) throw Fail(DiagnosticTable.Call, $"{Describe(method)} is abstract");
        if (method.IsVirtual && method.DeclaringType is { IsValueType: false }) throw Fail(DiagnosticTable.Call, $"{Describe(method)} is virtual");
        bool hasResult = callee.Result != null;
        if (DeviceWord(callee, arguments, offset, out var result) || FrameworkWord(method, arguments, out result))
        {
            if (hasResult) Push(result!);
            return;
        }
        if (method.DeclaringType is { IsValueType: false } && !method.IsStatic) throw Fail(DiagnosticTable.Heap, $"{Describe(method)} is called on an object");
        if (method.Name.StartsWith("ThrowSwitchExpression", StringComparison.Ordinal))
        {
            // A switch expression without a default: a value it does not list ends the kernel.
            builder.Append("trap", [], [], Effect.Volatile);
            builder.Current.Ending = Ending.Return;
            reachable = false;
            return;
        }
        result = Invoke(method, arguments, offset);
        if (reachable && hasResult) Push(result!);
    }

    // The method a type parameter's constraint stands for.
    private MethodBase Implementation(MethodBase method, Type type)
    {
        if (method.DeclaringType is not { IsInterface: true } contract) return method is MethodInfo { IsVirtual: true } ? OverrideOf(method, type) : method;
        var generic = method.IsGenericMethod ? ((MethodInfo)method).GetGenericMethodDefinition() : method;
        if (!contract.IsAssignableFrom(type)) throw Fail(DiagnosticTable.Call, $"{type.Name} does not implement {contract.Name}");
        if (type.IsInterface) throw Fail(DiagnosticTable.Call, $"{Describe(method)} is called on an interface");
        var map = type.GetInterfaceMap(contract);
        for (int i = 0; i < map.InterfaceMethods.Length; i++)
        {
            if (map.InterfaceMethods[i].MetadataToken != generic.MetadataToken) continue;
            var target = map.TargetMethods[i];
            return method.IsGenericMethod ? target.MakeGenericMethod(method.GetGenericArguments()) : target;
        }
        throw Fail(DiagnosticTable.Call, $"{type.Name} has no {method.Name}");
    }

    private MethodBase OverrideOf(MethodBase method, Type type)
    {
        var parameters = method.GetParameters().Select(parameter => parameter.ParameterType).ToArray();
        var found = type.GetMethod(method.Name, BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic, parameters);
        return found is { DeclaringType.IsValueType: true } ? found : throw Fail(DiagnosticTable.Call, $"{Describe(method)} on {type.Name}");
    }

    private void NewObject(ConstructorInfo constructor, int offset)
    {
        var type = constructor.DeclaringType!;
        if (!type.IsValueType)
        {
            throw type.IsAssignableTo(typeof(Exception)) ? Fail(DiagnosticTable.Exceptions, $"{type.Name} is thrown") : Fail(DiagnosticTable.Heap, $"new {type.Name}");
        }
        var parameters = constructor.GetParameters();
        var arguments = new Value[parameters.Length + 1];
        for (int i = arguments.Length - 1; i >= 1; i--) arguments[i] = Pop();
        if (type == typeof(Half))
        {
            Push(BitCast(AsOperand(arguments[1]), LayoutOf(type)));
            return;
        }
        int cell = nextCell++;
        state.Cells[cell] = Default(type);
        arguments[0] = new CellReference(cell, [], type);
        if (IsView(type)) state.Cells[cell] = NewView(type, arguments[1], AsOperand(arguments[2]));
        else Invoke(constructor, arguments, offset);
        if (!reachable) return;
        Push(state.Cells[cell]);
        state.Cells.Remove(cell);
    }

    private static bool IsView(Type? type) => type is { IsGenericType: true } && type.GetGenericTypeDefinition() == typeof(ArrayView<>);

    private static StructValue NewView(Type type, Value pointer, Value length) =>
        new(type, [pointer is Operand number ? new PointerValue(Space.Generic, number, 0, 1) : pointer, length]);

    private bool DeviceWord(Callee callee, Value[] arguments, int offset, out Value? result)
    {
        result = null;
        var method = callee.Method;
        var type = method.DeclaringType;
        if (callee.ElementSize > 0) return ViewWord(method, arguments, callee.ElementSize, out result);
        if (type == typeof(SharedMemory))
        {
            result = SharedWord((MethodInfo)method, arguments, frame.Site(offset));
            return true;
        }
        if (type == typeof(LocalMemory) && method.Name == nameof(LocalMemory.Allocate) && arguments.Length == 1)
        {
            result = AllocateLocal(method.GetGenericArguments()[0], arguments[0], frame.Site(offset));
            return true;
        }
        if (type == typeof(Device.Loop))
        {
            // As a register the bound is not known, so the loop stays one.
            result = arguments[0] is Imm bound ? builder.Pure("mov.u32", RegType.B32, bound) : arguments[0];
            return true;
        }
        if (FixedBlock(method) is { } dimension)
        {
            result = dimension;
            return true;
        }
        if (callee.Word is not { } word) return false;
        result = Expand(word, (MethodInfo)method, arguments);
        return true;
    }

    /// <summary>Threads of a fixed block along each axis; null when the launch chooses.</summary>
    public (int X, int Y, int Z)? Block { get; init; }

    private Imm? FixedBlock(MethodBase method)
    {
        if (Block is not { } block || method.DeclaringType != typeof(Group)) return null;
        return method.Name switch
        {
            "get_DimX" => Imm.Of(block.X),
            "get_DimY" => Imm.Of(block.Y),
            "get_DimZ" => Imm.Of(block.Z),
            "get_IdxX" when block.X == 1 => Imm.Zero,
            "get_IdxY" when block.Y == 1 => Imm.Zero,
            "get_IdxZ" when block.Z == 1 => Imm.Zero,
            _ => null,
        };
    }

    private Value Expand(PtxInstructionAttribute word, MethodInfo method, Value[] arguments)
    {
        string name = Describe(method);
        if (word.MinimumSm > target.Sm) throw Fail(DiagnosticTable.Architecture, $"{name} needs sm_{word.MinimumSm}, the target is {target.Name}");
        if (SpecialRegisterOf(word.Template) is { } special)
        {
            var register = builder.Prologue("mov.u32", RegType.B32, new SpecialRegister(special));
            register.NonNegative = true;
            return register;
        }
        var parameters = method.GetParameters();
        var spaces = word.Spaces.Length == 0 ? [] : word.Spaces.Split(',');
        var operands = new List<Operand>();
        var runs = new (int Start, int Count)[arguments.Length];
        Space? space = null;
        int addresses = 0;
        for (int i = 0; i < arguments.Length; i++)
        {
            int start = operands.Count;
            var argument = arguments[i];
            if (argument is StructValue view && IsView(view.Type)) argument = view.Fields[0];
            if (argument is PointerValue pointer)
            {
                string wanted = addresses < spaces.Length ? spaces[addresses].Trim() : "";
                if (wanted.Length > 0 && NameOf(pointer.Space) != "." + wanted)
                    throw Fail(DiagnosticTable.StateSpace, $"{name} needs an address in {wanted} memory for {parameters[i].Name}, and this one is {(pointer.Space == Space.Generic ? "generic" : "in " + NameOf(pointer.Space)[1..] + " memory")}");
                addresses++;
                space ??= pointer.Space;
                operands.Add(new Address(pointer.Base, pointer.Offset));
            }
            else if (argument is CellReference) throw Fail(DiagnosticTable.StateSpace, $"{name} needs an address in memory for {parameters[i].Name}, and this is a local variable or register array");
            else
            {
                Flatten(argument, operands);
                bool predicate = parameters[i].ParameterType == typeof(bool);
                bool isStruct = !parameters[i].ParameterType.IsPrimitive;
                for (int k = start; k < operands.Count; k++) operands[k] = predicate ? PredicateRegister(operands[k]) : Argument(builder.Integer(operands[k]), isStruct);
            }
            runs[i] = (start, operands.Count - start);
        }
        var results = new List<Ssa>();
        var returned = method.ReturnType == typeof(void) ? null : LayoutOf(method.ReturnType);
        if (returned != null) AddResults(returned);
        var parts = PtxTemplate.Parse(word.Template, results.Count, runs, operands, NameOf(space ?? Space.Generic), TypeName(method), reason => Fail(DiagnosticTable.Template, $"{name}: {reason}"));
        var effect = word.Volatile ? Effect.Volatile : addresses > 0 ? Effect.Load : Effect.Pure;
        builder.Append(word.Template, [.. results], [.. operands], effect, parts, word.Template.Contains(';', StringComparison.Ordinal));
        int taken = 0;
        return returned == null ? Poison.Dead : ResultOf(returned);

        // Integers may stand in the instruction; floats, packed pairs and parts of vectors are registers.
        Operand Argument(Operand operand, bool isStruct) => operand is Imm constant && (isStruct || !PtxBuilder.IsInteger(constant))
            ? builder.Pure(constant.Type switch { RegType.B16 => "mov.b16", RegType.B32 => "mov.b32", RegType.B64 => "mov.b64", RegType.F32 => "mov.f32", _ => "mov.f64" }, constant.Type, constant) : operand;

        // Numbers of 16 bits leave an instruction in registers of 16 bits, and integers among them are widened afterwards.
        void AddResults(Layout layout)
        {
            if (layout.IsPrimitive) results.Add(builder.NewRegister(layout.Type == typeof(bool) ? RegType.Pred : layout.Size == 2 ? RegType.B16 : layout.Register));
            else foreach (var field in layout.Fields) AddResults(LayoutOf(field.Type));
        }

        Value ResultOf(Layout layout)
        {
            if (!layout.IsPrimitive) return new StructValue(layout.Type, Array.ConvertAll(layout.Fields, field => ResultOf(LayoutOf(field.Type))));
            var register = results[taken++];
            return register.Type == RegType.B16 ? BitCast(register, layout) : register;
        }
    }

    // Registers that number threads and blocks do not change, and are never negative.
    private static string? SpecialRegisterOf(string template)
    {
        const string Move = "mov.u32 {r}, %";
        if (!template.StartsWith(Move, StringComparison.Ordinal)) return null;
        string name = template[(Move.Length - 1)..];
        return name[1..].Split('.')[0] is "tid" or "ntid" or "ctaid" or "nctaid" or "laneid" ? name : null;
    }

    private Operand PredicateRegister(Operand a)
    {
        var predicate = builder.Predicate(a);
        return predicate is Imm ? builder.Pure("mov.pred", RegType.Pred, predicate) : predicate;
    }

    private string TypeName(MethodInfo method)
    {
        var type = method.IsGenericMethod ? method.GetGenericArguments()[0] : method.ReturnType;
        return type != typeof(void) && Layout.Of(type) is { IsPrimitive: true } layout ? layout.Memory : "";
    }
}
