using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>Audio given by the user, brought to the rate that is needed, with a word about every change.</summary>
internal static class AudioInput
{
    /// <summary>A file at its own rate.</summary>
    /// <exception cref="InputFileException">The file cannot be read.</exception>
    public static AudioClip Read(Session session, string path, ChannelMix mix)
    {
        AudioClip clip = AudioFile.Read(path, mix);
        if (clip.SourceChannels > 1) session.Log($"{path}: {(mix == ChannelMix.First ? $"the first of {clip.SourceChannels} channels" : $"{clip.SourceChannels} channels averaged to one")}");
        return clip;
    }

    /// <summary>A file at the rate that is needed.</summary>
    /// <param name="session">Where to say what was changed.</param>
    /// <param name="path">The file.</param>
    /// <param name="sampleRate">The rate wanted in Hz.</param>
    /// <param name="owner">Whose rate that is, for the message.</param>
    /// <param name="mix">What becomes of several channels.</param>
    /// <returns>Mono samples.</returns>
    /// <exception cref="InputFileException">The file cannot be read.</exception>
    public static float[] Read(Session session, string path, int sampleRate, string owner, ChannelMix mix)
    {
        AudioClip clip = Read(session, path, mix);
        if (clip.SampleRate == sampleRate) return clip.Samples;
        session.Log($"{path}: resampled from {clip.SampleRate} Hz to the {owner}'s {sampleRate} Hz");
        return Resampler.Resample(clip.Samples, clip.SampleRate, sampleRate);
    }
}
