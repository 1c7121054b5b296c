using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// The folder of one training run. Whatever kills the run, its folder holds a whole checkpoint, a log without gaps up to it, and nothing half-written under a final name.
/// </summary>
/// <remarks>
/// <c>config.json</c> what the run was started with; <c>step-N.safetensors</c> checkpoints; <c>latest.json</c> the one to go on from; <c>log.jsonl</c> a line a step;
/// <c>events/</c> the same for TensorBoard; <c>samples/</c> audio and pictures; <c>report.html</c>; <c>model.safetensors</c> the finished model; <c>lock</c> while a run uses it.
/// Every failure of the file system comes as an <see cref="IOException"/> that names the file and says what to do. Not safe for use by several threads.
/// </remarks>
public sealed partial class RunFolder : IDisposable
{
    internal const string LogName = "log.jsonl", ReportName = "report.html", SamplesName = "samples";

    private const string ConfigName = "config.json", LockName = "lock", EventsName = "events";

    private readonly FileStream _lock;
    private readonly RunFolderLog _log;

    /// <summary>The folder as the user named it.</summary>
    public string Path { get; }

    /// <summary>What the run was started with.</summary>
    public RunFolderConfig Config { get; }

    /// <summary>The folder of the event files.</summary>
    public string EventsFolder => System.IO.Path.Combine(Path, EventsName);

    /// <summary>Where the checkpoint of a step goes.</summary>
    public string CheckpointPath(long step) => System.IO.Path.Combine(Path, RunFolderCheckpoints.NameOf(step));

    /// <summary>Where the finished model goes.</summary>
    public string ModelPath => System.IO.Path.Combine(Path, "model.safetensors");

    private RunFolder(string path, FileStream held, RunFolderConfig config)
    {
        (Path, _lock, Config) = (path, held, config);
        _log = new RunFolderLog(System.IO.Path.Combine(path, LogName));
    }

    /// <summary>Starts a run in a new or empty folder and locks it.</summary>
    /// <exception cref="IOException">The folder holds something already, or cannot be written.</exception>
    /// <exception cref="ArgumentException">The configuration's data is no JSON object.</exception>
    public static RunFolder Create(string path, RunFolderConfig config)
    {
        string json = config.ToJson();
        return Guarded(path, "choose another folder", () =>
        {
            Directory.CreateDirectory(path);
            RequireNoRun(path);
            FileStream held = Lock(path);
            try
            {
                RequireNoRun(path); // another process may have been quicker
                RemoveUnfinished(path);
                MakeFolders(path);
                AtomicFile.Write(System.IO.Path.Combine(path, ConfigName), stream => stream.Write(Encoding.UTF8.GetBytes(json + "\n")));
                return new RunFolder(path, held, config);
            }
            catch
            {
                held.Dispose();
                throw;
            }
        });
    }

