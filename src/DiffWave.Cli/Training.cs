using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Runs a training: finds out where to start, opens data, device and folder, trains, and says how it ended.</summary>
internal sealed class Training(Session session, TrainRequest request)
{
    private const double DefaultAverageDecay = 0.999, SampleSeconds = 5;
    private const int SampleClips = 2;

    // Where a run starts: its folder (null as long as there is none), what it was or is configured with, its state, and the data it saw before.
    private sealed record Start(RunFolder? Folder, RunFolderConfig Config, DatasetOptions Data, TrainingState State, ModelCard Card, string? Fingerprint, string Text);

    public int Run()
    {
        if (IsCheckpoint && request.Init is not null) throw new UsageException("--resume FILE and --init exclude each other: the first takes over a whole state, the second only weights");
        Start start = Begin();
        using RunFolder? existing = start.Folder;
        using DeviceChoice device = DeviceChoice.Open(session, request.Device, request.Threads, start.Config.Training.Precision);
        device.RequireTraining(start.Config.Model);
        start = start with { Card = start.Card with { TrainedSteps = Math.Max(0, (start.Card.TrainedSteps ?? 0) - start.State.Step) } }; // those before this run
        if (start.State.Step >= request.Plan.Steps)
        {
            session.Log($"{request.Output}: step {start.State.Step} is done already; --steps {request.Plan.Steps} asks for no more");
            if (existing is null) return ExitCode.Ok;
            existing.SaveModel(start.State, start.Card); // the process may have ended between the last checkpoint and this
            new TrainingReport(session, request, existing, start.Config, start.State.Step).Finish(finished: true, device, existing.CheckpointPath(start.State.Step));
            return ExitCode.Ok;
        }
        Dataset data = Open(start);
        using RunFolder folder = existing ?? RunFolder.Create(request.Output, start.Config); // nothing is left behind when the recordings or the options are no good
        session.Log($"device: {device.Text}");
        session.Log($"{request.Output}: {start.Text}; {ConfigText.Summary(start.Config.Model, start.State.Weights.Arena.Length)}");
        session.Log(Describe(data, start.Config));
        long first = start.State.Step;
        return device.Run(ops => Train(start, folder, data, device, ops), repeatable: () => start.State.Step == first);
    }

    private int Train(Start start, RunFolder folder, Dataset data, DeviceChoice device, IOps ops)
    {
        RunFolderConfig config = start.Config;
        long first = start.State.Step;
        using var trainer = new Trainer(ops, config.Model, config.Training, new ReadAhead(data, config.Training.Batch), start.State);
        bool validates = request.Plan.ValidateEvery > 0 && data.Validation.Count > 0, listens = request.Plan.SampleEvery > 0;
        IOps evaluator = validates || listens ? device.Another() : ops;
        using Validation? validation = validates ? new Validation(evaluator, config.Model, config.Training.Loss, data.Validation) : null;
        TrainingSamples? samples = listens ? new TrainingSamples(evaluator, config.Model, data.Excerpts(SampleClips, SampleSeconds)) : null;
        using var events = new EventFile(folder.EventsFolder, first > 0 ? first : null);
        if (start.State.Step == 0) samples?.WriteReferences(folder, events);
        ModelCard card = start.Card with { Source = start.Card.Source ?? $"diffwave train, {data.Clips} clips" };
        var run = new TrainingRun(folder, events, trainer, start.State, request.Plan, validation, samples, data.Clips, data.Scan.Fingerprint, card);
        session.Interrupt?.Wait();
        var report = new TrainingReport(session, request, folder, config, first);
        try { run.Run(report.Line, session.Cancel); }
        catch (Exception e) when (Gpus.IsFailure(e))
        {
            if (start.State.Step > first) session.Log($"{request.Output}: holds {run.LastCheckpoint ?? "no checkpoint yet"}; the same command goes on from there");
            else if (device.MayFallBack)
            {
                // Nothing of the attempt stays for the one on the CPU.
                events.Dispose();
                File.Delete(events.Path);
                folder.CutLog(first > 0 ? first : -1);
            }
            throw;
        }
        catch (TrainingDivergedException e)
        {
            throw new NotFiniteException($"{request.Output}: stopped: {e.Message}; the last good checkpoint is {run.LastCheckpoint ?? "none"}; start a new run from it (--init) with a smaller --lr or with --clip{(config.Training.Precision == Precision.Fp16 ? ", or in --precision bf16, whose range is wider" : "")}");
        }
        bool finished = start.State.Step >= request.Plan.Steps;
        if (finished) folder.SaveModel(trainer.ReadState(), card);
        report.Finish(finished, device, run.LastCheckpoint);
        return finished ? ExitCode.Ok : session.Interrupt?.ExitCode ?? ExitCode.Interrupted;
    }

