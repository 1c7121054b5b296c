using System.Reflection;
using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Kernels.Tests;

public sealed class KernelRunnerTests : IDisposable
{
    private readonly EmulatedDriver driver = new(new EmulatorOptions { Sm = 86 });
    private readonly KernelRunner runner;

    public KernelRunnerTests() => runner = new KernelRunner(driver);

    public void Dispose()
    {
        runner.Dispose();
        driver.Dispose();
    }

    private static MethodInfo Method(string name) => KernelCatalog.Find(name)!.Method;

    [Fact]
    public void KernelsAreCompiledForTheDeviceOnceForEachSetOfConstants()
    {
        LoadedKernel first = runner.Load(Method("gated_activation_v2"), new Dictionary<string, object> { ["channels"] = 64, ["gateFirst"] = false });
        Assert.Contains(".target sm_86\n", first.Compiled.Ptx);
        Assert.Same(first, runner.Load(Method("gated_activation_v2"), new Dictionary<string, object> { ["channels"] = 64, ["gateFirst"] = false }));
        Assert.NotSame(first, runner.Load(Method("gated_activation_v2"), new Dictionary<string, object> { ["channels"] = 128, ["gateFirst"] = false }));
        Assert.NotSame(runner.Load(Method("matrix_product_v3")), runner.Load(Method("matrix_product_v3_bf16")));
    }

    // 160 bands leave no room for a tile beside the weights of 64 channels, however it is cut.
    [Theory]
    [InlineData("residual_block_resident_v2")]
    [InlineData("residual_block_resident_v2_packed")]
    public void AShapeThatNoCutMakesFitIsRefused(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        var shape = new KernelShape([.. version.Shapes[0].Sizes.Select(size => (size.Name, size.Name == "bands" ? 160 : size.Size))]);
        Assert.Null(version.Problem(shape));
        Assert.Contains("bytes of shared memory", Assert.Throws<UnsupportedKernelException>(() => runner.Prepare(version, shape)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(70, 70)]
    [InlineData(88, 87)]
    [InlineData(90, 90)]
    [InlineData(121, 120)]
    public void AnUnknownDeviceGetsTheNewestTargetBeforeIt(int sm, int target) => Assert.Equal(new PtxTarget(target), PtxTarget.For(sm));

    [Fact]
    public void ADeviceBeforeAllTargetsIsRefused() => Assert.Contains("sm_60 is too old", Assert.Throws<ArgumentException>(() => PtxTarget.For(60)).Message);

    [Fact]
    public void ArgumentsAreCheckedByNumberTypeAndElement()
    {
        LoadedKernel kernel = runner.Load(Method("gated_activation_v1"), new Dictionary<string, object> { ["gateFirst"] = false });
        var floats = new DeviceArray(0x1000, 8, typeof(float));
        string Refused(params object[] arguments) => Assert.Throws<ArgumentException>(() => KernelArguments.Pack(kernel.Compiled, arguments)).Message;
        Assert.Contains("takes 3 arguments (h, y, channels), 2 were given", Refused(floats, floats));
        Assert.Contains("'channels' is Int64, expected Int32", Refused(floats, floats, 4L));
        Assert.Contains("'y' is an array of Half, expected one of Single", Refused(floats, floats with { ElementType = typeof(Half) }, 4));
        Assert.Contains("'h' is Single[], expected ArrayView<Single>", Refused(new float[8], floats, 4));
    }

    [Fact]
    public void ArgumentsLieWhereTheKernelReadsThem()
    {
        CompiledKernel kernel = runner.Load(Method("philox_normal_v1")).Compiled;
        byte[] packed = KernelArguments.Pack(kernel, [new Rows<float>(new ArrayView<float>(unchecked((nint)0x1122334455667788), 99), 5, 6, 1), 3, new DeviceArray(0x0102030405060708, 1, typeof(ulong)), 7u, 9u, 8u, -2L, 4L]);
        T Read<T>(string name, int offset = 0) where T : struct => System.Runtime.InteropServices.MemoryMarshal.Read<T>(packed.AsSpan(kernel.Parameters.Single(parameter => parameter.Name == name).Offset + offset));
        Assert.Equal((0x1122334455667788UL, 99L, 5, 6, 1), (Read<ulong>("normals"), Read<long>("normals", 8), Read<int>("normals", 16), Read<int>("normals", 20), Read<int>("normals", 24)));
        Assert.Equal((3, 0x0102030405060708UL, 1L, 7u, 9u), (Read<int>("rows"), Read<ulong>("seed"), Read<long>("seed", 8), Read<uint>("stream"), Read<uint>("streamStride")));
        Assert.Equal((8u, -2L, 4L), (Read<uint>("step"), Read<long>("first"), Read<long>("firstStride")));
    }

    [Fact]
    public void ArgumentsAddedOneByOneGiveTheResultOfBoxedOnes()
    {
        LoadedKernel kernel = runner.Load(Method("gated_activation_v1"), new Dictionary<string, object> { ["gateFirst"] = false });
        float[] h = [.. Enumerable.Range(0, 4096).Select(i => i / 1000f - 2)], boxed = new float[2048], added = new float[2048];
        ulong hPlace = driver.Allocate(4 * h.Length), y = driver.Allocate(4 * added.Length);
        driver.CopyToDevice(hPlace, System.Runtime.InteropServices.MemoryMarshal.AsBytes(h.AsSpan()));
        runner.Launch(kernel, new Dim3(8), new Dim3(256), 0, 0, new DeviceArray(hPlace, h.Length, typeof(float)), new DeviceArray(y, boxed.Length, typeof(float)), 64);
        driver.CopyToHost(System.Runtime.InteropServices.MemoryMarshal.AsBytes(boxed.AsSpan()), y);
        driver.FillAsync(y, 0, added.Length, 0);
        runner.Launch(kernel.Arguments.Add(new ArrayView<float>((nint)hPlace, h.Length)).Add(new ArrayView<float>((nint)y, added.Length)).Add(64), new Dim3(8), 0);
        driver.CopyToHost(System.Runtime.InteropServices.MemoryMarshal.AsBytes(added.AsSpan()), y);
        Assert.Contains(boxed, value => value != 0);
        Assert.Equal(boxed, added);
        Assert.Throws<ArgumentException>(() => runner.Launch(kernel.Arguments.Add(default(ArrayView<float>)).Add(default(ArrayView<float>)), new Dim3(8), 0));
    }

    [Fact]
    public void AFixedBlockIsKept() => Assert.Contains("a block of 128 threads, expected 256",
        Assert.Throws<ArgumentException>(() => runner.Launch(runner.Load(Method("block_sum_v1")), new Dim3(1), new Dim3(128), 0, 0)).Message);

    [Fact]
    public void WhatNoDeviceOfThisKindHasIsTheDriversRefusal()
    {
        KernelVersion product = KernelCatalog.Find("matrix_product_v3")!;
        LoadedKernel kernel = runner.Load(product.Method);
        var any = new DeviceArray(driver.Allocate(64), 0, typeof(Half));
        Assert.Throws<CudaException>(() => runner.Launch(kernel, new Dim3(1), new Dim3(256), 1 << 20, 0, any, any, any with { ElementType = typeof(float) }, 0, 0, 0));
    }
}
