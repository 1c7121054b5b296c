using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave bench</c>: how fast a model speaks on a device.</summary>
internal static class BenchCommand
{
    private const double DefaultSeconds = 5, DefaultLimit = 20;

    private const string Description = "Measure how many times faster than real time a model is on a device.";

    private const string Notes = """
        Makes clips by the model's fast schedule and by its full one (every training step), from a mel in memory to
        audio in memory: no file is read or written in the time that counts, and nothing is kept. Runs that do not
        count come first; then at least three that do, seven where the time limit lets them. Where three runs on clips of
        --seconds would take too long, clips are shorter, and the table marks their length; where half a second by the
        full schedule would, it is not measured but told by its steps. Time does not depend on
        what weights and mels hold: --config measures a model that does not exist yet, and the mel is that of noise.

        Times real time: seconds of audio (of all clips of a batch) by the median of the seconds they took. First
        audio: from the start to the first samples; the CPU makes audio in order, so they come early, a GPU makes
        clips whole. Memory: the most the process has held so far, and in use on the GPU.

        --device auto takes the first GPU that works, else the CPU; a GPU computes in fp16 on its tensor cores unless
        --precision says otherwise (see diffwave synthesize --help). bench/README.md of the source tells of the
        measurements by kernel, beside the limits of the device and beside PyTorch.

        --json prints one object: model, parameters, sample_rate, device, device_reason, precision, threads (null on a GPU),
        batch, seed, time_limit_seconds, and schedules (schedule, steps, is_measured, clip_seconds, audio_seconds, is_shortened, seconds of
        each run, median_seconds, lowest_seconds, highest_seconds, times_real_time, minute_seconds: time for a minute
        of audio, first_audio_seconds, peak_memory_bytes, peak_gpu_memory_bytes: null on the CPU). Of a schedule that is not
        measured: schedule, steps, is_measured, and times_real_time and minute_seconds by its steps.
        """;

    private const string Examples = """
        # the bundled voice on the device that auto takes
        diffwave bench
        # a model of your own, on one thread
        diffwave bench --model voice.safetensors --threads 1
        # the base vocoder on a GPU, sixteen clips of ten seconds at once
        diffwave bench --config base --seconds 10 --batch 16 --device cuda
        # one figure for a script
        diffwave bench --json | jq '.schedules[0].times_real_time'
        """;

