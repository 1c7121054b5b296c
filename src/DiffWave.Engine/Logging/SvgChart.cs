using System.Globalization;
using System.Net;
using System.Text;

namespace DiffWave.Engine;

/// <summary>One curve of a chart.</summary>
/// <param name="Name">What the legend says.</param>
/// <param name="Style">Class of the style sheet that colours it.</param>
/// <param name="Points">In order of X.</param>
/// <param name="Dots">Marks at the points instead of a line.</param>
internal sealed record ChartSeries(string Name, string Style, IReadOnlyList<CurvePoint> Points, bool Dots = false);

/// <summary>A chart in SVG: two axes with ticks, lines and dots. Colours and fonts come from the page's style sheet.</summary>
internal sealed class SvgChart
{
    public const int MostPoints = 2000;

    private const int Width = 540, Height = 240, Left = 52, Right = 14, Top = 10, Bottom = 42;

    private readonly string _title, _xLabel;
    private readonly IReadOnlyList<ChartSeries> _series;
    private readonly Axis _x, _y;

    /// <param name="title">What it shows.</param>
    /// <param name="xLabel">What stands along the horizontal axis.</param>
    /// <param name="mayBeLogarithmic">Whether the vertical axis turns logarithmic when the values span more than a factor of ten.</param>
    /// <param name="series">The curves, at least one point in all.</param>
    public SvgChart(string title, string xLabel, bool mayBeLogarithmic, params IEnumerable<ChartSeries> series)
    {
        (_title, _xLabel) = (title, xLabel);
        _series = [.. series.Where(one => one.Points.Count > 0)];
        double minX = double.MaxValue, maxX = double.MinValue, minY = double.MaxValue, maxY = double.MinValue;
        foreach (CurvePoint point in _series.SelectMany(one => one.Points))
        {
            (minX, maxX) = (Math.Min(minX, point.X), Math.Max(maxX, point.X));
            (minY, maxY) = (Math.Min(minY, point.Y), Math.Max(maxY, point.Y));
        }
        _x = new Axis(minX, maxX, logarithmic: false, Left, Width - Right, margin: 0);
        _y = new Axis(minY, maxY, mayBeLogarithmic && minY > 0 && maxY > 10 * minY, Height - Bottom, Top, margin: 0.04);
    }

    /// <summary>The chart as a figure of a page, with its legend and, for readers who do not see it, its numbers in words.</summary>
    public string Render()
    {
        var svg = new StringBuilder();
        void Add(FormattableString text) => svg.Append(FormattableString.Invariant(text)).Append('\n');
        Add($"<figure class=\"chart\"><h3>{WebUtility.HtmlEncode(_title)}</h3>");
        Add($"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{WebUtility.HtmlEncode(Words())}\">");
        foreach (double tick in _y.Ticks(6))
        {
            Add($"<path class=\"grid\" d=\"M{Left} {Place(_y, tick)}H{Width - Right}\"/>");
            Add($"<text class=\"left\" x=\"{Left - 8}\" y=\"{_y.Place(tick) + 4:0.#}\">{Number(tick)}</text>");
        }
        foreach (double tick in _x.Ticks(7))
        {
            Add($"<path class=\"grid\" d=\"M{Place(_x, tick)} {Top}V{Height - Bottom}\"/>");
            Add($"<text x=\"{Place(_x, tick)}\" y=\"{Height - Bottom + 17}\">{Number(tick)}</text>");
        }
        Add($"<path class=\"axis\" d=\"M{Left} {Top}V{Height - Bottom}H{Width - Right}\"/>");
        Add($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 6}\">{WebUtility.HtmlEncode(_xLabel)}</text>");
        foreach (ChartSeries one in _series)
        {
            var places = TrainingCurves.Decimate(one.Points, MostPoints).Select(point => (X: Place(_x, point.X), Y: Place(_y, point.Y))).ToList();
            if (one.Dots || places.Count == 1)
                foreach (var (x, y) in places) Add($"<circle class=\"{one.Style}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
            else Add($"<polyline class=\"{one.Style}\" points=\"{string.Join(' ', places.Select(place => $"{place.X},{place.Y}"))}\"/>");
        }
        string legend = string.Concat(_series.Select(one => $"<span class=\"key {one.Style}{(one.Dots ? " dots" : "")}\">{WebUtility.HtmlEncode(one.Name)}</span>"));
        return svg.Append($"</svg>\n<figcaption>{legend}{(_y.Logarithmic ? "<span>logarithmic axis</span>" : "")}</figcaption></figure>\n").ToString();
    }

