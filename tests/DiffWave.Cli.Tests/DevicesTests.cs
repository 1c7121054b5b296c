using System.Text.Json.Nodes;
using DiffWave.Cuda;
using DiffWave.Cuda.Tests;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave devices: what there is, and what auto takes.</summary>
public sealed class DevicesTests
{
    [Fact]
    public void WithoutAGpu()
    {
        string text = DiffWaveProgram.Run("devices").Succeeds().Out;
        Assert.StartsWith("cpu (", text);
        Assert.Contains("cuda: not available (load libcuda.so.1: no NVIDIA driver", text);
        Assert.Contains("emulator (sm_90", text);
        Assert.Contains("auto: cpu (libcuda.so.1 not found)", text);
        JsonObject json = DiffWaveProgram.Run("devices", "--json").Succeeds().Json;
        Assert.Equal(["cpu", "emulator"], json["devices"]!.AsArray().Select(device => (string)device!["name"]!));
        Assert.Equal(Environment.ProcessorCount, (int)json["devices"]![0]!["processors"]!);
        Assert.All(json["devices"]!.AsArray(), device => Assert.True((bool)device!["usable"]!));
        Assert.Equal("cuda", (string)Assert.Single(json["missing"]!.AsArray())!["name"]!);
        Assert.Equal(("cpu", "libcuda.so.1 not found"), ((string)json["auto"]!["name"]!, (string)json["auto"]!["reason"]!));
    }

    [Fact]
    public void WithGpus()
    {
        using var cuda = new StubCuda { DeviceCount = 2 };
        string text = DiffWaveProgram.Run("devices").Succeeds().Out;
        Assert.Contains("cuda:1 (Stub GPU 1 (sm_90), sm_90, driver 13.0): 132 multiprocessors at 1980 MHz, 4096 of 4096 MiB of memory free at 2619 MHz, L2 50 MiB, shared memory 227 KiB a block, peak 66.9 TFLOP/s in float32, 3352 GB/s", text);
        Assert.Contains("auto: cuda:0 (the first GPU that can be used)", text);
        JsonObject json = DiffWaveProgram.Run("devices", "--json").Succeeds().Json;
        Assert.Equal(["cpu", "cuda:0", "cuda:1", "emulator"], json["devices"]!.AsArray().Select(device => (string)device!["name"]!));
        JsonNode gpu = json["devices"]![2]!;
        Assert.Equal((4L << 30, 4L << 30, 50 << 20, 1980000), ((long)gpu["memory_bytes"]!, (long)gpu["memory_free_bytes"]!, (int)gpu["l2_bytes"]!, (int)gpu["clock_khz"]!));
        Assert.Equal(2.0 * 128 * 132 * 1.98e9, (double)gpu["peak_float32_flops"]!, 1.0);
        Assert.Equal("cuda:0", (string)json["auto"]!["name"]!);
        Assert.Empty(json["missing"]!.AsArray());
        Assert.Null(gpu["now"]); // no management library
        cuda.State = () => new GpuState(1755, 2619, 61, 512.5, ThrottleReasons.PowerCap | ThrottleReasons.ThermalSlowdown);
        JsonNode now = DiffWaveProgram.Run("devices", "--json").Succeeds().Json["devices"]![2]!["now"]!;
        Assert.Equal((1755, 512.5, 700.0, "PowerCap, ThermalSlowdown"), ((int)now["sm_mhz"]!, (double)now["power_watts"]!, (double)now["power_limit_watts"]!, (string)now["throttle_reasons"]!));
        Assert.Equal(0, cuda.NvmlUsers);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void AGpuThatDoesNotOpenHasItsReason()
    {
        using var cuda = new StubCuda { DeviceCount = 2 };
        cuda.Fail("cuDevicePrimaryCtxRetain", CudaResult.DeviceUnavailable);
        JsonObject json = DiffWaveProgram.Run("devices", "--json").Succeeds().Json;
        Assert.Equal([true, false, true, true], json["devices"]!.AsArray().Select(device => (bool)device!["usable"]!));
        Assert.Contains("CUDA_ERROR_DEVICE_UNAVAILABLE", (string)json["devices"]![1]!["reason"]!);
        Assert.Equal("cuda:1", (string)json["auto"]!["name"]!);
    }
}
