using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Forward passes of lmnt's models: <c>forward.safetensors</c>.</summary>
internal static class GoldenCheckForward
{
    /// <summary>Tensors <c>prefix.*</c> and <c>prefix.kind.*</c>, a kind for each set of steps <c>in.step_kind</c>.</summary>
    public static void Run(GoldenCheckFile file, GoldenCheckModels models, IOps ops)
    {
        EmbeddingTable(file);
        var passes = file.Names.Where(name => name.EndsWith(".output", StringComparison.Ordinal)).Select(name => name.Split('.')).Where(parts => parts.Length == 3)
            .Select(parts => (Prefix: parts[0], Kind: parts[1])).GroupBy(pass => pass.Prefix, pass => pass.Kind);
        foreach (var group in passes)
        {
            string prefix = group.Key;
            bool conditional = file.Has($"{prefix}.conditioner") || file.Has($"{prefix}.in.spectrogram") || (!prefix.StartsWith("uncond", StringComparison.Ordinal) && file.Has("in.spectrogram"));
            int? channels = file.Has($"{prefix}.block0.in") ? file.Shape($"{prefix}.block0.in", 3)[1] : null;
            if (models.Find(prefix, conditional, channels) is not { } model)
            {
                file.Note(GoldenCheckModels.Missing($"{prefix}.*", conditional, channels));
                continue;
            }
            if (!file.Computes(model.Config)) continue;
            ops.Load(model.Config, model.Parameters);
            foreach (string kind in group) Pass(file, ops, model.Config, prefix, kind);
        }
    }

    private static void Pass(GoldenCheckFile file, IOps ops, ModelConfig config, string prefix, string kind)
    {
        string Own(string name) => file.Has($"{prefix}.{name}") ? $"{prefix}.{name}" : name;
        string audio = Own("in.audio"), pass = $"{prefix}.{kind}";
        int batch = file.Shape(audio, 2)[0];
        float[] steps = file.Numbers(Own($"in.step_{kind}"));
        var input = new GoldenCheckInput(file.Items(audio, batch), GoldenCheckInput.StepsFor(steps, batch),
            config.HasMel ? GoldenCheckInput.MelsOf(file, Own("in.spectrogram"), batch, config.Bands) : null);
        RequireSteps(file, input);
        if (file.Precision == Precision.Fp32) Inner(file, ops, config, input, steps.Length, prefix, kind); // fused blocks keep nothing
        Output(file, ops, config, input, $"{pass}.output");
    }

    private static void Inner(GoldenCheckFile file, IOps ops, ModelConfig config, GoldenCheckInput input, int steps, string prefix, string kind)
    {
        string pass = $"{prefix}.{kind}";
        var inner = GoldenCheckActivations.Compute(ops, config, input);
        if (!file.Has($"{prefix}.int.output") || kind == "int") // the same in every pass
        {
            file.Compare($"{prefix}.conditioner", inner.Upsampled, GoldenCheckBounds.Conditioner);
            file.Compare($"{prefix}.block0.in", inner.Block0In, GoldenCheckBounds.Activation);
        }
        file.CompareRelative($"{pass}.diffusion_embedding", inner.Embedding[..(steps * ModelConfig.StepWidth)], GoldenCheckBounds.EmbeddingRelative);
        file.Compare($"{pass}.block0.x", inner.Block0X, GoldenCheckBounds.Activation);
        file.Compare($"{pass}.block0.skip", inner.Block0Skip, GoldenCheckBounds.Activation);
        file.Compare($"{pass}.block1.x", inner.Block1X, GoldenCheckBounds.Activation);
        file.Compare($"{pass}.skip_scaled", inner.SkipScaled, GoldenCheckBounds.Activation);
    }

    /// <summary>The predicted noise, by the streaming network that sampling uses, against <c>name</c> and <c>name_f64</c>.</summary>
    public static void Output(GoldenCheckFile file, IOps ops, ModelConfig config, GoldenCheckInput input, string name)
    {
        float[] eps = Predict(ops, config, input);
        double bound = GoldenCheckBounds.At(file.Precision, GoldenCheckBounds.Output);
        file.Compare(name, eps, bound);
        file.Compare($"{name}_f64", eps, bound);
    }

    /// <summary>eps of every item, one after the other, in chunks as sampling takes them.</summary>
    public static float[] Predict(IOps ops, ModelConfig config, GoldenCheckInput input)
    {
        const int ChunkRows = 2048;
        int grain = Network.ChunkGrain(config), chunk = (Math.Min(ChunkRows, input.Audio[0].Length) + grain - 1) / grain * grain;
        return [.. Network.Evaluate(ops, config, input.Audio, input.Steps, input.Mels, [], chunk).SelectMany(item => item)];
    }

    public static void RequireSteps(GoldenCheckFile file, GoldenCheckInput input)
    {
        if (input.Steps.Length != input.Audio.Length) throw new ModelFormatException(file.Path, $"has {input.Steps.Length} diffusion steps for {input.Audio.Length} signals, expected one each or one for all");
    }

    // embedding_table_f64 is no target: trained weights depend on the float32 rounding of the arguments, from which it differs by up to 0.023.
    private static void EmbeddingTable(GoldenCheckFile file)
    {
        file.Compare("embedding_freqs", [.. Enumerable.Range(0, ModelConfig.StepTableWidth / 2).Select(j => StepEmbedding.Frequency(StepExponent.Positive, j))], GoldenCheckBounds.Exact);
        if (!file.Has("embedding_table")) return;
        int steps = file.Shape("embedding_table", 2)[0];
        float[] table = new float[steps * ModelConfig.StepTableWidth];
        for (int t = 0; t < steps; t++) StepEmbedding.Row(StepExponent.Positive, t, steps, table.AsSpan(t * ModelConfig.StepTableWidth, ModelConfig.StepTableWidth));
        file.Compare("embedding_table", table, GoldenCheckBounds.EmbeddingTable);
    }
}
