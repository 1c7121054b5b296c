using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// Writes <c>report.html</c> of a run: its curves, samples, checkpoints and settings in one page that needs no other file, no network and no script. The same folder gives the same page;
/// it can be written while the run goes on.
/// </summary>
public static class RunReport
{
    private const int LongestList = 8;

    /// <summary>Writes the report; an earlier one is replaced once the new one is complete.</summary>
    /// <param name="runFolder">The folder of the run.</param>
    /// <returns>Path of the report.</returns>
    /// <exception cref="IOException">It is no run folder, or something in it cannot be read or written.</exception>
    /// <exception cref="ModelFormatException">Its <c>config.json</c> is damaged.</exception>
    public static string Write(string runFolder)
    {
        RunFolderConfig config = RunFolder.ReadConfig(runFolder);
        string path = Path.Combine(runFolder, RunFolder.ReportName);
        RunFolder.Guarded(path, "free space on the disk or mend the access to the folder, then write the report again", () =>
        {
            byte[] page = Encoding.UTF8.GetBytes(Page(runFolder, config));
            AtomicFile.Write(path, stream => stream.Write(page));
        });
        return path;
    }

    private static string Page(string folder, RunFolderConfig config)
    {
        var curves = TrainingCurves.Read(Path.Combine(folder, RunFolder.LogName));
        var samples = new RunSamples(Path.Combine(folder, RunFolder.SamplesName));
        string name = Text(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))));
        return $"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
            <title>{name} - training report</title>
            <style>
            {Style}
            </style>
            </head>
            <body>
            <header><h1>{name}</h1>
            <p>{Text(Summary(config.Model))}</p></header>
            <main>
            {Figures(curves)}
            <section aria-labelledby="curves"><h2 id="curves">Curves</h2>
            {Charts(curves)}</section>
            <section aria-labelledby="samples"><h2 id="samples">Samples</h2>
            {(samples.Any ? samples.Render() : "<p class=\"note\">No samples yet.</p>\n")}</section>
            <section aria-labelledby="checkpoints"><h2 id="checkpoints">Checkpoints</h2>
            {Checkpoints(folder)}</section>
            <section aria-labelledby="settings"><h2 id="settings">Settings</h2>
            <div class="settings">
            {Settings("training", config.Training.ToJson(), open: true)}
            {Settings("data", config.Data, open: true)}
            {Settings("model", config.Model.ToJson(), open: false)}
            </div></section>
            </main>
            </body>
            </html>

            """;
    }

    private static string Summary(ModelConfig model) => string.Create(CultureInfo.InvariantCulture,
        $"DiffWave training: {model.Channels} channels, {model.Layers} layers, {Parameters.CountOf(model):N0} parameters, ")
        + $"{(model.HasMel ? $"mel of {model.Bands} bands" : "no mel")}{(model.HasLabel ? $", {model.Labels} labels" : "")}, {model.SampleRate} Hz, T = {model.TrainingBetas.Count}";

    // The numbers one looks for first.
    private static string Figures(TrainingCurves curves)
    {
        if (curves.LastStep is not { } step) return "<p class=\"note\">No step is logged yet.</p>";
        var figures = new List<(string Label, string Value)> { ("step", step.ToString("N0", CultureInfo.InvariantCulture)) };
        if (curves.Epoch is { } epoch) figures.Add(("epoch", SvgChart.Number(epoch)));
        if (curves.Loss.Count > 0) figures.Add(("loss, smoothed", SvgChart.Number(TrainingCurves.Smooth(curves.Loss, out _)[^1].Y)));
        if (curves.Validation.Count > 0)
        {
            CurvePoint best = curves.Validation.MinBy(point => point.Y);
            figures.Add(("validation loss", SvgChart.Number(curves.Validation[^1].Y)));
            figures.Add(($"lowest, at step {SvgChart.Number(best.X)}", SvgChart.Number(best.Y)));
        }
        if (curves.StepSeconds.Count > 0)
        {
            figures.Add(("median step", Seconds(curves.StepSeconds.Select(point => point.Y).Order().ElementAt(curves.StepSeconds.Count / 2))));
            figures.Add(("all steps", Seconds(curves.StepSeconds.Sum(point => point.Y))));
        }
        return $"<dl class=\"figures\">{string.Concat(figures.Select(figure => $"<div><dt>{Text(figure.Label)}</dt><dd>{Text(figure.Value)}</dd></div>"))}</dl>";
    }

    private static string Seconds(double seconds) => seconds switch
    {
        < 1 => $"{SvgChart.Number(1000 * seconds)} ms",
        < 120 => $"{SvgChart.Number(seconds)} s",
        < 7200 => $"{SvgChart.Number(Math.Round(seconds / 60, 1))} min",
        _ => $"{SvgChart.Number(Math.Round(seconds / 3600, 1))} h",
    };

    private static string Charts(TrainingCurves curves)
    {
        var charts = new StringBuilder();
        void Add(string title, bool mayBeLogarithmic, List<CurvePoint> points, List<CurvePoint>? validation = null)
        {
            if (points.Count == 0 && validation is not { Count: > 0 }) return;
            var series = new List<ChartSeries> { new("every step logged", "raw", points) };
            List<CurvePoint> smooth = TrainingCurves.Smooth(points, out int span);
            if (span > 1) series.Add(new ChartSeries($"smoothed over {span} lines", "smooth", smooth));
            if (validation is { Count: > 0 }) series.Add(new ChartSeries("validation", "other", validation, Dots: true));
            charts.Append(new SvgChart(title, "step", mayBeLogarithmic, series).Render());
        }
        Add("Loss", true, curves.Loss, curves.Validation);
        Add("Gradient norm", true, curves.GradientNorm);
        if (curves.LearningRate.Count > 0) charts.Append(new SvgChart("Learning rate", "step", false, new ChartSeries("learning rate", "smooth", curves.LearningRate)).Render());
        Add("Seconds a step", true, curves.StepSeconds);
        if (curves.LastByDiffusionStep is { } last && curves.FirstByDiffusionStep is { } first)
        {
            var series = new List<ChartSeries> { new($"at step {SvgChart.Number(last.Step)}", "smooth", last.Points) };
            if (first.Step != last.Step) series.Insert(0, new ChartSeries($"at step {SvgChart.Number(first.Step)}", "other", first.Points));
            charts.Append(new SvgChart("Loss by diffusion step", "diffusion step", true, series).Render());
        }
        return charts.Length > 0 ? $"<div class=\"charts\">\n{charts}</div>\n" : "<p class=\"note\">Nothing to draw yet.</p>\n";
    }

    private static string Checkpoints(string folder)
    {
        var files = RunFolderCheckpoints.List(folder);
        if (files.Count == 0) return "<p class=\"note\">No checkpoint yet.</p>\n";
        long? latest = RunFolderCheckpoints.LatestStep(folder);
        var rows = files.Select(file => string.Create(CultureInfo.InvariantCulture,
            $"<tr><td class=\"number\">{file.Step:N0}</td><td><code>{Path.GetFileName(file.Path)}</code></td><td class=\"number\">{new FileInfo(file.Path).Length / 1e6:N1} MB</td>")
            + $"<td>{(file.Step == latest ? "resumes from here" : "")}</td></tr>\n");
        return "<table>\n<thead><tr><th scope=\"col\" class=\"number\">step</th><th scope=\"col\">file</th><th scope=\"col\" class=\"number\">size</th><td></td></tr></thead>\n"
            + $"<tbody>\n{string.Concat(rows)}</tbody></table>\n";
    }

    private static string Settings(string title, string json, bool open)
    {
        var rows = Rows("", JsonNode.Parse(json)).Select(row => $"<tr><th scope=\"row\">{Text(row.Key)}</th><td>{Text(row.Value)}</td></tr>\n");
        return $"<details{(open ? " open" : "")}><summary>{title}</summary>\n<table><tbody>\n{string.Concat(rows)}</tbody></table></details>";
    }

    // Every setting on a line of its own, named by its path; long lists by their ends.
    private static IEnumerable<(string Key, string Value)> Rows(string path, JsonNode? node)
    {
        switch (node)
        {
            case JsonObject inner:
                foreach (var (key, value) in inner)
                    foreach (var row in Rows(path.Length == 0 ? key : $"{path}.{key}", value)) yield return row;
                break;
            case JsonArray list when list.All(item => item is null or JsonValue):
                string[] values = [.. list.Select(item => item?.ToString() ?? "none")];
                yield return (path, values.Length <= LongestList ? string.Join(", ", values) : $"{values[0]}, {values[1]}, ... {values[^1]} ({values.Length} values)");
                break;
            case JsonArray list:
                for (int i = 0; i < list.Count; i++)
                    foreach (var row in Rows($"{path}[{i}]", list[i])) yield return row;
                break;
            default:
                yield return (path, node?.ToString() ?? "none");
                break;
        }
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private const string Style = """
        :root { --ink: #1d2429; --soft: #5b666e; --line: #d9dfe3; --page: #f6f8f9; --card: #ffffff; --main: #0b6bb5; --other: #b4530a; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6eaed; --soft: #9aa6ae; --line: #333d44; --page: #14191d; --card: #1c2328; --main: #5cb3f5; --other: #f0a35e; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; padding: 1.5rem; max-width: 80rem;
               background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
        h1 { margin: 0; font-size: 1.6rem; overflow-wrap: anywhere; } h2 { margin: 2rem 0 .75rem; font-size: 1.2rem; } h3 { margin: 0 0 .4rem; font-size: 1rem; }
        header p, .note, dt, figcaption { color: var(--soft); margin: 0; }
        .figures { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 0; } .figures div { padding: .6rem 1rem; }
        dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; } dt { font-size: .85rem; }
        .figures div, .chart, .samples figure, table { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1rem; }
        figure { margin: 0; padding: .9rem; min-width: 0; }
        svg { display: block; width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; text-anchor: middle; } svg text.left { text-anchor: end; }
        .grid { stroke: var(--line); stroke-width: 1; } .axis { fill: none; stroke: var(--soft); stroke-width: 1; }
        polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
        polyline.raw { stroke: var(--main); stroke-width: 1; opacity: .4; } polyline.smooth { stroke: var(--main); } polyline.other { stroke: var(--other); }
        circle.raw, circle.smooth { fill: var(--main); } circle.other { fill: var(--other); }
        figcaption { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; }
        .key::before { content: ""; display: inline-block; width: 1.2em; margin-right: .4em; vertical-align: middle; border-top: 3px solid var(--main); }
        .key.raw::before { opacity: .4; border-top-width: 2px; } .key.other::before { border-color: var(--other); } .key.dots::before { width: 0; border: 4px solid var(--other); border-radius: 4px; }
        .samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 1rem; margin-bottom: 1.5rem; }
        .samples img { display: block; width: 100%; height: auto; margin-top: .4rem; } audio { width: 100%; margin-top: .5rem; }
        table { border-collapse: separate; border-spacing: 0; font-size: .9rem; }
        th, td { padding: .3rem .9rem; text-align: left; font-weight: normal; vertical-align: top; overflow-wrap: anywhere; }
        tr + tr > *, thead + tbody > tr:first-child > * { border-top: 1px solid var(--line); }
        th { color: var(--soft); } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
        .settings { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; } summary { cursor: pointer; margin-bottom: .4rem; font-weight: 600; }
        @media print { body { max-width: none; } audio { display: none; } }
        """;
}
