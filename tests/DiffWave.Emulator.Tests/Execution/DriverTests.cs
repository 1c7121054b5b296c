using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Tests.Execution;

/// <summary>The driver's calls: what they do and what they refuse, by CUDA's names.</summary>
public sealed class DriverTests : IDisposable
{
    // p0[i] = p0[i] * 2 + p1
    private const string Body = """
        ld.param.u64 %rd0, [p0];
        ld.param.u32 %r1, [p1];
        mov.u32 %r0, %tid.x;
        mul.wide.u32 %rd1, %r0, 4;
        add.s64 %rd0, %rd0, %rd1;
        ld.global.u32 %r2, [%rd0];
        mad.lo.s32 %r2, %r2, 2, %r1;
        st.global.u32 [%rd0], %r2;
        ret;
        """;

    private readonly Kernel kernel = new(Body, ["u64", "u32"]);

    private EmulatedDriver Driver => kernel.Driver;

    public void Dispose() => kernel.Dispose();

    private static void Refused(string error, Action action) => Assert.Equal(error, Assert.ThrowsAny<CudaException>(action).Error);

    private void Double(ulong place, int add, nint stream = 0) => Driver.Launch(kernel.Function, new Dim3(1), new Dim3(4), 0, stream, Kernel.Pack(place, add));

