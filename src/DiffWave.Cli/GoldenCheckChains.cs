using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Sampling chains with recorded noise: <c>sample.safetensors</c>, and the replay that philsyn's chains share.</summary>
internal static class GoldenCheckChains
{
    /// <summary>How far every x and the final audio of a chain may lie from the recorded ones.</summary>
    public sealed record Bounds(double X, double Audio);

    /// <summary>Every chain <c>prefix.*</c> of a file, on lmnt's models.</summary>
    public static void Run(GoldenCheckFile file, GoldenCheckModels models, IOps ops)
    {
        foreach (string prefix in file.Names.Where(name => name.EndsWith(".noise_init", StringComparison.Ordinal)).Select(name => name[..^".noise_init".Length]).ToArray())
        {
            bool conditional = file.Has($"{prefix}.in.spectrogram");
            if (models.Find(conditional ? "cond" : "uncond", conditional) is not { } model)
            {
                file.Note(GoldenCheckModels.Missing($"{prefix}.*", conditional));
                continue;
            }
            var training = new NoiseSchedule(model.Config.TrainingBetas);
            var schedule = file.Has($"{prefix}.beta") ? new NoiseSchedule(file.Doubles($"{prefix}.beta")) : training;
            var chain = schedule.ReverseChain(training);
            var steps = SamplerStep.Chain(schedule, training);
            Tables(file, prefix, training, chain, steps);

            if (!file.Computes(model.Config)) continue;
            int batch = file.Shape($"{prefix}.noise_init", 2)[0];
            var mels = conditional ? GoldenCheckInput.MelsOf(file, $"{prefix}.in.spectrogram", batch, model.Config.Bands) : null;
            ops.Load(model.Config, model.Parameters);
            Replay(file, ops, model.Config, prefix, steps, batch, mels, new Bounds(GoldenCheckBounds.Chain, GoldenCheckBounds.ChainAudio));
        }
    }

    // Tables are indexed by n; chains run from n = N - 1 down. c1, c2 and sigma are what the device gets, so they are float32 here.
    private static void Tables(GoldenCheckFile file, string prefix, NoiseSchedule training, IReadOnlyList<ReverseStepInfo> chain, IReadOnlyList<SamplerStep> steps)
    {
        double[] ByIndex(Func<int, double> value) => [.. Enumerable.Range(0, chain.Count).Select(n => value(chain.Count - 1 - n))];
        file.Compare($"{prefix}.beta", ByIndex(k => chain[k].Beta), GoldenCheckBounds.Float64Relative, relative: true);
        file.Compare($"{prefix}.alpha", ByIndex(k => 1 - chain[k].Beta), GoldenCheckBounds.Float64Relative, relative: true);
        file.Compare($"{prefix}.alpha_cum", ByIndex(k => chain[k].AlphaBar), GoldenCheckBounds.Float64Relative, relative: true);
        file.Compare($"{prefix}.talpha_cum", [.. training.AlphaBars], GoldenCheckBounds.Float64Relative, relative: true);
        file.Compare($"{prefix}.sigma", ByIndex(k => steps[k].Sigma), GoldenCheckBounds.OneUlp, relative: true);
        file.Compare($"{prefix}.c1", ByIndex(k => steps[k].Scale), GoldenCheckBounds.OneUlp, relative: true);
        file.Compare($"{prefix}.c2", ByIndex(k => steps[k].EpsWeight), GoldenCheckBounds.OneUlp, relative: true);
        file.Compare($"{prefix}.T", ByIndex(k => steps[k].Step), GoldenCheckBounds.OneUlp, relative: true);
    }

    /// <summary>
    /// Replays a chain three times: the predicted noise of every recorded x; step by step through the sampler, each x following from our own last one; and as a whole through the
    /// sampler's pipeline. eps starts from the recorded x because at small steps the network magnifies what x has drifted, which x itself already shows.
    /// </summary>
    /// <param name="file">Holds prefix.noise_init [B, (1,) L], .noise [N, B, (1,) L] by n, .x [N + 1, ...] and .eps [N, ...] in order of execution, .audio.</param>
    /// <param name="ops">The device, loaded.</param>
    /// <param name="config">The model.</param>
    /// <param name="prefix">Prefix of the tensors.</param>
    /// <param name="steps">The reverse steps.</param>
    /// <param name="batch">B.</param>
    /// <param name="mels">A mel an item, or null.</param>
    /// <param name="bounds">Bounds of the chain in float32.</param>
    public static void Replay(GoldenCheckFile file, IOps ops, ModelConfig config, string prefix, IReadOnlyList<SamplerStep> steps, int batch, IMelSource[]? mels, Bounds bounds)
    {
        float[] initial = file.Floats($"{prefix}.noise_init"), noise = file.Floats($"{prefix}.noise");
        int length = initial.Length / batch;
        if (noise.Length != initial.Length * steps.Count)
            throw new ModelFormatException(file.Path, $"tensor '{prefix}.noise' has {noise.Length} values, expected {steps.Count} steps of {initial.Length}");
        float[] NoiseOf(int n) => noise.AsSpan(n * initial.Length, initial.Length).ToArray();

        if (file.Has($"{prefix}.eps")) Predictions(file, ops, config, prefix, steps, batch, mels);
        var all = new List<float>(initial);
        float[] x = initial;
        foreach (var step in steps)
        {
            // A chain of one step: noise number 1 is its initial x, number 0 the noise it adds.
            x = Sample(ops, config, [step with { Index = 0 }], [NoiseOf(step.Index), x], length, batch, mels);
            all.AddRange(x);
        }
        file.Compare($"{prefix}.x", [.. all], GoldenCheckBounds.At(file.Precision, bounds.X));
        file.Compare($"{prefix}.audio", Sample(ops, config, steps, [.. Enumerable.Range(0, steps.Count).Select(NoiseOf), initial], length, batch, mels), GoldenCheckBounds.At(file.Precision, bounds.Audio));
    }

    private static void Predictions(GoldenCheckFile file, IOps ops, ModelConfig config, string prefix, IReadOnlyList<SamplerStep> steps, int batch, IMelSource[]? mels)
    {
        float[][] recorded = file.Items($"{prefix}.x", (steps.Count + 1) * batch);
        var eps = new List<float>();
        for (int k = 0; k < steps.Count; k++)
        {
            var input = new GoldenCheckInput(recorded[(k * batch)..((k + 1) * batch)], GoldenCheckInput.StepsFor([steps[k].Step], batch), mels);
            eps.AddRange(GoldenCheckForward.Predict(ops, config, input));
        }
        file.Compare($"{prefix}.eps", [.. eps], GoldenCheckBounds.At(file.Precision, GoldenCheckBounds.Output));
    }

    private static float[] Sample(IOps ops, ModelConfig config, IReadOnlyList<SamplerStep> steps, float[][] noise, int length, int batch, IMelSource[]? mels)
    {
        float[] audio = new float[batch * length];
        var request = new SamplerRequest { Steps = steps, Noise = new RecordedNoise(noise, length), Lengths = [.. Enumerable.Repeat<long>(length, batch)], Mels = mels };
        using var sampler = new Sampler(config, ops);
        sampler.Run(request, (item, first, samples) => samples.CopyTo(audio.AsSpan(item * length + (int)first)));
        return audio;
    }

    /// <summary>Noise read from a recording: by number, then [B, L].</summary>
    private sealed class RecordedNoise(float[][] noise, int length) : INoise
    {
        public void Fill(int index, int item, long first, Span<float> normals) => noise[index].AsSpan(item * length + (int)first, normals.Length).CopyTo(normals);
    }
}
