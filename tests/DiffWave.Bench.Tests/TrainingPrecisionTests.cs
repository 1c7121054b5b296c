namespace DiffWave.Bench.Tests;

/// <summary>A small training in every precision.</summary>
public class TrainingPrecisionTests
{
    [Fact]
    public void EveryPrecisionTakesTheSameStepsButForRounding()
    {
        string data = Path.Combine(AppContext.BaseDirectory, "Fixtures", "audio", "speech.wav");
        List<Dictionary<string, object>> rows = TrainingPrecisionBench.Run("emulator", data, 2);
        Assert.Equal(["fp32", "tf32", "fp16", "bf16", "fp32"], rows.Select(row => (string)row["precision"]));
        Assert.StartsWith("cpu (", (string)rows[^1]["device"]);
        double[] apart = [.. rows.Select(row => (double)row["largest_step_difference"])];
        Assert.Equal(0, apart[0]);
        Assert.InRange(apart[^1], 0, 1e-5); // another order of sums
        Assert.All(apart[1..^1], difference => Assert.InRange(difference, 1e-12, 1e-3)); // rounded, and no more than that
        Assert.Equal([1, 1, 65536, 1, 1], rows.Select(row => (double)row["last_loss_scale"]));
    }
}
