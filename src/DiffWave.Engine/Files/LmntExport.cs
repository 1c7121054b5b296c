using System.Text;
using System.Text.Json;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>Writes a model for lmnt-com/diffwave: its state dict as safetensors, its params as JSON in the metadata key <c>params</c>.</summary>
/// <remarks>In Python: <c>safetensors.torch.load_file(path)</c> gives the state dict to load into lmnt's DiffWave class.</remarks>
public static class LmntExport
{
    /// <summary>Exports a model. One whose gate comes second is converted by swapping halves, which changes no output; any other difference from lmnt's graph is refused.</summary>
    /// <exception cref="ModelFormatException">lmnt's code cannot compute this model; the message names the field of the configuration.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Export(Model model, string path)
    {
        ModelConfig config = model.Config;
        if (Obstacle(config) is { } obstacle) throw new ModelFormatException(path, $"lmnt's DiffWave cannot hold this model: {obstacle}");
        Checkpoint.RequireFinite(path, model.Parameters);
        var tensors = Checkpoint.Tensors(model.Parameters);
        if (config.GateOrder == GateOrder.FilterFirst) tensors = tensors.Select(tensor => (tensor.Name, tensor.Shape, IsPreGate(tensor.Name) ? Swapped(tensor.Data) : tensor.Data));
        SafetensorsFile.Write(path, new Dictionary<string, string> { ["format"] = "pt", ["params"] = Params(config) }, tensors);
    }

    private static string? Obstacle(ModelConfig config)
    {
        if (config.ResidualIncludesStepEmbedding) return "residual_includes_step_embedding is true, lmnt's is false";
        if (config.StepExponent != StepExponent.Positive) return "step_exponent is negative, lmnt's is positive";
        if (!config.ClampSamples) return "clamp_samples is false, lmnt's sampler always clamps";
        if (config.HasLabel) return "conditioner has labels, lmnt's has none";
        if (!config.HasMel) return null;
        if (config.Upsampler != Upsampler.Shared) return "upsampler is per_layer, lmnt's is shared";
        if (!config.UpsampleFactors.SequenceEqual([16, 16])) return $"upsample_factors is [{string.Join(", ", config.UpsampleFactors)}], lmnt's is [16, 16]";
        MelRecipe mel = config.Mel!;
        var differences = mel.DifferencesFrom(MelRecipe.Lmnt(mel.SampleRate, mel.Hop, mel.Bands, mel.FftSize));
        return differences.Count > 0 ? $"mel.{differences[0]} (lmnt's)" : null;
    }

    private static bool IsPreGate(string name) => name.Contains(".dilated_conv.", StringComparison.Ordinal) || name.Contains(".conditioner_projection.", StringComparison.Ordinal);

    private static ReadOnlyMemory<float> Swapped(ReadOnlyMemory<float> data)
    {
        int half = data.Length / 2;
        return (float[])[.. data.Span[half..], .. data.Span[..half]];
    }

    // lmnt's keys in lmnt's order; the training values are its defaults.
    private static string Params(ModelConfig config)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory))
        {
            writer.WriteStartObject();
            writer.WriteNumber("batch_size", 16);
            writer.WriteNumber("learning_rate", 2e-4);
            writer.WriteNull("max_grad_norm");
            writer.WriteNumber("sample_rate", config.SampleRate);
            writer.WriteNumber("n_mels", config.Mel?.Bands ?? 80);
            writer.WriteNumber("n_fft", config.Mel?.FftSize ?? 1024);
            writer.WriteNumber("hop_samples", config.Mel?.Hop ?? 256);
            writer.WriteNumber("crop_mel_frames", 62);
            writer.WriteNumber("residual_layers", config.Layers);
            writer.WriteNumber("residual_channels", config.Channels);
            writer.WriteNumber("dilation_cycle_length", config.DilationCycle);
            writer.WriteBoolean("unconditional", !config.HasMel);
            WriteList(writer, "noise_schedule", config.TrainingBetas);
            WriteList(writer, "inference_noise_schedule", config.FastBetas);
            writer.WriteNumber("audio_len", 5 * config.SampleRate);
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(memory.ToArray());
    }

    private static void WriteList(Utf8JsonWriter writer, string key, IReadOnlyList<double> values)
    {
        writer.WriteStartArray(key);
        foreach (double value in values) writer.WriteNumberValue(value);
        writer.WriteEndArray();
    }
}
