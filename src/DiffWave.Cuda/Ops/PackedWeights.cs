using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Cuda;

/// <summary>The weights of the convolutions in the order that the faster kernels read. Where a number of channels is no multiple of four there are none, and version 1 reads the canonical ones.</summary>
internal sealed class PackedWeights
{
    private readonly ulong address;

    /// <summary>One convolution of all layers.</summary>
    /// <param name="Source">The canonical weights of layer 0, and from there on.</param>
    /// <param name="Values">The packed ones, layer after layer; empty when the faster kernels cannot take them.</param>
    /// <param name="Layers">Layers that have it.</param>
    /// <param name="Outputs">O.</param>
    /// <param name="Inputs">I.</param>
    /// <param name="Taps">K.</param>
    public readonly record struct Conv(ArrayView<float> Source, ArrayView<float> Values, int Layers, int Outputs, int Inputs, int Taps)
    {
        /// <summary>The weights of a layer, or nothing.</summary>
        public ArrayView<float> this[int layer] => Values.IsValid ? Values.SubView((long)layer * Size, Size) : default;

        /// <summary>Values of a layer.</summary>
        public int Size => Outputs * Inputs * Taps;
    }

    /// <param name="config">The model.</param>
    /// <param name="weights">Its canonical weights.</param>
    /// <param name="pool">Where the memory comes from.</param>
    /// <param name="forBlocks">Whether those of the residual blocks are wanted too.</param>
    public PackedWeights(ModelConfig config, DeviceArena weights, DeviceMemoryPool pool, bool forBlocks = true)
    {
        int c = config.Channels, layers = config.Layers;
        Conv[] convs =
        [
            new(weights.From(weights.Layers[0].Dilated.Weight), default, layers, 2 * c, c, 3),
            new(weights.From(weights.Layers[0].Output.Weight), default, layers, 2 * c, c, 1),
            new(weights.Skip.Weight, default, 1, c, c, 1),
            config.HasMel ? new(weights.From(weights.Layers[0].Conditioner.Weight), default, layers, 2 * c, config.Bands, 1) : default,
        ];
        long Floats(Conv conv) => (forBlocks || conv.Source.Address == weights.Skip.Weight.Address) && conv.Outputs % 4 == 0 && conv.Inputs % 4 == 0 ? (long)conv.Layers * conv.Size : 0; // multiples of 16: addresses stay aligned
        long all = convs.Sum(Floats);
        if (all > 0) address = pool.Allocate(all * sizeof(float));
        long place = 0;
        for (int i = 0; i < convs.Length; i++)
        {
            long floats = Floats(convs[i]);
            if (floats > 0) convs[i] = convs[i] with { Values = new ArrayView<float>((nint)address + (nint)place * sizeof(float), floats) };
            place += floats;
        }
        (Dilated, Output, Skip, Conditioner) = (convs[0], convs[1], convs[2], convs[3]);
    }

    /// <summary>The dilated convolution of every layer.</summary>
    public Conv Dilated { get; }

    /// <summary>The output projection of every layer.</summary>
    public Conv Output { get; }

    /// <summary>The skip projection.</summary>
    public Conv Skip { get; }

    /// <summary>The conditioner projection of every layer; empty without a mel.</summary>
    public Conv Conditioner { get; }

    /// <summary>All that there are.</summary>
    public IEnumerable<Conv> All => new[] { Dilated, Output, Skip, Conditioner }.Where(conv => conv.Values.IsValid);

    /// <summary>Gives the memory back.</summary>
    public void Free(DeviceMemoryPool pool)
    {
        if (address != 0) pool.Free(address);
    }
}
