using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave publish</c>: a model file for others.</summary>
internal static class PublishCommand
{
    private const string Description = "Make a model file for others: the weights without the state of training, with a card.";

    private const string Notes = """
        The weights of a checkpoint are the moving average where the run kept one. Fields of the card that are
        not given stay as they are; an empty one is removed. diffwave info shows the card.

        --fast stores another fast schedule: its noise levels must lie within those of training. Try candidates
        with synthesize --schedule and evaluate first; denser steps at high noise usually pay.
        """;

    private const string Examples = """
        diffwave publish run/step-50000.safetensors -o voice.safetensors --name "Reader" --license "CC-BY 4.0" \
            --description "One speaker, 2 hours, 22050 Hz" --notes "Held-out log-mel L1 0.41"
        """;

    public static Command Create(Session session)
    {
        var input = new Argument<string>("input") { HelpName = "MODEL", Description = "Model file or training checkpoint" };
        var output = new Option<string>("--output", "-o") { HelpName = "OUT.safetensors", Required = true, Description = "Model file to write" };
        Option<string?> Field(string name, string what) => new(name) { HelpName = "TEXT", Description = what };
        Option<string?> name = Field("--name", "Short name"), description = Field("--description", "One or two sentences: data, speaker, purpose"), source = Field("--source", "Origin: the training data, or a URL");
        Option<string?> license = Field("--license", "Licence of the weights"), notes = Field("--notes", "Anything else: losses, figures, how it was trained");
        var fast = new Option<string?>("--fast") { HelpName = "B1,B2,..", Description = "Betas of the fast schedule to store" };
        var verb = new Verb("publish", Description, Notes, Examples) { input, output, name, description, source, license, notes, fast };
        verb.SetAction(parsed =>
        {
            string from = parsed.GetRequiredValue(input), to = parsed.GetRequiredValue(output);
            OutputPath.Check(to, [from]);
            Model model = Checkpoint.Load(from);
            string? Changed(Option<string?> option, string? old) => parsed.GetValue(option) is { } text ? text.Length > 0 ? text : null : old;
            ModelCard card = model.Card with
            {
                Name = Changed(name, model.Card.Name), Description = Changed(description, model.Card.Description), Source = Changed(source, model.Card.Source),
                License = Changed(license, model.Card.License), Notes = Changed(notes, model.Card.Notes),
            };
            ModelConfig config = parsed.GetValue(fast) is { } betas ? model.Config with { FastBetas = ScheduleText.Parse("--fast", betas) } : model.Config;
            try { SamplerStep.Chain(new NoiseSchedule(config.FastBetas), new NoiseSchedule(config.TrainingBetas)); }
            catch (ArgumentException e) { throw new UsageException($"--fast: {e.Message}"); }
            OutputPath.Writing(to, () => { Checkpoint.Save(to, config, model.Parameters, card); return true; });
            session.Out.WriteLine($"{to}: {ConfigText.Summary(config, model.Parameters.Arena.Length)}");
            return ExitCode.Ok;
        });
        return verb;
    }
}
