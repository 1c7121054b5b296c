namespace DiffWave.Engine;

/// <summary>Device memory of values [B, rows, channels], owned by the backend that made it: float32, but where <see cref="IOps.AllocateActivation"/> says otherwise. Its layout is the backend's own.</summary>
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
/// <param name="Segments">The signals that lie one behind the other in a buffer of one item, together of <paramref name="Length"/> rows; null: one signal an item. Only devices that
/// prefer whole signals are given any. Nothing exists outside a signal for its own rows, and item s of what a step or a label adds belongs to signal s.</param>
public readonly record struct TimeRange(long First, int Count, long Length, Segments? Segments = null)
{
    /// <summary>True when no row of the range exists.</summary>
    public bool IsEmpty => First >= Length || First + Count <= 0;
}

/// <summary>A draw of standard normals by <see cref="PhiloxNoise"/>: row r of item b is element First + b FirstStride + r of the sequence (seed, Stream + b StreamStride, Step).</summary>
/// <param name="Stream">Sequence of the first item.</param>
/// <param name="StreamStride">From an item's sequence to the next one's.</param>
/// <param name="Step">Which draw within the sequence.</param>
/// <param name="First">First element of the first item, at least 0.</param>
/// <param name="FirstStride">From an item's first element to the next one's.</param>
public readonly record struct NoiseDraw(uint Stream, uint StreamStride, uint Step, long First, long FirstStride);

/// <summary>Operations made ready to be run many times, by <see cref="IOps.Record"/>.</summary>
public interface IRecording : IDisposable
{
    /// <summary>Runs them, as if they were called again one by one.</summary>
    void Run();
}

/// <summary>Values on their way from the device, by <see cref="IOps.BeginDownload"/>.</summary>
public interface IDownload : IDisposable
{
    /// <summary>Waits until they are there: all values of the buffer as it was, [B, rows, channels]. They are gone once this object is disposed of.</summary>
    ReadOnlySpan<float> Wait();
}

/// <summary>What a residual block keeps when asked: the inner activations of its range.</summary>
/// <param name="PreGate">[B, rows, 2C]: dilated convolution plus conditioners, input of the gate; what backward needs.</param>
/// <param name="Gated">[B, rows, C]: tanh(filter) * sigmoid(gate); null when nobody needs it.</param>
public readonly record struct BlockTape(Window PreGate, Window? Gated = null);

/// <summary>
/// The only door to a device: every operation the network needs, on buffers the device owns. Letters: B batch, T time, C residual channels, M mel bands,
/// L layers. Buffers are channel-last, so a dilated tap is a row shift.
/// </summary>
public interface IOps : IDisposable
{
    /// <summary>Short name of the device and how it computes, e.g. <c>cpu (AVX-512, 2 threads)</c>.</summary>
    string Device { get; }

    /// <summary>What it computes the network with.</summary>
    Precision Precision { get; }

    /// <summary>
    /// True for a device that is fastest on whole signals, memory permitting, and whose results do not depend on how a signal is cut; false for one that wants pieces near its caches.
    /// </summary>
    bool PrefersWholeSignals { get; }

    /// <summary>Bytes that the activations of sampling may take unless the user says otherwise.</summary>
    long SamplingBudget { get; }

    /// <summary>Bytes that the buffers of a training pass may take before it computes again in backward what forward could have kept.</summary>
    long TrainingBudget { get; }

    /// <summary>Bytes of a value of <see cref="AllocateActivation"/>: 4, or 2 on a device that keeps activations in 16 bits.</summary>
    int ActivationBytes { get; }

    /// <summary>
    /// True for a device whose residual blocks project the mel themselves: they are given the upsampled mel instead of what <see cref="ConditionerProjection"/> makes of it, which is not called.
    /// </summary>
    bool BlocksProjectMel { get; }

    /// <summary>Layers that <see cref="ConditionerProjectionBackward"/> best gets at a time, at least 1: more where a device then reads and writes the gradient of the upsampled mel once for all of them.</summary>
    int ConditionersAtOnce(ModelConfig config);

