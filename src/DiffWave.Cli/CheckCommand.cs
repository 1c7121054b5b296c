using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary><c>diffwave check</c>: replays reference data on a device.</summary>
internal static class CheckCommand
{
    private const string Description = "Replay reference data of the public PyTorch implementations and compare every tensor.";

    private const string Notes = """
        One line a tensor: verdict, file, name, shape, largest absolute error and its bound. Exit code 1 when
        one is outside its bound, 3 when the folder holds nothing to check.
        """;

    private const string Examples = """
        # the reference data of the repository, on one thread
        diffwave check --golden tests/Fixtures/golden --threads 1
        """;

    public static Command Create(Session session)
    {
        var golden = new Option<string>("--golden") { HelpName = "FOLDER", Required = true, Description = "Folder with the reference data" };
        Option<string> device = Options.Device();
        Option<int> threads = Options.Threads();
        Option<bool> json = Options.Json();
        var verb = new Verb("check", Description, Notes, Examples) { golden, device, threads, json };
        verb.SetAction(parsed =>
        {
            string folder = parsed.GetRequiredValue(golden);
            if (!Directory.Exists(folder)) throw new InputFileException(folder, "no such folder");
            using DeviceChoice choice = DeviceChoice.Open(parsed.GetValue(device)!, parsed.GetValue(threads));
            session.Log($"device: {choice.Text}");
            IReadOnlyList<CheckLine> lines;
            try { lines = GoldenCheck.Run(folder, choice.Ops); }
            catch (ModelFormatException e) when (e.Path == folder) { throw new InputFileException(folder, e.Message[(folder.Length + 2)..], e); } // the folder holds nothing to check
            int failed = lines.Count(line => !line.Ok);
            if (parsed.GetValue(json)) session.Out.WriteLine(JsonText.Of(Json(choice, lines, failed)));
            else WriteText(session.Out, lines, failed, choice);
            return failed == 0 ? ExitCode.Ok : ExitCode.Failure;
        });
        return verb;
    }

    private static void WriteText(TextWriter output, IReadOnlyList<CheckLine> lines, int failed, DeviceChoice choice)
    {
        foreach (CheckLine line in lines)
            output.WriteLine(line.IsNote
                ? $"--    {line.File}  {line.Name}"
                : string.Create(CultureInfo.InvariantCulture, $"{(line.Ok ? "ok  " : "FAIL")}  {line.File}  {line.Name}  {line.Shape}  error {line.MaxError:0.0E+00}  bound {line.Bound:0.0E+00}"));
        int notes = lines.Count(line => line.IsNote), total = lines.Count - notes;
        output.WriteLine($"{total} compared: {total - failed} ok, {failed} failed{(notes > 0 ? $", {notes} not checked" : "")}, on {choice.Ops.Device}");
    }

    private static JsonObject Json(DeviceChoice choice, IReadOnlyList<CheckLine> lines, int failed) => new()
    {
        ["device"] = choice.Ops.Device,
        ["device_reason"] = choice.Reason,
        ["total"] = lines.Count(line => !line.IsNote),
        ["ok"] = lines.Count(line => line is { Ok: true, IsNote: false }),
        ["failed"] = failed,
        ["not_checked"] = new JsonArray([.. lines.Where(line => line.IsNote).Select(line => new JsonObject { ["file"] = line.File, ["reason"] = line.Name })]),
        ["tensors"] = new JsonArray([.. lines.Where(line => !line.IsNote).Select(line => new JsonObject
        {
            ["file"] = line.File,
            ["name"] = line.Name,
            ["shape"] = line.Shape,
            // JSON has no word for a value that is not finite.
            ["max_error"] = double.IsFinite(line.MaxError) ? line.MaxError : null,
            ["bound"] = line.Bound,
            ["ok"] = line.Ok,
        })]),
    };
}
