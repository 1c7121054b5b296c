using DiffWave.Cpu.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Layers that move along whole signals in windows: the bits of layers that take all at once, and windows only where they pay.</summary>
public class CudaWindowsTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    private static readonly IReadOnlyList<SamplerStep> TwoSteps = SamplerStep.Chain(new NoiseSchedule([1e-3, 0.5]), SamplerSetup.Training);

    // Shorter than what the layers trail together, down to a row; of no common factor with dilations or tiles; longer than the signal.
    private static readonly int[] Windows = [1, 13, 64, 150, 1000];

    public static TheoryData<Precision> Precisions => [Precision.Fp32, Precision.Tf32, Precision.Fp16];

    [Theory]
    [MemberData(nameof(Precisions))]
    public void AnyWindowGivesTheSameBits(Precision precision)
    {
        bool fused = precision != Precision.Fp32;
        NetworkCase[] cases =
        [
            new(Setup.Config(fused ? 32 : 8, Both, 8, [5, 4], layers: 5, cycle: 5), 190, 1), new(Setup.Config(fused ? 32 : 12, Conditioner.Mel, 8, [2], philsyn: true, layers: 4, cycle: 3), 150, 2),
            new(Setup.Config(fused ? 32 : 5, layers: 7, cycle: 3), 70, 1),
        ];
        foreach (NetworkCase c in cases)
        {
            float[][] expected = Run(null);
            Assert.All(expected, audio => Assert.Contains(audio, sample => sample != 0 && Math.Abs(sample) != 1));
            foreach (int window in Windows)
                foreach ((float[] one, float[] other) in expected.Zip(Run(window))) Setup.AssertSameBits($"{precision}, {c}, windows of {window}", one, other);

            float[][] Run(int? window)
            {
                using var device = new OpsUnderTest(checks: window == 13, options: new CudaOptions { Precision = precision, WindowRows = window });
                device.Ops.Load(c.Config, c.Parameters);
                return SamplerSetup.Run(device.Ops, c, SamplerSetup.Request(c, TwoSteps));
            }
        }
    }

    [Fact]
    public void SignalsOfUnequalLengthGoThroughTheSameWindows()
    {
        ModelConfig config = Setup.Config(32, Conditioner.Label, layers: 4, cycle: 4);
        NetworkCase c = new(config, 1, 1);
        SamplerRequest request = new() { Steps = TwoSteps, Noise = new SeededNoise(3), Lengths = [67, 1, 130, 5], Labels = [5, 0, 3, 1] };
        float[][] Run(int? window)
        {
            using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16, WindowRows = window });
            device.Ops.Load(config, c.Parameters);
            return SamplerSetup.Run(device.Ops, c, request);
        }
        float[][] expected = Run(null);
        foreach (int window in Windows)
            foreach ((float[] one, float[] other) in expected.Zip(Run(window))) Setup.AssertSameBits($"windows of {window}", one, other);
    }

    // Where the layers' projections of a mel are not kept, every layer must be done with it before the next one.
    [Fact]
    public void AMelThatIsNotKeptAllowsNoWindows()
    {
        NetworkCase c = new(Setup.Config(8, Conditioner.Mel, 8, [5, 4], layers: 4), 130, 1);
        float[] Run(int? window, long budget)
        {
            using var device = new OpsUnderTest(checks: false, options: new CudaOptions { WindowRows = window });
            device.Ops.Load(c.Config, c.Parameters);
            SamplerRequest request = SamplerSetup.Request(c, TwoSteps) with { MemoryBudget = budget };
            Assert.Equal(budget == 0, WholeChain.Shape.Of(c.Config, device.Ops, request, 0, 1, budget == 0 ? device.Ops.SamplingBudget : budget)!.KeepsMel);
            return SamplerSetup.Run(device.Ops, c, request)[0];
        }
        long budget = 1000;
        using (var device = new OpsUnderTest(checks: false))
            while (WholeChain.Shape.Of(c.Config, device.Ops, SamplerSetup.Request(c, TwoSteps), 0, 1, budget) is null) budget += budget / 16;
        Setup.AssertSameBits("without", Run(null, 0), Run(20, budget));
    }

    // GPUs as their data sheets have them, memory as a clock and a bus that give the rate.
    private static CudaDeviceInfo Gpu(string name) => name switch
    {
        "H100 SXM" => Of(90, 132, 1.98, 3350, 50),
        "H100 PCIe" => Of(90, 114, 1.755, 2000, 50),
        "H200" => Of(90, 132, 1.98, 4800, 50),
        "A100" => Of(80, 108, 1.41, 2039, 40),
        "RTX 4090" => Of(89, 128, 2.52, 1008, 72),
        "unknown" => Of(120, 170, 2.41, 1792, 96),
        _ => throw new ArgumentException(name),
    };

    private static CudaDeviceInfo Of(int sm, int multiprocessors, double gigahertz, int gigabytesPerSecond, int l2Megabytes) => new()
    {
        Name = "", Sm = sm, Multiprocessors = multiprocessors, MemoryBytes = 1L << 34, SharedBytesPerBlock = (sm == 90 ? 227 : sm == 80 ? 163 : 99) << 10, L2Bytes = l2Megabytes << 20, ClockKilohertz = (int)(gigahertz * 1e6),
        MemoryClockKilohertz = gigabytesPerSecond * 1000 / 2, MemoryBusBits = 8000,
    };

    // Base model, 16 bits, 10 s.
    [Theory]
    [InlineData("H100 SXM", 0, 0)]
    [InlineData("H200", 0, 0)]
    [InlineData("A100", 0, 0)]
    [InlineData("unknown", 0, 0)]
    [InlineData("H100 PCIe", 48_128, 11_776)] // the largest whole dilations in half of L2
    [InlineData("RTX 4090", 65_536, 16_384)] // 512 tiles, four for each multiprocessor
    public void WindowsWhereDeviceMemoryIsSlowAgainstTheRest(string gpu, int rows, int rowsOfFour)
    {
        ModelConfig config = ModelConfig.Preset("base");
        Assert.Equal(rows, WindowRule.Rows(Gpu(gpu), config, 2, 1, 220_672));
        Assert.Equal(rowsOfFour, WindowRule.Rows(Gpu(gpu), config, 2, 4, 220_672));
        Assert.Equal(0, WindowRule.Rows(Gpu(gpu), config, 2, 1, 44_100)); // fits into L2
        Assert.Equal(0, WindowRule.Rows(Gpu(gpu) with { MemoryClockKilohertz = 0 }, config, 2, 1, 220_672));
        Assert.Equal(0, WindowRule.Rows(Gpu(gpu) with { L2Bytes = 0 }, config, 2, 1, 220_672));
    }

    // By hand, us a layer. H100 PCIe, 48,128 rows: device memory 32.3 MB at 2 TB/s = 16.17; L2 the same and 114 times 86,016 bytes of weights at 4.00 TB/s = 10.53, more than four tiles a
    // multiprocessor at 2.43; an early start. RTX 4090, 65,536 rows: device memory 44.0 MB at 1.008 TB/s = 43.69; four tiles of 11.0 MFLOP a multiprocessor at 1.29 TFLOP/s = 34.13.
    [Theory]
    [InlineData("H100 PCIe", 48_128, 16.17 / (10.53 + 0.8))]
    [InlineData("RTX 4090", 65_536, 43.69 / (34.13 + 1.5))]
    public void TheGainIsThatOfTheArithmetic(string gpu, int rows, double gain) => Assert.Equal(gain, WindowRule.Gain(Gpu(gpu), ModelConfig.Preset("base"), 2, 1, rows)!.Value, 0.002);

    [Fact]
    public void TheEmulatorAndFloat32TakeAllAtOnce()
    {
        using var driver = new EmulatedDriver();
        ModelConfig config = ModelConfig.Preset("base");
        foreach (Precision precision in Enum.GetValues<Precision>())
        {
            using var ops = new CudaOps(driver, new CudaOptions { Precision = precision });
            Assert.Equal(0, ops.WindowRows(config, 1, 1 << 24));
        }
    }
}
