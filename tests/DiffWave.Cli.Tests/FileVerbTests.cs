using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>mel, import, export, info, check.</summary>
public sealed class FileVerbTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    [Fact]
    public void MelWritesTheRecipeBesideIt()
    {
        string wav = _program.Wav("a.wav", 44100, 44100);
        RunResult run = DiffWaveProgram.Run("mel", wav, "-o", _program["a.npy"], "--recipe", "tacotron", "--sample-rate", "24000", "--hop", "300", "--bands", "100", "--fft", "2048").Succeeds();
        Assert.Contains("resampled from 44100 Hz to the recipe's 24000 Hz", run.Error);
        Assert.Equal([100, 1 + 24000 / 300], Npy.Read(_program["a.npy"]).Shape);
        Assert.Equal(MelRecipe.Tacotron(24000, 300, 100, 2048), MelRecipe.FromJson(File.ReadAllText(_program["a.npy.json"]), "sidecar"));
    }

    [Fact]
    public void MelOfAFolder()
    {
        Directory.CreateDirectory(_program["in/deep"]);
        Directory.CreateDirectory(_program["out"]);
        _program.Wav("in/b.wav", 22050, 3000);
        _program.Wav("in/deep/a.wav", 22050, 4000);
        DiffWaveProgram.Run("mel", _program["in"], "-o", _program["out"]).Succeeds();
        Assert.Equal(["out/b.npy", "out/b.npy.json", "out/deep/a.npy", "out/deep/a.npy.json"], _program.Files().Where(file => file.StartsWith("out", StringComparison.Ordinal)));
    }

    [Fact]
    public void MelErrors()
    {
        string wav = _program.Wav("a.wav", 22050, 3000), model = _program.Model("tiny", "--config", "tiny"), none = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        string[] before = _program.Files();
        DiffWaveProgram.Run("mel", wav, "-o", _program["a.npy"], "--model", model, "--hop", "300").FailsWith(2, "--model brings its own recipe");
        DiffWaveProgram.Run("mel", wav, "-o", _program["a.npy"], "--model", none).FailsWith(2, "has no recipe");
        DiffWaveProgram.Run("mel", wav, "-o", _program["a.npy"], "--hop", "2000").FailsWith(2, "hop is 2000");
        DiffWaveProgram.Run("mel", wav, "-o", wav).FailsWith(2, "is also the input");
        DiffWaveProgram.Run("mel", _program["b.wav"], "-o", _program["b.npy"]).FailsWith(3, "b.wav: no such file");
        DiffWaveProgram.Run("mel", _program.Folder, "-o", _program["b.npy"]).FailsWith(1, "no such folder");
        Assert.Equal(before, _program.Files());
    }

    [Theory]
    [InlineData("golden/cond_tiny.safetensors", 406691)]
    [InlineData("golden/uncond_tiny.safetensors", 347393)]
    [InlineData("golden/uncond_tiny.pt", 347393)]
    [InlineData("golden/official_vocoder.pkl", null)]
    public void ImportAndUse(string fixture, int? parameters)
    {
        string model = _program["m.safetensors"];
        RunResult run = DiffWaveProgram.Run("import", DiffWaveProgram.Fixture(fixture), "-o", model, "--license", "test data").Succeeds();
        Model imported = Checkpoint.Load(model);
        if (parameters is { } count) Assert.Equal(count, imported.Parameters.Arena.Length);
        Assert.Equal("test data", imported.Card.License);
        Assert.Contains("parameters", run.Out);
        string[] input = imported.Config.HasMel ? ["--wav", DiffWaveProgram.Fixture("audio/speech.wav"), "--seconds", "0.1"] : ["--seconds", "0.1"];
        JsonObject json = DiffWaveProgram.Run(["synth", "-m", model, "-o", _program["a.wav"], "--json", "-t", "1", .. input]).Succeeds().Json;
        Assert.Equal((int)Math.Round(0.1 * imported.Config.SampleRate), (int)json["samples"]!);
    }

    [Fact]
    public void ImportErrors()
    {
        File.WriteAllText(_program["x.pt"], "not a checkpoint");
        DiffWaveProgram.Run("import", _program["x.pt"], "-o", _program["m.safetensors"]).FailsWith(4, "x.pt");
        DiffWaveProgram.Run("import", _program["missing.pt"], "-o", _program["m.safetensors"]).FailsWith(4, "no such file");
        DiffWaveProgram.Run("import", _program["x.pt"], "-o", _program["x.pt"]).FailsWith(2, "is also the input");
        Assert.Equal(["x.pt"], _program.Files());
    }

    [Fact]
    public void ExportComesBackAsTheSameWeights()
    {
        string model = _program.Model("tiny", "--config", "tiny", "--seed", "3");
        DiffWaveProgram.Run("export", model, "-o", _program["lmnt.safetensors"]).Succeeds();
        DiffWaveProgram.Run("import", _program["lmnt.safetensors"], "-o", _program["back.safetensors"]).Succeeds();
        Assert.Equal(Checkpoint.Load(model).Parameters.Arena, Checkpoint.Load(_program["back.safetensors"]).Parameters.Arena);
    }

    [Fact]
    public void ExportNamesTheModelItRefuses()
    {
        string model = _program.Model("label", "--config", "tiny", "--set", "conditioner=label", "--set", "labels=2");
        DiffWaveProgram.Run("export", model, "-o", _program["out.safetensors"]).FailsWith(4, "label.safetensors: ", "labels");
        Assert.Equal(["label.safetensors"], _program.Files());
    }

    [Fact]
    public void InfoOfAModel()
    {
        string model = _program.Model("tiny", "--config", "tiny", "--name", "a [bold] name");
        JsonObject json = DiffWaveProgram.Run("info", model, "--json").Succeeds().Json;
        Assert.Equal(406691, (int)json["parameters"]!);
        Assert.Equal(29, (int)json["receptive_field_samples"]!); // 2 (1 + 2 + 4 + 1 + 2 + 4) + 1
        Assert.Equal(1000 * 29 / 22050.0, (double)json["receptive_field_ms"]!, 1e-9);
        Assert.Equal(new FileInfo(model).Length, (long)json["file_bytes"]!);
        JsonNode tensor = json["tensors"]!.AsArray().Single(tensor => (string)tensor!["name"]! == "input_projection.weight")!;
        float[] values = Checkpoint.Load(model).Parameters["input_projection.weight"].ToArray();
        Assert.Equal(values.Min(), (double)tensor["min"]!);
        Assert.Equal(values.Average(value => (double)value), (double)tensor["mean"]!, 1e-12);
        string text = DiffWaveProgram.Run("info", model).Succeeds().Out;
        foreach (string word in (string[])["a [bold] name", "406691", "29 samples (1.3 ms)", "lmnt: 22050 Hz", "input_projection.weight"]) Assert.Contains(word, text);
    }

    [Theory]
    [InlineData("golden/uncond_tiny.pt", "PyTorch checkpoint, can be imported")]
    [InlineData("golden/cond_tiny.safetensors", "safetensors of another program, can be imported")]
    [InlineData("golden/forward.safetensors", "safetensors of another program")]
    [InlineData("audio/speech.wav", "audio")]
    [InlineData("audio/wav/samples.npy", "NumPy array")]
    public void InfoSaysWhatAFileIs(string fixture, string kind)
    {
        Assert.Equal(kind, (string)DiffWaveProgram.Run("info", DiffWaveProgram.Fixture(fixture), "--json").Succeeds().Json["kind"]!);
        Assert.Contains(kind, DiffWaveProgram.Run("info", DiffWaveProgram.Fixture(fixture)).Succeeds().Out);
    }

    [Fact]
    public void InfoErrors()
    {
        File.WriteAllText(_program["x.bin"], "something else");
        DiffWaveProgram.Run("info", _program["x.bin"]).FailsWith(3, "of no kind known here");
        File.WriteAllBytes(_program["empty"], []);
        DiffWaveProgram.Run("info", _program["empty"]).FailsWith(3, "of no kind known here");
        DiffWaveProgram.Run("info", _program.Folder).FailsWith(3, "is a folder");
        DiffWaveProgram.Run("info", _program["missing"]).FailsWith(3, "no such file");
    }

    [Fact]
    public void CheckCountsAndFails()
    {
        foreach (string name in (string[])["uncond_tiny.pt", "uncond_tiny.safetensors"]) File.Copy(DiffWaveProgram.Fixture($"golden/{name}"), _program[name]);
        JsonObject json = DiffWaveProgram.Run("check", "--golden", _program.Folder, "--threads", "1", "--json").Succeeds().Json;
        Assert.Equal(35, (int)json["total"]!); // the configuration and 34 tensors
        Assert.Equal(0, (int)json["failed"]!);
        Assert.Contains("35 compared: 35 ok, 0 failed, on cpu (", DiffWaveProgram.Run("check", "--golden", _program.Folder, "--threads", "1").Succeeds().Out);

        byte[] bytes = File.ReadAllBytes(_program["uncond_tiny.safetensors"]);
        bytes[^1] ^= 0x40; // another exponent in the last weight
        File.WriteAllBytes(_program["uncond_tiny.safetensors"], bytes);
        RunResult wrong = DiffWaveProgram.Run("check", "--golden", _program.Folder, "--threads", "1");
        Assert.Equal(1, wrong.Code);
        Assert.Single(wrong.Out.Split('\n'), line => line.StartsWith("FAIL", StringComparison.Ordinal));
        Assert.Contains("34 ok, 1 failed", wrong.Out);
    }

    [Fact]
    public void CheckOfNothing()
    {
        DiffWaveProgram.Run("check", "--golden", _program.Folder).FailsWith(3, "holds no reference data");
        DiffWaveProgram.Run("check", "--golden", _program["missing"]).FailsWith(3, "no such folder");
        DiffWaveProgram.Run("check", "--golden", _program.Folder, "--device", "cuda").FailsWith(5, "--device cuda: ", "no NVIDIA driver");
    }
}
