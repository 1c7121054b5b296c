namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Comparisons, selections and moves.</summary>
public class CompareTests
{
    private static readonly string[] FloatComparisons = ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"];

    public static TheoryData<string> IntegerTypes => ["u16", "s16", "u32", "s32", "u64", "s64"];

    public static TheoryData<string> FloatTypes => ["f16", "bf16", "f32", "f64"];

    [Theory, MemberData(nameof(IntegerTypes))]
    public void SetpComparesIntegers(string type)
    {
        int width = Words.Width(type);
        var (a, b) = Numbers.Pairs(Words.Edges(width), random => Numbers.LongWord(random) & Words.Mask(width), 100);
        string[] names = type[0] == 'u' ? ["eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"] : ["eq", "ne", "lt", "le", "gt", "ge"];
        foreach (string name in names) Check($"setp.{name}.{type}", width, a, b, i => Holds(name, Words.Value(a[i], type).CompareTo(Words.Value(b[i], type))));
        foreach (string name in (string[])["eq", "ne"]) Check($"setp.{name}.b{width}", width, a, b, i => Holds(name, a[i].CompareTo(b[i])));
    }

    [Theory, MemberData(nameof(FloatTypes))]
    public void SetpComparesFloats(string type)
    {
        var (format, width, a, b) = Operands(type);
        foreach (string name in FloatComparisons) Check($"setp.{name}.{type}", width, a, b, i => Holds(name, Order(format, a[i], b[i])));
        if (type is "bf16" or "f64") return;
        ulong Flush(ulong x) => format.IsSubnormal(x) ? x & format.SignBit : x;
        foreach (string name in FloatComparisons) Check($"setp.{name}.ftz.{type}", width, a, b, i => Holds(name, Order(format, Flush(a[i]), Flush(b[i]))));
    }

    [Fact]
    public void SetpCombinesWithAnotherPredicateAndGivesTheOppositeToo()
    {
        int[] a = [.. Enumerable.Range(0, 32).Select(i => i & 3)], b = [.. Enumerable.Range(0, 32).Select(i => i >> 2 & 3)];
        bool[] c = [.. Enumerable.Range(0, 32).Select(i => i >= 16)];
        foreach (var (name, combine) in (IEnumerable<(string, Func<bool, bool, bool>)>)[("and", (x, y) => x && y), ("or", (x, y) => x || y), ("xor", (x, y) => x != y)])
        {
            var (p, q) = Instruction.RunPair<bool, bool>($"setp.lt.{name}.s32", a, b, c);
            Assert.Equal(a.Select((x, i) => combine(x < b[i], c[i])), p);
            Assert.Equal(a.Select((x, i) => combine(x >= b[i], c[i])), q);
            Assert.Equal(p, Instruction.Run<bool>($"setp.lt.{name}.s32", a, b, c));
            float[] fa = [.. a.Select(x => x == 3 ? float.NaN : x)], fb = [.. b.Select(x => (float)x)];
            var (fp, fq) = Instruction.RunPair<bool, bool>($"setp.gt.{name}.f32", fa, fb, c);
            Assert.Equal(fa.Select((x, i) => combine(x > fb[i], c[i])), fp);
            Assert.Equal(fa.Select((x, i) => combine(!(x > fb[i]), c[i])), fq);
        }

        var (less, notLess) = Instruction.RunPair<bool, bool>("setp.lt.s32", a, b);
        Assert.Equal(a.Select((x, i) => x < b[i]), less);
        Assert.Equal(a.Select((x, i) => x >= b[i]), notLess);
    }

    [Theory, InlineData("f16"), InlineData("bf16")]
    public void SetpOfPairsComparesBothHalves(string type)
    {
        var (format, _, a, b) = Operands(type);
        bool[] c = [.. a.Select((_, i) => i % 3 == 0)];
        uint[] pa = [.. a.Select((x, i) => (uint)(b[i] << 16 | x))], pb = [.. b.Select((x, i) => (uint)(a[i] << 16 | x))];
        foreach (string name in FloatComparisons)
        {
            var (low, high) = Instruction.RunPair<bool, bool>($"setp.{name}.{type}x2", pa, pb);
            Assert.Equal(a.Select((x, i) => Holds(name, Order(format, x, b[i]))), low);
            Assert.Equal(a.Select((x, i) => Holds(name, Order(format, b[i], x))), high);
            (low, high) = Instruction.RunPair<bool, bool>($"setp.{name}.and.{type}x2", pa, pb, c);
            Assert.Equal(a.Select((x, i) => c[i] && Holds(name, Order(format, x, b[i]))), low);
            Assert.Equal(a.Select((x, i) => c[i] && Holds(name, Order(format, b[i], x))), high);
        }
    }

