namespace DiffWave.Emulator.Syntax;

/// <summary>Reads PTX text and checks it as ptxas would.</summary>
public static class PtxParser
{
    /// <summary>Reads a module.</summary>
    /// <param name="text">PTX.</param>
    /// <exception cref="PtxException">The text is wrong, or beyond the emulator.</exception>
    public static PtxModule Parse(string text) => new ModuleReader(new TokenReader(text)).Read();
}
