using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DiffWave.Engine.Tests;

public sealed class TrainingCheckpointTests
{
    private static readonly ModelConfig Small = ModelFiles.SmallConfig;

    [Theory]
    [InlineData(0)]
    [InlineData(0.999)]
    public void What_is_saved_is_loaded(double averageDecay)
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("step-7.safetensors");
        TrainingOptions options = Options(averageDecay);
        TrainingState state = RandomState(options, 7);
        var card = new ModelCard { Name = "é", TrainedSteps = 7 };
        TrainingCheckpoint.Save(path, Small, state, options, "data \"1\"", card);

        TrainingCheckpoint loaded = TrainingCheckpoint.Load(path);
        Assert.Equal(Small.ToJson(), loaded.Config.ToJson());
        Assert.Equal(options, loaded.Options);
        Assert.Equal(("data \"1\"", card, 7L), (loaded.DataFingerprint, loaded.Card, loaded.State.Step));
        Assert.Equal(7 * 48, loaded.DataPosition);
        Assert.Equal(state.Weights.Arena, loaded.State.Weights.Arena);
        Assert.Equal(state.FirstMoment, loaded.State.FirstMoment);
        Assert.Equal(state.SecondMoment, loaded.State.SecondMoment);
        Assert.Equal(state.Average?.Arena, loaded.State.Average?.Arena);

