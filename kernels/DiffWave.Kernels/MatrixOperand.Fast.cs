namespace DiffWave.Kernels;

/// <summary>What tensor cores multiply: how numbers are stored and rounded, and the product itself. The sums are float32.</summary>
/// <typeparam name="T">Element type in memory, 2 or 4 bytes.</typeparam>
public interface IMatrixOperand<T> where T : unmanaged
{
    /// <summary>Inner dimension of a product, 16 or 8: a lane's part of a column of B is Depth / 4 values.</summary>
    static abstract int Depth { get; }

    /// <summary>Significant bits of an operand.</summary>
    static abstract int Precision { get; }

    /// <summary>C + A B of a warp: 16 x Depth by Depth x 8.</summary>
    /// <param name="a">This lane's part of A.</param>
    /// <param name="b">This lane's part of B.</param>
    /// <param name="c">This lane's part of C.</param>
    static abstract Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c);

    /// <summary>The nearest number of this precision; what is too large becomes infinity, and NaN stays NaN.</summary>
    /// <param name="value">Any number.</param>
    static abstract T Round(float value);

    /// <summary>A stored number as float, exactly.</summary>
    /// <param name="value">Any number.</param>
    static abstract float Widen(T value);

    /// <summary>The representation of <see cref="Round"/>, in the low bits.</summary>
    /// <param name="value">Any number.</param>
    static abstract uint Bits(float value);
}

/// <summary>Operands of 16 bits, two in a word.</summary>
/// <typeparam name="T">Element type, 16 bits.</typeparam>
public interface IMatrixPair<T> : IMatrixOperand<T> where T : unmanaged
{
    /// <summary>Two numbers rounded to the nearest, ties to even.</summary>
    /// <param name="low">First in memory.</param>
    /// <param name="high">Second in memory.</param>
    static abstract uint Pack(float low, float high);

    /// <summary>The numbers of a word.</summary>
    /// <param name="pair">From <see cref="Pack"/>.</param>
    static abstract Float2 Unpack(uint pair);
}

/// <summary>IEEE half precision: 11 bits, up to 65504.</summary>
public readonly partial struct F16 : IMatrixPair<Half>
{
    /// <inheritdoc/>
    public static int Depth => 16;

    /// <inheritdoc/>
    public static int Precision => 11;

    /// <inheritdoc/>
    public static Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c) => Ptx.MmaM16N8K16F16(a, b, c);

    /// <inheritdoc/>
    public static Half Round(float value) => (Half)value;

    /// <inheritdoc/>
    public static float Widen(Half value) => (float)value;

    /// <inheritdoc/>
    public static uint Bits(float value) => BitConverter.HalfToUInt16Bits((Half)value);

    /// <inheritdoc/>
    public static uint Pack(float low, float high) => Ptx.CvtRnF16x2(low, high).Bits;

    /// <inheritdoc/>
    public static Float2 Unpack(uint pair) => new Half2(pair).ToFloat2();
}

/// <summary>The upper half of float32: 8 bits, its whole range.</summary>
public readonly partial struct BF16 : IMatrixPair<BFloat16>
{
    /// <inheritdoc/>
    public static int Depth => 16;

    /// <inheritdoc/>
    public static int Precision => 8;

    /// <inheritdoc/>
    public static Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c) => Ptx.MmaM16N8K16BF16(a, b, c);

    /// <inheritdoc/>
    public static BFloat16 Round(float value) => Ptx.CvtRnBf16(value);

    /// <inheritdoc/>
    public static float Widen(BFloat16 value) => value;

    /// <inheritdoc/>
    public static uint Bits(float value) => Ptx.CvtRnBf16(value).Bits;

    /// <inheritdoc/>
    public static uint Pack(float low, float high) => Ptx.CvtRnBf16x2(low, high).Bits;

    /// <inheritdoc/>
    public static Float2 Unpack(uint pair) => new BFloat162(pair).ToFloat2();
}

/// <summary>float32 in memory, of which 11 bits are multiplied: rounded when it becomes an operand, ties away from zero.</summary>
public readonly partial struct TF32 : IMatrixOperand<float>
{
    /// <inheritdoc/>
    public static int Depth => 8;

    /// <inheritdoc/>
    public static int Precision => 11;

    /// <inheritdoc/>
    public static Float4 MultiplyAdd(UInt4 a, UInt2 b, Float4 c) => Ptx.MmaM16N8K8TF32(a, b, c);

    /// <inheritdoc/>
    public static float Round(float value) => BitConverter.UInt32BitsToSingle(Ptx.CvtRnaTf32(value));

    /// <inheritdoc/>
    public static float Widen(float value) => value;

    /// <inheritdoc/>
    public static uint Bits(float value) => Ptx.CvtRnaTf32(value);
}
