using System.Globalization;

namespace DiffWave.Bench;

/// <summary>A column of a table.</summary>
/// <param name="Key">What of a row it shows, see <see cref="Row.Value"/>.</param>
/// <param name="Head">What stands above it, with the unit.</param>
/// <param name="Format">Format of a number; <c>!</c> before it puts lowest and highest measurement behind a median.</param>
/// <param name="Scale">From the SI unit to that of the head.</param>
internal sealed record Column(string Key, string Head, string Format = "", double Scale = 1)
{
    /// <summary>Texts start at the left, numbers end at the right.</summary>
    public bool IsText => Format.Length == 0;

    /// <summary>What stands in a row; empty for what it does not have.</summary>
    public string Cell(Row row)
    {
        if (Format.StartsWith('!')) return row.Seconds is { } seconds ? $"{Text(seconds.Median, Format[1..])} [{Text(seconds.Low, Format[1..])} .. {Text(seconds.High, Format[1..])}]" : "";
        return row.Value(Key) switch
        {
            null => "",
            bool value => value ? "yes" : "no",
            string value => value,
            IFormattable value when IsText => value.ToString(null, CultureInfo.InvariantCulture),
            IConvertible value => Text(value.ToDouble(CultureInfo.InvariantCulture), Format),
            var value => value.ToString() ?? "",
        };
    }

    private string Text(double value, string format) => (value * Scale).ToString(format, CultureInfo.InvariantCulture);
}

/// <summary>What the table of a benchmark shows.</summary>
internal static class Layouts
{
    private static readonly Column
        Case = new("case", "case"),
        Rounds = new("rounds", "rounds", "f0"),
        Spread = new("spread", "+-", "p1"),
        Seconds = new("median_seconds", "seconds [low .. high]", "!f3"),
        Microseconds = new("median_seconds", "us [low .. high]", "!f1", 1e6),
        Gflops = new("gflops", "GFLOP/s", "f0"),
        Memory = new("peak_memory_bytes", "memory MiB", "f0", 1 / 1048576.0);

    /// <summary>The columns of a benchmark; those every row has for one without a layout of its own.</summary>
    public static IReadOnlyList<Column> Of(string benchmark) => Known.GetValueOrDefault(benchmark) ?? Known["run"];

    private static readonly Dictionary<string, Column[]> Known = new()
    {
        ["run"] = [Case, Rounds, Seconds, Spread, new("times_real_time", "x real time", "f2"), Gflops],
        ["synthesis"] =
        [
            Case, Rounds, Seconds, Spread, new("p95_seconds", "p95 s", "f3"), new("first_audio_seconds", "first audio s", "f3"), new("times_real_time", "x real time", "f2"), Gflops, new("share_of_peak", "of FMA peak", "p0"), Memory,
        ],
        ["training"] = [Case, Rounds, Seconds, Spread, new("samples_per_second", "samples/s", "f0"), Gflops, new("mfu", "MFU", "p0"), new("executed_mfu", "executed", "p0"), Memory],
        ["roofline"] =
        [
            Case, Rounds, Microseconds, Spread, new("gflops", "GFLOP/s", "f1"), new("executed_gflops", "executed", "f1"), new("gigabytes_per_second", "GB/s", "f1"), new("intensity", "FLOP/B", "f2"), new("bound", "bound"),
            new("share_of_peak", "of FMA peak", "p0"), new("share_of_roof", "of its roof", "p0"),
        ],
        ["peers"] =
        [
            Case, Rounds, Seconds, new("peer_seconds", "PyTorch s", "f3"), new("ratio_median", "PyTorch / ours", "f2"), new("ratio_low", "lowest", "f2"), new("ratio_high", "highest", "f2"),
            new("ours_memory_bytes", "MiB", "f0", 1 / 1048576.0), new("peer_memory_bytes", "PyTorch MiB", "f0", 1 / 1048576.0), new("torch", "PyTorch"),
        ],
        ["compiler"] = [Case, Rounds, new("ptx_lines", "PTX lines", "f0"), new("first_seconds", "first ms", "f1", 1e3), new("median_seconds", "ms [low .. high]", "!f1", 1e3)],
        ["emulator"] = [Case, new("threads", "threads", "f0"), new("thread_instructions", "instructions", "f0"), Seconds, new("instructions_per_second", "million a second", "f0", 1e-6)],
    };
}
