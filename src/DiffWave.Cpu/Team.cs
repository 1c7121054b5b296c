using System.Runtime.ExceptionServices;

namespace DiffWave.Cpu;

/// <summary>
/// A fixed set of threads that run numbered pieces of work together. Pieces are claimed as threads come free, so a piece must not depend on which thread runs it.
/// Workers spin briefly between runs, because the next operation usually follows within microseconds, and sleep after that.
/// </summary>
internal sealed class Team : IDisposable
{
    private const int SpinsBeforeSleep = 4000;
    private readonly Thread[] _workers;
    private readonly object _gate = new();
    private Action<int, int>? _body;
    private int _count, _next, _running, _generation;
    private bool _stop;
    private ExceptionDispatchInfo? _failure;

    public int Threads => _workers.Length + 1;

    public Team(int threads)
    {
        _workers = new Thread[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            int worker = i + 1;
            _workers[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"diffwave cpu {worker}" };
            _workers[i].Start();
        }
    }

    /// <summary>Runs body(piece, thread) for every piece in [0, count) and returns when all are done; thread is in [0, Threads).</summary>
    public void Run(int count, Action<int, int> body)
    {
        if (count <= 0) return;
        if (_workers.Length == 0 || count == 1)
        {
            for (int i = 0; i < count; i++) body(i, 0);
            return;
        }
        _body = body;
        _count = count;
        _next = 0;
        Volatile.Write(ref _running, _workers.Length);
        lock (_gate)
        {
            _generation++;
            Monitor.PulseAll(_gate);
        }
        Claim(0);
        var spin = new SpinWait();
        while (Volatile.Read(ref _running) > 0) spin.SpinOnce(sleep1Threshold: -1);
        _body = null;
        if (_failure is { } failure)
        {
            _failure = null;
            failure.Throw();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _stop = true;
            _generation++;
            Monitor.PulseAll(_gate);
        }
        foreach (var worker in _workers) worker.Join();
    }

    private void Work(int worker)
    {
        int seen = 0;
        while (true)
        {
            for (int spins = 0; Volatile.Read(ref _generation) == seen && spins < SpinsBeforeSleep; spins++) Thread.SpinWait(8);
            if (Volatile.Read(ref _generation) == seen)
                lock (_gate)
                    while (_generation == seen) Monitor.Wait(_gate);
            seen++;
            if (Volatile.Read(ref _stop)) return;
            Claim(worker);
            Interlocked.Decrement(ref _running);
        }
    }

    private void Claim(int worker)
    {
        try
        {
            for (int piece; (piece = Interlocked.Increment(ref _next) - 1) < _count;) _body!(piece, worker);
        }
        catch (Exception e)
        {
            _failure ??= ExceptionDispatchInfo.Capture(e);
            Volatile.Write(ref _next, _count);
        }
    }
}
