using System.Runtime.InteropServices;

namespace DiffWave.Cpu;

/// <summary>
/// Memory of a backend's buffers. What one gives back waits for the next of its size: a synthesis needs the same as the one before, and to get it from the system, page by page, would take a tenth of a short one's time, and at times
/// as long as all the rest. Never is more held than was in use at once. For several threads: finalizers have their own.
/// </summary>
internal sealed unsafe class BufferMemory : IDisposable
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, Stack<nint>> _idle = []; // by floats, never an empty stack
    private long _inUse, _mostInUse, _idleFloats;
    private bool _isDisposed;

    ~BufferMemory() => Free();

    /// <summary>Bytes that wait to be used again.</summary>
    public long IdleBytes => _idleFloats * sizeof(float);

    /// <summary>Zero-filled floats aligned to 64 bytes.</summary>
    /// <exception cref="OutOfMemoryException">The system has not so many.</exception>
    public float* Take(long floats)
    {
        lock (_lock)
        {
            bool isIdle = _idle.ContainsKey(floats);
            while (!isIdle && _idleFloats > 0 && _inUse + floats + _idleFloats > _mostInUse) NativeMemory.AlignedFree(TakeIdle(_idle.Keys.Last()));
            float* block = isIdle ? TakeIdle(floats) : CpuBuffer.AllocateFloats(floats);
            if (isIdle) NativeMemory.Clear(block, (nuint)floats * sizeof(float));
            _inUse += floats;
            _mostInUse = Math.Max(_mostInUse, _inUse);
            return block;
        }
    }

    /// <summary>Takes back what <see cref="Take"/> gave for as many floats.</summary>
    public void Give(float* block, long floats)
    {
        lock (_lock)
        {
            _inUse -= floats;
            if (_isDisposed)
            {
                NativeMemory.AlignedFree(block);
                return;
            }
            if (!_idle.TryGetValue(floats, out Stack<nint>? blocks)) _idle.Add(floats, blocks = new Stack<nint>());
            blocks.Push((nint)block);
            _idleFloats += floats;
        }
    }

    /// <summary>Frees what waits, and from now on whatever is given back.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        lock (_lock)
        {
            _isDisposed = true;
            while (_idleFloats > 0) NativeMemory.AlignedFree(TakeIdle(_idle.Keys.First()));
        }
    }

    private float* TakeIdle(long floats)
    {
        Stack<nint> blocks = _idle[floats];
        var block = (float*)blocks.Pop();
        if (blocks.Count == 0) _idle.Remove(floats);
        _idleFloats -= floats;
        return block;
    }
}
