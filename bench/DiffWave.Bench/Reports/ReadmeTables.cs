using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace DiffWave.Bench;

/// <summary>
/// Tables and figures of Markdown files that come from stored results. Two marks, files named from <c>bench/results</c> on, without <c>.json</c>:
/// <code>
/// &lt;!-- table FILE [rows=REGEX] [columns=key,key] --&gt; .. &lt;!-- /table --&gt;
/// &lt;!-- figure FILE CASE KEY [scale=FACTOR] [format=F] --&gt;1.80&lt;!-- /figure --&gt;
/// </code>
/// What stands between is replaced. <c>text</c> in place of <c>table</c> gives the aligned text of the whole result in a block. A figure of another JSON file, such as one of <c>diffwave demo --json</c>, is named by a pointer
/// (RFC 6901, without escapes) in place of case and key: <c>/results/0/log_mel_l1</c>.
/// </summary>
internal static partial class ReadmeTables
{
    /// <summary>Files of this repository that hold marks, from its root.</summary>
    public static IReadOnlyList<string> Files { get; } = ["README.md", "bench/README.md", "bench/DiffWave.Bench/Costs/README.md"];

    /// <summary>The text with every table and figure made anew.</summary>
    /// <param name="text">Markdown.</param>
    /// <param name="results">Folder of the results.</param>
    /// <exception cref="InvalidDataException">A mark names a file, case, column or figure that is not there, or is not closed.</exception>
    public static string Filled(string text, string results)
    {
        int marks = Opening().Count(text), filled = 0;
        string result = Mark().Replace(text, match =>
        {
            filled++;
            string kind = match.Groups["kind"].Value;
            string[] words = match.Groups["words"].Value.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0) throw new InvalidDataException($"{match.Value}: names no file");
            string path = Path.Combine(results, words[0] + ".json");
            string inside = kind switch
            {
                "table" => "\n" + MarkdownTable(Result.Read(path), words[1..]),
                "text" => $"\n```\n{Table.Text(Result.Read(path))}```\n",
                _ => Figure(path, words),
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

    private static string Figure(string path, string[] words)
    {
        bool isPointer = words.Length > 1 && words[1].StartsWith('/');
        int named = isPointer ? 2 : 3;
        if (words.Length < named) throw new InvalidDataException($"figure {string.Join(' ', words)}: expected FILE CASE KEY, or FILE and a pointer");
        double scale = 1;
        string format = "0.##";
        foreach (string option in words[named..])
        {
            if (option.StartsWith("scale=", StringComparison.Ordinal)) scale = double.Parse(option[6..], CultureInfo.InvariantCulture);
            else if (option.StartsWith("format=", StringComparison.Ordinal)) format = option[7..];
            else throw new InvalidDataException($"{option}: expected scale=FACTOR or format=F");
        }
        return (isPointer ? Pointed(path, words[1]) : OfCase(path, words[1], words[2])) switch
        {
            string value => value,
            IConvertible value => (value.ToDouble(CultureInfo.InvariantCulture) * scale).ToString(format, CultureInfo.InvariantCulture),
            _ => throw new InvalidDataException($"{words[0]} has no {string.Join(' ', words[1..named])}"),
        };
    }

    private static object? OfCase(string path, string name, string key)
    {
        Row? row = Result.Read(path).Rows.FirstOrDefault(row => row.Case == name);
        return row is null ? throw new InvalidDataException($"{path} has no case {name}") : row.Value(key);
    }

    private static object? Pointed(string path, string pointer)
    {
        JsonNode? node = JsonNode.Parse(File.ReadAllText(path));
        foreach (string part in pointer[1..].Split('/'))
            node = node switch
            {
                JsonArray array when int.TryParse(part, CultureInfo.InvariantCulture, out int index) && index < array.Count => array[index],
                JsonObject members => members[part],
                _ => null,
            };
        return node?.GetValueKind() switch { JsonValueKind.Number => (double)node, JsonValueKind.String => (string)node!, _ => null };
    }

    [GeneratedRegex(@"<!-- (?<kind>table|text|figure) ", RegexOptions.CultureInvariant)]
    private static partial Regex Opening();

    [GeneratedRegex(@"<!-- (?<kind>table|text|figure) (?<words>[^\n]*?) -->.*?<!-- /\k<kind> -->", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Mark();
}
