using System.Text;
using DiffWave.Cuda;

namespace DiffWave.Emulator.Tests.Execution;

/// <summary>Random programs with arbitrary jumps, guards and exits: warps must compute what each thread computes alone, followed here instruction by instruction.</summary>
public sealed class RandomProgramTests
{
    // Values are mostly used soon after they are made and few are asked for at the end, so that registers can share places.
    private const int Registers = 100, Outputs = 6, Predicates = 5, Threads = 64, Fuel = 40;

    private enum Kind { Add, Multiply, Xor, Select, Compare, Jump, Exit, Burn }

    // Guard -1: none; +8: negated. Jumps go to the start of block A.
    private readonly record struct Step(Kind Kind, int Target, int A, int B, int Guard);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Warps_agree_with_threads_alone(int seed)
    {
        var random = new Random(seed);
        for (int round = 0; round < 40; round++)
        {
            Step[][] blocks = Generate(random, isForward: round % 2 == 0); // without loops registers die early
            string body = Write(blocks);
            using var kernel = new Kernel(body, ["u64"]);
            ulong place = kernel.Upload(Enumerable.Repeat(-1, 2 * Threads).ToArray());
            kernel.Launch(new Dim3(2), new Dim3(Threads), 0, place);
            int[] result = kernel.Download<int>(place, 2 * Threads);
            for (int thread = 0; thread < 2 * Threads; thread++)
                if (Follow(blocks, thread) != result[thread]) Assert.Fail($"seed {seed}, round {round}, thread {thread}: {Follow(blocks, thread)} alone, {result[thread]} in its warp\n{body}");
        }
    }

    private static Step[][] Generate(Random random, bool isForward)
    {
        int count = random.Next(3, 14);
        var recent = new Queue<int>([0]);
        int Source() => random.Next(8) == 0 ? random.Next(Registers) : recent.ElementAt(random.Next(recent.Count));
        return [.. Enumerable.Range(0, count).Select(block =>
        {
            var steps = new List<Step> { new(Kind.Burn, 0, 0, 0, -1) };
            for (int i = random.Next(1, 7); i > 0; i--)
            {
                int guard = random.Next(3) > 0 ? -1 : random.Next(Predicates) + 8 * random.Next(2);
                var kind = (Kind)random.Next(5);
                steps.Add(new Step(kind, random.Next(kind == Kind.Compare ? Predicates : Registers), Source(), Source(), guard));
                if (kind == Kind.Compare) continue;
                recent.Enqueue(steps[^1].Target);
                if (recent.Count > 6) recent.Dequeue();
            }
            int condition = random.Next(Predicates) + 8 * random.Next(2), end = random.Next(10);
            if (end < 7 && !(isForward && block == count - 1)) steps.Add(new Step(Kind.Jump, 0, isForward ? random.Next(block, count - 1) + 1 : random.Next(count), 0, end < 6 ? condition : -1));
            else if (end == 7) steps.Add(new Step(Kind.Exit, 0, 0, 0, condition));
            return steps.ToArray();
        })];
    }

    private static string Write(Step[][] blocks)
    {
        // Register 0 starts with the thread; the rest with 0, like all registers read before they are written. %r40 counts the blocks a thread may still run.
        var text = new StringBuilder($"""
            .reg .b32 %s<{Registers}>;
            mov.u32 %r41, %ctaid.x;
            mov.u32 %r42, %tid.x;
            mad.lo.s32 %s0, %r41, {Threads}, %r42;
            mov.u32 %r43, %s0;
            mov.u32 %r40, {Fuel};

            """);
        for (int block = 0; block < blocks.Length; block++)
        {
            text.AppendLine($"B{block}:");
            foreach (Step step in blocks[block])
            {
                if (step.Guard >= 0) text.Append($"@{(step.Guard >= 8 ? "!" : "")}%p{step.Guard % 8} ");
                text.AppendLine(step.Kind switch
                {
                    Kind.Add => $"add.s32 %s{step.Target}, %s{step.A}, %s{step.B};",
                    Kind.Multiply => $"mad.lo.s32 %s{step.Target}, %s{step.A}, %s{step.B}, 1;",
                    Kind.Xor => $"xor.b32 %s{step.Target}, %s{step.A}, {step.B * 77};",
                    Kind.Select => $"selp.b32 %s{step.Target}, %s{step.A}, %s{step.B}, %p{step.A % Predicates};",
                    Kind.Compare => $"setp.lt.s32 %p{step.Target}, %s{step.A}, %s{step.B};",
                    Kind.Jump => $"bra B{step.A};",
                    Kind.Exit => "exit;",
                    _ => "sub.s32 %r40, %r40, 1;\nsetp.lt.s32 %p6, %r40, 0;\n@%p6 bra END;",
                });
            }
        }
        text.AppendLine("END:\nmov.u32 %r50, 0;");
        foreach (int register in Asked(blocks)) text.AppendLine($"mad.lo.s32 %r50, %r50, 31, %s{register};");
        text.AppendLine("ld.param.u64 %rd0, [p0];\nmul.wide.u32 %rd1, %r43, 4;\nadd.s64 %rd0, %rd0, %rd1;\nst.global.u32 [%rd0], %r50;\nret;");
        return text.ToString();
    }

    private static int Follow(Step[][] blocks, int thread)
    {
        var r = new int[Registers];
        var p = new bool[Predicates];
        r[0] = thread;
        for (int block = 0, left = Fuel; block < blocks.Length;)
        {
            int next = block + 1;
            foreach (Step step in blocks[block])
            {
                if (step.Guard >= 0 && p[step.Guard % 8] == step.Guard >= 8) continue;
                switch (step.Kind)
                {
                    case Kind.Add: r[step.Target] = r[step.A] + r[step.B]; break;
                    case Kind.Multiply: r[step.Target] = r[step.A] * r[step.B] + 1; break;
                    case Kind.Xor: r[step.Target] = r[step.A] ^ step.B * 77; break;
                    case Kind.Select: r[step.Target] = p[step.A % Predicates] ? r[step.A] : r[step.B]; break;
                    case Kind.Compare: p[step.Target] = r[step.A] < r[step.B]; break;
                    case Kind.Jump: next = step.A; break;
                    case Kind.Exit: return -1;
                    default:
                        if (--left < 0) next = int.MaxValue;
                        break;
                }
                if (next == int.MaxValue) break;
            }
            block = next;
        }
        return Asked(blocks).Aggregate(0, (hash, register) => hash * 31 + r[register]);
    }

    // The registers written last in the text.
    private static int[] Asked(Step[][] blocks) => [.. blocks.SelectMany(block => block).Where(step => step.Kind <= Kind.Select).Select(step => step.Target).Reverse().Distinct().Take(Outputs)];
}
