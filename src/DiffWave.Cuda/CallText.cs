using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace DiffWave.Cuda;

/// <summary>The text of a call for an error message: as long as calls succeed nothing is formatted.</summary>
[InterpolatedStringHandler]
internal readonly ref struct CallText
{
    private readonly StringBuilder? text;

    public CallText(int literalLength, int formattedCount, int result, out bool failed)
    {
        failed = result != 0;
        text = failed ? new StringBuilder(literalLength + formattedCount * 8) : null;
    }

    public void AppendLiteral(string part) => text!.Append(part);

    public void AppendFormatted<T>(T value) => text!.Append(CultureInfo.InvariantCulture, $"{value}");

    public void AppendFormatted<T>(T value, string format) where T : IFormattable => text!.Append(value.ToString(format, CultureInfo.InvariantCulture));

    public override string ToString() => text?.ToString() ?? "";
}
