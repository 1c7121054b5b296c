using DiffWave.Engine;

namespace DiffWave.Cpu;

// Backward of the step embedding and of the label: one row an item, so a gradient is one product a row and item, added straight to the gradients.
internal sealed unsafe partial class CpuOps<S, V>
{
    private const int Strip = 64; // rows or columns of a matrix a piece of work takes; all widths here are multiples of it

    public void StepEmbeddingBackward(IBuffer table, IBuffer embedding, IBuffer dStepBias)
    {
        const int Width = ModelConfig.StepWidth, Strips = Width / Strip;
        var (rows, e, dBias) = ((CpuBuffer)table, (CpuBuffer)embedding, (CpuBuffer)dStepBias);
        var training = Training;
        int layers = training.Config.Layers;
        string[] projections = [.. Enumerable.Range(0, layers).Select(layer => $"residual_layers.{layer}.diffusion_projection")];
        int[] weights = [.. projections.Select(name => training.Offset($"{name}.weight"))];
        int second = training.Offset("diffusion_embedding.projection2.weight");
        using CpuBuffer pre1 = new(_memory, 1, 1, Width), hidden = new(_memory, 1, 1, Width), pre2 = new(_memory, 1, 1, Width), d2 = new(_memory, 1, 1, Width), d1 = new(_memory, 1, 1, Width);
        float* u1 = pre1.Row(0, 0), h = hidden.Row(0, 0), u2 = pre2.Row(0, 0), du2 = d2.Row(0, 0), du1 = d1.Row(0, 0);
        for (int item = 0; item < table.Batch; item++)
        {
            Vector(Weights.Step1, rows, item, pre1, 0, 0, silu: false);
            for (int i = 0; i < Width; i++) h[i] = u1[i] / (1f + MathF.Exp(-u1[i]));
            Vector(Weights.Step2, hidden, 0, pre2, 0, 0, silu: false);
            int now = item;
            _team.Run(layers, (layer, _) => AddProduct(projections[layer], dBias.Row(now, layer), 0, dBias.Channels, e.Row(now, 0), Width));
            Clear(d2);
            _team.Run(Strips, (strip, _) =>
            {
                for (int layer = 0; layer < layers; layer++) AddTransposed(weights[layer], dBias.Row(now, layer), dBias.Channels, du2, Width, strip * Strip);
            });
            ThroughSilu(u2, du2, Width);
            _team.Run(Strips, (strip, _) => AddProduct("diffusion_embedding.projection2", du2, strip * Strip, (strip + 1) * Strip, h, Width));
            Clear(d1);
            _team.Run(Strips, (strip, _) => AddTransposed(second, du2, Width, du1, Width, strip * Strip));
            ThroughSilu(u1, du1, Width);
            AddProduct("diffusion_embedding.projection1", du1, 0, Width, rows.Row(item, 0), ModelConfig.StepTableWidth);
        }
    }

    public void LabelBiasBackward(IBuffer labels, IBuffer dLabelBias)
    {
        const int Width = ModelConfig.LabelWidth;
        var training = Training;
        var dBias = (CpuBuffer)dLabelBias;
        int embedding = training.Offset("label_embedding.weight"), layers = training.Config.Layers;
        string[] projections = [.. Enumerable.Range(0, layers).Select(layer => $"residual_layers.{layer}.label_projection")];
        int[] weights = [.. projections.Select(name => training.Offset($"{name}.weight"))];
        using CpuBuffer sum = new(_memory, 1, 1, Width);
        float* d = sum.Row(0, 0);
        for (int item = 0; item < labels.Batch; item++)
        {
            int now = item, row = embedding + (int)*((CpuBuffer)labels).Row(item, 0) * Width;
            _team.Run(layers, (layer, _) =>
            {
                fixed (float* values = training.Weights.Arena) AddProduct(projections[layer], dBias.Row(now, layer), 0, dBias.Channels, values + row, Width);
            });
            Clear(sum);
            _team.Run(Width / Strip, (strip, _) =>
            {
                for (int layer = 0; layer < layers; layer++) AddTransposed(weights[layer], dBias.Row(now, layer), dBias.Channels, d, Width, strip * Strip);
            });
            fixed (float* gradients = training.Gradients) AddTo(gradients + row, d, Width);
        }
    }

    // Gradients of a linear layer's rows [first, end): weight[o, i] += dy[o] x[i], bias[o] += dy[o].
    private void AddProduct(string name, float* dy, int first, int end, float* x, int inputs)
    {
        int weight = Training.Offset($"{name}.weight"), bias = Training.Offset($"{name}.bias");
        fixed (float* gradients = Training.Gradients)
            for (int o = first; o < end; o++)
            {
                float* row = gradients + weight + (nint)o * inputs;
                V factor = S.Broadcast(dy[o]);
                for (int i = 0; i < inputs; i += S.Width) S.Store(row + i, S.Fma(factor, S.Load(x + i), S.Load(row + i)));
                gradients[bias + o] += dy[o];
            }
    }

    // dx[i] += sum over o of w[o, i] dy[o], for a strip of columns; w stands at a place in the weights' arena.
    private void AddTransposed(int weight, float* dy, int outputs, float* dx, int inputs, int first)
    {
        float* sums = stackalloc float[Strip];
        new Span<float>(sums, Strip).Clear();
        fixed (float* values = Training.Weights.Arena)
            for (int o = 0; o < outputs; o++)
            {
                float* row = values + weight + (nint)o * inputs + first;
                V factor = S.Broadcast(dy[o]);
                for (int i = 0; i < Strip; i += S.Width) S.Store(sums + i, S.Fma(S.Load(row + i), factor, S.Load(sums + i)));
            }
        AddTo(dx + first, sums, Strip);
    }

    // d[i] *= silu'(u[i]), silu(u) = u sigma(u).
    private static void ThroughSilu(float* u, float* d, int count)
    {
        for (int i = 0; i < count; i++)
        {
            float sigma = 1f / (1f + MathF.Exp(-u[i]));
            d[i] *= sigma * (1f + u[i] * (1f - sigma));
        }
    }
}
