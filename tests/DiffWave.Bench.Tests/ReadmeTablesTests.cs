namespace DiffWave.Bench.Tests;

/// <summary>Tables of Markdown files that come from stored results.</summary>
public sealed class ReadmeTablesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-readme-").FullName;

    public ReadmeTablesTests() => new Result("synthesis", "title",
    [
        new("synthesis/base/fast/1x5s", new Sample(2.0, 2.5, 3.0)) { Figures = new Dictionary<string, object?> { ["times_real_time"] = 2.0, ["peak_memory_bytes"] = 1048576.0 } },
        new("synthesis/tiny/fast/1x5s", new Sample(0.5)) { Figures = new Dictionary<string, object?> { ["times_real_time"] = 10.0 } },
    ]).Write(Path.Combine(_folder, "a.json"));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void ATableIsReplacedByWhatItsFileSays() => Assert.Equal("""
        before
        <!-- table a rows=base columns=case,median_seconds,times_real_time -->
        | case | seconds [low .. high] | x real time |
        | --- | ---: | ---: |
        | synthesis/base/fast/1x5s | 2.500 [2.000 .. 3.000] | 2.00 |
        <!-- /table -->
        after

        """, ReadmeTables.Filled("before\n<!-- table a rows=base columns=case,median_seconds,times_real_time -->\n| stale |\n<!-- /table -->\nafter\n", _folder));

    [Fact]
    public void AFigureIsReplacedToo() => Assert.Equal(
        "it takes <!-- figure a synthesis/base/fast/1x5s median_seconds scale=1000 format=f0 -->2500<!-- /figure --> ms and <!-- figure a synthesis/tiny/fast/1x5s times_real_time -->10<!-- /figure -->",
        ReadmeTables.Filled("it takes <!-- figure a synthesis/base/fast/1x5s median_seconds scale=1000 format=f0 -->1<!-- /figure --> ms and <!-- figure a synthesis/tiny/fast/1x5s times_real_time --><!-- /figure -->", _folder));

    [Fact]
    public void AFigureOfAnyJsonIsNamedByAPointer()
    {
        File.WriteAllText(Path.Combine(_folder, "demo.json"), """{"results":[{"name":"voice","mcd":6.2471}]}""");
        Assert.Equal("<!-- figure demo /results/0/mcd format=f1 -->6.2<!-- /figure --> <!-- figure demo /results/0/name -->voice<!-- /figure -->",
            ReadmeTables.Filled("<!-- figure demo /results/0/mcd format=f1 --><!-- /figure --> <!-- figure demo /results/0/name --><!-- /figure -->", _folder));
        foreach (string pointer in new[] { "/results/1/mcd", "/results/0/no", "/results" })
            Assert.Contains(pointer, Assert.Throws<InvalidDataException>(() => ReadmeTables.Filled($"<!-- figure demo {pointer} --><!-- /figure -->", _folder)).Message);
    }

    [Fact]
    public void FillingTwiceChangesNothing()
    {
        string once = ReadmeTables.Filled("<!-- text a --><!-- /text -->\n<!-- table a --><!-- /table -->", _folder);
        Assert.Equal(once, ReadmeTables.Filled(once, _folder));
        Assert.Contains("synthesis/tiny/fast/1x5s", once);
    }

    [Theory]
    [InlineData("<!-- table a rows=large --><!-- /table -->", "rows=large")]
    [InlineData("<!-- table a columns=speed --><!-- /table -->", "'speed' is no column")]
    [InlineData("<!-- table a sort=up --><!-- /table -->", "sort=up")]
    [InlineData("<!-- table a -->", "opened")]
    [InlineData("<!-- figure a synthesis/base nothing --><!-- /figure -->", "no case synthesis/base")]
    [InlineData("<!-- figure a synthesis/base/fast/1x5s nothing --><!-- /figure -->", "has no synthesis/base/fast/1x5s nothing")]
    public void AMarkThatCannotBeFilledIsAnError(string text, string message) => Assert.Contains(message, Assert.Throws<InvalidDataException>(() => ReadmeTables.Filled(text, _folder)).Message);

    /// <summary>What the READMEs quote is what the committed results say: <c>bench -- readme</c> writes it.</summary>
    [Fact]
    public void TheReadmesOfThisRepositoryAreNotStale()
    {
        string? root = AppContext.BaseDirectory;
        while (root is not null && !File.Exists(Path.Combine(root, "DiffWaveKernels.sln"))) root = Path.GetDirectoryName(root);
        Assert.SkipWhen(root is null, "the tests run outside of the repository");
        Assert.All(ReadmeTables.Files, file =>
        {
            string path = Path.Combine(root!, file), text = File.ReadAllText(path);
            Assert.Contains("<!-- /table -->", text);
            Assert.True(text == ReadmeTables.Filled(text, Path.Combine(root!, "bench", "results")), $"{file} is stale: dotnet run -c Release --project bench/DiffWave.Bench -- readme");
        });
    }
}
