using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace DiffWave.Audio.Tests;

/// <summary>
/// Mutated files made by numpy, sox, ffmpeg and this library. Whatever comes in, a reader gives sound data or an <see cref="InputFileException"/>, within 100 ms and with no
/// more memory than four times the file (8-bit samples become floats) and 1 MiB. Input i depends on i alone; DIFFWAVE_FUZZ_COUNT sets how many run.
/// </summary>
public class FuzzTests
{
    private static readonly MelRecipe Recipe = MelRecipe.Lmnt();
    private static readonly byte[][] Wavs = Corpus("wav", "*.wav");
    private static readonly byte[][] Npys = Corpus("npy", "*.npy");
    private static readonly byte[] Sidecar = Encoding.UTF8.GetBytes(Recipe.ToJson());

    private static byte[][] Corpus(string folder, string pattern) =>
        [.. Directory.GetFiles(Fixture.At(folder), pattern).Order(StringComparer.Ordinal).Select(File.ReadAllBytes)];

    private static int Count => int.TryParse(Environment.GetEnvironmentVariable("DIFFWAVE_FUZZ_COUNT"), CultureInfo.InvariantCulture, out int count) ? count : 20_000;

    [Fact]
    public void WavReaderOnlyEverRefuses() => Run(Count * 2 / 5, Wavs, (bytes, random) =>
    {
        Stream stream = random.Next(2) == 0 ? new MemoryStream(bytes) : new PipeStream(bytes, 1 + random.Next(4096));
        AudioClip clip = WavFile.Read(stream, "fuzz", (ChannelMix)random.Next(2));
        Assert.InRange(clip.SampleRate, 1000, 768000);
        Assert.InRange(clip.Samples.Length, 0, bytes.Length);
        foreach (float sample in clip.Samples) Assert.True(float.IsFinite(sample));
    });

    [Fact]
    public void NpyReaderOnlyEverRefuses() => Run(Count * 2 / 5, Npys, (bytes, random) =>
    {
        using var reader = new NpyReader(new MemoryStream(bytes), "fuzz");
        NpyArray array = reader.ReadAll();
        Assert.Equal(array.Data.Length, array.Shape.Aggregate(1L, (a, b) => a * b));
        if (reader.Shape.SkipLast(2).All(size => size == 1))
            reader.ReadFrames(0, Math.Min(reader.Columns, 3), new float[Math.Min(reader.Columns, 3) * (array.Data.Length == 0 ? 0 : reader.Rows)]);
    });

    [Fact]
    public void MelOpenerOnlyEverRefuses()
    {
        var mel = new MemoryStream();
        float[] values = new MelSpectrogram(Recipe).Compute(WavFile.Read(Fixture.At("speech.wav")).Samples.AsSpan(20000, 1000), out int frames);
        Npy.Write(mel, values, [80, frames]);
        byte[] npy = mel.ToArray();
        Run(Count / 5, [Sidecar], (sidecar, random) =>
        {
            byte[] array = random.Next(2) == 0 ? npy : Mutate(random, [npy]);
            using IMelSource source = MelFile.Open(new MemoryStream(array), "fuzz", random.Next(3) == 0 ? null : new MemoryStream(sidecar), Recipe);
            var part = new float[80];
            source.Read(source.Frames - 1, 1, part);
            foreach (float value in part) Assert.InRange(value, -0.01f, 1.01f);
        });
    }

    private static void Run(int count, byte[][] corpus, Action<byte[], Random> read)
    {
        int refused = 0;
        double slowest = 0;
        long greediest = 0;
        var total = Stopwatch.StartNew();
        for (int i = 0; i < count; i++)
        {
            byte[] bytes = Mutate(new Random(i), corpus);
            double seconds = double.PositiveInfinity;
            for (int attempt = 0; attempt < 3 && seconds > 0.1; attempt++) // a busy machine may steal one attempt, not three
            {
                var random = new Random(i + 1);
                long before = GC.GetAllocatedBytesForCurrentThread();
                var watch = Stopwatch.StartNew();
                try { read(bytes, random); }
                catch (InputFileException) { if (attempt == 0) refused++; }
                catch (Exception e) { Assert.Fail($"input {i} ({Convert.ToBase64String(bytes)}): {e}"); }
                seconds = watch.Elapsed.TotalSeconds;
                long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                Assert.True(allocated <= 4L * bytes.Length + (1 << 20), $"input {i} ({bytes.Length} bytes) made the reader allocate {allocated} bytes");
                greediest = Math.Max(greediest, allocated);
            }
            Assert.True(seconds <= 0.1, $"input {i} ({bytes.Length} bytes) took {seconds:F3} s");
            slowest = Math.Max(slowest, seconds);
        }
        // A mutator that breaks everything, or nothing, tests nothing.
        Assert.InRange(refused, count / 20, count - count / 20);
        TestContext.Current.TestOutputHelper?.WriteLine(FormattableString.Invariant(
            $"{count} inputs, {refused} refused, {count / total.Elapsed.TotalSeconds:F0} a second, slowest {1000 * slowest:F1} ms, most memory {greediest / 1024} KiB"));
    }

    // One to three edits of a file: flipped bits, numbers a parser may trip on, cuts, insertions from a file of the corpus, digits of texts.
    private static byte[] Mutate(Random random, byte[][] corpus)
    {
        byte[] bytes = (byte[])corpus[random.Next(corpus.Length)].Clone();
        int edits = random.Next(8) == 0 ? 0 : 1 + random.Next(3);
        for (int edit = 0; edit < edits; edit++)
        {
            int reach = random.Next(4) == 0 ? bytes.Length : Math.Min(bytes.Length, 140); // headers matter most
            if (reach < 8) return bytes;
            int at = random.Next(reach - 7);
            switch (random.Next(8))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2: // a 16, 32 or 64 bit number
                    ulong[] numbers =
                        [0, 1, 2, 3, 16, 65, 0x7F, 0x7FFF, 0xFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ulong.MaxValue, (ulong)bytes.Length];
                    BitConverter.GetBytes(numbers[random.Next(numbers.Length)]).AsSpan(0, 2 << random.Next(3)).CopyTo(bytes.AsSpan(at));
                    break;
                case 3:
                    bytes = bytes[..random.Next(bytes.Length)];
                    break;
                case 4: // leave some out
                    bytes = [.. bytes[..at], .. bytes[(at + 1 + random.Next(Math.Min(16, bytes.Length - at)))..]];
                    break;
                case 5: // take some in
                    byte[] other = corpus[random.Next(corpus.Length)];
                    int from = random.Next(other.Length);
                    bytes = [.. bytes[..at], .. other[from..Math.Min(other.Length, from + 1 + random.Next(64))], .. bytes[at..]];
                    break;
                case 6: // a digit or sign of a text
                    int digit = Array.FindIndex(bytes, at, b => b is >= (byte)'0' and <= (byte)'9');
                    if (digit >= 0) bytes[digit] = (byte)"0123456789-.eE,("[random.Next(16)];
                    break;
                case 7: // append
                    bytes = [.. bytes, .. new byte[1 + random.Next(9)]];
                    break;
            }
        }
        return bytes;
    }
}
