using System.Text.Json;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Reference data of philsyn's implementation: <c>official_name.safetensors</c>, with the weights in <c>.pkl</c> and their configuration in <c>.json</c> beside it.</summary>
internal sealed class GoldenCheckOfficial(GoldenCheckFile file, GoldenCheckModels models, IOps ops)
{
    public void Run()
    {
        if (models.PathOf($"{file.Stem}.pkl") is not { } path)
        {
            file.Note($"the folder has no {file.Stem}.pkl");
            return;
        }
        Model model = models.Import(path);
        Weights(model);
        if (!file.Computes(model.Config)) return;
        ops.Load(model.Config, model.Parameters);
        if (file.Has("in.step")) Steps(model.Config);
        foreach (string prefix in file.Names.Where(name => name.EndsWith(".in.audio", StringComparison.Ordinal)).Select(name => name[..^".in.audio".Length]).ToArray())
            Forward(model.Config, prefix);
        if (file.Has("chain.noise_init")) Chain(model.Config);
    }

    private float[] InSteps => file.Numbers("in.step");

    private void Steps(ModelConfig config)
    {
        file.Compare("step_freqs", [.. Enumerable.Range(0, ModelConfig.StepTableWidth / 2).Select(j => StepEmbedding.Frequency(config.StepExponent, j))], GoldenCheckBounds.OneUlp);
        float[] steps = InSteps, rows = new float[steps.Length * ModelConfig.StepTableWidth];
        for (int item = 0; item < steps.Length; item++)
            StepEmbedding.Row(config.StepExponent, steps[item], config.TrainingBetas.Count, rows.AsSpan(item * ModelConfig.StepTableWidth, ModelConfig.StepTableWidth));
        file.Compare("step_table_rows", rows, GoldenCheckBounds.Activation);
    }

    private void Forward(ModelConfig config, string prefix)
    {
        int[] shape = file.Shape($"{prefix}.in.audio", 3);
        var input = new GoldenCheckInput(file.Items($"{prefix}.in.audio", shape[0]), GoldenCheckInput.StepsFor(InSteps, shape[0]),
            config.HasMel ? GoldenCheckInput.MelsOf(file, file.Has($"{prefix}.in.mel") ? $"{prefix}.in.mel" : "in.mel", shape[0], config.Bands) : null);
        GoldenCheckForward.RequireSteps(file, input);
        if (file.Precision == Precision.Fp32) Inner(config, input, prefix); // fused blocks keep nothing
        GoldenCheckForward.Output(file, ops, config, input, $"{prefix}.output");
    }

    private void Inner(ModelConfig config, GoldenCheckInput input, string prefix)
    {
        var inner = GoldenCheckActivations.Compute(ops, config, input);
        string block = $"{prefix}.block0";
        void Activation(string name, float[]? actual) => file.Compare(name, actual, GoldenCheckBounds.Activation);
        if (!file.Has("trim.in.audio") || prefix != "trim") // does not depend on the audio
        {
            Activation("diffusion_embedding", inner.Embedding);
            Activation("diffusion_embedding_f64", inner.Embedding);
        }
        float[] h = AddStep(inner);
        Activation($"{block}.in", inner.Block0In);
        Activation($"{block}.step_bias", inner.StepBias);
        Activation($"{block}.h", h);
        Activation($"{block}.dilated", inner.Dilated);
        file.Compare($"{block}.mel_upsampled", inner.Upsampled, GoldenCheckBounds.Conditioner);
        Activation($"{block}.mel_bias", inner.MelBias);
        Activation($"{block}.gated", inner.Gated);
        Activation($"{block}.res", Residual(inner, config, h));
        Activation($"{block}.skip", inner.Block0Skip);
        Activation($"{block}.x", inner.Block0X);
        Activation($"{prefix}.block1.x", inner.Block1X);
        Activation($"{prefix}.skip_scaled", inner.SkipScaled);
    }

