using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;
using DiffWave.Kernels;

namespace DiffWave.Cli;

/// <summary><c>diffwave kernels profile</c>: what a kernel executes and moves, counted by the emulator.</summary>
internal static class KernelsProfileCommand
{
    private const string Notes = """
        Counts, never times. A request is one execution of a load or store by a warp. Global memory moves in
        sectors of 32 bytes, shared memory in wavefronts, passes through its 32 banks; ideal is the fewest
        that could carry the distinct bytes asked for, efficiency is ideal over moved, and what shared memory
        moves beyond the ideal are bank conflicts. Registers are those the PTX declares; ptxas -v tells how
        many are left. Exit code 1 when the result is outside its bound.
        """;

    private const string Examples = """
        diffwave kernels profile gated_activation_v1
        # does the swizzle of the tensor-core kernel hold for this shape?
        diffwave kernels profile matrix_product_v3 --shape m=512 --json | jq '.launches[].shared'
        """;

    public static Command Create(Session session)
    {
        Argument<string?> name = KernelsText.Name(required: true);
        var shape = new Option<string?>("--shape") { HelpName = "NAME=SIZE,..", Description = "Sizes; those not named are the usual ones" };
        Option<bool> json = Options.Json();
        var verb = new Verb("profile", "Count what a kernel executes and moves, line by line.", Notes, Examples) { name, shape, json };
        verb.SetAction(parsed =>
        {
            KernelVersion version = KernelsText.Chosen(parsed.GetValue(name), false)[0];
            KernelShape chosen = parsed.GetValue(shape) is { } text ? KernelsText.Shape(version, text) : version.Shapes[0];
            using var driver = new EmulatedDriver(new EmulatorOptions { Reports = true });
            session.Log($"device: {KernelsDevice.Text(driver)}");
            using var runner = new KernelRunner(driver);
            IReadOnlyList<KernelCheck> checks = runner.Run(version, chosen);
            Cost cost = version.Trial(chosen).Cost;
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(Json(version, chosen, cost, driver.Reports)));
            else
            {
                session.Out.WriteLine(Invariant($"{version.Name}  {chosen}  by definition {cost.Flops:N0} FLOP, {cost.Bytes:N0} bytes"));
                foreach (LaunchReport report in driver.Reports) Write(session.Out, report);
            }
            foreach (KernelCheck check in checks.Where(check => !check.Ok)) session.Warn(Invariant($"{check.Name} is wrong: error {check.MaxError:0.0E+00}, bound {check.Bound:0.0E+00}"));
            return checks.All(check => check.Ok) ? ExitCode.Ok : ExitCode.Failure;
        });
        return verb;
    }

    private static void Write(TextWriter output, LaunchReport report)
    {
        output.WriteLine(Invariant($"\n{report.Kernel}: grid {report.Grid}, block {report.Block}; {report.DeclaredRegisters} registers declared, {report.LocalBytes} bytes of local memory, {report.StaticSharedBytes} + {report.DynamicSharedBytes} of shared"));
        output.WriteLine(Invariant($"instructions  {report.WarpInstructions:N0} by warps of {report.AverageActiveLanes:F1} active threads; {report.Barriers:N0} barriers; {report.LocalAccesses:N0} local accesses"));
        output.WriteLine($"              {string.Join(", ", report.Instructions.Select(count => Invariant($"{count.Class.ToString().ToLowerInvariant()} {count.Warp:N0}")))}");
        output.WriteLine(Invariant($"FLOP          {report.Flops:N0}{(report.TensorFlops > 0 ? Invariant($", tensor cores {report.TensorFlops:N0}") : "")}"));
        Sites(output, "global", "sectors", report.Global);
        Sites(output, "shared", "wavefronts", report.Shared);
        foreach (BranchSite branch in report.DivergentBranches) output.WriteLine(Invariant($"divergent     {branch.Divergent:N0} of {branch.Executed:N0}  {branch.Source}  {branch.PtxText}"));
    }

    private static void Sites(TextWriter output, string space, string unit, IReadOnlyList<AccessSite> sites)
    {
        if (sites.Count == 0) return;
        long moved = sites.Sum(site => site.Moved), ideal = sites.Sum(site => site.Ideal);
        output.WriteLine(Invariant($"{space}        {moved:N0} {unit}, ideal {ideal:N0}, efficiency {(moved == 0 ? 1 : (double)ideal / moved):P0}"));
        // An unrolled loop has the same access many times: one line for those of a C# line and an instruction.
        var lines = sites.GroupBy(site => (Source: site.Source.ToString(), Instruction: site.PtxText.Split(' ')[0])).ToList();
        int width = lines.Max(line => line.Key.Source.Length);
        foreach (var line in lines)
        {
            long requests = line.Sum(site => site.Requests), lineMoved = line.Sum(site => site.Moved), lineIdeal = line.Sum(site => site.Ideal);
            output.WriteLine(Invariant($"  {line.Key.Source.PadRight(width)}  requests {requests,9:N0}  {unit} {lineMoved,9:N0}  {(lineMoved == 0 ? 1 : (double)lineIdeal / lineMoved),5:P0}  {line.Key.Instruction}{(line.Count() > 1 ? Invariant($" x {line.Count()}") : "")}"));
        }
    }

    private static JsonObject Json(KernelVersion version, KernelShape shape, Cost cost, IReadOnlyList<LaunchReport> reports) => new()
    {
        ["kernel"] = version.Name,
        ["shape"] = shape.ToString(),
        ["flops_by_definition"] = cost.Flops,
        ["bytes_by_definition"] = cost.Bytes,
        ["launches"] = new JsonArray([.. reports.Select(report => new JsonObject
        {
            ["entry"] = report.Kernel,
            ["grid"] = Json(report.Grid),
            ["block"] = Json(report.Block),
            ["declared_registers"] = report.DeclaredRegisters,
            ["local_bytes"] = report.LocalBytes,
            ["static_shared_bytes"] = report.StaticSharedBytes,
            ["dynamic_shared_bytes"] = report.DynamicSharedBytes,
            ["warp_instructions"] = report.WarpInstructions,
            ["thread_instructions"] = report.ThreadInstructions,
            ["average_active_lanes"] = report.AverageActiveLanes,
            ["instructions"] = new JsonObject(report.Instructions.Select(count => KeyValuePair.Create(count.Class.ToString().ToLowerInvariant(), (JsonNode?)JsonValue.Create(count.Warp)))),
            ["flops"] = report.Flops,
            ["tensor_flops"] = report.TensorFlops,
            ["barriers"] = report.Barriers,
            ["local_accesses"] = report.LocalAccesses,
            ["global"] = Json(report.Global),
            ["shared"] = Json(report.Shared),
            ["divergent_branches"] = new JsonArray([.. report.DivergentBranches.Select(branch => new JsonObject
            {
                ["source"] = branch.Source.ToString(), ["ptx_line"] = branch.PtxLine, ["ptx"] = branch.PtxText, ["executed"] = branch.Executed, ["divergent"] = branch.Divergent,
            })]),
        })]),
    };

    private static JsonArray Json(Dim3 size) => new(size.X, size.Y, size.Z);

    private static JsonArray Json(IReadOnlyList<AccessSite> sites) => new([.. sites.Select(site => new JsonObject
    {
        ["source"] = site.Source.ToString(),
        ["ptx_line"] = site.PtxLine,
        ["ptx"] = site.PtxText,
        ["requests"] = site.Requests,
        ["bytes"] = site.Bytes,
        ["moved"] = site.Moved,
        ["ideal"] = site.Ideal,
        ["efficiency"] = site.Efficiency,
    })]);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
