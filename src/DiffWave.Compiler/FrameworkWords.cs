using System.Numerics;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace DiffWave.Compiler;

/// <summary>Methods of .NET that are one or a few instructions.</summary>
internal sealed partial class Evaluator
{
    private bool FrameworkWord(MethodBase method, Value[] arguments, out Value? result)
    {
        var type = method.DeclaringType;
        result = type == typeof(Half) ? HalfWord(method, arguments)
            : type == typeof(Math) || type == typeof(MathF) ? MathWord(method, arguments)
            : type == typeof(BitConverter) ? BitsWord(method, arguments)
            : type == typeof(BitOperations) ? BitOperation(method.Name, arguments)
            : type == typeof(Unsafe) ? UnsafeWord(method, arguments)
            : type == typeof(Type) ? TypeWord(method, arguments)
            : null;
        if (result == null && type?.Assembly == typeof(object).Assembly && method.Name.Contains("Throw", StringComparison.Ordinal))
            throw Fail(DiagnosticTable.Exceptions, $"{Describe(method)} is reached");
        return result != null || (type == typeof(Unsafe) && method.Name == nameof(Unsafe.SkipInit));
    }

    private static Value? TypeWord(MethodBase method, Value[] arguments) => (method.Name, arguments) switch
    {
        (nameof(Type.GetTypeFromHandle), [TypeValue type]) => type,
        ("op_Equality", [TypeValue a, TypeValue b]) => Imm.Of(a.Type == b.Type),
        ("op_Inequality", [TypeValue a, TypeValue b]) => Imm.Of(a.Type != b.Type),
        _ => null,
    };

    private Value? BitsWord(MethodBase method, Value[] arguments) =>
        method.Name.Contains("Bits", StringComparison.Ordinal) && arguments is [Operand bits] ? BitCast(bits, LayoutOf(((MethodInfo)method).ReturnType)) : null;

    private Value? UnsafeWord(MethodBase method, Value[] arguments)
    {
        var types = method.IsGenericMethod ? method.GetGenericArguments() : [];
        switch (method.Name)
        {
            case nameof(Unsafe.SizeOf):
                return Imm.Of(LayoutOf(types[0]).Size);
            case nameof(Unsafe.BitCast):
                return types[0] == types[1] ? arguments[0] : Reinterpret(arguments[0], types[0], types[1]);
            case nameof(Unsafe.As) when types.Length == 2: // the load or store that follows reinterprets
            case nameof(Unsafe.AsRef):
                return arguments[0];
            case nameof(Unsafe.Add) when types.Length == 1 && arguments[0] is PointerValue pointer:
                return Displaced(pointer, builder.Integer(AsOperand(arguments[1])), LayoutOf(types[0]).Size);
            default:
                return null;
        }
    }

    private Operand? BitOperation(string name, Value[] arguments)
    {
        var a = builder.Integer(AsOperand(arguments[0]));
        bool wide = a.Type == RegType.B64;
        string width = wide ? "b64" : "b32";
        switch (name)
        {
            case nameof(BitOperations.PopCount):
                return a is Imm x ? Imm.Of(BitOperations.PopCount(x.Bits)) : Count(builder.Pure("popc." + width, RegType.B32, a));
            case nameof(BitOperations.LeadingZeroCount):
                return a is Imm y ? Imm.Of(BitOperations.LeadingZeroCount(y.Bits) - (wide ? 0 : 32)) : Count(builder.Pure("clz." + width, RegType.B32, a));
            case nameof(BitOperations.TrailingZeroCount):
                if (a is Imm z) return Imm.Of(wide ? BitOperations.TrailingZeroCount(z.Bits) : BitOperations.TrailingZeroCount((uint)z.Bits));
                return Count(builder.Pure("clz." + width, RegType.B32, builder.Pure("brev." + width, a.Type, a)));
            case nameof(BitOperations.Log2):
                var log = BitOperation(nameof(BitOperations.LeadingZeroCount), [builder.Or(a, new Imm(a.Type, 1))])!;
                return builder.Sub(Imm.Of(wide ? 63 : 31), log);
            case nameof(BitOperations.RotateLeft) or nameof(BitOperations.RotateRight):
                var count = builder.Integer(AsOperand(arguments[1]));
                bool left = name == nameof(BitOperations.RotateLeft);
                if (!wide && a is not Imm) return builder.Pure(left ? "shf.l.wrap.b32" : "shf.r.wrap.b32", RegType.B32, a, a, count);
                var back = builder.Sub(Imm.Of(wide ? 64 : 32), count);
                return left ? builder.Or(builder.ShiftLeft(a, count), builder.ShiftRight(a, back, true)) : builder.Or(builder.ShiftRight(a, count, true), builder.ShiftLeft(a, back));
            default:
                return null;
        }
    }

