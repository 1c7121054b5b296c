using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary><c>diffwave demo</c>: hear and measure the bundled voice.</summary>
internal static class DemoCommand
{
    private const string Description = "Hear the bundled voice, and see in figures how good it is.";

    private const string Notes = """
        Takes the mel of a bundled clip and makes sound from it three ways: by the bundled voice (fast schedule), by
        the same network with random weights, and by Griffin-Lim (60 iterations), which needs no training. Writes into the folder
          clip.wav  diffwave.wav  untrained.wav  griffin-lim.wav
          spectrograms.png   from top to bottom: the clip, the voice, Griffin-Lim
        and prints how far each is from the clip (diffwave evaluate --help explains the figures). They compare
        magnitudes, which Griffin-Lim fits by design; how natural its phases sound they do not tell: listen.

        --device auto takes the first GPU that works, else the CPU, which also takes over from a GPU that fails.
        A GPU computes in fp16 on its tensor cores unless --precision says otherwise (see diffwave synthesize --help).

        Files of an earlier demo are overwritten; a folder that holds anything else is refused.

        --json prints one object: voice, folder, device, precision, seed, sample_rate, audio_seconds, peak_memory_bytes,
        results (name, file, wall_seconds, times_real_time and the figures of each), picture, and
        griffin_lim_is_closer (log_mel_l1, mel_cepstral_distortion_db).
        """;

    private const string Examples = """
        # into the folder diffwave-demo
        diffwave demo
        # the same with a model and a clip of your own: mine/voice.safetensors and mine/clip.wav
        diffwave demo --voice mine -o mine-demo --seed 3
        # on the CPU although there is a GPU
        diffwave demo --device cpu
        """;

    public static Command Create(Session session)
    {
        var output = new Option<string>("--output", "-o") { HelpName = "FOLDER", DefaultValueFactory = _ => "diffwave-demo", Description = "Folder to write; made if missing" };
        var voice = new Option<string>("--voice") { HelpName = "FOLDER", Description = $"Another voice: a folder with {Demo.ModelFile} and {Demo.ClipFile}. Default: the bundled one" };
        Option<DeviceName> device = Options.Device();
        Option<string?> precision = Options.Precision(Options.BestPrecision);
        Option<int> threads = Options.Threads();
        Option<ulong> seed = Options.Seed("Seed of the noise");
        Option<bool> json = Options.Json();
        var verb = new Verb("demo", Description, Notes, Examples) { output, voice, device, precision, threads, seed, json };
        verb.SetAction(parsed =>
        {
            var request = new DemoRequest(parsed.GetValue(voice) ?? Demo.BundledVoice, parsed.GetRequiredValue(output), parsed.GetValue(device), Options.PrecisionOf(parsed.GetValue(precision)), parsed.GetValue(threads), parsed.GetValue(seed));
            DemoOutcome outcome = new Demo(session, request).Run();
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(ToJson(request, outcome)));
            else WriteText(session.Out, request, outcome);
            return ExitCode.Ok;
        });
        return verb;
    }

    private static void WriteText(TextWriter output, DemoRequest request, DemoOutcome outcome)
    {
        output.WriteLine($"voice: {outcome.Model.Card.Name ?? request.Voice} ({ConfigText.Summary(outcome.Model.Config, outcome.Model.Parameters.Arena.Length)})");
        output.WriteLine(Invariant($"clip: {outcome.ClipSeconds:F2} s; seed {request.Seed}, device {outcome.Device}"));
        output.WriteLine();
        EvaluateFigures.WriteTable(output, [.. EvaluateFigures.All.Select(figure => figure.Heading), "times real time"],
            [.. outcome.Results.Select(result => (result.Name, (double?[])[.. EvaluateFigures.All.Select(figure => figure.Of(result.Distance)), TimesRealTime(outcome, result)]))]);
        output.WriteLine();
        output.WriteLine("Distances from the clip: smaller is closer. SNR: larger is closer, but that takes phases, which a mel does not hold.");
        output.WriteLine($"By {Verdict("log-mel L1", outcome, distance => distance.LogMelL1)}; by {Verdict("MCD", outcome, distance => distance.MelCepstralDistortionDb)}.");
        output.WriteLine($"{request.Output}: {string.Join(", ", Demo.FileNames)}");
    }

    private static string Verdict(string figure, DemoOutcome outcome, Func<AudioDistance, double> of)
    {
        double griffinLim = of(outcome.GriffinLim.Distance), voice = of(outcome.Trained.Distance);
        string word = griffinLim < voice ? "closer than" : griffinLim > voice ? "farther than" : "as close as";
        return Invariant($"{figure} Griffin-Lim is {word} the voice ({griffinLim:F3}, {voice:F3})");
    }

    private static JsonObject ToJson(DemoRequest request, DemoOutcome outcome) => new()
    {
        ["voice"] = request.Voice,
        ["folder"] = request.Output,
        ["device"] = outcome.Device,
        ["precision"] = outcome.Precision.ToString().ToLowerInvariant(),
        ["seed"] = request.Seed,
        ["sample_rate"] = outcome.Model.Config.SampleRate,
        ["audio_seconds"] = outcome.ClipSeconds,
        ["peak_memory_bytes"] = MemoryUse.PeakBytes(),
        ["results"] = new JsonArray([.. outcome.Results.Select(result => ToJson(outcome, result))]),
        ["picture"] = Demo.PictureFile,
        ["griffin_lim_is_closer"] = new JsonObject
        {
            ["log_mel_l1"] = outcome.GriffinLim.Distance.LogMelL1 < outcome.Trained.Distance.LogMelL1,
            ["mel_cepstral_distortion_db"] = outcome.GriffinLim.Distance.MelCepstralDistortionDb < outcome.Trained.Distance.MelCepstralDistortionDb,
        },
    };

    private static JsonObject ToJson(DemoOutcome outcome, DemoResult result)
    {
        var json = new JsonObject { ["name"] = result.Name, ["file"] = result.FileName, ["wall_seconds"] = result.WallSeconds, ["times_real_time"] = TimesRealTime(outcome, result) };
        foreach ((string name, JsonNode? value) in EvaluateFigures.ToJson(result.Distance)) json[name] = value?.DeepClone();
        return json;
    }

    private static double TimesRealTime(DemoOutcome outcome, DemoResult result) => (double)result.Samples.Length / outcome.Model.Config.SampleRate / result.WallSeconds;

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
