namespace DiffWave.Kernels;

public static partial class MelUpsampler
{
    private const int Threads = Warps * 32, Phases = 16, TapTile = 64;

    // Four bands of an input row and their neighbours; zeros where there is none.
    private struct Strip
    {
        public float Before, A, B, C, D, After;
    }

    /// <summary>Blocks of version 2 of forward: x over the inputs that outputs begin at and four bands at a time, y over 16 phases at a time, z the items.</summary>
    /// <param name="batch">B.</param>
    /// <param name="outputs">Output rows to compute.</param>
    /// <param name="bands">M.</param>
    /// <param name="factor">f.</param>
    /// <param name="shift">As given to the kernel.</param>
    public static (int X, int Y, int Z) GridV2(int batch, int outputs, int bands, int factor, int shift) =>
        ((int)(((long)((shift + outputs - 1) / factor - shift / factor + 1) * (bands / 4) + Threads - 1) / Threads), (factor + Phases - 1) / Phases, batch);

    /// <summary>Version 2. Blocks: <see cref="GridV2"/>. Gives the bits of version 1.</summary>
    /// <param name="x">B x rows x M, the address a multiple of 16; row 0 is the first that <see cref="Inputs"/> names.</param>
    /// <param name="y">Receives B x rows x M; the address a multiple of 16.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="bias">1.</param>
    /// <param name="inputs">Input rows that exist, from row 0 on.</param>
    /// <param name="outputs">Output rows to compute.</param>
    /// <param name="factor">f.</param>
    /// <param name="shift">Time of output row 0, counted from f times that of input row 0, plus f/2.</param>
    [Kernel("mel_upsampler_v2", BlockX = Threads)]
    public static void ForwardV2(Rows<float> x, Rows<float> y, ArrayView<float> weight, ArrayView<float> bias, int inputs, int outputs, int factor, int shift) =>
        Forward(x, new Floats { Values = y.Run(Grid.IdxZ, outputs).AsAligned16().Cast<Float4>() }, y.Channels / 4, weight, bias, inputs, outputs, factor, shift);

    /// <summary>Version 3. Blocks: <see cref="GridV2"/>. Gives version 2's results, rounded.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">How it is stored.</typeparam>
    /// <param name="x">B x rows x M, the address a multiple of 16; row 0 is the first that <see cref="Inputs"/> names.</param>
    /// <param name="y">Receives B x rows x M, M a multiple of 4; the address a multiple of 8.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="bias">1.</param>
    /// <param name="inputs">Input rows that exist, from row 0 on.</param>
    /// <param name="outputs">Output rows to compute.</param>
    /// <param name="factor">f.</param>
    /// <param name="shift">Time of output row 0, counted from f times that of input row 0, plus f/2.</param>
    [Kernel("mel_upsampler_v3", BlockX = Threads, MinimumSm = 80)]
    public static void ForwardV3<T, P>(Rows<float> x, Rows<T> y, ArrayView<float> weight, ArrayView<float> bias, int inputs, int outputs, int factor, int shift) where T : unmanaged where P : struct, IMatrixPair<T> =>
        Forward(x, new Stored<T, P> { Values = y.Run(Grid.IdxZ, outputs).AsAligned8().Cast<UInt2>() }, y.Channels / 4, weight, bias, inputs, outputs, factor, shift);

    // The result of forward, four bands at a time.
    private interface IFours
    {
        Float4 Load(int four);

        void Store(int four, Float4 values);
    }

    private struct Floats : IFours
    {
        public ArrayView<Float4> Values;

        public readonly Float4 Load(int four) => Values[four];

        public readonly void Store(int four, Float4 values) => Values[four] = values;
    }

    private struct Stored<T, P> : IFours where T : unmanaged where P : struct, IMatrixPair<T>
    {
        public ArrayView<UInt2> Values;

        public readonly Float4 Load(int four)
        {
            UInt2 values = Values[four];
            Float2 low = P.Unpack(values.X), high = P.Unpack(values.Y);
            return new Float4(low.X, low.Y, high.X, high.Y);
        }

        public readonly void Store(int four, Float4 values) => Values[four] = new UInt2(P.Pack(values.X, values.Y), P.Pack(values.Z, values.W));
    }

