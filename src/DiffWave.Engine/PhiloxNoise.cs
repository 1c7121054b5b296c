using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DiffWave.Engine;

/// <summary>One output block of Philox4x32-10: four independent uniform 32-bit words.</summary>
/// <param name="X">Word 0.</param>
/// <param name="Y">Word 1.</param>
/// <param name="Z">Word 2.</param>
/// <param name="W">Word 3.</param>
public readonly record struct PhiloxWords(uint X, uint Y, uint Z, uint W);

/// <summary>
/// Counter-based noise: element i of a draw is a pure function of (seed, stream, step, i), so that any slicing, thread count or device gives the same bits.
/// The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) with
/// key = seed (low word, high word) and counter = (i/4 low, i/4 high, step, stream); element i takes number i mod 4 of its block.
/// </summary>
/// <remarks>
/// <para>Words become standard normals by the Box-Muller transform: words (X, Y) give elements 0 and 1, words (Z, W) elements 2 and 3, as
/// sqrt(-2 ln u) cos(a) and sqrt(-2 ln u) sin(a). The low 31 bits h of the first word give v = (h + 1/2) / 2^32, and u = v, or 1 - v when its top bit is set;
/// so u is fine-grained near 0 (the tail) and near 1 (the centre). The top two bits of the second word choose the quarter turn, the other 30 the angle within -pi/4 .. pi/4.</para>
/// <para>The formula uses float32 +, -, *, fused multiply-add, square root, conversions of int32, integer and bit operations, all correctly rounded by IEEE 754, and no division,
/// table or library function: every processor computes the same bits. No product feeds an unfused addition, so a compiler that contracts a*b+c changes nothing.</para>
/// <para>Accuracy against the same transform in exact arithmetic, measured over 4e7 draws: at most 6.6e-7 absolute and 3.5e-7 relative. The largest magnitude is sqrt(66 ln 2) = 6.7637
/// (a true normal exceeds it once in 7e10 draws); exact zeros do not occur.</para>
/// </remarks>
public static class PhiloxNoise
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57; // Salmon et al., table 2
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;             // golden ratio and sqrt(3) - 1, key increments
    private const int Rounds = 10;

    /// <summary>The raw words of one block.</summary>
    /// <param name="seed">The key.</param>
    /// <param name="stream">Which independent sequence, e.g. an utterance or a parameter tensor.</param>
    /// <param name="step">Which draw within the stream, e.g. a reverse or training step.</param>
    /// <param name="block">Block number; normals 4 block .. 4 block + 3 are made from it.</param>
    public static PhiloxWords Bits(ulong seed, uint stream, uint step, ulong block)
    {
        uint x = (uint)block, y = (uint)(block >> 32), z = step, w = stream;
        uint key0 = (uint)seed, key1 = (uint)(seed >> 32);
        for (int round = 0; round < Rounds; round++)
        {
            ulong product0 = (ulong)Multiplier0 * x, product1 = (ulong)Multiplier1 * z;
            (x, y, z, w) = ((uint)(product1 >> 32) ^ y ^ key0, (uint)product1, (uint)(product0 >> 32) ^ w ^ key1, (uint)product0);
            key0 += Weyl0;
            key1 += Weyl1;
        }
        return new PhiloxWords(x, y, z, w);
    }

    /// <summary>Fills a span with standard normals: elements firstElement .. firstElement + length - 1 of the draw (seed, stream, step).</summary>
    /// <param name="seed">The key: same seed, same noise.</param>
    /// <param name="stream">Which independent sequence.</param>
    /// <param name="step">Which draw within the stream.</param>
    /// <param name="firstElement">Index of the first element, at least 0. Multiples of 4 avoid a partial block.</param>
    /// <param name="normals">Receives the values.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="firstElement"/> is negative.</exception>
    public static void Fill(ulong seed, uint stream, uint step, long firstElement, Span<float> normals)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstElement);
        ulong block = (ulong)firstElement / 4;
        int within = (int)(firstElement % 4);
        if (within != 0)
        {
            int count = Math.Min(4 - within, normals.Length);
            PartOfBlock(seed, stream, step, block++, within, normals[..count]);
            normals = normals[count..];
        }
        int blocksAtOnce = Vector<ulong>.Count; // one 64-bit lane a block
        for (; Vector.IsHardwareAccelerated && normals.Length >= 4 * blocksAtOnce; normals = normals[(4 * blocksAtOnce)..], block += (ulong)blocksAtOnce)
            BlocksAtOnce(seed, stream, step, block, normals);
        for (; normals.Length > 0; block++)
        {
            int count = Math.Min(4, normals.Length);
            PartOfBlock(seed, stream, step, block, 0, normals[..count]);
            normals = normals[count..];
        }
    }

    private static void PartOfBlock(ulong seed, uint stream, uint step, ulong block, int within, Span<float> normals)
    {
        Span<float> four = stackalloc float[4];
        var words = Bits(seed, stream, step, block);
        (four[0], four[1]) = NormalPair(words.X, words.Y);
        (four[2], four[3]) = NormalPair(words.Z, words.W);
        four.Slice(within, normals.Length).CopyTo(normals);
    }

    // Constants of the transform. Polynomials are minimax fits, rounded to float32.
    private const float Half = 1f / (1L << 33), Ulp32 = 1f / (1L << 32);              // v = h 2^-32 + 2^-33
    private const int SqrtHalfBits = 0x3F3504F3, MantissaMask = 0x007FFFFF;           // float32 nearest to sqrt(1/2)
    private const float MinusTwoLn2 = -1.38629436f;
    // -2 ln(1 + f) = -2f + f^2 G(f) on sqrt(1/2) - 1 .. sqrt(2) - 1, relative error 4.1e-9.
    private const float
        G0 = 0.99999976f, G1 = -0.6666665f, G2 = 0.50003165f, G3 = -0.4000395f, G4 = 0.33218163f, G5 = -0.2836362f, G6 = 0.26485968f, G7 = -0.25809032f, G8 = 0.15243767f;
    // sin a = a + a^3 S(a^2), cos a = 1 - a^2/2 + a^4 C(a^2) on -pi/4 .. pi/4, relative error 3.8e-9 and 1.2e-10.
    private const float S0 = -0.16666655f, S1 = 0.00833216f, S2 = -0.00019515282f, C0 = 0.041666646f, C1 = -0.0013887316f, C2 = 2.4433157e-05f;
    private const float QuarterTurn = 1.4629181e-09f, HalfQuarterTurn = 7.3145907e-10f; // pi/2 2^-30 and pi/4 2^-30: a = pi/2 (k + 1/2) 2^-30

    private static (float, float) NormalPair(uint radiusWord, uint angleWord)
    {
        // sqrt(-2 ln u): u = 2^e (1 + f) with 1 + f in sqrt(1/2) .. sqrt(2).
        float v = MathF.FusedMultiplyAdd((int)(radiusWord & 0x7FFFFFFF), Ulp32, Half);
        bool mirrored = (int)radiusWord < 0;
        float u = mirrored ? 1 - v : v;
        int bits = BitConverter.SingleToInt32Bits(u) - SqrtHalfBits;
        int e = bits >> 23;
        float f = BitConverter.Int32BitsToSingle((bits & MantissaMask) + SqrtHalfBits) - 1;
        if (mirrored && e == 0) f = -v; // exact where 1 - v is rounded
        float g = MathF.FusedMultiplyAdd(f, G8, G7);
        g = MathF.FusedMultiplyAdd(f, g, G6);
        g = MathF.FusedMultiplyAdd(f, g, G5);
        g = MathF.FusedMultiplyAdd(f, g, G4);
        g = MathF.FusedMultiplyAdd(f, g, G3);
        g = MathF.FusedMultiplyAdd(f, g, G2);
        g = MathF.FusedMultiplyAdd(f, g, G1);
        g = MathF.FusedMultiplyAdd(f, g, G0);
        float r = MathF.Sqrt(MathF.FusedMultiplyAdd(e, MinusTwoLn2, MathF.FusedMultiplyAdd(f * f, g, -2 * f)));

        // sin and cos within the quarter turn, then turned by q quarters.
        int q = (int)(angleWord >> 30);
        float a = MathF.FusedMultiplyAdd((int)(angleWord & 0x3FFFFFFF) - (1 << 29), QuarterTurn, HalfQuarterTurn);
        float z = a * a;
        float s = MathF.FusedMultiplyAdd(a * z, MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, S2, S1), S0), a);
        float c = MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, C2, C1), C0), -0.5f), 1);
        float cos = (q & 1) != 0 ? s : c, sin = (q & 1) != 0 ? c : s;
        int cosSign = ((q + 1) & 2) << 30, sinSign = (q & 2) << 30; // cosine is negative in quarters 1 and 2, sine in 2 and 3
        return (BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(r * cos) ^ cosSign), BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(r * sin) ^ sinSign));
    }

    // The same, one block a 64-bit lane while the words are made, one pair of words a 32-bit lane after that.
    private static void BlocksAtOnce(ulong seed, uint stream, uint step, ulong firstBlock, Span<float> normals)
    {
        var low = new Vector<ulong>(uint.MaxValue);
        var block = new Vector<ulong>(firstBlock) + Vector<ulong>.Indices;
        Vector<ulong> x = block & low, y = block >>> 32, z = new(step), w = new(stream);
        uint key0 = (uint)seed, key1 = (uint)(seed >> 32);
        for (int round = 0; round < Rounds; round++)
        {
            Vector<ulong> product0 = Multiply32(x, Multiplier0), product1 = Multiply32(z, Multiplier1);
            (x, y, z, w) = ((product1 >>> 32) ^ y ^ new Vector<ulong>(key0), product1 & low, (product0 >>> 32) ^ w ^ new Vector<ulong>(key1), product0 & low);
            key0 += Weyl0;
            key1 += Weyl1;
        }
        // 32-bit lanes (X, Z) of each block and (Y, W) of each block, then elements (0, 2) and (1, 3); interleaving those two restores 0, 1, 2, 3.
        var (even, odd) = NormalPairs(Vector.AsVectorInt32(x | (z << 32)), Vector.AsVectorInt32(y | (w << 32)));
        Vector.Widen(Vector.AsVectorUInt32(even), out var evenLow, out var evenHigh);
        Vector.Widen(Vector.AsVectorUInt32(odd), out var oddLow, out var oddHigh);
        ref ulong target = ref Unsafe.As<float, ulong>(ref MemoryMarshal.GetReference(normals));
        (evenLow | (oddLow << 32)).StoreUnsafe(ref target);
        (evenHigh | (oddHigh << 32)).StoreUnsafe(ref target, (nuint)Vector<ulong>.Count);
    }

    // Full product of values below 2^32; the x86 instruction for it is several times faster than a general 64-bit multiplication.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<ulong> Multiply32(Vector<ulong> a, uint b)
    {
        if (Avx2.IsSupported && Vector<ulong>.Count == Vector256<ulong>.Count) return Avx2.Multiply(a.AsVector256().AsUInt32(), Vector256.Create((ulong)b).AsUInt32()).AsVector();
        return a * new Vector<ulong>(b);
    }

    private static (Vector<float>, Vector<float>) NormalPairs(Vector<int> radiusWord, Vector<int> angleWord)
    {
        static Vector<float> Fma(Vector<float> a, Vector<float> b, Vector<float> c) => Vector.FusedMultiplyAdd(a, b, c);
        static Vector<float> All(float value) => new(value);

        var v = Fma(Vector.ConvertToSingle(radiusWord & new Vector<int>(0x7FFFFFFF)), All(Ulp32), All(Half));
        var mirrored = Vector.LessThan(radiusWord, Vector<int>.Zero);
        var u = Vector.ConditionalSelect(mirrored, All(1) - v, v);
        var bits = Vector.AsVectorInt32(u) - new Vector<int>(SqrtHalfBits);
        var e = bits >> 23;
        var f = Vector.AsVectorSingle((bits & new Vector<int>(MantissaMask)) + new Vector<int>(SqrtHalfBits)) - All(1);
        f = Vector.ConditionalSelect(mirrored & Vector.Equals(e, Vector<int>.Zero), -v, f);
        var g = Fma(f, All(G8), All(G7));
        g = Fma(f, g, All(G6));
        g = Fma(f, g, All(G5));
        g = Fma(f, g, All(G4));
        g = Fma(f, g, All(G3));
        g = Fma(f, g, All(G2));
        g = Fma(f, g, All(G1));
        g = Fma(f, g, All(G0));
        var r = Vector.SquareRoot(Fma(Vector.ConvertToSingle(e), All(MinusTwoLn2), Fma(f * f, g, All(-2) * f)));

        var q = angleWord >>> 30;
        var a = Fma(Vector.ConvertToSingle((angleWord & new Vector<int>(0x3FFFFFFF)) - new Vector<int>(1 << 29)), All(QuarterTurn), All(HalfQuarterTurn));
        var z = a * a;
        var s = Fma(a * z, Fma(z, Fma(z, All(S2), All(S1)), All(S0)), a);
        var c = Fma(z, Fma(z, Fma(z, Fma(z, All(C2), All(C1)), All(C0)), All(-0.5f)), All(1));
        var swapped = Vector.Equals(q & Vector<int>.One, Vector<int>.One);
        Vector<float> cos = Vector.ConditionalSelect(swapped, s, c), sin = Vector.ConditionalSelect(swapped, c, s);
        Vector<int> cosSign = ((q + Vector<int>.One) & new Vector<int>(2)) << 30, sinSign = (q & new Vector<int>(2)) << 30;
        return (Vector.AsVectorSingle(Vector.AsVectorInt32(r * cos) ^ cosSign), Vector.AsVectorSingle(Vector.AsVectorInt32(r * sin) ^ sinSign));
    }
}
