using System.Collections;

namespace DiffWave.Compiler;

/// <summary>
/// Turns phis into registers. A phi and its arguments share one register where their lifetimes do not overlap, so that a value carried round a loop is written in place; elsewhere a
/// move is put on the edge. Moves of one edge happen at once.
/// </summary>
internal sealed class Coalescing
{
    private readonly PtxFunction function;
    private readonly Dictionary<Ssa, int> number = [];
    private readonly List<Ssa> values = [];
    private readonly List<(Block Block, int Position)> definition = [];
    private readonly Dictionary<Block, BitArray> liveOut = [];
    private readonly Dictionary<(int Value, Block Block), int> lastUse = [];
    private readonly List<List<int>> members = [];
    private readonly List<int> group = [];

    private Coalescing(PtxFunction function) => this.function = function;

    /// <summary>Removes the phis; what is left has registers that may be assigned at several places.</summary>
    public static void Run(PtxFunction function)
    {
        NameConstants(function);
        SplitEdges(function);
        var pass = new Coalescing(function);
        pass.Number();
        pass.FindLifetimes();
        foreach (var block in function.Blocks)
        {
            foreach (var phi in block.Phis)
            {
                foreach (var arg in phi.Args.OfType<Ssa>()) pass.TryJoin(phi.Result, arg);
            }
        }
        pass.Rewrite();
    }

    // A constant predicate is no operand of most instructions, and a constant no only operand.
    private static void NameConstants(PtxFunction function)
    {
        foreach (var block in function.Blocks)
        {
            for (int i = 0; i < block.Body.Count; i++)
            {
                var instruction = block.Body[i];
                for (int k = 0; k < instruction.Args.Length; k++)
                {
                    if (instruction.Args[k] is not Imm constant || instruction.Opcode.StartsWith("mov.", StringComparison.Ordinal)) continue;
                    bool only = instruction is { Template: null, Results.Length: 1, Args.Length: 1 };
                    if (constant.Type is RegType.Pred or RegType.B16 || only) instruction.Args[k] = Insert(block, i++, constant, instruction.Line);
                }
            }
            if (block is { Ending: Ending.Branch, Condition: Imm known }) block.Condition = Insert(block, block.Body.Count, known, block.Line);
        }
    }

    private static Ssa Insert(Block block, int at, Imm constant, SourcePoint line)
    {
        var result = new Ssa(constant.Type, 0);
        result.Def = new Instruction(MoveOf(constant.Type), [result], [constant], Effect.Pure) { Line = line };
        block.Body.Insert(at, result.Def);
        return result;
    }

    // A move belongs to one edge only: an edge from a block with two ways out to a block with several ways in gets a block of its own.
    private static void SplitEdges(PtxFunction function)
    {
        int next = function.Blocks.Max(block => block.Id) + 1;
        foreach (var block in function.Blocks.ToArray())
        {
            if (block.Phis.Count == 0) continue;
            for (int i = 0; i < block.Predecessors.Count; i++)
            {
                var from = block.Predecessors[i];
                if (from.Ending != Ending.Branch) continue;
                int slot = ReferenceEquals(from.Targets[0], block) ? 0 : 1;
                var middle = new Block(next++) { Ending = Ending.Jump, Line = from.Line };
                middle.Targets[0] = block;
                middle.Predecessors.Add(from);
                from.Targets[slot] = middle;
                block.Predecessors[i] = middle;
                function.Blocks.Insert(function.Blocks.IndexOf(from) + 1, middle);
            }
        }
    }

    private void Number()
    {
        foreach (var block in function.Blocks)
        {
            foreach (var phi in block.Phis) Add(phi.Result, block, -1);
            for (int i = 0; i < block.Body.Count; i++)
            {
                foreach (var result in block.Body[i].Results) Add(result, block, i);
            }
        }
    }

    private void Add(Ssa value, Block block, int position)
    {
        number[value] = values.Count;
        group.Add(values.Count);
        members.Add([values.Count]);
        values.Add(value);
        definition.Add((block, position));
    }