    private static void Forward<S>(Rows<float> x, S target, int fours, ArrayView<float> weight, ArrayView<float> bias, int inputs, int outputs, int factor, int shift) where S : struct, IFours
    {
        // Of each phase r: the three weights of tap r + f, which meets the input before, then those of tap r; zero for a tap there is not.
        ArrayView<float> table = SharedMemory.Allocate<float>(8 * Phases);
        int thread = Group.IdxX, firstPhase = Grid.IdxY * Phases, taps = Taps(factor);
        if (thread < 8 * Phases)
        {
            int slot = thread % 8, r = firstPhase + thread / 8, k = slot < 3 ? r + factor : r;
            table[thread] = slot < 6 && r < factor && k < taps ? weight[slot % 3 * taps + k] : 0;
        }
        Group.Barrier();

        int index = Grid.GlobalIndex.X, c = index % fours, input = index / fours + shift / factor, at = input * factor - shift; // at: output row of phase 0
        if (input > (shift + outputs - 1) / factor) return;
        Strip last = StripOf(x, Grid.IdxZ, input - 1, inputs, c), now = StripOf(x, Grid.IdxZ, input, inputs, c);
        ArrayView<Float4> weights = table.Cast<Float4>();
        float start = bias[0];
        int end = XMath.Min(XMath.Min(factor, firstPhase + Phases), outputs - at);
        for (int r = XMath.Max(firstPhase, -at); r < end; r++)
        {
            Float4 u = weights[2 * (r - firstPhase)], v = weights[2 * (r - firstPhase) + 1];
            target.Store((at + r) * fours + c, new Float4(
                Sum(start, u, v, last.B, last.A, last.Before, now.B, now.A, now.Before), Sum(start, u, v, last.C, last.B, last.A, now.C, now.B, now.A),
                Sum(start, u, v, last.D, last.C, last.B, now.D, now.C, now.B), Sum(start, u, v, last.After, last.D, last.C, now.After, now.D, now.C)));
        }
    }

    private static float Sum(float start, Float4 u, Float4 v, float last0, float last1, float last2, float now0, float now1, float now2)
    {
        float sum = start + u.X * last0;
        sum += u.Y * last1;
        sum += u.Z * last2;
        sum += u.W * now0;
        sum += v.X * now1;
        sum += v.Y * now2;
        return ThroughSlope(sum, sum);
    }

    private static Strip StripOf(Rows<float> x, int item, int row, int rows, int c)
    {
        var strip = new Strip();
        if (row < 0 || row >= rows) return strip;
        ArrayView<float> values = x.Row(item, row);
        Float4 four = values.AsAligned16().Cast<Float4>()[c];
        strip.A = four.X;
        strip.B = four.Y;
        strip.C = four.Z;
        strip.D = four.W;
        if (c > 0) strip.Before = values[4 * c - 1];
        if (4 * c + 4 < x.Channels) strip.After = values[4 * c + 4];
        return strip;
    }

    /// <summary>Rows of dx that a block of <see cref="BackwardInputV2"/> takes.</summary>
    /// <param name="bands">M, a multiple of 4 up to 1024.</param>
    public static int InputRowsV2(int bands) => Threads / (bands / 4);

    /// <summary>Version 2 of the gradient of the input. Blocks: x over the inputs, <see cref="InputRowsV2"/> a block, z the items.</summary>
    /// <param name="y">B x f I x M, result of forward; the address a multiple of 16, M a multiple of 4 up to 1024.</param>
    /// <param name="dy">Its gradient; the address a multiple of 16.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="dx">Receives B x I x M; the address a multiple of 16.</param>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    [Kernel("mel_upsampler_backward_input_v2", BlockX = Threads)]
    public static void BackwardInputV2(Rows<float> y, Rows<float> dy, ArrayView<float> weight, Rows<float> dx, int inputs, int factor) =>
        BackwardInput(new Floats { Values = y.Run(Grid.IdxZ, inputs * factor).AsAligned16().Cast<Float4>() }, dy, weight, dx, inputs, factor);

