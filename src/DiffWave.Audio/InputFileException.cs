namespace DiffWave.Audio;

/// <summary>A file given by the user (audio, mel, metadata) that cannot be used. The message names the file, what was found, what was expected and what to do.</summary>
public sealed class InputFileException : Exception
{
    /// <summary>The file as the user named it.</summary>
    public string Path { get; }

    /// <param name="path">The file as the user named it.</param>
    /// <param name="problem">What is wrong and what to do, without the file's name.</param>
    /// <param name="inner">The cause, if another exception reported it.</param>
    public InputFileException(string path, string problem, Exception? inner = null)
        : base($"{path}: {problem}", inner) => Path = path;
}
