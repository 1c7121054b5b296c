using System.CommandLine;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary><c>diffwave evaluate</c>: how far generated audio is from its reference.</summary>
internal static class EvaluateCommand
{
    private const string Description = "Say in figures how far generated audio is from its reference.";

    private const string Notes = """
        log_mel_l1                  mean |ln m - ln m'| of 80-band mels (Slaney, 0 to 8 kHz, floor 1e-5), in nats
        log_spectral_distance_db    mean over frames of the rms difference of magnitudes in dB, floor 1e-5
        mel_cepstral_distortion_db  mean over frames of 10/ln 10 sqrt(2 sum (c_d - c'_d)^2), d = 1..13, from those mels
        spectral_convergence        | |X| - |X'| | / | |X| |, Frobenius norms, mean over three resolutions
        log_stft_magnitude_l1       mean |ln |X| - ln |X'||, mean over the same three resolutions, in nats
        snr_db                      10 log10(sum r^2 / sum (r - g)^2); null (-) where infinite: the signals are equal,
                                    or the reference is silent. Means leave such files out

        All are 0 for equal signals, except snr_db; all but snr_db are smaller for better copies. Vocoders choose
        their own phases, which makes snr_db low without being heard. Frames are compared in place, without time
        warping: both signals must start together. Generated audio of another rate is resampled to the
        reference's; of different lengths, the common part is compared if they are less than 5 % apart.

        Folders are searched recursively and matched by names without extension; what has no partner is listed.
        --json prints files (reference, generated, sample_rate, samples and the figures of each), mean,
        standard_deviation (divisor n - 1; null for one file), without_generated and without_reference.
        """;

    private const string Examples = """
        # a copy against its original
        diffwave evaluate speech.wav copy.wav
        # a folder of recordings against what synthesize --wav recordings/ -o copies/ made of them
        diffwave evaluate recordings/ copies/ --json
        """;

    public static Command Create(Session session)
    {
        var reference = new Argument<string>("reference") { HelpName = "REF", Description = "The recording, or a folder of recordings" };
        var generated = new Argument<string>("generated") { HelpName = "GEN", Description = "What was made from it, or a folder of the same names" };
        Option<string> mix = Options.Mix();
        Option<bool> json = Options.Json();
        var verb = new Verb("evaluate", Description, Notes, Examples) { reference, generated, mix, json };
        verb.SetAction(parsed =>
        {
            EvaluatePairs pairs = EvaluatePairs.Find(parsed.GetRequiredValue(reference), parsed.GetRequiredValue(generated));
            var files = new List<EvaluatedFile>();
            using (var progress = new ProgressReport(session, "evaluate"))
                foreach (EvaluatePair pair in pairs.Matched)
                {
                    session.Cancel.ThrowIfCancellationRequested();
                    files.Add(EvaluatedFile.Compare(session, pair, Options.MixOf(parsed.GetValue(mix))));
                    progress.Report((double)files.Count / pairs.Matched.Count);
                }
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(ToJson(pairs, files)));
            else WriteText(session, pairs, files);
            return ExitCode.Ok;
        });
        return verb;
    }

    private static void WriteText(Session session, EvaluatePairs pairs, List<EvaluatedFile> files)
    {
        foreach (string path in pairs.WithoutGenerated) session.Warn($"{path}: left out: nothing generated has its name");
        foreach (string path in pairs.WithoutReference) session.Warn($"{path}: left out: no reference has its name");
        AudioDistance[] distances = [.. files.Select(file => file.Distance)];
        List<(string, double?[])> rows = [.. files.Select(file => (file.Pair.Name, EvaluateFigures.Mean([file.Distance])))];
        if (files.Count > 1) rows.AddRange([("mean", EvaluateFigures.Mean(distances)), ("standard deviation", EvaluateFigures.StandardDeviation(distances))]);
        EvaluateFigures.WriteTable(session.Out, EvaluateFigures.All.Select(figure => figure.Heading), rows);
    }

    private static JsonObject ToJson(EvaluatePairs pairs, List<EvaluatedFile> files)
    {
        AudioDistance[] distances = [.. files.Select(file => file.Distance)];
        return new JsonObject
        {
            ["files"] = new JsonArray([.. files.Select(file => file.ToJson())]),
            ["mean"] = EvaluateFigures.ToJson(EvaluateFigures.Mean(distances)),
            ["standard_deviation"] = EvaluateFigures.ToJson(EvaluateFigures.StandardDeviation(distances)),
            ["without_generated"] = new JsonArray([.. pairs.WithoutGenerated.Select(path => (JsonNode)path)]),
            ["without_reference"] = new JsonArray([.. pairs.WithoutReference.Select(path => (JsonNode)path)]),
        };
    }
}
