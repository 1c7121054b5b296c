using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Tests.Instructions;

/// <summary>Matrix products against f64, with the fragments laid out by the ISA's formulas.</summary>
public class MatrixTests
{
    private const int Lanes = 32, Rows = 16, Columns = 8;

    /// <summary>Types of D, A and B, and C, and the inner length.</summary>
    public static TheoryData<string, string, string, int> Products => new()
    {
        { "f32", "f16", "f32", 16 }, { "f16", "f16", "f16", 16 }, { "f32", "bf16", "f32", 16 }, { "f32", "f16", "f32", 8 }, { "f16", "f16", "f16", 8 }, { "f32", "bf16", "f32", 8 },
        { "f32", "tf32", "f32", 8 }, { "f32", "tf32", "f32", 4 },
    };

    [Theory, MemberData(nameof(Products))]
    public void SmallIntegersGiveExactProducts(string typeD, string type, string typeC, int inner)
    {
        var random = new Random(7);
        double[,] a = Fill(Rows, inner, () => random.Next(-8, 9)), b = Fill(inner, Columns, () => random.Next(-8, 9)), c = Fill(Rows, Columns, () => random.Next(-100, 101));
        Assert.Equal(Product(a, b, c), Multiply(typeD, type, typeC, inner, a, b, c));
    }

    [Theory, MemberData(nameof(Products))]
    public void EveryElementStandsInItsPlace(string typeD, string type, string typeC, int inner)
    {
        // One element of A against a B whose elements are all different, and the other way round: D is a row or a column that names them.
        for (int k = 0; k < inner; k++)
            for (int row = 0; row < Rows; row++)
            {
                double[,] a = new double[Rows, inner], b = new double[inner, Columns], c = new double[Rows, Columns];
                a[row, k] = 1;
                for (int i = 0; i < inner; i++)
                    for (int n = 0; n < Columns; n++) b[i, n] = i * Columns + n + 1;
                Assert.Equal(Product(a, b, c), Multiply(typeD, type, typeC, inner, a, b, c));
            }
    }

    // Order and rounding of the sum are open in PTX: the bound is that of any order of f32 additions, and one rounding of the result.
    [Theory, MemberData(nameof(Products))]
    public void RandomNumbersStayWithinTheBoundOfF32Sums(string typeD, string type, string typeC, int inner)
    {
        var random = new Random(8);
        double[,] a = Fill(Rows, inner, () => random.NextDouble() * 2 - 1), b = Fill(inner, Columns, () => random.NextDouble() * 2 - 1), c = Fill(Rows, Columns, () => random.NextDouble() * 2 - 1);
        Quantise(a, type);
        Quantise(b, type);
        Quantise(c, typeC);
        double[,] actual = Multiply(typeD, type, typeC, inner, a, b, c), expected = Product(a, b, c);
        for (int i = 0; i < Rows; i++)
            for (int n = 0; n < Columns; n++)
            {
                double size = Math.Abs(c[i, n]) + Enumerable.Range(0, inner).Sum(k => Math.Abs(a[i, k] * b[k, n]));
                Assert.InRange(Math.Abs(actual[i, n] - expected[i, n]), 0, size * inner * Math.Pow(2, -24) + (typeD == "f16" ? Math.Abs(expected[i, n]) * Math.Pow(2, -11) + Math.Pow(2, -25) : 0));
            }
    }

    [Fact]
    public void Tf32SeesOnlyTheUpper19Bits()
    {
        double[,] a = new double[Rows, 8], b = new double[8, Columns], c = new double[Rows, Columns];
        a[3, 5] = BitConverter.UInt32BitsToSingle(0x3F800000 | 0x1FFF);
        b[5, 2] = BitConverter.UInt32BitsToSingle(0x3F802000 | 0x1FFF);
        Assert.Equal(1 + Math.Pow(2, -10), Multiply("f32", "tf32", "f32", 8, a, b, c)[3, 2]);
    }

    [Fact]
    public void InfinitiesAndNaNSpread()
    {
        double[,] a = new double[Rows, 16], b = new double[16, Columns], c = new double[Rows, Columns];
        a[0, 0] = double.PositiveInfinity;
        b[0, 1] = 1;
        double[,] d = Multiply("f32", "f16", "f32", 16, a, b, c);
        Assert.Equal(double.PositiveInfinity, d[0, 1]);
        Assert.True(double.IsNaN(d[0, 0]));
        Assert.Equal(0, d[1, 1]);
    }

