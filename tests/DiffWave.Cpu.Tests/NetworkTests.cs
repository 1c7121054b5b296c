using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class NetworkTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    internal static NetworkCase[] Cases =>
    [
        new(Setup.Config(8), 1, 1), new(Setup.Config(16, Conditioner.Mel), 3, 3), new(Setup.Config(24, Conditioner.Label), 777, 1), new(Setup.Config(33, Both, 33, [5, 5, 11], philsyn: true), 131, 3),
        new(Setup.Config(16, Conditioner.Mel, 80, [16, 16]), 512, 3), new(Setup.Config(8, Conditioner.Mel, 5, [15, 20], philsyn: true), 777, 1), new(Setup.Config(64, Both), 77, 1), new(Setup.Config(8, philsyn: true), 250, 3),
    ];

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void AsAccurateAsPlainFloat32(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        foreach (var c in Cases) c.AssertAsAccurateAsPlainFloat32(ops);
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void SameBitsForAnyThreadsAndVectorWidth(SimdLevel level)
    {
        using var one = Setup.Device(SimdLevel.Portable, threads: 1);
        foreach (int threads in new[] { 1, 2, 3 })
        {
            using var ops = Setup.Device(level, threads);
            foreach (var c in Cases)
            {
                one.Load(c.Config, c.Parameters);
                ops.Load(c.Config, c.Parameters);
                float[][] expected = Network.Evaluate(one, c.Config, c.Audio, c.Steps, c.Mels, c.Labels), actual = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels);
                for (int item = 0; item < c.Batch; item++) Setup.AssertSameBits($"{c}, {ops.Device}", expected[item], actual[item]);
            }
        }
    }

    [Fact]
    public void SameBitsForAnyChunk()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        foreach (var c in Cases)
        {
            ops.Load(c.Config, c.Parameters);
            int grain = Network.ChunkGrain(c.Config);
            float[][] expected = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels);
            foreach (int chunk in new[] { 2 * grain, 3 * grain, 7 * grain, 40 * grain })
            {
                float[][] actual = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels, chunk);
                for (int item = 0; item < c.Batch; item++) Setup.AssertSameBits($"{c}, chunks of {chunk}", expected[item], actual[item]);
            }
        }
    }

    // Only up to rounding: the uncut signal groups rows from time 0, the streaming network from a lag before it, and minimal filtering rounds by place in the group.
    [Fact]
    public void EqualsTheUncutNetworkUpToRounding()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        foreach (var c in Cases.Append(new NetworkCase(Setup.Config(16, Conditioner.Mel, 5, [15, 20]), 9000, 1)))
        {
            ops.Load(c.Config, c.Parameters);
            float[][] whole = WholeSignal.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels), actual = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels);
            for (int item = 0; item < c.Batch; item++)
            {
                double largest = whole[item].Max(Math.Abs), difference = Setup.MaxError([.. whole[item].Select(v => (double)v)], actual[item]);
                Assert.True(difference <= 1e-5 * largest, $"{c}: differs by {difference:g3}, largest value {largest:g3}");
            }
        }
    }

    [Fact]
    public void ABatchGivesTheBitsOfSeparateRuns()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        foreach (var c in Cases.Where(c => c.Batch > 1))
        {
            ops.Load(c.Config, c.Parameters);
            float[][] together = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels);
            for (int item = 0; item < c.Batch; item++)
                Setup.AssertSameBits($"{c}, item {item}", Network.Evaluate(ops, c.Config, [c.Audio[item]], [c.Steps[item]], c.Mels is { } mels ? [mels[item]] : null, c.Labels.Length > 0 ? [c.Labels[item]] : [])[0], together[item]);
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ANaNInAnyWeightReachesTheOutput(SimdLevel level)
    {
        using var ops = Setup.Device(level, threads: 1);
        foreach (bool philsyn in new[] { false, true })
        {
            var c = new NetworkCase(Setup.Config(8, Both, 5, [3, 2], philsyn, layers: 2, cycle: 2), 40, 1);
            float[] mel = Setup.Mels(c.Config, 1, c.Frames).Rows[0];
            foreach (var info in c.Parameters.Infos)
                foreach (int index in new[] { 0, info.Count - 1 })
                {
                    ref float weight = ref c.Parameters.Arena[info.Offset + index];
                    float kept = weight;
                    weight = float.NaN;
                    ops.Load(c.Config, c.Parameters);
                    float[] actual = Network.Evaluate(ops, c.Config, c.Audio, c.Steps, c.Mels, c.Labels)[0];
                    double[] truth = Reference<double>.Network(c.Config, c.Parameters, Reference<double>.Of(c.Audio[0]), c.Steps[0], Reference<double>.Of(mel), c.Labels[0]);
                    weight = kept;
                    AssertNoFiniteLie($"{info.Name}[{index}]", truth, actual);
                }
        }
    }

    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void ANaNInTheInputReachesItsSurroundings(SimdLevel level)
    {
        using var ops = Setup.Device(level, threads: 1);
        var c = new NetworkCase(Setup.Config(24, Conditioner.Mel, 5, [3, 2]), 200, 1);
        ops.Load(c.Config, c.Parameters);
        float[] mel = Setup.Mels(c.Config, 1, c.Frames).Rows[0];
        foreach (int at in new[] { 0, 77, 199 })
        {
            float[] audio = [.. c.Audio[0]];
            audio[at] = float.NaN;
            float[] actual = Network.Evaluate(ops, c.Config, [audio], c.Steps, c.Mels, [])[0];
            double[] truth = Reference<double>.Network(c.Config, c.Parameters, Reference<double>.Of(audio), c.Steps[0], Reference<double>.Of(mel), 0);
            Assert.Contains(truth, double.IsNaN);
            AssertNoFiniteLie($"input[{at}]", truth, actual);
        }
        var (sources, rows) = Setup.Mels(c.Config, 1, c.Frames);
        float[] bad = new float[rows[0].Length];
        for (int i = 0; i < bad.Length; i++) bad[i] = rows[0][i];
        bad[7 * c.Config.Bands + 2] = float.NaN;
        float[] columns = new float[bad.Length];
        for (int f = 0; f < c.Frames; f++)
            for (int m = 0; m < c.Config.Bands; m++) columns[m * c.Frames + f] = bad[f * c.Config.Bands + m];
        AssertNoFiniteLie("mel", Reference<double>.Network(c.Config, c.Parameters, Reference<double>.Of(c.Audio[0]), c.Steps[0], Reference<double>.Of(bad), 0),
            Network.Evaluate(ops, c.Config, c.Audio, c.Steps, [new MemoryMel(columns, c.Config.Bands, c.Frames)], [])[0]);
    }

    // Minimal filtering may spread a NaN to the few neighbours that share its tile; what stays finite must be right.
    private static void AssertNoFiniteLie(string what, double[] truth, float[] actual)
    {
        double largest = truth.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(1).Max();
        for (int i = 0; i < truth.Length; i++)
            if (!float.IsNaN(actual[i])) Assert.True(Math.Abs(truth[i] - actual[i]) <= 1e-5 * largest, $"{what}: eps[{i}] is {actual[i]}, expected {truth[i]}");
    }

    [Fact]
    public void RefusesWhatDoesNotFit()
    {
        using var ops = Setup.Device(SimdLevel.Auto, threads: 1);
        var labelled = new NetworkCase(Setup.Config(8, Conditioner.Label), 10, 1);
        ops.Load(labelled.Config, labelled.Parameters);
        Assert.Contains("label", Assert.Throws<ArgumentException>(() => Network.Evaluate(ops, labelled.Config, labelled.Audio, labelled.Steps, null, [])).Message);
        Assert.Contains("label 6", Assert.Throws<ArgumentException>(() => Network.Evaluate(ops, labelled.Config, labelled.Audio, labelled.Steps, null, [6])).Message);
        var mel = new NetworkCase(Setup.Config(8, Conditioner.Mel), 10, 1);
        Assert.Contains("mel", Assert.Throws<ArgumentException>(() => Network.Evaluate(ops, mel.Config, mel.Audio, mel.Steps, null, [])).Message);
        Assert.Contains("4 given", Assert.Throws<ArgumentException>(() => Network.Evaluate(ops, mel.Config, mel.Audio, mel.Steps, Setup.Mels(mel.Config, 1, 4).Sources, [])).Message);
        Assert.Contains("multiple", Assert.Throws<ArgumentException>(() => new NetworkWorkspace(ops, mel.Config, 1, Network.ChunkGrain(mel.Config) + 1)).Message);
        Assert.Throws<PlatformNotSupportedException>(() => CpuDevice.Create(1, (SimdLevel)99));
        Assert.Throws<ArgumentOutOfRangeException>(() => CpuDevice.Create(-1));
    }
}
