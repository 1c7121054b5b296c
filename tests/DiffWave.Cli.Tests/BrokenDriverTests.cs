using DiffWave.Cuda.Tests;
using DiffWave.Emulator;

namespace DiffWave.Cli.Tests;

/// <summary>
/// Drivers that are missing, old or failing, under the whole program: <c>--device cuda</c> ends with the reason, <c>--device auto</c> warns once and makes what <c>--device cpu</c> makes.
/// </summary>
public sealed class BrokenDriverTests : IDisposable
{
    private readonly DiffWaveProgram _program = new();
    private readonly string _model;

    public BrokenDriverTests() => _model = _program.LivelyModel("tiny", "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "conditioner=none");

    public void Dispose() => _program.Dispose();

    private RunResult Synthesize(string device, string output, params string[] more) =>
        DiffWaveProgram.Run(["synthesize", "-m", _model, "--seconds", "0.005", "--bits", "32f", "--device", device, "-o", output == "-" ? output : _program[output], .. more]);

    private byte[] ByCpu()
    {
        Synthesize("cpu", "cpu.wav").Succeeds();
        return File.ReadAllBytes(_program["cpu.wav"]);
    }

    /// <summary>What is wrong, the exit code under --device cuda, words of the error, and whether auto has something to warn of.</summary>
    public static TheoryData<string, int, string, bool> Faults => new()
    {
        { "absent", 5, "no NVIDIA driver", false },
        { "too old", 5, "the driver knows CUDA 11.4 and 11.8 is needed; update the driver", true },
        { "without a function", 5, "driver too old: the driver has no cuGraphLaunch", true },
        { "no device", 5, "CUDA_ERROR_NO_DEVICE", false },
        { "no device visible", 5, "cuInit: CUDA_ERROR_NO_DEVICE", false },
        { "does not start", 5, "cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", true },
        { "context", 5, "CUDA_ERROR_DEVICE_UNAVAILABLE", true },
        { "context without memory", 6, "CUDA_ERROR_OUT_OF_MEMORY", true },
        { "stream", 5, "cuStreamCreate: CUDA_ERROR_UNKNOWN", true },
        { "compiler", 5, "ptxas fatal   : Unresolved extern function 'bogus'", true },
        { "no compiler", 5, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND", true },
        { "function", 5, "cuModuleGetFunction", true },
        { "allocation", 6, "CUDA_ERROR_OUT_OF_MEMORY", true },
        { "little memory", 6, "CUDA_ERROR_OUT_OF_MEMORY", true },
        { "page-locked memory", 6, "cuMemAllocHost", true },
        { "launch", 5, "CUDA_ERROR_LAUNCH_FAILED", true },
        { "copy to the device", 5, "cuMemcpyHtoDAsync", true },
        { "copy to the host", 5, "CUDA_ERROR_ILLEGAL_ADDRESS", true },
        { "wait", 5, "CUDA_ERROR_ECC_UNCORRECTABLE", true },
    };

    private static readonly string[] NotOpened = ["absent", "too old", "without a function", "no device", "no device visible", "does not start", "context"];

    private static StubCuda Broken(string fault)
    {
        var cuda = new StubCuda(fault == "little memory" ? new EmulatorOptions { MemoryBytes = 1 << 20 } : null);
        void Always(string function, CudaResult result)
        {
            for (int call = 1; call <= 20; call++) cuda.Fail(function, result, call);
        }
        switch (fault)
        {
            case "absent": cuda.IsAbsent = true; break;
            case "too old": cuda.Version = 11040; break;
            case "without a function": cuda.MissingFunction = "cuGraphLaunch"; break;
            case "no device": cuda.DeviceCount = 0; break;
            case "no device visible": Always("cuInit", CudaResult.NoDevice); break;
            case "does not start": Always("cuInit", CudaResult.SystemDriverMismatch); break;
            case "context": Always("cuDevicePrimaryCtxRetain", CudaResult.DeviceUnavailable); break;
            case "context without memory": Always("cuDevicePrimaryCtxRetain", CudaResult.OutOfMemory); break;
            case "stream": cuda.Fail("cuStreamCreate", CudaResult.Unknown); break;
            case "compiler": cuda.CompilerLog = "ptxas fatal   : Unresolved extern function 'bogus'\nptxas fatal   : Ptx assembly aborted due to errors"; break;
            case "no compiler": Always("cuModuleLoadDataEx", CudaResult.JitCompilerNotFound); Always("cuLinkCreate", CudaResult.JitCompilerNotFound); break;
            case "function": cuda.Fail("cuModuleGetFunction", CudaResult.NotFound, call: 3); break;
            case "allocation": Always("cuMemAlloc", CudaResult.OutOfMemory); break;
            case "little memory": break;
            case "page-locked memory": cuda.Fail("cuMemAllocHost", CudaResult.OutOfMemory); break;
            case "launch": cuda.Fail("cuLaunchKernel", CudaResult.LaunchFailed, call: 4); break;
            case "copy to the device": cuda.Fail("cuMemcpyHtoDAsync", CudaResult.Unknown); break;
            case "copy to the host": cuda.Fail("cuMemcpyDtoHAsync", CudaResult.IllegalAddress); break;
            case "wait": cuda.Fail("cuStreamSynchronize", CudaResult.EccUncorrectable); cuda.Fail("cuEventSynchronize", CudaResult.EccUncorrectable); break;
            default: throw new ArgumentException(fault);
        }
        return cuda;
    }

    [Theory, MemberData(nameof(Faults))]
    public void CudaFailsWithTheReasonAndAutoIsTheCpu(string fault, int code, string words, bool warns)
    {
        string[] before = _program.Files();
        using (StubCuda cuda = Broken(fault))
        {
            RunResult run = Synthesize("cuda", "out.wav");
            run.FailsWith(code, words);
            Assert.Equal(NotOpened.Contains(fault), run.Error.Contains("error: --device cuda: ", StringComparison.Ordinal)); // else the message begins with the call that failed
            Assert.Equal(before, _program.Files());
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
        byte[] expected = ByCpu();
        using (StubCuda cuda = Broken(fault))
        {
            RunResult run = Synthesize("auto", "out.wav", "--json").Succeeds();
            string[] warnings = [.. run.Error.Split('\n').Where(line => line.StartsWith("warning: ", StringComparison.Ordinal))];
            if (warns)
            {
                Assert.Contains(words, Assert.Single(warnings));
                Assert.Contains("computing on cpu (", warnings[0]);
            }
            else Assert.Empty(warnings);
            Assert.StartsWith("device: cpu (", run.Error.Split('\n').Last(line => line.StartsWith("device: ", StringComparison.Ordinal)));
            Assert.StartsWith("cpu (", (string)run.Json["device"]!);
            Assert.NotEqual("", (string)run.Json["device_reason"]!);
            Assert.Equal(expected, File.ReadAllBytes(_program["out.wav"]));
            Assert.Equal([.. before, "cpu.wav", "out.wav"], _program.Files().OrderBy(name => name.EndsWith(".wav", StringComparison.Ordinal)).ThenBy(name => name, StringComparer.Ordinal));
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
    }

    [Fact]
    public void AWrongIndexSaysHowManyThereAre()
    {
        using var cuda = new StubCuda { DeviceCount = 2 };
        Synthesize("cuda:2", "out.wav").FailsWith(5, "--device cuda:2: ", "CUDA_ERROR_INVALID_DEVICE", "the driver shows 2 GPUs");
        Synthesize("cuda:1", "out.wav").Succeeds();
    }

    [Fact]
    public void AutoPassesOverAGpuThatDoesNotOpen()
    {
        using var cuda = new StubCuda { DeviceCount = 2 };
        cuda.Fail("cuDevicePrimaryCtxRetain", CudaResult.DeviceUnavailable);
        RunResult run = Synthesize("auto", "out.wav").Succeeds();
        Assert.Contains("cuda:1", run.Error);
        Assert.DoesNotContain("warning", run.Error);
    }

    // Whichever call of a whole run fails: the file is the CPU's, or the GPU's where only giving things back went wrong.
    [Fact]
    public void AnyCallMayFail()
    {
        byte[] cpu = ByCpu(), gpu;
        int calls;
        using (var cuda = new StubCuda())
        {
            Synthesize("auto", "gpu.wav").Succeeds();
            (calls, gpu) = (cuda.AllCalls, File.ReadAllBytes(_program["gpu.wav"]));
        }
        Assert.NotEqual(cpu, gpu); // they round differently
        int replaced = 0;
        for (int call = 1; call <= calls; call += 1 + calls / 25)
        {
            using var cuda = new StubCuda();
            cuda.FailCall(call, call % 2 == 0 ? CudaResult.Unknown : CudaResult.IllegalAddress);
            RunResult run = Synthesize("auto", "any.wav", "--json").Succeeds();
            bool onCpu = ((string)run.Json["device"]!).StartsWith("cpu", StringComparison.Ordinal);
            Assert.Equal(onCpu ? cpu : gpu, File.ReadAllBytes(_program["any.wav"]));
            Assert.Equal(onCpu ? 1 : 0, run.Error.Split('\n').Count(line => line.StartsWith("warning: ", StringComparison.Ordinal)));
            if (onCpu) replaced++;
        }
        Assert.True(replaced >= 15, $"{replaced} of 26 runs");
    }

    // The same where nothing takes over. Step 1 instead of 11 tries every call.
    [Fact]
    public void AnyCallThatFailsIsNamed()
    {
        int calls;
        byte[] expected;
        using (var cuda = new StubCuda())
        {
            Synthesize("cuda", "gpu.wav").Succeeds();
            (calls, expected) = (cuda.AllCalls, File.ReadAllBytes(_program["gpu.wav"]));
        }
        string[] files = _program.Files();
        int runs = 0, failed = 0;
        for (int call = 1; call <= calls; call += 11, runs++)
        {
            using var cuda = new StubCuda();
            cuda.FailCall(call, CudaResult.Unknown);
            RunResult run = Synthesize("cuda", "any.wav");
            if (run.Code == 0)
            {
                Assert.Equal(expected, File.ReadAllBytes(_program["any.wav"])); // giving back, or asking what is nice to know
                File.Delete(_program["any.wav"]);
                continue;
            }
            run.FailsWith(5, cuda.Failed!, "CUDA_ERROR_UNKNOWN");
            Assert.Equal(files, _program.Files());
            failed++;
        }
        Assert.True(failed > runs / 2, $"{failed} of {runs} runs");
    }

    [Fact]
    public void NothingUnfinishedReachesStdout()
    {
        byte[] cpu = ByCpu();
        using (StubCuda cuda = Broken("launch")) Assert.Equal(cpu, Synthesize("auto", "-").RawOut);
        using var working = new StubCuda();
        RunResult run = Synthesize("auto", "-");
        Assert.Equal((0, cpu.Length), (run.Code, run.RawOut.Length));
    }

    // The second group of a shape is recorded as a graph, the third replays it. Here a group is a file.
    [Theory]
    [InlineData("cuStreamBeginCapture")]
    [InlineData("cuStreamEndCapture")]
    [InlineData("cuGraphInstantiateWithFlags")]
    [InlineData("cuGraphLaunch")]
    public void FinishedFilesStayTheGpusAndTheRestIsTheCpus(string function)
    {
        string model = _program.LivelyModel("mel", "--config", "tiny", "--set", "channels=8", "--set", "layers=2", "--set", "mel.bands=12");
        Directory.CreateDirectory(_program["in"]);
        foreach (string name in (string[])["0", "1", "2"]) File.Move(_program.Mel("some.npy", 2, bands: 12), _program[$"in/{name}.npy"]);
        (byte[][] Files, RunResult Run) Make(string device)
        {
            string folder = _program[Path.GetRandomFileName()];
            Directory.CreateDirectory(folder);
            RunResult run = DiffWaveProgram.Run("synthesize", "-m", model, "--mel", _program["in"], "-o", folder, "--device", device, "--bits", "32f", "--json", "--seconds", "0.008", "--chunk-seconds", "0.008");
            return ([.. Directory.GetFiles(folder).Order(StringComparer.Ordinal).Select(File.ReadAllBytes)], run);
        }
        byte[][] cpu = Make("cpu").Files, gpu;
        using (new StubCuda()) gpu = Make("cuda").Files;
        Assert.Equal((3, 3), (cpu.Length, gpu.Length));
        Assert.NotEqual(cpu[0], gpu[0]); // they round differently
        using (var cuda = new StubCuda())
        {
            cuda.Fail(function, CudaResult.Unknown);
            var (files, run) = Make("cuda");
            run.FailsWith(5, function, "CUDA_ERROR_UNKNOWN");
            Assert.Equal([gpu[0]], files);
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
        using (var cuda = new StubCuda())
        {
            cuda.Fail(function, CudaResult.Unknown);
            var (files, run) = Make("auto");
            Assert.Equal([gpu[0], cpu[1], cpu[2]], files);
            Assert.StartsWith("cpu (", (string)run.Succeeds().Json["device"]!);
            Assert.Single(run.Error.Split('\n'), line => line.StartsWith("warning: ", StringComparison.Ordinal) && line.Contains(function));
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
    }
}
