using System.Numerics;
using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal static unsafe partial class LaneFunctions
{
    private static LaneFunction Convert(LaneForm form)
    {
        form.Has("ftz"); // speaks only of f32 operands
        return form.Types[0] switch
        {
            PtxType.F16x2 when form.Operands.Count == 3 => form.Has("relu") ? PackedPair<Binary16, On>(form)
                : form.Rounding == RoundingMode.Nearest ? Two<float, float, uint, PackNearest<Off>>(InstructionClass.Conversion) : PackedPair<Binary16, Off>(form),
            PtxType.BF16x2 when form.Operands.Count == 3 => form.Has("relu") ? PackedPair<Brain16, On>(form)
                : form.Rounding == RoundingMode.Nearest ? Two<float, float, uint, PackNearest<On>>(InstructionClass.Conversion) : PackedPair<Brain16, Off>(form),
            PtxType.TF32 => form.Has("relu") ? ToTensor<On>(form) : ToTensor<Off>(form),
            _ when form.Types.Count != 2 => throw form.Unsupported(),
            _ when Common(form) is { } function => function,
            _ => form.Types[1] switch
            {
                PtxType.U8 => FromInteger<byte>(form),
                PtxType.S8 => FromInteger<sbyte>(form),
                PtxType.U16 => FromInteger<ushort>(form),
                PtxType.S16 => FromInteger<short>(form),
                PtxType.U32 => FromInteger<uint>(form),
                PtxType.S32 => FromInteger<int>(form),
                PtxType.U64 => FromInteger<ulong>(form),
                PtxType.S64 => FromInteger<long>(form),
                PtxType.F16 => FromFloat<FloatType<Binary16, Off>, uint>(form),
                PtxType.BF16 => FromFloat<FloatType<Brain16, Off>, uint>(form),
                PtxType.F32 => form.Has("ftz") ? FromFloat<FloatType<Binary32, On>, uint>(form) : FromFloat<FloatType<Binary32, Off>, uint>(form),
                PtxType.F64 => FromFloat<DoubleType, ulong>(form),
                _ => throw form.Unsupported(),
            },
        };
    }

    /// <summary>The conversions kernels are full of, eight lanes at a time.</summary>
    private static LaneFunction? Common(LaneForm form)
    {
        bool flush = form.Has("ftz"), plain = !form.Has("sat") && !form.Has("relu") && form.Rounding == RoundingMode.Nearest;
        string? integral = form.Among("rni", "rzi", "rmi", "rpi");
        return (form.Types[0], form.Types[1]) switch
        {
            (PtxType.S64 or PtxType.U64, PtxType.S32) when plain && RegisterBits(form, 1) == 32 => Wide<Extend32<On>>(InstructionClass.Conversion),
            (PtxType.S64 or PtxType.U64, PtxType.U32) when plain && RegisterBits(form, 1) == 32 => Wide<Extend32<Off>>(InstructionClass.Conversion),
            (PtxType.S32 or PtxType.U32, PtxType.S64 or PtxType.U64) when plain && RegisterBits(form, 0) == 32 => new(&LaneLoops.RunNarrow, InstructionClass.Conversion, 0),
            (PtxType.F32, PtxType.F16) when plain => flush ? One<uint, float, HalfToSingle<Off, On>>(InstructionClass.Conversion) : One<uint, float, HalfToSingle<Off, Off>>(InstructionClass.Conversion),
            (PtxType.F32, PtxType.BF16) when plain => One<uint, float, HalfToSingle<On, Off>>(InstructionClass.Conversion),
            (PtxType.F16, PtxType.F32) when plain => flush ? One<float, uint, SingleToHalf<Off, On>>(InstructionClass.Conversion) : One<float, uint, SingleToHalf<Off, Off>>(InstructionClass.Conversion),
            (PtxType.BF16, PtxType.F32) when plain => One<float, uint, SingleToHalf<On, Off>>(InstructionClass.Conversion),
            (PtxType.S32, PtxType.F32) when RegisterBits(form, 0) == 32 => flush ? SingleToSigned<On>(integral) : SingleToSigned<Off>(integral),
            _ => null,
        };
    }

    private static LaneFunction SingleToSigned<TFtz>(string? rounding) where TFtz : struct, IFlag => rounding switch
    {
        "rni" => One<float, int, SingleToSigned<RoundNearest, TFtz>>(InstructionClass.Conversion),
        "rmi" => One<float, int, SingleToSigned<RoundDown, TFtz>>(InstructionClass.Conversion),
        "rpi" => One<float, int, SingleToSigned<RoundUp, TFtz>>(InstructionClass.Conversion),
        _ => One<float, int, SingleToSigned<RoundZero, TFtz>>(InstructionClass.Conversion),
    };

    private static LaneFunction PackedPair<TFormat, TRelu>(LaneForm form) where TFormat : struct, IBinaryFormat where TRelu : struct, IFlag => form.Rounding == RoundingMode.Zero
        ? Two<float, float, uint, PackSingles<TFormat, RoundZero, TRelu>>(InstructionClass.Conversion)
        : Two<float, float, uint, PackSingles<TFormat, RoundNearest, TRelu>>(InstructionClass.Conversion);

    private static LaneFunction ToTensor<TRelu>(LaneForm form) where TRelu : struct, IFlag => form.Rounding switch
    {
        RoundingMode.NearestAway => One<float, uint, SingleToTensor<RoundNearestAway, TRelu>>(InstructionClass.Conversion),
        RoundingMode.Zero => One<float, uint, SingleToTensor<RoundZero, TRelu>>(InstructionClass.Conversion),
        RoundingMode.Nearest => One<float, uint, SingleToTensor<RoundNearest, TRelu>>(InstructionClass.Conversion),
        _ => throw form.Unsupported(),
    };

    /// <summary>Bits of the register of an operand, which of <c>cvt</c> may be wider than the type.</summary>
    private static int RegisterBits(LaneForm form, int operand) => LaneForm.Bits(form.Operands[operand] is RegisterOperand register ? register.Register.Type : form.Types[operand]);

    private static LaneFunction FromInteger<TSource>(LaneForm form) where TSource : unmanaged, IBinaryInteger<TSource> =>
        RegisterBits(form, 1) == 64 ? FromInteger<TSource, ulong>(form) : FromInteger<TSource, uint>(form);

    private static LaneFunction FromInteger<TSource, TRegister>(LaneForm form) where TSource : unmanaged, IBinaryInteger<TSource> where TRegister : unmanaged, IBinaryInteger<TRegister> => form.Types[0] switch
    {
        PtxType.U8 => BetweenIntegers<TSource, TRegister, byte>(form),
        PtxType.S8 => BetweenIntegers<TSource, TRegister, sbyte>(form),
        PtxType.U16 => BetweenIntegers<TSource, TRegister, ushort>(form),
        PtxType.S16 => BetweenIntegers<TSource, TRegister, short>(form),
        PtxType.U32 => BetweenIntegers<TSource, TRegister, uint>(form),
        PtxType.S32 => BetweenIntegers<TSource, TRegister, int>(form),
        PtxType.U64 => BetweenIntegers<TSource, TRegister, ulong>(form),
        PtxType.S64 => BetweenIntegers<TSource, TRegister, long>(form),
        PtxType.F16 => IntegerToFloat<TSource, TRegister, FloatType<Binary16, Off>, uint>(form),
        PtxType.BF16 => IntegerToFloat<TSource, TRegister, FloatType<Brain16, Off>, uint>(form),
        PtxType.F32 => IntegerToFloat<TSource, TRegister, FloatType<Binary32, Off>, uint>(form),
        PtxType.F64 => IntegerToFloat<TSource, TRegister, DoubleType, ulong>(form),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction BetweenIntegers<TSource, TRegister, TTarget>(LaneForm form)
        where TSource : unmanaged, IBinaryInteger<TSource> where TRegister : unmanaged, IBinaryInteger<TRegister> where TTarget : unmanaged, IBinaryInteger<TTarget> => RegisterBits(form, 0) switch
    {
        64 => BetweenIntegers<TSource, TRegister, TTarget, ulong>(form),
        32 => BetweenIntegers<TSource, TRegister, TTarget, uint>(form),
        16 => BetweenIntegers<TSource, TRegister, TTarget, ushort>(form),
        _ => BetweenIntegers<TSource, TRegister, TTarget, byte>(form),
    };

    private static LaneFunction BetweenIntegers<TSource, TRegister, TTarget, TTargetRegister>(LaneForm form)
        where TSource : unmanaged, IBinaryInteger<TSource> where TRegister : unmanaged, IBinaryInteger<TRegister>
        where TTarget : unmanaged, IBinaryInteger<TTarget> where TTargetRegister : unmanaged, IBinaryInteger<TTargetRegister> => form.Has("sat")
        ? One<TRegister, TTargetRegister, IntegerToInteger<TSource, TTarget, TRegister, TTargetRegister, On>>(InstructionClass.Conversion)
        : One<TRegister, TTargetRegister, IntegerToInteger<TSource, TTarget, TRegister, TTargetRegister, Off>>(InstructionClass.Conversion);

    private static LaneFunction IntegerToFloat<TSource, TRegister, TFloat, TLane>(LaneForm form)
        where TSource : unmanaged, IBinaryInteger<TSource> where TRegister : unmanaged, IBinaryInteger<TRegister> where TFloat : struct, IFloatType<TLane> where TLane : unmanaged => form.Rounding switch
    {
        RoundingMode.Zero => IntegerToFloat<TSource, TRegister, TFloat, TLane, RoundZero>(form),
        RoundingMode.Down => IntegerToFloat<TSource, TRegister, TFloat, TLane, RoundDown>(form),
        RoundingMode.Up => IntegerToFloat<TSource, TRegister, TFloat, TLane, RoundUp>(form),
        _ when form.Types[0] == PtxType.F32 && sizeof(TSource) == 4 && sizeof(TRegister) == 4 && !form.Has("sat") => TSource.IsNegative(~TSource.Zero)
            ? One<int, float, SignedToSingle>(InstructionClass.Conversion)
            : One<uint, float, UnsignedToSingle>(InstructionClass.Conversion),
        _ => IntegerToFloat<TSource, TRegister, TFloat, TLane, RoundNearest>(form),
    };

    private static LaneFunction IntegerToFloat<TSource, TRegister, TFloat, TLane, TRounding>(LaneForm form)
        where TSource : unmanaged, IBinaryInteger<TSource> where TRegister : unmanaged, IBinaryInteger<TRegister>
        where TFloat : struct, IFloatType<TLane> where TLane : unmanaged where TRounding : struct, IRounding => form.Has("sat")
        ? One<TRegister, TLane, IntegerToFloat<TSource, TRegister, TFloat, TLane, TRounding, On>>(InstructionClass.Conversion)
        : One<TRegister, TLane, IntegerToFloat<TSource, TRegister, TFloat, TLane, TRounding, Off>>(InstructionClass.Conversion);

    private static LaneFunction FromFloat<TSource, TLane>(LaneForm form) where TSource : struct, IFloatType<TLane> where TLane : unmanaged => form.Types[0] switch
    {
        PtxType.U8 => ToInteger<TSource, TLane, byte>(form),
        PtxType.S8 => ToInteger<TSource, TLane, sbyte>(form),
        PtxType.U16 => ToInteger<TSource, TLane, ushort>(form),
        PtxType.S16 => ToInteger<TSource, TLane, short>(form),
        PtxType.U32 => ToInteger<TSource, TLane, uint>(form),
        PtxType.S32 => ToInteger<TSource, TLane, int>(form),
        PtxType.U64 => ToInteger<TSource, TLane, ulong>(form),
        PtxType.S64 => ToInteger<TSource, TLane, long>(form),
        PtxType.F16 => BetweenFloats<TSource, TLane, FloatType<Binary16, Off>, uint>(form),
        PtxType.BF16 => BetweenFloats<TSource, TLane, FloatType<Brain16, Off>, uint>(form),
        PtxType.F32 => form.Has("ftz") ? BetweenFloats<TSource, TLane, FloatType<Binary32, On>, uint>(form) : BetweenFloats<TSource, TLane, FloatType<Binary32, Off>, uint>(form),
        PtxType.F64 => BetweenFloats<TSource, TLane, DoubleType, ulong>(form),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction ToInteger<TSource, TLane, TTarget>(LaneForm form) where TSource : struct, IFloatType<TLane> where TLane : unmanaged where TTarget : unmanaged, IBinaryInteger<TTarget>
    {
        form.Has("sat"); // integers are held in range in any case
        return RegisterBits(form, 0) switch
        {
            64 => ToInteger<TSource, TLane, TTarget, ulong>(form),
            32 => ToInteger<TSource, TLane, TTarget, uint>(form),
            16 => ToInteger<TSource, TLane, TTarget, ushort>(form),
            _ => ToInteger<TSource, TLane, TTarget, byte>(form),
        };
    }

    private static LaneFunction ToInteger<TSource, TLane, TTarget, TRegister>(LaneForm form) where TSource : struct, IFloatType<TLane> where TLane : unmanaged
        where TTarget : unmanaged, IBinaryInteger<TTarget> where TRegister : unmanaged, IBinaryInteger<TRegister> => form.Among("rni", "rzi", "rmi", "rpi") switch
    {
        "rni" => One<TLane, TRegister, FloatToInteger<TSource, TLane, TTarget, TRegister, RoundNearest>>(InstructionClass.Conversion),
        "rzi" => One<TLane, TRegister, FloatToInteger<TSource, TLane, TTarget, TRegister, RoundZero>>(InstructionClass.Conversion),
        "rmi" => One<TLane, TRegister, FloatToInteger<TSource, TLane, TTarget, TRegister, RoundDown>>(InstructionClass.Conversion),
        "rpi" => One<TLane, TRegister, FloatToInteger<TSource, TLane, TTarget, TRegister, RoundUp>>(InstructionClass.Conversion),
        _ => throw form.Unsupported(),
    };

    private static LaneFunction BetweenFloats<TSource, TLane, TTarget, TTargetLane>(LaneForm form)
        where TSource : struct, IFloatType<TLane> where TLane : unmanaged where TTarget : struct, IFloatType<TTargetLane> where TTargetLane : unmanaged => form.Among("rni", "rzi", "rmi", "rpi") switch
    {
        "rni" => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundNearest, On>(form),
        "rzi" => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundZero, On>(form),
        "rmi" => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundDown, On>(form),
        "rpi" => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundUp, On>(form),
        _ => form.Rounding switch
        {
            RoundingMode.Zero => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundZero, Off>(form),
            RoundingMode.Down => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundDown, Off>(form),
            RoundingMode.Up => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundUp, Off>(form),
            _ => BetweenFloats<TSource, TLane, TTarget, TTargetLane, RoundNearest, Off>(form),
        },
    };

    private static LaneFunction BetweenFloats<TSource, TLane, TTarget, TTargetLane, TRounding, TIntegral>(LaneForm form)
        where TSource : struct, IFloatType<TLane> where TLane : unmanaged where TTarget : struct, IFloatType<TTargetLane> where TTargetLane : unmanaged
        where TRounding : struct, IRounding where TIntegral : struct, IFlag => form.Has("relu")
        ? One<TLane, TTargetLane, FloatToFloat<TSource, TLane, TTarget, TTargetLane, TRounding, TIntegral, Off, On>>(InstructionClass.Conversion)
        : form.Has("sat")
            ? One<TLane, TTargetLane, FloatToFloat<TSource, TLane, TTarget, TTargetLane, TRounding, TIntegral, On, Off>>(InstructionClass.Conversion)
            : One<TLane, TTargetLane, FloatToFloat<TSource, TLane, TTarget, TTargetLane, TRounding, TIntegral, Off, Off>>(InstructionClass.Conversion);
}
