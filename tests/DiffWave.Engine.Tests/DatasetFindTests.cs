using System.Runtime.InteropServices;
using System.Text;
using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

/// <summary>Which files a data set takes, and in what order.</summary>
public sealed partial class DatasetFindTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private void Touch(params string[] names)
    {
        foreach (string name in names)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_folder.File(name))!);
            File.WriteAllBytes(_folder.File(name), []);
        }
    }

    private static string[] Found(params string[] roots) => [.. ClipFile.Find(roots).Select(file => file.Name)];

    [Fact]
    public void EveryAudioEndingInOrdinalOrderAndNothingHidden()
    {
        Touch("b.wav", "B.WAV", "a/z.flac", "a.wav", "a-b.wav", "a/deep/er/x.mp3", "notes.txt", "wav", ".hidden.wav", ".git/x.wav", "a/.cache/y.wav", "é.ogg");
        // Ordinal order of the whole name: '-' (2D) < '.' (2E) < '/' (2F).
        Assert.Equal(["B.WAV", "a-b.wav", "a.wav", "a/deep/er/x.mp3", "a/z.flac", "b.wav", "é.ogg"], Found(_folder.Path));
    }

    [Fact]
    public void FilesAndFoldersGivenTwiceCountOnce()
    {
        Touch("a/x.wav", "a/y.wav", "b/x.wav", "odd.name", ".kept.wav");
        Assert.Equal(["a/x.wav", "a/y.wav", "b/x.wav"], Found(_folder.Path, _folder.File("a"), _folder.File("a/../a/x.wav"), _folder.Path + "/"));
        Assert.Equal(["x.wav", "x.wav", "y.wav"], Found(_folder.File("a"), _folder.File("b")));
        Assert.Equal([_folder.File("b/x.wav"), _folder.File("a/x.wav")], ClipFile.Find([_folder.File("b"), _folder.File("a/x.wav")]).Select(file => file.Path)); // equal names: as given
        Assert.Equal([".kept.wav", "odd.name"], Found(_folder.File("odd.name"), _folder.File(".kept.wav"))); // given by name: taken whatever it is called
    }

    [Fact]
    public void LinksAreFollowedOnceAndNeverInCircles()
    {
        Touch("real/x.wav", "real/y.wav");
        try
        {
            Directory.CreateSymbolicLink(_folder.File("real/loop"), _folder.Path);
            Directory.CreateSymbolicLink(_folder.File("again"), "real");
            File.CreateSymbolicLink(_folder.File("twin.wav"), _folder.File("real/x.wav"));
            File.CreateSymbolicLink(_folder.File("self.wav"), "self.wav");
            File.CreateSymbolicLink(_folder.File("broken.wav"), "nowhere.wav");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { Assert.Skip($"no symbolic links here: {e.Message}"); }
        // Links come last, so files keep their own names. A link that leads nowhere is found, and cannot be read.
        Assert.Equal(["broken.wav", "real/x.wav", "real/y.wav", "self.wav"], Found(_folder.Path));
        Assert.Equal(["loop/broken.wav", "loop/self.wav", "x.wav", "y.wav"], Found(_folder.File("again"), _folder.File("real"), _folder.File("twin.wav")));
        Assert.Equal(["twin.wav"], Found(_folder.File("twin.wav"), _folder.File("real/x.wav")));
        DatasetScan scan = DatasetFiles.Scan(new() { Roots = [_folder.File("broken.wav"), _folder.File("self.wav")] });
        Assert.Equal(["broken.wav", "self.wav"], scan.Unreadable.Select(file => file.File.Name));
    }

    // .NET can list such a file, but neither open it nor see what it is.
    [Fact]
    public void ANameThatIsNoUtf8IsFoundAndCannotBeRead()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux has names of any bytes");
        Touch("good.wav");
        byte[] name = [.. Encoding.UTF8.GetBytes(_folder.File("bad")), 0xFF, .. Encoding.UTF8.GetBytes(".wav"), 0];
        Assert.Equal(0, Rename([.. Encoding.UTF8.GetBytes(_folder.File("good.wav")), 0], name));
        DatasetScan scan = DatasetFiles.Scan(DatasetFiles.All(_folder));
        Assert.Equal(["bad\uFFFD.wav"], scan.Unreadable.Select(file => file.File.Name));
        Assert.Equal(0, Rename(name, [.. Encoding.UTF8.GetBytes(_folder.File("good.wav")), 0])); // the folder could not be removed otherwise
    }

    [LibraryImport("libc", EntryPoint = "rename")] private static partial int Rename(byte[] from, byte[] to);

    [Fact]
    public void WhatIsNotThereIsNamed()
    {
        DatasetFiles.Refused(() => ClipFile.Find([_folder.File("none")]), "none", "no such file or folder");
        DatasetFiles.Refused(() => ClipFile.Find([""]), "is no name");
        DatasetFiles.Refused(() => DatasetFiles.Scan(DatasetFiles.All(_folder)), _folder.Path, "no audio files", ".flac");
    }
}
