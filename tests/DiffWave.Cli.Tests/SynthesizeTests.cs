using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

public sealed class SynthesizeTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    [Fact]
    public void MelBecomesAudioOfFramesTimesHop()
    {
        string model = _program.Model("tiny", "--config", "tiny"), mel = _program.Mel("a.npy", 21), output = _program["a.wav"];
        JsonObject json = DiffWaveProgram.Run("synth", "-m", model, "--mel", mel, "-o", output, "-t", "1", "--json").Succeeds().Json;
        byte[] wav = File.ReadAllBytes(output);
        Assert.Equal(44 + 2 * 21 * 256, wav.Length);
        Assert.Equal(22050, BinaryPrimitives.ReadInt32LittleEndian(wav.AsSpan(24)));
        Assert.Equal(1, BinaryPrimitives.ReadInt16LittleEndian(wav.AsSpan(22)));
        Assert.Equal(
            ["model", "device", "device_reason", "precision", "schedule", "sampler", "eta", "steps", "seed", "label", "sample_rate", "sample_format", "peak_memory_bytes", "peak_gpu_memory_bytes", "input", "output", "png", "samples",
                "audio_seconds", "wall_seconds", "times_real_time", "clip_ratio"],
            json.Select(field => field.Key));
        Assert.Equal(21 * 256, (int)json["samples"]!);
        Assert.Equal(21 * 256 / 22050.0, (double)json["audio_seconds"]!, 1e-12);
        Assert.Equal((double)json["audio_seconds"]! / (double)json["wall_seconds"]!, (double)json["times_real_time"]!, 1e-9);
        Assert.Equal(7, (int)json["steps"]!);
        Assert.Equal("libcuda.so.1 not found", (string)json["device_reason"]!);
        Assert.InRange((long)json["peak_memory_bytes"]!, 10L << 20, 2L << 30);
    }

    [Fact]
    public void TextReportNamesDeviceSeedAndSpeed()
    {
        string model = _program.Model("tiny", "--config", "tiny");
        RunResult run = DiffWaveProgram.Run("synth", "-m", model, "--mel", _program.Mel("a.npy", 5), "-o", _program["a.wav"], "--seed", "77", "-t", "1").Succeeds();
        foreach (string word in (string[])["seed 77", "times real time", "peak memory", "clipped", "device cpu (", "1 thread", "libcuda.so.1 not found", "0.06 s at 22050 Hz"]) Assert.Contains(word, run.Out);
        Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)); // the device; no progress for so short a run
    }

    [Fact]
    public void SameSeedSameBytesForAnyThreadsAndChunks()
    {
        string model = _program.Model("tiny", "--config", "tiny"), mel = _program.Mel("a.npy", 30);
        byte[] Make(params string[] more)
        {
            DiffWaveProgram.Run(["synth", "-m", model, "--mel", mel, "-o", _program["x.wav"], .. more]).Succeeds();
            return File.ReadAllBytes(_program["x.wav"]);
        }
        byte[] expected = Make("-t", "1");
        Assert.Equal(expected, Make("-t", "2"));
        Assert.Equal(expected, Make("-t", "1", "--chunk-seconds", "0.01"));
        Assert.Equal(expected, Make("-t", "2", "--chunk-seconds", "100"));
        Assert.NotEqual(expected, Make("-t", "1", "--seed", "1"));
        Assert.NotEqual(expected, Make("-t", "1", "--sampler", "ddim"));
        Assert.Equal(Make("-t", "1", "--schedule", string.Join(',', ModelConfig.Preset("tiny").FastBetas.Select(beta => beta.ToString("r", CultureInfo.InvariantCulture)))), expected); // what fast stands for
    }

    // Trained weights, whose output depends on every layer: a foreign checkpoint is converted in memory, and gives what its imported model gives.
    [Fact]
    public void AForeignCheckpointSpeaksLikeItsImport()
    {
        string checkpoint = DiffWaveProgram.Fixture("golden/cond_tiny.safetensors"), model = _program["imported.safetensors"], mel = _program.Mel("a.npy", 30);
        DiffWaveProgram.Run("import", checkpoint, "-o", model).Succeeds();
        byte[] Make(string from, params string[] more)
        {
            DiffWaveProgram.Run(["synth", "-m", from, "--mel", mel, "-o", _program["x.wav"], .. more]).Succeeds();
            return File.ReadAllBytes(_program["x.wav"]);
        }
        byte[] expected = Make(model, "-t", "1");
        Assert.Equal(expected, Make(checkpoint, "-t", "2", "--chunk-seconds", "0.02"));
        Assert.NotEqual(expected, Make(checkpoint, "--schedule", "full"));
    }

    [Fact]
    public void TheFirstChannelAloneOrTheAverage()
    {
        string model = DiffWaveProgram.Fixture("golden/cond_tiny.safetensors"), stereo = DiffWaveProgram.Fixture("audio/wav/pcm16_stereo.wav");
        byte[] Make(params string[] more)
        {
            DiffWaveProgram.Run(["synth", "-m", model, "--wav", stereo, "-o", _program["x.wav"], .. more]).Succeeds();
            return File.ReadAllBytes(_program["x.wav"]);
        }
        Assert.Equal(Make(), Make("--mix", "average"));
        Assert.NotEqual(Make(), Make("--mix", "first"));
    }

    [Fact]
    public void StdoutCarriesTheSameFileAndStderrTheReport()
    {
        string model = _program.Model("tiny", "--config", "tiny"), mel = _program.Mel("a.npy", 9);
        DiffWaveProgram.Run("synth", "-m", model, "--mel", mel, "-o", _program["a.wav"], "-t", "1").Succeeds();
        RunResult piped = _program.RunProcess("synth", "-m", model, "--mel", mel, "-o", "-", "-t", "1", "--json");
        Assert.True(piped.Code == 0, piped.Error);
        Assert.Equal(File.ReadAllBytes(_program["a.wav"]), piped.RawOut);
        using var stream = new MemoryStream(piped.RawOut);
        Assert.Equal(9 * 256, WavFile.Read(stream, "stdout").Samples.Length);
        Assert.Equal("-", (string)JsonNode.Parse(piped.Error)!["output"]!);
        Assert.Contains("times real time", DiffWaveProgram.Run("synth", "-m", model, "--mel", mel, "-o", "-", "-t", "1").Error);
    }

    [Fact]
    public void RecordingOfAnotherRateIsResampledAndSaidSo()
    {
        string model = _program.Model("tiny", "--config", "tiny"), wav = _program.Wav("tone.wav", 48000, 24000);
        RunResult run = DiffWaveProgram.Run("synth", "-m", model, "--wav", wav, "-o", _program["copy.wav"], "--bits", "24", "-t", "1", "--json").Succeeds();
        Assert.Contains("resampled from 48000 Hz to the model's 22050 Hz", run.Error);
        AudioClip copy = WavFile.Read(_program["copy.wav"]);
        Assert.Equal(22050, copy.SampleRate);
        Assert.Equal((1 + 11025 / 256) * 256, copy.Samples.Length);
        Assert.Equal("pcm24", (string)run.Json["sample_format"]!);
    }

    [Fact]
    public void StereoIsAveragedAndSaidSo()
    {
        string model = _program.Model("tiny", "--config", "tiny");
        RunResult run = DiffWaveProgram.Run("synth", "-m", model, "--wav", DiffWaveProgram.Fixture("audio/wav/pcm16_stereo.wav"), "-o", _program["copy.wav"], "-t", "1").Succeeds();
        Assert.Contains("2 channels averaged to one", run.Error);
    }

    [Fact]
    public void RecordingEqualsItsOwnMel()
    {
        string model = _program.Model("tiny", "--config", "tiny"), wav = _program.Wav("tone.wav", 22050, 5000);
        DiffWaveProgram.Run("mel", wav, "-o", _program["tone.npy"], "--model", model).Succeeds();
        DiffWaveProgram.Run("synth", "-m", model, "--wav", wav, "-o", _program["1.wav"], "-t", "1").Succeeds();
        DiffWaveProgram.Run("synth", "-m", model, "--mel", _program["tone.npy"], "-o", _program["2.wav"], "-t", "1").Succeeds();
        Assert.Equal(File.ReadAllBytes(_program["1.wav"]), File.ReadAllBytes(_program["2.wav"]));
    }

    [Fact]
    public void FoldersAreSynthesizedInOrderEachAsAlone()
    {
        string model = _program.Model("tiny", "--config", "tiny");
        Directory.CreateDirectory(_program["mels/deep"]);
        Directory.CreateDirectory(_program["out"]);
        _program.Mel("mels/b.npy", 4);
        _program.Mel("mels/a.npy", 3);
        _program.Mel("mels/deep/a.npy", 5);
        File.WriteAllText(_program["mels/notes.txt"], "not a mel");
        JsonObject json = DiffWaveProgram.Run("synth", "-m", model, "--mel", _program["mels"], "-o", _program["out"], "-t", "1", "--json").Succeeds().Json;
        Assert.Equal([_program["out/a.wav"], _program["out/b.wav"], _program["out/deep/a.wav"]], json["files"]!.AsArray().Select(file => (string)file!["output"]!));
        Assert.Equal(12 * 256 / 22050.0, (double)json["audio_seconds"]!, 1e-12);
        DiffWaveProgram.Run("synth", "-m", model, "--mel", _program["mels/b.npy"], "-o", _program["alone.wav"], "-t", "1").Succeeds();
        Assert.Equal(File.ReadAllBytes(_program["alone.wav"]), File.ReadAllBytes(_program["out/b.wav"]));
    }

    [Fact]
    public void WithoutANameTheOutputStandsInTheCurrentFolder()
    {
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        Assert.Equal(0, _program.RunProcess("synth", "-m", model, "--seconds", "0.01").Code);
        Assert.Contains("diffwave.wav", _program.Files());
    }

    [Fact]
    public void UnconditionalTakesItsLengthFromSeconds()
    {
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none", "--set", "sample_rate=16000");
        DiffWaveProgram.Run("synth", "-m", model, "--seconds", "0.25", "-o", _program["a.wav"], "--bits", "32f", "-t", "1").Succeeds();
        AudioClip clip = WavFile.Read(_program["a.wav"]);
        Assert.Equal((4000, 16000), (clip.Samples.Length, clip.SampleRate));
    }

    [Fact]
    public void LabelsMatter()
    {
        // An untrained network ends in zeros, so its last projection is filled to let the label through.
        string model = _program["labelled.safetensors"];
        var config = ModelConfig.Preset("tiny") with { Conditioner = Conditioner.Label, Labels = 3, Mel = null, UpsampleFactors = [] };
        Parameters parameters = Initializer.Create(config, 1);
        parameters["output_projection.weight"].Fill(0.2f);
        Checkpoint.Save(model, config, parameters, new ModelCard());
        byte[] Make(string label)
        {
            DiffWaveProgram.Run("synth", "-m", model, "--label", label, "--seconds", "0.05", "-o", _program["x.wav"], "-t", "1").Succeeds();
            return File.ReadAllBytes(_program["x.wav"]);
        }
        Assert.Equal(Make("0"), Make("0"));
        Assert.NotEqual(Make("0"), Make("2"));
    }

    [Fact]
    public void PictureIsAPng()
    {
        string model = _program.Model("tiny", "--config", "tiny"), wav = _program.Wav("tone.wav", 22050, 4000);
        JsonObject json = DiffWaveProgram.Run("synth", "-m", model, "--wav", wav, "-o", _program["a.wav"], "--png", _program["a.png"], "-t", "1", "--json").Succeeds().Json;
        Assert.Equal(_program["a.png"], (string)json["png"]!);
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], File.ReadAllBytes(_program["a.png"])[..4]);
    }

    [Fact]
    public void ClippingWarns()
    {
        // Without the clamp the noise of a single step leaves -1..1 often.
        string model = _program.Model("loud", "--config", "tiny", "--set", "conditioner=none", "--set", "clamp_samples=false");
        RunResult run = DiffWaveProgram.Run("synth", "-m", model, "--schedule", "0.05", "--seconds", "0.1", "-o", _program["a.wav"], "-t", "1", "--json").Succeeds();
        // x / sqrt(0.95) of a standard normal x: P(|x| > 0.97468) = 0.3297.
        Assert.InRange((double)run.Json["clip_ratio"]!, 0.29, 0.37);
        Assert.Contains("warning: ", run.Error);
        Assert.Equal(0, (double)DiffWaveProgram.Run("synth", "-m", model, "--schedule", "0.05", "--seconds", "0.1", "-o", _program["b.wav"], "-t", "1", "--json", "--bits", "32f").Succeeds().Json["clip_ratio"]!);
    }

    [Fact]
    public void DevicesAreWrittenToNotReplaced()
    {
        Assert.SkipUnless(File.Exists("/dev/null"), "the system has no /dev/null");
        string model = _program.Model("none", "--config", "tiny", "--set", "conditioner=none");
        DiffWaveProgram.Run("synth", "-m", model, "--seconds", "0.01", "-o", "/dev/null", "-t", "1").Succeeds();
        Assert.Equal(0, new FileInfo("/dev/null").Length);
        Assert.Empty(Directory.EnumerateFiles("/dev", "null.tmp-*"));
    }

    [Fact]
    public void MemoryDoesNotGrowWithTheLength()
    {
        // One narrow layer and one step, so that ten minutes take a second. The audio alone would be 50 MiB, the mel 2.
        string model = _program.Model("narrow", "--config", "tiny", "--set", "channels=2", "--set", "layers=1", "--set", "dilation_cycle=1", "--set", "mel.bands=10");
        long Peak(string name, int frames)
        {
            string mel = _program.Mel(name, frames, bands: 10);
            RunResult run = _program.RunProcess("synth", "-m", model, "--mel", mel, "--schedule", "0.05", "-o", _program["x.wav"], "-t", "1", "--json");
            Assert.True(run.Code == 0, run.Error);
            return (long)run.Json["peak_memory_bytes"]!;
        }
        long few = Peak("short.npy", 861), many = Peak("long.npy", 51680);
        Assert.True(many <= 1.2 * few, $"10 s: {few} bytes, 10 min: {many} bytes");
    }
}
