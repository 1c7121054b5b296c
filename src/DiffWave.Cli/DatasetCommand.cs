using System.CommandLine;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave dataset</c>: reads every recording of a data set and says what training would make of it.</summary>
internal static class DatasetCommand
{
    private const string Description = "Check recordings before training on them.";

    private const string Notes = """
        Folders are searched recursively; hidden files are passed over. Files are named by their path below the
        folder given. For a model with labels and without --metadata, the label of a clip is the name of the
        folder it stands in, numbered from 0 in ordinal order. Silent means a peak below -60 dB, clipped means
        3 or more samples in a row at 0.9999 or above, DC offset a mean beyond 0.01. Nothing is written; findings
        are no errors, but with no usable clip at all the exit code is 3.
        """;

    private const string Examples = """
        # is this corpus ready for the base vocoder?
        diffwave dataset LJSpeech-1.1/wavs
        # the clips of a list, trimmed, for a 24 kHz vocoder
        diffwave dataset recordings/ --metadata clips.csv --trim --set sample_rate=24000
        # ten spoken digits, a folder each
        diffwave dataset SpeechCommands/ --config sc09 --set conditioner=label --set labels=10 --json
        """;

    public static Command Create(Session session)
    {
        var roots = new Argument<string[]>("input") { HelpName = "DIR..", Arity = ArgumentArity.OneOrMore, Description = "Folders of audio, searched recursively, or single files" };
        var config = new Option<string>("--config")
        {
            HelpName = "PRESET|FILE.json", DefaultValueFactory = _ => "base", Description = $"The model to prepare for: a preset ({string.Join(", ", ModelConfig.PresetNames)}) or a configuration",
        };
        var set = new Option<string[]>("--set") { HelpName = "KEY=VALUE", Description = "Change one field of it, any number of times (see diffwave init)" };
        Option<int> crop = Options.Whole("--crop-frames", "F", 1, 100_000, new TrainingOptions().CropFrames, "Length of a crop in mel frames; a model without mel counts 256 samples a frame");
        var data = new DatasetArguments();
        Option<bool> json = Options.Json();
        var verb = new Verb("dataset", Description, Notes, Examples) { roots, config, set, crop };
        data.AddTo(verb);
        verb.Add(json);
        verb.SetAction(parsed =>
        {
            ModelConfig model = ConfigEditor.Resolve(parsed.GetValue(config)!, parsed.GetValue(set) ?? []);
            int samples;
            try { samples = new TrainingOptions { CropFrames = parsed.GetValue(crop) }.CropSamples(model); }
            catch (OverflowException) { throw new UsageException($"--crop-frames {parsed.GetValue(crop)}: a crop has more samples than fit in memory"); }
            DatasetScan scan;
            using (var progress = new ProgressReport(session, "dataset")) scan = DatasetScan.Read(model, samples, data.Over(parsed, new DatasetOptions { Roots = parsed.GetRequiredValue(roots) }), progress, session.Cancel);
            DatasetReport.Write(session.Out, scan, parsed.GetValue(json));
            if (scan.Obstacle is not { } obstacle) return ExitCode.Ok;
            if (scan.Clips.Count == 0)
            {
                session.Log($"error: {obstacle.Message}");
                return ExitCode.BadInput;
            }
            session.Warn($"training would not start: {obstacle.Message}");
            return ExitCode.Ok;
        });
        return verb;
    }
}
