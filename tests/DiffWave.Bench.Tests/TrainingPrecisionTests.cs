namespace DiffWave.Bench.Tests;

/// <summary>A small training in every precision.</summary>
public class TrainingPrecisionTests
{
    [Fact]
    public void EveryPrecisionTakesTheSameStepsButForRounding()
    {
        string data = Path.Combine(AppContext.BaseDirectory, "Fixtures", "audio", "speech.wav");
        IReadOnlyList<Row> rows = TrainingPrecisionBench.Run("emulator", data, 2).Rows;
        Assert.Equal(["emulator/fp32", "emulator/tf32", "emulator/fp16", "emulator/bf16", "cpu/fp32"], rows.Select(row => row.Case["training-precision/".Length..]));
        Assert.StartsWith("cpu (", (string)rows[^1].Value("device")!);
        double[] apart = [.. rows.Select(row => (double)row.Value("largest_step_difference")!)];
        Assert.Equal(0, apart[0]);
        Assert.InRange(apart[^1], 0, 1e-5); // another order of sums
        Assert.All(apart[1..^1], difference => Assert.InRange(difference, 1e-12, 1e-3)); // rounded, and no more than that
        Assert.Equal([1, 1, 65536, 1, 1], rows.Select(row => (double)row.Value("last_loss_scale")!));
    }
}
