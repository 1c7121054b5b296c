using System.CommandLine;
using System.Text.Json;

namespace DiffWave.Bench;

/// <summary><c>compare</c>, <c>report</c> and <c>readme</c>: what is done with stored results.</summary>
internal static class ResultVerbs
{
    public static Command Compare()
    {
        Argument<string> before = new("A.json") { Description = "the accepted result" }, after = new("B.json") { Description = "the new one" };
        var threshold = new Option<double>("--threshold") { Description = "part up to which a difference does not matter", DefaultValueFactory = _ => Comparison.UsualThreshold };
        var json = new Option<string?>("--json") { Description = "store the verdicts in this file", HelpName = "FILE" };
        var compare = new Command("compare", "two results of the same benchmark, case by case: SAME, FAST, SLOW or AMBIGUOUS; exit code 1 when a case is SLOW") { before, after, threshold, json };
        compare.SetAction(parsed => Failures.Guard(() =>
        {
            Result a = Result.Read(parsed.GetValue(before)!), b = Result.Read(parsed.GetValue(after)!);
            if (a.Benchmark != b.Benchmark) throw new InvalidDataException($"{parsed.GetValue(after)} is of '{b.Benchmark}', {parsed.GetValue(before)} of '{a.Benchmark}': expected the same benchmark");
            IReadOnlyList<ComparedCase> cases = Comparison.Of(a, b, parsed.GetValue(threshold));
            if (cases.Count == 0) throw new InvalidDataException($"{parsed.GetValue(before)} and {parsed.GetValue(after)} have no timed case in common");
            Console.Write(Comparison.Text(a, b, cases, parsed.GetValue(threshold)));
            if (parsed.GetValue(json) is { } path)
                TextFile.Write(path, JsonSerializer.Serialize(cases.Select(one => new { @case = one.Case, ratio = one.Ratio, low = one.Low, high = one.High, verdict = one.Verdict.ToString().ToUpperInvariant() }), new JsonSerializerOptions { WriteIndented = true }) + "\n");
            return cases.Any(one => one.Verdict == Verdict.Slow) ? 1 : 0;
        }));
        return compare;
    }

    public static Command Report()
    {
        var files = new Argument<string[]>("FILE.json") { Arity = ArgumentArity.OneOrMore, Description = "stored results" };
        var output = new Option<string>("--output", "-o") { Description = "the page", DefaultValueFactory = _ => "report.html", HelpName = "FILE" };
        var pictures = new Option<string?>("--svg") { Description = "also write the charts here, each as a file of its own: roofline.svg, speed.svg, scaling.svg; of several results with the same chart the first", HelpName = "FOLDER" };
        var report = new Command("report", "a page of stored results: tables, roofline, speed against real time, scaling") { files, output, pictures };
        report.SetAction(parsed => Failures.Guard(() =>
        {
            string[] paths = parsed.GetValue(files)!;
            Result[] results = [.. paths.Select(Result.Read)];
            TextFile.Write(parsed.GetValue(output)!, HtmlReport.Page(results));
            if (parsed.GetValue(pictures) is { } folder)
                foreach ((string name, string svg) in results.SelectMany(HtmlReport.Charts).DistinctBy(chart => chart.Name)) TextFile.Write(Path.Combine(folder, name + ".svg"), svg);
            Console.WriteLine($"{parsed.GetValue(output)}: {paths.Length} results");
            return 0;
        }));
        return report;
    }

    public static Command Readme()
    {
        var files = new Argument<string[]>("FILE.md") { Arity = ArgumentArity.ZeroOrMore, Description = "files with marked tables", DefaultValueFactory = _ => [.. ReadmeTables.Files] };
        var check = new Option<bool>("--check") { Description = "change nothing; exit code 1 when a table is stale" };
        var results = new Option<string>("--results") { Description = "folder of the results", DefaultValueFactory = _ => Path.Combine("bench", "results"), HelpName = "FOLDER" };
        var readme = new Command("readme", "writes the tables and figures of Markdown files anew from the results they name") { files, results, check };
        readme.SetAction(parsed => Failures.Guard(() =>
        {
            bool isStale = false;
            foreach (string path in parsed.GetValue(files)!)
            {
                string text = File.ReadAllText(path), fresh = ReadmeTables.Filled(text, parsed.GetValue(results)!);
                bool same = text == fresh;
                Console.WriteLine($"{path}: {(same ? "as its results say" : parsed.GetValue(check) ? "stale: run readme" : "written")}");
                isStale |= !same;
                if (!same && !parsed.GetValue(check)) TextFile.Write(path, fresh);
            }
            return isStale && parsed.GetValue(check) ? 1 : 0;
        }));
        return readme;
    }
}
