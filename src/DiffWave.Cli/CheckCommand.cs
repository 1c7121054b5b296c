using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Cuda;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cli;

/// <summary><c>diffwave check</c>: is what a device computes right?</summary>
internal static class CheckCommand
{
    private const string Description = "Check what a device computes: against reference data of PyTorch, against float64, against the CPU.";

    private const string Notes = """
        --golden replays reference data of the public PyTorch implementations and compares every tensor.
        One line a tensor: verdict, file, name, shape, largest absolute error and its bound. With --precision
        tf32, fp16 or bf16 it compares predictions and chains, of models that there are kernels for, and the
        bounds are wider by as much as the roundings are.

        --kernels needs no data. It runs every GPU kernel at random shapes and compares with float64, and then
        every operation of the engine, forward and backward, on random models against the CPU. One line a
        result: verdict, what, shape, result, largest absolute error, its bound and where that comes from.
        The seed is printed; the same seed draws the same again. Bounds of operations are derived from the
        formula and the rounding of float32, so they hold for any order of summation. Kernels that need more
        than the device has, a later architecture or more shared memory, are not run and counted apart.
        --device auto takes the first GPU that works, else the emulator, which also checks every access.

        Exit code 1 when something is outside its bound, 3 when the folder holds nothing to check.
        """;

    private const string Examples = """
        # the reference data of the repository, on one thread
        diffwave check --golden tests/Fixtures/golden --threads 1
        # everything there is, on the GPU
        diffwave check --golden tests/Fixtures/golden --kernels --device cuda
        # what a GPU would compute, checked without one: about a minute
        diffwave check --kernels --device emulator
        # one kernel at a hundred shapes
        diffwave check --kernels --kernel gated_activation_v2 --count 100
        """;

    // What one command checked.
    private sealed class Findings
    {
        public IReadOnlyList<CheckLine> Golden { get; set; } = [];
        public List<DeviceCheckLine> Kernels { get; } = [];
        public List<DeviceCheckLine> Operations { get; } = [];
        public int Failed => Golden.Count(line => !line.Ok) + Kernels.Concat(Operations).Count(line => line.Failed);
    }

    public static Command Create(Session session)
    {
        var golden = new Option<string>("--golden") { HelpName = "FOLDER", Description = "Folder with reference data to replay" };
        var kernels = new Option<bool>("--kernels") { Description = "Run kernels and operations at random shapes" };
        var kernel = new Option<string>("--kernel") { HelpName = "NAME", Description = "With --kernels: this kernel only, and no operations (see diffwave kernels list)" };
        Option<ulong?> seed = new("--seed") { HelpName = "N", Description = "With --kernels: seed of shapes and values; default: another one each time" };
        Option<int> count = Options.Whole("--count", "N", 1, 1_000_000, 5, "With --kernels: shapes a kernel, and models the operations are tried on");
        Option<DeviceName> device = Options.Device();
        Option<string?> precision = Options.Precision("fp32");
        Option<int> threads = Options.Threads();
        Option<bool> json = Options.Json();
        var verb = new Verb("check", Description, Notes, Examples) { golden, kernels, kernel, seed, count, device, precision, threads, json };
        verb.Validators.Add(result =>
        {
            if (result.GetResult(golden) is null && !result.GetValue(kernels)) result.AddError("nothing to check: give --golden FOLDER, --kernels, or both");
            if (!result.GetValue(kernels) && (result.GetResult(kernel) is not null || result.GetResult(seed) is not null || result.GetResult(count) is { Implicit: false }))
                result.AddError("--kernel, --seed and --count belong to --kernels");
            if (result.GetValue(kernels) && result.GetResult(precision) is not null) result.AddError("--precision belongs to --golden: --kernels tries the kernels of every precision");
        });
        verb.SetAction(parsed =>
        {
            var findings = new Findings();
            var report = new JsonObject();
            bool text = !parsed.GetValue(json);
            DeviceName name = parsed.GetValue(device);
            if (parsed.GetValue(kernels) && name.Kind == DeviceKind.Cpu) throw new UsageException("--kernels: the CPU runs no kernels, it is what they are compared with; give --device auto, cuda, cuda:N or emulator");
            IReadOnlyList<KernelVersion> versions = parsed.GetValue(kernels) ? KernelsText.Chosen(parsed.GetValue(kernel), parsed.GetValue(kernel) is null) : [];
            if (parsed.GetValue(golden) is { } folder) Replay(session, folder, name, Options.PrecisionOf(parsed.GetValue(precision)) ?? Precision.Fp32, parsed.GetValue(threads), findings, report, text);
            if (parsed.GetValue(kernels))
            {
                ulong chosen = parsed.GetValue(seed) ?? (ulong)Random.Shared.Next();
                var random = new Random((int)(chosen ^ chosen >> 32));
                RunKernels(session, name, parsed.GetValue(threads), versions, withOperations: parsed.GetValue(kernel) is null, chosen, parsed.GetValue(count), random, findings, report, text);
            }
            if (!text) session.Out.WriteLine(JsonText.Of(report));
            return findings.Failed == 0 ? ExitCode.Ok : ExitCode.Failure;
        });
        return verb;
    }

