using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>
/// Crops of recordings. Epoch e takes every clip that is not held out once, in the order of a permutation drawn for e; crop i starts at a frame drawn for i, uniformly among all that
/// keep it inside its clip. Both come from <see cref="PhiloxNoise"/>, so a crop depends on its number, the seed and the files alone. Threads may share one.
/// </summary>
/// <remarks>
/// A clip is trimmed if asked for, resampled to the model's rate, and padded with zeros to the length of a crop when it is shorter; its mel is that of the whole. With
/// hop h (1 without a mel) and F = T / h, a clip of n samples has max(1, n / h - F + 1) crops, and the one at frame f is the samples f h .. (f + F) h - 1 with the mel frames f .. f + F - 1:
/// frame j of a centred mel lies around sample j h.
/// </remarks>
public sealed class Dataset : ITrainingData
{
    // Streams 0x10000000 to 0x100000FF of the training seed belong to the data; noise and weights use others.
    private const uint OrderStream = 0x1000_0000, StartStream = 0x1000_0001;

    private sealed record Prepared(float[] Samples, float[]? Mel);

    private sealed record EpochOrder(long Epoch, int[] Clips);

    private readonly ulong _seed;
    private readonly int _hop, _frames;
    private readonly MelSpectrogram? _mel;
    private readonly Clip[] _clips;
    private readonly Prepared?[] _kept;
    private readonly int _keep; // how many clips, from the first, the memory budget holds
    private volatile EpochOrder? _order;

    /// <summary>What was found.</summary>
    public DatasetScan Scan { get; }

    /// <inheritdoc/>
    public int CropSamples => Scan.CropSamples;

    /// <summary>Clips of an epoch.</summary>
    public int Clips => _clips.Length;

    /// <inheritdoc/>
    public IReadOnlyList<TrainingItem> Validation { get; }

    /// <summary>Reads the recordings and prepares the crops for validation.</summary>
    /// <param name="config">The model.</param>
    /// <param name="cropSamples">T, samples of a crop; a multiple of the model's hop.</param>
    /// <param name="seed">Seed of the order of clips and of the crops.</param>
    /// <param name="options">Which files, and how they are prepared.</param>
    /// <param name="progress">Told the share of files read.</param>
    /// <param name="cancel">Stops the reading.</param>
    /// <exception cref="ArgumentException">The options are not sound, or the crop is no multiple of the hop.</exception>
    /// <exception cref="InputFileException">As <see cref="DatasetScan.Read"/>, and when <see cref="DatasetScan.Obstacle"/> finds any.</exception>
    public static Dataset Open(ModelConfig config, int cropSamples, ulong seed, DatasetOptions options, IProgress<double>? progress = null, CancellationToken cancel = default) =>
        new(DatasetScan.Read(config, cropSamples, options, progress, cancel), seed);

    /// <param name="scan">The recordings.</param>
    /// <param name="seed">Seed of the order of clips and of the crops.</param>
    /// <exception cref="InputFileException"><see cref="DatasetScan.Obstacle"/> finds one, or a held-out clip cannot be read any more.</exception>
    public Dataset(DatasetScan scan, ulong seed)
    {
        if (scan.Obstacle is { } obstacle) throw obstacle;
        (Scan, _seed, _hop, _frames) = (scan, seed, scan.Config.Hop, scan.CropSamples / scan.Config.Hop);
        _mel = scan.Config.Mel is { } recipe ? new MelSpectrogram(recipe) : null;
        _clips = [.. scan.Clips.Where(clip => !clip.HeldOut)];
        _kept = new Prepared?[_clips.Length];
        // An epoch visits all clips before it comes back to one, which is the worst order for any cache that replaces; so the first ones stay.
        for (long bytes = 0; _keep < _clips.Length && scan.BytesOf(_clips[_keep]) <= scan.Options.CacheBytes - bytes; _keep++) bytes += scan.BytesOf(_clips[_keep]);
        Validation = [.. ValidationCrops()];
    }

    /// <inheritdoc/>
    /// <exception cref="InputFileException">The recording cannot be read any more, or has changed.</exception>
    public TrainingItem Crop(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        int clip = OrderOf(index / _clips.Length)[index % _clips.Length];
        return Cut(_clips[clip], Load(clip), (int)Below(_seed, StartStream, 0, (ulong)index, Starts(_clips[clip])), _frames);
    }

    /// <summary>The beginnings of some clips, to listen to: held-out ones, or where none is held out the first that are trained on.</summary>
    /// <param name="count">How many at most.</param>
    /// <param name="seconds">Their length at most.</param>
    /// <exception cref="InputFileException">A recording cannot be read any more, or has changed.</exception>
    public IReadOnlyList<TrainingItem> Excerpts(int count, double seconds)
    {
        IEnumerable<Clip> held = Scan.Clips.Where(clip => clip.HeldOut), clips = held.Any() ? held : _clips;
        int most = Math.Max(1, (int)(seconds * Scan.Config.SampleRate / _hop));
        return [.. clips.Take(count).Select(clip => Cut(clip, new Prepared(Read(clip), null), 0, Math.Clamp(clip.Length / _hop, 1, most)))];
    }

