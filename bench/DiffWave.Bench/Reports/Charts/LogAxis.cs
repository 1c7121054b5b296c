using System.Globalization;

namespace DiffWave.Bench;

/// <summary>A logarithmic axis: values from one to another on pixels from one to another.</summary>
/// <param name="From">Least value, above 0.</param>
/// <param name="To">Largest value.</param>
/// <param name="Begin">Pixel of the least.</param>
/// <param name="End">Pixel of the largest.</param>
internal sealed record LogAxis(double From, double To, double Begin, double End)
{
    public double Place(double value) => Begin + (End - Begin) * Math.Log(Math.Clamp(value, From, To) / From) / Math.Log(To / From);

    /// <summary>Powers of ten, with twos and fives between them where there are few.</summary>
    public IEnumerable<double> Ticks()
    {
        int[] digits = Math.Log10(To / From) > 3 ? [1] : [1, 2, 5];
        for (int power = (int)Math.Floor(Math.Log10(From)); power <= Math.Ceiling(Math.Log10(To)); power++)
            foreach (int digit in digits)
            {
                double value = digit * Math.Pow(10, power);
                if (value >= From * (1 - 1e-9) && value <= To * (1 + 1e-9)) yield return value;
            }
    }

    /// <summary>A tick's value in few characters.</summary>
    public static string Text(double value) => value switch
    {
        >= 1e6 => (value / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + "M",
        >= 1e4 => (value / 1e3).ToString("0.##", CultureInfo.InvariantCulture) + "k",
        _ => value.ToString("0.####", CultureInfo.InvariantCulture),
    };
}

/// <summary>A picture in SVG that stands by itself, light or dark as the reader's screen.</summary>
internal sealed class SvgPicture(int width, int height, string words)
{
    private const string Style = """
        text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}.end{text-anchor:end}.middle{text-anchor:middle}.small{font-size:11px}
        .grid{stroke:#ddd}.axis{stroke:#888}.roof{stroke:#555;stroke-width:1.5;fill:none}.one{stroke:#c22;stroke-width:1.5;stroke-dasharray:5 3}
        .compute,.fast{fill:#2166ac}.memory{fill:#b2182b}.neither,.slow{fill:#999}.range{stroke:#333;stroke-width:1.5}
        @media (prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.axis,.roof{stroke:#aaa}.range{stroke:#ddd}.compute,.fast{fill:#6baed6}.memory{fill:#f4796b}}
        """;

    private readonly System.Text.StringBuilder _svg = new();

    /// <summary>Adds elements; numbers in the text are written the same everywhere.</summary>
    public void Add(FormattableString element) => _svg.Append(FormattableString.Invariant(element)).Append('\n');

    /// <summary>The picture; <paramref name="words"/> tell its content to readers who do not see it.</summary>
    public string Render() =>
        $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"{Escape(words)}\">\n<style>{Style}</style>\n{_svg}</svg>\n";

    /// <summary>Text as XML has it.</summary>
    public static string Escape(string text) => System.Net.WebUtility.HtmlEncode(text);
}
