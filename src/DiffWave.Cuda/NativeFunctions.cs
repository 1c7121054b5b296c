using System.Runtime.InteropServices;

namespace DiffWave.Cuda;

/// <summary>Libraries of the system and their functions by name.</summary>
internal static class NativeFunctions
{
    /// <summary>For tests: opens libraries in place of the system's loader, for the flow of calls it is set in. Null where there is no such library.</summary>
    public static AsyncLocal<Func<string, Func<string, nint>?>?> Substitute { get; } = new();

    /// <summary>The functions of a library, which stays loaded: their addresses, or 0 for what it does not have.</summary>
    /// <returns>Null when there is no library of this name.</returns>
    public static Func<string, nint>? Open(string library)
    {
        if (Substitute.Value is { } open) return open(library);
        return NativeLibrary.TryLoad(library, out nint handle) ? name => NativeLibrary.TryGetExport(handle, name, out nint address) ? address : 0 : null;
    }
}
