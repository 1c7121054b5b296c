using DiffWave.Cpu.Tests;

namespace DiffWave.Cuda.Tests;

/// <summary>Every backward operation of <see cref="CudaOps"/> on the emulator against <see cref="ReferenceBackward{T}"/> in float64.</summary>
public sealed class CudaBackwardTests : IDisposable
{
    private readonly OpsUnderTest device = new();

    private CudaOps Ops => device.Ops;

    public void Dispose() => device.Dispose();

    // More than one slice of 512 rows, one row, and rows and channels that are no multiples of anything.
    public static TheoryData<int, int, int> Sizes => new() { { 5, 1, 1 }, { 5, 600, 1 }, { 16, 3, 3 }, { 24, 600, 3 }, { 64, 130, 1 } };

    [Theory, MemberData(nameof(Sizes))]
    public void InputProjection(int channels, int rows, int batch) => BackwardChecks.InputProjection(Ops, channels, rows, batch);

    [Theory, MemberData(nameof(Sizes))]
    public void Head(int channels, int rows, int batch) => BackwardChecks.Head(Ops, channels, rows, batch);

    [Fact]
    public void MelUpsampler()
    {
        foreach (var (factors, bands, frames, batch, philsyn) in new (int[], int, int, int, bool)[]
                 { ([16, 4], 80, 2, 1, false), ([15, 2], 33, 2, 1, true), ([5, 2, 3], 8, 3, 2, false), ([2], 5, 1, 3, false), ([3], 4, 43, 2, true), ([1], 16, 40, 1, false), ([300], 20, 2, 1, false) })
            BackwardChecks.MelUpsampler(Ops, factors, bands, frames, batch, philsyn);
    }

    [Theory]
    [InlineData(5, 3)]
    [InlineData(24, 1)]
    public void StepEmbeddingAndLabel(int channels, int batch) => BackwardChecks.StepEmbeddingAndLabel(Ops, channels, layers: 3, batch);

    // channels, layer (dilation 1 2 4 8 1 2 4; 6 is the last), T, batch, philsyn's switches, with label
    [Theory]
    [InlineData(5, 3, 3, 3, true, true)]
    [InlineData(5, 0, 600, 1, false, false)]
    [InlineData(16, 3, 1, 1, false, true)]
    [InlineData(16, 2, 129, 3, true, false)]
    [InlineData(24, 6, 600, 1, false, true)]
    [InlineData(37, 6, 3, 3, true, true)]
    [InlineData(64, 3, 129, 1, false, false)]
    public void ResidualBlock(int channels, int layer, int rows, int batch, bool philsyn, bool label) => BackwardChecks.ResidualBlock(Ops, channels, layer, rows, batch, philsyn, label);

    [Theory]
    [InlineData(5, 5, 3, 3, 1)]
    [InlineData(16, 80, 129, 1, 3)]
    [InlineData(24, 33, 600, 2, 1)]
    [InlineData(64, 80, 40, 1, 2)]
    public void ConditionerProjection(int channels, int bands, int rows, int batch, int layers) => BackwardChecks.ConditionerProjection(Ops, channels, bands, rows, batch, layers);

    [Theory]
    [InlineData(8)]
    [InlineData(5)]
    public void NaNReachesTheNorm(int channels)
    {
        BackwardChecks.NaNReachesTheNorm(Ops, channels, bands: channels, rows: 12);
        BackwardChecks.NaNOfABlockReachesTheNorm(Ops, channels, bands: channels, rows: 12);
    }
}
