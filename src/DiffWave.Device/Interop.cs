namespace DiffWave.Device;

/// <summary>Sizes and representations.</summary>
public static class Interop
{
    /// <summary>Bytes of a value.</summary>
    /// <typeparam name="T">Its type.</typeparam>
    public static unsafe int SizeOf<T>() where T : unmanaged => sizeof(T);

    /// <summary>The bits of a number.</summary>
    public static uint FloatAsInt(float value) => BitConverter.SingleToUInt32Bits(value);

    /// <summary>The bits of a number.</summary>
    public static ulong FloatAsInt(double value) => BitConverter.DoubleToUInt64Bits(value);

    /// <summary>The bits of a number.</summary>
    public static ushort FloatAsInt(Half value) => BitConverter.HalfToUInt16Bits(value);

    /// <summary>The number of these bits.</summary>
    public static float IntAsFloat(uint value) => BitConverter.UInt32BitsToSingle(value);

    /// <summary>The number of these bits.</summary>
    public static double IntAsFloat(ulong value) => BitConverter.UInt64BitsToDouble(value);

    /// <summary>The number of these bits.</summary>
    public static Half IntAsFloat(ushort value) => BitConverter.UInt16BitsToHalf(value);
}