    [Fact]
    public void Memory_is_counted_aligned_never_reused_and_refused_when_it_runs_out()
    {
        (long free, long total) = Driver.MemoryInfo();
        Assert.Equal(total, free);
        ulong a = Driver.Allocate(1000), b = Driver.Allocate(1);
        Assert.Equal((0ul, 0ul), (a % 256, b % 256));
        Assert.Equal(total - 1024 - 256, Driver.MemoryInfo().Free);
        Driver.Free(a);
        Assert.NotEqual(a, Driver.Allocate(1000));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.Free(a));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.Free(b + 1));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.Allocate(0));
        Refused("CUDA_ERROR_OUT_OF_MEMORY", () => Driver.Allocate(total));
    }

    [Fact]
    public unsafe void Copies_and_fills_stay_within_an_allocation()
    {
        ulong place = Driver.Allocate(64);
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.CopyToDevice(place + 1, new byte[64]));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.CopyToHost(new byte[65], place));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.FillAsync(place, 1, 17, 0));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.FillAsync(place + 2, 1, 1, 0));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.CopyOnDeviceAsync(place, place + 60, 8, 0));
        Driver.FillAsync(place + 4, 0x01020304, 2, 0);
        Driver.CopyToDevice(place, [9, 9, 9, 9]);
        Assert.Equal([9, 9, 9, 9, 4, 3, 2, 1, 4, 3, 2, 1], kernel.Download<byte>(place, 12));
        nint host = Driver.AllocateHost(16);
        Driver.CopyToHostAsync(host, place, 12, 0);
        Assert.Equal(9, ((byte*)host)[3]);
        ((byte*)host)[3] = 5;
        Driver.CopyToDeviceAsync(place, host, 4, 0);
        Assert.Equal(5, kernel.Download<byte>(place, 4)[3]);
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.CopyToHostAsync(host + 8, place, 12, 0));
        Driver.FreeHost(host);
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.FreeHost(host));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.CopyToDeviceAsync(place, host, 4, 0));
    }

    [Fact]
    public void Launches_are_checked_as_the_driver_does()
    {
        ulong place = kernel.Upload(1, 2, 3, 4);
        byte[] arguments = Kernel.Pack(place, 1);
        void Launch(Dim3 grid, Dim3 block, int shared = 0) => Driver.Launch(kernel.Function, grid, block, shared, 0, arguments);
        Launch(new Dim3(1), new Dim3(4));
        Assert.Equal([3, 5, 7, 9], kernel.Download<int>(place, 4));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(0), new Dim3(4)));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(1, 65536), new Dim3(4)));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(1), new Dim3(1025)));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(1), new Dim3(1, 1, 65)));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(1), new Dim3(64, 32)));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.Launch(kernel.Function, new Dim3(1), new Dim3(4), 0, 0, arguments.AsSpan(0, 8)));
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.Launch(12345, new Dim3(1), new Dim3(4), 0, 0, arguments));
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.Launch(kernel.Function, new Dim3(1), new Dim3(4), 0, 77, arguments));

        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(1), new Dim3(4), (48 << 10) + 1));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.SetMaxDynamicShared(kernel.Function, Driver.Device.SharedBytesPerBlock + 1));
        Driver.SetMaxDynamicShared(kernel.Function, 100 << 10);
        Launch(new Dim3(1), new Dim3(4), 100 << 10);
        Refused("CUDA_ERROR_INVALID_VALUE", () => Launch(new Dim3(1), new Dim3(4), (100 << 10) + 1));
    }

    [Fact]
    public void Blocks_of_the_wrong_size_are_refused()
    {
        using var fixedBlock = new Kernel("ret;", [], directives: ".reqntid 8, 4, 1");
        fixedBlock.Launch(new Dim3(1), new Dim3(8, 4), 0);
        Refused("CUDA_ERROR_INVALID_VALUE", () => fixedBlock.Launch(new Dim3(1), new Dim3(32), 0));
        using var limited = new Kernel("ret;", [], directives: ".maxntid 64, 1, 1");
        limited.Launch(new Dim3(1), new Dim3(64), 0);
        Refused("CUDA_ERROR_INVALID_VALUE", () => limited.Launch(new Dim3(1), new Dim3(65), 0));
        Assert.Equal((32, 64), (fixedBlock.Driver.GetAttributes(fixedBlock.Function).MaxThreadsPerBlock, limited.Driver.GetAttributes(limited.Function).MaxThreadsPerBlock));
    }

    [Fact]
    public void Modules_have_their_entries_until_they_are_unloaded()
    {
        Refused("CUDA_ERROR_NOT_FOUND", () => Driver.GetFunction(kernel.Module, "missing"));
        Assert.Throws<PtxException>(() => Driver.LoadModule("this is no PTX"));
        using var older = new EmulatedDriver(new EmulatorOptions { Sm = 75 });
        Refused("CUDA_ERROR_INVALID_PTX", () => older.LoadModule(kernel.Ptx));
        nint second = Driver.LoadModule(kernel.Ptx), function = Driver.GetFunction(second, "k");
        Assert.NotEqual(kernel.Function, function);
        Driver.UnloadModule(second);
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.GetAttributes(function));
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.UnloadModule(second));
        Double(kernel.Upload(1, 2, 3, 4), 0); // the other module is untouched
    }

    [Fact]
    public void Occupancy_follows_threads_and_shared_memory()
    {
        Assert.Equal(2048 / 256, Driver.MaxActiveBlocks(kernel.Function, 256, 0));
        Assert.Equal(32, Driver.MaxActiveBlocks(kernel.Function, 32, 0));
        Assert.Equal(2, Driver.MaxActiveBlocks(kernel.Function, 32, 100 << 10));
        Assert.Equal(1, Driver.MaxActiveBlocks(kernel.Function, 32, 227 << 10));
        Assert.Equal(0, Driver.MaxActiveBlocks(kernel.Function, 32, 228 << 10));
    }

    [Fact]
    public void Streams_and_events_keep_order_and_tell_no_time()
    {
        ulong place = kernel.Upload(1, 2, 3, 4);
        nint first = Driver.CreateStream(), second = Driver.CreateStream(), mark = Driver.CreateEvent(), never = Driver.CreateEvent();
        Double(place, 1, first);
        Driver.RecordEvent(mark, first);
        Driver.StreamWaitEvent(second, mark);
        Driver.StreamWaitEvent(second, never); // never recorded: nothing to wait for
        Double(place, 0, second);
        Driver.SynchronizeStream(second);
        Driver.SynchronizeEvent(mark);
        Driver.Synchronize();
        Assert.Equal([6, 10, 14, 18], kernel.Download<int>(place, 4));
        Assert.Null(Driver.Elapsed(mark, mark));
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.Elapsed(mark, never));
        Driver.DestroyStream(first);
        Driver.DestroyEvent(mark);
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.SynchronizeStream(first));
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.RecordEvent(mark, 0));
    }

    [Fact]
    public void A_captured_graph_replays_its_work_in_order_with_the_arguments_of_the_capture()
    {
        ulong place = kernel.Upload(1, 1, 1, 1), saved = Driver.Allocate(16);
        nint stream = Driver.CreateStream();
        byte[] arguments = Kernel.Pack(place, 3);
        Driver.BeginCapture(stream);
        Driver.CopyOnDeviceAsync(saved, place, 16, stream);
        Driver.Launch(kernel.Function, new Dim3(1), new Dim3(4), 0, stream, arguments);
        arguments.AsSpan().Clear();
        nint graph = Driver.EndCapture(stream);
        Assert.Equal([1, 1, 1, 1], kernel.Download<int>(place, 4)); // recorded, not run
        for (int i = 0; i < 3; i++) Driver.LaunchGraph(graph, stream);
        Assert.Equal([29, 29, 29, 29], kernel.Download<int>(place, 4)); // 1 -> 5 -> 13 -> 29
        Assert.Equal([13, 13, 13, 13], kernel.Download<int>(saved, 4));
        Driver.Free(place);
        Assert.Equal("CUDA_ERROR_INVALID_VALUE", Assert.ThrowsAny<CudaException>(() => Driver.LaunchGraph(graph, stream)).Error);
        Driver.DestroyGraph(graph);
        Refused("CUDA_ERROR_INVALID_HANDLE", () => Driver.LaunchGraph(graph, stream));
    }

    [Fact]
    public void A_capture_takes_in_streams_that_wait_for_it_and_must_be_joined()
    {
        ulong place = kernel.Upload(1, 2, 3, 4);
        nint main = Driver.CreateStream(), side = Driver.CreateStream(), fork = Driver.CreateEvent(), join = Driver.CreateEvent();
        Driver.BeginCapture(main);
        Double(place, 0, main);
        Driver.RecordEvent(fork, main);
        Driver.StreamWaitEvent(side, fork);
        Double(place, 1, side);
        Driver.RecordEvent(join, side);
        Driver.StreamWaitEvent(main, join);
        nint graph = Driver.EndCapture(main);
        Driver.LaunchGraph(graph, 0);
        Assert.Equal([5, 9, 13, 17], kernel.Download<int>(place, 4));
        Double(place, 0, side); // free again
        Refused("CUDA_ERROR_CAPTURED_EVENT", () => Driver.StreamWaitEvent(side, join));

        Driver.BeginCapture(main);
        Driver.RecordEvent(fork, main);
        Driver.StreamWaitEvent(side, fork);
        Double(place, 1, side);
        Refused("CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", () => Driver.EndCapture(side));
        Refused("CUDA_ERROR_STREAM_CAPTURE_UNJOINED", () => Driver.EndCapture(main));
        Assert.Equal(18, kernel.Download<int>(place, 2)[1]); // nothing of it has run
    }

    [Fact]
    public void What_would_wait_is_refused_during_a_capture()
    {
        nint stream = Driver.CreateStream();
        ulong place = Driver.Allocate(4);
        Refused("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", () => Driver.BeginCapture(0));
        Refused("CUDA_ERROR_ILLEGAL_STATE", () => Driver.EndCapture(stream));
        Driver.BeginCapture(stream);
        Refused("CUDA_ERROR_ILLEGAL_STATE", () => Driver.BeginCapture(stream));
        Action[] waiting =
        [
            () => Driver.SynchronizeStream(stream), Driver.Synchronize, () => Driver.CopyToHost(new byte[4], place), () => Driver.CopyToDevice(place, new byte[4]),
            () => Driver.Allocate(4), () => Driver.Free(place),
        ];
        foreach (Action action in waiting) Refused("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", action);
        Driver.EndCapture(stream);
        Driver.CopyToDevice(place, new byte[4]);
    }

    [Fact]
    public void A_lazy_device_works_only_when_something_waits()
    {
        using var lazy = new EmulatedDriver(new EmulatorOptions { Lazy = true });
        ulong place = lazy.Allocate(4);
        nint first = lazy.CreateStream(), second = lazy.CreateStream(), mark = lazy.CreateEvent();
        byte[] now = new byte[4];
        int Value()
        {
            lazy.CopyToHost(now, place); // on the default stream, so it waits for neither of the two
            return now[0];
        }
        lazy.FillAsync(place, 1, 1, 0);
        Assert.Equal(1, Value());
        lazy.FillAsync(place, 2, 1, first);
        lazy.RecordEvent(mark, first);
        lazy.FillAsync(place, 3, 1, first);
        Assert.Equal(1, Value());
        lazy.SynchronizeEvent(mark);
        Assert.Equal(2, Value());
        lazy.SynchronizeEvent(mark); // no more than that
        Assert.Equal(2, Value());
        lazy.RecordEvent(mark, first);
        lazy.StreamWaitEvent(second, mark);
        lazy.FillAsync(place, 4, 1, second);
        lazy.FillAsync(place, 5, 1, first);
        lazy.SynchronizeStream(second);
        Assert.Equal(4, Value());
        lazy.Synchronize();
        Assert.Equal(5, Value());
        lazy.BeginCapture(first);
        lazy.FillAsync(place, 6, 1, first);
        nint graph = lazy.EndCapture(first);
        lazy.LaunchGraph(graph, first);
        Assert.Equal(5, Value());
        lazy.SynchronizeStream(first);
        Assert.Equal(6, Value());
    }

    [Fact]
    public unsafe void A_lazy_device_reads_page_locked_memory_late_and_tells_failures_late()
    {
        using var lazy = new EmulatedDriver(new EmulatorOptions { Lazy = true });
        nint stream = lazy.CreateStream(), host = lazy.AllocateHost(4);
        ulong place = lazy.Allocate(4);
        *(int*)host = 1;
        lazy.CopyToDeviceAsync(place, host, 4, stream);
        *(int*)host = 2;
        lazy.SynchronizeStream(stream);
        byte[] now = new byte[4];
        lazy.CopyToHost(now, place);
        Assert.Equal(2, now[0]);
        lazy.FillAsync(place, 3, 1, stream);
        lazy.Free(place);
        Refused("CUDA_ERROR_INVALID_VALUE", () => lazy.SynchronizeStream(stream));
        lazy.SynchronizeStream(stream); // told once
    }

    [Fact]
    public void What_is_declared_unused_is_not_accessed_and_what_is_used_anew_is_unwritten()
    {
        ulong place = kernel.Upload(1, 2, 3, 4);
        Driver.DeclareUsed(place, 8, 0);
        Driver.FillAsync(place, 1, 2, 0);
        Assert.Equal(FindingKind.OutOfBounds, Assert.Throws<EmulatorException>(() => Double(place, 1)).Finding.Kind);
        Driver.DeclareUsed(place, 16, 0);
        Assert.Equal(FindingKind.Uninitialised, Assert.Throws<EmulatorException>(() => Double(place, 1)).Finding.Kind);
        Driver.DeclareUsed(place, 0, 0);
        Assert.Contains("has been given back to its pool", Assert.Throws<EmulatorException>(() => Double(place, 1)).Message);
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.DeclareUsed(place, 17, 0));
        Refused("CUDA_ERROR_INVALID_VALUE", () => Driver.DeclareUsed(place + 4, 4, 0));
        (long free, long total) = Driver.MemoryInfo();
        Driver.Free(place);
        Assert.Equal(free + 256, Driver.MemoryInfo().Free);
    }

    [Fact]
    public void After_a_finding_the_device_goes_on()
    {
        ulong place = kernel.Upload(1, 2, 3);
        Assert.Equal(FindingKind.OutOfBounds, Assert.Throws<EmulatorException>(() => Double(place, 1)).Finding.Kind);
        ulong whole = kernel.Upload(1, 2, 3, 4);
        Double(whole, 1);
        Assert.Equal([3, 5, 7, 9], kernel.Download<int>(whole, 4));
    }
}
