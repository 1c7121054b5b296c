using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace DiffWave.Engine.Tests;

/// <summary>What a run does when the disk is full or may not be written.</summary>
public sealed class RunFolderFailureTests
{
    [Fact]
    public void A_full_disk_leaves_the_older_checkpoint_and_its_pointer()
    {
        using var disk = new SmallDisk(megabytes: 16);
        string path = Path.Combine(disk.Path, "run");
        using RunFolder run = RunFolder.Create(path, RunFolderTests.Config);
        string first = RunFolderTests.Save(run, 1), pointer = File.ReadAllText(Path.Combine(path, "latest.json"));
        run.Append(new JsonObject { ["step"] = 1 });
        using var events = new EventFile(run.EventsFolder);
        disk.Fill(leave: new FileInfo(first).Length / 2);

        string message = Assert.Throws<IOException>(() => RunFolderTests.Save(run, 2)).Message;
        Assert.StartsWith(Path.Combine(path, "step-2.safetensors") + ": ", message);
        Assert.Contains("free space on the disk", message);
        Assert.Equal(["config.json", "events", "latest.json", "lock", "log.jsonl", "samples", "step-1.safetensors"], Directory.GetFileSystemEntries(path).Select(Path.GetFileName).Order());
        Assert.Equal(pointer, File.ReadAllText(Path.Combine(path, "latest.json")));
        Assert.Equal((1L, 0), (run.Latest().Checkpoint!.State.Step, run.Latest().Warnings.Count));

        disk.Fill(leave: 0);
        message = Assert.Throws<IOException>(() => { for (long step = 2; step < 10_000; step++) run.Append(new JsonObject { ["step"] = step }); }).Message;
        Assert.StartsWith(Path.Combine(path, "log.jsonl") + ": ", message);
        message = Assert.Throws<IOException>(() => { for (long step = 2; step < 10_000; step++) events.Scalars(step, ("loss", 1)); }).Message;
        Assert.StartsWith(events.Path + ": ", message);

        disk.Free();
        run.CutLog(1);
        RunFolderTests.Save(run, 2);
        Assert.Equal(2, run.Latest().Checkpoint!.State.Step);
        Assert.Equal("{\"step\":1}\n", File.ReadAllText(Path.Combine(path, "log.jsonl")));
    }

    [Fact]
    public void A_folder_that_may_not_be_written_is_named()
    {
        if (OperatingSystem.IsWindows() || Environment.IsPrivilegedProcess)
        {
            Assert.Skip("whoever runs this may write everywhere");
            return;
        }
        using var folder = new TemporaryFolder();
        RunFolder.Create(folder.Path, RunFolderTests.Config).Dispose();
        File.SetUnixFileMode(folder.Path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        try
        {
            string message = Assert.Throws<IOException>(() => RunFolder.Open(folder.Path)).Message;
            Assert.StartsWith(folder.File("lock") + ": cannot be written", message);
        }
        finally { File.SetUnixFileMode(folder.Path, UnixFileMode.UserRead | UnixFileMode.UserExecute | UnixFileMode.UserWrite); }
    }

    // A file system in memory of a few megabytes, where this process may mount one.
    private sealed class SmallDisk : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public string Path => _folder.Path;

        public SmallDisk(int megabytes)
        {
            if (OperatingSystem.IsLinux() && Run("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "tmpfs", Path)) return;
            _folder.Dispose();
            Assert.Skip("no small disk can be made here: mount is not permitted");
        }

        /// <summary>Fills the disk up to so many bytes.</summary>
        public void Fill(long leave)
        {
            using var ballast = new FileStream(System.IO.Path.Combine(Path, "ballast"), FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
            ballast.Write(new byte[Math.Max(0, new DriveInfo(Path).AvailableFreeSpace - leave)]);
        }

        public void Free() => File.Delete(System.IO.Path.Combine(Path, "ballast"));

        public void Dispose()
        {
            Run("umount", Path);
            _folder.Dispose();
        }

        private static bool Run(string program, params string[] arguments)
        {
            try
            {
                using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
                process.StandardError.ReadToEnd();
                process.WaitForExit();
                return process.ExitCode == 0;
            }
            catch (Win32Exception) { return false; }
        }
    }
}