    [Fact]
    public void SetGivesAllOnesOrOne()
    {
        int[] a = [1, 2, 3, -4], b = [2, 2, 2, 2];
        bool[] c = [true, true, false, false];
        Assert.Equal([uint.MaxValue, 0, 0, uint.MaxValue], Instruction.Run<uint>("set.lt.u32.s32", a, b));
        Assert.Equal([-1, -1, 0, -1], Instruction.Run<int>("set.le.s32.s32", a, b));
        Assert.Equal([1f, 0, 0, 0], Instruction.Run<float>("set.lt.and.f32.s32", a, b, c));
        Assert.Equal([1f, 1, 1, 1], Instruction.Run<float>("set.hi.or.f32.u32", a, b, c));
        float[] x = [float.NaN, 1, -1, 0], y = [0, 1, 1, -0f];
        Assert.Equal([uint.MaxValue, 0, uint.MaxValue, 0], Instruction.Run<uint>("set.ltu.u32.f32", x, y));
        Assert.Equal([0f, 1, 0, 1], Instruction.Run<float>("set.eq.f32.f32", x, y));
        Assert.Equal([0u, uint.MaxValue, 0, uint.MaxValue], Instruction.Run<uint>("set.eq.u32.f64", x.Select(v => (double)v).ToArray(), y.Select(v => (double)v).ToArray()));
        Assert.Equal([uint.MaxValue, 0, 0, 0], Instruction.Run<uint>("set.lt.u32.s64", (long[])[long.MinValue, 0, 1, long.MaxValue], (long[])[0, 0, 0, 0]));
    }

    [Fact]
    public void SetOfHalvesGivesTheirOneOrAllOnes()
    {
        ushort[] a = [0x3C00, 0x4000, 0x7E00, 0xBC00], b = [0x4000, 0x4000, 0, 0];
        Assert.Equal([0x3C00, 0, 0, 0x3C00], Instruction.Run<ushort>("set.lt.f16.f16", a, b).Select(v => (int)v));
        Assert.Equal([0xFFFF, 0, 0, 0xFFFF], Instruction.Run<ushort>("set.lt.u16.f16", a, b).Select(v => (int)v));
        Assert.Equal([0x3F80, 0, 0x3F80, 0x3F80], Instruction.Run<ushort>("set.ltu.bf16.bf16", (ushort[])[0x3F80, 0x4000, 0x7FC0, 0xBF80], b).Select(v => (int)v));
        Assert.Equal([uint.MaxValue, 0, 0, uint.MaxValue], Instruction.Run<uint>("set.lt.u32.f16", a, b));
        Assert.Equal([0x3C00, 0, 0, 0], Instruction.Run<ushort>("set.gt.f16.s32", (int[])[5, 0, -1, -5], (int[])[1, 1, 1, 1]).Select(v => (int)v));
        uint[] pa = [0x3C00_4000, 0x7E00_0000], pb = [0x4000_3C00, 0x0000_0000];
        Assert.Equal([0x3C00_0000u, 0u], Instruction.Run<uint>("set.lt.f16x2.f16x2", pa, pb));
        Assert.Equal([0xFFFF_0000u, 0xFFFF_0000u], Instruction.Run<uint>("set.ltu.u32.f16x2", pa, pb));
        Assert.Equal([0x0000_3F80u, 0x0000_3F80u], Instruction.Run<uint>("set.geu.and.bf16x2.bf16x2", (uint[])[0x3C00_4000, 0x0000_3F80], (uint[])[0x4000_3C00, 0x3F80_0000], (bool[])[true, true]));
    }

