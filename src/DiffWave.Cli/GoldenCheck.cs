using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>One comparison of our numbers with a reference's.</summary>
/// <param name="File">The file the reference numbers come from.</param>
/// <param name="Name">Name of the tensor, or what a note says.</param>
/// <param name="Shape">Shape of the tensor; <c>not checked</c> for a note.</param>
/// <param name="MaxError">Largest absolute difference; NaN when a value is not a number or the shapes differ.</param>
/// <param name="Bound">Largest difference accepted; 0 means bit for bit.</param>
/// <param name="Ok">True when the error is within the bound. A NaN never is.</param>
public sealed record CheckLine(string File, string Name, string Shape, double MaxError, double Bound, bool Ok)
{
    /// <summary>Shape of a line that compares nothing and only says why.</summary>
    public const string NotChecked = "not checked";

    /// <summary>True for a line that only says what could not be compared.</summary>
    public bool IsNote => Shape == NotChecked;
}

/// <summary>
/// Replays reference data of the public PyTorch implementations on a device: forward passes with their intermediates, schedules, whole sampling chains with recorded noise,
/// training steps with every gradient, mels, imported weights. Files are recognised by the tensors they hold, models are described by their own metadata, so data of any
/// configuration laid out the same way will do. A device that computes in less than float32 is asked for predictions and chains of the models it has kernels for, within wider bounds.
/// </summary>
public static class GoldenCheck
{
    /// <summary>Checks every file of a folder that is laid out like the reference data.</summary>
    /// <param name="folder">The folder: <c>*.safetensors</c>, and beside them weights (<c>*.safetensors</c>, <c>.pt</c>, <c>.pkl</c> with <c>.json</c>) and <c>speech.wav</c>.</param>
    /// <param name="ops">The device; loaded with the weights of each model in turn.</param>
    /// <returns>A line for every comparison, in order of file. What lacks its partner file is a line that says so.</returns>
    /// <exception cref="ModelFormatException">A file is damaged, or nothing in the folder can be checked.</exception>
    /// <exception cref="DiffWave.Audio.InputFileException"><c>speech.wav</c> is damaged.</exception>
    public static IReadOnlyList<CheckLine> Run(string folder, IOps ops)
    {
        if (!Directory.Exists(folder)) throw new ModelFormatException(folder, "no such folder, expected one with reference data");
        var lines = new List<CheckLine>();
        string[] paths = [.. Directory.GetFiles(folder, "*.safetensors").Order(StringComparer.Ordinal)];
        var models = new GoldenCheckModels(folder, paths);
        foreach (string path in paths)
        {
            using var file = new GoldenCheckFile(path, lines, ops.Precision);
            try { Check(file, models, ops); }
            // A schedule that cannot be aligned, a step outside the table, a mel too short: the file asks for what the engine refuses.
            catch (ArgumentException e) { throw new ModelFormatException(path, e.Message, e); }
        }
        if (lines.All(line => line.IsNote))
            throw new ModelFormatException(folder, lines.Count == 0
                ? "holds no reference data, expected files such as forward.safetensors and the weights they were made with"
                : $"holds reference data but not what it was made with: {string.Join("; ", lines.Select(line => $"{line.File}: {line.Name}"))}");
        return lines;
    }

    private static void Check(GoldenCheckFile file, GoldenCheckModels models, IOps ops)
    {
        if (file.Metadata.ContainsKey("check_names")) new GoldenCheckOfficial(file, models, ops).Run();
        else if (file.Metadata.ContainsKey("params")) models.CompareContainers(file);
        else if (GoldenCheckTraining.Has(file)) GoldenCheckTraining.Run(file, models, ops);
        else if (file.Names.Any(name => name.EndsWith(".noise_init", StringComparison.Ordinal))) GoldenCheckChains.Run(file, models, ops);
        else if (file.Names.Any(name => name.EndsWith(".filterbank", StringComparison.Ordinal) || name.EndsWith(".mel", StringComparison.Ordinal))) GoldenCheckMels.Run(file, models);
        else if (file.Has("embedding_table") || file.Names.Any(name => name.EndsWith(".output", StringComparison.Ordinal))) GoldenCheckForward.Run(file, models, ops);
    }
}
