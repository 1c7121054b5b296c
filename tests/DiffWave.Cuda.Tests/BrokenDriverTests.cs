using DiffWave.Emulator;

namespace DiffWave.Cuda.Tests;

/// <summary>Whatever call of the driver fails, the exception names it, the error and what to do, and everything is given back.</summary>
public class BrokenDriverTests
{
    // Told by nobody: givings-back, questions whose answer may be unknown, and all that has to do with kept cubins, after which the text is compiled.
    private static readonly string[] Forgiven = ["cuMemFree", "cuMemFreeHost", "cuModuleUnload", "cuEventDestroy", "cuStreamDestroy", "cuGraphExecDestroy", "cuGraphDestroy", "cuDevicePrimaryCtxRelease",
        "cuDeviceGetPCIBusId", "cuDeviceGetAttribute", "cuLinkCreate", "cuLinkAddData", "cuLinkComplete", "cuLinkDestroy", "cuModuleLoadDataEx"];

    [Fact]
    public void The_program_works_and_gives_everything_back()
    {
        using var cuda = new StubCuda { HasNvtx = true };
        CheckResult(SmallProgram.Run());
        Assert.Equal(StubCuda.Nothing, cuda.Live);
        Assert.Equal(["program"], cuda.Ranges);
    }

    private static void CheckResult(float[] result) => Assert.All(SmallProgram.Expected.Zip(result), pair => Assert.Equal(pair.First, pair.Second, 1e-6));

    [Fact]
    public void Each_call_may_fail_in_turn()
    {
        int calls;
        using (var cuda = new StubCuda())
        {
            SmallProgram.Run();
            calls = cuda.AllCalls;
        }
        var told = new HashSet<string>();
        for (int call = 1; call <= calls; call++)
        {
            using var cuda = new StubCuda();
            cuda.FailCall(call, CudaResult.Unknown);
            try
            {
                CheckResult(SmallProgram.Run());
                Assert.True(Forgiven.Contains(cuda.Failed) || IsCleaningUp(cuda), $"call {call}: the failure of {cuda.Failed} has been ignored");
            }
            catch (CudaException e)
            {
                Assert.StartsWith(cuda.Failed!, e.Call);
                Assert.Equal("CUDA_ERROR_UNKNOWN", e.Error);
                Assert.Contains($"CUDA_ERROR_UNKNOWN: made to fail by a test at call", e.Message);
                Assert.EndsWith("; " + CudaErrors.Fix("CUDA_ERROR_UNKNOWN"), e.Message);
                told.Add(cuda.Failed!);
            }
            Assert.True(StubCuda.Nothing == cuda.Live, $"call {call} ({cuda.Failed}): {cuda.Live}");
        }
        // Everything the program calls is told, but for what is forgiven.
        using var names = new StubCuda();
        SmallProgram.Run();
        Assert.Equal(names.CalledFunctions.Where(name => !Forgiven.Contains(name) || name == "cuDeviceGetAttribute").Order(StringComparer.Ordinal), told.Order(StringComparer.Ordinal));
    }

    // A driver is asked to make its context the current one, and to finish, also on the way out.
    private static bool IsCleaningUp(StubCuda cuda) => cuda.Failed is "cuCtxSetCurrent" or "cuStreamSynchronize" && cuda.Live == StubCuda.Nothing;

