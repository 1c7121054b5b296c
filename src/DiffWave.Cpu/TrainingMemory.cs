using System.Runtime.InteropServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>What the device holds while it trains: its own copy of everything optimisation changes, the gradients, and working memory.</summary>
internal sealed unsafe class TrainingMemory : IDisposable
{
    private readonly GrowingMemory[] _scratch;

    public ModelConfig Config { get; }
    public Parameters Weights { get; }
    public float[] Gradients { get; }
    public float[] FirstMoment { get; }
    public float[] SecondMoment { get; }
    /// <summary>Moving average of the weights; null when none is kept.</summary>
    public float[]? Average { get; }
    /// <summary>Sums of weight gradients over single slices of rows.</summary>
    public GrowingMemory Partials { get; } = new();
    /// <summary>The skip projection's transpose, C to C, scaled by 1/sqrt(L).</summary>
    public PanelMatrix SkipTransposed { get; private set; } = null!;

    /// <summary>The residual layers' transposed weights and the places of their gradients.</summary>
    public BackwardLayer[] Layers { get; private set; } = [];

    public TrainingMemory(ModelConfig config, TrainingState state, int threads)
    {
        Config = config;
        Weights = new Parameters(config);
        if (state.Weights.Arena.Length != Weights.Arena.Length) throw new ArgumentException($"the state has {state.Weights.Arena.Length} weights, expected {Weights.Arena.Length}");
        state.Weights.Arena.CopyTo(Weights.Arena, 0);
        (FirstMoment, SecondMoment, Average) = ([.. state.FirstMoment], [.. state.SecondMoment], state.Average is null ? null : [.. state.Average.Arena]);
        Gradients = new float[Weights.Arena.Length];
        _scratch = [.. Enumerable.Range(0, threads).Select(_ => new GrowingMemory())];
    }

    /// <summary>Makes the transposed forms of the weights again.</summary>
    public void Repack(Team team, int vectorWidth)
    {
        int c = Config.Channels, skip = Offset("skip_projection.weight");
        float scale = 1f / MathF.Sqrt(Config.Layers);
        FreePacked();
        SkipTransposed = PanelMatrix.Natural(c, c, 2 * vectorWidth, (i, o) => Weights.Arena[skip + o * c + i] * scale, _ => 0);
        var layers = new BackwardLayer[Config.Layers];
        team.Run(layers.Length, (layer, _) => layers[layer] = new BackwardLayer(Config, Weights, Gradients, layer, vectorWidth));
        Layers = layers;
    }

    private void FreePacked()
    {
        SkipTransposed?.Dispose();
        foreach (var layer in Layers) layer.Dispose();
        Layers = [];
    }

    /// <summary>Place of a tensor in the arenas.</summary>
    public int Offset(string name) => Weights.Info(name).Offset;

    /// <summary>A thread's own working memory; what an earlier call left there is garbage.</summary>
    public float* Scratch(int thread, long floats) => _scratch[thread].AtLeast(floats);

    public void Dispose()
    {
        FreePacked();
        Partials.Dispose();
        foreach (var scratch in _scratch) scratch.Dispose();
    }
}

/// <summary>Aligned memory that is kept between uses and replaced by a larger piece when it is too small.</summary>
internal sealed unsafe class GrowingMemory : IDisposable
{
    private float* _data;
    private long _floats;

    ~GrowingMemory() => Free();

    public float* AtLeast(long floats)
    {
        if (floats <= _floats) return _data;
        Free();
        _data = CpuBuffer.AllocateFloats(floats);
        _floats = floats;
        return _data;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_data);
        _data = null;
        _floats = 0;
    }
}
