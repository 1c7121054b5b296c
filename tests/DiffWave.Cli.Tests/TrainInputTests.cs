using System.Text;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave train with every kind of model, and with recordings nobody thinks of first: it trains, or says in one line what is missing.</summary>
public sealed class TrainInputTests : TrainRuns
{
    private static readonly string[] Digits = ["--config", "sc09", "--set", "channels=8", "--set", "layers=4", "--set", "dilation_cycle=2"];
    private static readonly string[] Sampled = ["--batch", "2", "--crop-frames", "4", "--sample-every", "2", "--validation", "0.5"];

    [Theory]
    [InlineData("unconditional")]
    [InlineData("2 labels", "conditioner=label", "labels=2")]
    [InlineData("mel (12 bands, hop 256) and 2 labels", "conditioner=mel+label", "labels=2", "mel.bands=12")]
    public void EveryKindOfModelTrainsAndSpeaks(string kind, params string[] set)
    {
        Folders("eins", "zwei");
        RunResult result = Train("run", 2, ["--data", _program["words"], .. Digits, .. Sampled, .. set.SelectMany(change => (string[])["--set", change])]).Succeeds();
        Assert.Contains(kind, result.Error);
        Assert.Equal(2, Latest("run"));
        Assert.True(File.Exists(_program["run/samples/step-2-0.wav"]));
        Assert.Contains("going on from step 2", Train("run", 3, Sampled).Succeeds().Error);
        string[] label = kind.Contains("labels") ? ["--label", "1"] : [], source = kind.Contains("mel") ? ["--wav", _program["clips/1.wav"]] : ["--seconds", "0.1"];
        DiffWaveProgram.Run(["synthesize", "-m", _program["run/model.safetensors"], "-o", _program["out.wav"], .. label, .. source]).Succeeds();
    }

    [Fact]
    public void MoreFoldersThanLabelsAreRefused()
    {
        Folders("drei", "eins", "zwei");
        Train("run", 2, ["--data", _program["words"], .. Digits, .. Sampled, "--set", "conditioner=label", "--set", "labels=2"]).FailsWith(ExitCode.BadInput, "label 2 ('zwei')", "2 labels");
    }

    [Fact]
    public void RecordingsOfAnotherRateAndWithTwoChannelsAreConverted()
    {
        float[] both = [.. Enumerable.Range(0, 44100).Select(i => 0.4f * MathF.Sin(0.03f * (i / 2)))];
        Directory.CreateDirectory(_program["stereo"]);
        for (int clip = 0; clip < 2; clip++)
        {
            using FileStream stream = File.Create(_program[$"stereo/{clip}.wav"]);
            stream.Write(Stereo44100(both));
        }
        RunResult result = Train("run", 2, ["--data", _program["stereo"], .. Small, "--set", "sample_rate=8000", "--sample-every", "2"]).Succeeds();
        Assert.Contains("8000 Hz", result.Error);
        AudioClip reference = WavFile.Read(_program["run/samples/reference-0.wav"], ChannelMix.Average);
        Assert.Equal((8000, 4000 / 256 * 256), (reference.SampleRate, reference.Samples.Length)); // half a second in whole mel frames
    }

