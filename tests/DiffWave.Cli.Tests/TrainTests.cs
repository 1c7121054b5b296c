using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave train: what a run leaves, that it goes on exactly where it stopped, and what it refuses.</summary>
public sealed class TrainTests : TrainRuns
{
    [Fact]
    public void ARunLeavesEverythingANewcomerLooksFor()
    {
        RunResult result = Start("run", 6, "--checkpoint-every", "2", "--keep", "2", "--validate-every", "3", "--sample-every", "6", "--held-out", Names("1.wav"), "--json").Succeeds();
        Assert.Equal(6, (long)result.Json["steps"]!);
        Assert.Equal("finished", (string)result.Json["stopped"]!);
        Assert.Contains("1 shorter than a crop, padded: 4.wav", result.Error);
        string[] files = [.. _program.Files().Where(file => file.StartsWith("run/", StringComparison.Ordinal) && !file.StartsWith("run/events/", StringComparison.Ordinal))];
        Assert.Equal(["run/config.json", "run/latest.json", "run/log.jsonl", "run/model.safetensors", "run/report.html", "run/samples/reference-0.png", "run/samples/reference-0.wav",
            "run/samples/step-0-0.png", "run/samples/step-0-0.wav", "run/samples/step-6-0.png", "run/samples/step-6-0.wav", "run/step-4.safetensors", "run/step-6.safetensors"], files);
        Assert.Single(Directory.GetFiles(_program["run/events"]));

        JsonObject[] log = Log("run");
        Assert.Equal([0, 1, 2, 3, 4, 5, 6], log.Select(line => (long)line["step"]!));
        Assert.All(log[1..], line => Assert.True((double)line["loss"]! > 0 && (double)line["grad_norm"]! > 0 && (double)line["step_seconds"]! > 0 && (double)line["learning_rate"]! == 1e-3));
        Assert.Equal([0, 3, 6], log.Where(line => line["validation_loss"] is not null).Select(line => (long)line["step"]!));
        Assert.Equal((double)log[6]["validation_loss"]!, log[6]["loss_by_t"]!.AsArray().Average(part => (double)part!["loss"]!), 1e-9);
        Assert.Equal(6 * 2 / 4.0, (double)log[6]["epoch"]!);

        // The checkpoint and the model at the end are models, and the same one: the average.
        Model model = Checkpoint.Load(_program["run/model.safetensors"]), checkpoint = Checkpoint.Load(_program["run/step-6.safetensors"]);
        Assert.Equal(model.Parameters.Arena, checkpoint.Parameters.Arena);
        Assert.Equal(6, model.Card.TrainedSteps);
        Assert.NotEqual(model.Parameters.Arena, TrainingCheckpoint.Load(_program["run/step-6.safetensors"]).State.Weights.Arena);
        DiffWaveProgram.Run("synthesize", "-m", _program["run/step-6.safetensors"], "--wav", _program["clips/1.wav"], "-o", _program["out.wav"]).Succeeds();
    }

    [Fact]
    public void ItLearns()
    {
        Start("run", 60, "--ema", "0", "--validate-every", "60", "--sample-every", "0", "--held-out", Names("1.wav")).Succeeds();
        JsonObject[] log = Log("run");
        Assert.True((double)log[60]["validation_loss"]! < 0.95 * (double)log[0]["validation_loss"]!);
    }

    [Fact]
    public void ARunInPartsIsTheUnbrokenRunBitForBit()
    {
        Start("straight", 12, [.. Plain, "--threads", "1"]).Succeeds();
        string whole = Hash("straight/step-12.safetensors");
        foreach (int split in (int[])[1, 5, 11])
        {
            string run = $"split{split}";
            Start(run, split, [.. Plain, "--threads", "2"]).Succeeds();
            Train(run, 12, [.. Plain, "--threads", split == 5 ? "2" : "1"]).Succeeds();
            Assert.Equal(whole, Hash($"{run}/step-12.safetensors"));
            Assert.Equal(12, Log(run).Length);
        }
        Start("looked-at", 12, "--validate-every", "2", "--sample-every", "5", "--micro-batch", "2", "--recompute", "--held-out", Names("1.wav")).Succeeds();
        Start("alone", 12, [.. Plain, "--micro-batch", "2", "--recompute", "--held-out", Names("1.wav")]).Succeeds();
        Assert.Equal(Hash("alone/step-12.safetensors"), Hash("looked-at/step-12.safetensors"));
    }

    [Fact]
    public void AWholeStateOrWeightsCanMoveToANewRun()
    {
        Start("first", 4, [.. Plain, "--threads", "1"]).Succeeds();
        Train("second", 8, [.. Plain, "--data", _program["clips"], "--resume", _program["first/step-4.safetensors"]]).Succeeds();
        Train("first", 8, Plain).Succeeds();
        Assert.Equal(Hash("first/step-8.safetensors"), Hash("second/step-8.safetensors"));

        Train("third", 1, [.. Plain, "--data", _program["clips"], "--init", _program["first/model.safetensors"], "--batch", "1", "--crop-frames", "4", "--warmup", "1000000"]).Succeeds();
        Assert.Equal(9, Checkpoint.Load(_program["third/model.safetensors"]).Card.TrainedSteps); // eight before
        Assert.All(Checkpoint.Load(_program["third/model.safetensors"]).Parameters.Arena.Zip(Checkpoint.Load(_program["first/model.safetensors"]).Parameters.Arena),
            pair => Assert.Equal(pair.Second, pair.First, 1e-6f));
    }

