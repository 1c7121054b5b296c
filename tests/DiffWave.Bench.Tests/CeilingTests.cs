using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;

namespace DiffWave.Bench.Tests;

/// <summary>The kernels that reach the roofs of a GPU compute what they say, and execute exactly what they declare.</summary>
public class CeilingTests
{
    private const int Rounds = 2, Blocks = 2, Steps = Rounds * CeilingKernels.Unrolled;

    [Fact]
    public void TheCopyCopiesEveryByteOnce()
    {
        const int Bytes = 3 * 16 * 1000; // no multiple of what the grid takes a turn
        (float[] result, LaunchReport report) = Run((driver, runner) => Ceiling.Copy(driver, runner, Bytes), Bytes / 4, out Ceiling copy);
        Assert.All(result, value => Assert.Equal(1, value));
        Assert.Equal((0, 2L * Bytes), (copy.Cost.Flops, copy.Cost.Bytes));
        Check(copy, report);
    }

    // The same chain of fused operations in C#, in float32: to the last bit.
    [Fact]
    public void TheChainsOfMultiplyAddsAreThoseOfTheHost()
    {
        (float[] result, LaunchReport report) = Run((driver, runner) => Ceiling.Fma(driver, runner, Blocks, Rounds), Blocks * CeilingKernels.Threads, out Ceiling fma);
        float expected = 0;
        for (int chain = 0; chain < CeilingKernels.Chains; chain++)
        {
            float value = Ceiling.Start(chain);
            for (int step = 0; step < Steps; step++) value = MathF.FusedMultiplyAdd(Ceiling.Factor, value, Ceiling.Summand);
            expected = chain == 0 ? value : expected + value;
        }
        Assert.All(result, value => Assert.Equal(expected, value));
        Assert.Equal(0, report.LocalBytes);
        Check(fma, report);
    }

    // Every product adds A B to every accumulator: whole numbers, exact in float32.
    [Fact]
    public void TheChainsOfMatrixProductsAreSumsOfThem()
    {
        (float[] result, LaunchReport report) = Run((driver, runner) => Ceiling.Tensor(driver, runner, Blocks, Rounds), 4 * Blocks * CeilingKernels.Threads, out Ceiling tensor);
        int starts = Enumerable.Range(0, CeilingKernels.Chains).Sum(chain => (int)Ceiling.Start(chain));
        for (int i = 0; i < result.Length; i++)
        {
            int lane = i / 4 % 32, element = i % 4, row = lane / 4 + element / 2 * 8, column = lane % 4 * 2 + element % 2;
            int product = Enumerable.Range(0, CeilingKernels.K).Sum(k => Ceiling.Left(row, k) * Ceiling.Right(k, column));
            Assert.Equal(starts + CeilingKernels.Chains * Steps * product, result[i]);
        }
        Assert.True(result.Distinct().Count() > 10); // factors that tell a wrong place
        Assert.Equal(0, report.LocalBytes);
        Check(tensor, report);
    }

    [Fact]
    public void ADeviceWithoutTensorCoresSaysSo()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Sm = 75 });
        using var runner = new KernelRunner(driver);
        Assert.Contains("needs sm_80", Assert.Throws<UnsupportedKernelException>(() => Ceiling.Tensor(driver, runner, 1, 1)).Message, StringComparison.Ordinal);
    }

    private static void Check(Ceiling ceiling, LaunchReport report)
    {
        Assert.Equal((ceiling.Cost.Flops, ceiling.TensorFlops), (report.Flops, report.TensorFlops));
        Assert.Equal(ceiling.Cost.Bytes, 32 * report.Allocations.Sum(allocation => allocation.SectorsRead + allocation.SectorsWritten));
    }

    private static (float[] Result, LaunchReport Report) Run(Func<ICudaDriver, KernelRunner, Ceiling> make, int length, out Ceiling made)
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Reports = true });
        using var runner = new KernelRunner(driver);
        using Ceiling ceiling = made = make(driver, runner);
        ceiling.Launch(0);
        float[] result = new float[length];
        driver.CopyToHost(MemoryMarshal.AsBytes(result.AsSpan()), ceiling.Output);
        return (result, Assert.Single(driver.Reports));
    }
}