    /// <summary>Opens the folder of an earlier run, locks it and removes what a killed process left half-written.</summary>
    /// <exception cref="IOException">It is no run folder, is in use, or cannot be written.</exception>
    /// <exception cref="ModelFormatException">Its <c>config.json</c> is damaged.</exception>
    public static RunFolder Open(string path) => Guarded(path, "mend the access to the folder", () =>
    {
        RunFolderConfig config = ReadConfig(path); // before the lock, which makes and deletes a file: that is done in a run's folder only
        FileStream held = Lock(path);
        try
        {
            var folder = new RunFolder(path, held, config);
            MakeFolders(path);
            RemoveUnfinished(path);
            RemoveUnfinished(System.IO.Path.Combine(path, SamplesName));
            return folder;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    });

    /// <summary>Reads the configuration of a run, also while the run goes on.</summary>
    /// <exception cref="IOException">It is no run folder, or cannot be read.</exception>
    /// <exception cref="ModelFormatException">Its <c>config.json</c> is damaged.</exception>
    public static RunFolderConfig ReadConfig(string path)
    {
        RequireRun(path);
        string file = System.IO.Path.Combine(path, ConfigName);
        return RunFolderConfig.FromJson(Guarded(file, "mend the access to the file", () => File.ReadAllText(file)), file);
    }

    /// <summary>
    /// The newest checkpoint that loads: the one <c>latest.json</c> names or, when that file or the checkpoint is missing or damaged, the one of the highest step that loads.
    /// </summary>
    /// <returns>The checkpoint, null when none was written yet, and a sentence for everything found damaged.</returns>
    /// <exception cref="IOException">There are checkpoints, but none loads.</exception>
    public (TrainingCheckpoint? Checkpoint, IReadOnlyList<string> Warnings) Latest() => Guarded(Path, "mend the access to the folder", () => RunFolderCheckpoints.Latest(Path, Config.Model));

    /// <summary>
    /// Writes <c>step-N.safetensors</c>, then names it in <c>latest.json</c>, then deletes older ones. When writing fails, older checkpoints and <c>latest.json</c> stay as they are.
    /// </summary>
    /// <param name="state">What to save; its step is N.</param>
    /// <param name="dataFingerprint">Tells the training data from other data.</param>
    /// <param name="card">Where the model comes from.</param>
    /// <param name="keepLast">How many of the newest stay, this one included; 1 or more.</param>
    /// <param name="keepEvery">Checkpoints whose step is a multiple of this stay for good; 0 for none.</param>
    /// <returns>Path of the checkpoint.</returns>
    /// <exception cref="ModelFormatException">The state holds a value that is NaN or infinite.</exception>
    /// <exception cref="IOException">It cannot be written, e.g. on a full disk.</exception>
    public string SaveCheckpoint(TrainingState state, string dataFingerprint, ModelCard card, int keepLast = 3, long keepEvery = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keepLast, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(keepEvery);
        return RunFolderCheckpoints.Save(Path, new TrainingCheckpoint(Config.Model, state, Config.Training, dataFingerprint, card), keepLast, keepEvery);
    }

    /// <summary>Writes <c>model.safetensors</c>, the finished model.</summary>
    /// <param name="state">Its weights; the average where there is one.</param>
    /// <param name="card">Where the model comes from; the steps are filled in.</param>
    /// <exception cref="IOException">It cannot be written, e.g. on a full disk.</exception>
    public void SaveModel(TrainingState state, ModelCard card) => Guarded(ModelPath, "free space on the disk or mend the access to the folder, then give the same command again", () =>
        Checkpoint.Save(ModelPath, Config.Model, state.Best, card with { TrainedSteps = (card.TrainedSteps ?? 0) + state.Step }));

    /// <summary>Removes every line of the log above a step, and damaged ones such as the half line a kill leaves: to be called before a run is resumed from that step.</summary>
    /// <returns>A sentence for each damaged line.</returns>
    /// <exception cref="IOException">The log cannot be read or written.</exception>
    public IReadOnlyList<string> CutLog(long step) => _log.CutAfter(step);

    /// <summary>Appends a line to the log; it outlives the process from then on.</summary>
    /// <param name="line">An object with a whole number <c>step</c>.</param>
    /// <exception cref="ArgumentException">It is none, or holds a number JSON cannot: NaN or an infinity.</exception>
    /// <exception cref="IOException">The log cannot be written.</exception>
    public void Append(JsonNode line) => _log.Append(line);

    /// <summary>Where a sample of a step goes, <c>samples/step-N-I.wav</c> or <c>.png</c>.</summary>
    /// <param name="step">Step of the weights it was made with.</param>
    /// <param name="index">Number of the clip, from 0.</param>
    /// <param name="extension"><c>wav</c> or <c>png</c>.</param>
    public string Sample(long step, int index, string extension) => System.IO.Path.Combine(Path, SamplesName, string.Create(CultureInfo.InvariantCulture, $"step-{step}-{index}.{extension}"));

    /// <summary>Where the recording goes that a sample is to be like, <c>samples/reference-I.wav</c> or <c>.png</c>.</summary>
    /// <param name="index">Number of the clip, from 0.</param>
    /// <param name="extension"><c>wav</c> or <c>png</c>.</param>
    public string ReferenceSample(int index, string extension) => System.IO.Path.Combine(Path, SamplesName, string.Create(CultureInfo.InvariantCulture, $"reference-{index}.{extension}"));

    /// <summary>Closes the log and gives the folder free.</summary>
    public void Dispose()
    {
        _log.Dispose();
        _lock.Dispose();
    }

    /// <summary>Runs something that touches a file of a run; errors name it and say what to do.</summary>
    internal static T Guarded<T>(string path, string advice, Func<T> act)
    {
        try { return act(); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && !(e is IOException && e.Message.StartsWith(path, StringComparison.Ordinal)))
        {
            throw new IOException($"{path}: {e.Message}; {advice}", e);
        }
    }

    internal static void Guarded(string path, string advice, Action act) => Guarded(path, advice, () => { act(); return true; });

    private static void MakeFolders(string path)
    {
        foreach (string name in (string[])[SamplesName, EventsName])
        {
            string folder = System.IO.Path.Combine(path, name);
            Guarded(folder, "a folder belongs there: move away what stands in its place, or mend the access", () => Directory.CreateDirectory(folder));
        }
    }

    private static void RequireRun(string path)
    {
        if (!Directory.Exists(path)) throw new IOException($"{path}: no such folder, expected the folder of a training run");
        if (!File.Exists(System.IO.Path.Combine(path, ConfigName))) throw new IOException($"{path}: is not the folder of a training run: it has no {ConfigName}");
    }

    private static void RequireNoRun(string path)
    {
        if (File.Exists(System.IO.Path.Combine(path, ConfigName))) throw new IOException($"{path}: holds a training run already; resume that one, or choose another folder");
        if (Directory.EnumerateFileSystemEntries(path).FirstOrDefault(entry => !IsBeginning(entry)) is { } stranger)
            throw new IOException($"{path}: is not empty (it holds {System.IO.Path.GetFileName(stranger)}) and no training run; choose an empty or new folder");
    }

    // What a run leaves that was killed before its config.json was there.
    private static bool IsBeginning(string entry) => System.IO.Path.GetFileName(entry) switch
    {
        LockName => File.Exists(entry) && new FileInfo(entry).Length == 0,
        SamplesName or EventsName => Directory.Exists(entry) && !Directory.EnumerateFileSystemEntries(entry).Any(),
        var name => name.StartsWith(ConfigName, StringComparison.Ordinal) && TemporaryName().IsMatch(name),
    };

    // The system gives the lock free with the process, however that ends; the file alone says nothing.
    private static FileStream Lock(string path)
    {
        string file = System.IO.Path.Combine(path, LockName);
        while (true)
        {
            FileStream held;
            try { held = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose); }
            catch (IOException e) when (IsHeld(e)) { throw new IOException($"{path}: is in use by another training run; wait for it or stop it, or choose another folder", e); }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new IOException($"{file}: cannot be written ({e.Message}); mend the access to the folder", e); }
            if (File.Exists(file)) return held;
            held.Dispose(); // its owner deleted it just when it was opened here: lock the next one
        }
    }

    // EWOULDBLOCK of flock on Linux and on macOS, ERROR_SHARING_VIOLATION on Windows.
    private static bool IsHeld(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);

    // What AtomicFile calls a file before it is complete. With the folder locked, the same process id means an earlier process; another one that lives may be writing a report.
    private static void RemoveUnfinished(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(folder))
            if (TemporaryName().Match(System.IO.Path.GetFileName(file)) is { Success: true } match
                && int.TryParse(match.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int process) && (process == Environment.ProcessId || !IsRunning(process))) File.Delete(file);
    }

    private static bool IsRunning(int process)
    {
        try { using (Process.GetProcessById(process)) return true; }
        catch (ArgumentException) { return false; }
    }

    [GeneratedRegex(@"\.tmp-([0-9]+)-[0-9a-f]{8}$")] private static partial Regex TemporaryName();
}
