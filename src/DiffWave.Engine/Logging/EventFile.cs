using System.Buffers.Binary;
using System.Globalization;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// Writes an event file of TensorBoard: scalars, pictures and audio by step. Every event is handed to the system at once and whole, so that a killed process leaves at most
/// its last event cut off, which readers pass over.
/// </summary>
/// <remarks>
/// A record is length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data, little-endian; the mask is (crc rotated right by 15) + 0xA282EAD8. The data is an Event
/// as TensorBoard's event.proto and summary.proto number its fields. Not safe for use by several threads.
/// </remarks>
public sealed class EventFile : IDisposable
{
    private const string NamePrefix = "events.out.tfevents.";
    private const int Rgb = 3, SessionStart = 1;

    private readonly FileStream _stream;

    /// <summary>The file, <c>events.out.tfevents.SECONDS.HOST</c>.</summary>
    public string Path { get; }

    /// <summary>Starts a new file; TensorBoard reads the files of a folder in the order of their names.</summary>
    /// <param name="folder">Where; it must exist.</param>
    /// <param name="resumedAt">Step a run goes on from: TensorBoard forgets what earlier files say of later steps. Null for a new run.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public EventFile(string folder, long? resumedAt = null)
    {
        (Path, _stream) = RunFolder.Guarded(folder, "mend the access to the folder", () =>
        {
            long seconds = Math.Max(DateTimeOffset.UtcNow.ToUnixTimeSeconds(), LastSeconds(folder) + 1);
            string path = System.IO.Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{NamePrefix}{seconds:D10}.{Host()}"));
            return (path, new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read | FileShare.Delete, bufferSize: 0));
        });
        try
        {
            Write(Event().Text(3, "brain.Event:2"));
            if (resumedAt is { } step) Write(Event().Int(2, step + 1).Message(7, new ProtoMessage().Int(1, SessionStart))); // what lies at this step or later is forgotten
        }
        catch
        {
            _stream.Dispose();
            throw;
        }
    }

    /// <summary>Writes numbers.</summary>
    /// <param name="step">Optimiser step.</param>
    /// <param name="values">Names, with slashes between groups, and values; kept as float32.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Scalars(long step, params ReadOnlySpan<(string Tag, double Value)> values)
    {
        var summary = new ProtoMessage();
        foreach (var (tag, value) in values) summary.Message(1, new ProtoMessage().Text(1, tag).Float(2, (float)value));
        Write(step, summary);
    }

    /// <summary>Writes a picture.</summary>
    /// <param name="step">Optimiser step.</param>
    /// <param name="tag">Its name.</param>
    /// <param name="png">A PNG file in RGB.</param>
    /// <exception cref="ArgumentException">The bytes do not start like a PNG file.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Image(long step, string tag, ReadOnlySpan<byte> png)
    {
        if (png.Length < 24 || png[0] != 0x89 || !png[1..].StartsWith("PNG\r\n\x1A\n"u8)) throw new ArgumentException("expected a PNG file", nameof(png));
        int width = BinaryPrimitives.ReadInt32BigEndian(png[16..]), height = BinaryPrimitives.ReadInt32BigEndian(png[20..]); // of the header chunk, always the first
        Write(step, Value(tag, 4, new ProtoMessage().Int(1, height).Int(2, width).Int(3, Rgb).Data(4, png)));
    }

    /// <summary>Writes audio, as a WAV of 16-bit PCM.</summary>
    /// <param name="step">Optimiser step.</param>
    /// <param name="tag">Its name.</param>
    /// <param name="samples">Mono samples, all finite.</param>
    /// <param name="sampleRate">Hz.</param>
    /// <exception cref="NonFiniteSampleException">A sample is NaN or infinite.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Audio(long step, string tag, ReadOnlySpan<float> samples, int sampleRate)
    {
        using var wav = new MemoryStream();
        using var writer = new WavWriter(wav, sampleRate, WavFormat.Pcm16, samples.Length);
        writer.Write(samples);
        writer.Complete();
        Write(step, Value(tag, 6, new ProtoMessage().Float(1, sampleRate).Int(2, 1).Int(3, samples.Length).Data(4, wav.GetBuffer().AsSpan(0, (int)wav.Length)).Text(5, "audio/wav")));
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _stream.Dispose();

    private static ProtoMessage Event() => new ProtoMessage().Double(1, (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds);

    private static ProtoMessage Value(string tag, int kind, ProtoMessage content) => new ProtoMessage().Message(1, new ProtoMessage().Text(1, tag).Message(kind, content));

    private void Write(long step, ProtoMessage summary) => Write(Event().Int(2, step).Message(5, summary));

    private void Write(ProtoMessage message)
    {
        ReadOnlySpan<byte> data = message.Bytes;
        byte[] record = new byte[data.Length + 16];
        BinaryPrimitives.WriteInt64LittleEndian(record, data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), Masked(record.AsSpan(0, 8)));
        data.CopyTo(record.AsSpan(12));
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12 + data.Length), Masked(data));
        RunFolder.Guarded(Path, "free space on the disk or mend the access to the folder, then resume the run", () => _stream.Write(record));
    }

    private static uint Masked(ReadOnlySpan<byte> bytes) => uint.RotateRight(Crc32C.Of(bytes), 15) + 0xA282EAD8;

    // A file later in time is later in order too, also within a second and after the clock was set back.
    private static long LastSeconds(string folder) => Directory.EnumerateFiles(folder, NamePrefix + "*")
        .Select(path => long.TryParse(System.IO.Path.GetFileName(path)[NamePrefix.Length..].Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) ? seconds : 0)
        .DefaultIfEmpty().Max();

    // The machine's name, as far as it can stand in the name of a file.
    private static string Host() => string.Concat(Environment.MachineName.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' ? c : '_'));
}
