using System.Text.Json;
using System.Text.Json.Serialization;

namespace DiffWave.Audio;

/// <summary>Frequency scale on which mel bands are evenly spaced.</summary>
public enum MelScale
{
    /// <summary>HTK: m = 2595 log10(1 + f / 700).</summary>
    Htk,
    /// <summary>Slaney (Auditory Toolbox): linear below 1 kHz, logarithmic above.</summary>
    Slaney,
}

/// <summary>How magnitudes are compressed.</summary>
public enum MelCompression
{
    /// <summary>clamp((20 log10(max(S, floor)) - 20 + 100) / 100, 0, 1): values in 0..1 (lmnt).</summary>
    Decibel01,
    /// <summary>ln(max(S, floor)): values from ln(floor) up (Tacotron 2, philsyn).</summary>
    NaturalLog,
}

/// <summary>
/// Everything that decides the numbers of a mel spectrogram [M, frames]. It travels inside model files: a vocoder only understands mels of the recipe it was
/// trained on. Frames are centred (reflect padding), the window is a periodic Hann window, bands are computed from magnitudes (power 1).
/// </summary>
public sealed record MelRecipe
{
    /// <summary>Short name for messages: <c>lmnt</c>, <c>tacotron</c>, or any other word.</summary>
    public required string Name { get; init; }
    /// <summary>Sample rate in Hz the recipe works at.</summary>
    public required int SampleRate { get; init; }
    /// <summary>FFT size in samples.</summary>
    public required int FftSize { get; init; }
    /// <summary>Window length in samples, at most <see cref="FftSize"/>; the window is centred in the FFT frame.</summary>
    public required int WindowLength { get; init; }
    /// <summary>Samples between frames.</summary>
    public required int Hop { get; init; }
    /// <summary>Number of mel bands, M.</summary>
    public required int Bands { get; init; }
    /// <summary>Lower edge of the lowest band in Hz.</summary>
    public required double LowHz { get; init; }
    /// <summary>Upper edge of the highest band in Hz.</summary>
    public required double HighHz { get; init; }
    /// <summary>Scale on which bands are evenly spaced.</summary>
    public required MelScale Scale { get; init; }
    /// <summary>True: each triangle is scaled to unit area (Slaney); false: peak 1.</summary>
    public required bool AreaNormalized { get; init; }
    /// <summary>True: magnitudes are divided by sqrt(sum(window^2)).</summary>
    public required bool WindowNormalized { get; init; }
    /// <summary>Compression of band magnitudes.</summary>
    public required MelCompression Compression { get; init; }
    /// <summary>Smallest magnitude before the logarithm.</summary>
    public double Floor { get; init; } = 1e-5;

    /// <summary>lmnt-com/diffwave's preprocess at any rate and hop: HTK, 20 Hz to Nyquist, decibels mapped to 0..1, window of four hops.</summary>
    public static MelRecipe Lmnt(int sampleRate = 22050, int hop = 256, int bands = 80, int fftSize = 1024) => new()
    {
        Name = "lmnt", SampleRate = sampleRate, FftSize = fftSize, WindowLength = Math.Min(4 * hop, fftSize), Hop = hop, Bands = bands,
        LowHz = 20, HighHz = sampleRate / 2.0, Scale = MelScale.Htk, AreaNormalized = false, WindowNormalized = true, Compression = MelCompression.Decibel01,
    };

    /// <summary>Tacotron 2 / librosa, as philsyn's vocoder was trained on: Slaney scale and area, 0 to 8000 Hz, natural logarithm.</summary>
    public static MelRecipe Tacotron(int sampleRate = 22050, int hop = 256, int bands = 80, int fftSize = 1024) => new()
    {
        Name = "tacotron", SampleRate = sampleRate, FftSize = fftSize, WindowLength = Math.Min(4 * hop, fftSize), Hop = hop, Bands = bands,
        LowHz = 0, HighHz = Math.Min(8000, sampleRate / 2.0), Scale = MelScale.Slaney, AreaNormalized = true, WindowNormalized = false, Compression = MelCompression.NaturalLog,
    };

    /// <summary>Checks ranges: the first field out of range and its value, or null when all are sound.</summary>
    public string? Problem()
    {
        if (SampleRate is < 1000 or > 768_000) return $"sample_rate is {SampleRate}, expected 1000 to 768000 Hz";
        if (FftSize is < 16 or > 65536) return $"fft_size is {FftSize}, expected 16 to 65536";
        if (WindowLength < 4 || WindowLength > FftSize) return $"window_length is {WindowLength}, expected 4 to fft_size ({FftSize})";
        if (Hop < 1 || Hop > FftSize) return $"hop is {Hop}, expected 1 to fft_size ({FftSize})";
        if (Bands is < 1 or > 1024) return $"bands is {Bands}, expected 1 to 1024";
        if (!(LowHz >= 0) || !(HighHz > LowHz) || !(HighHz <= SampleRate / 2.0)) return $"low_hz..high_hz is {LowHz}..{HighHz}, expected 0 <= low < high <= {SampleRate / 2.0}";
        if (!(Floor > 0) || !(Floor < 1)) return $"floor is {Floor}, expected 0 < floor < 1";
        return null;
    }

    /// <summary>Smallest and largest value a mel of this recipe can hold (the largest of <see cref="MelCompression.NaturalLog"/> is a generous bound).</summary>
    [JsonIgnore] public (double Min, double Max) ValueRange => Compression == MelCompression.Decibel01 ? (0, 1) : (Math.Log(Floor), 12);

    /// <summary>The fields in which another recipe differs, as "field: mine, theirs"; empty when equal. Names are not compared.</summary>
    public IReadOnlyList<string> DifferencesFrom(MelRecipe other)
    {
        var differences = new List<string>();
        void Compare<T>(string field, T mine, T theirs) { if (!EqualityComparer<T>.Default.Equals(mine, theirs)) differences.Add($"{field}: {mine}, {theirs}"); }
        Compare("sample_rate", SampleRate, other.SampleRate);
        Compare("fft_size", FftSize, other.FftSize);
        Compare("window_length", WindowLength, other.WindowLength);
        Compare("hop", Hop, other.Hop);
        Compare("bands", Bands, other.Bands);
        Compare("low_hz", LowHz, other.LowHz);
        Compare("high_hz", HighHz, other.HighHz);
        Compare("scale", Scale, other.Scale);
        Compare("area_normalized", AreaNormalized, other.AreaNormalized);
        Compare("window_normalized", WindowNormalized, other.WindowNormalized);
        Compare("compression", Compression, other.Compression);
        Compare("floor", Floor, other.Floor);
        return differences;
    }

    /// <summary>The recipe as indented JSON, every field written in snake_case.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonOptions);

    /// <summary>Reads a recipe from JSON of the form <see cref="ToJson"/> writes.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">Name of the file for messages.</param>
    /// <exception cref="InputFileException">Bad JSON, an unknown, duplicate or missing key, or a value out of range.</exception>
    public static MelRecipe FromJson(string json, string source)
    {
        MelRecipe? recipe;
        try { recipe = JsonSerializer.Deserialize<MelRecipe>(json, JsonOptions); }
        catch (JsonException e) { throw new InputFileException(source, $"not a mel recipe: {e.Message}", e); }
        if (recipe?.Name is null) throw new InputFileException(source, "not a mel recipe: null, expected an object with a name");
        if (recipe.Problem() is { } problem) throw new InputFileException(source, $"mel recipe: {problem}");
        return recipe;
    }

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        WriteIndented = true,
        MaxDepth = 8,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false) },
    };
}
