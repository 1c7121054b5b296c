using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Cuda.Tests;

namespace DiffWave.Cli.Tests;

/// <summary>Whole verbs on a GPU that works, the driver's stand-in on the emulator, and on the emulator itself: near the CPU's results, with the device's name in every report.</summary>
public sealed class GpuTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    [Theory]
    [InlineData("cuda", "cuda:0 (Stub GPU 0")]
    [InlineData("cuda:1", "cuda:1 (Stub GPU 1")]
    [InlineData("auto", "cuda:0 (Stub GPU 0")]
    [InlineData("emulator", "emulator (sm_90")]
    public void SynthesisIsTheCpusButForRounding(string device, string name)
    {
        string model = _program.LivelyModel("mel", "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "mel.bands=12"), mel = _program.Mel("a.npy", 2, bands: 12);
        RunResult Make(string on, string output, params string[] more) =>
            DiffWaveProgram.Run(["synthesize", "-m", model, "--mel", mel, "--seconds", "0.01", "--bits", "32f", "--device", on, "-o", _program[output], .. more]).Succeeds();
        Make("cpu", "cpu.wav");
        using var cuda = new StubCuda { DeviceCount = 2 };
        RunResult run = Make(device, "gpu.wav", "--json");
        Assert.StartsWith(name, (string)run.Json["device"]!);
        Assert.StartsWith($"device: {name}", run.Error);
        Assert.True((long)run.Json["peak_gpu_memory_bytes"]! > 4 * 300_000); // the weights, at least
        Assert.DoesNotContain("warning", run.Error);
        Assert.Equal(device == "emulator", cuda.Calls("cuLaunchKernel") == 0);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
        Assert.InRange(Apart("cpu.wav", "gpu.wav"), double.Epsilon, GoldenCheckBounds.Chain);
        if (device != "cuda") return;
        string text = Make(device, "chunks.wav", "--chunk-seconds", "0.001").Out;
        Assert.Contains($"device {name}", text);
        Assert.Contains("MiB on the device", text);
        Assert.Equal(File.ReadAllBytes(_program["gpu.wav"]), File.ReadAllBytes(_program["chunks.wav"]));
    }

    private double Apart(string first, string second) =>
        WavFile.Read(_program[first]).Samples.Zip(WavFile.Read(_program[second]).Samples, (a, b) => Math.Abs((double)a - b)).Max();

    [Fact]
    public void ReferenceDataOnTheEmulator()
    {
        foreach (string name in (string[])["backward_uncond_9.safetensors", "uncond_9.pt"]) File.Copy(DiffWaveProgram.Fixture($"golden/{name}"), _program[name]);
        JsonObject json = DiffWaveProgram.Run("check", "--golden", _program.Folder, "--device", "emulator", "--json").Succeeds().Json;
        Assert.StartsWith("emulator (", (string)json["device"]!);
        Assert.True((int)json["total"]! > 50);
        Assert.Equal(json["total"]!.ToString(), json["ok"]!.ToString());
    }

    [Fact]
    public void ReferenceDataUnderAutoOnAGpuThatFails()
    {
        foreach (string name in (string[])["backward_uncond_9.safetensors", "uncond_9.pt"]) File.Copy(DiffWaveProgram.Fixture($"golden/{name}"), _program[name]);
        using var cuda = new StubCuda();
        cuda.Fail("cuLaunchKernel", CudaResult.LaunchTimeout, call: 100);
        RunResult run = DiffWaveProgram.Run("check", "--golden", _program.Folder).Succeeds();
        Assert.Single(run.Error.Split('\n'), line => line.StartsWith("warning: ", StringComparison.Ordinal) && line.Contains("CUDA_ERROR_LAUNCH_TIMEOUT"));
        Assert.Contains("0 failed, on cpu (", run.Out);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void TheDemoNamesTheDeviceThatMadeIt()
    {
        File.Copy(_program.LivelyModel("mel", "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "mel.bands=12"), _program["voice.safetensors"]);
        _program.Wav("clip.wav", 22050, 1000);
        JsonObject Demo(string device, string folder) => DiffWaveProgram.Run("demo", "--voice", _program.Folder, "-o", _program[folder], "--device", device, "--json").Succeeds().Json;
        Assert.StartsWith("cpu (", (string)Demo("cpu", "by-cpu")["device"]!);
        using var cuda = new StubCuda();
        Assert.StartsWith("cuda:0 (", (string)Demo("cuda", "by-cuda")["device"]!);
        cuda.Fail("cuMemcpyDtoHAsync", CudaResult.IllegalAddress, call: 2); // in the second voice: both are made again
        JsonObject json = Demo("auto", "by-both");
        Assert.StartsWith("cpu (", (string)json["device"]!);
        foreach (string name in (string[])["diffwave.wav", "untrained.wav"]) Assert.Equal(File.ReadAllBytes(_program[$"by-cpu/{name}"]), File.ReadAllBytes(_program[$"by-both/{name}"]));
    }
}
