using DiffWave.Audio;

namespace DiffWave.Cli;

/// <summary>A file to read.</summary>
/// <param name="Path">The file.</param>
/// <param name="Stem">Its name without extension, with the folders below the one that was given.</param>
internal sealed record InputFile(string Path, string Stem);

/// <summary>A file to read and the one to write for it.</summary>
internal sealed record NamedOutput(string Input, string Output);

/// <summary>Files and folders named on a command line, and names for what is made of them.</summary>
internal static class InputFiles
{
    /// <summary>The files named, those of folders (recursively) in order of name.</summary>
    /// <param name="given">Files and folders.</param>
    /// <param name="belongs">Which files of a folder to take.</param>
    /// <param name="kind">What they are, for messages.</param>
    /// <exception cref="InputFileException">A file does not exist, or a folder holds nothing of this kind.</exception>
    public static IReadOnlyList<InputFile> List(IReadOnlyList<string> given, Predicate<string> belongs, string kind)
    {
        var files = new List<InputFile>();
        foreach (string path in given)
        {
            if (!Directory.Exists(path))
            {
                if (!File.Exists(path)) throw new InputFileException(path, "no such file");
                files.Add(new InputFile(path, Path.GetFileNameWithoutExtension(path)));
                continue;
            }
            string[] found;
            try { found = [.. Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Where(file => belongs(file)).Order(StringComparer.Ordinal)]; }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new InputFileException(path, $"the folder cannot be read: {e.Message}", e); }
            if (found.Length == 0) throw new InputFileException(path, $"the folder holds no {kind} files");
            files.AddRange(found.Select(file => new InputFile(file, Path.ChangeExtension(Path.GetRelativePath(path, file), null))));
        }
        return files;
    }

    /// <summary>Names an output for every input, below the folders the inputs stand in, and makes those folders.</summary>
    /// <param name="files">The inputs.</param>
    /// <param name="output">A file for one input, an existing folder for several.</param>
    /// <param name="extension">Extension of the outputs.</param>
    /// <param name="several">Whether the command line names several files or a folder.</param>
    /// <exception cref="IOException">The folder does not exist.</exception>
    /// <exception cref="UsageException">Two inputs would have the same output.</exception>
    public static IReadOnlyList<NamedOutput> Pair(IReadOnlyList<InputFile> files, string output, string extension, bool several)
    {
        if (output.Length == 0) throw new UsageException("the output has an empty name");
        if (!Directory.Exists(output))
            return several ? throw new IOException($"{output}: cannot be written: no such folder, and several inputs need one") : [new NamedOutput(files[0].Path, output)];
        NamedOutput[] pairs = [.. files.Select(file => new NamedOutput(file.Path, Path.Combine(output, file.Stem + extension)))];
        if (pairs.GroupBy(pair => Path.GetFullPath(pair.Output)).FirstOrDefault(group => group.Count() > 1) is { } clash)
            throw new UsageException($"{string.Join(" and ", clash.Select(pair => pair.Input).Take(2))} would both become {clash.Key}: write them to different folders");
        foreach (NamedOutput pair in pairs)
            OutputPath.Writing(pair.Output, () => Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(pair.Output))!));
        return pairs;
    }
}
