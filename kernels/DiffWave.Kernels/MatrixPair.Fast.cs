namespace DiffWave.Kernels;

/// <summary>Operands of 16 bits, two in a word of a register.</summary>
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

public readonly partial struct F16 : IMatrixPair<Half>
{
    /// <inheritdoc/>
    public static uint Pack(float low, float high) => Ptx.CvtRnF16x2(low, high).Bits;

    /// <inheritdoc/>
    public static Float2 Unpack(uint pair) => new Half2(pair).ToFloat2();
}

public readonly partial struct BF16 : IMatrixPair<BFloat16>
{
    /// <inheritdoc/>
    public static uint Pack(float low, float high) => Ptx.CvtRnBf16x2(low, high).Bits;

    /// <inheritdoc/>
    public static Float2 Unpack(uint pair) => new BFloat162(pair).ToFloat2();
}
