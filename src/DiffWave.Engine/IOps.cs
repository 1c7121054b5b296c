namespace DiffWave.Engine;

/// <summary>Device memory of float32 values [B, rows, channels], owned by the backend that made it. Its layout is the backend's own.</summary>
public interface IBuffer : IDisposable
{
    /// <summary>B, items processed side by side.</summary>
    int Batch { get; }
    /// <summary>Rows (time steps) an item holds.</summary>
    int Rows { get; }
    /// <summary>Channels a row holds.</summary>
    int Channels { get; }
}

/// <summary>Rows of a buffer from <paramref name="Row"/> on, the same for every item of the batch.</summary>
/// <param name="Buffer">The buffer.</param>
/// <param name="Row">Index of the first row.</param>
public readonly record struct Window(IBuffer Buffer, int Row);

/// <summary>
/// A stretch of a signal that an operation works on. Times outside [0, <paramref name="Length"/>) do not exist: an operation does not compute them, and a
/// convolution that reaches over an end reads zero there, whatever the buffer holds.
/// </summary>
/// <param name="First">Time of the first row; may be negative.</param>
/// <param name="Count">Number of rows.</param>
/// <param name="Length">T, length of the whole signal.</param>
public readonly record struct TimeRange(long First, int Count, long Length)
{
    /// <summary>True when no row of the range exists.</summary>
    public bool IsEmpty => First >= Length || First + Count <= 0;
}

/// <summary>What a residual block keeps when asked: the inner activations of its range.</summary>
/// <param name="PreGate">[B, rows, 2C]: dilated convolution plus conditioners, input of the gate.</param>
/// <param name="Gated">[B, rows, C]: tanh(filter) * sigmoid(gate).</param>
public readonly record struct BlockTape(Window PreGate, Window Gated);

/// <summary>
/// The only door to a device: every operation the network needs, on buffers the device owns. Letters: B batch, T time, C residual channels, M mel bands,
/// L layers. Buffers are channel-last, so a dilated tap is a row shift.
/// </summary>
public interface IOps : IDisposable
{
    /// <summary>Short name of the device and how it computes, e.g. <c>cpu (AVX-512, 2 threads)</c>.</summary>
    string Device { get; }

    /// <summary>Makes the device's own form of the weights; to be called again when they change. All operations below use the weights loaded last.</summary>
    void Load(ModelConfig config, Parameters parameters);

    /// <summary>New zero-filled memory [B, rows, channels].</summary>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    IBuffer Allocate(int batch, int rows, int channels);

    /// <summary>New zero-filled memory [B, rows, 1] for a signal, packed: a long one takes four bytes a sample.</summary>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    IBuffer AllocateSignal(int batch, int rows);

    /// <summary>Copies host values [rows, channels] into one item, from a row on.</summary>
    void Upload(ReadOnlySpan<float> values, IBuffer destination, int item, int row);

    /// <summary>Copies rows of one item to the host, [rows, channels].</summary>
    void Download(IBuffer source, int item, int row, Span<float> values);

    /// <summary>Copies rows of every item; the two windows may overlap in one buffer.</summary>
    void Copy(Window source, Window destination, int rows);

    /// <summary>
    /// The step embedding and what each layer adds to its input: e = silu(W2 silu(W1 s + b1) + b2), bias_i = P_i e + p_i.
    /// </summary>
    /// <param name="table">[B, 1, 128], sines and cosines of the step.</param>
    /// <param name="embedding">Out: [B, 1, 512].</param>
    /// <param name="stepBias">Out: [B, L, C].</param>
    void StepEmbedding(IBuffer table, IBuffer embedding, IBuffer stepBias);

    /// <summary>What each layer adds before its gate for a class label: Q_i E[label] + q_i. Models without a label conditioner have none.</summary>
    /// <param name="labels">One label an item.</param>
    /// <param name="labelBias">Out: [B, L, 2C].</param>
    void LabelBias(ReadOnlySpan<int> labels, IBuffer labelBias);

