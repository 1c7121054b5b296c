using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace DiffWave.Engine.Tests;

public sealed class SafetensorsTests
{
    private static SafetensorsFile Parse(byte[] file) => new(new MemoryStream(file), "test.safetensors");

    private static string Refusal(byte[] file) => Assert.Throws<ModelFormatException>(() => Parse(file).Dispose()).Message;

    [Fact]
    public void Reads_files_written_by_another_program()
    {
        using var file = SafetensorsFile.Open(ModelFiles.Golden("forward.safetensors"));
        Assert.Equal([3, 49], file.ReadInts("in.step_int"));
        Assert.Equal([17.3125f], file.ReadFloats("in.step_frac"));
        SafetensorsEntry output = file.Entry("cond.int.output_f64");
        Assert.Equal(TensorType.F64, output.DType);
        Assert.Equal([2L, 1, 1024], output.Shape);
        // The same output from a float32 and a float64 run of the model: they agree to 1.6e-6 as its maker measured.
        double[] exact = file.ReadDoubles("cond.int.output_f64");
        float[] single = file.ReadFloats("cond.int.output");
        Assert.True(exact.Zip(single, (a, b) => Math.Abs(a - b)).Max() < 2e-6);
        Assert.Equal(exact.Select(value => (float)value), file.ReadFloats("cond.int.output_f64"));
    }

    [Fact]
    public void Converts_every_type()
    {
        byte[] data =
        [
            .. Bytes(1.5, double.MaxValue), .. Bytes(-3L, long.MaxValue), .. Bytes(1.25f, -0f), .. Bytes(-7, 7), .. Bytes(4_000_000_000u, 1u),
            .. Bytes((Half)0.5, (Half)(-65504)), .. Bytes((ushort)0x3FC0, (ushort)0xC040), .. Bytes((short)-2, (short)2), .. Bytes((ushort)65535, (ushort)0),
            .. Bytes((sbyte)-128, (sbyte)127), 255, 0, 1, 0,
        ];
        (string Name, int Size)[] types = [("F64", 8), ("I64", 8), ("F32", 4), ("I32", 4), ("U32", 4), ("F16", 2), ("BF16", 2), ("I16", 2), ("U16", 2), ("I8", 1), ("U8", 1), ("BOOL", 1)];
        var header = new StringBuilder("{");
        int offset = 0;
        foreach (var (name, size) in types)
        {
            header.Append(offset > 0 ? "," : "").Append($"\"{name}\":{{\"dtype\":\"{name}\",\"shape\":[2],\"data_offsets\":[{offset},{offset + 2 * size}]}}");
            offset += 2 * size;
        }
        byte[] bytes = ModelFiles.Safetensors(header.Append('}').ToString(), data.Length);
        data.CopyTo(bytes, bytes.Length - data.Length);
        using SafetensorsFile file = Parse(bytes);
        Assert.Equal([1.5, double.MaxValue], file.ReadDoubles("F64"));
        Assert.Equal([1.5f, float.PositiveInfinity], file.ReadFloats("F64"));
        Assert.Equal([1.25f, -0f], file.ReadFloats("F32"));
        Assert.Equal([1.25, -0.0], file.ReadDoubles("F32"));
        Assert.Equal([0.5f, -65504f], file.ReadFloats("F16"));
        Assert.Equal([0.5, -65504.0], file.ReadDoubles("F16"));
        Assert.Equal([1.5f, -3f], file.ReadFloats("BF16"));
        Assert.Equal([1.5, -3.0], file.ReadDoubles("BF16"));
        Assert.Equal([-3, long.MaxValue], file.ReadInts("I64"));
        Assert.Equal([-7, 7], file.ReadInts("I32"));
        Assert.Equal([4_000_000_000, 1], file.ReadInts("U32"));
        Assert.Equal([-2, 2], file.ReadInts("I16"));
        Assert.Equal([65535, 0], file.ReadInts("U16"));
        Assert.Equal([-128, 127], file.ReadInts("I8"));
        Assert.Equal([255, 0], file.ReadInts("U8"));
        Assert.Equal([1, 0], file.ReadInts("BOOL"));
        Assert.Contains("'I64' has dtype I64, expected F32", Assert.Throws<ModelFormatException>(() => file.ReadFloats("I64")).Message);
        Assert.Contains("'F32' has dtype F32, expected an integer", Assert.Throws<ModelFormatException>(() => file.ReadInts("F32")).Message);
        Assert.Contains("tensor 'nope' is missing", Assert.Throws<ModelFormatException>(() => file.ReadInts("nope")).Message);
        Assert.Contains("has 2 elements, expected 3", Assert.Throws<ModelFormatException>(() => file.ReadFloats("F32", new float[3])).Message);
    }

