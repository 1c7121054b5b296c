using System.Security.Cryptography;
using System.Text;

namespace DiffWave.Cuda;

/// <summary>
/// Kernels as the driver compiled them, kept on disk between runs. It only saves time: an entry that cannot be read, or is not what was written, counts as absent, and a folder that cannot be
/// written to stays as it is. Programs may share a folder.
/// </summary>
/// <param name="folder">Where entries are; made when first needed.</param>
/// <param name="maxBytes">Bytes of all entries; above them those used longest ago are removed.</param>
internal sealed class CubinCache(string folder, long maxBytes = 256 << 20)
{
    /// <summary>The environment variable that names another folder, or is <c>off</c>.</summary>
    private const string Variable = "DIFFWAVE_CUBIN_CACHE";

    private const string Extension = ".cubin";

    /// <summary>For tests: the variable's value for the flow of calls it is set in.</summary>
    public static AsyncLocal<string?> Substitute { get; } = new();

    /// <summary>The cache as the user has it; null when it is off or there is no place for it.</summary>
    public static CubinCache? Open() => CacheFolder.Find("cubin", Substitute.Value ?? Environment.GetEnvironmentVariable(Variable)) is { } folder ? new CubinCache(folder) : null;

    /// <summary>Under what a kernel is kept: everything its cubin depends on.</summary>
    public static string Key(string ptx, int driverVersion, int sm) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"1 {driverVersion} {sm}\n{ptx}")));

    /// <summary>A kept cubin, or null.</summary>
    public byte[]? Read(string key)
    {
        string path = PathOf(key);
        try
        {
            byte[] entry = File.ReadAllBytes(path);
            if (entry.Length <= SHA256.HashSizeInBytes) return null;
            byte[] cubin = entry[SHA256.HashSizeInBytes..];
            if (!SHA256.HashData(cubin).AsSpan().SequenceEqual(entry.AsSpan(0, SHA256.HashSizeInBytes))) return null;
            File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
            return cubin;
        }
        catch (Exception e) when (IsUnusable(e))
        {
            return null;
        }
    }

    /// <summary>Keeps a cubin, behind its hash, by a rename so that nobody sees a part of it.</summary>
    public void Write(string key, ReadOnlySpan<byte> cubin)
    {
        string path = PathOf(key), unfinished = $"{path}.{Guid.NewGuid():N}";
        try
        {
            Directory.CreateDirectory(folder);
            try
            {
                File.WriteAllBytes(unfinished, [.. SHA256.HashData(cubin), .. cubin]);
                File.Move(unfinished, path, overwrite: true);
            }
            catch
            {
                File.Delete(unfinished);
                throw;
            }
            RemoveOldest();
        }
        catch (Exception e) when (IsUnusable(e))
        {
        }
    }

    private void RemoveOldest()
    {
        // What a program that was killed left unfinished counts as well.
        FileInfo[] entries = [.. new DirectoryInfo(folder).EnumerateFiles($"*{Extension}*").OrderBy(file => file.LastWriteTimeUtc)];
        long bytes = entries.Sum(file => file.Length);
        foreach (FileInfo entry in entries)
        {
            if (bytes <= maxBytes) break;
            bytes -= entry.Length;
            entry.Delete();
        }
    }

    private string PathOf(string key) => Path.Combine(folder, key + Extension);

    private static bool IsUnusable(Exception e) => e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException;
}
