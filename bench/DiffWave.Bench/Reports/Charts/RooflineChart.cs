namespace DiffWave.Bench;

/// <summary>
/// The roofline of a result: FLOP/s against FLOP a byte, both logarithmic, the measured ceilings as lines and a dot a case, coloured by its bound. Cases without FLOP, or without time, are not in it.
/// </summary>
internal static class RooflineChart
{
    private const int Width = 960, Height = 520, Left = 70, Right = 130, Top = 40, Bottom = 50, LabelHeight = 13;

    /// <summary>The picture, or null when there is nothing to draw.</summary>
    public static string? Of(Result result)
    {
        double Number(Row row, string key) => row.Value(key) is IConvertible value ? value.ToDouble(null) : 0;
        double Rate(Row row) => Math.Max(Number(row, "executed_gflops"), row.Value("executed_gflops") is null ? Number(row, "gflops") : 0);
        Row[] computing = [.. result.Rows.Where(row => row.Case.StartsWith("ceiling/", StringComparison.Ordinal) && Number(row, "gflops") > 0)];
        Row[] copying = [.. result.Rows.Where(row => row.Case.StartsWith("ceiling/", StringComparison.Ordinal) && Number(row, "gigabytes_per_second") > 0)];
        Row[] dots = [.. result.Rows.Where(row => !row.Case.StartsWith("ceiling/", StringComparison.Ordinal) && Number(row, "intensity") > 0 && Rate(row) > 0)];
        if (computing.Length == 0 || copying.Length == 0 || dots.Length == 0) return null;

        double peak = computing.Max(row => Number(row, "gflops")), least = Math.Min(dots.Min(Rate), peak / 100);
        var x = new LogAxis(Math.Min(0.05, dots.Min(row => Number(row, "intensity")) / 1.5), Math.Max(200, dots.Max(row => Number(row, "intensity")) * 1.5), Left, Width - Right);
        var y = new LogAxis(least / 1.5, peak * 1.6, Height - Bottom, Top);
        var svg = new SvgPicture(Width, Height, $"{result.Title}: {string.Join("; ", dots.Select(row => FormattableString.Invariant($"{row.Case} {Rate(row):f1} GFLOP/s at {Number(row, "intensity"):f2} FLOP a byte, {row.Value("bound")}")))}");
        svg.Add($"<text class=\"title\" x=\"{Left}\" y=\"20\">{SvgPicture.Escape(result.Title)}</text>");
        foreach (double tick in x.Ticks()) svg.Add($"<path class=\"grid\" d=\"M{x.Place(tick):f1} {Top}V{Height - Bottom}\"/><text class=\"middle\" x=\"{x.Place(tick):f1}\" y=\"{Height - Bottom + 18}\">{LogAxis.Text(tick)}</text>");
        foreach (double tick in y.Ticks()) svg.Add($"<path class=\"grid\" d=\"M{Left} {y.Place(tick):f1}H{Width - Right}\"/><text class=\"end\" x=\"{Left - 8}\" y=\"{y.Place(tick) + 4:f1}\">{LogAxis.Text(tick)}</text>");
        svg.Add($"<text class=\"middle\" x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 12}\">FLOP a byte</text><text x=\"8\" y=\"{Top - 8}\">GFLOP/s</text>");
        foreach (Row row in computing)
        {
            double at = Number(row, "gflops");
            svg.Add($"<path class=\"roof\" d=\"M{Left} {y.Place(at):f1}H{Width - Right}\"/><text class=\"end small\" x=\"{Width - Right - 4}\" y=\"{y.Place(at) - 5:f1}\">{SvgPicture.Escape(row.Case["ceiling/".Length..])} {at:f0} GFLOP/s</text>");
        }
        double labelled = double.NegativeInfinity;
        foreach (Row row in copying.OrderByDescending(row => Number(row, "gigabytes_per_second")))
        {
            double rate = Number(row, "gigabytes_per_second"), from = Math.Max(x.From, y.From / rate), to = Math.Min(x.To, peak / rate);
            if (from >= to) continue;
            double left = x.Place(from), low = y.Place(rate * from);
            svg.Add($"<path class=\"roof\" d=\"M{left:f1} {low:f1}L{x.Place(to):f1} {y.Place(rate * to):f1}\"/>");
            if (low - labelled < LabelHeight && left <= x.Begin) continue; // caches of the same speed: one name
            labelled = low;
            svg.Add($"<text class=\"small\" transform=\"rotate({-Slope(x, y):f1} {left + 4:f1} {low - 4:f1})\" x=\"{left + 4:f1}\" y=\"{low - 4:f1}\">{SvgPicture.Escape(row.Case["ceiling/".Length..])} {rate:f0} GB/s</text>");
        }
        var taken = new List<(double Left, double Right, double Y)>();
        foreach (Row row in dots.OrderBy(row => y.Place(Rate(row))))
        {
            double at = x.Place(Number(row, "intensity")), height = y.Place(Rate(row));
            string name = row.Case[(row.Case.IndexOf('/', row.Case.IndexOf('/') + 1) + 1)..];
            double wide = 6.2 * name.Length, left = at + 7, label = height;
            while (taken.Any(other => other.Left < left + wide && left < other.Right && Math.Abs(other.Y - label) < LabelHeight)) label += 2; // names give way downwards
            taken.Add((left, left + wide, label));
            svg.Add($"<circle class=\"{row.Value("bound")}\" cx=\"{at:f1}\" cy=\"{height:f1}\" r=\"4\"/><text class=\"small\" x=\"{left:f1}\" y=\"{label + 4:f1}\">{SvgPicture.Escape(name)}</text>");
            if (label - height > 1) svg.Add($"<path class=\"grid\" d=\"M{at:f1} {height:f1}L{left:f1} {label:f1}\"/>");
        }
        return svg.Render();
    }

    // Degrees at which a memory roof rises.
    private static double Slope(LogAxis x, LogAxis y) => Math.Atan2((y.Begin - y.End) / Math.Log(y.To / y.From), (x.End - x.Begin) / Math.Log(x.To / x.From)) * 180 / Math.PI;
}