    /// <summary>x = relu(w audio + b).</summary>
    /// <param name="range">Times of the rows.</param>
    /// <param name="audio">[B, rows, 1].</param>
    /// <param name="x">Out: [B, rows, C].</param>
    void InputProjection(TimeRange range, Window audio, Window x);

    /// <summary>
    /// The mel upsampler of a layer: a chain of transposed convolutions along time (3 bands wide, one stage an upsample factor), each followed by leaky ReLU 0.4.
    /// </summary>
    /// <param name="layer">The layer; ignored by models whose upsampler is shared.</param>
    /// <param name="range">Times to compute.</param>
    /// <param name="mel">[B, frames, M]; the window's first row is frame <paramref name="firstFrame"/>.</param>
    /// <param name="firstFrame">Frame held by the first row of <paramref name="mel"/>.</param>
    /// <param name="frames">Frames of the whole mel; frames outside [0, frames) do not exist.</param>
    /// <param name="upsampled">Out: [B, rows, M].</param>
    void UpsampleMel(int layer, TimeRange range, Window mel, int firstFrame, int frames, Window upsampled);

    /// <summary>conditioner = V_layer upsampled + v_layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="range">Times of the rows.</param>
    /// <param name="upsampled">[B, rows, M].</param>
    /// <param name="conditioner">Out: [B, rows, 2C]; rows past the end of the buffer continue at its start.</param>
    void ConditionerProjection(int layer, TimeRange range, Window upsampled, Window conditioner);

    /// <summary>
    /// One residual block. With d its dilation: pre-gate = conv3(x + step; dilation d, zero padding) + b + label + conditioner; z = tanh(filter) * sigmoid(gate);
    /// (residual, skip) = O z + o; y = (x [+ step] + residual) / sqrt(2); skips += skip. Layer 0 starts the sum of skips; the last layer writes no y.
    /// </summary>
    /// <param name="layer">The layer.</param>
    /// <param name="range">Times to compute. Results do not depend on how a signal is cut into ranges as long as each range starts at a multiple of 4 d from the others.</param>
    /// <param name="x">[B, rows, C]; rows d before and d after the range are read too.</param>
    /// <param name="stepBias">[B, L, C] from <see cref="StepEmbedding"/>.</param>
    /// <param name="labelBias">[B, L, 2C] from <see cref="LabelBias"/>, or null.</param>
    /// <param name="conditioner">[B, rows, 2C], rows past the end of the buffer continue at its start; or null.</param>
    /// <param name="y">Out: [B, rows, C], input of the next block. Must not overlap <paramref name="x"/>.</param>
    /// <param name="skips">In and out: [B, rows, C].</param>
    /// <param name="tape">Inner activations to keep, or null.</param>
    void ResidualBlock(int layer, TimeRange range, Window x, IBuffer stepBias, IBuffer? labelBias, Window? conditioner, Window y, Window skips, BlockTape? tape = null);

    /// <summary>eps = w relu(S (skips / sqrt(L)) + s) + b, the predicted noise.</summary>
    /// <param name="range">Times of the rows.</param>
    /// <param name="skips">[B, rows, C], sum over layers.</param>
    /// <param name="eps">Out: [B, rows, 1].</param>
    void Head(TimeRange range, Window skips, Window eps);

    /// <summary>One step of the reverse chain: y = scale (x - epsWeight eps) + sigma noise, clamped to [-1, 1] if asked.</summary>
    /// <param name="range">Times of the rows.</param>
    /// <param name="x">[B, rows, 1].</param>
    /// <param name="eps">[B, rows, 1].</param>
    /// <param name="noise">[B, rows, 1], standard normal; not read when <paramref name="sigma"/> is 0.</param>
    /// <param name="scale">Factor of the whole mean.</param>
    /// <param name="epsWeight">Factor of the predicted noise.</param>
    /// <param name="sigma">Standard deviation of the added noise.</param>
    /// <param name="clamp">True: clamp after adding the noise.</param>
    /// <param name="y">Out: [B, rows, 1]; may be <paramref name="x"/>.</param>
    void ReverseStep(TimeRange range, Window x, Window eps, Window noise, float scale, float epsWeight, float sigma, bool clamp, Window y);
}