    private static Ssa Count(Ssa result)
    {
        result.NonNegative = true;
        return result;
    }

    private Operand? MathWord(MethodBase method, Value[] arguments)
    {
        if (!Array.TrueForAll(arguments, argument => argument is Operand)) return null;
        var parameters = method.GetParameters();
        var a = builder.Integer(AsOperand(arguments[0]));
        var b = arguments.Length > 1 ? builder.Integer(AsOperand(arguments[1])) : null;
        var c = arguments.Length > 2 ? builder.Integer(AsOperand(arguments[2])) : null;
        bool unsigned = parameters[0].ParameterType is var type && (type == typeof(uint) || type == typeof(ulong) || type == typeof(byte) || type == typeof(ushort) || type == typeof(nuint));
        bool real = a.Type is RegType.F32 or RegType.F64;
        string suffix = a.Type switch { RegType.F32 => "f32", RegType.F64 => "f64", RegType.B64 => unsigned ? "u64" : "s64", _ => unsigned ? "u32" : "s32" };
        if (Array.TrueForAll(arguments, argument => argument is Imm) && Computed(method, arguments) is { } known) return known;
        switch (method.Name)
        {
            case "Abs":
                return unsigned ? a : builder.Pure("abs." + suffix, a.Type, a);
            case "Min" or "Max" when !real:
                var chosen = builder.Pure($"{method.Name.ToLowerInvariant()}.{suffix}", a.Type, a, b);
                chosen.NonNegative = !unsigned && (method.Name == "Min" ? PtxBuilder.IsNonNegative(a) && PtxBuilder.IsNonNegative(b!) : PtxBuilder.IsNonNegative(a) || PtxBuilder.IsNonNegative(b!));
                chosen.Small = a is Ssa { Small: var small } && (b as Ssa)?.Small == small ? small : Small.None;
                return chosen;
            case "Min" or "Max":
                return Extreme(method.Name.ToLowerInvariant(), suffix, a, b!);
            case "Clamp" when !real:
                return builder.Pure("min." + suffix, a.Type, builder.Pure("max." + suffix, a.Type, a, b), c);
            case "Clamp":
                var raised = builder.Pure("selp." + suffix, a.Type, b!, a, builder.Pure("setp.lt." + suffix, RegType.Pred, a, b));
                return builder.Pure("selp." + suffix, a.Type, c!, raised, builder.Pure("setp.gt." + suffix, RegType.Pred, raised, c));
            case "FusedMultiplyAdd":
                return builder.Pure("fma.rn." + suffix, a.Type, a, b, c);
            case "Sqrt" or "Floor" or "Ceiling" or "Truncate" or "Round" when arguments.Length == 1 && real:
                string op = method.Name switch { "Sqrt" => "sqrt.rn", "Floor" => $"cvt.rmi.{suffix}", "Ceiling" => $"cvt.rpi.{suffix}", "Truncate" => $"cvt.rzi.{suffix}", _ => $"cvt.rni.{suffix}" };
                return builder.Pure($"{op}.{suffix}", a.Type, a);
            case "CopySign":
                return builder.Pure("copysign." + suffix, a.Type, b!, a);
            case "BigMul" when arguments.Length == 2 && a.Type == RegType.B32:
                return builder.Pure(unsigned ? "mul.wide.u32" : "mul.wide.s32", RegType.B64, a, b);
            default:
                return method.GetMethodBody() == null || real && method.Name is not "Sign" ? throw Fail(DiagnosticTable.Arithmetic, Describe(method)) : null;
        }
    }

    // .NET: a NaN wins, and -0 is below +0.
    private Operand Extreme(string name, string suffix, Operand a, Operand b)
    {
        if (suffix == "f32" && target.Sm >= 80) return builder.Pure($"{name}.NaN.f32", a.Type, a, b);
        var ordered = builder.Pure($"{name}.{suffix}", a.Type, a, b);
        Operand nan = suffix == "f32" ? new Imm(RegType.F32, 0x7FFFFFFF) : new Imm(RegType.F64, 0x7FFFFFFF_FFFFFFFF);
        return builder.Pure("selp." + suffix, a.Type, nan, ordered, builder.Pure("setp.nan." + suffix, RegType.Pred, a, b));
    }

