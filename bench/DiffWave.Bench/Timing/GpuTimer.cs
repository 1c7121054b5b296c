using System.Diagnostics;
using DiffWave.Cuda;

namespace DiffWave.Bench;

/// <summary>How long something takes on a GPU.</summary>
/// <param name="Seconds">Of one run.</param>
/// <param name="Batch">Runs that were queued between two events and share their time.</param>
/// <param name="Discarded">Rounds thrown away: at a low clock, or with the host in them.</param>
/// <param name="IsHeld">Whether the stream was held until everything was queued, so that the host's time is not in it.</param>
internal sealed record GpuTimes(Sample Seconds, int Batch, int Discarded, bool IsHeld);

/// <summary>
/// Times what is queued on a stream by the device's own clock, between two events, until the spread settles.
/// <list type="bullet">
/// <item>Hot: back to back, as many as fill a millisecond, averaged; what fits stays in the L2 cache.</item>
/// <item>Cold: one at a time, after a buffer of twice the L2 cache has been filled. What that left in the cache is written back meanwhile, as in a program whose launch before has written.</item>
/// </list>
/// The stream is held until events and launches are all queued. Else an event in an empty stream is passed at once, and the time until the host has queued the launch behind it counts: some microseconds, more
/// than many kernels take. It is held by a wait of the driver for a word in page-locked memory, which a store of the host ends: no kernel of ours occupies the device meanwhile (one that spins would), no thread of the
/// driver is blocked (a host function would), and the store cannot fail.
/// </summary>
internal sealed unsafe class GpuTimer : IDisposable
{
    private const double RoundSeconds = 1e-3;
    private const int MostQueued = 256;  // launches: a driver takes about a thousand before it lets the host wait, which a held stream would do for ever
    private const int MostDiscarded = 20;
    private const int WarmUp = 3;
    private const long UnknownL2 = 64L << 20;

    private readonly ICudaDriver driver;
    private readonly Repeat repeat;
    private readonly List<Action> cleaning = [];
    private readonly nint stream, start, stop, word;
    private ulong flushed;
    private uint tickets;
    private bool holds = true, isAwake;

    /// <param name="driver">The device; stays the caller's.</param>
    /// <param name="clocks">Tells rounds at a low clock; stays the caller's.</param>
    /// <param name="repeat">How often.</param>
    public GpuTimer(ICudaDriver driver, ClockWatch clocks, Repeat repeat)
    {
        (this.driver, Clocks, this.repeat) = (driver, clocks, repeat);
        try
        {
            stream = Owned(driver.CreateStream(), driver.DestroyStream);
            (start, stop) = (Owned(driver.CreateEvent(), driver.DestroyEvent), Owned(driver.CreateEvent(), driver.DestroyEvent));
            word = Owned(driver.AllocateHost(sizeof(uint)), driver.FreeHost);
            *(uint*)word = 0;
            driver.RecordEvent(start, stream);
            driver.RecordEvent(stop, stream);
            driver.SynchronizeEvent(stop);
            HasClock = driver.Elapsed(start, stop) is not null;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether the device has a clock; the emulator has none, and nothing can be timed.</summary>
    public bool HasClock { get; }

    /// <summary>How long the first work warms up: an idle GPU raises its clocks only then.</summary>
    public TimeSpan Wake { get; init; } = TimeSpan.FromSeconds(0.2);

    /// <summary>How long the stream is held at most: what the host has not queued until then is measured with the host's time in it, and thrown away.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long the GPU may cool after a round at a low clock.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>The clocks it watches.</summary>
    public ClockWatch Clocks { get; }

    /// <summary>Times runs back to back.</summary>
    /// <param name="queue">Queues a run on a stream.</param>
    /// <param name="launches">Launches of a run, about.</param>
    public GpuTimes Hot(Action<nint> queue, int launches = 1)
    {
        Warm(queue);
        int most = Math.Max(1, MostQueued / launches), batch = 1;
        for (double seconds = 0; batch < most; batch = Math.Min(most, seconds > 0 ? (int)Math.Ceiling(batch * RoundSeconds / seconds) : most))
        {
            seconds = Round(_ => { }, queue, batch).Seconds;
            if (seconds >= RoundSeconds / 2) break;
        }
        return Settle(() => Round(_ => { }, queue, batch), batch);
    }

    /// <summary>Times single runs with a cold L2 cache.</summary>
    /// <param name="queue">Queues a run on a stream.</param>
    public GpuTimes Cold(Action<nint> queue)
    {
        Warm(queue);
        long bytes = 2 * (driver.Device.L2Bytes > 0 ? driver.Device.L2Bytes : UnknownL2);
        if (flushed == 0)
        {
            flushed = driver.Allocate(bytes);
            cleaning.Add(() => driver.Free(flushed));
        }
        return Settle(() => Round(on => driver.FillAsync(flushed, tickets, bytes / sizeof(uint), on), queue, 1), 1);
    }

    /// <summary>Gives everything back, after the stream has done what it has.</summary>
    public void Dispose()
    {
        if (stream != 0) cleaning.Add(() => driver.SynchronizeStream(stream));
        for (int i = cleaning.Count - 1; i >= 0; i--)
        {
            try { cleaning[i](); }
            catch (CudaException) { } // about earlier work, and would hide what led here
        }
        cleaning.Clear();
    }

    // The first runs load code and raise clocks from those of an idle GPU.
    private void Warm(Action<nint> queue)
    {
        long begin = Stopwatch.GetTimestamp();
        int runs = 0;
        do
        {
            queue(stream);
            driver.SynchronizeStream(stream);
        }
        while (++runs < WarmUp || (!isAwake && Stopwatch.GetElapsedTime(begin) < Wake));
        isAwake = true;
    }

    private GpuTimes Settle(Func<(double Seconds, bool IsGood)> round, int batch)
    {
        var sample = new Sample();
        int discarded = 0;
        long begin = Stopwatch.GetTimestamp();
        while (!repeat.IsEnough(sample, Stopwatch.GetElapsedTime(begin).TotalSeconds))
        {
            (double seconds, bool isGood) = round();
            if ((!isGood || Clocks.IsSlow()) && discarded < MostDiscarded)
            {
                discarded++;
                Thread.Sleep(Pause);
                continue;
            }
            sample.Add(seconds / batch);
        }
        return new GpuTimes(sample, batch, discarded, holds);
    }

    // Seconds between the events; not good when the host got stuck while the stream was held, which then goes on by itself.
    private (double Seconds, bool IsGood) Round(Action<nint> before, Action<nint> queue, int batch)
    {
        uint ticket = ++tickets;
        bool isLate = false;
        holds = holds && driver.StreamWaitHost(stream, word, ticket);
        Timer? watchdog = holds ? new Timer(_ =>
        {
            isLate = true;
            Volatile.Write(ref *(uint*)word, ticket);
        }, null, Patience, Timeout.InfiniteTimeSpan) : null;
        try
        {
            before(stream);
            driver.RecordEvent(start, stream);
            for (int i = 0; i < batch; i++) queue(stream);
            driver.RecordEvent(stop, stream);
        }
        finally
        {
            Volatile.Write(ref *(uint*)word, ticket);
            watchdog?.DisposeAsync().AsTask().Wait(); // nobody writes the word later
        }
        driver.SynchronizeEvent(stop);
        if (isLate) holds = false; // a profiler or sanitizer that lets every launch wait: measured without from here on
        return (driver.Elapsed(start, stop)!.Value / 1e3, !isLate);
    }

    private nint Owned(nint handle, Action<nint> release)
    {
        cleaning.Add(() => release(handle));
        return handle;
    }
}
