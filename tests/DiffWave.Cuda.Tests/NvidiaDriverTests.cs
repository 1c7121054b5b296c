using System.Runtime.InteropServices;

namespace DiffWave.Cuda.Tests;

/// <summary>Finding the driver and its library, and what the driver says of devices.</summary>
public class NvidiaDriverTests
{
    // A driver of another maker's time: only what is asked before its version is known.
    private const string TooOld = """
        int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
        int cuInit(unsigned flags) { return 100; }
        int cuGetErrorName(int error, const char **name) { *name = error == 100 ? "CUDA_ERROR_NO_DEVICE" : 0; return *name == 0; }
        int cuGetErrorString(int error, const char **text) { *text = error == 100 ? "no CUDA-capable device is detected" : 0; return *text == 0; }
        """;

    [Theory]
    [InlineData(11040, "cuDriverGetVersion: driver too old: the driver knows CUDA 11.4 and 11.8 is needed; update the driver of the GPU")]
    [InlineData(13000, "cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected; no GPU is visible to the driver: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use another device")]
    public void A_library_on_disk_is_found_by_the_systems_loader(int version, string expected)
    {
        string folder = Directory.CreateTempSubdirectory("diffwave-cuda-").FullName;
        try
        {
            string source = Path.Combine(folder, "cuda.c"), library = Path.Combine(folder, "libstub-cuda.so.1");
            // Every other function is there, and none of them is called.
            string others = string.Concat(StubCuda.FunctionNames.Where(name => !TooOld.Contains(name + "(", StringComparison.Ordinal)).Select(name => $"int {name}(void) {{ __builtin_trap(); }}\n"));
            File.WriteAllText(source, TooOld.Replace("VERSION", $"{version}", StringComparison.Ordinal) + "\n" + others);
            CompileC(source, library);
            Assert.Empty(NvidiaDriver.Devices([library], out string? whyNone));
            Assert.Equal(expected, whyNone);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void CompileC(string source, string library)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "no cc on Windows");
        try
        {
            using var compiler = System.Diagnostics.Process.Start("cc", ["-shared", "-fPIC", "-w", "-o", library, source]);
            compiler.WaitForExit();
            Assert.Equal(0, compiler.ExitCode);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("there is no C compiler (cc)");
        }
    }

    [Fact]
    public void A_device_tells_its_limits_peaks_and_place()
    {
        using var cuda = new StubCuda { DeviceCount = 2 };
        var devices = NvidiaDriver.Devices(out _);
        using (var driver = NvidiaDriver.Open(1)) Assert.Equal(devices[1], driver.Device);
        CudaDeviceInfo device = devices[0];
        Assert.Equal(("Stub GPU 0 (sm_90)", 90, 132, "0000:01:00.0"), (device.Name, device.Sm, device.Multiprocessors, device.PciBusId));
        Assert.Equal((227 << 10, 228 << 10, 65536, 2048, 50 << 20), (device.SharedBytesPerBlock, device.SharedBytesPerMultiprocessor, device.RegistersPerMultiprocessor, device.ThreadsPerMultiprocessor, device.L2Bytes));
        // The data sheet of the H100 SXM: 67 TFLOP/s of float32, 3.35 TB/s.
        Assert.Equal(66.9e12, device.PeakFloat32Flops!.Value, 0.1e12);
        Assert.Equal(3.35e12, device.PeakMemoryBytesPerSecond!.Value, 0.01e12);
        Assert.Equal("0000:02:00.0", devices[1].PciBusId);
        Assert.Null((device with { ClockKilohertz = 0 }).PeakFloat32Flops);
        Assert.Null((device with { Sm = 255 }).PeakFloat32Flops);
        Assert.Null((device with { MemoryBusBits = 0 }).PeakMemoryBytesPerSecond);
        Assert.Equal(19.5e12, (device with { Sm = 80, Multiprocessors = 108, ClockKilohertz = 1_410_000 }).PeakFloat32Flops!.Value, 0.1e12); // A100
        cuda.Fail("cuDeviceGetPCIBusId", CudaResult.Unknown);
        cuda.Attributes.Remove(13);
        CudaDeviceInfo unknown = NvidiaDriver.Devices(out _)[0];
        Assert.Equal(("", 0), (unknown.PciBusId, unknown.ClockKilohertz));
    }