    [Fact]
    public void WhatARunWasStartedWithCannotChange()
    {
        Start("run", 2, Plain).Succeeds();
        Train("run", 3, "--batch", "4").FailsWith(ExitCode.Usage, "batch is 2", "4 is asked for", "config.json");
        Train("run", 3, "--lr", "1e-4").FailsWith(ExitCode.Usage, "learning_rate is 0.001");
        Train("run", 3, "--config", "tiny").FailsWith(ExitCode.Usage, "channels is 8");
        Train("run", 3, "--trim").FailsWith(ExitCode.Usage, "trim_silence is false");
        Train("run", 3, "--init", "x.safetensors").FailsWith(ExitCode.Usage, "holds a run already");
        Train("run", 3, "--data", _program["clips"], "--resume", "never").FailsWith(ExitCode.Failure, "holds a training run already");
        File.Delete(_program["clips/2.wav"]);
        Assert.Contains("the recordings are not those", Train("run", 3).Error);
        Assert.Equal(2, Log("run").Length);
    }

    [Fact]
    public void MistakesLeaveNoRun()
    {
        Train("run", 3).FailsWith(ExitCode.Usage, "--data is missing");
        Train("run", 3, "--data", _program["nowhere"]).FailsWith(ExitCode.BadInput, "nowhere");
        Start("never", 3, "--micro-batch", "3").FailsWith(ExitCode.Usage, "micro_batch is 3", "divisor");
        Start("never", 3, "--loss", "l2").FailsWith(ExitCode.Usage, "l2");
        File.WriteAllText(_program["clips/bad.wav"], "not audio");
        Start("run", 3).FailsWith(ExitCode.BadInput, "bad.wav");
        Assert.False(Directory.Exists(_program["run"]));
        Assert.Contains("1 unreadable, left out: bad.wav", Start("run", 3, [.. Plain, "--skip-unreadable"]).Succeeds().Error);
        Directory.CreateDirectory(_program["other"]);
        File.WriteAllText(_program["other/mine.txt"], "");
        File.Delete(_program["clips/bad.wav"]);
        Start("other", 3).FailsWith(ExitCode.Failure, "not empty", "mine.txt");
    }

    [Fact]
    public void PublishLeavesTheStateOfTrainingOut()
    {
        Start("run", 2, Plain).Succeeds();
        DiffWaveProgram.Run("publish", _program["run/step-2.safetensors"], "-o", _program["voice.safetensors"], "--name", "Five tones", "--license", "CC0", "--source", "").Succeeds();
        Model published = Checkpoint.Load(_program["voice.safetensors"]), finished = Checkpoint.Load(_program["run/model.safetensors"]);
        Assert.Equal(finished.Parameters.Arena, published.Parameters.Arena);
        Assert.Equal(new ModelCard { Name = "Five tones", License = "CC0", TrainedSteps = 2 }, published.Card);
        DiffWaveProgram.Run("publish", _program["voice.safetensors"], "-o", _program["quick.safetensors"], "--fast", "0.01,0.5").Succeeds();
        Assert.Equal([0.01, 0.5], Checkpoint.Load(_program["quick.safetensors"]).Config.FastBetas);
        DiffWaveProgram.Run("publish", _program["voice.safetensors"], "-o", _program["bad.safetensors"], "--fast", "0.1,0.99").FailsWith(ExitCode.Usage, "--fast", "step 1", "alpha_bar");
        Assert.True(new FileInfo(_program["voice.safetensors"]).Length < new FileInfo(_program["run/step-2.safetensors"]).Length / 3);
    }

    [Fact]
    public void ALossThatIsNotFiniteStopsTheRunAndIsNeverWritten()
    {
        // Weights so large that the first prediction overflows.
        string path = _program.Model("huge", "--config", "tiny", "--set", "channels=8", "--set", "layers=3", "--set", "mel.bands=12");
        Model model = Checkpoint.Load(path);
        model.Parameters["skip_projection.weight"].Fill(1e30f);
        model.Parameters["output_projection.weight"].Fill(1e30f);
        Checkpoint.Save(path, model.Config, model.Parameters, model.Card);
        RunResult result = Train("run", 5, [.. Plain, "--data", _program["clips"], "--init", path, "--batch", "2", "--crop-frames", "4"]);
        Assert.Equal(ExitCode.NotFinite, result.Code);
        Assert.Contains("in step 1", result.Error);
        Assert.Contains("step-0.safetensors", result.Error);
        Assert.Equal(["run/step-0.safetensors"], _program.Files().Where(file => file.Contains("run/step-")));
        Assert.Equal(model.Parameters.Arena, Checkpoint.Load(_program["run/step-0.safetensors"]).Parameters.Arena);
    }

    private string Names(params string[] names)
    {
        string path = _program["held-out.txt"];
        File.WriteAllLines(path, names);
        return path;
    }
}
