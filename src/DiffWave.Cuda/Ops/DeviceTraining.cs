using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>Everything optimisation changes, and the gradients, in device memory.</summary>
internal sealed class DeviceTraining
{
    private readonly List<ulong> addresses = [];
    private readonly DeviceMemoryPool pool;

    /// <param name="config">The model.</param>
    /// <param name="infos">Its tensors.</param>
    /// <param name="hasAverage">Whether an average of the weights is kept.</param>
    /// <param name="pool">Where the memory comes from.</param>
    /// <param name="blockBytes">As for <see cref="DeviceWeights"/>.</param>
    /// <param name="backwardBytes">Bytes of the weights of fused residual blocks for backward, which then do without the packed ones of the separate kernels; 0: the blocks' backward is not fused.</param>
    public DeviceTraining(ModelConfig config, IReadOnlyList<ParameterInfo> infos, bool hasAverage, DeviceMemoryPool pool, long blockBytes = 0, long backwardBytes = 0)
    {
        this.pool = pool;
        Weights = new DeviceWeights(config, infos, pool, blockBytes);
        long values = Weights.Values.All.Length;
        try
        {
            Gradients = new DeviceArena(config, infos, New(values * sizeof(float)));
            (FirstMoment, SecondMoment) = (View(values), View(values));
            if (hasAverage) Average = View(values);
            Packed = new PackedWeights(config, Weights.Values, pool, forBlocks: backwardBytes == 0);
            if (backwardBytes > 0) Blocks = New(backwardBytes);
        }
        catch
        {
            Free();
            throw;
        }
    }

    /// <summary>The weights being optimised.</summary>
    public DeviceWeights Weights { get; }

    /// <summary>Their gradients.</summary>
    public DeviceArena Gradients { get; }

    /// <summary>Adam's first moment.</summary>
    public ArrayView<float> FirstMoment { get; }

    /// <summary>Adam's second moment.</summary>
    public ArrayView<float> SecondMoment { get; }

    /// <summary>Moving average of the weights, or nothing.</summary>
    public ArrayView<float> Average { get; }

    /// <summary>The weights for the faster kernels of backward.</summary>
    public PackedWeights Packed { get; }

    /// <summary>Address of the weights of fused residual blocks for backward, layer after layer; 0 without any.</summary>
    public ulong Blocks { get; }

    /// <summary>Whether it is the memory for a model and its average.</summary>
    public bool Fits(ModelConfig config, bool hasAverage) => Average.IsValid == hasAverage && Weights.Fits(config);

    /// <summary>Gives the memory back.</summary>
    public void Free()
    {
        foreach (ulong address in addresses) pool.Free(address);
        addresses.Clear();
        Packed?.Free(pool); // absent when the constructor failed
        Weights.Free(pool);
    }

    private ArrayView<float> View(long values) => new((nint)New(values * sizeof(float)), values);

    private ulong New(long bytes)
    {
        ulong address = pool.Allocate(bytes);
        addresses.Add(address);
        return address;
    }
}