        Model model = Checkpoint.Load(path); // the same file is the model a user takes
        Assert.Equal(state.Best.Arena, model.Parameters.Arena);
        Assert.Equal(card, model.Card);
    }

    [Fact]
    public void Names_and_bytes_are_where_the_format_puts_them()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = Options(0.5);
        TrainingState state = RandomState(options, 3);
        TrainingCheckpoint.Save(path, Small, state, options, "f", new ModelCard());

        // Read here by the text of the safetensors format: u64 length, JSON, data.
        byte[] file = File.ReadAllBytes(path);
        int headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory(8, headerLength));
        float[] Values(string name)
        {
            JsonElement entry = header.RootElement.GetProperty(name);
            int begin = entry.GetProperty("data_offsets")[0].GetInt32(), end = entry.GetProperty("data_offsets")[1].GetInt32();
            return [.. Enumerable.Range(0, (end - begin) / 4).Select(i => BinaryPrimitives.ReadSingleLittleEndian(file.AsSpan(8 + headerLength + begin + 4 * i)))];
        }
        foreach (ParameterInfo info in state.Weights.Infos)
        {
            Assert.Equal(state.Average![info.Name].ToArray(), Values(info.Name));
            Assert.Equal(state.Weights[info.Name].ToArray(), Values("train.weights." + info.Name));
            Assert.Equal(state.FirstMoment.AsSpan(info.Offset, info.Count).ToArray(), Values("train.first_moment." + info.Name));
            Assert.Equal(state.SecondMoment.AsSpan(info.Offset, info.Count).ToArray(), Values("train.second_moment." + info.Name));
        }
        Assert.Equal(4 * state.Weights.Infos.Count + 1, header.RootElement.EnumerateObject().Count());
        JsonNode training = JsonNode.Parse(header.RootElement.GetProperty("__metadata__").GetProperty("training").GetString()!)!;
        Assert.Equal(["step", "options", "data_fingerprint", "data_position", "loss_scale", "loss_scale_steps"], training.AsObject().Select(pair => pair.Key));
        Assert.Equal((3L, 144L, "f", 48), ((long)training["step"]!, (long)training["data_position"]!, (string)training["data_fingerprint"]!, (int)training["options"]!["batch"]!));
    }

    [Fact]
    public void Equal_states_give_equal_bytes()
    {
        using var folder = new TemporaryFolder();
        TrainingOptions options = Options(0.9);
        byte[] Sha(string name)
        {
            TrainingCheckpoint.Save(folder.File(name), Small, RandomState(options, 5), options, "f", new ModelCard { Name = "n" });
            return SHA256.HashData(File.ReadAllBytes(folder.File(name)));
        }
        byte[] first = Sha("a.safetensors");
        Assert.Equal(first, Sha("b.safetensors"));
        TrainingCheckpoint loaded = TrainingCheckpoint.Load(folder.File("a.safetensors"));
        TrainingCheckpoint.Save(folder.File("c.safetensors"), loaded.Config, loaded.State, loaded.Options, loaded.DataFingerprint, loaded.Card);
        Assert.Equal(first, SHA256.HashData(File.ReadAllBytes(folder.File("c.safetensors"))));
    }

    [Theory]
    [InlineData("")]
    [InlineData("train.weights.")]
    [InlineData("train.first_moment.")]
    [InlineData("train.second_moment.")]
    public void Values_that_are_not_finite_are_neither_saved_nor_loaded(string prefix)
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = Options(0.9);
        TrainingState state = RandomState(options, 5);
        float[] block = prefix switch { "" => state.Average!.Arena, "train.weights." => state.Weights.Arena, "train.first_moment." => state.FirstMoment, _ => state.SecondMoment };
        ParameterInfo info = state.Weights.Info("residual_layers.1.dilated_conv.weight");
        float kept = block[info.Offset + 5];
        block[info.Offset + 5] = float.NaN;
        string expected = $"tensor '{prefix}residual_layers.1.dilated_conv.weight' [8, 4, 3] holds NaN at index 5";
        Assert.Contains(expected, Assert.Throws<ModelFormatException>(() => TrainingCheckpoint.Save(path, Small, state, options, "f", new ModelCard())).Message);
        Assert.Empty(Directory.GetFiles(folder.Path));

        block[info.Offset + 5] = kept;
        TrainingCheckpoint.Save(path, Small, state, options, "f", new ModelCard());
        Rewrite(path, tensors: list => [.. list.Select(tensor =>
        {
            if (tensor.Name != prefix + info.Name) return tensor;
            float[] bad = tensor.Data.ToArray();
            bad[5] = float.NaN;
            return (tensor.Name, tensor.Shape, bad);
        })]);
        Assert.Contains(expected, Refusal(path));
    }

    [Fact]
    public void Names_what_is_missing_extra_or_does_not_fit()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = Options(0.9);
        string Message(Action<JsonObject>? progress = null, Func<List<(string Name, long[] Shape, ReadOnlyMemory<float> Data)>, IEnumerable<(string, long[], ReadOnlyMemory<float>)>>? tensors = null, Action<Dictionary<string, string>>? metadata = null)
        {
            TrainingCheckpoint.Save(path, Small, RandomState(options, 5), options, "f", new ModelCard());
            Rewrite(path, tensors, values =>
            {
                JsonObject training = JsonNode.Parse(values["training"])!.AsObject();
                progress?.Invoke(training);
                values["training"] = training.ToJsonString();
                metadata?.Invoke(values);
            });
            return Refusal(path);
        }

        Assert.Contains("is a model without the state of its training", Message(metadata: values => values.Remove("training"), tensors: list => list.Where(tensor => !tensor.Name.StartsWith("train."))));
        Assert.Contains("training: null, expected an object", Message(metadata: values => values["training"] = "null"));
        Assert.Contains("training: ", Message(metadata: values => values["training"] = "{"));
        Assert.Contains("training: ", Message(progress: training => training.Remove("data_fingerprint")));
        Assert.Contains("training: ", Message(progress: training => training["more"] = 1));
        Assert.Contains("training: options: batch is 0", Message(progress: training => training["options"]!["batch"] = 0));
        Assert.Contains("training: step is -1", Message(progress: training => training["step"] = -1));
        Assert.Contains("training: step is 9223372036854775807", Message(progress: training => training["step"] = long.MaxValue));
        Assert.Contains("data_position is 5, expected step * batch, 240", Message(progress: training => training["data_position"] = 5));
        Assert.Contains("tensor 'train.weights.skip_projection.bias' [4] is missing", Message(tensors: list => list.Where(tensor => tensor.Name != "train.weights.skip_projection.bias")));
        Assert.Contains("tensor 'train.first_moment.skip_projection.bias' has shape [2, 2], expected [4]",
            Message(tensors: list => list.Select(tensor => tensor.Name == "train.first_moment.skip_projection.bias" ? (tensor.Name, [2, 2], tensor.Data) : tensor)));
        Assert.Contains("tensor 'train.other' [1] is not part", Message(tensors: list => list.Append(("train.other", [1], new float[1]))));
        Assert.Contains("tensor 'train.weights.input_projection.weight' [4, 1, 1] is not part", Message(progress: training => training["options"]!["average_decay"] = 0)); // weights where no average is kept
    }

    [Fact]
    public void A_model_has_training_tensors_only_with_the_state_of_its_training()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = Options(0);
        TrainingCheckpoint.Save(path, Small, RandomState(options, 5), options, "f", new ModelCard());
        Rewrite(path, tensors: list => list.Append(("other", [1], new float[1])));
        Assert.Contains("tensor 'other' [1] is not part", Assert.Throws<ModelFormatException>(() => Checkpoint.Load(path)).Message);
        TrainingCheckpoint.Save(path, Small, RandomState(options, 5), options, "f", new ModelCard());
        Rewrite(path, metadata: values => values.Remove("training"));
        Assert.Contains("tensor 'train.first_moment.input_projection.weight' [4, 1, 1] is not part", Assert.Throws<ModelFormatException>(() => Checkpoint.Load(path)).Message);
    }

    [Fact]
    public void A_configuration_of_gigabytes_takes_no_memory()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = Options(0);
        TrainingCheckpoint.Save(path, Small, RandomState(options, 5), options, "f", new ModelCard());
        Rewrite(path, metadata: values => values["config"] = (Small with { Channels = 1024, Layers = 100 }).ToJson());
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("'input_projection.weight' has shape [4, 1, 1], expected [1024, 1, 1]", Refusal(path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32 << 20);
    }

    [Fact]
    public void A_state_that_does_not_fit_its_options_is_not_saved()
    {
        TrainingState state = RandomState(Options(0), 5);
        Assert.Throws<ArgumentException>(() => TrainingCheckpoint.Save("unused", Small, state, Options(0.9), "f", new ModelCard()));
        Assert.Throws<ArgumentException>(() => TrainingCheckpoint.Save("unused", Small, state, Options(0) with { Batch = 0 }, "f", new ModelCard()));
        Assert.Throws<ArgumentException>(() => TrainingCheckpoint.Save("unused", Small with { Channels = 5 }, state, Options(0), "f", new ModelCard()));
    }

    internal static TrainingOptions Options(double averageDecay) => new() { Batch = 48, MicroBatch = 4, Loss = LossKind.Mse, LearningRate = 1.0 / 3, AverageDecay = averageDecay, Seed = ulong.MaxValue };

    internal static TrainingState RandomState(TrainingOptions options, long step)
    {
        var state = new TrainingState(Small, ModelFiles.RandomParameters(Small, 1), options.AverageDecay > 0) { Step = step };
        Fill(state.FirstMoment, 2);
        Fill(state.SecondMoment, 3);
        if (state.Average is not null) Fill(state.Average.Arena, 4);
        return state;
    }

    private static void Fill(float[] values, int seed) => ModelFiles.RandomParameters(Small, seed).Arena.CopyTo(values, 0);

    private static string Refusal(string path) => Assert.Throws<ModelFormatException>(() => TrainingCheckpoint.Load(path)).Message;

    private static void Rewrite(string path, Func<List<(string Name, long[] Shape, ReadOnlyMemory<float> Data)>, IEnumerable<(string, long[], ReadOnlyMemory<float>)>>? tensors = null, Action<Dictionary<string, string>>? metadata = null)
    {
        Dictionary<string, string> values;
        List<(string, long[], ReadOnlyMemory<float>)> list;
        using (var file = SafetensorsFile.Open(path))
        {
            values = new(file.Metadata);
            list = [.. file.Entries.Select(entry => (entry.Name, entry.Shape, (ReadOnlyMemory<float>)file.ReadFloats(entry.Name)))];
        }
        metadata?.Invoke(values);
        SafetensorsFile.Write(path, values, tensors?.Invoke(list) ?? list);
    }
}
