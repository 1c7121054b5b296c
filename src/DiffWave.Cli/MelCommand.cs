using System.CommandLine;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave mel</c>: audio to mel spectrograms.</summary>
internal static class MelCommand
{
    private const string Description = "Compute mel spectrograms of audio files.";

    private const string Notes = """
        The recipe is written beside each mel (OUT.npy.json), so that a model can refuse a mel of another recipe.
        n samples give 1 + n / hop frames, rounded down.
        """;

    private const string Examples = """
        # with the recipe of a model
        diffwave mel speech.wav --model base.safetensors -o speech.npy
        # a folder, 24 kHz, 100 bands
        diffwave mel recordings/ -o mels/ --recipe lmnt --sample-rate 24000 --hop 300 --fft 2048 --bands 100
        """;

    public static Command Create(Session session)
    {
        var input = new Argument<string>("input") { HelpName = "IN.wav|FOLDER", Description = "Audio of any sample rate and channels, or a folder of it, searched recursively" };
        var output = new Option<string>("--output", "-o") { HelpName = "OUT.npy|FOLDER", Required = true, Description = "The .npy file [bands, frames], float32; for a folder, an existing folder" };
        Option<string> model = Options.Model(required: false);
        model.Description = "Model file whose recipe to use";
        Option<string> recipe = Options.Choice("--recipe", "lmnt (decibels mapped to 0..1) or tacotron (natural logarithm, Slaney bands)", "lmnt", "tacotron");
        Option<int> rate = Options.Whole("--sample-rate", "HZ", 1000, 768_000, 22050, "Sample rate of the recipe in Hz; audio of another rate is resampled");
        Option<int> hop = Options.Whole("--hop", "N", 1, 65536, 256, "Samples between frames; the window has four hops, at most --fft");
        Option<int> bands = Options.Whole("--bands", "N", 1, 1024, 80, "Mel bands");
        Option<int> fft = Options.Whole("--fft", "N", 16, 65536, 1024, "FFT size in samples");
        Option<string> mix = Options.Mix();
        var verb = new Verb("mel", Description, Notes, Examples) { input, output, mix, model, recipe, rate, hop, bands, fft };
        verb.SetAction(parsed =>
        {
            bool own = ((Option[])[recipe, rate, hop, bands, fft]).Any(option => parsed.GetResult(option) is { Implicit: false });
            MelRecipe chosen;
            if (parsed.GetValue(model) is { } path)
            {
                if (own) throw new UsageException("--model brings its own recipe: leave out --recipe, --sample-rate, --hop, --bands and --fft");
                chosen = TorchImport.Import(path, new TorchImportOptions()).Config.Mel ?? throw new UsageException($"{path} is not conditioned on a mel: it has no recipe");
            }
            else
            {
                Func<int, int, int, int, MelRecipe> make = parsed.GetValue(recipe) == "lmnt" ? MelRecipe.Lmnt : MelRecipe.Tacotron;
                chosen = make(parsed.GetValue(rate), parsed.GetValue(hop), parsed.GetValue(bands), parsed.GetValue(fft));
                if (chosen.Problem() is { } problem) throw new UsageException($"the recipe does not work: {problem}");
            }
            Run(session, parsed.GetRequiredValue(input), parsed.GetRequiredValue(output), new MelSpectrogram(chosen), Options.MixOf(parsed.GetValue(mix)));
            return ExitCode.Ok;
        });
        return verb;
    }

    private static void Run(Session session, string input, string output, MelSpectrogram spectrogram, ChannelMix mix)
    {
        IReadOnlyList<NamedOutput> files = InputFiles.Pair(InputFiles.List([input], AudioFile.HasKnownExtension, "audio"), output, ".npy", several: Directory.Exists(input));
        foreach (string written in files.SelectMany(file => (string[])[file.Output, MelFile.SidecarPath(file.Output)])) OutputPath.Check(written, files.Select(file => file.Input));
        using var progress = new ProgressReport(session, "mel");
        for (int i = 0; i < files.Count; i++)
        {
            session.Cancel.ThrowIfCancellationRequested();
            (string path, string target) = files[i];
            float[] samples = AudioInput.Read(session, path, spectrogram.Recipe.SampleRate, "recipe", mix);
            float[] mel = spectrogram.Compute(samples, out int frames);
            OutputPath.Writing(target, () => { MelFile.Write(target, mel, frames, spectrogram.Recipe); return true; });
            session.Out.WriteLine($"{target}: {spectrogram.Recipe.Bands} bands x {frames} frames ({spectrogram.Recipe.Name}, {spectrogram.Recipe.SampleRate} Hz, hop {spectrogram.Recipe.Hop})");
            progress.Report((i + 1.0) / files.Count);
        }
    }
}
