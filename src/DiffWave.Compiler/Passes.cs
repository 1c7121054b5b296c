namespace DiffWave.Compiler;

/// <summary>What is done to a kernel's instructions between evaluation and text.</summary>
internal static class Passes
{
    public static void Run(PtxFunction function)
    {
        RemoveTrivialPhis(function);
        PropagateMoves(function);
        MergeEqual(function);
        Fuse(function);
        HoistInvariants(function);
        RemoveUnused(function);
        SelectInsteadOfBranch(function);
        RemoveUnused(function);
    }

    // A phi whose arguments are all one value, or itself, is that value.
    private static void RemoveTrivialPhis(PtxFunction function)
    {
        for (bool changed = true; changed;)
        {
            changed = false;
            var map = new Dictionary<Ssa, Operand>();
            foreach (var block in function.Blocks)
            {
                for (int i = block.Phis.Count - 1; i >= 0; i--)
                {
                    var phi = block.Phis[i];
                    Operand? only = null;
                    bool trivial = true;
                    foreach (var arg in phi.Args)
                    {
                        if (ReferenceEquals(arg, phi.Result)) continue;
                        if (only == null) only = arg;
                        else if (!only.Equals(arg)) trivial = false;
                    }
                    if (!trivial || only == null || (only is Ssa ssa && map.ContainsKey(ssa))) continue;
                    map[phi.Result] = only;
                    block.Phis.RemoveAt(i);
                    changed = true;
                }
            }
            function.Replace(map);
        }
    }

    private static void PropagateMoves(PtxFunction function)
    {
        var map = new Dictionary<Ssa, Operand>();
        foreach (var block in function.Blocks)
        {
            foreach (var instruction in block.Body)
            {
                if (instruction is { Opcode: "mov.u32", Effect: Effect.Pure, Args: [Imm constant] }) map[instruction.Result] = constant;
            }
        }
        function.Replace(map);
    }

    // Pure instructions that a dominating block, or the same block, has already.
    private static void MergeEqual(PtxFunction function)
    {
        var map = new Dictionary<Ssa, Operand>();
        var known = new Dictionary<InstructionKey, Ssa>();
        var work = new Stack<(Block Block, List<InstructionKey>? Added)>();
        work.Push((function.Blocks[0], null));
        while (work.TryPop(out var item))
        {
            if (item.Added != null)
            {
                foreach (var key in item.Added) known.Remove(key);
                continue;
            }
            var added = new List<InstructionKey>();
            work.Push((item.Block, added));
            var body = item.Block.Body;
            var loads = new Dictionary<InstructionKey, Ssa[]>();
            int kept = 0;
            foreach (var instruction in body.ToArray())
            {
                instruction.Replace(ssa => map.GetValueOrDefault(ssa, ssa));
                if (instruction is { Effect: Effect.Pure, Results.Length: 1 })
                {
                    var key = new InstructionKey(instruction);
                    if (known.TryGetValue(key, out var old))
                    {
                        map[instruction.Result] = old;
                        old.NonNegative |= instruction.Result.NonNegative;
                        continue;
                    }
                    known[key] = instruction.Result;
                    added.Add(key);
                }
                // Memory does not change between two instructions that touch no memory.
                if (instruction.Effect == Effect.Volatile) loads.Clear();
                if (instruction.Effect == Effect.Load)
                {
                    var key = new InstructionKey(instruction);
                    if (loads.TryGetValue(key, out var before))
                    {
                        for (int i = 0; i < before.Length; i++) map[instruction.Results[i]] = before[i];
                        continue;
                    }
                    loads[key] = instruction.Results;
                }
                body[kept++] = instruction;
            }
            body.RemoveRange(kept, body.Count - kept);
            var children = function.Dominated[item.Block];
            for (int i = children.Count - 1; i >= 0; i--) work.Push((children[i], null));
        }
        function.Replace(map);
    }

    private readonly struct InstructionKey : IEquatable<InstructionKey>
    {
        private readonly Instruction instruction;
        private readonly int hash;

        public InstructionKey(Instruction instruction)
        {
            this.instruction = instruction;
            var code = new HashCode();
            code.Add(instruction.Opcode);
            foreach (var arg in instruction.Args) code.Add(arg);
            hash = code.ToHashCode();
        }

        public bool Equals(InstructionKey other)
        {
            if (instruction.Opcode != other.instruction.Opcode || instruction.Contract != other.instruction.Contract || instruction.Args.Length != other.instruction.Args.Length) return false;
            if (instruction.Template != null && !instruction.Template.AsSpan().SequenceEqual(other.instruction.Template)) return false;
            for (int i = 0; i < instruction.Args.Length; i++)
            {
                if (!instruction.Args[i].Equals(other.instruction.Args[i])) return false;
            }
            return true;
        }

        public override bool Equals(object? obj) => obj is InstructionKey other && Equals(other);

        public override int GetHashCode() => hash;
    }

