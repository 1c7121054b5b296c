using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave info</c>: what a file is and what it holds.</summary>
internal static class InfoCommand
{
    private const string Description = "Say what a file is and what it holds.";

    private const string Notes = """
        Models: card, configuration, receptive field, mel recipe, statistics of every tensor. Also PyTorch
        checkpoints, safetensors of other programs, configurations, mels and other .npy arrays, and audio. The
        content decides, not the name.
        """;

    private const string Examples = """
        # everything about a model
        diffwave info base.safetensors
        # its configuration, to edit and use with diffwave init --config
        diffwave info base.safetensors --json | jq .config > mine.json
        """;

    public static Command Create(Session session)
    {
        var input = new Argument<string>("file") { HelpName = "FILE", Description = "Any file" };
        Option<bool> json = Options.Json();
        var verb = new Verb("info", Description, Notes, Examples) { input, json };
        verb.SetAction(parsed =>
        {
            FileReport report = FileReport.Of(parsed.GetRequiredValue(input));
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(report.Json));
            else
            {
                int width = report.Lines.Max(line => line.Label.Length);
                foreach ((string label, string text) in report.Lines) session.Out.WriteLine($"{label.PadRight(width)}  {text}");
                if (report.Tensors.Count > 0) TensorStatistics.WriteTable(session.Out, report.Tensors);
            }
            return ExitCode.Ok;
        });
        return verb;
    }
}

/// <summary>What is known about a file: lines for people, an object for programs.</summary>
internal sealed class FileReport
{
    private readonly string _path;

    public JsonObject Json { get; } = [];
    public List<(string Label, string Text)> Lines { get; } = [];
    public List<TensorStatistics> Tensors { get; } = [];

    private FileReport(string path, string kind)
    {
        _path = path;
        long bytes = new FileInfo(path).Length;
        Add("file", path);
        Add("kind", kind);
        Json["file_bytes"] = bytes;
        Lines.Add(("size", Invariant($"{bytes:N0} bytes")));
    }

    /// <summary>Looks into a file.</summary>
    /// <exception cref="InputFileException">It cannot be read, is damaged, or is of no known kind.</exception>
    /// <exception cref="ModelFormatException">It is a damaged or foreign model file.</exception>
    public static FileReport Of(string path)
    {
        if (Directory.Exists(path)) throw new InputFileException(path, "is a folder, expected a file");
        if (!File.Exists(path)) throw new InputFileException(path, "no such file");
        byte[] start = new byte[16];
        int length;
        try
        {
            using FileStream stream = File.OpenRead(path);
            length = stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new InputFileException(path, $"cannot be opened: {e.Message}", e); }
        ReadOnlySpan<byte> magic = start.AsSpan(0, length);

        if (magic.StartsWith((ReadOnlySpan<byte>)[0x93, .. "NUMPY"u8])) return Array(path);
        if (magic.StartsWith("PK\x03\x04"u8) || magic.StartsWith((ReadOnlySpan<byte>)[0x80, 0x02])) return OfModel(path, "PyTorch checkpoint, can be imported", TorchImport.Import(path, new TorchImportOptions()));
        if (magic.Length > 8 && magic[8] == '{') return Safetensors(path);
        if (magic.StartsWith("RIFF"u8) || magic.StartsWith("RF64"u8) || magic.StartsWith("BW64"u8) || magic.StartsWith("fLaC"u8) || magic.StartsWith("OggS"u8) || magic.StartsWith("ID3"u8)
            || AudioFile.HasKnownExtension(path)) return Audio(path);
        if (magic.TrimStart(" \t\r\n"u8).StartsWith("{"u8)) return Configuration(path);
        throw new InputFileException(path, "is of no kind known here: expected safetensors, a PyTorch checkpoint (.pt, .pkl), .npy, a configuration (JSON) or audio");
    }

