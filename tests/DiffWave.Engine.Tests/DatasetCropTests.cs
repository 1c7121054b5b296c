using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

/// <summary>Crops: pure functions of their number, every clip once an epoch, aligned, with the mel of the whole clip.</summary>
public sealed class DatasetCropTests : IDisposable
{
    private const int Crop = DatasetFiles.Crop, Hop = DatasetFiles.Hop, Frames = Crop / Hop, Bands = 8;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private Dataset Open(ulong seed = 1, ModelConfig? config = null, int crop = Crop, Func<DatasetOptions, DatasetOptions>? change = null) =>
        Dataset.Open(config ?? DatasetFiles.Vocoder, crop, seed, (change ?? (options => options))(DatasetFiles.All(_folder)));

    private static void Same(TrainingItem a, TrainingItem b)
    {
        Assert.Equal((a.Clip, a.Label, a.ValidSamples), (b.Clip, b.Label, b.ValidSamples));
        Assert.Equal(a.Audio, b.Audio);
        Assert.Equal(a.Mel, b.Mel);
    }

    // Where in its clip a crop of DatasetFiles.Ramp starts.
    private static int Start(TrainingItem item) => (int)(item.Audio[0] * (1 << 18)) - 1;

    [Fact]
    public void EveryEpochTakesEveryClipOnce()
    {
        const int clips = 7;
        for (int i = 0; i < clips; i++) _folder.Ramp($"{i}.wav", 600 + i);
        Dataset data = Open();
        Assert.Equal(clips, data.Clips);
        var orders = new HashSet<string>();
        foreach (long epoch in (long[])[0, 1, 2, 3, 1L << 32, (1L << 32) + 1, 1L << 40])
        {
            string[] visited = [.. Enumerable.Range(0, clips).Select(i => data.Crop(epoch * clips + i).Clip)];
            Assert.Equal(clips, visited.Distinct().Count());
            orders.Add(string.Join(' ', visited));
        }
        Assert.Equal(7, orders.Count); // of 5040: a repetition among 7 has probability 0.004, and the seed is fixed
        Assert.Throws<ArgumentOutOfRangeException>(() => data.Crop(-1));
    }

    // Pearson's chi-squared, bounds at a probability of 1e-4: 25.7 for 5 degrees of freedom, 33.7 for 9.
    [Fact]
    public void OrdersAndStartsAreUniform()
    {
        foreach (string name in (string[])["a.wav", "b.wav", "c.wav"]) _folder.Ramp(name, Crop + 9 * Hop + Hop - 1); // 10 starts; a last part of a frame is never reached
        const int epochs = 3000;
        Dataset data = Open(seed: 42);
        var orders = new Dictionary<string, int>();
        int[] starts = new int[10];
        for (int epoch = 0; epoch < epochs; epoch++)
        {
            TrainingItem[] items = [.. Enumerable.Range(0, 3).Select(i => data.Crop(3 * epoch + i))];
            string order = string.Concat(items.Select(item => item.Clip));
            orders[order] = orders.GetValueOrDefault(order) + 1;
            foreach (TrainingItem item in items)
            {
                Assert.Equal(0, Start(item) % Hop);
                starts[Start(item) / Hop]++;
            }
        }
        Assert.Equal(6, orders.Count);
        Assert.InRange(orders.Values.Sum(n => Math.Pow(n - epochs / 6.0, 2) / (epochs / 6.0)), 0, 25.7);
        Assert.InRange(starts.Sum(n => Math.Pow(n - 3 * epochs / 10.0, 2) / (3 * epochs / 10.0)), 0, 33.7);
    }

