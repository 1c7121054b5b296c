using System.Collections;
using System.Reflection.Emit;

namespace DiffWave.Compiler;

/// <summary>A natural loop: its header dominates every block of it.</summary>
internal sealed record NaturalLoop(int Header, HashSet<int> Blocks);

/// <summary>A basic block of IL: instructions First .. Last, inclusive.</summary>
internal sealed record IlBlock(int First, int Last, int[] Successors);

/// <summary>Blocks of a method in reverse postorder, its loops, and which locals are still needed at each block's start.</summary>
internal sealed class ControlFlow
{
    public ControlFlow(List<IlInstruction> code, int locals)
    {
        Blocks = Split(code);
        Order = ReversePostorder(Blocks);
        Rank = new int[Blocks.Count];
        Array.Fill(Rank, -1);
        for (int i = 0; i < Order.Count; i++) Rank[Order[i]] = i;
        FindLoops();
        LiveLocals = Liveness(code, locals);
    }

    public List<IlBlock> Blocks { get; }

    /// <summary>Reachable blocks in reverse postorder.</summary>
    public List<int> Order { get; }

    /// <summary>Position of a block in <see cref="Order"/>, -1 when unreachable.</summary>
    public int[] Rank { get; }

    /// <summary>Loops by header.</summary>
    public Dictionary<int, NaturalLoop> Loops { get; } = [];

    /// <summary>Locals whose value may still be read, by block.</summary>
    public BitArray[] LiveLocals { get; }

    /// <summary>Block that enters a loop elsewhere than at its header, or -1.</summary>
    public int Irreducible { get; private set; } = -1;

    /// <summary>Local variable that an instruction loads, stores or takes the address of; -1 when none.</summary>
    public static int LocalOf(in IlInstruction instruction)
    {
        short value = instruction.Op.Value;
        if (value >= OpCodes.Ldloc_0.Value && value <= OpCodes.Ldloc_3.Value) return value - OpCodes.Ldloc_0.Value;
        if (value >= OpCodes.Stloc_0.Value && value <= OpCodes.Stloc_3.Value) return value - OpCodes.Stloc_0.Value;
        string name = instruction.Name;
        return name.StartsWith("ldloc", StringComparison.Ordinal) || name.StartsWith("stloc", StringComparison.Ordinal) ? (int)instruction.Operand : -1;
    }

    private static List<IlBlock> Split(List<IlInstruction> code)
    {
        var starts = new SortedSet<int> { 0 };
        var index = new Dictionary<int, int>();
        for (int i = 0; i < code.Count; i++) index[code[i].Offset] = i;
        for (int i = 0; i < code.Count; i++)
        {
            var instruction = code[i];
            if (!Ends(instruction.Op)) continue;
            foreach (int target in TargetsOf(instruction)) starts.Add(index[target]);
            if (i + 1 < code.Count) starts.Add(i + 1);
        }
        var first = starts.ToArray();
        var number = new Dictionary<int, int>();
        for (int b = 0; b < first.Length; b++) number[first[b]] = b;
        var blocks = new List<IlBlock>();
        for (int b = 0; b < first.Length; b++)
        {
            int last = (b + 1 < first.Length ? first[b + 1] : code.Count) - 1;
            var end = code[last];
            var successors = TargetsOf(end).Select(target => number[index[target]]).ToList();
            bool falls = end.Op.FlowControl is not (FlowControl.Branch or FlowControl.Return or FlowControl.Throw);
            if (falls && b + 1 < first.Length) successors.Add(b + 1);
            blocks.Add(new IlBlock(first[b], last, [.. successors]));
        }
        return blocks;
    }

    private static bool Ends(OpCode op) => op.FlowControl is FlowControl.Branch or FlowControl.Cond_Branch or FlowControl.Return or FlowControl.Throw;

    private static IEnumerable<int> TargetsOf(IlInstruction instruction) =>
        instruction.Targets ?? (instruction.Op.OperandType is OperandType.InlineBrTarget or OperandType.ShortInlineBrTarget ? [(int)instruction.Operand] : []);

