using System.Text.Json.Nodes;
using DiffWave.Cuda.Tests;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>Training on the emulator and on GPUs that fail: before the first step the CPU takes over, later the run stops and can be taken up again.</summary>
public sealed class GpuTrainTests : TrainRuns
{
    private const double StepRelative = 1e-4; // losses and norms of a few steps, computed in float32 in two orders

    // A clip is held out, so that a second set of weights is on the device.
    private string[] Looking => ["--validate-every", "3", .. Quiet];

    private string[] Quiet => ["--sample-every", "0", "--held-out", HeldOut, "--checkpoint-every", "1"];

    private string HeldOut
    {
        get
        {
            File.WriteAllText(_program["held-out.txt"], "1.wav\n");
            return _program["held-out.txt"];
        }
    }

    private RunResult Few(string run, int steps, string device, params string[] more) =>
        Train(run, steps, ["--data", _program["clips"], "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "mel.bands=12", "--batch", "1", "--crop-frames", "1", "--lr", "1e-3", .. more.Contains("--validate-every") ? Quiet : Looking, "--device", device, .. more]);

    // The log without what the clock says.
    private string[] Lines(string run) => [.. Log(run).Select(line => { line.Remove("step_seconds"); return line.ToJsonString(); })];

    [Theory]
    [InlineData("emulator", "emulator (")]
    [InlineData("auto", "cuda:0 (")]
    public void AFewStepsAreTheCpusButForRounding(string device, string name)
    {
        Few("cpu", 2, "cpu").Succeeds();
        using var cuda = new StubCuda();
        RunResult result = Few("gpu", 2, device, "--json").Succeeds();
        Assert.StartsWith(name, (string)result.Json["device"]!);
        Assert.StartsWith($"device: {name}", result.Error.Split('\n').First(line => line.StartsWith("device: ", StringComparison.Ordinal)));
        JsonObject[] expected = Log("cpu"), log = Log("gpu");
        Assert.Equal(expected.Length, log.Length);
        foreach ((JsonObject ours, JsonObject theirs) in log.Zip(expected))
            foreach (string field in (string[])["loss", "grad_norm", "validation_loss"])
            {
                Assert.Equal(theirs[field] is null, ours[field] is null);
                if (theirs[field] is not null) Assert.InRange((double)ours[field]! / (double)theirs[field]!, 1 - StepRelative, 1 + StepRelative);
            }
        Assert.NotEqual(Hash("cpu/step-2.safetensors"), Hash("gpu/step-2.safetensors"));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
        if (device == "auto") return;

        // In parts it is the same run.
        Few("parts", 1, device).Succeeds();
        Train("parts", 2, [.. Looking, "--device", device]).Succeeds();
        Assert.Equal(Hash("gpu/step-2.safetensors"), Hash("parts/step-2.safetensors"));
    }

    [Theory]
    [InlineData("cuMemAlloc", CudaResult.OutOfMemory, 6)] // while buffers are made
    [InlineData("cuLaunchKernel", CudaResult.LaunchFailed, 5)] // while the first validation runs
    [InlineData("cuModuleGetFunction", CudaResult.NotFound, 25)] // in backward of the first step
    public void BeforeTheFirstStepTheCpuTakesOver(string function, CudaResult result, int call)
    {
        Few("cpu", 2, "cpu").Succeeds();
        using var cuda = new StubCuda();
        cuda.Fail(function, result, call);
        RunResult run = Few("auto", 2, "auto", "--json").Succeeds();
        Assert.Equal(function, cuda.Failed);
        Assert.Single(run.Error.Split('\n'), line => line.StartsWith("warning: ", StringComparison.Ordinal) && line.Contains(StubCuda.NameOf(result)) && line.Contains("computing on cpu ("));
        Assert.StartsWith("cpu (", (string)run.Json["device"]!);
        Assert.Equal(Lines("cpu"), Lines("auto"));
        foreach (string file in (string[])["model.safetensors", "step-0.safetensors", "step-1.safetensors", "step-2.safetensors"]) Assert.Equal(Hash($"cpu/{file}"), Hash($"auto/{file}"));
        Assert.Single(Directory.GetFiles(_program["auto/events"]));
        Assert.DoesNotContain(_program.Files(), file => file.Contains(".tmp-"));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void CudaNeverFallsBack()
    {
        using var cuda = new StubCuda();
        cuda.Fail("cuMemAlloc", CudaResult.OutOfMemory, 6);
        cuda.Fail("cuMemAlloc", CudaResult.OutOfMemory, 7); // asked again after cached memory was given back
        RunResult run = Few("run", 2, "cuda");
        Assert.Equal(6, run.Code);
        Assert.Contains("CUDA_ERROR_OUT_OF_MEMORY", run.Error);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void LaterTheRunStopsAndGoesOn()
    {
        int launches;
        using (var whole = new StubCuda())
        {
            Few("whole", 1, "auto", "--validate-every", "0").Succeeds();
            launches = whole.Calls("cuLaunchKernel");
        }
        using (var cuda = new StubCuda())
        {
            cuda.Fail("cuLaunchKernel", CudaResult.LaunchFailed, launches + 30); // in the second step
            RunResult run = Few("run", 3, "auto", "--validate-every", "0");
            Assert.Equal(5, run.Code);
            Assert.Contains("error: cuLaunchKernel", run.Error);
            Assert.Contains("CUDA_ERROR_LAUNCH_FAILED", run.Error);
            Assert.Contains($"holds {_program["run/step-1.safetensors"]}", run.Error);
            Assert.DoesNotContain("warning", run.Error);
            Assert.Equal(1, Latest("run"));
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
        RunResult rest = Train("run", 3, [.. Looking, "--device", "cpu", "--json"]).Succeeds(); // on any device
        Assert.Equal(3, (long)rest.Json["steps"]!);
        Assert.Equal([1, 2, 3], Log("run").Select(line => (long)line["step"]!));
    }
}
