using System.Text.Json;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>Turns the hyperparameters of the public implementations into a <see cref="ModelConfig"/>.</summary>
internal static class ForeignConfig
{
    /// <summary>lmnt's params: shared upsampler, gate first, whole-step table with positive exponent, clamped sampling, mel in decibels.</summary>
    public static ModelConfig FromLmnt(ForeignGraph graph, ForeignSettings settings)
    {
        settings.RequireSame("residual_channels", graph.Channels);
        settings.RequireSame("residual_layers", graph.Layers);
        if (settings.Bool("unconditional", !graph.HasMel) == graph.HasMel)
            throw new ModelFormatException(graph.Path, $"params.unconditional is {(graph.HasMel ? "true" : "false")}, but the weights are those of a model {(graph.HasMel ? "with" : "without")} a conditioner");
        int sampleRate = settings.Int("sample_rate");
        if (graph.HasMel)
        {
            settings.RequireSame("n_mels", graph.Bands);
            settings.RequireSame("hop_samples", graph.Hop);
        }
        double[] betas = settings.Doubles("noise_schedule");
        return new ModelConfig
        {
            Channels = graph.Channels, Layers = graph.Layers, DilationCycle = settings.Int("dilation_cycle_length"), SampleRate = sampleRate,
            Conditioner = graph.HasMel ? Conditioner.Mel : Conditioner.None,
            Mel = graph.HasMel ? MelRecipe.Lmnt(sampleRate, settings.Int("hop_samples"), graph.Bands, settings.Int("n_fft")) : null,
            UpsampleFactors = graph.UpsampleFactors,
            TrainingBetas = betas,
            // Versions before fast sampling had no such key.
            FastBetas = settings.Has("inference_noise_schedule") ? settings.Doubles("inference_noise_schedule") : FastBetas(betas.Length),
            GateOrder = GateOrder.GateFirst, ResidualIncludesStepEmbedding = false, StepExponent = StepExponent.Positive, Upsampler = Upsampler.Shared, ClampSamples = true,
        };
    }

    /// <summary>philsyn's JSON: an upsampler a layer, filter first, negative exponent at the step itself, no clamp, mel in natural logarithm.</summary>
    public static ModelConfig FromPhilsyn(ForeignGraph graph, string path, JsonElement json, bool residualIncludesStepEmbedding)
    {
        ForeignSettings Section(string name) => ForeignSettings.From(path, json, name) ?? throw new ModelFormatException(path, $"section '{name}' is missing");
        ForeignSettings diffusion = Section("diffusion_config"), wavenet = Section("wavenet_config"), data = Section("trainset_config");
        wavenet.RequireSame("res_channels", graph.Channels);
        wavenet.RequireSame("skip_channels", graph.Channels);
        wavenet.RequireSame("num_res_layers", graph.Layers);
        int steps = diffusion.Int("T");
        if (steps is < 1 or > 10_000) throw new ModelFormatException(path, $"diffusion_config.T is {steps}, expected 1 to 10000");
        int sampleRate = data.Int("sampling_rate");
        if (graph.HasMel) data.RequireSame("hop_length", graph.Hop);
        return new ModelConfig
        {
            Channels = graph.Channels, Layers = graph.Layers, DilationCycle = wavenet.Int("dilation_cycle"), SampleRate = sampleRate,
            Conditioner = graph.HasMel ? Conditioner.Mel : Conditioner.None,
            Mel = !graph.HasMel ? null : MelRecipe.Tacotron(sampleRate, data.Int("hop_length"), graph.Bands, data.Int("filter_length")) with
            {
                WindowLength = data.Int("win_length"), LowHz = data.Double("mel_fmin"), HighHz = data.Double("mel_fmax"),
            },
            UpsampleFactors = graph.UpsampleFactors,
            TrainingBetas = NoiseSchedule.LinearBetas(diffusion.Double("beta_0"), diffusion.Double("beta_T"), steps),
            FastBetas = FastBetas(steps),
            GateOrder = GateOrder.FilterFirst, ResidualIncludesStepEmbedding = residualIncludesStepEmbedding, StepExponent = StepExponent.Negative,
            Upsampler = Upsampler.PerLayer, ClampSamples = false,
        };
    }

    // The paper's lists for its base (T up to 50) and large (T = 200) training schedules, appendix B.
    private static double[] FastBetas(int trainingSteps) => [1e-4, 1e-3, 0.01, 0.05, 0.2, trainingSteps <= 50 ? 0.5 : 0.7];
}
