using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What is in a data set: lines for people, an object for programs.</summary>
internal static class DatasetReport
{
    private const double LargeOffset = 0.01;
    private const int NamesShown = 10; // of a finding; JSON has all

    public static void Write(TextWriter output, DatasetScan scan, bool json)
    {
        if (json) output.WriteLine(JsonText.Of(ToJson(scan)));
        else WriteText(output, scan);
    }

    private static void WriteText(TextWriter output, DatasetScan scan)
    {
        void Line(string label, FormattableString text) => output.WriteLine($"{label,-12}  {text.ToString(CultureInfo.InvariantCulture)}");
        void Findings(string label, IReadOnlyCollection<string> found, string remark = "")
        {
            Line(label, $"{found.Count}{(found.Count > 0 ? remark : "")}");
            foreach (string one in found.Take(NamesShown)) Line("", $"  {one}");
            if (found.Count > NamesShown) Line("", $"  and {found.Count - NamesShown} more (--json lists all)");
        }

        ModelConfig config = scan.Config;
        double[] seconds = Seconds(scan);
        Line("data", $"{string.Join(", ", scan.Options.Roots)}");
        Line("prepared for", $"{config.SampleRate} Hz, {ConfigText.Conditioning(config)}, crops of {scan.CropSamples} samples ({(double)scan.CropSamples / config.SampleRate:F2} s)");
        Line("clips", $"{scan.Clips.Count} usable, {seconds.Sum() / 3600:F2} hours{(scan.Options.TrimSilence ? $" ({Untrimmed(scan) / 3600:F2} before trimming)" : "")}");
        if (seconds.Length > 0) Line("lengths", $"shortest {seconds[0]:F2} s, median {Median(seconds):F2} s, longest {seconds[^1]:F2} s");
        Line("rates", $"{Histogram(scan, info => info.SampleRate, " Hz")}");
        Line("channels", $"{Histogram(scan, info => info.Channels, "")}");
        Findings("unreadable", [.. scan.Unreadable.Select(file => $"{file.File.Name}: {file.Problem}")]);
        Findings("clipped", [.. Clipped(scan).Select(info => $"{info.File.Name}: {info.ClippedSamples} samples")]);
        Findings("silent", [.. Silent(scan).Select(info => info.File.Name)]);
        Findings("DC offset", [.. Offset(scan).Select(info => Invariant($"{info.File.Name}: {info.DcOffset:F3}"))]);
        Findings("short", [.. scan.Short.Select(clip => Invariant($"{clip.Info.File.Name}: {SecondsOf(clip):F2} s"))], scan.Options.ShortClips == ShortClips.Skip ? ", skipped" : ", padded");
        if (scan.Options.Metadata is { } list)
        {
            Findings("not listed", [.. scan.Unlisted.Select(file => file.Name)], $" files are not in {list}");
            Findings("not there", [.. scan.Missing.Select(row => $"line {row.Line}: {row.File}")], $" clips of {list}");
        }
        if (scan.Labels.Count > 0)
            Findings("labels", [.. scan.Labels.Select(label => $"{label.Label}: {label.Name}, {label.Clips} clips")], config.HasLabel ? $", the model has {config.Labels}" : ", not used by this model");
        Findings("held out", scan.Clips.Where(clip => clip.HeldOut).Select(clip => clip.Info.File.Name).ToArray());
        Line("memory", $"{scan.CacheBytes / 1048576.0:F1} MiB for all clips{(config.HasMel ? " and their mels" : "")}");
        Line("fingerprint", $"{scan.Fingerprint}");
    }

