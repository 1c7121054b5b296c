using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The reverse chain by <see cref="CudaOps"/> on the emulator: whole signals, pipelines and recordings.</summary>
public class CudaSamplerTests
{
    private static readonly IReadOnlyList<SamplerStep> ThreeSteps = SamplerStep.Chain(new NoiseSchedule([1e-3, 0.05, 0.5]), SamplerSetup.Training);

    private static NetworkCase[] Cases =>
    [
        new(Setup.Config(8, Conditioner.Mel, 8, [5, 4]), 130, 3), new(Setup.Config(16), 1, 1), new(Setup.Config(5, Conditioner.Label), 67, 2),
        new(Setup.Config(12, Conditioner.Mel | Conditioner.Label, 33, [2], philsyn: true), 90, 1),
    ];

    [Fact]
    public void AsAccurateAsPlainFloat32()
    {
        using var device = new OpsUnderTest();
        foreach (NetworkCase c in Cases)
        {
            device.Ops.Load(c.Config, c.Parameters);
            Setup.AssertAsGoodAsNaive($"audio, {c}", SamplerSetup.Chain<double>(c), SamplerSetup.Chain<float>(c), SamplerSetup.Run(device.Ops, c, SamplerSetup.Request(c))[0]);
        }
    }

    [Fact]
    public void AWholeSignalAPipelineAndPassesGiveTheSameBits()
    {
        using var device = new OpsUnderTest(checks: false);
        using var smallLaunches = new OpsUnderTest(checks: false, options: new CudaOptions { LaunchValues = 600 });
        foreach (NetworkCase c in Cases)
        {
            device.Ops.Load(c.Config, c.Parameters);
            smallLaunches.Ops.Load(c.Config, c.Parameters);
            SamplerRequest request = SamplerSetup.Request(c, ThreeSteps);
            float[][] expected = SamplerSetup.Run(device.Ops, c, request);
            int grain = Network.ChunkGrain(c.Config);
            Compare("noise of the host", SamplerSetup.Run(device.Ops, c, request with { Noise = new SamplerSetup.ItemNoise(request.Noise, 0) }));
            Compare("small launches", SamplerSetup.Run(smallLaunches.Ops, c, request));
            Compare("a pipeline", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = grain }));
            Compare("a pipeline in other chunks", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = 3 * grain }));
            Compare("a step a pass", SamplerSetup.Run(device.Ops, c, request with { ChunkRows = grain, MemoryBudget = 1 }));
            Compare("no memory for the conditioner", SamplerSetup.Run(device.Ops, c, request with { MemoryBudget = WithoutMel(c, device.Ops) }));
            for (int item = 0; item < c.Batch && c.Batch > 1; item++)
                Setup.AssertSameBits($"{c}, item {item} alone", SamplerSetup.Run(device.Ops, c, SamplerSetup.Alone(request, item))[0], expected[item]);

            void Compare(string what, float[][] actual)
            {
                for (int item = 0; item < c.Batch; item++) Setup.AssertSameBits($"{c}, {what}", expected[item], actual[item]);
            }
        }
    }

    // The smallest budget at which a chain is held whole: its conditioner is then computed in every step.
    private static long WithoutMel(NetworkCase c, CudaOps ops)
    {
        long budget = 1000;
        while (WholeChain.Shape.Of(c.Config, ops, SamplerSetup.Request(c, ThreeSteps), 0, c.Batch, budget) is null) budget += budget / 16;
        Assert.False(WholeChain.Shape.Of(c.Config, ops, SamplerSetup.Request(c, ThreeSteps), 0, c.Batch, budget)!.KeepsMel);
        return budget;
    }

    [Fact]
    public void AReplayedRecordingIsAFreshRun()
    {
        using var device = new OpsUnderTest();
        CudaOps ops = device.Ops;
        NetworkCase c = new(Setup.Config(8, Conditioner.Mel | Conditioner.Label, 8, [5, 4]), 130, 2);
        Parameters other = Setup.Weights(c.Config, seed: 5);
        using var kept = new Sampler(c.Config, ops);
        for (ulong run = 1; run <= 6; run++)
        {
            Parameters weights = run == 4 ? other : c.Parameters; // other weights of the same model: the recording stays
            if (run == 5) Disturb(ops); // another model and more working memory in between: it is made again
            ops.Load(c.Config, weights);
            uint offset = (uint)run * 100;
            var mels = Enumerable.Range(0, 2).Select(item => new DiffWave.Audio.MemoryMel(Setup.Normals(8 * c.Frames, offset + (uint)item), 8, c.Frames)).ToArray();
            SamplerRequest request = SamplerSetup.Request(c, ThreeSteps) with { Noise = new SeededNoise(run), Mels = mels, Labels = [(int)run % 6, 2] };
            float[][] replayed = SamplerSetup.Run(kept, request);
            using var fresh = new OpsUnderTest(checks: false);
            fresh.Ops.Load(c.Config, weights);
            float[][] expected = SamplerSetup.Run(fresh.Ops, c, request);
            for (int item = 0; item < 2; item++) Setup.AssertSameBits($"run {run}, item {item}", expected[item], replayed[item]);
        }
    }

    private static void Disturb(CudaOps ops)
    {
        NetworkCase large = new(Setup.Config(24, Conditioner.Mel, 16, [10]), 300, 3);
        ops.Load(large.Config, large.Parameters);
        SamplerSetup.Run(ops, large, SamplerSetup.Request(large, ThreeSteps));
    }

    [Fact]
    public void ARecordingThatFailsLeavesTheDeviceUsable()
    {
        using var device = new OpsUnderTest();
        using var buffers = new Buffers(device.Ops);
        IBuffer buffer = buffers.Of([[1, 2, 3]], 1), copy = buffers.New(1, 3, 1);
        int runs = 0;
        using IRecording recording = device.Ops.Record(() =>
        {
            device.Ops.Copy(new Window(buffer, 0), new Window(copy, 0), 3);
            if (++runs == 2) throw new OperationCanceledException(); // while it is captured
        });
        recording.Run();
        Assert.Throws<OperationCanceledException>(recording.Run);
        device.Ops.Upload([4, 5, 6], buffer, 0, 0);
        recording.Run();
        Assert.Equal([4, 5, 6], buffers.Read(copy, 0, 0, 3));
        device.Ops.Upload([7, 8, 9], buffer, 0, 0);
        recording.Run();
        Assert.Equal([7, 8, 9], buffers.Read(copy, 0, 0, 3));
        Assert.Equal(3, runs); // the last one was a replay
        recording.Dispose();
        Assert.Throws<ObjectDisposedException>(recording.Run);
        using IRecording uploading = device.Ops.Record(() => device.Ops.Upload([1, 2, 3], buffer, 0, 0));
        uploading.Run();
        Assert.Throws<InvalidOperationException>(uploading.Run); // a replay would upload what the host holds then
    }

    [Fact]
    public void OutOfMemorySaysHowMuchAndWhatToDo()
    {
        using var device = new OpsUnderTest(options: new CudaOptions { MemoryBudget = 4 << 20 });
        var e = Assert.Throws<CudaException>(() => device.Ops.Allocate(2, 1 << 20, 3));
        Assert.Equal("CUDA_ERROR_OUT_OF_MEMORY", e.Error);
        Assert.Contains("allocate 25165824 bytes", e.Message, StringComparison.Ordinal);
        Assert.Contains("budget of 4194304", e.Message, StringComparison.Ordinal);
        Assert.Contains("smaller batch or length", e.Message, StringComparison.Ordinal);
        using IBuffer small = device.Ops.Allocate(1, 5, 3);
        float[] zeros = new float[15];
        device.Ops.Download(small, 0, 0, zeros);
        Assert.Equal(new float[15], zeros);
        // The chain takes what there is: a budget of its own is kept below the device's.
        Assert.InRange(device.Ops.SamplingBudget, 3 << 20, 4 << 20);
    }
}
