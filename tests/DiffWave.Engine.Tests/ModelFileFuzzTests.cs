using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;

namespace DiffWave.Engine.Tests;

/// <summary>
/// Mutated model files, from a fixed seed: a reader may only succeed or throw <see cref="ModelFormatException"/>, within <see cref="Bounds"/>.
/// DIFFWAVE_FUZZ_COUNT sets the number of inputs, DIFFWAVE_FUZZ_SEED another seed (see tools/fuzz-models.sh).
/// </summary>
[Collection(nameof(Bounds))]
public sealed class ModelFileFuzzTests(ITestOutputHelper output)
{
    private static readonly int Seed = FromEnvironment("DIFFWAVE_FUZZ_SEED", 1);

    private static int FromEnvironment(string name, int otherwise) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;

    [Fact]
    public void Safetensors()
    {
        byte[][] corpus = SafetensorsCorpus();
        foreach (byte[] file in corpus) ReadSafetensors(file);
        Fuzz("safetensors", FromEnvironment("DIFFWAVE_FUZZ_COUNT", 20_000), (random, mutator) =>
        {
            byte[] file = mutator.Pick(corpus);
            return random.Next(3) switch
            {
                0 => mutator.Bytes(file, corpus),
                1 => mutator.Header(file),
                _ => mutator.Bytes(mutator.Header(file), corpus),
            };
        }, ReadSafetensors);
    }

    [Fact]
    public void Torch_checkpoints()
    {
        byte[][] corpus = [.. ((string[])["mini.pt", "mini_legacy.pt", "kinds.pt", "kinds_legacy.pt"]).Select(name => File.ReadAllBytes(ModelFiles.Golden($"torch/{name}"))), Deflated("mini.pt")];
        // The files inside the zips, so that changed content can be packed again with a correct checksum and reach what lies behind it.
        (string Name, byte[] Data)[][] opened = [.. corpus.Where(file => file[0] == 'P').Select(Unpack)];
        byte[][] pickles = [.. opened.Select(entries => entries.Single(entry => entry.Name.EndsWith("data.pkl")).Data)];
        foreach (byte[] file in corpus) ReadTorch(file);
        Fuzz("torch", FromEnvironment("DIFFWAVE_FUZZ_COUNT", 5_000), (random, mutator) =>
        {
            if (random.Next(2) == 0) return mutator.Bytes(mutator.Pick(corpus), corpus);
            var entries = ((string Name, byte[] Data)[])mutator.Pick(opened).Clone();
            int changed = random.Next(4) == 0 ? random.Next(entries.Length) : Array.FindIndex(entries, entry => entry.Name.EndsWith("data.pkl"));
            entries[changed].Data = mutator.Bytes(entries[changed].Data, pickles);
            return StoredZip(entries);
        }, ReadTorch);
    }

    // Real checkpoints, whose changed pickles and headers reach the end of the importer. Each is over a megabyte, hence fewer of them.
    [Fact]
    public void Whole_checkpoints()
    {
        byte[] headed = File.ReadAllBytes(ModelFiles.Golden("uncond_tiny.safetensors")), legacy = File.ReadAllBytes(ModelFiles.Golden("official_uncond.pkl"));
        var entries = Unpack(File.ReadAllBytes(ModelFiles.Golden("uncond_tiny.pt")));
        int pickle = Array.FindIndex(entries, entry => entry.Name.EndsWith("data.pkl"));
        int storages = legacy.AsSpan().IndexOf("residual_layer.residual_blocks.3"u8);
        var options = new TorchImportOptions { ConfigPath = ModelFiles.Golden("official_uncond.json") };
        Fuzz("whole checkpoints", FromEnvironment("DIFFWAVE_FUZZ_COUNT", 10_000) / 50, (random, mutator) =>
        {
            switch (random.Next(3))
            {
                case 0: return mutator.Header(headed);
                case 1: return [.. mutator.Bytes(legacy[..storages], [legacy[..storages]]), .. legacy[storages..]];
                default:
                    var changed = ((string Name, byte[] Data)[])entries.Clone();
                    changed[pickle].Data = mutator.Bytes(changed[pickle].Data, [changed[pickle].Data]);
                    return StoredZip(changed);
            }
        }, bytes =>
        {
            TorchImport.Import(new MemoryStream(bytes), "fuzz.pt", bytes[0] == 0x80 ? options : new TorchImportOptions());
            return true;
        });
    }