    [Fact]
    public void CropsDependOnNumberAndSeedAlone()
    {
        for (int i = 0; i < 5; i++) _folder.Noise($"{i}.wav", 1000 + 300 * i);
        TrainingItem[] expected = [.. Enumerable.Range(0, 23).Select(i => Open().Crop(i))]; // a fresh data set for each
        foreach (long budget in (long[])[0, 9000, 1 << 30])
        {
            Dataset data = Open(change: options => options with { CacheBytes = budget });
            foreach (int i in (int[])[22, 0, 7, 7, 22, .. Enumerable.Range(0, 23)]) Same(expected[i], data.Crop(i));
            Dataset shared = Open(change: options => options with { CacheBytes = budget });
            Parallel.For(0, 23, i => Same(expected[22 - i], shared.Crop(22 - i)));
        }
        var ahead = new ReadAhead(Open(), 4);
        foreach (int i in (int[])[0, 1, 2, 3, 4, 17, 18, 5, 6, 6, 7]) Same(expected[i], ahead.Crop(i));
        Dataset other = Open(seed: 2);
        Assert.NotEqual(expected.Select(item => (item.Clip, item.Audio[0])), Enumerable.Range(0, 23).Select(i => other.Crop(i)).Select(item => (item.Clip, item.Audio[0])));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 30)]
    public void AMelIsThatOfTheWholeClip(long budget)
    {
        float[] noise = _folder.Noise("x.wav", 3000);
        float[] whole = new MelSpectrogram(DatasetFiles.Vocoder.Mel!).Compute(noise, out int frames); // [bands, frames]
        Assert.Equal(1 + 3000 / Hop, frames);
        Dataset data = Open(change: options => options with { CacheBytes = budget });
        for (int i = 0; i < 20; i++)
        {
            TrainingItem item = data.Crop(i);
            int start = noise.AsSpan().IndexOf(item.Audio);
            Assert.True(start >= 0 && start % Hop == 0);
            Assert.Equal(Crop, item.ValidSamples);
            for (int f = 0; f < Frames; f++)
                for (int band = 0; band < Bands; band++) Assert.Equal(whole[band * frames + start / Hop + f], item.Mel![f * Bands + band]);
        }
    }

    [Fact]
    public void ShortClipsArePaddedAndTheirMelWithThem()
    {
        float[] noise = _folder.Noise("x.wav", 100);
        float[] padded = [.. noise, .. new float[Crop - 100]];
        float[] mel = new MelSpectrogram(DatasetFiles.Vocoder.Mel!).Compute(padded, out int frames);
        TrainingItem item = Open().Crop(5);
        Assert.Equal(100, item.ValidSamples);
        Assert.Equal(padded, item.Audio);
        for (int f = 0; f < Frames; f++)
            for (int band = 0; band < Bands; band++) Assert.Equal(mel[band * frames + f], item.Mel![f * Bands + band]);
    }

    [Fact]
    public void WithoutAMelCropsStartAtAnySample()
    {
        _folder.Ramp("x.wav", 1006);
        Dataset data = Open(config: DatasetFiles.Unconditional, crop: 1000);
        int[] starts = [.. Enumerable.Range(0, 200).Select(i => Start(data.Crop(i)))];
        Assert.Equal(Enumerable.Range(0, 7), starts.Distinct().Order()); // one of 7 missing in 200 draws: 3e-13
        Assert.Null(data.Crop(0).Mel);
    }

    [Fact]
    public void OtherRatesAreResampledAsAWhole()
    {
        float[] resampled = Resampler.Resample(_folder.Noise("x.wav", 22050, rate: 44100), 44100, DatasetFiles.Rate);
        Assert.Equal(4000, resampled.Length);
        foreach (long budget in (long[])[0, 1 << 30])
        {
            TrainingItem item = Open(change: options => options with { CacheBytes = budget }).Crop(3);
            Assert.True(resampled.AsSpan().IndexOf(item.Audio) >= 0);
        }
    }

    [Fact]
    public void AFileThatChangedIsRefused()
    {
        _folder.Ramp("x.wav", 600);
        Dataset data = Open(change: options => options with { CacheBytes = 0 });
        data.Crop(0);
        _folder.Ramp("x.wav", 601);
        DatasetFiles.Refused(() => data.Crop(1), "x.wav: 601 samples", "the file has changed");
        DatasetFiles.Refused(() => new ReadAhead(data, 2).Crop(0), "the file has changed");
    }

    // Held out: a.wav has 3 whole crops, b.wav 1 (short), c.wav 4. Of these 8, in order, 4 evenly spaced ones are numbers 1, 3, 5, 7: (2k + 1) 8 / 8.
    [Fact]
    public void ValidationCropsAreSpreadOverTheHeldOutClips()
    {
        _folder.Ramp("a.wav", 3 * Crop + 100);
        _folder.Ramp("b.wav", 70);
        _folder.Ramp("c.wav", 4 * Crop);
        _folder.Ramp("train.wav", 2 * Crop);
        string list = _folder.Text("held.txt", "a\nb\nc\n");
        string[] Taken(int crops, ulong seed) => [.. Open(seed, change: options => options with { HeldOut = list, ValidationCrops = crops }).Validation.Select(item => $"{item.Clip}@{Start(item) / Crop}:{item.ValidSamples}")];
        string[] all = ["a.wav@0:512", "a.wav@1:512", "a.wav@2:512", "b.wav@0:70", "c.wav@0:512", "c.wav@1:512", "c.wav@2:512", "c.wav@3:512"];
        Assert.Equal([all[1], all[3], all[5], all[7]], Taken(4, 1));
        Assert.Equal(Taken(4, 1), Taken(4, 99));
        Assert.Equal(all, Taken(16, 1));
        Assert.Equal([all[4]], Taken(1, 1));
        Dataset data = Open(change: options => options with { HeldOut = list });
        Assert.Equal(["train.wav"], Enumerable.Range(0, 5).Select(i => data.Crop(i).Clip).Distinct());
        Assert.Empty(Open().Validation);
    }
}
