using System.Reflection;
using System.Reflection.Emit;
using DiffWave.Device;

namespace DiffWave.Kernels.Tests;

/// <summary>Version 1 of every kernel, and all it calls, keeps to words that ILGPU 1.5.3 has too.</summary>
public class IlgpuSurfaceTests
{
    // The words of ILGPU's kernel API that kernels use here, by its documentation; properties by their accessors.
    private static readonly Dictionary<string, string[]> Words = new()
    {
        ["ArrayView`1"] = ["get_Item", "get_Length", "get_IntLength", "get_LengthInBytes", "get_IsValid", "SubView", "Cast"],
        ["Index1D"] = ["get_X", "get_Size", "op_Implicit"],
        ["Index2D"] = ["get_X", "get_Y", "get_Size"],
        ["Index3D"] = ["get_X", "get_Y", "get_Z", "get_Size"],
        ["LongIndex1D"] = ["get_X", "get_Size", "op_Implicit"],
        ["Group"] = ["get_IdxX", "get_IdxY", "get_IdxZ", "get_DimX", "get_DimY", "get_DimZ", "get_Index", "get_Dimension", "get_LinearIndex", "get_IsFirstThread", "Barrier", "BarrierAnd", "BarrierOr", "BarrierPopCount"],
        ["Grid"] = ["get_IdxX", "get_IdxY", "get_IdxZ", "get_DimX", "get_DimY", "get_DimZ", "get_Index", "get_Dimension", "get_LinearIndex", "get_GlobalIndex", "get_GlobalLinearIndex"],
        ["Warp"] = ["get_WarpSize", "get_LaneIdx", "get_WarpIdx", "get_IsFirstLane", "Barrier", "Shuffle", "ShuffleDown", "ShuffleUp", "ShuffleXor", "Broadcast"],
        ["SharedMemory"] = ["Allocate", "GetDynamic"],
        ["LocalMemory"] = ["Allocate"],
        ["MemoryFence"] = ["GroupLevel", "DeviceLevel", "SystemLevel"],
        ["Atomic"] = ["Add", "Max", "Min", "And", "Or", "Xor", "Exchange", "CompareExchange"],
        ["Interop"] = ["SizeOf", "FloatAsInt", "IntAsFloat"],
        ["IntrinsicMath"] = ["Abs", "Min", "Max", "Clamp", "PopCount"],
        ["XMath"] = ["Abs", "Acos", "Asin", "Atan", "Atan2", "Ceiling", "Clamp", "Cos", "Cosh", "Exp", "Exp2", "Floor", "IsFinite", "IsNaN", "Log", "Log2", "Log10", "Max", "Min", "Pow", "Rcp", "Rem", "Round",
            "Rsqrt", "Sign", "Sin", "SinCos", "Sqrt", "Tan", "Tanh", "Truncate"],
    };

    public static TheoryData<string> FirstVersions => [.. KernelCatalog.All.Where(IsFirst).Select(version => version.Name)];

    private static bool IsFirst(KernelVersion version) => version.Method.GetCustomAttribute<KernelAttribute>()!.Name.EndsWith("_v1", StringComparison.Ordinal);

    [Theory, MemberData(nameof(FirstVersions))]
    public void AFirstVersionUsesNoOtherWords(string name) => Assert.Empty(Foreign(KernelCatalog.Find(name)!.Method));

    [Fact]
    public void EveryOperationHasAFirstVersion() => Assert.All(KernelCatalog.All.GroupBy(version => version.Op), op => Assert.Contains(op, IsFirst));

    [Fact]
    public void TheWalkItselfFindsForeignWords()
    {
        Assert.Contains("Ptx.TanhApprox", Foreign(typeof(GatedActivation).GetMethod(nameof(GatedActivation.ForwardV3))!));
        Assert.Contains("local Float4", Foreign(typeof(GatedActivation).GetMethod(nameof(GatedActivation.ForwardV2))!));
    }

    // What a kernel and its helpers use beyond the list.
    private static HashSet<string> Foreign(MethodInfo kernel)
    {
        var foreign = new HashSet<string>();
        var seen = new HashSet<MethodBase>();
        var open = new Stack<MethodBase>([kernel]);
        while (open.TryPop(out MethodBase? method))
        {
            if (!seen.Add(method)) continue;
            MethodBody body = method.GetMethodBody() ?? throw new InvalidOperationException($"{method} has no body");
            foreach (LocalVariableInfo local in body.LocalVariables)
                if (Definition(local.LocalType) is var type && type.Assembly == typeof(ArrayView<>).Assembly && !Words.ContainsKey(type.Name)) foreign.Add($"local {type.Name}");
            foreach (MemberInfo member in Members(method, body))
            {
                Type owner = Definition(member.DeclaringType!);
                if (owner.Assembly == typeof(KernelCatalog).Assembly)
                {
                    if (member is MethodBase helper) open.Push(helper);
                }
                else if (owner == typeof(MathF) || owner == typeof(BitConverter)) { }
                else if (owner.Assembly != typeof(ArrayView<>).Assembly || !Words.TryGetValue(owner.Name, out string[]? words) || !words.Contains(member.Name)) foreign.Add($"{owner.Name}.{member.Name}");
            }
        }
        return foreign;
    }

    private static Type Definition(Type type)
    {
        Type element = type.IsByRef ? type.GetElementType()! : type;
        return element.IsGenericType ? element.GetGenericTypeDefinition() : element;
    }

    // The methods and fields a body names.
    private static IEnumerable<MemberInfo> Members(MethodBase method, MethodBody body)
    {
        byte[] il = body.GetILAsByteArray()!;
        Type[] ofType = method.DeclaringType!.GetGenericArguments(), ofMethod = method.IsGenericMethod ? method.GetGenericArguments() : [];
        for (int at = 0; at < il.Length;)
        {
            OpCode code = il[at] == 0xFE ? TwoBytes[il[at + 1]] : OneByte[il[at]];
            at += code.Size;
            if (code.OperandType is OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineTok)
            {
                MemberInfo member = method.Module.ResolveMember(BitConverter.ToInt32(il, at), ofType, ofMethod)!;
                if (member is not Type) yield return member;
            }
            at += code.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(il, at),
                _ => 4,
            };
        }
    }

    private static readonly Dictionary<int, OpCode> OneByte = Codes(1), TwoBytes = Codes(2);

    private static Dictionary<int, OpCode> Codes(int size) => typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (OpCode)field.GetValue(null)!)
        .Where(code => code.Size == size && code.OpCodeType != OpCodeType.Nternal).ToDictionary(code => code.Value & 0xFF);
}
