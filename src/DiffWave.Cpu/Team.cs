using System.Runtime.ExceptionServices;

namespace DiffWave.Cpu;

/// <summary>
/// A fixed set of threads that run numbered pieces of work together. Pieces are claimed as threads come free, so a piece must not depend on which thread runs it, and a
/// thread the system holds back delays nobody: the others take its share. Workers spin briefly between jobs, because the next operation usually follows within
/// microseconds, and sleep after that.
/// </summary>
internal sealed class Team : IDisposable
{
    private const int SpinsBeforeSleep = 2000;
    private readonly Thread[] _workers;
    private readonly object _gate = new();
    private Job? _job;
    private int _sleepers;
    private bool _stop;

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
        var job = new Job(count, body);
        Volatile.Write(ref _job, job);
        Interlocked.MemoryBarrier(); // a worker counts itself as a sleeper before it looks at _job for the last time
        if (Volatile.Read(ref _sleepers) > 0) Wake();
        job.Help(0);
        job.WaitForOthers();
    }

    public void Dispose()
    {
        Volatile.Write(ref _stop, true);
        Volatile.Write(ref _job, new Job(0, (_, _) => { }));
        Wake();
        foreach (var worker in _workers) worker.Join();
    }

    private void Wake()
    {
        lock (_gate) Monitor.PulseAll(_gate);
    }

    private void Work(int worker)
    {
        Job? seen = null;
        while (true)
        {
            for (int spins = 0; Volatile.Read(ref _job) == seen && spins < SpinsBeforeSleep; spins++) Thread.SpinWait(8);
            if (Volatile.Read(ref _job) == seen)
                lock (_gate)
                {
                    Interlocked.Increment(ref _sleepers);
                    while (Volatile.Read(ref _job) == seen) Monitor.Wait(_gate);
                    Interlocked.Decrement(ref _sleepers);
                }
            if (Volatile.Read(ref _stop)) return;
            seen = Volatile.Read(ref _job);
            seen!.Help(worker);
        }
    }

    // One call of Run. Late workers find nothing left and go on; the caller waits only for pieces that somebody has begun.
    private sealed class Job(int count, Action<int, int> body)
    {
        private int _next, _done;
        private ExceptionDispatchInfo? _failure;

        public void Help(int thread)
        {
            for (int piece; (piece = Interlocked.Increment(ref _next) - 1) < count; Interlocked.Increment(ref _done))
            {
                if (Volatile.Read(ref _failure) is not null) continue;
                try { body(piece, thread); }
                catch (Exception e) { Volatile.Write(ref _failure, ExceptionDispatchInfo.Capture(e)); }
            }
        }

        public void WaitForOthers()
        {
            var spin = new SpinWait();
            while (Volatile.Read(ref _done) < count) spin.SpinOnce(sleep1Threshold: -1);
            _failure?.Throw();
        }
    }
}
