using System.Text.Json.Nodes;
using DiffWave.Cuda.Tests;

namespace DiffWave.Cli.Tests;

/// <summary>What a GPU computes with when nobody says: fp16 where it has kernels for the model, and the output says what, and why not.</summary>
public sealed class DefaultPrecisionTests : IDisposable
{
    private readonly DiffWaveProgram program = new();
    private readonly StubCuda cuda = new();

    public void Dispose()
    {
        cuda.Dispose();
        program.Dispose();
    }

    private string Model(int channels)
    {
        string path = program[$"{channels}.safetensors"];
        DiffWaveProgram.Run("init", "--config", "tiny", "--set", $"channels={channels}", "--set", "layers=2", "--set", "conditioner=label", "--set", "labels=3", "-o", path).Succeeds();
        return path;
    }

    private RunResult Synthesize(int channels, params string[] more) =>
        DiffWaveProgram.Run(["synthesize", "--model", Model(channels), "--label", "1", "--seconds", "0.005", "-o", program["out.wav"], "--json", .. more]).Succeeds();

    [Theory]
    [InlineData("auto"), InlineData("cuda"), InlineData("emulator")]
    public void Fp16WhereThereAreKernels(string device)
    {
        RunResult run = Synthesize(32, "--device", device);
        Assert.Equal("fp16", (string)run.Json["precision"]!);
        Assert.Contains("fp16)", (string)run.Json["device"]!);
        Assert.Contains("fp16", run.Error); // the line that names the device
        byte[] byDefault = File.ReadAllBytes(program["out.wav"]);
        Synthesize(32, "--device", device, "--precision", "fp16");
        Assert.Equal(byDefault, File.ReadAllBytes(program["out.wav"]));
    }

    [Fact]
    public void ElseFp32AndWhy()
    {
        JsonObject json = Synthesize(16, "--device", "cuda").Json;
        Assert.Equal("fp32", (string)json["precision"]!);
        Assert.EndsWith("; no fp16: the model has 16 channels, there are kernels for 32, 64, 128 and 256", (string)json["device_reason"]!);
        Assert.Equal("fp32", (string)Synthesize(32, "--device", "cpu").Json["precision"]!);
        Assert.Equal("fp32", (string)Synthesize(32, "--device", "cuda", "--precision", "fp32").Json["precision"]!);
    }
}
