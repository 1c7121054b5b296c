using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>A recording of a data set, ready to be cut into crops.</summary>
/// <param name="Info">The recording.</param>
/// <param name="First">First sample that is used, at the recording's own rate: 0 unless trimmed.</param>
/// <param name="Count">Samples that are used, at the recording's own rate.</param>
/// <param name="Length">The same at the model's rate: ceil(count * model rate / rate).</param>
/// <param name="Label">Class label; 0 when there are none.</param>
/// <param name="HeldOut">Whether it is kept for validation.</param>
public sealed record Clip(ClipInfo Info, int First, int Count, int Length, int Label, bool HeldOut);

/// <summary>A file that cannot be read.</summary>
/// <param name="File">The file.</param>
/// <param name="Problem">What is wrong with it.</param>
public sealed record UnreadableFile(ClipFile File, string Problem);

/// <summary>A label and what it stands for.</summary>
/// <param name="Label">Its number.</param>
/// <param name="Name">Its name in the metadata, or that of the folder.</param>
/// <param name="Clips">Usable clips that have it.</param>
public sealed record LabelCount(int Label, string Name, int Clips);

/// <summary>Everything known about a data set after every file has been read once.</summary>
public sealed class DatasetScan
{
    /// <summary>The model the data is for.</summary>
    public required ModelConfig Config { get; init; }

    /// <summary>T, samples of a crop.</summary>
    public required int CropSamples { get; init; }

    /// <summary>What was asked for.</summary>
    public required DatasetOptions Options { get; init; }

    /// <summary>The usable clips, held-out ones among them, in order of name.</summary>
    public required IReadOnlyList<Clip> Clips { get; init; }

    /// <summary>Clips shorter than a crop: padded, or skipped and so not among <see cref="Clips"/>.</summary>
    public required IReadOnlyList<Clip> Short { get; init; }

    /// <summary>Files that cannot be read.</summary>
    public required IReadOnlyList<UnreadableFile> Unreadable { get; init; }

    /// <summary>Audio files the metadata does not list.</summary>
    public required IReadOnlyList<ClipFile> Unlisted { get; init; }

    /// <summary>Files the metadata lists, with their lines, that are not there.</summary>
    public required IReadOnlyList<(int Line, string File)> Missing { get; init; }

    /// <summary>
    /// The labels, by number: from the metadata's column <c>label</c>, else (for a model with labels) the names of the folders the clips stand in, numbered from 0 in ordinal order.
    /// Every file counts for the numbers, also those that cannot be read or are skipped. Empty when there are none.
    /// </summary>
    public required IReadOnlyList<LabelCount> Labels { get; init; }

    /// <summary>SHA-256 in hex of the names, lengths, rates, labels and held-out marks of all usable clips and of every setting that shapes a crop; a run that goes on must find the same.</summary>
    public string Fingerprint => _fingerprint ??= ComputeFingerprint();

    private string? _fingerprint;

    /// <summary>Bytes that all clips and their mels take in memory.</summary>
    public long CacheBytes => Clips.Sum(BytesOf);

    /// <summary>Why nobody can train on this data, or null.</summary>
    public InputFileException? Obstacle
    {
        get
        {
            if (Unreadable.Count > 0 && !Options.SkipUnreadable)
                return new InputFileException(Unreadable[0].File.Path, $"{Unreadable[0].Problem} ({Unreadable.Count} of the files cannot be read: repair or remove them, or skip unreadable files)");
            if (!Clips.Any(clip => !clip.HeldOut))
                return new InputFileException(Options.Roots[0], Clips.Count > 0 ? "every clip is held out, none is left to train on"
                    : $"no usable clip ({Unreadable.Count} cannot be read, {Short.Count} shorter than a crop of {CropSamples} samples)");
            if (Config.HasLabel && Labels.LastOrDefault(label => label.Label >= Config.Labels) is { } label)
                return new InputFileException(Options.Metadata ?? Options.Roots[0], $"label {label.Label} ('{label.Name}'): the model has {Config.Labels} labels, 0 to {Config.Labels - 1}");
            return null;
        }
    }

