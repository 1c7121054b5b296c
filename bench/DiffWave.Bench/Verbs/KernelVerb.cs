using System.CommandLine;
using DiffWave.Cuda;
using DiffWave.Kernels;

namespace DiffWave.Bench;

/// <summary><c>kernel</c>: one kernel of the catalogue, or all versions of an operation.</summary>
internal static class KernelVerb
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "a kernel such as gated_activation_v2, or an operation such as GatedActivation" };
        var version = new Option<int?>("--version") { Description = "of an operation: only kernels of this version", HelpName = "N" };
        var shape = new Option<string?>("--shape") { Description = "sizes; those not named are the usual ones, which are small", HelpName = "NAME=SIZE,.." };
        var profile = new Option<bool>("--profile") { Description = "one launch and nothing else, for a profiler: no warming up, no timing" };
        return new BenchVerb("kernel", "a kernel, hot and cold, under its roof; registers, shared memory, occupancy", (parsed, settings) =>
        {
            KernelVersion[] chosen = Chosen(parsed.GetValue(name)!, parsed.GetValue(version));
            (KernelVersion, KernelShape)[] sized = [.. chosen.Select(one => (one, Shape(one, parsed.GetValue(shape))))];
            return parsed.GetValue(profile) ? Profile(settings, sized) : Run(settings, sized);
        }, name, version, shape, profile) { UsualDevice = "cuda" };
    }

    /// <summary>Kernels by name, or those of an operation.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static KernelVersion[] Chosen(string name, int? version)
    {
        if (KernelCatalog.Find(name) is { } kernel)
            return version is null ? [kernel] : throw new ArgumentException($"--version {version}: '{name}' is a kernel and has its version in its name; --version is for operations such as {kernel.Op}");
        KernelVersion[] all = [.. KernelCatalog.All.Where(one => one.Op == name)];
        if (all.Length == 0) throw new ArgumentException($"'{name}' is no kernel of the catalogue and no operation; operations: {string.Join(", ", KernelCatalog.All.Select(one => one.Op).Distinct())}");
        if (version is null) return all;
        KernelVersion[] some = [.. all.Where(one => one.Name.Split('_').Contains($"v{version}"))];
        return some.Length > 0 ? some : throw new ArgumentException($"--version {version}: {name} has {string.Join(", ", all.Select(one => one.Name))}");
    }

    private static KernelShape Shape(KernelVersion version, string? sizes)
    {
        KernelShape shape = sizes is null ? version.Shapes[0] : version.Shapes[0].With(sizes);
        return version.Problem(shape) is { } problem ? throw new ArgumentException($"--shape {sizes}: {version.Name}: {problem}") : shape;
    }

    private static Result Run(BenchSettings settings, (KernelVersion Version, KernelShape Shape)[] kernels)
    {
        RefuseCpu(settings);
        using var bench = new KernelBench(settings);
        return GpuRoofline.Noted(Suite.Run("kernel", "kernels", settings, [.. kernels.Select(one => new BenchCase($"kernel/{one.Version.Name}/{one.Shape}", () => bench.Measure(one.Version, one.Shape)))]), bench);
    }

    // Nothing else may touch the device, not even to tell what it is.
    private static Result Profile(BenchSettings settings, (KernelVersion Version, KernelShape Shape)[] kernels)
    {
        RefuseCpu(settings);
        if (kernels.Length != 1) throw new ArgumentException($"--profile launches one kernel; name one of {string.Join(", ", kernels.Select(one => one.Version.Name))}");
        using ICudaDriver driver = BenchDevice.OpenDriver(settings.Device);
        return new Result("kernel", $"one launch, nothing timed, {driver.DeviceText}", [KernelBench.LaunchOnce(driver, kernels[0].Version, kernels[0].Shape)]) { Settings = settings.Describe() };
    }

    private static void RefuseCpu(BenchSettings settings)
    {
        if (settings.IsCpu) throw new ArgumentException("--device cpu: kernels run on a GPU or on the emulator; give cuda, cuda:N or emulator");
    }
}