    private static byte[] Bytes<T>(params T[] values) where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    [Fact]
    public void What_is_written_is_read_back_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("round.safetensors");
        var property = Prop.ForAll(Arbitrary(), tensors =>
        {
            var metadata = tensors.ToDictionary(tensor => $"key {tensor.Name}", tensor => $"\u00e9\"\\\n{tensor.Name}");
            SafetensorsFile.Write(path, metadata, tensors);
            byte[] first = File.ReadAllBytes(path);
            SafetensorsFile.Write(path, metadata.Reverse().ToDictionary(), tensors);
            Assert.Equal(first, File.ReadAllBytes(path));
            Assert.Equal(0ul, BitConverter.ToUInt64(first) % 8);
            using var file = SafetensorsFile.Open(path);
            Assert.Equal(metadata.OrderBy(pair => pair.Key), file.Metadata.OrderBy(pair => pair.Key));
            Assert.Equal(tensors.Select(tensor => tensor.Name), file.Entries.Select(entry => entry.Name));
            foreach (var (name, shape, data) in tensors)
            {
                Assert.Equal(shape, file.Entry(name).Shape);
                Assert.Equal(Bytes(data.ToArray()), Bytes(file.ReadFloats(name)));
            }
        });
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(60), property);
        Assert.Equal([path], Directory.GetFiles(folder.Path));
    }

    // Lists of tensors of rank 0 to 3 with dimensions from 0, and any bit pattern as a value, NaN payloads included.
    private static Arbitrary<(string Name, long[] Shape, ReadOnlyMemory<float> Data)[]> Arbitrary()
    {
        var shape = Gen.Choose(0, 3).SelectMany(rank => Gen.Choose(0, 5).Select(n => (long)n).ArrayOf(rank));
        var seed = Gen.Choose(int.MinValue, int.MaxValue);
        return shape.Zip(seed).ListOf().Select(list => list.Select((item, index) =>
        {
            var values = new float[item.Item1.Aggregate(1L, (a, b) => a * b)];
            new Random(item.Item2).NextBytes(MemoryMarshal.AsBytes(values.AsSpan()));
            return ($"t{index}.\u4e2d", item.Item1, (ReadOnlyMemory<float>)values);
        }).ToArray()).ToArbitrary();
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("x.safetensors");
        SafetensorsFile.Write(path, new Dictionary<string, string>(), [("a", [1], new float[] { 1 })]);
        byte[] before = SHA256.HashData(File.ReadAllBytes(path));
        Assert.Throws<ArgumentException>(() => SafetensorsFile.Write(path, new Dictionary<string, string>(), [("a", [2], new float[] { 1 })]));
        Assert.Throws<ArgumentException>(() => SafetensorsFile.Write(path, new Dictionary<string, string>(), [("a", [1], new float[1]), ("a", [1], new float[1])]));
        Assert.Equal(before, SHA256.HashData(File.ReadAllBytes(path)));
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    // The attacks published against readers of this format.
    [Fact]
    public void Attack_shape_product_wraps_around()
    {
        // 4194305 * 4194305 * 211106198978564 = 4 modulo 2^64.
        string message = Refusal(ModelFiles.Safetensors("""{"a":{"dtype":"U8","shape":[4194305,4194305,211106198978564],"data_offsets":[0,4]}}""", 4));
        Assert.Contains("product is below 2^63", message);
    }

    [Fact]
    public void Attack_size_in_bytes_wraps_around() =>
        Assert.Contains("needs 18446744073709551616 bytes", Refusal(ModelFiles.Safetensors("""{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}""")));

    [Fact]
    public void Attack_offsets_do_not_fit_the_shape() =>
        Assert.Contains("F32 [1000] needs 4000 bytes, its data_offsets [0, 4] hold 4", Refusal(ModelFiles.Safetensors("""{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4]}}""", 4)));

    [Theory]
    [InlineData("[-4,0]", "data_offsets entry that is no whole number")]
    [InlineData("[4,0]", "expected begin <= end")]
    [InlineData("[0,99999999999999999999]", "data_offsets entry that is no whole number")]
    [InlineData("[0,4.0]", "data_offsets entry that is no whole number")]
    [InlineData("[0]", "has 1 data_offsets")]
    [InlineData("[0,8]", "needs 4 bytes")]
    [InlineData("[4,8]", "expected 0: the data has a hole")]
    public void Attack_negative_reversed_or_missing_offsets(string offsets, string expected) =>
        Assert.Contains(expected, Refusal(ModelFiles.Safetensors("""{"a":{"dtype":"F32","shape":[1],"data_offsets":""" + offsets + "}}", 4)));

    [Fact]
    public void Attack_header_with_100_000_entries_is_read_in_linear_time()
    {
        static byte[] Many(int count)
        {
            var header = new StringBuilder("{");
            for (int i = 0; i < count; i++) header.Append(i > 0 ? "," : "").Append($"\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{4 * i},{4 * i + 4}]}}");
            return ModelFiles.Safetensors(header.Append('}').ToString(), 4 * count);
        }
        byte[] largest = Many(100_000);
        Parse(Many(1000)).Dispose();
        var watch = Stopwatch.StartNew();
        using SafetensorsFile file = Parse(largest);
        // A quadratic reader takes minutes; a linear one well under a second, whatever else the machine does.
        Assert.True(watch.ElapsedMilliseconds < 2000, $"{watch.ElapsedMilliseconds} ms");
        Assert.Equal(100_000, file.Entries.Count);
        Assert.Contains("over 100000 tensors", Refusal(Many(100_001)));
    }

    [Fact]
    public void Attack_empty_tensors_that_share_an_offset_are_read_and_cannot_hide_an_overlap()
    {
        using SafetensorsFile file = Parse(ModelFiles.Safetensors(
            """{"b":{"dtype":"F32","shape":[2,0],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"c":{"dtype":"F32","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}}""", 4));
        Assert.Equal(["b", "a", "c"], file.Entries.Select(entry => entry.Name));
        Assert.Empty(file.ReadFloats("b"));
        Assert.Empty(file.ReadFloats("c"));
        Assert.Single(file.ReadFloats("a"));
        Assert.Contains("an overlap", Refusal(ModelFiles.Safetensors(
            """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"z":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}""", 8)));
        Assert.Contains("an overlap", Refusal(ModelFiles.Safetensors(
            """{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8)));
    }

    [Theory]
    [InlineData("", "does not start with '{'")]
    [InlineData(" {}", "does not start with '{'")]
    [InlineData("[]", "does not start with '{'")]
    [InlineData("{", "not valid JSON")]
    [InlineData("{} {}", "not valid JSON")]
    [InlineData("""{"a":1}""", "'a' is a number, expected an object")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}""", "'a' twice")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", "'__metadata__' twice")]
    [InlineData("""{"__metadata__":{"k":"1","k":"2"}}""", "'k' twice")]
    [InlineData("""{"__metadata__":{"k":1}}""", "'k' is a number, expected a string")]
    [InlineData("""{"__metadata__":{"k":{"n":[[[]]]}}}""", "'k' is an object, expected a string")]
    [InlineData("""{"__metadata__":"k"}""", "'__metadata__' is a string, expected an object")]
    [InlineData("""{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}""", "dtype 'F31'")]
    [InlineData("""{"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}""", "dtype that is a number")]
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,4]}}""", "has no dtype")]
    [InlineData("""{"a":{"dtype":"F32","data_offsets":[0,4]}}""", "has no shape")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", "has no data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}""", "has key 'shape'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]}}""", "has key 'strides'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", "shape entry that is no whole number")]
    [InlineData("""{"a":{"dtype":"F32","shape":{"x":1},"data_offsets":[0,4]}}""", "shape that is an object")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}""", "over 16 entries in shape")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}""", "not valid JSON")]
    [InlineData("""{"a":/**/{}}""", "not valid JSON")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""", "cut off")]
    [InlineData("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}""", "bytes left over")]
    [InlineData("{}", "bytes left over")]
    public void Refuses_a_bad_header(string header, string expected) => Assert.Contains(expected, Refusal(ModelFiles.Safetensors(header, 4)));

    [Fact]
    public void Refuses_what_is_not_safetensors()
    {
        Assert.Contains("has 3 bytes", Refusal([1, 2, 3]));
        Assert.Contains("header length is 18446744073709551615, expected at most 1", Refusal([255, 255, 255, 255, 255, 255, 255, 255, 0]));
        Assert.Contains("not valid UTF-8", Refusal(ModelFiles.Safetensors([(byte)'{', (byte)'"', 0xC3, 0x28, (byte)'"', (byte)'}'], 0)));
        Assert.Contains("no such file", Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open("/nowhere/x.safetensors")).Message);
        Assert.Contains("is a folder", Assert.Throws<ModelFormatException>(() => SafetensorsFile.Open(AppContext.BaseDirectory)).Message);
    }
}
