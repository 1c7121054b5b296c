using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>Activations [B, rows, C] in device memory, channel-last and densely packed, as float, <see cref="Half"/> or <see cref="BFloat16"/>.</summary>
internal sealed class CudaBuffer(CudaOps owner, ulong address, int batch, int rows, int channels, Type element) : IBuffer
{
    private bool freed;

    public int Batch { get; } = batch;
    public int Rows { get; } = rows;
    public int Channels { get; } = channels;

    /// <summary>Type of a value.</summary>
    public Type Element { get; } = element;

    /// <summary>Of a buffer of step biases: what the fused residual block adds, made from it; goes with it.</summary>
    public CudaBuffer? Folded { get; set; }

    /// <summary>All values.</summary>
    /// <exception cref="ArgumentException">They are of another type.</exception>
    public ArrayView<T> Values<T>() where T : unmanaged
    {
        ObjectDisposedException.ThrowIf(freed, this);
        if (typeof(T) != Element) throw new ArgumentException($"a buffer of {Element.Name}, expected {typeof(T).Name}: activations of the network come from AllocateActivation, everything else from Allocate");
        return new ArrayView<T>((nint)address, (long)Batch * Rows * Channels);
    }

    /// <summary>The memory in words of 32 bits; a last half word is followed by one that nobody uses.</summary>
    public (ulong Address, long Count) Words
    {
        get
        {
            ObjectDisposedException.ThrowIf(freed, this);
            return (address, ((long)Batch * Rows * Channels * (Element == typeof(float) ? sizeof(float) : 2) + sizeof(uint) - 1) / sizeof(uint));
        }
    }

    /// <summary>The values of <paramref name="count"/> rows of an item.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The buffer has no such rows.</exception>
    public ArrayView<T> Part<T>(int item, int row, int count) where T : unmanaged
    {
        if (item < 0 || item >= Batch || row < 0 || count < 0 || row > Rows - count)
            throw new ArgumentOutOfRangeException(nameof(row), $"rows {row} .. {row + (long)count - 1} of item {item}: the buffer holds {Batch} items of {Rows} rows");
        return Values<T>().SubView(((long)item * Rows + row) * Channels, (long)count * Channels);
    }

    public void Dispose()
    {
        if (freed) return;
        freed = true;
        Folded?.Dispose();
        owner.Release(address);
    }
}
