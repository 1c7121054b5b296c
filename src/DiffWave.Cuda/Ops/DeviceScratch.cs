using DiffWave.Device;

namespace DiffWave.Cuda;

/// <summary>What a piece of working memory is for: pieces for different uses never overlap.</summary>
internal enum ScratchUse
{
    PreGate,
    Gated,
    GatedGradient,
    Hidden,
    Copy,
    Upsampled,
    UpsampledGradient,
    Partial,
    BiasPartial,
    StepPartial,
    LossPartial,
    Squares,
    Vectors,
}

/// <summary>Working memory of the device that is kept between operations and replaced by a larger piece where it is too small. What an earlier operation left there is garbage.</summary>
internal sealed class DeviceScratch(DeviceMemoryPool pool, Func<bool> isCapturing)
{
    private readonly Dictionary<ScratchUse, (ulong Address, long Bytes)> pieces = [];

    /// <summary>Changes whenever a piece moves.</summary>
    public int Version { get; private set; }

    /// <summary>At least so many values.</summary>
    /// <exception cref="InvalidOperationException">More are needed than before while the stream is being captured.</exception>
    public unsafe ArrayView<T> Take<T>(ScratchUse use, long values) where T : unmanaged
    {
        long bytes = Math.Max(1, values) * sizeof(T);
        if (!pieces.TryGetValue(use, out var piece) || piece.Bytes < bytes)
        {
            if (isCapturing()) throw new InvalidOperationException($"{use}: a recording needs {bytes} bytes of working memory, {piece.Bytes} when it ran before; it must do the same every time");
            if (pieces.Remove(use)) pool.Free(piece.Address); // work queued before may still use it, all of one stream
            Version++;
            pieces[use] = piece = (pool.Allocate(bytes), bytes);
        }
        return new ArrayView<T>((nint)piece.Address, values);
    }
}
