namespace DiffWave.Engine;

/// <summary>One crop of a recording.</summary>
/// <param name="Audio">[T] samples, zero behind <paramref name="ValidSamples"/>.</param>
/// <param name="Mel">[frames, M] of the same stretch, row by row; null for models without a mel conditioner. T = frames * hop.</param>
/// <param name="Label">Class label; 0 for models without.</param>
/// <param name="ValidSamples">Samples that count in the loss: T, or less for a padded short clip.</param>
/// <param name="Clip">Name of the recording the crop was taken from.</param>
public sealed record TrainingItem(float[] Audio, float[]? Mel, int Label, int ValidSamples, string Clip);

/// <summary>Crops for training, by number.</summary>
public interface ITrainingData
{
    /// <summary>Length of every crop in samples, T.</summary>
    int CropSamples { get; }

    /// <summary>
    /// Crop number <paramref name="index"/> of an endless series: a pure function of the number and the seed, so that a position in the data is a number.
    /// Crop i belongs to epoch i / clips; an epoch takes every clip once.
    /// </summary>
    TrainingItem Crop(long index);

    /// <summary>The fixed crops of the held-out clips on which the validation loss is measured; empty when nothing is held out.</summary>
    IReadOnlyList<TrainingItem> Validation { get; }
}
