using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

public sealed class TorchImportTests
{
    private static readonly TorchImportOptions Defaults = new();

    private static string Refusal(string path, TorchImportOptions? options = null) => Assert.Throws<ModelFormatException>(() => TorchImport.Import(path, options ?? Defaults)).Message;

    private static void AssertSameTensors(SafetensorsFile expected, Parameters parameters)
    {
        Assert.Equal(expected.Entries.Select(entry => entry.Name).Order(), parameters.Infos.Select(info => info.Name).Order());
        foreach (SafetensorsEntry entry in expected.Entries)
        {
            Assert.Equal(entry.Shape, parameters.Info(entry.Name).Shape.Select(n => (long)n));
            Assert.Equal(expected.ReadFloats(entry.Name).Select(BitConverter.SingleToInt32Bits), parameters[entry.Name].ToArray().Select(BitConverter.SingleToInt32Bits));
        }
    }

    [Fact]
    public void Lmnt_checkpoint_equals_its_safetensors_bit_for_bit()
    {
        string path = ModelFiles.Golden("uncond_tiny.pt");
        Model model = TorchImport.Import(path, Defaults with { License = "Apache-2.0" });
        using var expected = SafetensorsFile.Open(ModelFiles.Golden("uncond_tiny.safetensors"));
        AssertSameTensors(expected, model.Parameters);
        ModelConfig config = model.Config;
        Assert.Equal((8, 4, 2, Conditioner.None), (config.Channels, config.Layers, config.DilationCycle, config.Conditioner));
        Assert.Equal((22050, null, 0), (config.SampleRate, config.Mel, config.UpsampleFactors.Count));
        Assert.Equal(50, config.TrainingBetas.Count);
        Assert.Equal("uncond_tiny", model.Card.Name);
        Assert.Equal("Apache-2.0", model.Card.License);
        Assert.Equal("uncond_tiny.pt (PyTorch, zip container)", model.Card.Source);
        Assert.Equal(3, model.Card.TrainedSteps);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path))), model.Card.SourceSha256);
    }

    [Fact]
    public void Lmnt_state_dict_as_safetensors_is_imported_with_its_params()
    {
        string path = ModelFiles.Golden("cond_tiny.safetensors");
        Model model = TorchImport.Import(path, Defaults);
        using var expected = SafetensorsFile.Open(path);
        AssertSameTensors(expected, model.Parameters);
        ModelConfig config = model.Config;
        Assert.Equal((16, 6, 3, Conditioner.Mel), (config.Channels, config.Layers, config.DilationCycle, config.Conditioner));
        Assert.Empty(config.Mel!.DifferencesFrom(MelRecipe.Lmnt()));
        Assert.Equal([16, 16], config.UpsampleFactors);
        Assert.Equal((GateOrder.GateFirst, false, StepExponent.Positive, Upsampler.Shared, true),
            (config.GateOrder, config.ResidualIncludesStepEmbedding, config.StepExponent, config.Upsampler, config.ClampSamples));
        Assert.Equal([1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5], config.FastBetas);
        double[] linear = NoiseSchedule.LinearBetas(1e-4, 0.05, 50);
        for (int n = 0; n < 50; n++) Assert.Equal(linear[n], config.TrainingBetas[n], 1e-17);
    }

    [Theory]
    [InlineData("official_vocoder", 16, 6, 3, 50, 0.05, 0.5)]
    [InlineData("official_uncond", 8, 4, 2, 200, 0.02, 0.7)]
    public void Philsyn_checkpoint_is_imported_with_its_graph(string name, int channels, int layers, int cycle, int steps, double lastBeta, double lastFastBeta)
    {
        Model model = TorchImport.Import(ModelFiles.Golden($"{name}.pkl"), Defaults);
        ModelConfig config = model.Config;
        Assert.Equal((channels, layers, cycle), (config.Channels, config.Layers, config.DilationCycle));
        Assert.Equal((GateOrder.FilterFirst, true, StepExponent.Negative, Upsampler.PerLayer, false),
            (config.GateOrder, config.ResidualIncludesStepEmbedding, config.StepExponent, config.Upsampler, config.ClampSamples));
        Assert.Equal(NoiseSchedule.LinearBetas(1e-4, lastBeta, steps), config.TrainingBetas);
        Assert.Equal(lastFastBeta, config.FastBetas[^1]);
        if (config.HasMel) Assert.Empty(config.Mel!.DifferencesFrom(MelRecipe.Tacotron()));
        // Weights after weight normalisation, computed by torch in float32.
        using var golden = SafetensorsFile.Open(ModelFiles.Golden($"{name}.safetensors"));
        AssertFused(golden, "dilated_conv_layer.conv", model.Parameters["residual_layers.0.dilated_conv.weight"]);
        AssertFused(golden, "res_conv", model.Parameters["residual_layers.0.output_projection.weight"][..(channels * channels)]);
        if (config.HasMel)
        {
            AssertFused(golden, "mel_conv.conv", model.Parameters["residual_layers.0.conditioner_projection.weight"]);
            AssertFused(golden, "upsample_conv2d.0", model.Parameters["residual_layers.0.spectrogram_upsampler.conv1.weight"]);
        }
        // Plain tensors, and the second half of the joined projection, against the file itself.
        using var archive = TorchArchive.Open(ModelFiles.Golden($"{name}.pkl"));
        var state = (TorchDict)((TorchDict)archive.Root!)["model_state_dict"]!;
        float[] Raw(string key) => TorchFiles.Values(archive, (TorchTensor)state[key]!);
        Assert.Equal(Raw("residual_layer.fc_t2.weight"), model.Parameters["diffusion_embedding.projection2.weight"].ToArray());
        Assert.Equal(Raw("residual_layer.residual_blocks.1.fc_t.weight"), model.Parameters["residual_layers.1.diffusion_projection.weight"].ToArray());
        Assert.Equal(Raw("final_conv.2.conv.weight"), model.Parameters["output_projection.weight"].ToArray());
        Assert.Equal(Raw("residual_layer.residual_blocks.1.res_conv.bias").Concat(Raw("residual_layer.residual_blocks.1.skip_conv.bias")), model.Parameters["residual_layers.1.output_projection.bias"].ToArray());
        float[] g = Raw("residual_layer.residual_blocks.1.skip_conv.weight_g"), v = Raw("residual_layer.residual_blocks.1.skip_conv.weight_v");
        Span<float> skip = model.Parameters["residual_layers.1.output_projection.weight"][(channels * channels)..];
        for (int o = 0; o < channels; o++)
        {
            double norm = Math.Sqrt(v.Skip(o * channels).Take(channels).Sum(value => (double)value * value));
            for (int i = 0; i < channels; i++) Assert.Equal(g[o] * v[o * channels + i] / norm, skip[o * channels + i], 1e-6 * Math.Abs(g[o]));
        }
    }

    // float32 norm, division and product round a few times: 1e-6 of the value covers them.
    private static void AssertFused(SafetensorsFile golden, string module, ReadOnlySpan<float> weight)
    {
        float[] expected = golden.ReadFloats($"fused.block0.{module}.weight");
        Assert.Equal(expected.Length, weight.Length);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], weight[i], Math.Abs(expected[i]) * 1e-6f);
    }

    [Fact]
    public void Imported_models_survive_our_own_checkpoint()
    {
        using var folder = new TemporaryFolder();
        foreach (string name in (string[])["official_vocoder.pkl", "uncond_tiny.pt", "cond_tiny.safetensors"])
        {
            Model model = TorchImport.Import(ModelFiles.Golden(name), Defaults);
            Checkpoint.Save(folder.File("m.safetensors"), model.Config, model.Parameters, model.Card);
            foreach (Model loaded in (Model[])[Checkpoint.Load(folder.File("m.safetensors")), TorchImport.Import(folder.File("m.safetensors"), Defaults)])
            {
                Assert.Equal(model.Parameters.Arena, loaded.Parameters.Arena);
                Assert.Equal(model.Config.ToJson(), loaded.Config.ToJson());
                Assert.Equal(model.Card, loaded.Card);
            }
        }
    }

    [Fact]
    public void Export_to_lmnt_and_back_is_bit_exact()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("lmnt.safetensors");
        foreach (string name in (string[])["cond_tiny.safetensors", "uncond_tiny.safetensors"])
        {
            Model model = TorchImport.Import(ModelFiles.Golden(name), Defaults);
            LmntExport.Export(model, path);
            using (var original = SafetensorsFile.Open(ModelFiles.Golden(name)))
            using (var exported = SafetensorsFile.Open(path))
            {
                Assert.Equal(original.Entries.Select(entry => (entry.Name, entry.ShapeText)), exported.Entries.Select(entry => (entry.Name, entry.ShapeText)));
                JsonObject expected = JsonNode.Parse(original.Metadata["params"])!.AsObject(), actual = JsonNode.Parse(exported.Metadata["params"])!.AsObject();
                Assert.Equal(expected.Select(pair => pair.Key), actual.Select(pair => pair.Key));
                foreach (string key in (string[])["batch_size", "crop_mel_frames", "audio_len"]) { expected.Remove(key); actual.Remove(key); } // how it was trained, not what it is
                foreach (var (key, value) in expected) Assert.True(JsonNode.DeepEquals(value, actual[key]), key);
            }
            Model back = TorchImport.Import(path, Defaults);
            Assert.Equal(model.Parameters.Arena, back.Parameters.Arena);
            Assert.Equal(model.Config.ToJson(), back.Config.ToJson());
        }
    }

    [Fact]
    public void Export_swaps_the_halves_of_a_model_whose_filter_comes_first()
    {
        using var folder = new TemporaryFolder();
        ModelConfig config = ModelFiles.SmallConfig with { GateOrder = GateOrder.FilterFirst };
        Parameters parameters = ModelFiles.RandomParameters(config, 5);
        LmntExport.Export(new Model(config, parameters, new ModelCard()), folder.File("x.safetensors"));
        Model back = TorchImport.Import(folder.File("x.safetensors"), Defaults);
        Assert.Equal(GateOrder.GateFirst, back.Config.GateOrder);
        foreach (ParameterInfo info in parameters.Infos)
        {
            float[] mine = parameters[info.Name].ToArray(), theirs = back.Parameters[info.Name].ToArray();
            bool swapped = info.Name.Contains(".dilated_conv.") || info.Name.Contains(".conditioner_projection.");
            Assert.Equal(swapped ? [.. mine[(mine.Length / 2)..], .. mine[..(mine.Length / 2)]] : mine, theirs);
        }
    }

    [Fact]
    public void Export_refuses_what_lmnt_cannot_compute_and_names_the_field()
    {
        ModelConfig small = ModelFiles.SmallConfig;
        (ModelConfig Config, string Field)[] cases =
        [
            (small with { ResidualIncludesStepEmbedding = true }, "residual_includes_step_embedding is true"),
            (small with { StepExponent = StepExponent.Negative }, "step_exponent is negative"),
            (small with { Upsampler = Upsampler.PerLayer }, "upsampler is per_layer"),
            (small with { UpsampleFactors = [4, 64] }, "upsample_factors is [4, 64]"),
            (small with { ClampSamples = false }, "clamp_samples is false"),
            (small with { Conditioner = Conditioner.Mel | Conditioner.Label, Labels = 3 }, "conditioner has labels"),
            (small with { Mel = MelRecipe.Tacotron() }, "mel.low_hz: 0, 20"),
        ];
        foreach (var (config, field) in cases)
        {
            Assert.Null(config.Problem());
            Assert.Contains(field, Assert.Throws<ModelFormatException>(() => LmntExport.Export(new Model(config, new Parameters(config), new ModelCard()), "unused")).Message);
        }
    }

    private static readonly Dictionary<string, string> NoMetadata = [];

    /// <summary>The tensors of a golden file, changed, as a safetensors file without params, and its params beside it.</summary>
    private static string Variant(TemporaryFolder folder, Func<string, string> rename, string? parameters = null, Func<string, bool>? keep = null, params (string, long[], ReadOnlyMemory<float>)[] more)
    {
        using var original = SafetensorsFile.Open(ModelFiles.Golden("uncond_tiny.safetensors"));
        string path = folder.File("v.safetensors");
        var tensors = original.Entries.Where(entry => keep?.Invoke(entry.Name) ?? true).Select(entry => (rename(entry.Name), entry.Shape, (ReadOnlyMemory<float>)original.ReadFloats(entry.Name)));
        SafetensorsFile.Write(path, NoMetadata, tensors.Concat(more));
        File.WriteAllText(folder.File("v.json"), parameters ?? original.Metadata["params"]);
        return path;
    }

    [Fact]
    public void A_bare_state_dict_takes_its_params_from_the_file_beside_it_or_the_option()
    {
        using var folder = new TemporaryFolder();
        using var expected = SafetensorsFile.Open(ModelFiles.Golden("uncond_tiny.safetensors"));
        string path = Variant(folder, name => $"module.{name}");
        AssertSameTensors(expected, TorchImport.Import(path, Defaults).Parameters);
        File.Move(folder.File("v.json"), folder.File("config.json"));
        AssertSameTensors(expected, TorchImport.Import(path, Defaults).Parameters);
        File.Move(folder.File("config.json"), folder.File("other.json"));
        Assert.Contains("has the weights of lmnt's DiffWave (8 channels, 4 layers, unconditional), but no params", Refusal(path));
        AssertSameTensors(expected, TorchImport.Import(path, Defaults with { ConfigPath = folder.File("other.json") }).Parameters);
        Assert.Contains("no such file", Refusal(path, Defaults with { ConfigPath = folder.File("absent.json") }));
    }

    [Fact]
    public void Nothing_is_lost_missing_or_contradicted_silently()
    {
        using var folder = new TemporaryFolder();
        JsonObject Params() { using var file = SafetensorsFile.Open(ModelFiles.Golden("uncond_tiny.safetensors")); return JsonNode.Parse(file.Metadata["params"])!.AsObject(); }
        string With(string key, JsonNode? value) { JsonObject json = Params(); json[key] = value; return json.ToJsonString(); }
        string Without(string key) { JsonObject json = Params(); json.Remove(key); return json.ToJsonString(); }
        static string Same(string name) => name;
        Assert.Contains("has 1 tensor this program does not know: ema.x", Refusal(Variant(folder, Same, more: ("ema.x", [1], new float[1]))));
        Assert.Contains("tensor 'residual_layers.2.dilated_conv.bias' [16] is missing", Refusal(Variant(folder, Same, keep: name => name != "residual_layers.2.dilated_conv.bias")));
        Assert.Contains("has no tensor 'input_projection.bias'", Refusal(Variant(folder, name => "x" + name)));
        Assert.Contains("params.unconditional is false", Refusal(Variant(folder, Same, With("unconditional", false))));
        Assert.Contains("config.residual_layers is 5, the weights have 4", Refusal(Variant(folder, Same, With("residual_layers", 5))));
        Assert.Contains("config.residual_channels is 64, the weights have 8", Refusal(Variant(folder, Same, With("residual_channels", 64))));
        Assert.Contains("config.noise_schedule is missing", Refusal(Variant(folder, Same, Without("noise_schedule"))));
        Assert.Contains("config.noise_schedule is text, expected a list", Refusal(Variant(folder, Same, With("noise_schedule", "text"))));
        Assert.Contains("expected a list of numbers", Refusal(Variant(folder, Same, With("noise_schedule", new JsonArray(0.1, "x")))));
        Assert.Contains("training_betas[1] is 2", Refusal(Variant(folder, Same, With("noise_schedule", new JsonArray(0.1, 2)))));
        Assert.Contains("config.dilation_cycle_length is 2.5, expected a whole number", Refusal(Variant(folder, Same, With("dilation_cycle_length", 2.5))));
        Assert.Contains("config.sample_rate is missing", Refusal(Variant(folder, Same, Without("sample_rate"))));
        Assert.Contains("is not valid JSON", Refusal(Variant(folder, Same, "{")));
        Assert.Contains("is not a JSON object", Refusal(Variant(folder, Same, "[]")));
        Assert.Contains("holds NaN at index 0", Refusal(Variant(folder, Same, keep: name => name != "skip_projection.bias", more: ("skip_projection.bias", [8], new float[] { float.NaN, 0, 0, 0, 0, 0, 0, 0 }))));
        Assert.Contains("lmnt's names, whose residual path", Refusal(Variant(folder, Same), Defaults with { ResidualIncludesStepEmbedding = true }));
        // A version from before fast sampling, and before unconditional models.
        JsonObject old = Params();
        old.Remove("inference_noise_schedule");
        old.Remove("unconditional");
        Assert.Equal(0.5, TorchImport.Import(Variant(folder, Same, old.ToJsonString()), Defaults).Config.FastBetas[^1]);
    }

    [Fact]
    public void Philsyn_without_its_json_says_what_is_known_and_what_is_missing()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("300.pkl");
        File.Copy(ModelFiles.Golden("official_vocoder.pkl"), path);
        string message = Refusal(path);
        Assert.Contains("philsyn's DiffWave (16 channels, 6 layers, 80 mel bands, hop 256), but no configuration", message);
        Assert.Contains("T, beta_0, beta_T", message);
        Assert.Contains("dilation_cycle", message);
        Model model = TorchImport.Import(path, Defaults with { ConfigPath = ModelFiles.Golden("official_vocoder.json"), ResidualIncludesStepEmbedding = false });
        Assert.False(model.Config.ResidualIncludesStepEmbedding);
        Assert.Equal(300, model.Card.TrainedSteps);
        Assert.Contains("wavenet_config.res_channels is 8, the weights have 16", Refusal(path, Defaults with { ConfigPath = ModelFiles.Golden("official_uncond.json") }));
        JsonObject json = JsonNode.Parse(File.ReadAllText(ModelFiles.Golden("official_vocoder.json")))!.AsObject();
        json["trainset_config"]!.AsObject().Remove("mel_fmax");
        File.WriteAllText(folder.File("300.json"), json.ToJsonString());
        Assert.Contains("trainset_config.mel_fmax is missing", Refusal(path));
        json.Remove("diffusion_config");
        File.WriteAllText(folder.File("300.json"), json.ToJsonString());
        Assert.Contains("section 'diffusion_config' is missing", Refusal(path));
    }

    [Fact]
    public void Newer_weight_normalisation_names_and_unequal_channels()
    {
        using var folder = new TemporaryFolder();
        using var archive = TorchArchive.Open(ModelFiles.Golden("official_vocoder.pkl"));
        var state = (TorchDict)((TorchDict)archive.Root!)["model_state_dict"]!;
        var tensors = state.Items.Select(item => ((string)item.Key, ((TorchTensor)item.Value!).Shape, Data: (ReadOnlyMemory<float>)TorchFiles.Values(archive, (TorchTensor)item.Value))).ToList();
        Assert.Equal(132, tensors.Count);
        SafetensorsFile.Write(folder.File("p.safetensors"), NoMetadata,
            tensors.Select(tensor => (tensor.Item1.Replace("weight_g", "parametrizations.weight.original0").Replace("weight_v", "parametrizations.weight.original1"), tensor.Shape, tensor.Data)));
        TorchImportOptions options = Defaults with { ConfigPath = ModelFiles.Golden("official_vocoder.json") };
        Assert.Equal(TorchImport.Import(ModelFiles.Golden("official_vocoder.pkl"), options).Parameters.Arena, TorchImport.Import(folder.File("p.safetensors"), options).Parameters.Arena);
        SafetensorsFile.Write(folder.File("p.safetensors"), NoMetadata,
            tensors.Select(tensor => tensor.Item1.EndsWith("0.skip_conv.bias") ? (tensor.Item1, [32L], new float[32]) : (tensor.Item1, tensor.Shape, tensor.Data)));
        Assert.Contains("has 32 skip channels and 16 residual channels", Refusal(folder.File("p.safetensors"), options));
    }
}
