using DiffWave.Engine;

namespace DiffWave.Cuda;

// Operations recorded as CUDA graphs.
public sealed partial class CudaOps
{
    /// <inheritdoc/>
    public IRecording Record(Action operations)
    {
        var recording = new Recording(this, operations);
        recordings.Add(recording);
        return recording;
    }

    // Everything a graph has addresses of, besides the buffers of its operations.
    private readonly record struct Places(DeviceWeights? Weights, DeviceTraining? Training, (ulong Address, int Count) Losses, int Scratch, int Tables);

    private Places CurrentPlaces => new(current, training, losses, scratch.Version, tables.Version);

    // The first run calls the operations, so that every kernel is loaded and all working memory is there; the second captures them. When weights or working memory have moved, it starts again.
    private sealed class Recording(CudaOps ops, Action operations) : IRecording
    {
        private nint graph;
        private Places? seen; // when the operations ran last

        public void Run()
        {
            ObjectDisposedException.ThrowIf(!ops.recordings.Contains(this), this);
            if (seen != ops.CurrentPlaces)
            {
                Drop();
                seen = null;
                operations();
                seen = ops.CurrentPlaces;
                return;
            }
            if (graph == 0) graph = ops.driver.Record(ops.stream, operations);
            ops.driver.LaunchGraph(graph, ops.stream);
        }

        private void Drop()
        {
            if (graph == 0) return;
            nint dropped = graph;
            graph = 0;
            ops.driver.DestroyGraph(dropped);
        }

        public void Dispose()
        {
            if (ops.recordings.Remove(this)) Drop();
        }
    }
}
