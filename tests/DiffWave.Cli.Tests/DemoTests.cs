using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli.Tests;

public sealed class DemoTests : IDisposable
{
    private static readonly string[] Files = ["clip.wav", "diffwave.wav", "griffin-lim.wav", "spectrograms.png", "untrained.wav"];

    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    // The tiny vocoder of the golden data, trained for minutes, and a second of the speech it knows.
    private string Voice(string name = "voice", int samples = 22050)
    {
        Directory.CreateDirectory(_program[name]);
        File.Copy(DiffWaveProgram.Fixture("golden/cond_tiny.safetensors"), Path.Combine(_program[name], "voice.safetensors"), overwrite: true);
        float[] speech = WavFile.Read(DiffWaveProgram.Fixture("audio/speech.wav")).Samples;
        WavFile.Write(Path.Combine(_program[name], "clip.wav"), speech.AsSpan(20000, samples), 22050);
        return _program[name];
    }

    [Fact]
    public void TheFilesAreWhatSynthesizeAndEvaluateSay()
    {
        string voice = Voice(), folder = _program["out"];
        JsonObject json = DiffWaveProgram.Run("demo", "--voice", voice, "-o", folder, "-t", "1", "--seed", "5", "--json").Succeeds().Json;
        Assert.Equal(
            ["voice", "folder", "device", "precision", "seed", "sample_rate", "audio_seconds", "peak_memory_bytes", "results", "picture", "griffin_lim_is_closer"], json.Select(field => field.Key));
        Assert.Equal(1, (double)json["audio_seconds"]!);
        Assert.Equal(Files, Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(WavFile.Read(Path.Combine(voice, "clip.wav")).Samples, WavFile.Read(Path.Combine(folder, "clip.wav")).Samples);
        Assert.Equal([0x89, 0x50, 0x4E, 0x47], File.ReadAllBytes(Path.Combine(folder, "spectrograms.png"))[..4]);

        DiffWaveProgram.Run("synth", "-m", Path.Combine(voice, "voice.safetensors"), "--wav", Path.Combine(voice, "clip.wav"), "--seed", "5", "-o", _program["same.wav"]).Succeeds();
        Assert.Equal(File.ReadAllBytes(_program["same.wav"]), File.ReadAllBytes(Path.Combine(folder, "diffwave.wav")));
        Assert.Equal(["diffwave", "untrained", "griffin-lim"], json["results"]!.AsArray().Select(result => (string)result!["name"]!));
        foreach (JsonNode? result in json["results"]!.AsArray())
        {
            JsonNode file = DiffWaveProgram.Run("evaluate", Path.Combine(folder, "clip.wav"), Path.Combine(folder, (string)result!["file"]!), "--json").Succeeds().Json["files"]![0]!;
            foreach (string figure in (string[])["log_mel_l1", "log_spectral_distance_db", "mel_cepstral_distortion_db", "spectral_convergence", "log_stft_magnitude_l1", "snr_db"])
                Assert.Equal((double)file[figure]!, (double)result[figure]!);
            Assert.True((double)result["times_real_time"]! > 0);
        }
    }

    [Fact]
    public void TrainingIsHeardAndTheVerdictFollowsTheFigures()
    {
        RunResult run = DiffWaveProgram.Run("demo", "--voice", Voice(), "-o", _program["out"], "-t", "1").Succeeds();
        string[] lines = run.Out.Split('\n');
        double[] Row(string name) => [.. Assert.Single(lines, line => line.StartsWith(name + " ", StringComparison.Ordinal))[name.Length..]
            .Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => double.Parse(word, System.Globalization.CultureInfo.InvariantCulture))];
        (double[] trained, double[] untrained, double[] griffinLim) = (Row("diffwave"), Row("untrained"), Row("griffin-lim"));
        Assert.Equal(7, trained.Length);
        for (int figure = 0; figure < 5; figure++) Assert.True(trained[figure] < untrained[figure]);
        string verdict = Assert.Single(lines, line => line.Contains("Griffin-Lim is", StringComparison.Ordinal));
        string Word(int figure) => griffinLim[figure] < trained[figure] ? "closer than" : "farther than";
        Assert.StartsWith($"By log-mel L1 Griffin-Lim is {Word(0)} the voice (", verdict);
        Assert.Contains($"by MCD Griffin-Lim is {Word(2)} the voice (", verdict);
    }

