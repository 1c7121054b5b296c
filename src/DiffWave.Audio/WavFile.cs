using System.Buffers.Binary;
using System.Globalization;

namespace DiffWave.Audio;

/// <summary>
/// RIFF WAVE files: PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, plain or WAVE_FORMAT_EXTENSIBLE, also RF64/BW64 (EBU Tech 3306) beyond 4 GiB.
/// PCM of b bits is read as x / 2^(b-1), so 16-bit files are read and written without loss.
/// </summary>
public static class WavFile
{
    /// <summary>Reads a file and mixes it down to one channel.</summary>
    /// <param name="path">A file, or a pipe such as /dev/stdin.</param>
    /// <param name="mix">How several channels become one.</param>
    /// <exception cref="InputFileException">Not a WAV file, damaged, truncated, an encoding other than the above, or a sample that is not finite.</exception>
    public static AudioClip Read(string path, ChannelMix mix = ChannelMix.Average)
    {
        using FileStream stream = InputFile.Open(path);
        return Read(stream, path, mix);
    }

    /// <summary>Reads from a stream, seekable or not, from its current position up to the end of the audio data.</summary>
    /// <remarks>
    /// Writers that cannot seek leave the data size at 0xFFFFFFFF (ffmpeg), at about 0x7FFFF000 (sox), or at 0 in a RIFF chunk that ends where the data starts. Such data is
    /// read to the end of the stream, and an incomplete last frame is dropped. Data of any other size must be there in full.
    /// </remarks>
    /// <param name="stream">Bytes of a WAV file.</param>
    /// <param name="name">Name of the source for messages.</param>
    /// <param name="mix">How several channels become one.</param>
    /// <exception cref="InputFileException">As for a file.</exception>
    public static AudioClip Read(Stream stream, string name, ChannelMix mix = ChannelMix.Average) => new WavParser(stream, name).Read(mix);

    /// <summary>Writes mono samples; the file holds its old or its whole new content at any time.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <param name="samples">Finite samples, full scale -1..1.</param>
    /// <param name="sampleRate">Hz, 1000 to 768000.</param>
    /// <param name="format">Encoding of the samples.</param>
    /// <returns>How many samples lay outside -1..1 and were clipped (PCM only).</returns>
    /// <exception cref="NonFiniteSampleException">A sample is NaN or infinite; nothing is written.</exception>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public static long Write(string path, ReadOnlySpan<float> samples, int sampleRate, WavFormat format = WavFormat.Pcm16)
    {
        using var file = new AtomicFile(path);
        using var writer = new WavWriter(file.Stream, sampleRate, format, samples.Length);
        writer.Write(samples);
        writer.Complete();
        file.Commit();
        return writer.ClippedSamples;
    }
}

/// <summary>One forward pass over the chunks of a WAV stream; nothing is allocated before the bytes behind it are known to exist.</summary>
internal sealed class WavParser(Stream stream, string name)
{
    private enum Encoding { Pcm8, Pcm16, Pcm24, Pcm32, Float32, Float64 }

    private readonly record struct Format(Encoding Encoding, int Channels, int SampleRate, int FrameBytes);

    private const ushort TagPcm = 1, TagFloat = 3, TagExtensible = 0xFFFE;
    private const uint Unknown = 0xFFFFFFFF; // the size field of a stream, and of RF64, whose sizes stand in its ds64 chunk
    private const uint StreamedBySox = 0x7FFFF000 - 1024; // what sox writes into a pipe, rounded down to whole frames

