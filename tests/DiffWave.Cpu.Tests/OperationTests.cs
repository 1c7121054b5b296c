using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class OperationTests
{
    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void InputProjectionAndHead(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, rows, batch) in new[] { (2, 1, 1), (8, 777, 3), (24, 5, 1), (33, 131, 3), (64, 129, 1), (128, 40, 1) })
            OperationChecks.InputProjectionAndHead(ops, channels, rows, batch);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void MelUpsampler(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (factors, bands, frames, philsyn) in new (int[], int, int, bool)[]
                 { ([16, 16], 80, 3, false), ([15, 20], 33, 4, true), ([5, 5, 11], 5, 3, false), ([2], 5, 1, false), ([2], 80, 40, true), ([16, 16], 5, 1, true), ([1], 33, 9, false), ([3, 1, 7], 33, 13, true) })
            OperationChecks.MelUpsampler(ops, factors, bands, frames, philsyn);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ConditionerProjectionIntoARing(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var (channels, bands) in new[] { (1, 5), (16, 80), (33, 33), (64, 80) }) OperationChecks.ConditionerProjectionIntoARing(ops, channels, bands, rows: 150, start: 77);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void StepEmbeddingAndLabels(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        float[][] rows = [.. new[] { 0f, 17.3f, 49f }.Select(step =>
        {
            float[] row = new float[ModelConfig.StepTableWidth];
            StepEmbedding.Row(StepExponent.Positive, step, 50, row);
            return row;
        })];
        foreach (int channels in new[] { 1, 16, 33 }) OperationChecks.StepEmbeddingAndLabels(ops, channels, layers: 7, rows);
    }

    [Fact]
    public void ReverseStepIsThePlainFloat32Formula()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        OperationChecks.ReverseStepIsThePlainFloat32Formula(ops, bitsOfNaN: true);
    }
}
