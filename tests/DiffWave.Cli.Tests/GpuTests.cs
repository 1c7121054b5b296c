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

    // Together in one group, or two, or by a pipeline along time: each file has the bytes it has alone.
    [Theory]
    [InlineData("fp32")]
    [InlineData("fp16")]
    public void FilesOfUnequalLengthAreMadeTogetherEachAsAlone(string precision)
    {
        string model = _program.LivelyModel("mel", "--config", "tiny", "--set", "channels=32", "--set", "layers=2", "--set", "mel.bands=16");
        Directory.CreateDirectory(_program["in"]);
        foreach ((string name, int frames) in (ReadOnlySpan<(string, int)>)[("a", 2), ("b", 1), ("c", 3), ("d", 2)]) File.Move(_program.Mel("some.npy", frames, bands: 16), _program[$"in/{name}.npy"]);
        using var cuda = new StubCuda();
        (byte[][] Files, RunResult Run) Make(string input, params string[] more)
        {
            string folder = _program[Path.GetRandomFileName()];
            Directory.CreateDirectory(folder);
            RunResult run = DiffWaveProgram.Run(["synthesize", "-m", model, "--mel", _program[input], "-o", folder + "/", "--device", "cuda", "--precision", precision, "--bits", "32f", "--schedule", "0.05,0.5", .. more]).Succeeds();
            return ([.. Directory.GetFiles(folder).Order(StringComparer.Ordinal).Select(File.ReadAllBytes)], run);
        }
        byte[][] alone = [.. "abcd".Select(name => Make($"in/{name}.npy").Files.Single())];
        Assert.Equal(3, alone.Select(Convert.ToHexString).Distinct().Count()); // a and d are the same mel
        var (together, run) = Make("in", "--json");
        Assert.Equal(alone, together);
        Assert.Equal(alone, Make("in", "--chunk-seconds", "0.036").Files); // a and b, c, d
        Assert.Equal(alone, Make("in", "--chunk-seconds", "0.001").Files);
        JsonArray files = run.Json["files"]!.AsArray();
        double speed = (double)run.Json["times_real_time"]!;
        Assert.All(files, file => Assert.Equal(speed, (double)file!["times_real_time"]!, speed * 1e-9)); // of one group
        Assert.Equal((double)run.Json["wall_seconds"]!, files.Sum(file => (double)file!["wall_seconds"]!), 1e-9);
        Assert.Contains("total: 4 files, 0.09 s made in", Make("in").Run.Out);
    }

    [Fact]
    public void ABadFileAmongManyEndsTheRunAfterThoseBeforeIt()
    {
        string model = _program.LivelyModel("mel", "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "mel.bands=12");
        Directory.CreateDirectory(_program["in"]);
        foreach (string device in (string[])["cuda", "auto", "cpu"])
        {
            foreach (string name in (string[])["a", "b", "c", "d"]) File.Move(_program.Mel("some.npy", 1, bands: name == "c" ? 13 : 12), _program[$"in/{name}.npy"], overwrite: true);
            using var cuda = new StubCuda();
            Directory.CreateDirectory(_program["out"]);
            DiffWaveProgram.Run("synthesize", "-m", model, "--mel", _program["in"], "-o", _program["out"], "--device", device).FailsWith(3, "c.npy", "12 bands expected, 13 found");
            Assert.Equal(["a.wav", "b.wav"], Directory.GetFiles(_program["out"]).Select(Path.GetFileName).Order());
            Directory.Delete(_program["out"], recursive: true);
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
    }

    // A file is a group; the failure comes out while the second is under way.
    [Fact]
    public void AudioThatDoesNotArriveEndsTheRunWithTheNameOfTheCall()
    {
        string model = _program.LivelyModel("mel", "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "mel.bands=12");
        Directory.CreateDirectory(_program["in"]);
        Directory.CreateDirectory(_program["out"]);
        foreach (string name in (string[])["a", "b", "c"]) File.Move(_program.Mel("some.npy", 1, bands: 12), _program[$"in/{name}.npy"]);
        using var cuda = new StubCuda();
        cuda.Fail("cuEventSynchronize", CudaResult.LaunchFailed);
        DiffWaveProgram.Run("synthesize", "-m", model, "--mel", _program["in"], "-o", _program["out"], "--device", "cuda", "--chunk-seconds", "0.012").FailsWith(5, "cuEventSynchronize", "CUDA_ERROR_LAUNCH_FAILED");
        Assert.Empty(Directory.GetFiles(_program["out"]));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
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
