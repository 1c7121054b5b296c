using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>The options that say which recordings a data set has and how they are prepared, for every verb that reads one.</summary>
internal sealed class DatasetArguments
{
    private readonly Option<string> _metadata = new("--metadata")
    {
        HelpName = "FILE.csv",
        Description = "Take only the clips listed here: a table with the columns file and, for labels, label (separated by commas, bars or tabs), or lines id|text as in LJ Speech",
    };

    private readonly Option<bool> _trim = new("--trim") { Description = "Cut what is 40 dB below a clip's peak off its start and end, but for 50 ms" };
    private readonly Option<string> _short = Options.Choice("--short", "Clips shorter than a crop: pad with zeros that do not count in the loss, or skip", "pad", "skip");
    private readonly Option<double?> _validation = Options.Number("--validation", "SHARE", 0, 0.5, "Share of the clips held out for validation, chosen by a hash of their names, 0 to 0.5 (default 0.02)");
    private readonly Option<string> _heldOut = new("--held-out") { HelpName = "FILE", Description = "Hold out the clips listed here instead, one name a line" };
    private readonly Option<string> _mix = Options.Mix();

    public void AddTo(Verb verb)
    {
        foreach (Option option in (Option[])[_metadata, _trim, _short, _validation, _heldOut, _mix]) verb.Add(option);
    }

    /// <summary>The options given on the command line, over those of <paramref name="start"/>.</summary>
    /// <exception cref="UsageException">Options that exclude each other.</exception>
    public DatasetOptions Over(ParseResult parsed, DatasetOptions start)
    {
        if (parsed.GetValue(_validation) is not null && parsed.GetValue(_heldOut) is not null) throw new UsageException("--validation and --held-out exclude each other");
        bool Given(Option option) => parsed.GetResult(option) is { Implicit: false };
        return start with
        {
            Metadata = parsed.GetValue(_metadata) ?? start.Metadata,
            TrimSilence = Given(_trim) ? parsed.GetValue(_trim) : start.TrimSilence,
            ShortClips = !Given(_short) ? start.ShortClips : parsed.GetValue(_short) == "skip" ? ShortClips.Skip : ShortClips.Pad,
            ValidationFraction = parsed.GetValue(_validation) ?? start.ValidationFraction,
            HeldOut = parsed.GetValue(_heldOut) ?? start.HeldOut,
            Mix = Given(_mix) ? Options.MixOf(parsed.GetValue(_mix)) : start.Mix,
        };
    }
}
