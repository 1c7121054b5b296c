using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Cli.Tests;

/// <summary>That the check of training data fails where it should, and takes parts of it; that everything in the fixtures passes is in <see cref="GoldenCheckTests"/>.</summary>
public sealed class GoldenCheckTrainingTests : IDisposable
{
    private const string Data = "backward_uncond_9.safetensors", Weights = "uncond_9.pt";

    private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-check-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden", name);

    // The data with tensors changed, renamed or left out (null).
    private IReadOnlyList<CheckLine> Run(Func<string, float[], float[]?>? change = null, Func<string, string>? rename = null, Func<IOps, IOps>? device = null, string data = Data, string weights = Weights)
    {
        using (var file = SafetensorsFile.Open(Golden(data)))
        {
            var tensors = new List<(string, long[], ReadOnlyMemory<float>)>();
            foreach (var entry in file.Entries)
            {
                float[] values = entry.DType == TensorType.I64 ? [.. file.ReadInts(entry.Name).Select(n => (float)n)] : file.ReadFloats(entry.Name);
                if (change is not null && change(entry.Name, values) is not { } changed) continue;
                tensors.Add((rename?.Invoke(entry.Name) ?? entry.Name, entry.Shape, values));
            }
            SafetensorsFile.Write(Path.Combine(_folder, data), new Dictionary<string, string>(), tensors);
        }
        File.Copy(Golden(weights), Path.Combine(_folder, weights), overwrite: true);
        using IOps ops = CpuDevice.Create(threads: 1);
        return GoldenCheck.Run(_folder, device is null ? ops : device(ops));
    }

    private static void AssertAllOk(IReadOnlyList<CheckLine> lines) => Assert.True(lines.All(line => line.Ok), string.Join("\n", lines.Where(line => !line.Ok)));

    [Theory]
    [InlineData("noise_level", 7, 3e-7f, "noise_level")]
    [InlineData("noisy_audio#29", 3, 5e-6f, "noisy_audio#29")]
    [InlineData("predicted#29", 5, 3e-5f, "predicted#29")]
    [InlineData("l1.loss", 2, 1e-5f, "l1.loss")]
    [InlineData("mse.grad_norm_f64", 1, 1e-2f, "mse.grad_norm_f64")]
    [InlineData("l1.grad.residual_layers.1.dilated_conv.bias", 4, 1e-3f, "l1.grad.residual_layers.1.dilated_conv.bias")]
    [InlineData("l1.grad.residual_layers.3.output_projection.bias", 0, 1e-3f, "l1.grad.residual_layers.3.output_projection.bias")]
    [InlineData("mse.grad.input_projection.bias", 1, float.NaN, "mse.grad.input_projection.bias")]
    [InlineData("l1.adam3.skip_projection.bias", 0, 2e-5f, "l1.adam3.skip_projection.bias")]
    [InlineData("l1.adam3.output_projection.bias", 0, 2e-5f, "l1.adam3.output_projection.bias")]
    // Less than any other bound: the residual half of the last layer may not move at all.
    [InlineData("l1.adam3.residual_layers.3.output_projection.bias", 2, 1e-6f, "l1.adam3.residual_layers.3.output_projection.bias, no gradient")]
    public void AWrongNumberIsFound(string tensor, int index, float change, string line)
    {
        bool changed = false;
        var wrong = Run((name, values) =>
        {
            if (name != tensor) return values;
            (values[index], changed) = (values[index] + change, true);
            return values;
        }).Where(found => !found.Ok).ToArray();
        Assert.True(changed);
        Assert.NotEmpty(wrong);
        Assert.All(wrong, found => Assert.StartsWith(line, found.Name, StringComparison.Ordinal));
        Assert.Contains(wrong, found => found.Name == line);
    }

    [Fact]
    public void AWrongWeightIsFound()
    {
        var wrong = Run(device: ops => new Tampered(ops, "residual_layers.2.dilated_conv.weight", 1e-2f)).Where(line => !line.Ok).Select(line => line.Name).ToHashSet();
        foreach (string name in new[] { "l1.loss", "mse.loss_f64", "l1.grad_norm", "predicted#29", "mse.grad.input_projection.bias" }) Assert.Contains(name, wrong);
        Assert.DoesNotContain("noise_level", wrong);
        Assert.DoesNotContain("noisy_audio#29", wrong);
    }

