using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>One thing to synthesize.</summary>
/// <param name="Path">Mel or audio file; null when there is none.</param>
/// <param name="Output">The WAV file to write; <c>-</c> for stdout.</param>
/// <param name="Picture">The PNG file to write, or null.</param>
internal sealed record SynthesisItem(string? Path, string Output, string? Picture);

/// <summary>Finds the inputs a command line names and gives each its outputs.</summary>
internal static class SynthesisInputs
{
    public const string Stdout = "-";

    /// <summary>Lists what to do. Nothing is written yet, but every name has been checked.</summary>
    /// <exception cref="UsageException">Names that do not fit together.</exception>
    /// <exception cref="InputFileException">A file that does not exist, or a folder without anything to synthesize.</exception>
    /// <exception cref="IOException">An output that cannot be written.</exception>
    public static IReadOnlyList<SynthesisItem> Expand(SynthesisRequest request)
    {
        string[] given = request.Mels.Length > 0 ? request.Mels : request.Wavs;
        bool several = given.Length > 1 || given.Any(Directory.Exists);
        if (several && request.Output == Stdout) throw new UsageException("-o - takes one input, several given");
        IReadOnlyList<InputFile> files = request.Mels.Length > 0
            ? InputFiles.List(given, path => Path.GetExtension(path).Equals(".npy", StringComparison.OrdinalIgnoreCase), ".npy")
            : InputFiles.List(given, AudioFile.HasKnownExtension, "audio");
        if (files.Count == 0) files = [new InputFile("", "diffwave")];

        string[] outputs = request.Output switch
        {
            Stdout => [Stdout],
            null => [.. files.Select(file => file.Path.Length == 0 ? "diffwave.wav" : $"{Path.GetFileName(file.Stem)}.diffwave.wav")],
            var output => [.. InputFiles.Pair(files, output, ".wav", several).Select(pair => pair.Output)],
        };
        string[]? pictures = request.Picture is null ? null : [.. InputFiles.Pair(files, request.Picture, ".png", several).Select(pair => pair.Output)];
        string[] written = [.. outputs.Where(output => output != Stdout), .. pictures ?? []];
        if (written.GroupBy(Path.GetFullPath).FirstOrDefault(group => group.Count() > 1) is { } clash)
            throw new UsageException($"two outputs would be {clash.First()}: give -o a folder, or synthesize them one by one");
        foreach (string output in written) OutputPath.Check(output, files.Select(file => file.Path).Where(path => path.Length > 0).Append(request.Model));
        return [.. files.Select((file, i) => new SynthesisItem(file.Path.Length == 0 ? null : file.Path, outputs[i], pictures?[i]))];
    }
}