    public static TheoryData<string, CudaResult, string> Cases => new()
    {
        { "cuInit", CudaResult.NoDevice, "nvidia-smi and CUDA_VISIBLE_DEVICES" },
        { "cuInit", CudaResult.StubLibrary, "LD_LIBRARY_PATH" },
        { "cuInit", CudaResult.SystemDriverMismatch, "restart the machine after an update" },
        { "cuInit", CudaResult.SystemNotReady, "nvidia-fabricmanager" },
        { "cuInit", CudaResult.CompatNotSupportedOnDevice, "update the driver" },
        { "cuDeviceGetCount", CudaResult.NoDevice, "nvidia-smi" },
        { "cuDevicePrimaryCtxRetain", CudaResult.DeviceUnavailable, "compute mode exclusive" },
        { "cuDevicePrimaryCtxRetain", CudaResult.OutOfMemory, "smaller batch" },
        { "cuMemAlloc", CudaResult.OutOfMemory, "nvidia-smi lists them" },
        { "cuMemAllocHost", CudaResult.OutOfMemory, "smaller batch" },
        { "cuModuleGetFunction", CudaResult.NotFound, "no entry of this name" },
        { "cuFuncSetAttribute", CudaResult.InvalidValue, "48 KiB" },
        { "cuLaunchKernel", CudaResult.LaunchOutOfResources, "fewer threads a block" },
        { "cuLaunchKernel", CudaResult.InvalidValue, "1024 threads" },
        { "cuStreamSynchronize", CudaResult.LaunchTimeout, "watchdog" },
        { "cuEventSynchronize", CudaResult.LaunchFailed, "the context is lost" },
        { "cuEventSynchronize", CudaResult.EccUncorrectable, "memory is damaged" },
        { "cuCtxSynchronize", CudaResult.MisalignedAddress, "the context is lost" },
        { "cuMemcpyDtoH", CudaResult.IllegalAddress, "compute-sanitizer" },
        { "cuStreamEndCapture", CudaResult.StreamCaptureInvalidated, "broke the recording" },
        { "cuGraphLaunch", CudaResult.OutOfMemory, "smaller batch" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void What_is_known_to_go_wrong_comes_with_what_to_do(string function, CudaResult result, string advice)
    {
        using var cuda = new StubCuda();
        cuda.Fail(function, result, call: function == "cuMemAlloc" ? 3 : 1); // the first two are the pool's, which gives its own account
        var refusal = Assert.Throws<CudaException>(() => SmallProgram.Run());
        Assert.StartsWith(function, refusal.Call);
        Assert.Equal(StubCuda.NameOf(result), refusal.Error);
        Assert.Contains(advice, refusal.Message[(refusal.Message.IndexOf(refusal.Error, StringComparison.Ordinal) + refusal.Error.Length)..]);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void Out_of_device_memory_says_how_much_there_is()
    {
        using var cuda = new StubCuda(new EmulatorOptions { MemoryBytes = 1 << 20 });
        using var driver = NvidiaDriver.Open();
        ulong half = driver.Allocate(1 << 19);
        var refusal = Assert.Throws<CudaException>(() => driver.Allocate((1 << 19) + 1));
        Assert.Equal("CUDA_ERROR_OUT_OF_MEMORY", refusal.Error);
        Assert.Contains("524288 of 1048576 bytes are free", refusal.Message);
        driver.Free(half);
        driver.Free(driver.Allocate(1 << 20));
    }

    [Fact]
    public void A_refused_text_comes_with_the_compilers_log()
    {
        using var cuda = new StubCuda();
        using var driver = NvidiaDriver.Open();
        string wrong = SmallProgram.Ptx.Replace("ld.global.f32", "ld.global.f33", StringComparison.Ordinal);
        var refusal = Assert.Throws<CudaException>(() => driver.LoadModule(wrong));
        Assert.Equal("CUDA_ERROR_INVALID_PTX", refusal.Error);
        Assert.Contains(".target sm_90", refusal.Call);
        Assert.Matches("ptxas application ptx input, line [0-9]+; error", refusal.Message);
        cuda.CompilerLog = new string('x', 100_000); // longer than the buffer for it
        Assert.Contains("xxxx", Assert.Throws<CudaException>(() => driver.LoadModule(SmallProgram.Ptx)).Message);
        Assert.Contains("the text is no PTX", Assert.Throws<CudaException>(() => driver.LoadModule("kernel")).Message);
        Assert.Equal(0, cuda.Live.Modules + cuda.Live.Links);
    }

    [Fact]
    public void Devices_and_drivers_that_will_not_do_are_answers_with_a_reason()
    {
        using var cuda = new StubCuda { IsAbsent = true };
        string WhyNone()
        {
            Assert.Empty(NvidiaDriver.Devices(out string? whyNone));
            Assert.Equal(whyNone, cuda.DeviceCount > 0 ? Assert.Throws<CudaException>(() => NvidiaDriver.Open()).Message : whyNone);
            return whyNone!;
        }
        Assert.Contains("the library of the NVIDIA driver is not on this machine", WhyNone());
        cuda.IsAbsent = false;
        cuda.Version = 11040;
        Assert.Contains("the driver knows CUDA 11.4 and 11.8 is needed; update the driver", WhyNone());
        cuda.Version = 13000;
        cuda.MissingFunction = "cuGraphLaunch";
        Assert.Contains("the driver has no cuGraphLaunch", WhyNone());
        cuda.MissingFunction = null;
        cuda.DeviceCount = 0;
        Assert.Contains("CUDA_ERROR_NO_DEVICE", WhyNone());
        Assert.Equal("CUDA_ERROR_NO_DEVICE", Assert.Throws<CudaException>(() => NvidiaDriver.Open()).Error);
        cuda.DeviceCount = 2;
        Assert.Equal(2, NvidiaDriver.Devices(out string? none).Count);
        Assert.Null(none);
        var refusal = Assert.Throws<CudaException>(() => NvidiaDriver.Open(2));
        Assert.Equal("CUDA_ERROR_INVALID_DEVICE", refusal.Error);
        Assert.Contains("the driver shows 2 GPUs; nvidia-smi lists", refusal.Message);
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void A_thousand_rounds_leave_nothing_behind()
    {
        using var cuda = new StubCuda();
        for (int round = 0; round < 1000; round++) SmallProgram.Run();
        Assert.Equal(StubCuda.Nothing, cuda.Live);
        Assert.Equal((1, 1000), (cuda.Calls("cuLinkComplete"), cuda.Calls("cuGraphLaunch")));
    }
}
