using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>
/// The engine on a CUDA device: <see cref="IOps"/> by kernels, one launcher an operation. Everything is queued on one stream; the host waits only where a method hands numbers back, and
/// when uploads outrun the device. Every sum has an order that depends on shapes alone, so results depend neither on how a signal is cut nor on how a batch is. Out of memory is a
/// <see cref="CudaException"/> whose text says how much was asked for, what is in use and what to do. Not for several threads at once.
/// </summary>
public sealed partial class CudaOps : IOps
{
    private const int MostItems = 65535; // of a grid's y and z
    private const int ConvertedValues = 1 << 16; // at a time, on the host

    private readonly ICudaDriver driver;
    private readonly CudaOptions options;
    private readonly nint stream;
    private readonly DeviceMemoryPool pool;
    private readonly StagingRing staging;
    private readonly Downloads downloads;
    private readonly KernelRunner runner;
    private readonly CudaKernels kernels;
    private readonly DeviceScratch scratch;
    private readonly PackedTables tables;
    private readonly StoredEnds? ends;   // of a network with activations in 16 bits
    private readonly StoredBackward? backward; // of such a network
    private readonly FusedBlocks? fused; // residual blocks on tensor cores; null: version 1 and 2 in float32
    private readonly TensorGradients<float, RowsOfTf32>? tf32Gradients; // null: in float32, or from activations in 16 bits
    private readonly ulong numbers; // the few single numbers below
    private readonly HashSet<Recording> recordings = [];
    private readonly Dictionary<(nint Function, int SharedBytes), int> atOnce = [];
    private DeviceWeights? loaded, current; // by Load; those the operations use
    private bool disposed;

    /// <summary>Readies a device.</summary>
    /// <param name="driver">The device; stays the caller's, who disposes of it afterwards. Several may share it.</param>
    /// <param name="options">Choices; null: the defaults.</param>
    /// <exception cref="CudaException">The driver refuses.</exception>
    /// <exception cref="UnsupportedPrecisionException">The device has no tensor cores for the precision.</exception>
    public CudaOps(ICudaDriver driver, CudaOptions? options = null)
    {
        (this.driver, this.options) = (driver, options ?? new CudaOptions());
        if (Precision != Precision.Fp32 && driver.Device.Sm < LeastSm)
            throw new UnsupportedPrecisionException($"{Name(Precision)} needs tensor cores of sm_{LeastSm} or later, {driver.Device.Name} is sm_{driver.Device.Sm}; compute in fp32 there");
        stream = driver.CreateStream();
        pool = new DeviceMemoryPool(driver, stream, this.options.MemoryBudget);
        runner = new KernelRunner(driver);
        kernels = new CudaKernels(runner);
        downloads = new Downloads(driver, stream);
        scratch = new DeviceScratch(pool, () => driver.IsCapturing(stream));
        tables = new PackedTables(pool, () => driver.IsCapturing(stream));
        (ends, backward, fused) = Precision switch
        {
            Precision.Fp16 => (new StoredEnds<Half, F16>(this), new StoredBackward<Half, F16>(this), new StoredBlocks<Half, F16>(this)),
            Precision.Bf16 => (new StoredEnds<BFloat16, BF16>(this), new StoredBackward<BFloat16, BF16>(this), new StoredBlocks<BFloat16, BF16>(this)),
            Precision.Tf32 => (null, null, new Tf32Blocks(this)),
            _ => ((StoredEnds?)null, (StoredBackward?)null, (FusedBlocks?)null),
        };
        if (Precision == Precision.Tf32) tf32Gradients = new TensorGradients<float, RowsOfTf32>(this);
        try
        {
            SamplingBudget = Math.Min(pool.Budget, driver.MemoryInfo().Free) / 10 * 8;
            staging = new StagingRing(driver, stream, this.options.StagingBytes);
            numbers = pool.Allocate(NumbersBytes);
            driver.FillAsync(numbers, uint.MaxValue, NumbersBytes / sizeof(uint), stream); // norms of NaN: there was no update yet
            driver.FillAsync((ulong)FinishedBlocks.Address, 0, 1, stream);
            SetSeed(0);
            SetLimits(clipNorm: 0, lossScale: 1, lossFactor: 1);
        }
        catch
        {
            Cleanup.Run(() => staging?.Dispose(), pool.Dispose, () => driver.DestroyStream(stream));
            throw;
        }
    }

