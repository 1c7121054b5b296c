using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Kernels;

namespace DiffWave.Cli;

/// <summary><c>diffwave kernels</c>: the GPU kernels, looked at one by one.</summary>
internal static class KernelsCommand
{
    private const string Description = "List the GPU kernels, print their PTX, run them against their references, profile them.";

    private const string Examples = """
        # every kernel and its versions
        diffwave kernels list
        # the PTX of one
        diffwave kernels ptx gated_activation_v2
        # all of them on the emulator, against float64
        diffwave kernels run --all
        # what one does to memory, line by line
        diffwave kernels profile gated_activation_v2
        """;

    public static Command Create(Session session) => new Verb("kernels", Description, "", Examples)
    {
        KernelsListCommand.Create(session), KernelsPtxCommand.Create(session), KernelsRunCommand.Create(session), KernelsProfileCommand.Create(session),
    };
}

/// <summary><c>diffwave kernels list</c>.</summary>
internal static class KernelsListCommand
{
    private const string Notes = """
        One line a version: its name, its usual shape, the arithmetic and the traffic of that by definition, and
        what it does differently, with the type arguments in brackets. FLOP/B is their ratio: what a device can do at most is the smaller of its peak rate
        and that ratio times its bandwidth.
        """;

    private const string Examples = """
        diffwave kernels list
        # the shapes every kernel is tried at
        diffwave kernels list --json | jq '.kernels[] | {name, shapes}'
        """;

    public static Command Create(Session session)
    {
        Option<bool> json = Options.Json();
        var verb = new Verb("list", "List every kernel with its versions.", Notes, Examples) { json };
        verb.SetAction(parsed =>
        {
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(new JsonObject { ["kernels"] = new JsonArray([.. KernelCatalog.All.Select(Json)]) }));
            else WriteText(session.Out);
            return ExitCode.Ok;
        });
        return verb;
    }

    private static void WriteText(TextWriter output)
    {
        foreach (var op in KernelCatalog.All.GroupBy(version => version.Op))
        {
            int name = op.Max(version => version.Name.Length), shape = op.Max(version => version.Shapes[0].ToString().Length);
            output.WriteLine(op.Key);
            foreach (KernelVersion version in op)
            {
                Device.Cost cost = version.Trial(version.Shapes[0]).Cost;
                string arguments = version.Method.IsGenericMethod ? $" [{string.Join(", ", version.Method.GetGenericArguments().Select(type => type.Name))}]" : "";
                output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"  {version.Name.PadRight(name)}  {version.Shapes[0].ToString().PadRight(shape)}  {cost.Flops / 1e6,6:F3} MFLOP  {cost.Bytes / 1e6,5:F3} MB  {cost.Intensity,5:F2} FLOP/B  {version.Idea}{arguments}"));
            }
        }
    }

    private static JsonObject Json(KernelVersion version) => new()
    {
        ["name"] = version.Name,
        ["op"] = version.Op,
        ["method"] = version.Method.Name,
        ["idea"] = version.Idea,
        ["type_arguments"] = new JsonArray([.. version.Method.GetGenericArguments().Select(type => JsonValue.Create(type.Name))]),
        ["constants"] = new JsonObject(version.Constants(version.Shapes[0]).Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)JsonValue.Create(Convert.ToInt64(pair.Value, CultureInfo.InvariantCulture))))),
        ["shapes"] = new JsonArray([.. version.Shapes.Select(shape =>
        {
            Device.Cost cost = version.Trial(shape).Cost;
            return new JsonObject { ["shape"] = shape.ToString(), ["flops"] = cost.Flops, ["bytes"] = cost.Bytes };
        })]),
    };
}

/// <summary>Kernels and shapes as a user names them.</summary>
internal static class KernelsText
{
    public static Argument<string?> Name(bool required = false)
    {
        var name = new Argument<string?>("name") { HelpName = "NAME", Arity = required ? ArgumentArity.ExactlyOne : ArgumentArity.ZeroOrOne, Description = "A kernel, as diffwave kernels list names it" };
        name.Validators.Add(result =>
        {
            // A misspelt option would pass for a name.
            if (result.Tokens.FirstOrDefault(token => token.Value.StartsWith('-'))?.Value is not { } option) return;
            string? near = UsageText.Nearest(option.Split('=')[0], ((CommandResult)result.Parent!).Command.Options.SelectMany(known => known.Aliases.Append(known.Name)));
            result.AddError($"unknown option '{option}'{(near is null ? "" : $", did you mean {near}?")}");
        });
        return name;
    }

    public static Option<bool> All() => new("--all") { Description = "Every kernel" };

    /// <summary>The kernels a user asked for.</summary>
    /// <exception cref="UsageException">None has the name, or there is neither a name nor --all.</exception>
    public static IReadOnlyList<KernelVersion> Chosen(string? name, bool all)
    {
        if (name is null) return all ? KernelCatalog.All : throw new UsageException("name a kernel, or give --all (see diffwave kernels list)");
        if (all) throw new UsageException("a name and --all exclude each other");
        if (KernelCatalog.Find(name) is { } found) return [found];
        string near = UsageText.Nearest(name, KernelCatalog.All.Select(version => version.Name)) is { } close ? $", did you mean {close}?" : "";
        throw new UsageException($"no kernel is named '{name}'{near} (see diffwave kernels list)");
    }

    /// <summary>The usual shape of a kernel with a user's sizes in it.</summary>
    /// <exception cref="UsageException">The kernel has no such size, or cannot have these.</exception>
    public static KernelShape Shape(KernelVersion version, string text)
    {
        KernelShape shape;
        try { shape = version.Shapes[0].With(text); }
        catch (FormatException e) { throw new UsageException($"--shape: {e.Message}"); }
        if (version.Problem(shape) is { } problem) throw new UsageException($"--shape: {shape}: {problem}");
        return shape;
    }
}
