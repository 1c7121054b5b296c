using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Checks;

namespace DiffWave.Emulator.Execution;

internal sealed unsafe partial class BlockExecutor
{
    // Runs a warp until it waits, ends or has had its turn.
    private void RunWarp(Warp warp)
    {
        Operation* operations = program.Operations;
        byte* file = warp.Registers;
        LaneArguments* args = arguments;
        long end = warp.Steps + TimeSlice, steps = warp.Steps;
        while (true)
        {
            int pc = warp.Pc;
            if (pc == warp.Join)
            {
                if (warp.Pop()) continue;
                break;
            }
            Operation* operation = operations + pc;
            uint mask = warp.Active;
            if (operation->Guard >= 0) mask &= *(uint*)(file + operation->Guard) ^ operation->GuardFlip;
            steps++;
            if (counters is not null && pc < program.Count) counters.Count(pc, operation->Kind == OperationKind.Branch ? warp.Active : mask);
            if (operation->Kind == OperationKind.Branch)
            {
                if (mask == warp.Active) warp.Pc = operation->Target;
                else if (mask == 0) warp.Pc = pc + 1;
                else
                {
                    if (operation->IsUniform && checks)
                        throw Fault(FindingKind.DivergentUniformBranch, warp, pc, FirstLane(mask), $"lanes 0x{mask:x8} of 0x{warp.Active:x8} take a branch that claims to be uniform");
                    if (counters is not null) counters.Divergent[pc]++;
                    warp.Diverge(mask, operation->Target, operation->Join);
                }
                if (steps < end) continue;
                warp.Steps = steps;
                if (steps > launch.Options.WarpInstructionLimit)
                    throw Fault(FindingKind.InstructionLimit, warp, pc, FirstLane(warp.Active), $"the warp has executed {steps} instructions; the launch counts as endless");
                return;
            }
            if (mask == 0)
            {
                warp.Pc = pc + 1;
                continue;
            }
            if (operation->Demand != WarpDemand.None && checks) CheckDemand(warp, operation, pc, mask);
            switch (operation->Kind)
            {
                case OperationKind.Lane:
                    SetOperands(operation, file, args);
                    args->Mask = mask;
                    operation->Execute(args);
                    break;
                case OperationKind.Memory:
                    Access(warp, program.Memory[operation->Data], mask);
                    break;
                case OperationKind.Exit:
                    warp.Live &= ~mask;
                    warp.Active &= ~mask;
                    if (warp.Active != 0) break;
                    if (warp.Pop()) continue;
                    warp.Steps = steps;
                    return;
                case OperationKind.Barrier:
                    warp.Pc = pc + 1;
                    SetOperands(operation, file, args);
                    EnterBarrier(warp, program.Barriers[operation->Data], pc, mask);
                    if (warp.State == WarpState.Ready) continue;
                    warp.Steps = steps;
                    return;
                case OperationKind.Trap:
                    throw Fault(FindingKind.Trap, warp, pc, FirstLane(mask), "the kernel stopped itself");
                default:
                    Rare(warp, operation, pc, mask);
                    break;
            }
            warp.Pc = pc + 1;
        }
        warp.Steps = steps;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetOperands(Operation* operation, byte* file, LaneArguments* args)
    {
        for (int i = 0; i < operation->NegationCount; i++)
            *(uint*)(file + operation->Negations[2 * i + 1]) = ~*(uint*)(file + operation->Negations[2 * i]);
        var start = Vector512.Create((ulong)file);
        ulong* places = operation->Operands;
        for (int i = 0; i < operation->OperandCount; i += 8, places += 16)
            (Vector512.LoadAligned(places) + (start & Vector512.LoadAligned(places + 8))).Store(args->Operands + i);
    }

    private void Rare(Warp warp, Operation* operation, int pc, uint mask)
    {
        LaneArguments* args = arguments;
        if (operation->OperandCount > 0) SetOperands(operation, warp.Registers, args);
        LaneArguments operands = *args;
        switch (operation->Kind)
        {
            case OperationKind.AddConstant:
                ulong window = (ulong)operation->Data << 32;
                for (uint rest = mask; rest != 0; rest &= rest - 1)
                {
                    int lane = FirstLane(rest);
                    ulong value = ((ulong*)operands[1])[lane];
                    ((ulong*)operands[0])[lane] = operation->Target > 0 ? value + window : value - window;
                }
                break;
            case OperationKind.IsSpace:
                uint result = *(uint*)operands[0] & ~mask;
                for (uint rest = mask; rest != 0; rest &= rest - 1)
                    if (AddressWindows.Of(((ulong*)operands[1])[FirstLane(rest)]) >> 32 == (ulong)operation->Data) result |= rest & (uint)-(int)rest;
                *(uint*)operands[0] = result;
                break;
            case OperationKind.Clock:
                // One instruction of one warp is one tick.
                clock += 1;
                bool isWide = ((Syntax.RegisterOperand)program.Entry.Instructions[pc].Operands[0]).Register.Type is var type && RegisterFile.LaneBytes(type) == 8;
                ulong ticks = operation->Data == 1 ? clock >> 32 : clock;
                for (uint rest = mask; rest != 0; rest &= rest - 1)
                {
                    if (isWide) ((ulong*)operands[0])[FirstLane(rest)] = ticks;
                    else ((uint*)operands[0])[FirstLane(rest)] = (uint)ticks;
                }
                break;
            case OperationKind.WarpBarrier:
                uint members = ((uint*)operands[0])[FirstLane(mask)];
                CheckMembers(warp, pc, mask, (uint*)operands[0]);
                OrderWarp(warp, members);
                break;
            case OperationKind.Fence:
                races?.Fence();
                break;
            case OperationKind.GridWait:
                warp.HasWaited = true;
                break;
            case OperationKind.AsyncCommit:
                for (uint rest = mask; rest != 0; rest &= rest - 1) warp.CommittedGroups[FirstLane(rest)]++;
                break;
            case OperationKind.AsyncWait:
                CompleteCopies(warp, mask, operation->Data);
                break;
        }
    }

    private void CheckDemand(Warp warp, Operation* operation, int pc, uint mask)
    {
        if (operation->Demand == WarpDemand.Full)
        {
            if (mask != ~0u) throw Fault(FindingKind.DivergentWarp, warp, pc, FirstLane(mask), $"needs all 32 lanes of the warp, but only lanes 0x{mask:x8} are here");
            return;
        }
        LaneArguments* args = arguments;
        SetOperands(operation, warp.Registers, args);
        CheckMembers(warp, pc, mask, (uint*)args->Operands[operation->OperandCount - 1]);
    }

    private void CheckMembers(Warp warp, int pc, uint mask, uint* members)
    {
        if (!checks) return;
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            int lane = FirstLane(rest);
            uint named = members[lane];
            // Lanes that are not there, as in the last warp of a block that is no multiple of 32, count as absent for the hardware as well.
            if ((named & ~mask & warp.Live) != 0)
                throw Fault(FindingKind.DivergentWarp, warp, pc, lane, $"names the lanes 0x{named:x8}, but only 0x{mask:x8} are here: 0x{named & ~mask & warp.Live:x8} are elsewhere");
            if ((named >> lane & 1) == 0) throw Fault(FindingKind.DivergentWarp, warp, pc, lane, $"names the lanes 0x{named:x8}, but is executed by lane {lane}, which is not among them");
        }
    }
}