    /// <summary>
    /// Rows of whole signals that the layers of a network are to take before the next ones, so that what they hand on stays in the device's cache; 0: all of them. Asked only of a device whose results do
    /// not depend on how a signal is cut.
    /// </summary>
    /// <param name="config">The model.</param>
    /// <param name="batch">B, items side by side.</param>
    /// <param name="rows">Rows of an item.</param>
    int WindowRows(ModelConfig config, int batch, int rows);

    /// <summary>Bytes a row and item that the operations of the network take besides the buffers they are given.</summary>
    long WorkingRowBytes(ModelConfig config);

    /// <summary>
    /// Makes operations that are run again and again into a unit a device may replay as a whole. The action calls operations of this device only, each time the same ones on the same
    /// buffers with the same arguments; it neither uploads, downloads, allocates nor loads. What varies between runs lies in buffers, in the seed and in the numbers of a step.
    /// </summary>
    IRecording Record(Action operations);

    /// <summary>Makes the device's own form of the weights; to be called again when they change. All operations below use the weights loaded last.</summary>
    void Load(ModelConfig config, Parameters parameters);

    /// <summary>New zero-filled memory [B, rows, channels].</summary>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    IBuffer Allocate(int batch, int rows, int channels);

    /// <summary>
    /// New zero-filled memory [B, rows, channels] for what the network computes: x, y, skips, pre-gates and their gradients, upsampled mels and their projections. The type of its values is the device's choice;
    /// <see cref="Upload"/> and <see cref="Download"/> convert. Only buffers of this method, or only such of <see cref="Allocate"/>, may be copied to each other.
    /// </summary>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    IBuffer AllocateActivation(int batch, int rows, int channels);

    /// <summary>New zero-filled memory [B, rows, 1] for a signal, packed: a long one takes four bytes a sample.</summary>
    /// <exception cref="OutOfMemoryException">The device has not enough memory.</exception>
    IBuffer AllocateSignal(int batch, int rows);

    /// <summary>Copies host values [rows, channels] into one item, from a row on.</summary>
    void Upload(ReadOnlySpan<float> values, IBuffer destination, int item, int row);

    /// <summary>Copies rows of one item to the host, [rows, channels].</summary>
    void Download(IBuffer source, int item, int row, Span<float> values);

    /// <summary>Begins to copy a whole buffer of <see cref="AllocateSignal"/> to the host. What is called afterwards may change or free the buffer; a device that works on its own is not waited for.</summary>
    IDownload BeginDownload(IBuffer signal);

    /// <summary>Sets the seed of every <see cref="Normals"/> that follows, and the element that counts as their first; also of recorded ones.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="first">Added to <see cref="NoiseDraw.First"/>, at least 0.</param>
    void SetSeed(ulong seed, long first = 0);

    /// <summary>Draws standard normals; the same bits on every device.</summary>
    /// <param name="draw">Which.</param>
    /// <param name="rows">How many an item.</param>
    /// <param name="normals">Out: [B, rows, 1].</param>
    void Normals(NoiseDraw draw, int rows, Window normals);

    /// <summary>Fills a buffer with zeros.</summary>
    void Clear(IBuffer buffer);

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
    /// <param name="labels">[B, 1, 1], whole numbers from 0 to below the model's labels; nothing checks them.</param>
    /// <param name="labelBias">Out: [B, L, 2C].</param>
    void LabelBias(IBuffer labels, IBuffer labelBias);

    /// <summary>
    /// Readies what step and label add for the blocks: called when <paramref name="stepBias"/> and <paramref name="labelBias"/> hold what <see cref="ResidualBlock"/> will be given, and again when they or
    /// the weights have changed. A device without a form of its own for them does nothing.
    /// </summary>
    /// <param name="stepBias">[B, L, C] from <see cref="StepEmbedding"/>.</param>
    /// <param name="labelBias">[B, L, 2C] from <see cref="LabelBias"/>, or null.</param>
    void FoldBiases(IBuffer stepBias, IBuffer? labelBias);

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
    /// <param name="conditioner">[B, rows, 2C], or the upsampled mel [B, rows, M] where <see cref="BlocksProjectMel"/>; rows past the end of the buffer continue at its start; or null.</param>
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

