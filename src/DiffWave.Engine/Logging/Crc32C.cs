using System.Buffers.Binary;
using System.Numerics;

namespace DiffWave.Engine;

/// <summary>The CRC-32C of iSCSI (RFC 3720, appendix B.4; polynomial 0x82F63B78, reflected).</summary>
internal static class Crc32C
{
    /// <summary>Checksum of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= 8; bytes = bytes[8..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
