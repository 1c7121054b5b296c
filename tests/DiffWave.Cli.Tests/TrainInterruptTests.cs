using System.Diagnostics;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave train as a process of its own, stopped in every way: what it leaves goes on to the bits of an unbroken run.</summary>
public sealed class TrainInterruptTests : TrainRuns
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly List<Process> _started = [];

    public override void Dispose()
    {
        foreach (Process process in _started)
        {
            if (!process.HasExited) process.Kill(); // its test has failed
            process.WaitForExit();
            process.Dispose();
        }
        base.Dispose();
    }

    [Theory]
    [InlineData(Signals.Int, 130)]
    [InlineData(Signals.Term, 143)]
    public void ASignalEndsTheRunAfterTheStepAtHand(int signal, int code)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such signals");
        Process process = Begin("run", "--checkpoint-every", "1000000");
        WaitForLog(process, "run", 5);
        if (signal == Signals.Term) Train("run", 9).FailsWith(ExitCode.Failure, "is in use by another training run");
        Signals.Send(process, signal);
        string error = End(process, code);

        int last = Log("run").Length;
        string checkpoint = $"run/step-{last}.safetensors";
        Assert.Contains($"interrupted after step {last}: {checkpoint} holds everything", error);
        Assert.Equal(["run/step-0.safetensors", checkpoint], _program.Files().Where(file => file.StartsWith("run/step-", StringComparison.Ordinal)));
        GoesOnLikeAnUnbrokenRun("run", last, last + 3);
    }

    [Fact]
    public void ThreeKillsDoNotShowInTheResult()
    {
        const int every = 2;
        int last = 0;
        for (int kill = 0; kill < 3; kill++)
        {
            Process process = Begin("run", "--checkpoint-every", $"{every}");
            WaitForLog(process, "run", last + 4);
            process.Kill();
            Assert.True(process.WaitForExit(Patience));
            int from = Latest("run");
            last = File.ReadAllText(_program["run/log.jsonl"]).Count(letter => letter == '\n'); // a kill may cut the last line
            Assert.InRange(from, last - every, last);
        }
        GoesOnLikeAnUnbrokenRun("run", Latest("run"), last + 3);
    }

    [Fact]
    public void ASecondSignalEndsALongStep()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such signals");
        Process process = Begin("run", batch: 65536); // minutes a step
        WaitFor(process, () => File.Exists(_program["run/latest.json"]));
        Thread.Sleep(500);
        Signals.Send(process, Signals.Int);
        Assert.False(process.WaitForExit(TimeSpan.FromSeconds(2)), "the first signal is no reason to lose the step");
        Signals.Send(process, Signals.Int);
        var clock = Stopwatch.StartNew();
        End(process, 130);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"took {clock.Elapsed}");
        Assert.Equal(0, Latest("run"));
    }

    [Fact]
    public void ARecordingThatGoesAwayDoesNotCostTheStepsDone()
    {
        Process process = Begin("run", "--checkpoint-every", "1000000", "--cache-mb", "0");
        WaitForLog(process, "run", 3);
        File.Move(_program["clips/1.wav"], _program["1.wav"]);
        Assert.Contains("clips/1.wav: no such file", End(process, ExitCode.BadInput));
        int last = Log("run").Length;
        File.Move(_program["1.wav"], _program["clips/1.wav"]);
        GoesOnLikeAnUnbrokenRun("run", last, last + 3);
    }

    private Process Begin(string run, params string[] more) => Begin(run, 2, more);

    private Process Begin(string run, int batch, params string[] more)
    {
        Process process = Signals.Start(_program, ["train", "--data", "clips", "--out", run, "--steps", "1000000", .. Network, .. Plain, "--crop-frames", "4", "--lr", "1e-3", "--batch", $"{batch}", .. more]);
        _started.Add(process);
        return process;
    }

    private static string End(Process process, int code)
    {
        Assert.True(process.WaitForExit(Patience), "still running");
        string error = process.StandardError.ReadToEnd();
        Assert.True(code == process.ExitCode, $"exit code {process.ExitCode}, expected {code}: {error}");
        return error;
    }

    private void WaitForLog(Process process, string run, int lines) => WaitFor(process, () =>
    {
        if (!File.Exists(_program[$"{run}/log.jsonl"])) return false;
        using var reader = new StreamReader(new FileStream(_program[$"{run}/log.jsonl"], FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        return reader.ReadToEnd().Count(letter => letter == '\n') >= lines;
    });

    private static void WaitFor(Process process, Func<bool> done)
    {
        var clock = Stopwatch.StartNew();
        while (!done())
        {
            Assert.False(process.HasExited, "ended by itself");
            Assert.True(clock.Elapsed < Patience, "does not get there");
            Thread.Sleep(5);
        }
    }

    private void GoesOnLikeAnUnbrokenRun(string run, int from, int steps)
    {
        Assert.Contains($"going on from step {from};", Train(run, steps, Plain).Succeeds().Error);
        Start("unbroken", steps, Plain).Succeeds();
        Assert.Equal(Hash($"unbroken/step-{steps}.safetensors"), Hash($"{run}/step-{steps}.safetensors"));
        Assert.Equal(Hash("unbroken/model.safetensors"), Hash($"{run}/model.safetensors"));
        Assert.Equal(Enumerable.Range(1, steps), Log(run).Select(line => (int)line["step"]!));
        Assert.DoesNotContain(_program.Files(), file => file.Contains(".tmp-"));
    }
}
