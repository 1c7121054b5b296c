using System.Diagnostics;
using System.Runtime.InteropServices;

namespace DiffWave.Cli.Tests;

/// <summary>Signals to processes of the program.</summary>
internal static partial class Signals
{
    public const int Int = 2, Term = 15;

    private static readonly Lock OneAtATime = new();

    /// <summary>Starts the program so that it gets SIGINT: test hosts started in the background of a shell ignore it, and their children would too.</summary>
    public static Process Start(DiffWaveProgram program, params string[] args)
    {
        lock (OneAtATime)
        {
            nint old = Handle(Int, 0);
            try { return program.Start(args); }
            finally { Handle(Int, old); }
        }
    }

    public static void Send(Process process, int signal) => Assert.Equal(0, Kill(process.Id, signal));

    [LibraryImport("libc", EntryPoint = "kill")] private static partial int Kill(int process, int signal);
    [LibraryImport("libc", EntryPoint = "signal")] private static partial nint Handle(int signal, nint handler);
}
