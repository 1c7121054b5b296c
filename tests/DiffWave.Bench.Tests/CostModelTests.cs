using DiffWave.Bench.Costs;

namespace DiffWave.Bench.Tests;

/// <summary>Times of launches, computed by hand from the round device.</summary>
public class CostModelTests
{
    private const double Start = 1e-6;

    // 1e6 of each count over ten multiprocessors at 1 GHz: 1e5 a multiprocessor, so 100 us at one a clock.
    [Theory]
    [InlineData(nameof(Count.Float32), nameof(Bound.Fma), 25)]                // four warps a clock
    [InlineData(nameof(Count.Float16), nameof(Bound.Half), 50)]               // two
    [InlineData(nameof(Count.Float64), nameof(Bound.Double), 1600)]           // a sixteenth
    [InlineData(nameof(Count.Integer), nameof(Bound.Integer), 50)]
    [InlineData(nameof(Count.Special), nameof(Bound.Special), 200)]
    [InlineData(nameof(Count.Conversion), nameof(Bound.Convert), 50)]
    [InlineData(nameof(Count.Exchange), nameof(Bound.Exchange), 100)]
    [InlineData(nameof(Count.Issued), nameof(Bound.Issue), 25)]
    [InlineData(nameof(Count.SharedWavefronts), nameof(Bound.Shared), 100)]
    [InlineData(nameof(Count.GlobalWavefronts), nameof(Bound.Shared), 100)]
    [InlineData(nameof(Count.Sectors), nameof(Bound.L2), 32)]                 // 32 MB at 1 TB/s
    public void EachCountTakesItsPartOfTheDevice(string count, string bound, double microseconds)
    {
        Prediction predicted = CostModel.Predict(Work.Gpu, Work.Launch(20, TensorKind.None, (Enum.Parse<Count>(count), 1e6)), 0, Start);
        Assert.Equal(bound, predicted.Bound.ToString());
        Assert.Equal(Start + microseconds * 1e-6, predicted.Seconds, 12);
    }

    [Theory]
    [InlineData(nameof(TensorKind.F16), 100)]  // 5e8 FLOP at half of 10 TFLOP/s
    [InlineData(nameof(TensorKind.BF16), 100)]
    [InlineData(nameof(TensorKind.TF32), 200)]
    public void MatrixProductsReachTheShareOfMmaSync(string kind, double microseconds)
    {
        Prediction predicted = CostModel.Predict(Work.Gpu, Work.Launch(10, Enum.Parse<TensorKind>(kind), (Count.TensorFlops, 5e8)), 0, Start);
        Assert.Equal(Bound.Tensor, predicted.Bound);
        Assert.Equal(Start + microseconds * 1e-6, predicted.Seconds, 12);
    }

    [Fact]
    public void TheSlowestPartDecidesAndTheOthersHideBehindIt()
    {
        LaunchWork work = Work.Launch(10, TensorKind.F16, (Count.TensorFlops, 5e8), (Count.SharedWavefronts, 7e5), (Count.GlobalWavefronts, 5e5), (Count.Float32, 1e6));
        Prediction predicted = CostModel.Predict(Work.Gpu, work, 1e6, Start);
        Assert.Equal(Bound.Shared, predicted.Bound);              // 120 us against 100 of the tensor cores, 25 of float32 and 10 of device memory
        Assert.Equal(Start + 120e-6, predicted.Seconds, 12);
        Assert.Equal(10e-6, predicted.Parts[(int)Bound.Dram], 12);
        Assert.Equal(25e-6, predicted.Parts[(int)Bound.Fma], 12);
    }

    [Theory]
    [InlineData(1, 0.1)]
    [InlineData(10, 1)]
    [InlineData(11, 0.55)]  // two rounds for eleven blocks
    [InlineData(20, 1)]
    [InlineData(25, 25.0 / 30)]
    public void AnUnevenGridLeavesMultiprocessorsIdle(int blocks, double fill)
    {
        Prediction predicted = CostModel.Predict(Work.Gpu, Work.Launch(blocks, TensorKind.None, (Count.Float32, 1e6)), 0, Start);
        Assert.Equal(fill, predicted.Fill, 12);
        Assert.Equal(Start + 25e-6 / fill, predicted.Seconds, 12);
    }

    [Fact]
    public void AnUnevenGridDoesNotSlowDeviceMemory()
    {
        Prediction predicted = CostModel.Predict(Work.Gpu, Work.Launch(11, TensorKind.None, (Count.Float32, 1)), 1e7, Start);
        Assert.Equal(Bound.Dram, predicted.Bound);
        Assert.Equal(Start + 100e-6, predicted.Seconds, 12);
    }

    [Fact]
    public void ASmallLaunchCostsItsStart()
    {
        Prediction predicted = CostModel.Predict(Work.Gpu, Work.Launch(1, TensorKind.None, (Count.Float32, 100)), 0, Start);
        Assert.Equal(Bound.Launch, predicted.Bound);
        Assert.Equal(Start + 25e-9, predicted.Seconds, 12); // 25 clocks of one multiprocessor
    }

    [Fact]
    public void TheKnownDevicesHaveTheFiguresOfTheirDataSheets()
    {
        // Float32 multiply-adds a second as the data sheets give them, to the rounding of a clock.
        (string Name, double Teraflops)[] sheets = [("h100", 67), ("h100-pcie", 51), ("h200", 67), ("a100", 19.5), ("rtx4090", 82.6)];
        Assert.Equal(GpuModel.All.Select(gpu => gpu.Name), sheets.Select(sheet => sheet.Name));
        foreach ((string name, double teraflops) in sheets)
        {
            GpuModel gpu = GpuModel.Find(name);
            Assert.InRange(2 * gpu.Float32Lanes * gpu.Multiprocessors * gpu.Clock / 1e12 / teraflops, 0.99, 1.01);
        }
        Assert.Contains("h200", Assert.Throws<ArgumentException>(() => GpuModel.Find("h300")).Message);
    }
}
