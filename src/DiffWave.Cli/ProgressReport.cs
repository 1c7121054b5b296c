using System.Diagnostics;
using Spectre.Console;

namespace DiffWave.Cli;

/// <summary>
/// Progress on stderr: a bar with the time left on a terminal, a line now and then elsewhere. Work that is done, or nearly done, within two seconds shows nothing.
/// </summary>
internal sealed class ProgressReport : IProgress<double>, IDisposable
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan BetweenLines = TimeSpan.FromSeconds(5);

    private readonly Session _session;
    private readonly string _what;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly TaskCompletionSource _finished = new();
    private Task? _bar;
    private ProgressTask? _task;
    private TimeSpan _lastLine = TimeSpan.Zero;
    private int _lastTenth;

    public ProgressReport(Session session, string what) => (_session, _what) = (session, what);

    /// <summary>Whether stderr is a terminal that can redraw a line.</summary>
    public static bool TerminalIsInteractive => !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") != "dumb" && Environment.GetEnvironmentVariable("CI") is null;

    public void Report(double fraction)
    {
        TimeSpan elapsed = _clock.Elapsed;
        if (_session.ErrorIsTerminal) ReportBar(fraction, elapsed);
        else ReportLine(fraction, elapsed);
    }

    private void ReportLine(double fraction, TimeSpan elapsed)
    {
        int tenth = (int)(fraction * 10);
        if (tenth <= _lastTenth || tenth >= 10 || elapsed < Quiet || elapsed - _lastLine < BetweenLines) return;
        (_lastTenth, _lastLine) = (tenth, elapsed);
        _session.Log(FormattableString.Invariant($"{_what}: {fraction:P0}, {elapsed / fraction - elapsed:hh\\:mm\\:ss} left"));
    }

    private void ReportBar(double fraction, TimeSpan elapsed)
    {
        if (_bar is null)
        {
            if (elapsed < Quiet || fraction > 0.8) return;
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(_session.Error) });
            _bar = console.Progress().AutoClear(true).Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
                .StartAsync(context =>
                {
                    _task = context.AddTask(Markup.Escape(_what));
                    return _finished.Task;
                });
        }
        if (_task is { } task) task.Value = 100 * fraction;
    }

    public void Dispose()
    {
        _finished.TrySetResult();
        _bar?.Wait();
    }
}