    public static Command Create(Session session)
    {
        var model = new Option<string?>("--model", "-m") { HelpName = "FILE", Description = "Model file or checkpoint, as synthesize takes it. Default: the bundled voice" };
        var config = new Option<string?>("--config") { HelpName = "PRESET|FILE.json", Description = $"Instead of a model, a configuration with random weights: a preset ({string.Join(", ", ModelConfig.PresetNames)}) or a file" };
        Option<double?> seconds = Options.Number("--seconds", "S", 0.001, 600, Invariant($"Length of a clip; default: {DefaultSeconds}. Shorter where the time limit asks for it"));
        Option<int> batch = Options.Whole("--batch", "N", 1, 4096, 1, "Clips made together; on the CPU one after the other");
        Option<DeviceName> device = Options.Device(description: "Where to compute: auto takes the first GPU that works, else the CPU; cuda:N is GPU number N. Only auto falls back");
        Option<string?> precision = Options.Precision(Options.BestPrecision);
        Option<int> threads = Options.Threads();
        Option<ulong> seed = Options.Seed("Seed of the noise, the mel and random weights");
        Option<double?> limit = Options.Number("--time-limit", "S", 0.1, 3600, Invariant($"Seconds that all may take; default: {DefaultLimit}. Three runs by the fast schedule are made in any case"));
        Option<bool> json = Options.Json();
        var verb = new Verb("bench", Description, Notes, Examples) { model, config, seconds, batch, device, precision, threads, seed, limit, json };
        verb.Validators.Add(result =>
        {
            if (result.GetResult(model) is not null && result.GetResult(config) is not null) result.AddError("--model and --config exclude each other: give one of them");
        });
        verb.SetAction(parsed =>
        {
            var request = new BenchRequest(parsed.GetValue(model), parsed.GetValue(config), parsed.GetValue(seconds) ?? DefaultSeconds, parsed.GetValue(batch), parsed.GetValue(device),
                Options.PrecisionOf(parsed.GetValue(precision)), parsed.GetValue(threads), parsed.GetValue(seed), parsed.GetValue(limit) ?? DefaultLimit);
            BenchOutcome outcome = new BenchRun(session, request).Run();
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(ToJson(request, outcome)));
            else WriteText(session.Out, request, outcome);
            return ExitCode.Ok;
        });
        return verb;
    }

    private static void WriteText(TextWriter output, BenchRequest request, BenchOutcome outcome)
    {
        output.WriteLine($"model: {outcome.Name} ({ConfigText.Summary(outcome.Config, outcome.Parameters)})");
        output.WriteLine();
        output.WriteLine($"{"schedule",-8}  {"steps",5}  {"audio s",12}  {"runs",4}  {"median s",9}  {"[lowest .. highest]",-20}  {"x real time",11}  {"first audio s",13}  memory");
        foreach (ScheduleSpeed speed in outcome.Measured)
        {
            string audio = Invariant($"{(request.Batch > 1 ? Invariant($"{request.Batch} x ") : "")}{speed.ClipSeconds:F2}{(speed.IsShortened ? "*" : " ")}"), spread = $"[{Seconds(speed.Seconds.Min())} .. {Seconds(speed.Seconds.Max())}]";
            output.WriteLine(Invariant(
                $"{speed.Name,-8}  {speed.Steps,5}  {audio,12}  {speed.Seconds.Count,4}  {Seconds(speed.MedianSeconds),9}  {spread,-20}  {Times(speed.TimesRealTime),11}  {Seconds(speed.FirstAudioSeconds),13}  {MemoryUse.Text(speed.PeakBytes, speed.PeakGpuBytes)}"));
        }
        if (outcome.Full is null) output.WriteLine(Invariant($"{"full",-8}  {FullSteps(outcome),5}  not measured: three runs of half a second do not fit into {request.TimeLimit} s (--time-limit)"));
        if (outcome.Measured.Any(speed => speed.IsShortened))
            output.WriteLine(Invariant($"* shorter than the {request.Seconds} s of --seconds, to stay within {request.TimeLimit} s (--time-limit); start and end weigh more in a short clip"));
        output.WriteLine();
        foreach (ScheduleSpeed speed in outcome.Measured) output.WriteLine($"The {speed.Name} schedule: {Verdict(speed.TimesRealTime)}; a minute of audio takes {Seconds(speed.MinuteSeconds)} s.");
        if (outcome.Full is null) output.WriteLine($"The full schedule, by its steps: {Verdict(outcome.FullByItsSteps)}; a minute of audio would take about {Seconds(60 / outcome.FullByItsSteps)} s.");
        output.WriteLine($"What would be faster: {string.Join(", ", Advice(request, outcome))}.");
    }

    private static string Verdict(double timesRealTime) => $"{Times(timesRealTime)} times real time, {(timesRealTime >= 1 ? "faster" : "slower")} than it plays";

    private static IEnumerable<string> Advice(BenchRequest request, BenchOutcome outcome)
    {
        yield return "fewer steps (time grows with them; diffwave synthesize --schedule)";
        if (outcome.Threads is { } threads)
        {
            if (threads < Environment.ProcessorCount) yield return Invariant($"more threads ({threads} of {Environment.ProcessorCount} are used)");
            yield return "a GPU (diffwave devices tells what there is)";
        }
        else
        {
            if (request.Precision == Precision.Fp32) yield return "--precision fp16, where there are kernels for the model";
            if (request.Batch == 1) yield return "several clips at once (--batch)";
        }
    }

    private static JsonObject ToJson(BenchRequest request, BenchOutcome outcome) => new()
    {
        ["model"] = outcome.Name,
        ["parameters"] = outcome.Parameters,
        ["sample_rate"] = outcome.Config.SampleRate,
        ["device"] = outcome.Device,
        ["device_reason"] = outcome.Reason,
        ["precision"] = outcome.Precision.ToString().ToLowerInvariant(),
        ["threads"] = outcome.Threads,
        ["batch"] = request.Batch,
        ["seed"] = request.Seed,
        ["time_limit_seconds"] = request.TimeLimit,
        ["schedules"] = new JsonArray(ToJson(outcome.Fast), outcome.Full is { } full ? ToJson(full) : new JsonObject
        {
            ["schedule"] = "full",
            ["steps"] = FullSteps(outcome),
            ["is_measured"] = false,
            ["times_real_time"] = outcome.FullByItsSteps,
            ["minute_seconds"] = 60 / outcome.FullByItsSteps,
        }),
    };

    private static JsonObject ToJson(ScheduleSpeed speed) => new()
    {
        ["schedule"] = speed.Name,
        ["steps"] = speed.Steps,
        ["is_measured"] = true,
        ["clip_seconds"] = speed.ClipSeconds,
        ["audio_seconds"] = speed.AudioSeconds,
        ["is_shortened"] = speed.IsShortened,
        ["seconds"] = new JsonArray([.. speed.Seconds.Select(value => JsonValue.Create(value))]),
        ["median_seconds"] = speed.MedianSeconds,
        ["lowest_seconds"] = speed.Seconds.Min(),
        ["highest_seconds"] = speed.Seconds.Max(),
        ["times_real_time"] = speed.TimesRealTime,
        ["minute_seconds"] = speed.MinuteSeconds,
        ["first_audio_seconds"] = speed.FirstAudioSeconds,
        ["peak_memory_bytes"] = speed.PeakBytes,
        ["peak_gpu_memory_bytes"] = speed.PeakGpuBytes,
    };

    private static int FullSteps(BenchOutcome outcome) => outcome.Config.TrainingBetas.Count;

    // Three digits that mean something; a GPU takes milliseconds.
    private static string Seconds(double seconds) => seconds.ToString(seconds >= 100 ? "F0" : seconds >= 10 ? "F1" : seconds >= 0.1 ? "F3" : "F5", CultureInfo.InvariantCulture);

    private static string Times(double times) => times.ToString(times >= 100 ? "F0" : times >= 10 ? "F1" : "F2", CultureInfo.InvariantCulture);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
