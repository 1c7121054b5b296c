using System.Globalization;

namespace DiffWave.Bench;

/// <summary>Time of a sample of audio against what was varied, a panel each, both axes logarithmic: measured with the range of its rounds, and dashed what it would be if time went with the arithmetic.</summary>
internal static class ScalingChart
{
    private const int Columns = 2, Width = 430, Height = 260, Left = 56, Right = 14, Top = 34, Bottom = 44;

    /// <summary>The picture, or null when no row has <c>relative</c> and <c>size</c>.</summary>
    public static string? Of(Result result)
    {
        IGrouping<string, Row>[] panels = [.. result.Rows.Where(row => row.Value("relative") is IConvertible && row.Value("size") is IConvertible && row.Value("axis") is string).GroupBy(row => (string)row.Value("axis")!)];
        if (panels.Length == 0) return null;
        string words = string.Join("; ", panels.Select(panel => $"{panel.Key}: {string.Join(", ", panel.Select(row => FormattableString.Invariant($"{Figure(row, "size"):0.##} takes {Figure(row, "relative"):0.##}")))}"));
        var svg = new SvgPicture(Columns * Width, (panels.Length + Columns - 1) / Columns * Height, $"{result.Title}, time of a sample beside the first. {words}");
        foreach ((int i, IGrouping<string, Row> panel) in panels.Index()) Draw(svg, [.. panel], i % Columns * Width, i / Columns * Height);
        return svg.Render();
    }

    private static void Draw(SvgPicture svg, Row[] rows, int left, int top)
    {
        double[] sizes = [.. rows.Select(row => Figure(row, "size"))], all = [.. rows.SelectMany(row => new[] { Figure(row, "relative_low"), Figure(row, "relative_high"), Figure(row, "ideal_relative") })];
        var x = new LogAxis(sizes.Min() / 1.15, sizes.Max() * 1.15, left + Left, left + Width - Right);
        var y = new LogAxis(Math.Min(0.5, all.Min() / 1.2), Math.Max(2, all.Max() * 1.2), top + Height - Bottom, top + Top);
        svg.Add($"<text class=\"title\" x=\"{left + 8}\" y=\"{top + 20}\">{SvgPicture.Escape((string?)rows[0].Value("axis_title") ?? "")}</text>");
        foreach (double tick in y.Ticks()) svg.Add($"<path class=\"grid\" d=\"M{left + Left} {y.Place(tick):f1}H{left + Width - Right}\"/><text class=\"end\" x=\"{left + Left - 6}\" y=\"{y.Place(tick) + 4:f1}\">{LogAxis.Text(tick)}</text>");
        foreach (double size in sizes) svg.Add($"<path class=\"grid\" d=\"M{x.Place(size):f1} {top + Top}V{top + Height - Bottom}\"/><text class=\"middle\" x=\"{x.Place(size):f1}\" y=\"{top + Height - Bottom + 16}\">{LogAxis.Text(size)}</text>");
        string Line(string figure) => string.Join(' ', rows.Select(row => FormattableString.Invariant($"{x.Place(Figure(row, "size")):f1},{y.Place(Figure(row, figure)):f1}")));
        svg.Add($"<polyline class=\"one\" fill=\"none\" points=\"{Line("ideal_relative")}\"/><polyline class=\"roof\" points=\"{Line("relative")}\"/>");
        foreach (Row row in rows)
            svg.Add($"<path class=\"range\" d=\"M{x.Place(Figure(row, "size")):f1} {y.Place(Figure(row, "relative_low")):f1}V{y.Place(Figure(row, "relative_high")):f1}\"/><circle class=\"compute\" cx=\"{x.Place(Figure(row, "size")):f1}\" cy=\"{y.Place(Figure(row, "relative")):f1}\" r=\"3.5\"/>");
        svg.Add($"<text class=\"middle small\" x=\"{left + (Left + Width - Right) / 2}\" y=\"{top + Height - 8}\">time of a sample beside the first; dashed: if it went with the FLOP</text>");
    }

    private static double Figure(Row row, string name) => row.Value(name) is IConvertible value ? value.ToDouble(CultureInfo.InvariantCulture) : double.NaN;
}
