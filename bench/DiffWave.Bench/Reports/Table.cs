using System.Globalization;
using System.Text;

namespace DiffWave.Bench;

/// <summary>Cells as aligned text, Markdown and CSV.</summary>
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

    /// <summary>A result as people read it: title, table, notes. Columns that are empty in every row are left out.</summary>
    public static string Text(Result result)
    {
        Column[] columns = Used(result.Rows, Layouts.Of(result.Benchmark));
        int[] left = [.. Enumerable.Range(0, columns.Length).Where(i => columns[i].IsText)];
        return $"{result.Title}\n{Format([.. columns.Select(column => column.Head)], left, result.Rows.Select(row => columns.Select(column => column.Cell(row)).ToArray()))}{string.Concat(result.Notes.Select(note => note + "\n"))}";
    }

    /// <summary>Rows as a table in Markdown.</summary>
    public static string Markdown(IReadOnlyList<Row> rows, IReadOnlyList<Column> layout)
    {
        Column[] columns = Used(rows, layout);
        string Line(IEnumerable<string> cells) => $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|")))} |\n";
        return Line(columns.Select(column => column.Head)) + Line(columns.Select(column => column.IsText ? "---" : "---:")) + string.Concat(rows.Select(row => Line(columns.Select(column => column.Cell(row)))));
    }

    /// <summary>Everything that is known of every row, numbers in full, one line a row (RFC 4180).</summary>
    public static string Csv(Result result)
    {
        string[] measured = ["case", "rounds", "median_seconds", "low_seconds", "high_seconds", "p95_seconds", "spread", "peak_flops"];
        string[] keys = [.. measured, .. result.Rows.SelectMany(row => row.Figures.Keys).Distinct()];
        string Cell(object? value)
        {
            string text = value is IFormattable number ? number.ToString(null, CultureInfo.InvariantCulture) : value?.ToString() ?? "";
            return text.AsSpan().IndexOfAny(",\"\n\r") < 0 ? text : $"\"{text.Replace("\"", "\"\"")}\"";
        }
        return string.Concat(result.Rows.Select(row => keys.Select(key => Cell(row.Value(key)))).Prepend(keys).Select(cells => string.Join(',', cells) + "\r\n"));
    }

    private static Column[] Used(IReadOnlyList<Row> rows, IReadOnlyList<Column> layout) => [.. layout.Where(column => column.Key == "case" || rows.Any(row => column.Cell(row).Length > 0))];
}
