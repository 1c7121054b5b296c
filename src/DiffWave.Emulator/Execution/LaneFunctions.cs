using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>The instructions that work on registers alone.</summary>
internal static unsafe partial class LaneFunctions
{
    /// <summary>What an instruction does, or null when it touches memory or control flow.</summary>
    /// <param name="instruction">A valid instruction.</param>
    /// <exception cref="PtxException">The instruction is valid but beyond the emulator.</exception>
    public static LaneFunction? Find(PtxInstruction instruction)
    {
        var form = new LaneForm(instruction);
        var function = instruction.Opcode switch
        {
            "add" or "sub" or "mul" or "fma" or "mad" or "div" or "min" or "max" or "abs" or "neg" => Arithmetic(form),
            "mul24" or "mad24" or "sad" or "rem" or "dp4a" or "dp2a" => Integers(form),
            "and" or "or" or "xor" or "not" or "cnot" or "shl" or "shr" or "shf" or "lop3" or "prmt" or "bfe" or "bfi" or "bfind" or "brev" or "clz" or "popc"
                or "fns" or "szext" or "bmsk" => Bits(form),
            "rcp" or "sqrt" or "rsqrt" or "sin" or "cos" or "lg2" or "ex2" or "tanh" or "copysign" or "testp" => Arithmetic(form),
            "mov" => Move(form),
            "selp" or "slct" => Select(form),
            "setp" or "set" => Compare(form),
            "cvt" => Convert(form),
            "shfl" or "vote" or "match" or "redux" or "activemask" => Exchange(form),
            "mma" => Matrix(form),
            "addc" or "subc" or "madc" => throw form.Unsupported(),
            _ => null,
        };
        if (function is not null && form.FirstUnread() is { } modifier) throw new PtxException(instruction.Line, $"{instruction.Text}: .{modifier} is not emulated", supported: false);
        return function;
    }

    /// <summary>Bytes of a lane of an immediate or special register as the function of <see cref="Find"/> reads it: 8 where the operand has 64 bits, else 4; 0 for a predicate.</summary>
    /// <param name="instruction">An instruction that <see cref="Find"/> knows.</param>
    /// <param name="operand">Index in <see cref="PtxInstruction.Operands"/>; of a vector all elements are alike.</param>
    public static int LaneBytes(PtxInstruction instruction, int operand)
    {
        var form = new LaneForm(instruction);
        var type = instruction.Opcode switch
        {
            "mov" when instruction.Operands[operand] is VectorOperand vector => LaneForm.Part(form.Type, vector.Elements.Count),
            "mul" or "mad" when form.Has("wide") && operand is 0 or 3 => LaneForm.Wide(form.Type),
            "shl" or "shr" when operand == 2 => PtxType.U32,
            "bfe" when operand >= 2 => PtxType.U32,
            "bfi" when operand >= 3 => PtxType.U32,
            "selp" when operand == 3 => PtxType.Pred,
            "setp" => operand == 0 || operand == 3 ? PtxType.Pred : form.Type,
            "set" => operand == 0 ? form.Type : operand == 3 ? PtxType.Pred : instruction.Types[^1],
            "slct" => operand < 3 ? form.Type : instruction.Types[^1],
            "cvt" => operand == 0 ? form.Type : instruction.Types[^1],
            "testp" when operand == 0 => PtxType.Pred,
            "popc" or "clz" or "bfind" when operand == 0 => PtxType.U32,
            "szext" when operand == 2 => PtxType.U32,
            "vote" => operand == 1 || (operand == 0 && !form.Has("ballot")) ? PtxType.Pred : PtxType.B32,
            "match" => operand == 1 ? form.Type : PtxType.B32,
            "shfl" or "redux" or "mma" or "activemask" or "prmt" or "lop3" or "shf" => PtxType.B32,
            _ => form.Type,
        };
        return LaneForm.Bits(type) switch { 1 => 0, 64 => 8, _ => 4 };
    }

    private static LaneFunction Arithmetic(LaneForm form) => form.Type switch
    {
        PtxType.F32 => Singles(form),
        PtxType.F64 => Doubles(form),
        PtxType.F16 or PtxType.F16x2 or PtxType.BF16 or PtxType.BF16x2 => Halves(form),
        _ => Integers(form),
    };

    private static LaneFunction One<TA, TR, TOp>(InstructionClass kind = InstructionClass.Integer, int flops = 0) where TA : unmanaged where TR : unmanaged where TOp : struct, IOp1<TA, TR> =>
        new(&LaneLoops.Run1<TA, TR, TOp>, kind, flops);

    private static LaneFunction Two<TA, TB, TR, TOp>(InstructionClass kind = InstructionClass.Integer, int flops = 0)
        where TA : unmanaged where TB : unmanaged where TR : unmanaged where TOp : struct, IOp2<TA, TB, TR> => new(&LaneLoops.Run2<TA, TB, TR, TOp>, kind, flops);

    private static LaneFunction Two<T, TOp>(InstructionClass kind = InstructionClass.Integer, int flops = 0) where T : unmanaged where TOp : struct, IOp2<T, T, T> => Two<T, T, T, TOp>(kind, flops);

    private static LaneFunction Three<TA, TB, TC, TR, TOp>(InstructionClass kind = InstructionClass.Integer, int flops = 0)
        where TA : unmanaged where TB : unmanaged where TC : unmanaged where TR : unmanaged where TOp : struct, IOp3<TA, TB, TC, TR> => new(&LaneLoops.Run3<TA, TB, TC, TR, TOp>, kind, flops);

    private static LaneFunction Three<T, TOp>(InstructionClass kind = InstructionClass.Integer, int flops = 0) where T : unmanaged where TOp : struct, IOp3<T, T, T, T> => Three<T, T, T, T, TOp>(kind, flops);

    private static LaneFunction Four<TA, TB, TC, TD, TR, TOp>() where TA : unmanaged where TB : unmanaged where TC : unmanaged where TD : unmanaged where TR : unmanaged where TOp : struct, IOp4<TA, TB, TC, TD, TR> =>
        new(&LaneLoops.Run4<TA, TB, TC, TD, TR, TOp>, InstructionClass.Integer, 0);
}
