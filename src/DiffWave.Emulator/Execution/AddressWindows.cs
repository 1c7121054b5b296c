namespace DiffWave.Emulator.Execution;

/// <summary>Where generic addresses show the state spaces, 4 GiB each. All other generic addresses are global ones.</summary>
internal static class AddressWindows
{
    public const ulong Shared = 0x7E00_0000_0000, Local = 0x7D00_0000_0000, Parameter = 0x7C00_0000_0000;

    /// <summary>The window an address is in, without its low 32 bits; 0 for global addresses.</summary>
    public static ulong Of(ulong address) => (address & ~0xFFFF_FFFFul) is var window && window is Shared or Local or Parameter ? window : 0;
}
