using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>Options several verbs share, and numbers parsed with messages that say what is expected.</summary>
internal static class Options
{
    public static Option<string> Model(bool required = true) => new("--model", "-m") { HelpName = "FILE", Required = required, Description = "Model file (see diffwave init and import), or a checkpoint that diffwave import reads" };

    public static Option<string> Mix() => Choice("--mix", "What becomes of several channels: average, or the first alone (as lmnt's preprocess takes it)", "average", "first");

    public static ChannelMix MixOf(string? word) => word == "first" ? ChannelMix.First : ChannelMix.Average;

    public static Option<DeviceName> Device(string byDefault = "auto", string description = "Where to compute: auto takes the first GPU that works, else the CPU; cuda:N is GPU number N; emulator runs GPU code on the CPU, for checking. Only auto falls back")
    {
        var option = new Option<DeviceName>("--device")
        {
            HelpName = DeviceName.Forms,
            Description = description,
            DefaultValueFactory = _ => DeviceName.Parse(byDefault)!.Value,
            CustomParser = result => DeviceName.Parse(Text(result)) ?? Fail<DeviceName>(result, $"--device is '{Text(result)}', expected auto, cpu, cuda, cuda:N (N from 0) or emulator"),
        };
        option.CompletionSources.Add("auto", "cpu", "cuda", "emulator");
        return option;
    }

    /// <summary>What a GPU computes with.</summary>
    /// <param name="byDefault">What it is when the option is not given, in words.</param>
    public static Option<string?> Precision(string byDefault)
    {
        string[] words = [.. Enum.GetNames<Precision>().Select(name => name.ToLowerInvariant())];
        var option = new Option<string?>("--precision")
        {
            HelpName = string.Join('|', words),
            Description = $"What a GPU computes with: tf32, fp16 and bf16 take its tensor cores, for models of 32, 64, 128 or 256 channels, and round more; sums stay fp32. The CPU computes in fp32 only. Default: {byDefault}",
        };
        option.AcceptOnlyFromAmong(words);
        return option;
    }

    /// <summary>Of what a device computes with when nothing is said.</summary>
    public const string BestPrecision = "fp16 where a GPU has kernels for the model, else fp32";

    /// <summary>The precision a user gave, or null.</summary>
    public static Precision? PrecisionOf(string? word) => word is null ? null : Enum.Parse<Precision>(word, ignoreCase: true);

    public static Option<int> Threads() => Whole("--threads", "N", 0, 1024, 0, "CPU threads, 1 to 1024; 0: one for each processor. Results do not depend on it", "-t");

    public static Option<bool> Json() => new("--json") { Description = "Print one JSON object (names in snake_case) instead of text" };

    public static Option<int> Whole(string name, string helpName, int min, int max, int byDefault, string description, params string[] aliases) => new(name, aliases)
    {
        HelpName = helpName,
        Description = description,
        DefaultValueFactory = _ => byDefault,
        CustomParser = result => int.TryParse(Text(result), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= min && value <= max
            ? value : Fail<int>(result, $"{name} is '{Text(result)}', expected a whole number from {min} to {max}"),
    };

    public static Option<int?> OptionalWhole(string name, string helpName, int min, int max, string description) => new(name)
    {
        HelpName = helpName,
        Description = description,
        CustomParser = result => int.TryParse(Text(result), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= min && value <= max
            ? value : Fail<int?>(result, $"{name} is '{Text(result)}', expected a whole number from {min} to {max}"),
    };

    /// <summary>One of a few words; the first is the default.</summary>
    public static Option<string> Choice(string name, string description, params string[] words)
    {
        var option = new Option<string>(name)
        {
            HelpName = string.Join('|', words),
            Description = description,
            DefaultValueFactory = _ => words[0],
            CustomParser = result => words.Contains(Text(result)) ? Text(result) : Fail<string>(result, $"{name} is '{Text(result)}', expected {string.Join(", ", words[..^1])} or {words[^1]}"),
        };
        option.CompletionSources.Add(words);
        return option;
    }

    public static Option<ulong> Seed(string description) => new("--seed")
    {
        HelpName = "N",
        Description = description,
        DefaultValueFactory = _ => 0,
        CustomParser = result => ulong.TryParse(Text(result), NumberStyles.None, CultureInfo.InvariantCulture, out ulong value)
            ? value : Fail<ulong>(result, $"--seed is '{Text(result)}', expected a whole number from 0 to {ulong.MaxValue}"),
    };

    public static Option<double?> Number(string name, string helpName, double min, double max, string description) => new(name)
    {
        HelpName = helpName,
        Description = description,
        CustomParser = result => double.TryParse(Text(result), NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= min && value <= max
            ? value : Fail<double?>(result, FormattableString.Invariant($"{name} is '{Text(result)}', expected a number from {min} to {max}")),
    };

    private static string Text(ArgumentResult result) => result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";

    private static T? Fail<T>(ArgumentResult result, string message)
    {
        result.AddError(message);
        return default;
    }
}
