using System.Text.Json.Nodes;

namespace DiffWave.Engine.Tests;

public sealed class LossScaleTests
{
    [Fact]
    public void Only_fp16_scales_and_doubles_after_2000_good_steps()
    {
        foreach (Precision precision in new[] { Precision.Fp32, Precision.Tf32, Precision.Bf16 })
        {
            var one = new LossScale(1, 0);
            Assert.Equal(one, LossScale.First(precision));
            Assert.Equal(one, one.Next(precision));
        }
        LossScale scale = LossScale.First(Precision.Fp16);
        Assert.Equal(new LossScale(65536, 0), scale);
        for (int step = 0; step < 1999; step++) scale = scale.Next(Precision.Fp16);
        Assert.Equal(new LossScale(65536, 1999), scale);
        Assert.Equal(new LossScale(131072, 0), scale.Next(Precision.Fp16));
        Assert.Equal(new LossScale(32768, 0), scale.Halved);
        Assert.Equal(new LossScale(1 << 24, 0), new LossScale(1 << 24, 1999).Next(Precision.Fp16));
        Assert.Equal(new LossScale(1, 0), new LossScale(2, 7).Halved);
        Assert.Null(new LossScale(1, 7).Halved);
    }

    [Fact]
    public void It_is_part_of_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = TrainingCheckpointTests.Options(0.9) with { Precision = Precision.Fp16 };
        TrainingState state = TrainingCheckpointTests.RandomState(options, 5);
        state.LossScale = new LossScale(1 << 20, 1999);
        TrainingCheckpoint.Save(path, ModelFiles.SmallConfig, state, options, "f", new ModelCard());
        TrainingCheckpoint loaded = TrainingCheckpoint.Load(path);
        Assert.Equal(state.LossScale, loaded.State.LossScale);
        Assert.Equal(Precision.Fp16, loaded.Options.Precision);

        Assert.Contains("loss_scale is 3, expected a power of two from 1 to 16777216", Refusal(training => training["loss_scale"] = 3));
        Assert.Contains("loss_scale is 0.5,", Refusal(training => training["loss_scale"] = 0.5));
        Assert.Contains("loss_scale is 33554432,", Refusal(training => training["loss_scale"] = 1 << 25));
        Assert.Contains("loss_scale_steps is 2000, expected 0 to 1999", Refusal(training => training["loss_scale_steps"] = 2000));
        Assert.Contains("loss_scale is 1048576, expected 1 for any precision but fp16", Refusal(training => training["options"]!["precision"] = "bf16"));
        Assert.Contains("precision", Refusal(training => training["options"]!["precision"] = "fp8"));

        string Refusal(Action<JsonObject> change)
        {
            Changed(path, folder.File("changed.safetensors"), change);
            return Assert.Throws<ModelFormatException>(() => TrainingCheckpoint.Load(folder.File("changed.safetensors"))).Message;
        }
    }

    [Fact]
    public void Older_files_without_precision_and_scale_are_fp32()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("m.safetensors");
        TrainingOptions options = TrainingCheckpointTests.Options(0);
        TrainingCheckpoint.Save(path, ModelFiles.SmallConfig, TrainingCheckpointTests.RandomState(options, 5), options, "f", new ModelCard());
        Changed(path, path, training =>
        {
            Assert.True(training.Remove("loss_scale") && training.Remove("loss_scale_steps") && training["options"]!.AsObject().Remove("precision"));
        });
        TrainingCheckpoint loaded = TrainingCheckpoint.Load(path);
        Assert.Equal((new LossScale(1, 0), Precision.Fp32), (loaded.State.LossScale, loaded.Options.Precision));
    }

    private static void Changed(string from, string to, Action<JsonObject> change)
    {
        Dictionary<string, string> values;
        List<(string, long[], ReadOnlyMemory<float>)> tensors;
        using (var file = SafetensorsFile.Open(from))
        {
            values = new(file.Metadata);
            tensors = [.. file.Entries.Select(entry => (entry.Name, entry.Shape, (ReadOnlyMemory<float>)file.ReadFloats(entry.Name)))];
        }
        JsonObject training = JsonNode.Parse(values["training"])!.AsObject();
        change(training);
        values["training"] = training.ToJsonString();
        SafetensorsFile.Write(to, values, tensors);
    }
}
