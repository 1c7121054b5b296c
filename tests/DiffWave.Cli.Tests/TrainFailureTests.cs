using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave train when its folder cannot be written, and when its numbers grow without bound: it says so at once, keeps what is good, and goes on after repair.</summary>
public sealed class TrainFailureTests : TrainRuns
{
    // A folder where a file belongs, or the other way round, stops everybody, root included.
    [Theory]
    [InlineData("events", 2, "a folder belongs there")]
    [InlineData("samples", 2, "a folder belongs there")]
    [InlineData("log.jsonl", 2, "mend the access to the file")]
    [InlineData("samples/step-4-0.wav", 4, "mend the access to the folder")]
    [InlineData("samples/step-4-0.png", 4, "mend the access to the folder")]
    [InlineData("step-4.safetensors", 2, "older checkpoints, which are untouched")]
    [InlineData("report.html", 4, "mend the access to the folder")]
    [InlineData("model.safetensors", 4, "give the same command again")]
    public void WhatCannotBeWrittenIsNamedAndNothingIsLost(string obstacle, int kept, string advice)
    {
        string[] options = ["--sample-every", "4", "--validate-every", "0"];
        Start("run", 2, Plain).Succeeds();
        string path = _program[$"run/{obstacle}"], aside = _program["aside"];
        if (File.Exists(path)) File.Move(path, aside);
        else if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
        if (advice == "a folder belongs there") File.WriteAllText(path, "");
        else Directory.CreateDirectory(path);

        RunResult result = Train("run", 4, options);
        Assert.Equal(ExitCode.Failure, result.Code);
        string line = Assert.Single(result.Error.Split('\n'), text => text.StartsWith("error: ", StringComparison.Ordinal));
        Assert.StartsWith($"error: {path}: ", line);
        Assert.Contains(advice, line);
        Assert.Equal(kept, Latest("run"));
        if (obstacle != "log.jsonl") Assert.Equal(kept == 4 || obstacle == "step-4.safetensors" ? 4 : 2, Log("run").Length);

        if (File.Exists(path)) File.Delete(path);
        else if (Directory.Exists(path)) Directory.Delete(path);
        if (File.Exists(aside) && obstacle == "log.jsonl") File.Move(aside, path);
        Train("run", 4, options).Succeeds();
        Start("unbroken", 4, Plain).Succeeds();
        Assert.Equal(Hash("unbroken/step-4.safetensors"), Hash("run/step-4.safetensors"));
        Assert.Equal(Hash("unbroken/model.safetensors"), Hash("run/model.safetensors"));
        Assert.Equal([1, 2, 3, 4], Log("run").Select(entry => (int)entry["step"]!));
        Assert.DoesNotContain(_program.Files(), file => file.Contains(".tmp-"));
    }

    // A folder nobody may read is no damaged one: an older checkpoint must not be taken instead.
    [Fact]
    public void ACheckpointThatMayNotBeReadStopsTheRun()
    {
        if (OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess)
        {
            Assert.Skip("whoever runs this may read everything");
            return;
        }
        Start("run", 2, [.. Plain, "--checkpoint-every", "1"]).Succeeds();
        File.SetUnixFileMode(_program["run/step-2.safetensors"], UnixFileMode.None);
        Train("run", 4).FailsWith(ExitCode.Failure, "step-2.safetensors", "mend the access");
        File.SetUnixFileMode(_program["run/step-2.safetensors"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Assert.Contains("going on from step 2", Train("run", 4, Plain).Succeeds().Error);
    }

    // The last layer does not use its inputs of about 1e37 at first. Adam makes it use them, and in the step after that a gradient of the squared error is beyond float32.
    [Fact]
    public void ARunThatDivergesStopsInThatStepAndItsCheckpointsAreFinite()
    {
        RunResult result = TrainFromHugeWeights("--clip", "1", "--loss", "mse", "--lr", "0.4", "--checkpoint-every", "1");
        Assert.Equal(ExitCode.NotFinite, result.Code);
        int last = Log("run").Length;
        Assert.InRange(last, 1, 99);
        string line = Assert.Single(result.Error.Split('\n'), text => text.StartsWith("error: ", StringComparison.Ordinal));
        Assert.Contains($" in step {last + 1}", line);
        Assert.Contains($"the last good checkpoint is {_program[$"run/step-{last}.safetensors"]}", line);
        Assert.Equal(last, Latest("run"));
        Assert.All(Directory.GetFiles(_program["run"], "step-*"), file => TrainingCheckpoint.Load(file)); // refuses what is not finite
        Assert.All(Log("run"), entry => Assert.True(double.IsFinite((double)entry["loss"]!) && double.IsFinite((double)entry["grad_norm"]!)));
        Assert.DoesNotContain(_program.Files(), file => file.Contains(".tmp-") || file.Contains("model.safetensors"));
        Assert.Contains($"in step {last + 1}", Train("run", 100, Plain).Error); // no other way from there
    }

    // Without a limit to their norm the gradients of that layer are finite, but not their squares, which Adam averages.
    [Fact]
    public void GradientsWhoseSquaresAreNotFiniteStopTheRun()
    {
        RunResult result = TrainFromHugeWeights();
        Assert.Equal(ExitCode.NotFinite, result.Code);
        Assert.Contains("in step 1, too large for Adam's second moment", result.Error);
        Assert.Equal(0, Latest("run"));
    }

    [Fact]
    public void ATerminalThatIsGoneDoesNotEndTheRun()
    {
        using var error = new FullWriter();
        using StringWriter output = new();
        int code = Program.Run(["train", "--data", _program["clips"], "--out", _program["run"], "--steps", "3", .. Small, .. Plain, "--json"], output, error, Stream.Null);
        Assert.Equal((ExitCode.Ok, true), (code, error.Asked));
        Assert.Contains("\"stopped\": \"finished\"", output.ToString());
        Assert.Equal(3, Latest("run"));
    }

    private sealed class FullWriter : TextWriter
    {
        public bool Asked { get; private set; }

        public override System.Text.Encoding Encoding => System.Text.Encoding.UTF8;

        public override void Write(char value)
        {
            Asked = true;
            throw new IOException("No space left on device");
        }
    }

    private RunResult TrainFromHugeWeights(params string[] more)
    {
        string path = _program.Model("start", Network);
        Model model = Checkpoint.Load(path);
        model.Parameters["skip_projection.weight"].Fill(1e37f);
        model.Parameters["output_projection.weight"].Clear();
        Checkpoint.Save(path, model.Config, model.Parameters, model.Card);
        return Train("run", 100, [.. Plain, "--data", _program["clips"], "--init", path, "--batch", "2", "--crop-frames", "4", .. more]);
    }
}
