namespace DiffWave.Cuda;

/// <summary>Where what can be made again is kept between runs.</summary>
internal static class CacheFolder
{
    private const string Off = "off";

    /// <summary>The folder of one kind of entries; null when it is switched off or there is no place for it. It need not exist.</summary>
    /// <param name="name">Name of the kind.</param>
    /// <param name="chosen">What the user's variable says: another folder, <c>off</c>, or nothing.</param>
    public static string? Find(string name, string? chosen)
    {
        if (!string.IsNullOrEmpty(chosen)) return chosen.Equals(Off, StringComparison.OrdinalIgnoreCase) ? null : chosen;
        string cache = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } set && Path.IsPathRooted(set) ? set // as the XDG base directory specification has it
            : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, ".cache") : "";
        return cache.Length == 0 ? null : Path.Combine(cache, "diffwave", name);
    }
}
