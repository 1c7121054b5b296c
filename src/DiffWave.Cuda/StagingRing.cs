using System.Runtime.InteropServices;

namespace DiffWave.Cuda;

/// <summary>
/// Copies between ordinary host memory and the device in the order of one stream, through page-locked segments that are used in turn. An upload returns as soon as its values are in a
/// segment and does not wait for the stream, unless every segment still waits to be read. Not for several threads at once, nor while the stream is being captured.
/// </summary>
public sealed unsafe class StagingRing : IDisposable
{
    // Copies from page-locked memory are fastest from whole cache lines.
    private const int Alignment = 256;

    private readonly ICudaDriver driver;
    private readonly nint stream;
    private readonly int segmentBytes;
    private readonly Segment[] segments;
    private int current, filled;

    private sealed class Segment
    {
        public nint Memory, Event;
        public bool IsPending;
    }

    /// <summary>A ring whose segments are idle.</summary>
    /// <param name="driver">The device; stays the caller's.</param>
    /// <param name="stream">The stream all copies are queued on.</param>
    /// <param name="segmentBytes">Bytes of a segment, a multiple of 256; longer copies go in parts.</param>
    /// <param name="segmentCount">Segments, at least 2: one is filled while another is copied.</param>
    /// <exception cref="CudaException">The driver refuses the memory or the events.</exception>
    public StagingRing(ICudaDriver driver, nint stream, int segmentBytes = 4 << 20, int segmentCount = 4)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(segmentCount, 2);
        if (segmentBytes < Alignment || segmentBytes % Alignment != 0) throw new ArgumentOutOfRangeException(nameof(segmentBytes), segmentBytes, $"a multiple of {Alignment} is needed");
        (this.driver, this.stream, this.segmentBytes) = (driver, stream, segmentBytes);
        segments = [.. Enumerable.Range(0, segmentCount).Select(_ => new Segment())];
        try
        {
            foreach (Segment segment in segments)
            {
                segment.Memory = driver.AllocateHost(segmentBytes);
                segment.Event = driver.CreateEvent();
            }
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <summary>Host to device in stream order. The values have been read on return; work queued on the stream from here on sees them in the device's memory.</summary>
    /// <param name="source">Values.</param>
    /// <param name="target">Where they go; as many bytes are written there.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public void Upload<T>(ReadOnlySpan<T> source, ulong target) where T : unmanaged
    {
        RefuseCapture();
        fixed (T* values = source)
        {
            byte* from = (byte*)values;
            for (long left = (long)source.Length * sizeof(T); left > 0;)
            {
                nint place = Reserve(left, out int part);
                NativeMemory.Copy(from, (void*)place, (nuint)part);
                driver.CopyToDeviceAsync(target, place, part, stream);
                from += part;
                target += (ulong)part;
                left -= part;
            }
        }
    }

    /// <summary>Device to host after everything queued on the stream, done on return.</summary>
    /// <param name="source">First byte.</param>
    /// <param name="target">Receives as many bytes as it has.</param>
    /// <exception cref="CudaException">The driver refuses, or something queued before failed.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    public void Download<T>(ulong source, Span<T> target) where T : unmanaged
    {
        RefuseCapture();
        var arriving = new Queue<(Segment Segment, nint Place, int Bytes)>();
        fixed (T* values = target)
        {
            byte* to = (byte*)values;
            void TakeFirst()
            {
                (Segment segment, nint place, int bytes) = arriving.Dequeue();
                Wait(segment);
                NativeMemory.Copy((void*)place, to, (nuint)bytes);
                to += bytes;
            }
            for (long left = (long)target.Length * sizeof(T); left > 0;)
            {
                // Each part ends its segment, so that the event behind it marks its arrival.
                if (arriving.Count == segments.Length) TakeFirst();
                nint place = Reserve(left, out int part);
                driver.CopyToHostAsync(place, source, part, stream);
                arriving.Enqueue((segments[current], place, part));
                Mark();
                source += (ulong)part;
                left -= part;
                if (left > 0) Advance();
            }
            while (arriving.Count > 0) TakeFirst();
        }
    }

    /// <summary>Waits for the copies that still use the ring, then gives its memory back.</summary>
    public void Dispose()
    {
        if (segments[0].Memory == 0) return;
        Cleanup.Run(() => driver.SynchronizeStream(stream), Release);
    }

    // Room in the current segment, at most as much as is wanted and at least one byte; waits for the segment's turn.
    private nint Reserve(long wanted, out int bytes)
    {
        if (filled == segmentBytes)
        {
            Mark();
            Advance();
        }
        bytes = (int)Math.Min(wanted, segmentBytes - filled);
        nint place = segments[current].Memory + filled;
        filled = Math.Min(segmentBytes, (filled + bytes + Alignment - 1) / Alignment * Alignment);
        return place;
    }

    private void Mark()
    {
        driver.RecordEvent(segments[current].Event, stream);
        segments[current].IsPending = true;
    }

    private void Advance()
    {
        current = (current + 1) % segments.Length;
        Wait(segments[current]);
        filled = 0;
    }

    private void Wait(Segment segment)
    {
        if (!segment.IsPending) return;
        driver.SynchronizeEvent(segment.Event);
        segment.IsPending = false;
    }

    private void RefuseCapture()
    {
        if (driver.IsCapturing(stream))
            throw new InvalidOperationException("copies through the staging ring are not recorded: a graph would read what the ring holds when it is launched; upload before the capture begins");
    }

    private void Release()
    {
        List<Action> actions = [];
        foreach (Segment segment in segments)
        {
            (nint memory, nint mark) = (segment.Memory, segment.Event);
            if (memory != 0) actions.Add(() => driver.FreeHost(memory));
            if (mark != 0) actions.Add(() => driver.DestroyEvent(mark));
            (segment.Memory, segment.Event) = (0, 0);
        }
        Cleanup.Run(actions);
    }
}
