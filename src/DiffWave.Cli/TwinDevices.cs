using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>One of two devices that do the same.</summary>
/// <param name="Ops">The device.</param>
/// <param name="IsCpu">Which of the two.</param>
internal sealed record TwinSide(IOps Ops, bool IsCpu)
{
    /// <summary>This side's buffer.</summary>
    public IBuffer Of(TwinBuffer twin) => IsCpu ? twin.Cpu : twin.Device;

    /// <summary>This side's buffer from its window's row on.</summary>
    public Window Window(TwinBuffer twin) => new(Of(twin), twin.Row);
}

/// <summary>A buffer on each of two devices, filled alike.</summary>
/// <param name="Cpu">The CPU's.</param>
/// <param name="Device">The other's.</param>
/// <param name="Row">First row of the window operations get.</param>
/// <param name="Max">Largest magnitude uploaded; 0 for an output.</param>
internal sealed record TwinBuffer(IBuffer Cpu, IBuffer Device, int Row, double Max)
{
    /// <summary>The values, exactly known to both.</summary>
    public ErrorEstimate Exact => new(Max);
}

/// <summary>The CPU and a device that is checked against it, with buffers that hold the same on both.</summary>
internal sealed class TwinDevices(IOps cpu, IOps device, Random random) : IDisposable
{
    private readonly List<IBuffer> _buffers = [];

    public Random Random => random;

    public TwinSide[] Sides { get; } = [new(cpu, true), new(device, false)];

    /// <summary>Does the same on both.</summary>
    public void Both(Action<TwinSide> operation)
    {
        foreach (TwinSide side in Sides) operation(side);
    }

    /// <summary>Random values between -1 and 1, or between low and high.</summary>
    public float[] Values(long count, float low = -1, float high = 1)
    {
        float[] values = new float[count];
        for (int i = 0; i < values.Length; i++) values[i] = low + (high - low) * random.NextSingle();
        return values;
    }

    /// <summary>A buffer [B, rows, channels] of given values, the items one after another.</summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="channels">Values of a row; 0 for a signal, one packed value a row.</param>
    /// <param name="values">What to upload.</param>
    /// <param name="row">First row of the window operations get.</param>
    public TwinBuffer Input(int batch, int rows, int channels, ReadOnlySpan<float> values, int row = 0)
    {
        double max = 0;
        foreach (float value in values) if (Math.Abs(value) > max) max = Math.Abs(value); // NaN is larger than nothing
        TwinBuffer twin = New(batch, rows, channels, row, max);
        int each = values.Length / batch;
        for (int item = 0; item < batch; item++)
            foreach (TwinSide side in Sides) side.Ops.Upload(values.Slice(item * each, each), side.Of(twin), item, 0);
        return twin;
    }

    /// <summary>Random values between -1 and 1.</summary>
    public TwinBuffer Input(int batch, int rows, int channels) => Input(batch, rows, channels, Values(Count(batch, rows, channels)));

    /// <summary>Random values at the times of a range and so many rows around it that exist; rows outside the signal hold NaN, which nothing may read.</summary>
    public TwinBuffer Input(int batch, TimeRange range, int channels, int around = 0)
    {
        int rows = range.Count + 2 * around;
        float[] values = Values(Count(batch, rows, channels));
        for (int i = 0; i < values.Length; i++)
        {
            long time = range.First - around + i / Math.Max(1, channels) % rows;
            if (time < 0 || time >= range.Length) values[i] = float.NaN;
        }
        return Input(batch, rows, channels, values, around);
    }

    /// <summary>A buffer full of NaN, so that what an operation leaves out is an error.</summary>
    public TwinBuffer Output(int batch, int rows, int channels)
    {
        float[] values = new float[Count(batch, rows, channels)];
        Array.Fill(values, float.NaN);
        return Input(batch, rows, channels, values);
    }

    private static long Count(int batch, int rows, int channels) => (long)batch * rows * Math.Max(1, channels);

    /// <summary>Rows of both sides' buffers, all items.</summary>
    public (float[] Cpu, float[] Device) Read(TwinBuffer twin, int row, int rows)
    {
        float[][] values = [.. Sides.Select(side =>
        {
            IBuffer buffer = side.Of(twin);
            float[] all = new float[buffer.Batch * rows * buffer.Channels];
            for (int item = 0; item < buffer.Batch && rows > 0; item++) side.Ops.Download(buffer, item, row, all.AsSpan(item * rows * buffer.Channels, rows * buffer.Channels));
            return all;
        })];
        return (values[0], values[1]);
    }

    private TwinBuffer New(int batch, int rows, int channels, int row, double max)
    {
        IBuffer Keep(IOps ops)
        {
            _buffers.Add(channels == 0 ? ops.AllocateSignal(batch, rows) : ops.Allocate(batch, rows, channels));
            return _buffers[^1];
        }
        return new TwinBuffer(Keep(cpu), Keep(device), row, max);
    }

    /// <summary>Frees the buffers, not the devices.</summary>
    public void Dispose()
    {
        _buffers.ForEach(buffer => buffer.Dispose());
        _buffers.Clear();
    }
}
