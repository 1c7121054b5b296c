using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace DiffWave.Engine.Tests;

public sealed class RunFolderTests
{
    internal static RunFolderConfig Config { get; } = new(ModelFiles.SmallConfig, TrainingCheckpointTests.Options(0.9), """{"roots":["/data/é"],"hold_out":3}""");

    [Fact]
    public void A_run_is_created_closed_and_opened_again()
    {
        using var parent = new TemporaryFolder();
        string path = parent.File("runs/first");
        using (RunFolder created = RunFolder.Create(path, Config)) Assert.True(File.Exists(Path.Combine(path, "lock")));
        Assert.Equal(["config.json", "events", "samples"], Directory.GetFileSystemEntries(path).Select(Path.GetFileName).Order());
        using RunFolder opened = RunFolder.Open(path);
        Assert.Equal(Config.ToJson(), opened.Config.ToJson());
        Assert.Equal("/data/é", (string?)JsonNode.Parse(opened.Config.Data)!["roots"]![0]);
        Assert.Equal(Config.Training, opened.Config.Training);
        Assert.Equal(Path.Combine(path, "samples", "step-1200-0.wav"), opened.Sample(1200, 0, "wav"));
        Assert.Equal(Path.Combine(path, "samples", "reference-2.png"), opened.ReferenceSample(2, "png"));
        Assert.Equal((null, 0), (opened.Latest().Checkpoint, opened.Latest().Warnings.Count));
    }

    [Fact]
    public void Only_an_empty_folder_takes_a_new_run_and_only_a_run_is_opened()
    {
        using var parent = new TemporaryFolder();
        string Refused(Action act, string path)
        {
            var before = Directory.Exists(path) ? Directory.GetFileSystemEntries(path, "*", SearchOption.AllDirectories).Order().ToArray() : [];
            string message = Assert.Throws<IOException>(act).Message;
            Assert.StartsWith(path + ": ", message);
            if (Directory.Exists(path)) Assert.Equal(before, Directory.GetFileSystemEntries(path, "*", SearchOption.AllDirectories).Order());
            return message;
        }
        string run = parent.File("run"), other = parent.File("other"), file = parent.File("file");
        RunFolder.Create(run, Config).Dispose();
        Assert.Contains("holds a training run already; resume that one", Refused(() => RunFolder.Create(run, Config), run));
        Directory.CreateDirectory(other);
        File.WriteAllText(Path.Combine(other, "lock"), "somebody else's");
        Assert.Contains("is not empty (it holds lock) and no training run", Refused(() => RunFolder.Create(other, Config), other));
        Assert.Contains("it has no config.json", Refused(() => RunFolder.Open(other), other));
        Assert.Contains("no such folder", Refused(() => RunFolder.Open(parent.File("none")), parent.File("none")));
        File.WriteAllText(file, "");
        Refused(() => RunFolder.Create(file, Config), file);
    }