    /// <inheritdoc/>
    public string Device => Precision == Precision.Fp32 ? driver.DeviceText : driver.DeviceText.EndsWith(')') ? $"{driver.DeviceText[..^1]}, {Name(Precision)})" : $"{driver.DeviceText} ({Name(Precision)})";

    /// <inheritdoc/>
    public Precision Precision => options.Precision;

    /// <inheritdoc/>
    public bool PrefersWholeSignals => true;

    /// <inheritdoc/>
    public long SamplingBudget { get; }

    /// <inheritdoc/>
    public long TrainingBudget => options.TrainingBudget ?? SamplingBudget; // what is left is for weights, their gradients and working memory

    /// <inheritdoc/>
    public int ActivationBytes => ends is null ? sizeof(float) : 2;

    /// <inheritdoc/>
    public bool BlocksProjectMel => fused is not null;

    /// <inheritdoc/>
    public int ConditionersAtOnce(ModelConfig config) => backward is null ? 1 : PointwiseConvBackward.LayersAtOnceV3(2 * config.Channels);

    /// <inheritdoc/>
    public int WindowRows(ModelConfig config, int batch, int rows) => options.WindowRows ?? (fused is null ? 0 : WindowRule.Rows(driver.Device, config, ActivationBytes, batch, rows));

    /// <inheritdoc/>
    public long WorkingRowBytes(ModelConfig config)
    {
        long gate = fused is null ? 3L * config.Channels : 0, hidden = ends is null ? config.Channels : 0, upsampler = 2L * config.Bands; // input and output; of the head; two stages
        return sizeof(float) * (gate + hidden + upsampler);
    }

    /// <summary>Most bytes of device memory that were in use at once.</summary>
    public long PeakMemoryBytes => pool.PeakBytesInUse;

    /// <summary>What the device's memory is used for.</summary>
    internal DeviceMemoryPool Pool => pool;

    private const int NumbersBytes = 112;

    private ArrayView<ulong> Seed => new((nint)numbers, 2);

    private ArrayView<double> Norm => new((nint)numbers + 16, 1);

    private ArrayView<double> NormOfUpdate => new((nint)numbers + 24, 1);

    private ArrayView<float> Scale => new((nint)numbers + 32, 1);

    private ArrayView<float> ScaleOfUpdate => new((nint)numbers + 36, 1);

    private ArrayView<int> FinishedBlocks => new((nint)numbers + 40, 1);

    private ArrayView<float> LossFactor => new((nint)numbers + 44, 1);

    private ArrayView<UpdateLimits> Limits => new((nint)numbers + 48, 1);

    private ArrayView<AdamFactors> Factors => new((nint)numbers + 80, 1);

    private DeviceWeights Weights => current ?? throw new InvalidOperationException("no weights are loaded: call Load first");

    /// <inheritdoc/>
    /// <exception cref="UnsupportedPrecisionException">The precision cannot serve the model: see <see cref="Problem(ModelConfig)"/>.</exception>
    public void Load(ModelConfig config, Parameters parameters)
    {
        Refuse(Problem(config));
        if (loaded is null || !loaded.Fits(config))
        {
            if (current == loaded) current = null;
            loaded?.Free(pool);
            loaded = null; // not the old ones, should the next line fail
            loaded = new DeviceWeights(config, parameters.Infos, pool, fused?.WeightBytes(config) ?? 0);
        }
        current = loaded;
        staging.Upload<float>(parameters.Arena, (ulong)loaded.Values.All.Address);
        Pack(kernels.WeightLayout, loaded.Packed, loaded.Values.LayerStride);
        fused?.Pack(loaded);
    }