    private bool IsCheckpoint => request.Resume is not ("auto" or "never");

    private Start Begin()
    {
        if (request.Resume == "auto" && File.Exists(Path.Combine(request.Output, "config.json"))) return GoOn();
        if (request.Data.Length == 0) throw new UsageException($"--data is missing, and {request.Output} holds no run to go on with");
        DatasetOptions data = request.Dataset(new DatasetOptions { Roots = [.. request.Data.Select(Path.GetFullPath)] });
        if (data.Problem() is { } trouble) throw new UsageException(trouble);
        return New(data);
    }

    // A new run: from random weights, from a model's, or from the whole state of another run.
    private Start New(DatasetOptions data)
    {
        if ((request.Init is not null || IsCheckpoint) && (request.Config is not null || request.Set.Length > 0))
            throw new UsageException("--config and --set do not go with --init and --resume FILE: the model brings its configuration");
        if (IsCheckpoint)
        {
            TrainingCheckpoint checkpoint = TrainingCheckpoint.Load(request.Resume);
            RequireSame(request.Resume, checkpoint.Options.ToJson(), request.Training(checkpoint.Options).ToJson());
            return Of(checkpoint.Config, checkpoint.Options, checkpoint.State, checkpoint.Card, $"new run from step {checkpoint.State.Step} of {request.Resume}");
        }
        TrainingOptions training = request.Training(new TrainingOptions { AverageDecay = DefaultAverageDecay });
        if (training.Problem() is { } problem) throw new UsageException(problem);
        if (request.Init is { } path)
        {
            (ModelConfig model, Parameters weights, ModelCard card) = TorchImport.Import(path, new TorchImportOptions());
            return Of(model, training, new TrainingState(model, weights, training.AverageDecay > 0), card with { Source = null, SourceSha256 = null }, $"new run from the weights of {path}");
        }
        ModelConfig config = ConfigEditor.Resolve(request.Config ?? "small", request.Set);
        return Of(config, training, new TrainingState(config, Initializer.Create(config, training.Seed), training.AverageDecay > 0), new ModelCard(), "new run");

        Start Of(ModelConfig model, TrainingOptions options, TrainingState state, ModelCard card, string text) =>
            new(null, new RunFolderConfig(model, options, Json(data)), data, state, card, null, text);
    }

