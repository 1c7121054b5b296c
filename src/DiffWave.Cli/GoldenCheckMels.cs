using System.Globalization;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Mel front ends: <c>mel.safetensors</c> with <c>speech.wav</c> beside it.</summary>
internal static class GoldenCheckMels
{
    public static void Run(GoldenCheckFile file, GoldenCheckModels models)
    {
        AudioClip? speech = models.PathOf("speech.wav") is { } path ? WavFile.Read(path, ChannelMix.First) : null;
        if (speech is null) file.Note("mels and magnitudes: the folder has no speech.wav");
        Front(file, "lmnt", GoldenCheckBounds.FilterbankHtk, speech, (rate, hop, bands, fft) => MelRecipe.Lmnt(rate, hop, bands, fft), models);
        Front(file, "slaney", GoldenCheckBounds.FilterbankSlaney, speech, (rate, hop, bands, fft) => MelRecipe.Tacotron(rate, hop, bands, fft), models);
    }

    private static void Front(GoldenCheckFile file, string name, double filterBound, AudioClip? speech, Func<int, int, int, int, MelRecipe> recipeOf, GoldenCheckModels models)
    {
        if (!file.Has($"{name}.filterbank")) return;
        int[] shape = file.Shape($"{name}.filterbank", 2);
        int bands = shape[0], fft = 2 * (shape[1] - 1);
        MelRecipe? trained = models.FirstWithMel?.Config.Mel;
        int hop = trained?.Hop ?? MelRecipe.Lmnt().Hop, rate = speech?.SampleRate ?? trained?.SampleRate ?? MelRecipe.Lmnt().SampleRate;
        MelRecipe recipe = recipeOf(rate, hop, bands, fft);
        file.Compare($"{name}.filterbank", MelFilterbank.Create(recipe), filterBound, relative: false);
        if (speech is null) return;
        float[] mel = new MelSpectrogram(recipe).Compute(speech.Samples, out _);
        file.Compare($"{name}.mel", mel, recipe.Compression == MelCompression.Decibel01 ? GoldenCheckBounds.Mel : GoldenCheckBounds.MelFloat64);
        file.Compare($"{name}.mel_from_f64", mel, GoldenCheckBounds.MelFloat64);
        if (name == "lmnt") Magnitudes(file, speech, recipe);
    }

    // stft_mag.frames_100_107 [bins, 8]: frames 100 to 107, both included.
    private static void Magnitudes(GoldenCheckFile file, AudioClip speech, MelRecipe recipe)
    {
        const string Prefix = "stft_mag.frames_";
        var stft = new Stft(recipe.FftSize, recipe.WindowLength, recipe.Hop);
        foreach (string name in file.Names.Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            string[] ends = name[Prefix.Length..].Split('_');
            if (ends.Length != 2 || !int.TryParse(ends[0], NumberStyles.None, null, out int first) || !int.TryParse(ends[1], NumberStyles.None, null, out int last) || last < first || last >= stft.Frames(speech.Samples.Length))
                throw new ModelFormatException(file.Path, $"tensor '{name}' does not name frames of speech.wav, expected {Prefix}<first>_<last>");
            int count = last - first + 1;
            double[] rows = new double[count * stft.Bins], columns = new double[rows.Length];
            stft.Magnitudes(speech.Samples, first, count, rows);
            for (int f = 0; f < count; f++)
                for (int bin = 0; bin < stft.Bins; bin++) columns[bin * count + f] = rows[f * stft.Bins + bin];
            file.Compare(name, columns, GoldenCheckBounds.MagnitudeRelative, relative: true);
        }
    }
}
