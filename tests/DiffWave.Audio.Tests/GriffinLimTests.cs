using MathNet.Numerics.LinearAlgebra;

namespace DiffWave.Audio.Tests;

public class GriffinLimTests
{
    private static readonly float[] Speech = WavFile.Read(Fixture.At("speech.wav")).Samples[10000..40000];

    private static double[] Noise(int samples, int seed = 4)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, samples).Select(_ => 2 * random.NextDouble() - 1)];
    }

    private static double[] MagnitudesOf(Stft stft, ReadOnlySpan<float> samples)
    {
        var magnitudes = new double[stft.Frames(samples.Length) * stft.Bins];
        stft.Magnitudes(samples, 0, stft.Frames(samples.Length), magnitudes);
        return magnitudes;
    }

    private static double RelativeDifference(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double error = 0, energy = 0;
        for (int i = 0; i < b.Length; i++) (error, energy) = (error + (a[i] - b[i]) * (a[i] - b[i]), energy + b[i] * b[i]);
        return Math.Sqrt(error / energy);
    }

    [Fact]
    public void InverseFftUndoesTheTransformAtAnySize()
    {
        foreach (int size in Enumerable.Range(2, 20).Concat([64, 100, 127, 600, 1024, 2048]))
        {
            double[] signal = Noise(size), back = new double[size];
            var fft = new RealFft(size);
            (double, double)[] spectrum = new (double, double)[fft.Bins], scratch = new (double, double)[fft.Bins], work = new (double, double)[fft.WorkSize];
            fft.Transform(signal, spectrum, work);
            fft.Inverse(spectrum, back, scratch, work);
            Assert.True(RelativeDifference(back, signal) < 1e-13, $"size {size}");
        }
    }

    [Theory]
    [InlineData(1024, 1024, 256, 5000)]
    [InlineData(1024, 600, 120, 4096)]
    [InlineData(600, 500, 125, 3001)]
    [InlineData(1024, 1024, 1000, 10000)]
    [InlineData(1024, 1024, 256, 100)] // shorter than half a frame: reflected back and forth
    [InlineData(512, 512, 128, 1)]
    public void InverseUndoesTheTransform(int fft, int window, int hop, int samples)
    {
        var stft = new Stft(fft, window, hop);
        double[] signal = Noise(samples);
        Assert.True(RelativeDifference(stft.Inverse(stft.Forward(signal), samples), signal) < 1e-9);
    }

    [Fact]
    public void ForwardHasTheMagnitudesOfMagnitudes()
    {
        var stft = new Stft(1024, 1024, 256);
        double[] expected = MagnitudesOf(stft, Speech);
        Assert.True(RelativeDifference([.. stft.Forward([.. Speech.Select(x => (double)x)]).Select(x => Math.Sqrt(x.Re * x.Re + x.Im * x.Im))], expected) < 1e-14);
    }

    // The least-squares signal of spectra that no signal has: another signal, nearer or farther by small steps, never fits better.
    [Fact]
    public void InverseIsTheNearestSignal()
    {
        var stft = new Stft(64, 48, 12);
        const int Samples = 200;
        double[] random = Noise(2 * stft.Frames(Samples) * stft.Bins);
        (double Re, double Im)[] spectra = [.. Enumerable.Range(0, random.Length / 2).Select(i => (random[2 * i], i % stft.Bins % 32 == 0 ? 0 : random[2 * i + 1]))];
        double Error(double[] signal) => stft.Forward(signal).Select((x, i) =>
            (i % stft.Bins % 32 == 0 ? 1 : 2) * (Math.Pow(x.Re - spectra[i].Re, 2) + Math.Pow(x.Im - spectra[i].Im, 2))).Sum();
        double[] nearest = stft.Inverse(spectra, Samples);
        double least = Error(nearest);
        foreach (int seed in Enumerable.Range(0, 20))
        {
            double[] direction = Noise(Samples, seed);
            foreach (double step in new[] { -1e-3, 1e-3 }) Assert.True(Error([.. nearest.Zip(direction, (x, d) => x + step * d)]) > least);
        }
    }

    // Griffin and Lim's theorem, which holds only for an exact least-squares inverse.
    [Theory]
    [InlineData(1024, 1024, 256)]
    [InlineData(600, 500, 125)]
    public void TheErrorNeverGrows(int fft, int window, int hop)
    {
        var stft = new Stft(fft, window, hop);
        var errors = new List<double>();
        double[] signal = GriffinLim.FromMagnitudes(MagnitudesOf(stft, Speech), stft, Speech.Length, 60, seed: 1, (iteration, error) =>
        {
            Assert.Equal(errors.Count, iteration);
            errors.Add(error);
        });
        Assert.Equal(60, errors.Count);
        for (int i = 1; i < errors.Count; i++) Assert.True(errors[i] < errors[i - 1], $"iteration {i}: {errors[i]} after {errors[i - 1]}");
        double[] reached = MagnitudesOf(stft, [.. signal.Select(x => (float)x)]);
        Assert.True(RelativeDifference(reached, MagnitudesOf(stft, Speech)) < 0.4 * errors[0]);
    }

    [Fact]
    public void TheSameSeedGivesTheSameSignal()
    {
        var stft = new Stft(512, 512, 128);
        double[] magnitudes = MagnitudesOf(stft, Speech.AsSpan(0, 5000));
        double[] Make(ulong seed) => GriffinLim.FromMagnitudes(magnitudes, stft, 5000, 3, seed);
        Assert.Equal(Make(7), Make(7));
        Assert.NotEqual(Make(7), Make(8));
    }

    public static TheoryData<MelRecipe> Recipes => [MelRecipe.Lmnt(), MelRecipe.Tacotron(), MelRecipe.Lmnt(16000, 300, 64, 2048)];

    [Theory, MemberData(nameof(Recipes))]
    public void AToneComesBackFromItsMel(MelRecipe recipe)
    {
        const int Samples = 16000;
        var spectrogram = new MelSpectrogram(recipe);
        int tonesBand = recipe.Bands / 4; // the tone stands under the top of its triangle
        (int first, double[] weights) = spectrogram.Filters[tonesBand];
        double toneHz = (first + Array.IndexOf(weights, weights.Max())) * (double)recipe.SampleRate / recipe.FftSize;
        float[] tone = [.. Enumerable.Range(0, Samples).Select(n => 0.5f * (float)Math.Sin(2 * Math.PI * toneHz * n / recipe.SampleRate))];
        float[] mel = spectrogram.Compute(tone, out int frames);
        float[] copy = GriffinLim.FromMel(mel, recipe, Samples);
        Assert.Equal(Samples, copy.Length);
        // Away from the ends, nearly all of the copy's energy lies within 100 Hz of the tone (a mel blurs a line over a band or two), and the loudest band is the tone's, as loud within 3 dB.
        var stft = new Stft(4096, 4096, 1024);
        double[] magnitudes = MagnitudesOf(stft, copy);
        double near = 0, all = 0;
        for (int f = 4; f < stft.Frames(Samples) - 4; f++)
            for (int k = 0; k < stft.Bins; k++)
            {
                double hz = (double)k * recipe.SampleRate / 4096, power = magnitudes[f * stft.Bins + k] * magnitudes[f * stft.Bins + k];
                all += power;
                if (Math.Abs(hz - toneHz) < 100) near += power;
            }
        Assert.True(near > 0.9 * all, $"{near / all}");
        float[] melOfCopy = spectrogram.Compute(copy, out _);
        double decibels = recipe.Compression == MelCompression.Decibel01 ? 100 : 20 / Math.Log(10);
        for (int f = 8; f < frames - 8; f++)
        {
            Assert.Equal(tonesBand, Enumerable.Range(0, recipe.Bands).MaxBy(band => melOfCopy[band * frames + f]));
            Assert.InRange(decibels * (melOfCopy[tonesBand * frames + f] - mel[tonesBand * frames + f]), -3, 3);
        }
    }

    // The usual short cut: the pseudo-inverse of the filters, negative magnitudes set to 0 (here by MathNet, in float64).
    [Theory, MemberData(nameof(Recipes))]
    public void InvertedMelsFitBetterThanTheClampedPseudoInverse(MelRecipe recipe)
    {
        var spectrogram = new MelSpectrogram(recipe);
        float[] mel = spectrogram.Compute(Speech, out int frames);
        int bins = recipe.FftSize / 2 + 1;
        double scale = recipe.WindowNormalized ? 1 / Math.Sqrt(new Stft(recipe.FftSize, recipe.WindowLength, recipe.Hop).Window.Sum(w => w * w)) : 1;
        Matrix<double> bank = Matrix<double>.Build.DenseOfRowMajor(recipe.Bands, bins, MelFilterbank.Create(recipe)) * scale;
        Matrix<double> target = Matrix<double>.Build.Dense(recipe.Bands, frames,
            (band, f) => recipe.Compression == MelCompression.NaturalLog ? Math.Exp(mel[band * frames + f]) : Math.Pow(10, 5.0 * mel[band * frames + f] - 4));
        double Misfit(Matrix<double> magnitudes) => (bank * magnitudes - target).FrobeniusNorm() / target.FrobeniusNorm();
        double[] inverted = MelInversion.Magnitudes(mel, recipe);
        Assert.All(inverted, magnitude => Assert.True(magnitude >= 0));
        double ours = Misfit(Matrix<double>.Build.Dense(bins, frames, (k, f) => inverted[f * bins + k]));
        double clamped = Misfit((bank.PseudoInverse() * target).PointwiseMaximum(0));
        Assert.True(ours < 1e-4 && ours < 0.1 * clamped, $"{ours}, clamped pseudo-inverse {clamped}");
    }

    [Fact]
    public void OddInputIsTakenOrRefused()
    {
        MelRecipe recipe = MelRecipe.Lmnt();
        Assert.All(GriffinLim.FromMel(new float[80 * 4], recipe, 900, 2), x => Assert.InRange(x, -0.01f, 0.01f)); // the quietest mel
        Assert.All(GriffinLim.FromMel([.. Enumerable.Repeat(1e30f, 80)], recipe, 1, 2), x => Assert.True(float.IsFinite(x)));
        Assert.All(GriffinLim.FromMagnitudes(new double[5 * 513], new Stft(1024, 1024, 256), 1024, 2), x => Assert.Equal(0, x));
        Assert.Throws<ArgumentException>(() => GriffinLim.FromMel(new float[81], recipe, 900));
        Assert.Throws<ArgumentException>(() => GriffinLim.FromMel(new float[80 * 4], recipe, 1024)); // five frames
        Assert.Throws<ArgumentException>(() => MelInversion.Magnitudes([.. Enumerable.Repeat(float.NaN, 80)], recipe));
        Assert.Throws<ArgumentOutOfRangeException>(() => GriffinLim.FromMel(new float[80], recipe, 0));
    }
}
