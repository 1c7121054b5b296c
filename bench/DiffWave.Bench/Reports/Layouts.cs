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
        Case = Named("case"),
        Rounds = new("rounds", "rounds", "f0"),
        Spread = new("spread", "+-", "p1"),
        Seconds = new("median_seconds", "seconds [low .. high]", "!f3"),
        Microseconds = new("median_seconds", "us [low .. high]", "!f1", 1e6),
        Gflops = new("gflops", "GFLOP/s", "f0"),
        Memory = new("peak_memory_bytes", "memory MiB", "f0", 1 / 1048576.0);

    // What only kernels of a GPU have.
    private static readonly Column[] OfKernels =
    [
        new("hot_seconds", "hot us", "f1", 1e6), new("registers", "registers", "f0"), new("local_bytes", "local", "f0"), new("shared_bytes", "shared", "f0"), new("blocks_per_multiprocessor", "blocks/SM", "f0"), new("occupancy", "occupancy", "p0"),
    ];

    /// <summary>The columns of a benchmark; those every row has for one without a layout of its own.</summary>
    public static IReadOnlyList<Column> Of(string benchmark) => Known.GetValueOrDefault(benchmark) ?? Known["run"];

    private static Column Named(string head) => new("case", head);

    private static Column Part(string part) => new($"part_{part}", part switch { "l2" => "L2", "dram" => "DRAM", _ => part }, "p0");

    private static readonly Dictionary<string, Column[]> Known = new()
    {
        ["run"] = [Case, Rounds, new("median_seconds", "ms [low .. high]", "!f3", 1e3), Spread, new("times_real_time", "x real time", "f2"), Gflops],
        ["synthesis"] =
        [
            Case, Rounds, Seconds, Spread, new("p95_seconds", "p95 s", "f3"), new("first_audio_seconds", "first audio s", "f3"), new("times_real_time", "x real time", "f2"), Gflops, new("share_of_peak", "of FMA peak", "p0"), Memory,
        ],
        ["training"] = [Case, Rounds, Seconds, Spread, new("samples_per_second", "samples/s", "f0"), Gflops, new("mfu", "MFU", "p0"), new("executed_mfu", "executed", "p0"), Memory],
        ["roofline"] =
        [
            Case, Rounds, Microseconds, Spread, new("gflops", "GFLOP/s", "f1"), new("executed_gflops", "executed", "f1"), new("gigabytes_per_second", "GB/s", "f1"), new("intensity", "FLOP/B", "f2"), new("bound", "bound"),
            new("effective_share_of_peak", "effective", "p0"), new("share_of_peak", "of FMA peak", "p0"), new("share_of_roof", "of its roof", "p0"), new("share_of_data_sheet", "of data sheet", "p0"), .. OfKernels,
        ],
        ["micro"] = [Case, Rounds, new("median_seconds", "us [low .. high]", "!f3", 1e6), Spread, new("elements_per_second", "million/s", "f1", 1e-6), new("gflops", "GFLOP/s", "f1"), new("allocated_bytes", "allocated B", "f0")],
        ["scaling"] = [Case, Rounds, Seconds, Spread, new("seconds_per_sample", "ns a sample", "f1", 1e9), new("relative", "relative", "f2"), new("processor_relative", "processor", "f2"), new("ideal_relative", "ideal", "f2"), Gflops],
        ["costs"] =
        [
            Named("kernel"), new("launches", "launches", "f0"), new("blocks", "blocks", "f0"), new("fill", "fill", "p0"), new("each_seconds", "us each", "f1", 1e6), new("predicted_seconds", "us", "f0", 1e6), new("share", "share", "p1"),
            new("bound", "bound"), Part("tensor"), Part("fma"), Part("integer"), Part("special"), Part("issue"), Part("shared"), Part("l2"), Part("dram"), Part("launch"), new("dram_bytes", "DRAM MB", "f1", 1e-6),
            new("measured_seconds", "measured us", "f0", 1e6), new("of_prediction", "/ predicted", "f2"),
        ],
        ["tile"] = [Named("counted"), new("tile", "a tile", "f0"), new("clocks", "clocks", "f0"), new("share", "of the slowest", "p0"), new("once", "once a launch", "f0"), new("once_clocks", "clocks", "f0")],
        ["ladder"] =
        [
            Named("kernel"), new("channels", "channels"), new("clocks", "clocks", "f0"), new("bound", "bound"), new("limit", "limit"), new("share_of_limit", "of the limit", "p0"), new("predicted_seconds", "us", "f1", 1e6),
            new("predicted_seconds_from_l1", "us if L1 served all", "f1", 1e6), new("idea", "idea"),
        ],
        ["precision"] =
        [
            Case, new("eps_error_smallest_step", "eps error, smallest step", "0.0e+00"), new("eps_error_largest_step", "largest step", "0.0e+00"), new("eps_relative_rms_error", "all steps", "0.0e+00"), new("eps_max_error", "max", "0.0e+00"),
            new("audio_max_error", "audio max error", "0.0e+00"), new("audio_snr_db", "SNR dB", "f1"),
        ],
        ["training-precision"] =
        [
            Case, new("loss", "loss", "f6"), new("loss_beside_fp32", "beside fp32", "+0.0e+00;-0.0e+00;0"), new("largest_step_difference", "largest of a step", "0.0e+00"), new("last_loss_scale", "loss scale", "f0"), new("seconds_per_step", "s a step", "f2"), new("device", "device"),
        ],
        ["kernel"] =
        [
            Case, Rounds, Microseconds, Spread, new("gflops", "GFLOP/s", "f1"), new("gigabytes_per_second", "GB/s", "f1"), new("intensity", "FLOP/B", "f2"), new("bound", "bound"), new("share_of_roof", "of its roof", "p0"), .. OfKernels,
        ],
        ["launches"] = [Case, new("launches", "launches", "f0"), Microseconds, Spread, new("total_seconds", "us in all", "f0", 1e6), new("share", "share", "p1"), new("gflops", "GFLOP/s", "f0"), new("executed_gflops", "executed", "f0"), new("gigabytes_per_second", "GB/s", "f0"), new("intensity", "FLOP/B", "f1"), new("bound", "bound"), new("share_of_roof", "of its roof", "p0")],
        ["peers"] =
        [
            Case, Rounds, Seconds, new("peer_seconds", "PyTorch s", "f3"), new("ratio_median", "PyTorch / ours", "f2"), new("ratio_low", "lowest", "f2"), new("ratio_high", "highest", "f2"),
            new("ours_memory_bytes", "MiB", "f0", 1 / 1048576.0), new("peer_memory_bytes", "PyTorch MiB", "f0", 1 / 1048576.0), new("other_processors", "others busy", "f1"),
            new("torch", "PyTorch"),
        ],
        ["compiler"] = [Case, Rounds, new("ptx_lines", "PTX lines", "f0"), new("first_seconds", "first ms", "f1", 1e3), new("median_seconds", "ms [low .. high]", "!f1", 1e3)],
        ["emulator"] = [Case, new("threads", "threads", "f0"), new("thread_instructions", "instructions", "f0"), new("median_seconds", "ms [low .. high]", "!f2", 1e3), new("instructions_per_second", "million a second", "f0", 1e-6)],
    };
}
