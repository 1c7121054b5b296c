using System.Globalization;
using System.Net;

namespace DiffWave.Bench;

/// <summary>Results as one page that needs no other file, no network and no script: what was measured where, tables, charts.</summary>
internal static class HtmlReport
{
    private const string Style = """
        body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}h2{margin-top:2.5rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
        th,td{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}th.text,td.text{text-align:left}svg{max-width:100%;height:auto}.about{color:#666;font-size:.9em}dl{display:grid;grid-template-columns:max-content auto;gap:.1rem 1rem}dd{margin:0}
        @media (prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}.about{color:#aaa}}
        """;

    /// <summary>Every chart a result has: its roofline, its speed against real time, how it scales.</summary>
    public static IEnumerable<(string Name, string Svg)> Charts(Result result) =>
        new[] { ("roofline", RooflineChart.Of(result)), ("speed", SpeedChart.Of(result)), ("scaling", ScalingChart.Of(result)) }.Where(chart => chart.Item2 is not null).Select(chart => (chart.Item1, chart.Item2!));

    /// <summary>The page.</summary>
    public static string Page(IReadOnlyList<Result> results) => $"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <title>DiffWaveKernels benchmarks</title>
        <style>{Style}</style>
        </head>
        <body>
        <h1>DiffWaveKernels benchmarks</h1>
        {string.Concat(results.Select(Section))}</body>
        </html>

        """;

    private static string Section(Result result)
    {
        IReadOnlyList<Column> columns = [.. Layouts.Of(result.Benchmark).Where(column => result.Rows.Any(row => column.Cell(row).Length > 0))];
        string Cells(string tag, Func<Column, string> text) => string.Concat(columns.Select(column => $"<{tag}{(column.IsText ? " class=\"text\"" : "")}>{Text(text(column))}</{tag}>"));
        return $"""
            <section><h2>{Text(result.Benchmark)}</h2>
            <p>{Text(result.Title)}</p>
            {string.Concat(Charts(result).Select(chart => $"<p>{chart.Svg}</p>\n"))}<table><thead><tr>{Cells("th", column => column.Head)}</tr></thead><tbody>
            {string.Concat(result.Rows.Select(row => $"<tr>{Cells("td", column => column.Cell(row))}</tr>\n"))}</tbody></table>
            {string.Concat(result.Notes.Select(note => $"<p class=\"about\">{Text(note)}</p>\n"))}<details class="about"><summary>machine and settings</summary><dl>{List(result.Machine)}{List(result.Settings)}</dl></details>
            </section>

            """;
    }

    private static string List(IReadOnlyDictionary<string, object?> values) =>
        string.Concat(values.Where(value => value.Value is not null).Select(value => $"<dt>{Text(value.Key)}</dt><dd>{Text(value.Value is IFormattable number ? number.ToString(null, CultureInfo.InvariantCulture) : value.Value!.ToString()!)}</dd>"));

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
