using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>Decides which clips are held out for validation. No seed takes part, and no other clip: runs with different seeds, or on grown data, stay comparable.</summary>
internal static class HeldOutClips
{
    /// <summary>Chooses by a hash of each name, see <see cref="DatasetOptions.ValidationFraction"/>.</summary>
    /// <returns>For each name, whether it is held out.</returns>
    public static bool[] Choose(IReadOnlyList<string> names, double fraction)
    {
        uint[] hashes = [.. names.Select(Hash)];
        bool[] held = [.. hashes.Select(hash => hash < fraction * (1L << 32))];
        if (fraction == 0 || names.Count < 2) return new bool[names.Count];
        if (!held.Contains(true)) held[Array.IndexOf(hashes, hashes.Min())] = true;
        if (!held.Contains(false)) held[Array.IndexOf(hashes, hashes.Max())] = false;
        return held;
    }

    /// <summary>The files a list names, a name a line.</summary>
    /// <exception cref="InputFileException">A line names no file, or several.</exception>
    public static HashSet<ClipFile> Read(string path, ClipNames names)
    {
        using var text = new DelimitedText(path);
        return [.. text.Records(DelimitedText.None, quotes: false).Select(record =>
            names.Find(record.Fields[0].Trim(), path, record.Line) ?? throw new InputFileException(path, $"line {record.Line}: '{record.Fields[0].Trim()}' is no clip of this data set"))];
    }

    // The first 32 bits of SHA-256, little-endian.
    private static uint Hash(string name) => BinaryPrimitives.ReadUInt32LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(name)));
}
