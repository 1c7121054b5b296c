namespace DiffWave.Audio;

/// <summary>Reads audio of any format: WAV by <see cref="WavFile"/>, everything else by <see cref="SoundFile"/>. The content decides, not the name.</summary>
public static class AudioFile
{
    /// <summary>Endings of the names of audio files, lower case, with the dot; for finding them in folders.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64"];

    /// <summary>Whether a name ends like that of an audio file.</summary>
    public static bool HasKnownExtension(string path) => Extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads a file and mixes it down to one channel. A pipe must carry WAV.</summary>
    /// <param name="path">The file.</param>
    /// <param name="mix">How several channels become one.</param>
    /// <exception cref="InputFileException">The file cannot be read, or holds no samples.</exception>
    public static AudioClip Read(string path, ChannelMix mix = ChannelMix.Average)
    {
        AudioClip clip;
        using (FileStream stream = InputFile.Open(path))
        {
            bool wav = true; // a pipe cannot be looked at twice
            if (stream.CanSeek)
            {
                Span<byte> magic = stackalloc byte[4];
                int got = InputFile.ReadUpTo(stream, magic);
                stream.Position = 0;
                wav = got < 4 || magic.SequenceEqual("RIFF"u8) || magic.SequenceEqual("RF64"u8) || magic.SequenceEqual("BW64"u8);
            }
            clip = wav ? WavFile.Read(stream, path, mix) : SoundFile.Read(path, mix);
        }
        return clip.Samples.Length > 0 ? clip : throw new InputFileException(path, "holds no samples");
    }
}
