using System.Numerics;
using System.Text;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

internal sealed unsafe partial class BlockExecutor
{
    private struct BarrierState
    {
        /// <summary>Warps that have arrived, waiting or not, a bit each.</summary>
        public uint Arrived;

        /// <summary>Those that wait.</summary>
        public uint Waiting;

        /// <summary>Threads it waits for, a multiple of 32; 0: nobody has arrived.</summary>
        public int Expected;

        /// <summary>Threads whose predicate was true, and threads with one.</summary>
        public int True, Voted;
    }

    private readonly BarrierState[] barriers = new BarrierState[16];

    private void EnterBarrier(Warp warp, BarrierOperation operation, int pc, uint mask)
    {
        LaneArguments operands = *arguments;
        if (mask != warp.Live || (warp.Live != StartLanes(warp)))
        {
            string ended = warp.Live == StartLanes(warp) ? "" : $", lanes 0x{StartLanes(warp) & ~warp.Live:x8} have ended";
            throw Fault(FindingKind.DivergentWarp, warp, pc, FirstLane(mask), $"the barrier is reached by lanes 0x{mask:x8} only{ended}{(mask == warp.Live ? "" : $", lanes 0x{warp.Live & ~mask:x8} are elsewhere")}");
        }
        int first = FirstLane(mask);
        uint number = ((uint*)operands[operation.Number])[first];
        if (number > 15) throw Fault(FindingKind.OutOfBounds, warp, pc, first, $"barrier {number}: there are 16, from 0");
        int all = Warp.Lanes * warps.Length, expected = operation.ThreadCount < 0 ? all : (int)((uint*)operands[operation.ThreadCount])[first];
        if (expected <= 0 || expected % Warp.Lanes != 0 || expected > all)
            throw Fault(FindingKind.BarrierDeadlock, warp, pc, first, $"barrier {number} for {expected} threads: must be a multiple of 32 up to the block's {all}");
        ref BarrierState state = ref barriers[number];
        if (state.Arrived != 0 && state.Expected != expected)
            throw Fault(FindingKind.BarrierDeadlock, warp, pc, first, $"barrier {number} for {expected} threads, but others wait at it for {state.Expected}");
        state.Expected = expected;
        state.Arrived |= 1u << warp.Index;
        if (operation.Predicate >= 0)
        {
            state.True += BitOperations.PopCount(*(uint*)operands[operation.Predicate] & mask);
            state.Voted += BitOperations.PopCount(mask);
        }
        warp.Barrier = (int)number;
        if (!operation.IsArrive)
        {
            state.Waiting |= 1u << warp.Index;
            warp.State = WarpState.AtBarrier;
        }
        ReachBarrier(warp, (int)number, !operation.IsArrive);
        if (BitOperations.PopCount(state.Arrived) * Warp.Lanes < expected) return;

        PassBarrier((int)number, state.Waiting);
        foreach (Warp other in warps)
        {
            if ((state.Waiting >> other.Index & 1) == 0) continue;
            other.State = WarpState.Ready;
            Operation* at = program.Operations + (other.Pc - 1);
            BarrierOperation theirs = program.Barriers[at->Data];
            if (theirs.Predicate < 0) continue;
            SetOperands(at, other.Registers, arguments);
            SetReduction((byte*)arguments->Operands[0], theirs.Reduction, state, other.Active);
        }
        state = default;
    }

    private static void SetReduction(byte* target, string reduction, in BarrierState state, uint mask)
    {
        if (target is null) return;
        if (reduction == "popc")
        {
            for (int lane = 0; lane < Warp.Lanes; lane++)
                if ((mask >> lane & 1) != 0) ((uint*)target)[lane] = (uint)state.True;
            return;
        }
        bool holds = reduction == "and" ? state.True == state.Voted : state.True > 0;
        *(uint*)target = holds ? *(uint*)target | mask : *(uint*)target & ~mask;
    }

    private uint StartLanes(Warp warp)
    {
        long lanes = launch.Block.Size - (long)warp.Index * Warp.Lanes;
        return lanes >= Warp.Lanes ? ~0u : (1u << (int)lanes) - 1;
    }

    private EmulatorException Deadlock()
    {
        Warp waiting = warps.First(warp => warp.State == WarpState.AtBarrier);
        ref BarrierState state = ref barriers[waiting.Barrier];
        var text = new StringBuilder($"barrier {waiting.Barrier} waits for {state.Expected} threads, and only {BitOperations.PopCount(state.Arrived) * Warp.Lanes} come");
        foreach (Warp other in warps)
        {
            if ((state.Arrived >> other.Index & 1) != 0) continue;
            PtxInstruction? at = other.State == WarpState.AtBarrier ? program.Entry.Instructions[other.Pc - 1] : null;
            text.Append($"; warp {other.Index} {(at is null ? "has ended" : $"waits at barrier {other.Barrier} at {at.Source} (PTX line {at.Line})")}");
            if (text.Length > 400) break;
        }
        return Fault(FindingKind.BarrierDeadlock, waiting, waiting.Pc - 1, 0, text.ToString());
    }
}
