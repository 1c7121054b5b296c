using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>Weights of one model in device memory. As long as the model stays the same they stay where they are, so that recorded operations remain valid.</summary>
internal sealed class DeviceWeights
{
    private readonly string model;
    private readonly ulong address;

    /// <param name="config">The model.</param>
    /// <param name="infos">Its tensors.</param>
    /// <param name="pool">Where the memory comes from.</param>
    /// <param name="blockBytes">Bytes of the weights of fused residual blocks, which then do without the packed ones of the separate kernels; 0: the blocks are not fused.</param>
    public DeviceWeights(ModelConfig config, IReadOnlyList<ParameterInfo> infos, DeviceMemoryPool pool, long blockBytes = 0)
    {
        (Config, model) = (config, config.ToJson());
        address = pool.Allocate((infos[^1].Offset + (long)infos[^1].Count) * sizeof(float));
        Values = new DeviceArena(config, infos, address);
        try
        {
            Packed = new PackedWeights(config, Values, pool, forBlocks: blockBytes == 0);
            if (blockBytes > 0) Blocks = pool.Allocate(blockBytes);
        }
        catch
        {
            Packed?.Free(pool);
            pool.Free(address);
            throw;
        }
    }

    /// <summary>The model.</summary>
    public ModelConfig Config { get; }

    /// <summary>As <see cref="Parameters"/> has them.</summary>
    public DeviceArena Values { get; }

    /// <summary>For the faster kernels of forward.</summary>
    public PackedWeights Packed { get; }

    /// <summary>Address of the weights of fused residual blocks, layer after layer; 0 without any.</summary>
    public ulong Blocks { get; }

    /// <summary>Whether they are of a model.</summary>
    public bool Fits(ModelConfig config) => ReferenceEquals(config, Config) || config.ToJson() == model;

    /// <summary>Gives the memory back.</summary>
    public void Free(DeviceMemoryPool pool)
    {
        if (Blocks != 0) pool.Free(Blocks);
        Packed.Free(pool);
        pool.Free(address);
    }
}
