using DiffWave.Cuda;
using DiffWave.Emulator;

namespace DiffWave.Bench.Tests;

/// <summary>How work is timed between events: on the emulator, done as late as a GPU may, with a clock that counts what lies between them.</summary>
public sealed class GpuTimerTests
{
    private const double LaunchSeconds = 20e-6, FillSeconds = 50e-6;

    [Fact]
    public void HotRunsShareTheTimeOfABatchThatFillsAMillisecond()
    {
        using var driver = new Clocked();
        using var clocks = new ClockWatch("");
        using (var timer = Timer(driver, clocks, new Repeat(10, 50)))
        {
            Assert.True(timer.HasClock);
            GpuTimes times = timer.Hot(driver.Queue);
            Assert.Equal(LaunchSeconds, times.Seconds.Median, 12);
            Assert.Equal((10, 0, true), (times.Seconds.Count, times.Discarded, times.IsHeld)); // settles as soon as it may: nothing varies
            Assert.InRange(times.Batch, 50, 51);
            Assert.Equal(0, driver.Fills);
            Assert.True(timer.Hot(driver.Queue, launches: 64).Batch <= 4); // never more launches than a driver takes
        }
        Assert.Equal(0, driver.Live);
    }

    [Fact]
    public void ColdRunsAreSingleAndBehindAFillThatIsNotTimed()
    {
        using var driver = new Clocked();
        using var clocks = new ClockWatch("");
        using (var timer = Timer(driver, clocks, new Repeat(10, 50)))
        {
            GpuTimes times = timer.Cold(driver.Queue);
            Assert.Equal(LaunchSeconds, times.Seconds.Median, 12);
            Assert.Equal((1, 10, 10), (times.Batch, times.Seconds.Count, driver.Fills));
            Assert.True(driver.FilledBytes >= 2L * driver.Device.L2Bytes);
        }
        Assert.Equal(0, driver.Live);
    }

    [Fact]
    public void TheHostsTimeIsNotMeasuredWhereTheStreamIsHeld()
    {
        using var driver = new Clocked { HostSeconds = 1e-4 }; // the host takes longer to queue a launch than the launch takes
        using var clocks = new ClockWatch("");
        using var timer = Timer(driver, clocks, new Repeat(10, 50));
        Assert.Equal(LaunchSeconds, timer.Cold(driver.Queue).Seconds.Median, 12);
        driver.Holds = false;
        GpuTimes free = timer.Cold(driver.Queue);
        Assert.False(free.IsHeld);
        Assert.Equal(LaunchSeconds + 1e-4, free.Seconds.Median, 12);
    }

    // The emulator finds a host that waits for a stream it holds: without the release this would be found when the timer is given back.
    [Fact]
    public void WhatFailsWhileTheStreamIsHeldLetsItGo()
    {
        using var driver = new Clocked();
        using var clocks = new ClockWatch("");
        using (var timer = Timer(driver, clocks, new Repeat(10, 50)))
        {
            int runs = 0;
            Assert.Throws<FormatException>(() => timer.Hot(stream =>
            {
                if (driver.IsHeld && ++runs == 3) throw new FormatException();
                driver.Queue(stream);
            }));
            driver.Synchronize();
            Assert.Equal(LaunchSeconds, timer.Hot(driver.Queue).Seconds.Median, 12);
        }
        Assert.Equal(0, driver.Live);
    }

    // As under a sanitizer, where every launch waits until it has run: for ever, if the stream did not go on by itself.
    [Fact]
    public void AHostThatIsHeldUpItselfEndsTheHolding()
    {
        using var driver = new Clocked();
        using var clocks = new ClockWatch("");
        using var timer = new GpuTimer(driver, clocks, new Repeat(10, 10)) { Wake = TimeSpan.Zero, Pause = TimeSpan.Zero, Patience = TimeSpan.FromMilliseconds(1) };
        bool wasLetGo = false;
        GpuTimes times = timer.Cold(stream =>
        {
            if (driver.IsHeld) wasLetGo = SpinWait.SpinUntil(driver.IsLetGo, TimeSpan.FromSeconds(30));
            driver.Queue(stream);
        });
        Assert.True(wasLetGo);
        Assert.Equal((10, 1, false), (times.Seconds.Count, times.Discarded, times.IsHeld));
    }

