namespace DiffWave.Cpu.Tests;

/// <summary>Backward of the operations around the residual blocks, in float32 on vectors, against <see cref="ReferenceBackward{T}"/> in float64.</summary>
public class BackwardTests
{
    private static readonly (int Channels, int Rows, int Batch)[] Sizes = [(1, 1, 1), (1, 600, 1), (5, 3, 3), (5, 129, 1), (16, 1, 3), (24, 129, 1), (24, 600, 3), (40, 3, 1), (40, 129, 3), (64, 600, 1), (64, 1030, 1)];

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void InputProjection(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, rows, batch) in Sizes) BackwardChecks.InputProjection(ops, channels, rows, batch);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void Head(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, rows, batch) in Sizes) BackwardChecks.Head(ops, channels, rows, batch);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void MelUpsampler(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (factors, bands, frames, batch, philsyn) in new (int[], int, int, int, bool)[]
                 { ([16, 16], 80, 3, 1, false), ([15, 20], 33, 2, 1, true), ([5, 5, 11], 5, 3, 1, false), ([2], 5, 1, 3, false), ([2], 80, 300, 1, true), ([3], 1, 43, 3, true), ([1], 33, 300, 1, false), ([3, 1, 7], 16, 13, 3, true), ([300], 17, 2, 1, false) })
            BackwardChecks.MelUpsampler(ops, factors, bands, frames, batch, philsyn);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void StepEmbeddingAndLabel(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, batch) in new[] { (1, 1), (5, 3), (40, 1), (24, 3) }) BackwardChecks.StepEmbeddingAndLabel(ops, channels, layers: 7, batch);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void NaNReachesTheNorm(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        BackwardChecks.NaNReachesTheNorm(ops, channels: 24, bands: 5, rows: 12);
    }
}
