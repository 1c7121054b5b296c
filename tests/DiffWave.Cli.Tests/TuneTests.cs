using System.Text.Json.Nodes;
using DiffWave.Cuda;
using DiffWave.Cuda.Tests;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave tune, on the driver's stand-in, whose events have a clock.</summary>
public sealed class TuneTests : IDisposable
{
    private readonly DiffWaveProgram program = new();
    private readonly StubCuda cuda = new();

    public TuneTests() => TileTuning.Substitute.Value = program["tuning"];

    public void Dispose()
    {
        TileTuning.Substitute.Value = null;
        cuda.Dispose();
        program.Dispose();
    }

    // Two layers of 32 channels, dilations 1 and 2.
    private string Model()
    {
        string path = program["tiny.safetensors"];
        DiffWaveProgram.Run("init", "--config", "tiny", "--set", "channels=32", "--set", "layers=2", "--set", "dilation_cycle=2", "-o", path).Succeeds();
        return path;
    }

    [Fact]
    public void MeasuresEveryDilationAndKeepsTheFile()
    {
        string model = Model();
        RunResult text = DiffWaveProgram.Run("tune", "--model", model, "--seconds", "0.01", "--device", "cuda").Succeeds();
        Assert.StartsWith("device: cuda:0", text.Error);
        Assert.Equal(["dilation", "1", "2", "kept"], text.Out.TrimEnd().Split('\n').Select(line => line.Trim().Split(' ')[0]));
        string file = Assert.Single(Directory.GetFiles(program["tuning"]));
        Assert.Contains($"kept in {file}", text.Out);

        JsonObject json = DiffWaveProgram.Run("tune", "--model", model, "--seconds", "0.01", "--precision", "bf16", "--json").Succeeds().Json; // auto takes the GPU
        Assert.Equal(("bf16", 32, file), ((string)json["precision"]!, (int)json["channels"]!, (string)json["file"]!));
        Assert.Equal((1, 256), ((int)json["batch"]!, (int)json["rows"]!)); // a frame
        Assert.Equal([1, 2], json["blocks"]!.AsArray().Select(block => (int)block!["dilation"]!));
        Assert.All(json["blocks"]!.AsArray(), block => Assert.Equal("Resident", (string)block!["tile"]!));
        Assert.Equal(4, JsonNode.Parse(File.ReadAllText(file))!["blocks"]!.AsArray().Count); // both precisions
    }

    [Fact]
    public void ClipsAreTunedAsManyAsAreMadeTogether()
    {
        JsonObject json = DiffWaveProgram.Run("tune", "--model", Model(), "--seconds", "0.005", "--batch", "3", "--device", "cuda", "--json").Succeeds().Json;
        Assert.Equal((3, 256), ((int)json["batch"]!, (int)json["rows"]!));
    }

    [Theory]
    [InlineData("cpu"), InlineData("emulator")]
    public void OnlyAGpuCanBeTuned(string device) => DiffWaveProgram.Run("tune", "--config", "base", "--device", device).FailsWith(2, $"--device {device}: only a GPU has cuts");

    [Fact]
    public void WithoutAPlaceNothingIsMeasured()
    {
        TileTuning.Substitute.Value = "off";
        DiffWaveProgram.Run("tune", "--config", "tiny", "--device", "cuda").FailsWith(2, "DIFFWAVE_TUNING");
    }

    [Fact]
    public void AModelWithoutKernelsIsRefused() => DiffWaveProgram.Run("tune", "--config", "tiny", "--device", "cuda").FailsWith(2, "16 channels");

    [Fact]
    public void EitherAModelOrAConfiguration()
    {
        DiffWaveProgram.Run("tune", "--device", "cuda").FailsWith(2, "either --model or --config");
        DiffWaveProgram.Run("tune", "--config", "base", "--model", "x", "--device", "cuda").FailsWith(2, "either --model or --config");
    }
}