    /// <summary>Version 3 of the gradient of the input, with y in 16 bits. Blocks as for version 2.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">How it is stored.</typeparam>
    /// <param name="y">B x f I x M, result of forward; the address a multiple of 8, M a multiple of 4 up to 1024.</param>
    /// <param name="dy">Its gradient; the address a multiple of 16.</param>
    /// <param name="weight">3 x K.</param>
    /// <param name="dx">Receives B x I x M; the address a multiple of 16.</param>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    [Kernel("mel_upsampler_backward_input_v3", BlockX = Threads, MinimumSm = 80)]
    public static void BackwardInputV3<T, P>(Rows<T> y, Rows<float> dy, ArrayView<float> weight, Rows<float> dx, int inputs, int factor) where T : unmanaged where P : struct, IMatrixPair<T> =>
        BackwardInput(new Stored<T, P> { Values = y.Run(Grid.IdxZ, inputs * factor).AsAligned8().Cast<UInt2>() }, dy, weight, dx, inputs, factor);

    private static void BackwardInput<S>(S results, Rows<float> dy, ArrayView<float> weight, Rows<float> dx, int inputs, int factor) where S : struct, IFours
    {
        ArrayView<float> table = SharedMemory.Allocate<float>(4 * TapTile), up = SharedMemory.Allocate<float>(Threads), down = SharedMemory.Allocate<float>(Threads);
        int thread = Group.IdxX, bands = dx.Channels, fours = bands / 4, rows = InputRowsV2(bands), i = Grid.IdxX * rows + thread / fours, c = thread % fours, item = Grid.IdxZ;
        int taps = Taps(factor), start = i * factor - factor / 2, outputs = inputs * factor;
        bool mine = thread < rows * fours && i < inputs;
        ArrayView<Float4> weights = table.Cast<Float4>(), gradients = dy.Run(item, outputs).AsAligned16().Cast<Float4>();
        // Sums over taps of w[j, k] g at this thread's own bands; they meet their neighbours at the end.
        float a0 = 0, b0 = 0, c0 = 0, d0 = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0, a2 = 0, b2 = 0, c2 = 0, d2 = 0;
        for (int first = 0; first < taps; first += TapTile)
        {
            int tap = first + thread / 4, j = thread % 4;
            table[thread] = j < 3 && tap < taps ? weight[j * taps + tap] : 0;
            Group.Barrier();
            int end = mine ? XMath.Min(XMath.Min(taps, first + TapTile), outputs - start) : 0;
            for (int k = XMath.Max(first, -start); k < end; k++)
            {
                Float4 w = weights[k - first], g = ThroughSlope(gradients[(start + k) * fours + c], results.Load((start + k) * fours + c));
                a0 += w.X * g.X;
                b0 += w.X * g.Y;
                c0 += w.X * g.Z;
                d0 += w.X * g.W;
                a1 += w.Y * g.X;
                b1 += w.Y * g.Y;
                c1 += w.Y * g.Z;
                d1 += w.Y * g.W;
                a2 += w.Z * g.X;
                b2 += w.Z * g.Y;
                c2 += w.Z * g.Z;
                d2 += w.Z * g.W;
            }
            Group.Barrier();
        }
        up[thread] = d0;
        down[thread] = a2;
        Group.Barrier();
        if (!mine) return;
        float before = c > 0 ? up[thread - 1] : 0, after = c + 1 < fours ? down[thread + 1] : 0;
        dx.Row(item, i).AsAligned16().Cast<Float4>()[c] = new Float4(before + a1 + b2, a0 + b1 + c2, b0 + c1 + d2, c0 + d1 + after);
    }

    /// <summary>Version 2 of the gradients of w and bias. Blocks: x the slices of an item, z the items.</summary>
    /// <param name="x">B x I x M; the address a multiple of 16, M a multiple of 4.</param>
    /// <param name="y">B x f I x M, result of forward; the address a multiple of 16.</param>
    /// <param name="dy">Its gradient; the address a multiple of 16.</param>
    /// <param name="partial">Receives B slices x (3K + 1): dw of a slice, then dbias.</param>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    [Kernel("mel_upsampler_backward_weights_v2", BlockX = Threads)]
    public static void BackwardWeightsV2(Rows<float> x, Rows<float> y, Rows<float> dy, ArrayView<float> partial, int inputs, int factor) =>
        BackwardWeights(x, new Floats { Values = y.Run(Grid.IdxZ, inputs * factor).AsAligned16().Cast<Float4>() }, dy, partial, inputs, factor);

