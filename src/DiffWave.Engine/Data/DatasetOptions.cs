using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>What becomes of clips shorter than a crop.</summary>
public enum ShortClips
{
    /// <summary>Zeros behind them; the padding does not count in the loss. The mel is computed from the padded audio.</summary>
    Pad,
    /// <summary>They are left out.</summary>
    Skip,
}

/// <summary>Which recordings a data set consists of and how they are prepared. Sample rate, mel and labels come from the model.</summary>
public sealed record DatasetOptions
{
    /// <summary>Folders, searched recursively, and single files; see <see cref="ClipFile.Find"/>.</summary>
    public required IReadOnlyList<string> Roots { get; init; }

    /// <summary>
    /// A text file that lists the clips to take, others are left out. Either a table whose header holds <c>file</c> and, for labels, <c>label</c> (separated by commas, bars or tabs; fields
    /// in double quotes may hold the separator), or lines <c>id|text</c> as in LJ Speech's metadata.csv. A file is named by its path below its root, by its path from the
    /// folder of the list, or by its file name where that is unique, each with or without ending. Labels are numbers, or names, which are numbered from 0 in ordinal order. Null takes all files.
    /// </summary>
    public string? Metadata { get; init; }

    /// <summary>How several channels become one.</summary>
    public ChannelMix Mix { get; init; }

    /// <summary>Whether the parts before and after the sound are cut off; see <see cref="ClipInfo.SoundStart"/>. Inner pauses stay.</summary>
    public bool TrimSilence { get; init; }

    /// <summary>What becomes of clips shorter than a crop.</summary>
    public ShortClips ShortClips { get; init; }

    /// <summary>
    /// Share of the clips held out for validation, 0 to 0.5. A clip is held out when a hash of its name falls below it, so that adding clips moves no other between the sets; only
    /// when that leaves a set empty, the clip with the lowest hash is held out (share above 0, two clips or more) or the one with the highest is trained on.
    /// </summary>
    public double ValidationFraction { get; init; } = 0.02;

    /// <summary>A text file with the name of a held-out clip on each line, instead of a share; null for none.</summary>
    public string? HeldOut { get; init; }

    /// <summary>Most validation crops, 1 or more; they are spread evenly over the held-out clips.</summary>
    public int ValidationCrops { get; init; } = 16;

    /// <summary>Train without the files that cannot be read; otherwise the first of them is an error.</summary>
    public bool SkipUnreadable { get; init; }

    /// <summary>Memory for decoded clips and their mels in bytes, at least 0; clips beyond it are read again for every crop. Does not change any result.</summary>
    public long CacheBytes { get; init; } = 1L << 30;

    /// <summary>The first problem, or null when the options are sound.</summary>
    public string? Problem()
    {
        if (Roots.Count == 0) return "no folder or file is given";
        if (!Enum.IsDefined(Mix)) return $"mix is {(int)Mix}, expected average or first";
        if (!Enum.IsDefined(ShortClips)) return $"short is {(int)ShortClips}, expected pad or skip";
        if (!(ValidationFraction >= 0 && ValidationFraction <= 0.5)) return FormattableString.Invariant($"validation is {ValidationFraction}, expected 0 to 0.5");
        if (ValidationCrops < 1) return $"validation_crops is {ValidationCrops}, expected at least 1";
        if (CacheBytes < 0) return $"cache_bytes is {CacheBytes}, expected at least 0";
        return null;
    }
}