    [Fact]
    public void TestpTellsClassesApart()
    {
        var f = FloatFormat.F32;
        uint[] a = Numbers.EdgeSingles;
        (string Class, Func<uint, bool> Holds)[] classes =
        [
            ("finite", x => !f.IsNaN(x) && !f.IsInfinite(x)), ("infinite", x => f.IsInfinite(x)), ("number", x => !f.IsNaN(x)), ("notanumber", x => f.IsNaN(x)),
            ("normal", x => !f.IsNaN(x) && !f.IsInfinite(x) && !f.IsSubnormal(x)), ("subnormal", x => f.IsSubnormal(x)),
        ];
        foreach (var (name, holds) in classes)
        {
            Assert.Equal(a.Select(holds), Instruction.Run<bool>($"testp.{name}.f32", a.Singles()));
            // The same numbers in f64 are subnormal only when they are in f64.
            double[] doubles = [.. a.Singles().Select(x => (double)x), 5e-324, -1e-310];
            Func<double, bool> expected = name switch
            {
                "finite" => double.IsFinite, "infinite" => double.IsInfinity, "number" => x => !double.IsNaN(x), "notanumber" => double.IsNaN,
                "normal" => x => x == 0 || double.IsNormal(x), _ => double.IsSubnormal,
            };
            Assert.Equal(doubles.Select(expected), Instruction.Run<bool>($"testp.{name}.f64", doubles));
        }
    }

    [Theory, InlineData(16), InlineData(32), InlineData(64)]
    public void SelpPicksByPredicate(int width)
    {
        ulong[] a = [.. Enumerable.Range(0, 32).Select(i => (ulong)i * 0x1234567 & Words.Mask(width))], b = [.. a.Select(x => ~x & Words.Mask(width))];
        bool[] p = [.. Enumerable.Range(0, 32).Select(i => (0xA5C30F12 >> i & 1) != 0)];
        ulong[] expected = [.. a.Select((x, i) => p[i] ? x : b[i])];
        string[] types = width switch { 16 => ["b16", "u16", "s16"], 32 => ["b32", "u32", "s32"], _ => ["b64", "u64", "s64"] };
        foreach (string type in types)
            Assert.Equal(expected, width switch
            {
                16 => Instruction.Run<ushort>($"selp.{type}", a.Select(x => (ushort)x).ToArray(), b.Select(x => (ushort)x).ToArray(), p).Select(x => (ulong)x),
                32 => Instruction.Run<uint>($"selp.{type}", a.Select(x => (uint)x).ToArray(), b.Select(x => (uint)x).ToArray(), p).Select(x => (ulong)x),
                _ => Instruction.Run<ulong>($"selp.{type}", a, b, p),
            });
        Assert.Equal([1f, -2f], Instruction.Run<float>("selp.f32", (float[])[1, 2], (float[])[-1, -2], (bool[])[true, false]));
        Assert.Equal([1d, -2d], Instruction.Run<double>("selp.f64", (double[])[1, 2], (double[])[-1, -2], (bool[])[true, false]));
    }

    [Fact]
    public void SlctPicksBySign()
    {
        int[] c = [0, 1, -1, int.MinValue];
        Assert.Equal([10u, 11, 22, 23], Instruction.Run<uint>("slct.u32.s32", (uint[])[10, 11, 12, 13], (uint[])[20, 21, 22, 23], c));
        Assert.Equal([10ul, 11, 22, 23], Instruction.Run<ulong>("slct.b64.s32", (ulong[])[10, 11, 12, 13], (ulong[])[20, 21, 22, 23], c));
        Assert.Equal([10f, 11, 22, 23], Instruction.Run<float>("slct.f32.s32", (float[])[10, 11, 12, 13], (float[])[20, 21, 22, 23], c));
        ushort[] a = [10, 11, 12, 13, 14], b = [20, 21, 22, 23, 24];
        float[] f = [-0f, 1, -1, float.NaN, -1e-40f];
        Assert.Equal([10, 11, 22, 23, 24], Instruction.Run<ushort>("slct.b16.f32", a, b, f).Select(x => (int)x));
        Assert.Equal([10, 11, 22, 23, 14], Instruction.Run<ushort>("slct.ftz.b16.f32", a, b, f).Select(x => (int)x));
        Assert.Equal([10d, 21], Instruction.Run<double>("slct.ftz.f64.f32", (double[])[10, 11], (double[])[20, 21], (float[])[1, -1]));
    }

