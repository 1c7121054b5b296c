using System.Numerics;
using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal static unsafe partial class LaneFunctions
{
    private static LaneFunction Integers(LaneForm form) => form.Type switch
    {
        _ when form.Opcode is "dp4a" or "dp2a" => Dot(form),
        PtxType.U16 => Integer<ushort, uint>(form),
        PtxType.S16 => Integer<short, int>(form),
        PtxType.U32 => Integer<uint, ulong>(form),
        PtxType.S32 => Integer<int, long>(form),
        PtxType.U64 => Integer<ulong, UInt128>(form),
        PtxType.S64 => Integer<long, Int128>(form),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction Integer<T, TWide>(LaneForm form) where T : unmanaged, IBinaryInteger<T> where TWide : unmanaged, IBinaryInteger<TWide>
    {
        bool saturated = form.Has("sat");
        if (form.Has("cc") || (saturated && typeof(T) != typeof(int))) throw form.Unsupported();
        switch (form.Opcode)
        {
            case "add": return saturated ? Two<int, AddSaturated>() : Two<T, Add<T>>();
            case "sub": return saturated ? Two<int, SubtractSaturated>() : Two<T, Subtract<T>>();
            case "mul" or "mad":
                bool adds = form.Opcode == "mad";
                if (form.Among("hi", "lo", "wide") == "hi")
                    return !adds ? Two<T, MultiplyHigh<T, TWide>>() : saturated ? Three<int, MultiplyAddHighSaturated>() : Three<T, MultiplyHigh<T, TWide>>();
                if (saturated) throw form.Unsupported();
                if (form.Has("lo")) return adds ? Three<T, MultiplyAddLow<T>>() : Two<T, MultiplyLow<T>>();
                if (sizeof(T) == 8) throw form.Unsupported();
                if (typeof(T) == typeof(int)) return adds ? Wide<WideProduct<On, On>>() : Wide<WideProduct<On, Off>>();
                if (typeof(T) == typeof(uint)) return adds ? Wide<WideProduct<Off, On>>() : Wide<WideProduct<Off, Off>>();
                return adds ? Three<T, T, TWide, TWide, MultiplyWide<T, TWide>>() : Two<T, T, TWide, MultiplyWide<T, TWide>>();
            case "mul24" or "mad24":
                bool sums = form.Opcode == "mad24";
                if (sizeof(T) != 4) throw form.Unsupported();
                if (form.Among("hi", "lo") == "hi")
                    return !sums ? Two<T, Multiply24<T, On>>() : saturated ? Three<int, MultiplyAdd24HighSaturated>() : Three<T, Multiply24<T, On>>();
                return sums ? Three<T, Multiply24<T, Off>>() : Two<T, Multiply24<T, Off>>();
            case "sad": return Three<T, SumOfAbsoluteDifference<T>>();
            case "div": return Two<T, Quotient<T>>();
            case "rem": return Two<T, Remainder<T>>();
            case "abs": return One<T, T, Absolute<T>>();
            case "neg": return One<T, T, Negate<T>>();
            case "min": return form.Has("relu") ? Two<int, Relu<Minimum<int>>>() : Two<T, Minimum<T>>();
            case "max": return form.Has("relu") ? Two<int, Relu<Maximum<int>>>() : Two<T, Maximum<T>>();
            default: throw form.Unsupported();
        }
    }

    private static LaneFunction Wide<TOp>(InstructionClass kind = InstructionClass.Integer) where TOp : struct, IWide => new(&LaneLoops.RunWide<TOp>, kind, 0);

    private static LaneFunction Dot(LaneForm form)
    {
        bool signedA = form.Types[0] == PtxType.S32, signedB = form.Types[1] == PtxType.S32;
        if (form.Opcode == "dp4a")
            return (signedA, signedB) switch
            {
                (false, false) => Three<uint, DotOfBytes<byte, byte>>(),
                (false, true) => Three<uint, DotOfBytes<byte, sbyte>>(),
                (true, false) => Three<uint, DotOfBytes<sbyte, byte>>(),
                (true, true) => Three<uint, DotOfBytes<sbyte, sbyte>>(),
            };
        return form.Among("lo", "hi") == "hi" ? DotOfHalves<On>(signedA, signedB) : DotOfHalves<Off>(signedA, signedB);
    }

    private static LaneFunction DotOfHalves<THigh>(bool signedA, bool signedB) where THigh : struct, IFlag => (signedA, signedB) switch
    {
        (false, false) => Three<uint, DotOfHalves<ushort, byte, THigh>>(),
        (false, true) => Three<uint, DotOfHalves<ushort, sbyte, THigh>>(),
        (true, false) => Three<uint, DotOfHalves<short, byte, THigh>>(),
        (true, true) => Three<uint, DotOfHalves<short, sbyte, THigh>>(),
    };

    private static LaneFunction Bits(LaneForm form) => (form.Opcode, form.Type) switch
    {
        ("shf", _) => form.Among("l", "r", "clamp", "wrap") == "l" ? Funnel<On>(form) : Funnel<Off>(form),
        ("lop3", _) => new(&BitLoops.LogicByTable, InstructionClass.Integer, 0),
        ("prmt", _) => form.Among("f4e", "b4e", "rc8", "ecl", "ecr", "rc16") switch
        {
            "f4e" => Three<uint, Permute<PickForward>>(),
            "b4e" => Three<uint, Permute<PickBackward>>(),
            "rc8" => Three<uint, Permute<PickReplicated>>(),
            "ecl" => Three<uint, Permute<PickEdgeLeft>>(),
            "ecr" => Three<uint, Permute<PickEdgeRight>>(),
            "rc16" => Three<uint, Permute<PickReplicated16>>(),
            _ => Three<uint, Permute<PickEach>>(),
        },
        ("fns", _) => Three<uint, uint, int, uint, FindNthOne>(),
        ("bmsk", _) => form.Among("wrap", "clamp") == "wrap" ? Two<uint, BitMask<On>>() : Two<uint, BitMask<Off>>(),
        ("szext", PtxType.U32) => form.Among("wrap", "clamp") == "wrap" ? Two<uint, uint, uint, ExtendField<uint, On>>() : Two<uint, uint, uint, ExtendField<uint, Off>>(),
        ("szext", PtxType.S32) => form.Among("wrap", "clamp") == "wrap" ? Two<int, uint, int, ExtendField<int, On>>() : Two<int, uint, int, ExtendField<int, Off>>(),
        ("and", PtxType.Pred) => new(&SelectLoops.Combine<CombineAnd>, InstructionClass.Integer, 0),
        ("or", PtxType.Pred) => new(&SelectLoops.Combine<CombineOr>, InstructionClass.Integer, 0),
        ("xor", PtxType.Pred) => new(&SelectLoops.Combine<CombineXor>, InstructionClass.Integer, 0),
        ("not", PtxType.Pred) => new(&SelectLoops.Not, InstructionClass.Integer, 0),
        (_, PtxType.B16 or PtxType.U16) => BitsOf<ushort>(form),
        (_, PtxType.S16) => BitsOf<short>(form),
        (_, PtxType.B32 or PtxType.U32) => BitsOf<uint>(form),
        (_, PtxType.S32) => BitsOf<int>(form),
        (_, PtxType.B64 or PtxType.U64) => BitsOf<ulong>(form),
        (_, PtxType.S64) => BitsOf<long>(form),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction BitsOf<T>(LaneForm form) where T : unmanaged, IBinaryInteger<T> => form.Opcode switch
    {
        "and" => Two<T, And<T>>(),
        "or" => Two<T, Or<T>>(),
        "xor" => Two<T, Xor<T>>(),
        "not" => One<T, T, Not<T>>(),
        "cnot" => One<T, T, LogicalNot<T>>(),
        "shl" => Two<T, uint, T, ShiftLeft<T>>(),
        "shr" => Two<T, uint, T, ShiftRight<T>>(),
        "bfe" => Three<T, uint, uint, T, ExtractField<T>>(),
        "bfi" => Four<T, T, uint, uint, T, InsertField<T>>(),
        "bfind" => form.Has("shiftamt") ? One<T, uint, FindLeadingBit<T, On>>() : One<T, uint, FindLeadingBit<T, Off>>(),
        "brev" => One<T, T, ReverseBits<T>>(),
        "clz" => One<T, uint, LeadingZeros<T>>(),
        "popc" => One<T, uint, CountOnes<T>>(),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction Funnel<TLeft>(LaneForm form) where TLeft : struct, IFlag =>
        form.Has("wrap") ? Three<uint, FunnelShift<TLeft, On>>() : Three<uint, FunnelShift<TLeft, Off>>();
}
