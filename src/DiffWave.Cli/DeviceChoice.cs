using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>
/// The device a verb computes on, and why it is that one. Under <c>auto</c> it starts as a GPU where one can be used; when that fails in work done through <see cref="Run{T}"/>, the CPU
/// takes over for good and does the work again. Every other device fails for good, and so does a GPU that was to compute in less than fp32.
/// </summary>
internal sealed class DeviceChoice : IDisposable
{
    private readonly Session _session;
    private readonly int _threads;
    private readonly Precision? _precision; // null: the best for the model
    private readonly ModelConfig? _model;
    private readonly List<IDisposable> _owned = []; // in order of making
    private ICudaDriver? _driver;
    private bool _mayFallBack;
    private Action<IOps>? _prepare;

    private DeviceChoice(Session session, int threads, Precision? precision, ModelConfig? model) => (_session, _threads, _precision, _model) = (session, threads, precision, model);

    /// <summary>The device; it may change in <see cref="Run{T}"/>.</summary>
    public IOps Ops { get; private set; } = null!;

    /// <summary>Why it was taken.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>The device and the reason in one phrase, such as <c>cpu (AVX-512, 2 threads; libcuda.so.1 not found)</c>.</summary>
    public string Text => Phrase(Ops.Device, Reason);

    /// <summary>A device and a reason in one phrase.</summary>
    public static string Phrase(string device, string reason) => device.EndsWith(')') ? $"{device[..^1]}; {reason})" : $"{device} ({reason})";

    /// <summary>Most bytes of a GPU's memory in use at once; null on the CPU.</summary>
    public long? PeakGpuBytes => _driver is null ? null : _owned.OfType<CudaOps>().Sum(ops => ops.PeakMemoryBytes);

    /// <summary>True as long as the CPU may take over: what cannot be taken back must wait.</summary>
    public bool MayFallBack => _mayFallBack;

    /// <summary>What the network computes with; the CPU has fp32 only and cannot take over from a GPU that was asked to compute in another.</summary>
    public Precision Precision => Ops.Precision;

    /// <summary>Opens the device a user asked for.</summary>
    /// <exception cref="NoSuchDeviceException">The device is not there.</exception>
    /// <exception cref="UsageException">The device is the CPU, and the precision is not its own.</exception>
    /// <exception cref="UnsupportedPrecisionException">The GPU is too old for the precision.</exception>
    public static DeviceChoice Open(Session session, DeviceName device, int threads, Precision precision = Precision.Fp32) => Open(new DeviceChoice(session, threads, precision, null), device);

    /// <summary>Opens the device a user asked for, for one model. Without a precision a GPU computes in fp16 where it has kernels for the model, else in fp32; the reason tells why.</summary>
    /// <exception cref="NoSuchDeviceException">The device is not there.</exception>
    /// <exception cref="UsageException">The device is the CPU, and the precision is not its own.</exception>
    /// <exception cref="UnsupportedPrecisionException">The GPU is too old for the precision.</exception>
    public static DeviceChoice OpenFor(ModelConfig model, Session session, DeviceName device, int threads, Precision? precision) => Open(new DeviceChoice(session, threads, precision, model), device);

    private static DeviceChoice Open(DeviceChoice choice, DeviceName device)
    {
        try
        {
            choice.Open(device);
            return choice;
        }
        catch
        {
            choice.Dispose();
            throw;
        }
    }

    private void Open(DeviceName device)
    {
        switch (device.Kind)
        {
            case DeviceKind.Cpu when !MayBeFp32:
                throw new UsageException($"{PrecisionOption} --device cpu: the CPU computes in fp32 only; give --device auto, cuda, cuda:N or emulator");
            case DeviceKind.Cpu:
                Use(CpuDevice.Create(_threads), "chosen by --device");
                break;
            case DeviceKind.Cuda:
                Use(Gpus.Open(device), "chosen by --device");
                break;
            case DeviceKind.Emulator:
                Use(new EmulatedDriver(new EmulatorOptions { Threads = _threads }), "chosen by --device; slow: take tiny models and short audio");
                break;
            default:
                OpenFirst();
                break;
        }
    }

