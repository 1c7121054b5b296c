using System.Text;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Tests.Syntax;

public class PtxHostileTests
{
    // Every text, however broken, is read or refused: any exception but PtxException fails the test.
    [Theory]
    [InlineData("matmul", 1000, 1)]
    [InlineData("half", 1000, 2)]
    [InlineData("pipeline", 1000, 3)]
    [InlineData("mixed", 1000, 4)]
    [InlineData("list", 16000, 5)]
    public void Mutated_texts_are_read_or_refused(string name, int count, int seed)
    {
        string whole = name == "list" ? "" : PtxText.Fixture(name + ".ptx");
        string[] list = [.. PtxText.Lines("accepted.txt")];
        string prelude = PtxText.Fixture("prelude.txt");
        var random = new Random(seed);
        int refused = 0;
        for (int i = 0; i < count; i++)
        {
            string text = name == "list" ? $"{prelude}{string.Join('\n', random.GetItems(list, 6))}\nLL: ret;\n}}\n" : whole;
            if (PtxText.Refusal(Mutate(text, random)) is { } refusal)
            {
                refused++;
                Assert.InRange(refusal.Line, 1, 2000);
                Assert.InRange(refusal.Reason.Length, 1, 2000);
            }
        }
        Assert.InRange(refused, count / 2, count);
    }

    [Fact]
    public void Texts_cut_anywhere_are_refused_or_read()
    {
        string text = PtxText.Fixture("half.ptx");
        int end = text.LastIndexOf('}');
        for (int length = 0; length < end; length += 3) PtxText.Refusal(text[..length]);
        Assert.NotNull(PtxText.Refusal(text[..end]));
    }

    [Theory]
    [InlineData("{", 200_000)]
    [InlineData("[", 200_000)]
    [InlineData("!", 200_000)]
    [InlineData("-", 200_000)]
    [InlineData(".x", 200_000)]
    [InlineData("add", 200_000)]
    [InlineData("mov.b32 {%r,", 50_000)]
    [InlineData("mov.b32 %r, {", 50_000)]
    [InlineData("ret.uni", 50_000)]
    [InlineData("bra L;", 100_000)]
    [InlineData("/*", 200_000)]
    [InlineData("\"", 200_000)]
    [InlineData("0x", 200_000)]
    public void Repetition_is_refused_at_once(string piece, int times) => Assert.NotNull(PtxText.Refusal(PtxText.Kernel(new StringBuilder().Insert(0, piece, times).ToString())));

    [Fact]
    public void Nested_initial_values_are_bounded() => Assert.NotNull(PtxText.Refusal(PtxText.Module($".global .u32 x = {new string('{', 100_000)}1;")));

    [Fact]
    public void Ranges_of_registers_cost_nothing_until_used()
        => Assert.Single(PtxParser.Parse(PtxText.Kernel(".reg .b32 %r<2147483647>; mov.b32 %r2147483, 1;")).Entries[0].Registers);

    [Fact]
    public void Sizes_that_overflow_are_refused()
    {
        Assert.NotNull(PtxText.Refusal(PtxText.Kernel(".local .b8 x[4294967296][4294967296][4294967296];")));
        Assert.NotNull(PtxText.Refusal(PtxText.Kernel(".shared .b8 x[99999999999999999999];")));
        Assert.NotNull(PtxText.Refusal(PtxText.Module(".global .b8 x[1000000000000] = {1};")));
        Assert.NotNull(PtxText.Refusal(PtxText.Module(new string(' ', 1 << 25))));
    }

    [Fact]
    public void A_long_text_is_read_whole() // 16,000 scopes' worth of names: a reader with a quadratic step would be at it for minutes
    {
        const int Count = 16000;
        var text = new StringBuilder(".reg .pred %p<2>;\n");
        for (int i = 0; i < Count; i++) text.Append($".reg .b32 a{i}x; .reg .b32 b{i}x<4>; .reg .b32 r1{i};\nL{i}: @%p1 bra L{Count - 1 - i}; mov.b32 a{i}x, b{i / 2}x1;\n");
        IReadOnlyList<PtxInstruction> instructions = Assert.Single(PtxParser.Parse(PtxText.Kernel(text.ToString())).Entries).Instructions;
        Assert.Equal(2 * (Count - 1), Assert.IsType<LabelOperand>(instructions[0].Operands[0]).Target);
    }

    private static string Mutate(string text, Random random)
    {
        var builder = new StringBuilder(text);
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int at = random.Next(builder.Length), length = Math.Min(random.Next(1, 12), builder.Length - at);
            switch (random.Next(6))
            {
                case 0: builder.Remove(at, length); break;
                case 1: builder[at] = (char)random.Next(1, 128); break;
                case 2: builder.Insert(at, builder.ToString(at, length)); break;
                case 3: builder.Insert(random.Next(builder.Length), builder.ToString(at, length)); break;
                case 4: builder.Insert(at, random.GetItems(Pieces, 1)[0]); break;
                default: Swap(builder, at, random.Next(builder.Length), length); break;
            }
        }
        return builder.ToString();
    }

    private static readonly string[] Pieces =
        ["{", "}", "[", "]", ";", ",", ".f32", ".v4", "%r1", "%p1", "!", "@", "0x", "0f", "-1", "99999999999", ".reg", "<", ">", "|", "_", "\"", "/*", "+", ".", "::", "%", "\n", "ret;", ".entry", "\uffff"];

    private static void Swap(StringBuilder builder, int first, int second, int length)
    {
        for (int i = 0; i < length && first + i < builder.Length && second + i < builder.Length; i++) (builder[first + i], builder[second + i]) = (builder[second + i], builder[first + i]);
    }
}
