using System.Collections.Concurrent;

namespace DiffWave.Cli;

/// <summary>Checks names of files to be written before any work is done, and knows which ones are being written.</summary>
internal static class OutputPath
{
    private static readonly ConcurrentDictionary<string, bool> Announced = new();

    /// <summary>Refuses a name that cannot be written or that is also read.</summary>
    /// <param name="path">The file to be written.</param>
    /// <param name="inputs">Files the command reads.</param>
    /// <exception cref="UsageException">It is one of the inputs, or nothing.</exception>
    /// <exception cref="IOException">Its folder does not exist, or it is a folder.</exception>
    public static void Check(string path, IEnumerable<string> inputs)
    {
        if (path.Length == 0) throw new UsageException("the output has an empty name");
        string real = Real(path);
        foreach (string input in inputs)
            if (string.Equals(real, Real(input), OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase))
                throw new UsageException($"the output {path} is also the input {input}: choose another name with -o");
        if (Directory.Exists(path)) throw new IOException($"{path}: is a folder, expected the name of a file to write");
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (!Directory.Exists(folder)) throw new IOException($"{path}: cannot be written: the folder {folder} does not exist");
        Announced[Path.GetFullPath(path)] = true;
    }

    /// <summary>Runs something that writes files, with errors that name the output.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static T Writing<T>(string path, Func<T> write)
    {
        try { return write(); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && !e.Message.StartsWith(path, StringComparison.Ordinal))
        {
            throw new IOException($"{path}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>A device such as /dev/null is written to directly: it must not be replaced by a file.</summary>
    public static bool IsDevice(string path) => Path.GetFullPath(path) is var full && full.StartsWith("/dev/", StringComparison.Ordinal) && !full.StartsWith("/dev/shm/", StringComparison.Ordinal);

    /// <summary>Deletes the temporary files of outputs this process has announced; for a process that is about to be ended.</summary>
    public static void RemoveUnfinished()
    {
        foreach (string path in Announced.Keys)
        {
            try
            {
                foreach (string file in Directory.EnumerateFiles(Path.GetDirectoryName(path)!, $"{Path.GetFileName(path)}.tmp-{Environment.ProcessId}-*")) File.Delete(file);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { } // nothing more can be done on the way out
        }
    }

    // The full name with every link on the way followed; what does not exist has no links.
    private static string Real(string path)
    {
        if (path.Length == 0) return path;
        string full = Path.GetFullPath(path), real = Path.GetPathRoot(full)!;
        foreach (string part in full[real.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            real = Path.Combine(real, part);
            try { real = File.ResolveLinkTarget(real, returnFinalTarget: true)?.FullName ?? real; }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }
        }
        return real;
    }
}
