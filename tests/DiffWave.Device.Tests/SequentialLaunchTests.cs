namespace DiffWave.Device.Tests;

public unsafe class SequentialLaunchTests
{
    // tanh(a) sigmoid(b) of rows that hold a's channels and then b's.
    private static void Gate(ArrayView<float> h, ArrayView<float> y, int channels)
    {
        for (int i = (int)Grid.GlobalIndex.X; i < y.IntLength; i += Grid.DimX * Group.DimX)
        {
            int row = i / channels, column = i % channels;
            float a = h[row * 2 * channels + column], b = h[row * 2 * channels + channels + column];
            y[i] = XMath.Tanh(a) / (1 + XMath.Exp(-b));
        }
    }

    [Fact]
    public void AKernelRunsAsOrdinaryCode()
    {
        const int Channels = 6, Rows = 11;
        var random = new Random(1);
        float[] h = [.. Enumerable.Range(0, 2 * Channels * Rows).Select(_ => (float)(random.NextDouble() * 12 - 6))], y = new float[Channels * Rows];
        fixed (float* input = h, output = y)
        {
            var hView = new ArrayView<float>((nint)input, h.Length);
            var yView = new ArrayView<float>((nint)output, y.Length);
            SequentialLaunch.Run(new Index3D(3, 1, 1), new Index3D(8, 1, 1), () => Gate(hView, yView, Channels));
        }
        for (int row = 0; row < Rows; row++)
            for (int c = 0; c < Channels; c++)
            {
                double a = h[row * 2 * Channels + c], b = h[row * 2 * Channels + Channels + c], exact = Math.Tanh(a) / (1 + Math.Exp(-b));
                Assert.Equal(exact, y[row * Channels + c], 4e-7 * Math.Abs(exact));
            }
    }

    [Fact]
    public void EveryThreadOfEveryBlockRunsOnce()
    {
        int[] seen = new int[2 * 3 * 4 * 5];
        SequentialLaunch.Run(new Index3D(2, 3, 1), new Index3D(4, 1, 5), () => seen[(int)Grid.GlobalLinearIndex] += 1 + Warp.LaneIdx - Group.LinearIndex);
        Assert.All(seen, count => Assert.Equal(1, count));
    }

    [Fact]
    public void SharedMemoryIsOneArrayForTheBlockAndLocalMemoryOneForTheThread()
    {
        int sum = 0, local = 0;
        SequentialLaunch.Run(new Index3D(2, 1, 1), new Index3D(4, 1, 1), () =>
        {
            var shared = SharedMemory.Allocate<int>(4);
            shared[Group.IdxX] = Group.IdxX + 1;
            if (Group.IdxX == 3) sum += shared[0] + shared[1] + shared[2] + shared[3];
            var own = LocalMemory.Allocate<int>(2);
            local += ++own[1];
        });
        Assert.Equal((20, 8), (sum, local));
    }

    [Fact]
    public void BarriersNeedBlocksOfOneThread()
    {
        SequentialLaunch.Run(new Index3D(2, 1, 1), new Index3D(1, 1, 1), Group.Barrier);
        Assert.Throws<NotSupportedException>(() => SequentialLaunch.Run(new Index3D(1, 1, 1), new Index3D(2, 1, 1), Group.Barrier));
        Assert.Throws<NotSupportedException>(() => SequentialLaunch.Run(new Index3D(1, 1, 1), new Index3D(32, 1, 1), () => Warp.Any(true)));
        Assert.Throws<InvalidOperationException>(() => Grid.IdxX);
    }

    [Fact]
    public void ViewsCheckTheirIndexes()
    {
        int[] memory = [1, 2, 3, 4];
        fixed (int* p = memory)
        {
            var view = new ArrayView<int>((nint)p, 4);
            var part = view.SubView(1, 2);
            Assert.Equal((2, 3, 2), (part[0], part[1L], part.IntLength));
            Assert.Throws<IndexOutOfRangeException>(() => view.SubView(1, 2)[2]);
            Assert.Throws<IndexOutOfRangeException>(() => view[-1]);
            Assert.Throws<IndexOutOfRangeException>(() => view.SubView(3, 2).Length);
            Assert.Equal((1, 0x0000000400000003L), (view.SubView(2).Cast<long>().IntLength, view.SubView(2).Cast<long>()[0]));
            Assert.Equal(2, view.Cast<Float2>().Length);
        }
    }
}