    [Theory]
    [InlineData("cond_24.pt", "mel (5 bands")]
    [InlineData("uncond_tiny.pt", "unconditional")]
    public void WeightsOfAnotherProgramAreAStart(string file, string kind)
    {
        RunResult result = Train("run", 1, ["--data", _program["clips"], "--init", DiffWaveProgram.Fixture($"golden/{file}"), "--batch", "1", "--crop-frames", "2", .. Plain, "--lr", "1e-12"]).Succeeds();
        Assert.Contains(kind, result.Error);
        Parameters weights = Checkpoint.Load(Imported(file)).Parameters;
        Assert.All(weights.Arena.Zip(Checkpoint.Load(_program["run/model.safetensors"]).Parameters.Arena), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
    }

    [Fact]
    public void NoUsableClipIsSaidInOneLine()
    {
        Directory.CreateDirectory(_program["none"]);
        Train("run", 2, ["--data", _program["none"], .. Small]).FailsWith(ExitCode.BadInput, "none: no audio files there");
        _program.Wav("none/a.wav", 22050, 1000);
        _program.Wav("none/b.wav", 22050, 1023);
        Train("run", 2, ["--data", _program["none"], .. Small, "--short", "skip"]).FailsWith(ExitCode.BadInput, "no usable clip", "2 shorter than a crop of 1024 samples");
        WavFile.Write(_program["none/c.wav"], [], 22050);
        Train("run", 2, ["--data", _program["none/c.wav"], .. Small]).FailsWith(ExitCode.BadInput, "c.wav: holds no samples");
        Assert.False(Directory.Exists(_program["run"]));
    }

    [Fact]
    public void OneClipIsTrainedOnAndNotHeldOut()
    {
        RunResult result = Train("run", 2, ["--data", _program["clips/1.wav"], .. Small, "--validation", "0.02", "--sample-every", "0"]).Succeeds();
        Assert.Contains("1 clips, 0.00 hours, 0 held out", result.Error);
        Assert.All(Log("run"), line => Assert.Null(line["validation_loss"]));
    }

    [Fact]
    public void LongAndForeignNamesAreNames()
    {
        string folder = _program["日本 語/it's"], run = "läuft ✓";
        Directory.CreateDirectory(folder);
        foreach (string name in (string[])[OperatingSystem.IsWindows() ? "b&" : "<b>&\"\n", "ß%20", new string('x', 240)]) File.Copy(_program["clips/1.wav"], Path.Combine(folder, name + ".wav"));
        Train(run, 2, ["--data", _program["日本 語"], .. Small, "--sample-every", "2"]).Succeeds();
        Assert.Contains("going on from step 2", Train(run, 3, Plain).Succeeds().Error);
        Assert.Equal(3, Latest(run));
    }

    [Fact]
    public void ARunThatIsDoneSaysSoAndHasItsModel()
    {
        Start("run", 3, Plain).Succeeds();
        string model = Hash("run/model.safetensors");
        File.Delete(_program["run/model.safetensors"]); // as if it had been killed before the last file
        RunResult result = Train("run", 2, "--json").Succeeds();
        Assert.Contains("step 3 is done already; --steps 2 asks for no more", result.Error);
        Assert.Equal((3, "finished", true), ((int)result.Json["steps"]!, (string)result.Json["stopped"]!, result.Json["loss"] is null));
        Assert.Equal(model, Hash("run/model.safetensors"));
        Assert.Equal($"{_program["run/model.safetensors"]}: 3 steps; see {_program["run/report.html"]}\n", Train("run", 3).Succeeds().Out.ReplaceLineEndings("\n"));
        Assert.Equal(3, Log("run").Length);
    }

    private string Imported(string file)
    {
        DiffWaveProgram.Run("import", DiffWaveProgram.Fixture($"golden/{file}"), "-o", _program["imported.safetensors"]).Succeeds();
        return _program["imported.safetensors"];
    }

    // Two clips in a folder each, below words/.
    private void Folders(params string[] names)
    {
        foreach (string name in names)
        {
            Directory.CreateDirectory(_program[$"words/{name}"]);
            for (int clip = 0; clip < 2; clip++) File.Copy(_program[$"clips/{clip}.wav"], _program[$"words/{name}/{clip}.wav"]);
        }
    }

    // A WAV header by the book, which the program's own writer (mono) cannot make.
    private static byte[] Stereo44100(float[] interleaved)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write(Encoding.ASCII.GetBytes("RIFF"));
        writer.Write(36 + 2 * interleaved.Length);
        writer.Write(Encoding.ASCII.GetBytes("WAVEfmt "));
        writer.Write(16);
        writer.Write((short)1);
        writer.Write((short)2);
        writer.Write(44100);
        writer.Write(44100 * 4);
        writer.Write((short)4);
        writer.Write((short)16);
        writer.Write(Encoding.ASCII.GetBytes("data"));
        writer.Write(2 * interleaved.Length);
        foreach (float sample in interleaved) writer.Write((short)MathF.Round(sample * 32767));
        return bytes.ToArray();
    }
}
