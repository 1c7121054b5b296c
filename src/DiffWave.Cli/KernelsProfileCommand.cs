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
            session.Log($"device: {KernelsDevice.Text(driver, "counts, no times")}");
            using var runner = new KernelRunner(driver);
            IReadOnlyList<KernelCheck> checks = runner.Run(version, chosen);
            Cost cost = version.Trial(chosen).Cost;
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(Json(version, chosen, cost, driver.Reports)));
            else
            {
                session.Out.WriteLine(Invariant($"{version.Name}  {chosen}  by definition {cost.Flops:N0} FLOP, {cost.Bytes:N0} bytes"));
                foreach (LaunchReport report in driver.Reports) session.Out.Write($"\n{ReportText.Format(report with { Global = ByLine(report.Global), Shared = ByLine(report.Shared) })}");
            }
            foreach (KernelCheck check in checks.Where(check => !check.Ok)) session.Warn(Invariant($"{check.Name} is wrong: error {check.MaxError:0.0E+00}, bound {check.Bound:0.0E+00}"));
            return checks.All(check => check.Ok) ? ExitCode.Ok : ExitCode.Failure;
        });
        return verb;
    }

    // An unrolled loop has the same access many times: one line for those of a C# line and an instruction.
    private static List<AccessSite> ByLine(IReadOnlyList<AccessSite> sites) => [.. sites.GroupBy(site => (site.Source, Instruction: site.PtxText.Split(' ')[0])).Select(line => new AccessSite(line.Key.Source, line.First().PtxLine,
        line.Count() == 1 ? line.First().PtxText : $"{line.Key.Instruction} x {line.Count()}", line.Sum(site => site.Requests), line.Sum(site => site.Bytes), line.Sum(site => site.Moved), line.Sum(site => site.Ideal)))];

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
            ["allocations"] = new JsonArray([.. report.Allocations.Select(allocation => new JsonObject
            {
                ["bytes"] = allocation.Bytes, ["sectors_read"] = allocation.SectorsRead, ["sectors_written"] = allocation.SectorsWritten,
            })]),
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
