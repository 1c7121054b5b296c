using System.Text.Json;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>Every choice that decides what a training run computes; stored in its folder and in its checkpoints. JSON names are snake_case; unknown keys are refused.</summary>
public sealed record TrainingOptions
{
    /// <summary>Crops an optimiser step averages over, 1 to 65536.</summary>
    public int Batch { get; init; } = 16;
    /// <summary>Crops computed at a time, their gradients summed until the batch is complete; bounds memory, does not change the result. A divisor of the batch.</summary>
    public int MicroBatch { get; init; } = 1;
    /// <summary>Length of a crop in mel frames (in hops; a model without mel counts 256 samples a frame), 1 to 100000.</summary>
    public int CropFrames { get; init; } = 62;
    /// <summary>Distance between predicted and true noise.</summary>
    public LossKind Loss { get; init; } = LossKind.L1;
    /// <summary>Adam's learning rate after warm-up.</summary>
    public double LearningRate { get; init; } = 2e-4;
    /// <summary>Adam's decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;
    /// <summary>Adam's decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.999;
    /// <summary>Added to Adam's denominator.</summary>
    public double Epsilon { get; init; } = 1e-8;
    /// <summary>Steps over which the learning rate rises linearly from 0; 0 for none.</summary>
    public long WarmupSteps { get; init; }
    /// <summary>Steps over which the learning rate, after warm-up, falls to a tenth along a half cosine; 0 keeps it constant.</summary>
    public long DecaySteps { get; init; }
    /// <summary>Largest L2 norm of all gradients, larger ones are scaled down to it; 0 for no limit.</summary>
    public double ClipNorm { get; init; }
    /// <summary>Decay of the moving average of the weights, in [0, 1); 0 keeps none. The first steps use min(decay, (1 + step) / (10 + step)).</summary>
    public double AverageDecay { get; init; }
    /// <summary>Compute the inputs of all gates again in backward instead of keeping those that fit into memory: a third of the memory, about a tenth more time.</summary>
    public bool Recompute { get; init; }
    /// <summary>What the device computes the network with; weights, gradients and moments are float32 in all of them.</summary>
    public Precision Precision { get; init; }
    /// <summary>Seed of the order of clips, crops, diffusion steps and noise (and of fresh weights).</summary>
    public ulong Seed { get; init; }

    /// <summary>The first problem, or null when the options are sound.</summary>
    public string? Problem()
    {
        if (Batch is < 1 or > 65536) return $"batch is {Batch}, expected 1 to 65536";
        if (MicroBatch < 1 || Batch % MicroBatch != 0) return $"micro_batch is {MicroBatch}, expected a divisor of the batch, {Batch}";
        if (CropFrames is < 1 or > 100_000) return $"crop_frames is {CropFrames}, expected 1 to 100000";
        if (!Enum.IsDefined(Loss)) return $"loss is {(int)Loss}, expected l1 or mse";
        if (!Enum.IsDefined(Precision)) return $"precision is {(int)Precision}, expected fp32, tf32, fp16 or bf16";
        if (!(LearningRate > 0 && LearningRate <= 1)) return FormattableString.Invariant($"learning_rate is {LearningRate}, expected above 0, at most 1");
        if (!(Beta1 >= 0 && Beta1 < 1)) return FormattableString.Invariant($"beta1 is {Beta1}, expected 0 to below 1");
        if (!(Beta2 >= 0 && Beta2 < 1)) return FormattableString.Invariant($"beta2 is {Beta2}, expected 0 to below 1");
        if (!(Epsilon > 0 && Epsilon <= 1)) return FormattableString.Invariant($"epsilon is {Epsilon}, expected above 0, at most 1");
        if (WarmupSteps < 0) return $"warmup_steps is {WarmupSteps}, expected at least 0";
        if (DecaySteps < 0) return $"decay_steps is {DecaySteps}, expected at least 0";
        if (!(ClipNorm >= 0 && ClipNorm < double.PositiveInfinity)) return FormattableString.Invariant($"clip_norm is {ClipNorm}, expected at least 0");
        if (!(AverageDecay >= 0 && AverageDecay < 1)) return FormattableString.Invariant($"average_decay is {AverageDecay}, expected 0 to below 1");
        return null;
    }

    /// <summary>Samples of a crop for a model.</summary>
    public int CropSamples(ModelConfig config) => checked(CropFrames * (config.HasMel ? config.Hop : 256));

    /// <summary>The options as indented JSON, every field written.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonOptions);

    /// <summary>Reads options from JSON.</summary>
    /// <param name="json">What <see cref="ToJson"/> writes.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">Bad JSON, an unknown key, or a value out of range.</exception>
    public static TrainingOptions FromJson(string json, string source)
    {
        TrainingOptions? options;
        try { options = JsonSerializer.Deserialize<TrainingOptions>(json, JsonOptions); }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException or OverflowException or ArgumentException)
        {
            throw new ModelFormatException(source, $"training: {(e is JsonException bad ? StrictJson.Describe(bad) : e.Message)}", e);
        }
        if (options is null) throw new ModelFormatException(source, "training: null, expected an object");
        if (options.Problem() is { } problem) throw new ModelFormatException(source, $"training: {problem}");
        return options;
    }

    private static readonly JsonSerializerOptions JsonOptions = StrictJson.Options();
}
