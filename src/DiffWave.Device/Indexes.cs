namespace DiffWave.Device;

/// <summary>An index or extent along one axis.</summary>
/// <param name="X">The value.</param>
public readonly record struct Index1D(int X)
{
    /// <summary>Number of elements.</summary>
    public int Size => X;

    /// <summary>From an integer.</summary>
    public static implicit operator Index1D(int value) => new(value);

    /// <summary>To an integer.</summary>
    public static implicit operator int(Index1D index) => index.X;
}

/// <summary>A 64-bit index or extent along one axis.</summary>
/// <param name="X">The value.</param>
public readonly record struct LongIndex1D(long X)
{
    /// <summary>Number of elements.</summary>
    public long Size => X;

    /// <summary>From an integer.</summary>
    public static implicit operator LongIndex1D(long value) => new(value);

    /// <summary>To an integer.</summary>
    public static implicit operator long(LongIndex1D index) => index.X;
}

/// <summary>An index or extent in two dimensions, X the fastest.</summary>
/// <param name="X">Along x.</param>
/// <param name="Y">Along y.</param>
public readonly record struct Index2D(int X, int Y)
{
    /// <summary>Number of elements.</summary>
    public int Size => X * Y;
}

/// <summary>An index or extent in three dimensions, X the fastest.</summary>
/// <param name="X">Along x.</param>
/// <param name="Y">Along y.</param>
/// <param name="Z">Along z.</param>
public readonly record struct Index3D(int X, int Y, int Z)
{
    /// <summary>Number of elements.</summary>
    public int Size => X * Y * Z;
}