    private static List<int> ReversePostorder(List<IlBlock> blocks)
    {
        var order = new List<int>();
        var state = new int[blocks.Count]; // next successor to visit + 1; 0: not reached
        var stack = new Stack<int>();
        stack.Push(0);
        state[0] = 1;
        while (stack.TryPeek(out int block))
        {
            var successors = blocks[block].Successors;
            // The last successor first, so that the one that falls through comes late in postorder and the order follows the source.
            if (state[block] <= successors.Length)
            {
                int next = successors[state[block]++ - 1];
                if (state[next] != 0) continue;
                state[next] = 1;
                stack.Push(next);
            }
            else
            {
                order.Add(block);
                stack.Pop();
            }
        }
        order.Reverse();
        return order;
    }

    private void FindLoops()
    {
        var predecessors = new List<int>[Blocks.Count];
        for (int b = 0; b < predecessors.Length; b++) predecessors[b] = [];
        foreach (int b in Order)
        {
            foreach (int next in Blocks[b].Successors) predecessors[next].Add(b);
        }
        var dominator = new int[Blocks.Count];
        Array.Fill(dominator, -1);
        dominator[0] = 0;
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (int b in Order.Skip(1))
            {
                int meet = -1;
                foreach (int p in predecessors[b])
                {
                    if (dominator[p] >= 0) meet = meet < 0 ? p : Meet(dominator, p, meet);
                }
                if (dominator[b] == meet) continue;
                dominator[b] = meet;
                changed = true;
            }
        }
        foreach (int b in Order)
        {
            foreach (int header in Blocks[b].Successors)
            {
                if (Rank[header] > Rank[b]) continue;
                int up = b;
                while (Rank[up] > Rank[header]) up = dominator[up];
                if (up != header)
                {
                    Irreducible = header;
                    continue;
                }
                if (!Loops.TryGetValue(header, out var loop)) Loops[header] = loop = new NaturalLoop(header, [header]);
                var work = new Stack<int>();
                work.Push(b);
                while (work.TryPop(out int member))
                {
                    if (!loop.Blocks.Add(member)) continue;
                    foreach (int p in predecessors[member]) work.Push(p);
                }
            }
        }
    }

    private int Meet(int[] dominator, int a, int b)
    {
        while (a != b)
        {
            while (Rank[a] > Rank[b]) a = dominator[a];
            while (Rank[b] > Rank[a]) b = dominator[b];
        }
        return a;
    }

    private BitArray[] Liveness(List<IlInstruction> code, int locals)
    {
        var live = new BitArray[Blocks.Count];
        var reads = new BitArray[Blocks.Count];
        var writes = new BitArray[Blocks.Count];
        var addressed = new BitArray(locals);
        for (int b = 0; b < Blocks.Count; b++)
        {
            (live[b], reads[b], writes[b]) = (new BitArray(locals), new BitArray(locals), new BitArray(locals));
            for (int i = Blocks[b].First; i <= Blocks[b].Last; i++)
            {
                int local = LocalOf(code[i]);
                if (local < 0) continue;
                string name = code[i].Name;
                if (name.StartsWith("ldloca", StringComparison.Ordinal)) addressed[local] = true;
                else if (name.StartsWith("stloc", StringComparison.Ordinal)) writes[b][local] = true;
                else if (!writes[b][local]) reads[b][local] = true;
            }
        }
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int i = Order.Count - 1; i >= 0; i--)
            {
                int b = Order[i];
                var next = new BitArray(locals);
                foreach (int s in Blocks[b].Successors) next.Or(live[s]);
                next.And(new BitArray(writes[b]).Not()).Or(reads[b]).Or(addressed);
                if (!new BitArray(next).Xor(live[b]).HasAnySet()) continue;
                live[b] = next;
                changed = true;
            }
        }
        return live;
    }
}
