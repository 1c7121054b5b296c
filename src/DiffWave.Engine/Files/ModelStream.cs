namespace DiffWave.Engine;

/// <summary>Opening and reading of model files with errors that name the file.</summary>
internal static class ModelStream
{
    /// <summary>Opens a file for random reads.</summary>
    /// <exception cref="ModelFormatException">It is missing, unreadable, or not a plain file.</exception>
    public static Stream Open(string path)
    {
        try
        {
            var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.CanSeek) return stream;
            stream.Dispose();
            throw new ModelFormatException(path, "is not a plain file: copy it to one");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            string problem = e switch
            {
                FileNotFoundException or DirectoryNotFoundException => "no such file",
                _ when Directory.Exists(path) => "is a folder, expected a model file",
                _ => $"cannot be opened: {e.Message}",
            };
            throw new ModelFormatException(path, problem, e);
        }
    }

    /// <summary>Fills <paramref name="target"/> from an absolute position.</summary>
    /// <exception cref="ModelFormatException">The file ends before, or cannot be read.</exception>
    public static void ReadAt(Stream stream, string path, long position, Span<byte> target)
    {
        try
        {
            if (stream.Position != position) stream.Position = position;
            stream.ReadExactly(target);
        }
        catch (EndOfStreamException e) { throw new ModelFormatException(path, $"ends before byte {position + target.Length}: cut off while it was read", e); }
        catch (IOException e) { throw new ModelFormatException(path, $"cannot be read: {e.Message}", e); }
    }
}
