using System.Buffers.Binary;

namespace DiffWave.Engine;

/// <summary>The CRC-32 of zip (polynomial 0xEDB88320, reflected), eight bytes a step: table k holds the effect of a byte k places further on.</summary>
internal static class Crc32
{
    private static readonly uint[][] Tables = MakeTables();

    /// <summary>Continues a checksum; start with 0.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        uint[][] t = Tables;
        crc = ~crc;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            uint low = crc ^ BinaryPrimitives.ReadUInt32LittleEndian(bytes), high = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^ t[3][high & 255] ^ t[2][high >> 8 & 255] ^ t[1][high >> 16 & 255] ^ t[0][high >> 24];
        }
        foreach (byte b in bytes) crc = t[0][(crc ^ b) & 255] ^ crc >> 8;
        return ~crc;
    }

    private static uint[][] MakeTables()
    {
        var tables = new uint[8][];
        for (int k = 0; k < 8; k++)
        {
            tables[k] = new uint[256];
            for (uint i = 0; i < 256; i++)
            {
                uint value = k == 0 ? i : tables[k - 1][i];
                if (k == 0) for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? 0xEDB88320 ^ value >> 1 : value >> 1;
                else value = tables[0][value & 255] ^ value >> 8;
                tables[k][i] = value;
            }
        }
        return tables;
    }
}
