using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>
/// How far float32 results may lie from the reference's, in one place. The device computes in float32 whichever precision the reference was stored in, so a tensor and its
/// <c>_f64</c> twin share one bound. Absolute unless named relative; relative bounds are fractions of the tensor's largest magnitude. Each leaves about five to ten times what
/// the reference implementation itself, run in float32, differs from its own float64 run.
/// </summary>
internal static class GoldenCheckBounds
{
    /// <summary>A bound of float32 for a device that rounds to fewer bits: wider by the ratio of their units, 2^13 for 11 bits and 2^16 for 8.</summary>
    public static double At(Precision precision, double bound) => precision switch { Precision.Fp32 => bound, Precision.Bf16 => bound * (1 << 16), _ => bound * (1 << 13) };

    /// <summary>Same bits.</summary>
    public const double Exact = 0;
    /// <summary>Values of magnitude up to 1 rounded to float32 at different points: one unit in the last place.</summary>
    public const double OneUlp = 1.0 / (1 << 23);
    /// <summary>Tables both sides compute in float64.</summary>
    public const double Float64Relative = 1e-12;
    /// <summary>Sines and cosines of lmnt's embedding table, same float32 arguments.</summary>
    public const double EmbeddingTable = 2e-7;
    /// <summary>The step's MLP of lmnt's model.</summary>
    public const double EmbeddingRelative = 3e-6;
    /// <summary>Upsampled mel.</summary>
    public const double Conditioner = 1e-5;
    /// <summary>Activations inside and between blocks, sums of skips. Also philsyn's embedding, whose frequencies may be an ulp away from PyTorch's.</summary>
    public const double Activation = 2e-5;
    /// <summary>Predicted noise.</summary>
    public const double Output = 1e-5;
    /// <summary>Every x of lmnt's clamped chains.</summary>
    public const double Chain = 1e-5;
    /// <summary>The last x of lmnt's chains, where differences have shrunk with the noise.</summary>
    public const double ChainAudio = 5e-6;
    /// <summary>philsyn's sigma table: 1 - alpha_bar near 1e-4 loses digits in their float32.</summary>
    public const double OfficialSigma = 2e-5;
    /// <summary>Every x of philsyn's chains, which are not clamped and use schedule tables computed in float32.</summary>
    public const double OfficialChain = 2e-5;
    /// <summary>The last x of philsyn's chains.</summary>
    public const double OfficialAudio = 1e-5;
    /// <summary>Weights after weight normalisation, computed in float64 here and in float32 by the reference.</summary>
    public const double FusedRelative = 1e-6;
    /// <summary>Audio and noise mixed for a training step.</summary>
    public const double NoisyAudio = 2e-6;
    /// <summary>Losses, as a ratio.</summary>
    public const double LossRelative = 2e-6;
    /// <summary>L2 norms of all gradients, as a ratio.</summary>
    public const double GradientNormRelative = 2e-5;
    /// <summary>A parameter's gradient: its largest difference over the reference's largest magnitude.</summary>
    public const double GradientRelative = 1e-4;
    /// <summary>A parameter's gradient: L2 norm of the difference over the reference's L2 norm.</summary>
    public const double GradientL2 = 5e-5;
    /// <summary>Weights after three Adam steps.</summary>
    public const double Updated = 5e-6;
    /// <summary>The same where the gradient is below <see cref="SmallGradient"/>: three steps of the learning rate, because rounding may turn its sign.</summary>
    public const double UpdatedSmall = 6e-4;
    /// <summary>Gradients from which on rounding cannot turn the sign: fifty times the largest whose updates differed between float32 and float64.</summary>
    public const double SmallGradient = 1e-6;
    /// <summary>Mel in decibels against torchaudio's float32.</summary>
    public const double Mel = 1e-4;
    /// <summary>Mels against float64 references.</summary>
    public const double MelFloat64 = 1e-5;
    /// <summary>torchaudio's HTK filters are float32 throughout: edges near 10 kHz carry 1e-3 Hz of rounding, slopes are down to 1/22 per Hz.</summary>
    public const double FilterbankHtk = 1e-4;
    /// <summary>Slaney filters, computed in float64 by the reference.</summary>
    public const double FilterbankSlaney = 1e-7;
    /// <summary>Spectra computed in float64 and stored in float32.</summary>
    public const double MagnitudeRelative = 1e-6;
}
