using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>A row of a metadata file.</summary>
/// <param name="Line">Its line, from 1.</param>
/// <param name="File">The clip it names.</param>
/// <param name="Label">Its label as written, or null when the file has none.</param>
internal readonly record struct MetadataRow(int Line, string File, string? Label);

/// <summary>
/// A list of clips, with labels or without: a table with a header that holds <c>file</c> and perhaps <c>label</c>, separated by commas, bars or tabs; or lines
/// <c>id|text|text</c> without a header, as LJ Speech's metadata.csv has them (its texts hold single double quotes, so nothing is quoted there).
/// </summary>
internal static class ClipMetadata
{
    /// <summary>Labels are numbers below this, or names.</summary>
    public const int MaxLabels = 65536;

    private const int LongestName = 4096, LongestLabel = 256;

    /// <summary>Reads all rows.</summary>
    /// <exception cref="InputFileException">The file is not of these forms, or a row does not fit; names the line.</exception>
    public static IReadOnlyList<MetadataRow> Read(string path)
    {
        using var text = new DelimitedText(path);
        TextRecord first = text.Records(DelimitedText.None, quotes: false).FirstOrDefault();
        if (first.Fields is null) throw new InputFileException(path, "is empty, expected a list of clips");
        foreach (char separator in (ReadOnlySpan<char>)['\t', '|', ','])
            if (first.Fields[0].Split(separator).Any(IsFile)) return [.. Table(text, path, separator)];
        if (first.Fields[0].Contains('|')) return [.. Lines(text, path)];
        throw new InputFileException(path, $"line {first.Line}: expected a header with a column 'file' (separated by commas, bars or tabs), or lines id|text");
    }

    private static bool IsFile(string header) => header.Trim().Trim('"').Equals("file", StringComparison.OrdinalIgnoreCase);

    private static IEnumerable<MetadataRow> Table(DelimitedText text, string path, char separator)
    {
        int width = 0, file = -1, label = -1, firstLine = 0;
        bool? numbers = null;
        foreach (TextRecord record in text.Records(separator, quotes: true))
        {
            if (width == 0)
            {
                string[] names = [.. record.Fields.Select(name => name.Trim().ToLowerInvariant())];
                (width, file, label) = (names.Length, Array.IndexOf(names, "file"), Array.IndexOf(names, "label"));
                foreach (string name in (string[])["file", "label"])
                    if (names.Count(other => other == name) > 1) throw new InputFileException(path, $"line {record.Line}: two columns are called '{name}'");
                if (file < 0) throw new InputFileException(path, $"line {record.Line}: no column 'file' in the header");
                continue;
            }
            if (record.Fields.Count != width)
                throw new InputFileException(path, $"line {record.Line}: {record.Fields.Count} fields, expected {width} as in the header; put a field that holds the separator in double quotes");
            string? value = label < 0 ? null : record.Fields[label].Trim();
            if (value is not null)
            {
                if (value.Length is 0 or > LongestLabel) throw new InputFileException(path, $"line {record.Line}: the label has {value.Length} characters, expected 1 to {LongestLabel}");
                bool number = value.All(char.IsAsciiDigit);
                if (number && (value.Length > 5 || int.Parse(value) >= MaxLabels)) throw new InputFileException(path, $"line {record.Line}: label is {value}, expected 0 to {MaxLabels - 1}, or names");
                if (numbers is null) (numbers, firstLine) = (number, record.Line);
                else if (number != numbers) throw new InputFileException(path, $"line {record.Line}: label is '{value}', expected a {(number ? "name" : "number")} as in line {firstLine}");
            }
            if (numbers == true) value = int.Parse(value!).ToString(); // 07 is 7
            yield return new MetadataRow(record.Line, Name(record, file, path), value);
        }
    }

    private static IEnumerable<MetadataRow> Lines(DelimitedText text, string path)
    {
        foreach (TextRecord record in text.Records('|', quotes: false))
            yield return record.Fields.Count > 1 ? new MetadataRow(record.Line, Name(record, 0, path), null)
                : throw new InputFileException(path, $"line {record.Line}: no '|', expected id|text as in the first line");
    }

    private static string Name(TextRecord record, int column, string path)
    {
        string name = record.Fields[column].Trim();
        return name.Length is > 0 and <= LongestName ? name : throw new InputFileException(path, $"line {record.Line}: the name of the file has {name.Length} characters, expected 1 to {LongestName}");
    }
}
