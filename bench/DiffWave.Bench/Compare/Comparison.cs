using System.Globalization;

namespace DiffWave.Bench;

/// <summary>What a comparison says of a case; it never has to decide.</summary>
internal enum Verdict
{
    /// <summary>No difference that matters.</summary>
    Same,
    /// <summary>Surely faster.</summary>
    Fast,
    /// <summary>Surely slower.</summary>
    Slow,
    /// <summary>The noise allows more than one answer.</summary>
    Ambiguous,
}

/// <summary>
/// A case in two results. The ratio of the medians lies with about 95 % confidence between <paramref name="Low"/> and <paramref name="High"/>: from each median's interval (<see cref="Sample.MedianInterval"/>), whose distances on a
/// logarithmic scale add like those of independent errors (Zou and Donner, Statistics in Medicine 27, 2008: 1693). Where both results hold the CPU's pace before every round, times are first turned into work at that pace (<see cref="NetworkPace"/>), so that a machine that was slower as a whole is no slower program; where that is too
/// noisy to tell, and the times themselves say SAME, it is SAME.
/// </summary>
/// <param name="Case">Its name.</param>
/// <param name="Ratio">New time over old.</param>
/// <param name="Low">Least ratio.</param>
/// <param name="High">Largest ratio.</param>
/// <param name="Verdict">What that means.</param>
internal sealed record ComparedCase(string Case, double Ratio, double Low, double High, Verdict Verdict);

/// <summary>Two results of the same benchmark, case by case.</summary>
internal static class Comparison
{
    /// <summary>Differences up to this part are none that matter: what a machine does by itself.</summary>
    public const double UsualThreshold = 0.05;

    private const double Noticed = 1.2;

    /// <summary>Compares the cases both results have.</summary>
    /// <param name="before">The accepted one.</param>
    /// <param name="after">The new one.</param>
    /// <param name="threshold">Part up to which a difference does not matter.</param>
    public static IReadOnlyList<ComparedCase> Of(Result before, Result after, double threshold = UsualThreshold)
    {
        Dictionary<string, Row> known = before.Rows.Where(row => row.Seconds is not null).ToDictionary(row => row.Case);
        return [.. after.Rows.Where(row => row.Seconds is not null && known.ContainsKey(row.Case)).Select(row => Of(known[row.Case], row, threshold))];
    }

    /// <summary>Compares two measurements of a case.</summary>
    public static ComparedCase Of(Row before, Row after, double threshold)
    {
        ComparedCase times = Of(after.Case, before.Seconds!, after.Seconds!, threshold);
        if (before.WorkAtPace is not { } old || after.WorkAtPace is not { } now) return times;
        ComparedCase work = Of(after.Case, old, now, threshold);
        return work.Verdict == Verdict.Ambiguous && times.Verdict == Verdict.Same ? times : work;
    }

    private static ComparedCase Of(string name, Sample before, Sample after, double threshold)
    {
        var (oldDown, oldUp) = Distances(before);
        var (nowDown, nowUp) = Distances(after);
        double ratio = after.Median / before.Median, low = ratio * Math.Exp(-double.Hypot(nowDown, oldUp)), high = ratio * Math.Exp(double.Hypot(nowUp, oldDown));
        double gapAbove = after.MedianInterval.Low / before.MedianInterval.High, gapBelow = before.MedianInterval.Low / after.MedianInterval.High;
        return new ComparedCase(name, ratio, low, high, Judge(low, high, gapAbove, gapBelow, threshold));
    }

    // How far the median may be off, as logarithms of ratios.
    private static (double Down, double Up) Distances(Sample sample) => (Math.Log(sample.Median / sample.MedianInterval.Low), Math.Log(sample.MedianInterval.High / sample.Median));

    // SLOW and FAST need a gap between the medians' own intervals, wider than the threshold: rounds of a run are not quite independent, since a machine that others share drifts.
    // SAME: every ratio that may be lies within the threshold; or no difference is to be seen, and one of a fifth would have shown.
    private static Verdict Judge(double low, double high, double gapAbove, double gapBelow, double threshold)
    {
        double near = 1 + threshold, far = Math.Max(Noticed, near);
        if (gapAbove > near) return Verdict.Slow;
        if (gapBelow > near) return Verdict.Fast;
        bool isNear = low >= 1 / near && high <= near, isAroundOne = low <= 1 && high >= 1 && low >= 1 / far && high <= far;
        return isNear || isAroundOne ? Verdict.Same : Verdict.Ambiguous;
    }

    /// <summary>The comparison as a table: names of the files' machines and commits, a line a case, a count of the verdicts.</summary>
    public static string Text(Result before, Result after, IReadOnlyList<ComparedCase> cases, double threshold)
    {
        string About(string name, Result result) => $"{name}: {result.Title}; commit {result.Machine.GetValueOrDefault("commit")}, {result.Machine.GetValueOrDefault("date")}, {result.Machine.GetValueOrDefault("processor")}, load {result.Machine.GetValueOrDefault("load_average")}\n";
        string F(double value) => value.ToString("f3", CultureInfo.InvariantCulture);
        string table = Table.Format(["case", "B / A", "between", "verdict"], leftColumns: [0, 3], cases.Select(one => (string[])[one.Case, F(one.Ratio), $"{F(one.Low)} .. {F(one.High)}", one.Verdict.ToString().ToUpperInvariant()]));
        string[] lost = [.. before.Rows.Select(row => row.Case).Except(after.Rows.Select(row => row.Case)).Select(name => $"only in A: {name}\n"), .. after.Rows.Select(row => row.Case).Except(before.Rows.Select(row => row.Case)).Select(name => $"only in B: {name}\n")];
        string[] differ = [.. new[] { "processor", "processors", "gpu", "gpu_driver" }.Where(key => !Equals(before.Machine.GetValueOrDefault(key), after.Machine.GetValueOrDefault(key)))];
        string other = differ.Length == 0 ? "" : $"not the same machine ({string.Join(", ", differ)}): the ratios tell of both\n";
        static HashSet<string> Paced(Result result) => [.. result.Rows.Where(row => row.Pace is not null).Select(row => row.Case)];
        HashSet<string> pacedBefore = Paced(before), pacedAfter = Paced(after);
        int unequal = cases.Count(one => pacedBefore.Contains(one.Case) != pacedAfter.Contains(one.Case));
        string plain = unequal == 0 ? "" : $"{unequal} compared by their times alone: only one result holds the CPU's pace for them\n";
        string counts = string.Join(", ", Enum.GetValues<Verdict>().Select(verdict => $"{cases.Count(one => one.Verdict == verdict)} {verdict.ToString().ToUpperInvariant()}"));
        return About("A", before) + About("B", after) + table + string.Concat(lost) + other + plain + $"{counts}; differences up to {threshold.ToString("p0", CultureInfo.InvariantCulture)} count as none\n";
    }
}
