using System.Globalization;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A peer that computes something else: nothing is measured beside it.</summary>
internal sealed class OtherWorkException(string message) : InvalidOperationException(message);

/// <summary>
/// Whether a peer does the work we do, asked before any time counts. The products it calls must be those of the network by definition (<see cref="OpCost"/>), to the last one; and from the same weights, mel and noise it must
/// make the same audio, or take the same step. Counting alone would let pass a network with other dilations, results alone one that computes something twice.
/// </summary>
internal static class SameWork
{
    /// <summary>
    /// Least ratio of audio to difference in float32. How much a network of random weights magnifies roundings depends on the weights: 116 to 125 dB were seen, and each side is some 120 off float64 (<c>precision</c>). A factor
    /// that is 1e-5 off in every layer leaves 87.
    /// </summary>
    public const double ExactAudioDecibels = 100;

    /// <summary>Largest difference of a single sample in float32, where the audio is within -1 and 1: nine times what was seen.</summary>
    public const double AudioTolerance = 1e-4;

    /// <summary>Least ratio of audio to difference where either side multiplies 11 bits: each is some 55 dB off float32, another network has less than 10.</summary>
    public const double LowAudioDecibels = 30;

    private const double LossTolerance = 1e-5, NormTolerance = 1e-4;
    private const double LowLossTolerance = 2e-3, LowNormTolerance = 2e-2; // products of 11 bits: a unit in the last place is 1e-3, and norms hold squares

    /// <summary>FLOP of a synthesis in PyTorch: at every step the network and the embedding of the step, one for all clips; the conditioner at every step, or once.</summary>
    public static long SynthesisFlops(ModelConfig config, int batch, long samples, int steps, bool cached)
    {
        long evaluation = OpCost.Evaluation(config, batch * samples).Flops, conditioner = ConditionerFlops(config, batch * samples);
        return steps * (evaluation - conditioner + OpCost.StepEmbedding(config, items: 1).Flops) + (cached ? 1 : steps) * conditioner;
    }

    /// <summary>
    /// FLOP of a training step in PyTorch: forward, and backward as much again for the gradient of every weight and for that of every input, which the three layers at the start have no use for: those that take
    /// the audio, the mel and the table of diffusion steps.
    /// </summary>
    public static long TrainingFlops(ModelConfig config, int batch, long samples)
    {
        long rows = batch * samples, forward = OpCost.Evaluation(config, rows).Flops + OpCost.StepEmbedding(config, batch).Flops;
        long audio = 2 * config.Channels * rows, table = 2L * batch * ModelConfig.StepTableWidth * ModelConfig.StepWidth;
        long mel = config.HasMel ? OpCost.MelUpsampler(config with { UpsampleFactors = [config.UpsampleFactors[0]] }, rows / config.Hop * config.UpsampleFactors[0]).Flops : 0;
        return 3 * forward - audio - mel - table;
    }

    private static long ConditionerFlops(ModelConfig config, long rows) => OpCost.Evaluation(config, rows).Flops - config.Layers * OpCost.ResidualBlock(config, rows).Flops - OpCost.Ends(config, rows).Flops;

    /// <summary>Refuses a peer whose calls do not add up to what is expected.</summary>
    /// <exception cref="OtherWorkException">They do not.</exception>
    public static void RequireFlops(long counted, long expected)
    {
        if (counted != expected) throw new OtherWorkException(Invariant($"not the same work: the peer's convolutions and matrix products come to {counted} FLOP, the network's to {expected} ({(double)counted / expected:f4} times)"));
    }

    /// <summary>Refuses a peer whose audio differs from ours; tells by how much it does.</summary>
    /// <param name="ours">Our samples.</param>
    /// <param name="theirs">The peer's.</param>
    /// <param name="isExact">Whether both compute in float32.</param>
    /// <returns>The largest difference, and the ratio of audio to difference in dB.</returns>
    /// <exception cref="OtherWorkException">It is too large.</exception>
    public static (double Largest, double Decibels) RequireAudio(ReadOnlySpan<float> ours, ReadOnlySpan<float> theirs, bool isExact)
    {
        if (ours.Length != theirs.Length) throw new OtherWorkException($"not the same work: the peer made {theirs.Length} samples, we made {ours.Length}");
        double largest = 0, noise = 0, signal = 0;
        for (int i = 0; i < ours.Length; i++)
        {
            double difference = (double)theirs[i] - ours[i];
            largest = double.IsNaN(difference) ? double.NaN : Math.Max(largest, Math.Abs(difference));
            noise += difference * difference;
            signal += (double)ours[i] * ours[i];
        }
        double decibels = 10 * Math.Log10(signal / noise);
        if (!(signal > 0)) throw new OtherWorkException("nothing to compare: our audio is silent");
        double least = isExact ? ExactAudioDecibels : LowAudioDecibels;
        if (decibels >= least && (largest <= AudioTolerance || !isExact)) return (largest, decibels);
        string expected = Invariant($"at least {least:f0} dB{(isExact ? Invariant($" and at most {AudioTolerance:0e-0}") : "")}");
        throw new OtherWorkException(Invariant($"not the same work: from the same weights, mel and noise the peer's audio differs from ours by up to {largest:0.0e-0} ({decibels:f1} dB below it); expected {expected}"));
    }

    /// <summary>Refuses a peer whose first step has another loss or gradient; tells the relative differences.</summary>
    /// <exception cref="OtherWorkException">They are too large.</exception>
    public static (double Loss, double Norm) RequireStep((double Loss, double Norm) ours, (double Loss, double Norm) theirs, bool isExact)
    {
        var (mostLoss, mostNorm) = isExact ? (LossTolerance, NormTolerance) : (LowLossTolerance, LowNormTolerance);
        double loss = Math.Abs(ours.Loss / theirs.Loss - 1), norm = Math.Abs(ours.Norm / theirs.Norm - 1);
        if (loss <= mostLoss && norm <= mostNorm) return (loss, norm);
        throw new OtherWorkException(Invariant(
            $"not the same work: loss {ours.Loss:g7} and {theirs.Loss:g7} (relative difference {loss:0.0e-0}), gradient norm {ours.Norm:g7} and {theirs.Norm:g7} ({norm:0.0e-0}); expected at most {mostLoss:0e-0} and {mostNorm:0e-0}"));
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
