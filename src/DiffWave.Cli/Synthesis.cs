using System.Diagnostics;
using System.Globalization;
using DiffWave.Audio;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What <c>diffwave synthesize</c> was asked for.</summary>
internal sealed record SynthesisRequest
{
    public required string Model { get; init; }
    public string[] Mels { get; init; } = [];
    public string[] Wavs { get; init; } = [];
    public ChannelMix Mix { get; init; }
    public int? Label { get; init; }
    public string? Output { get; init; }
    public string? Picture { get; init; }
    public required string Schedule { get; init; }
    public SamplerKind Sampler { get; init; }
    public double? Eta { get; init; }
    public double? Seconds { get; init; }
    public ulong Seed { get; init; }
    public required DeviceName Device { get; init; }
    public Precision Precision { get; init; }
    public int Threads { get; init; }
    public double? ChunkSeconds { get; init; }
    public WavFormat Format { get; init; }
    public bool Json { get; init; }
}

/// <summary>One finished file.</summary>
internal sealed record SynthesizedFile(SynthesisItem Item, long Samples, double WallSeconds, long ClippedSamples);

/// <summary>Runs a synthesis: checks everything that can be checked first, then loads the model, then makes one file after the other.</summary>
internal sealed class Synthesis(Session session, SynthesisRequest request)
{
    private const double ClipWarning = 1e-3;

    public int Run()
    {
        if (request.Eta is not null && request.Sampler != SamplerKind.Ddim) throw new UsageException("--eta belongs to --sampler ddim");
        double[]? betas = request.Schedule is "fast" or "full" ? null : ScheduleText.Parse("--schedule", request.Schedule, "fast, full or ");
        using DeviceChoice device = DeviceChoice.Open(session, request.Device, request.Threads, request.Precision);
        ModelConfig config = null!;
        Sampler sampler = null!;
        device.Prepare(ops =>
        {
            config = LoadModel(ops);
            sampler = new Sampler(config, ops); // its buffers go with the device
        });
        RequireFittingInputs(config);
        IReadOnlyList<SamplerStep> steps = Steps(config, betas);
        IReadOnlyList<SynthesisItem> items = SynthesisInputs.Expand(request);
        bool reportToError = request.Output == SynthesisInputs.Stdout;
        bool announce = !(reportToError && request.Json); // one JSON object alone on stderr can be read by a program
        var files = new List<SynthesizedFile>();
        foreach (SynthesisItem item in items)
        {
            string what = items.Count > 1 ? $"{Path.GetFileName(item.Path)} ({files.Count + 1} of {items.Count})" : "synthesize";
            files.Add(device.Run(_ => Make(item, config, device, sampler, steps, what, announce: announce && files.Count == 0)));
        }
        var report = new SynthesisReport(request, config, device, steps.Count, files);
        report.Write(reportToError ? session.Error : session.Out);
        return ExitCode.Ok;
    }

    // The device keeps its own form of the weights; returning drops the file's.
    private ModelConfig LoadModel(IOps ops)
    {
        Model model = TorchImport.Import(request.Model, new TorchImportOptions()); // a model file, or a checkpoint converted in memory
        ops.Load(model.Config, model.Parameters);
        return model.Config;
    }

