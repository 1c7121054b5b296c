using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>On a device that does its work as late as it may, so that values read too soon, or memory used again too early, are seen.</summary>
public class DownloadsTests
{
    private static float[] Values(int count, int seed) => [.. Enumerable.Range(0, count).Select(i => seed * 1000f + i)];

    [Fact]
    public void EachHoldsTheBufferAsItWasHoweverLateItIsRead()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Lazy = true });
        using var ops = new CudaOps(driver);
        var waiting = new Queue<(IDownload Download, float[] Expected)>();
        for (int round = 0; round < 12; round++)
        {
            int rows = 10 + round % 5 * 40_000; // blocks of several sizes
            using IBuffer signal = ops.AllocateSignal(2, rows);
            float[] first = Values(rows, round), second = Values(rows, round + 50);
            ops.Upload(first, signal, 0, 0);
            ops.Upload(second, signal, 1, 0);
            waiting.Enqueue((ops.BeginDownload(signal), [.. first, .. second]));
            ops.Clear(signal); // and freed
            if (waiting.Count == 3) Check(waiting.Dequeue());
        }
        while (waiting.Count > 0) Check(waiting.Dequeue());

        static void Check((IDownload Download, float[] Expected) one)
        {
            using (one.Download) Assert.Equal(one.Expected, one.Download.Wait());
            Assert.Throws<ObjectDisposedException>(() => one.Download.Wait());
        }
    }

    [Fact]
    public void FewBlocksServeManyDownloadsAndAllAreGivenBack()
    {
        using var cuda = new StubCuda();
        using (var driver = NvidiaDriver.Open())
        {
            using var ops = new CudaOps(driver);
            using IBuffer signal = ops.AllocateSignal(1, 1000);
            IDownload held = ops.BeginDownload(signal);
            ops.BeginDownload(signal).Dispose(); // given up
            int blocks = cuda.Calls("cuMemAllocHost");
            for (int i = 0; i < 20; i++) using (IDownload download = ops.BeginDownload(signal)) Assert.Equal(1000, download.Wait().Length);
            Assert.Equal(blocks, cuda.Calls("cuMemAllocHost"));
            ops.Dispose();
            Assert.Throws<ObjectDisposedException>(() => held.Wait());
            held.Dispose();
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void ADownloadIsNotRecorded()
    {
        using var driver = new EmulatedDriver();
        using var ops = new CudaOps(driver);
        using IBuffer signal = ops.AllocateSignal(1, 10);
        using IRecording recording = ops.Record(() => ops.BeginDownload(signal).Dispose());
        recording.Run();
        Assert.Contains("downloads are not recorded", Assert.Throws<InvalidOperationException>(recording.Run).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cuMemAllocHost", CudaResult.OutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY")]
    [InlineData("cuEventCreate", CudaResult.Unknown, "CUDA_ERROR_UNKNOWN")]
    [InlineData("cuMemcpyDtoHAsync", CudaResult.IllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS")]
    [InlineData("cuEventRecord", CudaResult.Unknown, "CUDA_ERROR_UNKNOWN")]
    [InlineData("cuEventSynchronize", CudaResult.LaunchFailed, "CUDA_ERROR_LAUNCH_FAILED")]
    public void ACallThatFailsIsNamedAndNothingIsLeft(string function, CudaResult result, string error)
    {
        using var cuda = new StubCuda();
        using (var driver = NvidiaDriver.Open())
        {
            using var ops = new CudaOps(driver);
            using IBuffer signal = ops.AllocateSignal(1, 10);
            cuda.Fail(function, result);
            var refusal = Assert.Throws<CudaException>(() =>
            {
                using IDownload download = ops.BeginDownload(signal);
                download.Wait();
            });
            Assert.StartsWith(function, refusal.Call);
            Assert.Equal(error, refusal.Error);
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }
}