    // ---- Training. Buffers hold whole crops: row t is time t, rows = T. Gradients of weights are summed into one arena of the device, laid out like Parameters; every
    // sum has a fixed order, so results depend neither on the number of threads nor on how a batch is cut into calls.

    /// <summary>Copies weights, moments and average to the device and readies it for training; includes what <see cref="Load"/> does for the weights.</summary>
    void LoadTraining(ModelConfig config, TrainingState state);

    /// <summary>Copies weights, moments and average of the device back. <see cref="TrainingState.Step"/> is not touched.</summary>
    void ReadTraining(TrainingState state);

    /// <summary>Sets all gradients to zero.</summary>
    void ZeroGradients();

    /// <summary>Copies the gradients to the host.</summary>
    /// <param name="gradients">Receives as many values as the weights' arena holds.</param>
    void ReadGradients(Span<float> gradients);

    /// <summary>
    /// Sets the numbers of an optimiser step, which <see cref="Loss"/>, <see cref="GradientNorm"/> and <see cref="UpdateWeights"/> read when they run, recorded ones too. Before the first step the factor
    /// of the loss and its scale are 1.
    /// </summary>
    /// <param name="step">The update at its end. The gradients on the device are <see cref="AdamStep.LossScale"/> times the true ones.</param>
    /// <param name="lossFactor">Factor of the true gradient of the loss: 1 / number of samples that count in the whole batch.</param>
    void BeginStep(AdamStep step, float lossFactor);

    /// <summary>L2 norm of all true gradients, summed in float64. NaN or infinity when any gradient is. Waits for the device.</summary>
    double GradientNorm();

    /// <summary>
    /// Updates weights, moments and average from the gradients by the numbers of <see cref="BeginStep"/>; operations that follow use the new weights. Nothing is updated when a sum of <see cref="Loss"/>
    /// is not finite, or the norm of the true gradients is not or leaves <see cref="AdamStep.LargestNorm"/> behind after clipping. The device decides that without a wait.
    /// </summary>
    /// <exception cref="InvalidOperationException">No step was begun.</exception>
    void UpdateWeights();

    /// <summary>Norm of the true gradients as the last <see cref="UpdateWeights"/> found them, before clipping. Waits for the device.</summary>
    double UpdateNorm();

    /// <summary>The forward diffusion process (Ho et al., 2020, equation 4): noisy = sqrt(alpha_bar) audio + sqrt(1 - alpha_bar) noise.</summary>
    /// <param name="audio">[B, T, 1].</param>
    /// <param name="noise">[B, T, 1], standard normal.</param>
    /// <param name="alphaBars">[B, 1, 1], noise levels.</param>
    /// <param name="noisy">Out: [B, T, 1].</param>
    void Diffuse(IBuffer audio, IBuffer noise, IBuffer alphaBars, IBuffer noisy);

    /// <summary>
    /// The loss and its gradient. L1: sum |eps - noise|, f sign(eps - noise); MSE: sum (eps - noise)^2, 2 f (eps - noise), with f the loss's factor times its scale, see <see cref="BeginStep"/>.
    /// </summary>
    /// <param name="kind">Which loss.</param>
    /// <param name="eps">[B, T, 1], predicted.</param>
    /// <param name="noise">[B, T, 1], true.</param>
    /// <param name="validSamples">[B, 1, 1], how many samples of each item count, a whole number from 0 to T; the gradient of the others is 0.</param>
    /// <param name="firstItem">Place of the first item's sum among those of the optimiser step; 0 forgets the sums of the step before.</param>
    /// <param name="dEps">Out: [B, T, 1].</param>
    void Loss(LossKind kind, IBuffer eps, IBuffer noise, IBuffer validSamples, int firstItem, IBuffer dEps);

