using System.Xml.Linq;

namespace DiffWave.Bench.Tests;

/// <summary>A result in all its forms: file, text, Markdown, CSV, page and charts.</summary>
public sealed class ResultTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-result-").FullName;

    private static readonly Result Synthesis = new("synthesis", "synthesis of \"a & b\", <cpu>",
    [
        new("synthesis/base/fast/1x5s", new Sample(2, 1.5, 1.75, 2.25, 1)) { Peak = new Sample(5e11, 4e11, 5e11, 6e11, 5e11), Pace = new Sample(5e4, 4e4, 5e4, 6e4, 5.5e4), Figures = new Dictionary<string, object?> { ["times_real_time"] = 2.857, ["peak_memory_bytes"] = 440401920L, ["device"] = "cpu, \"two\"", ["executed_gflops"] = null } },
        new("synthesis/tiny/fast/1x5s", new Sample(10, 11, 12)) { Figures = new Dictionary<string, object?> { ["times_real_time"] = 0.45, ["recompute"] = true } },
    ])
    {
        Machine = new Dictionary<string, object?> { ["commit"] = "abc", ["processors"] = 2 }, Settings = new Dictionary<string, object?> { ["seed"] = 1.0 }, Notes = ["a note"],
    };

    private static readonly Result Roofline = new("roofline", "operations",
    [
        new("ceiling/fma", null) { Figures = new Dictionary<string, object?> { ["gflops"] = 500.0 } },
        new("ceiling/copy/2MiB", null) { Figures = new Dictionary<string, object?> { ["gigabytes_per_second"] = 100.0 } },
        new("op/base/block", new Sample(1e-3)) { Figures = new Dictionary<string, object?> { ["gflops"] = 600.0, ["executed_gflops"] = 400.0, ["intensity"] = 26.0, ["bound"] = "compute" } },
        new("op/base/step", new Sample(1e-3)) { Figures = new Dictionary<string, object?> { ["gflops"] = 20.0, ["intensity"] = 0.25, ["bound"] = "memory" } },
    ]);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void AFileGivesBackWhatWasWritten()
    {
        string path = Path.Combine(_folder, "result.json");
        Synthesis.Write(path);
        Result read = Result.Read(path);
        Assert.Equal((Synthesis.Benchmark, Synthesis.Title), (read.Benchmark, read.Title));
        Assert.Equal(Synthesis.Notes, read.Notes);
        Assert.Equal(2.0, read.Machine["processors"]);
        Row row = read.Rows[0];
        Assert.Equal(Synthesis.Rows[0].Seconds!.Values, row.Seconds!.Values);
        Assert.Equal(Synthesis.Rows[0].Peak!.Values, row.Peak!.Values);
        Assert.Equal(Synthesis.Rows[0].Pace!.Values, row.Pace!.Values);
        Assert.Equal((2.857, 440401920.0, "cpu, \"two\"", (object?)null), (row.Value("times_real_time"), row.Value("peak_memory_bytes"), row.Value("device"), row.Value("executed_gflops")));
        Assert.Equal(true, read.Rows[1].Value("recompute"));
        Assert.Null(read.Rows[1].Peak);
        Assert.Equal(Table.Text(Synthesis), Table.Text(read));
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"benchmark\":\"x\",\"title\":\"y\",\"machine\":{},\"settings\":{},\"notes\":[],\"rows\":[{}]}")]
    [InlineData("{\"benchmark\":\"x\",\"title\":\"y\",\"machine\":{},\"settings\":{},\"notes\":[],\"rows\":[{\"case\":\"a\",\"seconds\":{\"values\":[\"fast\"]}}]}")]
    public void WhatIsNoResultIsRefusedByName(string text)
    {
        string path = Path.Combine(_folder, "no.json");
        File.WriteAllText(path, text);
        Assert.Contains(path, Assert.Throws<InvalidDataException>(() => Result.Read(path)).Message);
    }

    [Fact]
    public void TheTextShowsMediansWithTheirRange()
    {
        string[] lines = Table.Text(Synthesis).Split('\n');
        Assert.Equal("synthesis of \"a & b\", <cpu>", lines[0]);
        Assert.Contains("1.750 [1.000 .. 2.250]", lines[2]);
        Assert.Contains("2.86", lines[2]);
        Assert.Contains("420", lines[2]); // MiB
        Assert.DoesNotContain("first audio", lines[1]); // nobody has it
        Assert.Equal("a note", lines[^2]);
    }

    [Fact]
    public void MarkdownHasAsManyCellsInEveryLine()
    {
        string[] lines = Table.Markdown(Synthesis.Rows, Layouts.Of("synthesis")).TrimEnd().Split('\n');
        Assert.Equal(4, lines.Length);
        Assert.Single(lines.Select(line => line.Count(c => c == '|')).Distinct());
    }

    [Fact]
    public void CsvHoldsEveryFigureInFull()
    {
        string[] lines = Table.Csv(Synthesis).TrimEnd().Split("\r\n");
        Assert.Equal("case,rounds,median_seconds,low_seconds,high_seconds,p95_seconds,spread,peak_flops,times_real_time,peak_memory_bytes,device,executed_gflops,recompute", lines[0]);
        Assert.StartsWith("synthesis/base/fast/1x5s,5,1.75,1,2.25,", lines[1]);
        Assert.EndsWith(",2.857,440401920,\"cpu, \"\"two\"\"\",,", lines[1]);
        Assert.EndsWith(",0.45,,,,True", lines[2]);
    }

    [Fact]
    public void APageHoldsEveryResultAndNothingFromOutside()
    {
        string page = HtmlReport.Page([Synthesis, Roofline]);
        Assert.Contains("synthesis of &quot;a &amp; b&quot;, &lt;cpu&gt;", page);
        Assert.Equal(2, page.Split("<svg ").Length - 1);
        Assert.DoesNotContain("<script", page);
        Assert.DoesNotContain("http", page.Replace("http-equiv", "").Replace("http://www.w3.org/2000/svg", ""));
    }

    [Fact]
    public void TheSpeedChartHasABarACaseAndALineAtRealTime()
    {
        XElement svg = XElement.Parse(SpeedChart.Of(Synthesis)!);
        XElement[] bars = [.. svg.Descendants().Where(element => element.Name.LocalName == "rect")];
        Assert.Equal(["fast", "slow"], bars.Select(bar => bar.Attribute("class")!.Value));
        double line = double.Parse(svg.Descendants().Single(element => (string?)element.Attribute("class") == "one").Attribute("d")!.Value.Split('M', ' ')[1]);
        double End(XElement bar) => (double)bar.Attribute("x")! + (double)bar.Attribute("width")!;
        Assert.True(End(bars[0]) > line && End(bars[1]) < line);
        Assert.Null(SpeedChart.Of(Roofline));
    }

    [Fact]
    public void TheRooflineHasADotACaseAtOrBelowItsRoof()
    {
        XElement svg = XElement.Parse(RooflineChart.Of(Roofline)!);
        XElement[] dots = [.. svg.Descendants().Where(element => element.Name.LocalName == "circle")];
        Assert.Equal(["compute", "memory"], dots.Select(dot => dot.Attribute("class")!.Value));
        double roof = double.Parse(svg.Descendants().First(element => (string?)element.Attribute("class") == "roof").Attribute("d")!.Value.Split(' ', 'H')[1]);
        Assert.True((double)dots[0].Attribute("cy")! > roof); // 400 of 500 GFLOP/s: below, and pixels grow downwards
        Assert.True((double)dots[1].Attribute("cy")! > (double)dots[0].Attribute("cy")!);
        Assert.True((double)dots[1].Attribute("cx")! < (double)dots[0].Attribute("cx")!);
        Assert.Null(RooflineChart.Of(Synthesis));
    }
}
