using System.Buffers.Binary;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace DiffWave.Audio.Tests;

public class WavTests
{
    private static readonly float[] Left = Npy.Read(Fixture.At("wav/samples.npy")).Data[..301];
    private static readonly float[] Right = Npy.Read(Fixture.At("wav/samples.npy")).Data[301..];

    private static AudioClip FromBytes(byte[] bytes, ChannelMix mix = ChannelMix.Average) => WavFile.Read(new MemoryStream(bytes), "test.wav", mix);

    private static byte[] ToBytes(float[] samples, WavFormat format, int rate = 22050)
    {
        var stream = new MemoryStream();
        using var writer = new WavWriter(stream, rate, format, samples.Length);
        writer.Write(samples);
        writer.Complete();
        return stream.ToArray();
    }

    [Theory]
    [InlineData("pcm16_stereo", 2)]
    [InlineData("sox_pcm16_left", 1)]
    [InlineData("sox_pcm24_extensible", 2)]
    [InlineData("sox_pcm32_extensible", 2)]
    [InlineData("sox_float32", 2)]
    [InlineData("sox_float64", 2)]
    [InlineData("sox_6_channels", 6)]
    [InlineData("sox_pipe", 2)]
    [InlineData("ffmpeg_pipe", 2)]
    [InlineData("ffmpeg_pcm24", 2)]
    [InlineData("ffmpeg_float32_tagged", 2)]
    [InlineData("ffmpeg_rf64", 2)]
    public void ReadsWhatSoxFfmpegAndPythonWrite(string name, int channels)
    {
        string path = Fixture.At($"wav/{name}.wav");
        AudioClip first = WavFile.Read(path, ChannelMix.First), average = WavFile.Read(path);
        Assert.Equal((22050, channels), (first.SampleRate, first.SourceChannels));
        Assert.Equal(Left, first.Samples);
        Assert.Equal(channels == 1 ? Left : Left.Zip(Right, (l, r) => (float)(((double)l + r) / 2)), average.Samples);
        AudioClip piped = WavFile.Read(new PipeStream(File.ReadAllBytes(path)), "pipe", ChannelMix.First);
        Assert.Equal(Left, piped.Samples);
    }

    [Theory]
    [InlineData("sox_pcm8_mono", 1)]
    [InlineData("sox_pcm8_stereo", 2)]
    public void ReadsEightBits(string name, int channels)
    {
        AudioClip clip = WavFile.Read(Fixture.At($"wav/{name}.wav"), ChannelMix.First);
        Assert.Equal((301, channels), (clip.Samples.Length, clip.SourceChannels));
        // sox rounds to the nearest of 256 levels and clips at the top one.
        Assert.True(Fixture.MaxDifference(clip.Samples, Left) <= 1.0 / 128);
        Assert.True(clip.Samples.Zip(Left, (a, b) => Math.Abs(a - b)).Average() < 0.3 / 128);
        Assert.Equal(-1f, clip.Samples[0]);
    }