    [Fact]
    public void PartsOfAFileAreChecked()
    {
        string[] Names(Func<string, bool> kept)
        {
            var lines = Run((name, values) => name.StartsWith("in.", StringComparison.Ordinal) || kept(name) ? values : null);
            AssertAllOk(lines);
            return [.. lines.Select(line => line.Name)];
        }
        const string Bias = "l1.adam3.skip_projection.bias";
        string[] ways = ["l1.grad, gate inputs computed again", "l1.grad, one item at a time"];
        Assert.Equal(["predicted#29"], Names(name => name == "predicted#29"));
        Assert.Equal(["l1.grad_norm_f64", .. ways], Names(name => name == "l1.grad_norm_f64"));
        Assert.Equal(["l1.grad.skip_projection.bias", "l1.grad.skip_projection.bias, relative L2", .. ways], Names(name => name == "l1.grad.skip_projection.bias"));
        Assert.Contains(Bias, Names(name => name == Bias)); // which gradients are small is then told by our own
    }

    [Fact]
    public void OneItemHasNoBatchToCut()
    {
        // The first item alone: the stored results are of three, so the losses go; what is left must run.
        using (var file = SafetensorsFile.Open(Golden(Data)))
            SafetensorsFile.Write(Path.Combine(_folder, Data), new Dictionary<string, string>(), new[] { "in.audio", "in.noise", "in.step", "noise_level", "mse.loss" }.Select(name => (name,
                name.StartsWith("in.", StringComparison.Ordinal) ? [1, .. file.Entry(name).Shape[1..]] : file.Entry(name).Shape,
                (ReadOnlyMemory<float>)(name == "in.step" ? [file.ReadInts(name)[0]] : name.StartsWith("in.", StringComparison.Ordinal) ? file.ReadFloats(name)[..301] : file.ReadFloats(name)))));
        File.Copy(Golden(Weights), Path.Combine(_folder, Weights));
        using IOps ops = CpuDevice.Create(threads: 1);
        var lines = GoldenCheck.Run(_folder, ops);
        Assert.Equal(["noise_level", "mse.loss", "mse.grad, gate inputs computed again"], lines.Select(line => line.Name));
        Assert.Equal([true, false, true], lines.Select(line => line.Ok));
    }

    [Fact]
    public void WithoutItsWeightsAFileIsNamed()
    {
        File.Copy(Golden(Data), Path.Combine(_folder, Data));
        using IOps ops = CpuDevice.Create(threads: 1);
        Assert.Contains("no unconditional weights of 9 channels", Assert.Throws<ModelFormatException>(() => GoldenCheck.Run(_folder, ops)).Message);
    }

    [Fact]
    public void BadDataIsRefused()
    {
        void Refused(string message, Func<string, float[], float[]?>? change = null, Func<string, string>? rename = null, string data = Data, string weights = Weights) =>
            Assert.Contains(message, Assert.Throws<ModelFormatException>(() => Run(change, rename, data: data, weights: weights)).Message);
        Func<string, float[], float[]?> Step(float step) => (name, values) =>
        {
            if (name == "in.step") values[1] = step;
            return values;
        };
        Refused("tensor 'in.step' is [19, 20, 0], expected 3 whole steps of 0 to 19", Step(20));
        Refused("expected 3 whole steps of 0 to 19", Step(1.5f));
        Refused("expected 3 whole steps of 0 to 19", Step(float.NaN));
        Refused("tensor 'l1.grad.skip_projection.weight#?' has no number behind #", rename: name => name == "l1.grad.skip_projection.weight#5" ? "l1.grad.skip_projection.weight#?" : name);
        Refused("hold different parts of 'skip_projection.weight'", rename: name => name == "l1.grad.skip_projection.weight#5" ? "l1.grad.skip_projection.weight#7" : name);
        Refused("tensor 'mse.grad.skip.bias' is of no parameter the model has", rename: name => name == "mse.grad.skip_projection.bias" ? "mse.grad.skip.bias" : name);
        Refused("tensor 'in.spectrogram' has shape [3, 5, 3], expected [3, 80, 3] for 768 samples an item", (name, values) => name.EndsWith(".input_projection.weight", StringComparison.Ordinal) ? null : values,
            data: "backward_cond_24.safetensors", weights: "cond_tiny.safetensors");
    }
}
