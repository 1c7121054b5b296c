using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// Finds the file a list means: by its name below the data folder, by its path from the folder of the list, or by its file name alone, each with and without ending. The first
/// of these that fits any file decides, and it must fit one file only.
/// </summary>
/// <param name="files">The files there are.</param>
internal sealed class ClipNames(IReadOnlyList<ClipFile> files)
{
    // Tables are made when the more exact ones have failed for the first time.
    private readonly Lazy<Dictionary<string, int>>[] _tables =
    [
        Table(files, file => file.Name), Table(files, file => WithoutEnding(file.Name)),
        Table(files, file => Path.GetFullPath(file.Path)), Table(files, file => WithoutEnding(Path.GetFullPath(file.Path))),
        Table(files, file => Path.GetFileName(file.Name)), Table(files, file => Path.GetFileNameWithoutExtension(file.Name)),
    ];

    private const int Ambiguous = -1, FirstOfPaths = 2, FirstOfFileNames = 4;

    /// <summary>The file meant, or null when there is none.</summary>
    /// <param name="given">The name in the list.</param>
    /// <param name="list">The list, for paths from its folder and for messages.</param>
    /// <param name="line">Line of the list, for messages.</param>
    /// <exception cref="InputFileException">The name fits several files.</exception>
    public ClipFile? Find(string given, string list, int line)
    {
        if (given.Contains('\0')) return null;
        string name = given.Replace('\\', '/');
        if (name.StartsWith("./", StringComparison.Ordinal)) name = name[2..];
        string path = Path.GetFullPath(name, Path.GetDirectoryName(Path.GetFullPath(list))!);
        for (int table = 0; table < _tables.Length; table++)
        {
            if (!_tables[table].Value.TryGetValue(table is >= FirstOfPaths and < FirstOfFileNames ? path : name, out int index)) continue;
            return index != Ambiguous ? files[index] : throw new InputFileException(list, $"line {line}: '{given}' fits several files: give the path below the data folder, with ending");
        }
        return null;
    }

    private static Lazy<Dictionary<string, int>> Table(IReadOnlyList<ClipFile> files, Func<ClipFile, string> key) => new(() =>
    {
        var table = new Dictionary<string, int>(files.Count, StringComparer.Ordinal);
        for (int i = 0; i < files.Count; i++)
            if (!table.TryAdd(key(files[i]), i)) table[key(files[i])] = Ambiguous;
        return table;
    });

    private static string WithoutEnding(string path) => path[..^Path.GetExtension(path).Length];
}
