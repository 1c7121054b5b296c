using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave tune</c>: which cut of its kernels is the fastest on this GPU.</summary>
internal static class TuneCommand
{
    private const string Description = "Measure which cut of the residual blocks is the fastest on a GPU, and remember it.";

    private const string Notes = """
        The kernels that compute a layer on tensor cores (--precision tf32, fp16, bf16) cut time into tiles, and
        there are several ways to. A rule chooses well for most; this measures them all for one model and length,
        a line a dilation, and keeps the fastest for every later run on the same GPU, driver and version of this
        program whose launches have as many samples, rounded down to a power of two. Sounds stay the same bit
        for bit; only times change. The file stands in the user's folder for caches (diffwave/tuning); the environment variable
        DIFFWAVE_TUNING names another folder, or is off. Removing it goes back to the rule.

        --json prints device, precision, channels, bands, batch (of a launch), rows (of a launch), file and blocks (dilation, tile,
        neighbours, microseconds, usual_tile, usual_neighbours, usual_microseconds).
        """;

    private const string Examples = """
        # for the base vocoder, ten seconds at a time, in fp16
        diffwave tune --config base
        # for a model of one's own and batches of eight clips of four seconds
        diffwave tune --model voice.safetensors --seconds 4 --batch 8 --precision bf16
        """;

    public static Command Create(Session session)
    {
        var model = new Option<string?>("--model", "-m") { HelpName = "MODEL", Description = "Model file to tune for" };
        var config = new Option<string?>("--config") { HelpName = "PRESET|FILE.json", Description = $"Instead of a model, its configuration: a preset ({string.Join(", ", ModelConfig.PresetNames)}) or a file" };
        Option<string> precision = Options.Choice("--precision", "What it is to compute with", "fp16", "bf16", "tf32");
        Option<double?> seconds = Options.Number("--seconds", "S", 0.001, 600, "Length of a clip; default: 10");
        Option<int> batch = Options.Whole("--batch", "N", 1, 4096, 1, "Clips computed at once");
        Option<DeviceName> device = Options.Device(description: "Where: GPU number N, or auto: the first GPU that works");
        Option<bool> json = Options.Json();
        var verb = new Verb("tune", Description, Notes, Examples) { model, config, precision, seconds, batch, device, json };
        verb.Validators.Add(result =>
        {
            if (result.GetResult(model) is null == result.GetResult(config) is null) result.AddError("give either --model or --config");
        });
        verb.SetAction(parsed =>
        {
            (ModelConfig resolved, Parameters parameters) = Weights(parsed.GetValue(model), parsed.GetValue(config));
            using ICudaDriver driver = OpenGpu(parsed.GetValue(device));
            TileTuning tuning = TileTuning.Open(driver) ?? throw new UsageException($"there is no place to keep the result: {TileTuning.Variable} is off, or the user has no home folder; set it to a folder");
            using var ops = new CudaOps(driver, new CudaOptions { Precision = Options.PrecisionOf(parsed.GetValue(precision))!.Value });
            session.Log($"device: {ops.Device}");
            ops.Load(resolved, parameters);
            (int clips, int rows) = Launch(ops, resolved, parsed.GetValue(batch), checked((int)Math.Ceiling((parsed.GetValue(seconds) ?? 10) * resolved.SampleRate / resolved.Hop) * resolved.Hop));
            IReadOnlyList<TunedBlock> found;
            try { found = ops.Tune(clips, rows, cancel: session.Cancel); }
            catch (NotSupportedException e) when (e is not UnsupportedPrecisionException) { throw new UsageException(e.Message); }
            OutputPath.Writing(tuning.Path, () => { tuning.Keep(found); return true; });
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(Json(ops, resolved, clips, rows, tuning.Path, found)));
            else WriteText(session.Out, found, tuning.Path);
            return ExitCode.Ok;
        });
        return verb;
    }

    private static (ModelConfig, Parameters) Weights(string? model, string? config)
    {
        if (config is not null)
        {
            ModelConfig resolved = ConfigEditor.Resolve(config, []);
            return (resolved, Initializer.Create(resolved, 0));
        }
        Model loaded = TorchImport.Import(model!, new TorchImportOptions());
        return (loaded.Config, loaded.Parameters);
    }

    // What a launch gets of the clips: as many as are made together, and of a long one perhaps a window.
    private static (int Clips, int Rows) Launch(CudaOps ops, ModelConfig config, int clips, int samples)
    {
        using var sampler = new Sampler(config, ops);
        int together = sampler.Together(new SamplerRequest
        {
            Steps = SamplerStep.Chain(new NoiseSchedule(config.FastBetas), new NoiseSchedule(config.TrainingBetas)),
            Noise = new SeededNoise(0),
            Lengths = [.. Enumerable.Repeat<long>(samples, clips)],
            Mels = config.HasMel ? [.. Enumerable.Repeat(new MemoryMel(new float[config.Bands * (samples / config.Hop)], config.Bands, samples / config.Hop), clips)] : null,
            Labels = config.HasLabel ? new int[clips] : [],
        });
        int window = ops.WindowRows(config, together, samples);
        return (together, window > 0 ? window : samples);
    }

    private static ICudaDriver OpenGpu(DeviceName device)
    {
        switch (device.Kind)
        {
            case DeviceKind.Cpu or DeviceKind.Emulator: throw new UsageException($"--device {device}: only a GPU has cuts to choose from and a clock to do it by; give auto, cuda or cuda:N");
            case DeviceKind.Cuda: return Gpus.Open(device);
        }
        (ICudaDriver? driver, _, Exception? whyNone) = Gpus.First();
        return driver ?? throw new NoSuchDeviceException($"tuning needs a GPU: {Gpus.Reason(whyNone!)}");
    }

    private static void WriteText(TextWriter output, IReadOnlyList<TunedBlock> found, string path)
    {
        output.WriteLine($"{"dilation",8}  {"tile",-22}  {"neighbours",10}  {"us",8}  {"by rule",-22}  {"neighbours",10}  {"us",8}  {"gain",6}");
        foreach (TunedBlock block in found)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{block.Shape.Dilation,8}  {block.Cut.Tile,-22}  {block.Cut.Neighbours,10}  {block.Microseconds,8:f1}  {block.Usual.Tile,-22}  {block.Usual.Neighbours,10}  {block.UsualMicroseconds,8:f1}  {block.UsualMicroseconds / block.Microseconds - 1,6:p1}"));
        output.WriteLine($"kept in {path}");
    }

    private static JsonObject Json(CudaOps ops, ModelConfig config, int batch, int rows, string path, IReadOnlyList<TunedBlock> found) => new()
    {
        ["device"] = ops.Device,
        ["precision"] = ops.Precision.ToString().ToLowerInvariant(),
        ["channels"] = config.Channels,
        ["bands"] = config.Bands,
        ["batch"] = batch,
        ["rows"] = rows,
        ["file"] = path,
        ["blocks"] = new JsonArray([.. found.Select(block => new JsonObject
        {
            ["dilation"] = block.Shape.Dilation,
            ["tile"] = block.Cut.Tile,
            ["neighbours"] = block.Cut.Neighbours,
            ["microseconds"] = block.Microseconds,
            ["usual_tile"] = block.Usual.Tile,
            ["usual_neighbours"] = block.Usual.Neighbours,
            ["usual_microseconds"] = block.UsualMicroseconds,
        })]),
    };
}
