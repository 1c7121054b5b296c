using DiffWave.Emulator.Arithmetic;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal static unsafe partial class LaneFunctions
{
    private const InstructionClass Exchanged = InstructionClass.Exchange;

    private static LaneFunction Exchange(LaneForm form)
    {
        if (form.Opcode == "activemask") return new(&Exchanges.ActiveMask, Exchanged, 0);
        if (!form.Has("sync")) throw form.Unsupported();
        return form.Opcode switch
        {
            "shfl" => form.Among("up", "down", "bfly", "idx") switch
            {
                "up" => Shuffle<ShuffleUp>(form),
                "down" => Shuffle<ShuffleDown>(form),
                "bfly" => Shuffle<ShuffleButterfly>(form),
                _ => Shuffle<ShuffleIndexed>(form),
            },
            "vote" => form.Among("all", "any", "uni", "ballot") switch
            {
                "all" => new(&Exchanges.Vote<VoteAll>, Exchanged, 0),
                "any" => new(&Exchanges.Vote<VoteAny>, Exchanged, 0),
                "uni" => new(&Exchanges.Vote<VoteUniform>, Exchanged, 0),
                _ => new(&Exchanges.Ballot, Exchanged, 0),
            },
            "match" when LaneForm.Bits(form.Type) == 64 => Match<ulong>(form),
            "match" => Match<uint>(form),
            "redux" => (form.Among("add", "min", "max", "and", "or", "xor"), form.Type) switch
            {
                ("add", PtxType.U32 or PtxType.S32) => new(&Exchanges.Reduce<uint, Add<uint>>, Exchanged, 0),
                ("min", PtxType.U32) => new(&Exchanges.Reduce<uint, Minimum<uint>>, Exchanged, 0),
                ("min", PtxType.S32) => new(&Exchanges.Reduce<int, Minimum<int>>, Exchanged, 0),
                ("max", PtxType.U32) => new(&Exchanges.Reduce<uint, Maximum<uint>>, Exchanged, 0),
                ("max", PtxType.S32) => new(&Exchanges.Reduce<int, Maximum<int>>, Exchanged, 0),
                ("and", PtxType.B32) => new(&Exchanges.Reduce<uint, And<uint>>, Exchanged, 0),
                ("or", PtxType.B32) => new(&Exchanges.Reduce<uint, Or<uint>>, Exchanged, 0),
                ("xor", PtxType.B32) => new(&Exchanges.Reduce<uint, Xor<uint>>, Exchanged, 0),
                _ => throw form.Unsupported(),
            },
            _ => throw form.Unsupported(),
        };
    }

    private static LaneFunction Shuffle<TShuffle>(LaneForm form) where TShuffle : struct, IShuffle =>
        form.HasPair ? new(&Exchanges.Shuffle<TShuffle, On>, Exchanged, 0) : new(&Exchanges.Shuffle<TShuffle, Off>, Exchanged, 0);

    private static LaneFunction Match<T>(LaneForm form) where T : unmanaged, IEquatable<T> => form.Among("any", "all") == "any"
        ? new(&Exchanges.MatchAny<T>, Exchanged, 0)
        : form.HasPair ? new(&Exchanges.MatchAll<T, On>, Exchanged, 0) : new(&Exchanges.MatchAll<T, Off>, Exchanged, 0);

    private static LaneFunction Matrix(LaneForm form)
    {
        if (!form.Has("sync") || !form.Has("aligned")) throw form.Unsupported();
        if (form.Types.Count != 4 || form.Types[1] != form.Types[2] || !form.Has("row") || !form.Has("col")) throw form.Unsupported();
        return (form.Among("m16n8k4", "m16n8k8", "m16n8k16"), form.Types[1]) switch
        {
            ("m16n8k16", PtxType.F16) => Product<MatrixHalf, On>(form),
            ("m16n8k16", PtxType.BF16) => Product<MatrixBrain, On>(form),
            ("m16n8k8", PtxType.F16) => Product<MatrixHalf, Off>(form),
            ("m16n8k8", PtxType.BF16) => Product<MatrixBrain, Off>(form),
            ("m16n8k8", PtxType.TF32) => Product<MatrixTensor, On>(form),
            ("m16n8k4", PtxType.TF32) => Product<MatrixTensor, Off>(form),
            _ => throw form.Unsupported(),
        };
    }

    private static LaneFunction Product<TElement, TLong>(LaneForm form) where TElement : struct, IMatrixElement where TLong : struct, IFlag
    {
        int inner = 4 * TElement.PerRegister * (TLong.Value ? 2 : 1), flops = 2 * 16 * 8 * inner / LaneLoops.Lanes;
        return (form.Types[0], form.Types[3]) switch
        {
            (PtxType.F32, PtxType.F32) => new(&MatrixProducts.Multiply<TElement, TLong, Off, Off>, InstructionClass.Tensor, flops),
            (PtxType.F32, PtxType.F16) => new(&MatrixProducts.Multiply<TElement, TLong, On, Off>, InstructionClass.Tensor, flops),
            (PtxType.F16, PtxType.F32) => new(&MatrixProducts.Multiply<TElement, TLong, Off, On>, InstructionClass.Tensor, flops),
            (PtxType.F16, PtxType.F16) => new(&MatrixProducts.Multiply<TElement, TLong, On, On>, InstructionClass.Tensor, flops),
            _ => throw form.Unsupported(),
        };
    }
}
