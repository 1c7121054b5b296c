using DiffWave.Cuda;
using DiffWave.Emulator.Checks;

namespace DiffWave.Emulator;

public sealed partial class EmulatedDriver
{
    // What a capture has recorded so far. Streams join by waiting for an event recorded in it and must be waited for before it ends.
    private sealed class Capture(nint origin)
    {
        public nint Origin { get; } = origin;
        public List<Action> Actions { get; } = [];
        public HashSet<nint> Unjoined { get; } = [];
    }

    private sealed class StreamState
    {
        public Capture? Capture { get; set; }

        /// <summary>What waits to be run, when work is done lazily, and how many actions have ever been taken out.</summary>
        public Queue<Action> Waiting { get; } = [];
        public long Done { get; set; }

        /// <summary>What the launch that ran last touched; null when something ran since then that it was complete for, or nobody asks.</summary>
        public BlockRaces? Last { get; set; }
    }

    private sealed class EventState
    {
        /// <summary>The capture and stream it was last recorded in; null: none.</summary>
        public Capture? Capture { get; set; }
        public nint Stream { get; set; }
        public bool IsRecorded { get; set; }

        /// <summary>Actions of the capture when it was recorded.</summary>
        public int Position { get; set; }

        /// <summary>The stream's actions it stands behind, when work is done lazily.</summary>
        public (StreamState Stream, long Actions)? Behind { get; set; }
    }

    private readonly Dictionary<nint, StreamState> streams = [];
    private readonly Dictionary<nint, EventState> events = [];
    private readonly Dictionary<nint, Action[]> graphs = [];

    /// <inheritdoc/>
    public nint CreateStream()
    {
        nint handle = NewHandle();
        streams.Add(handle, new StreamState());
        return handle;
    }

    /// <inheritdoc/>
    public void DestroyStream(nint stream)
    {
        RefuseCaptured("cuStreamDestroy", stream);
        if (stream == 0) throw new CudaException("cuStreamDestroy", "CUDA_ERROR_INVALID_HANDLE", "the default stream stays");
        RunQueued(stream); // CUDA finishes it in the background
        streams[stream].Last?.Dispose();
        streams.Remove(stream);
    }

    /// <inheritdoc/>
    public void SynchronizeStream(nint stream)
    {
        RefuseCaptured("cuStreamSynchronize", stream);
        RunQueued(stream);
    }

    /// <inheritdoc/>
    public void Synchronize()
    {
        RefuseInCapture("cuCtxSynchronize");
        foreach (StreamState stream in streams.Values) Run(stream, long.MaxValue);
    }

    /// <inheritdoc/>
    public nint CreateEvent()
    {
        nint handle = NewHandle();
        events.Add(handle, new EventState());
        return handle;
    }

    /// <inheritdoc/>
    public void DestroyEvent(nint handle)
    {
        if (!events.Remove(handle)) throw Unknown("cuEventDestroy", handle);
    }

    /// <inheritdoc/>
    public void RecordEvent(nint handle, nint stream)
    {
        EventState state = Event("cuEventRecord", handle);
        StreamState marked = Stream("cuEventRecord", stream);
        state.Capture = marked.Capture;
        state.Behind = (marked, marked.Done + marked.Waiting.Count);
        state.Stream = stream;
        state.IsRecorded = true;
        state.Position = lastAction.GetValueOrDefault(stream);
    }

    /// <inheritdoc/>
    public void SynchronizeEvent(nint handle)
    {
        EventState state = Event("cuEventSynchronize", handle);
        if (state.Capture is not null) throw new CudaException("cuEventSynchronize", "CUDA_ERROR_CAPTURED_EVENT", "the event was recorded in a capture");
        if (state.Behind is var (stream, actions)) Run(stream, actions);
    }

    /// <inheritdoc/>
    public void StreamWaitEvent(nint stream, nint handle)
    {
        StreamState state = Stream("cuStreamWaitEvent", stream);
        EventState marked = Event("cuStreamWaitEvent", handle);
        if (!marked.IsRecorded) return;
        if (marked.Capture is not { } capture)
        {
            if (state.Capture is not null)
                throw new CudaException("cuStreamWaitEvent", "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a captured stream waits for an event outside its capture");
            if (options.Lazy && marked.Behind is var (other, actions)) state.Waiting.Enqueue(() => Run(other, actions));
            return;
        }
        if (!openCaptures.Contains(capture)) throw new CudaException("cuStreamWaitEvent", "CUDA_ERROR_CAPTURED_EVENT", "the event was recorded in a capture that has ended");
        if (state.Capture is not null && state.Capture != capture) throw new CudaException("cuStreamWaitEvent", "CUDA_ERROR_STREAM_CAPTURE_MERGE", "two captures would become one");
        state.Capture = capture;
        // Everything the other stream has queued is waited for: it is part of this one from here.
        if (marked.Position == lastAction.GetValueOrDefault(marked.Stream)) capture.Unjoined.Remove(marked.Stream);
    }

