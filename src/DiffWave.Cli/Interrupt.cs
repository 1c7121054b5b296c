using System.Runtime.InteropServices;

namespace DiffWave.Cli;

/// <summary>
/// Turns SIGINT, SIGTERM and SIGHUP into a cancelled token and the exit code that goes with the signal. Work that does not look at the token in time, and a second
/// signal, end the process without it; unfinished output is removed in every case.
/// </summary>
internal sealed class Interrupt : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1.5);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;
    private Timer? _deadline;
    private int _exitCode;
    private bool _patient;

    public Interrupt() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Handle(context, Cli.ExitCode.Interrupted)),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Handle(context, Cli.ExitCode.Terminated)),
        PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => Handle(context, Cli.ExitCode.HungUp)),
    ];

    public CancellationToken Token => _source.Token;

    /// <summary>128 plus the number of the signal that came; 0 when none did.</summary>
    public int ExitCode => _exitCode;

    /// <summary>From now on the work ends itself soon after the signal, however long that takes; only a second signal ends the process without it.</summary>
    public void Wait() => _patient = true;

    private void Handle(PosixSignalContext context, int exitCode)
    {
        context.Cancel = true;
        if (Interlocked.CompareExchange(ref _exitCode, exitCode, 0) != 0) Leave(exitCode);
        if (!_patient) _deadline = new Timer(_ => Leave(exitCode), null, Patience, Timeout.InfiniteTimeSpan);
        _source.Cancel();
    }

    private static void Leave(int exitCode)
    {
        OutputPath.RemoveUnfinished();
        Environment.Exit(exitCode);
    }

    public void Dispose()
    {
        foreach (var registration in _registrations) registration.Dispose();
        _deadline?.Dispose();
        _source.Dispose();
    }
}
