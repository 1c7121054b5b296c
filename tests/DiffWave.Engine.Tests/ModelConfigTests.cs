using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

public class ModelConfigTests
{
    private static readonly ModelConfig Base = ModelConfig.Preset("base");

    // Counted from the graph's definition and confirmed by PyTorch's modules (base, large, sc09, the two reference checkpoints).
    [Theory]
    [InlineData("base", 2_619_971)]
    [InlineData("large", 6_885_315)]
    [InlineData("sc09", 24_034_305)]
    [InlineData("tiny", 406_691)]
    public void PresetsHaveTheExactParameterCount(string preset, long count)
    {
        Assert.Equal(count, Parameters.CountOf(ModelConfig.Preset(preset)));
        Assert.Equal(count, new Parameters(ModelConfig.Preset(preset)).Arena.Length);
    }

    [Fact]
    public void UnconditionalVariantsHaveTheExactParameterCount()
    {
        var unconditional = Base with { Conditioner = Conditioner.None, Mel = null, UpsampleFactors = [] };
        Assert.Equal(2_308_737, Parameters.CountOf(unconditional));
        Assert.Equal(347_393, Parameters.CountOf(unconditional with { Channels = 8, Layers = 4, DilationCycle = 2 }));
        Assert.Equal(24_034_305, Parameters.CountOf(unconditional with { Channels = 256, Layers = 36, DilationCycle = 12 }));
    }

    [Fact]
    public void PresetsAreSoundAndAlignTheirFastSchedule()
    {
        foreach (string name in ModelConfig.PresetNames)
        {
            var config = ModelConfig.Preset(name);
            Assert.Null(config.Problem());
            Assert.Equal(name is "small" or "tiny" ? 7 : 6, new NoiseSchedule(config.FastBetas).ReverseChain(new NoiseSchedule(config.TrainingBetas)).Count);
        }
        Assert.Equal(6139, Base.ReceptiveField);
        Assert.Equal(24571, ModelConfig.Preset("sc09").ReceptiveField);
        Assert.Equal(256, Base.Hop);
        var error = Assert.Throws<ArgumentException>(() => ModelConfig.Preset("huge"));
        Assert.Contains("'huge'", error.Message);
    }

    public static TheoryData<string> RoundTripNames() => ["base", "large", "sc09", "small", "tiny", "philsyn", "label", "mel+label"];

    [Theory]
    [MemberData(nameof(RoundTripNames))]
    public void JsonKeepsEveryField(string name)
    {
        var config = name switch
        {
            "philsyn" => Base with
            {
                Mel = MelRecipe.Tacotron(), GateOrder = GateOrder.FilterFirst, ResidualIncludesStepEmbedding = true, StepExponent = StepExponent.Negative,
                Upsampler = Upsampler.PerLayer, ClampSamples = false,
            },
            "label" => ModelConfig.Preset("sc09") with { Conditioner = Conditioner.Label, Labels = 10 },
            "mel+label" => Base with { Conditioner = Conditioner.Mel | Conditioner.Label, Labels = 4 },
            _ => ModelConfig.Preset(name),
        };

        var read = ModelConfig.FromJson(config.ToJson(), "model.json");

        foreach (var property in typeof(ModelConfig).GetProperties().Where(p => p.GetMethod!.IsStatic is false))
            Assert.Equal(property.GetValue(config), property.GetValue(read)); // lists element by element, doubles bit for bit
        Assert.Equal(config.ToJson(), read.ToJson());
    }

    [Fact]
    public void JsonUsesTheDocumentedNames()
    {
        string json = Base.ToJson();
        foreach (string expected in new[] { "\"dilation_cycle\": 10", "\"conditioner\": \"mel\"", "\"gate_order\": \"gate_first\"", "\"step_exponent\": \"positive\"", "\"upsampler\": \"shared\"" })
            Assert.Contains(expected, json);
        Assert.DoesNotContain("receptive_field", json);
    }

