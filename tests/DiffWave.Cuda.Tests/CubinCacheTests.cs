using DiffWave.Emulator;

namespace DiffWave.Cuda.Tests;

/// <summary>Kept cubins save the compilation and do nothing else, whatever happens to them.</summary>
public class CubinCacheTests
{
    // Loads the kernel in a process of its own as far as the cache can tell; how often it was compiled: as a cubin, and as text.
    private static (int Linked, int Loaded) Load(StubCuda cuda, string? ptx = null)
    {
        (int linked, int loaded) = (cuda.Calls("cuLinkComplete"), cuda.Calls("cuModuleLoadDataEx"));
        using (var driver = NvidiaDriver.Open())
        {
            nint module = driver.LoadModule(ptx ?? SmallProgram.Ptx);
            Assert.NotEqual(0, driver.GetFunction(module, SmallProgram.EntryName));
            driver.UnloadModule(module);
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);
        return (cuda.Calls("cuLinkComplete") - linked, cuda.Calls("cuModuleLoadDataEx") - loaded);
    }

    private static string[] Entries(StubCuda cuda) => Directory.Exists(cuda.CubinFolder) ? Directory.GetFiles(cuda.CubinFolder) : [];

    [Fact]
    public void A_kernel_is_compiled_once()
    {
        using var cuda = new StubCuda();
        Assert.Equal((1, 1), Load(cuda));
        Assert.Equal((0, 1), Load(cuda));
        Assert.EndsWith(".cubin", Assert.Single(Entries(cuda)));
        Assert.Equal(0x7F, File.ReadAllBytes(Entries(cuda)[0])[32]); // the image, behind its hash
    }

    [Fact]
    public void Another_text_driver_or_architecture_is_another_entry()
    {
        using var cuda = new StubCuda();
        Load(cuda);
        Assert.Equal((1, 1), Load(cuda, SmallProgram.Ptx + "\n// another"));
        cuda.Version = 13010;
        Assert.Equal((1, 1), Load(cuda));
        Assert.Equal(3, Entries(cuda).Length);
        Assert.NotEqual(CubinCache.Key("x", 13000, 90), CubinCache.Key("x", 13000, 80));
    }

    [Theory]
    [InlineData("empty"), InlineData("short"), InlineData("cut"), InlineData("flipped"), InlineData("swapped"), InlineData("locked")]
    public void A_damaged_entry_is_ignored_and_replaced(string damage)
    {
        using var cuda = new StubCuda();
        Load(cuda);
        string path = Entries(cuda)[0];
        byte[] whole = File.ReadAllBytes(path);
        switch (damage)
        {
            case "empty": File.WriteAllBytes(path, []); break;
            case "short": File.WriteAllBytes(path, whole[..20]); break;
            case "cut": File.WriteAllBytes(path, whole[..^1]); break;
            case "flipped":
                byte[] flipped = [.. whole];
                flipped[100] ^= 1;
                File.WriteAllBytes(path, flipped);
                break;
            case "swapped": File.WriteAllBytes(path, [.. whole[32..], .. whole[..32]]); break;
            case "locked":
                File.Delete(path);
                Directory.CreateDirectory(path); // nothing to read, and nothing can be renamed over it
                break;
        }
        Assert.Equal((1, 1), Load(cuda));
        if (damage == "locked") return;
        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.Equal((0, 1), Load(cuda));
    }

    [Fact]
    public void A_kept_cubin_the_driver_refuses_is_replaced()
    {
        using var cuda = new StubCuda();
        Load(cuda);
        string path = Entries(cuda)[0];
        byte[] whole = File.ReadAllBytes(path);
        new CubinCache(cuda.CubinFolder).Write(Path.GetFileNameWithoutExtension(path), [0x7F, (byte)'E', (byte)'L', (byte)'F', 12, 0, 0, 0, 0, 0, 0, 0]); // for another architecture
        Assert.Equal((1, 2), Load(cuda));
        Assert.Equal(whole, File.ReadAllBytes(path));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_no_error()
    {
        using var cuda = new StubCuda();
        string file = cuda.CubinFolder + ".file";
        File.WriteAllText(file, "");
        try
        {
            foreach (string folder in (string[])[Path.Combine(file, "below"), "a\0b"])
            {
                cuda.CubinFolder = folder;
                Assert.Equal((1, 1), Load(cuda));
                Assert.Equal((1, 1), Load(cuda));
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Off_keeps_nothing()
    {
        using var cuda = new StubCuda();
        cuda.CubinFolder = "off";
        Assert.Equal((0, 1), Load(cuda));
        Assert.Equal((0, 1), Load(cuda));
        Assert.False(Directory.Exists("off"));
    }

    [Theory]
    [InlineData("cuLinkCreate"), InlineData("cuLinkAddData"), InlineData("cuLinkComplete")]
    public void Without_a_linker_the_text_is_loaded(string function)
    {
        using var cuda = new StubCuda();
        cuda.Fail(function, CudaResult.JitCompilerNotFound);
        Assert.Equal(1, Load(cuda).Loaded);
        Assert.Empty(Entries(cuda));
    }

    [Fact]
    public void What_was_used_longest_ago_goes_first()
    {
        string folder = Directory.CreateTempSubdirectory("diffwave-cubin-").FullName;
        try
        {
            var cache = new CubinCache(folder, maxBytes: 3 * (32 + 100));
            byte[] cubin = new byte[100];
            void Age(string key, int days) => File.SetLastWriteTimeUtc(Path.Combine(folder, key + ".cubin"), DateTime.UtcNow.AddDays(-days));
            foreach (string key in (string[])["a", "b", "c"]) cache.Write(key, cubin);
            Age("a", 3);
            Age("b", 2);
            Age("c", 1);
            Assert.NotNull(cache.Read("a")); // used again
            File.WriteAllBytes(Path.Combine(folder, "x.cubin.unfinished"), new byte[50]);
            File.SetLastWriteTimeUtc(Path.Combine(folder, "x.cubin.unfinished"), DateTime.UtcNow.AddDays(-9));
            File.WriteAllText(Path.Combine(folder, "notes.txt"), "not ours");
            cache.Write("d", cubin);
            Assert.Equal(["a.cubin", "c.cubin", "d.cubin", "notes.txt"], Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            Assert.Null(cache.Read("b"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Many_at_once_never_see_a_part()
    {
        string folder = Directory.CreateTempSubdirectory("diffwave-cubin-").FullName;
        try
        {
            byte[] first = new byte[200_000], second = new byte[150_000];
            new Random(1).NextBytes(first);
            new Random(2).NextBytes(second);
            Parallel.For(0, 60, i =>
            {
                var cache = new CubinCache(folder);
                cache.Write("k", i % 2 == 0 ? first : second);
                byte[]? kept = cache.Read("k");
                Assert.True(kept is not null && (kept.AsSpan().SequenceEqual(first) || kept.AsSpan().SequenceEqual(second)));
            });
            Assert.Single(Directory.GetFiles(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
