namespace DiffWave.Audio;

/// <summary>How several channels become one.</summary>
public enum ChannelMix
{
    /// <summary>The mean of all channels.</summary>
    Average,
    /// <summary>The first (left) channel alone, as lmnt's preprocess takes it.</summary>
    First,
}

/// <summary>Mono audio in memory.</summary>
/// <param name="Samples">Finite float32 samples; full scale is -1..1, float files may exceed it.</param>
/// <param name="SampleRate">Samples a second, in Hz.</param>
/// <param name="SourceChannels">Channels of the file before they were mixed down.</param>
public sealed record AudioClip(float[] Samples, int SampleRate, int SourceChannels)
{
    /// <summary>Length in seconds.</summary>
    public double Seconds => (double)Samples.Length / SampleRate;
}

/// <summary>Limits every audio reader and writer here shares.</summary>
internal static class AudioLimits
{
    public const int MinRate = 1000, MaxRate = 768_000, MaxChannels = 64;

    /// <summary>What is wrong with a rate or a channel count read from a file, or null.</summary>
    public static string? Problem(long sampleRate, long channels) =>
        sampleRate is < MinRate or > MaxRate ? $"the sample rate is {sampleRate} Hz, expected {MinRate} to {MaxRate}"
        : channels is < 1 or > MaxChannels ? $"{channels} channels, expected 1 to {MaxChannels}"
        : null;
}

/// <summary>Mono samples that arrive block by block: interleaved channels in, one growing array out.</summary>
/// <param name="channels">Channels of each incoming frame.</param>
/// <param name="mix">How they become one.</param>
/// <param name="expectedFrames">Frames known to exist; 0 when unknown.</param>
internal sealed class MonoBuffer(int channels, ChannelMix mix, int expectedFrames)
{
    private float[] _samples = new float[expectedFrames];
    private int _count;

    public int Count => _count;

    /// <summary>Mixes down and appends; <paramref name="interleaved"/> holds whole frames.</summary>
    /// <returns>False when the result would be longer than an array can be.</returns>
    public bool Append(ReadOnlySpan<float> interleaved)
    {
        int frames = interleaved.Length / channels;
        if (_count > Array.MaxLength - frames) return false;
        if (_count + frames > _samples.Length)
            Array.Resize(ref _samples, (int)Math.Min(Array.MaxLength, Math.Max(_count + frames, Math.Max(2L * _samples.Length, 1 << 14))));
        Span<float> target = _samples.AsSpan(_count, frames);
        _count += frames;
        if (channels == 1) interleaved.CopyTo(target);
        else if (mix == ChannelMix.First)
            for (int i = 0; i < frames; i++) target[i] = interleaved[i * channels];
        else
            for (int i = 0; i < frames; i++)
            {
                double sum = 0;
                foreach (float sample in interleaved.Slice(i * channels, channels)) sum += sample;
                target[i] = (float)(sum / channels);
            }
        return true;
    }

    /// <summary>The samples; the buffer is spent afterwards.</summary>
    public float[] ToArray()
    {
        Array.Resize(ref _samples, _count); // no copy when the length was known
        return _samples;
    }
}
