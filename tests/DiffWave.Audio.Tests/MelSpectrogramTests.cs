using MathNet.Numerics.IntegralTransforms;

namespace DiffWave.Audio.Tests;

public class MelSpectrogramTests
{
    private static readonly float[] Speech = WavFile.Read(Fixture.At("speech.wav")).Samples;

    [Fact]
    public void LmntMelEqualsTorchaudio()
    {
        float[] mel = new MelSpectrogram(MelRecipe.Lmnt()).Compute(Speech, out int frames);
        Assert.Equal(259, frames);
        Assert.True(Fixture.MaxDifference(mel, Fixture.Tensor("mel.safetensors", "lmnt.mel").Data) < 1e-4);
        Assert.True(Fixture.MaxDifference(mel, Fixture.Tensor("mel.safetensors", "lmnt.mel_from_f64").Data) < 2e-6);
    }

    [Fact]
    public void TacotronMelEqualsLibrosa()
    {
        float[] mel = new MelSpectrogram(MelRecipe.Tacotron()).Compute(Speech, out int frames);
        Assert.Equal(259, frames);
        Assert.True(Fixture.MaxDifference(mel, Fixture.Tensor("mel.safetensors", "slaney.mel").Data) < 1e-5);
    }

    [Fact]
    public void FilterbanksEqualTorchaudioAndLibrosa()
    {
        // torchaudio computes its matrix in float32 throughout: edges near 10 kHz carry 1e-3 Hz of rounding, slopes are down to 1/22 Hz.
        Assert.True(Fixture.MaxDifference(MelFilterbank.Create(MelRecipe.Lmnt()), Fixture.Tensor("mel.safetensors", "lmnt.filterbank").Data) < 1e-4);
        Assert.True(Fixture.MaxDifference(MelFilterbank.Create(MelRecipe.Tacotron()), Fixture.Tensor("mel.safetensors", "slaney.filterbank").Data) < 1e-8);
    }

    [Fact]
    public void StftMagnitudesEqualTheReference()
    {
        (double[] expected, int[] shape) = Fixture.Tensor("mel.safetensors", "stft_mag.frames_100_107"); // [513, 8]
        var stft = new Stft(1024, 1024, 256);
        var magnitudes = new double[8 * stft.Bins];
        stft.Magnitudes(Speech, 100, 8, magnitudes);
        double[] transposed = [.. Enumerable.Range(0, expected.Length).Select(i => magnitudes[i % shape[1] * shape[0] + i / shape[1]])];
        Assert.True(Fixture.MaxDifference(transposed, expected) < 2e-6 * expected.Max()); // the reference is stored as float32
    }

    [Theory]
    [InlineData("lmnt_16k")]
    [InlineData("tacotron_24k")]
    [InlineData("lmnt_11025_fft_600")]
    [InlineData("tacotron_short")]
    public void OtherRecipesEqualNumpy(string name)
    {
        float[] clip = Npy.Read(Fixture.At("mel/clip.npy")).Data;
        (MelRecipe recipe, float[] samples) = name switch
        {
            "lmnt_16k" => (MelRecipe.Lmnt(16000, 300, 128, 2048), clip.Select(x => 3 * x).ToArray()),
            "tacotron_24k" => (MelRecipe.Tacotron(24000, 300, 100, 2048) with { HighHz = 12000 }, clip),
            "lmnt_11025_fft_600" => (MelRecipe.Lmnt(11025, 125, 40, 600), clip[..3000]),
            _ => (MelRecipe.Tacotron(), clip[..100]),
        };
        NpyArray expected = Npy.Read(Fixture.At($"mel/{name}.npy"));
        float[] mel = new MelSpectrogram(recipe).Compute(samples, out int frames);
        Assert.Equal(expected.Shape, new[] { recipe.Bands, frames });
        Assert.True(Fixture.MaxDifference(mel, expected.Data) < 2e-6); // both rounded once to float32; values up to 11
    }

    [Fact]
    public void BlocksOfFramesEqualTheWholeBitForBit()
    {
        var spectrogram = new MelSpectrogram(MelRecipe.Lmnt());
        float[] mel = spectrogram.Compute(Speech, out int frames);
        foreach (int block in new[] { 1, 33, 259 })
            for (int first = 0; first < frames; first += block)
            {
                int count = Math.Min(block, frames - first);
                var part = new float[count * 80];
                spectrogram.ComputeFrames(Speech, first, count, part);
                for (int f = 0; f < count; f++)
                    for (int band = 0; band < 80; band++) Assert.Equal(mel[band * frames + first + f], part[f * 80 + band]);
            }
    }

    [Fact]
    public void ASingleSampleIsAConstantSignal()
    {
        float[] mel = new MelSpectrogram(MelRecipe.Tacotron()).Compute([0.5f], out int frames);
        float[] constant = new MelSpectrogram(MelRecipe.Tacotron()).Compute(Enumerable.Repeat(0.5f, 2048).ToArray(), out int many);
        Assert.Equal(1, frames);
        for (int band = 0; band < 80; band++) Assert.Equal(constant[band * many + 4], mel[band], 6);
    }

    [Fact]
    public void BadInputIsRefused()
    {
        var spectrogram = new MelSpectrogram(MelRecipe.Lmnt());
        Assert.Throws<ArgumentException>(() => spectrogram.Compute([], out _));
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity })
        {
            var samples = new float[1000];
            samples[700] = bad;
            Assert.Contains("sample 700", Assert.Throws<ArgumentException>(() => spectrogram.Compute(samples, out _)).Message);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => spectrogram.ComputeFrames(Speech, 259, 1, new float[80]));
        Assert.Throws<ArgumentOutOfRangeException>(() => spectrogram.ComputeFrames(Speech, -1, 1, new float[80]));
        Assert.Throws<ArgumentException>(() => spectrogram.ComputeFrames(Speech, 0, 2, new float[80]));
        Assert.Throws<ArgumentException>(() => new MelSpectrogram(MelRecipe.Lmnt() with { Hop = 0 }));
    }

    [Fact]
    public void FftEqualsMathNetAtAnySize()
    {
        var random = new Random(5);
        foreach (int size in Enumerable.Range(2, 40).Concat([64, 100, 127, 240, 1000, 1024, 1200, 2048, 4097]))
        {
            double[] input = [.. Enumerable.Range(0, size).Select(_ => 2 * random.NextDouble() - 1)];
            System.Numerics.Complex[] expected = [.. input.Select(x => new System.Numerics.Complex(x, 0))];
            Fourier.Forward(expected, FourierOptions.Matlab);
            var fft = new RealFft(size);
            var output = new (double Re, double Im)[fft.Bins];
            fft.Transform(input, output, new (double, double)[fft.WorkSize]);
            for (int k = 0; k < output.Length; k++)
                Assert.True((new System.Numerics.Complex(output[k].Re, output[k].Im) - expected[k]).Magnitude < 1e-13 * size, $"size {size}, bin {k}");
        }
    }
}