    // A product whose every use is a sum that may be fused becomes part of those sums: one rounding instead of two. In a * b + c * d the left product is fused.
    private static void Fuse(PtxFunction function)
    {
        var uses = new Dictionary<Ssa, int>();
        var sums = new Dictionary<Ssa, int>();
        foreach (var block in function.Blocks)
        {
            foreach (var instruction in block.Body)
            {
                foreach (var ssa in instruction.Uses)
                {
                    uses[ssa] = uses.GetValueOrDefault(ssa) + 1;
                    if (IsSum(instruction)) sums[ssa] = sums.GetValueOrDefault(ssa) + 1;
                }
            }
            foreach (var phi in block.Phis)
            {
                foreach (var arg in phi.Args.OfType<Ssa>()) uses[arg] = uses.GetValueOrDefault(arg) + 1;
            }
        }
        bool Fusible(Operand operand) => operand is Ssa { Def: { Contract: true, Opcode: "mul.rn.f32" or "mul.rn.f64" } } ssa && uses[ssa] == sums.GetValueOrDefault(ssa);
        foreach (var block in function.Blocks)
        {
            for (int i = 0; i < block.Body.Count; i++)
            {
                var sum = block.Body[i];
                if (!IsSum(sum)) continue;
                var (a, b) = (sum.Args[0], sum.Args[1]);
                bool minus = sum.Opcode.StartsWith("sub", StringComparison.Ordinal), left = Fusible(a);
                if (!left && !Fusible(b)) continue;
                string suffix = sum.Result.Type == RegType.F32 ? "f32" : "f64";
                var product = ((Ssa)(left ? a : b)).Def!;
                var (x, y, z) = (product.Args[0], product.Args[1], left ? b : a);
                // a * b - c = fma(a, b, -c); c - a * b = fma(-a, b, c)
                if (minus && left) z = Negated(block, ref i, z, suffix, sum);
                else if (minus) x = Negated(block, ref i, x, suffix, sum);
                var fused = new Instruction("fma.rn." + suffix, sum.Results, [x, y, z], Effect.Pure) { Line = sum.Line };
                sum.Result.Def = fused;
                block.Body[i] = fused;
            }
        }

        static bool IsSum(Instruction instruction) => instruction is { Contract: true, Opcode: "add.rn.f32" or "add.rn.f64" or "sub.rn.f32" or "sub.rn.f64" };
    }

    private static Operand Negated(Block block, ref int index, Operand a, string suffix, Instruction at)
    {
        if (a is Imm constant) return constant.Type == RegType.F32 ? Imm.Of(-constant.Single) : Imm.Of(-constant.Double);
        if (a is Ssa { Def: { Opcode: "neg.f32" or "neg.f64" } negation }) return negation.Args[0];
        var result = new Ssa(a.Type, 0);
        result.Def = new Instruction("neg." + suffix, [result], [a], Effect.Pure) { Line = at.Line };
        block.Body.Insert(index++, result.Def);
        return result;
    }

    // Pure instructions whose operands do not change round a loop move before it, innermost loops first.
    private static void HoistInvariants(PtxFunction function)
    {
        var home = new Dictionary<Ssa, Block>();
        foreach (var block in function.Blocks)
        {
            foreach (var phi in block.Phis) home[phi.Result] = block;
            foreach (var instruction in block.Body)
            {
                foreach (var result in instruction.Results) home[result] = block;
            }
        }
        foreach (var header in Enumerable.Reverse(function.Sequence))
        {
            var latches = header.Predecessors.FindAll(p => function.IsBackEdge(p, header));
            var entries = header.Predecessors.FindAll(p => !latches.Contains(p));
            if (latches.Count == 0 || entries is not [{ Ending: Ending.Jump } before]) continue;
            var loop = new HashSet<Block> { header };
            var work = new Stack<Block>(latches);
            while (work.TryPop(out var block))
            {
                if (!loop.Add(block)) continue;
                foreach (var p in block.Predecessors) work.Push(p);
            }
            foreach (var block in function.Sequence)
            {
                if (!loop.Contains(block)) continue;
                int kept = 0;
                foreach (var instruction in block.Body.ToArray())
                {
                    if (Movable(instruction) && instruction.Uses.All(use => !loop.Contains(home[use])))
                    {
                        before.Body.Add(instruction);
                        home[instruction.Result] = before;
                    }
                    else block.Body[kept++] = instruction;
                }
                block.Body.RemoveRange(kept, block.Body.Count - kept);
            }
        }
    }

    // Address arithmetic only: long computations and predicates would cost registers all through the loop.
    private static bool Movable(Instruction instruction) => instruction is { Effect: Effect.Pure, Template: null, Results: [{ Type: RegType.B32 or RegType.B64 }] }
        && instruction.Opcode.Split('.')[0] is "add" or "sub" or "mul" or "shl" or "shr" or "and" or "cvt" or "mov" or "or" or "xor" && !instruction.Opcode.Contains('f', StringComparison.Ordinal);