    [Fact]
    public void FlopsAreSharedByTheLanes()
    {
        var instruction = Instruction.Parse(".reg .f32 %f; .reg .b32 %r; mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f,%f,%f,%f}, {%r,%r,%r,%r}, {%r,%r}, {%f,%f,%f,%f};");
        Assert.Equal(2 * 16 * 8 * 16, 32 * LaneFunctions.Find(instruction)!.FlopsPerLane);
    }

    private static double[,] Fill(int rows, int columns, Func<double> next)
    {
        double[,] m = new double[rows, columns];
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++) m[i, j] = next();
        return m;
    }

    private static void Quantise(double[,] m, string type)
    {
        for (int i = 0; i < m.GetLength(0); i++)
            for (int j = 0; j < m.GetLength(1); j++) m[i, j] = Value(Bits(m[i, j], type), type);
    }

    private static double[,] Product(double[,] a, double[,] b, double[,] c)
    {
        double[,] d = new double[Rows, Columns];
        for (int i = 0; i < Rows; i++)
            for (int n = 0; n < Columns; n++) d[i, n] = c[i, n] + Enumerable.Range(0, a.GetLength(1)).Sum(k => a[i, k] * b[k, n]);
        return d;
    }

    private static uint Bits(double value, string type) => type switch
    {
        "f16" => BitConverter.HalfToUInt16Bits((Half)value),
        "bf16" => BitConverter.SingleToUInt32Bits((float)value) >> 16,
        _ => BitConverter.SingleToUInt32Bits((float)value),
    };

    private static double Value(uint bits, string type) => type switch
    {
        "f16" => (double)BitConverter.UInt16BitsToHalf((ushort)bits),
        "bf16" => BitConverter.UInt32BitsToSingle(bits << 16),
        "tf32" => BitConverter.UInt32BitsToSingle(bits & 0xFFFFE000),
        _ => BitConverter.UInt32BitsToSingle(bits),
    };

    // The registers of a matrix, by the ISA's formulas for the row and column of element i of a lane.
    private static double[,] Multiply(string typeD, string type, string typeC, int inner, double[,] a, double[,] b, double[,] c)
    {
        bool wide = type == "tf32";
        Array[] registersA = Registers(type, a, inner / 2, (group, thread, i) => wide
            ? (group + 8 * (i & 1), thread + 4 * (i >> 1))
            : (group + 8 * (i >> 1 & 1), thread * 2 + (i & 1) + 8 * (i >> 2)));
        Array[] registersB = Registers(type, b, inner / 4, (group, thread, i) => wide ? (thread + 4 * i, group) : (thread * 2 + (i & 1) + 8 * (i >> 1), group));
        static (int Row, int Column) PlaceC(int group, int thread, int i) => (group + 8 * (i >> 1), thread * 2 + (i & 1));
        Array[] registersC = Registers(typeC, c, 4, PlaceC);
        int count = typeD == "f16" ? 2 : 4;
        string targets = "{{" + string.Join(", ", Enumerable.Range(0, count).Select(i => $"{{{i}}}")) + "}}";
        Array[] d = Instruction.RunAll($"mma.sync.aligned.m16n8k{inner}.row.col.{typeD}.{type}.{type}.{typeC}", targets, [.. Enumerable.Repeat(typeD == "f16" ? typeof(uint) : typeof(float), count)],
            [registersA, registersB, registersC]);
        double[,] result = new double[Rows, Columns];
        for (int lane = 0; lane < Lanes; lane++)
            for (int i = 0; i < 4; i++)
            {
                var (row, column) = PlaceC(lane >> 2, lane & 3, i);
                result[row, column] = typeD == "f16" ? Value((ushort)(((uint[])d[i / 2])[lane] >> (16 * (i & 1))), "f16") : ((float[])d[i])[lane];
            }

        return result;
    }

    private static Array[] Registers(string type, double[,] m, int elements, Func<int, int, int, (int Row, int Column)> place)
    {
        uint Element(int lane, int i)
        {
            var (row, column) = place(lane >> 2, lane & 3, i);
            return Bits(m[row, column], type);
        }

        if (type == "f32") return [.. Enumerable.Range(0, elements).Select(i => Enumerable.Range(0, Lanes).Select(lane => BitConverter.UInt32BitsToSingle(Element(lane, i))).ToArray())];
        if (type == "tf32") return [.. Enumerable.Range(0, elements).Select(i => Enumerable.Range(0, Lanes).Select(lane => Element(lane, i)).ToArray())];
        return [.. Enumerable.Range(0, elements / 2).Select(r => Enumerable.Range(0, Lanes).Select(lane => Element(lane, 2 * r + 1) << 16 | Element(lane, 2 * r)).ToArray())];
    }
}
