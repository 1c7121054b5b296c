using System.Buffers.Binary;

namespace DiffWave.Audio;

/// <summary>Encoding of the samples in a WAV file.</summary>
public enum WavFormat
{
    /// <summary>16-bit PCM: round(32768 x), clipped.</summary>
    Pcm16,
    /// <summary>24-bit PCM: round(8388608 x), clipped.</summary>
    Pcm24,
    /// <summary>32-bit IEEE float, not clipped.</summary>
    Float32,
}

/// <summary>A sample to be written is NaN or infinite.</summary>
public sealed class NonFiniteSampleException : Exception
{
    /// <summary>Index of the sample from the start of the audio.</summary>
    public long Index { get; }

    /// <param name="index">Index of the sample from the start of the audio.</param>
    /// <param name="value">The sample.</param>
    public NonFiniteSampleException(long index, float value)
        : base(FormattableString.Invariant($"sample {index} is {value}: audio that is not finite is never written")) => Index = index;
}

/// <summary>
/// Writes mono WAV block by block. With a total announced, the header is exact from the start. Without one, it holds 0xFFFFFFFF sizes, which readers take as "to the end of
/// the stream", until <see cref="Complete"/> patches them where the stream can seek; so audio of a run that was killed stays readable.
/// </summary>
public sealed class WavWriter : IDisposable
{
    private const uint Unknown = 0xFFFFFFFF;

    private readonly Stream _stream;
    private readonly WavFormat _format;
    private readonly int _sampleRate, _sampleBytes, _headerBytes;
    private readonly long? _total;
    private readonly long _start;
    private readonly byte[] _block = new byte[3 * 16384];
    private long _written;
    private bool _closed;

    /// <summary>Samples outside -1..1 that PCM had to clip so far.</summary>
    public long ClippedSamples { get; private set; }

