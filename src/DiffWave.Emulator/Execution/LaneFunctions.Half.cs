using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal static unsafe partial class LaneFunctions
{
    private static LaneFunction Halves(LaneForm form) => (form.Type is PtxType.F16 or PtxType.F16x2, form.Has("ftz")) switch
    {
        (true, false) => Halves<Binary16, Off>(form),
        (true, true) => Halves<Binary16, On>(form),
        (false, false) => Halves<Brain16, Off>(form),
        (false, true) => Halves<Brain16, On>(form),
    };

    private static LaneFunction Halves<TFormat, TFtz>(LaneForm form) where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag => form.Opcode switch
    {
        "add" => Half2<Sum, TFormat, TFtz>(form),
        "sub" => Half2<Difference, TFormat, TFtz>(form),
        "mul" => Half2<Product, TFormat, TFtz>(form),
        "fma" when form.Rounding == RoundingMode.Nearest => form.Has("relu")
            ? HalfThree<HalfMultiplyAdd<TFormat, TFtz, Off, On>>(form)
            : form.Has("sat") ? HalfThree<HalfMultiplyAdd<TFormat, TFtz, On, Off>>(form) : HalfThree<HalfMultiplyAdd<TFormat, TFtz, Off, Off>>(form),
        "abs" => HalfOne<HalfAbsolute<TFormat, TFtz>>(form, InstructionClass.Float16, 0),
        "neg" => HalfOne<HalfNegate<TFormat, TFtz>>(form, InstructionClass.Float16, 0),
        "min" => form.Has("NaN") ? HalfExtremes<TFormat, Off, On, TFtz>(form) : HalfExtremes<TFormat, Off, Off, TFtz>(form),
        "max" => form.Has("NaN") ? HalfExtremes<TFormat, On, On, TFtz>(form) : HalfExtremes<TFormat, On, Off, TFtz>(form),
        "ex2" when form.Has("approx") => HalfOne<Half1<ExponentialBase2, TFormat, TFtz>>(form, InstructionClass.Special, 1),
        "tanh" when form.Has("approx") => HalfOne<Half1<HyperbolicTangent, TFormat, TFtz>>(form, InstructionClass.Special, 1),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction Half2<TOp, TFormat, TFtz>(LaneForm form) where TOp : struct, IReal2 where TFormat : struct, IBinaryFormat where TFtz : struct, IFlag
    {
        if (form.Rounding != RoundingMode.Nearest) throw form.Unsupported();
        return form.Has("sat") ? HalfTwo<Half2<TOp, TFormat, RoundNearest, TFtz, On>>(form) : HalfTwo<Half2<TOp, TFormat, RoundNearest, TFtz, Off>>(form);
    }

    private static LaneFunction HalfExtremes<TFormat, TGreater, TNaN, TFtz>(LaneForm form)
        where TFormat : struct, IBinaryFormat where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag =>
        form.Has("xorsign") & form.Has("abs") ? HalfTwo<HalfExtremeXorSign<TFormat, TGreater, TNaN, TFtz>>(form) : HalfTwo<HalfExtreme<TFormat, TGreater, TNaN, TFtz>>(form);

    private static bool IsPair(LaneForm form) => form.Type is PtxType.F16x2 or PtxType.BF16x2;

    private static LaneFunction HalfOne<TOp>(LaneForm form, InstructionClass kind, int flops) where TOp : struct, IOp1<ushort, ushort> =>
        IsPair(form) ? One<uint, uint, Pair1<TOp>>(kind, 2 * flops) : One<ushort, ushort, TOp>(kind, flops);

    private static LaneFunction HalfTwo<TOp>(LaneForm form) where TOp : struct, IHalf2 =>
        IsPair(form) ? Two<uint, Pair2<TOp>>(InstructionClass.Float16, 2) : Two<ushort, TOp>(InstructionClass.Float16, 1);

    private static LaneFunction HalfThree<TOp>(LaneForm form) where TOp : struct, IHalf3 =>
        IsPair(form) ? Three<uint, Pair3<TOp>>(InstructionClass.Float16, 4) : Three<ushort, TOp>(InstructionClass.Float16, 2);
}
