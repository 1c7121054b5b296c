# What the scripts beside it share: where the profiler and the program are. To be sourced.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
device=${DEVICE:-cuda}
out=${OUT:-.}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1

# A profiler from PATH, or from where NVIDIA's installers put it, the newest one.
profiler() {
    local place
    command -v "$1" && return
    for place in "${CUDA_HOME:-/usr/local/cuda}/bin/$1" $(ls -d /opt/nvidia/nsight-compute/*/"$1" /opt/nvidia/nsight-systems/*/bin/"$1" 2>/dev/null | sort -rV); do
        [ -x "$place" ] && echo "$place" && return
    done
    echo "no $1: it comes with the CUDA toolkit (Nsight Compute, Nsight Systems); tools/profile/README.md says what can be found out without it" >&2
    return 1
}

# Sets the command that starts the benchmarks: from a folder of tools/gpu-check.sh --pack (PACK, or .gpu), else from source.
find_program() {
    local pack=${PACK:-$root/.gpu}
    if [ -x "$pack/run" ] && [ -f "$pack/programs/DiffWave.Bench.dll" ]; then
        "$pack/run" DiffWave.Bench --version >/dev/null || return # unpacks the runtime, which need not be in the profile
        program=("$pack/run" DiffWave.Bench)
    elif [ -n "${PACK:-}" ]; then
        echo "$pack holds no program DiffWave.Bench; tools/gpu-check.sh --pack makes such a folder" >&2
        return 1
    elif command -v dotnet >/dev/null; then
        dotnet build "$root/bench/DiffWave.Bench" -c Release -nologo -v quiet -clp:NoSummary >&2 || return
        program=(dotnet "$root/bench/DiffWave.Bench/bin/Release/net10.0/DiffWave.Bench.dll")
    else
        echo "neither $pack nor dotnet is here: make the folder with tools/gpu-check.sh --pack where .NET is" >&2
        return 1
    fi
}

# Puts a work of `bench launches` under Nsight Systems: its last run, when everything is compiled, allocated and recorded.
trace() {
    local nsys report=$out/$1 code
    nsys=$(profiler nsys) && find_program || return
    rm -f "$report.nsys-rep"
    # The program tells when to begin and to end. Kernels of a graph are shown one by one, which costs time between them: gaps of some microseconds are the profiler's.
    "$nsys" profile --trace cuda,nvtx --sample none --cpuctxsw none --cuda-graph-trace node --capture-range cudaProfilerApi --capture-range-end stop --force-overwrite true --output "$report" \
        "${program[@]}" launches --work "$1" --device "$device" --profile "${@:2}"
    code=$?
    [ $code -eq 0 ] && [ -f "$report.nsys-rep" ] || { echo "nothing was profiled (exit code $code)" >&2; return 1; }
    "$nsys" stats --force-export true --report cuda_gpu_kern_sum --report cuda_gpu_mem_time_sum --report cuda_api_sum --report nvtx_sum "$report.nsys-rep"
    echo "$report.nsys-rep"
}

# The lines of a script's head.
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; }
