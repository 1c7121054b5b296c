using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli.Tests;

public sealed class EvaluateTests : IDisposable
{
    private static readonly string[] Figures = ["log_mel_l1", "log_spectral_distance_db", "mel_cepstral_distortion_db", "spectral_convergence", "log_stft_magnitude_l1", "snr_db"];

    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    private static float[] Speech => WavFile.Read(DiffWaveProgram.Fixture("audio/speech.wav")).Samples;

    private string Write(string name, IEnumerable<float> samples, int sampleRate = 22050)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_program[name])!);
        WavFile.Write(_program[name], [.. samples], sampleRate, WavFormat.Float32);
        return _program[name];
    }

    // A factor of 1/2: half the waveform is error, hence 20 log10 2 dB; the rest in DiffWave.Audio.Tests.
    [Fact]
    public void FiguresOfAHalvedSignal()
    {
        string reference = DiffWaveProgram.Fixture("audio/speech.wav"), half = Write("half.wav", Speech.Select(x => x / 2));
        JsonObject json = DiffWaveProgram.Run("evaluate", reference, half, "--json").Succeeds().Json;
        Assert.Equal(["files", "mean", "standard_deviation", "without_generated", "without_reference"], json.Select(field => field.Key));
        JsonObject file = Assert.Single(json["files"]!.AsArray())!.AsObject();
        Assert.Equal(["reference", "generated", "sample_rate", "samples", .. Figures], file.Select(field => field.Key));
        Assert.Equal((reference, half, 22050, 66150), ((string)file["reference"]!, (string)file["generated"]!, (int)file["sample_rate"]!, (int)file["samples"]!));
        Assert.Equal(20 * Math.Log10(2), (double)file["snr_db"]!, 1e-9);
        foreach (string figure in Figures)
        {
            Assert.Equal((double)file[figure]!, (double)json["mean"]![figure]!);
            Assert.Null(json["standard_deviation"]![figure]);
        }
        AudioDistance distance = AudioDistance.Between(Speech, [.. Speech.Select(x => x / 2)], 22050);
        Assert.Equal(distance.LogMelL1, (double)file["log_mel_l1"]!);
        Assert.Equal(distance.LogSpectralDistanceDb, (double)file["log_spectral_distance_db"]!);
        Assert.Equal(distance.MelCepstralDistortionDb, (double)file["mel_cepstral_distortion_db"]!);
        Assert.Equal(distance.SpectralConvergence, (double)file["spectral_convergence"]!);
        Assert.Equal(distance.LogStftMagnitudeL1, (double)file["log_stft_magnitude_l1"]!);
    }

    [Fact]
    public void EqualFilesHaveNoDistance()
    {
        string speech = DiffWaveProgram.Fixture("audio/speech.wav");
        RunResult run = DiffWaveProgram.Run("evaluate", speech, speech).Succeeds();
        Assert.Empty(run.Error);
        string[] lines = run.Out.TrimEnd().Split('\n');
        Assert.Equal(2, lines.Length); // no mean of one file
        Assert.Equal([speech, "0.000", "0.000", "0.000", "0.000", "0.000", "-"], lines[1].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        JsonNode file = DiffWaveProgram.Run("evaluate", speech, speech, "--json").Json["files"]![0]!;
        Assert.Null(file["snr_db"]);
        foreach (string figure in Figures[..^1]) Assert.Equal(0, (double)file[figure]!);
    }

    [Fact]
    public void FoldersAreMatchedByName()
    {
        float[] sound = [.. Enumerable.Range(0, 4000).Select(i => (float)Math.Sin(0.1 * i * i) / 2)];
        Write("r/a.wav", sound);
        Write("r/deep/b.wav", sound);
        Write("r/silent.wav", new float[4000]);
        string left = Write("r/c.wav", sound), over = Write("g/d.wav", sound);
        Write("g/a.wav", sound.Select(x => 0.5f * x));
        Write("g/deep/b.wav", sound.Select(x => 0.75f * x));
        Write("g/silent.wav", sound);
        File.WriteAllText(_program["g/notes.txt"], "no audio");
        JsonObject json = DiffWaveProgram.Run("evaluate", _program["r"], _program["g"], "--json").Succeeds().Json;
        Assert.Equal([_program["r/a.wav"], _program["r/deep/b.wav"], _program["r/silent.wav"]], json["files"]!.AsArray().Select(file => (string)file!["reference"]!));
        Assert.Equal([_program["g/a.wav"], _program["g/deep/b.wav"], _program["g/silent.wav"]], json["files"]!.AsArray().Select(file => (string)file!["generated"]!));
        Assert.Equal([left], json["without_generated"]!.AsArray().Select(path => (string)path!));
        Assert.Equal([over], json["without_reference"]!.AsArray().Select(path => (string)path!));
        // By hand, from errors of a half and a quarter; a silent reference has no ratio and is left out.
        double one = 20 * Math.Log10(2), two = 20 * Math.Log10(4);
        Assert.Null(json["files"]![2]!["snr_db"]);
        Assert.Equal((one + two) / 2, (double)json["mean"]!["snr_db"]!, 1e-5);
        Assert.Equal((two - one) / Math.Sqrt(2), (double)json["standard_deviation"]!["snr_db"]!, 1e-5);
        double[] logMel = [.. json["files"]!.AsArray().Select(file => (double)file!["log_mel_l1"]!)];
        Assert.Equal(logMel.Average(), (double)json["mean"]!["log_mel_l1"]!, 1e-12);
        Assert.Equal(Math.Sqrt(logMel.Sum(x => Math.Pow(x - logMel.Average(), 2)) / 2), (double)json["standard_deviation"]!["log_mel_l1"]!, 1e-12);

        RunResult text = DiffWaveProgram.Run("evaluate", _program["r"], _program["g"]).Succeeds();
        Assert.Equal(["a", Path.Combine("deep", "b"), "silent", "mean", "standard deviation"], text.Out.TrimEnd().Split('\n').Skip(1).Select(line => line.Split("  ")[0]));
        Assert.Contains($"{left}: left out", text.Error);
        Assert.Contains($"{over}: left out", text.Error);
    }

    [Fact]
    public void AnotherRateAndAFewMoreSamplesAreSaid()
    {
        float[] speech = Speech;
        string reference = Write("r.wav", speech);
        RunResult run = DiffWaveProgram.Run("evaluate", reference, Write("longer.wav", [.. speech, 0, 0, 0]), "--json").Succeeds();
        Assert.Contains("3 samples longer than its reference; the first 66150 of both are compared", run.Error);
        Assert.Equal(0, (double)run.Json["files"]![0]!["log_mel_l1"]!);
        run = DiffWaveProgram.Run("evaluate", reference, Write("shorter.wav", speech[..65000]), "--json").Succeeds();
        Assert.Contains("1150 samples shorter than its reference", run.Error);
        Assert.Equal(65000, (int)run.Json["files"]![0]!["samples"]!);
        // Up to 44.1 kHz and back, the resampler changes little below its edge of 93 % of the band.
        run = DiffWaveProgram.Run("evaluate", reference, Write("fast.wav", Resampler.Resample(speech, 22050, 44100), 44100), "--json").Succeeds();
        Assert.Contains("resampled from 44100 Hz to the reference's 22050 Hz", run.Error);
        Assert.Equal(22050, (int)run.Json["files"]![0]!["sample_rate"]!);
        Assert.True((double)run.Json["files"]![0]!["snr_db"]! > 40);
    }

    [Fact]
    public void TheFirstChannelAloneOrTheAverage()
    {
        string stereo = DiffWaveProgram.Fixture("audio/wav/pcm16_stereo.wav"), left = DiffWaveProgram.Fixture("audio/wav/sox_pcm16_left.wav");
        Assert.Null(DiffWaveProgram.Run("evaluate", stereo, left, "--mix", "first", "--json").Succeeds().Json["files"]![0]!["snr_db"]); // equal
        RunResult average = DiffWaveProgram.Run("evaluate", stereo, left, "--json").Succeeds();
        Assert.NotNull(average.Json["files"]![0]!["snr_db"]);
        Assert.Contains("2 channels averaged to one", average.Error);
    }

    [Fact]
    public void WhatCannotBeComparedIsOneLine()
    {
        string reference = Write("r/a.wav", new float[2000]), shorter = Write("g/b.wav", new float[1800]);
        DiffWaveProgram.Run("evaluate", reference, shorter).FailsWith(3, shorter, "0.082 s", "0.091 s", reference, "5 %");
        DiffWaveProgram.Run("evaluate", _program["r"], _program["g"]).FailsWith(3, "none of its 1 audio files", _program["r"]);
        DiffWaveProgram.Run("evaluate", _program["r"], shorter).FailsWith(2, "two folders");
        DiffWaveProgram.Run("evaluate", reference, _program["missing.wav"]).FailsWith(3, "missing.wav: no such file");
        DiffWaveProgram.Run("evaluate", _program["missing"], _program["g"]).FailsWith(3, "missing: no such file");
        File.WriteAllText(_program["text.wav"], "no sound");
        DiffWaveProgram.Run("evaluate", reference, _program["text.wav"]).FailsWith(3, "text.wav");
        File.Copy(shorter, _program["g/b.flac"]);
        DiffWaveProgram.Run("evaluate", _program["r"], _program["g"]).FailsWith(3, "b.flac and b.wav");
        DiffWaveProgram.Run("evaluate", reference).FailsWith(2, "evaluate");
    }
}
