using System.CommandLine;
using DiffWave.Bench;

return new RootCommand("Benchmarks of DiffWaveKernels.")
{
    SuiteVerbs.List(), SuiteVerbs.Run(), SuiteVerbs.Synthesis(), SuiteVerbs.Training(), SuiteVerbs.Roofline(), KernelVerb.Create(), LaunchesVerb.Create(), PeersVerb.Create(),
    ResultVerbs.Compare(), ResultVerbs.Report(), ResultVerbs.Readme(),
    MicroVerb.Create(), ScalingVerb.Create(), CostsVerb.Create(), PrecisionVerb.Create(), PtxVerb.Create(), KernelToolsBench.CompilerVerb(), KernelToolsBench.EmulatorVerb(),
}.Parse(args).Invoke();