    // Constants are computed by the method itself.
    private static Imm? Computed(MethodBase method, Value[] arguments)
    {
        var parameters = method.GetParameters();
        var values = new object[arguments.Length];
        for (int i = 0; i < values.Length; i++)
        {
            var x = (Imm)arguments[i];
            var type = parameters[i].ParameterType;
            if (type == typeof(float)) values[i] = x.Single;
            else if (type == typeof(double)) values[i] = x.Double;
            else if (type == typeof(int)) values[i] = x.Int;
            else if (type == typeof(uint)) values[i] = (uint)x.Bits;
            else if (type == typeof(long)) values[i] = x.Signed;
            else if (type == typeof(ulong)) values[i] = x.Bits;
            else return null;
        }
        // Only what rounds once; the last bits of a sine differ from machine to machine.
        if (method.Name is not ("Abs" or "Min" or "Max" or "Clamp" or "FusedMultiplyAdd" or "Sqrt" or "Floor" or "Ceiling" or "Truncate" or "Round" or "CopySign" or "BigMul")) return null;
        try
        {
            object? value = method.Invoke(null, values);
            return value == null ? null : Constant(value, value.GetType()) as Imm;
        }
        catch (TargetInvocationException)
        {
            return null;
        }
    }

    private Value? HalfWord(MethodBase method, Value[] arguments)
    {
        var returns = (method as MethodInfo)?.ReturnType;
        if (method.Name is "op_Explicit" or "op_Implicit")
        {
            var from = method.GetParameters()[0].ParameterType;
            var a = AsOperand(arguments[0]);
            if (from != typeof(Half))
            {
                // Integers go by way of float, as .NET does it.
                if (from == typeof(float) || from == typeof(double)) return Convert(a, "f16", false);
                bool unsigned = from == typeof(uint) || from == typeof(ulong) || from == typeof(nuint);
                if (Layout.Of(from) is not { IsPrimitive: true }) return null;
                return Convert(Convert(builder.Integer(a), "f32", unsigned), "f16", false);
            }
            if (returns == typeof(float)) return Convert(a, "f32", false);
            if (returns == typeof(double)) return Convert(a, "f64", false);
            if (Layout.Of(returns!) is not { IsPrimitive: true } to) return null;
            var number = Convert(a, "f32", false);
            return to.Small != Small.None ? Narrow(Convert(number, "s32", false), to.Small) : Convert(number, to.Memory, false);
        }
        string? op = method.Name switch { "op_Addition" => "add.rn.f16", "op_Subtraction" => "sub.rn.f16", "op_Multiply" => "mul.rn.f16", _ => null };
        if (op != null) return builder.Pure(op, RegType.B16, AsOperand(arguments[0]), AsOperand(arguments[1]));
        if (method.Name == "op_Division")
        {
            // The quotient rounded to float and then to half is the rounded quotient.
            return Convert(builder.Div(Convert(AsOperand(arguments[0]), "f32", false), Convert(AsOperand(arguments[1]), "f32", false), false), "f16", false);
        }
        if (method.Name == "op_UnaryNegation") return builder.Pure("xor.b16", RegType.B16, AsOperand(arguments[0]), new Imm(RegType.B16, 0x8000));
        string? relation = method.Name switch
        {
            "op_Equality" => "eq", "op_Inequality" => "neu", "op_LessThan" => "lt", "op_LessThanOrEqual" => "le", "op_GreaterThan" => "gt", "op_GreaterThanOrEqual" => "ge", _ => null,
        };
        if (relation != null) return builder.Pure($"setp.{relation}.f16", RegType.Pred, AsOperand(arguments[0]), AsOperand(arguments[1]));
        if (method.Name == "Abs") return builder.Pure("and.b16", RegType.B16, AsOperand(arguments[0]), new Imm(RegType.B16, 0x7FFF));
        if (method.Name == "IsNaN") return builder.Pure("setp.neu.f16", RegType.Pred, AsOperand(arguments[0]), AsOperand(arguments[0]));
        if (arguments.Length == 0 && returns == typeof(Half)) return Constant(method.Invoke(null, null), returns);
        throw Fail(DiagnosticTable.Arithmetic, Describe(method));
    }
}
