using FsCheck;
using FsCheck.Fluent;

namespace DiffWave.Engine.Tests;

public sealed class CheckpointTests
{
    [Fact]
    public void What_is_saved_is_loaded()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        var card = new ModelCard { Name = "n", Description = "\u00e9\u4e2d \"q\"", Source = "s", SourceSha256 = "00", License = "MIT", TrainedSteps = 7, Created = "2020-01-01", Notes = "x\ny" };
        var property = Prop.ForAll(Configs(), config =>
        {
            Parameters parameters = ModelFiles.RandomParameters(config, config.Channels);
            Checkpoint.Save(path, config, parameters, card);
            Model model = Checkpoint.Load(path);
            Assert.Equal(config.ToJson(), model.Config.ToJson());
            Assert.Equal(card, model.Card);
            Assert.Equal(parameters.Arena, model.Parameters.Arena);
            Assert.Equal(parameters.Infos.Select(info => info.Name), model.Parameters.Infos.Select(info => info.Name));
        });
        Check.One(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(12), property);
    }

    // Every switch of the configuration in turn.
    private static Arbitrary<ModelConfig> Configs() => (
        from channels in Gen.Choose(1, 9)
        from layers in Gen.Choose(1, 4)
        from conditioner in Gen.Choose(0, 3)
        from bits in Gen.Choose(0, 31)
        let mel = (conditioner & 1) != 0
        let small = ModelFiles.SmallConfig
        select small with
        {
            Channels = channels, Layers = layers, Conditioner = (Conditioner)conditioner, Mel = mel ? small.Mel : null, UpsampleFactors = mel ? [4, 4, 16] : [],
            Labels = (conditioner & 2) != 0 ? 10 : 0, GateOrder = (GateOrder)(bits & 1), ResidualIncludesStepEmbedding = (bits & 2) != 0, StepExponent = (StepExponent)(bits >> 2 & 1),
            Upsampler = (Upsampler)(bits >> 3 & 1), ClampSamples = (bits & 16) != 0,
        }).ToArbitrary();

    [Fact]
    public void Weights_of_another_program_are_sent_to_import()
    {
        Assert.Contains("metadata format is 'pt', expected 'diffwave'", Refusal(ModelFiles.Golden("cond_tiny.safetensors")));
        Assert.Contains("diffwave import", Refusal(ModelFiles.Golden("cond_tiny.safetensors")));
        Assert.Contains("PyTorch checkpoint (zip container), expected a DiffWave checkpoint; convert it with: diffwave import", Refusal(ModelFiles.Golden("official_vocoder.pkl")));
        Assert.Contains("is not a model file", Refusal(ModelFiles.Golden("official_vocoder.json")));
        Assert.Contains("no such file", Refusal("/nowhere/m.safetensors"));
    }

    [Fact]
    public void Names_what_is_missing_extra_or_misshapen()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        ModelConfig config = ModelFiles.SmallConfig;
        var tensors = RandomTensors(config);
        var metadata = new Dictionary<string, string> { ["format"] = "diffwave", ["format_version"] = "1", ["config"] = config.ToJson(), ["card"] = "{}" };
        string Message(IEnumerable<(string, long[], ReadOnlyMemory<float>)> list, string? key = null, string? value = null)
        {
            var changed = new Dictionary<string, string>(metadata);
            if (key is not null && value is null) changed.Remove(key);
            else if (key is not null) changed[key] = value!;
            SafetensorsFile.Write(path, changed, list);
            return Refusal(path);
        }

        SafetensorsFile.Write(path, metadata, tensors);
        Checkpoint.Load(path);
        Assert.Contains("tensor 'skip_projection.weight' [4, 4, 1] is missing", Message(tensors.Where(tensor => tensor.Item1 != "skip_projection.weight")));
        Assert.Contains("tensor 'other' [1] is not part", Message(tensors.Append(("other", [1], new float[1]))));
        Assert.Contains("tensor 'skip_projection.weight' has shape [16], expected [4, 4, 1]",
            Message(tensors.Select(tensor => tensor.Item1 == "skip_projection.weight" ? (tensor.Item1, [16], tensor.Item3) : tensor)));
        Assert.Contains("format_version is '2', expected '1'", Message(tensors, "format_version", "2"));
        Assert.Contains("'format_version' is missing", Message(tensors, "format_version"));
        Assert.Contains("'config' is missing", Message(tensors, "config"));
        Assert.Contains("'card' is missing", Message(tensors, "card"));
        Assert.Contains("card:", Message(tensors, "card", """{"x":1}"""));
        Assert.Contains("config:", Message(tensors, "config", "{}"));
        Assert.Contains("config:", Message(tensors, "config", config.ToJson().Replace("\"name\": \"lmnt\"", "\"name\": null")));
        Assert.Contains("'card' has 1048577 characters", Message(tensors, "card", new string(' ', (1 << 20) + 1)));
        // A configuration of gigabytes in a small file is refused before memory is taken for it.
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("'input_projection.weight' has shape [4, 1, 1], expected [1024, 1, 1]", Message(tensors, "config", (config with { Channels = 1024, Layers = 100 }).ToJson()));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32 << 20);
    }

    private static List<(string, long[], ReadOnlyMemory<float>)> RandomTensors(ModelConfig config)
    {
        Parameters parameters = ModelFiles.RandomParameters(config, 1);
        return [.. parameters.Infos.Select(info => (info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)parameters[info.Name].ToArray()))];
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Values_that_are_not_finite_are_neither_saved_nor_loaded(float bad)
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        ModelConfig config = ModelFiles.SmallConfig;
        Parameters parameters = ModelFiles.RandomParameters(config, 1);
        parameters["residual_layers.1.dilated_conv.weight"][5] = bad;
        string expected = $"tensor 'residual_layers.1.dilated_conv.weight' [8, 4, 3] holds {bad} at index 5";
        Assert.Contains(expected, Assert.Throws<ModelFormatException>(() => Checkpoint.Save(path, config, parameters, new ModelCard())).Message);
        Assert.Empty(Directory.GetFiles(folder.Path));
        var metadata = new Dictionary<string, string> { ["format"] = "diffwave", ["format_version"] = "1", ["config"] = config.ToJson(), ["card"] = "{}" };
        SafetensorsFile.Write(path, metadata, parameters.Infos.Select(info => (info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)parameters[info.Name].ToArray())));
        Assert.Contains(expected, Refusal(path));
    }

    [Fact]
    public void Parameters_of_another_configuration_are_not_saved() => Assert.Throws<ArgumentException>(() =>
        Checkpoint.Save("unused", ModelFiles.SmallConfig, new Parameters(ModelFiles.SmallConfig with { Channels = 5 }), new ModelCard()));

    private static string Refusal(string path) => Assert.Throws<ModelFormatException>(() => Checkpoint.Load(path)).Message;
}
