namespace DiffWave.Device;

public static partial class XMath
{
    /// <summary>Sine. Up to 1.2 ulp for every finite argument; beyond 100000 in size the argument is reduced by a slower way. NaN at infinity.</summary>
    [NoContraction]
    public static float Sin(float x)
    {
        float r = ReduceAngle(x, out int quadrant, out float rest);
        return x == 0 ? x : SinOrCos(r, rest, quadrant);
    }

    /// <summary>Cosine. Up to 1.2 ulp for every finite argument; beyond 100000 in size the argument is reduced by a slower way. NaN at infinity.</summary>
    [NoContraction]
    public static float Cos(float x)
    {
        float r = ReduceAngle(x, out int quadrant, out float rest);
        return SinOrCos(r, rest, quadrant + 1);
    }

    /// <summary>Sine and cosine, the same bits as <see cref="Sin"/> and <see cref="Cos"/>.</summary>
    [NoContraction]
    public static void SinCos(float x, out float sin, out float cos)
    {
        float r = ReduceAngle(x, out int quadrant, out float rest);
        sin = x == 0 ? x : SinOrCos(r, rest, quadrant);
        cos = SinOrCos(r, rest, quadrant + 1);
    }

    /// <summary>Tangent. Up to 3 ulp for every finite argument; NaN at infinity.</summary>
    [NoContraction]
    public static float Tan(float x)
    {
        float r = ReduceAngle(x, out int quadrant, out float rest), sin = SinOfReduced(r, rest), cos = CosOfReduced(r, rest);
        return x == 0 ? x : (quadrant & 1) != 0 ? -cos / sin : sin / cos;
    }

    // Sine, or for an odd quadrant cosine, with the quadrant's sign.
    [NoContraction]
    private static float SinOrCos(float r, float rest, int quadrant)
    {
        float value = (quadrant & 1) != 0 ? CosOfReduced(r, rest) : SinOfReduced(r, rest);
        return (quadrant & 2) != 0 ? -value : value;
    }

    [NoContraction]
    private static float SinOfReduced(float r, float rest)
    {
        float s = r * r, p = 2.71837052e-06f;
        p = MathF.FusedMultiplyAdd(p, s, -0.00019839342f);
        p = MathF.FusedMultiplyAdd(p, s, 0.00833332911f);
        p = MathF.FusedMultiplyAdd(p, s, -0.166666672f);
        return r + MathF.FusedMultiplyAdd(r * s, p, rest);
    }

    [NoContraction]
    private static float CosOfReduced(float r, float rest)
    {
        float s = r * r, p = 2.44396724e-05f;
        p = MathF.FusedMultiplyAdd(p, s, -0.00138873805f);
        p = MathF.FusedMultiplyAdd(p, s, 0.0416666456f);
        p = MathF.FusedMultiplyAdd(p, s, -0.5f);
        return 1 + MathF.FusedMultiplyAdd(p, s, -r * rest);
    }

    // x = quadrant * pi / 2 + result + rest, the result within about +-pi / 4 and the rest below its last place; of the quadrant only the lowest two bits count.
    [NoContraction]
    private static float ReduceAngle(float x, out int quadrant, out float rest)
    {
        if (MathF.Abs(x) > 100000) return ReduceLargeAngle(x, out quadrant, out rest);
        float shifted = MathF.FusedMultiplyAdd(x, 0.636619747f, Rounder), k = shifted - Rounder;
        quadrant = BitConverter.SingleToInt32Bits(shifted);
        // pi / 2 in three parts, the first of 20 bits so that its difference is exact; what the second product and its difference lose goes into the rest.
        float first = MathF.FusedMultiplyAdd(k, -1.570795059f, x), product = k * 1.26759e-06f, lost = MathF.FusedMultiplyAdd(k, 1.26759e-06f, -product);
        float r = first - product;
        rest = first - r - product - MathF.FusedMultiplyAdd(k, 7.443548e-13f, lost);
        return r;
    }

    // The 24 bits of x times 96 bits of 2 / pi, chosen so that the product's upper two bits are the quadrant: what stands further up is a multiple of the whole circle.
    [NoContraction]
    private static float ReduceLargeAngle(float x, out int quadrant, out float rest)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x), mantissa = (bits & 0x7FFFFF) | 0x800000;
        int start = (int)(bits >> 23 & 0xFF) - 120, word = start >> 5, shift = 32 - (start & 31);
        uint w0 = TwoOverPi(word), w1 = TwoOverPi(word + 1), w2 = TwoOverPi(word + 2), w3 = TwoOverPi(word + 3);
        uint high = (uint)(((ulong)w0 << 32 | w1) >> shift), middle = (uint)(((ulong)w1 << 32 | w2) >> shift), low = (uint)(((ulong)w2 << 32 | w3) >> shift);
        ulong sum = (ulong)mantissa * low;
        low = (uint)sum;
        sum = (ulong)mantissa * middle + (sum >> 32);
        middle = (uint)sum;
        high = mantissa * high + (uint)(sum >> 32);
        // The fraction of a quadrant in units of 2^-64, as a signed number: from half a quadrant on it counts back from the next.
        ulong fraction = ((ulong)high << 32 | middle) << 2 | low >> 30;
        int turns = (int)(high >> 30) + (int)(fraction >> 63);
        quadrant = x < 0 ? -turns : turns;
        float head = (float)(long)fraction, tail = (float)((long)fraction - (long)head);
        float size = head * 8.515304e-20f;
        rest = MathF.FusedMultiplyAdd(head, 8.515304e-20f, -size) + MathF.FusedMultiplyAdd(head, -2.3695991e-27f, tail * 8.515304e-20f);
        if (x < 0) rest = -rest;
        return IsFinite(x) ? (x < 0 ? -size : size) : float.NaN;
    }

    // 32 bits of 2 / pi: word 1 holds the first behind the point.
    private static uint TwoOverPi(int word) => word switch
    {
        0 => 0,
        1 => 0xA2F9836E,
        2 => 0x4E441529,
        3 => 0xFC2757D1,
        4 => 0xF534DDC0,
        5 => 0xDB629599,
        6 => 0x3C439041,
        _ => 0xFE5163AB,
    };
}