    private static JsonObject ToJson(DatasetScan scan)
    {
        double[] seconds = Seconds(scan);
        return new JsonObject
        {
            ["roots"] = Array(scan.Options.Roots, root => root),
            ["metadata"] = scan.Options.Metadata,
            ["sample_rate"] = scan.Config.SampleRate,
            ["hop"] = scan.Config.Hop,
            ["crop_samples"] = scan.CropSamples,
            ["clips"] = scan.Clips.Count,
            ["training_clips"] = scan.Clips.Count(clip => !clip.HeldOut),
            ["seconds"] = seconds.Sum(),
            ["hours"] = seconds.Sum() / 3600,
            ["untrimmed_seconds"] = Untrimmed(scan),
            ["shortest_seconds"] = seconds.Length > 0 ? seconds[0] : null,
            ["median_seconds"] = seconds.Length > 0 ? Median(seconds) : null,
            ["longest_seconds"] = seconds.Length > 0 ? seconds[^1] : null,
            ["sample_rates"] = Array(Counts(scan, info => info.SampleRate), pair => new JsonObject { ["sample_rate"] = pair.Key, ["clips"] = pair.Value }),
            ["channels"] = Array(Counts(scan, info => info.Channels), pair => new JsonObject { ["channels"] = pair.Key, ["clips"] = pair.Value }),
            ["unreadable"] = Array(scan.Unreadable, file => new JsonObject { ["file"] = file.File.Name, ["problem"] = file.Problem }),
            ["clipped"] = Array(Clipped(scan), info => new JsonObject { ["file"] = info.File.Name, ["samples"] = info.ClippedSamples }),
            ["silent"] = Array(Silent(scan), info => info.File.Name),
            ["dc_offset"] = Array(Offset(scan), info => new JsonObject { ["file"] = info.File.Name, ["mean"] = info.DcOffset }),
            ["short_are"] = scan.Options.ShortClips == ShortClips.Skip ? "skipped" : "padded",
            ["short"] = Array(scan.Short, clip => new JsonObject { ["file"] = clip.Info.File.Name, ["seconds"] = SecondsOf(clip) }),
            ["not_listed"] = Array(scan.Unlisted, file => file.Name),
            ["not_there"] = Array(scan.Missing, row => new JsonObject { ["line"] = row.Line, ["file"] = row.File }),
            ["labels"] = Array(scan.Labels, label => new JsonObject { ["label"] = label.Label, ["name"] = label.Name, ["clips"] = label.Clips }),
            ["held_out"] = Array(scan.Clips.Where(clip => clip.HeldOut), clip => clip.Info.File.Name),
            ["memory_bytes"] = scan.CacheBytes,
            ["fingerprint"] = scan.Fingerprint,
            ["obstacle"] = scan.Obstacle?.Message,
        };
    }

    private static IEnumerable<ClipInfo> Clipped(DatasetScan scan) => scan.Clips.Select(clip => clip.Info).Where(info => info.ClippedSamples > 0);

    private static IEnumerable<ClipInfo> Silent(DatasetScan scan) => scan.Clips.Select(clip => clip.Info).Where(info => info.Silent);

    private static IEnumerable<ClipInfo> Offset(DatasetScan scan) => scan.Clips.Select(clip => clip.Info).Where(info => Math.Abs(info.DcOffset) > LargeOffset);

    // Seconds that are used, in order of size.
    private static double[] Seconds(DatasetScan scan) => [.. scan.Clips.Select(SecondsOf).Order()];

    private static double SecondsOf(Clip clip) => (double)clip.Count / clip.Info.SampleRate;

    private static double Untrimmed(DatasetScan scan) => scan.Clips.Sum(clip => clip.Info.Seconds);

    private static double Median(double[] sorted) => (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;

    private static IEnumerable<KeyValuePair<int, int>> Counts(DatasetScan scan, Func<ClipInfo, int> what) => scan.Clips.CountBy(clip => what(clip.Info)).OrderBy(pair => pair.Key);

    private static string Histogram(DatasetScan scan, Func<ClipInfo, int> what, string unit) => string.Join(", ", Counts(scan, what).Select(pair => $"{pair.Key}{unit}: {pair.Value}"));

    private static JsonArray Array<T>(IEnumerable<T> items, Func<T, JsonNode?> node) => new([.. items.Select(node)]);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
