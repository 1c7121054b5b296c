using System.Globalization;
using System.Reflection;
using DiffWave.Cuda;

namespace DiffWave.Compiler.Tests;

// Random kernels as C# runs them and as PTX on the emulator give the same bits. DIFFWAVE_RANDOM_KERNELS=100000 runs so many; DIFFWAVE_RANDOM_SEED=n begins at that seed.
public class RandomKernelTests
{
    private const int Batch = 90, Size = 18;

    private static readonly object[] Inputs = [Data.Ints(1, RandomKernel.Threads), Data.Longs(2, RandomKernel.Threads), Data.Floats(3, RandomKernel.Threads), Data.Doubles(4, RandomKernel.Threads)];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void RandomKernelsGiveTheSameBits(int part)
    {
        int count = Setting("DIFFWAVE_RANDOM_KERNELS", 6 * Batch) / 6, start = Setting("DIFFWAVE_RANDOM_SEED", 1) + part * count;
        for (int seed = start; seed < start + count; seed += Batch)
        {
            var kernels = RandomKernel.Load(seed, Math.Min(Batch, start + count - seed), Size);
            for (int i = 0; i < kernels.Length; i++)
                if (Difference(kernels[i]) is { } difference)
                    Assert.Fail($"seed {seed + i}: {Smallest(seed + i) ?? difference}");
        }
    }

    [Theory]
    [InlineData(601104)] // a comparison known to be true, compared with a number
    public void KernelsThatOnceDifferedNoLongerDo(int seed) => Assert.Null(Difference(RandomKernel.Load(seed, 1, Size)[0]));

    // The shortest kernel of the seed that still shows a difference.
    private static string? Smallest(int seed) =>
        Enumerable.Range(0, Size).Select(size => Difference(RandomKernel.Load(seed, 1, size)[0]) is { } difference ? $"{size} statements of {Size}: {difference}" : null).FirstOrDefault(text => text is not null);

    private static string? Difference(MethodInfo kernel)
    {
        object[] arguments = [.. Inputs, .. Outputs()];
        CompiledKernel? compiled = null;
        try
        {
            compiled = KernelRun.Compile(kernel);
            KernelRun.SameAsNative(compiled, kernel, new Dim3(1), new Dim3(RandomKernel.Threads), arguments);
            return null;
        }
        catch (Exception exception) when (exception is KernelCompileException or CudaException or Xunit.Sdk.FailException)
        {
            return $"{exception.Message}\n{exception.InnerException}{(exception is CudaException ? compiled?.Ptx : "")}";
        }
    }

    private static IEnumerable<object> Outputs()
    {
        const int Length = RandomKernel.Threads * RandomKernel.Results;
        return [new int[Length], new long[Length], new float[Length], new double[Length]];
    }

    private static int Setting(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int value) ? value : otherwise;
}