    private static void Replay(Session session, string folder, DeviceName name, Precision precision, int threads, Findings findings, JsonObject report, bool text)
    {
        if (!Directory.Exists(folder)) throw new InputFileException(folder, "no such folder");
        using DeviceChoice device = DeviceChoice.Open(session, name, threads, precision);
        session.Log($"device: {device.Text}");
        try { findings.Golden = device.Run(ops => GoldenCheck.Run(folder, ops)); }
        catch (ModelFormatException e) when (e.Path == folder) { throw new InputFileException(folder, e.Message[(folder.Length + 2)..], e); } // the folder holds nothing to check
        if (text) WriteText(session.Out, findings.Golden, device);
        else AddJson(report, device, findings.Golden);
    }

    private static void RunKernels(Session session, DeviceName name, int threads, IReadOnlyList<KernelVersion> versions, bool withOperations, ulong seed, int count, Random random, Findings findings, JsonObject report, bool text)
    {
        (ICudaDriver opened, string reason) = KernelsDevice.Open(session, name, threads);
        using ICudaDriver driver = opened;
        session.Log($"device: {KernelsDevice.Text(driver, reason)}");
        session.Log(string.Create(CultureInfo.InvariantCulture, $"seed: {seed}"));
        using (var runner = new KernelRunner(driver))
            foreach (KernelVersion version in versions)
                for (int i = 0; i < count; i++) Add(findings.Kernels, KernelsCheck.Run(runner, version, KernelsCheck.Draw(version, random)));
        if (withOperations)
        {
            using IOps cpu = Cpu.CpuDevice.Create(threads), device = new CudaOps(driver);
            for (int i = 0; i < count; i++) Add(findings.Operations, OpsCheck.Run(cpu, device, random));
        }
        List<DeviceCheckLine> all = [.. findings.Kernels, .. findings.Operations];
        int failed = all.Count(line => line.Failed), notRun = all.Count(line => line.NotRun is not null), total = all.Count - notRun;
        if (text) session.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{total} results: {total - failed} ok, {failed} failed, on {driver.DeviceText}, seed {seed}{(notRun > 0 ? $"; {notRun} not run" : "")}"));
        else
            report["random"] = new JsonObject
            {
                ["device"] = driver.DeviceText, ["device_reason"] = reason, ["seed"] = seed, ["count"] = count, ["total"] = total, ["ok"] = total - failed, ["failed"] = failed, ["not_run"] = notRun,
                ["kernels"] = new JsonArray([.. findings.Kernels.Select(line => line.ToJson())]), ["operations"] = new JsonArray([.. findings.Operations.Select(line => line.ToJson())]),
            };

        void Add(List<DeviceCheckLine> to, IReadOnlyList<DeviceCheckLine> lines)
        {
            session.Cancel.ThrowIfCancellationRequested();
            to.AddRange(lines);
            if (text) foreach (DeviceCheckLine line in lines) session.Out.WriteLine(line);
        }
    }

    private static void WriteText(TextWriter output, IReadOnlyList<CheckLine> lines, DeviceChoice choice)
    {
        foreach (CheckLine line in lines)
            output.WriteLine(line.IsNote
                ? $"--    {line.File}  {line.Name}"
                : string.Create(CultureInfo.InvariantCulture, $"{(line.Ok ? "ok  " : "FAIL")}  {line.File}  {line.Name}  {line.Shape}  error {line.MaxError:0.0E+00}  bound {line.Bound:0.0E+00}"));
        int notes = lines.Count(line => line.IsNote), total = lines.Count - notes, failed = lines.Count(line => !line.Ok);
        output.WriteLine($"{total} compared: {total - failed} ok, {failed} failed{(notes > 0 ? $", {notes} not checked" : "")}, on {choice.Ops.Device}");
    }

    private static void AddJson(JsonObject report, DeviceChoice choice, IReadOnlyList<CheckLine> lines)
    {
        report["device"] = choice.Ops.Device;
        report["device_reason"] = choice.Reason;
        report["precision"] = choice.Precision.ToString().ToLowerInvariant();
        report["total"] = lines.Count(line => !line.IsNote);
        report["ok"] = lines.Count(line => line is { Ok: true, IsNote: false });
        report["failed"] = lines.Count(line => !line.Ok);
        report["not_checked"] = new JsonArray([.. lines.Where(line => line.IsNote).Select(line => new JsonObject { ["file"] = line.File, ["reason"] = line.Name })]);
        report["tensors"] = new JsonArray([.. lines.Where(line => !line.IsNote).Select(line => new JsonObject
        {
            ["file"] = line.File,
            ["name"] = line.Name,
            ["shape"] = line.Shape,
            // JSON has no word for a value that is not finite.
            ["max_error"] = double.IsFinite(line.MaxError) ? line.MaxError : null,
            ["bound"] = line.Bound,
            ["ok"] = line.Ok,
        })]);
    }
}