    private void FindLifetimes()
    {
        var upward = new Dictionary<Block, BitArray>();
        var survivors = function.Blocks.ToDictionary(block => block, _ => new BitArray(values.Count, true)); // values a block does not define
        for (int i = 0; i < values.Count; i++) survivors[definition[i].Block][i] = false;
        foreach (var block in function.Blocks)
        {
            upward[block] = new BitArray(values.Count);
            liveOut[block] = new BitArray(values.Count);
            for (int i = 0; i < block.Body.Count; i++)
            {
                // A word of several instructions may write its result before it has read everything.
                int position = block.Body[i].EarlyClobber ? i + 1 : i;
                foreach (var use in block.Body[i].Uses) Use(block, use, position);
            }
            if (block.Condition is Ssa condition && block.Ending == Ending.Branch) Use(block, condition, block.Body.Count + 1);
        }
        foreach (var block in function.Blocks)
        {
            foreach (var phi in block.Phis)
            {
                for (int i = 0; i < phi.Args.Count; i++)
                {
                    if (phi.Args[i] is Ssa arg) Use(block.Predecessors[i], arg, block.Predecessors[i].Body.Count);
                }
            }
        }
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (var block in Enumerable.Reverse(function.Blocks))
            {
                var live = new BitArray(values.Count);
                foreach (var next in block.Successors)
                {
                    live.Or(new BitArray(liveOut[next]).And(survivors[next]).Or(upward[next]));
                }
                if (!new BitArray(live).Xor(liveOut[block]).HasAnySet()) continue;
                liveOut[block] = live;
                changed = true;
            }
        }

        void Use(Block block, Ssa use, int position)
        {
            int value = number[use];
            lastUse[(value, block)] = Math.Max(position, lastUse.GetValueOrDefault((value, block), -1));
            if (!ReferenceEquals(definition[value].Block, block)) upward[block][value] = true;
        }
    }

    private void TryJoin(Ssa a, Ssa b)
    {
        int x = group[number[a]], y = group[number[b]];
        if (x == y) return;
        foreach (int p in members[x])
        {
            foreach (int q in members[y])
            {
                if (LiveAt(p, definition[q]) || LiveAt(q, definition[p])) return;
            }
        }
        foreach (int q in members[y]) group[q] = x;
        members[x].AddRange(members[y]);
        members[y].Clear();
    }

    // Whether a value still is, or comes to be, needed after the place.
    private bool LiveAt(int value, (Block Block, int Position) place)
    {
        var (home, position) = definition[value];
        if (ReferenceEquals(home, place.Block))
        {
            if (position > place.Position) return false;
            if (position == place.Position) return true;
        }
        else if (!function.Dominates(home, place.Block) || (!liveOut[place.Block][value] && !lastUse.ContainsKey((value, place.Block)))) return false;
        return liveOut[place.Block][value] || lastUse.GetValueOrDefault((value, place.Block), -1) > place.Position;
    }

    private void Rewrite()
    {
        Ssa Register(Ssa value) => values[group[number[value]]];
        foreach (var block in function.Blocks)
        {
            foreach (var instruction in block.Body)
            {
                instruction.Replace(Register);
                for (int i = 0; i < instruction.Results.Length; i++) instruction.Results[i] = Register(instruction.Results[i]);
            }
            if (block.Condition is Ssa condition) block.Condition = Register(condition);
        }
        foreach (var block in function.Blocks)
        {
            for (int i = 0; i < block.Predecessors.Count && block.Phis.Count > 0; i++)
            {
                var moves = new List<(Ssa To, Operand From)>();
                foreach (var phi in block.Phis)
                {
                    var to = Register(phi.Result);
                    var from = phi.Args[i] is Ssa ssa ? Register(ssa) : phi.Args[i];
                    if (!ReferenceEquals(to, from)) moves.Add((to, from));
                }
                Move(block.Predecessors[i], moves);
            }
            block.Phis.Clear();
        }
    }

    // All moves read before any writes: one whose target nobody else still reads goes first; a cycle is broken by a spare register.
    private static void Move(Block block, List<(Ssa To, Operand From)> moves)
    {
        while (moves.Count > 0)
        {
            int free = moves.FindIndex(move => !moves.Exists(other => other != move && ReferenceEquals(other.From, move.To)));
            if (free < 0)
            {
                var spare = new Ssa(moves[0].To.Type, 0);
                var saved = moves[0].To;
                Append(block, spare, saved);
                for (int i = 0; i < moves.Count; i++)
                {
                    if (ReferenceEquals(moves[i].From, saved)) moves[i] = (moves[i].To, spare);
                }
                continue;
            }
            Append(block, moves[free].To, moves[free].From);
            moves.RemoveAt(free);
        }
    }

    private static void Append(Block block, Ssa to, Operand from)
    {
        block.Body.Add(new Instruction(MoveOf(to.Type), [to], [from], Effect.Volatile) { Line = block.Line });
    }

    private static string MoveOf(RegType type) => "mov." + type switch { RegType.Pred => "pred", RegType.B16 => "b16", RegType.B32 => "b32", RegType.B64 => "b64", RegType.F32 => "f32", _ => "f64" };
}
