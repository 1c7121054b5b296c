using System.Text.Json.Nodes;
using DiffWave.Cuda.Tests;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary><c>train --precision</c>: on the emulator, part of what a run is, refused elsewhere with the reason.</summary>
public sealed class TrainPrecisionTests : TrainRuns
{
    private string[] Model(int channels = 32) => ["--data", _program["clips"], "--config", "tiny", "--set", $"channels={channels}", "--set", "layers=2", "--set", "mel.bands=16", "--batch", "1", "--crop-frames", "1", "--lr", "1e-3"];

    [Theory]
    [InlineData("tf32", 1e-2)]
    [InlineData("fp16", 1e-2)]
    [InlineData("bf16", 5e-2)]
    public void AFewStepsAreNearFp32AndGoOnBitForBit(string precision, double relative)
    {
        string[] device = ["--device", "emulator", .. Plain, "--checkpoint-every", "1"];
        Train("cpu", 3, [.. Model(), .. Plain, "--device", "cpu"]).Succeeds();
        RunResult result = Train("whole", 3, [.. Model(), .. device, "--precision", precision, "--json"]).Succeeds();
        Assert.Equal(precision, (string)result.Json["precision"]!);
        Assert.Contains($", {precision})", (string)result.Json["device"]!);
        JsonObject[] log = Log("whole");
        foreach ((JsonObject ours, JsonObject theirs) in log.Zip(Log("cpu")))
        {
            foreach (string field in (string[])["loss", "grad_norm"]) Assert.InRange((double)ours[field]! / (double)theirs[field]!, 1 - relative, 1 + relative);
            Assert.Equal(precision == "fp16" ? 65536 : null, (double?)ours["loss_scale"]);
            Assert.Null(theirs["loss_scale"]);
        }
        Assert.NotEqual((double)log[0]["grad_norm"]!, (double)Log("cpu")[0]["grad_norm"]!);
        TrainingCheckpoint last = TrainingCheckpoint.Load(_program["whole/step-3.safetensors"]);
        Assert.Equal((precision, precision == "fp16" ? new LossScale(65536, 3) : new LossScale(1, 0)), (last.Options.Precision.ToString().ToLowerInvariant(), last.State.LossScale));

        // In parts, the precision being the run's own, it is the same run.
        Train("parts", 1, [.. Model(), .. device, "--precision", precision]).Succeeds();
        Train("parts", 3, device).Succeeds();
        Assert.Equal(Hash("whole/step-3.safetensors"), Hash("parts/step-3.safetensors"));
    }

    [Fact]
    public void WhatCannotBeIsRefusedBeforeAnythingIsWritten()
    {
        Refused(2, "--precision fp16 --device cpu: the CPU computes in fp32 only; give --device auto, cuda, cuda:N or emulator", Train("run", 1, [.. Model(), "--device", "cpu", "--precision", "fp16"]));
        Refused(2, "--precision bf16: the model has 24 channels, there are kernels for 32, 64, 128 and 256; compute in fp32", Train("run", 1, [.. Model(24), "--device", "emulator", "--precision", "bf16"]));
        Refused(2, "'fp8'", Train("run", 1, [.. Model(), "--device", "emulator", "--precision", "fp8"]));
        using (var none = new StubCuda { DeviceCount = 0 })
            Refused(5, "--precision tf32 needs a GPU, and the CPU computes in fp32 only: the NVIDIA driver shows no GPU", Train("run", 1, [.. Model(), "--precision", "tf32"]));
        Assert.False(Directory.Exists(_program["run"]));

        Train("run", 1, [.. Model(), .. Plain, "--device", "emulator", "--precision", "bf16"]).Succeeds();
        Refused(2, "precision is \"bf16\"", Train("run", 2, "--device", "emulator", "--precision", "fp32"));
        Refused(2, "--precision bf16 --device cpu", Train("run", 2, "--device", "cpu"));
        Assert.Equal(1, Latest("run"));

        static void Refused(int code, string why, RunResult run)
        {
            Assert.Equal(code, run.Code);
            Assert.Contains(why, run.Error);
        }
    }
}