    private SynthesizedFile Make(SynthesisItem item, ModelConfig config, DeviceChoice device, Sampler sampler, IReadOnlyList<SamplerStep> steps, string what, bool announce)
    {
        float[]? source = item.Path is not null && request.Wavs.Length > 0 ? AudioInput.Read(session, item.Path, config.SampleRate, "model", request.Mix) : null;
        using IMelSource? mel = item.Path is null ? null : source is null ? MelFile.Open(item.Path, config.Mel!) : Analyse(source, config.Mel!);
        long wanted = (long)Math.Round((request.Seconds ?? 1) * config.SampleRate);
        long length = mel is null ? wanted : (long)mel.Frames * config.Hop;
        if (mel is not null && request.Seconds is not null) length = Math.Min(length, wanted);
        long chunk = request.ChunkSeconds is { } seconds ? Math.Clamp((long)Math.Round(seconds * config.SampleRate), 1, length) : 0;
        var sampling = new SamplerRequest
        {
            Steps = steps,
            Noise = new SeededNoise(request.Seed),
            Lengths = [length],
            Mels = mel is null ? null : [mel],
            Labels = request.Label is { } label ? [label] : [],
            ChunkRows = (int)Math.Min(chunk, int.MaxValue / 2),
        };
        if (item.Picture is not null && length > Array.MaxLength) throw new OutOfMemoryException();
        float[]? drawn = item.Picture is null ? null : new float[length];
        using WavOutput output = WavOutput.Open(item.Output, session.RawOut, config.SampleRate, request.Format, length, held: device.MayFallBack);
        if (announce) session.Log($"device: {device.Text}"); // once the input is known to be good: a refusal is one line
        var clock = Stopwatch.StartNew();
        using (var progress = new ProgressReport(session, what))
        {
            try
            {
                sampler.Run(sampling, (_, first, samples) =>
                {
                    output.Write(samples);
                    if (drawn is not null) samples.CopyTo(drawn.AsSpan((int)first));
                }, progress, session.Cancel);
            }
            catch (ArgumentException e) { throw new UsageException(e.Message); }
            catch (NonFiniteSampleException e)
            {
                throw new NotFiniteException($"{request.Model}: stopped: {e.Message}; the model's weights overflow or it was trained for other inputs");
            }
            output.Complete();
        }
        var file = new SynthesizedFile(item, length, clock.Elapsed.TotalSeconds, output.ClippedSamples);
        if (drawn is not null) Draw(item, source, drawn, config.SampleRate);
        double clipRatio = (double)file.ClippedSamples / length;
        if (clipRatio > ClipWarning) session.Warn(string.Create(CultureInfo.InvariantCulture, $"{item.Output}: {clipRatio:P2} of the samples were clipped; --bits 32f keeps them"));
        return file;
    }

    private static MemoryMel Analyse(float[] samples, MelRecipe recipe)
    {
        float[] mel = new MelSpectrogram(recipe).Compute(samples, out int frames);
        return new MemoryMel(mel, recipe.Bands, frames);
    }

    private static void Draw(SynthesisItem item, float[]? reference, float[] samples, int sampleRate)
    {
        string path = item.Picture!, title = Path.GetFileName(item.Output);
        OutputPath.Writing(path, () =>
        {
            if (reference is null) SpectrogramPicture.Write(path, samples, sampleRate, title);
            else SpectrogramPicture.Write(path, reference, samples, sampleRate, title, Path.GetFileName(item.Path)!, "synthesized");
            return true;
        });
    }

    // What the model is conditioned on decides what must and what must not be given.
    private void RequireFittingInputs(ModelConfig config)
    {
        bool hasMel = request.Mels.Length + request.Wavs.Length > 0, hasLabel = request.Label is not null;
        string given = request.Mels.Length > 0 ? "--mel" : "--wav";
        string needs = config switch
        {
            { HasMel: true, HasLabel: true } => $"needs --mel or --wav ({config.Bands} bands, hop {config.Hop}, {config.SampleRate} Hz) and --label 0 to {config.Labels - 1}",
            { HasMel: true } => $"needs --mel or --wav ({config.Bands} bands, hop {config.Hop}, {config.SampleRate} Hz)",
            { HasLabel: true } => $"needs --label 0 to {config.Labels - 1}",
            _ => "is unconditional: give --seconds only",
        };
        if (hasMel && !config.HasMel) throw new UsageException($"{given} does not fit {request.Model}, which {needs}");
        if (hasLabel && !config.HasLabel) throw new UsageException($"--label does not fit {request.Model}, which {needs}");
        if (hasMel != config.HasMel || hasLabel != config.HasLabel) throw new UsageException($"{request.Model} {needs}");
        if (request.Label >= config.Labels) throw new UsageException($"--label is {request.Label}, {request.Model} {needs}");
    }

    private IReadOnlyList<SamplerStep> Steps(ModelConfig config, double[]? betas)
    {
        var training = new NoiseSchedule(config.TrainingBetas);
        NoiseSchedule schedule = betas is not null ? new NoiseSchedule(betas) : request.Schedule == "full" ? training : new NoiseSchedule(config.FastBetas);
        try { return SamplerStep.Chain(schedule, training, request.Sampler, request.Eta ?? 0); }
        catch (ArgumentException e) { throw new UsageException($"--schedule {request.Schedule}: {e.Message}"); }
    }
}
