using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DiffWave.Cli.Tests;

public sealed partial class SignalTests : IDisposable
{
    private const int Int = 2, Term = 15;

    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    [Theory]
    [InlineData(Int, 130)]
    [InlineData(Term, 143)]
    public void InterruptedRunsLeaveNothing(int signal, int code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such signals");
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        string[] before = _program.Files();
        using Process process = StartWithDefaultSignals("synth", "-m", model, "--seconds", "90000", "-o", "out.wav", "-t", "1");
        // The run is under way when its unfinished file holds audio.
        var patience = Stopwatch.StartNew();
        while (patience.Elapsed < TimeSpan.FromSeconds(30) && !Directory.EnumerateFiles(_program.Folder, "out.wav.tmp-*").Any(file => new FileInfo(file).Length > 100_000)) Thread.Sleep(20);
        Assert.False(process.HasExited);

        var clock = Stopwatch.StartNew();
        Assert.Equal(0, Kill(process.Id, signal));
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(10)), "still running");
        Assert.Equal(code, process.ExitCode);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"took {clock.Elapsed}");
        Assert.Equal(before, _program.Files());
        Assert.Contains("interrupted", process.StandardError.ReadToEnd());
    }

    // Test hosts started in the background of a shell ignore SIGINT, and their children would too.
    private Process StartWithDefaultSignals(params string[] args)
    {
        nint old = Signal(Int, 0);
        try { return _program.Start(args); }
        finally { Signal(Int, old); }
    }

    [LibraryImport("libc", EntryPoint = "kill")] private static partial int Kill(int process, int signal);
    [LibraryImport("libc", EntryPoint = "signal")] private static partial nint Signal(int signal, nint handler);
}
