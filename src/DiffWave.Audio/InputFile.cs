namespace DiffWave.Audio;

/// <summary>Opening and reading files given by the user, with errors that name the file.</summary>
internal static class InputFile
{
    /// <summary>Opens for reading; unbuffered, because every reader here asks for large blocks.</summary>
    /// <exception cref="InputFileException">Missing, a folder, or not readable.</exception>
    public static FileStream Open(string path)
    {
        try { return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            string problem = Directory.Exists(path) ? "is a folder, expected a file"
                : e is FileNotFoundException or DirectoryNotFoundException ? "no such file"
                : $"cannot be opened ({e.Message})";
            throw new InputFileException(path, problem, e);
        }
    }

    /// <summary>Fills as much of the buffer as the stream still has and returns how much that was.</summary>
    public static int ReadUpTo(Stream stream, Span<byte> buffer) => stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
}
