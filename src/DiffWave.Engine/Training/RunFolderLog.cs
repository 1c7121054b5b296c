using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>The file <c>log.jsonl</c> of a run folder: a JSON object a line, each with its <c>step</c>.</summary>
internal sealed class RunFolderLog : IDisposable
{
    private const string Advice = "free space on the disk or mend the access to the file, then resume the run";

    private static readonly JsonSerializerOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly string _path;
    private FileStream? _stream;

    public RunFolderLog(string path) => _path = path;

    /// <summary>Writes a line; it is in the hands of the system when this returns, so that it outlives the process.</summary>
    public void Append(JsonNode line)
    {
        byte[] bytes = [.. JsonSerializer.SerializeToUtf8Bytes(line, OneLine), (byte)'\n'];
        if (Parse(bytes) is null) throw new ArgumentException("a line of the log is a JSON object with a whole number 'step'", nameof(line));
        RunFolder.Guarded(_path, Advice, () =>
        {
            _stream ??= new FileStream(_path, FileMode.Append, FileAccess.Write, FileShare.Read | FileShare.Delete, bufferSize: 0); // no buffer: a line is one write
            _stream.Write(bytes);
        });
    }

    /// <summary>Removes every line above a step, and lines that are damaged or cut off. Returns a sentence for each damaged one.</summary>
    public IReadOnlyList<string> CutAfter(long step)
    {
        Dispose();
        var warnings = new List<string>();
        if (!File.Exists(_path)) return warnings;
        RunFolder.Guarded(_path, Advice, () =>
        {
            using var kept = new AtomicFile(_path);
            long number = 0, written = 0;
            foreach (ReadOnlyMemory<byte> line in Lines(_path))
            {
                number++;
                long? of = Parse(line)?.Step;
                if (of is null) warnings.Add($"{_path}: line {number} is damaged and was removed");
                if (!(of <= step)) continue;
                kept.Stream.Write(line.Span);
                kept.Stream.WriteByte((byte)'\n');
                written += line.Length + 1;
            }
            if (written != new FileInfo(_path).Length) kept.Commit();
        });
        return warnings;
    }

    /// <summary>Every sound line from the start; damaged ones, and a last one that is still being written, are passed over.</summary>
    public static IEnumerable<(long Step, JsonObject Line)> Read(string path)
    {
        if (!File.Exists(path)) yield break;
        foreach (ReadOnlyMemory<byte> line in Lines(path))
            if (Parse(line) is { } record) yield return record;
    }

    public void Dispose()
    {
        _stream?.Dispose();
        _stream = null;
    }

    // A line cut off by a kill is no complete object, so this is all it takes to tell it.
    private static (long Step, JsonObject Line)? Parse(ReadOnlyMemory<byte> line)
    {
        try
        {
            return JsonNode.Parse(line.Span, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false }) is JsonObject record
                && record["step"] is JsonValue value && value.TryGetValue(out long step) ? (step, record) : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { return null; } // the second: half an escaped surrogate pair in a key
    }

    // Bytes between line feeds; valid until the next one is asked for.
    private static IEnumerable<ReadOnlyMemory<byte>> Lines(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        byte[] block = new byte[1 << 16];
        var line = new ArrayBufferWriter<byte>();
        for (int count; (count = stream.Read(block)) > 0;)
        {
            int start = 0;
            for (int end; (end = Array.IndexOf(block, (byte)'\n', start, count - start)) >= 0; start = end + 1)
            {
                line.Write(block.AsSpan(start, end - start));
                yield return line.WrittenMemory;
                line.ResetWrittenCount();
            }
            line.Write(block.AsSpan(start, count - start));
        }
        if (line.WrittenCount > 0) yield return line.WrittenMemory;
    }
}