    /// <summary>Version 3 of the gradients of w and bias, with y in 16 bits. Blocks as for version 2.</summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">How it is stored.</typeparam>
    /// <param name="x">B x I x M; the address a multiple of 16, M a multiple of 4.</param>
    /// <param name="y">B x f I x M, result of forward; the address a multiple of 8.</param>
    /// <param name="dy">Its gradient; the address a multiple of 16.</param>
    /// <param name="partial">Receives B slices x (3K + 1): dw of a slice, then dbias.</param>
    /// <param name="inputs">I.</param>
    /// <param name="factor">f.</param>
    [Kernel("mel_upsampler_backward_weights_v3", BlockX = Threads, MinimumSm = 80)]
    public static void BackwardWeightsV3<T, P>(Rows<float> x, Rows<T> y, Rows<float> dy, ArrayView<float> partial, int inputs, int factor) where T : unmanaged where P : struct, IMatrixPair<T> =>
        BackwardWeights(x, new Stored<T, P> { Values = y.Run(Grid.IdxZ, inputs * factor).AsAligned8().Cast<UInt2>() }, dy, partial, inputs, factor);

    private static void BackwardWeights<S>(Rows<float> x, S results, Rows<float> dy, ArrayView<float> partial, int inputs, int factor) where S : struct, IFours
    {
        ArrayView<float> biasSums = SharedMemory.Allocate<float>(Warps);
        int item = Grid.IdxZ, fours = x.Channels / 4, taps = Taps(factor), values = 3 * taps + 1, first = Grid.IdxX * SliceRows(factor), end = XMath.Min(inputs, first + SliceRows(factor));
        ArrayView<float> sums = partial.SubView(((long)item * Grid.DimX + Grid.IdxX) * values, values);
        ArrayView<Float4> gradients = dy.Run(item, inputs * factor).AsAligned16().Cast<Float4>();
        float biasSum = 0;
        for (int r = Warp.WarpIdx; r < factor; r += Warps)
        {
            // Output row i f + r - f/2 meets input i by tap r and input i - 1 by tap r + f.
            float now0 = 0, now1 = 0, now2 = 0, last0 = 0, last1 = 0, last2 = 0;
            for (int c = Warp.LaneIdx; c < fours; c += Warp.WarpSize)
            {
                var last = new Strip();
                for (int i = first; i <= end; i++)
                {
                    Strip now = StripOf(x, item, i, end, c);
                    int t = i * factor + r - factor / 2;
                    if (t >= 0 && t < inputs * factor)
                    {
                        Float4 g = ThroughSlope(gradients[t * fours + c], results.Load(t * fours + c));
                        now0 += g.X * now.B + g.Y * now.C + g.Z * now.D + g.W * now.After;
                        now1 += g.X * now.A + g.Y * now.B + g.Z * now.C + g.W * now.D;
                        now2 += g.X * now.Before + g.Y * now.A + g.Z * now.B + g.W * now.C;
                        last0 += g.X * last.B + g.Y * last.C + g.Z * last.D + g.W * last.After;
                        last1 += g.X * last.A + g.Y * last.B + g.Z * last.C + g.W * last.D;
                        last2 += g.X * last.Before + g.Y * last.A + g.Z * last.B + g.W * last.C;
                        if (t >= first * factor && t < end * factor) biasSum += (g.X + g.Y) + (g.Z + g.W);
                    }
                    last = now;
                }
            }
            Store(sums, r, WarpSum(now0));
            Store(sums, taps + r, WarpSum(now1));
            Store(sums, 2 * taps + r, WarpSum(now2));
            if (r + factor >= taps) continue;
            Store(sums, r + factor, WarpSum(last0));
            Store(sums, taps + r + factor, WarpSum(last1));
            Store(sums, 2 * taps + r + factor, WarpSum(last2));
        }
        Store(biasSums, Warp.WarpIdx, WarpSum(biasSum));
        Group.Barrier();
        if (Group.IdxX != 0) return;
        for (int warp = 1; warp < Warps; warp++) biasSums[0] += biasSums[warp];
        sums[3 * taps] = biasSums[0];
    }

    private static void Store(ArrayView<float> sums, int at, float sum)
    {
        if (Warp.IsFirstLane) sums[at] = sum;
    }

    private static Float4 ThroughSlope(Float4 gradient, Float4 result) =>
        new(ThroughSlope(gradient.X, result.X), ThroughSlope(gradient.Y, result.Y), ThroughSlope(gradient.Z, result.Z), ThroughSlope(gradient.W, result.W));
}