    [Fact]
    public void MovCopiesPacksAndUnpacks()
    {
        ushort[] h = [0x1111, 0x8001], g = [0x2222, 0xFFFF];
        uint[] w = [0x2222_1111, 0xFFFF_8001], v = [7, 0x80000000];
        ulong[] l = [0x0000_0007_2222_1111, 0x8000_0000_FFFF_8001];
        Assert.Equal(h, Instruction.Run<ushort>("mov.b16", h));
        Assert.Equal(w, Instruction.Run<uint>("mov.u32", w));
        Assert.Equal(l, Instruction.Run<ulong>("mov.b64", l));
        Assert.Equal([1.5f, -0f], Instruction.Run<float>("mov.f32", (float[])[1.5f, -0f]));
        Assert.Equal([1.5, -0.0], Instruction.Run<double>("mov.f64", (double[])[1.5, -0.0]));
        Assert.Equal(w, Instruction.Run<uint>("mov.b32", (object)(Array[])[h, g]));
        Assert.Equal(l, Instruction.Run<ulong>("mov.b64", (object)(Array[])[w, v]));
        Assert.Equal(l, Instruction.Run<ulong>("mov.b64", (object)(Array[])[h, g, v.Select(x => (ushort)x).ToArray(), v.Select(x => (ushort)(x >> 16)).ToArray()]));
        Assert.Equal([h, g], Instruction.RunAll("mov.b32", "{{{0}, {1}}}", [typeof(ushort), typeof(ushort)], [w]));
        Assert.Equal([w, v], Instruction.RunAll("mov.b64", "{{{0}, {1}}}", [typeof(uint), typeof(uint)], [l]));
        Assert.Equal([h, v.Select(x => (ushort)(x >> 16)).ToArray()], Instruction.RunAll("mov.b64", "{{{0}, _, _, {1}}}", [typeof(ushort), typeof(ushort)], [l]));
    }

    private static void Check(string opcode, int width, ulong[] a, ulong[] b, Func<int, bool> expected)
    {
        object[] sources = width switch
        {
            16 => [a.Select(x => (ushort)x).ToArray(), b.Select(x => (ushort)x).ToArray()],
            32 => [a.Select(x => (uint)x).ToArray(), b.Select(x => (uint)x).ToArray()],
            _ => [a, b],
        };
        bool[] actual = Instruction.Run<bool>(opcode, sources);
        for (int i = 0; i < a.Length; i++)
            if (actual[i] != expected(i)) Assert.Fail($"{opcode} of {a[i]:X} and {b[i]:X} is {actual[i]}");
    }

    private static (FloatFormat Format, int Width, ulong[] A, ulong[] B) Operands(string type)
    {
        FloatFormat format = type switch { "f16" => FloatFormat.F16, "bf16" => FloatFormat.BF16, "f32" => FloatFormat.F32, _ => FloatFormat.F64 };
        ulong[] edges = type switch { "f32" => [.. Numbers.EdgeSingles], "f64" => Numbers.EdgeDoubles, _ => [.. Numbers.EdgeHalves.Select(x => (ulong)x)] };
        var (a, b) = Numbers.Pairs(edges, random => edges[random.Next(edges.Length)] + (ulong)random.Next(2), 100);
        return (format, Register(type), a, b);
    }

    private static int Register(string type) => type switch { "f32" => 32, "f64" => 64, _ => 16 };

    // -1, 0 or 1; null when one is NaN.
    private static int? Order(FloatFormat f, ulong a, ulong b)
    {
        if (f.IsNaN(a) || f.IsNaN(b)) return null;
        Exact Number(ulong x) => f.IsInfinite(x) ? ((x & f.SignBit) != 0 ? -Exact.Power(2000) : Exact.Power(2000)) : f.Value(x);
        return Number(a).CompareTo(Number(b));
    }

    private static bool Holds(string name, int? order) => name switch
    {
        "num" => order is not null,
        "nan" => order is null,
        _ when name.Length == 3 => order is null || Holds(name[..2], order),
        _ when order is null => false,
        "eq" => order == 0,
        "ne" => order != 0,
        "lt" or "lo" => order < 0,
        "le" or "ls" => order <= 0,
        "gt" or "hi" => order > 0,
        _ => order >= 0,
    };
}
