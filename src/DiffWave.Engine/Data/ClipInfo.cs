using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>What is known about a recording once it has been read, measured on its mono signal x[n] at its own rate.</summary>
/// <param name="File">The file.</param>
/// <param name="SampleRate">Its rate in Hz.</param>
/// <param name="Channels">Its channels before they were mixed to one.</param>
/// <param name="Samples">Its length.</param>
/// <param name="Peak">max |x|; 1 is full scale.</param>
/// <param name="Rms">sqrt(mean x^2).</param>
/// <param name="DcOffset">mean x.</param>
/// <param name="ClippedSamples">Samples in runs of at least 3 with |x| >= 0.9999.</param>
/// <param name="SoundStart">First sample that trimming keeps: 50 ms before the first with |x| >= peak / 100 (-40 dB), but at least 0.</param>
/// <param name="SoundEnd">Behind the last sample that trimming keeps: 50 ms after the last with |x| >= peak / 100, but at most the length.</param>
public sealed record ClipInfo(
    ClipFile File, int SampleRate, int Channels, int Samples, float Peak, double Rms, double DcOffset, int ClippedSamples, int SoundStart, int SoundEnd)
{
    private const float ClipLevel = 0.9999f, SilentPeak = 0.001f;
    private const int ClipRun = 3;

    /// <summary>Length in seconds.</summary>
    public double Seconds => (double)Samples / SampleRate;

    /// <summary>Whether the peak lies below 0.001, -60 dB of full scale.</summary>
    public bool Silent => Peak < SilentPeak;

    /// <summary>Reads and measures a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="mix">How several channels become one.</param>
    /// <exception cref="InputFileException">It cannot be read, or holds no samples.</exception>
    public static ClipInfo Measure(ClipFile file, ChannelMix mix)
    {
        AudioClip clip = AudioFile.Read(file.Path, mix);
        float[] x = clip.Samples;
        double sum = 0, squares = 0;
        float peak = 0;
        int run = 0, clipped = 0;
        foreach (float sample in x)
        {
            float level = Math.Abs(sample);
            sum += sample;
            squares += (double)sample * sample;
            peak = Math.Max(peak, level);
            run = level >= ClipLevel ? run + 1 : 0;
            if (run >= ClipRun) clipped += run == ClipRun ? ClipRun : 1;
        }
        int first = 0, last = x.Length - 1, margin = clip.SampleRate / 20;
        while (first < last && Math.Abs(x[first]) < peak / 100) first++;
        while (last > first && Math.Abs(x[last]) < peak / 100) last--;
        return new ClipInfo(file, clip.SampleRate, clip.SourceChannels, x.Length, peak, Math.Sqrt(squares / x.Length), sum / x.Length, clipped,
            Math.Max(0, first - margin), Math.Min(x.Length, last + 1 + margin));
    }
}
