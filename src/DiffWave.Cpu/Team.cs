using System.Runtime.ExceptionServices;

namespace DiffWave.Cpu;

/// <summary>
/// A fixed set of threads that run numbered pieces of work together. Every thread has its own stretch of neighbouring pieces, the same for equal counts, so that it
/// finds in its cache what it wrote in the operation before; done with it, it takes pieces from the ends of the others' stretches. So a piece must not depend on which
/// thread runs it, and a thread the system holds back delays nobody. Workers spin briefly between jobs, because the next operation usually follows within microseconds,
/// and sleep after that.
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
        var job = new Job(count, Threads, body);
        Volatile.Write(ref _job, job);
        Interlocked.MemoryBarrier(); // a worker counts itself as a sleeper before it looks at _job for the last time
        if (Volatile.Read(ref _sleepers) > 0) Wake();
        job.Help(0);
        job.WaitForOthers();
    }

    public void Dispose()
    {
        Volatile.Write(ref _stop, true);
        Volatile.Write(ref _job, new Job(0, 1, (_, _) => { }));
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
    private sealed class Job
    {
        private const int Apart = 16; // stretches a cache line and its neighbour apart
        private readonly Action<int, int> _body;
        private readonly int _count, _threads;
        private readonly long[] _left; // what is left of each thread's stretch: its first piece and, in the upper half, the piece after its last
        private int _done;
        private ExceptionDispatchInfo? _failure;

        public Job(int count, int threads, Action<int, int> body)
        {
            (_count, _threads, _body, _left) = (count, threads, body, new long[threads * Apart]);
            for (int i = 0; i < threads; i++) _left[i * Apart] = Stretch((int)((long)count * i / threads), (int)((long)count * (i + 1) / threads));
        }

        public void Help(int thread)
        {
            for (int i = 0; i < _threads; i++)
            {
                int owner = (thread + i) % _threads;
                while (TryClaim(ref _left[owner * Apart], fromEnd: i > 0, out int piece))
                {
                    if (Volatile.Read(ref _failure) is null)
                    {
                        try { _body(piece, thread); }
                        catch (Exception e) { Volatile.Write(ref _failure, ExceptionDispatchInfo.Capture(e)); }
                    }
                    Interlocked.Increment(ref _done);
                }
            }
        }

        public void WaitForOthers()
        {
            var spin = new SpinWait();
            while (Volatile.Read(ref _done) < _count) spin.SpinOnce(sleep1Threshold: -1);
            _failure?.Throw();
        }

        private static long Stretch(int first, int end) => (long)end << 32 | (uint)first;

        private static bool TryClaim(ref long left, bool fromEnd, out int piece)
        {
            for (long seen = Volatile.Read(ref left); ;)
            {
                int first = (int)seen, end = (int)(seen >> 32);
                piece = fromEnd ? end - 1 : first;
                if (first == end) return false;
                long before = Interlocked.CompareExchange(ref left, fromEnd ? Stretch(first, end - 1) : Stretch(first + 1, end), seen);
                if (before == seen) return true;
                seen = before;
            }
        }
    }
}