    /// <summary>Why this device cannot serve a model in its precision, and what to do; null when it can.</summary>
    /// <param name="config">The model.</param>
    public string? Problem(ModelConfig config) => Problem(Precision, config) ?? (fused is null ? null : SharedProblem(config, fused.LeastSharedBytes(config)));

    private string? SharedProblem(ModelConfig config, int bytes) => bytes <= driver.Device.SharedBytesPerBlock ? null
        : $"{Name(Precision)}: at {config.Channels} channels a block takes {bytes} bytes of shared memory, {driver.Device.Name} has {driver.Device.SharedBytesPerBlock}; compute in fp32 there";

    private static void Refuse(string? problem)
    {
        if (problem is not null) throw new UnsupportedPrecisionException(problem);
    }

    // Brings the weights into the order of the faster kernels.
    private void Pack(KernelVariants layout, PackedWeights packed, int layerStride)
    {
        using var range = Range(nameof(Pack));
        foreach (PackedWeights.Conv conv in packed.All)
            Launch(layout.With().Add(conv.Source).Add(conv.Values).Add(conv.Outputs).Add(conv.Inputs).Add(conv.Taps).Add(layerStride), Blocks(conv.Size), 1, conv.Layers);
    }

    /// <inheritdoc/>
    /// <exception cref="CudaException">CUDA_ERROR_OUT_OF_MEMORY: the device has not enough memory.</exception>
    public IBuffer Allocate(int batch, int rows, int channels) => Allocate(batch, rows, channels, typeof(float), sizeof(float));

    private CudaBuffer Allocate(int batch, int rows, int channels, Type element, int elementBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        if (batch > MostItems) throw new ArgumentOutOfRangeException(nameof(batch), batch, $"at most {MostItems} items can be side by side on this device: use a smaller batch");
        long words = (checked((long)batch * rows * channels * elementBytes) + sizeof(uint) - 1) / sizeof(uint);
        ulong address = pool.Allocate(words * sizeof(uint));
        driver.FillAsync(address, 0, words, stream);
        return new CudaBuffer(this, address, batch, rows, channels, element);
    }

    /// <inheritdoc/>
    /// <exception cref="CudaException">CUDA_ERROR_OUT_OF_MEMORY: the device has not enough memory.</exception>
    public IBuffer AllocateActivation(int batch, int rows, int channels) => Allocate(batch, rows, channels, ends?.Element ?? typeof(float), ActivationBytes);

    /// <inheritdoc/>
    /// <exception cref="CudaException">CUDA_ERROR_OUT_OF_MEMORY: the device has not enough memory.</exception>
    public IBuffer AllocateSignal(int batch, int rows) => Allocate(batch, rows, 1);

    /// <summary>Takes a buffer's memory back; after <see cref="Dispose"/> there is nothing left to take.</summary>
    internal void Release(ulong address)
    {
        if (!disposed) pool.Free(address);
    }

    /// <inheritdoc/>
    public void Upload(ReadOnlySpan<float> values, IBuffer destination, int item, int row)
    {
        var to = (CudaBuffer)destination;
        int rows = WholeRows(values.Length, to);
        if (to.Element == typeof(Half)) Upload(values, to.Part<Half>(item, row, rows), value => (Half)value);
        else if (to.Element == typeof(BFloat16)) Upload(values, to.Part<BFloat16>(item, row, rows), value => (BFloat16)value);
        else staging.Upload(values, (ulong)to.Part<float>(item, row, rows).Address);
    }