    [Fact]
    public void A_run_killed_before_its_configuration_was_there_can_be_created()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("lock"), "");
        File.WriteAllText(folder.File($"config.json.tmp-{Environment.ProcessId}-0123abcd"), "{");
        Directory.CreateDirectory(folder.File("samples"));
        RunFolder.Create(folder.Path, Config).Dispose();
        Assert.Equal(["config.json", "events", "samples"], Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName).Order());
    }

    [Theory]
    [InlineData("""{"format":"diffwave run",""", "is not valid JSON")]
    [InlineData("[]", "holds no JSON object")]
    [InlineData("\"training\":", "\"train\":", "key 'training' is missing")]
    [InlineData("\"data\":", "\"more\": 1, \"data\":", "key 'more' is unknown")]
    [InlineData("\"data\":", "\"format\": \"diffwave run\", \"data\":", "is not valid JSON")]
    [InlineData("\"diffwave run\"", "\"other\"", "format is \"other\", expected \"diffwave run\"")]
    [InlineData("\"format_version\": \"1\"", "\"format_version\": 2", "format_version is 2, expected \"1\"")]
    [InlineData("\"channels\": 4", "\"channels\": 0", "channels is 0")]
    [InlineData("\"batch\": 48", "\"batch\": 0", "batch is 0")]
    [InlineData("\"batch\": 48", "\"batches\": 48", "training:")]
    public void A_damaged_configuration_is_refused(string old, string changed, string? expected = null)
    {
        using var folder = new TemporaryFolder();
        RunFolder.Create(folder.Path, Config).Dispose();
        string path = folder.File("config.json"), text = File.ReadAllText(path);
        if (expected is not null) Assert.Contains(old, text);
        File.WriteAllText(path, expected is null ? old : text.Replace(old, changed));
        string message = Assert.Throws<ModelFormatException>(() => RunFolder.Open(folder.Path)).Message;
        Assert.StartsWith(path + ": ", message);
        Assert.Contains(expected ?? changed, message);
        Assert.False(File.Exists(folder.File("lock")));
    }

    [Fact]
    public void One_run_at_a_time_uses_a_folder()
    {
        using var folder = new TemporaryFolder();
        using (RunFolder first = RunFolder.Create(folder.Path, Config))
        {
            Assert.Equal($"{folder.Path}: is in use by another training run; wait for it or stop it, or choose another folder", Assert.Throws<IOException>(() => RunFolder.Open(folder.Path)).Message);
            Assert.Equal(Config.ToJson(), RunFolder.ReadConfig(folder.Path).ToJson()); // reading is open to all
            first.Append(new JsonObject { ["step"] = 1 });
        }
        Assert.False(File.Exists(folder.File("lock")));
        File.WriteAllText(folder.File("lock"), ""); // left by a killed process: nobody holds it
        RunFolder.Open(folder.Path).Dispose();
    }

    [Fact]
    public void Files_of_killed_processes_are_removed_on_opening()
    {
        using var folder = new TemporaryFolder();
        RunFolder.Create(folder.Path, Config).Dispose();
        int living = Process.GetProcesses().Select(process => process.Id).FirstOrDefault(id => id != Environment.ProcessId);
        Assert.SkipWhen(living == 0, "no other process is visible");
        string[] stale = ["step-5.safetensors.tmp-2147483646-0123abcd", $"latest.json.tmp-{Environment.ProcessId}-ffffffff", "samples/step-5-0.wav.tmp-2147483646-00000000"];
        string[] others = ["notes.tmp-1-x", "a.tmp", "step-5.safetensors", $"report.html.tmp-{living}-0123abcd"];
        foreach (string name in stale.Concat(others)) File.WriteAllText(folder.File(name), "x");
        RunFolder.Open(folder.Path).Dispose();
        Assert.DoesNotContain(stale, name => File.Exists(folder.File(name)));
        Assert.All(others, name => Assert.True(File.Exists(folder.File(name)), name));
    }

    [Fact]
    public void The_newest_checkpoint_is_found()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, Config);
        foreach (long step in new long[] { 9, 10 }) Assert.Equal(folder.File($"step-{step}.safetensors"), Save(run, step));
        JsonNode pointer = JsonNode.Parse(File.ReadAllText(folder.File("latest.json")))!;
        Assert.Equal((10L, "step-10.safetensors"), ((long)pointer["step"]!, (string)pointer["file"]!));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(folder.File("step-10.safetensors")))), (string)pointer["sha256"]!);
        var (checkpoint, warnings) = run.Latest();
        Assert.Equal((10L, 0), (checkpoint!.State.Step, warnings.Count));
        Assert.Equal(("print", "n"), (checkpoint.DataFingerprint, checkpoint.Card.Name));
    }

    [Theory]
    [InlineData("", "is damaged")]
    [InlineData("null", "is damaged")]
    [InlineData("{\"step\":10,", "is damaged")]
    [InlineData("""{"step":10,"file":"../step-10.safetensors","sha256":""}""", "names file '../step-10.safetensors' for step 10")]
    [InlineData("""{"step":7,"file":"step-7.safetensors","sha256":""}""", "no such file")]
    [InlineData(null, "latest.json: no such file")]
    public void Without_a_sound_pointer_the_highest_step_is_taken(string? pointer, string warning)
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, Config);
        foreach (long step in new long[] { 9, 10 }) Save(run, step);
        if (pointer is null) File.Delete(folder.File("latest.json"));
        else File.WriteAllText(folder.File("latest.json"), pointer);
        var (checkpoint, warnings) = run.Latest();
        Assert.Equal(10, checkpoint!.State.Step);
        Assert.Contains(warning, warnings[0]);
        Assert.Equal($"{folder.File("step-10.safetensors")}: taken instead, the highest checkpoint that loads", warnings[1]);
    }

    [Fact]
    public void A_damaged_checkpoint_is_passed_over()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, Config);
        foreach (long step in new long[] { 8, 9, 10 }) Save(run, step);
        byte[] newest = File.ReadAllBytes(folder.File("step-10.safetensors"));
        newest[^6] ^= 1; // a weight that is still finite: only the checksum tells
        File.WriteAllBytes(folder.File("step-10.safetensors"), newest);
        File.WriteAllBytes(folder.File("step-9.safetensors"), File.ReadAllBytes(folder.File("step-9.safetensors"))[..^1000]);
        var (checkpoint, warnings) = run.Latest();
        Assert.Equal(8, checkpoint!.State.Step);
        Assert.Equal(3, warnings.Count);
        Assert.Contains("step-10.safetensors: has SHA-256", warnings[0]);
        Assert.Contains("step-9.safetensors: tensor", warnings[1]);
        Assert.Contains("step-8.safetensors: taken instead", warnings[2]);
        File.Copy(folder.File("step-10.safetensors"), folder.File("step-8.safetensors"), overwrite: true);
        string message = Assert.Throws<IOException>(() => run.Latest()).Message;
        Assert.Contains("none of its checkpoints loads", message);
        Assert.Contains("is of step 10, its name says 8", message);
    }

    [Fact]
    public void A_checkpoint_of_another_model_is_not_taken()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, Config with { Model = Config.Model with { ClampSamples = false } });
        TrainingCheckpoint.Save(folder.File("step-3.safetensors"), Config.Model, TrainingCheckpointTests.RandomState(Config.Training, 3), Config.Training, "print", new ModelCard());
        Assert.Contains("is of another model than this run's config.json", Assert.Throws<IOException>(() => run.Latest()).Message);
    }

    [Fact]
    public void Old_checkpoints_go_majors_and_newer_ones_stay()
    {
        using var folder = new TemporaryFolder();
        using RunFolder run = RunFolder.Create(folder.Path, Config);
        string[] Steps() => [.. Directory.GetFiles(folder.Path, "step-*").Select(path => Path.GetFileNameWithoutExtension(path)[5..]).OrderBy(decimal.Parse)];
        File.WriteAllText(folder.File("step-01.safetensors"), "not a name of ours");
        File.WriteAllText(folder.File("step-99999999999999999999.safetensors"), "nor this");
        File.WriteAllText(folder.File("step-500.safetensors"), "of a run resumed further back");
        for (long step = 10; step <= 80; step += 10) Save(run, step, keepEvery: 40);
        Assert.Equal(["01", "40", "60", "70", "80", "500", "99999999999999999999"], Steps());
        Save(run, 90, keepLast: 1);
        Assert.Equal(["01", "90", "500", "99999999999999999999"], Steps());
        Assert.Throws<ArgumentOutOfRangeException>(() => Save(run, 100, keepLast: 0));
    }

    internal static string Save(RunFolder run, long step, int keepLast = 3, long keepEvery = 0) =>
        run.SaveCheckpoint(TrainingCheckpointTests.RandomState(run.Config.Training, step), "print", new ModelCard { Name = "n" }, keepLast, keepEvery);
}