    // Where both ways of a branch meet again at once, having computed at most a little, the values are chosen by selp.
    private static void SelectInsteadOfBranch(PtxFunction function)
    {
        const int MostInstructions = 4;
        for (int i = function.Blocks.Count - 1; i >= 0; i--)
        {
            var block = function.Blocks[i];
            if (block is not { Ending: Ending.Branch, Condition: Ssa condition }) continue;
            var (taken, other) = (block.Targets[0]!, block.Targets[1]!);
            var join = IsArm(taken, block) ? taken.Targets[0]! : taken;
            bool one = !ReferenceEquals(taken, join), two = !ReferenceEquals(other, join);
            if ((two && !(IsArm(other, block) && ReferenceEquals(other.Targets[0], join))) || (!one && !two) || ReferenceEquals(join, block)) continue;
            if (join.Phis.Exists(phi => phi.Result.Type == RegType.Pred)) continue;
            if (one) block.Body.AddRange(taken.Body);
            if (two) block.Body.AddRange(other.Body);
            int first = join.Predecessors.IndexOf(one ? taken : block), second = join.Predecessors.IndexOf(two ? other : block);
            bool last = join.Predecessors.Count == 2;
            foreach (var phi in join.Phis)
            {
                string type = phi.Result.Type switch { RegType.B16 => "b16", RegType.B32 => "b32", RegType.B64 => "b64", RegType.F32 => "f32", _ => "f64" };
                var chosen = phi.Args[first];
                if (last || !chosen.Equals(phi.Args[second]))
                {
                    var result = last ? phi.Result : new Ssa(phi.Result.Type, 0);
                    result.Def = new Instruction("selp." + type, [result], [phi.Args[first], phi.Args[second], condition], Effect.Pure) { Line = block.Line };
                    block.Body.Add(result.Def);
                    chosen = result;
                }
                phi.Args.RemoveAt(Math.Max(first, second));
                phi.Args.RemoveAt(Math.Min(first, second));
                phi.Args.Add(chosen);
            }
            join.Predecessors.RemoveAt(Math.Max(first, second));
            join.Predecessors.RemoveAt(Math.Min(first, second));
            join.Predecessors.Add(block);
            if (one) function.Blocks.Remove(taken);
            if (two) function.Blocks.Remove(other);
            (block.Ending, block.Condition, block.Targets[0], block.Targets[1]) = (Ending.Jump, null, join, null);
            if (last)
            {
                // With one way in, what follows belongs to this block, and may be the arm of a branch further up.
                join.Phis.Clear();
                block.Body.AddRange(join.Body);
                (block.Ending, block.Condition, block.Targets[0], block.Targets[1], block.Line) = (join.Ending, join.Condition, join.Targets[0], join.Targets[1], join.Line);
                foreach (var next in block.Successors) next.Predecessors[next.Predecessors.IndexOf(join)] = block;
                function.Blocks.Remove(join);
            }
            i = Math.Min(function.Blocks.Count, function.Blocks.IndexOf(block) + 1);
        }
        function.Refresh();

        static bool IsArm(Block arm, Block from) => arm is { Ending: Ending.Jump, Predecessors: [var only], Phis.Count: 0 } && ReferenceEquals(only, from)
            && arm.Body.Count <= MostInstructions && arm.Body.TrueForAll(instruction => instruction is { Effect: Effect.Pure, Template: null } && !IsSlow(instruction.Opcode));

        static bool IsSlow(string opcode) => opcode.Split('.')[0] is "div" or "rem" or "sqrt";
    }

    private static void RemoveUnused(PtxFunction function)
    {
        var live = new HashSet<Ssa>();
        var work = new Stack<Ssa>();
        var phis = function.Blocks.SelectMany(block => block.Phis).ToDictionary(phi => phi.Result);
        var definitions = new Dictionary<Ssa, Instruction>();
        void Use(Operand? operand)
        {
            if (operand is Ssa ssa && live.Add(ssa)) work.Push(ssa);
        }
        foreach (var block in function.Blocks)
        {
            Use(block.Condition);
            foreach (var instruction in block.Body)
            {
                foreach (var result in instruction.Results) definitions[result] = instruction;
                if (instruction.Effect != Effect.Volatile) continue;
                foreach (var use in instruction.Uses) Use(use);
            }
        }
        while (work.TryPop(out var ssa))
        {
            if (phis.TryGetValue(ssa, out var phi)) phi.Args.ForEach(Use);
            else
            {
                foreach (var use in definitions[ssa].Uses) Use(use);
            }
        }
        foreach (var block in function.Blocks)
        {
            block.Phis.RemoveAll(phi => !live.Contains(phi.Result));
            block.Body.RemoveAll(instruction => instruction.Effect != Effect.Volatile && !Array.Exists(instruction.Results, live.Contains));
        }
    }
}
