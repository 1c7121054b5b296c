namespace DiffWave.Bench.Tests;

/// <summary>When measuring ends.</summary>
public class RepeatTests
{
    [Fact]
    public void QuietMeasurementsEndWithTheLeastNumber() => Assert.Equal(5, new Repeat(Least: 5, Most: 100).Run(() => 1).Count);

    [Fact]
    public void NoisyOnesGoOnUntilTheirMedianSettles()
    {
        var random = new Random(1);
        Sample sample = new Repeat(Least: 5, Most: 10_000, Seconds: 60, Spread: 0.01).Run(() => 1 + 0.2 * random.NextDouble());
        Assert.InRange(sample.Count, 6, 5000);
        Assert.True(sample.Spread <= 0.01);
    }

    [Fact]
    public void WhatNeverSettlesEndsWithTheLargestNumber()
    {
        int calls = 0;
        Sample sample = new Repeat(Least: 5, Most: 40, Seconds: 60, Spread: 0).Run(() => ++calls);
        Assert.Equal(40, sample.Count);
        Assert.Equal(40, calls);
    }

    [Fact]
    public void TimeEndsItAfterTheLeastNumberAndMuchTimeBeforeIt()
    {
        var noisy = new Sample(1, 2, 3, 4, 5);
        Assert.True(new Repeat(Least: 5, Seconds: 10).IsEnough(noisy, 11));
        Assert.False(new Repeat(Least: 6, Seconds: 10).IsEnough(noisy, 11));
        Assert.True(new Repeat(Least: 6, Seconds: 10).IsEnough(noisy, 41));
        Assert.False(new Repeat(Least: 1, Seconds: 10).IsEnough(new Sample(), 1000));
    }

    [Fact]
    public void PartsComeToTheWhole()
    {
        Repeat part = new Repeat(Least: 10, Most: 50, Seconds: 9).Part(3);
        Assert.Equal((4, 17, 3.0), (part.Least, part.Most, part.Seconds));
    }

    [Fact]
    public void MeasurementsOfSeveralPassesAreOneSampleAndRatesFollowFromAllOfThem()
    {
        var first = new Row("case", new Sample(1, 2)) { Peak = new Sample(10, 20), Pace = new Sample(1, 2), Figures = new Dictionary<string, object?> { ["flops"] = 6.0, ["peak_memory_bytes"] = 9L } };
        var later = new Row("case", new Sample(3)) { Peak = new Sample(30), Pace = new Sample(3), Figures = new Dictionary<string, object?> { ["flops"] = 6.0, ["peak_memory_bytes"] = 7L } };
        int pass = 0;
        Row[] passes = [first, later, later with { Seconds = new Sample(4, 5), Peak = new Sample(40, 50), Pace = new Sample(4, 5) }];
        var settings = new BenchSettings("cpu", 1, default, 1, new Repeat());
        Row row = Assert.Single(Suite.Run("run", "title", settings, [new BenchCase("case", _ => passes[pass++]) { Derive = row => row.And(("rate", (double)row.Figures["flops"]! / row.Seconds!.Median)) }]).Rows);
        Assert.Equal([1, 2, 3, 4, 5], row.Seconds!.Values);
        Assert.Equal([10, 20, 30, 40, 50], row.Peak!.Values);
        Assert.Equal([1, 2, 3, 4, 5], row.Pace!.Values);
        Assert.Equal((2.0, 9L), (row.Value("rate"), row.Value("peak_memory_bytes")));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void ACpuMeasuresPeakAndPaceBeforeEveryRound(int threads)
    {
        using BenchDevice cpu = BenchDevice.Open("cpu", threads, default);
        Row row = Suite.Measure("case", new Repeat(Least: 2, Most: 2), cpu, () => 0.5);
        Assert.Equal(2, row.Pace!.Count);
        Assert.All(row.Peak!.Values.Concat(row.Pace.Values), rate => Assert.InRange(rate, 1, 1e15));
        Assert.Equal(0.5 * row.Pace.Values[1], row.WorkAtPace!.Values[1]);
        Assert.Equal(0.5 * row.Peak.Values[1], row.WorkAtPeak!.Values[1]);
    }
}