    // h = x + step: the device adds the step inside the block, so the sum is taken here from its parts.
    private static float[] AddStep(GoldenCheckActivations inner)
    {
        int rows = inner.Block0In.Length / inner.StepBias.Length;
        return [.. inner.Block0In.Select((x, i) => x + inner.StepBias[i / rows])];
    }

    // The device gives y = (carried + res) / sqrt(2), with h or x carried on the residual path; res is solved for. That costs one rounding of y times sqrt(2), well within the bound.
    private static float[]? Residual(GoldenCheckActivations inner, ModelConfig config, float[] h)
    {
        float[] carried = config.ResidualIncludesStepEmbedding ? h : inner.Block0In;
        return inner.Block0X is null ? null : [.. inner.Block0X.Select((y, i) => (float)(y * Math.Sqrt(2) - carried[i]))];
    }

    private void Chain(ModelConfig config)
    {
        var schedule = new NoiseSchedule(config.TrainingBetas);
        var chain = schedule.ReverseChain(schedule);
        var steps = SamplerStep.Chain(schedule, schedule);
        float[] ByIndex(Func<int, double> value) => [.. Enumerable.Range(0, chain.Count).Select(n => (float)value(chain.Count - 1 - n))];
        file.Compare("chain.beta", ByIndex(k => chain[k].Beta), GoldenCheckBounds.OneUlp);
        file.Compare("chain.alpha", ByIndex(k => 1 - chain[k].Beta), GoldenCheckBounds.OneUlp);
        // The reference multiplies in float32: a rounding a factor.
        file.Compare("chain.alpha_bar", ByIndex(k => chain[k].AlphaBar), chain.Count * GoldenCheckBounds.OneUlp / 2);
        Sigma(ByIndex(k => steps[k].Sigma));

        int batch = file.Shape("chain.noise_init", 3)[0];
        var mels = config.HasMel ? GoldenCheckInput.MelsOf(file, "chain.in.mel", batch, config.Bands) : null;
        GoldenCheckChains.Replay(file, ops, config, "chain", steps, batch, mels,
            new GoldenCheckChains.Bounds(GoldenCheckBounds.OfficialChain, GoldenCheckBounds.OfficialAudio));
    }

    // Their table starts with sqrt(beta_0), which no step uses: the last step adds no noise.
    private void Sigma(float[] sigma)
    {
        if (!file.Has("chain.sigma")) return;
        file.Add("chain.sigma from 1 on", $"[{sigma.Length - 1}]", file.Doubles("chain.sigma")[1..], [.. sigma[1..].Select(value => (double)value)], GoldenCheckBounds.OfficialSigma);
    }

