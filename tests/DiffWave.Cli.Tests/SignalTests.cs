using System.Diagnostics;

namespace DiffWave.Cli.Tests;

public sealed class SignalTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    [Theory]
    [InlineData(Signals.Int, 130)]
    [InlineData(Signals.Term, 143)]
    public void InterruptedRunsLeaveNothing(int signal, int code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such signals");
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        string[] before = _program.Files();
        using Process process = Signals.Start(_program, "synth", "-m", model, "--seconds", "90000", "-o", "out.wav", "-t", "1");
        // The run is under way when its unfinished file holds audio.
        var patience = Stopwatch.StartNew();
        while (patience.Elapsed < TimeSpan.FromSeconds(30) && !Directory.EnumerateFiles(_program.Folder, "out.wav.tmp-*").Any(file => new FileInfo(file).Length > 100_000)) Thread.Sleep(20);
        Assert.False(process.HasExited);

        var clock = Stopwatch.StartNew();
        Signals.Send(process, signal);
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(10)), "still running");
        Assert.Equal(code, process.ExitCode);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"took {clock.Elapsed}");
        Assert.Equal(before, _program.Files());
        Assert.Contains("interrupted", process.StandardError.ReadToEnd());
    }
}
