using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Kernels;

namespace DiffWave.Cli;

/// <summary><c>diffwave kernels run</c>: kernels against their references.</summary>
internal static class KernelsRunCommand
{
    private const string Notes = """
        One line a result: verdict, kernel, shape, result, largest absolute error and its bound. Data are random
        with a fixed seed, the reference is computed in float64, and the bound is twice the error of a plain
        float32 evaluation and one rounding unless the kernel approximates or uses tensor cores (--json says
        which). Without --shape every kernel runs at its usual shape and at awkward ones.

        The emulator also checks every access: out of bounds, misaligned, uninitialised, races, barriers. What
        it finds fails the run, with the C# line. Exit code 1 when anything failed. What a device cannot run, for
        its age or its shared memory, is not run and counted apart.
        """;

    private const string Examples = """
        # everything, on the emulator
        diffwave kernels run --all
        # one kernel at a shape of your own
        diffwave kernels run matrix_product_v3 --shape m=200,n=72,k=40
        # on the GPU
        diffwave kernels run --all --device cuda
        """;

    public static Command Create(Session session)
    {
        Argument<string?> name = KernelsText.Name();
        Option<bool> all = KernelsText.All(), json = Options.Json();
        var shape = new Option<string?>("--shape") { HelpName = "NAME=SIZE,..", Description = "Run at this shape only; sizes not named are the usual ones" };
        Option<DeviceName> device = Options.Device("emulator", "Where to run: the emulator, GPU number N, or auto: the first GPU that works, else the emulator");
        var verb = new Verb("run", "Run kernels and compare with their references.", Notes, Examples) { name, all, shape, device, json };
        verb.SetAction(parsed =>
        {
            IReadOnlyList<KernelVersion> versions = KernelsText.Chosen(parsed.GetValue(name), parsed.GetValue(all));
            string? text = parsed.GetValue(shape);
            if (text is not null && versions.Count > 1) throw new UsageException("--shape belongs to one kernel, not to --all");
            KernelShape? only = text is null ? null : KernelsText.Shape(versions[0], text);
            (ICudaDriver opened, string reason) = KernelsDevice.Open(session, parsed.GetValue(device));
            using ICudaDriver driver = opened;
            session.Log($"device: {KernelsDevice.Text(driver, reason)}");
            using var runner = new KernelRunner(driver);
            var runs = new List<KernelRun>();
            foreach (KernelVersion version in versions)
                foreach (KernelShape each in only is null ? version.Shapes : [only])
                {
                    session.Cancel.ThrowIfCancellationRequested();
                    runs.Add(KernelRun.Of(runner, version, each));
                    if (!parsed.GetValue(json)) Write(session.Out, runs[^1]);
                }
            int failed = runs.Count(run => run.Failed), notRun = runs.Count(run => run.NotRun is not null), ok = runs.Count - failed - notRun;
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(Json(driver, runs, ok, failed, notRun)));
            else session.Out.WriteLine($"{ok + failed} run: {ok} ok, {failed} failed, on {driver.Description}{(notRun > 0 ? $"; {notRun} not run" : "")}");
            return failed == 0 ? ExitCode.Ok : ExitCode.Failure;
        });
        return verb;
    }

    private static void Write(TextWriter output, KernelRun run)
    {
        string head = $"{run.Version.Name}  {run.Shape}";
        foreach (KernelCheck check in run.Checks)
        {
            string place = check.Ok ? "" : string.Create(CultureInfo.InvariantCulture, $"  at {check.Worst}: {check.Actual:G9}, expected {check.Expected:G9}");
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(check.Ok ? "ok  " : "FAIL")}  {head}  {check.Name}  error {check.MaxError:0.0E+00}  bound {check.Bound:0.0E+00}{place}"));
        }
        if (run.Error is { } error) output.WriteLine($"FAIL  {head}  {error}");
        if (run.NotRun is { } reason) output.WriteLine($"--    {head}  not run: {reason}");
    }

    private static JsonObject Json(ICudaDriver driver, List<KernelRun> runs, int ok, int failed, int notRun) => new()
    {
        ["device"] = driver.Description,
        ["device_name"] = driver.Device.Name,
        ["sm"] = driver.Device.Sm,
        ["total"] = runs.Count,
        ["ok"] = ok,
        ["failed"] = failed,
        ["not_run"] = notRun,
        ["runs"] = new JsonArray([.. runs.Select(run => new JsonObject
        {
            ["kernel"] = run.Version.Name,
            ["shape"] = run.Shape.ToString(),
            ["ok"] = run.NotRun is null ? !run.Failed : null,
            ["error"] = run.Error,
            ["not_run"] = run.NotRun,
            ["results"] = new JsonArray([.. run.Checks.Select(check => new JsonObject
            {
                ["name"] = check.Name,
                ["elements"] = check.Elements,
                // JSON has no word for a value that is not finite.
                ["max_error"] = double.IsFinite(check.MaxError) ? check.MaxError : null,
                ["bound"] = check.Bound,
                ["bound_reason"] = check.BoundReason,
                ["worst_element"] = check.Worst,
                ["ok"] = check.Ok,
            })]),
        })]),
    };
}

/// <summary>A kernel that ran at a shape, or could not.</summary>
/// <param name="Version">The kernel.</param>
/// <param name="Shape">The shape.</param>
/// <param name="Checks">Its results; empty when it did not finish.</param>
/// <param name="Error">Why it did not finish, or null.</param>
/// <param name="NotRun">What the device lacks for it, or null.</param>
internal sealed record KernelRun(KernelVersion Version, KernelShape Shape, IReadOnlyList<KernelCheck> Checks, string? Error = null, string? NotRun = null)
{
    public bool Failed => Error is not null || Checks.Any(check => !check.Ok);

    /// <summary>Runs it. What the compiler, the driver or the emulator refuse is the run's error.</summary>
    public static KernelRun Of(KernelRunner runner, KernelVersion version, KernelShape shape)
    {
        try { return new KernelRun(version, shape, runner.Run(version, shape)); }
        catch (UnsupportedKernelException e) { return new KernelRun(version, shape, [], NotRun: e.Message); }
        catch (Exception e) when (e is CudaException or KernelCompileException) { return new KernelRun(version, shape, [], e.Message); }
    }
}