    /// <summary>False unless work is done lazily: what is queued runs at once here. Lazily, it is a finding when the stream is waited for and the host has not written the value: a GPU would wait for ever.</summary>
    public unsafe bool StreamWaitHost(nint stream, nint address, uint value)
    {
        RefuseCaptured("cuStreamWaitValue32", stream);
        CheckHost("cuStreamWaitValue32", address, sizeof(uint));
        if (!options.Lazy) return false;
        Queue("cuStreamWaitValue32", stream, () =>
        {
            if ((int)(Volatile.Read(ref *(uint*)address) - value) < 0)
                throw new CudaException($"cuStreamWaitValue32(0x{address:x})", "CUDA_ERROR_LAUNCH_TIMEOUT", $"the host waits for a stream that waits for the host to write {value}", "write it before");
        });
        return true;
    }

    /// <summary>Always null: time means nothing here.</summary>
    public double? Elapsed(nint start, nint stop)
    {
        foreach (nint handle in (nint[])[start, stop])
            if (!Event("cuEventElapsedTime", handle).IsRecorded) throw new CudaException("cuEventElapsedTime", "CUDA_ERROR_INVALID_HANDLE", "an event has not been recorded");
        return null;
    }

    /// <inheritdoc/>
    public void BeginCapture(nint stream)
    {
        StreamState state = Stream("cuStreamBeginCapture", stream);
        if (stream == 0) throw new CudaException("cuStreamBeginCapture", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "the default stream cannot be captured");
        if (state.Capture is not null) throw new CudaException("cuStreamBeginCapture", "CUDA_ERROR_ILLEGAL_STATE", "the stream is being captured already");
        state.Capture = new Capture(stream);
        openCaptures.Add(state.Capture);
    }

    /// <inheritdoc/>
    public bool IsCapturing(nint stream) => Stream("cuStreamIsCapturing", stream).Capture is not null;

    /// <inheritdoc/>
    public nint EndCapture(nint stream)
    {
        StreamState state = Stream("cuStreamEndCapture", stream);
        if (state.Capture is not { } capture) throw new CudaException("cuStreamEndCapture", "CUDA_ERROR_ILLEGAL_STATE", "the stream is not being captured");
        if (capture.Origin != stream) throw new CudaException("cuStreamEndCapture", "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture began on another stream");
        openCaptures.Remove(capture);
        foreach (StreamState member in streams.Values)
            if (member.Capture == capture) member.Capture = null;
        if (capture.Unjoined.Count > 0)
            throw new CudaException("cuStreamEndCapture", "CUDA_ERROR_STREAM_CAPTURE_UNJOINED",
                $"{capture.Unjoined.Count} streams have joined the capture and are not waited for at its end");
        nint handle = NewHandle();
        graphs.Add(handle, [.. capture.Actions]);
        return handle;
    }

    /// <inheritdoc/>
    public void LaunchGraph(nint graph, nint stream)
    {
        if (!graphs.TryGetValue(graph, out Action[]? actions)) throw Unknown("cuGraphLaunch", graph);
        Queue("cuGraphLaunch", stream, () =>
        {
            foreach (Action action in actions) action();
        });
    }

    /// <inheritdoc/>
    public void DestroyGraph(nint graph)
    {
        if (!graphs.Remove(graph)) throw Unknown("cuGraphExecDestroy", graph);
    }

    private readonly HashSet<Capture> openCaptures = [];

    // Actions queued so far by stream, to know whether an event marks the stream's end.
    private readonly Dictionary<nint, int> lastAction = [];

    // What orders is begun when all before it is complete, and complete when anything behind it begins.
    private void Queue(string call, nint stream, Action action, bool orders = true)
    {
        StreamState state = Stream(call, stream);
        if (orders && options.BlockRaces)
        {
            Action alone = action;
            action = () =>
            {
                state.Last?.Dispose();
                state.Last = null;
                alone();
            };
        }
        lastAction[stream] = lastAction.GetValueOrDefault(stream) + 1;
        if (state.Capture is not { } capture)
        {
            if (options.Lazy) state.Waiting.Enqueue(action);
            else action();
            return;
        }
        capture.Actions.Add(action);
        if (stream != capture.Origin) capture.Unjoined.Add(stream);
    }

    private void RunQueued(nint stream) => Run(streams[stream], long.MaxValue);

    // Runs a stream's lazily queued work until so many of its actions are done. One that fails is taken out as well.
    private static void Run(StreamState stream, long actions)
    {
        while (stream.Done < actions && stream.Waiting.TryDequeue(out Action? action))
        {
            stream.Done++;
            action();
        }
    }

    private void RefuseCaptured(string call, nint stream)
    {
        if (Stream(call, stream).Capture is not null) throw new CudaException(call, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted while the stream is being captured");
    }

    private void RefuseInCapture(string call)
    {
        if (openCaptures.Count > 0) throw new CudaException(call, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted while a stream is being captured");
    }

    private StreamState Stream(string call, nint stream) => streams.TryGetValue(stream, out StreamState? state) ? state : throw Unknown(call, stream);

    private EventState Event(string call, nint handle) => events.TryGetValue(handle, out EventState? state) ? state : throw Unknown(call, handle);
}