    // Frames at which a crop may start.
    private int Starts(Clip clip) => Math.Max(1, clip.Length / _hop - _frames + 1);

    // The permutation of an epoch (Fisher and Yates). Of the counter, the step is the low half of the epoch; the high half stands above the position.
    private int[] OrderOf(long epoch)
    {
        if (_order is { } known && known.Epoch == epoch) return known.Clips;
        int[] order = [.. Enumerable.Range(0, _clips.Length)];
        ulong high = (ulong)epoch >> 32 << 32;
        for (int i = order.Length - 1; i > 0; i--)
        {
            int other = (int)Below(_seed, OrderStream, (uint)epoch, high | (uint)i, i + 1);
            (order[i], order[other]) = (order[other], order[i]);
        }
        _order = new EpochOrder(epoch, order);
        return order;
    }

    // A number from 0 to count - 1: the upper half of count times 64 random bits, uneven by less than count / 2^64.
    private static long Below(ulong seed, uint stream, uint step, ulong block, int count)
    {
        PhiloxWords words = PhiloxNoise.Bits(seed, stream, step, block);
        return (long)Math.BigMul((ulong)words.Y << 32 | words.X, (ulong)count, out _);
    }

    private TrainingItem Cut(Clip clip, Prepared prepared, int frame, int frames)
    {
        var audio = new float[frames * _hop];
        prepared.Samples.AsSpan(frame * _hop, audio.Length).CopyTo(audio);
        float[]? mel = null;
        if (_mel is { } spectrogram)
        {
            int bands = spectrogram.Recipe.Bands;
            mel = new float[frames * bands];
            if (prepared.Mel is { } whole) whole.AsSpan(frame * bands, mel.Length).CopyTo(mel);
            else spectrogram.ComputeFrames(prepared.Samples, frame, frames, mel);
        }
        return new TrainingItem(audio, mel, Scan.Config.HasLabel ? clip.Label : 0, Math.Min(audio.Length, clip.Length - frame * _hop), clip.Info.File.Name);
    }

    // Two threads that want the same clip at the same time may both prepare it; they get the same numbers.
    private Prepared Load(int index)
    {
        if (index >= _keep) return new Prepared(Read(_clips[index]), null);
        if (Volatile.Read(ref _kept[index]) is { } kept) return kept;
        float[] samples = Read(_clips[index]);
        float[]? mel = null;
        if (_mel is { } spectrogram)
        {
            int frames = spectrogram.Frames(samples.Length);
            mel = new float[frames * spectrogram.Recipe.Bands];
            spectrogram.ComputeFrames(samples, 0, frames, mel);
        }
        var prepared = new Prepared(samples, mel);
        Volatile.Write(ref _kept[index], prepared);
        return prepared;
    }

    // The samples of a clip at the model's rate, at least as many as a crop has.
    private float[] Read(Clip clip)
    {
        AudioClip audio = AudioFile.Read(clip.Info.File.Path, Scan.Options.Mix);
        if (audio.SampleRate != clip.Info.SampleRate || audio.Samples.Length != clip.Info.Samples)
            throw new InputFileException(clip.Info.File.Path, $"{audio.Samples.Length} samples at {audio.SampleRate} Hz, but {clip.Info.Samples} at {clip.Info.SampleRate} Hz when the run began: the file has changed");
        ReadOnlySpan<float> used = audio.Samples.AsSpan(clip.First, clip.Count);
        float[] samples = audio.SampleRate != Scan.Config.SampleRate ? Resampler.Resample(used, audio.SampleRate, Scan.Config.SampleRate)
            : used.Length == audio.Samples.Length ? audio.Samples : used.ToArray();
        Array.Resize(ref samples, Scan.PaddedLength(clip));
        return samples;
    }

    // The held-out clips, one after the other, are a row of whole crops that do not overlap (a short clip is one); of these, evenly spaced ones are taken.
    private IEnumerable<TrainingItem> ValidationCrops()
    {
        Clip[] held = [.. Scan.Clips.Where(clip => clip.HeldOut)];
        long slots = held.Sum(clip => (long)Slots(clip)), count = Math.Min(slots, Scan.Options.ValidationCrops), before = 0;
        int taken = 0;
        foreach (Clip clip in held)
        {
            Prepared? prepared = null;
            for (; taken < count && SlotOf(taken) < before + Slots(clip); taken++)
                yield return Cut(clip, prepared ??= new Prepared(Read(clip), null), (int)(SlotOf(taken) - before) * _frames, _frames);
            before += Slots(clip);
        }

        int Slots(Clip clip) => Math.Max(1, clip.Length / CropSamples);
        long SlotOf(long k) => (2 * k + 1) * slots / (2 * count);
    }
}
