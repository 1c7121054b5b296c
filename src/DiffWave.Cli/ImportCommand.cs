using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave import</c>: checkpoints of other programs to model files.</summary>
internal static class ImportCommand
{
    private const string Description = "Convert a checkpoint of lmnt-com/diffwave or of philsyn's DiffWave to a model file.";

    private const string Notes = """
        Reads lmnt's .pt and safetensors and philsyn's .pkl. The graph a checkpoint was trained with is kept
        exactly. No code in the file is run and no Python is needed. philsyn's checkpoints need their config
        JSON: give it with --config, or put it beside the checkpoint under the same name.
        """;

    private const string Examples = """
        # lmnt's pretrained vocoder
        diffwave import diffwave-ljspeech-22kHz-1000578.pt -o ljspeech.safetensors
        # a philsyn checkpoint
        diffwave import 1000000.pkl --config config.json --license MIT -o vocoder.safetensors
        """;

    public static Command Create(Session session)
    {
        var input = new Argument<string>("input") { HelpName = "IN", Description = "Checkpoint: .pt, .pkl or .safetensors; the content decides" };
        var output = new Option<string>("--output", "-o") { HelpName = "OUT.safetensors", Required = true, Description = "Model file to write" };
        var config = new Option<string>("--config") { HelpName = "FILE.json", Description = "Hyperparameters the checkpoint was trained with, if it does not hold them" };
        var residual = new Option<bool?>("--residual-includes-step-embedding") { HelpName = "true|false", Description = "For philsyn's format only: false for forks that corrected the residual path; default true, as the original computes" };
        var name = new Option<string>("--name") { HelpName = "TEXT", Description = "Name for the model card; default: the file's" };
        var license = new Option<string>("--license") { HelpName = "TEXT", Description = "Licence of the weights for the model card" };
        var verb = new Verb("import", Description, Notes, Examples) { input, output, config, residual, name, license };
        verb.SetAction(parsed =>
        {
            string source = parsed.GetRequiredValue(input), target = parsed.GetRequiredValue(output);
            string? configPath = parsed.GetValue(config);
            OutputPath.Check(target, configPath is null ? [source] : [source, configPath]);
            Model model = TorchImport.Import(source, new TorchImportOptions
            {
                ConfigPath = configPath,
                ResidualIncludesStepEmbedding = parsed.GetValue(residual),
                Name = parsed.GetValue(name),
                License = parsed.GetValue(license),
            });
            session.Cancel.ThrowIfCancellationRequested();
            OutputPath.Writing(target, () => { Checkpoint.Save(target, model.Config, model.Parameters, model.Card); return true; });
            session.Out.WriteLine($"{target}: {ConfigText.Summary(model.Config, model.Parameters.Arena.Length)}");
            return ExitCode.Ok;
        });
        return verb;
    }
}
