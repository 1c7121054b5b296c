using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

public class GoldenCheckTests
{
    private static string Fixtures(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", name);

    private static IReadOnlyList<CheckLine> Run(string folder)
    {
        using var ops = CpuDevice.Create(threads: 1);
        return GoldenCheck.Run(folder, ops);
    }

    private static readonly Lazy<IReadOnlyList<CheckLine>> Golden = new(() => Run(Fixtures("golden")));

    private static void AssertAllOk(IReadOnlyList<CheckLine> lines) =>
        Assert.True(lines.All(line => line.Ok), string.Join("\n", lines.Where(line => !line.Ok)));

    [Fact]
    public void EverythingInTheReferenceDataIsWithinItsBound()
    {
        AssertAllOk(Golden.Value);
        Assert.DoesNotContain(Golden.Value, line => line.IsNote);
        // A bound is a bound only when it could fail: errors are not zero where float32 rounds, and are far from the size of the values.
        Assert.Contains(Golden.Value, line => line.Name == "cond.int.output" && line.MaxError is > 0 and < 1e-5);
    }

    [Fact]
    public void EveryTensorThatIsNoInputHasALine()
    {
        // The float64 table cannot be met on purpose; check.* and sigma have lines of other names.
        string[] inputs = ["in.", "noise", "check.", "embedding_table_f64", "chain.sigma"];
        foreach (string file in new[] { "forward", "sample", "official_vocoder", "official_uncond", "backward", "backward_cond_24", "backward_uncond_9" })
        {
            using var data = SafetensorsFile.Open(Path.Combine(Fixtures("golden"), $"{file}.safetensors"));
            var names = Golden.Value.Where(line => line.File == $"{file}.safetensors").Select(line => line.Name).ToHashSet();
            foreach (var entry in data.Entries.Where(entry => !inputs.Any(input => entry.Name.Contains(input, StringComparison.Ordinal)))) Assert.Contains(entry.Name, names);
        }
        Assert.Equal(34, Golden.Value.Count(line => line.Name.StartsWith("uncond_tiny.pt: ", StringComparison.Ordinal)));
    }

    [Fact]
    public void MelsAndFilterbanks()
    {
        using var folder = new Folder();
        File.Copy(Path.Combine(Fixtures("audio"), "mel.safetensors"), folder.File("mel.safetensors"));
        Assert.Contains("speech.wav", Assert.Single(Run(folder.Path), line => line.IsNote).Name);
        File.Copy(Path.Combine(Fixtures("audio"), "speech.wav"), folder.File("speech.wav"));
        var lines = Run(folder.Path);
        AssertAllOk(lines);
        Assert.Equal(["lmnt.filterbank", "lmnt.mel", "lmnt.mel_from_f64", "slaney.filterbank", "slaney.mel", "stft_mag.frames_100_107"], lines.Select(line => line.Name).Order());
    }

    [Fact]
    public void PartOfTheFilesIsCheckedAndTheRestNamed()
    {
        using var folder = new Folder();
        foreach (string name in new[] { "forward.safetensors", "sample.safetensors", "uncond_tiny.pt" }) File.Copy(Path.Combine(Fixtures("golden"), name), folder.File(name));
        var lines = Run(folder.Path);
        AssertAllOk(lines);
        Assert.Contains(lines, line => line.Name == "uncond.int.output");
        Assert.Contains(lines, line => line.Name == "full50_uncond.audio");
        Assert.Equal(2, lines.Count(line => line.IsNote && line.Name.Contains("no conditioned weights", StringComparison.Ordinal)));
    }

    [Fact]
    public void NothingToCheckIsAnError()
    {
        using var folder = new Folder();
        Assert.Contains("no such folder", Assert.Throws<ModelFormatException>(() => Run(folder.File("missing"))).Message);
        Assert.Contains("holds no reference data", Assert.Throws<ModelFormatException>(() => Run(folder.Path)).Message);
        File.Copy(Path.Combine(Fixtures("golden"), "sample.safetensors"), folder.File("sample.safetensors"));
        Assert.Contains("fast6", Assert.Throws<ModelFormatException>(() => Run(folder.Path)).Message);
        File.WriteAllBytes(folder.File("uncond_tiny.safetensors"), new byte[20]);
        Assert.Contains("uncond_tiny.safetensors", Assert.Throws<ModelFormatException>(() => Run(folder.Path)).Message);
    }

    [Theory]
    [InlineData("residual_layers.2.dilated_conv.weight", 1e-3f)]
    [InlineData("output_projection.bias", 1e-4f)]
    [InlineData("skip_projection.bias", float.NaN)]
    public void AWrongWeightIsFound(string parameter, float change)
    {
        using var ops = CpuDevice.Create(threads: 1);
        using var folder = new Folder();
        File.Copy(Path.Combine(Fixtures("golden"), "forward.safetensors"), folder.File("forward.safetensors"));
        File.Copy(Path.Combine(Fixtures("golden"), "uncond_tiny.safetensors"), folder.File("uncond_tiny.safetensors"));
        var lines = GoldenCheck.Run(folder.Path, new Tampered(ops, parameter, change));
        var wrong = lines.Where(line => !line.Ok).ToArray();
        Assert.Contains(wrong, line => line.Name == "uncond.int.output");
        Assert.Contains(wrong, line => line.Name == "uncond.frac.output_f64");
        Assert.DoesNotContain(wrong, line => line.Name is "uncond.block0.in" or "uncond.int.block0.x");
        if (float.IsNaN(change)) Assert.All(wrong, line => Assert.True(double.IsNaN(line.MaxError)));
    }

    // Data of our own making: says nothing about the numbers, but that other widths, lengths, batches and schedules are understood.
    [Theory]
    [InlineData(24, 7, 4, 777, 3)]
    [InlineData(8, 1, 1, 1, 1)]
    [InlineData(33, 5, 3, 2, 2)]
    public void OtherConfigurations(int channels, int layers, int cycle, int rows, int batch)
    {
        using var ops = CpuDevice.Create(threads: 1);
        using var folder = new Folder();
        double[] betas = NoiseSchedule.LinearBetas(1e-3, 0.1, 12);
        var config = ModelConfig.Preset("tiny") with { Channels = channels, Layers = layers, DilationCycle = cycle, Conditioner = Conditioner.None, Mel = null, UpsampleFactors = [], TrainingBetas = betas };
        var parameters = Initializer.Create(config, 5);
        PhiloxNoise.Fill(5, 0, 1, 0, parameters["output_projection.weight"]);
        string list = string.Join(", ", betas.Select(beta => beta.ToString("r")));
        SafetensorsFile.Write(folder.File("uncond_other.safetensors"), new Dictionary<string, string> { ["params"] = $$"""
            {"residual_layers": {{layers}}, "residual_channels": {{channels}}, "dilation_cycle_length": {{cycle}}, "unconditional": true, "sample_rate": 22050, "noise_schedule": [{{list}}]}
            """ }, parameters.Infos.Select(info => (info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)parameters.Arena.AsMemory(info.Offset, info.Count))));
        float[] audio = new float[batch * rows], steps = [.. Enumerable.Range(0, batch).Select(item => 11f - item)];
        PhiloxNoise.Fill(5, 0, 2, 0, audio);
        ops.Load(config, parameters);
        float[] eps = [.. Network.Evaluate(ops, config, [.. audio.Chunk(rows)], steps, null, []).SelectMany(item => item)];
        SafetensorsFile.Write(folder.File("forward.safetensors"), new Dictionary<string, string>(),
            [("uncond.in.audio", [batch, rows], audio), ("in.step_int", [batch], steps), ("uncond.int.output", [batch, 1, rows], eps)]);

        double[] fast = [0.01, 0.1, 0.3];
        var training = new NoiseSchedule(betas);
        float[] initial = new float[batch * rows], noise = new float[3 * initial.Length];
        PhiloxNoise.Fill(5, 0, 3, 0, initial);
        PhiloxNoise.Fill(5, 0, 4, 0, noise);
        var chain = SamplerStep.Chain(new NoiseSchedule(fast), training);
        float[] x = initial;
        foreach (var step in chain)
        {
            float[] predicted = [.. Network.Evaluate(ops, config, [.. x.Chunk(rows)], [.. Enumerable.Repeat(step.Step, batch)], null, []).SelectMany(item => item)];
            x = [.. x.Select((value, i) => Math.Clamp(step.Scale * (value - step.EpsWeight * predicted[i]) + step.Sigma * noise[step.Index * initial.Length + i], -1, 1))];
        }
        SafetensorsFile.Write(folder.File("sample.safetensors"), new Dictionary<string, string>(),
            [("short.beta", [3], Array.ConvertAll(fast, beta => (float)beta)), ("short.noise_init", [batch, rows], initial), ("short.noise", [3, batch, rows], noise), ("short.audio", [batch, rows], x)]);

        var lines = Run(folder.Path);
        AssertAllOk(lines);
        Assert.Contains(lines, line => line.Name == "uncond.int.output" && line.Shape == $"[{batch}, 1, {rows}]");
        Assert.Contains(lines, line => line.Name == "short.audio");
    }

    private sealed class Folder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("diffwave-check-").FullName;
        public string File(string name) => System.IO.Path.Combine(Path, name);
        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
