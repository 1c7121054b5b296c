using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave init</c>: a new model with random weights.</summary>
internal static class InitCommand
{
    private const string Description = "Make a new model with random weights, ready for training or for measuring speed.";

    private const string Notes = """
        Fields that follow from others need not be set: sample_rate moves mel.sample_rate and mel.high_hz;
        mel.hop gives upsample_factors, mel.window_length and, if need be, mel.fft_size; upsample_factors give
        mel.hop; conditioner brings or removes mel. A label conditioner needs labels.
        """;

    private const string Examples = """
        # the paper's base vocoder
        diffwave init --config base -o base.safetensors
        # a small 24 kHz vocoder with a hop of 300 samples and 100 bands
        diffwave init --config small --set sample_rate=24000 --set mel.hop=300 --set mel.bands=100 -o small24k.safetensors
        # ten spoken digits by class label
        diffwave init --config sc09 --set conditioner=label --set labels=10 -o digits.safetensors
        """;

    public static Command Create(Session session)
    {
        var config = new Option<string>("--config") { HelpName = "PRESET|FILE.json", Required = true, Description = $"A preset ({string.Join(", ", ModelConfig.PresetNames)}) or a configuration as diffwave info --json shows it" };
        var set = new Option<string[]>("--set") { HelpName = "KEY=VALUE", Description = $"Change one field, any number of times. Keys: {string.Join(", ", ConfigEditor.Keys)}" };
        Option<ulong> seed = Options.Seed("Seed of the weights; the same seed gives the same file");
        var name = new Option<string>("--name") { HelpName = "TEXT", Description = "Name for the model card" };
        var output = new Option<string>("--output", "-o") { HelpName = "OUT.safetensors", Required = true, Description = "Model file to write" };
        var verb = new Verb("init", Description, Notes, Examples)
        {
            config, set, seed, name, output,
        };
        verb.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(output), source = parsed.GetRequiredValue(config);
            ModelConfig resolved = ConfigEditor.Resolve(source, parsed.GetValue(set) ?? []);
            OutputPath.Check(path, File.Exists(source) ? [source] : []);
            ulong seedValue = parsed.GetValue(seed);
            var card = new ModelCard { Name = parsed.GetValue(name), Source = $"diffwave init --config {source} --seed {seedValue}", TrainedSteps = 0 };
            Parameters parameters = Initializer.Create(resolved, seedValue);
            OutputPath.Writing(path, () => { Checkpoint.Save(path, resolved, parameters, card); return true; });
            session.Out.WriteLine($"{path}: {ConfigText.Summary(resolved, parameters.Arena.Length)}, seed {seedValue}");
            return ExitCode.Ok;
        });
        return verb;
    }
}
