namespace DiffWave.Audio.Tests;

public class MelFileTests
{
    private static readonly float[] Speech = WavFile.Read(Fixture.At("speech.wav")).Samples;
    private static readonly MelRecipe Lmnt = MelRecipe.Lmnt(), Tacotron = MelRecipe.Tacotron();

    private static string Write(TemporaryFolder folder, float[] mel, params int[] shape)
    {
        string path = folder.At("a.npy");
        Npy.Write(path, mel, shape);
        return path;
    }

    private static float[] Read(IMelSource mel)
    {
        var frames = new float[mel.Frames * mel.Bands];
        mel.Read(0, mel.Frames, frames);
        return frames;
    }

    [Fact]
    public void AMelComesBackWithItsRecipe()
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("speech.npy");
        foreach (MelRecipe recipe in new[] { Lmnt, Tacotron })
        {
            float[] mel = new MelSpectrogram(recipe).Compute(Speech, out int frames);
            MelFile.Write(path, mel, frames, recipe);
            Assert.Equal(["speech.npy", "speech.npy.json"], folder.Files);
            Assert.Equal(recipe, MelRecipe.FromJson(File.ReadAllText(MelFile.SidecarPath(path)), "x"));
            using IMelSource source = MelFile.Open(path, recipe with { Name = "another name" });
            using var memory = new MemoryMel(mel, 80, frames);
            Assert.Equal((80, 259), (source.Bands, source.Frames));
            Assert.Equal(Read(memory), Read(source));
            Assert.Equal(mel[80 / 2 * frames + 100], Read(source)[100 * 80 + 40]);
            var part = new float[2 * 80];
            source.Read(257, 2, part);
            Assert.Equal(Read(source)[(257 * 80)..], part);
            Assert.Throws<ArgumentOutOfRangeException>(() => source.Read(258, 2, part));
            Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(258, 2, part));
        }
    }

    [Fact]
    public void ARecipeThatDiffersIsNamedFieldByField()
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.npy");
        MelFile.Write(path, new float[80], 1, Lmnt);
        Fixture.Refused(() => MelFile.Open(path, Lmnt with { SampleRate = 24000, HighHz = 12000, Hop = 300 }),
            "a.npy.json", "sample_rate: 24000, 22050", "hop: 300, 256", "high_hz: 12000, 11025", "diffwave mel");
    }

    [Theory]
    [InlineData("{}", "required properties")]
    [InlineData("null", "null")]
    [InlineData("[", "not a mel recipe")]
    [InlineData("EXTRA", "surprise")]
    [InlineData("TWICE", "hop")]
    [InlineData("RANGE", "hop is 0")]
    [InlineData("NUMBER", "scale")]
    public void TheSidecarIsReadStrictly(string json, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.npy");
        MelFile.Write(path, new float[80], 1, Lmnt);
        string good = File.ReadAllText(path + ".json");
        File.WriteAllText(path + ".json", json switch
        {
            "EXTRA" => good.Replace("{", "{\"surprise\": 1,"),
            "TWICE" => good.Replace("{", "{\"hop\": 256,"),
            "RANGE" => good.Replace("\"hop\": 256", "\"hop\": 0"),
            "NUMBER" => good.Replace("\"htk\"", "0"),
            _ => json,
        });
        Fixture.Refused(() => MelFile.Open(path, Lmnt), "a.npy.json", expected);
    }

    [Fact]
    public void WrongShapesAreExplained()
    {
        using var folder = new TemporaryFolder();
        Fixture.Refused(() => MelFile.Open(Write(folder, new float[200], 100, 2), Lmnt), "80 bands expected, 100 found", "diffwave mel");
        Fixture.Refused(() => MelFile.Open(Write(folder, new float[160], 2, 80), Lmnt), "transposed", "[2, 80]");
        Fixture.Refused(() => MelFile.Open(Write(folder, new float[80], 80), Lmnt), "[80]", "[80, frames]");
        Fixture.Refused(() => MelFile.Open(Write(folder, new float[320], 2, 80, 2), Lmnt), "[2, 80, 2]");
        Fixture.Refused(() => MelFile.Open(Write(folder, [], 80, 0), Lmnt), "no frames");
        using IMelSource batchOfOne = MelFile.Open(Write(folder, new float[160], 1, 80, 2), Lmnt);
        Assert.Equal(2, batchOfOne.Frames);
    }

    [Fact]
    public void ValuesOfAnotherRecipeAreRecognised()
    {
        using var folder = new TemporaryFolder();
        float[] lmnt = new MelSpectrogram(Lmnt).Compute(Speech, out int frames), tacotron = new MelSpectrogram(Tacotron).Compute(Speech, out _);
        Fixture.Refused(() => MelFile.Open(Write(folder, lmnt, 80, frames), Tacotron), "lmnt recipe", "0..1", "tacotron");
        Fixture.Refused(() => MelFile.Open(Write(folder, tacotron, 80, frames), Lmnt), "natural logarithms", "lmnt, 0 to 1");
        float[] decibels = [.. lmnt.Select(x => 100 * x - 80)], symmetric = [.. lmnt.Select(x => 8 * x - 4)];
        Fixture.Refused(() => MelFile.Open(Write(folder, decibels, 80, frames), Lmnt), "decibels");
        Fixture.Refused(() => MelFile.Open(Write(folder, decibels, 80, frames), Tacotron), "decibels");
        Fixture.Refused(() => MelFile.Open(Write(folder, symmetric, 80, frames), Lmnt), "symmetric range");
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity })
        {
            float[] broken = (float[])lmnt.Clone();
            broken[3 * frames + 17] = bad;
            Fixture.Refused(() => MelFile.Open(Write(folder, broken, 80, frames), Lmnt), "band 3, frame 17", "finite");
        }
        MelFile.Open(Write(folder, Enumerable.Repeat((float)Math.Log(1e-5), 80).ToArray(), 80, 1), Tacotron).Dispose(); // silence
        MelFile.Open(Write(folder, new float[80], 80, 1), Lmnt).Dispose();
    }

    [Fact]
    public void ALongMelIsReadInBoundedMemory()
    {
        using var folder = new TemporaryFolder();
        const int frames = 100_000; // 19 minutes, 32 MB
        string path = folder.At("long.npy");
        Npy.Write(path, new float[80 * frames], [80, frames]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using IMelSource mel = MelFile.Open(path, Lmnt);
        var block = new float[80 * 256];
        for (int first = 0; first + 256 <= frames; first += 256) mel.Read(first, 256, block);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }
}
