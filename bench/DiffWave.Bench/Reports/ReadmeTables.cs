using System.Globalization;
using System.Text.RegularExpressions;

namespace DiffWave.Bench;

/// <summary>
/// Tables and figures of Markdown files that come from stored results. Two marks, paths relative to the file:
/// <code>
/// &lt;!-- table FILE [rows=REGEX] [columns=key,key] --&gt; .. &lt;!-- /table --&gt;
/// &lt;!-- figure FILE CASE KEY [scale=FACTOR] [format=F] --&gt;1.80&lt;!-- /figure --&gt;
/// </code>
/// What stands between is replaced. <c>text</c> in place of <c>table</c> gives the aligned text of the whole result in a block.
/// </summary>
internal static partial class ReadmeTables
{
    /// <summary>Files of this repository that hold marks, from its root.</summary>
    public static IReadOnlyList<string> Files { get; } = ["README.md", "bench/README.md"];

    /// <summary>The text with every table and figure made anew.</summary>
    /// <param name="text">Markdown.</param>
    /// <param name="folder">Folder the paths are relative to.</param>
    /// <exception cref="InvalidDataException">A mark names a file, case, column or figure that is not there, or is not closed.</exception>
    public static string Filled(string text, string folder)
    {
        int marks = Opening().Count(text), filled = 0;
        string result = Mark().Replace(text, match =>
        {
            filled++;
            string kind = match.Groups["kind"].Value;
            string[] words = match.Groups["words"].Value.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0) throw new InvalidDataException($"{match.Value}: names no file");
            Result from = Result.Read(Path.Combine(folder, words[0]));
            string inside = kind switch
            {
                "table" => "\n" + MarkdownTable(from, words[1..]),
                "text" => $"\n```\n{Table.Text(from)}```\n",
                _ => Figure(from, words),
            };
            return $"<!-- {kind} {string.Join(' ', words)} -->{inside}<!-- /{kind} -->";
        });
        return filled == marks ? result : throw new InvalidDataException($"{marks} marks are opened and {filled} closed; expected <!-- table FILE --> .. <!-- /table -->");
    }

    private static string MarkdownTable(Result from, string[] options)
    {
        IReadOnlyList<Column> columns = Layouts.Of(from.Benchmark);
        IReadOnlyList<Row> rows = from.Rows;
        foreach (string option in options)
        {
            string value = option[(option.IndexOf('=') + 1)..];
            if (option.StartsWith("rows=", StringComparison.Ordinal)) rows = [.. rows.Where(row => Regex.IsMatch(row.Case, value))];
            else if (option.StartsWith("columns=", StringComparison.Ordinal))
                columns = [.. value.Split(',').Select(key => columns.FirstOrDefault(column => column.Key == key) ?? throw new InvalidDataException($"{option}: '{key}' is no column of {from.Benchmark}; it has {string.Join(", ", Layouts.Of(from.Benchmark).Select(column => column.Key))}"))];
            else throw new InvalidDataException($"{option}: expected rows=REGEX or columns=KEY,KEY");
        }
        return rows.Count > 0 ? Table.Markdown(rows, columns) : throw new InvalidDataException($"{string.Join(' ', options)}: no row of {from.Benchmark} is left");
    }

    private static string Figure(Result from, string[] words)
    {
        if (words.Length < 3) throw new InvalidDataException($"figure {string.Join(' ', words)}: expected FILE CASE KEY");
        Row row = from.Rows.FirstOrDefault(row => row.Case == words[1]) ?? throw new InvalidDataException($"{words[0]} has no case {words[1]}");
        double scale = 1;
        string format = "0.##";
        foreach (string option in words[3..])
        {
            if (option.StartsWith("scale=", StringComparison.Ordinal)) scale = double.Parse(option[6..], CultureInfo.InvariantCulture);
            else if (option.StartsWith("format=", StringComparison.Ordinal)) format = option[7..];
            else throw new InvalidDataException($"{option}: expected scale=FACTOR or format=F");
        }
        return row.Value(words[2]) switch
        {
            string value => value,
            IConvertible value => (value.ToDouble(CultureInfo.InvariantCulture) * scale).ToString(format, CultureInfo.InvariantCulture),
            _ => throw new InvalidDataException($"{words[0]}: {words[1]} has no {words[2]}"),
        };
    }

    [GeneratedRegex(@"<!-- (?<kind>table|text|figure) ", RegexOptions.CultureInvariant)]
    private static partial Regex Opening();

    [GeneratedRegex(@"<!-- (?<kind>table|text|figure) (?<words>[^\n]*?) -->.*?<!-- /\k<kind> -->", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Mark();
}