    private Start GoOn()
    {
        if (request.Init is not null) throw new UsageException($"--init: {request.Output} holds a run already; choose another --out");
        RunFolder folder = RunFolder.Open(request.Output);
        try
        {
            RunFolderConfig config = folder.Config;
            string source = Path.Combine(request.Output, "config.json");
            DatasetOptions stored = Dataset(config.Data, source), dataset = request.Dataset(stored);
            if (request.Data.Length > 0) dataset = dataset with { Roots = [.. request.Data.Select(Path.GetFullPath)] };
            RequireSame(source, config.Training.ToJson(), request.Training(config.Training).ToJson());
            RequireSame(source, Json(stored), Json(dataset));
            if (request.Config is not null || request.Set.Length > 0) RequireSame(source, config.Model.ToJson(), ConfigEditor.Resolve(request.Config ?? "small", request.Set).ToJson());
            (TrainingCheckpoint? checkpoint, IReadOnlyList<string> warnings) = folder.Latest();
            foreach (string warning in warnings.Concat(folder.CutLog(checkpoint?.State.Step ?? -1))) session.Warn(warning);
            if (checkpoint is not null) return new Start(folder, config, dataset, checkpoint.State, checkpoint.Card, checkpoint.DataFingerprint, $"going on from step {checkpoint.State.Step}");
            var state = new TrainingState(config.Model, Initializer.Create(config.Model, config.Training.Seed), config.Training.AverageDecay > 0);
            return new Start(folder, config, dataset, state, new ModelCard(), null, "starting again, no checkpoint was written yet");
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    private Dataset Open(Start start)
    {
        RunFolderConfig config = start.Config;
        Dataset data;
        try
        {
            using var progress = new ProgressReport(session, "reading recordings");
            data = Engine.Dataset.Open(config.Model, config.Training.CropSamples(config.Model), config.Training.Seed, start.Data, progress, session.Cancel);
        }
        catch (ArgumentException e) { throw new UsageException(e.Message); }
        if (start.Fingerprint is { } known && known != data.Scan.Fingerprint)
            throw new UsageException($"{request.Output}: the recordings are not those the run was started with (names, lengths or held-out clips differ); bring them back, or start a new run with --init");
        return data;
    }

    private static string Describe(Dataset data, RunFolderConfig config)
    {
        DatasetScan scan = data.Scan;
        double hours = scan.Clips.Sum(clip => (double)clip.Length) / config.Model.SampleRate / 3600;
        int held = scan.Clips.Count(clip => clip.HeldOut);
        string text = string.Create(CultureInfo.InvariantCulture, $"data: {scan.Clips.Count} clips, {hours:f2} hours, {held} held out; batch {config.Training.Batch} x {config.Training.CropFrames} frames");
        if (scan.Short.Count > 0) text += $"; {scan.Short.Count} shorter than a crop, {(scan.Options.ShortClips == ShortClips.Pad ? "padded" : "skipped")}: {Names(scan.Short.Select(clip => clip.Info.File.Name))}";
        if (scan.Unreadable.Count > 0) text += $"; {scan.Unreadable.Count} unreadable, left out: {Names(scan.Unreadable.Select(file => file.File.Name))}";
        return text;
    }

    private static string Names(IEnumerable<string> names)
    {
        string[] all = [.. names];
        return string.Join(", ", all.Take(5)) + (all.Length > 5 ? $" and {all.Length - 5} more" : "");
    }

    // What a run was started with cannot change: the first field that differs.
    private void RequireSame(string source, string stored, string asked)
    {
        var (was, now) = (JsonNode.Parse(stored)!.AsObject(), JsonNode.Parse(asked)!.AsObject());
        foreach ((string key, JsonNode? value) in now)
            if (!JsonNode.DeepEquals(was[key], value))
                throw new UsageException($"{key} is {was[key]?.ToJsonString() ?? "null"} in {source}, {value?.ToJsonString() ?? "null"} is asked for: a run cannot change it. Leave the option out, or start a new run in another --out (with --init to keep the weights)");
    }

    private static readonly JsonSerializerOptions DataJson = StrictJson.Options();

    // The cache is no property of the data.
    private static string Json(DatasetOptions options) => JsonSerializer.Serialize(options with { CacheBytes = 0 }, DataJson);

    private static DatasetOptions Dataset(string json, string source)
    {
        try { return JsonSerializer.Deserialize<DatasetOptions>(json, DataJson)!; }
        catch (JsonException e) { throw new ModelFormatException(source, $"data: {StrictJson.Describe(e)}", e); }
    }
}
