using System.CommandLine;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Compiler;
using DiffWave.Device;
using DiffWave.Kernels;

namespace DiffWave.Cli;

/// <summary><c>diffwave kernels ptx</c>: what the compiler makes of a kernel.</summary>
internal static class KernelsPtxCommand
{
    private const string Notes = """
        Constants not given are those of the kernel's usual shape. With --all, -o names a folder, and each
        kernel becomes NAME.ptx in it. NVIDIA's ptxas takes the output: ptxas -arch=sm_80 -v NAME.ptx.
        """;

    private const string Examples = """
        diffwave kernels ptx gated_activation_v1
        # for an H100, 128 channels, without the lines that point to the C# source
        diffwave kernels ptx gated_activation_v2 --target sm_90 --constants channels=128 --no-lines
        # all of them, a file each
        diffwave kernels ptx --all -o ptx/
        """;

    public static Command Create(Session session)
    {
        Argument<string?> name = KernelsText.Name();
        Option<bool> all = KernelsText.All(), json = Options.Json();
        var target = new Option<string>("--target") { HelpName = "sm_80", DefaultValueFactory = _ => "sm_80", Description = "Architecture to compile for" };
        var constants = new Option<string?>("--constants") { HelpName = "NAME=VALUE,..", Description = "Values of the kernel's compile-time parameters" };
        var noLines = new Option<bool>("--no-lines") { Description = "Leave out .file and .loc, which name the C# lines" };
        var output = new Option<string?>("--output", "-o") { HelpName = "FILE|FOLDER", Description = "Where to write; without it stdout" };
        var verb = new Verb("ptx", "Print the PTX of a kernel.", Notes, Examples) { name, all, target, constants, noLines, output, json };
        verb.SetAction(parsed =>
        {
            IReadOnlyList<KernelVersion> versions = KernelsText.Chosen(parsed.GetValue(name), parsed.GetValue(all));
            PtxTarget architecture;
            try { architecture = PtxTarget.Parse(parsed.GetValue(target)!); }
            catch (FormatException e) { throw new UsageException($"--target: {e.Message}"); }
            string? given = parsed.GetValue(constants), path = parsed.GetValue(output);
            bool many = parsed.GetValue(all);
            if (many && given is not null) throw new UsageException("--constants belongs to one kernel, not to --all");
            if (many && path is null && !parsed.GetValue(json)) throw new UsageException("--all needs -o FOLDER");
            if (many && path is not null && File.Exists(path)) throw new UsageException($"--all writes a folder of files, and {path} is a file");
            var options = new CompileOptions { LineInfo = !parsed.GetValue(noLines) };
            var compiled = versions.Select(version => (version.Name, Kernel: KernelCompiler.Compile(version.Method, architecture, Constants(version, given), options))).ToList();
            foreach (Diagnostic warning in compiled.SelectMany(pair => pair.Kernel.Warnings)) session.Warn(warning.ToString());
            if (path is not null)
            {
                if (many) OutputPath.Writing(path, () => Directory.CreateDirectory(path));
                foreach (var (kernel, result) in compiled) Write(many ? Path.Combine(path, $"{kernel}.ptx") : path, result.Ptx);
            }
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(new JsonObject { ["target"] = architecture.Name, ["kernels"] = new JsonArray([.. compiled.Select(pair => Json(pair.Name, pair.Kernel))]) }));
            else if (path is null) session.Out.Write(compiled[0].Kernel.Ptx);
            return ExitCode.Ok;
        });
        return verb;
    }

    private static void Write(string path, string ptx)
    {
        OutputPath.Check(path, []);
        OutputPath.Writing(path, () =>
        {
            AtomicFile.Write(path, stream => stream.Write(Encoding.ASCII.GetBytes(ptx)));
            return true;
        });
    }

    private static Dictionary<string, object> Constants(KernelVersion version, string? given)
    {
        var constants = new Dictionary<string, object>(version.Constants(version.Shapes[0]));
        foreach (string part in given?.Split(',', StringSplitOptions.TrimEntries) ?? [])
        {
            string[] pair = part.Split('=', StringSplitOptions.TrimEntries);
            ParameterInfo? parameter = version.Method.GetParameters().FirstOrDefault(parameter => parameter.Name == pair[0] && parameter.IsDefined(typeof(ConstAttribute)));
            if (pair.Length != 2 || parameter is null) throw new UsageException($"--constants: '{part}' is none of {version.Name}'s{(constants.Count == 0 ? ": it has none" : $", expected {string.Join(", ", constants.Keys)} and a value")}");
            if (!int.TryParse(pair[1], out int value)) throw new UsageException($"--constants: {pair[0]} is '{pair[1]}', expected a whole number");
            bool isSwitch = parameter.ParameterType == typeof(bool);
            if (isSwitch && value is not (0 or 1)) throw new UsageException($"--constants: {pair[0]} is '{pair[1]}', expected 0 or 1");
            constants[pair[0]] = isSwitch ? value == 1 : value;
        }
        return constants;
    }

    private static JsonObject Json(string name, CompiledKernel kernel) => new()
    {
        ["name"] = name,
        ["entry"] = kernel.EntryName,
        ["block"] = new JsonArray(kernel.BlockX, kernel.BlockY, kernel.BlockZ),
        ["static_shared_bytes"] = kernel.StaticSharedBytes,
        ["uses_dynamic_shared"] = kernel.UsesDynamicShared,
        ["parameters"] = new JsonArray([.. kernel.Parameters.Select(parameter => new JsonObject { ["name"] = parameter.Name, ["offset"] = parameter.Offset, ["bytes"] = parameter.Size })]),
        ["ptx"] = kernel.Ptx,
    };
}