    /// <summary>Writes the header at the stream's position.</summary>
    /// <param name="stream">Where to write; stays open, it belongs to the caller.</param>
    /// <param name="sampleRate">Hz, 1000 to 768000.</param>
    /// <param name="format">Encoding of the samples.</param>
    /// <param name="totalSamples">How many samples will be written, if known.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is out of range, or a file of so many samples would exceed the 4 GiB a WAV file can hold.</exception>
    public WavWriter(Stream stream, int sampleRate, WavFormat format, long? totalSamples = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sampleRate, AudioLimits.MinRate);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sampleRate, AudioLimits.MaxRate);
        (_stream, _format, _sampleRate, _total) = (stream, format, sampleRate, totalSamples);
        _sampleBytes = format switch { WavFormat.Pcm16 => 2, WavFormat.Pcm24 => 3, WavFormat.Float32 => 4, _ => throw new ArgumentOutOfRangeException(nameof(format)) };
        _headerBytes = format == WavFormat.Float32 ? 58 : 44;
        if (totalSamples is { } total)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(total, nameof(totalSamples));
            if (total > MaxSamples) throw new ArgumentOutOfRangeException(nameof(totalSamples), total, TooLong);
        }
        _start = stream.CanSeek ? stream.Position : 0;
        WriteHeader(totalSamples);
    }

    // RIFF's size field counts everything behind itself, the pad byte included.
    private long MaxSamples => (Unknown - 1 - _headerBytes) / _sampleBytes;

    private string TooLong => $"a WAV file holds at most 4 GiB, {MaxSamples} samples of {_sampleBytes} bytes; split the audio or choose a smaller format";

    /// <summary>Appends samples.</summary>
    /// <exception cref="NonFiniteSampleException">A sample is NaN or infinite; nothing of this block is written.</exception>
    /// <exception cref="InvalidOperationException">More samples than announced, or more than 4 GiB in a file.</exception>
    /// <exception cref="IOException">The stream cannot take the bytes.</exception>
    public void Write(ReadOnlySpan<float> samples)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        for (int i = 0; i < samples.Length; i++)
            if (!float.IsFinite(samples[i])) throw new NonFiniteSampleException(_written + i, samples[i]);
        if (_written + samples.Length > _total) throw new InvalidOperationException($"{_written + samples.Length} samples written, {_total} announced");
        // On a stream without sizes the format has no limit.
        if (_stream.CanSeek && _written + samples.Length > MaxSamples) throw new InvalidOperationException(TooLong);
        int perBlock = _block.Length / _sampleBytes;
        for (int first = 0; first < samples.Length; first += perBlock)
        {
            ReadOnlySpan<float> part = samples.Slice(first, Math.Min(perBlock, samples.Length - first));
            Encode(part);
            _stream.Write(_block, 0, part.Length * _sampleBytes);
            _written += part.Length;
        }
    }

    /// <summary>Ends the audio: pad byte, and the sizes where the stream can seek. The stream is left at the end of the file.</summary>
    /// <exception cref="InvalidOperationException">Fewer samples were written than announced.</exception>
    public void Complete()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (_written < _total) throw new InvalidOperationException($"{_written} samples written, {_total} announced");
        if (_written * _sampleBytes % 2 == 1) _stream.WriteByte(0);
        if (_total is null && _stream.CanSeek)
        {
            long end = _stream.Position;
            _stream.Position = _start;
            WriteHeader(_written);
            _stream.Position = end;
        }
        _stream.Flush();
        _closed = true;
    }

    /// <summary>Ends use of the writer. It completes nothing: what an exception cut short keeps its unknown sizes.</summary>
    public void Dispose() => _closed = true;

    private void WriteHeader(long? samples)
    {
        Span<byte> header = stackalloc byte[58];
        header = header[.._headerBytes];
        long dataBytes = samples * _sampleBytes ?? 0;
        uint riffSize = samples is null ? Unknown : (uint)(_headerBytes - 8 + dataBytes + dataBytes % 2);
        bool isFloat = _format == WavFormat.Float32;
        "RIFF"u8.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], riffSize);
        "WAVEfmt "u8.CopyTo(header[8..]);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], isFloat ? 18 : 16);
        BinaryPrimitives.WriteInt16LittleEndian(header[20..], (short)(isFloat ? 3 : 1));
        BinaryPrimitives.WriteInt16LittleEndian(header[22..], 1);
        BinaryPrimitives.WriteInt32LittleEndian(header[24..], _sampleRate);
        BinaryPrimitives.WriteInt32LittleEndian(header[28..], _sampleRate * _sampleBytes);
        BinaryPrimitives.WriteInt16LittleEndian(header[32..], (short)_sampleBytes);
        BinaryPrimitives.WriteInt16LittleEndian(header[34..], (short)(8 * _sampleBytes));
        if (isFloat) // the format asks for an (empty) extension and a fact chunk with the sample count whenever it is not PCM
        {
            "fact"u8.CopyTo(header[38..]);
            BinaryPrimitives.WriteInt32LittleEndian(header[42..], 4);
            BinaryPrimitives.WriteUInt32LittleEndian(header[46..], samples is null ? Unknown : (uint)samples);
        }
        "data"u8.CopyTo(header[(_headerBytes - 8)..]);
        BinaryPrimitives.WriteUInt32LittleEndian(header[(_headerBytes - 4)..], samples is null ? Unknown : (uint)dataBytes);
        _stream.Write(header);
    }

    private void Encode(ReadOnlySpan<float> samples)
    {
        Span<byte> block = _block;
        switch (_format)
        {
            case WavFormat.Float32:
                for (int i = 0; i < samples.Length; i++) BinaryPrimitives.WriteSingleLittleEndian(block[(4 * i)..], samples[i]);
                break;
            case WavFormat.Pcm16:
                for (int i = 0; i < samples.Length; i++) BinaryPrimitives.WriteInt16LittleEndian(block[(2 * i)..], (short)Quantize(samples[i], 32768));
                break;
            case WavFormat.Pcm24:
                for (int i = 0; i < samples.Length; i++)
                {
                    int value = Quantize(samples[i], 8388608);
                    (block[3 * i], block[3 * i + 1], block[3 * i + 2]) = ((byte)value, (byte)(value >> 8), (byte)(value >> 16));
                }
                break;
        }
    }

    // 1.0 becomes the largest code, one step lower than it should be; that rounding does not count as clipping.
    private int Quantize(float sample, int fullScale)
    {
        if (Math.Abs(sample) > 1) ClippedSamples++;
        return (int)Math.Clamp(Math.Round((double)sample * fullScale), -fullScale, fullScale - 1);
    }
}