    private void Fuzz(string what, int count, Func<Random, Mutator, byte[]> make, Func<byte[], bool> read)
    {
        int accepted = 0;
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < count; i++)
        {
            // Each input has its own seed, so that a failure can be repeated alone.
            var random = new Random(HashCode(Seed, i));
            byte[] file = make(random, new Mutator(random));
            try
            {
                Bounds.Check(file, input => { try { if (read(input)) accepted++; } catch (ModelFormatException) { } }, $"{what} input {i} of seed {Seed}");
            }
            catch (Exception e)
            {
                Assert.Fail($"{what} input {i} of seed {Seed} ({file.Length} bytes) threw {e}");
            }
        }
        output.WriteLine($"{what}: {count} inputs, {accepted} accepted, {count / watch.Elapsed.TotalSeconds:f0} inputs/s");
        // A fuzzer whose inputs are all refused at the door, or none, tests nothing.
        Assert.InRange(accepted, 1, count - 1);
    }

    private static int HashCode(int seed, int index) => unchecked((seed * 0x9E3779B1u + (uint)index) * 0x85EBCA6Bu) is var hash ? (int)(hash ^ hash >> 15) : 0;

    private static bool ReadSafetensors(byte[] bytes)
    {
        using var file = new SafetensorsFile(new MemoryStream(bytes), "fuzz.safetensors");
        foreach (SafetensorsEntry entry in file.Entries)
        {
            if (TensorTypes.IsFloat(entry.DType)) file.ReadFloats(entry.Name);
            else if (entry.DType != TensorType.U64) file.ReadInts(entry.Name);
        }
        // None of the corpus is a whole model: loading always refuses, by the only exception allowed.
        if (Checkpoint.IsOurs(file)) Assert.Throws<ModelFormatException>(() => Checkpoint.Load(file));
        return true;
    }

    private static bool ReadTorch(byte[] bytes)
    {
        using (var archive = new TorchArchive(new MemoryStream(bytes), "fuzz.pt"))
            foreach (TorchTensor tensor in TorchFiles.Tensors(archive.Root))
                if (TensorTypes.IsFloat(tensor.Storage.Type)) TorchFiles.Values(archive, tensor);
        // None of the corpus is a whole model: the importer always refuses, by the only exception allowed.
        Assert.Throws<ModelFormatException>(() => TorchImport.Import(new MemoryStream(bytes), "fuzz.pt", new TorchImportOptions()));
        return true;
    }

    private static byte[][] SafetensorsCorpus()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("x.safetensors");
        var config = ModelFiles.SmallConfig;
        // The header of a real checkpoint, its metadata included, and three tensors of it: the whole would be megabytes of embedding weights.
        var metadata = new Dictionary<string, string> { ["format"] = "diffwave", ["format_version"] = "1", ["config"] = config.ToJson(), ["card"] = new ModelCard { Name = "n" }.ToJson() };
        SafetensorsFile.Write(path, metadata, [("input_projection.weight", [4, 1, 1], new float[4]), ("empty", [0, 3], Array.Empty<float>()), ("scalar", [], new float[1])]);
        byte[] ours = File.ReadAllBytes(path);
        SafetensorsFile.Write(path, new Dictionary<string, string> { ["params"] = "{\"noise_schedule\":[0.1]}" }, [("a", [2, 3], new float[6])]);
        byte[] mixed = ModelFiles.Safetensors(
            """{"__metadata__":{"k":"\u00e9\n"},"d":{"dtype":"F64","shape":[1,2],"data_offsets":[0,16]},"i":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},"h":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},"b":{"dtype":"BOOL","shape":[4],"data_offsets":[28,32]}}""", 32);
        return [ours, File.ReadAllBytes(path), mixed];
    }

    private static byte[] Deflated(string name)
    {
        (string Name, byte[] Data)[] entries = Unpack(File.ReadAllBytes(ModelFiles.Golden($"torch/{name}")));
        byte[] pickle = entries.Single(entry => entry.Name.EndsWith("/data.pkl")).Data;
        return TorchFiles.Zip(pickle, CompressionLevel.Optimal, [.. entries.Where(entry => entry.Name.Contains("/data/")).Select(entry => (entry.Name[(entry.Name.IndexOf('/') + 1)..], entry.Data))]);
    }

    private static (string Name, byte[] Data)[] Unpack(byte[] file)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        return [.. zip.Entries.Select(entry =>
        {
            var memory = new MemoryStream();
            using Stream stream = entry.Open();
            stream.CopyTo(memory);
            return (entry.FullName, memory.ToArray());
        })];
    }

    // A plain zip; the library's own writer is too slow for millions of inputs.
    private static byte[] StoredZip((string Name, byte[] Data)[] entries)
    {
        var file = new MemoryStream();
        var directory = new MemoryStream();
        Span<byte> fields = stackalloc byte[46];
        foreach (var (name, data) in entries)
        {
            byte[] nameBytes = Encoding.UTF8.GetBytes(name);
            int position = (int)file.Position;
            fields.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(fields, 0x02014b50);
            BinaryPrimitives.WriteUInt32LittleEndian(fields[16..], Crc32.Append(0, data));
            BinaryPrimitives.WriteInt32LittleEndian(fields[20..], data.Length);
            BinaryPrimitives.WriteInt32LittleEndian(fields[24..], data.Length);
            BinaryPrimitives.WriteInt16LittleEndian(fields[28..], (short)nameBytes.Length);
            BinaryPrimitives.WriteInt32LittleEndian(fields[42..], position);
            directory.Write(fields);
            directory.Write(nameBytes);
            // The header in front of the data: signature, then the fields from "flags" to the name's length.
            file.Write("PK\x03\x04"u8);
            file.Write(fields[6..32]);
            file.Write(nameBytes);
            file.Write(data);
        }
        fields.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(fields, 0x06054b50);
        BinaryPrimitives.WriteInt16LittleEndian(fields[8..], (short)entries.Length);
        BinaryPrimitives.WriteInt16LittleEndian(fields[10..], (short)entries.Length);
        BinaryPrimitives.WriteInt32LittleEndian(fields[12..], (int)directory.Length);
        BinaryPrimitives.WriteInt32LittleEndian(fields[16..], (int)file.Length);
        directory.WriteTo(file);
        file.Write(fields[..22]);
        return file.ToArray();
    }

    /// <summary>Random changes of a file: bits, bytes, numbers, cuts, copies and splices, and edits of a safetensors header's text.</summary>
    private sealed class Mutator(Random random)
    {
        private static readonly long[] Numbers = [0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 65536, int.MaxValue, int.MinValue, uint.MaxValue, long.MaxValue, long.MinValue, 1L << 40, 4194305, 211106198978564];
        private static readonly string[] Tokens =
            ["0", "-1", "1", "9223372036854775807", "18446744073709551616", "1e9", "0.5", "null", "true", "{}", "[]", "\"\"", "\"F32\"", "\"F64\"", "\"U64\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"",
             "\"__metadata__\"", "[[[[[[", "{\"a\":{", ",", ":", "]", "}", "\\ud800", "\u00e9", " ", "4194305,4194305,211106198978564"];

        public T Pick<T>(T[] items) => items[random.Next(items.Length)];

        public byte[] Bytes(byte[] file, byte[][] corpus)
        {
            var bytes = new List<byte>(file);
            for (int edits = 1 + random.Next(4); edits > 0 && bytes.Count > 0; edits--)
            {
                int at = random.Next(bytes.Count), length = Math.Min(bytes.Count - at, 1 + random.Next(1 << random.Next(8)));
                switch (random.Next(9))
                {
                    case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                    case 1: bytes[at] = (byte)random.Next(256); break;
                    case 2: bytes[at] = (byte)Pick(Numbers); break;
                    case 3: bytes.RemoveRange(at, length); break;
                    case 4: bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(at, length)); break;
                    case 5: bytes.RemoveRange(at, random.Next(4) == 0 ? bytes.Count - at : 1); break;
                    case 6:
                        byte[] number = BitConverter.GetBytes(Pick(Numbers));
                        for (int i = 0, width = 1 << random.Next(4); i < width && at + i < bytes.Count; i++) bytes[at + i] = number[i];
                        break;
                    case 7:
                        byte[] other = Pick(corpus);
                        int from = random.Next(other.Length);
                        bytes.InsertRange(at, other.AsSpan(from, Math.Min(other.Length - from, length)));
                        break;
                    default: CollectionsMarshal.AsSpan(bytes).Slice(at, length).Fill((byte)random.Next(256)); break;
                }
            }
            return [.. bytes];
        }

        /// <summary>Edits the header's text and writes the length that now fits.</summary>
        public byte[] Header(byte[] file)
        {
            int length = (int)BitConverter.ToUInt64(file);
            string text = Encoding.UTF8.GetString(file, 8, length);
            for (int edits = 1 + random.Next(3); edits > 0 && text.Length > 0; edits--)
            {
                int at = random.Next(text.Length), end = at;
                // Half of the time a whole number or word is replaced, otherwise a piece.
                if (random.Next(2) == 0) while (end < text.Length && char.IsAsciiLetterOrDigit(text[end]) == char.IsAsciiLetterOrDigit(text[at])) end++;
                else end = Math.Min(text.Length, at + random.Next(12));
                text = text[..at] + (random.Next(3) == 0 ? text[at..end] + text[at..end] : Pick(Tokens)) + text[end..];
            }
            byte[] header = Encoding.UTF8.GetBytes(text);
            return [.. BitConverter.GetBytes((ulong)header.Length), .. header, .. file[(8 + length)..]];
        }
    }
}
