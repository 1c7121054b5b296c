using System.Text.Json.Nodes;
using DiffWave.Cuda.Tests;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cli.Tests;

/// <summary>diffwave check --kernels: that it covers everything, says where its bounds come from, and fails when a device computes nothing.</summary>
public sealed class CheckKernelsTests
{
    // Operations that only take notes or hand out numbers others are compared by, and FoldBiases, which in fp32 does nothing.
    private static readonly string[] NotCompared = ["get_Device", "get_Precision", "get_PrefersWholeSignals", "get_SamplingBudget", "get_TrainingBudget", "get_ActivationBytes", "get_BlocksProjectMel", "ConditionersAtOnce", "WindowRows", "WorkingRowBytes", "Load", "Allocate", "AllocateActivation",
        "AllocateSignal", "Upload", "Download", "BeginDownload", "SetSeed", "FoldBiases", "BeginStep", "LoadTraining", "ReadTraining", "ZeroGradients", "ReadGradients", "ReadLosses"];

    private static string[] NamesOf(JsonNode random, string part) => [.. random[part]!.AsArray().Select(line => ((string)line!["name"]!).Split('(')[0]).Distinct()];

    [Fact]
    public void EveryKernelAndEveryOperationIsRun()
    {
        RunResult run = DiffWaveProgram.Run("check", "--kernels", "--device", "emulator", "--seed", "3", "--count", "1", "--json").Succeeds();
        Assert.Contains("seed: 3", run.Error);
        JsonNode random = run.Json["random"]!;
        Assert.Equal(KernelCatalog.All.Select(version => version.Name).Order(), NamesOf(random, "kernels").Order());
        HashSet<string> operations = [.. NamesOf(random, "operations")];
        string[] Missing() => [.. typeof(IOps).GetMethods().Select(method => method.Name).Except(NotCompared).Except(operations)];
        for (int seed = 1; seed <= 10 && Missing().Length > 0; seed++) operations.UnionWith(OnTheEmulator(seed).Select(line => line.Name.Split('(')[0])); // a random model may lack mel or labels
        Assert.Empty(Missing());
        Assert.All(random["operations"]!.AsArray().Concat(random["kernels"]!.AsArray()), line =>
        {
            Assert.True((bool)line!["ok"]!);
            Assert.True((double)line["max_error"]! <= (double)line["bound"]!);
            Assert.NotEqual("", (string)line["bound_reason"]!);
        });
        Assert.Equal((int)random["total"]!, random["kernels"]!.AsArray().Count + random["operations"]!.AsArray().Count);
    }

    private static IReadOnlyList<DeviceCheckLine> OnTheEmulator(int seed)
    {
        using var driver = new Emulator.EmulatedDriver();
        using IOps cpu = Cpu.CpuDevice.Create(1), device = new Cuda.CudaOps(driver);
        IReadOnlyList<DeviceCheckLine> lines = OpsCheck.Run(cpu, device, new Random(seed));
        Assert.All(lines, line => Assert.False(line.Failed, $"{line}"));
        return lines;
    }

    [Fact]
    public void ADeviceThatComputesNothingFailsEverything()
    {
        using var cuda = new StubCuda { SkipsLaunches = true };
        RunResult run = DiffWaveProgram.Run("check", "--kernels", "--device", "cuda", "--seed", "3", "--count", "1", "--json");
        Assert.Equal(1, run.Code);
        JsonNode random = run.Json["random"]!;
        string[] failed = [.. random["operations"]!.AsArray().Concat(random["kernels"]!.AsArray()).Where(line => !(bool)line!["ok"]!).Select(line => (string)line!["name"]!).Distinct()];
        Assert.Equal(["Clear"], NamesOf(random, "operations").Concat(NamesOf(random, "kernels")).Except(failed.Select(name => name.Split('(')[0]))); // a fill, no launch
        Assert.Equal(failed.Length > 0, (int)random["failed"]! > 0);
    }

    [Fact]
    public void OneKernelAndASeedGiveTheSameShapesAgain()
    {
        RunResult first = DiffWaveProgram.Run("check", "--kernels", "--kernel", "gated_activation_v2", "--seed", "11", "--count", "4").Succeeds(),
            second = DiffWaveProgram.Run("check", "--kernels", "--kernel", "gated_activation_v2", "--seed", "11", "--count", "4").Succeeds(),
            other = DiffWaveProgram.Run("check", "--kernels", "--kernel", "gated_activation_v2", "--seed", "12", "--count", "4").Succeeds();
        Assert.Equal(first.Out, second.Out);
        Assert.NotEqual(first.Out, other.Out);
        Assert.StartsWith("device: emulator (", first.Error); // auto: there is no GPU
        Assert.Equal(5, first.Out.TrimEnd().Split('\n').Length);
        Assert.EndsWith("4 results: 4 ok, 0 failed, on emulator (sm_90, for checking), seed 11", first.Out.TrimEnd());
        Assert.All(first.Out.Split('\n').Take(4), line => Assert.Matches(@"^ok    gated_activation_v2  rows=\d+,channels=\d+\S*  y  error .* bound .* \(.+\)", line));
    }

    [Fact]
    public void DrawnShapesAreOnesTheKernelTakes()
    {
        var random = new Random(1);
        foreach (KernelVersion version in KernelCatalog.All)
        {
            KernelShape[] shapes = [.. Enumerable.Range(0, 30).Select(_ => KernelsCheck.Draw(version, random))];
            Assert.All(shapes, shape => Assert.Null(version.Problem(shape)));
            Assert.True(shapes.Count(shape => version.Shapes.All(known => $"{known}" != $"{shape}")) >= 10, $"{version.Name} is hardly ever tried at a new shape");
        }
    }

    [Fact]
    public void WhatADeviceCannotRunIsNoFailure()
    {
        // sm_86 has 99 KiB of shared memory a block, sm_75 neither cp.async nor bf16.
        Assert.Matches(@"^--    residual_block_resident_v2  .*  not run: a block needs \d+ bytes of shared memory, one of emulated sm_86 may have 101376$", $"{OnArchitecture(86, "residual_block_resident_v2")}");
        Assert.EndsWith("not run: needs sm_80, emulated sm_75 is sm_75", $"{OnArchitecture(75, "residual_block_resident_v2")}");
        Assert.StartsWith("ok ", $"{OnArchitecture(75, "gated_activation_v1")}");
    }

    private static DeviceCheckLine OnArchitecture(int sm, string kernel)
    {
        using var driver = new Emulator.EmulatedDriver(new Emulator.EmulatorOptions { Sm = sm });
        using var runner = new Cuda.KernelRunner(driver);
        KernelVersion version = KernelCatalog.Find(kernel)!;
        DeviceCheckLine line = Assert.Single(KernelsCheck.Run(runner, version, version.Shapes[0]));
        Assert.False(line.Failed, $"{line}");
        return line;
    }

    [Fact]
    public void GoldenAndKernelsTogether()
    {
        using var program = new DiffWaveProgram();
        foreach (string name in (string[])["uncond_tiny.pt", "uncond_tiny.safetensors"]) File.Copy(DiffWaveProgram.Fixture($"golden/{name}"), program[name]);
        JsonObject json = DiffWaveProgram.Run("check", "--golden", program.Folder, "--kernels", "--kernel", "block_sum_v1", "--json").Succeeds().Json;
        Assert.Equal((35, 0), ((int)json["total"]!, (int)json["failed"]!));
        Assert.Equal((5, 0), ((int)json["random"]!["total"]!, (int)json["random"]!["failed"]!));
    }
}
