using DiffWave.Emulator;
using DiffWave.Kernels;

namespace DiffWave.Cuda.Tests;

/// <summary>The real driver class runs whole programs on the stub, and the stub notices what it is there to notice.</summary>
public class StubCudaTests
{
    public static TheoryData<string> Kernels => [.. KernelCatalog.All.Where(version => version.Name is "gated_activation_v1" or "block_sum_v2" or "philox_normal_v1" or "matrix_product_v2").Select(version => version.Name)];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Kernels_of_the_catalogue_run_through_the_real_driver(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        using var cuda = new StubCuda();
        using (var driver = NvidiaDriver.Open())
        using (var runner = new KernelRunner(driver))
            Assert.All(runner.Run(version, version.Shapes[0]), check => Assert.True(check.Ok, $"{check}"));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void Names_of_results_are_those_of_cuda()
    {
        Assert.Equal("CUDA_ERROR_OUT_OF_MEMORY", StubCuda.NameOf(CudaResult.OutOfMemory));
        Assert.Equal("CUDA_ERROR_NO_BINARY_FOR_GPU", StubCuda.NameOf(CudaResult.NoBinaryForGpu));
        Assert.Equal("CUDA_ERROR_INVALID_PTX", StubCuda.NameOf(CudaResult.InvalidPtx));
    }

    [Fact]
    public void What_is_not_given_back_is_counted()
    {
        using var cuda = new StubCuda();
        using (var driver = NvidiaDriver.Open())
        {
            driver.Allocate(1);
            driver.AllocateHost(1);
            nint stream = driver.CreateStream();
            driver.CreateEvent();
            driver.BeginCapture(stream);
            driver.EndCapture(stream);
            Assert.Equal(new LiveHandles(Contexts: 1, Memory: 1, HostMemory: 1, Streams: 1, Events: 1, Graphs: 1), cuda.Live);
        }
        Assert.Equal(new LiveHandles(Memory: 1, HostMemory: 1, Streams: 1, Events: 1, Graphs: 1), cuda.Live);
    }

    [Fact]
    public void A_finding_is_a_lost_context_until_it_is_opened_again()
    {
        using var cuda = new StubCuda();
        using (var driver = NvidiaDriver.Open())
        using (var runner = new KernelRunner(driver))
        {
            LoadedKernel kernel = runner.Load(SmallProgram.Method, SmallProgram.Constants);
            ulong place = driver.Allocate(16);
            driver.FillAsync(place, 0, 4, 0);
            var tooLong = new Device.ArrayView<float>((nint)place, 1024);
            var lost = Assert.Throws<CudaException>(() => runner.Launch(kernel.Arguments.Add(tooLong).Add(tooLong).Add(8), new Dim3(4), 0));
            Assert.Equal("CUDA_ERROR_ILLEGAL_ADDRESS", lost.Error);
            Assert.Contains("the allocation of 16 bytes", lost.Message);
            Assert.Equal("CUDA_ERROR_ILLEGAL_ADDRESS", Assert.Throws<CudaException>(() => driver.Allocate(1)).Error);
            Assert.Throws<CudaException>(() => driver.Free(place));
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
        using var again = NvidiaDriver.Open();
        again.Free(again.Allocate(1));
    }

    [Fact]
    public void Tests_side_by_side_have_their_own()
    {
        using var cuda = new StubCuda { Version = 12040 };
        Parallel.For(0, 8, i =>
        {
            using var driver = NvidiaDriver.Open();
            Assert.Equal("NVIDIA driver for CUDA 12.4", driver.Description);
        });
        object? elsewhere = cuda;
        var thread = new Thread(() => elsewhere = NativeFunctions.Substitute.Value);
        thread.UnsafeStart(); // in no flow
        thread.Join();
        Assert.Null(elsewhere);
    }
}
