namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Operands of tests: every pair or triple of a list of edges, and random bit patterns. Always the same.</summary>
internal static class Numbers
{
    public static readonly uint[] EdgeWords = [0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x00FFFFFF, 0x01000001, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFF8000, 0xFFFFFFFE, 0xFFFFFFFF];

    public static readonly uint[] EdgeSingles =
    [
        0, 1, 2, 0x000FFFFF, 0x007FFFFF, 0x00800000, 0x00800001, 0x0C800000, 0x33800000, 0x34000000, 0x3F000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3FC00000, 0x40000000, 0x4B000001,
        0x4B7FFFFF, 0x7E800000, 0x7F000000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x7F800001, 0x80000000, 0x80000001, 0x807FFFFF, 0x80800000, 0xB3800000, 0xBF7FFFFF, 0xBF800000, 0xBF800001,
        0xC0400000, 0xFF7FFFFF, 0xFF800000, 0xFFC00001,
    ];

    public static readonly ulong[] EdgeDoubles =
    [
        0, 1, 0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x0010000000000001, 0x2000000000000000, 0x3CA0000000000000, 0x3FE0000000000000, 0x3FEFFFFFFFFFFFFF, 0x3FF0000000000000, 0x3FF0000000000001,
        0x3FF8000000000000, 0x4000000000000000, 0x4340000000000001, 0x7FE0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF8000000000000, 0x8000000000000000, 0x8000000000000001,
        0x8010000000000000, 0xBCA0000000000000, 0xBFF0000000000000, 0xBFEFFFFFFFFFFFFF, 0xC008000000000000, 0xFFEFFFFFFFFFFFFF, 0xFFF0000000000000,
    ];

    public static readonly ushort[] EdgeHalves =
    [
        0, 1, 2, 0x03FF, 0x0400, 0x0401, 0x1400, 0x3800, 0x3BFF, 0x3C00, 0x3C01, 0x3E00, 0x4000, 0x6401, 0x7BFE, 0x7BFF, 0x7C00, 0x7C01, 0x7E00, 0x7F7F, 0x7F80, 0x7FC0, 0x007F, 0x0080, 0x3F80, 0x3F81,
        0x8000, 0x8001, 0x83FF, 0x8400, 0xBBFF, 0xBC00, 0xBC01, 0xC200, 0xFBFF, 0xFC00, 0xFE00, 0xFF80, 0x8080, 0xBF80,
    ];

    public static float[] Singles(this IEnumerable<uint> bits) => [.. bits.Select(BitConverter.UInt32BitsToSingle)];

    public static double[] Doubles(this IEnumerable<ulong> bits) => [.. bits.Select(BitConverter.UInt64BitsToDouble)];

    /// <summary>All pairs of the edges, then random ones.</summary>
    public static (T[] A, T[] B) Pairs<T>(T[] edges, Func<Random, T> random, int count)
    {
        var generator = new Random(1);
        (T A, T B)[] pairs = [.. edges.SelectMany(a => edges.Select(b => (a, b))), .. Enumerable.Range(0, count).Select(_ => (random(generator), random(generator)))];
        return ([.. pairs.Select(p => p.A)], [.. pairs.Select(p => p.B)]);
    }

    /// <summary>Every pair of the edges with one edge after the other as third, then random ones.</summary>
    public static (T[] A, T[] B, T[] C) Triples<T>(T[] edges, Func<Random, T> random, int count)
    {
        var (a, b) = Pairs(edges, random, count);
        var generator = new Random(2);
        return (a, b, [.. a.Select((_, i) => i < edges.Length * edges.Length ? edges[(i * 7 + i / edges.Length) % edges.Length] : random(generator))]);
    }

    public static uint Word(Random random) => (uint)random.NextInt64(1L << 32) >> random.Next(32);

    public static ulong LongWord(Random random) => (ulong)random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64);

    public static ushort ShortWord(Random random) => (ushort)(random.Next(1 << 16) >> random.Next(16));

    /// <summary>Any f32, half of them near 1 so that sums meet.</summary>
    public static uint Single(Random random) => random.Next(2) == 0 ? (uint)random.NextInt64(1L << 32) : (uint)random.Next(1 << 23) | (uint)random.Next(0x3F800000 - (12 << 23) >> 23, 0x3F800000 + (12 << 23) >> 23) << 23 | (uint)random.Next(2) << 31;

    /// <summary>Any f64, half of them near 1.</summary>
    public static ulong Double(Random random)
    {
        ulong bits = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        return random.Next(2) == 0 ? bits : bits & 0x800FFFFFFFFFFFFF | (ulong)random.Next(1023 - 30, 1023 + 30) << 52;
    }

    public static ushort Half(Random random) => (ushort)random.Next(1 << 16);
}