    /// <summary>A number in few characters: 0.00125, 3e-5, 1234, 20k, 1.5M.</summary>
    public static string Number(double value) => Math.Abs(value) switch
    {
        >= 999_500 => string.Create(CultureInfo.InvariantCulture, $"{value / 1e6:0.##}M"),
        >= 10_000 => string.Create(CultureInfo.InvariantCulture, $"{value / 1e3:0.##}k"),
        >= 1e-3 or 0 => value.ToString(Math.Abs(value) >= 1000 ? "0" : "G4", CultureInfo.InvariantCulture),
        _ => value.ToString("0.##e-0", CultureInfo.InvariantCulture),
    };

    private string Words() => $"{_title}: " + string.Join("; ", _series.Select(one =>
        $"{one.Name} {Number(one.Points[0].Y)} at {_xLabel} {Number(one.Points[0].X)}, {Number(one.Points[^1].Y)} at {Number(one.Points[^1].X)}, "
        + $"lowest {Number(one.Points.Min(point => point.Y))}, highest {Number(one.Points.Max(point => point.Y))}"));

    private static string Place(Axis axis, double value) => axis.Place(value).ToString("0.#", CultureInfo.InvariantCulture);

    // Values from min to max on pixels from begin to end; margin is a part of the range, added on both sides.
    private sealed class Axis
    {
        private readonly double _min, _max, _begin, _end;

        public bool Logarithmic { get; }

        public Axis(double min, double max, bool logarithmic, double begin, double end, double margin)
        {
            (Logarithmic, _begin, _end) = (logarithmic, begin, end);
            (_min, _max) = (Scaled(min), Scaled(max));
            if (_min == _max) (_min, _max) = (_min - Math.Max(0.5 * Math.Abs(_min), 1e-12), _max + Math.Max(0.5 * Math.Abs(_max), 1e-12)); // one value: in the middle
            bool aboveZero = _min >= 0 && !logarithmic;
            double more = margin * (_max - _min);
            (_min, _max) = (aboveZero ? Math.Max(0, _min - more) : _min - more, _max + more);
        }

        public double Place(double value) => _begin + (_end - _begin) * (Scaled(value) - _min) / (_max - _min);

        // Multiples of 1, 2 or 5 times a power of ten; on a logarithmic axis those numbers themselves, or the powers alone when they are many.
        public IEnumerable<double> Ticks(int most)
        {
            if (Logarithmic)
            {
                int lowest = (int)Math.Floor(_min), highest = (int)Math.Ceiling(_max);
                var all = Enumerable.Range(lowest, highest - lowest + 1).SelectMany(power => new[] { 1, 2, 5 }.Select(digit => (Digit: digit, Value: digit * Math.Pow(10, power))))
                    .Where(tick => Scaled(tick.Value) >= _min && Scaled(tick.Value) <= _max).ToList();
                List<double> powers = [.. all.Where(tick => tick.Digit == 1).Select(tick => tick.Value)];
                if (all.Count <= most + 2) return all.Select(tick => tick.Value);
                int each = (powers.Count + most - 1) / most;
                return powers.Where((_, i) => i % each == 0);
            }
            double range = _max - _min, unit = Math.Pow(10, Math.Floor(Math.Log10(range / most)));
            double step = new[] { 1, 2, 5, 10 }.Select(digit => digit * unit).First(s => range / s <= most + 1e-9);
            long first = (long)Math.Ceiling(_min / step - 1e-9), last = (long)Math.Floor(_max / step + 1e-9);
            return Enumerable.Range(0, (int)Math.Clamp(last - first + 1, 0, most + 1)).Select(i => (first + i) * step);
        }

        private double Scaled(double value) => Logarithmic ? Math.Log10(value) : value;
    }
}
