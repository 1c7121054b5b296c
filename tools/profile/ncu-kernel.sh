#!/usr/bin/env bash
# One launch of one kernel under Nsight Compute.
#
#   tools/profile/ncu-kernel.sh gated_activation_v2                                    at its usual shape, which is small
#   tools/profile/ncu-kernel.sh residual_block_resident_v2_half --shape rows=65536     what is behind the name goes to `bench kernel`
#   tools/profile/ncu-kernel.sh DilatedConv --version 2 --shape rows=20000             of an operation that has one kernel of this version
#   tools/profile/ncu-kernel.sh --in synthesis residual_block_resident_v2 --precision fp16   its first launch within a synthesis, or --in training, as large as it is there: what is behind the
#                                                                                       name goes to `bench launches`, whose table has the names
#
# Prints what Nsight Compute found and leaves OUT/NAME.ncu-rep, which its window opens: the page Source shows the C# lines. OUT is the current folder, DEVICE is cuda, PACK a folder of
# tools/gpu-check.sh --pack (.gpu). Exit code 1 when nothing was profiled.
set -uo pipefail
. "$(dirname "$0")/common.sh"
work=''
if [ "${1:-}" = --in ]; then
    case "${2:-}" in synthesis | training) work=$2 ;; *) echo "--in ${2:-}: expected synthesis or training" >&2; exit 2 ;; esac
    shift 2
fi
case "${1:-}" in -h | --help) usage; exit ;; '' | -*) usage >&2; exit 2 ;; esac
ncu=$(profiler ncu) && find_program || exit 1
report=$out/$1
rm -f "$report.ncu-rep"
if [ -n "$work" ]; then # the program lets the profiler begin when everything is compiled and allocated; a graph's kernels are seen one by one
    what=(launches --work "$work" "${@:2}") more=(--profile-from-start off --kernel-name "regex:^$1" --launch-count 1)
else
    what=(kernel "$@") more=()
fi
# Finds the C# files of the lines in the PTX, which are named from the repository's root; versions before 2022 look in the current folder only.
"$ncu" --help 2>/dev/null | grep -q -- '--source-folders' && more+=(--source-folders "$root")
cd "$root" || exit 1
said=$(mktemp)
trap 'rm -f "$said"' EXIT
"$ncu" --target-processes all --force-overwrite --export "$report" --import-source yes "${more[@]}" \
    --section LaunchStats --section SpeedOfLight --section SpeedOfLight_RooflineChart --section MemoryWorkloadAnalysis --section MemoryWorkloadAnalysis_Tables --section SchedulerStats --section WarpStateStats \
    --section Occupancy --section SourceCounters --section InstructionStats \
    "${program[@]}" "${what[@]}" --device "$device" --profile 2>&1 | tee "$said"
code=${PIPESTATUS[0]}
if grep -q ERR_NVGPUCTRPERM "$said"; then
    echo "The driver keeps its counters for root: run this as root, or load its module with NVreg_RestrictProfilingToAdminUsers=0 (https://developer.nvidia.com/ERR_NVGPUCTRPERM)." >&2
    exit 1
fi
[ "$code" -eq 0 ] && [ -f "$report.ncu-rep" ] || { echo "nothing was profiled (exit code $code)" >&2; exit 1; }
"$ncu" --import "$report.ncu-rep" --page details
echo "$report.ncu-rep"