    /// <summary>The sums over each item, in float64, from the first on. Waits for the device.</summary>
    void ReadLosses(Span<double> sums);

    /// <summary>Backward of <see cref="Head"/>; the hidden layer is computed again.</summary>
    /// <param name="skips">[B, T, C].</param>
    /// <param name="dEps">[B, T, 1].</param>
    /// <param name="dSkips">Out: [B, T, C], gradient of the sum, which is the gradient of each layer's skip.</param>
    void HeadBackward(IBuffer skips, IBuffer dEps, IBuffer dSkips);

    /// <summary>Backward of <see cref="ResidualBlock"/>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">[B, T, C], input of the block.</param>
    /// <param name="stepBias">[B, L, C].</param>
    /// <param name="preGate">[B, T, 2C] as <see cref="ResidualBlock"/> gave it.</param>
    /// <param name="dSkips">[B, T, C].</param>
    /// <param name="dY">[B, T, C], gradient of y; not read for the last layer, which has no y.</param>
    /// <param name="dX">Out: [B, T, C], gradient of x; another buffer than <paramref name="dY"/>.</param>
    /// <param name="dPreGate">Out: [B, T, 2C], gradient of the pre-gate, which is also that of the conditioner; another buffer than <paramref name="preGate"/>.</param>
    /// <param name="dStepBias">Out: row <paramref name="layer"/> of [B, L, C].</param>
    /// <param name="dLabelBias">Out: row <paramref name="layer"/> of [B, L, 2C]; or null.</param>
    void ResidualBlockBackward(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dY, IBuffer dX, IBuffer dPreGate, IBuffer dStepBias, IBuffer? dLabelBias);

    /// <summary>Backward of <see cref="ConditionerProjection"/> in one layer or several that read the same upsampled mel.</summary>
    /// <param name="layer">The last of these layers.</param>
    /// <param name="upsampled">[B, T, M].</param>
    /// <param name="dConditioners">[B, T, 2C] of that layer, the one before it, and so on; best <see cref="ConditionersAtOnce"/>.</param>
    /// <param name="dUpsampled">In and out: [B, T, M], to which the gradients are added.</param>
    void ConditionerProjectionBackward(int layer, IBuffer upsampled, IReadOnlyList<IBuffer> dConditioners, IBuffer dUpsampled);

    /// <summary>Backward of <see cref="UpsampleMel"/>; the inner stages are computed again. The mel itself gets no gradient.</summary>
    /// <param name="layer">The layer; ignored by models whose upsampler is shared.</param>
    /// <param name="mel">[B, frames, M], T = frames * hop.</param>
    /// <param name="upsampled">[B, T, M].</param>
    /// <param name="dUpsampled">In: [B, T, M], gradient of the result. Afterwards its content is undefined.</param>
    void UpsampleMelBackward(int layer, IBuffer mel, IBuffer upsampled, IBuffer dUpsampled);

    /// <summary>Backward of <see cref="InputProjection"/>.</summary>
    /// <param name="audio">[B, T, 1].</param>
    /// <param name="x">[B, T, C], its result.</param>
    /// <param name="dX">[B, T, C], gradient of the result.</param>
    /// <param name="dAudio">Out: [B, T, 1], or null when nobody needs it.</param>
    void InputProjectionBackward(IBuffer audio, IBuffer x, IBuffer dX, IBuffer? dAudio);

    /// <summary>Backward of <see cref="StepEmbedding"/>; the first layer is computed again.</summary>
    /// <param name="table">[B, 1, 128].</param>
    /// <param name="embedding">[B, 1, 512].</param>
    /// <param name="dStepBias">[B, L, C].</param>
    void StepEmbeddingBackward(IBuffer table, IBuffer embedding, IBuffer dStepBias);

    /// <summary>Backward of <see cref="LabelBias"/>.</summary>
    /// <param name="labels">[B, 1, 1], as <see cref="LabelBias"/> got them.</param>
    /// <param name="dLabelBias">[B, L, 2C].</param>
    void LabelBiasBackward(IBuffer labels, IBuffer dLabelBias);
}
