using DiffWave.Emulator.Syntax;

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
        Assert.True(lines.Length >= 250);
        Assert.Empty(lines.Select(line => (line, Reason: PtxText.Refusal(InKernel(line)))).Where(result => result.Reason != null).Select(result => $"{result.line}: {result.Reason!.Message}"));
    }

    [Fact]
    public void Refuses_what_ptxas_refuses_and_names_the_line()
    {
        string[] lines = [.. PtxText.Lines("refused.txt")];
        Assert.True(lines.Length >= 150);
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

    [Theory]
    [InlineData("matmul", 1)]
    [InlineData("softmax", 2)]
    [InlineData("half", 3)]
    [InlineData("pipeline", 1)]
    [InlineData("mixed", 2)]
    public void Reads_what_nvcc_writes(string name, int entries) => Assert.Equal(entries, PtxParser.Parse(PtxText.Fixture(name + ".ptx")).Entries.Count);

    private static string InKernel(string body) => Prelude + body.Replace("\\n", "\n") + "\nLL: ret;\n}\n";
}