    [Fact]
    public void Drivers_of_two_devices_and_two_of_one_do_not_disturb_each_other()
    {
        using var cuda = new StubCuda { DeviceCount = 2 };
        using (NvidiaDriver first = NvidiaDriver.Open(0), second = NvidiaDriver.Open(1), again = NvidiaDriver.Open(0))
        {
            byte[] back = new byte[4];
            ulong a = first.Allocate(4), b = second.Allocate(4);
            first.FillAsync(a, 1, 1, 0);
            second.FillAsync(b, 2, 1, 0);
            first.CopyToHost(back, a);
            Assert.Equal(1, back[0]);
            second.CopyToHost(back, b);
            Assert.Equal(2, back[0]);
            again.CopyToHost(back, a); // the same context
            Assert.Equal(1, back[0]);
            Assert.Equal(3, cuda.Live.Contexts);
            first.Free(a);
            second.Free(b);
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void Another_thread_may_use_the_driver_after_this_one()
    {
        using var cuda = new StubCuda();
        using var driver = NvidiaDriver.Open();
        var thread = new Thread(() => driver.Free(driver.Allocate(1)));
        thread.Start();
        thread.Join();
        driver.Free(driver.Allocate(1));
    }

    [Fact]
    public void After_its_end_a_driver_is_not_used()
    {
        using var cuda = new StubCuda();
        var driver = NvidiaDriver.Open();
        driver.Dispose();
        driver.Dispose();
        Assert.Throws<ObjectDisposedException>(() => driver.Allocate(1));
        Assert.Equal(StubCuda.Nothing, cuda.Live);
    }

    [Fact]
    public void Ranges_are_told_where_there_is_a_library_for_them()
    {
        using var cuda = new StubCuda();
        using (var silent = NvidiaDriver.Open())
        {
            silent.PushRange("nobody");
            silent.PopRange();
        }
        Assert.Empty(cuda.Ranges);
        cuda.HasNvtx = true;
        using var driver = NvidiaDriver.Open();
        string longest = new('r', 300);
        driver.PushRange("step \u2026");
        driver.PushRange(longest);
        Assert.Equal(2, cuda.Live.Ranges);
        driver.PopRange();
        driver.PopRange();
        Assert.Equal(["step \u2026", longest], cuda.Ranges);
        Assert.Equal(0, cuda.Live.Ranges);
        driver.StartProfiler();
        driver.StopProfiler();
        Assert.Equal((1, 1), (cuda.Calls("cuProfilerStart"), cuda.Calls("cuProfilerStop")));
    }

    [Fact]
    public void A_graph_replays_what_was_recorded_and_nothing_else()
    {
        using var cuda = new StubCuda();
        using var driver = NvidiaDriver.Open();
        nint stream = driver.CreateStream();
        ulong from = driver.Allocate(4), to = driver.Allocate(4);
        byte[] back = new byte[4];
        int Value(ulong place)
        {
            driver.SynchronizeStream(stream);
            driver.CopyToHost(back, place);
            return BitConverter.ToInt32(back);
        }
        driver.FillAsync(from, 1, 1, stream);
        driver.FillAsync(to, 0, 1, stream);
        Assert.False(driver.IsCapturing(stream));
        nint graph = driver.Record(stream, () =>
        {
            Assert.True(driver.IsCapturing(stream));
            driver.CopyOnDeviceAsync(to, from, 4, stream);
            driver.FillAsync(from, 7, 1, stream);
        });
        Assert.Equal((0, 1), (Value(to), Value(from)));
        driver.LaunchGraph(graph, stream);
        Assert.Equal((1, 7), (Value(to), Value(from)));
        driver.LaunchGraph(graph, stream);
        Assert.Equal((7, 7), (Value(to), Value(from)));
        // What fails inside a recording is told, and the stream is free again.
        Assert.Throws<FormatException>(() => driver.Record(stream, () => throw new FormatException()));
        Assert.Equal("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", Assert.Throws<CudaException>(() => driver.Record(stream, () => driver.SynchronizeStream(stream))).Error);
        Assert.False(driver.IsCapturing(stream));
        driver.DestroyGraph(graph);
        Assert.Equal((0, 0), (cuda.Live.Graphs, cuda.Live.Recordings));
    }

    // A stream that is held runs nothing until the host has written the value; the emulator, done lazily, finds it when somebody waits for the stream before.
    [Fact]
    public unsafe void A_stream_waits_for_the_host()
    {
        using var cuda = new StubCuda(new DiffWave.Emulator.EmulatorOptions { Lazy = true });
        using var driver = NvidiaDriver.Open();
        nint stream = driver.CreateStream(), word = driver.AllocateHost(sizeof(uint));
        ulong place = driver.Allocate(sizeof(int));
        *(uint*)word = uint.MaxValue;
        Assert.True(driver.StreamWaitHost(stream, word, uint.MaxValue)); // is there
        Assert.True(driver.StreamWaitHost(stream, word, 1)); // comes after the end of the counter
        driver.FillAsync(place, 7, 1, stream);
        *(uint*)word = 1;
        driver.SynchronizeStream(stream);
        byte[] back = new byte[sizeof(int)];
        driver.CopyToHost(back, place);
        Assert.Equal(7, back[0]);
        Assert.True(driver.StreamWaitHost(stream, word, 2));
        Assert.Contains("the host waits for a stream that waits for the host to write 2", Assert.Throws<CudaException>(() => driver.SynchronizeStream(stream)).Message);
    }

    [Fact]
    public void Where_streams_cannot_wait_for_the_host_nothing_is_queued()
    {
        using var cuda = new StubCuda(); // an emulator that does everything at once holds nothing back
        using (var driver = NvidiaDriver.Open())
        {
            nint word = driver.AllocateHost(sizeof(uint));
            Assert.False(driver.StreamWaitHost(0, word, 1));
            Assert.Equal(1, cuda.Calls("cuStreamWaitValue32"));
            driver.Synchronize();
            cuda.Fail("cuStreamWaitValue32", CudaResult.InvalidValue);
            Assert.Equal("CUDA_ERROR_INVALID_VALUE", Assert.Throws<CudaException>(() => driver.StreamWaitHost(0, word, 1)).Error);
            driver.FreeHost(word);
        }
        cuda.MissingFunction = "cuStreamWaitValue32"; // an older driver
        using var old = NvidiaDriver.Open();
        nint other = old.AllocateHost(sizeof(uint));
        Assert.False(old.StreamWaitHost(0, other, 1));
        old.FreeHost(other);
    }

    [Fact]
    public void A_launch_allocates_nothing()
    {
        using var cuda = new StubCuda { SkipsLaunches = true };
        using var driver = NvidiaDriver.Open();
        using var runner = new KernelRunner(driver);
        LoadedKernel kernel = runner.Load(SmallProgram.Method, SmallProgram.Constants);
        var view = new DiffWave.Device.ArrayView<float>(0x1000, 8);
        long before = 0;
        for (int i = 0; i < 1100; i++)
        {
            if (i == 100) before = GC.GetAllocatedBytesForCurrentThread();
            runner.Launch(kernel.Arguments.Add(view).Add(view).Add(8), new Dim3(4), 0, dynamicSharedBytes: 64 << 10);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal((1100, 1), (cuda.Calls("cuLaunchKernel"), cuda.Calls("cuFuncSetAttribute"))); // the shared memory is asked for once
    }

    [Fact]
    public void A_kernel_that_waits_may_begin_early()
    {
        const string Ptx = """
            .version 7.8
            .target sm_90
            .address_size 64
            .visible .entry seven(.param .u64 to)
            {
                .reg .u64 %rd<2>;
                .reg .u32 %r<2>;
                ld.param.u64 %rd1, [to];
                mov.u32 %r1, 7;
                griddepcontrol.wait;
                st.global.u32 [%rd1], %r1;
                ret;
            }
            """;
        using var cuda = new StubCuda();
        using var driver = NvidiaDriver.Open();
        nint waiting = driver.LoadModule(Ptx), hasty = driver.LoadModule(Ptx.Replace("griddepcontrol.wait;", "", StringComparison.Ordinal));
        ulong to = driver.Allocate(4);
        Span<byte> result = stackalloc byte[4];
        driver.Launch(driver.GetFunction(waiting, "seven"), new Dim3(1), new Dim3(1), 0, 0, BitConverter.GetBytes(to), early: true);
        driver.CopyToHost(result, to);
        Assert.Equal(7, result[0]);
        Assert.Equal((0, 1), (cuda.Calls("cuLaunchKernel"), cuda.Calls("cuLaunchKernelEx")));
        Assert.Contains("griddepcontrol.wait", Assert.Throws<CudaException>(() => driver.Launch(driver.GetFunction(hasty, "seven"), new Dim3(1), new Dim3(1), 0, 0, BitConverter.GetBytes(to), early: true)).Message);
        driver.Free(to);
        driver.UnloadModule(waiting);
        driver.UnloadModule(hasty);
    }

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
