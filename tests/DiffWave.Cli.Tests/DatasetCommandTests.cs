using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave dataset: the report, as text and JSON, and its exit codes.</summary>
public sealed class DatasetCommandTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    // Folders one and two: three good clips of two rates, one clipped, one silent, one short and with an offset, one that is no audio, one hidden.
    private string Corpus()
    {
        foreach (string folder in (string[])["data/one", "data/two", "data/.hidden"]) Directory.CreateDirectory(_program[folder]);
        _program.Wav("data/one/a.wav", 22050, 22050);
        _program.Wav("data/one/b.wav", 22050, 44100);
        _program.Wav("data/two/c.wav", 44100, 132300);
        _program.Wav("data/.hidden/x.wav", 22050, 22050);
        float[] clipped = new float[22050];
        clipped.AsSpan(100, 4).Fill(1);
        WavFile.Write(_program["data/two/clipped.wav"], clipped, 22050);
        WavFile.Write(_program["data/two/silent.wav"], new float[22050], 22050);
        float[] offset = new float[2205];
        Array.Fill(offset, 0.25f);
        WavFile.Write(_program["data/two/short.wav"], offset, 22050);
        File.WriteAllText(_program["data/two/noise.wav"], "RIFF, but no more than that");
        return _program["data"];
    }

    private static string[] Strings(JsonNode? array, string? field = null) => [.. array!.AsArray().Select(node => (string)(field is null ? node : node![field])!)];

    [Fact]
    public void TheReportHoldsEveryFinding()
    {
        RunResult run = DiffWaveProgram.Run("dataset", Corpus(), "--validation", "0", "--json");
        Assert.Equal(0, run.Code);
        Assert.Contains("warning: training would not start: ", run.Error);
        JsonObject json = run.Json;
        Assert.Equal(6, (int)json["clips"]!);
        Assert.Equal(6, (int)json["training_clips"]!);
        Assert.Equal(1 + 2 + 3 + 1 + 1 + 0.1, (double)json["seconds"]!, 1e-9);
        Assert.Equal((1 + 2 + 3 + 1 + 1 + 0.1) / 3600, (double)json["hours"]!, 1e-12);
        Assert.Equal((0.1, 1.0, 3.0), ((double)json["shortest_seconds"]!, (double)json["median_seconds"]!, (double)json["longest_seconds"]!));
        Assert.Equal(["22050: 5", "44100: 1"], json["sample_rates"]!.AsArray().Select(rate => $"{rate!["sample_rate"]}: {rate["clips"]}"));
        Assert.Equal("1: 6", string.Join(',', json["channels"]!.AsArray().Select(channels => $"{channels!["channels"]}: {channels["clips"]}")));
        Assert.Equal(["two/noise.wav"], Strings(json["unreadable"], "file"));
        Assert.StartsWith("not a WAV file", (string)json["unreadable"]![0]!["problem"]!);
        Assert.Equal("two/clipped.wav: 4", $"{json["clipped"]![0]!["file"]}: {json["clipped"]![0]!["samples"]}");
        Assert.Single(json["clipped"]!.AsArray());
        Assert.Equal(["two/silent.wav"], Strings(json["silent"]));
        Assert.Equal(["two/short.wav"], Strings(json["dc_offset"], "file"));
        Assert.Equal(0.25, (double)json["dc_offset"]![0]!["mean"]!);
        Assert.Equal(["two/short.wav"], Strings(json["short"], "file"));
        Assert.Equal("padded", (string)json["short_are"]!);
        Assert.Empty(json["labels"]!.AsArray());
        Assert.Empty(json["held_out"]!.AsArray());
        Assert.Equal(62 * 256, (int)json["crop_samples"]!);
        // All clips at 22050 Hz, the short one padded to 15872 samples; 1 + n / 256 frames of 80 bands; four bytes each.
        int[] lengths = [22050, 44100, 66150, 22050, 22050, 15872];
        Assert.Equal(lengths.Sum(n => 4L * (n + 80 * (1 + n / 256))), (long)json["memory_bytes"]!);
        Assert.Contains("two/noise.wav: not a WAV file", (string)json["obstacle"]!);

        string text = DiffWaveProgram.Run("dataset", _program["data"], "--validation", "0", "--short", "skip").Succeeds().Out;
        foreach (string words in (string[])["5 usable, 0.00 hours", "shortest 1.00 s, median 1.00 s, longest 3.00 s", "22050 Hz: 4, 44100 Hz: 1", "two/clipped.wav: 4 samples", "short         1, skipped"])
            Assert.Contains(words, text);
    }

    [Fact]
    public void LabelsComeFromFoldersOrAList()
    {
        string data = Corpus(), list = _program["list.csv"];
        string[] model = ["--config", "sc09", "--set", "conditioner=label", "--set", "labels=2", "--json"];
        JsonObject json = DiffWaveProgram.Run(["dataset", data, .. model]).Json;
        Assert.Equal(["0 one 2", "1 two 4"], json["labels"]!.AsArray().Select(label => $"{label!["label"]} {label["name"]} {label["clips"]}"));

        File.WriteAllText(list, "file|label\na|dog\nb|cat\ngone|cow\n");
        RunResult run = DiffWaveProgram.Run(["dataset", data, "--metadata", list, .. model]).Succeeds();
        Assert.Equal(["0 cat 1", "1 dog 1"], run.Json["labels"]!.AsArray().Select(label => $"{label!["label"]} {label["name"]} {label["clips"]}"));
        Assert.Equal(["two/c.wav", "two/clipped.wav", "two/noise.wav", "two/short.wav", "two/silent.wav"], Strings(run.Json["not_listed"]));
        Assert.Equal("4 gone", $"{run.Json["not_there"]![0]!["line"]} {run.Json["not_there"]![0]!["file"]}");
        Assert.Null(run.Json["obstacle"]);
        Assert.Empty(run.Error);

        File.WriteAllText(list, "file|label\na|0\nb|2\n");
        Assert.Contains("label 2 ('2'): the model has 2 labels", DiffWaveProgram.Run(["dataset", data, "--metadata", list, .. model]).Succeeds().Error);
        File.WriteAllText(list, "file|label\na|0\nb\n");
        DiffWaveProgram.Run(["dataset", data, "--metadata", list, .. model]).FailsWith(3, "list.csv: line 3: 1 fields");
    }

    [Fact]
    public void HeldOutClipsAreNamed()
    {
        string data = Corpus(), list = _program["held.txt"];
        File.WriteAllText(list, "one/b.wav\nc\n");
        Assert.Equal(["one/b.wav", "two/c.wav"], Strings(DiffWaveProgram.Run("dataset", data, "--held-out", list, "--json").Json["held_out"]));
        Assert.Single(Strings(DiffWaveProgram.Run("dataset", data, "--json").Json["held_out"]));
        DiffWaveProgram.Run("dataset", data, "--held-out", list, "--validation", "0.1").FailsWith(2, "--validation and --held-out exclude each other");
        File.WriteAllText(list, "d\n");
        DiffWaveProgram.Run("dataset", data, "--held-out", list).FailsWith(3, "held.txt: line 1: 'd' is no clip");
    }

    [Fact]
    public void TrimmingAndPreparationAreReported()
    {
        Directory.CreateDirectory(_program["data"]);
        float[] sound = new float[44100];
        sound.AsSpan(20000, 2205).Fill(0.5f);
        WavFile.Write(_program["data/a.wav"], sound, 22050);
        JsonObject json = DiffWaveProgram.Run("dataset", _program["data"], "--trim", "--json", "--crop-frames", "8", "--set", "sample_rate=16000").Succeeds().Json;
        Assert.Equal((2205 + 2 * 1102) / 22050.0, (double)json["seconds"]!, 1e-12); // 50 ms on both sides, whole samples
        Assert.Equal(2.0, (double)json["untrimmed_seconds"]!);
        Assert.Equal((16000, 8 * 256), ((int)json["sample_rate"]!, (int)json["crop_samples"]!));
    }

    [Fact]
    public void NothingUsableIsABadInput()
    {
        Directory.CreateDirectory(_program["data"]);
        DiffWaveProgram.Run("dataset", _program["data"]).FailsWith(3, "no audio files there");
        DiffWaveProgram.Run("dataset", _program["none"]).FailsWith(3, "no such file or folder");
        File.WriteAllText(_program["data/a.wav"], "RIFF");
        RunResult run = DiffWaveProgram.Run("dataset", _program["data"]);
        Assert.Equal(3, run.Code);
        Assert.Contains("a.wav: not a WAV file", run.Out);
        Assert.Contains("error: ", run.Error);
        _program.Wav("data/a.wav", 22050, 100);
        run = DiffWaveProgram.Run("dataset", _program["data"], "--short", "skip", "--json");
        Assert.Equal(3, run.Code);
        Assert.Equal(0, (int)run.Json["clips"]!);
        Assert.Null(run.Json["median_seconds"]);
        Assert.Contains("no usable clip (0 cannot be read, 1 shorter than a crop of 15872 samples)", run.Error);
    }

    [Fact]
    public void WrongUsageIsOneLine()
    {
        _program.Wav("a.wav", 22050, 100);
        DiffWaveProgram.Run("dataset").FailsWith(2, "dataset");
        DiffWaveProgram.Run("dataset", _program["a.wav"], "--validation", "0.7").FailsWith(2, "--validation is '0.7'", "from 0 to 0.5");
        DiffWaveProgram.Run("dataset", _program["a.wav"], "--short", "cut").FailsWith(2, "expected pad or skip");
        DiffWaveProgram.Run("dataset", _program["a.wav"], "--config", "huge").FailsWith(2, "neither a file nor a preset");
        DiffWaveProgram.Run("dataset", _program["a.wav"], "--crop-frames", "100000", "--set", "mel.hop=32768").FailsWith(2, "--crop-frames 100000");
        Assert.Contains("Examples:\n  # is this corpus ready", DiffWaveProgram.Run("dataset", "--help").Succeeds().Out);
    }
}
