using System.Text.Json;
using System.Text.Json.Serialization;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>What the network is conditioned on besides the diffusion step.</summary>
[Flags]
public enum Conditioner
{
    /// <summary>Nothing: unconditional generation.</summary>
    None = 0,
    /// <summary>A mel spectrogram [M, frames], upsampled to the audio rate.</summary>
    Mel = 1,
    /// <summary>A class label (embedding of 128, one 1x1 to 2C a layer; Kong et al., section 5.3).</summary>
    Label = 2,
}

/// <summary>Which half of the 2C pre-gate channels goes through the sigmoid.</summary>
public enum GateOrder
{
    /// <summary>First C channels: sigmoid (gate), second: tanh (filter). lmnt.</summary>
    GateFirst,
    /// <summary>First C channels: tanh (filter), second: sigmoid (gate). philsyn.</summary>
    FilterFirst,
}

/// <summary>Sign of the exponent in the frequencies 10^(±4 j / 63) of the step embedding.</summary>
public enum StepExponent
{
    /// <summary>10^(+4j/63), a table over whole steps, rows interpolated linearly for fractional steps. lmnt and the paper.</summary>
    Positive,
    /// <summary>10^(-4j/63), evaluated at the step itself, fractional or not. philsyn.</summary>
    Negative,
}

/// <summary>Where the mel upsampler stands.</summary>
public enum Upsampler
{
    /// <summary>One for all layers. lmnt.</summary>
    Shared,
    /// <summary>One in every residual layer. philsyn.</summary>
    PerLayer,
}

