using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave export</c>: model files to lmnt's state dict.</summary>
internal static class ExportCommand
{
    private const string Description = "Write a model for lmnt-com/diffwave: state dict as safetensors, params in its metadata.";

    private const string Notes = """
        In Python: model.load_state_dict(safetensors.torch.load_file("OUT.safetensors")). Models that lmnt's
        code cannot compute are refused, with the field that differs.
        """;

    private const string Examples = """
        # to PyTorch
        diffwave export base.safetensors -o base-lmnt.safetensors
        """;

    public static Command Create(Session session)
    {
        var input = new Argument<string>("input") { HelpName = "IN.safetensors", Description = "Model file" };
        var output = new Option<string>("--output", "-o") { HelpName = "OUT.safetensors", Required = true, Description = "File to write" };
        var verb = new Verb("export", Description, Notes, Examples) { input, output };
        verb.SetAction(parsed =>
        {
            string source = parsed.GetRequiredValue(input), target = parsed.GetRequiredValue(output);
            OutputPath.Check(target, [source]);
            Model model = TorchImport.Import(source, new TorchImportOptions());
            session.Cancel.ThrowIfCancellationRequested();
            try { OutputPath.Writing(target, () => { LmntExport.Export(model, target); return true; }); }
            catch (ModelFormatException e) when (e.Path == target) { throw new ModelFormatException(source, e.Message[(target.Length + 2)..], e); } // the model is what does not fit
            session.Out.WriteLine($"{target}: {ConfigText.Summary(model.Config, model.Parameters.Arena.Length)}, in lmnt's format");
            return ExitCode.Ok;
        });
        return verb;
    }
}
