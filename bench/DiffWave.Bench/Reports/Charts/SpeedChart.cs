namespace DiffWave.Bench;

/// <summary>Speed of syntheses against real time: a bar a case on a logarithmic axis, with the range of its measurements and a line where audio is made as fast as it is heard.</summary>
internal static class SpeedChart
{
    private const int Width = 860, Row = 26, Left = 250, Right = 90, Top = 40, Bottom = 40;

    /// <summary>The picture, or null when no row has <c>times_real_time</c> and a time.</summary>
    public static string? Of(Result result)
    {
        (Bench.Row Row, double Speed)[] bars = [.. result.Rows.Where(row => row.Seconds is not null && row.Value("times_real_time") is IConvertible).Select(row => (row, ((IConvertible)row.Value("times_real_time")!).ToDouble(null)))];
        if (bars.Length == 0) return null;
        double Of(Bench.Row row, double speed, double seconds) => speed * row.Seconds!.Median / seconds;
        int height = Top + Row * bars.Length + Bottom;
        var x = new LogAxis(Math.Min(0.5, bars.Min(bar => Of(bar.Row, bar.Speed, bar.Row.Seconds!.High)) / 1.2), Math.Max(2, bars.Max(bar => Of(bar.Row, bar.Speed, bar.Row.Seconds!.Low)) * 1.1), Left, Width - Right);
        var svg = new SvgPicture(Width, height, $"{result.Title}: {string.Join("; ", bars.Select(bar => FormattableString.Invariant($"{bar.Row.Case} {bar.Speed:f2} times real time")))}");
        svg.Add($"<text class=\"title\" x=\"8\" y=\"20\">{SvgPicture.Escape(result.Title)}</text>");
        foreach (double tick in x.Ticks()) svg.Add($"<path class=\"grid\" d=\"M{x.Place(tick):f1} {Top}V{height - Bottom}\"/><text class=\"middle\" x=\"{x.Place(tick):f1}\" y=\"{height - Bottom + 16}\">{LogAxis.Text(tick)}</text>");
        foreach ((int i, (Bench.Row row, double speed)) in bars.Index())
        {
            double top = Top + i * Row + 4, middle = top + (Row - 8) / 2.0, end = x.Place(speed);
            svg.Add($"<text class=\"end\" x=\"{Left - 8}\" y=\"{middle + 4:f1}\">{SvgPicture.Escape(row.Case[(row.Case.IndexOf('/') + 1)..])}</text>");
            svg.Add($"<rect class=\"{(speed >= 1 ? "fast" : "slow")}\" x=\"{Left}\" y=\"{top:f1}\" width=\"{Math.Max(1, end - Left):f1}\" height=\"{Row - 8}\"/>");
            svg.Add($"<path class=\"range\" d=\"M{x.Place(Of(row, speed, row.Seconds!.High)):f1} {middle:f1}H{x.Place(Of(row, speed, row.Seconds.Low)):f1}\"/><text x=\"{end + 8:f1}\" y=\"{middle + 4:f1}\">{speed:f2}</text>");
        }
        svg.Add($"<path class=\"one\" d=\"M{x.Place(1):f1} {Top - 6}V{height - Bottom}\"/><text class=\"middle small\" x=\"{x.Place(1):f1}\" y=\"{Top - 10}\">real time</text>");
        svg.Add($"<text class=\"middle\" x=\"{(Left + Width - Right) / 2}\" y=\"{height - 8}\">times real time</text>");
        return svg.Render();
    }
}
