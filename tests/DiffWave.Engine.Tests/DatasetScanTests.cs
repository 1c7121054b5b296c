using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

/// <summary>What is measured on clips, which are used, and which are held out.</summary>
public sealed class DatasetScanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private ClipInfo Measure(float[] samples, int rate = DatasetFiles.Rate)
    {
        _folder.Wav("x.wav", samples, rate);
        return ClipInfo.Measure(new ClipFile(_folder.File("x.wav"), "x.wav"), ChannelMix.Average);
    }

    [Fact]
    public void MeasuresFollowTheirFormulas()
    {
        ClipInfo info = Measure([0.5f, -0.25f, 0.25f, 0.5f]);
        Assert.Equal((4, DatasetFiles.Rate, 1, 0.5f), (info.Samples, info.SampleRate, info.Channels, info.Peak));
        Assert.Equal(0.25, info.DcOffset);                           // 1 / 4
        Assert.Equal(Math.Sqrt(0.625 / 4), info.Rms, 1e-15);         // squares: 1/4 + 1/16 + 1/16 + 1/4
        Assert.Equal(4.0 / DatasetFiles.Rate, info.Seconds);
        Assert.False(info.Silent);
    }

    [Fact]
    public void ClippingIsThreeOrMoreSamplesAtFullScale()
    {
        Assert.Equal(0, Measure([1, 1, 0, -1, -1, 0.9998f, 1]).ClippedSamples);
        Assert.Equal(3 + 5, Measure([1, -1, 0.9999f, 0, 1, 1, 1, 1, 1.5f, 0, 1, 1]).ClippedSamples);
    }

    [Theory]
    [InlineData(0.0009f, true)]
    [InlineData(0.0011f, false)]
    [InlineData(0f, true)]
    public void SilentIsAPeakBelowMinusSixtyDecibels(float peak, bool silent) => Assert.Equal(silent, Measure([0, -peak, 0]).Silent);

    [Fact]
    public void TrimmingKeepsFiftyMillisecondsAroundWhatIsLouderThanMinusFortyDecibels()
    {
        float[] samples = new float[8000];
        Array.Fill(samples, 0.0049f);                       // -40.2 dB below the peak
        (samples[2000], samples[3000], samples[5000]) = (-0.0051f, 0.5f, 0.0051f);
        ClipInfo info = Measure(samples);
        Assert.Equal((2000 - 400, 5000 + 1 + 400), (info.SoundStart, info.SoundEnd)); // 50 ms are 400 samples
        (samples[100], samples[7900]) = (0.5f, 0.5f);
        Assert.Equal((0, 8000), (Measure(samples).SoundStart, Measure(samples).SoundEnd));
        Assert.Equal((0, 8000), (Measure(new float[8000]).SoundStart, Measure(new float[8000]).SoundEnd)); // nothing to tell apart
    }

    [Fact]
    public void TrimmedClipsAreCutOutOfTheTrimmedPart()
    {
        float[] samples = new float[16000];
        for (int i = 0; i < 4000; i++) samples[6000 + i] = 0.25f + i / 16384f;
        _folder.Wav("x.wav", samples, 16000);
        Clip clip = Assert.Single(DatasetFiles.Scan(DatasetFiles.All(_folder) with { TrimSilence = true }).Clips);
        Assert.Equal((6000 - 800, 4000 + 1600, 2800), (clip.First, clip.Count, clip.Length)); // at 16 kHz, then at 8 kHz
        float[] expected = Resampler.Resample(samples.AsSpan(5200, 5600), 16000, 8000);
        TrainingItem item = Dataset.Open(DatasetFiles.Vocoder, 2752, 0, DatasetFiles.All(_folder) with { TrimSilence = true }).Crop(0); // 43 of its 43 whole frames
        Assert.Equal(expected[..2752], item.Audio);
    }

    [Fact]
    public void ShortClipsArePaddedOrSkipped()
    {
        _folder.Ramp("long.wav", DatasetFiles.Crop);
        _folder.Ramp("short.wav", DatasetFiles.Crop - 1);
        DatasetScan padded = DatasetFiles.Scan(DatasetFiles.All(_folder)), skipped = DatasetFiles.Scan(DatasetFiles.All(_folder) with { ShortClips = ShortClips.Skip });
        Assert.Equal(["long.wav", "short.wav"], padded.Clips.Names());
        Assert.Equal(["long.wav"], skipped.Clips.Names());
        foreach (DatasetScan scan in (DatasetScan[])[padded, skipped]) Assert.Equal(["short.wav"], scan.Short.Names());
        // 512 samples, and 9 frames of 8 bands, in float32
        Assert.Equal(2 * 4 * (512 + 9 * 8), padded.CacheBytes);
    }

    [Fact]
    public void UnreadableFilesStopTrainingUnlessSkipped()
    {
        _folder.Ramp("a.wav", 600);
        _folder.Text("b.wav", "RIFF is how it starts, no more");
        _folder.Wav("c.wav", []);
        DatasetScan scan = DatasetFiles.Scan(DatasetFiles.All(_folder));
        Assert.Equal(["b.wav", "c.wav"], scan.Unreadable.Select(file => file.File.Name));
        Assert.StartsWith("not a WAV file", scan.Unreadable[0].Problem);
        Assert.Equal("holds no samples", scan.Unreadable[1].Problem);
        DatasetFiles.Refused(() => _ = new Dataset(scan, 0), "b.wav: not a WAV file", "2 of the files cannot be read");
        Assert.Equal("a.wav", Dataset.Open(DatasetFiles.Vocoder, DatasetFiles.Crop, 0, DatasetFiles.All(_folder) with { SkipUnreadable = true }).Crop(0).Clip);
        File.Delete(_folder.File("a.wav"));
        DatasetFiles.Refused(() => Dataset.Open(DatasetFiles.Vocoder, DatasetFiles.Crop, 0, DatasetFiles.All(_folder) with { SkipUnreadable = true }), "no usable clip (2 cannot be read");
    }

    // SHA-256 of the names "0.wav" to "11.wav" by Python's hashlib, first four bytes little-endian over 2^32: 2.wav 0.0011, 4.wav 0.0570, 8.wav 0.0889, 1.wav 0.0964, 5.wav 0.1932, 3.wav 0.3473, ...
    [Fact]
    public void TheHashOfTheNameHoldsOut()
    {
        for (int i = 0; i < 12; i++) _folder.Ramp($"{i}.wav", 600);
        string[] Held(double fraction) => DatasetFiles.Scan(DatasetFiles.All(_folder) with { ValidationFraction = fraction }).Clips.Where(clip => clip.HeldOut).Names();
        Assert.Empty(Held(0));
        Assert.Equal(["2.wav"], Held(0.02));
        Assert.Equal(["2.wav", "4.wav", "8.wav"], Held(0.09));
        File.Delete(_folder.File("2.wav"));
        Assert.Equal(["4.wav", "8.wav"], Held(0.09));  // nothing else moved
        Assert.Equal(["4.wav"], Held(0.02));           // at least one
    }

    [Fact]
    public void BothSetsHoldAClip()
    {
        // 0.0011, 0.0570 and 0.0889
        foreach (string name in (string[])["2.wav", "4.wav", "8.wav"]) _folder.Ramp(name, 600);
        var options = DatasetFiles.All(_folder) with { ValidationFraction = 0.5 };
        Assert.Equal(["2.wav", "4.wav"], DatasetFiles.Scan(options).Clips.Where(clip => clip.HeldOut).Names());
        File.Delete(_folder.File("4.wav"));
        File.Delete(_folder.File("8.wav"));
        Assert.False(Assert.Single(DatasetFiles.Scan(options).Clips).HeldOut);
    }

    [Fact]
    public void AListHoldsOut()
    {
        foreach (string name in (string[])["x/a.wav", "x/b.wav", "y/b.wav"]) _folder.Ramp(name, 600);
        string[] Held(string list) => DatasetFiles.Scan(DatasetFiles.All(_folder) with { HeldOut = _folder.Text("held.txt", list) }).Clips.Where(clip => clip.HeldOut).Names();
        Assert.Equal(["x/a.wav", "y/b.wav"], Held("y/b.wav\r\n\r\na.wav\r\n"));
        DatasetFiles.Refused(() => Held("a.wav\nc.wav\n"), "held.txt: line 2: 'c.wav' is no clip");
        DatasetFiles.Refused(() => Held("b.wav\n"), "held.txt: line 1: 'b.wav' fits several files");
        DatasetFiles.Refused(() => Dataset.Open(DatasetFiles.Vocoder, DatasetFiles.Crop, 0, DatasetFiles.All(_folder) with { HeldOut = _folder.Text("held.txt", "a\nx/b\ny/b\n") }), "every clip is held out");
    }

    [Fact]
    public void TheFingerprintTellsEveryChangeThatMatters()
    {
        _folder.Ramp("x/a.wav", 600);
        _folder.Ramp("x/b.wav", 700);
        DatasetOptions options = DatasetFiles.All(_folder);
        string Print(DatasetOptions changed, ModelConfig? config = null, int crop = DatasetFiles.Crop) => DatasetFiles.Scan(changed, config, crop).Fingerprint;
        string first = Print(options);
        Assert.Matches("^[0-9a-f]{64}$", first);
        Assert.Equal(first, Print(options));
        Assert.Equal(first, Print(options with { CacheBytes = 0, SkipUnreadable = true, Roots = [_folder.Path, _folder.File("x")] })); // none of these changes a crop
        string[] others =
        [
            Print(options with { Roots = [_folder.File("x")] }), Print(options with { TrimSilence = true }), Print(options with { Mix = ChannelMix.First }),
            Print(options with { ValidationFraction = 0.5 }), Print(options, DatasetFiles.Unconditional), Print(options, crop: DatasetFiles.Crop / 2),
            Print(options, DatasetFiles.Vocoder with { Mel = DatasetFiles.Vocoder.Mel! with { LowHz = 30 } }),
        ];
        Assert.DoesNotContain(first, others);
        Assert.Equal(others.Length, others.Distinct().Count());
        _folder.Ramp("x/b.wav", 701);
        Assert.NotEqual(first, Print(options));
    }

    [Fact]
    public void UnsoundOptionsAreNamed()
    {
        _folder.Ramp("a.wav", 600);
        DatasetOptions options = DatasetFiles.All(_folder);
        foreach ((DatasetOptions bad, string word) in ((DatasetOptions, string)[])[
            (options with { Roots = [] }, "no folder"), (options with { ValidationFraction = 0.6 }, "validation is 0.6"), (options with { ValidationFraction = double.NaN }, "validation is NaN"),
            (options with { ValidationCrops = 0 }, "validation_crops is 0"), (options with { CacheBytes = -1 }, "cache_bytes is -1"), (options with { Mix = (ChannelMix)7 }, "mix is 7"),
            (options with { ShortClips = (ShortClips)7 }, "short is 7")])
            Assert.Contains(word, Assert.Throws<ArgumentException>(() => DatasetFiles.Scan(bad)).Message);
        foreach (int crop in (int[])[0, -64, 100]) Assert.Contains($"crops of {crop} samples", Assert.Throws<ArgumentException>(() => DatasetFiles.Scan(options, crop: crop)).Message);
    }

    [Fact]
    public void ReadingCanBeStoppedAndTellsItsProgress()
    {
        for (int i = 0; i < 20; i++) _folder.Ramp($"{i}.wav", 600);
        var shares = new List<double>();
        DatasetScan.Read(DatasetFiles.Vocoder, DatasetFiles.Crop, DatasetFiles.All(_folder), new Progress(shares.Add));
        Assert.Equal(Enumerable.Range(1, 20).Select(i => i / 20.0), shares);
        using var cancel = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => DatasetScan.Read(DatasetFiles.Vocoder, DatasetFiles.Crop, DatasetFiles.All(_folder), new Progress(_ => cancel.Cancel()), cancel.Token));
    }

    private sealed class Progress(Action<double> report) : IProgress<double>
    {
        public void Report(double value) => report(value);
    }
}