    private void OpenFirst()
    {
        (ICudaDriver? driver, int index, Exception? whyNone) = Gpus.First();
        if (!MayBeFp32)
        {
            if (driver is null) throw new NoSuchDeviceException($"{PrecisionOption} needs a GPU, and the CPU computes in fp32 only: {Gpus.Reason(whyNone!)}");
            Use(driver, index == 0 ? "the first GPU" : $"the first GPU that can be used, cuda:{index}");
            return;
        }
        if (driver is not null)
        {
            _mayFallBack = true;
            try { Use(driver, index == 0 ? "the first GPU" : $"the first GPU that can be used, cuda:{index}"); }
            catch (Exception e) when (Gpus.IsFailure(e)) { FallBack(e); }
        }
        else if (Gpus.IsAbsence(whyNone!)) Use(CpuDevice.Create(_threads), Gpus.Reason(whyNone!));
        else FallBack(whyNone!);
    }

    private void Use(IOps ops, string reason)
    {
        _owned.Add(ops);
        (Ops, Reason) = (ops, reason);
    }

    private void Use(ICudaDriver driver, string reason)
    {
        _driver = driver;
        _owned.Add(driver);
        CudaOps ops = NewOps(driver, out string? whyNotFp16);
        Use(ops, whyNotFp16 is null ? reason : $"{reason}; no {whyNotFp16.Split(';')[0]}");
    }

    private bool MayBeFp32 => _precision is null or Precision.Fp32;

    private string PrecisionOption => $"--precision {_precision!.Value.ToString().ToLowerInvariant()}";

    /// <summary>Refuses a model that the device cannot train in the precision, before anything is written.</summary>
    /// <exception cref="UnsupportedPrecisionException">There are no kernels for the model, or not enough shared memory for them.</exception>
    public void RequireTraining(ModelConfig config) => (Ops as CudaOps)?.RequireTraining(config);

    /// <summary>A second set of weights and buffers on the same device; belongs to this choice.</summary>
    public IOps Another()
    {
        IOps another = _driver is null ? CpuDevice.Create(_threads) : NewOps(_driver, out _);
        _owned.Add(another);
        return another;
    }

    private CudaOps NewOps(ICudaDriver driver, out string? whyNotFp16)
    {
        var options = new CudaOptions { Precision = _precision ?? Precision.Fp16, Tuning = TileTuning.Open(driver) };
        whyNotFp16 = null;
        if (_precision is not null) return new CudaOps(driver, options);
        try
        {
            var ops = new CudaOps(driver, options);
            if ((whyNotFp16 = ops.Problem(_model!)) is null) return ops;
            ops.Dispose();
        }
        catch (UnsupportedPrecisionException e) { whyNotFp16 = e.Message; }
        return new CudaOps(driver, options with { Precision = Precision.Fp32 });
    }

    /// <summary>Makes the device ready for the work to come, and whichever takes its place.</summary>
    public void Prepare(Action<IOps> prepare)
    {
        Run(ops => { prepare(ops); return true; });
        _prepare = prepare;
    }

    /// <summary>Does work that leaves nothing behind when it fails. Under auto, when the GPU fails in it, the CPU does it again.</summary>
    /// <param name="work">The work.</param>
    /// <param name="repeatable">Whether it can still be done again; always when null.</param>
    public T Run<T>(Func<IOps, T> work, Func<bool>? repeatable = null)
    {
        try { return work(Ops); }
        catch (Exception e) when (_mayFallBack && Gpus.IsFailure(e) && repeatable?.Invoke() != false) { FallBack(e); }
        _prepare?.Invoke(Ops);
        return work(Ops);
    }

    private void FallBack(Exception e)
    {
        Release();
        _driver = null;
        _mayFallBack = false;
        Use(CpuDevice.Create(_threads), $"the GPU failed: {Gpus.Reason(e)}");
        _session.Warn($"the GPU cannot be used: {Gpus.Reason(e)}; computing on {Ops.Device}");
    }

    // What has failed may fail again when it is given back, and nothing can be done about it.
    private void Release()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            try { _owned[i].Dispose(); }
            catch (Exception e) when (Gpus.IsFailure(e)) { }
        }
        _owned.Clear();
    }

    public void Dispose() => Release();
}
