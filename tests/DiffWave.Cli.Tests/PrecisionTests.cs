using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Cpu;
using DiffWave.Cuda.Tests;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary><c>--precision</c> of the verbs that compute: on the emulator, refused elsewhere with the reason.</summary>
public sealed class PrecisionTests : IDisposable
{
    private static readonly string[] Small = ["--config", "tiny", "--set", "channels=32", "--set", "layers=2", "--set", "mel.bands=16"];

    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    private RunResult Make(string model, string output, params string[] more) =>
        DiffWaveProgram.Run(["synthesize", "-m", model, "--mel", _program.Mel("a.npy", 2, bands: 16), "--seconds", "0.01", "--bits", "32f", "-o", _program[output], .. more]);

    [Theory]
    [InlineData("tf32", 1e-6, 0.05)]
    [InlineData("fp16", 1e-6, 0.05)]
    [InlineData("bf16", 1e-4, 0.4)]
    public void SynthesisIsNearFp32AndSaysWhatComputed(string precision, double least, double most)
    {
        string model = _program.LivelyModel("mel", Small);
        Assert.Equal("fp32", (string)Make(model, "cpu.wav", "--device", "cpu", "--json").Succeeds().Json["precision"]!);
        RunResult run = Make(model, "gpu.wav", "--device", "emulator", "--precision", precision, "--json").Succeeds();
        Assert.Equal(precision, (string)run.Json["precision"]!);
        Assert.Equal($"emulator (sm_90, for checking, {precision})", (string)run.Json["device"]!);
        Assert.StartsWith($"device: emulator (sm_90, for checking, {precision}; chosen by --device", run.Error);
        double apart = WavFile.Read(_program["cpu.wav"]).Samples.Zip(WavFile.Read(_program["gpu.wav"]).Samples, (a, b) => Math.Abs((double)a - b)).Max();
        Assert.InRange(apart, least, most); // rounded, and no more than that
        Assert.Contains($", {precision}; chosen by --device", Make(model, "chunks.wav", "--device", "emulator", "--precision", precision, "--chunk-seconds", "0.001").Succeeds().Out);
        Assert.Equal(File.ReadAllBytes(_program["gpu.wav"]), File.ReadAllBytes(_program["chunks.wav"]));
    }

    [Fact]
    public void WhatCannotBeIsRefusedWithTheReason()
    {
        string model = _program.LivelyModel("mel", Small), narrow = _program.LivelyModel("narrow", "--config", "tiny", "--set", "channels=24", "--set", "layers=2", "--set", "mel.bands=16");
        Refused(2, "--precision fp16 --device cpu: the CPU computes in fp32 only; give --device auto, cuda, cuda:N or emulator", Make(model, "x.wav", "--device", "cpu", "--precision", "fp16"));
        Refused(2, "--precision bf16: the model has 24 channels, there are kernels for 32, 64, 128 and 256; compute in fp32", Make(narrow, "x.wav", "--device", "emulator", "--precision", "bf16"));
        Refused(2, "--precision is 'fp8', expected fp32, tf32, fp16 or bf16", Make(model, "x.wav", "--device", "emulator", "--precision", "fp8"));
        Refused(2, "--precision belongs to --golden", DiffWaveProgram.Run("check", "--kernels", "--precision", "fp16"));
        using var none = new StubCuda { DeviceCount = 0 };
        Refused(5, "--precision tf32 needs a GPU, and the CPU computes in fp32 only: the NVIDIA driver shows no GPU", Make(model, "x.wav", "--precision", "tf32"));
        Make(model, "cpu.wav", "--precision", "fp32").Succeeds();

        void Refused(int code, string why, RunResult run)
        {
            Assert.Equal(code, run.Code);
            Assert.Contains(why, run.Error);
            Assert.False(File.Exists(_program["x.wav"]));
        }
    }

    [Fact]
    public void TheCpuDoesNotTakeOverFromLessThanFp32()
    {
        string model = _program.LivelyModel("mel", Small);
        using var cuda = new StubCuda();
        cuda.Fail("cuLaunchKernel", CudaResult.LaunchTimeout, call: 20);
        RunResult run = Make(model, "x.wav", "--precision", "fp16");
        Assert.Equal(5, run.Code);
        Assert.Contains("CUDA_ERROR_LAUNCH_TIMEOUT", run.Error);
        Assert.DoesNotContain("warning", run.Error);
        Assert.False(File.Exists(_program["x.wav"]));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void TheDemoTakesItToo()
    {
        File.Copy(_program.LivelyModel("mel", Small), _program["voice.safetensors"]);
        _program.Wav("clip.wav", 22050, 1000);
        JsonObject json = DiffWaveProgram.Run("demo", "--voice", _program.Folder, "-o", _program["made"], "--device", "emulator", "--precision", "fp16", "--json").Succeeds().Json;
        Assert.Equal("fp16", (string)json["precision"]!);
        Assert.Contains(", fp16; chosen by --device", (string)json["device"]!);
    }

    // Reference data of a model there are kernels for, made by the CPU, and of one there are none for.
    [Fact]
    public void ReferenceDataIsComparedWithinTheRoundings()
    {
        const int Samples = 100;
        File.Copy(DiffWaveProgram.Fixture("golden/backward_uncond_9.safetensors"), _program["backward_uncond_9.safetensors"]);
        File.Copy(DiffWaveProgram.Fixture("golden/uncond_9.pt"), _program["uncond_9.pt"]);
        Model model = Checkpoint.Load(_program.LivelyModel("own", "--config", "sc09", "--set", "channels=32", "--set", "layers=3", "--set", "clamp_samples=true"));
        DiffWaveProgram.Run("export", _program["own.safetensors"], "-o", _program["uncond_32.safetensors"]).Succeeds();
        float[] audio = new float[Samples];
        PhiloxNoise.Fill(1, 2, 3, 0, audio);
        using IOps cpu = CpuDevice.Create(1);
        cpu.Load(model.Config, model.Parameters);
        float[] eps = Network.Evaluate(cpu, model.Config, [audio], [7], null, [])[0];
        SafetensorsFile.Write(_program["forward.safetensors"], new Dictionary<string, string>(),
            [("in.audio", [1, Samples], audio), ("in.step_int", [1], new float[] { 7 }), ("uncond.int.block0.in", [1, 32, Samples], new float[32 * Samples]), ("uncond.int.output", [1, 1, Samples], eps)]);

        JsonObject json = DiffWaveProgram.Run("check", "--golden", _program.Folder, "--device", "emulator", "--precision", "fp16", "--json").Succeeds().Json;
        Assert.Equal("fp16", (string)json["precision"]!);
        JsonNode line = Assert.Single(json["tensors"]!.AsArray())!;
        Assert.Equal("uncond.int.output", (string)line["name"]!);
        Assert.Equal(GoldenCheckBounds.Output * (1 << 13), (double)line["bound"]!);
        Assert.InRange((double)line["max_error"]!, GoldenCheckBounds.Output, (double)line["bound"]!);
        Assert.Equal("losses, gradients: compared in fp32 only", (string)Assert.Single(json["not_checked"]!.AsArray())!["reason"]!);
    }
}