    private void Upload<T>(ReadOnlySpan<float> values, ArrayView<T> target, Func<float, T> stored) where T : unmanaged
    {
        T[] piece = new T[Math.Min(values.Length, ConvertedValues)];
        for (int first = 0; first < values.Length; first += piece.Length)
        {
            int count = Math.Min(piece.Length, values.Length - first);
            for (int i = 0; i < count; i++) piece[i] = stored(values[first + i]);
            staging.Upload<T>(piece.AsSpan(0, count), (ulong)target.SubView(first, count).Address);
        }
    }

    /// <inheritdoc/>
    public void Download(IBuffer source, int item, int row, Span<float> values)
    {
        var from = (CudaBuffer)source;
        int rows = WholeRows(values.Length, from);
        if (from.Element == typeof(Half)) Download(from.Part<Half>(item, row, rows), values, value => (float)value);
        else if (from.Element == typeof(BFloat16)) Download(from.Part<BFloat16>(item, row, rows), values, value => value);
        else staging.Download((ulong)from.Part<float>(item, row, rows).Address, values);
    }

    private void Download<T>(ArrayView<T> source, Span<float> values, Func<T, float> number) where T : unmanaged
    {
        T[] piece = new T[Math.Min(values.Length, ConvertedValues)];
        for (int first = 0; first < values.Length; first += piece.Length)
        {
            Span<T> part = piece.AsSpan(0, Math.Min(piece.Length, values.Length - first));
            staging.Download((ulong)source.SubView(first, part.Length).Address, part);
            for (int i = 0; i < part.Length; i++) values[first + i] = number(part[i]);
        }
    }

    /// <inheritdoc/>
    /// <exception cref="CudaException">CUDA_ERROR_OUT_OF_MEMORY: the host has not enough memory that can be page-locked.</exception>
    public IDownload BeginDownload(IBuffer signal)
    {
        ArrayView<float> values = Values(signal);
        return downloads.Begin((ulong)values.Address, values.IntLength);
    }

    /// <inheritdoc/>
    public void Clear(IBuffer buffer)
    {
        (ulong address, long words) = ((CudaBuffer)buffer).Words;
        driver.FillAsync(address, 0, words, stream);
    }

    /// <inheritdoc/>
    public void Copy(Window source, Window destination, int rows)
    {
        using var range = Range(nameof(Copy));
        int batch = source.Buffer.Batch;
        if (((CudaBuffer)source.Buffer).Element != ((CudaBuffer)destination.Buffer).Element) throw new ArgumentException("the buffers hold values of different types: both must come from AllocateActivation, or neither");
        Rows<float> from = WordsAt(source), to = WordsAt(destination);
        int channels = from.Channels;
        if (!CopyRows.Overlap(from, to, rows))
        {
            Copy(from, to, batch, rows);
            return;
        }
        Rows<float> between = Scratch(ScratchUse.Copy, batch, rows, channels);
        Copy(from, between, batch, rows);
        Copy(between, to, batch, rows);
    }

    private void Copy(Rows<float> from, Rows<float> to, int batch, int rows)
    {
        int channels = to.Channels;
        bool fours = channels % 4 == 0;
        foreach ((int first, int count) in Pieces(new TimeRange(0, rows, rows), channels))
            Launch((fours ? kernels.CopyV2 : kernels.CopyV1).With().Add(From(from, first)).Add(From(to, first)).Add(count),
                Blocks((long)count * channels / (fours ? 4 : 1)), batch);
    }

