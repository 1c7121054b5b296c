using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Cuda.Tests;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave bench: that its figures belong together and say what was measured. How large they are is the machine's business.</summary>
public sealed class BenchTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();

    public void Dispose() => _program.Dispose();

    private static double Number(JsonNode node, string name) => (double)node[name]!;

    private static void IsConsistent(JsonNode schedule, int batch)
    {
        double[] seconds = [.. schedule["seconds"]!.AsArray().Select(value => (double)value!).Order()];
        Assert.InRange(seconds.Length, 3, 7);
        Assert.Equal((seconds[0], seconds[^1]), (Number(schedule, "lowest_seconds"), Number(schedule, "highest_seconds")));
        double median = seconds.Length % 2 == 1 ? seconds[seconds.Length / 2] : (seconds[seconds.Length / 2 - 1] + seconds[seconds.Length / 2]) / 2;
        Assert.Equal(median, Number(schedule, "median_seconds"), 1e-12);
        Assert.Equal(batch * Number(schedule, "clip_seconds"), Number(schedule, "audio_seconds"), 1e-12);
        double times = Number(schedule, "audio_seconds") / median;
        Assert.Equal(times, Number(schedule, "times_real_time"), 1e-9 * times);
        Assert.Equal(60, Number(schedule, "minute_seconds") * times, 1e-9);
        Assert.InRange(Number(schedule, "first_audio_seconds"), 1e-9, seconds[^1]);
        Assert.True((long)schedule["peak_memory_bytes"]! > 1 << 20);
    }

    [Theory]
    [InlineData("mel", 80)] // a frame is 256 samples: 1102.5 become 1280
    [InlineData("label", 1)]
    [InlineData("none", 1)]
    public void FiguresBelongTogetherWhateverTheModelTakes(string conditioner, int bands)
    {
        string[] labels = conditioner == "label" ? ["--set", "labels=3"] : [];
        string model = _program.Model("m", ["--config", "tiny", "--set", $"conditioner={conditioner}", "--set", "layers=2", "--set", "training_betas=1e-4,1e-3,0.05,0.3,0.5", "--set", "fast_betas=1e-4,0.5", .. labels]);
        JsonObject json = DiffWaveProgram.Run("bench", "--model", model, "--seconds", "0.05", "--batch", "2", "--time-limit", "3", "-t", "1", "--seed", "4", "--json").Succeeds().Json;
        Assert.Equal(
            ["model", "parameters", "sample_rate", "device", "device_reason", "precision", "threads", "batch", "seed", "time_limit_seconds", "schedules"], json.Select(field => field.Key));
        Assert.Equal((model, 22050, "fp32", 1, 2, 4), ((string)json["model"]!, (int)json["sample_rate"]!, (string)json["precision"]!, (int)json["threads"]!, (int)json["batch"]!, (int)json["seed"]!));
        JsonArray schedules = json["schedules"]!.AsArray();
        Assert.Equal(["fast", "full"], schedules.Select(schedule => (string)schedule!["schedule"]!));
        Assert.Equal([2, 5], schedules.Select(schedule => (int)schedule!["steps"]!));
        IsConsistent(schedules[0]!, 2);
        Assert.Equal((bands > 1 ? 1280 : 1103) / 22050.0, Number(schedules[0]!, "clip_seconds"), 1e-12);
        Assert.Null(schedules[0]!["peak_gpu_memory_bytes"]);
    }

    // By the clock of the machine either schedule may be shortened; what is told of the full one is then by its steps.
    [Fact]
    public void WithoutTimeTheFullScheduleIsToldByItsSteps()
    {
        JsonObject json = DiffWaveProgram.Run("bench", "--config", "small", "--seconds", "30", "--time-limit", "0.1", "-t", "1", "--json").Succeeds().Json;
        JsonNode fast = json["schedules"]![0]!, full = json["schedules"]![1]!;
        IsConsistent(fast, 1);
        Assert.True((bool)fast["is_shortened"]!);
        Assert.InRange(Number(fast, "clip_seconds"), 0.1, 1);
        Assert.False((bool)full["is_measured"]!);
        Assert.Equal(Number(fast, "times_real_time") * (int)fast["steps"]! / (int)full["steps"]!, Number(full, "times_real_time"), 1e-9);
        Assert.Equal(60, Number(full, "minute_seconds") * Number(full, "times_real_time"), 1e-9);
    }

    [Fact]
    public void TheVoiceAndWhatItsTableSays()
    {
        RunResult run = DiffWaveProgram.Run("bench", "--seconds", "0.1", "--time-limit", "0.5", "-t", "1").Succeeds();
        Assert.StartsWith("device: cpu (", run.Error);
        Assert.StartsWith("model: festvox-ru (nsh) (928,439 parameters", run.Out);
        string[] lines = run.Out.Split('\n');
        string[] row = Assert.Single(lines, line => line.StartsWith("fast ", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        double Figure(string text) => double.Parse(text.Trim('[', ']', '*'), CultureInfo.InvariantCulture);
        Assert.Equal(("7", "0.10"), (row[1], row[2].TrimEnd('*')));
        Assert.InRange(Figure(row[4]), Figure(row[5]), Figure(row[7]));
        double times = 0.1 / Figure(row[4]);
        Assert.Equal(times, Figure(row[8]), 0.02 * times + 0.005); // of rounded figures; the clip is 8 whole frames, 0.1 s exactly
        string verdict = Assert.Single(lines, line => line.StartsWith("The fast schedule: ", StringComparison.Ordinal));
        Assert.Contains($"{row[8]} times real time, {(times >= 1 ? "faster" : "slower")} than it plays; a minute of audio takes ", verdict);
        Assert.Contains("a GPU (diffwave devices", run.Out);
        Assert.Equal(Environment.ProcessorCount > 1, run.Out.Contains("more threads (1 of ", StringComparison.Ordinal));
    }

    [Fact]
    public void OnAGpu()
    {
        string model = _program.Model("m", "--config", "tiny", "--set", "channels=32", "--set", "layers=1", "--set", "conditioner=none", "--set", "fast_betas=0.05");
        using var cuda = new StubCuda();
        JsonObject json = DiffWaveProgram.Run("bench", "--model", model, "--seconds", "0.003", "--time-limit", "0.1", "--device", "cuda", "--json").Succeeds().Json;
        Assert.Equal(("fp16", null), ((string)json["precision"]!, json["threads"]));
        IsConsistent(json["schedules"]![0]!, 1);
        Assert.True((long)json["schedules"]![0]!["peak_gpu_memory_bytes"]! > 100_000); // the weights, at least
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Theory]
    [InlineData(2, "--model and --config exclude each other", "--model", "m", "--config", "tiny")]
    [InlineData(2, "checks GPU code and says nothing about speed", "--device", "emulator")]
    [InlineData(2, "the CPU computes in fp32 only", "--device", "cpu", "--precision", "fp16")]
    [InlineData(2, "neither a file nor a preset (base", "--config", "huge")]
    [InlineData(2, "--time-limit is '0'", "--time-limit", "0")]
    [InlineData(2, "--batch is '0'", "--batch", "0")]
    [InlineData(4, "nowhere.safetensors", "--model", "nowhere.safetensors")]
    [InlineData(5, "cuda", "--device", "cuda")]
    public void Refusals(int code, string words, params string[] more) => DiffWaveProgram.Run(["bench", .. more]).FailsWith(code, words);

    [Fact]
    public void AudioThatIsNotFiniteHasNoSpeed()
    {
        string path = _program.Model("m", "--config", "tiny", "--set", "conditioner=none", "--set", "layers=1", "--set", "clamp_samples=false");
        Model model = Checkpoint.Load(path);
        model.Parameters["output_projection.bias"].Fill(float.MaxValue);
        Checkpoint.Save(path, model.Config, model.Parameters, model.Card);
        DiffWaveProgram.Run("bench", "-m", path, "--seconds", "0.05", "-t", "1").FailsWith(7, path, "not finite");
    }

    [Fact]
    public void StopsWhenToldTo()
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        var session = new Session(TextWriter.Null, TextWriter.Null, Stream.Null, ErrorIsTerminal: false, stop.Token);
        var request = new BenchRequest(null, "base", 10, 1, new DeviceName(DeviceKind.Cpu), null, 1, 0, 3600);
        Assert.ThrowsAny<OperationCanceledException>(() => new BenchRun(session, request).Run());
    }
}
