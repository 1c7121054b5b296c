using System.Globalization;
using System.Text.Json;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Phrases about a configuration.</summary>
internal static class ConfigText
{
    /// <summary>A model in one line.</summary>
    public static string Summary(ModelConfig config, long parameters) =>
        Invariant($"{parameters:N0} parameters, {config.Channels} channels, {config.Layers} layers, {Conditioning(config)}, {config.SampleRate} Hz");

    /// <summary>What a model is conditioned on.</summary>
    public static string Conditioning(ModelConfig config) => config switch
    {
        { HasMel: true, HasLabel: true } => $"mel ({config.Bands} bands, hop {config.Hop}) and {config.Labels} labels",
        { HasMel: true } => $"mel ({config.Bands} bands, hop {config.Hop})",
        { HasLabel: true } => $"{config.Labels} labels",
        _ => "unconditional",
    };

    /// <summary>Everything about a mel recipe in one line.</summary>
    public static string Recipe(MelRecipe mel) => Invariant(
        $"{mel.Name}: {mel.SampleRate} Hz, FFT {mel.FftSize}, window {mel.WindowLength}, hop {mel.Hop}, {mel.Bands} bands from {mel.LowHz} to {mel.HighHz} Hz, {Word(mel.Scale)} scale, {Word(mel.Compression)}");

    /// <summary>The lines of an info page.</summary>
    public static IEnumerable<(string Label, string Text)> Lines(ModelConfig config)
    {
        yield return ("network", $"{config.Channels} channels, {config.Layers} layers, dilations 1 to {Enumerable.Range(0, config.Layers).Max(config.Dilation)} in cycles of {config.DilationCycle}");
        yield return ("conditioning", Conditioning(config));
        yield return ("audio", Invariant($"{config.SampleRate} Hz, receptive field {config.ReceptiveField} samples ({ReceptiveFieldMs(config):F1} ms)"));
        if (config.Mel is { } mel) yield return ("mel recipe", Recipe(mel));
        if (config.HasMel) yield return ("upsampling", $"{string.Join(" x ", config.UpsampleFactors)}, {(config.Upsampler == Upsampler.Shared ? "one for all layers" : "one a layer")}");
        yield return ("training", Invariant($"T = {config.TrainingBetas.Count}, beta {config.TrainingBetas[0]} to {config.TrainingBetas[^1]}"));
        yield return ("fast", Invariant($"{config.FastBetas.Count} steps, beta {string.Join(", ", config.FastBetas.Select(beta => beta.ToString(CultureInfo.InvariantCulture)))}"));
        yield return ("graph", $"{(config.GateOrder == GateOrder.GateFirst ? "gate first" : "filter first")}, residual {(config.ResidualIncludesStepEmbedding ? "with" : "without")} step embedding, "
            + $"step exponent {(config.StepExponent == StepExponent.Positive ? "positive" : "negative")}, samples {(config.ClampSamples ? "clamped" : "not clamped")}");
    }

    public static double ReceptiveFieldMs(ModelConfig config) => 1000.0 * config.ReceptiveField / config.SampleRate;

    // An enum's name as it stands in JSON.
    private static string Word<T>(T value) where T : struct, Enum => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
