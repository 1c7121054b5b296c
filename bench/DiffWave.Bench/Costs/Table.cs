using System.Text;

namespace DiffWave.Bench.Costs;

/// <summary>Aligned plain text.</summary>
internal static class Table
{
    /// <summary>A head and rows, two spaces between columns.</summary>
    /// <param name="head">Names of the columns.</param>
    /// <param name="leftColumns">Columns that start at the left; others end at the right.</param>
    /// <param name="rows">Cells.</param>
    public static string Format(string[] head, int[] leftColumns, IEnumerable<string[]> rows)
    {
        string[][] lines = [head, .. rows];
        int[] widths = [.. head.Select((_, column) => lines.Max(line => line[column].Length))];
        var text = new StringBuilder();
        foreach (string[] line in lines)
            text.AppendLine(string.Join("  ", line.Select((cell, column) => leftColumns.Contains(column) ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column]))).TrimEnd());
        return text.ToString();
    }
}
