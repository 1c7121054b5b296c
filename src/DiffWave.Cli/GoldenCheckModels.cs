using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>The weights in a folder of reference data, imported when first needed.</summary>
internal sealed class GoldenCheckModels
{
    private readonly string _folder;
    private readonly string[] _lmnt; // files in lmnt's layout: safetensors with params, and .pt without such a twin
    private readonly Dictionary<string, Model> _imported = [];

    public GoldenCheckModels(string folder, string[] safetensors)
    {
        _folder = folder;
        string[] plain = [.. safetensors.Where(HasParams)];
        string[] archives = [.. Directory.GetFiles(folder, "*.pt").Where(path => !plain.Contains(Path.ChangeExtension(path, ".safetensors"))).Order(StringComparer.Ordinal)];
        _lmnt = [.. plain, .. archives];
    }

    /// <summary>A file of the folder, or null when it is not there.</summary>
    public string? PathOf(string name) => Path.Combine(_folder, name) is var path && File.Exists(path) ? path : null;

    /// <summary>A model by file.</summary>
    public Model Import(string path)
    {
        if (!_imported.TryGetValue(path, out var model)) _imported[path] = model = TorchImport.Import(path, new TorchImportOptions());
        return model;
    }

    /// <summary>
    /// The weights in lmnt's layout that reference data belongs to: conditioned or not, of the right width; among several the one named like the data's prefix, then the first.
    /// </summary>
    /// <param name="prefix">Prefix of the tensors, e.g. <c>cond</c>.</param>
    /// <param name="conditional">Whether the data has a mel.</param>
    /// <param name="channels">C where the data shows it, else null.</param>
    public Model? Find(string prefix, bool conditional, int? channels = null) => _lmnt
        .OrderBy(path => Path.GetFileName(path).StartsWith(prefix, StringComparison.Ordinal) ? 0 : 1)
        .Select(Import).FirstOrDefault(model => model.Config.HasMel == conditional && (channels is null || model.Config.Channels == channels));

    /// <summary>The recipe of the first conditioned model in lmnt's layout.</summary>
    public Model? FirstWithMel => Find("cond", conditional: true);

    /// <summary>What to say where <see cref="Find"/> finds nothing.</summary>
    public static string Missing(string rows, bool conditional, int? channels = null) =>
        $"{rows}: the folder has no {(conditional ? "conditioned" : "unconditional")} weights{(channels is null ? "" : $" of {channels} channels")} " +
        $"({(conditional ? "cond" : "uncond")}_*.safetensors with params, or .pt)";

    /// <summary>The same weights in PyTorch's own container, imported and compared bit for bit.</summary>
    public void CompareContainers(GoldenCheckFile file)
    {
        Model plain = Import(file.Path);
        foreach (string extension in new[] { ".pt", ".pkl" })
        {
            if (PathOf(file.Stem + extension) is not { } twin) continue;
            Model archive = Import(twin);
            bool same = archive.Config.ToJson() == plain.Config.ToJson();
            file.Add($"config of {file.Stem}{extension}", "equal", [0], [same ? 0 : double.NaN], GoldenCheckBounds.Exact);
            if (!same) continue;
            foreach (var info in plain.Parameters.Infos)
                file.Add($"{file.Stem}{extension}: {info.Name}", info.ShapeText, Bits(plain.Parameters[info.Name]), Bits(archive.Parameters[info.Name]), GoldenCheckBounds.Exact);
        }
    }

    // Bit patterns, so that -0 and 0 differ.
    private static double[] Bits(ReadOnlySpan<float> values)
    {
        double[] bits = new double[values.Length];
        for (int i = 0; i < bits.Length; i++) bits[i] = BitConverter.SingleToInt32Bits(values[i]);
        return bits;
    }

    private static bool HasParams(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return file.Metadata.ContainsKey("params");
    }
}
