using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>An audio file of a data set.</summary>
/// <param name="Path">The file, as it can be opened.</param>
/// <param name="Name">Its path below the folder that was given, with <c>/</c> between folders; the file name alone when the file itself was given. The same on every machine.</param>
public sealed record ClipFile(string Path, string Name)
{
    private const int MostLinks = 40; // in a row; what Linux allows

    /// <summary>
    /// The audio files among and below the given paths (endings of <see cref="AudioFile.Extensions"/>), in ordinal order of their names; the same name below two folders in the order given.
    /// </summary>
    /// <remarks>
    /// Files and folders whose name starts with a dot, or that are marked hidden, are passed over unless given themselves. Links are followed, but every real file and folder is taken
    /// once, under its own name where it has one here: a link that leads back, or a file given twice, adds nothing.
    /// </remarks>
    /// <param name="roots">Folders, searched recursively, and single files, taken whatever their ending.</param>
    /// <exception cref="InputFileException">A path does not exist, or a folder cannot be read.</exception>
    public static IReadOnlyList<ClipFile> Find(IReadOnlyList<string> roots)
    {
        var found = new List<ClipFile>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var links = new Queue<ClipFile>(); // after everything else
        foreach (string root in roots)
        {
            if (root.Length == 0) throw new InputFileException("''", "is no name of a file or folder");
            if (Directory.Exists(root)) Walk(root, RealPath(root), "");
            else if (File.Exists(root) || new FileInfo(root).LinkTarget is not null) Take(new ClipFile(root, System.IO.Path.GetFileName(root)), RealPath(root));
            else throw new InputFileException(root, "no such file or folder");
        }
        while (links.TryDequeue(out ClipFile? link)) Add(link, RealPath(link.Path));
        return [.. found.OrderBy(file => file.Name, StringComparer.Ordinal)]; // a stable sort: equal names stay in the order given

        void Walk(string folder, string real, string name)
        {
            if (!seen.Add(real)) return;
            FileSystemInfo[] entries;
            try { entries = [.. new DirectoryInfo(folder).EnumerateFileSystemInfos().OrderBy(entry => entry.Name, StringComparer.Ordinal)]; }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new InputFileException(folder, $"the folder cannot be read: {e.Message}", e); }
            foreach (FileSystemInfo entry in entries)
            {
                // Nothing can be known about a file whose name is no valid UTF-8; all its bits are set then. Reading it will say so.
                if (entry.Name.StartsWith('.') || (int)entry.Attributes != -1 && (entry.Attributes & FileAttributes.Hidden) != 0) continue;
                var file = new ClipFile(System.IO.Path.Combine(folder, entry.Name), name + entry.Name);
                if (entry.LinkTarget is null) Add(file, System.IO.Path.Combine(real, entry.Name));
                else links.Enqueue(file);
            }
        }

        void Add(ClipFile entry, string real)
        {
            if (Directory.Exists(entry.Path)) Walk(entry.Path, real, entry.Name + "/");
            else if (AudioFile.HasKnownExtension(entry.Path)) Take(entry, real);
        }

        void Take(ClipFile file, string real)
        {
            if (seen.Add(real)) found.Add(file);
        }
    }

    // The path without links. A link that leads nowhere, or in a circle, stays as it is: opening it will say what is wrong.
    private static string RealPath(string path)
    {
        string full = System.IO.Path.GetFullPath(path), real = System.IO.Path.GetPathRoot(full)!;
        int links = 0;
        var rest = new Stack<string>(Parts(full[real.Length..]));
        while (rest.TryPop(out string? part))
        {
            string next = System.IO.Path.Combine(real, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                real = next;
                continue;
            }
            if (++links > MostLinks) return full;
            string absolute = System.IO.Path.GetFullPath(target, real);
            real = System.IO.Path.GetPathRoot(absolute)!;
            foreach (string step in Parts(absolute[real.Length..])) rest.Push(step);
        }
        return real;

        static IEnumerable<string> Parts(string below) =>
            below.Split([System.IO.Path.DirectorySeparatorChar, System.IO.Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries).Reverse();
    }
}