    /// <summary>Gives everything on the device back, also buffers that are still held.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        Cleanup.Run([.. recordings.Select(recording => (Action)recording.Dispose), staging.Dispose, downloads.Dispose, pool.Dispose, runner.Dispose, () => driver.DestroyStream(stream)]);
    }

    // ---- What the launchers are written with.

    private static int WholeRows(int values, CudaBuffer buffer) =>
        values % buffer.Channels == 0 ? values / buffer.Channels : throw new ArgumentException($"{values} values are no whole rows of {buffer.Channels} channels");

    // Rows of a window, counted from one of them on.
    private static Rows<float> At(Window window, int row = 0) => All(window.Buffer, window.Row + row);

    // Rows of a buffer, counted from one of them on.
    private static Rows<float> All(IBuffer buffer, int first = 0) => new(Values(buffer), buffer.Rows, first, buffer.Channels);

    private static ArrayView<float> Values(IBuffer? buffer) => buffer is null ? default : ((CudaBuffer)buffer).Values<float>();

    // The same of any type.
    private static Rows<T> At<T>(Window window, int row = 0) where T : unmanaged => All<T>(window.Buffer, window.Row + row);

    private static Rows<T> All<T>(IBuffer buffer, int first = 0) where T : unmanaged => new(((CudaBuffer)buffer).Values<T>(), buffer.Rows, first, buffer.Channels);

    // Rows as words of four bytes, whatever they hold.
    private static Rows<float> WordsAt(Window window)
    {
        var buffer = (CudaBuffer)window.Buffer;
        (ulong address, long words) = buffer.Words;
        int bytes = buffer.Element == typeof(float) ? sizeof(float) : 2, rowBytes = buffer.Channels * bytes;
        if (rowBytes % sizeof(float) != 0) throw new ArgumentException($"rows of {buffer.Channels} channels of {bytes} bytes, expected an even number of channels");
        return new(new ArrayView<float>((nint)address, words), buffer.Rows, window.Row, rowBytes / sizeof(float));
    }

    // The same rows, counted from a later one on.
    private static Rows<float> From(Rows<float> rows, int row) => new(rows.Values, rows.ItemRows, rows.First + row, rows.Channels);

    // The same rows without the first items.
    private static Rows<T> WithoutItems<T>(Rows<T> rows, int items) where T : unmanaged => new(rows.Values.SubView((long)items * rows.ItemRows * rows.Channels), rows.ItemRows, rows.First, rows.Channels);

    // A run of values as one row.
    private static Rows<float> AsRow(ArrayView<float> values) => new(values, 1, 0, values.IntLength);

    private Rows<float> Scratch(ScratchUse use, int batch, int rows, int channels) => Scratch<float>(use, batch, rows, channels);

    private Rows<T> Scratch<T>(ScratchUse use, int batch, int rows, int channels) where T : unmanaged => new(scratch.Take<T>(use, (long)batch * rows * channels), rows, 0, channels);

    // Rows of a range that exist, in pieces whose values (so many a row) a launch can count.
    private RowPieces Pieces(TimeRange range, int rowValues) => new(range, Math.Max(1, options.LaunchValues / rowValues));

    private static int Blocks(long threads, int perBlock = 256) => checked((int)((threads + perBlock - 1) / perBlock));

    // A grid of blocks along x and items along y: kernels of signals.
    private void Launch(KernelArguments arguments, int blocks, int items) => runner.Launch(arguments, new Dim3(blocks, items), stream);

    // A grid of blocks along x, something along y and items along z: kernels of activations.
    private void Launch(KernelArguments arguments, int blocks, int along, int items) => runner.Launch(arguments, new Dim3(blocks, along, items), stream);

    // Blocks of a kernel that the device runs at once: what a kernel whose blocks take turns is launched with.
    private int AtOnce(LoadedKernel kernel, int sharedBytes)
    {
        var key = (kernel.Function, sharedBytes);
        if (atOnce.TryGetValue(key, out int blocks)) return blocks;
        kernel.AllowShared(driver, sharedBytes);
        blocks = driver.Device.Multiprocessors * Math.Max(1, driver.MaxActiveBlocks(kernel.Function, kernel.Block!.Value.X, sharedBytes));
        atOnce.Add(key, blocks);
        return blocks;
    }

    // A range that profilers show around what an operation queues.
    private NamedRange Range(string name)
    {
        driver.PushRange(name);
        return new NamedRange(driver);
    }

    private readonly ref struct NamedRange(ICudaDriver driver)
    {
        public void Dispose() => driver.PopRange();
    }

    private static int On(bool flag) => flag ? 1 : 0;
}
