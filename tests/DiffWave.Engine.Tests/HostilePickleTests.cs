using System.Diagnostics;
using System.IO.Compression;

namespace DiffWave.Engine.Tests;

/// <summary>Pickles that would run code, or exhaust a reader, if something let them.</summary>
[Collection(nameof(Bounds))]
public sealed class HostilePickleTests
{
    private static readonly TorchImportOptions Options = new();

    // With a constructor the fields of this class, pickles of 120 MB among them, are there before any test, and not made while one counts what the importer allocates.
    static HostilePickleTests() { }

    public static TheoryData<string, string> ForbiddenGlobals => new(
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen"), ("os", "execv"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"),
        ("builtins", "__import__"), ("builtins", "open"), ("__builtin__", "eval"), ("subprocess", "Popen"), ("subprocess", "check_output"), ("commands", "getoutput"),
        ("socket", "socket"), ("pickle", "loads"), ("_pickle", "loads"), ("torch", "load"), ("torch.hub", "load"), ("torch.jit", "load"), ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_sparse_tensor"), ("torch._utils", "_rebuild_device_tensor_from_numpy"), ("torch.storage", "_load_from_bytes"),
        ("torch.nn.modules.linear", "Linear"), ("torch.nn.parallel.data_parallel", "DataParallel"), ("torch", "Size"), ("torch", "device"), ("torch", "EvilStorage"),
        ("torch.cuda", "FloatStorage"), ("torch", "FloatStorage.from_file"), ("torch.os", "system"), ("numpy.core.multiarray", "scalar"), ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "load"), ("operator", "attrgetter"), ("functools", "partial"), ("types", "FunctionType"), ("types", "CodeType"), ("codecs", "decode"), ("_codecs", "encode"),
        ("importlib", "import_module"), ("runpy", "run_path"), ("webbrowser", "open"), ("ctypes", "CDLL"), ("shutil", "rmtree"), ("collections", "defaultdict"), ("collections", "OrderedDict.fromkeys"),
        ("collections.OrderedDict", "x"), ("", "OrderedDict"), ("__torch__", "Model"));

    [Theory]
    [MemberData(nameof(ForbiddenGlobals))]
    public void A_forbidden_global_is_named_and_nothing_runs(string module, string name)
    {
        using var folder = new TemporaryFolder();
        string marker = folder.File("marker");
        byte[] call = new Pickle().Global(module, name).Op('(').Text($"touch {marker}").Op('t').Op('R').Stop();
        byte[] hidden = new Pickle().Op('}').Op('(').Text("model").Op('}').Text("params").Global(module, name).Op(')').Op('R').Op('u').Stop();
        byte[] state = new Pickle().Global("collections", "OrderedDict").Op(')').Op('R').Global(module, name).Op('b').Stop();
        byte[] nested = new Pickle().Global("torch._utils", "_rebuild_tensor_v2").Op('(').Global(module, name).Text($"touch {marker}").Raw(0x85).Op('R').Op('t').Op('R').Stop();
        foreach (byte[] pickle in (byte[][])[call, hidden, state, nested])
        {
            foreach (byte[] file in (byte[][])[TorchFiles.Zip(pickle), TorchFiles.Legacy(pickle)])
                Assert.Contains($"names '{module}.{name}', which is not allowed", Refusal(file));
        }
        Assert.False(File.Exists(marker));
    }

    public static TheoryData<string, byte[]> ForbiddenInstructions => new(
        ("INST", new Pickle().Op('(').Text("x").Raw("ios\nsystem\n"u8.ToArray()).Stop()),
        ("OBJ", new Pickle().Op('(').Global("collections", "OrderedDict").Op('o').Stop()),
        ("NEWOBJ", new Pickle().Global("collections", "OrderedDict").Op(')').Raw(0x81).Stop()),
        ("NEWOBJ_EX", new Pickle().Global("collections", "OrderedDict").Op(')').Op('}').Raw(0x92).Stop()),
        ("STACK_GLOBAL", new Pickle().Text("os").Text("system").Raw(0x93).Stop()),
        ("EXT1", new Pickle().Raw(0x82, 1).Stop()), ("EXT2", new Pickle().Raw(0x83, 1, 0).Stop()), ("EXT4", new Pickle().Raw(0x84, 1, 0, 0, 0).Stop()),
        ("PERSID", new Pickle().Raw("Pos.system\n"u8.ToArray()).Stop()), ("PROTO", new Pickle().Raw(0x80, 4).Stop()),
        ("LONG4", new Pickle().Raw(0x8b, 255, 255, 255, 127).Stop()), ("LONG", new Pickle().Raw("L9999999999L\n"u8.ToArray()).Stop()), ("INT", new Pickle().Raw("I1\n"u8.ToArray()).Stop()),
        ("FLOAT", new Pickle().Raw("F1\n"u8.ToArray()).Stop()), ("STRING", new Pickle().Raw("S'x'\n"u8.ToArray()).Stop()), ("UNICODE", new Pickle().Raw("Vx\n"u8.ToArray()).Stop()),
        ("BINSTRING", new Pickle().Raw(0x54, 255, 255, 255, 255).Stop()), ("BINBYTES8", new Pickle().Raw(0x8e, 255, 255, 255, 255, 255, 255, 255, 127).Stop()),
        ("BINUNICODE8", new Pickle().Raw(0x8d, 255, 255, 255, 255, 255, 255, 255, 127).Stop()), ("BYTEARRAY8", new Pickle().Raw(0x96, 255, 255, 255, 255, 255, 255, 255, 127).Stop()),
        ("FRAME", new Pickle().Raw(0x95, 255, 255, 255, 255, 255, 255, 255, 127).Stop()), ("MEMOIZE", new Pickle().Op('}').Raw(0x94).Stop()), ("NEXT_BUFFER", new Pickle().Raw(0x97).Stop()),
        ("EMPTY_SET", new Pickle().Raw(0x8f).Stop()), ("DUP", new Pickle().Op('}').Op('2').Stop()), ("0xFF", new Pickle().Raw(0xFF).Stop()));

    [Theory]
    [MemberData(nameof(ForbiddenInstructions))]
    public void A_forbidden_instruction_is_named(string name, byte[] pickle)
    {
        foreach (byte[] file in (byte[][])[TorchFiles.Zip(pickle), TorchFiles.Legacy(pickle)])
        {
            string message = Refusal(file);
            Assert.Contains($"has instruction {name}", message);
            Assert.Contains("(at byte ", message);
        }
    }

    private static readonly (string Expected, byte[] Pickle)[] Malformed =
    [
        ("has REDUCE on a dict", new Pickle().Op('}').Op(')').Op('R').Stop()),
        ("has REDUCE on text", new Pickle().Text("os.system").Op(')').Op('R').Stop()),
        ("has REDUCE on a storage", new Pickle().Global("torch", "FloatStorage").Op(')').Op('R').Stop()),
        ("has REDUCE on a tensor", new Pickle().Tensor("FloatStorage", "0", 1, 0, [1], [1]).Op(')').Op('R').Stop()),
        ("has REDUCE without a tuple", new Pickle().Global("collections", "OrderedDict").Op(']').Op('R').Stop()),
        ("OrderedDict with arguments", new Pickle().Global("collections", "OrderedDict").Op(']').Raw(0x85).Op('R').Stop()),
        ("_rebuild_parameter with other arguments", new Pickle().Global("torch._utils", "_rebuild_parameter").Op(')').Op('R').Stop()),
        ("_rebuild_tensor_v2 with other arguments", new Pickle().Global("torch._utils", "_rebuild_tensor_v2").Op(')').Op('R').Stop()),
        ("tensor dimension that is text", new Pickle().Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage("FloatStorage", "0", 1).Int(0).Text("x").Raw(0x85).Int(1).Raw(0x85, 0x89).Op('}').Op('t').Op('R').Stop()),
        ("has BUILD on something", new Pickle().Op(']').Op('}').Op('b').Stop()),
        ("has BUILD on something", new Pickle().Global("collections", "OrderedDict").Op('}').Op('b').Stop()),
        ("has a persistent id", new Pickle().Text("os.system").Op('Q').Stop()),
        ("has a persistent id", new Pickle().Op('(').Text("module").Global("torch", "FloatStorage").Text("0").Text("cpu").Int(1).Op('t').Op('Q').Stop()),
        ("storage '0' is F32 [1] and then F32 [2]", new Pickle().Storage("FloatStorage", "0", 1).Storage("FloatStorage", "0", 2).Stop()),
        ("empty stack", new Pickle().Op('R').Stop()),
        ("empty stack", new Pickle().Op('}').Op('(').Text("x").Op('s').Stop()),
        ("group that was not opened", new Pickle().Op('t').Stop()),
        ("without the container", new Pickle().Op('}').Op('N').Op('a').Stop()),
        ("without the container", new Pickle().Op('(').Text("a").Op('N').Op('u').Stop()),
        ("key without a value", new Pickle().Op('}').Op('(').Text("a").Op('u').Stop()),
        ("a key that is a list", new Pickle().Op('}').Op(']').Op('N').Op('s').Stop()),
        ("recalls memo number 7", new Pickle().Get(7).Stop()),
        ("memo number 4294967295", new Pickle().Op('}').Raw((byte)'r', 255, 255, 255, 255).Stop()),
        ("ends with 2 values", new Pickle().Op('N').Op('N').Stop()),
        ("ends with 0 values", new Pickle().Stop()),
        ("ends with 1 values", new Pickle().Op('N').Op('(').Stop()),
        ("text of 4294967295 bytes", new Pickle().Raw((byte)'X', 255, 255, 255, 255).Stop()),
        ("not UTF-8", new Pickle().Raw((byte)'X', 2, 0, 0, 0, 0xC3, 0x28).Stop()),
        ("whole number of 255 bytes", new Pickle().Raw(0x8a, 255).Repeat(255, 0x7F).Stop()),
        ("is nested over 64 levels", new Pickle().Repeat(100_000, (byte)'(').Stop()),
        ("over 10000 values on its stack", new Pickle().Repeat(100_000, (byte)']').Repeat(99_999, (byte)'a').Stop()),
        ("over 10000 values on its stack", new Pickle().Repeat(100_000, (byte)'N').Stop()),
        ("over 80000 containers", new Pickle().Op(']').Repeat(200_000, (byte)'}', (byte)'a').Stop()),
        ("over 80000 containers", new Pickle().Op(']').Repeat(160_000, (byte)'}', (byte)'K', 1, (byte)'N', (byte)'s', (byte)'a').Stop()),
        ("over 500000 instructions", new Pickle().Op(']').Repeat(600_000, (byte)'X', 1, 0, 0, 0, (byte)'x', (byte)'a').Stop()),
        ("over 16777216 bytes", new Pickle().Op(']').Repeat(300, [(byte)'X', 0, 0, 1, 0, .. new byte[1 << 16], (byte)'a']).Stop()),
        ("over 500000 instructions", new Pickle().Op(']').Repeat(600_000, (byte)'N', (byte)'a').Stop()),
        ("over 500000 instructions", new Pickle().Op('}').Repeat(1_000_000, (byte)'q', 0).Stop()),
        ("name of over 256 bytes", new Pickle().Op('c').Repeat(1_000_000, (byte)'a').Stop()),
        ("is cut off", [0x80, 2, (byte)'}', (byte)'(']),
        ("protocol 2", [0x80, 4, (byte)'N', (byte)'.']),
        ("protocol 2", "cos\nsystem\n(S'true'\ntR."u8.ToArray()),
    ];

    [Fact]
    public void A_malformed_pickle_is_refused_quickly_in_bounded_memory()
    {
        foreach (var (expected, pickle) in Malformed)
        {
            Bounds.Check(TorchFiles.Zip(pickle), file => Assert.Contains(expected, Refusal(file)), expected);
            if (pickle[0] == 0x80 && pickle[1] == 2 && expected != "is cut off") Bounds.Check(TorchFiles.Legacy(pickle), file => Assert.Contains(expected, Refusal(file)), expected);
        }
    }

    // Lists that hold the previous list twice, 200 levels: 2^200 elements for whoever walks it, 200 objects in memory.
    [Fact]
    public void A_memo_bomb_is_never_walked()
    {
        var lists = new Pickle().Op('(');
        for (byte level = 0; level < 200; level++)
        {
            lists.Op(']').Put(level);
            if (level > 0) lists.Op('(').Get((byte)(level - 1)).Get((byte)(level - 1)).Op('e');
        }
        byte[] bomb = lists.Op('t').Stop()[2..^1];
        var watch = Stopwatch.StartNew();
        Assert.Contains("does not hold a dict", Refusal(TorchFiles.Zip(new Pickle().Raw(bomb).Stop())));
        Assert.Contains("'x'", Refusal(TorchFiles.Zip(new Pickle().Op('}').Text("x").Raw(bomb).Op('s').Stop())));
        // As a setting that is read: the tuple is no list, the largest list holds no numbers.
        using TorchArchive archive = TorchFiles.Open(TorchFiles.Zip(new Pickle().Op('}').Op('(').Text("tuple").Raw(bomb).Text("noise_schedule").Get(199).Op('u').Stop()));
        ForeignSettings settings = ForeignSettings.From("test.pt", (TorchDict)archive.Root!);
        Assert.Contains("params.tuple is something else, expected a list", Assert.Throws<ModelFormatException>(() => settings.Doubles("tuple")).Message);
        Assert.Contains("params.noise_schedule is a list of 2, expected a list of numbers", Assert.Throws<ModelFormatException>(() => settings.Doubles("noise_schedule")).Message);
        Assert.True(watch.ElapsedMilliseconds < 2000, $"{watch.ElapsedMilliseconds} ms");
    }

    [Fact]
    public void A_zip_bomb_is_refused_before_it_is_unpacked()
    {
        byte[] zeros = new byte[80 << 20];
        byte[] bomb = TorchFiles.Zip(new Pickle().Op('}').Stop(), CompressionLevel.Fastest, ("data/0", zeros));
        Assert.InRange(bomb.Length, 0, 2 << 20);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("zip bomb", Refusal(bomb));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        // The same with a lie about its size: it is unpacked no further than declared.
        int at = bomb.AsSpan().LastIndexOf("PK\x01\x02"u8);
        BitConverter.TryWriteBytes(bomb.AsSpan(at + 24), 1 << 20);
        using TorchArchive _ = TorchFiles.Open(bomb);
        byte[] used = TorchFiles.Zip(new Pickle().Tensor("FloatStorage", "0", 4, 0, [4], [1]).Stop(), CompressionLevel.Fastest, ("data/0", zeros));
        at = used.AsSpan().LastIndexOf("PK\x01\x02"u8);
        BitConverter.TryWriteBytes(used.AsSpan(at + 24), 16);
        using TorchArchive archive = TorchFiles.Open(used);
        Assert.Contains("unpacks to more than the 16 bytes it declares", Assert.Throws<ModelFormatException>(() => TorchFiles.Values(archive, (TorchTensor)archive.Root!)).Message);
    }

    [Fact]
    public void Many_views_of_one_storage_cannot_ask_for_more_than_the_file()
    {
        var pickle = new Pickle().Op('}').Op('(').Text("model").Op('}').Op('(');
        for (int i = 0; i < 300; i++) pickle.Text($"w{i}").Tensor("FloatStorage", "0", 1000, 0, [1000], [1]);
        byte[] file = TorchFiles.Zip(pickle.Op('u').Op('u').Stop(), others: ("data/0", new byte[4000]));
        Assert.Contains("tensors overlap", Refusal(file));
        // Sparse views, far apart: reading all of them takes more than a few times the file.
        pickle = new Pickle().Op('(');
        for (int i = 0; i < 60; i++) pickle.Tensor("FloatStorage", "0", 1 << 20, 0, [2], [(1 << 20) - 1]);
        using TorchArchive archive = TorchFiles.Open(TorchFiles.Zip(pickle.Op('t').Stop(), others: ("data/0", new byte[4 << 20])));
        Assert.Contains("overlap so often", Assert.Throws<ModelFormatException>(() => { foreach (TorchTensor tensor in TorchFiles.Tensors(archive.Root)) TorchFiles.Values(archive, tensor); }).Message);
    }

    private static string Refusal(byte[] file) => Assert.Throws<ModelFormatException>(() => TorchImport.Import(new MemoryStream(file), "hostile.pt", Options)).Message;
}
