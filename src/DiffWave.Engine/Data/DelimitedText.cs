using System.Text;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>One record of a delimited text.</summary>
/// <param name="Line">Line it starts on, from 1.</param>
/// <param name="Fields">Its fields, at least one.</param>
internal readonly record struct TextRecord(int Line, IReadOnlyList<string> Fields);

/// <summary>A text file of lines or of separated fields (RFC 4180), UTF-8, read record by record. A record has a bounded length, so memory does not depend on the file.</summary>
internal sealed class DelimitedText : IDisposable
{
    /// <summary>Longest record in characters.</summary>
    public const int MaxRecord = 1 << 16;

    /// <summary>A separator that occurs in no text: every line is one field.</summary>
    public const char None = '\0';

    private const long MaxBytes = 1L << 28;

    private readonly string _path;
    private readonly FileStream _stream;

    /// <exception cref="InputFileException">The file cannot be opened, or is longer than 256 MiB.</exception>
    public DelimitedText(string path)
    {
        _path = path;
        try { _stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            string problem = Directory.Exists(path) ? "is a folder, expected a text file" : e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : $"cannot be opened: {e.Message}";
            throw new InputFileException(path, problem, e);
        }
        if (_stream.CanSeek && _stream.Length <= MaxBytes) return;
        _stream.Dispose();
        throw new InputFileException(path, _stream.CanSeek ? $"is longer than {MaxBytes} bytes, expected a list of clips" : "is a pipe, expected a text file");
    }

    /// <summary>The records, blank lines left out.</summary>
    /// <param name="separator">Between fields.</param>
    /// <param name="quotes">Whether a field that starts with a double quote ends at the next one, two of them standing for one.</param>
    /// <exception cref="InputFileException">A record is too long, a quote is not closed or followed by text, or the file is not UTF-8.</exception>
    public IEnumerable<TextRecord> Records(char separator, bool quotes)
    {
        _stream.Position = 0;
        using var reader = new StreamReader(_stream, new UTF8Encoding(false, throwOnInvalidBytes: true), detectEncodingFromByteOrderMarks: false, bufferSize: 1 << 15, leaveOpen: true);
        var fields = new List<string>();
        var field = new StringBuilder();
        int line = 1, start = 1, length = 0;
        bool inQuotes = false, closed = false;
        if (Next(reader, line, peek: true) == '\uFEFF') _ = Next(reader, line);
        while (true)
        {
            int c = Next(reader, line);
            if (c >= 0 && ++length > MaxRecord) throw Fail(start, $"longer than {MaxRecord} characters{(inQuotes ? "; is a double quote not closed?" : "")}");
            if (inQuotes)
            {
                if (c < 0) throw Fail(start, "a double quote is not closed");
                if (c == '\n') line++;
                if (c != '"') field.Append((char)c);
                else if (Next(reader, line, peek: true) == '"') field.Append((char)Next(reader, line));
                else (inQuotes, closed) = (false, true);
            }
            else if (c == separator || c is '\n' or < 0)
            {
                if (c != separator && field.Length > 0 && field[^1] == '\r') field.Length--;
                fields.Add(field.ToString());
                field.Clear();
                closed = false;
                if (c == separator) continue;
                if (fields.Count > 1 || fields[0].AsSpan().Trim().Length > 0) yield return new TextRecord(start, fields.ToArray());
                if (c < 0) yield break;
                fields.Clear();
                (start, length) = (++line, 0);
            }
            else if (c == '"' && quotes && field.Length == 0 && !closed) inQuotes = true;
            else if (closed && c != '\r') throw Fail(start, "text behind a closing double quote; write a double quote inside a quoted field twice");
            else field.Append((char)c);
        }
    }

    private int Next(StreamReader reader, int line, bool peek = false)
    {
        try { return peek ? reader.Peek() : reader.Read(); }
        catch (DecoderFallbackException e) { throw new InputFileException(_path, $"line {line} or soon after: not UTF-8 text", e); }
        catch (IOException e) { throw new InputFileException(_path, $"cannot be read: {e.Message}", e); }
    }

    private InputFileException Fail(int line, string problem) => new(_path, $"line {line}: {problem}");

    /// <summary>Closes the file.</summary>
    public void Dispose() => _stream.Dispose();
}
