namespace DiffWave.Device.Tests;

public class AtomicTests
{
    [Fact]
    public void EveryOperationReturnsTheValueBefore()
    {
        int i = 5;
        Assert.Equal((5, 12), (Atomic.Add(ref i, 7), i));
        Assert.Equal((12, 12), (Atomic.Max(ref i, -1), i));
        Assert.Equal((12, -1), (Atomic.Min(ref i, -1), i));
        Assert.Equal((-1, 6), (Atomic.And(ref i, 6), i));
        Assert.Equal((6, 7), (Atomic.Or(ref i, 1), i));
        Assert.Equal((7, 5), (Atomic.Xor(ref i, 2), i));
        Assert.Equal((5, 3), (Atomic.Exchange(ref i, 3), i));
        Assert.Equal((3, 3), (Atomic.CompareExchange(ref i, 4, 9), i));
        Assert.Equal((3, 9), (Atomic.CompareExchange(ref i, 3, 9), i));
        ulong u = ulong.MaxValue;
        Assert.Equal((ulong.MaxValue, 1ul), (Atomic.Add(ref u, 2), u));
        Assert.Equal((1ul, ulong.MaxValue), (Atomic.Max(ref u, ulong.MaxValue), u));
        float f = 1.5f;
        Assert.Equal((1.5f, 2f), (Atomic.Add(ref f, 0.5f), f));
        Assert.Equal((2f, 1f), (Atomic.Exchange(ref f, 1), f));
    }

    [Fact]
    public void FloatMaximaAndMinimaLeaveTheTargetAtNaN()
    {
        float f = -2;
        Assert.Equal((-2f, -1f), (Atomic.Max(ref f, -1), f));
        Assert.Equal((-1f, -3f), (Atomic.Min(ref f, -3), f));
        Assert.Equal((-3f, -3f), (Atomic.Max(ref f, float.NaN), f));
        double d = double.NaN;
        Assert.Equal((double.NaN, double.NaN), (Atomic.Max(ref d, 1), d));
    }

    [Fact]
    public void FloatsAreComparedByTheirBits()
    {
        float f = float.NaN;
        Atomic.CompareExchange(ref f, float.NaN, 1);
        Assert.Equal(1, f);
        f = -0f;
        Atomic.CompareExchange(ref f, 0, 1);
        Assert.Equal(-0f, f);
    }
}
