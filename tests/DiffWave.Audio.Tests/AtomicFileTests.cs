namespace DiffWave.Audio.Tests;

public class AtomicFileTests
{
    [Fact]
    public void TheNameHoldsTheOldOrTheNewContentAndNothingIsLeftBehind()
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.txt");
        AtomicFile.Write(path, stream => stream.Write("old"u8));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, stream =>
        {
            stream.Write("half of the n"u8);
            Assert.Equal("old", File.ReadAllText(path));
            throw new InvalidOperationException();
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal(["a.txt"], folder.Files);
        AtomicFile.Write(path, stream => stream.Write("new"u8));
        Assert.Equal("new", File.ReadAllText(path));
        Assert.Equal(["a.txt"], folder.Files);
    }

    [Fact]
    public void AFailedRenameLeavesNoTemporaryFile()
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("folder");
        Directory.CreateDirectory(path);
        Assert.ThrowsAny<Exception>(() => AtomicFile.Write(path, stream => stream.Write("x"u8))); // a folder cannot be replaced by a file
        Assert.Empty(folder.Files);
        Assert.ThrowsAny<IOException>(() => AtomicFile.Write(folder.At("none/a.txt"), stream => stream.Write("x"u8)));
    }
}