    // The tail of every KSDATAFORMAT_SUBTYPE GUID; its first two bytes are a plain format tag.
    private static ReadOnlySpan<byte> SubFormatTail => [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

    private long _position; // bytes consumed, counted here because a pipe has no Position

    public AudioClip Read(ChannelMix mix)
    {
        Span<byte> head = stackalloc byte[12];
        Span<byte> wideSizes = stackalloc byte[16]; // of ds64: RIFF size, data size; the rest is not needed
        int got = Take(head);
        if (got < 12 || !(head.StartsWith("RIFF"u8) || head.StartsWith("RF64"u8) || head.StartsWith("BW64"u8)) || !head[8..].SequenceEqual("WAVE"u8))
            throw Fail(got == 0 ? "the file is empty, expected a WAV file" : "not a WAV file: it does not start with RIFF....WAVE");
        bool wide = !head.StartsWith("RIFF"u8);
        uint riffSize = BinaryPrimitives.ReadUInt32LittleEndian(head[4..]);
        Format? format = null;
        ulong? wideDataSize = null;
        while (true)
        {
            Span<byte> chunk = head[..8];
            if (Take(chunk) < 8) throw Fail(format is null ? "no fmt chunk: the file is truncated or damaged" : "no data chunk: the file is truncated or damaged");
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(chunk[4..]);
            if (chunk.StartsWith("data"u8))
                return ReadData(format ?? throw Fail("the data chunk comes before the fmt chunk: the file is damaged"), DataSize(size, riffSize, wide ? wideDataSize : null), mix);
            if (chunk.StartsWith("fmt "u8)) format = ReadFormat(size);
            else if (wide && chunk.StartsWith("ds64"u8) && size >= 28)
            {
                if (Take(wideSizes) < 16) throw Fail("the ds64 chunk is truncated");
                wideDataSize = BinaryPrimitives.ReadUInt64LittleEndian(wideSizes[8..]);
                Skip(size - 16L);
            }
            else Skip(size);
            if (size % 2 == 1) Skip(1); // chunks start at even offsets
        }
    }

    // How many bytes of audio follow, and whether fewer are an error.
    private (long Size, bool Exact) DataSize(uint size, uint riffSize, ulong? wideSize)
    {
        if (size == Unknown)
        {
            if (wideSize is null or 0 or ulong.MaxValue) return (long.MaxValue, false);
            return wideSize <= long.MaxValue ? ((long)wideSize, true) : throw Fail($"the data size is {wideSize} bytes: the file is damaged");
        }
        if (size == 0 && (riffSize is 0 or Unknown || riffSize + 8L <= _position)) return (long.MaxValue, false);
        return (size, size is < StreamedBySox or > int.MaxValue);
    }

    private Format ReadFormat(uint size)
    {
        Span<byte> fmt = stackalloc byte[40];
        if (size < 16) throw Fail($"the fmt chunk has {size} bytes, expected at least 16");
        fmt = fmt[..(int)Math.Min(size, 40)];
        if (Take(fmt) < fmt.Length) throw Fail("the fmt chunk is truncated");
        Skip(size - fmt.Length);

        ushort tag = BinaryPrimitives.ReadUInt16LittleEndian(fmt);
        int channels = BinaryPrimitives.ReadUInt16LittleEndian(fmt[2..]);
        uint rate = BinaryPrimitives.ReadUInt32LittleEndian(fmt[4..]);
        int frameBytes = BinaryPrimitives.ReadUInt16LittleEndian(fmt[12..]);
        int bits = BinaryPrimitives.ReadUInt16LittleEndian(fmt[14..]);
        if (tag == TagExtensible)
        {
            if (fmt.Length < 40) throw Fail($"the extensible fmt chunk has {size} bytes, expected 40");
            if (!fmt[26..].SequenceEqual(SubFormatTail)) throw Fail("the extensible fmt chunk names an unknown sub-format; convert it to PCM, for example with ffmpeg");
            tag = BinaryPrimitives.ReadUInt16LittleEndian(fmt[24..]);
        }
        if (AudioLimits.Problem(rate, channels) is { } problem) throw Fail(problem);
        Encoding encoding = (tag, bits) switch
        {
            (TagPcm, 8) => Encoding.Pcm8,
            (TagPcm, 16) => Encoding.Pcm16,
            (TagPcm, 24) => Encoding.Pcm24,
            (TagPcm, 32) => Encoding.Pcm32,
            (TagFloat, 32) => Encoding.Float32,
            (TagFloat, 64) => Encoding.Float64,
            (TagPcm or TagFloat, _) => throw Fail($"{bits} bits a sample ({(tag == TagPcm ? "PCM" : "float")}), expected PCM of 8, 16, 24 or 32 or float of 32 or 64"),
            _ => throw Fail($"encoding 0x{tag:X4}, expected PCM or float; convert it, for example with ffmpeg -i in.wav -c:a pcm_s16le out.wav"),
        };
        if (frameBytes != channels * bits / 8) throw Fail($"the block align is {frameBytes} bytes, expected {channels * bits / 8} for {channels} channels of {bits} bits");
        return new Format(encoding, channels, (int)rate, frameBytes);
    }

    private AudioClip ReadData(Format format, (long Bytes, bool Exact) size, ChannelMix mix)
    {
        (long bytes, bool exact) = size;
        long there = stream.CanSeek ? Math.Max(0, stream.Length - stream.Position) : 0;
        if (exact)
        {
            if (bytes % format.FrameBytes != 0) throw Fail($"the data size, {bytes} bytes, is no multiple of the block align, {format.FrameBytes}: the file is damaged");
            if (stream.CanSeek && there < bytes) throw Truncated(there, bytes);
        }
        long knownFrames = Math.Min(there, bytes) / format.FrameBytes;
        if (knownFrames > Array.MaxLength) throw TooLong();

        var mono = new MonoBuffer(format.Channels, mix, (int)knownFrames);
        byte[] block = new byte[Math.Max(1, 65536 / format.FrameBytes) * format.FrameBytes];
        float[] interleaved = new float[block.Length / format.FrameBytes * format.Channels];
        for (long done = 0; done < bytes;)
        {
            int wanted = (int)Math.Min(block.Length, bytes - done);
            int got = Take(block.AsSpan(0, wanted));
            if (exact && got < wanted) throw Truncated(done + got, bytes);
            int frames = got / format.FrameBytes;
            Span<float> samples = interleaved.AsSpan(0, frames * format.Channels);
            Decode(block, format.Encoding, samples);
            for (int i = 0; i < samples.Length; i++)
                if (!float.IsFinite(samples[i])) throw Fail($"sample {mono.Count + i / format.Channels} is {samples[i].ToString(CultureInfo.InvariantCulture)}, expected a finite number");
            if (!mono.Append(samples)) throw TooLong();
            done += got;
            if (got < wanted) break;
        }
        return new AudioClip(mono.ToArray(), format.SampleRate, format.Channels);
    }

    private static void Decode(ReadOnlySpan<byte> bytes, Encoding encoding, Span<float> samples)
    {
        switch (encoding)
        {
            case Encoding.Pcm8: // unsigned, 128 is zero
                for (int i = 0; i < samples.Length; i++) samples[i] = (bytes[i] - 128) / 128f;
                break;
            case Encoding.Pcm16:
                for (int i = 0; i < samples.Length; i++) samples[i] = BinaryPrimitives.ReadInt16LittleEndian(bytes[(2 * i)..]) / 32768f;
                break;
            case Encoding.Pcm24:
                for (int i = 0; i < samples.Length; i++) samples[i] = (bytes[3 * i] | bytes[3 * i + 1] << 8 | (sbyte)bytes[3 * i + 2] << 16) / 8388608f;
                break;
            case Encoding.Pcm32:
                for (int i = 0; i < samples.Length; i++) samples[i] = BinaryPrimitives.ReadInt32LittleEndian(bytes[(4 * i)..]) / 2147483648f;
                break;
            case Encoding.Float32:
                for (int i = 0; i < samples.Length; i++) samples[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes[(4 * i)..]);
                break;
            case Encoding.Float64:
                for (int i = 0; i < samples.Length; i++) samples[i] = (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes[(8 * i)..]);
                break;
        }
    }

    private int Take(Span<byte> buffer)
    {
        int got = InputFile.ReadUpTo(stream, buffer);
        _position += got;
        return got;
    }

    // Past the end is no error here: the next chunk header will be missing, and that message says more.
    private void Skip(long count)
    {
        if (stream.CanSeek)
        {
            stream.Position = Math.Min(stream.Length, stream.Position + count);
            _position += count;
            return;
        }
        byte[] discarded = new byte[(int)Math.Min(count, 65536)];
        while (count > 0)
        {
            int got = Take(discarded.AsSpan(0, (int)Math.Min(count, discarded.Length)));
            if (got == 0) return;
            count -= got;
        }
    }

    private InputFileException TooLong() => Fail($"more than {Array.MaxLength} samples a channel; split the file");

    private InputFileException Truncated(long there, long expected) =>
        Fail($"truncated: {there} bytes of audio data, {expected} announced; copy or record the file again");

    private InputFileException Fail(string problem) => new(name, problem);
}
