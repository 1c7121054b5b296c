using System.Text;
using DiffWave.Audio;

namespace DiffWave.Engine.Tests;

public sealed class EventFileTests
{
    // The check value of the catalogue of parametrised CRC algorithms, and the examples of RFC 3720, appendix B.4.
    [Fact]
    public void Crc32C_gives_the_published_values()
    {
        byte[] digits = Encoding.ASCII.GetBytes("123456789"), rising = [.. Enumerable.Range(0, 32).Select(i => (byte)i)], ones = [.. Enumerable.Repeat((byte)0xFF, 32)];
        (byte[] Bytes, uint Crc)[] published = [(digits, 0xE3069283), (new byte[32], 0x8A9136AA), (ones, 0x62A8AB43), (rising, 0x46DD794E), ([.. rising.Reverse()], 0x113FDB5C)];
        foreach (var (bytes, crc) in published)
        {
            Assert.Equal(crc, Crc32C.Of(bytes));
            Assert.Equal(crc, EventFileReader.Crc32C(bytes)); // the tests' own
        }
        byte[] random = new byte[1000];
        new Random(1).NextBytes(random);
        for (int length = 0; length < 40; length++) Assert.Equal(EventFileReader.Crc32C(random.AsSpan(3, length)), Crc32C.Of(random.AsSpan(3, length)));
    }

    [Fact]
    public void What_is_written_is_read()
    {
        using var folder = new TemporaryFolder();
        byte[] png = Picture(5, 3);
        float[] audio = [.. Enumerable.Range(0, 22050).Select(i => MathF.Sin(i * 0.05f))];
        double before = Seconds();
        string path;
        using (var events = new EventFile(folder.Path))
        {
            path = events.Path;
            events.Scalars(0, ("loss/train", 0.7));
            events.Scalars(1, ("loss/train", 0.5), ("loss/validation", 1e-30), ("é", double.NaN));
            events.Scalars(long.MaxValue - 1, ("big", -double.MaxValue));
            events.Image(300, "sample/0", png);
            events.Audio(300, "sample/0", audio, 22050);
        }
        var (read, torn) = EventFileReader.Read(path);
        Assert.Equal(0, torn);
        Assert.All(read, record => Assert.InRange(record.WallTime, before, Seconds()));
        Assert.Equal(["brain.Event:2", null, null, null, null, null], read.Select(record => record.FileVersion));
        Assert.Equal([0, 0, 1, long.MaxValue - 1, 300, 300], read.Select(record => record.Step));
        Assert.All(read, record => Assert.Null(record.SessionStatus));
        Assert.Equal([("loss/train", 0.7f)], read[1].Values.Select(value => (value.Tag, value.Number!.Value)));
        Assert.Equal([("loss/train", 0.5f), ("loss/validation", 1e-30f), ("é", float.NaN)], read[2].Values.Select(value => (value.Tag, value.Number!.Value)));
        Assert.Equal(("big", float.NegativeInfinity), (read[3].Values[0].Tag, read[3].Values[0].Number!.Value));
        var picture = read[4].Values.Single();
        Assert.Equal(("sample/0", 3, 5, 3), (picture.Tag, picture.Picture!.Value.Height, picture.Picture.Value.Width, picture.Picture.Value.Colorspace));
        Assert.Equal(png, picture.Picture.Value.Png);
        var sound = read[5].Values.Single().Sound!.Value;
        Assert.Equal((22050f, 1, 22050, "audio/wav"), (sound.Rate, sound.Channels, sound.Frames, sound.Type));
        AudioClip clip = WavFile.Read(new MemoryStream(sound.Wav), "event");
        Assert.Equal((22050, 22050), (clip.SampleRate, clip.Samples.Length));
        for (int i = 0; i < audio.Length; i++) Assert.Equal(audio[i], clip.Samples[i], 1f / 32768); // half a step of 16 bits, and one at full scale
    }

    // The first bytes TensorFlow writes: length 24 (a time and "brain.Event:2") with its masked checksum.
    [Fact]
    public void A_file_starts_like_every_event_file()
    {
        using var folder = new TemporaryFolder();
        using var events = new EventFile(folder.Path);
        byte[] file = ReadShared(events.Path);
        Assert.Equal([0x18, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22, 0x09], file[..13]);
        Assert.Equal("\x1a\rbrain.Event:2", Encoding.ASCII.GetString(file, 21, 15));
        Assert.Matches(@"^events\.out\.tfevents\.[0-9]{10}\.[A-Za-z0-9._-]+$", Path.GetFileName(events.Path));
    }

    [Fact]
    public void A_resumed_run_tells_which_steps_count_no_more()
    {
        using var folder = new TemporaryFolder();
        var paths = new List<string>();
        for (int i = 0; i < 3; i++)
        {
            using var events = new EventFile(folder.Path, i == 0 ? null : 500 + i);
            paths.Add(events.Path);
        }
        Assert.Equal(paths, paths.Distinct().Order(StringComparer.Ordinal)); // in order, though made within a second
        // TensorBoard keeps what it has seen of steps below the START event's: steps up to 501 stay.
        EventFileReader.Event start = EventFileReader.Read(paths[1]).Events[1];
        Assert.Equal((502L, 1L), (start.Step, start.SessionStatus!.Value));
        Assert.Single(EventFileReader.Read(paths[0]).Events);
    }

    [Fact]
    public void A_kill_costs_no_more_than_the_last_event()
    {
        using var folder = new TemporaryFolder();
        using var events = new EventFile(folder.Path);
        for (int step = 1; step <= 5; step++)
        {
            events.Scalars(step, ("loss", step));
            Assert.Equal(step + 1, Copied(0).Events.Count); // in the file at once
        }
        for (int cut = 1; cut < 40; cut++)
        {
            var (read, torn) = Copied(cut);
            Assert.Equal(5, read.Count);
            Assert.True(torn > 0);
        }

        (List<EventFileReader.Event> Events, long Torn) Copied(int cut)
        {
            string copy = folder.File("copy");
            File.WriteAllBytes(copy, ReadShared(events.Path)[..^cut]);
            return EventFileReader.Read(copy);
        }
    }

    [Fact]
    public void What_cannot_be_written_is_refused()
    {
        using var folder = new TemporaryFolder();
        Assert.StartsWith("/nowhere/events: ", Assert.Throws<IOException>(() => new EventFile("/nowhere/events")).Message);
        using var events = new EventFile(folder.Path);
        long length = new FileInfo(events.Path).Length;
        Assert.Throws<ArgumentException>(() => events.Image(1, "x", new byte[100]));
        Assert.Throws<NonFiniteSampleException>(() => events.Audio(1, "x", [0, float.NaN], 22050));
        Assert.Equal(length, new FileInfo(events.Path).Length);
    }

    private static byte[] Picture(int width, int height)
    {
        using var stream = new MemoryStream();
        Png.WriteRgb(stream, width, height, [.. Enumerable.Range(0, 3 * width * height).Select(i => (byte)(i * 37))]);
        return stream.ToArray();
    }

    private static byte[] ReadShared(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static double Seconds() => (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds;
}
