using System.Runtime.InteropServices;

namespace DiffWave.Cuda.Tests;

/// <summary>What can be shown without a driver; everything else needs one, and is run by tools/gpu-check.sh.</summary>
public unsafe class NvidiaDriverTests
{
    // Part of every system, and no driver.
    private static readonly string SystemLibrary = OperatingSystem.IsWindows() ? "kernel32.dll" : OperatingSystem.IsMacOS() ? "libSystem.dylib" : "libc.so.6";

    [Fact]
    public void An_absent_library_is_an_answer_with_a_reason()
    {
        var devices = NvidiaDriver.Devices(["no-such-libcuda.so.1", "nor-this.so"], out string? whyNone);
        Assert.Empty(devices);
        Assert.Equal("load no-such-libcuda.so.1 or nor-this.so: no NVIDIA driver: the library of the NVIDIA driver is not on this machine; install the driver of the GPU, or use another device", whyNone);
    }

    [Fact]
    public void A_library_without_the_entry_points_is_an_answer_with_a_reason()
    {
        Assert.Empty(NvidiaDriver.Devices([SystemLibrary], out string? whyNone));
        Assert.Equal("find cuGetErrorName in the driver: driver too old: the driver has no cuGetErrorName; CUDA 11.8 or newer is needed; update the driver of the GPU", whyNone);
    }

    [Fact]
    public void The_list_of_devices_never_throws_and_agrees_with_opening()
    {
        var devices = NvidiaDriver.Devices(out string? whyNone);
        Assert.Equal(devices.Count == 0, whyNone != null);
        if (devices.Count == 0)
        {
            var refusal = Assert.Throws<CudaException>(() => NvidiaDriver.Open());
            Assert.NotEqual("", refusal.Error);
        }
        else
        {
            using var driver = NvidiaDriver.Open();
            Assert.Equal(devices[0], driver.Device);
            Assert.Throws<CudaException>(() => NvidiaDriver.Open(devices.Count));
        }
        Assert.Throws<CudaException>(() => NvidiaDriver.Open(-1));
    }

    [Theory]
    [InlineData(11080, "11.8")]
    [InlineData(12040, "12.4")]
    [InlineData(13000, "13.0")]
    public void Versions_read_as_people_write_them(int version, string text) => Assert.Equal(text, NvidiaLibrary.VersionText(version));

    [Fact]
    public void A_failing_call_tells_itself_the_error_and_what_to_do()
    {
        var error = new CudaException("cuMemAlloc(4294967296 bytes)", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory", CudaErrors.Fix("CUDA_ERROR_OUT_OF_MEMORY"));
        Assert.Equal("cuMemAlloc(4294967296 bytes): CUDA_ERROR_OUT_OF_MEMORY: out of memory; use a smaller batch or length, or free the GPU of other programs (nvidia-smi lists them)", error.Message);
        Assert.Equal(("cuMemAlloc(4294967296 bytes)", "CUDA_ERROR_OUT_OF_MEMORY"), (error.Call, error.Error));
        Assert.Equal("call: error: text", new CudaException("call", "error", "text").Message);
        Assert.Equal("", CudaErrors.Fix("CUDA_ERROR_NOBODY_KNOWS"));
    }

    [Fact]
    public void The_text_of_a_call_is_made_only_when_it_failed()
    {
        int made = 0;
        string Part()
        {
            made++;
            return "part";
        }
        Assert.Equal("", Text(0, $"call({Part()})"));
        Assert.Equal(0, made);
        Assert.Equal("call(part, 0x1f, 1.5)", Text(2, $"call({Part()}, 0x{31:x}, {1.5})"));
        Assert.Equal(1, made);
    }

    private static string Text(int result, [System.Runtime.CompilerServices.InterpolatedStringHandlerArgument(nameof(result))] CallText call) => $"{(result == 0 ? "" : call.ToString())}";

    [Fact]
    public void The_driver_is_looked_for_under_its_own_name_only()
        => Assert.Equal(RuntimeInformation.IsOSPlatform(OSPlatform.Windows) ? ["nvcuda.dll"] : ["libcuda.so.1"], NvidiaLibrary.Names);
}
