using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DiffWave.Audio.Tests;

public class ResamplerTests
{
    private const double Minus90Db = 3.16e-5;

    public static TheoryData<int, int> Rates => new()
    {
        { 44100, 22050 }, { 48000, 22050 }, { 22050, 16000 }, { 16000, 22050 }, { 8000, 44100 }, { 22050, 22051 }, { 44100, 48000 }, { 192000, 22050 }, { 44099, 16001 },
    };

    // Output samples whose filter reaches no end of the clip.
    private static Range Inner(int from, int to, int length)
    {
        int edge = (int)Math.Ceiling(100.0 * Math.Max(1, (double)to / from));
        return edge..(length - edge);
    }

    [Theory]
    [MemberData(nameof(Rates))]
    public void TonesInThePassBandComeOutByFormula(int from, int to)
    {
        double nyquist = Math.Min(from, to) / 2.0;
        foreach (double share in new[] { 0, 0.01, 0.2, 0.5, 0.8, 0.9, 0.93 })
        {
            double w = 2 * Math.PI * share * nyquist;
            float[] input = [.. Enumerable.Range(0, from / 8).Select(n => (float)Math.Cos(w * n / from))];
            float[] output = Resampler.Resample(input, from, to);
            Assert.Equal((int)Math.Ceiling((decimal)input.Length * to / from), output.Length);
            double[] expected = [.. Enumerable.Range(0, output.Length).Select(n => Math.Cos(w * n / to))];
            Range inner = Inner(from, to, output.Length);
            Assert.True(Fixture.MaxDifference(output[inner], expected[inner]) < Minus90Db, $"{share} of Nyquist: {Fixture.MaxDifference(output[inner], expected[inner])}");
        }
    }

    [Theory]
    [InlineData(44100, 22050)]
    [InlineData(48000, 22050)]
    [InlineData(22050, 16000)]
    [InlineData(192000, 22050)]
    [InlineData(44099, 16001)]
    public void TonesAboveTheNewNyquistVanish(int from, int to)
    {
        for (double f = to / 2.0; f < from / 2.0; f *= 1.05)
        {
            float[] input = [.. Enumerable.Range(0, from / 8).Select(n => (float)Math.Cos(2 * Math.PI * f * n / from))];
            float[] output = Resampler.Resample(input, from, to);
            double peak = output[Inner(from, to, output.Length)].Max(x => Math.Abs((double)x));
            Assert.True(peak < Minus90Db, $"{f} Hz leaves {peak}");
        }
    }

    [Theory]
    [MemberData(nameof(Rates))]
    public void ASweepStaysASweep(int from, int to)
    {
        const double seconds = 0.5;
        double top = 0.92 * Math.Min(from, to) / 2;
        double Sweep(double t) => Math.Sin(Math.PI * top / seconds * t * t); // frequency top * t / seconds
        float[] output = Resampler.Resample([.. Enumerable.Range(0, (int)(seconds * from)).Select(n => (float)Sweep((double)n / from))], from, to);
        Range inner = Inner(from, to, output.Length);
        double[] expected = [.. Enumerable.Range(0, output.Length).Select(n => Sweep((double)n / to))];
        Assert.True(Fixture.MaxDifference(output[inner], expected[inner]) < Minus90Db);
    }

    [Fact]
    public void AwkwardLengthsAndRates()
    {
        Assert.Empty(Resampler.Resample([], 44100, 22050));
        Assert.Equal([0.5f, 0.25f], Resampler.Resample([0.5f, 0.25f], 16000, 16000));
        Assert.Single(Resampler.Resample([1f], 44100, 22050));
        Assert.Equal(3, Resampler.Resample([1f], 16000, 44100).Length);
        Assert.Single(Resampler.Resample(new float[700], 768000, 1000));
        Assert.Equal(768, Resampler.Resample([1f], 1000, 768000).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => Resampler.Resample([1f], 0, 22050));
        Assert.Throws<ArgumentOutOfRangeException>(() => Resampler.Resample([1f], 22050, 768001));
        Assert.Throws<ArgumentOutOfRangeException>(() => Resampler.Resample(new float[3000], 1, 768000)); // more than an array holds
        long before = GC.GetAllocatedBytesForCurrentThread();
        Resampler.Resample(new float[1000], 767999, 1009); // a huge ratio with huge terms keeps its filters small
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16 << 20);
    }

    [Fact]
    public void AConstantStaysAConstant()
    {
        float[] output = Resampler.Resample(Enumerable.Repeat(1f, 8000).ToArray(), 48000, 22050);
        Assert.True(output[Inner(48000, 22050, output.Length)].Max(x => Math.Abs(x - 1)) < Minus90Db);
    }

    [Theory]
    [InlineData(44100, 22050)]
    [InlineData(48000, 22050)]
    [InlineData(16000, 22050)]
    [InlineData(22050, 22051)]
    public void AgreesWithSoxr(int from, int to)
    {
        Assert.SkipUnless(NativeLibrary.TryLoad("libsoxr.so.0", out nint library), "libsoxr is not installed");
        float[] speech = Resampler.Resample(WavFile.Read(Fixture.At("speech.wav")).Samples, 22050, from);
        // Limited to 0.8 of the lower Nyquist, because the two filters roll off differently above.
        speech = Resampler.Resample(Resampler.Resample(speech, from, (int)(0.8 * Math.Min(from, to))), (int)(0.8 * Math.Min(from, to)), from);
        float[] ours = Resampler.Resample(speech, from, to);
        float[] theirs = Soxr(library, speech, from, to, ours.Length);
        int length = Math.Min(ours.Length, theirs.Length) - 1000;
        double peak = ours.Max(x => Math.Abs((double)x));
        Assert.InRange(Fixture.MaxDifference(ours[1000..length], theirs[1000..length]) / peak, 0, Minus90Db);
    }

    private static unsafe float[] Soxr(nint library, float[] input, int from, int to, int room)
    {
        // soxr_oneshot(in_rate, out_rate, channels, in, ilen, *idone, out, olen, *odone, io_spec, quality_spec, runtime_spec): float32 in and out by default
        var oneshot = (delegate* unmanaged<double, double, uint, float*, nuint, nuint*, float*, nuint, nuint*, nint, double*, nint, nint>)NativeLibrary.GetExport(library, "soxr_oneshot");
        // soxr_quality_spec: precision in bits, phase response (50: linear), pass-band end and stop-band begin in Nyquists, reserved, flags. soxr's "high quality".
        double* quality = stackalloc double[6] { 20, 50, 0.913, 1, 0, 0 };
        var output = new float[room];
        nuint done, made;
        fixed (float* source = input, target = output)
            Assert.Equal(0, oneshot(from, to, 1, source, (nuint)input.Length, &done, target, (nuint)room, &made, 0, quality, 0));
        return output[..(int)made];
    }

    [Fact]
    public void AMinuteOfCdAudioTakesWellUnderASecond()
    {
        float[] minute = new float[60 * 44100];
        Resampler.Resample(minute, 44100, 22050);
        var watch = Stopwatch.StartNew();
        Resampler.Resample(minute, 44100, 22050);
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 1);
        TestContext.Current.TestOutputHelper?.WriteLine($"{watch.Elapsed.TotalMilliseconds:F0} ms");
    }
}
