using System.Numerics;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>
/// From which to which instruction each register of a kernel may hold a value that is still needed. PTX gives every value its own register; those that are never needed at the same
/// time may share a place, which keeps a warp's registers in the host's fastest cache. Lanes write only their own values, so what holds for one thread holds for a warp.
/// </summary>
internal sealed class Liveness
{
    private readonly IReadOnlyList<PtxInstruction> instructions;

    public Liveness(PtxEntry entry, ControlFlow flow)
    {
        instructions = entry.Instructions;
        int count = entry.Registers.Count;
        First = new int[count];
        Last = new int[count];
        Array.Fill(First, int.MaxValue);
        Array.Fill(Last, -1);

        int words = (count + 63) / 64;
        ulong[][] read = new ulong[flow.Count][], written = new ulong[flow.Count][], live = new ulong[flow.Count + 1][]; // read before written; written for certain; live at the start
        for (int block = 0; block < flow.Count; block++)
        {
            ulong[] reads = read[block] = new ulong[words], writes = written[block] = new ulong[words];
            for (int pc = flow.First[block]; pc < flow.First[block + 1]; pc++)
            {
                foreach ((PtxRegister register, bool isWritten) in Registers(instructions[pc]))
                {
                    Extend(register.Index, pc);
                    ulong bit = 1ul << register.Index;
                    if (isWritten) writes[register.Index / 64] |= bit;
                    else if ((writes[register.Index / 64] & bit) == 0) reads[register.Index / 64] |= bit;
                }
            }
            live[block] = [.. reads];
        }
        live[flow.Count] = new ulong[words];

        for (bool changed = true; changed;)
        {
            changed = false;
            for (int block = flow.Count - 1; block >= 0; block--)
            {
                foreach (int next in flow.Successors[block])
                {
                    for (int word = 0; word < words; word++)
                    {
                        ulong more = live[next][word] & ~written[block][word] & ~live[block][word];
                        live[block][word] |= more;
                        changed |= more != 0;
                    }
                }
            }
        }
        for (int block = 0; block < flow.Count; block++)
        {
            Extend(live[block], flow.First[block]);
            foreach (int next in flow.Successors[block]) Extend(live[next], flow.First[block + 1] - 1);
        }
        ReadFirst = flow.Count == 0 ? new ulong[words] : live[0];
    }

    /// <summary>First instruction by register; a register nobody names has none.</summary>
    public int[] First { get; }

    /// <summary>Last instruction by register, -1 for a register nobody names.</summary>
    public int[] Last { get; }

    // A bit for each register that may be read before it is written.
    private ulong[] ReadFirst { get; }

    /// <summary>Whether a register may be read before it is written.</summary>
    public bool IsReadFirst(int register) => (ReadFirst[register / 64] >> register & 1) != 0;

    private void Extend(ulong[] set, int pc)
    {
        for (int word = 0; word < set.Length; word++)
            for (ulong rest = set[word]; rest != 0; rest &= rest - 1) Extend(64 * word + BitOperations.TrailingZeroCount(rest), pc);
    }

    private void Extend(int register, int pc)
    {
        First[register] = Math.Min(First[register], pc);
        Last[register] = Math.Max(Last[register], pc);
    }

    // What an instruction reads, then what it writes for certain: the first operand of those that have a result and no guard. All else counts as read, which only makes lives longer.
    private static IEnumerable<(PtxRegister Register, bool IsWritten)> Registers(PtxInstruction instruction)
    {
        bool hasResult = instruction.Guard is null && instruction.Opcode is not ("st" or "red" or "bra" or "bar" or "barrier" or "cp" or "stmatrix" or "prefetch" or "prefetchu" or "nanosleep" or "discard"
            or "applypriority" or "membar" or "fence" or "exit" or "ret" or "trap");
        if (instruction.Guard is not null) yield return (instruction.Guard, false);
        for (int i = instruction.Operands.Count - 1; i >= 0; i--)
            foreach (PtxRegister register in Registers(instruction.Operands[i])) yield return (register, hasResult && i == 0);
    }

    private static IEnumerable<PtxRegister> Registers(PtxOperand operand) => operand switch
    {
        RegisterOperand register => [register.Register],
        PredicatePairOperand pair => new[] { pair.First, pair.Second }.OfType<PtxRegister>(),
        AddressOperand { Register: { } register } => [register],
        VectorOperand vector => vector.Elements.SelectMany(Registers),
        _ => [],
    };
}