    [Fact]
    public void ExtremeCodesHaveTheDocumentedValues()
    {
        byte[] Wav(int bits, params byte[] data)
        {
            byte[] header = ToBytes([], WavFormat.Pcm16);
            (header[32], header[34]) = ((byte)(bits / 8), (byte)bits);
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(40), data.Length);
            return [.. header, .. data];
        }
        Assert.Equal([-1f, 0f, 127f / 128], FromBytes(Wav(8, 0, 128, 255)).Samples);
        Assert.Equal([-1f, 32767f / 32768, -1f / 32768], FromBytes(Wav(16, 0, 0x80, 0xFF, 0x7F, 0xFF, 0xFF)).Samples);
        Assert.Equal([-1f, 8388607f / 8388608, -1f / 8388608], FromBytes(Wav(24, 0, 0, 0x80, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF)).Samples);
        Assert.Equal([-1f, 1f], FromBytes(Wav(32, 0, 0, 0, 0x80, 0xFF, 0xFF, 0xFF, 0x7F)).Samples); // 2147483647/2147483648 rounds to 1
    }

    [Fact]
    public void WritingThenReadingIsExact()
    {
        // What each format can hold exactly comes back bit for bit, also for odd lengths and through a pipe.
        var clips = ArbMap.Default.GeneratorFor<short[]>().ToArbitrary();
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(clips, codes =>
        {
            float[] samples = [.. codes.Select(c => c / 32768f)];
            foreach (WavFormat format in Enum.GetValues<WavFormat>())
            {
                byte[] bytes = ToBytes(samples, format);
                AudioClip back = FromBytes(bytes), piped = WavFile.Read(new PipeStream(bytes), "pipe");
                Assert.Equal(samples, back.Samples);
                Assert.Equal(samples, piped.Samples);
                Assert.Equal(0, bytes.Length % 2);
                Assert.Equal(bytes.Length - 8, BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4)));
            }
        }));
        var floats = ArbMap.Default.GeneratorFor<NormalFloat[]>().ToArbitrary();
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(floats, values =>
        {
            float[] samples = [.. values.Select(v => (float)v.Item).Where(float.IsFinite)];
            Assert.Equal(samples, FromBytes(ToBytes(samples, WavFormat.Float32)).Samples);
        }));
    }

    [Fact]
    public void PcmClipsAndCounts()
    {
        var stream = new MemoryStream();
        using var writer = new WavWriter(stream, 8000, WavFormat.Pcm16);
        writer.Write([1f, -1f, 1.001f, -7f, 0.25f, 1.5f / 32768]);
        writer.Complete();
        Assert.Equal(3 - 1, writer.ClippedSamples); // 1.0 itself is not counted
        Assert.Equal([32767f / 32768, -1f, 32767f / 32768, -1f, 0.25f, 2f / 32768], FromBytes(stream.ToArray()).Samples);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void NonFiniteSamplesAreNeverWrittenNorRead(float bad)
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.wav");
        WavFile.Write(path, [0.5f], 22050);
        var error = Assert.Throws<NonFiniteSampleException>(() => WavFile.Write(path, [0f, 0f, bad], 22050, WavFormat.Float32));
        Assert.Equal(2, error.Index);
        Assert.Equal([0.5f], WavFile.Read(path).Samples); // untouched
        Assert.Equal(["a.wav"], folder.Files);

        byte[] bytes = ToBytes([0f, 0f, 0f], WavFormat.Float32);
        BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(bytes.Length - 8), bad);
        Fixture.Refused(() => FromBytes(bytes), "test.wav", "sample 1", "finite");
    }

    [Fact]
    public void StreamsOfUnknownLengthAreReadToTheEnd()
    {
        byte[] Streamed(float[] samples, Action<byte[]> sizes)
        {
            byte[] bytes = ToBytes(samples, WavFormat.Pcm16);
            sizes(bytes);
            return bytes;
        }
        float[] clip = [0.5f, -0.25f, 0.125f];
        byte[] zero = Streamed(clip, b => { b.AsSpan(4, 4).Clear(); b.AsSpan(40, 4).Clear(); });
        byte[] zeroKnownHeader = Streamed(clip, b => { BinaryPrimitives.WriteInt32LittleEndian(b.AsSpan(4), 36); b.AsSpan(40, 4).Clear(); });
        byte[] ones = Streamed(clip, b => { b.AsSpan(4, 4).Fill(0xFF); b.AsSpan(40, 4).Fill(0xFF); });
        foreach (byte[] bytes in new[] { zero, zeroKnownHeader, ones, [.. ones, 7] }) // the last one with half a sample at the end
        {
            Assert.Equal(clip, FromBytes(bytes).Samples);
            Assert.Equal(clip, WavFile.Read(new PipeStream(bytes), "pipe").Samples);
        }
        // A data chunk of size 0 inside a RIFF chunk that goes on is an empty clip, not a stream.
        byte[] empty = [.. ToBytes([], WavFormat.Pcm16), .. "LIST"u8, 4, 0, 0, 0, .. "INFO"u8];
        BinaryPrimitives.WriteInt32LittleEndian(empty.AsSpan(4), empty.Length - 8);
        Assert.Empty(FromBytes(empty).Samples);
    }

    [Fact]
    public void WriterStreamsWithoutSeeking()
    {
        float[] clip = [0.5f, -0.25f, 0.125f];
        foreach (WavFormat format in Enum.GetValues<WavFormat>())
        {
            foreach (long? total in new long?[] { 3, null })
            {
                var inner = new MemoryStream();
                using (var pipe = new System.IO.Compression.BrotliStream(inner, System.IO.Compression.CompressionMode.Compress, leaveOpen: true)) // a stream that cannot seek
                {
                    using var writer = new WavWriter(pipe, 16000, format, total);
                    foreach (float sample in clip) writer.Write([sample]);
                    writer.Complete();
                }
                inner.Position = 0;
                var bytes = new MemoryStream();
                new System.IO.Compression.BrotliStream(inner, System.IO.Compression.CompressionMode.Decompress).CopyTo(bytes);
                if (total is not null) Assert.Equal(ToBytes(clip, format, 16000), bytes.ToArray());
                else if (format != WavFormat.Pcm24) Assert.Equal(clip, FromBytes(bytes.ToArray()).Samples);
            }
            var seekable = new MemoryStream();
            using (var writer = new WavWriter(seekable, 16000, format))
            {
                writer.Write(clip);
                Assert.Equal(clip, FromBytes(seekable.ToArray()).Samples); // a killed run leaves a readable file
                writer.Complete();
                Assert.Throws<ObjectDisposedException>(() => writer.Write(clip));
            }
            Assert.Equal(ToBytes(clip, format, 16000), seekable.ToArray());
        }
    }

    [Fact]
    public void WriterRefusesWrongTotalsAndFilesBeyondFourGigabytes()
    {
        using var writer = new WavWriter(new MemoryStream(), 16000, WavFormat.Pcm16, 2);
        writer.Write([0f]);
        Assert.Throws<InvalidOperationException>(writer.Complete);
        Assert.Throws<InvalidOperationException>(() => writer.Write([0f, 0f]));
        Assert.Contains("4 GiB", Assert.Throws<ArgumentOutOfRangeException>(() => new WavWriter(new MemoryStream(), 16000, WavFormat.Float32, 1L << 30)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => new WavWriter(new MemoryStream(), 999, WavFormat.Pcm16));
    }

    [Fact]
    public void ChunksOfOddSizeAreFollowedByAPadByte()
    {
        byte[] bytes = ToBytes([0.5f], WavFormat.Pcm16);
        byte[] odd = [.. bytes[..12], .. "junk"u8, 3, 0, 0, 0, 1, 2, 3, 0, .. bytes[12..]];
        Assert.Equal([0.5f], FromBytes(odd).Samples);
        Assert.Equal([0.5f], WavFile.Read(new PipeStream(odd), "pipe").Samples);
    }

    [Fact]
    public void DamagedFilesAreRefusedWithTheReason()
    {
        byte[] good = ToBytes([0.5f, 0.25f, 0f, 0f], WavFormat.Pcm16);
        byte[] With(int at, params byte[] patch)
        {
            byte[] bytes = (byte[])good.Clone();
            patch.CopyTo(bytes, at);
            return bytes;
        }
        Fixture.Refused(() => FromBytes([]), "test.wav", "empty");
        Fixture.Refused(() => FromBytes(Encoding.ASCII.GetBytes("this is a text file")), "not a WAV file");
        Fixture.Refused(() => FromBytes(good[..^1]), "truncated", "7 bytes", "8 announced");
        Fixture.Refused(() => WavFile.Read(new PipeStream(good[..^1]), "pipe"), "truncated", "7 bytes");
        Fixture.Refused(() => FromBytes(good[..20]), "truncated");
        Fixture.Refused(() => FromBytes(good[..36]), "no data chunk");
        Fixture.Refused(() => FromBytes(With(12, (byte)'x')), "comes before the fmt chunk");
        Fixture.Refused(() => FromBytes(With(16, 8)), "fmt chunk has 8 bytes");
        Fixture.Refused(() => FromBytes(With(20, 2)), "encoding 0x0002", "ffmpeg");
        Fixture.Refused(() => FromBytes(With(22, 0)), "0 channels");
        Fixture.Refused(() => FromBytes(With(22, 65)), "65 channels", "64");
        Fixture.Refused(() => FromBytes(With(24, 1, 0)), "sample rate is 1 Hz");
        Fixture.Refused(() => FromBytes(With(24, 0xFF, 0xFF, 0xFF, 0xFF)), "sample rate is 4294967295 Hz");
        Fixture.Refused(() => FromBytes(With(32, 3)), "block align is 3", "expected 2");
        Fixture.Refused(() => FromBytes(With(34, 12)), "12 bits");
        Fixture.Refused(() => FromBytes(With(40, 7)), "no multiple of the block align");
        Fixture.Refused(() => FromBytes(With(40, 0, 0, 0, 0x70)), "truncated", "1879048192 announced"); // nothing of that size is allocated
        Fixture.Refused(() => WavFile.Read(Fixture.At("wav/ffmpeg_mulaw.wav")), "encoding 0x0007", "ffmpeg");
        Fixture.Refused(() => WavFile.Read(Fixture.At("wav")), "folder");
        Fixture.Refused(() => WavFile.Read(Fixture.At("wav/none.wav")), "no such file");
    }

    [Fact]
    public void Sixty4ChannelsAreAveraged()
    {
        byte[] mono = ToBytes([.. Enumerable.Range(0, 128).Select(i => i / 256f)], WavFormat.Pcm16);
        (mono[22], mono[32]) = (64, 128);
        Assert.Equal([31.5f / 256, 95.5f / 256], FromBytes(mono).Samples);
        Assert.Equal([0f, 0.25f], FromBytes(mono, ChannelMix.First).Samples);
    }
}
