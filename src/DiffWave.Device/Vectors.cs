using System.Runtime.InteropServices;

namespace DiffWave.Device;

/// <summary>Two floats, 8 bytes, aligned to as many.</summary>
[VectorAligned, StructLayout(LayoutKind.Sequential)]
public struct Float2(float x, float y)
{
    /// <summary>First in memory.</summary>
    public float X = x;

    /// <summary>Second in memory.</summary>
    public float Y = y;
}

/// <summary>Four floats, 16 bytes, aligned to as many.</summary>
[VectorAligned, StructLayout(LayoutKind.Sequential)]
public struct Float4(float x, float y, float z, float w)
{
    /// <summary>First in memory.</summary>
    public float X = x;

    /// <summary>Second in memory.</summary>
    public float Y = y;

    /// <summary>Third in memory.</summary>
    public float Z = z;

    /// <summary>Fourth in memory.</summary>
    public float W = w;
}

/// <summary>Two unsigned words, 8 bytes, aligned to as many.</summary>
[VectorAligned, StructLayout(LayoutKind.Sequential)]
public struct UInt2(uint x, uint y)
{
    /// <summary>First in memory.</summary>
    public uint X = x;

    /// <summary>Second in memory.</summary>
    public uint Y = y;
}

/// <summary>Four unsigned words, 16 bytes, aligned to as many.</summary>
[VectorAligned, StructLayout(LayoutKind.Sequential)]
public struct UInt4(uint x, uint y, uint z, uint w)
{
    /// <summary>First in memory.</summary>
    public uint X = x;

    /// <summary>Second in memory.</summary>
    public uint Y = y;

    /// <summary>Third in memory.</summary>
    public uint Z = z;

    /// <summary>Fourth in memory.</summary>
    public uint W = w;
}

/// <summary>Two integers, 8 bytes, aligned to as many.</summary>
[VectorAligned, StructLayout(LayoutKind.Sequential)]
public struct Int2(int x, int y)
{
    /// <summary>First in memory.</summary>
    public int X = x;

    /// <summary>Second in memory.</summary>
    public int Y = y;
}

/// <summary>Four integers, 16 bytes, aligned to as many.</summary>
[VectorAligned, StructLayout(LayoutKind.Sequential)]
public struct Int4(int x, int y, int z, int w)
{
    /// <summary>First in memory.</summary>
    public int X = x;

    /// <summary>Second in memory.</summary>
    public int Y = y;

    /// <summary>Third in memory.</summary>
    public int Z = z;

    /// <summary>Fourth in memory.</summary>
    public int W = w;
}
