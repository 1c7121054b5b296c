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
    public Precision? Precision { get; init; }
    public int Threads { get; init; }
    public double? ChunkSeconds { get; init; }
    public WavFormat Format { get; init; }
    public bool Json { get; init; }
}

/// <summary>One finished file.</summary>
internal sealed record SynthesizedFile(SynthesisItem Item, long Samples, double WallSeconds, long ClippedSamples);

/// <summary>
/// Runs a synthesis: checks everything that can be checked first, then loads the model, then makes the files in order, as many together as suit the device. The files of a group are written
/// while the next group is made.
/// </summary>
internal sealed class Synthesis(Session session, SynthesisRequest request)
{
    private const double ClipWarning = 1e-3;
    private const int MostTogether = 128; // of files held open

    private readonly List<SynthesizedFile> _files = []; // finished
    private IReadOnlyList<SynthesisItem> _items = [];
    private ModelConfig _config = null!;
    private Sampler _sampler = null!;

    public int Run()
    {
        if (request.Eta is not null && request.Sampler != SamplerKind.Ddim) throw new UsageException("--eta belongs to --sampler ddim");
        double[]? betas = request.Schedule is "fast" or "full" ? null : ScheduleText.Parse("--schedule", request.Schedule, "fast, full or ");
        Model? model = LoadModel();
        _config = model.Config;
        using DeviceChoice device = DeviceChoice.OpenFor(_config, session, request.Device, request.Threads, request.Precision);
        device.Prepare(ops =>
        {
            ops.Load(_config, (model ?? LoadModel()).Parameters);
            _sampler = new Sampler(_config, ops); // its buffers go with the device
        });
        model = null; // the device keeps its own form of the weights
        RequireFittingInputs(_config);
        IReadOnlyList<SamplerStep> steps = Steps(_config, betas);
        _items = SynthesisInputs.Expand(request);
        bool reportToError = request.Output == SynthesisInputs.Stdout;
        bool announce = !(reportToError && request.Json); // one JSON object alone on stderr can be read by a program
        using (var progress = new ProgressReport(session, _items.Count > 1 ? $"synthesize ({_items.Count} files)" : "synthesize"))
        {
            device.Run(_ =>
            {
                MakeRest(device, steps, progress, announce && _files.Count == 0);
                return true;
            });
        }
        var report = new SynthesisReport(request, _config, device, steps.Count, _files);
        report.Write(reportToError ? session.Error : session.Out);
        return ExitCode.Ok;
    }

    // A model file, or a checkpoint converted in memory.
    private Model LoadModel() => TorchImport.Import(request.Model, new TorchImportOptions());

    // Makes what is not finished yet. A group is settled when the next one has begun; when something fails, what was made before is still fetched.
    private void MakeRest(DeviceChoice device, IReadOnlyList<SamplerStep> steps, ProgressReport progress, bool announce)
    {
        var clock = Stopwatch.StartNew();
        var begun = new Queue<SynthesisGroup>();
        SynthesisPiece? ahead = null; // opened, and found not to go with the group before it
        try
        {
            for (int next = _files.Count; next < _items.Count;)
            {
                SynthesisGroup group = Open(next, device, steps, ref ahead);
                begun.Enqueue(group);
                if (announce && next == 0) session.Log($"device: {device.Text}"); // once the input is known to be good: a refusal is one line
                int first = next;
                next += group.Pieces.Count;
                try { _sampler.Begin(group.Request(request, _config, steps), (piece, time, samples) => Write(device, group.Pieces[piece], time, samples), new Part(progress, first, group.Pieces.Count, _items.Count), session.Cancel); }
                catch (ArgumentException e) { throw new UsageException(e.Message); }
                while (begun.Count > 0 && begun.Peek().Pieces.All(piece => piece.IsComplete)) Settle(begun.Dequeue(), clock);
            }
            _sampler.Finish();
        }
        catch (Exception failure)
        {
            try { _sampler.Finish(); }
            catch (Exception e) when (e is OperationCanceledException || Gpus.IsFailure(e) && Gpus.IsFailure(failure)) { } // the same again; another failure came before this one
            throw;
        }
        finally
        {
            while (begun.Count > 0) Settle(begun.Dequeue(), clock);
            ahead?.Dispose();
        }
    }

    // The inputs from one on that are made together. One that cannot be opened ends the group before it, and is tried again as the first of the next.
    private SynthesisGroup Open(int first, DeviceChoice device, IReadOnlyList<SamplerStep> steps, ref SynthesisPiece? ahead)
    {
        var group = new SynthesisGroup();
        for (int item = first; item < _items.Count && group.Pieces.Count < MostTogether; item++)
        {
            try { group.Add(ahead ?? SynthesisPiece.Open(session, request, _items[item], _config, device.MayFallBack)); }
            catch when (item > first) { break; }
            ahead = null;
            if (!device.Ops.PrefersWholeSignals) break; // one by one
            if (_sampler.Together(group.Request(request, _config, steps)) == group.Pieces.Count) continue;
            ahead = group.TakeLast();
            break;
        }
        return group;
    }

    private void Write(DeviceChoice device, SynthesisPiece piece, long first, ReadOnlySpan<float> samples)
    {
        try { piece.Write(first, samples, _config.SampleRate); }
        catch (NonFiniteSampleException e)
        {
            string fp16 = device.Precision == Precision.Fp16 ? "; fp16 ends at 65504: --precision bf16 or fp32 go further" : "";
            throw new NotFiniteException($"{request.Model}: stopped: {e.Message}; the model's weights overflow or it was trained for other inputs{fp16}");
        }
    }

    // Time runs from one group's end to the next one's, so that the sum is the time of all.
    private void Settle(SynthesisGroup group, Stopwatch clock)
    {
        using (group)
            foreach (SynthesizedFile file in group.Finished(clock.Elapsed.TotalSeconds))
            {
                _files.Add(file);
                double clipRatio = (double)file.ClippedSamples / file.Samples;
                if (clipRatio > ClipWarning) session.Warn(string.Create(CultureInfo.InvariantCulture, $"{file.Item.Output}: {clipRatio:P2} of the samples were clipped; --bits 32f keeps them"));
            }
        clock.Restart();
    }

    // Progress of some files among all.
    private sealed class Part(IProgress<double> all, int first, int count, int items) : IProgress<double>
    {
        public void Report(double value) => all.Report((first + value * count) / items);
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
