using System.Text.Json;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// Everything needed to go on with a training run bit for bit, in one file that is at the same time a model (<see cref="Checkpoint"/>): under the canonical names stand the weights a
/// user takes, under <c>train.</c> what only the run needs. The file holds no times and no names of machines: equal states give equal bytes.
/// </summary>
/// <param name="Config">The model.</param>
/// <param name="State">Weights, moments, average, step and loss scale.</param>
/// <param name="Options">The choices the run was made with.</param>
/// <param name="DataFingerprint">Tells the training data from other data.</param>
/// <param name="Card">Where the model comes from.</param>
/// <remarks>
/// Tensors: the weights, or their average where one is kept; <c>train.first_moment.NAME</c>, <c>train.second_moment.NAME</c>; with an average, <c>train.weights.NAME</c>.
/// Metadata: the keys of a model, and <c>training</c>, JSON of step, options, data_fingerprint, data_position, loss_scale and loss_scale_steps (older files lack the last two: 1 and 0). Crops, diffusion steps and noise are pure functions of the seed and
/// the number of the crop, so that one number, the position, stands for every random generator.
/// </remarks>
public sealed record TrainingCheckpoint(ModelConfig Config, TrainingState State, TrainingOptions Options, string DataFingerprint, ModelCard Card)
{
    internal const string MetadataKey = "training", Prefix = "train.";

    private static readonly JsonSerializerOptions JsonOptions = StrictJson.Options();

    /// <summary>Number of the crop that comes next in the endless series (<see cref="ITrainingData.Crop"/>): step * batch.</summary>
    public long DataPosition => Position(State.Step, Options);

    /// <summary>Writes a checkpoint. An existing file is replaced only once the new one is complete, read back and flushed to disk.</summary>
    /// <exception cref="ModelFormatException">A weight, average or moment is NaN or infinite: such a state is never written.</exception>
    /// <exception cref="ArgumentException">The configuration or the options are not sound, or the state does not fit them.</exception>
    /// <exception cref="IOException">The file cannot be written, e.g. on a full disk.</exception>
    public static void Save(string path, ModelConfig config, TrainingState state, TrainingOptions options, string dataFingerprint, ModelCard card)
    {
        Checkpoint.RequireSound(config, state.Weights);
        if (options.Problem() is { } problem) throw new ArgumentException($"options: {problem}");
        if (state.Average is null != (options.AverageDecay == 0)) throw new ArgumentException("the state keeps an average exactly when average_decay is above 0");
        var metadata = Checkpoint.Metadata(config, card);
        metadata[MetadataKey] = JsonSerializer.Serialize(
            new Progress
            {
                Step = state.Step, Options = options, DataFingerprint = dataFingerprint, DataPosition = Position(state.Step, options), LossScale = state.LossScale.Factor, LossScaleSteps = state.LossScale.Steps,
            }, JsonOptions);
        var blocks = Blocks(state).ToList();
        foreach (var (prefix, values) in blocks) Checkpoint.RequireFinite(path, state.Weights.Infos, prefix, values);
        SafetensorsFile.Write(path, metadata, blocks.SelectMany(block => Checkpoint.Tensors(state.Weights.Infos, block.Prefix, block.Values)));
    }

    /// <summary>Reads a checkpoint; every tensor must be there with its exact shape and finite values, and no other.</summary>
    /// <exception cref="ModelFormatException">The file is damaged, incomplete, of another kind, or a model without training state; the message names the tensor or field.</exception>
    public static TrainingCheckpoint Load(string path)
    {
        using SafetensorsFile file = Checkpoint.Open(path);
        (ModelConfig config, ModelCard card) = Checkpoint.ReadHeader(file);
        if (!file.Metadata.ContainsKey(MetadataKey))
            throw new ModelFormatException(path, $"is a model without the state of its training (no metadata key '{MetadataKey}'), expected a checkpoint step-N.safetensors of a training run");
        Progress progress = ReadProgress(file);
        bool average = progress.Options.AverageDecay > 0;
        string[] prefixes = average ? ["", FirstMoment, SecondMoment, Weights] : ["", FirstMoment, SecondMoment];
        Checkpoint.RequireTensors(file, Parameters.Layout(config, path), prefixes);
        var state = new TrainingState(config, new Parameters(config), average) { Step = progress.Step, LossScale = progress.Scale() };
        foreach (var (prefix, values) in Blocks(state))
        {
            foreach (ParameterInfo info in state.Weights.Infos) file.ReadFloats(prefix + info.Name, values.AsSpan(info.Offset, info.Count));
            Checkpoint.RequireFinite(path, state.Weights.Infos, prefix, values);
        }
        return new TrainingCheckpoint(config, state, progress.Options, progress.DataFingerprint, card);
    }

    private const string FirstMoment = Prefix + "first_moment.", SecondMoment = Prefix + "second_moment.", Weights = Prefix + "weights.";

    private static IEnumerable<(string Prefix, float[] Values)> Blocks(TrainingState state)
    {
        yield return ("", state.Best.Arena);
        yield return (FirstMoment, state.FirstMoment);
        yield return (SecondMoment, state.SecondMoment);
        if (state.Average is not null) yield return (Weights, state.Weights.Arena);
    }

    private static long Position(long step, TrainingOptions options) => checked(step * options.Batch);

    private static Progress ReadProgress(SafetensorsFile file)
    {
        string json = Checkpoint.Required(file, MetadataKey);
        Progress? progress;
        try { progress = JsonSerializer.Deserialize<Progress>(json, JsonOptions); }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException or OverflowException or ArgumentException)
        {
            throw new ModelFormatException(file.Path, $"{MetadataKey}: {(e is JsonException bad ? StrictJson.Describe(bad) : e.Message)}", e);
        }
        if (progress is null) throw new ModelFormatException(file.Path, $"{MetadataKey}: null, expected an object");
        if (progress.Options.Problem() is { } problem) throw new ModelFormatException(file.Path, $"{MetadataKey}: options: {problem}");
        if (progress.Step < 0 || progress.Step > long.MaxValue / progress.Options.Batch)
            throw new ModelFormatException(file.Path, $"{MetadataKey}: step is {progress.Step}, expected 0 to {long.MaxValue / progress.Options.Batch}");
        if (progress.DataPosition != Position(progress.Step, progress.Options))
            throw new ModelFormatException(file.Path, $"{MetadataKey}: data_position is {progress.DataPosition}, expected step * batch, {Position(progress.Step, progress.Options)}");
        if (progress.Scale().Problem(progress.Options.Precision) is { } wrong) throw new ModelFormatException(file.Path, $"{MetadataKey}: {wrong}");
        return progress;
    }

    private sealed record Progress
    {
        public required long Step { get; init; }
        public required TrainingOptions Options { get; init; }
        public required string DataFingerprint { get; init; }
        public required long DataPosition { get; init; }
        public double LossScale { get; init; } = 1;
        public int LossScaleSteps { get; init; }
        public LossScale Scale() => new(LossScale, LossScaleSteps);
    }
}
