namespace DiffWave.Compiler.Tests;

/// <summary>Inputs: the values where arithmetic is delicate first, then random ones.</summary>
internal static class Data
{
    /// <summary>Elements of the arrays of a run: fewer than its threads.</summary>
    public const int Length = 80;

    private static readonly int[] IntEdges = [0, 1, -1, 2, -2, 7, -7, 31, 32, 33, 127, 128, -128, 255, 256, 32767, -32768, 65535, 65536, int.MaxValue, int.MinValue, int.MinValue + 1];

    private static readonly float[] FloatEdges =
    [
        0, -0f, 1, -1, 0.5f, -0.5f, 1.5f, -1.5f, 2.5f, 127.5f, -128.5f, 255.9f, 32767.5f, 65536, 2147483648, -2147483648, 2147483520, 4294967296, 1e10f, -1e10f, 9.223372e18f, -9.223372e18f, 1.8446744e19f,
        float.Epsilon, -float.Epsilon, 1.17549435e-38f, 1.1754942e-38f, float.MaxValue, float.MinValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 16777217, 0.33333334f,
    ];

    /// <summary>Integers.</summary>
    public static int[] Ints(int seed, int length = Length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(i => random.Next(2) == 0 && i > 0 ? (int)random.NextInt64() : IntEdges[(i + seed * 7) % IntEdges.Length])];
    }

    /// <summary>Small integers from <paramref name="from"/> up to but not including <paramref name="to"/>.</summary>
    public static int[] Range(int seed, int from, int to, int length = Length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(from, to))];
    }

    /// <summary>64-bit integers.</summary>
    public static long[] Longs(int seed, int length = Length)
    {
        var random = new Random(seed);
        int[] low = Ints(seed, length);
        return [.. low.Select((value, i) => (i % 5) switch
        {
            0 => value, 1 => (long)value << 32, 2 => long.MaxValue - (uint)value, 3 => long.MinValue + (uint)value, _ => random.NextInt64(long.MinValue, long.MaxValue),
        })];
    }

    /// <summary>Floats of all kinds.</summary>
    public static float[] Floats(int seed, int length = Length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(i => random.Next(3) switch
        {
            0 => (float)(random.NextDouble() * 20 - 10),
            1 => BitConverter.Int32BitsToSingle((int)random.NextInt64()),
            _ => FloatEdges[(i + seed * 11) % FloatEdges.Length],
        })];
    }

    /// <summary>Doubles of all kinds.</summary>
    public static double[] Doubles(int seed, int length = Length)
    {
        var random = new Random(seed);
        float[] single = Floats(seed, length);
        return [.. single.Select((value, i) => (i % 4) switch
        {
            0 => value, 1 => value * 1.0000000001, 2 => BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue)), _ => random.NextDouble() * 200 - 100,
        })];
    }
}
