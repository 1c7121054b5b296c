namespace DiffWave.Compiler;

/// <summary>A kernel's blocks, in the order of the text, with what the passes ask of them.</summary>
internal sealed class PtxFunction
{
    private readonly Dictionary<Block, int> rank = [];
    private readonly Dictionary<Block, Block> dominator = [];

    public PtxFunction(List<Block> blocks, List<Instruction> prologue)
    {
        Blocks = blocks;
        blocks[0].Body.InsertRange(0, prologue);
        Refresh();
    }

    public List<Block> Blocks { get; }

    /// <summary>Blocks in reverse postorder.</summary>
    public List<Block> Sequence { get; } = [];

    /// <summary>Blocks whose immediate dominator is the key, in reverse postorder.</summary>
    public Dictionary<Block, List<Block>> Dominated { get; } = [];

    /// <summary>Brings order and dominators up to date after blocks were removed.</summary>
    public void Refresh()
    {
        RemoveUnreachable();
        rank.Clear();
        dominator.Clear();
        Sequence.Clear();
        Dominated.Clear();
        Order();
    }

    public bool Dominates(Block a, Block b)
    {
        while (rank[b] > rank[a]) b = dominator[b];
        return ReferenceEquals(a, b);
    }

    /// <summary>Whether an edge goes back to a block that dominates where it comes from.</summary>
    public bool IsBackEdge(Block from, Block to) => rank[to] <= rank[from] && Dominates(to, from);

    /// <summary>Replaces registers by other operands everywhere, through chains.</summary>
    public void Replace(Dictionary<Ssa, Operand> map)
    {
        if (map.Count == 0) return;
        Operand Final(Ssa ssa)
        {
            Operand target = ssa;
            while (target is Ssa next && map.TryGetValue(next, out var further)) target = further;
            return target;
        }
        foreach (var block in Blocks)
        {
            foreach (var phi in block.Phis)
            {
                for (int i = 0; i < phi.Args.Count; i++)
                {
                    if (phi.Args[i] is Ssa ssa) phi.Args[i] = Final(ssa);
                }
            }
            foreach (var instruction in block.Body) instruction.Replace(Final);
            if (block.Condition is Ssa condition) block.Condition = Final(condition);
        }
    }

    private void RemoveUnreachable()
    {
        var reached = new HashSet<Block> { Blocks[0] };
        var work = new Stack<Block>(reached);
        while (work.TryPop(out var block))
        {
            foreach (var next in block.Successors)
            {
                if (reached.Add(next)) work.Push(next);
            }
        }
        Blocks.RemoveAll(block => !reached.Contains(block));
        foreach (var block in Blocks)
        {
            for (int i = block.Predecessors.Count - 1; i >= 0; i--)
            {
                if (reached.Contains(block.Predecessors[i])) continue;
                block.Predecessors.RemoveAt(i);
                foreach (var phi in block.Phis) phi.Args.RemoveAt(i);
            }
        }
    }

    private void Order()
    {
        var seen = new HashSet<Block> { Blocks[0] };
        var stack = new Stack<(Block Block, IEnumerator<Block> Next)>();
        stack.Push((Blocks[0], Blocks[0].Successors.GetEnumerator()));
        while (stack.TryPeek(out var top))
        {
            if (top.Next.MoveNext())
            {
                if (seen.Add(top.Next.Current)) stack.Push((top.Next.Current, top.Next.Current.Successors.GetEnumerator()));
                continue;
            }
            Sequence.Add(top.Block);
            stack.Pop();
        }
        Sequence.Reverse();
        for (int i = 0; i < Sequence.Count; i++) rank[Sequence[i]] = i;
        dominator[Blocks[0]] = Blocks[0];
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (var block in Sequence.Skip(1))
            {
                Block? meet = null;
                foreach (var p in block.Predecessors)
                {
                    if (dominator.ContainsKey(p)) meet = meet == null ? p : Meet(p, meet);
                }
                if (dominator.TryGetValue(block, out var old) && ReferenceEquals(old, meet)) continue;
                dominator[block] = meet!;
                changed = true;
            }
        }
        foreach (var block in Sequence) Dominated[block] = [];
        foreach (var block in Sequence.Skip(1)) Dominated[dominator[block]].Add(block);
    }

    private Block Meet(Block a, Block b)
    {
        while (!ReferenceEquals(a, b))
        {
            while (rank[a] > rank[b]) a = dominator[a];
            while (rank[b] > rank[a]) b = dominator[b];
        }
        return a;
    }
}
