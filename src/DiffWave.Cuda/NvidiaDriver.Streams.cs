namespace DiffWave.Cuda;

/// <content>Streams, events and graphs, and what profilers are told.</content>
public sealed unsafe partial class NvidiaDriver
{
    private const uint NonBlocking = 1;

    // A forbidden call of this thread breaks the recording; what other threads do meanwhile is theirs.
    private const int CaptureThisThread = 1;

    // CU_STREAM_WAIT_VALUE_GEQ, and CUDA_ERROR_NOT_SUPPORTED, by which a device or an operating system tells that it has no such waits.
    private const uint WaitAtLeast = 0;
    private const int NotSupported = 801;

    /// <inheritdoc/>
    public nint CreateStream()
    {
        Use();
        nint stream = 0;
        api.Check(api.StreamCreate(&stream, NonBlocking), $"cuStreamCreate");
        return stream;
    }

    /// <inheritdoc/>
    public void DestroyStream(nint stream)
    {
        UseToRelease();
        api.Check(api.StreamDestroy(stream), $"cuStreamDestroy");
    }

    /// <inheritdoc/>
    public void SynchronizeStream(nint stream)
    {
        Use();
        api.Check(api.StreamSynchronize(stream), $"cuStreamSynchronize (an error may be of an earlier launch)");
    }

    /// <inheritdoc/>
    public void Synchronize()
    {
        Use();
        api.Check(api.CtxSynchronize(), $"cuCtxSynchronize (an error may be of an earlier launch)");
    }

    /// <inheritdoc/>
    public nint CreateEvent()
    {
        Use();
        nint handle = 0;
        api.Check(api.EventCreate(&handle, 0), $"cuEventCreate");
        return handle;
    }

    /// <inheritdoc/>
    public void DestroyEvent(nint handle)
    {
        UseToRelease();
        api.Check(api.EventDestroy(handle), $"cuEventDestroy");
    }

    /// <inheritdoc/>
    public void RecordEvent(nint handle, nint stream)
    {
        Use();
        api.Check(api.EventRecord(handle, stream), $"cuEventRecord");
    }

    /// <inheritdoc/>
    public void SynchronizeEvent(nint handle)
    {
        Use();
        api.Check(api.EventSynchronize(handle), $"cuEventSynchronize (an error may be of an earlier launch)");
    }

    /// <inheritdoc/>
    public void StreamWaitEvent(nint stream, nint handle)
    {
        Use();
        api.Check(api.StreamWaitEvent(stream, handle, 0), $"cuStreamWaitEvent");
    }

    /// <inheritdoc/>
    public bool StreamWaitHost(nint stream, nint address, uint value)
    {
        Use();
        if (api.StreamWaitValue == null) return false;
        // Page-locked memory has one address for host and device.
        int result = api.StreamWaitValue(stream, (ulong)address, value, WaitAtLeast);
        if (result == NotSupported) return false;
        api.Check(result, $"cuStreamWaitValue32(0x{address:x})");
        return true;
    }

    /// <inheritdoc/>
    public double? Elapsed(nint start, nint stop)
    {
        Use();
        float milliseconds = 0;
        api.Check(api.EventElapsedTime(&milliseconds, start, stop), $"cuEventElapsedTime");
        return milliseconds;
    }

    /// <inheritdoc/>
    public void BeginCapture(nint stream)
    {
        Use();
        api.Check(api.StreamBeginCapture(stream, CaptureThisThread), $"cuStreamBeginCapture");
    }

    /// <inheritdoc/>
    public bool IsCapturing(nint stream)
    {
        Use();
        int status = 0;
        api.Check(api.StreamIsCapturing(stream, &status), $"cuStreamIsCapturing");
        return status != 0;
    }

    /// <inheritdoc/>
    public nint EndCapture(nint stream)
    {
        Use();
        nint graph = 0, executable = 0;
        api.Check(api.StreamEndCapture(stream, &graph), $"cuStreamEndCapture");
        int result = api.GraphInstantiate(&executable, graph, 0);
        _ = api.GraphDestroy(graph); // the executable graph is a copy
        api.Check(result, $"cuGraphInstantiateWithFlags");
        return executable;
    }

    /// <inheritdoc/>
    public void LaunchGraph(nint graph, nint stream)
    {
        Use();
        api.Check(api.GraphLaunch(graph, stream), $"cuGraphLaunch");
    }

    /// <inheritdoc/>
    public void DestroyGraph(nint graph)
    {
        UseToRelease();
        api.Check(api.GraphExecDestroy(graph), $"cuGraphExecDestroy");
    }

    /// <inheritdoc/>
    public void PushRange(string name) => nvtx?.Push(name);

    /// <inheritdoc/>
    public void PopRange() => nvtx?.Pop();

    /// <inheritdoc/>
    public void StartProfiler()
    {
        Use();
        api.Check(api.ProfilerStart(), $"cuProfilerStart");
    }

    /// <inheritdoc/>
    public void StopProfiler()
    {
        Use();
        api.Check(api.ProfilerStop(), $"cuProfilerStop");
    }
}
