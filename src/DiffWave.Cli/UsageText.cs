using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace DiffWave.Cli;

/// <summary>A verb with notes and examples for its help page.</summary>
/// <param name="name">The verb.</param>
/// <param name="description">One line, which stands on the program's own page too.</param>
/// <param name="notes">What else a user must know; may be empty.</param>
/// <param name="examples">Command lines, each with a comment line before it.</param>
internal sealed class Verb(string name, string description, string notes, string examples) : Command(name, description)
{
    public string Notes { get; } = notes;

    public string Examples { get; } = examples;
}

/// <summary>The usual help page followed by notes and examples, or by the exit codes on the program's own page.</summary>
internal sealed class HelpWithExamples(HelpAction inner) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        inner.MaxWidth = 120;
        inner.Invoke(parseResult);
        TextWriter output = parseResult.InvocationConfiguration.Output;
        if (parseResult.CommandResult.Command is Verb verb)
        {
            if (verb.Notes.Length > 0) output.WriteLine($"Notes:\n{Indented(verb.Notes)}\n");
            output.WriteLine($"Examples:\n{Indented(verb.Examples)}\n");
        }
        else output.WriteLine($"{ExitCode.Table}\n\nResults and --json go to stdout, progress and messages to stderr. `diffwave VERB --help` explains a verb.\n");
        return ExitCode.Ok;
    }

    private static string Indented(string text) => string.Join('\n', text.ReplaceLineEndings("\n").Split('\n').Select(line => "  " + line));
}

/// <summary>Prints the version.</summary>
internal sealed class ShowVersion : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        parseResult.InvocationConfiguration.Output.WriteLine(typeof(Program).Assembly.GetName().Version!.ToString(3));
        return ExitCode.Ok;
    }
}

/// <summary>One line for a command line that cannot be understood.</summary>
internal static class UsageText
{
    public static string Of(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        string problem = parsed.Errors[0].Message.TrimEnd('.');
        if (parsed.UnmatchedTokens.FirstOrDefault() is { } unknown)
        {
            bool isOption = unknown.StartsWith('-');
            problem = $"{(isOption ? "unknown option" : command.Subcommands.Count == 0 ? "unexpected argument" : "unknown verb")} '{unknown}'";
            var known = isOption ? command.Options.SelectMany(option => option.Aliases.Append(option.Name)) : command.Subcommands.SelectMany(verb => verb.Aliases.Append(verb.Name));
            string name = unknown.Split('=')[0];
            if (Nearest(name, known) is { } close) problem += $", did you mean {close}?";
        }
        return $"{problem} (see diffwave {Path(command)}--help)";
    }

    /// <summary>The candidate that a misspelt name most likely means, or null when none is near.</summary>
    public static string? Nearest(string name, IEnumerable<string> candidates) =>
        candidates.Select(candidate => (candidate, Distance: Distance(name, candidate))).Where(pair => pair.Distance <= Math.Max(1, name.Length / 4)).OrderBy(pair => pair.Distance)
            .Select(pair => pair.candidate).FirstOrDefault();

    // The words after the program's name that lead to a verb, each followed by a space.
    private static string Path(Command command) => command is Verb ? $"{string.Concat(command.Parents.OfType<Verb>().Select(Path))}{command.Name} " : "";

    // Levenshtein's edit distance; none for what was only left unfinished.
    private static int Distance(string a, string b)
    {
        if (a.Length >= 3 && b.StartsWith(a, StringComparison.Ordinal)) return 0;
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 0; i < a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i + 1;
            for (int j = 0; j < b.Length; j++)
                (diagonal, row[j + 1]) = (row[j + 1], Math.Min(diagonal + (a[i] == b[j] ? 0 : 1), 1 + Math.Min(row[j], row[j + 1])));
        }
        return row[b.Length];
    }
}
