using DiffWave.Emulator.Syntax;
using DiffWave.Emulator.Syntax.Instructions;

namespace DiffWave.Emulator.Tests.Syntax;

/// <summary>The lists hold what ptxas 11.8 accepts and refuses for sm_90, one instruction or declaration a line; all stand in the same kernel.</summary>
public class PtxParserTests
{
    private static readonly string Prelude = PtxText.Fixture("prelude.txt");
    private static readonly int PreludeLines = Prelude.Count(c => c == '\n');

    [Fact]
    public void Accepts_what_ptxas_accepts()
    {
        string[] lines = [.. PtxText.Lines("accepted.txt")];
        Assert.True(lines.Length >= 600);
        Assert.Empty(lines.Select(line => (line, Reason: PtxText.Refusal(InKernel(line)))).Where(result => result.Reason != null).Select(result => $"{result.line}: {result.Reason!.Message}"));
    }

    [Fact]
    public void Every_row_of_the_instruction_table_is_among_what_ptxas_accepts()
    {
        var lines = PtxText.Lines("accepted.txt").Select(line => line.Split(' ', ';')[0].Split('.')).ToLookup(words => words[0], words => words[1..]);
        var rows = new[] { IntegerForms.Rows, FloatForms.Rows, ComparisonForms.Rows, ConversionForms.Rows, MemoryForms.Rows, AtomicForms.Rows, WarpForms.Rows, MatrixForms.Rows, ControlForms.Rows }
            .SelectMany(topic => topic).SelectMany(row => row.Opcodes.Split(' ').SelectMany(opcode => row.Forms.Select(form => (opcode, form))));
        // The oracle of the list knows PTX 7.8.
        var unseen = rows.Where(row => !row.form.Contains("; ptx80") && !lines[row.opcode].Any(modifiers => InstructionForm.Read(row.form).Matches(modifiers, out _, out _)));
        Assert.Empty(unseen);
    }

    [Fact]
    public void Refuses_what_ptxas_refuses_and_names_the_line()
    {
        string[] lines = [.. PtxText.Lines("refused.txt")];
        Assert.True(lines.Length >= 250);
        var wrong = new List<string>();
        foreach (string line in lines)
        {
            string[] parts = line.Split('\t');
            var refusal = PtxText.Refusal(InKernel(parts[1]));
            int expected = PreludeLines + int.Parse(parts[0]);
            if (refusal == null) wrong.Add($"accepted: {parts[1]}");
            else if (refusal.Line != expected || !refusal.IsSupported) wrong.Add($"line {expected} expected for {parts[1]}: {refusal.Message}");
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void Modules_and_directives_are_judged_as_by_ptxas()
    {
        var wrong = new List<string>();
        foreach (string line in PtxText.Lines("modules.txt"))
        {
            string[] parts = line.Split('\t');
            int expected = int.Parse(parts[0]);
            var refusal = PtxText.Refusal(parts[1].Replace("\\n", "\n").Replace("HEADER ", PtxText.Module("")).Replace("KERNEL", ".entry k() { ret; }\n"));
            if ((refusal?.Line ?? 0) != expected) wrong.Add($"line {expected} expected for {parts[1]}: {refusal?.Message ?? "accepted"}");
        }
        Assert.Empty(wrong);
    }

    // Where we know better than ptxas, which leaves these to the launch or to luck.
    [Theory]
    [InlineData(".entry k(.param .u32 a) { .reg .b32 %r; ld.param.u32 %r, [a+4]; ret; }", "reads bytes 4 to 8 of parameter 'a', which has 4")]
    [InlineData(".entry k(.param .align 8 .b8 a[16]) { .reg .b64 %r; ld.param.u64 %r, [a+4]; ret; }", "no multiple of 8 bytes")]
    [InlineData(".entry k() .reqntid 1025 { ret; }", "more than 1024")]
    [InlineData(".entry k() { .reg .b32 %r; lop3.b32 %r, %r, %r, %r, 256; ret; }", "outside 0 to 255")]
    public void Refuses_what_could_never_run(string body, string reason)
    {
        var refusal = PtxText.Refusal(PtxText.Module(body));
        Assert.Contains(reason, refusal?.Reason);
        Assert.Equal(4, refusal!.Line);
    }

    [Theory]
    [InlineData("wgmma.fence.sync.aligned;")]
    [InlineData("cp.async.bulk.commit_group;")]
    [InlineData("mbarrier.init.shared.b64 [%rd1], 1;")]
    [InlineData("mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%f1}, {%f1}, {%f1}, {%f1};")]
    [InlineData("call foo;")]
    [InlineData("cvt.pack.sat.u16.s32 %r1, %r2, %r3;")]
    [InlineData(".param .u32 x;")]
    public void Tells_what_it_lacks_from_what_is_wrong(string body)
    {
        var refusal = PtxText.Refusal(PtxText.Kernel(body));
        Assert.False(refusal?.IsSupported);
        Assert.Equal(5, refusal!.Line);
        Assert.Equal("not supported by the emulator", refusal.Error);
    }

    [Theory]
    [InlineData(".func f() { ret; }")]
    [InlineData(".extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);")]
    [InlineData(".extern .global .u32 x;")]
    [InlineData(".global .u64 x = y;")]
    public void Tells_modules_it_lacks_from_wrong_ones(string body) => Assert.False(PtxText.Refusal(PtxText.Module(body))?.IsSupported);

    [Theory]
    [InlineData("matmul", 1)]
    [InlineData("softmax", 2)]
    [InlineData("half", 3)]
    [InlineData("pipeline", 1)]
    [InlineData("mixed", 2)]
    public void Reads_what_nvcc_writes(string name, int entries) => Assert.Equal(entries, PtxParser.Parse(PtxText.Fixture(name + ".ptx")).Entries.Count);

    private static string InKernel(string body) => Prelude + body.Replace("\\n", "\n") + "\nLL: ret;\n}\n";
}