    [Fact]
    public void TheSameSeedGivesTheSameFilesForAnyThreads()
    {
        string voice = Voice(samples: 8000);
        byte[][] Make(params string[] more)
        {
            DiffWaveProgram.Run(["demo", "--voice", voice, "-o", _program["out"], .. more]).Succeeds();
            return [.. Files.Select(name => File.ReadAllBytes(Path.Combine(_program["out"], name)))];
        }
        byte[][] expected = Make("-t", "1");
        Assert.Equal(expected, Make("-t", "2")); // written over the first
        byte[][] other = Make("-t", "1", "--seed", "1");
        Assert.Equal(expected[0], other[0]);
        foreach (int i in (int[])[1, 2, 4]) Assert.NotEqual(expected[i], other[i]);
    }

    [Fact]
    public void AFolderWithOtherFilesIsLeftAlone()
    {
        string voice = Voice(samples: 3000);
        foreach (string name in (string[])["mine/notes.txt", "deep/clip.wav/x", "deep2/sub/x"])
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_program[name])!);
            File.WriteAllText(_program[name], "mine");
        }
        File.WriteAllText(_program["mine/clip.wav"], "mine too");
        string[] before = _program.Files();
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["mine"]).FailsWith(1, "holds notes.txt", "-o");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["deep2"]).FailsWith(1, "holds sub");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["deep"]).FailsWith(1, "clip.wav", "is a folder");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", voice).FailsWith(1, "holds voice.safetensors");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["mine/notes.txt"]).FailsWith(1, "is a file");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", "").FailsWith(2, "empty name");
        Assert.Equal(before, _program.Files());
        Assert.Equal("mine too", File.ReadAllText(_program["mine/clip.wav"]));
    }

    [Fact]
    public void AnIncompleteVoiceIsNamed()
    {
        Directory.CreateDirectory(_program["empty"]);
        DiffWaveProgram.Run("demo", "--voice", _program["empty"], "-o", _program["out"]).FailsWith(4, Path.Combine(_program["empty"], "voice.safetensors"), "no such file", "--voice");
        string voice = Voice();
        File.Delete(Path.Combine(voice, "clip.wav"));
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["out"]).FailsWith(4, Path.Combine(voice, "clip.wav"), "no such file");
        File.WriteAllText(Path.Combine(voice, "clip.wav"), "no sound");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["out"]).FailsWith(3, Path.Combine(voice, "clip.wav"));
        File.WriteAllText(Path.Combine(voice, "voice.safetensors"), "no model");
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["out"]).FailsWith(4, Path.Combine(voice, "voice.safetensors"));
        File.Copy(_program.Model("none", "--config", "tiny", "--set", "conditioner=none"), Path.Combine(voice, "voice.safetensors"), overwrite: true);
        DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["out"]).FailsWith(4, "conditioner", "vocoder");
        Assert.False(Directory.Exists(_program["out"]));
    }

    [Fact]
    public void AClipOfAnotherRateIsResampledAndSaidSo()
    {
        string voice = Voice();
        WavFile.Write(Path.Combine(voice, "clip.wav"), Resampler.Resample(WavFile.Read(Path.Combine(voice, "clip.wav")).Samples.AsSpan(0, 5000), 22050, 16000), 16000);
        RunResult run = DiffWaveProgram.Run("demo", "--voice", voice, "-o", _program["out"], "-t", "1").Succeeds();
        Assert.Contains("resampled from 16000 Hz to the voice's 22050 Hz", run.Error);
        Assert.Equal(22050, WavFile.Read(_program["out/clip.wav"]).SampleRate);
    }

    // The voice that ships: held-out clip, fast schedule. The bounds are wide; the figures themselves stand in its card and in README.
    [Fact]
    public void TheBundledVoiceSpeaksMuchBetterThanAnUntrainedOne()
    {
        RunResult result = DiffWaveProgram.Run("demo", "-o", _program["demo"], "-t", "2", "--json").Succeeds();
        double Figure(string name) => (double)result.Json["results"]!.AsArray().Single(entry => (string)entry!["name"]! == name)!["log_mel_l1"]!;
        Assert.True(Figure("diffwave") < Figure("untrained") / 3, result.Out);
        Assert.InRange(new FileInfo(Path.Combine(Demo.BundledVoice, Demo.ModelFile)).Length, 1, 8_000_000);
        Assert.True(File.Exists(Path.Combine(Demo.BundledVoice, "LICENSE.txt")));
    }
}
