namespace DiffWave.Engine;

/// <summary>Prepares the crops that follow the one asked for on other threads, so that they are there when training wants them. Gives the very items of the data behind it. For one caller at a time.</summary>
/// <param name="data">The data; its <see cref="ITrainingData.Crop"/> must be safe to call from several threads.</param>
/// <param name="ahead">How many crops to prepare in advance, 1 or more: about one batch.</param>
public sealed class ReadAhead(ITrainingData data, int ahead) : ITrainingData
{
    private readonly Dictionary<long, Task<TrainingItem>> _started = [];

    /// <inheritdoc/>
    public int CropSamples => data.CropSamples;

    /// <inheritdoc/>
    public IReadOnlyList<TrainingItem> Validation => data.Validation;

    /// <inheritdoc/>
    public TrainingItem Crop(long index)
    {
        foreach (long other in _started.Keys.Where(other => other < index || other - index > ahead).ToArray()) _started.Remove(other); // after a jump
        for (long next = index; next <= index + ahead; next++)
        {
            long wanted = next;
            if (!_started.ContainsKey(wanted)) _started.Add(wanted, Task.Run(() => data.Crop(wanted)));
        }
        _started.Remove(index, out Task<TrainingItem>? crop);
        return crop!.GetAwaiter().GetResult();
    }
}
