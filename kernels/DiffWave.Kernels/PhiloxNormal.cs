// Standard normals by counter: element i of a draw is a function of (seed, stream, step, i) alone
//
//   normals[b, t] = Normal(seed, stream + b streamStride, step, origin + first + b firstStride + t)            normals: B x T
//
// Philox4x32-10 (Salmon et al., SC 2011) with key = seed and counter = (i / 4, step, stream) makes four words, Box-Muller makes four normals of them. The transform is made of
// float32 +, -, *, fused multiply-add, square root and integer operations alone, all exactly rounded: CPU, emulator and GPU draw the same bits, however the work is cut.
// Seed and origin are read from device memory, so that a recorded launch draws other noise when it is replayed. A sampler gives each item its stream (streamStride 1, firstStride 0),
// training each crop its part of one stream (streamStride 0, firstStride T).
//
// v1  one thread a block of four normals, four stores
// v2  a grid-stride loop, the four normals in one 128-bit store where an item of the buffer allows it
namespace DiffWave.Kernels;

/// <summary>Standard normals by counter: <c>normals[b, t] = Normal(seed, stream + b streamStride, step, origin + first + b firstStride + t)</c>, bit-identical on every device.</summary>
public static partial class PhiloxNormal
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57; // Salmon et al., table 2
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;             // golden ratio and sqrt(3) - 1, key increments
    private const int Rounds = 10;

    /// <summary>The words of one counter.</summary>
    /// <param name="X">Word 0, radius of normals 0 and 1.</param>
    /// <param name="Y">Word 1, their angle.</param>
    /// <param name="Z">Word 2, radius of normals 2 and 3.</param>
    /// <param name="W">Word 3, their angle.</param>
    private record struct Words(uint X, uint Y, uint Z, uint W);

    /// <summary>The transform in exact mathematics, as near as float64 comes to it.</summary>
    /// <param name="seed">Key.</param>
    /// <param name="stream">Which independent sequence.</param>
    /// <param name="step">Which draw of the sequence.</param>
    /// <param name="first">Number of the first element.</param>
    /// <param name="normals">Receives the elements from <paramref name="first"/> on.</param>
    public static void Reference(ulong seed, uint stream, uint step, long first, Span<double> normals)
    {
        for (int j = 0; j < normals.Length; j++)
        {
            long i = first + j;
            Words words = Philox(seed, stream, step, i / 4);
            (uint radius, uint angle) = i % 4 < 2 ? (words.X, words.Y) : (words.Z, words.W);
            double v = ((radius & 0x7FFFFFFF) + 0.5) / 4294967296.0;
            double minusTwoLn = radius >> 31 == 0 ? -2 * Math.Log(v) : 2 * MinusLnOneMinus(v); // of v, or of 1 - v
            double turn = Math.PI / 2 * ((angle >> 30) + ((angle & 0x3FFFFFFF) + 0.5) / (1 << 30) - 0.5);
            normals[j] = Math.Sqrt(minusTwoLn) * (i % 2 == 0 ? Math.Cos(turn) : Math.Sin(turn));
        }

        // -ln(1 - v) without losing digits of a small v.
        static double MinusLnOneMinus(double v) => 2 * Math.Atanh(v / (2 - v));
    }

    /// <summary>Version 1. Grid: x over tiles of 1024 numbers of an item, counted from the multiple of four at or before its first; y over items.</summary>
    /// <param name="normals">Receives [B, T, 1].</param>
    /// <param name="rows">T, at most 2^30.</param>
    /// <param name="seed">Key in the first element, origin in the second, below 2^63.</param>
    /// <param name="stream">Independent sequence of item 0.</param>
    /// <param name="streamStride">What the stream grows by from item to item.</param>
    /// <param name="step">Which draw of the sequence.</param>
    /// <param name="first">Number of the first element of item 0, at least 0.</param>
    /// <param name="firstStride">What it grows by from item to item.</param>
    [Kernel("philox_normal_v1", BlockX = 256)]
    public static void FillV1(Rows<float> normals, int rows, ArrayView<ulong> seed, uint stream, uint streamStride, uint step, long first, long firstStride)
    {
        int item = Grid.IdxY;
        long start = (long)seed[1] + first + item * firstStride, block = start / 4 + Grid.GlobalIndex.X;
        int row = (int)(4 * block - start);
        Words words = Philox(seed[0], stream + (uint)item * streamStride, step, block);
        Store(normals.Run(item, rows), row, words);
    }

    // The first and the last block of a draw may stick out of it.
    private static void Store(ArrayView<float> normals, int row, Words words)
    {
        Pair(words.X, words.Y, out float normal0, out float normal1);
        Pair(words.Z, words.W, out float normal2, out float normal3);
        Store(normals, row, normal0);
        Store(normals, row + 1, normal1);
        Store(normals, row + 2, normal2);
        Store(normals, row + 3, normal3);
    }

    private static void Store(ArrayView<float> normals, int row, float normal)
    {
        if (row >= 0 && row < normals.IntLength) normals[row] = normal;
    }

    private static Words Philox(ulong seed, uint stream, uint step, long block)
    {
        uint x = (uint)block, y = (uint)(block >> 32), z = step, w = stream, key0 = (uint)seed, key1 = (uint)(seed >> 32);
        for (int round = 0; round < Rounds; round++)
        {
            ulong product0 = (ulong)Multiplier0 * x, product1 = (ulong)Multiplier1 * z;
            x = (uint)(product1 >> 32) ^ y ^ key0;
            y = (uint)product1;
            z = (uint)(product0 >> 32) ^ w ^ key1;
            w = (uint)product0;
            key0 += Weyl0;
            key1 += Weyl1;
        }
        return new Words(x, y, z, w);
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

    // sqrt(-2 ln u) cos(angle) and sqrt(-2 ln u) sin(angle). The low 31 bits of radiusWord give v, its top bit says whether u is v or 1 - v.
    private static void Pair(uint radiusWord, uint angleWord, out float cosine, out float sine)
    {
        // u = 2^e (1 + f) with 1 + f in sqrt(1/2) .. sqrt(2).
        float v = MathF.FusedMultiplyAdd((int)(radiusWord & 0x7FFFFFFF), Ulp32, Half);
        bool mirrored = (int)radiusWord < 0;
        float u = mirrored ? 1 - v : v;
        int bits = (int)Interop.FloatAsInt(u) - SqrtHalfBits;
        int e = bits >> 23;
        float f = Interop.IntAsFloat((uint)((bits & MantissaMask) + SqrtHalfBits)) - 1;
        if (mirrored && e == 0) f = -v; // exact where 1 - v is rounded
        float g = MathF.FusedMultiplyAdd(f, G8, G7);
        g = MathF.FusedMultiplyAdd(f, g, G6);
        g = MathF.FusedMultiplyAdd(f, g, G5);
        g = MathF.FusedMultiplyAdd(f, g, G4);
        g = MathF.FusedMultiplyAdd(f, g, G3);
        g = MathF.FusedMultiplyAdd(f, g, G2);
        g = MathF.FusedMultiplyAdd(f, g, G1);
        g = MathF.FusedMultiplyAdd(f, g, G0);
        float r = XMath.Sqrt(MathF.FusedMultiplyAdd(e, MinusTwoLn2, MathF.FusedMultiplyAdd(f * f, g, -2 * f)));

        // sin and cos within the quarter turn, then turned by the top two bits.
        int quarter = (int)(angleWord >> 30);
        float a = MathF.FusedMultiplyAdd((int)(angleWord & 0x3FFFFFFF) - (1 << 29), QuarterTurn, HalfQuarterTurn);
        float z = a * a;
        float s = MathF.FusedMultiplyAdd(a * z, MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, S2, S1), S0), a);
        float c = MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, MathF.FusedMultiplyAdd(z, C2, C1), C0), -0.5f), 1);
        bool swapped = (quarter & 1) != 0;
        float cos = swapped ? s : c, sin = swapped ? c : s;
        cosine = r * ((quarter + 1 & 2) != 0 ? -cos : cos); // negative in quarters 1 and 2
        sine = r * ((quarter & 2) != 0 ? -sin : sin);       // negative in quarters 2 and 3
    }

    /// <summary>Integer work is not counted; the transform of a pair has 40 floating-point operations. The normals are written.</summary>
    /// <param name="n">Elements.</param>
    public static Cost FillCost(long n) => new(20 * n, sizeof(float) * n);
}
