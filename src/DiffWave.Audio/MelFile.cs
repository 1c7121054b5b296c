using System.Globalization;
using System.Text;

namespace DiffWave.Audio;

/// <summary>
/// A mel spectrogram on disk: an .npy file [bands, frames] as lmnt's preprocess writes it, and beside it <c>NAME.npy.json</c>, the recipe it was computed with. Feeding a
/// vocoder a mel of another recipe yields noise, not an error, so opening checks everything that can be checked: bands, the recipe where one is stored, and the values.
/// </summary>
public static class MelFile
{
    private const int MaxSidecarBytes = 65536;
    private const double Slack = 1e-3; // a mel that went through another program's rounding still passes

    /// <summary>The name of the recipe beside a mel.</summary>
    public static string SidecarPath(string path) => path + ".json";

    /// <summary>Writes a mel and its recipe.</summary>
    /// <param name="path">The .npy file; its folder must exist.</param>
    /// <param name="mel">[bands, frames], row by row.</param>
    /// <param name="frames">Number of frames.</param>
    /// <param name="recipe">What it was computed with.</param>
    /// <exception cref="ArgumentException">The length is not bands x frames.</exception>
    /// <exception cref="IOException">The folder is missing, read-only or full.</exception>
    public static void Write(string path, ReadOnlySpan<float> mel, int frames, MelRecipe recipe)
    {
        if (mel.Length != (long)recipe.Bands * frames) throw new ArgumentException($"{mel.Length} numbers, expected {recipe.Bands} bands x {frames} frames", nameof(mel));
        File.Delete(SidecarPath(path)); // an old recipe must never stand beside a new mel, not even after a crash between the two writes
        Npy.Write(path, mel, [recipe.Bands, frames]);
        AtomicFile.Write(SidecarPath(path), stream => stream.Write(Encoding.UTF8.GetBytes(recipe.ToJson() + "\n")));
    }

    /// <summary>Opens a mel for a model and checks that it fits; the numbers are read once for that, in blocks.</summary>
    /// <param name="path">The .npy file, [bands, frames] or [1, bands, frames].</param>
    /// <param name="expected">The recipe of the model.</param>
    /// <exception cref="InputFileException">Not a mel, or not one of this recipe; the message says what it looks like and what to do.</exception>
    public static IMelSource Open(string path, MelRecipe expected)
    {
        string sidecar = SidecarPath(path);
        using FileStream? recipe = File.Exists(sidecar) ? InputFile.Open(sidecar) : null;
        return Open(InputFile.Open(path), path, recipe, expected);
    }

    // The mel's stream is taken over; the sidecar's is not.
    internal static IMelSource Open(Stream npy, string path, Stream? sidecar, MelRecipe expected)
    {
        var reader = new NpyReader(npy, path);
        try
        {
            CheckShape(reader, path, expected);
            if (sidecar is not null) CheckRecipe(sidecar, SidecarPath(path), expected);
            CheckValues(reader, path, expected);
            return new NpyMel(reader);
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    private static void CheckShape(NpyReader reader, string path, MelRecipe expected)
    {
        IReadOnlyList<int> shape = reader.Shape;
        string found = $"[{string.Join(", ", shape)}]";
        if (shape.Count is not (2 or 3) || shape.Count == 3 && shape[0] != 1) throw new InputFileException(path, $"an array {found}, expected a mel [{expected.Bands}, frames]");
        if (reader.Rows != expected.Bands)
            throw new InputFileException(path, reader.Columns == expected.Bands
                ? $"{expected.Bands} bands expected, {reader.Rows} found: the array {found} looks transposed; save its transpose, [{expected.Bands}, frames]"
                : $"{expected.Bands} bands expected, {reader.Rows} found in the array {found}; {Recompute(expected)}");
        if (reader.Columns == 0) throw new InputFileException(path, "the mel has no frames");
    }

    private static void CheckRecipe(Stream sidecar, string path, MelRecipe expected)
    {
        byte[] json = new byte[MaxSidecarBytes + 1];
        int length = InputFile.ReadUpTo(sidecar, json);
        if (length > MaxSidecarBytes) throw new InputFileException(path, $"more than {MaxSidecarBytes} bytes, expected a mel recipe of a few hundred");
        MelRecipe recipe = MelRecipe.FromJson(Encoding.UTF8.GetString(json, 0, length), path);
        IReadOnlyList<string> differences = expected.DifferencesFrom(recipe);
        if (differences.Count > 0)
            throw new InputFileException(path, $"the mel has another recipe than the model (field: the model's, the mel's): {string.Join("; ", differences)}; {Recompute(expected)}");
    }

    private static void CheckValues(NpyReader reader, string path, MelRecipe expected)
    {
        int bands = reader.Rows, frames = reader.Columns;
        int block = Math.Max(1, 262_144 / bands);
        var values = new float[Math.Min(block, frames) * bands];
        double min = double.PositiveInfinity, max = double.NegativeInfinity;
        for (int first = 0; first < frames; first += block)
        {
            int count = Math.Min(block, frames - first);
            Span<float> part = values.AsSpan(0, count * bands);
            reader.ReadFrames(first, count, part);
            for (int i = 0; i < part.Length; i++)
            {
                float value = part[i];
                if (!float.IsFinite(value))
                    throw new InputFileException(path, FormattableString.Invariant($"the value at band {i % bands}, frame {first + i / bands} is {value}, expected a finite number"));
                if (value < min) min = value;
                if (value > max) max = value;
            }
        }
        (double lowest, double highest) = expected.ValueRange;
        bool unit = min >= -Slack && max <= 1 + Slack;
        bool fits = min >= lowest - Slack && max <= highest + Slack;
        if (fits && !(unit && expected.Compression == MelCompression.NaturalLog)) return;

        string looks = unit ? "it looks like the lmnt recipe (decibels mapped to 0..1)"
            : min < -20 || max > 12 ? "it looks like decibels or plain magnitudes"
            : min < -4.5 ? "it looks like natural logarithms (tacotron recipe)"
            : min < -Slack && max <= 4.5 ? "it looks like values normalised to a symmetric range such as -4..4"
            : "it looks like no recipe known here";
        throw new InputFileException(path, string.Create(CultureInfo.InvariantCulture,
            $"values from {min:G4} to {max:G4} do not belong to the model's recipe ({expected.Name}, {lowest:G4} to {highest:G4}): {looks}; {Recompute(expected)}"));
    }

    private static string Recompute(MelRecipe expected) => $"recompute it from the audio with `diffwave mel` ({expected.Name}, {expected.Bands} bands, {expected.SampleRate} Hz, hop {expected.Hop})";

    private sealed class NpyMel(NpyReader reader) : IMelSource
    {
        public int Bands => reader.Rows;
        public int Frames => reader.Columns;
        public void Read(int firstFrame, int count, Span<float> frames) => reader.ReadFrames(firstFrame, count, frames);
        public void Dispose() => reader.Dispose();
    }
}