    private static FileReport Safetensors(string path)
    {
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            if (!file.Metadata.TryGetValue("format", out string? format) || format != Checkpoint.Format) return Foreign(path, file);
        }
        return OfModel(path, "DiffWave model", Checkpoint.Load(path));
    }

    private static FileReport OfModel(string path, string kind, Model model)
    {
        var report = new FileReport(path, kind);
        report.Add("parameters", model.Parameters.Arena.Length);
        var card = JsonNode.Parse(model.Card.ToJson())!.AsObject();
        foreach ((string name, JsonNode? value) in card) report.Lines.Add((name, value!.ToString()));
        report.Json["card"] = card;
        report.AddConfig(model.Config);
        foreach (ParameterInfo info in model.Parameters.Infos) report.Tensors.Add(TensorStatistics.Of(info.Name, info.ShapeText, model.Parameters[info.Name]));
        report.Json["tensors"] = new JsonArray([.. report.Tensors.Select(tensor => tensor.ToJson())]);
        return report;
    }

    // Weights that are not ours: what they are called and whether import knows them.
    private static FileReport Foreign(string path, SafetensorsFile file)
    {
        Model? importable = null;
        string problem = "";
        try { importable = TorchImport.Import(path, new TorchImportOptions()); }
        catch (ModelFormatException e) { problem = e.Message; }
        if (importable is not null) return OfModel(path, "safetensors of another program, can be imported", importable);
        var report = new FileReport(path, "safetensors of another program");
        report.Json["importable"] = false;
        report.Add("import_problem", problem);
        report.Add("tensor_count", file.Entries.Count);
        report.Json["metadata"] = new JsonObject(file.Metadata.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
        report.Json["tensors"] = new JsonArray([.. file.Entries.Select(entry => new JsonObject { ["name"] = entry.Name, ["dtype"] = entry.DType.ToString(), ["shape"] = entry.ShapeText })]);
        foreach ((string key, string value) in file.Metadata) report.Lines.Add(($"metadata {key}", value.Length <= 100 ? value : value[..100] + "..."));
        foreach (SafetensorsEntry entry in file.Entries) report.Lines.Add(("tensor", $"{entry.Name} {entry.DType} {entry.ShapeText}"));
        return report;
    }

    private static FileReport Configuration(string path)
    {
        var report = new FileReport(path, "DiffWave configuration");
        ModelConfig config = ConfigEditor.Resolve(path, []);
        report.Add("parameters", Parameters.CountOf(config));
        report.AddConfig(config);
        return report;
    }

    private static FileReport Array(string path)
    {
        NpyArray array = Npy.Read(path);
        var report = new FileReport(path, "NumPy array");
        string shape = $"[{string.Join(", ", array.Shape)}]";
        report.Lines.Add(("shape", shape));
        report.Json["shape"] = new JsonArray([.. array.Shape.Select(size => JsonValue.Create(size))]);
        report.Tensors.Add(TensorStatistics.Of(Path.GetFileName(path), shape, array.Data));
        report.Json["values"] = report.Tensors[0].ToJson();
        if (File.Exists(MelFile.SidecarPath(path)))
        {
            MelRecipe recipe = MelRecipe.FromJson(File.ReadAllText(MelFile.SidecarPath(path)), MelFile.SidecarPath(path));
            report.Lines.Add(("mel recipe", ConfigText.Recipe(recipe)));
            report.Json["mel_recipe"] = JsonNode.Parse(recipe.ToJson());
        }
        return report;
    }

    private static FileReport Audio(string path)
    {
        AudioClip clip = AudioFile.Read(path);
        var report = new FileReport(path, "audio");
        double squares = 0, peak = 0;
        foreach (float sample in clip.Samples)
        {
            squares += (double)sample * sample;
            peak = Math.Max(peak, Math.Abs(sample));
        }
        report.Add("sample_rate", clip.SampleRate);
        report.Add("channels", clip.SourceChannels);
        report.Add("samples", clip.Samples.Length);
        report.Add("seconds", clip.Seconds);
        report.Add("peak", peak);
        report.Add("rms", Math.Sqrt(squares / clip.Samples.Length));
        return report;
    }

    private void AddConfig(ModelConfig config)
    {
        Lines.AddRange(ConfigText.Lines(config));
        Json["receptive_field_samples"] = config.ReceptiveField;
        Json["receptive_field_ms"] = ConfigText.ReceptiveFieldMs(config);
        Json["config"] = JsonNode.Parse(config.ToJson());
    }

    private void Add<T>(string name, T value)
    {
        Json[name] = JsonValue.Create(value);
        Lines.Add((name.Replace('_', ' '), value is double number ? number.ToString("G6", CultureInfo.InvariantCulture) : Invariant($"{value}")));
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
