using System.Globalization;

namespace DiffWave.Compiler;

/// <summary>What the PTX is for: an architecture and the PTX version that names it.</summary>
/// <param name="Sm">Architecture, e.g. 80 for sm_80.</param>
/// <param name="ArchitectureSpecific">The variant with a trailing "a" (sm_90a), whose code runs on that architecture only.</param>
public readonly record struct PtxTarget(int Sm, bool ArchitectureSpecific = false)
{
    // Earliest PTX version that has the target (PTX ISA, "Target directives and architectures"), as major * 10 + minor.
    private static readonly Dictionary<(int Sm, bool Specific), int> Known = new()
    {
        [(70, false)] = 60, [(72, false)] = 61, [(75, false)] = 63, [(80, false)] = 70, [(86, false)] = 71, [(87, false)] = 74, [(89, false)] = 78, [(90, false)] = 78,
        [(90, true)] = 80, [(100, false)] = 86, [(100, true)] = 86, [(101, false)] = 86, [(101, true)] = 86, [(103, false)] = 88, [(103, true)] = 88, [(120, false)] = 87, [(120, true)] = 87,
    };

    /// <summary>The name in the <c>.target</c> directive, e.g. <c>sm_90a</c>.</summary>
    public string Name => $"sm_{Sm}{(ArchitectureSpecific ? "a" : "")}";

    /// <summary>PTX version as major * 10 + minor: the target's earliest, or 7.0 where that is lower, so that older drivers take it.</summary>
    /// <exception cref="ArgumentException">The target is unknown.</exception>
    public int PtxVersion => Known.TryGetValue((Sm, ArchitectureSpecific), out int version) ? Math.Max(70, version) : throw new ArgumentException($"unknown target {Name}; known: {Names}");

    private static string Names => string.Join(", ", Known.Keys.Order().Select(target => $"sm_{target.Sm}{(target.Specific ? "a" : "")}"));

    /// <summary>The target for a device: its architecture, or the newest known one before it.</summary>
    /// <param name="sm">The device's architecture, e.g. 86.</param>
    /// <exception cref="ArgumentException">The device is older than every known target.</exception>
    public static PtxTarget For(int sm)
    {
        var known = Known.Keys.Where(target => !target.Specific && target.Sm <= sm).ToList();
        return known.Count > 0 ? new PtxTarget(known.Max(target => target.Sm)) : throw new ArgumentException($"sm_{sm} is too old; known: {Names}");
    }

    /// <summary>Reads a name such as <c>sm_80</c> or <c>sm_90a</c>.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="FormatException">Unknown.</exception>
    public static PtxTarget Parse(string name)
    {
        bool specific = name.EndsWith('a');
        if (name.StartsWith("sm_", StringComparison.Ordinal) && int.TryParse(name.AsSpan()[3..^(specific ? 1 : 0)], NumberStyles.None, CultureInfo.InvariantCulture, out int sm)
            && Known.ContainsKey((sm, specific)))
            return new PtxTarget(sm, specific);
        throw new FormatException($"unknown target '{name}'; known: {Names}");
    }
}
