namespace DiffWave.Engine;

/// <summary>A model file, checkpoint or configuration that cannot be used. The message names the file, the field, what was found and what was expected.</summary>
public sealed class ModelFormatException : Exception
{
    /// <summary>The file as the user named it, or the name of the source when there is no file.</summary>
    public string Path { get; }

    /// <param name="path">The file as the user named it.</param>
    /// <param name="problem">What is wrong and what to do, without the file's name.</param>
    /// <param name="inner">The cause, if another exception reported it.</param>
    public ModelFormatException(string path, string problem, Exception? inner = null)
        : base($"{path}: {problem}", inner) => Path = path;
}
