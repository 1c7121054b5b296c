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
}
