using System.Runtime.ExceptionServices;
using DiffWave.Emulator.Reports;

namespace DiffWave.Emulator.Execution;

/// <summary>Executes all blocks of a launch.</summary>
internal static class GridExecutor
{
    /// <summary>Executes a launch. Of several findings the one in the first block is thrown, whatever the number of threads.</summary>
    /// <returns>The report, or null without reports.</returns>
    public static LaunchReport? Run(KernelLaunch launch)
    {
        long blocks = launch.Grid.Size, next = -1, failed = long.MaxValue;
        int threads = launch.Program.IsSequential || launch.Races is not null ? 1 : (int)Math.Min(blocks, launch.Options.Threads > 0 ? launch.Options.Threads : Environment.ProcessorCount);
        Exception? failure = null;
        var gate = new Lock();
        using Footprint? footprint = launch.Options.Reports ? new Footprint() : null;
        LaunchCounters? total = NewCounters();

        LaunchCounters? NewCounters() => footprint is null ? null : new LaunchCounters(launch.Program, footprint);

        void Work()
        {
            LaunchCounters? counters = NewCounters();
            using var executor = new BlockExecutor(launch, counters);
            while (true)
            {
                // Blocks are handed out in order: when one fails all before it have been started and are run to their end.
                long block = Interlocked.Increment(ref next);
                if (block >= blocks || block > Volatile.Read(ref failed)) break;
                try
                {
                    executor.Run(block);
                }
                catch (Exception exception)
                {
                    lock (gate)
                    {
                        if (block >= failed) continue;
                        failed = block;
                        failure = exception;
                    }
                }
            }
            lock (gate)
            {
                if (counters is not null) total!.Add(counters);
            }
        }

        if (threads == 1) Work();
        else Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, _ => Work());
        if (failure is not null) ExceptionDispatchInfo.Throw(failure);
        return total is null ? null : LaunchReport.From(launch, total);
    }
}
