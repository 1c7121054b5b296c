namespace DiffWave.Audio;

/// <summary>A mel spectrogram read in blocks of frames, so that long ones need not be in memory.</summary>
public interface IMelSource : IDisposable
{
    /// <summary>Number of mel bands, M.</summary>
    int Bands { get; }

    /// <summary>Number of frames.</summary>
    int Frames { get; }

    /// <summary>Reads consecutive frames.</summary>
    /// <param name="firstFrame">First frame.</param>
    /// <param name="count">Number of frames.</param>
    /// <param name="frames">[count, M].</param>
    /// <exception cref="ArgumentOutOfRangeException">Frames outside 0..Frames, or too little room.</exception>
    void Read(int firstFrame, int count, Span<float> frames);
}

/// <summary>A mel spectrogram in memory.</summary>
public sealed class MemoryMel : IMelSource
{
    private readonly float[] _mel;

    /// <inheritdoc/>
    public int Bands { get; }

    /// <inheritdoc/>
    public int Frames { get; }

    /// <param name="mel">[bands, frames], row by row, as <see cref="MelSpectrogram.Compute"/> gives it; kept, not copied.</param>
    /// <param name="bands">Number of bands.</param>
    /// <param name="frames">Number of frames.</param>
    /// <exception cref="ArgumentException">The length is not bands x frames.</exception>
    public MemoryMel(float[] mel, int bands, int frames)
    {
        if (bands < 1 || frames < 0 || mel.Length != (long)bands * frames) throw new ArgumentException($"{mel.Length} numbers, expected {bands} bands x {frames} frames", nameof(mel));
        (_mel, Bands, Frames) = (mel, bands, frames);
    }

    /// <inheritdoc/>
    public void Read(int firstFrame, int count, Span<float> frames)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstFrame);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstFrame, Frames - count);
        if (frames.Length < (long)count * Bands) throw new ArgumentOutOfRangeException(nameof(frames), $"{frames.Length} numbers, expected {count} x {Bands}");
        for (int band = 0; band < Bands; band++)
            for (int f = 0; f < count; f++) frames[f * Bands + band] = _mel[band * Frames + firstFrame + f];
    }

    /// <summary>Nothing to release.</summary>
    public void Dispose() { }
}
