namespace DiffWave.Cli;

/// <summary>What a verb talks to.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">Progress, logs, errors.</param>
/// <param name="RawOut">The bytes behind <paramref name="Out"/>, for audio written to <c>-</c>.</param>
/// <param name="ErrorIsTerminal">Whether a progress bar can be drawn.</param>
/// <param name="Cancel">Signalled when the user wants to stop.</param>
internal sealed record Session(TextWriter Out, TextWriter Error, Stream RawOut, bool ErrorIsTerminal, CancellationToken Cancel)
{
    /// <summary>The signals behind <see cref="Cancel"/>; null inside another process.</summary>
    public Interrupt? Interrupt { get; init; }

    public void Log(string line)
    {
        try { Error.WriteLine(line); }
        catch (IOException) { } // the terminal is gone, or the file behind stderr is on a full disk: there is nowhere to say so, and hours of work need not end for it
    }

    public void Warn(string line) => Log($"warning: {line}");
}
