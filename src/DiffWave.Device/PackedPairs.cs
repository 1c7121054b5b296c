namespace DiffWave.Device;

/// <summary>A 16-bit floating-point number with the exponent range of float and 8 significant bits (bfloat16).</summary>
/// <param name="bits">Sign, 8 bits of exponent, 7 bits of fraction.</param>
public readonly struct BFloat16(ushort bits)
{
    /// <summary>The representation: the upper half of the float of the same value.</summary>
    public readonly ushort Bits = bits;

    /// <summary>The nearest number, ties to even; any NaN becomes 0x7FFF, as the device's own conversion gives it.</summary>
    public static explicit operator BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
        return new BFloat16((ushort)((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FFF : rounded));
    }

    /// <summary>The same value.</summary>
    public static implicit operator float(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value.Bits << 16);
}

/// <summary>Two half-precision numbers in one 32-bit word.</summary>
/// <param name="bits">First number in the low half.</param>
public readonly struct Half2(uint bits)
{
    /// <summary>The representation, first number in the low half.</summary>
    public readonly uint Bits = bits;

    /// <summary>From two numbers.</summary>
    public Half2(Half low, Half high) : this(BitConverter.HalfToUInt16Bits(low) | (uint)BitConverter.HalfToUInt16Bits(high) << 16) { }

    /// <summary>The nearest numbers, ties to even. On sm_80 and later <see cref="Ptx.CvtRnF16x2"/> does it in one instruction.</summary>
    public Half2(float low, float high) : this((Half)low, (Half)high) { }

    /// <summary>First number.</summary>
    public Half Low => BitConverter.UInt16BitsToHalf((ushort)Bits);

    /// <summary>Second number.</summary>
    public Half High => BitConverter.UInt16BitsToHalf((ushort)(Bits >> 16));

    /// <summary>Both as floats.</summary>
    public Float2 ToFloat2() => new((float)Low, (float)High);
}

/// <summary>Two <see cref="BFloat16"/> in one 32-bit word.</summary>
/// <param name="bits">First number in the low half.</param>
public readonly struct BFloat162(uint bits)
{
    /// <summary>The representation, first number in the low half.</summary>
    public readonly uint Bits = bits;

    /// <summary>From two numbers.</summary>
    public BFloat162(BFloat16 low, BFloat16 high) : this(low.Bits | (uint)high.Bits << 16) { }

    /// <summary>The nearest numbers, ties to even. On sm_80 and later <see cref="Ptx.CvtRnBf16x2"/> does it in one instruction.</summary>
    public BFloat162(float low, float high) : this((BFloat16)low, (BFloat16)high) { }

    /// <summary>First number.</summary>
    public BFloat16 Low => new((ushort)Bits);

    /// <summary>Second number.</summary>
    public BFloat16 High => new((ushort)(Bits >> 16));

    /// <summary>Both as floats.</summary>
    public Float2 ToFloat2() => new(BitConverter.UInt32BitsToSingle(Bits << 16), BitConverter.UInt32BitsToSingle(Bits & 0xFFFF0000));
}
