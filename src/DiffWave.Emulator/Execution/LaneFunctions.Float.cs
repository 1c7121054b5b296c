using System.Numerics;
using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal static unsafe partial class LaneFunctions
{
    private static LaneFunction Singles(LaneForm form) => form.Has("ftz") ? Singles<On>(form) : Singles<Off>(form);

    private static LaneFunction Singles<TFtz>(LaneForm form) where TFtz : struct, IFlag => form.Opcode switch
    {
        "add" => Single2<Sum, TFtz>(form),
        "sub" => Single2<Difference, TFtz>(form),
        "mul" => Single2<Product, TFtz>(form),
        "div" when form.Has("approx") => Two<float, SingleQuotientApproximate<TFtz>>(InstructionClass.Special, 1),
        "div" => form.Has("full") ? Single2<Ratio, TFtz>(form, InstructionClass.Special) : Single2<Ratio, TFtz>(form),
        "fma" or "mad" => form.Rounding switch
        {
            RoundingMode.Zero => SingleFma<RoundZero, TFtz>(form),
            RoundingMode.Down => SingleFma<RoundDown, TFtz>(form),
            RoundingMode.Up => SingleFma<RoundUp, TFtz>(form),
            _ => SingleFma<RoundNearest, TFtz>(form),
        },
        "sqrt" => Single1<SquareRoot, TFtz>(form),
        "rcp" => Single1<Reciprocal, TFtz>(form),
        "abs" => One<float, float, SingleAbsolute<TFtz>>(InstructionClass.Float32),
        "neg" => One<float, float, SingleNegate<TFtz>>(InstructionClass.Float32),
        "min" => form.Has("NaN") ? SingleExtremes<Off, On, TFtz>(form) : SingleExtremes<Off, Off, TFtz>(form),
        "max" => form.Has("NaN") ? SingleExtremes<On, On, TFtz>(form) : SingleExtremes<On, Off, TFtz>(form),
        "copysign" => Two<uint, CopySign32>(InstructionClass.Float32),
        "testp" => TestNumber<float>(form, InstructionClass.Float32),
        _ when form.Has("approx") => form.Opcode switch
        {
            "rsqrt" => One<float, float, SingleFunction<ReciprocalSquareRoot, TFtz>>(InstructionClass.Special, 1),
            "sin" => One<float, float, SingleFunction<Sine, TFtz>>(InstructionClass.Special, 1),
            "cos" => One<float, float, SingleFunction<Cosine, TFtz>>(InstructionClass.Special, 1),
            "lg2" => One<float, float, SingleFunction<LogarithmBase2, TFtz>>(InstructionClass.Special, 1),
            "ex2" => One<float, float, SingleFunction<ExponentialBase2, TFtz>>(InstructionClass.Special, 1),
            "tanh" => One<float, float, SingleFunction<HyperbolicTangent, TFtz>>(InstructionClass.Special, 1),
            _ => throw form.Unsupported(),
        },
        _ => throw form.Unsupported(),
    };

    private static LaneFunction Single1<TOp, TFtz>(LaneForm form) where TOp : struct, IReal1 where TFtz : struct, IFlag
    {
        var kind = form.Has("approx") ? InstructionClass.Special : InstructionClass.Float32;
        return form.Rounding switch
        {
            RoundingMode.Zero => One<float, float, Single1<TOp, RoundZero, TFtz>>(kind, 1),
            RoundingMode.Down => One<float, float, Single1<TOp, RoundDown, TFtz>>(kind, 1),
            RoundingMode.Up => One<float, float, Single1<TOp, RoundUp, TFtz>>(kind, 1),
            _ => One<float, float, Single1<TOp, RoundNearest, TFtz>>(kind, 1),
        };
    }

    private static LaneFunction Single2<TOp, TFtz>(LaneForm form, InstructionClass kind = InstructionClass.Float32) where TOp : struct, IReal2 where TFtz : struct, IFlag => form.Rounding switch
    {
        RoundingMode.Zero => Single2<TOp, RoundZero, TFtz>(form, kind),
        RoundingMode.Down => Single2<TOp, RoundDown, TFtz>(form, kind),
        RoundingMode.Up => Single2<TOp, RoundUp, TFtz>(form, kind),
        _ => Single2<TOp, RoundNearest, TFtz>(form, kind),
    };

    private static LaneFunction Single2<TOp, TRounding, TFtz>(LaneForm form, InstructionClass kind) where TOp : struct, IReal2 where TRounding : struct, IRounding where TFtz : struct, IFlag =>
        form.Has("sat") ? Two<float, Single2<TOp, TRounding, TFtz, On>>(kind, 1) : Two<float, Single2<TOp, TRounding, TFtz, Off>>(kind, 1);

    private static LaneFunction SingleFma<TRounding, TFtz>(LaneForm form) where TRounding : struct, IRounding where TFtz : struct, IFlag => form.Has("sat")
        ? Three<float, SingleMultiplyAdd<TRounding, TFtz, On>>(InstructionClass.Float32, 2)
        : Three<float, SingleMultiplyAdd<TRounding, TFtz, Off>>(InstructionClass.Float32, 2);

    private static LaneFunction SingleExtremes<TGreater, TNaN, TFtz>(LaneForm form) where TGreater : struct, IFlag where TNaN : struct, IFlag where TFtz : struct, IFlag
    {
        if (form.Operands.Count != 3) throw form.Unsupported();
        return form.Has("xorsign") & form.Has("abs")
            ? Two<float, SingleExtremeXorSign<TGreater, TNaN, TFtz>>(InstructionClass.Float32, 1)
            : Two<float, SingleExtreme<TGreater, TNaN, TFtz>>(InstructionClass.Float32, 1);
    }

    private static LaneFunction TestNumber<T>(LaneForm form, InstructionClass kind) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        form.Among("finite", "infinite", "number", "notanumber", "normal", "subnormal") switch
        {
            "finite" => new(&CompareLoops.Test<T, IsFinite>, kind, 0),
            "infinite" => new(&CompareLoops.Test<T, IsInfinite>, kind, 0),
            "number" => new(&CompareLoops.Test<T, IsNumber>, kind, 0),
            "notanumber" => new(&CompareLoops.Test<T, IsNotANumber>, kind, 0),
            "normal" => new(&CompareLoops.Test<T, IsNormal>, kind, 0),
            "subnormal" => new(&CompareLoops.Test<T, IsSubnormal>, kind, 0),
            _ => throw form.Unsupported(),
        };

    private static LaneFunction Doubles(LaneForm form) => form.Opcode switch
    {
        "add" => Double2<Sum>(form),
        "sub" => Double2<Difference>(form),
        "mul" => Double2<Product>(form),
        "div" => Double2<Ratio>(form),
        "fma" or "mad" => form.Rounding switch
        {
            RoundingMode.Zero => Three<double, DoubleMultiplyAdd<RoundZero>>(InstructionClass.Float64, 2),
            RoundingMode.Down => Three<double, DoubleMultiplyAdd<RoundDown>>(InstructionClass.Float64, 2),
            RoundingMode.Up => Three<double, DoubleMultiplyAdd<RoundUp>>(InstructionClass.Float64, 2),
            _ => Three<double, DoubleMultiplyAdd<RoundNearest>>(InstructionClass.Float64, 2),
        },
        "rsqrt" when form.Has("approx") => DoubleFunction<ReciprocalSquareRoot>(form),
        "rcp" when form.Has("approx") => DoubleFunction<ReciprocalFunction>(form),
        "sqrt" => Double1<SquareRoot>(form),
        "rcp" => Double1<Reciprocal>(form),
        "abs" => One<double, double, DoubleAbsolute>(InstructionClass.Float64),
        "neg" => One<double, double, DoubleNegate>(InstructionClass.Float64),
        "min" => Two<double, DoubleExtreme<Off>>(InstructionClass.Float64, 1),
        "max" => Two<double, DoubleExtreme<On>>(InstructionClass.Float64, 1),
        "copysign" => Two<ulong, CopySign64>(InstructionClass.Float64),
        "testp" => TestNumber<double>(form, InstructionClass.Float64),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction DoubleFunction<TFunction>(LaneForm form) where TFunction : struct, IFunction => form.Has("ftz")
        ? One<double, double, DoubleFunction<TFunction, On>>(InstructionClass.Special, 1)
        : One<double, double, DoubleFunction<TFunction, Off>>(InstructionClass.Special, 1);

    private static LaneFunction Double1<TOp>(LaneForm form) where TOp : struct, IReal1 => form.Rounding switch
    {
        RoundingMode.Zero => One<double, double, Double1<TOp, RoundZero>>(InstructionClass.Float64, 1),
        RoundingMode.Down => One<double, double, Double1<TOp, RoundDown>>(InstructionClass.Float64, 1),
        RoundingMode.Up => One<double, double, Double1<TOp, RoundUp>>(InstructionClass.Float64, 1),
        _ => One<double, double, Double1<TOp, RoundNearest>>(InstructionClass.Float64, 1),
    };

    private static LaneFunction Double2<TOp>(LaneForm form) where TOp : struct, IReal2 => form.Rounding switch
    {
        RoundingMode.Zero => Two<double, Double2<TOp, RoundZero>>(InstructionClass.Float64, 1),
        RoundingMode.Down => Two<double, Double2<TOp, RoundDown>>(InstructionClass.Float64, 1),
        RoundingMode.Up => Two<double, Double2<TOp, RoundUp>>(InstructionClass.Float64, 1),
        _ => Two<double, Double2<TOp, RoundNearest>>(InstructionClass.Float64, 1),
    };
}
