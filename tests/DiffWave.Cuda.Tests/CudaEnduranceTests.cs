using DiffWave.Cpu.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Tests that measure the process run alone.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public class Alone;

/// <summary>A process that synthesizes for ever, on the driver class as shipped.</summary>
[Collection(nameof(Alone))]
public class CudaEnduranceTests
{
    [Fact]
    public void AThousandRunsLeaveNothingBehind()
    {
        const int Warm = 100, Runs = 1000, Each = 4;
        NetworkCase c = new(Setup.Config(4, Conditioner.Mel | Conditioner.Label, 4, [2], layers: 2, cycle: 2), 6, 1);
        using var cuda = new StubCuda(new EmulatorOptions { Checks = false, Threads = 1 });
        using (var driver = NvidiaDriver.Open())
        {
            using var ops = new CudaOps(driver);
            IReadOnlyList<SamplerStep> steps = SamplerStep.Chain(new NoiseSchedule([1e-3, 0.05, 0.5]), SamplerSetup.Training);
            (long Allocations, long Reserved, LiveHandles Live, long Managed) warm = default;
            for (int run = 0; run < Runs; run += Each)
            {
                if (run == Warm) warm = Now();
                ops.Load(c.Config, c.Parameters);
                using var sampler = new Sampler(c.Config, ops);
                float[]? first = null;
                for (int i = 0; i < Each; i++) // at once, captured, replayed, replayed
                {
                    float[] audio = SamplerSetup.Run(sampler, SamplerSetup.Request(c, steps))[0];
                    Setup.AssertSameBits("audio", first ??= audio, audio);
                }
            }
            var end = Now();
            Assert.Equal((warm.Allocations, warm.Reserved, warm.Live), (end.Allocations, end.Reserved, end.Live));
            Assert.InRange(end.Managed - warm.Managed, long.MinValue, 100_000); // 900 runs: less than 112 bytes each

            (long Allocations, long Reserved, LiveHandles Live, long Managed) Now() => (ops.Pool.DriverAllocations, ops.Pool.BytesInUse + ops.Pool.BytesCached, cuda.Live, GC.GetTotalMemory(forceFullCollection: true));
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }
}
