using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Execution;

/// <summary>The basic blocks of a kernel and what follows from their order.</summary>
internal sealed class ControlFlow
{
    private readonly IReadOnlyList<PtxInstruction> instructions;

    /// <summary>Divides the instructions into blocks.</summary>
    public ControlFlow(IReadOnlyList<PtxInstruction> instructions)
    {
        this.instructions = instructions;
        int count = instructions.Count;
        var starts = new SortedSet<int> { 0, count };
        for (int i = 0; i < count; i++)
        {
            if (!EndsBlock(instructions[i])) continue;
            starts.Add(i + 1);
            if (instructions[i].Opcode == "bra") starts.Add(Target(instructions[i]));
        }
        First = [.. starts];
        int[] blockOf = new int[count + 1];
        for (int block = 0; block < Count; block++) Array.Fill(blockOf, block, First[block], First[block + 1] - First[block]);
        blockOf[count] = Count;

        Successors = new List<int>[Count + 1];
        for (int block = 0; block < Count; block++)
        {
            PtxInstruction last = instructions[First[block + 1] - 1];
            Successors[block] = last.Opcode switch
            {
                "bra" when last.Guard is null => [blockOf[Target(last)]],
                "bra" => [blockOf[Target(last)], block + 1],
                "exit" or "ret" or "trap" when last.Guard is null => [],
                _ => [block + 1],
            };
        }
        Successors[Count] = [];
    }

    /// <summary>First instruction of each block, then the number of instructions.</summary>
    public int[] First { get; }

    /// <summary>Blocks without the last one, which is empty: the place after all instructions.</summary>
    public int Count => First.Length - 1;

    /// <summary>Blocks that may follow each.</summary>
    public List<int>[] Successors { get; }

    /// <summary>
    /// Where the lanes of a divergent branch meet again: for each conditional branch the index of the instruction, -1 elsewhere and where they never do. It is the branch's immediate
    /// post-dominator. An exit in the middle is no way on, so paths that only exit are left out; what matters is where the lanes that stay meet.
    /// </summary>
    public int[] Joins()
    {
        int count = instructions.Count, end = Count;
        List<int>[] successors = [.. Successors.Select(list => new List<int>(list))];
        List<int> exits = [.. Enumerable.Range(0, end + 1).Where(block => successors[block].Count == 0)];

        // The exit most blocks can reach is the normal one.
        int best = exits.MaxBy(exit => (Reaching(successors, exit).Count(reached => reached), exit));
        int[] normal = ImmediatePostDominators(successors, best);
        foreach (int exit in exits)
            if (exit != end) successors[exit].Add(end);
        int[] any = ImmediatePostDominators(successors, end);

        int[] joins = new int[count];
        Array.Fill(joins, -1);
        for (int block = 0; block < end; block++)
        {
            int at = First[block + 1] - 1;
            if (instructions[at].Opcode != "bra" || instructions[at].Guard is null) continue;
            int join = normal[block] >= 0 ? normal[block] : any[block];
            joins[at] = join < 0 || First[join] == count ? -1 : First[join];
        }
        return joins;
    }

    private static bool EndsBlock(PtxInstruction instruction) => instruction.Opcode is "bra" or "exit" or "ret" or "trap";

    private static int Target(PtxInstruction branch) => ((LabelOperand)branch.Operands[^1]).Target;

    private static bool[] Reaching(List<int>[] successors, int exit)
    {
        var reached = new bool[successors.Length];
        var predecessors = Reverse(successors);
        var open = new Stack<int>([exit]);
        reached[exit] = true;
        while (open.TryPop(out int block))
        {
            foreach (int previous in predecessors[block])
            {
                if (reached[previous]) continue;
                reached[previous] = true;
                open.Push(previous);
            }
        }
        return reached;
    }

    private static List<int>[] Reverse(List<int>[] successors)
    {
        var predecessors = new List<int>[successors.Length];
        for (int i = 0; i < predecessors.Length; i++) predecessors[i] = [];
        for (int i = 0; i < successors.Length; i++)
            foreach (int next in successors[i]) predecessors[next].Add(i);
        return predecessors;
    }

    // Cooper, Harvey and Kennedy's iteration on the reversed graph; -1 for the exit itself and for blocks that do not reach it.
    private static int[] ImmediatePostDominators(List<int>[] successors, int exit)
    {
        int count = successors.Length;
        var predecessors = Reverse(successors);
        var order = new List<int>(); // postorder of the reversed graph
        int[] number = new int[count];
        Array.Fill(number, -1);
        var seen = new bool[count];
        var stack = new Stack<(int Block, int Next)>();
        stack.Push((exit, 0));
        seen[exit] = true;
        while (stack.TryPop(out (int Block, int Next) top))
        {
            if (top.Next == predecessors[top.Block].Count)
            {
                number[top.Block] = order.Count;
                order.Add(top.Block);
                continue;
            }
            stack.Push((top.Block, top.Next + 1));
            int previous = predecessors[top.Block][top.Next];
            if (seen[previous]) continue;
            seen[previous] = true;
            stack.Push((previous, 0));
        }

        int[] dominator = new int[count];
        Array.Fill(dominator, -1);
        dominator[exit] = exit;
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int i = order.Count - 2; i >= 0; i--)
            {
                int block = order[i], best = -1;
                foreach (int next in successors[block])
                    if (dominator[next] >= 0) best = best < 0 ? next : Meet(best, next);
                if (best == dominator[block]) continue;
                dominator[block] = best;
                changed = true;
            }
        }
        dominator[exit] = -1;
        return dominator;

        int Meet(int a, int b)
        {
            while (a != b)
            {
                while (number[a] < number[b]) a = dominator[a];
                while (number[b] < number[a]) b = dominator[b];
            }
            return a;
        }
    }
}
