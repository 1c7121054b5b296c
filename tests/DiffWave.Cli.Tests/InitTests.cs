using System.Text.Json.Nodes;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

public sealed class InitTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    private ModelConfig Init(params string[] args) => Checkpoint.Load(_program.Model("m", args)).Config;

    [Fact]
    public void SameSeedSameFile()
    {
        byte[] first = File.ReadAllBytes(_program.Model("m", "--config", "tiny", "--seed", "5"));
        Assert.Equal(first, File.ReadAllBytes(_program.Model("m", "--config", "tiny", "--seed", "5")));
        Assert.NotEqual(first, File.ReadAllBytes(_program.Model("m", "--config", "tiny", "--seed", "6")));
    }

    [Fact]
    public void RateMovesTheRecipe()
    {
        ModelConfig config = Init("--config", "tiny", "--set", "sample_rate=48000", "--set", "mel.bands=128");
        Assert.Equal((48000, 48000, 24000.0, 128), (config.SampleRate, config.Mel!.SampleRate, config.Mel.HighHz, config.Bands));
        Assert.Equal(8000, Init("--config", "tiny", "--set", "mel.sample_rate=16000", "--set", "mel.high_hz=8000").Mel!.HighHz);
        Assert.Equal(7600, Init("--config", "tiny", "--set", "sample_rate=24000", "--set", "mel.high_hz=7600").Mel!.HighHz);
    }

    [Theory]
    [InlineData(300, new[] { 15, 20 }, 2048, 1200)]
    [InlineData(256, new[] { 16, 16 }, 1024, 1024)]
    [InlineData(200, new[] { 10, 20 }, 1024, 800)]
    [InlineData(512, new[] { 16, 32 }, 2048, 2048)]
    [InlineData(257, new[] { 257 }, 2048, 1028)]
    public void HopGivesFactorsAndWindow(int hop, int[] factors, int fft, int window)
    {
        ModelConfig config = Init("--config", "tiny", "--set", $"mel.hop={hop}");
        Assert.Equal(factors, config.UpsampleFactors);
        Assert.Equal((hop, fft, window), (config.Hop, config.Mel!.FftSize, config.Mel.WindowLength));
    }

    [Fact]
    public void FactorsGiveTheHop()
    {
        Assert.Equal(240, Init("--config", "tiny", "--set", "upsample_factors=[4,5,12]").Mel!.Hop);
        Assert.Equal([20, 15], Init("--config", "tiny", "--set", "upsample_factors=20,15", "--set", "mel.hop=300").UpsampleFactors);
    }

    [Fact]
    public void ConditionerBringsAndRemovesTheMel()
    {
        Assert.Null(Init("--config", "tiny", "--set", "conditioner=none").Mel);
        ModelConfig labelled = Init("--config", "tiny", "--set", "conditioner=label", "--set", "labels=10");
        Assert.Equal((10, null), (labelled.Labels, labelled.Mel));
        // sc09 with a mel; fewer channels, to be quick.
        ModelConfig mel = Init("--config", "sc09", "--set", "channels=4", "--set", "conditioner=mel", "--set", "mel.bands=40");
        Assert.Equal((16000, 8000.0, 40, 256), (mel.Mel!.SampleRate, mel.Mel.HighHz, mel.Bands, mel.Hop));
    }

    [Fact]
    public void ConfigurationOfAModelMakesTheSameModel()
    {
        string model = _program.Model("m", "--config", "tiny", "--set", "channels=8", "--set", "gate_order=filter_first");
        JsonObject info = DiffWaveProgram.Run("info", model, "--json").Succeeds().Json;
        File.WriteAllText(_program["mine.json"], info["config"]!.ToJsonString());
        DiffWaveProgram.Run("init", "--config", _program["mine.json"], "-o", _program["again.safetensors"]).Succeeds();
        Assert.Equal(Checkpoint.Load(model).Config.ToJson(), Checkpoint.Load(_program["again.safetensors"]).Config.ToJson());
        Assert.Equal(GateOrder.FilterFirst, Checkpoint.Load(model).Config.GateOrder);
    }

    [Theory]
    [InlineData("no key 'chanels', expected one of channels, layers", "chanels=8")]
    [InlineData("mel.hop", "mel.hopp=8")]
    [InlineData("expected key=value", "channels")]
    [InlineData("channels is 0", "channels=0")]
    [InlineData("channels", "channels=wide")]
    [InlineData("labels", "conditioner=label")]
    [InlineData("gate_order", "gate_order=sideways")]
    [InlineData("upsample_factors multiply to 300, expected mel.hop (256)", "upsample_factors=[15,20]", "mel.hop=256")]
    [InlineData("channels is set twice", "channels=4", "channels=8")]
    [InlineData("the model has no mel", "conditioner=none", "mel.hop=300")]
    [InlineData("expected none, mel, label or mel+label", "conditioner=mel_label", "mel.hop=300")]
    public void BadFieldsAreUsageErrors(string words, params string[] sets)
    {
        DiffWaveProgram.Run(["init", "--config", "tiny", "-o", _program["m.safetensors"], .. sets.SelectMany(set => (string[])["--set", set])]).FailsWith(2, words);
        Assert.Empty(_program.Files());
    }

    [Fact]
    public void BadConfigurations()
    {
        DiffWaveProgram.Run("init", "--config", "huge", "-o", _program["m.safetensors"]).FailsWith(2, "neither a file nor a preset", "tiny");
        File.WriteAllText(_program["bad.json"], "{\"channels\": 8}");
        DiffWaveProgram.Run("init", "--config", _program["bad.json"], "-o", _program["m.safetensors"]).FailsWith(4, "bad.json");
        DiffWaveProgram.Run("init", "--config", _program["bad.json"], "-o", _program["bad.json"]).FailsWith(4, "bad.json");
        DiffWaveProgram.Run("init", "--config", "tiny", "-o", _program["no/m.safetensors"]).FailsWith(1, "does not exist");
        Assert.Equal(["bad.json"], _program.Files());
    }
}