/// <summary>
/// Everything that decides a model's graph, stored in its checkpoint and honoured on load. JSON names are snake_case; unknown keys are refused.
/// The four switches <see cref="GateOrder"/>, <see cref="ResidualIncludesStepEmbedding"/>, <see cref="StepExponent"/> and <see cref="Upsampler"/> separate
/// lmnt's graph (the defaults, the paper's equations) from philsyn's, the authors' own.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>Width of the sinusoidal step embedding: 64 sines, 64 cosines.</summary>
    public const int StepTableWidth = 128;
    /// <summary>Width of the two fully connected step layers.</summary>
    public const int StepWidth = 512;
    /// <summary>Width of the class label embedding.</summary>
    public const int LabelWidth = 128;
    /// <summary>Slope of the upsampler's leaky ReLU on negative values.</summary>
    public const float UpsamplerSlope = 0.4f;

    /// <summary>C, residual and skip channels, 1 to 1024.</summary>
    public required int Channels { get; init; }
    /// <summary>Residual layers, 1 to 256.</summary>
    public required int Layers { get; init; }
    /// <summary>Layers after which the dilation starts again at 1; the dilation of layer i is 2^(i mod cycle).</summary>
    public required int DilationCycle { get; init; }
    /// <summary>What the network is conditioned on.</summary>
    public Conditioner Conditioner { get; init; }
    /// <summary>Sample rate of the audio in Hz.</summary>
    public int SampleRate { get; init; } = 22050;
    /// <summary>The mel recipe; null when not conditioned on a mel.</summary>
    public MelRecipe? Mel { get; init; }
    /// <summary>Factors of the mel upsampler's stages; their product is the hop. Empty when not conditioned on a mel.</summary>
    public IReadOnlyList<int> UpsampleFactors { get; init; } = [];
    /// <summary>Number of class labels; 0 when not conditioned on a label.</summary>
    public int Labels { get; init; }
    /// <summary>beta_0 .. beta_{T-1} of the training schedule.</summary>
    public required IReadOnlyList<double> TrainingBetas { get; init; }
    /// <summary>Betas of the fast schedule (paper, appendix B) that suits the training schedule.</summary>
    public required IReadOnlyList<double> FastBetas { get; init; }
    /// <summary>Which half of the pre-gate channels is the gate.</summary>
    public GateOrder GateOrder { get; init; }
    /// <summary>True: a block's residual path carries x + step embedding (philsyn); false: x (lmnt).</summary>
    public bool ResidualIncludesStepEmbedding { get; init; }
    /// <summary>Sign of the step embedding's exponent.</summary>
    public StepExponent StepExponent { get; init; }
    /// <summary>One upsampler for all layers, or one a layer.</summary>
    public Upsampler Upsampler { get; init; }
    /// <summary>True: the sampler clamps x to [-1, 1] after every reverse step (lmnt); false: never (philsyn, paper).</summary>
    public bool ClampSamples { get; init; } = true;

    /// <summary>Dilation of a layer.</summary>
    public int Dilation(int layer) => 1 << (layer % DilationCycle);

    /// <summary>Sum of all dilations: samples of context on each side of an output sample.</summary>
    [JsonIgnore] public int ContextRows => Enumerable.Range(0, Layers).Sum(Dilation);

    /// <summary>Receptive field in samples, both sides and the sample itself.</summary>
    [JsonIgnore] public int ReceptiveField => 2 * ContextRows + 1;

    /// <summary>Audio samples per mel frame (1 when not conditioned on a mel).</summary>
    [JsonIgnore] public int Hop => UpsampleFactors.Aggregate(1, (product, factor) => product * factor);

    /// <summary>M, mel bands (0 when not conditioned on a mel).</summary>
    [JsonIgnore] public int Bands => Mel?.Bands ?? 0;

    /// <summary>True when conditioned on a mel.</summary>
    [JsonIgnore] public bool HasMel => (Conditioner & Conditioner.Mel) != 0;

    /// <summary>True when conditioned on a label.</summary>
    [JsonIgnore] public bool HasLabel => (Conditioner & Conditioner.Label) != 0;

    /// <summary>Names accepted by <see cref="Preset"/>.</summary>
    public static IReadOnlyList<string> PresetNames { get; } = ["base", "large", "sc09", "small", "tiny"];

    /// <summary>
    /// A named configuration: <c>base</c> (C64, 30 layers, T=50) and <c>large</c> (C128, T=200) are the paper's vocoders, <c>sc09</c> (C256, 36 layers, T=200, 16 kHz) its
    /// unconditional speech model, <c>small</c> (C32, 20 layers) and <c>tiny</c> (C16, 6 layers) are vocoders for CPUs and tests, with a noise schedule of their own
    /// (<see cref="NoiseSchedule.LogSpacedBetas"/>, sigma 0.002 to 0.85; 7 steps of it as the fast one).
    /// </summary>
    /// <exception cref="ArgumentException">No such preset.</exception>
    public static ModelConfig Preset(string name)
    {
        ModelConfig Vocoder(int channels, int layers, int cycle, int steps, double lastBeta, double lastFastBeta) => new()
        {
            Channels = channels, Layers = layers, DilationCycle = cycle, Conditioner = Conditioner.Mel, Mel = MelRecipe.Lmnt(), UpsampleFactors = [16, 16],
            TrainingBetas = NoiseSchedule.LinearBetas(1e-4, lastBeta, steps), FastBetas = [1e-4, 1e-3, 0.01, 0.05, 0.2, lastFastBeta],
        };
        static ModelConfig LogSpaced(ModelConfig config)
        {
            double[] betas = NoiseSchedule.LogSpacedBetas(0.002, 0.85, 50);
            return config with { TrainingBetas = betas, FastBetas = NoiseSchedule.Thinned(betas, 0, 12, 24, 33, 40, 45, 49) };
        }

        return name switch
        {
            "base" => Vocoder(64, 30, 10, 50, 0.05, 0.5),
            "large" => Vocoder(128, 30, 10, 200, 0.02, 0.7),
            "small" => LogSpaced(Vocoder(32, 20, 10, 50, 0.05, 0.5)),
            "tiny" => LogSpaced(Vocoder(16, 6, 3, 50, 0.05, 0.5)),
            "sc09" => Vocoder(256, 36, 12, 200, 0.02, 0.7) with { Conditioner = Conditioner.None, Mel = null, UpsampleFactors = [], SampleRate = 16000, ClampSamples = false },
            _ => throw new ArgumentException($"no preset '{name}'; presets: {string.Join(", ", PresetNames)}"),
        };
    }

    /// <summary>Reads a configuration from JSON.</summary>
    /// <param name="json">UTF-8 or string JSON of the form <see cref="ToJson"/> writes.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="ModelFormatException">Bad JSON, an unknown or duplicate key, or a value out of range.</exception>
    public static ModelConfig FromJson(string json, string source)
    {
        ModelConfig? config;
        try { config = JsonSerializer.Deserialize<ModelConfig>(json, JsonOptions); }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException or OverflowException or ArgumentException)
        {
            throw new ModelFormatException(source, $"config: {(e is JsonException bad ? StrictJson.Describe(bad) : e.Message)}", e);
        }
        if (config is null) throw new ModelFormatException(source, "config: null, expected an object");
        if (config.Problem() is { } problem) throw new ModelFormatException(source, $"config: {problem}");
        return config;
    }

    /// <summary>The configuration as indented JSON, every field written.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonOptions);

    /// <summary>Checks ranges and that the fields fit each other: the first problem, or null when the configuration is sound.</summary>
    public string? Problem()
    {
        if (Channels is < 1 or > 1024) return $"channels is {Channels}, expected 1 to 1024";
        if (Layers is < 1 or > 256) return $"layers is {Layers}, expected 1 to 256";
        if (DilationCycle is < 1 or > 20) return $"dilation_cycle is {DilationCycle}, expected 1 to 20";
        if (SampleRate is < 1000 or > 768_000) return $"sample_rate is {SampleRate}, expected 1000 to 768000 Hz";
        if ((Conditioner & ~(Conditioner.Mel | Conditioner.Label)) != 0) return $"conditioner is {(int)Conditioner}, expected none, mel, label or mel+label";
        if (!Enum.IsDefined(GateOrder)) return $"gate_order is {(int)GateOrder}, expected gate_first or filter_first";
        if (!Enum.IsDefined(StepExponent)) return $"step_exponent is {(int)StepExponent}, expected positive or negative";
        if (!Enum.IsDefined(Upsampler)) return $"upsampler is {(int)Upsampler}, expected shared or per_layer";
        if (HasLabel ? Labels is < 1 or > 65536 : Labels != 0) return $"labels is {Labels}, expected {(HasLabel ? "1 to 65536" : "0 without a label conditioner")}";
        if (HasMel)
        {
            if (Mel is null) return "mel is missing, expected a recipe with a mel conditioner";
            if (Mel.Problem() is { } recipeProblem) return $"mel.{recipeProblem}";
            if (Mel.SampleRate != SampleRate) return $"mel.sample_rate is {Mel.SampleRate}, expected sample_rate ({SampleRate})";
            if (UpsampleFactors is null || UpsampleFactors.Count is < 1 or > 8) return $"upsample_factors has {UpsampleFactors?.Count ?? 0} entries, expected 1 to 8";
            foreach (int factor in UpsampleFactors) if (factor is < 1 or > 4096) return $"upsample_factors holds {factor}, expected 1 to 4096";
            long hop = UpsampleFactors.Aggregate(1L, (product, factor) => Math.Min(product * factor, int.MaxValue));
            if (hop != Mel.Hop) return $"upsample_factors multiply to {hop}, expected mel.hop ({Mel.Hop})";
        }
        else if (Mel is not null || UpsampleFactors is null || UpsampleFactors.Count != 0) return "mel and upsample_factors are set, expected none without a mel conditioner";
        return NoiseSchedule.BetasProblem("training_betas", TrainingBetas) ?? NoiseSchedule.BetasProblem("fast_betas", FastBetas);
    }

    private static readonly JsonSerializerOptions JsonOptions = StrictJson.Options(new ConditionerConverter());

    private sealed class ConditionerConverter : JsonConverter<Conditioner>
    {
        public override Conditioner Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) => reader.GetString() switch
        {
            "none" => Conditioner.None,
            "mel" => Conditioner.Mel,
            "label" => Conditioner.Label,
            "mel+label" => Conditioner.Mel | Conditioner.Label,
            var other => throw new JsonException($"conditioner is '{other}', expected none, mel, label or mel+label"),
        };

        public override void Write(Utf8JsonWriter writer, Conditioner value, JsonSerializerOptions options) => writer.WriteStringValue(value switch
        {
            Conditioner.None => "none",
            Conditioner.Mel => "mel",
            Conditioner.Label => "label",
            _ => "mel+label",
        });
    }
}
