using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

/// <summary>Small models and recordings for the tests of data sets.</summary>
internal static class DatasetFiles
{
    public const int Hop = 64, Rate = 8000, Crop = 8 * Hop;

    /// <summary>A vocoder at 8 kHz with a hop of 64 and 8 bands.</summary>
    public static ModelConfig Vocoder { get; } = ModelConfig.Preset("tiny") with { SampleRate = Rate, Mel = MelRecipe.Lmnt(Rate, Hop, 8, 256), UpsampleFactors = [8, 8] };

    /// <summary>The same with neither mel nor label.</summary>
    public static ModelConfig Unconditional { get; } = Vocoder with { Conditioner = Conditioner.None, Mel = null, UpsampleFactors = [] };

    public static ModelConfig Labelled(int labels) => Unconditional with { Conditioner = Conditioner.Label, Labels = labels };

    /// <summary>All clips below a folder, none held out.</summary>
    public static DatasetOptions All(TemporaryFolder folder) => new() { Roots = [folder.Path], ValidationFraction = 0 };

    /// <summary>A clip whose sample n is (first + n) / 2^18, exact in the file and below 1: a crop tells where it comes from.</summary>
    public static float[] Ramp(this TemporaryFolder folder, string name, int samples, int first = 1, int rate = Rate)
    {
        float[] ramp = [.. Enumerable.Range(first, samples).Select(n => n / (float)(1 << 18))];
        folder.Wav(name, ramp, rate);
        return ramp;
    }

    /// <summary>A clip of seeded noise between -1/2 and 1/2.</summary>
    public static float[] Noise(this TemporaryFolder folder, string name, int samples, int rate = Rate)
    {
        var random = new Random(samples);
        float[] noise = [.. Enumerable.Range(0, samples).Select(_ => random.NextSingle() - 0.5f)];
        folder.Wav(name, noise, rate);
        return noise;
    }

    public static void Wav(this TemporaryFolder folder, string name, float[] samples, int rate = Rate)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(folder.File(name))!);
        WavFile.Write(folder.File(name), samples, rate, WavFormat.Float32);
    }

    public static string Text(this TemporaryFolder folder, string name, string text)
    {
        File.WriteAllText(folder.File(name), text);
        return folder.File(name);
    }

    public static DatasetScan Scan(DatasetOptions options, ModelConfig? config = null, int crop = Crop) => DatasetScan.Read(config ?? Vocoder, crop, options);

    public static string[] Names(this IEnumerable<Clip> clips) => [.. clips.Select(clip => clip.Info.File.Name)];

    /// <summary>Asserts a refused input that names every word.</summary>
    public static void Refused(Action action, params string[] words)
    {
        string message = Assert.Throws<InputFileException>(action).Message;
        foreach (string word in words) Assert.Contains(word, message);
    }
}