    [Theory]
    [InlineData(1000, 10)]    // slow for a while: those rounds are taken again
    [InlineData(1700, 0)]     // 86 % of the highest: good enough
    public void RoundsAtALowClockAreTakenAgain(int slow, int discarded)
    {
        int asked = 0; // 8 times by what is asked before, then once a round
        int Clock() => ++asked is > 12 and <= 22 ? slow : 1980;
        using var cuda = new DiffWave.Cuda.Tests.StubCuda { State = () => new GpuState(Clock(), 2619, 60, 600, ThrottleReasons.PowerCap) };
        using var driver = new Clocked();
        using var clocks = new ClockWatch("0000:01:00.0");
        using var timer = Timer(driver, clocks, new Repeat(30, 30));
        GpuTimes times = timer.Cold(driver.Queue);
        Assert.Equal((30, discarded), (times.Seconds.Count, times.Discarded));
        Assert.Contains("highest 1980 MHz", clocks.Note(), StringComparison.Ordinal);
        Assert.Equal((1980, "PowerCap"), ((int)clocks.Describe()["gpu_max_sm_mhz"]!, (string)clocks.Describe()["gpu_throttle_after"]!));
    }

    [Fact]
    public void AClockThatStaysLowEndsToo()
    {
        int asked = 0;
        using var cuda = new DiffWave.Cuda.Tests.StubCuda { State = () => new GpuState(++asked <= 12 ? 1980 : 900, null, null, null, null) };
        using var driver = new Clocked();
        using var clocks = new ClockWatch("0000:01:00.0");
        using var timer = Timer(driver, clocks, new Repeat(10, 10));
        GpuTimes times = timer.Cold(driver.Queue);
        Assert.Equal((10, 20), (times.Seconds.Count, times.Discarded));
    }

    [Fact]
    public void WithoutAClockNothingIsTimed()
    {
        using var emulator = new EmulatedDriver();
        using var clocks = new ClockWatch("");
        using var timer = new GpuTimer(emulator, clocks, new Repeat());
        Assert.False(timer.HasClock);
        Assert.StartsWith("clocks: unknown (the device tells no place on a bus)", clocks.Note(), StringComparison.Ordinal);
    }

    private static GpuTimer Timer(ICudaDriver driver, ClockWatch clocks, Repeat repeat) => new(driver, clocks, repeat) { Wake = TimeSpan.Zero, Pause = TimeSpan.Zero };

    // A device on which a launch takes 20 us and a fill 50, and the host HostSeconds to queue a launch, which it does before the stream runs where it holds it.
    private sealed class Clocked() : ForwardingDriver(new EmulatedDriver(new EmulatorOptions { Lazy = true }))
    {
        private readonly Dictionary<nint, double> marks = [];
        private double now;
        private nint word;
        private uint awaited;

        public override CudaDeviceInfo Device { get; } = new() { Name = "clocked", Sm = 90, Multiprocessors = 132, MemoryBytes = 1 << 30, SharedBytesPerBlock = 48 << 10, L2Bytes = 1 << 20 };

        public double HostSeconds { get; init; }

        public bool Holds { get; set; } = true;

        public bool IsHeld { get; private set; }

        public int Fills { get; private set; }

        public long FilledBytes { get; private set; }

        public int Live { get; private set; }

        public void Queue(nint stream) => now += LaunchSeconds + (IsHeld ? 0 : HostSeconds);

        public override bool StreamWaitHost(nint stream, nint address, uint value)
        {
            (word, awaited) = (address, value);
            return IsHeld = Holds && Inner.StreamWaitHost(stream, address, value);
        }

        public unsafe bool IsLetGo() => Volatile.Read(ref *(uint*)word) == awaited;

        public override void FillAsync(ulong target, uint value, long words, nint stream)
        {
            Inner.FillAsync(target, value, words, stream);
            (Fills, FilledBytes, now) = (Fills + 1, 4 * words, now + FillSeconds);
        }

        public override void RecordEvent(nint handle, nint stream)
        {
            Inner.RecordEvent(handle, stream);
            marks[handle] = now;
        }

        // Runs what is queued, the wait for the host with it.
        public override void SynchronizeEvent(nint handle)
        {
            Inner.SynchronizeEvent(handle);
            IsHeld = false;
        }

        public override double? Elapsed(nint start, nint stop) => 1e3 * (marks[stop] - marks[start]);

        public override nint CreateStream() => Counted(Inner.CreateStream());

        public override void DestroyStream(nint stream) => Gone(() => Inner.DestroyStream(stream));

        public override nint CreateEvent() => Counted(Inner.CreateEvent());

        public override void DestroyEvent(nint handle) => Gone(() => Inner.DestroyEvent(handle));

        public override nint AllocateHost(long bytes) => Counted(Inner.AllocateHost(bytes));

        public override void FreeHost(nint address) => Gone(() => Inner.FreeHost(address));

        public override ulong Allocate(long bytes) => (ulong)Counted((nint)Inner.Allocate(bytes));

        public override void Free(ulong address) => Gone(() => Inner.Free(address));

        public override void Dispose() => Inner.Dispose();

        private nint Counted(nint handle)
        {
            Live++;
            return handle;
        }

        private void Gone(Action release)
        {
            release();
            Live--;
        }
    }
}
