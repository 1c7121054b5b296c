using System.IO.Compression;
using System.Text.Json;

namespace DiffWave.Engine.Tests;

public sealed class TorchArchiveTests
{
    // kinds.json holds what torch itself says the tensors contain: transposed, sliced and permuted views, every element type, an empty and a scalar tensor.
    [Theory]
    [InlineData("kinds.pt")]
    [InlineData("kinds_legacy.pt")]
    public void Reads_every_kind_of_tensor(string name)
    {
        using var archive = TorchArchive.Open(ModelFiles.Golden($"torch/{name}"));
        var root = Assert.IsType<TorchDict>(archive.Root);
        var tensors = Assert.IsType<TorchDict>(root["tensors"]);
        using var expected = JsonDocument.Parse(File.ReadAllText(ModelFiles.Golden("torch/kinds.json")));
        Assert.Equal(expected.RootElement.EnumerateObject().Count(), tensors.Count);
        foreach (JsonProperty property in expected.RootElement.EnumerateObject())
        {
            var tensor = Assert.IsType<TorchTensor>(tensors[property.Name]);
            Assert.Equal(property.Value.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64()), tensor.Shape);
            if (TensorTypes.IsFloat(tensor.Storage.Type)) Assert.Equal(property.Value.GetProperty("values").EnumerateArray().Select(n => (float)n.GetDouble()), TorchFiles.Values(archive, tensor));
            else Assert.Contains("expected F32, F64, F16 or BF16", Assert.Throws<ModelFormatException>(() => TorchFiles.Values(archive, tensor)).Message);
        }
        Assert.False(((TorchTensor)tensors["transposed"]!).IsContiguous);
        Assert.True(((TorchTensor)tensors["plain"]!).IsContiguous);
    }

    [Theory]
    [InlineData("kinds.pt")]
    [InlineData("kinds_legacy.pt")]
    public void Reads_plain_values(string name)
    {
        using var archive = TorchArchive.Open(ModelFiles.Golden($"torch/{name}"));
        var values = (TorchDict)((TorchDict)archive.Root!)["values"]!;
        Assert.Equal(12L, values["step"]);
        Assert.Equal(1L << 40, values["large"]);
        Assert.Equal(-3L, values["negative"]);
        Assert.Equal(0.1, values["ratio"]);
        Assert.Null(values["none"]);
        Assert.Equal([true, false], (List<object?>)values["flags"]!);
        Assert.Equal("h\u00e9llo", values["text"]);
        Assert.Equal([1L, 2.5], (object?[])values["pair"]!);
    }

    // The checksums were computed from the tensors in torch: their sum, sum of squares, first and last element.
    [Theory]
    [InlineData("official_vocoder")]
    [InlineData("official_uncond")]
    public void Every_tensor_of_a_real_checkpoint_has_its_checksum(string name)
    {
        using var archive = TorchArchive.Open(ModelFiles.Golden($"{name}.pkl"));
        using var check = SafetensorsFile.Open(ModelFiles.Golden($"{name}.safetensors"));
        var state = (TorchDict)((TorchDict)archive.Root!)["model_state_dict"]!;
        using var names = JsonDocument.Parse(check.Metadata["check_names"]);
        double[] sums = check.ReadDoubles("check.sum"), squares = check.ReadDoubles("check.sumsq"), first = check.ReadDoubles("check.first"), last = check.ReadDoubles("check.last");
        Assert.Equal(names.RootElement.GetArrayLength(), state.Count);
        for (int i = 0; i < sums.Length; i++)
        {
            var tensor = (TorchTensor)state[names.RootElement[i][0].GetString()!]!;
            Assert.Equal(names.RootElement[i][1].EnumerateArray().Select(n => n.GetInt64()), tensor.Shape);
            double[] values = [.. TorchFiles.Values(archive, tensor)];
            Assert.Equal(first[i], values[0]);
            Assert.Equal(last[i], values[^1]);
            Assert.Equal(squares[i], values.Sum(value => value * value), 1e-12 * squares[i]);
            Assert.Equal(sums[i], values.Sum(), 1e-12 * values.Sum(Math.Abs));
        }
    }

    [Fact]
    public void A_compressed_archive_reads_the_same()
    {
        byte[] pickle = new Pickle().Tensor("FloatStorage", "0", 3, 0, [3], [1]).Stop(), data = [.. BitConverter.GetBytes(1f), .. BitConverter.GetBytes(-2f), .. BitConverter.GetBytes(0.5f)];
        foreach (CompressionLevel level in (CompressionLevel[])[CompressionLevel.NoCompression, CompressionLevel.SmallestSize])
        {
            using TorchArchive archive = TorchFiles.Open(TorchFiles.Zip(pickle, level, ("data/0", data), ("byteorder", "little"u8.ToArray())));
            Assert.Equal([1f, -2f, 0.5f], TorchFiles.Values(archive, (TorchTensor)archive.Root!));
        }
    }

    [Fact]
    public void A_damaged_weight_is_found_by_its_checksum()
    {
        byte[] file = TorchFiles.Zip(new Pickle().Tensor("FloatStorage", "0", 1, 0, [1], [1]).Stop(), others: ("data/0", [0x11, 0x22, 0x33, 0x44]));
        file[file.AsSpan().IndexOf((ReadOnlySpan<byte>)[0x11, 0x22, 0x33, 0x44])] ^= 1;
        using TorchArchive archive = TorchFiles.Open(file);
        Assert.Contains("'any name/data/0' does not match its checksum", Assert.Throws<ModelFormatException>(() => TorchFiles.Values(archive, (TorchTensor)archive.Root!)).Message);
    }

    [Fact]
    public void Crc32_of_the_standard_test_text() => Assert.Equal(0xCBF43926u, Crc32.Append(0, "123456789"u8));

    [Fact]
    public void Opening_and_reading_weights_leaves_the_optimiser_in_the_file()
    {
        string path = ModelFiles.Golden("uncond_tiny.pt");
        using var warm = TorchArchive.Open(path);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var archive = TorchArchive.Open(path);
        // 1.4 MB of tensors; the pickle and its objects take far less.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, 600_000);
    }

    [Theory]
    [InlineData(4, 0, new[] { 5 }, new[] { 1 }, "it reaches element 4")]
    [InlineData(4, 1, new[] { 4 }, new[] { 1 }, "it reaches element 4")]
    [InlineData(4, -1, new[] { 2 }, new[] { 1 }, "negative or too large")]
    [InlineData(4, 0, new[] { -2 }, new[] { 1 }, "negative or too large")]
    [InlineData(4, 0, new[] { 2 }, new[] { -1 }, "negative stride")]
    [InlineData(4, 0, new[] { 2, 2 }, new[] { 1 }, "2 dimensions and 1 strides")]
    [InlineData(4, 0, new[] { 1000, 1000 }, new[] { 0, 0 }, "more than the storage")]
    [InlineData(4, 0, new[] { int.MaxValue, int.MaxValue, int.MaxValue }, new[] { int.MaxValue, int.MaxValue, int.MaxValue }, "negative or too large")]
    [InlineData(4, 0, new[] { 2, 1 }, new[] { int.MaxValue, 1 }, "it reaches element 2147483647")]
    [InlineData(-4, 0, new[] { 1 }, new[] { 1 }, "has -4 elements")]
    public void A_tensor_outside_its_storage_is_refused(int count, int offset, int[] shape, int[] strides, string expected)
    {
        byte[] pickle = new Pickle().Tensor("FloatStorage", "0", count, offset, shape, strides).Stop();
        Assert.Contains(expected, Assert.Throws<ModelFormatException>(() => TorchFiles.Open(TorchFiles.Zip(pickle, others: ("data/0", new byte[16])))).Message);
    }

    [Fact]
    public void Containers_that_do_not_fit_their_pickle_are_refused()
    {
        byte[] pickle = new Pickle().Tensor("FloatStorage", "0", 1, 0, [1], [1]).Stop(), keys = new Pickle().Op(']').Text("0").Op('a').Stop();
        byte[] good = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63];
        string Refusal(byte[] file) => Assert.Throws<ModelFormatException>(() => TorchFiles.Open(file)).Message;
        using (TorchArchive archive = TorchFiles.Open(TorchFiles.Legacy(pickle, keys, good))) Assert.Equal([1f], TorchFiles.Values(archive, (TorchTensor)archive.Root!));
        Assert.Contains("storage '0' is missing", Refusal(TorchFiles.Legacy(pickle)));
        Assert.Contains("storage '0' twice", Refusal(TorchFiles.Legacy(pickle, new Pickle().Op(']').Text("0").Op('a').Text("0").Op('a').Stop(), [.. good, .. good])));
        Assert.Contains("a storage that no tensor uses", Refusal(TorchFiles.Legacy(pickle, new Pickle().Op(']').Text("1").Op('a').Stop(), good)));
        Assert.Contains("4 bytes after its last storage", Refusal(TorchFiles.Legacy(pickle, keys, [.. good, 0, 0, 0, 0])));
        Assert.Contains("is cut off", Refusal(TorchFiles.Legacy(pickle, keys, good[..^1])));
        Assert.Contains("has 2 elements, its tensors expect 1", Refusal(TorchFiles.Legacy(pickle, keys, [2, .. good[1..]])));
        Assert.Contains("magic number", Refusal(new Pickle().Int(5).Stop()));
        Assert.Contains("protocol 2", Refusal([0x80, 4, (byte)'N', (byte)'.']));
        Assert.Contains("is not a model file", Refusal("cos\nsystem\n"u8.ToArray()));
        Assert.Contains("storage '0' is missing", Refusal(TorchFiles.Zip(pickle)));
        Assert.Contains("storage '0' has 8 bytes, expected 4 (F32 [1])", Refusal(TorchFiles.Zip(pickle, others: ("data/0", new byte[8]))));
        Assert.Contains("big-endian", Refusal(TorchFiles.Zip(pickle, others: [("data/0", new byte[4]), ("byteorder", "big"u8.ToArray())])));
        Assert.Contains("0 entries named data.pkl", Refusal(Replace(TorchFiles.Zip(pickle), "data.pkl", "data.pxl")));
        Assert.Contains("2 entries named data.pkl", Refusal(TorchFiles.Zip(pickle, others: ("b/data.pkl", pickle))));
        Assert.Contains("zip has no end record", Refusal(TorchFiles.Zip(pickle)[..^1]));
        Assert.Contains("zip has 10001 entries, expected at most 10000", Refusal(TorchFiles.Zip(pickle, others: [.. Enumerable.Range(0, 10_000).Select(i => ($"{i}", Array.Empty<byte>()))])));
    }

    private static byte[] Replace(byte[] bytes, string from, string to)
    {
        byte[] a = System.Text.Encoding.ASCII.GetBytes(from), b = System.Text.Encoding.ASCII.GetBytes(to);
        for (int at; (at = bytes.AsSpan().IndexOf(a)) >= 0;) b.CopyTo(bytes, at);
        return bytes;
    }
}
