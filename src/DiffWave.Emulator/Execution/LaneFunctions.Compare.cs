using System.Numerics;
using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal static unsafe partial class LaneFunctions
{
    private static LaneFunction Move(LaneForm form)
    {
        if (form.Operands[0] is VectorOperand parts)
            return (LaneForm.Bits(form.Type), parts.Elements.Count) switch
            {
                (16, 2) => new(&SelectLoops.Unpack<byte, ushort, Off>, InstructionClass.Move, 0),
                (32, 2) => new(&SelectLoops.UnpackHalves, InstructionClass.Move, 0),
                (32, 4) => new(&SelectLoops.Unpack<byte, uint, On>, InstructionClass.Move, 0),
                (64, 2) => new(&SelectLoops.UnpackWords, InstructionClass.Move, 0),
                (64, 4) => new(&SelectLoops.Unpack<ushort, ulong, On>, InstructionClass.Move, 0),
                _ => throw form.Unsupported(),
            };
        if (form.Operands[1] is VectorOperand elements)
            return (LaneForm.Bits(form.Type), elements.Elements.Count) switch
            {
                (16, 2) => new(&SelectLoops.Pack<byte, ushort, Off>, InstructionClass.Move, 0),
                (32, 2) => new(&SelectLoops.PackHalves, InstructionClass.Move, 0),
                (32, 4) => new(&SelectLoops.Pack<byte, uint, On>, InstructionClass.Move, 0),
                (64, 2) => new(&SelectLoops.PackWords, InstructionClass.Move, 0),
                (64, 4) => new(&SelectLoops.Pack<ushort, ulong, On>, InstructionClass.Move, 0),
                _ => throw form.Unsupported(),
            };
        return LaneForm.Bits(form.Type) switch
        {
            1 => new(&SelectLoops.Copy, InstructionClass.Move, 0),
            16 => One<ushort, ushort, Copy<ushort>>(InstructionClass.Move),
            32 => One<uint, uint, Copy<uint>>(InstructionClass.Move),
            64 => One<ulong, ulong, Copy<ulong>>(InstructionClass.Move),
            _ => throw form.Unsupported(),
        };
    }

    private static LaneFunction Select(LaneForm form) => (form.Opcode, LaneForm.Bits(form.Type)) switch
    {
        ("selp", 16) => new(&SelectLoops.Select16, InstructionClass.Integer, 0),
        ("selp", 32) => new(&SelectLoops.Select<uint>, InstructionClass.Integer, 0),
        ("selp", _) => new(&SelectLoops.Select<ulong>, InstructionClass.Integer, 0),
        (_, 16) => SelectBySign<ushort>(form),
        (_, 32) => SelectBySign<uint>(form),
        _ => SelectBySign<ulong>(form),
    };

    private static LaneFunction SelectBySign<T>(LaneForm form) where T : unmanaged => (form.Types[1], form.Has("ftz")) switch
    {
        (PtxType.S32, false) => Three<T, T, int, T, SelectBySign<T, int, Off>>(),
        (PtxType.F32, false) => Three<T, T, float, T, SelectBySign<T, float, Off>>(),
        (PtxType.F32, true) => Three<T, T, float, T, SelectBySign<T, float, On>>(),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction Compare(LaneForm form)
    {
        form.Has("ftz"); // without meaning for integers and f64
        return form.Types[^1] switch
        {
            PtxType.U16 or PtxType.B16 => CompareIntegers<ushort>(form),
            PtxType.S16 => CompareIntegers<short>(form),
            PtxType.U32 or PtxType.B32 => CompareIntegers<uint>(form),
            PtxType.S32 => CompareIntegers<int>(form),
            PtxType.U64 or PtxType.B64 => CompareIntegers<ulong>(form),
            PtxType.S64 => CompareIntegers<long>(form),
            PtxType.F32 => form.Has("ftz") ? CompareFloats<float, FlushOperands>(form) : CompareFloats<float, KeepOperands<float>>(form),
            PtxType.F64 => CompareFloats<double, KeepOperands<double>>(form),
            PtxType.F16 or PtxType.F16x2 => form.Has("ftz") ? CompareFloats<double, HalfOperands<Binary16, On>>(form) : CompareFloats<double, HalfOperands<Binary16, Off>>(form),
            PtxType.BF16 or PtxType.BF16x2 => CompareFloats<double, HalfOperands<Brain16, Off>>(form),
            _ => throw form.Unsupported(),
        };
    }

    private static LaneFunction CompareIntegers<T>(LaneForm form) where T : unmanaged, INumber<T> => form.Among("eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs") switch
    {
        "eq" => Compared<T, Equal<T>>(form),
        "ne" => Compared<T, Different<T>>(form),
        "lt" or "lo" => Compared<T, Less<T>>(form),
        "le" or "ls" => Compared<T, LessOrEqual<T>>(form),
        "gt" or "hi" => Compared<T, Greater<T>>(form),
        "ge" or "hs" => Compared<T, GreaterOrEqual<T>>(form),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction CompareFloats<T, TOperands>(LaneForm form) where T : unmanaged, INumber<T> where TOperands : struct, IOperands<T> =>
        form.Among("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan") switch
        {
            "eq" => TOperands.Compared<Equal<T>>(form),
            "ne" => TOperands.Compared<Different<T>>(form),
            "lt" => TOperands.Compared<Less<T>>(form),
            "le" => TOperands.Compared<LessOrEqual<T>>(form),
            "gt" => TOperands.Compared<Greater<T>>(form),
            "ge" => TOperands.Compared<GreaterOrEqual<T>>(form),
            "equ" => TOperands.Compared<Opposite<T, Different<T>>>(form),
            "neu" => TOperands.Compared<Opposite<T, Equal<T>>>(form),
            "ltu" => TOperands.Compared<Opposite<T, GreaterOrEqual<T>>>(form),
            "leu" => TOperands.Compared<Opposite<T, Greater<T>>>(form),
            "gtu" => TOperands.Compared<Opposite<T, LessOrEqual<T>>>(form),
            "geu" => TOperands.Compared<Opposite<T, Less<T>>>(form),
            "num" => TOperands.Compared<BothNumbers<T>>(form),
            "nan" => TOperands.Compared<Opposite<T, BothNumbers<T>>>(form),
            _ => throw form.Unsupported(),
        };

    /// <summary>How the operands of a comparison lie in the lanes and become the numbers compared.</summary>
    private interface IOperands<T> where T : unmanaged
    {
        static abstract LaneFunction Compared<TCompare>(LaneForm form) where TCompare : struct, ICompare<T>;
    }

    private readonly struct KeepOperands<T> : IOperands<T> where T : unmanaged
    {
        public static LaneFunction Compared<TCompare>(LaneForm form) where TCompare : struct, ICompare<T> => LaneFunctions.Compared<T, TCompare>(form);
    }

    private readonly struct FlushOperands : IOperands<float>
    {
        public static LaneFunction Compared<TCompare>(LaneForm form) where TCompare : struct, ICompare<float> => LaneFunctions.Compared<float, FlushedCompare<TCompare>>(form);
    }

    private readonly struct HalfOperands<TFormat, TFtz> : IOperands<double> where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
    {
        public static LaneFunction Compared<TCompare>(LaneForm form) where TCompare : struct, ICompare<double> =>
            form.Types[^1] is PtxType.F16 or PtxType.BF16 ? LaneFunctions.Compared<ushort, HalfCompare<TFormat, TCompare, TFtz>>(form) : ComparedPairs<HalfCompare<TFormat, TCompare, TFtz>>(form);
    }

    private static LaneFunction Compared<T, TCompare>(LaneForm form) where T : unmanaged where TCompare : struct, ICompare<T> => form.Among("and", "or", "xor") switch
    {
        "and" => Compared<T, TCompare, CombineAnd>(form),
        "or" => Compared<T, TCompare, CombineOr>(form),
        "xor" => Compared<T, TCompare, CombineXor>(form),
        _ => Compared<T, TCompare, CombineNone>(form),
    };

    private static LaneFunction Compared<T, TCompare, TCombine>(LaneForm form) where T : unmanaged where TCompare : struct, ICompare<T> where TCombine : struct, ICombine
    {
        var kind = LaneForm.Bits(form.Types[^1]) == 16 && form.Types[^1] >= PtxType.F16 ? InstructionClass.Float16
            : form.Types[^1] switch { PtxType.F32 => InstructionClass.Float32, PtxType.F64 => InstructionClass.Float64, _ => InstructionClass.Integer };
        if (form.Opcode == "setp")
            return form.HasPair ? new(&CompareLoops.SetPredicate<T, TCompare, TCombine, On>, kind, 0) : new(&CompareLoops.SetPredicate<T, TCompare, TCombine, Off>, kind, 0);
        return form.Type switch
        {
            PtxType.F32 => new(&CompareLoops.SetValue<T, TCompare, TCombine, TruthSingle>, kind, 0),
            PtxType.U32 or PtxType.S32 => new(&CompareLoops.SetValue<T, TCompare, TCombine, TruthOnes>, kind, 0),
            PtxType.U16 or PtxType.S16 => new(&CompareLoops.SetValue<T, TCompare, TCombine, TruthShortOnes>, kind, 0),
            PtxType.F16 => new(&CompareLoops.SetValue<T, TCompare, TCombine, TruthHalf>, kind, 0),
            PtxType.BF16 => new(&CompareLoops.SetValue<T, TCompare, TCombine, TruthBrain>, kind, 0),
            _ => throw form.Unsupported(),
        };
    }

    private static LaneFunction ComparedPairs<TCompare>(LaneForm form) where TCompare : struct, ICompare<ushort> => form.Among("and", "or", "xor") switch
    {
        "and" => ComparedPairs<TCompare, CombineAnd>(form),
        "or" => ComparedPairs<TCompare, CombineOr>(form),
        "xor" => ComparedPairs<TCompare, CombineXor>(form),
        _ => ComparedPairs<TCompare, CombineNone>(form),
    };

    private static LaneFunction ComparedPairs<TCompare, TCombine>(LaneForm form) where TCompare : struct, ICompare<ushort> where TCombine : struct, ICombine => (form.Opcode, form.Type) switch
    {
        ("setp", _) when form.HasPair => new(&CompareLoops.SetPredicates<TCompare, TCombine>, InstructionClass.Float16, 0),
        ("set", PtxType.U32 or PtxType.S32) => new(&CompareLoops.SetValues<TCompare, TCombine, TruthShortOnes>, InstructionClass.Float16, 0),
        ("set", PtxType.F16x2) => new(&CompareLoops.SetValues<TCompare, TCombine, TruthHalf>, InstructionClass.Float16, 0),
        ("set", PtxType.BF16x2) => new(&CompareLoops.SetValues<TCompare, TCombine, TruthBrain>, InstructionClass.Float16, 0),
        _ => throw form.Unsupported(),
    };
}