    [Theory]
    [InlineData("\"channels\": 64", "\"chanels\": 64", "chanels")]                          // unknown key (and a missing one)
    [InlineData("\"channels\": 64", "\"channels\": 64, \"dropout\": 0.1", "dropout")]
    [InlineData("\"fft_size\": 1024", "\"fft_size\": 1024, \"power\": 2", "power")]          // inside the recipe
    [InlineData("\"channels\": 64", "\"channels\": 64, \"channels\": 32", "channels")]       // twice
    [InlineData("\"fft_size\": 1024", "\"fft_size\": 1024, \"fft_size\": 512", "fft_size")]
    [InlineData("\"channels\": 64,", "", "channels")]                                        // missing
    [InlineData("\"channels\": 64", "\"channels\": \"64\"", "channels")]                     // wrong type
    [InlineData("\"channels\": 64", "\"channels\": 6.5", "channels")]
    [InlineData("\"channels\": 64", "\"channels\": 99999999999", "channels")]
    [InlineData("\"channels\": 64", "\"channels\": 0", "channels is 0")]
    [InlineData("\"conditioner\": \"mel\"", "\"conditioner\": \"text\"", "'text'")]
    [InlineData("\"conditioner\": \"mel\"", "\"conditioner\": 1", "conditioner")]
    [InlineData("\"gate_order\": \"gate_first\"", "\"gate_order\": 7", "gate_order")]
    [InlineData("\"gate_order\": \"gate_first\"", "\"gate_order\": \"sideways\"", "gate_order")]
    [InlineData("\"clamp_samples\": true", "\"clamp_samples\": null", "clamp_samples")]
    [InlineData("\"upsampler\": \"shared\"", "\"upsampler\": \"shared", "config")]           // cut short
    public void BadJsonIsRefusedNamingFileAndField(string find, string replace, string named)
    {
        string json = Base.ToJson();
        Assert.Contains(find, json);
        int at = json.IndexOf(find, StringComparison.Ordinal);
        var error = Assert.Throws<ModelFormatException>(() => ModelConfig.FromJson(json[..at] + replace + json[(at + find.Length)..], "some/model.json"));
        Assert.Equal("some/model.json", error.Path);
        Assert.StartsWith("some/model.json: config", error.Message);
        Assert.Contains(named, error.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("{}")]
    [InlineData("{\"mel\": {\"mel\": {}}}")]
    public void OtherJsonIsRefused(string json) => Assert.Throws<ModelFormatException>(() => ModelConfig.FromJson(json, "x"));

    [Fact]
    public void DeepNestingIsRefused() => Assert.Throws<ModelFormatException>(() => ModelConfig.FromJson(string.Concat(Enumerable.Repeat("{\"mel\":", 100_000)), "x"));

    public static TheoryData<string, ModelConfig> OutOfRange() => new()
    {
        { "channels is 0", Base with { Channels = 0 } },
        { "channels is 1025", Base with { Channels = 1025 } },
        { "layers is 0", Base with { Layers = 0 } },
        { "layers is 257", Base with { Layers = 257 } },
        { "dilation_cycle is 0", Base with { DilationCycle = 0 } },
        { "dilation_cycle is 21", Base with { DilationCycle = 21 } },
        { "sample_rate is 999", Base with { SampleRate = 999 } },
        { "sample_rate is 768001", Base with { SampleRate = 768_001 } },
        { "conditioner is 5", Base with { Conditioner = (Conditioner)5 } },
        { "labels is 3", Base with { Labels = 3 } },
        { "labels is 0", Base with { Conditioner = Conditioner.Mel | Conditioner.Label } },
        { "labels is 65537", Base with { Conditioner = Conditioner.Mel | Conditioner.Label, Labels = 65_537 } },
        { "mel is missing", Base with { Mel = null } },
        { "mel.bands is 0", Base with { Mel = MelRecipe.Lmnt() with { Bands = 0 } } },
        { "mel.hop is 0", Base with { Mel = MelRecipe.Lmnt() with { Hop = 0 } } },
        { "mel.fft_size is 8", Base with { Mel = MelRecipe.Lmnt() with { FftSize = 8 } } },
        { "mel.window_length is 1025", Base with { Mel = MelRecipe.Lmnt() with { WindowLength = 1025 } } },
        { "mel.low_hz..high_hz is 20..20000", Base with { Mel = MelRecipe.Lmnt() with { HighHz = 20_000 } } },
        { "mel.low_hz..high_hz is NaN", Base with { Mel = MelRecipe.Lmnt() with { LowHz = double.NaN } } },
        { "mel.floor is 0", Base with { Mel = MelRecipe.Lmnt() with { Floor = 0 } } },
        { "mel.sample_rate is 16000", Base with { Mel = MelRecipe.Lmnt(16000) } },
        { "upsample_factors has 0 entries", Base with { UpsampleFactors = [] } },
        { "upsample_factors has 9 entries", Base with { UpsampleFactors = [2, 2, 2, 2, 2, 2, 2, 2, 1] } },
        { "upsample_factors holds 0", Base with { UpsampleFactors = [16, 0] } },
        { "upsample_factors holds 4097", Base with { UpsampleFactors = [4097] } },
        { "upsample_factors multiply to 128", Base with { UpsampleFactors = [16, 8] } },
        { "upsample_factors multiply to 2147483647", Base with { UpsampleFactors = [4096, 4096, 4096, 4096] } },
        { "mel and upsample_factors are set", Base with { Conditioner = Conditioner.None } },
        { "training_betas has 0 entries", Base with { TrainingBetas = [] } },
        { "training_betas[1] is 1", Base with { TrainingBetas = [0.1, 1] } },
        { "fast_betas[0] is -1", Base with { FastBetas = [-1] } },
        { "fast_betas[1] is NaN", Base with { FastBetas = [0.1, double.NaN] } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange), DisableDiscoveryEnumeration = true)]
    public void EveryRangeErrorNamesFieldAndValue(string expected, ModelConfig config) => Assert.StartsWith(expected, config.Problem());

    [Fact]
    public void TheEndsOfEveryRangeAreAccepted()
    {
        Assert.Null((Base with { Channels = 1024, Layers = 256, DilationCycle = 20 }).Problem());
        Assert.Null((Base with { Channels = 1, Layers = 1, DilationCycle = 1, TrainingBetas = [0.5], FastBetas = [0.5] }).Problem());
        Assert.Null((Base with { Conditioner = Conditioner.Mel | Conditioner.Label, Labels = 65_536 }).Problem());
        Assert.Null((Base with { SampleRate = 1000, Mel = MelRecipe.Lmnt(1000) }).Problem());
    }
}
