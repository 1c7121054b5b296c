using DiffWave.Cuda;

namespace DiffWave.Bench;

/// <summary>A driver that hands everything on to another one: what a driver that watches launches derives from.</summary>
/// <param name="inner">The other one; stays the caller's.</param>
internal abstract class ForwardingDriver(ICudaDriver inner) : ICudaDriver
{
    protected ICudaDriver Inner => inner;

    public virtual string Description => inner.Description;
    public virtual string DeviceText => inner.DeviceText;
    public virtual CudaDeviceInfo Device => inner.Device;
    public virtual (long Free, long Total) MemoryInfo() => inner.MemoryInfo();
    public virtual ulong Allocate(long bytes) => inner.Allocate(bytes);
    public virtual void Free(ulong address) => inner.Free(address);
    public virtual void DeclareUsed(ulong address, long bytes, nint stream) => inner.DeclareUsed(address, bytes, stream);
    public virtual nint AllocateHost(long bytes) => inner.AllocateHost(bytes);
    public virtual void FreeHost(nint address) => inner.FreeHost(address);
    public virtual void CopyToDevice(ulong target, ReadOnlySpan<byte> source) => inner.CopyToDevice(target, source);
    public virtual void CopyToHost(Span<byte> target, ulong source) => inner.CopyToHost(target, source);
    public virtual void CopyToDeviceAsync(ulong target, nint source, long bytes, nint stream) => inner.CopyToDeviceAsync(target, source, bytes, stream);
    public virtual void CopyToHostAsync(nint target, ulong source, long bytes, nint stream) => inner.CopyToHostAsync(target, source, bytes, stream);
    public virtual void CopyOnDeviceAsync(ulong target, ulong source, long bytes, nint stream) => inner.CopyOnDeviceAsync(target, source, bytes, stream);
    public virtual void FillAsync(ulong target, uint value, long words, nint stream) => inner.FillAsync(target, value, words, stream);
    public virtual nint LoadModule(string ptx) => inner.LoadModule(ptx);
    public virtual void UnloadModule(nint module) => inner.UnloadModule(module);
    public virtual nint GetFunction(nint module, string entryName) => inner.GetFunction(module, entryName);
    public virtual CudaFunctionAttributes GetAttributes(nint function) => inner.GetAttributes(function);
    public virtual void SetMaxDynamicShared(nint function, int bytes) => inner.SetMaxDynamicShared(function, bytes);
    public virtual int MaxActiveBlocks(nint function, int threadsPerBlock, int dynamicSharedBytes) => inner.MaxActiveBlocks(function, threadsPerBlock, dynamicSharedBytes);
    public virtual void Launch(nint function, Dim3 grid, Dim3 block, int dynamicSharedBytes, nint stream, ReadOnlySpan<byte> arguments, bool early = false) =>
        inner.Launch(function, grid, block, dynamicSharedBytes, stream, arguments, early);
    public virtual nint CreateStream() => inner.CreateStream();
    public virtual void DestroyStream(nint stream) => inner.DestroyStream(stream);
    public virtual void SynchronizeStream(nint stream) => inner.SynchronizeStream(stream);
    public virtual void Synchronize() => inner.Synchronize();
    public virtual nint CreateEvent() => inner.CreateEvent();
    public virtual void DestroyEvent(nint handle) => inner.DestroyEvent(handle);
    public virtual void RecordEvent(nint handle, nint stream) => inner.RecordEvent(handle, stream);
    public virtual void SynchronizeEvent(nint handle) => inner.SynchronizeEvent(handle);
    public virtual void StreamWaitEvent(nint stream, nint handle) => inner.StreamWaitEvent(stream, handle);
    public virtual bool StreamWaitHost(nint stream, nint address, uint value) => inner.StreamWaitHost(stream, address, value);
    public virtual double? Elapsed(nint start, nint stop) => inner.Elapsed(start, stop);
    public virtual void BeginCapture(nint stream) => inner.BeginCapture(stream);
    public virtual bool IsCapturing(nint stream) => inner.IsCapturing(stream);
    public virtual nint EndCapture(nint stream) => inner.EndCapture(stream);
    public virtual void LaunchGraph(nint graph, nint stream) => inner.LaunchGraph(graph, stream);
    public virtual void DestroyGraph(nint graph) => inner.DestroyGraph(graph);
    public virtual void PushRange(string name) => inner.PushRange(name);
    public virtual void PopRange() => inner.PopRange();
    public virtual void StartProfiler() => inner.StartProfiler();
    public virtual void StopProfiler() => inner.StopProfiler();
    public virtual void Dispose() { }
}
