using System.Text;
using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

/// <summary>Lists of clips: metadata with labels, LJ Speech's form, and bad ones.</summary>
public sealed class DatasetMetadataTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public DatasetMetadataTests()
    {
        foreach (string name in (string[])["wavs/a.wav", "wavs/b.wav", "wavs/c.wav", "more/b.wav"]) _folder.Ramp(name, 600);
    }

    public void Dispose() => _folder.Dispose();

    private DatasetScan Scan(string text, ModelConfig? config = null) =>
        DatasetFiles.Scan(DatasetFiles.All(_folder) with { Metadata = _folder.Text("list.csv", text) }, config ?? DatasetFiles.Labelled(10));

    private static string[] Labels(DatasetScan scan) => [.. scan.Clips.Select(clip => $"{clip.Info.File.Name}={clip.Label}")];

    [Theory]
    [InlineData("file,label\nwavs/a.wav,3\nmore/b.wav,1\n")]
    [InlineData("\uFEFFLabel|text|File\r\n3|x, \"y\"|wavs\\a.wav\r\n\r\n01|z|more/b.wav")]
    [InlineData("file\tlabel\n./wavs/a\t3\n\n  \nmore/b\t1")]
    [InlineData("\"file\",\"text\",\"label\"\n\"a\",\"one, \"\"two\"\",\nthree\",\"3\"\nmore/b.wav,,1")]
    public void TablesOfEveryForm(string text)
    {
        DatasetScan scan = Scan(text);
        Assert.Equal(["more/b.wav=1", "wavs/a.wav=3"], Labels(scan));
        Assert.Equal([new LabelCount(1, "1", 1), new LabelCount(3, "3", 1)], scan.Labels);
        Assert.Equal(["wavs/b.wav", "wavs/c.wav"], scan.Unlisted.Select(file => file.Name));
    }

    [Fact]
    public void NamesAreNumberedInOrdinalOrder()
    {
        DatasetScan scan = Scan("file,label\na,sheep\nwavs/b.wav,cow\nc,Zebra\nmore/b,cow\n");
        Assert.Equal([new LabelCount(0, "Zebra", 1), new LabelCount(1, "cow", 2), new LabelCount(2, "sheep", 1)], scan.Labels);
        Assert.Equal(["more/b.wav=1", "wavs/a.wav=2", "wavs/b.wav=1", "wavs/c.wav=0"], Labels(scan));
    }

    [Fact]
    public void WithoutAListTheFolderIsTheLabel()
    {
        DatasetScan scan = DatasetFiles.Scan(DatasetFiles.All(_folder), DatasetFiles.Labelled(2));
        Assert.Equal(["more/b.wav=0", "wavs/a.wav=1", "wavs/b.wav=1", "wavs/c.wav=1"], Labels(scan));
        Assert.Equal([new LabelCount(0, "more", 1), new LabelCount(1, "wavs", 3)], scan.Labels);
        Assert.Equal(1, new Dataset(scan, 0).Crop(0).Label | new Dataset(scan, 0).Crop(1).Label);
        Assert.Empty(DatasetFiles.Scan(DatasetFiles.All(_folder)).Labels);
        DatasetFiles.Refused(() => _ = new Dataset(DatasetFiles.Scan(DatasetFiles.All(_folder), DatasetFiles.Labelled(1)), 0), "label 1 ('wavs')", "the model has 1 labels");
    }

    [Fact]
    public void FoldersKeepTheirNumberWhenTheirClipsCannotBeUsed()
    {
        File.WriteAllText(_folder.File("more/b.wav"), "no audio");
        DatasetScan scan = DatasetFiles.Scan(DatasetFiles.All(_folder), DatasetFiles.Labelled(2));
        Assert.Equal([new LabelCount(0, "more", 0), new LabelCount(1, "wavs", 3)], scan.Labels);
    }

    [Fact]
    public void LinesAsInLjSpeech()
    {
        // Texts of that corpus hold single double quotes; the column of labels is not there, so folders give them.
        DatasetScan scan = Scan("a|He said \"no|He said no\nc|\"Open|\"Open\nLJ001-0001|not|there\n", DatasetFiles.Vocoder);
        Assert.Equal(["wavs/a.wav", "wavs/c.wav"], scan.Clips.Names());
        Assert.Equal([(3, "LJ001-0001")], scan.Missing);
        Assert.Equal(2, scan.Unlisted.Count);
        Assert.Empty(scan.Labels);
    }

    [Fact]
    public void PathsMayStartAtTheList()
    {
        Directory.CreateDirectory(_folder.File("lists"));
        var options = new DatasetOptions { Roots = [_folder.File("wavs"), _folder.File("more")], ValidationFraction = 0, Metadata = _folder.Text("lists/list.csv", "../more/b.wav|x\n../wavs/c|y\n") };
        Assert.Equal([_folder.File("more/b.wav"), _folder.File("wavs/c.wav")], DatasetFiles.Scan(options).Clips.Select(clip => clip.Info.File.Path));
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("\n \n", "is empty")]
    [InlineData("a.wav\nb.wav\n", "line 1: expected a header with a column 'file'")]
    [InlineData("name,label\na,1\n", "line 1: expected a header")]
    [InlineData("file,file\na,1\n", "line 1: two columns are called 'file'")]
    [InlineData("file,label\n", "lists no clips")]
    [InlineData("file,label\na,1\nc\n", "line 3: 1 fields, expected 2")]
    [InlineData("file,label\na,1\nc,2,3\n", "line 3: 3 fields, expected 2")]
    [InlineData("file,label\na,\n", "line 2: the label has 0 characters")]
    [InlineData("file,label\n,1\n", "line 2: the name of the file has 0 characters")]
    [InlineData("file,label\n\na,1\nc,3O\n", "line 4: label is '3O', expected a number as in line 3")]
    [InlineData("file,label\na,cow\nc,7\n", "line 3: label is '7', expected a name as in line 2")]
    [InlineData("file,label\na,65536\n", "line 2: label is 65536, expected 0 to 65535")]
    [InlineData("file,label\na,99999999999999999999\n", "line 2: label is 99999999999999999999")]
    [InlineData("file,label\na,1\nwavs/a.wav,1\n", "line 3: wavs/a.wav is listed already in line 2")]
    [InlineData("file,label\nb,1\n", "line 2: 'b' fits several files")]
    [InlineData("file,label\nx,1\ny,1\n", "line 2: 'x' is not there, nor is any other of its 2 clips")]
    [InlineData("file,label\n\"a,1\nb,2\n", "line 2: a double quote is not closed")]
    [InlineData("file,label\n\"a\"b,1\n", "line 2: text behind a closing double quote")]
    [InlineData("a|x\nb\n", "line 2: no '|'")]
    public void BadListsNameFileAndLine(string text, string problem) => DatasetFiles.Refused(() => Scan(text), "list.csv: " + problem);

    [Fact]
    public void BytesThatAreNoTextAreRefused()
    {
        File.WriteAllBytes(_folder.File("list.csv"), [.. "file,label\na,1\n"u8, 0xFF, 0xFE, (byte)'\n']);
        DatasetFiles.Refused(() => DatasetFiles.Scan(DatasetFiles.All(_folder) with { Metadata = _folder.File("list.csv") }), "list.csv: line ", "not UTF-8");
        File.WriteAllBytes(_folder.File("list.csv"), [.. "file,label\na\0b,1\n"u8]);
        DatasetFiles.Refused(() => DatasetFiles.Scan(DatasetFiles.All(_folder) with { Metadata = _folder.File("list.csv") }), "line 2: 'a\0b' is not there");
        DatasetFiles.Refused(() => DatasetFiles.Scan(DatasetFiles.All(_folder) with { Metadata = _folder.Path }), "is a folder");
        DatasetFiles.Refused(() => DatasetFiles.Scan(DatasetFiles.All(_folder) with { Metadata = _folder.File("none.csv") }), "none.csv: no such file");
    }

    // A record is at most 65536 characters, and rows keep only two fields: neither one endless line nor a million short ones may take more than a few times the file.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void HugeListsTakeBoundedMemory(bool oneLine)
    {
        string path = _folder.File("huge.csv");
        const int lines = 1_000_000;
        using (var writer = new StreamWriter(path, append: false, Encoding.ASCII, 1 << 16))
        {
            writer.Write(oneLine ? "file,label\n\"" : "file,label\n");
            for (int i = 0; i < lines; i++) writer.Write(oneLine ? "0123456789,0123456789" : $"clip{i},{i % 7}\n");
        }
        long before = GC.GetAllocatedBytesForCurrentThread(), fileBytes = new FileInfo(path).Length;
        if (oneLine) DatasetFiles.Refused(() => ClipMetadata.Read(path), "huge.csv: line 2: longer than 65536 characters; is a double quote not closed?");
        else Assert.Equal(lines, ClipMetadata.Read(path).Count);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(allocated < (oneLine ? 4 << 20 : 512L * lines), $"allocated {allocated} bytes for a list of {fileBytes}");
    }
}
