using DiffWave.Engine;
using Xunit;

namespace DiffWave.Engine.Tests;

public class SegmentsTests
{
    [Fact]
    public void SignalsLieOneBehindTheOther()
    {
        var segments = new Segments([5, 1, 700]);
        Assert.Equal([5, 1, 700], segments.Lengths);
        Assert.Equal([0, 5, 6], segments.Starts);
        Assert.Equal((706, 3), (segments.Total, segments.Count));
    }

    [Fact]
    public void KeepsItsOwnLengths()
    {
        int[] lengths = [3, 4];
        var segments = new Segments(lengths);
        lengths[0] = 9;
        Assert.Equal([3, 4], segments.Lengths);
    }

    [Fact]
    public void ARangeIsCutAtTheSignals()
    {
        var segments = new Segments([5, 1, 700]);
        Assert.Equal([(0, new TimeRange(0, 5, 5), 3), (1, new TimeRange(0, 1, 1), 8), (2, new TimeRange(0, 91, 700), 9)], segments.Parts(new TimeRange(-3, 100, 706)));
        Assert.Equal([(0, new TimeRange(2, 2, 5), 0)], segments.Parts(new TimeRange(2, 2, 706)));
        Assert.Equal([(2, new TimeRange(694, 6, 700), 0)], segments.Parts(new TimeRange(700, 100, 706)));
        Assert.Empty(segments.Parts(new TimeRange(706, 9, 706)));
    }

    [Theory]
    [InlineData("no lengths are given")]
    [InlineData("length 1 is 0", 4, 0)]
    [InlineData("length 0 is -1", -1)]
    [InlineData("2 signals have 2147483652 rows", int.MaxValue, 5)]
    public void RefusesWhatIsNoSignal(string problem, params int[] lengths) => Assert.Contains(problem, Assert.Throws<ArgumentException>(() => new Segments(lengths)).Message);
}