    /// <summary>Finds the files and reads each once.</summary>
    /// <param name="config">The model: its rate, mel and whether it has labels.</param>
    /// <param name="cropSamples">T, samples of a crop; a multiple of the model's hop.</param>
    /// <param name="options">Which files, and how they are prepared.</param>
    /// <param name="progress">Told the share of files read.</param>
    /// <param name="cancel">Stops the reading.</param>
    /// <exception cref="ArgumentException">The options are not sound, or the crop is no multiple of the hop.</exception>
    /// <exception cref="InputFileException">No audio files, or a list that does not fit; files that cannot be read are no error here, see <see cref="Unreadable"/>.</exception>
    public static DatasetScan Read(ModelConfig config, int cropSamples, DatasetOptions options, IProgress<double>? progress = null, CancellationToken cancel = default)
    {
        if (options.Problem() is { } problem) throw new ArgumentException(problem, nameof(options));
        if (cropSamples < 1 || cropSamples % config.Hop != 0) throw new ArgumentException($"crops of {cropSamples} samples, expected a multiple of the hop {config.Hop}", nameof(cropSamples));
        IReadOnlyList<ClipFile> files = ClipFile.Find(options.Roots);
        if (files.Count == 0) throw new InputFileException(string.Join(", ", options.Roots), $"no audio files there (names that end in {string.Join(", ", AudioFile.Extensions)})");
        var names = new ClipNames(files);

        Dictionary<ClipFile, string>? labelNames = null;
        IReadOnlyList<(int Line, string File)> missing = [];
        IReadOnlyList<ClipFile> unlisted = [];
        if (options.Metadata is { } list)
        {
            Dictionary<ClipFile, MetadataRow> rows = Match(ClipMetadata.Read(list), list, names, out missing);
            unlisted = [.. files.Where(file => !rows.ContainsKey(file))];
            files = [.. files.Where(rows.ContainsKey)];
            if (files.Count == 0)
                throw new InputFileException(list, missing.Count == 0 ? "lists no clips" : $"line {missing[0].Line}: '{missing[0].File}' is not there, nor is any other of its {missing.Count} clips");
            if (rows.Values.First().Label is not null) labelNames = rows.ToDictionary(row => row.Key, row => row.Value.Label!);
        }
        if (config.HasLabel) labelNames ??= files.ToDictionary(file => file, file => Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(file.Path))) ?? "");
        Dictionary<string, int> numbers = Number(labelNames?.Values, fromList: options.Metadata is not null);
        HashSet<ClipFile>? heldOut = options.HeldOut is { } heldList ? HeldOutClips.Read(heldList, names) : null;

        var readable = new List<Clip>();
        var unreadable = new List<UnreadableFile>();
        foreach ((ClipFile file, ClipInfo? info, string? trouble) in Measure(files, options.Mix, progress, cancel))
        {
            if (info is null)
            {
                unreadable.Add(new UnreadableFile(file, trouble!));
                continue;
            }
            (int first, int end) = options.TrimSilence ? (info.SoundStart, info.SoundEnd) : (0, info.Samples);
            long length = ((long)(end - first) * config.SampleRate + info.SampleRate - 1) / info.SampleRate;
            if (length > Array.MaxLength) unreadable.Add(new UnreadableFile(file, $"{length} samples at {config.SampleRate} Hz, more than fit in memory: split the file"));
            else readable.Add(new Clip(info, first, end - first, (int)length, labelNames is null ? 0 : numbers[labelNames[file]], heldOut?.Contains(file) ?? false));
        }
        bool skip = options.ShortClips == ShortClips.Skip;
        Clip[] clips = [.. readable.Where(clip => !skip || clip.Length >= cropSamples)];
        if (heldOut is null)
        {
            bool[] held = HeldOutClips.Choose([.. clips.Select(clip => clip.Info.File.Name)], options.ValidationFraction);
            clips = [.. clips.Select((clip, i) => clip with { HeldOut = held[i] })];
        }
        var counts = clips.CountBy(clip => clip.Label).ToDictionary();
        return new DatasetScan
        {
            Config = config, CropSamples = cropSamples, Options = options, Clips = clips, Short = [.. (skip ? readable.AsEnumerable() : clips).Where(clip => clip.Length < cropSamples)],
            Unreadable = unreadable, Unlisted = unlisted, Missing = missing,
            Labels = [.. numbers.OrderBy(pair => pair.Value).Select(pair => new LabelCount(pair.Value, pair.Key, counts.GetValueOrDefault(pair.Value)))],
        };
    }

    /// <summary>Samples of a clip as it lies in memory: its length, or a crop's when it is shorter.</summary>
    internal int PaddedLength(Clip clip) => Math.Max(clip.Length, CropSamples);

    /// <summary>Bytes of a clip and its mel in memory.</summary>
    internal long BytesOf(Clip clip) => sizeof(float) * (PaddedLength(clip) + (Config.HasMel ? (1L + PaddedLength(clip) / Config.Hop) * Config.Bands : 0));

    private static Dictionary<ClipFile, MetadataRow> Match(IReadOnlyList<MetadataRow> rows, string list, ClipNames names, out IReadOnlyList<(int Line, string File)> missing)
    {
        var matched = new Dictionary<ClipFile, MetadataRow>();
        var notThere = new List<(int, string)>();
        foreach (MetadataRow row in rows)
        {
            if (names.Find(row.File, list, row.Line) is not { } file) notThere.Add((row.Line, row.File));
            else if (!matched.TryAdd(file, row)) throw new InputFileException(list, $"line {row.Line}: {file.Name} is listed already in line {matched[file].Line}");
        }
        missing = notThere;
        return matched;
    }

    // Numbers in a list stand for themselves, names for their place in ordinal order. Folders have names, whatever they look like.
    private static Dictionary<string, int> Number(IEnumerable<string>? labels, bool fromList)
    {
        string[] distinct = [.. (labels ?? []).Distinct().Order(StringComparer.Ordinal)];
        bool areNumbers = fromList && distinct.All(label => label.All(char.IsAsciiDigit));
        return distinct.Select((label, i) => (label, areNumbers ? int.Parse(label, CultureInfo.InvariantCulture) : i)).ToDictionary();
    }

    // What is known of each file, or why nothing is; in order.
    private static (ClipFile File, ClipInfo? Info, string? Problem)[] Measure(IReadOnlyList<ClipFile> files, ChannelMix mix, IProgress<double>? progress, CancellationToken cancel)
    {
        const int mostAtOnce = 4; // each holds a decoded file
        var results = new (ClipFile, ClipInfo?, string?)[files.Count];
        var reporting = new Lock();
        int done = 0;
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Math.Min(mostAtOnce, Environment.ProcessorCount), CancellationToken = cancel };
        Parallel.ForAsync(0, files.Count, parallel, (i, _) =>
        {
            ClipFile file = files[i];
            try { results[i] = (file, ClipInfo.Measure(file, mix), null); }
            catch (InputFileException e) { results[i] = (file, null, e.Message[(e.Path.Length + 2)..]); }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException) { results[i] = (file, null, e.Message); }
            lock (reporting) progress?.Report(++done / (double)files.Count);
            return ValueTask.CompletedTask;
        }).GetAwaiter().GetResult();
        return results;
    }

    private string ComputeFingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        // A name cannot hold the zero byte between the parts.
        void Add(FormattableString part) => hash.AppendData(Encoding.UTF8.GetBytes(part.ToString(CultureInfo.InvariantCulture) + "\0"));
        Add($"{Config.SampleRate} {CropSamples} {Options.Mix} {Options.TrimSilence} {Options.ShortClips} {Options.ValidationCrops}");
        Add($"{Config.Mel?.ToJson()}");
        foreach (Clip clip in Clips) Add($"{clip.Info.File.Name}\0{clip.Info.SampleRate} {clip.Info.Samples} {clip.First} {clip.Count} {clip.Length} {clip.Label} {clip.HeldOut}");
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
