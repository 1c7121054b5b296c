namespace DiffWave.Cuda.Tests;

/// <summary>What the management library tells of a GPU, and what is said where it tells nothing.</summary>
public class NvmlTests
{
    [Fact]
    public void A_gpu_is_found_by_its_place_and_told_in_the_units_people_use()
    {
        using var cuda = new StubCuda { DeviceCount = 2, State = () => new GpuState(1755, 2619, 61, 512.5, ThrottleReasons.PowerCap | ThrottleReasons.ThermalSlowdown) };
        using (var driver = NvidiaDriver.Open(1))
        using (Nvml nvml = Nvml.Open(driver.Device.PciBusId, out string? whyNone)!)
        {
            Assert.Null(whyNone);
            Assert.Equal(new GpuState(1755, 2619, 61, 512.5, (ThrottleReasons)0x24), nvml.Read());
            Assert.Equal((1980, 2619, 700.0), (nvml.MaxSmMegahertz, nvml.MaxMemoryMegahertz, nvml.PowerLimitWatts));
            Assert.Equal(1, cuda.NvmlUsers);
        }
        Assert.Equal(0, cuda.NvmlUsers);
    }

    [Fact]
    public void What_it_does_not_tell_is_null()
    {
        using var cuda = new StubCuda { State = () => new GpuState(null, 2619, null, null, null) };
        using Nvml nvml = Nvml.Open("0000:01:00.0", out _)!;
        Assert.Equal(new GpuState(null, 2619, null, null, null), nvml.Read());
        nvml.Dispose();
        Assert.Throws<ObjectDisposedException>(nvml.Read);
        Assert.Equal(0, cuda.NvmlUsers);
    }

    [Theory]
    [InlineData("nvmlDeviceGetCurrentClocksEventReasons", true)] // as drivers before 535
    [InlineData("nvmlDeviceGetTemperature", false)]
    public void A_library_without_one_of_them_tells_the_rest(string missing, bool hasAll)
    {
        using var cuda = new StubCuda { MissingFunction = missing, State = () => new GpuState(1980, 2619, 40, 90, ThrottleReasons.Idle) };
        using Nvml nvml = Nvml.Open("0000:01:00.0", out _)!;
        Assert.Equal(new GpuState(1980, 2619, hasAll ? 40 : null, 90, ThrottleReasons.Idle), nvml.Read());
    }

    [Fact]
    public void Without_it_there_is_a_reason()
    {
        using var cuda = new StubCuda();
        Assert.Null(Nvml.Open("0000:01:00.0", out string? whyNone));
        Assert.Equal($"{Nvml.Library} not found", whyNone);
        cuda.State = () => new GpuState(1, 1, 1, 1, ThrottleReasons.None);
        Assert.Null(Nvml.Open("0000:7f:00.0", out whyNone));
        Assert.Equal("nvmlDeviceGetHandleByPciBusId(0000:7f:00.0): Not Found", whyNone);
        Assert.Null(Nvml.Open("", out whyNone));
        Assert.Equal("the device tells no place on a bus", whyNone);
        cuda.MissingFunction = "nvmlInit";
        Assert.Null(Nvml.Open("0000:01:00.0", out whyNone));
        Assert.Equal($"{Nvml.Library} lacks functions that are needed", whyNone);
        Assert.Equal(0, cuda.NvmlUsers);
    }
}
