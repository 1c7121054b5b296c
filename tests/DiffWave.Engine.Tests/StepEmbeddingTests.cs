using System.Text.Json;

namespace DiffWave.Engine.Tests;

/// <summary>Reads arrays of a safetensors file in tests/Fixtures/golden; deliberately independent of the engine's own reader.</summary>
internal sealed class GoldenFile
{
    private readonly byte[] _bytes;
    private readonly int _dataStart;
    private readonly JsonElement _header;

    public GoldenFile(string name)
    {
        _bytes = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "golden", name));
        _dataStart = 8 + (int)BitConverter.ToInt64(_bytes);
        _header = JsonDocument.Parse(_bytes.AsMemory(8, _dataStart - 8)).RootElement;
    }

    public float[] Floats(string name) => Values(name, "F32", 4, BitConverter.ToSingle);
    public double[] Doubles(string name) => Values(name, "F64", 8, BitConverter.ToDouble);
    public long[] Longs(string name) => Values(name, "I64", 8, BitConverter.ToInt64);

    private T[] Values<T>(string name, string type, int size, Func<byte[], int, T> read)
    {
        var entry = _header.GetProperty(name);
        Assert.Equal(type, entry.GetProperty("dtype").GetString());
        int start = entry.GetProperty("data_offsets")[0].GetInt32(), end = entry.GetProperty("data_offsets")[1].GetInt32();
        return [.. Enumerable.Range(0, (end - start) / size).Select(i => read(_bytes, _dataStart + start + i * size))];
    }
}

public class StepEmbeddingTests
{
    private static readonly GoldenFile Lmnt = new("forward.safetensors");

    private static float[] Row(StepExponent exponent, float step, int tableSteps)
    {
        var row = new float[ModelConfig.StepTableWidth];
        StepEmbedding.Row(exponent, step, tableSteps, row);
        return row;
    }

    [Fact]
    public void PositiveFrequenciesEqualPyTorchBitForBit() =>
        Assert.Equal(Lmnt.Floats("embedding_freqs"), Enumerable.Range(0, 64).Select(j => StepEmbedding.Frequency(StepExponent.Positive, j)));

    [Fact]
    public void PositiveRowsEqualPyTorchsTable()
    {
        float[] table = Lmnt.Floats("embedding_table");
        for (int step = 0; step < 50; step++)
        {
            float[] row = Row(StepExponent.Positive, step, 50);
            for (int j = 0; j < row.Length; j++) Assert.Equal(table[step * 128 + j], row[j], 2e-7);
        }
    }

    [Theory]
    [InlineData(17.3125f)]
    [InlineData(0.894134f)]
    [InlineData(48.999f)]
    public void FractionalPositiveStepsInterpolateTheRowsOfTheTable(float step)
    {
        float[] table = Lmnt.Floats("embedding_table"), row = Row(StepExponent.Positive, step, 50);
        int low = (int)step;
        double fraction = (double)step - low;
        for (int j = 0; j < row.Length; j++)
        {
            double lowValue = table[low * 128 + j], highValue = table[(low + 1) * 128 + j];
            Assert.Equal(lowValue + (highValue - lowValue) * fraction, row[j], 4e-7); // the table's 2e-7 twice
        }
        // At high frequencies that is another number than the sine of the fractional step: the trap the table hides.
        Assert.Contains(Enumerable.Range(0, 64), j => Math.Abs(row[j] - Math.Sin(step * Math.Pow(10, 4 * j / 63.0))) > 0.5);
    }

    [Theory]
    [InlineData("official_vocoder.safetensors", 50)]
    [InlineData("official_uncond.safetensors", 200)]
    public void NegativeFrequenciesAndRowsEqualTheOfficialModels(string file, int tableSteps)
    {
        var golden = new GoldenFile(file);
        float[] frequencies = golden.Floats("step_freqs"), rows = golden.Floats("step_table_rows");
        long[] steps = golden.Longs("in.step");
        for (int j = 0; j < 64; j++)
            Assert.InRange(BitConverter.SingleToInt32Bits(frequencies[j]) - BitConverter.SingleToInt32Bits(StepEmbedding.Frequency(StepExponent.Negative, j)), -1, 1);
        for (int item = 0; item < steps.Length; item++)
        {
            float[] row = Row(StepExponent.Negative, steps[item], tableSteps);
            for (int j = 0; j < row.Length; j++) Assert.Equal(rows[item * 128 + j], row[j], 7.6e-6);
        }
    }

    [Fact]
    public void FractionalNegativeStepsAreEvaluatedDirectly()
    {
        float[] row = Row(StepExponent.Negative, 22.992493f, 50);
        for (int j = 0; j < 64; j++)
        {
            double argument = 22.992493f * Math.Pow(10, -4 * j / 63.0);
            Assert.Equal(Math.Sin(argument), row[j], 7.6e-6);
            Assert.Equal(Math.Cos(argument), row[64 + j], 7.6e-6);
        }
    }

    [Theory]
    [InlineData(-0.1f)]
    [InlineData(49.5f)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void StepsOutsideTheTableAreRefused(float step)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Row(StepExponent.Positive, step, 50));
        Assert.Throws<ArgumentOutOfRangeException>(() => Row(StepExponent.Negative, step, 50));
    }

    [Fact]
    public void AWrongRowLengthIsRefused() => Assert.Throws<ArgumentException>(() => StepEmbedding.Row(StepExponent.Positive, 0, 50, new float[127]));
}
