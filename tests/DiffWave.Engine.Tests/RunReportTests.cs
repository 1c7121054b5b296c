using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

public sealed class RunReportTests
{
    [Fact]
    public void A_new_run_has_a_report_already()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.File("a <b> & \"c\""), RunFolderTests.Config);
        XElement page = Parse(RunReport.Write(run.Path));
        Assert.Equal("a <b> & \"c\"", page.Descendants("h1").Single().Value);
        Assert.Contains("No step is logged yet.", page.Value);
        Assert.Contains("No checkpoint yet.", page.Value);
        Assert.Contains("No samples yet.", page.Value);
        Assert.Empty(page.Descendants("svg"));
    }

    [Fact]
    public void Everything_of_a_run_is_in_its_report()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config with { Data = """{"roots":["<script>alert(1)</script>"],"weights":[{"a":1},{"a":2}]}""" });
        for (int step = 1; step <= 600; step++)
        {
            var line = new JsonObject { ["step"] = step, ["epoch"] = step / 100.0, ["loss"] = 1.0 / step, ["grad_norm"] = 2.0, ["learning_rate"] = 2e-4, ["step_seconds"] = 0.25 };
            if (step % 100 == 0) line["validation_loss"] = 0.1 + Math.Abs(step - 400);
            if (step % 200 == 0) line["loss_by_t"] = new JsonArray([.. Enumerable.Range(0, 5).Select(i => new JsonObject { ["from"] = 10 * i, ["to"] = 10 * i + 9, ["loss"] = 1.0 / (i + 1), ["count"] = 7 })]);
            run.Append(line);
        }
        File.AppendAllText(folder.File("log.jsonl"), "{\"step\":601,\"lo"); // the line that is being written
        RunFolderTests.Save(run, 300);
        RunFolderTests.Save(run, 600);
        string text = File.ReadAllText(RunReport.Write(folder.Path));
        XElement page = Parse(folder.File("report.html"));

        Assert.Equal(["Loss", "Gradient norm", "Learning rate", "Seconds a step", "Loss by diffusion step"], page.Descendants("figure").Where(figure => (string?)figure.Attribute("class") == "chart").Select(figure => figure.Element("h3")!.Value));
        var figures = page.Descendants("dl").Single().Elements("div").ToDictionary(div => div.Element("dt")!.Value, div => div.Element("dd")!.Value);
        Assert.Equal(("600", "6", "250 ms", "2.5 min"), (figures["step"], figures["epoch"], figures["median step"], figures["all steps"]));
        Assert.Equal(("200.1", "0.1"), (figures["validation loss"], figures["lowest, at step 400"]));
        XElement loss = page.Descendants("svg").First();
        Assert.Equal(6, loss.Elements("circle").Count());
        Assert.Equal(["raw", "smooth"], loss.Elements("polyline").Select(line => (string?)line.Attribute("class")));
        Assert.Contains("every step logged 1 at step 1, 0.001667 at 600, lowest 0.001667, highest 1", (string?)loss.Attribute("aria-label"));
        string size = (new FileInfo(folder.File("step-600.safetensors")).Length / 1e6).ToString("F1", CultureInfo.InvariantCulture);
        Assert.Equal(["at step 200", "at step 600"], page.Descendants("figcaption").Last().Elements("span").Take(2).Select(span => span.Value));
        Assert.Equal([$"600 step-600.safetensors {size} MB resumes from here", $"300 step-300.safetensors {size} MB "],
            page.Descendants("table").First().Element("tbody")!.Elements("tr").Select(row => string.Join(' ', row.Elements("td").Select(cell => cell.Value))));
        var settings = page.Descendants("details").SelectMany(details => details.Descendants("tr")).ToDictionary(row => row.Element("th")!.Value, row => row.Element("td")!.Value);
        Assert.Equal(("48", "mse", "<script>alert(1)</script>", "2", "lmnt"), (settings["batch"], settings["loss"], settings["roots"], settings["weights[1].a"], settings["mel.name"]));
        Assert.Contains("(50 values)", settings["training_betas"]);

        // One file without scripts, and nothing that is fetched.
        Assert.Empty(page.Descendants("script"));
        Assert.DoesNotContain(page.Descendants(), element => element.Name.LocalName is "link" or "iframe" or "object" or "a");
        Assert.DoesNotMatch(new Regex(@"https?://|url\(|@import|\son\w+="), text);
        Assert.Equal(text, File.ReadAllText(RunReport.Write(folder.Path))); // the same folder, the same page
    }

    [Fact]
    public void Samples_stand_beside_their_reference()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config);
        float[] tone = [.. Enumerable.Range(0, 4000).Select(i => 0.5f * MathF.Sin(i * 0.2f))];
        void Put(Func<string, string> name)
        {
            WavFile.Write(name("wav"), tone, 22050);
            AtomicFile.Write(name("png"), stream => Png.WriteRgb(stream, 4, 4, new byte[48]));
        }
        for (int clip = 0; clip < 2; clip++)
        {
            Put(extension => run.ReferenceSample(clip, extension));
            for (long step = 1000; step <= 10_000; step += 1000) Put(extension => run.Sample(step, clip, extension));
        }
        foreach (string name in new[] { "notes.txt", "step-x-0.png", "step-99999999999999999999-0.png", "reference-0.wav.tmp-1-00000000" }) File.WriteAllText(folder.File("samples/" + name), "x");
        XElement page = Parse(RunReport.Write(folder.Path));
        var rows = page.Descendants("div").Where(div => (string?)div.Attribute("class") == "samples").ToList();
        Assert.Equal(2, rows.Count);
        Assert.Equal(["reference", "step 10,000", "step 9,000", "step 8,000", "step 7,000", "step 6,000", "step 5,000"], rows[0].Elements("figure").Select(figure => figure.Element("figcaption")!.Value));
        Assert.Equal([true, true, true, true, false, false, false], rows[1].Elements("figure").Select(figure => figure.Element("audio") is not null));
        byte[] Payload(XElement element, string prefix)
        {
            string source = (string)element.Attribute("src")!;
            Assert.StartsWith(prefix, source);
            return Convert.FromBase64String(source[prefix.Length..]);
        }
        XElement second = rows[1].Elements("figure").ElementAt(1);
        Assert.Equal(File.ReadAllBytes(run.Sample(10_000, 1, "wav")), Payload(second.Element("audio")!, "data:audio/wav;base64,"));
        Assert.Equal(File.ReadAllBytes(run.Sample(10_000, 1, "png")), Payload(second.Element("img")!, "data:image/png;base64,"));
        Assert.Equal("spectrogram of clip 1, step 10,000", (string?)second.Element("img")!.Attribute("alt"));
        Assert.Contains("22 more files in samples/", page.Value); // 44 in all: 14 pictures and 8 recordings are in the page
    }

    [Fact]
    public void A_long_run_gives_a_small_page()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, RunFolderTests.Config);
        for (int step = 1; step <= 20_000; step++) run.Append(new JsonObject { ["step"] = step, ["loss"] = step == 12_345 ? 50 : 0.1 + 0.05 * Math.Sin(step * 0.7), ["grad_norm"] = 1.0 + step % 7, ["step_seconds"] = 0.1 });
        byte[] large = new byte[1 << 20];
        new Random(1).NextBytes(large);
        for (int clip = 0; clip < 20; clip++)
            foreach (string extension in new[] { "wav", "png" }) File.WriteAllBytes(run.Sample(20_000, clip, extension), large);
        XElement page = Parse(RunReport.Write(folder.Path));
        Assert.InRange(new FileInfo(folder.File("report.html")).Length, 5_000_000, 6_000_000);
        Assert.All(page.Descendants("polyline"), line => Assert.InRange(((string)line.Attribute("points")!).Split(' ').Length, 2, 2000));
        Assert.Contains("highest 50", (string?)page.Descendants("svg").First().Attribute("aria-label"));
        Assert.Contains(page.Descendants("polyline").First().Attribute("points")!.Value.Split(' '), point => double.Parse(point.Split(',')[1], CultureInfo.InvariantCulture) < 30); // the spike is drawn
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2000)]
    [InlineData(2001)]
    [InlineData(123_457)]
    public void Decimation_keeps_ends_and_extremes_in_order(int count)
    {
        var random = new Random(count);
        List<CurvePoint> points = [.. Enumerable.Range(0, count).Select(i => new CurvePoint(i, random.NextDouble()))];
        IReadOnlyList<CurvePoint> kept = TrainingCurves.Decimate(points, 2000);
        if (count <= 2000) Assert.Equal(points, kept);
        else Assert.InRange(kept.Count, 1500, 2000);
        Assert.Equal(kept.Select(point => point.X).Distinct().Order(), kept.Select(point => point.X));
        if (count == 0) return;
        Assert.Equal((points[0], points[^1], points.MinBy(point => point.Y), points.MaxBy(point => point.Y)), (kept[0], kept[^1], kept.MinBy(point => point.Y), kept.MaxBy(point => point.Y)));
        Assert.All(kept, point => Assert.Equal(points[(int)point.X], point));
    }

    // Of a steady climb the exponential mean of weight 1/n lags by n - 1; of a constant it is that constant; it starts at the first value.
    [Fact]
    public void Smoothing_is_an_exponential_mean()
    {
        List<CurvePoint> Curve(Func<int, double> value) => [.. Enumerable.Range(0, 5000).Select(i => new CurvePoint(i, value(i)))];
        Assert.All(TrainingCurves.Smooth(Curve(_ => 0.3), out int span), point => Assert.Equal(0.3, point.Y, 1e-12));
        Assert.Equal(100, span);
        List<CurvePoint> climb = TrainingCurves.Smooth(Curve(i => i + 7), out _);
        Assert.Equal((7, 4999 + 7 - 99), (climb[0].Y, Math.Round(climb[^1].Y, 9)));
        Assert.All(climb.Take(500), point => Assert.InRange(point.Y, 0.9 * point.X, point.X + 7)); // close behind while it is short
        Assert.Equal(0.5, TrainingCurves.Smooth(Curve(i => i % 2), out _)[^1].Y, 0.01);
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.00012, "1.2e-4")]
    [InlineData(0.5, "0.5")]
    [InlineData(0.123456, "0.1235")]
    [InlineData(1234.4, "1234")]
    [InlineData(20_000, "20k")]
    [InlineData(999_900, "1M")]
    [InlineData(-1_500_000, "-1.5M")]
    public void Numbers_are_short(double value, string text) => Assert.Equal(text, SvgChart.Number(value));

    [Theory]
    [InlineData(0.5, 0.5, false, new[] { 0.3, 0.4, 0.5, 0.6, 0.7 })]
    [InlineData(0, 0, false, null)]
    [InlineData(-3, 17, false, new[] { 0.0, 5, 10, 15 })]
    [InlineData(0.02, 1, true, new[] { 0.02, 0.05, 0.1, 0.2, 0.5, 1 })]
    [InlineData(1e-9, 1e9, true, null)]
    [InlineData(1e300, 1.5e300, false, null)]
    public void Ticks_are_round_and_inside(double low, double high, bool logarithmic, double[]? expected)
    {
        string html = new SvgChart("t", "x", logarithmic, new ChartSeries("s", "raw", [new(1, low), new(2, high)])).Render();
        XElement svg = XElement.Parse(html).Element("svg")!;
        var labels = svg.Elements("text").Where(text => (string?)text.Attribute("class") == "left").ToList();
        Assert.InRange(labels.Count, 1, 9);
        Assert.All(labels, label => Assert.InRange(double.Parse((string)label.Attribute("y")!, CultureInfo.InvariantCulture), 10, 225));
        if (expected is not null) Assert.Equal(expected.Select(value => SvgChart.Number(value)), labels.Select(label => label.Value));
        Assert.DoesNotContain("NaN", html);
        Assert.DoesNotContain("∞", html);
    }

    [Fact]
    public void A_folder_without_a_run_has_no_report()
    {
        using var folder = new TemporaryFolder();
        Assert.StartsWith(folder.Path + ": is not the folder of a training run", Assert.Throws<IOException>(() => RunReport.Write(folder.Path)).Message);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    // The page is also sound XML once its void elements are closed: whatever is not escaped or not closed shows here.
    private static XElement Parse(string path)
    {
        string text = File.ReadAllText(path);
        Assert.StartsWith("<!doctype html>\n", text);
        return XElement.Parse(Regex.Replace(text["<!doctype html>\n".Length..].Replace("<audio controls ", "<audio "), @"<(meta|img)\b([^>]*)>", "<$1$2/>").Replace("<details open>", "<details>"));
    }
}
