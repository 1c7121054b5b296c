using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>Two files to compare.</summary>
/// <param name="Name">What tables call them.</param>
/// <param name="Reference">The recording.</param>
/// <param name="Generated">What was made from it.</param>
internal sealed record EvaluatePair(string Name, string Reference, string Generated);

/// <summary>References and what was generated from them, matched by name.</summary>
/// <param name="Matched">In order of name; at least one.</param>
/// <param name="WithoutGenerated">References without a partner.</param>
/// <param name="WithoutReference">Generated files without a partner.</param>
internal sealed record EvaluatePairs(IReadOnlyList<EvaluatePair> Matched, IReadOnlyList<string> WithoutGenerated, IReadOnlyList<string> WithoutReference)
{
    /// <exception cref="InputFileException">Something does not exist, two files of a folder have one name, or no names match.</exception>
    /// <exception cref="UsageException">A file and a folder.</exception>
    public static EvaluatePairs Find(string reference, string generated)
    {
        bool folders = Directory.Exists(reference);
        if (folders != Directory.Exists(generated) && Path.Exists(reference) && Path.Exists(generated))
            throw new UsageException($"{reference} and {generated}: one is a folder, the other a file; give two files or two folders");
        Dictionary<string, InputFile> references = ByName(reference), copies = ByName(generated);
        if (!folders) return new([new EvaluatePair(generated, reference, generated)], [], []);
        EvaluatePair[] matched = [.. references.Where(entry => copies.ContainsKey(entry.Key)).Select(entry => new EvaluatePair(entry.Key, entry.Value.Path, copies[entry.Key].Path))];
        if (matched.Length == 0)
            throw new InputFileException(generated,
                $"none of its {copies.Count} audio files has the name of one of {references.Count} in {reference}, extensions aside ({copies.First().Key}; {references.First().Key})");
        return new(matched, Without(references, copies), Without(copies, references));
    }

    private static Dictionary<string, InputFile> ByName(string path)
    {
        var files = new Dictionary<string, InputFile>(StringComparer.Ordinal);
        foreach (InputFile file in InputFiles.List([path], AudioFile.HasKnownExtension, "audio"))
            if (!files.TryAdd(file.Stem, file))
                throw new InputFileException(path, $"holds {Path.GetFileName(files[file.Stem].Path)} and {Path.GetFileName(file.Path)}, the same name: which one to compare cannot be told");
        return files;
    }

    private static string[] Without(Dictionary<string, InputFile> files, Dictionary<string, InputFile> partners) =>
        [.. files.Where(entry => !partners.ContainsKey(entry.Key)).Select(entry => entry.Value.Path)];
}

/// <summary>A finished comparison.</summary>
/// <param name="Pair">The files.</param>
/// <param name="SampleRate">Rate of the comparison, in Hz.</param>
/// <param name="Samples">Samples compared.</param>
/// <param name="Distance">The figures.</param>
internal sealed record EvaluatedFile(EvaluatePair Pair, int SampleRate, int Samples, AudioDistance Distance)
{
    private const double LargestLengthDifference = 0.05;

    /// <exception cref="InputFileException">A file cannot be read, or the lengths are too far apart.</exception>
    public static EvaluatedFile Compare(Session session, EvaluatePair pair, ChannelMix mix)
    {
        AudioClip reference = AudioInput.Read(session, pair.Reference, mix);
        float[] generated = AudioInput.Read(session, pair.Generated, reference.SampleRate, "reference", mix);
        int longer = Math.Max(reference.Samples.Length, generated.Length), samples = Math.Min(reference.Samples.Length, generated.Length);
        if (longer - samples > LargestLengthDifference * longer)
            throw new InputFileException(pair.Generated, FormattableString.Invariant(
                $"lasts {(double)generated.Length / reference.SampleRate:F3} s, expected about the {reference.Seconds:F3} s of {pair.Reference}: more than 5 % apart, so not a copy of it"));
        if (generated.Length != reference.Samples.Length)
            session.Log($"{pair.Generated}: {longer - samples} samples {(generated.Length > samples ? "longer" : "shorter")} than its reference; the first {samples} of both are compared");
        return new(pair, reference.SampleRate, samples, AudioDistance.Between(reference.Samples.AsSpan(0, samples), generated.AsSpan(0, samples), reference.SampleRate));
    }

    public JsonObject ToJson()
    {
        var json = new JsonObject { ["reference"] = Pair.Reference, ["generated"] = Pair.Generated, ["sample_rate"] = SampleRate, ["samples"] = Samples };
        foreach ((string name, JsonNode? value) in EvaluateFigures.ToJson(Distance)) json[name] = value?.DeepClone();
        return json;
    }
}
