using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>The checkpoints <c>step-N.safetensors</c> of a run folder, and <c>latest.json</c>, which names the one to go on from.</summary>
internal static class RunFolderCheckpoints
{
    private const string PointerName = "latest.json";

    private static readonly JsonSerializerOptions PointerJson = StrictJson.Options();

    /// <summary>Every checkpoint by its name, the highest step first; nothing is said about their content.</summary>
    public static List<(long Step, string Path)> List(string folder) =>
        [.. Directory.EnumerateFiles(folder, "step-*.safetensors").Select(path => (Step: StepOf(Path.GetFileName(path)), Path: path))
            .Where(file => file.Step >= 0).OrderByDescending(file => file.Step)];

    /// <summary>Writes a checkpoint, names it in <c>latest.json</c>, then deletes older ones.</summary>
    /// <returns>Path of the checkpoint.</returns>
    public static string Save(string folder, TrainingCheckpoint checkpoint, int keepLast, long keepEvery)
    {
        string path = Path.Combine(folder, NameOf(checkpoint.State.Step)), pointer = Path.Combine(folder, PointerName);
        const string advice = "free space on the disk or mend the access to the folder, then resume the run from its older checkpoints, which are untouched";
        RunFolder.Guarded(path, advice, () => TrainingCheckpoint.Save(path, checkpoint.Config, checkpoint.State, checkpoint.Options, checkpoint.DataFingerprint, checkpoint.Card));
        RunFolder.Guarded(pointer, advice, () =>
        {
            string json = JsonSerializer.Serialize(new Pointer { Step = checkpoint.State.Step, File = Path.GetFileName(path), Sha256 = Sha256(path) }, PointerJson);
            AtomicFile.Write(pointer, stream => stream.Write(Encoding.UTF8.GetBytes(json + "\n")));
        });
        RunFolder.Guarded(folder, "old checkpoints cannot be deleted: mend the access to the folder, then resume the run", () => Prune(folder, checkpoint.State.Step, keepLast, keepEvery));
        return path;
    }

    /// <summary>The checkpoint <c>latest.json</c> names, or when that one is not there or damaged, the highest one that loads. One that may not be read is no reason to take an older one.</summary>
    public static (TrainingCheckpoint? Checkpoint, IReadOnlyList<string> Warnings) Latest(string folder, ModelConfig model)
    {
        var files = List(folder);
        string pointer = Path.Combine(folder, PointerName);
        if (files.Count == 0 && !File.Exists(pointer)) return (null, []);
        var warnings = new List<string>();
        string? refused = null;
        try
        {
            Pointer latest = ReadPointer(pointer);
            refused = Path.Combine(folder, latest.File);
            if (File.Exists(refused) && Sha256(refused) is var found && found != latest.Sha256)
                throw new ModelFormatException(refused, $"has SHA-256 {found}, {PointerName} says {latest.Sha256}: damaged or replaced");
            return (Load(refused, latest.Step, model), warnings);
        }
        catch (Exception e) when (e is ModelFormatException or IOException) { warnings.Add(e.Message); }
        foreach (var (step, path) in files)
        {
            if (path == refused) continue;
            try
            {
                TrainingCheckpoint checkpoint = Load(path, step, model);
                warnings.Add($"{path}: taken instead, the highest checkpoint that loads");
                return (checkpoint, warnings);
            }
            catch (Exception e) when (e is ModelFormatException or IOException) { warnings.Add(e.Message); }
        }
        throw new IOException($"{folder}: none of its checkpoints loads: {string.Join("; ", warnings)}; restore one of them from a copy, or start a new run in another folder");
    }

    /// <summary>The step <c>latest.json</c> names; null when it cannot be read.</summary>
    public static long? LatestStep(string folder)
    {
        try { return ReadPointer(Path.Combine(folder, PointerName)).Step; }
        catch (Exception e) when (e is ModelFormatException or IOException or UnauthorizedAccessException) { return null; }
    }

    private static TrainingCheckpoint Load(string path, long step, ModelConfig model)
    {
        TrainingCheckpoint checkpoint = TrainingCheckpoint.Load(path);
        if (checkpoint.State.Step != step) throw new ModelFormatException(path, $"is of step {checkpoint.State.Step}, its name says {step}");
        if (checkpoint.Config.ToJson() != model.ToJson()) throw new ModelFormatException(path, "is of another model than this run's config.json");
        return checkpoint;
    }

    private static Pointer ReadPointer(string path)
    {
        Pointer? pointer;
        try { pointer = JsonSerializer.Deserialize<Pointer>(File.ReadAllBytes(path), PointerJson); }
        catch (FileNotFoundException e) { throw new ModelFormatException(path, "no such file", e); }
        catch (JsonException e) { throw new ModelFormatException(path, $"is damaged: {StrictJson.Describe(e)}", e); }
        if (pointer is null || pointer.File != NameOf(pointer.Step)) throw new ModelFormatException(path, $"is damaged: names file '{pointer?.File}' for step {pointer?.Step}");
        return pointer;
    }

    // Steps above the present one were left by a run that was resumed further back: they are overwritten when it gets there, and do not count before.
    private static void Prune(string folder, long present, int keepLast, long keepEvery)
    {
        foreach (var (step, path) in List(folder).Where(file => file.Step <= present).Skip(keepLast))
            if (keepEvery == 0 || step % keepEvery != 0) File.Delete(path);
    }

    public static string NameOf(long step) => string.Create(CultureInfo.InvariantCulture, $"step-{step}.safetensors");

    // -1 for any name that NameOf does not make.
    private static long StepOf(string name) =>
        name.Length > 17 && long.TryParse(name.AsSpan(5, name.Length - 17), NumberStyles.None, CultureInfo.InvariantCulture, out long step) && NameOf(step) == name ? step : -1;

    private static string Sha256(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private sealed record Pointer
    {
        public required long Step { get; init; }
        public required string File { get; init; }
        public required string Sha256 { get; init; }
    }
}
