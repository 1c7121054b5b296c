namespace DiffWave.Audio.Tests;

public class SoundFileTests
{
    private static readonly float[] Original = WavFile.Read(Fixture.At("speech.wav")).Samples[20000..27000];

    private static void NeedsLibrary() => Assert.SkipUnless(SoundFile.IsAvailable, "libsndfile is not installed");

    [Fact]
    public void FlacIsReadExactly()
    {
        NeedsLibrary();
        AudioClip clip = AudioFile.Read(Fixture.At("compressed/speech.flac"));
        Assert.Equal((22050, 1), (clip.SampleRate, clip.SourceChannels));
        Assert.Equal(Original, clip.Samples);
    }

    [Theory]
    [InlineData("mp3", 22050)]
    [InlineData("ogg", 22050)]
    [InlineData("opus", 24000)] // Opus has no 22050 Hz
    public void LossyFormatsResembleTheOriginal(string extension, int rate)
    {
        NeedsLibrary();
        AudioClip clip = AudioFile.Read(Fixture.At($"compressed/speech.{extension}"));
        Assert.Equal(rate, clip.SampleRate);
        float[] decoded = Resampler.Resample(clip.Samples, rate, 22050);
        Assert.InRange(decoded.Length, Original.Length - 10, Original.Length + 2400); // MP3 is padded to whole frames
        // Codecs delay the signal by up to two frames: the best correlation over the delays.
        double best = Enumerable.Range(0, 2400).Max(delay =>
        {
            int n = Math.Min(5000, decoded.Length - delay);
            if (n < 4000) return 0;
            double product = 0, energy = 0, other = 0;
            for (int i = 0; i < n; i++)
            {
                product += decoded[i + delay] * Original[i];
                energy += decoded[i + delay] * decoded[i + delay];
                other += Original[i] * Original[i];
            }
            return product / Math.Sqrt(energy * other + 1e-12);
        });
        Assert.True(best > 0.95, $"correlation {best}");
    }

    [Fact]
    public void TheContentDecidesNotTheName()
    {
        NeedsLibrary();
        using var folder = new TemporaryFolder();
        string named = folder.At("lie.wav");
        File.Copy(Fixture.At("compressed/speech.flac"), named);
        Assert.Equal(Original, AudioFile.Read(named).Samples);
    }

    [Fact]
    public void DamagedFilesAreRefused()
    {
        NeedsLibrary();
        using var folder = new TemporaryFolder();
        string path = folder.At("a.flac");
        foreach (string name in new[] { "speech.flac", "speech.mp3", "speech.ogg", "speech.opus" })
        {
            byte[] whole = File.ReadAllBytes(Fixture.At($"compressed/{name}"));
            File.WriteAllBytes(path, whole[..(whole.Length / 2)]);
            Fixture.Refused(() => AudioFile.Read(path), "a.flac");
        }
        File.WriteAllText(path, "this is a text file, not audio");
        Fixture.Refused(() => AudioFile.Read(path), "a.flac", "libsndfile cannot read it");
        // Random damage: any outcome but a typed error or a clip ends the test.
        var random = new Random(7);
        foreach (string name in new[] { "speech.flac", "speech.ogg" }) // libmpg123 comments on damage on stderr
            for (int i = 0; i < 60; i++)
            {
                byte[] bytes = File.ReadAllBytes(Fixture.At($"compressed/{name}"));
                for (int flips = 0; flips < 8; flips++) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                File.WriteAllBytes(path, bytes);
                try { Assert.NotEmpty(AudioFile.Read(path).Samples); }
                catch (InputFileException e) { Assert.Equal(path, e.Path); }
            }
    }

    [Fact]
    public void WavNeedsNoLibraryAndEmptyClipsAreRefused()
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.wav");
        WavFile.Write(path, [0.5f], 22050);
        Assert.Equal([0.5f], AudioFile.Read(path).Samples);
        WavFile.Write(path, [], 22050);
        Fixture.Refused(() => AudioFile.Read(path), "a.wav", "no samples");
        File.WriteAllBytes(path, []);
        Fixture.Refused(() => AudioFile.Read(path), "a.wav", "empty");
        Fixture.Refused(() => AudioFile.Read(folder.At("b.wav")), "no such file");
        Assert.True(AudioFile.HasKnownExtension("x/y.FLAC"));
        Assert.False(AudioFile.HasKnownExtension("x.npy"));
    }
}
