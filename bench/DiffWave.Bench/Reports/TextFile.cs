using System.Text;
using DiffWave.Audio;

namespace DiffWave.Bench;

/// <summary>Text that is there whole or not at all.</summary>
internal static class TextFile
{
    /// <summary>Writes UTF-8 without a mark; an earlier file is replaced once the new one is complete.</summary>
    public static void Write(string path, string text)
    {
        byte[] bytes = new UTF8Encoding(false).GetBytes(text);
        AtomicFile.Write(path, stream => stream.Write(bytes));
    }
}
