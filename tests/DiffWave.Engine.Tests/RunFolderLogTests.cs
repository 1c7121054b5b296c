using System.Text.Json.Nodes;

namespace DiffWave.Engine.Tests;

public sealed class RunFolderLogTests
{
    private static JsonObject Line(long step) => new() { ["step"] = step, ["loss"] = 0.5 / step, ["clip"] = "é\n" };

    [Fact]
    public void A_line_is_in_the_file_as_soon_as_it_is_appended()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config);
        run.Append(Line(1));
        run.Append(Line(2));
        Assert.Equal("{\"step\":1,\"loss\":0.5,\"clip\":\"é\\n\"}\n{\"step\":2,\"loss\":0.25,\"clip\":\"é\\n\"}\n", File.ReadAllText(folder.File("log.jsonl")));
        Assert.Throws<ArgumentException>(() => run.Append(new JsonObject { ["loss"] = 1 }));
        Assert.Throws<ArgumentException>(() => run.Append(new JsonArray(1)));
        Assert.Throws<ArgumentException>(() => run.Append(new JsonObject { ["step"] = 3, ["loss"] = double.NaN }));
    }

    [Theory]
    [InlineData("{\"step\":8,\"lo")] // killed in the middle of a line
    [InlineData("{\"step\":8,\"loss\":0.1}")] // killed before its end
    [InlineData("")]
    [InlineData("\0\0\0\0")] // a lost power supply
    public void A_resumed_run_has_every_step_once(string torn)
    {
        using var folder = new TemporaryFolder();
        using (RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config))
            for (long step = 1; step <= 7; step++) run.Append(Line(step));
        File.AppendAllText(folder.File("log.jsonl"), torn);
        using (RunFolder run = RunFolder.Open(folder.Path))
        {
            Assert.Equal(torn.Length == 0 || torn.EndsWith('}') ? [] : [$"{folder.File("log.jsonl")}: line 8 is damaged and was removed"], run.CutLog(5));
            for (long step = 6; step <= 9; step++) run.Append(Line(step));
            Assert.Empty(run.CutLog(9));
            run.Append(Line(10)); // the log goes on after a cut
        }
        Assert.Equal(Enumerable.Range(1, 10).Select(step => Line(step).ToJsonString()), File.ReadLines(folder.File("log.jsonl")).Select(line => JsonNode.Parse(line)!.ToJsonString()));
    }

    [Fact]
    public void A_last_line_without_its_end_is_kept_when_it_is_whole()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config);
        Assert.Empty(run.CutLog(3)); // no log yet
        File.WriteAllText(folder.File("log.jsonl"), "{\"step\":1}\n{\"step\":2}");
        Assert.Empty(run.CutLog(3));
        Assert.Equal("{\"step\":1}\n{\"step\":2}\n", File.ReadAllText(folder.File("log.jsonl")));
    }

    [Fact]
    public void Long_lines_and_many_lines_pass_through()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config);
        for (long step = 1; step <= 3000; step++) run.Append(new JsonObject { ["step"] = step, ["text"] = new string('x', (int)(step * 7919 % 200)) });
        run.Append(new JsonObject { ["step"] = 3001, ["text"] = new string('y', 200_000) });
        string[] before = File.ReadAllLines(folder.File("log.jsonl"));
        run.CutLog(4000);
        Assert.Equal(before, File.ReadAllLines(folder.File("log.jsonl")));
        run.CutLog(2999);
        Assert.Equal(before[..2999], File.ReadAllLines(folder.File("log.jsonl")));
    }
}