    // fused.blockN.module.weight holds weights after weight normalisation; check.* statistics of the raw tensors, of which those without weight normalisation are ours unchanged.
    private void Weights(Model model)
    {
        const string Prefix = "fused.block";
        foreach (string name in file.Names.Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).ToArray())
        {
            string[] parts = name[Prefix.Length..].Split('.', 2);
            if (parts.Length == 2 && Ours(model, $"residual_layer.residual_blocks.{parts[0]}.{parts[1]}") is { } weight) file.CompareRelative(name, weight, GoldenCheckBounds.FusedRelative);
            else throw new ModelFormatException(file.Path, $"tensor '{name}' is not of a layer the model has");
        }
        if (!file.Has("check.sum")) return;
        string[] names = CheckNames();
        var kept = names.Select((name, index) => (Index: index, Values: name.EndsWith("weight_g", StringComparison.Ordinal) || name.EndsWith("weight_v", StringComparison.Ordinal) ? null : Ours(model, name)))
            .Where(tensor => tensor.Values is not null).ToArray();
        void Statistic(string name, Func<float[], double> of)
        {
            double[] all = file.Doubles(name);
            if (all.Length != names.Length) throw new ModelFormatException(file.Path, $"tensor '{name}' has {all.Length} values, expected one for each of {names.Length} names in check_names");
            double[] expected = [.. kept.Select(tensor => all[tensor.Index])];
            file.Add(name, $"[{kept.Length} of {all.Length}]", expected, [.. kept.Select(tensor => of(tensor.Values!))], GoldenCheckBounds.Float64Relative * expected.Max(Math.Abs));
        }
        Statistic("check.sum", values => values.Sum(value => (double)value));
        Statistic("check.sumsq", values => values.Sum(value => (double)value * value));
        Statistic("check.first", values => values[0]);
        Statistic("check.last", values => values[^1]);
        Gains(model, names);
    }

    // A weight-normed filter has the length of its gain, so the squares of all gains of a tensor sum to the squares of our fused weights.
    private void Gains(Model model, string[] names)
    {
        double[] all = file.Doubles("check.sumsq");
        var gains = names.Select((name, index) => (Index: index, Values: name.EndsWith("weight_g", StringComparison.Ordinal) ? Ours(model, name[..^2]) : null)).Where(tensor => tensor.Values is not null).ToArray();
        if (gains.Length == 0) return;
        double[] expected = [.. gains.Select(tensor => all[tensor.Index])];
        file.Add("check.sumsq of weight_g", $"[{gains.Length} of {all.Length}]", expected, [.. gains.Select(tensor => tensor.Values!.Sum(value => (double)value * value))], GoldenCheckBounds.FusedRelative * expected.Max());
    }

    private string[] CheckNames()
    {
        try
        {
            using var json = JsonDocument.Parse(file.Metadata["check_names"]);
            return [.. json.RootElement.EnumerateArray().Select(entry => entry[0].GetString()!)];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or IndexOutOfRangeException)
        {
            throw new ModelFormatException(file.Path, "metadata check_names is not a JSON list of [name, shape]", e);
        }
    }

    // The part of our model that a tensor of theirs became; null when there is none.
    private static float[]? Ours(Model model, string name)
    {
        int dot = name.LastIndexOf('.');
        string module = name[..dot], kind = name[(dot + 1)..];
        if (module.StartsWith("residual_layer.residual_blocks.", StringComparison.Ordinal))
        {
            string[] parts = module["residual_layer.residual_blocks.".Length..].Split('.');
            string layer = $"residual_layers.{parts[0]}";
            (string ours, int half, int halves) = string.Join('.', parts[1..]) switch
            {
                "fc_t" => ($"{layer}.diffusion_projection", 0, 1),
                "dilated_conv_layer.conv" => ($"{layer}.dilated_conv", 0, 1),
                "mel_conv.conv" => ($"{layer}.conditioner_projection", 0, 1),
                "upsample_conv2d.0" => ($"{layer}.spectrogram_upsampler.conv1", 0, 1),
                "upsample_conv2d.1" => ($"{layer}.spectrogram_upsampler.conv2", 0, 1),
                "res_conv" => ($"{layer}.output_projection", 0, 2),
                "skip_conv" => ($"{layer}.output_projection", 1, 2),
                _ => ("", 0, 1),
            };
            if (!model.Parameters.Contains($"{ours}.{kind}")) return null;
            Span<float> values = model.Parameters[$"{ours}.{kind}"];
            int length = values.Length / halves;
            return values.Slice(half * length, length).ToArray();
        }
        string whole = module switch
        {
            "init_conv.0.conv" => "input_projection",
            "residual_layer.fc_t1" => "diffusion_embedding.projection1",
            "residual_layer.fc_t2" => "diffusion_embedding.projection2",
            "final_conv.0.conv" => "skip_projection",
            "final_conv.2.conv" => "output_projection",
            _ => "",
        };
        return model.Parameters.Contains($"{whole}.{kind}") ? model.Parameters[$"{whole}.{kind}"].ToArray() : null;
    }
}
