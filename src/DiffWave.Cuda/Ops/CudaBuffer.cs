using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>Activations [B, rows, C] in device memory, channel-last and densely packed.</summary>
internal sealed class CudaBuffer(CudaOps owner, ulong address, int batch, int rows, int channels) : IBuffer
{
    private bool freed;

    public int Batch { get; } = batch;
    public int Rows { get; } = rows;
    public int Channels { get; } = channels;

    /// <summary>All values.</summary>
    public ArrayView<float> Values
    {
        get
        {
            ObjectDisposedException.ThrowIf(freed, this);
            return new ArrayView<float>((nint)address, (long)Batch * Rows * Channels);
        }
    }

    /// <summary>The values of <paramref name="count"/> rows of an item.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The buffer has no such rows.</exception>
    public ArrayView<float> Part(int item, int row, int count)
    {
        if (item < 0 || item >= Batch || row < 0 || count < 0 || row > Rows - count)
            throw new ArgumentOutOfRangeException(nameof(row), $"rows {row} .. {row + (long)count - 1} of item {item}: the buffer holds {Batch} items of {Rows} rows");
        return Values.SubView(((long)item * Rows + row) * Channels, (long)count * Channels);
    }

    public void Dispose()
    {
        if (freed) return;
        freed = true;
        owner.Release(address);
    }
}
