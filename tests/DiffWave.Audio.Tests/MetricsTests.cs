namespace DiffWave.Audio.Tests;

public class MetricsTests
{
    private static readonly float[] Speech = WavFile.Read(Fixture.At("speech.wav")).Samples;

    private static float[] Noise(int samples, int seed = 3)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, samples).Select(_ => random.NextSingle() - 0.5f)];
    }

    private static double[] Finite(AudioDistance distance)
    {
        double[] values = [distance.LogMelL1, distance.LogSpectralDistanceDb, distance.MelCepstralDistortionDb, distance.SpectralConvergence, distance.LogStftMagnitudeL1, distance.SnrDb ?? 0];
        Assert.All(values, value => Assert.True(double.IsFinite(value), $"{distance}"));
        return values;
    }

    // Printed by tools/audio-distance.py tests/Fixtures/audio/speech.wav: independent float64 numpy code, whose filter bank is that of make_fixtures.py. Spectral convergence and log magnitude
    // L1 are what torch.stft of torch 1.13 gives, to all digits. Log mels are stored as float32 here, hence 1e-6.
    [Fact]
    public void AllFiguresEqualNumpy()
    {
        float[] changed = [.. Speech.Select((x, n) => (float)(0.8 * x - 0.3 * (n < 5 ? 0 : Speech[n - 5]) + 0.5 * x * x))];
        AudioDistance distance = AudioDistance.Between(Speech, changed, 22050);
        Assert.Equal(0.496054504602, distance.LogMelL1, 1e-6);
        Assert.Equal(6.32326229311, distance.LogSpectralDistanceDb, 1e-9);
        Assert.Equal(5.12726397182, distance.MelCepstralDistortionDb, 1e-6);
        Assert.Equal(0.355164385158, distance.SpectralConvergence, 1e-11);
        Assert.Equal(0.467519789221, distance.LogStftMagnitudeL1, 1e-11);
        Assert.Equal(6.54895666323, distance.SnrDb!.Value, 1e-10);
    }

    // By hand: a factor a moves every magnitude by ln a, or 20 log10 a dB, leaves the shape of the cepstrum, and |X| - |aX| = (1 - a) |X|.
    [Theory]
    [InlineData(0.5f, 22050)]
    [InlineData(2f, 16000)]
    [InlineData(0.25f, 48000)]
    [InlineData(-0.5f, 8000)]
    public void AFactorGivesWhatTheFormulasSay(float a, int rate)
    {
        float[] noise = [.. Noise(rate).Select(x => 1000 * x)]; // loud, so that next to no magnitude is near a floor
        AudioDistance distance = AudioDistance.Between(noise, [.. noise.Select(x => a * x)], rate);
        double log = Math.Abs(Math.Log(Math.Abs(a)));
        Assert.Equal(log, distance.LogMelL1, 1e-6);
        Assert.Equal(20 * log / Math.Log(10), distance.LogSpectralDistanceDb, 1e-9);
        Assert.Equal(0, distance.MelCepstralDistortionDb, 1e-5);
        Assert.Equal(Math.Abs(1 - Math.Abs(a)), distance.SpectralConvergence, 1e-9);
        Assert.Equal(log, distance.LogStftMagnitudeL1, 1e-6);
        Assert.Equal(-20 * Math.Log10(Math.Abs(1 - a)), distance.SnrDb!.Value, 1e-9);
    }

    // A ripple A cos(pi d (j + 1/2) / 80) of the log magnitudes has a root mean square of A / sqrt 2 nepers, 10 sqrt 2 / ln 10 * A dB; loudness and ripples finer than d = 13 do not count.
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(7, 1)]
    [InlineData(13, 1)]
    [InlineData(14, 0)]
    public void CepstralDistortionIsTheRippleInDecibels(int d, double seen)
    {
        const double A = 0.3;
        float[] flat = [.. Enumerable.Repeat(-2f, 80)], ripple = [.. Enumerable.Range(0, 80).Select(j => (float)(-2 + A * Math.Cos(Math.PI * d * (j + 0.5) / 80)))];
        Assert.Equal(seen * 10 * Math.Sqrt(2) / Math.Log(10) * A, MelDistance.CepstralDistortion(flat, ripple), 1e-5);
    }

    [Fact]
    public void EqualSignalsHaveNoDistance()
    {
        foreach (float[] signal in new[] { Speech, Noise(5000), new float[3000], [0.5f], [0f] })
            Assert.Equal(new AudioDistance(0, 0, 0, 0, 0, null), AudioDistance.Between(signal, signal, 22050));
    }

    [Fact]
    public void SilenceAndExtremesStayFinite()
    {
        float[] silence = new float[3000], noise = Noise(3000), loud = [.. Enumerable.Range(0, 3000).Select(i => i % 3 == 0 ? float.MaxValue : float.MinValue)];
        AudioDistance lost = AudioDistance.Between(noise, silence, 22050), invented = AudioDistance.Between(silence, noise, 22050);
        Assert.Equal(0, lost.SnrDb!.Value); // all of the signal is error
        Assert.Null(invented.SnrDb);
        Assert.InRange(lost.SpectralConvergence, 0.99, 1);
        foreach (AudioDistance distance in new[] { lost, invented, AudioDistance.Between(loud, noise, 22050), AudioDistance.Between(noise, loud, 1000), AudioDistance.Between([1e-30f], [-1e-38f], 768000) })
            Assert.All(Finite(distance)[..5], value => Assert.True(value >= 0));
        Assert.Equal(lost.LogSpectralDistanceDb, invented.LogSpectralDistanceDb, 1e-9);
        Assert.Equal(lost.LogMelL1, invented.LogMelL1, 1e-9);
    }

    [Fact]
    public void MoreNoiseIsFartherByEveryFigure()
    {
        float[] noise = Noise(Speech.Length);
        double[][] distances = [.. new[] { 0.001f, 0.01f, 0.1f }.Select(level => Finite(AudioDistance.Between(Speech, [.. Speech.Zip(noise, (x, z) => x + level * z)], 22050)))];
        for (int i = 1; i < distances.Length; i++)
        {
            for (int figure = 0; figure < 5; figure++) Assert.True(distances[i][figure] > distances[i - 1][figure]);
            Assert.Equal(20, distances[i - 1][5] - distances[i][5], 1e-3); // ten times the noise, rounded to float32
        }
    }

    [Theory]
    [InlineData(1000, 1024)]
    [InlineData(22050, 1024)]
    [InlineData(32000, 1024)]
    [InlineData(44100, 2048)]
    [InlineData(48000, 2048)]
    [InlineData(96000, 4096)]
    [InlineData(768000, 32768)]
    public void EveryBandOfEveryRateHoldsABin(int rate, int fft)
    {
        MelRecipe recipe = MelDistance.Recipe(rate);
        Assert.Equal((fft, fft, fft / 4, 80), (recipe.FftSize, recipe.WindowLength, recipe.Hop, recipe.Bands));
        foreach ((_, double[] weights) in new MelSpectrogram(recipe).Filters) Assert.Contains(weights, weight => weight > 0);
    }

    [Fact]
    public void BadInputIsRefused()
    {
        Assert.Contains("9 samples, expected as many as the reference has: 10", Assert.Throws<ArgumentException>(() => AudioDistance.Between(new float[10], new float[9], 22050)).Message);
        Assert.Throws<ArgumentException>(() => AudioDistance.Between([], [], 22050));
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity })
        {
            float[] broken = new float[3000];
            broken[2000] = bad;
            Assert.Contains("sample 2000", Assert.Throws<ArgumentException>(() => AudioDistance.Between(new float[3000], broken, 22050)).Message);
            Assert.Throws<ArgumentException>(() => AudioDistance.Between(broken, new float[3000], 22050));
        }
    }
}
