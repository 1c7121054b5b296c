using System.CommandLine;
using System.CommandLine.Help;
using System.Text;

namespace DiffWave.Cli;

/// <summary>The <c>diffwave</c> program: its verbs, and what happens around each of them (parsing, signals, errors to exit codes).</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        // Names of files are printed as they are, whatever the locale says.
        if (Console.IsOutputRedirected) Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        using var interrupt = new Interrupt();
        using Stream rawOutput = Console.OpenStandardOutput();
        return Run(args, new Session(Console.Out, Console.Error, rawOutput, ProgressReport.TerminalIsInteractive, interrupt.Token) { Interrupt = interrupt });
    }

    /// <summary>Runs one command line inside another process; results go to <paramref name="output"/>, logs to <paramref name="error"/>, <c>-o -</c> to <paramref name="rawOutput"/>.</summary>
    public static int Run(string[] args, TextWriter output, TextWriter error, Stream rawOutput) =>
        Run(args, new Session(output, error, rawOutput, ErrorIsTerminal: false, CancellationToken.None));

    private static int Run(string[] args, Session session)
    {
        try
        {
            ParseResult parsed = CreateRoot(session).Parse(args.Length == 0 ? ["--help"] : args, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0 && parsed.Action is not (HelpWithExamples or ShowVersion)) throw new UsageException(UsageText.Of(parsed));
            return parsed.Invoke(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // signals are ours
                Output = session.Out,
                Error = session.Error,
            });
        }
        catch (OperationCanceledException) when (session.Cancel.IsCancellationRequested)
        {
            session.Log("interrupted: no output was left behind");
            return session.Interrupt?.ExitCode ?? ExitCode.Interrupted;
        }
        catch (Exception e)
        {
            (int code, string message) = ExitCode.Of(e);
            session.Log($"error: {message}");
            return code;
        }
    }

    private static RootCommand CreateRoot(Session session)
    {
        var root = new RootCommand("DiffWave: a diffusion vocoder and audio generator.")
        {
            DemoCommand.Create(session), BenchCommand.Create(session), SynthesizeCommand.Create(session), TrainCommand.Create(session), InitCommand.Create(session), MelCommand.Create(session), ImportCommand.Create(session), ExportCommand.Create(session), PublishCommand.Create(session),
            InfoCommand.Create(session), DatasetCommand.Create(session), EvaluateCommand.Create(session), DevicesCommand.Create(session), TuneCommand.Create(session), CheckCommand.Create(session), KernelsCommand.Create(session),
        };
        foreach (Option option in root.Options)
        {
            if (option is HelpOption help) help.Action = new HelpWithExamples((HelpAction)help.Action!);
            if (option is VersionOption version) version.Action = new ShowVersion();
        }
        return root;
    }
}
