using System.Runtime.InteropServices;

namespace DiffWave.Audio;

/// <summary>
/// Writes a file so that its name only ever holds the old or the whole new content: a temporary file in the same folder, flushed to disk, renamed over the
/// target, then the folder flushed. Disposing without <see cref="Commit"/> removes the temporary file and leaves the target untouched.
/// </summary>
public sealed partial class AtomicFile : IDisposable
{
    private readonly string _target, _temporary;
    private readonly FileStream _stream;
    private bool _closed;

    /// <summary>Where to write; seekable.</summary>
    public Stream Stream => _stream;

    /// <param name="path">The final name. Its folder must exist.</param>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public AtomicFile(string path)
    {
        _target = Path.GetFullPath(path);
        _temporary = $"{_target}.tmp-{Environment.ProcessId}-{Guid.NewGuid().ToString("N")[..8]}";
        _stream = new FileStream(_temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16);
    }

    /// <summary>Makes the content permanent under the final name.</summary>
    public void Commit()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        _stream.Flush(flushToDisk: true);
        _stream.Dispose();
        _closed = true;
        try { File.Move(_temporary, _target, overwrite: true); }
        catch { File.Delete(_temporary); throw; }
        FlushFolder(Path.GetDirectoryName(_target)!);
    }

    /// <summary>Removes the temporary file unless <see cref="Commit"/> was called.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        try { _stream.Dispose(); }
        catch (IOException) { } // the disk is full, and what its buffer still holds is not wanted any more
        File.Delete(_temporary);
    }

    /// <summary>Writes a whole file through <paramref name="write"/>; an exception leaves the target untouched.</summary>
    public static void Write(string path, Action<Stream> write)
    {
        using var file = new AtomicFile(path);
        write(file.Stream);
        file.Commit();
    }

    // A rename is durable only once its folder is. Windows has no such call and orders the rename itself.
    private static void FlushFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) return;
        int descriptor = Open(folder, 0);
        if (descriptor < 0) return; // a folder that may be written but not read: the rename stands, only its flush is left to the system
        _ = Fsync(descriptor);
        _ = Close(descriptor);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)] private static partial int Open(string path, int flags);
    [LibraryImport("libc", EntryPoint = "fsync")] private static partial int Fsync(int descriptor);
    [LibraryImport("libc", EntryPoint = "close")] private static partial int Close(int descriptor);
}
