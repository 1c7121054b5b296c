namespace DiffWave.Bench.Tests;

/// <summary>What compare says of timings whose truth is known: drawn around a true time with a true noise.</summary>
public class ComparisonTests
{
    private const double Threshold = Comparison.UsualThreshold;

    // Times around a true one: log-normal noise, now and then a disturbed measurement, as on a shared machine.
    private static Sample Times(int seed, double seconds, double noise, int count = 15)
    {
        var random = new Random(seed);
        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        return new Sample(Enumerable.Range(0, count).Select(_ => seconds * Math.Exp(noise * Normal()) * (random.Next(20) == 0 ? 1.5 : 1)));
    }

    private static Verdict Between(Sample before, Sample after) => Comparison.Of(new Row("case", before), new Row("case", after), Threshold).Verdict;

    [Theory]
    [InlineData(0.002)]
    [InlineData(0.01)]
    [InlineData(0.03)]
    public void APlantedSlowdownOfAFifthIsSlow(double noise) =>
        Assert.All(Enumerable.Range(0, 200), seed => Assert.Equal(Verdict.Slow, Between(Times(2 * seed, 1, noise), Times(2 * seed + 1, 1.2, noise))));

    [Theory]
    [InlineData(0.002)]
    [InlineData(0.01)]
    [InlineData(0.03)]
    public void AFifthLessIsFast(double noise) =>
        Assert.All(Enumerable.Range(0, 200), seed => Assert.Equal(Verdict.Fast, Between(Times(2 * seed, 1.2, noise), Times(2 * seed + 1, 1, noise))));

    [Theory]
    [InlineData(0.002, 0.98)]
    [InlineData(0.002, 1.02)]
    [InlineData(0.01, 0.98)]
    [InlineData(0.01, 1.02)]
    [InlineData(0.03, 1.02)]
    public void AWobbleOfTwoPerCentIsNeverSlowOrFast(double noise, double wobble) =>
        Assert.All(Enumerable.Range(0, 200), seed => Assert.Contains(Between(Times(2 * seed, 1, noise), Times(2 * seed + 1, wobble, noise)), new[] { Verdict.Same, Verdict.Ambiguous }));

    [Theory]
    [InlineData(1)]
    [InlineData(0.98)]
    [InlineData(1.02)]
    public void WithLittleNoiseAWobbleIsTheSame(double wobble) =>
        Assert.All(Enumerable.Range(0, 200), seed => Assert.Equal(Verdict.Same, Between(Times(2 * seed, 1, 0.004), Times(2 * seed + 1, wobble, 0.004))));

    [Fact]
    public void NoiseLargerThanTheDifferenceForcesNoAnswer()
    {
        Verdict[] verdicts = [.. Enumerable.Range(0, 200).Select(seed => Between(Times(2 * seed, 1, 0.4, count: 5), Times(2 * seed + 1, 1.05, 0.4, count: 5)))];
        Assert.True(verdicts.Count(verdict => verdict == Verdict.Ambiguous) > 160, string.Join(", ", verdicts.CountBy(verdict => verdict)));
    }

    [Fact]
    public void ASlowdownNearTheThresholdIsLeftOpen() => Assert.Equal(Verdict.Ambiguous, Between(new Sample(1, 1, 1, 1, 1), new Sample(1.03, 1.05, 1.06, 1.07, 1.09)));

    [Fact]
    public void AMachineThatIsSlowerAsAWholeIsNoSlowerProgram()
    {
        var before = new Row("case", Times(1, 1, 0.01)) { Pace = Times(2, 50e3, 0) };
        var slowerMachine = new Row("case", new Sample(before.Seconds!.Values.Select(seconds => 1.3 * seconds))) { Pace = new Sample(before.Pace!.Values.Select(pace => pace / 1.3)) };
        var slowerProgram = slowerMachine with { Pace = before.Pace };
        Assert.Equal(Verdict.Same, Comparison.Of(before, slowerMachine, Threshold).Verdict);
        Assert.Equal(Verdict.Slow, Comparison.Of(before, slowerProgram, Threshold).Verdict);
        Assert.Equal(Verdict.Slow, Between(before.Seconds, slowerMachine.Seconds!));
    }

    [Fact]
    public void ACaseWithoutPaceInOneResultIsToldToBeComparedByItsTimes()
    {
        var paced = new Result("run", "paced", [new Row("a", Times(1, 1, 0.01)) { Pace = Times(2, 50e3, 0) }, new Row("b", Times(3, 1, 0.01))]);
        var older = new Result("run", "older", [new Row("a", Times(4, 1, 0.01)), new Row("b", Times(5, 1, 0.01))]);
        string Text(Result before, Result after) => Comparison.Text(before, after, Comparison.Of(before, after), Threshold);
        Assert.Contains("1 compared by their times alone", Text(older, paced), StringComparison.Ordinal);
        Assert.Contains("1 compared by their times alone", Text(paced, older), StringComparison.Ordinal);
        Assert.DoesNotContain("times alone", Text(paced, paced), StringComparison.Ordinal);
        Assert.DoesNotContain("times alone", Text(older, older), StringComparison.Ordinal);
    }

    [Fact]
    public void CasesOfOnlyOneResultAreNamed()
    {
        Row Case(string name) => new(name, Times(1, 1, 0.01));
        var before = new Result("run", "before", [Case("a"), Case("b")]);
        var after = new Result("run", "after", [Case("b"), Case("c"), new Row("d", null)]);
        IReadOnlyList<ComparedCase> cases = Comparison.Of(before, after);
        Assert.Equal(["b"], cases.Select(one => one.Case));
        string text = Comparison.Text(before, after, cases, Threshold);
        Assert.Contains("only in A: a", text);
        Assert.Contains("only in B: c", text);
        Assert.Contains("1 SAME, 0 FAST, 0 SLOW, 0 AMBIGUOUS", text);
    }

    [Theory]
    [InlineData(9)]
    [InlineData(25)]
    [InlineData(50)]
    public void TheIntervalHoldsTheTrueMedianAsOftenAsItSays(int count)
    {
        int held = Enumerable.Range(0, 2000).Count(seed =>
        {
            var random = new Random(seed);
            var (low, high) = new Sample(Enumerable.Range(0, count).Select(_ => Math.Exp(random.NextDouble()))).MedianInterval;
            return low <= Math.Exp(0.5) && Math.Exp(0.5) <= high;
        });
        Assert.InRange(held, 1880, 1990); // 95 % and what whole order statistics give beyond it; four standard deviations below
    }

    [Theory] // ranks from the bottom by tables of the binomial distribution
    [InlineData(5, 1)]
    [InlineData(8, 1)]
    [InlineData(9, 2)]
    [InlineData(15, 4)]
    [InlineData(50, 18)]
    public void TheIntervalEndsAtTheRanksOfTheTables(int count, int rank)
    {
        var (low, high) = new Sample(Enumerable.Range(1, count).Select(value => (double)value)).MedianInterval;
        Assert.Equal((rank, count + 1 - rank), ((int)low, (int)high));
    }
}
