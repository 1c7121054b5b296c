using System.Diagnostics;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What <c>diffwave bench</c> was asked for.</summary>
/// <param name="Model">Model file; null for random weights, or the bundled voice when there is no configuration either.</param>
/// <param name="Config">Preset or configuration file to give random weights to, or null.</param>
/// <param name="Seconds">Length of a clip.</param>
/// <param name="Batch">Clips made together.</param>
/// <param name="Device">Where to compute.</param>
/// <param name="Precision">What to compute with; null: what suits the device and the model.</param>
/// <param name="Threads">CPU threads, 0 for all.</param>
/// <param name="Seed">Of the noise, the mel and random weights.</param>
/// <param name="TimeLimit">Seconds all of it may take, as far as three runs by the fast schedule can be had in it.</param>
internal sealed record BenchRequest(string? Model, string? Config, double Seconds, int Batch, DeviceName Device, Precision? Precision, int Threads, ulong Seed, double TimeLimit);

/// <summary>How fast one schedule is.</summary>
/// <param name="Name"><c>fast</c> or <c>full</c>.</param>
/// <param name="Steps">Network evaluations a sample.</param>
/// <param name="ClipSeconds">Length of a clip that was made.</param>
/// <param name="AudioSeconds">That of all clips of a run.</param>
/// <param name="IsShortened">Whether clips are shorter than asked for, to stay within the time limit.</param>
/// <param name="Seconds">Time of each run.</param>
/// <param name="FirstAudio">Time until the first samples of each run were there.</param>
/// <param name="PeakBytes">Most memory the process had held by then.</param>
/// <param name="PeakGpuBytes">Most of a GPU's memory; null on the CPU.</param>
internal sealed record ScheduleSpeed(
    string Name, int Steps, double ClipSeconds, double AudioSeconds, bool IsShortened, IReadOnlyList<double> Seconds, IReadOnlyList<double> FirstAudio, long PeakBytes, long? PeakGpuBytes)
{
    public double MedianSeconds => Median(Seconds);

    public double TimesRealTime => AudioSeconds / MedianSeconds;

    /// <summary>Time that a minute of audio takes.</summary>
    public double MinuteSeconds => 60 / TimesRealTime;

    public double FirstAudioSeconds => Median(FirstAudio);

    private static double Median(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}

/// <summary>What was measured, and on what.</summary>
/// <param name="Name">The model's name or file; <c>random weights</c> without either.</param>
/// <param name="Config">The model.</param>
/// <param name="Parameters">How many it has.</param>
/// <param name="Device">Where it ran.</param>
/// <param name="Reason">Why there.</param>
/// <param name="Precision">What it computed with.</param>
/// <param name="Threads">Threads of the CPU; null on a GPU.</param>
/// <param name="Fast">The fast schedule.</param>
/// <param name="Full">The full one; null when the time limit left no room for it.</param>
internal sealed record BenchOutcome(string Name, ModelConfig Config, long Parameters, string Device, string Reason, Precision Precision, int? Threads, ScheduleSpeed Fast, ScheduleSpeed? Full)
{
    public IReadOnlyList<ScheduleSpeed> Measured => Full is null ? [Fast] : [Fast, Full];

    /// <summary>Times real time of the full schedule by the number of its steps.</summary>
    public double FullByItsSteps => Fast.TimesRealTime * Fast.Steps / Config.TrainingBetas.Count;
}

/// <summary>Times whole syntheses, from a mel in memory to audio in memory, by the fast schedule and by the full one, on clips as long as the time limit lets them be.</summary>
internal sealed class BenchRun(Session session, BenchRequest request)
{
    private const int FewestRuns = 3, MostRuns = 7;
    private const int UnmeasuredWhole = 2;     // a device that takes whole signals allocates for a shape in its first run and records the chain in the second
    private const double FastShare = 0.5;      // of the time limit
    private const double ShortestFast = 0.1;   // seconds of a clip
    private const double ShortestFull = 0.5;   // with many steps the start and end of the chain would outweigh a shorter one

    /// <exception cref="UsageException">No such preset or file, or a schedule that does not fit the model's steps.</exception>
    /// <exception cref="ModelFormatException">The model or configuration is damaged.</exception>
    /// <exception cref="NotFiniteException">The model gives values that are not finite.</exception>
    public BenchOutcome Run()
    {
        if (request.Device.Kind == DeviceKind.Emulator)
            throw new UsageException("--device emulator: it checks GPU code and says nothing about speed; give auto, cpu, cuda or cuda:N");
        (string model, ModelConfig config, Parameters parameters) = Weights();
        IReadOnlyList<SamplerStep> fastSteps = Steps(config, config.FastBetas), fullSteps = Steps(config, config.TrainingBetas);
        float[] mel = Mel(config, out int frames);
        using DeviceChoice device = DeviceChoice.OpenFor(config, session, request.Device, request.Threads, request.Precision);
        session.Log($"device: {device.Text}");
        (ScheduleSpeed fast, ScheduleSpeed? full) = device.Run(ops =>
        {
            ops.Load(config, parameters);
            using var sampler = new Sampler(config, ops);
            using var progress = new ProgressReport(session, "bench");
            var clock = Stopwatch.StartNew();
            int needed = FewestRuns + (ops.PrefersWholeSignals ? UnmeasuredWhole : 0), asked = Clip(request.Seconds);
            ScheduleSpeed first = Fast();
            return (first, Full(first));

            ScheduleSpeed Fast()
            {
                int shortest = Math.Min(asked, Clip(ShortestFast));
                Once(fastSteps, shortest); // compiles
                return Measure("fast", fastSteps, shortest, FastShare * request.TimeLimit);
            }

            // A step takes the time that a step of the fast schedule takes.
            ScheduleSpeed? Full(ScheduleSpeed fast)
            {
                double rate = fast.ClipSeconds * config.SampleRate / fast.MedianSeconds * fastSteps.Count / fullSteps.Count;
                int samples = Affordable(rate, request.TimeLimit);
                return samples < Math.Min(asked, Clip(ShortestFull)) ? null : Measure("full", fullSteps, samples, request.TimeLimit);
            }

            double Left(double deadline) => deadline - clock.Elapsed.TotalSeconds;

            // Samples of a clip, in whole frames, at so many a second.
            int Affordable(double rate, double deadline)
            {
                double samples = rate * 0.9 * Left(deadline) / needed;
                return samples > 0.9 * asked ? asked : (int)Math.Max(0, samples) / config.Hop * config.Hop;
            }

            // Runs that turn out to leave room for clips half as long again begin anew with those.
            ScheduleSpeed Measure(string name, IReadOnlyList<SamplerStep> steps, int samples, double deadline)
            {
                var runs = new List<(double Seconds, double First)>();
                for (; ; )
                {
                    for (int i = FewestRuns; i < needed; i++) Once(steps, samples);
                    while (runs.Count < FewestRuns) runs.Add(Once(steps, samples));
                    int longer = samples < asked ? Affordable(samples / runs.Min(run => run.Seconds), deadline) : 0;
                    if (longer < Math.Min(1.5 * samples, asked)) break;
                    samples = longer;
                    runs.Clear();
                }
                while (runs.Count < MostRuns && runs.Max(run => run.Seconds) < Left(deadline)) runs.Add(Once(steps, samples));
                double clip = (double)samples / config.SampleRate;
                return new ScheduleSpeed(name, steps.Count, clip, clip * request.Batch, samples < asked, [.. runs.Select(run => run.Seconds)], [.. runs.Select(run => run.First)], MemoryUse.PeakBytes(), device.PeakGpuBytes);
            }

            (double Seconds, double First) Once(IReadOnlyList<SamplerStep> steps, int samples)
            {
                var timer = Stopwatch.StartNew();
                double first = 0;
                bool isFinite = true;
                sampler.Run(Request(config, steps, mel, frames, samples), (_, _, audio) =>
                {
                    if (first == 0) first = timer.Elapsed.TotalSeconds;
                    foreach (float value in audio) isFinite &= float.IsFinite(value);
                }, new AgainstLimit(progress, clock, request.TimeLimit), session.Cancel);
                double seconds = timer.Elapsed.TotalSeconds;
                return isFinite ? (seconds, first) : throw new NotFiniteException($"{model}: stopped: the audio is not finite; the model's weights overflow");
            }
        });
        int? threads = device.PeakGpuBytes is not null ? null : request.Threads > 0 ? request.Threads : Environment.ProcessorCount;
        return new BenchOutcome(model, config, parameters.Arena.Length, device.Ops.Device, device.Reason, device.Precision, threads, fast, full);

        int Clip(double seconds) => checked((int)Math.Max(1, Math.Ceiling(seconds * config.SampleRate / config.Hop)) * config.Hop); // in whole frames
    }

    private (string Name, ModelConfig Config, Parameters Parameters) Weights()
    {
        if (request.Config is not null)
        {
            ModelConfig config = ConfigEditor.Resolve(request.Config, []);
            return ($"random weights for {request.Config}", config, Initializer.Create(config, request.Seed));
        }
        string path = request.Model ?? Path.Combine(Demo.BundledVoice, Demo.ModelFile);
        Model model = TorchImport.Import(path, new TorchImportOptions());
        return (model.Card.Name ?? path, model.Config, model.Parameters);
    }

    private static IReadOnlyList<SamplerStep> Steps(ModelConfig config, IReadOnlyList<double> betas)
    {
        try { return SamplerStep.Chain(new NoiseSchedule(betas), new NoiseSchedule(config.TrainingBetas)); }
        catch (ArgumentException e) { throw new UsageException($"the model's fast schedule: {e.Message}"); }
    }

    // The mel of soft noise by the model's own recipe: values as the model knows them.
    private float[] Mel(ModelConfig config, out int frames)
    {
        frames = 0;
        if (config.Mel is not { } recipe) return [];
        var noise = new float[Math.Max((int)Math.Ceiling(request.Seconds * config.SampleRate) + config.Hop, 2 * recipe.FftSize)];
        PhiloxNoise.Fill(request.Seed, uint.MaxValue, 0, 0, noise);
        for (int i = 0; i < noise.Length; i++) noise[i] *= 0.05f;
        return new MelSpectrogram(recipe).Compute(noise, out frames);
    }

    private SamplerRequest Request(ModelConfig config, IReadOnlyList<SamplerStep> steps, float[] mel, int frames, int length)
    {
        int used = length / config.Hop;
        var part = new float[config.Bands * used];
        for (int band = 0; band < config.Bands; band++) mel.AsSpan(band * frames, used).CopyTo(part.AsSpan(band * used));
        return new SamplerRequest
        {
            Steps = steps,
            Noise = new SeededNoise(request.Seed),
            Lengths = [.. Enumerable.Repeat<long>(length, request.Batch)],
            Mels = config.HasMel ? [.. Enumerable.Repeat(new MemoryMel(part, config.Bands, used), request.Batch)] : null,
            Labels = config.HasLabel ? new int[request.Batch] : [],
        };
    }

    // How much of the time limit has passed: all that is known of when it ends.
    private sealed class AgainstLimit(IProgress<double> progress, Stopwatch clock, double limit) : IProgress<double>
    {
        public void Report(double value) => progress.Report(Math.Clamp(clock.Elapsed.TotalSeconds / limit, 1e-6, 1));
    }
}
