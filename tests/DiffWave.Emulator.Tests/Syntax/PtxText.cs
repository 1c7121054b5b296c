using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Tests.Syntax;

/// <summary>Texts for the parser's tests.</summary>
internal static class PtxText
{
    private const string Header = ".version 7.8\n.target sm_90\n.address_size 64\n";

    public static string Fixture(string name) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Fixtures", "ptx", name)).ReplaceLineEndings("\n");

    public static IEnumerable<string> Lines(string name) => Fixture(name).Split('\n').Where(line => line.Length > 0);

    public static string Module(string body) => Header + body;

    /// <summary>A kernel without parameters around a body that begins on line 5.</summary>
    public static string Kernel(string body) => $"{Header}.entry k() {{\n{body}\n}}\n";

    /// <summary>Why a text is refused, or null.</summary>
    public static PtxException? Refusal(string text)
    {
        try
        {
            PtxParser.Parse(text);
            return null;
        }
        catch (PtxException refusal)
        {
            return refusal;
        }
    }
}
