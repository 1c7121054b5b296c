#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one run, on a machine that has the driver but neither .NET nor a network.
#
#   tools/gpu-check.sh --pack     where .NET is: makes the folder .gpu, which travels with the source
#   tools/gpu-check.sh [FOLDER]   where the GPU is; FOLDER is .gpu unless named; STEPS="golden bench" does only these
#
# The folder holds the programs, published so that they need a runtime (programs/NAME.dll), the runtime of the machine that packed them (runtime.tar.xz, unpacked under ~/.cache at the first
# start, so that the folder stays small enough to travel; same processor and libc), and the script that starts them: .gpu/run NAME ARGUMENTS.
#
# What is done, each only where it can be; the table at the end says why something was not:
#   ptxas       golden PTX, what the compiler writes now, and what syntheses and training steps of all presets launch, assembled for each of TARGETS (80 90 120): registers, spills, shared memory
#   tests       the tests of the driver's wrapper and of the engine on it, with the real driver
#   kernels     every kernel at all its shapes on the GPU against its reference
#   golden      the reference data of PyTorch: intermediates, chains, gradients, optimiser steps
#   check       every kernel at random shapes, and every operation of the engine against the CPU's
#   training    200 steps of the tiny model, the losses beside the CPU's, within ten times what a rounding of the first weights does to them
#   precision   the predicted noise and the audio of tf32, fp16 and bf16 beside those of fp32, and the losses of 1,000 training steps
#   tune        the cuts of the fused blocks of the base model, one clip of 10 s and 16 of them; the steps behind it use what it finds
#   bench       measured ceilings and every kernel under them: registers, spills, occupancy, hot and cold time; every kernel within a synthesis and a training step; 10 s of the base model in 6 steps, 1 and 16
#               at a time, and a training step, in every precision. bench costs --measured puts these beside the predictions
#   peers       10 s of the base model, 1 and 16 at a time, and a training step, each in alternation with every mode of PyTorch, fp32 with fp32, tf32 with tf32, amp and compile with fp16; only where
#               PEER names a Python with PyTorch
#   memcheck    every kernel under compute-sanitizer: accesses outside of memory
#   racecheck   the same: hazards in shared memory
# Results go to OUT, bench/results/<GPU> unless set: table.txt, log.txt, ptxas.tsv, kernels.json, golden.json, check.json, precision.json, training-precision.json, tune-*.txt, roofline.json, launches.json, work-roofline.json, synthesis.json, training.json, peer-*.json, sanitizer.txt. A step may take STEP_SECONDS (270).
# Exit code 1 when something failed, 2 when nothing failed but no kernel ran on a GPU, else 0.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

pack() {
    set -e
    cd "$root"
    local sdk version
    rm -rf .gpu
    mkdir -p .gpu
    dotnet publish src/DiffWave.Cli -c Release --no-self-contained -nodeReuse:false -m:1 -nologo -v quiet -clp:NoSummary -o .gpu/programs
    dotnet publish bench/DiffWave.Bench -c Release --no-self-contained -nodeReuse:false -m:1 -nologo -v quiet -clp:NoSummary -o .gpu/programs
    dotnet publish tests/DiffWave.Cuda.Tests -c Release --no-self-contained -nodeReuse:false -m:1 -nologo -v quiet -clp:NoSummary -o .gpu/programs
    # What nothing here uses: the folder has to travel.
    rm -rf .gpu/programs/{voice,Fixtures,Microsoft.CodeCoverage} .gpu/programs/{xunit.runner.visualstudio,Microsoft.TestPlatform,Microsoft.VisualStudio}.* .gpu/programs/*.xml
    sdk=$(dirname "$(readlink -f "$(command -v dotnet)")")
    version=$(dotnet --list-runtimes | sed -n 's/^Microsoft.NETCore.App \(10\.[^ ]*\) .*/\1/p' | sort -V | tail -n 1)
    [ -n "$version" ] || { echo "no .NET 10 runtime beside $sdk/dotnet" >&2; exit 1; }
    tar -C "$sdk" --exclude='libmscor*' --exclude='libcoreclrtraceptprovider.so' --exclude='libclrgc*' --exclude='Microsoft.VisualBasic*' --exclude='System.Data.Common.dll' \
        -c dotnet "host/fxr/$version" "shared/Microsoft.NETCore.App/$version" | xz -6 -T0 >.gpu/runtime.tar.xz
    sha256sum .gpu/runtime.tar.xz | cut -c 1-16 >.gpu/runtime.key
    git describe --always --dirty --exclude '*' >.gpu/commit 2>/dev/null || echo unknown >.gpu/commit
    cat >.gpu/run <<'RUN'
#!/usr/bin/env bash
# Starts a packed program: run NAME ARGUMENTS.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -f "$here/programs/${1:?name of a program}.dll" ] || { echo "$here holds no program '$1'" >&2; exit 127; }
runtime=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/diffwave/dotnet-$(cat "$here/runtime.key")
if [ ! -d "$runtime" ]; then
    mkdir -p "$(dirname "$runtime")"
    part=$(mktemp -d "$runtime.XXXXXX")
    if command -v xz >/dev/null; then tar -C "$part" -xJf "$here/runtime.tar.xz"
    else python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r:xz").extractall(sys.argv[2])' "$here/runtime.tar.xz" "$part"; fi
    mv -T "$part" "$runtime" 2>/dev/null || rm -rf "$part"
fi
export DOTNET_ROOT="$runtime" DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DIFFWAVE_COMMIT=$(cat "$here/commit")
name=$1
shift
exec "$runtime/dotnet" "$here/programs/$name.dll" "$@"
RUN
    chmod +x .gpu/run
    du -sh .gpu
}

case "${1:-}" in
    --pack) [ $# -eq 1 ] || { echo "--pack takes nothing more" >&2; exit 2; }; (pack); exit ;;
    -*) echo "$1: unknown; expected --pack or a folder" >&2; exit 2 ;;
esac
[ $# -le 1 ] || { echo "expected one folder" >&2; exit 2; }
pack=${1:-$root/.gpu}
seconds=${STEP_SECONDS:-270}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A tool from PATH, or from where the toolkit is installed.
tool() {
    local folder
    command -v "$1" && return
    for folder in "${CUDA_HOME:-/usr/local/cuda}/bin" "${CUDA_HOME:-/usr/local/cuda}/compute-sanitizer" /usr/lib/nvidia-cuda-toolkit/bin; do
        [ -x "$folder/$1" ] && echo "$folder/$1" && return
    done
    return 1
}

gpu=''
nogpu='no nvidia-smi: the NVIDIA driver is not installed'
if smi=$(tool nvidia-smi); then
    if gpu=$("$smi" --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>"$work/smi") && [ -n "$gpu" ]; then
        gpu=$(head -n 1 <<<"$gpu")
    else
        nogpu="nvidia-smi: $({ echo "$gpu"; cat "$work/smi"; } | grep -m 1 . || echo 'no GPU')" gpu=''
    fi
fi
name=$(cut -d , -f 1 <<<"${gpu:-no GPU}" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9.-')
out=${OUT:-$root/bench/results/$name}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
exec > >(tee "$out/log.txt") 2>&1
commit=$(cat "$pack/commit" 2>/dev/null || git -C "$root" describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)
about="device: ${gpu:-none ($nogpu)}; commit $commit; $(date -u +%Y-%m-%dT%H:%M:%SZ)"
echo "$about"

failed=0 ran=0
: >"$work/table"
# One line of the table: what, verdict, details.
row() {
    printf '%-26s %-8s %s\n' "$1" "$2" "$3" >>"$work/table"
    [ "$2" != FAILED ] || failed=$((failed + 1))
}
step() { echo; echo "== $*"; }
wanted() { case " ${STEPS:-ptxas tests kernels golden check training precision tune bench peers memcheck racecheck} " in *" $1 "*) ;; *) return 1 ;; esac; }
# Runs a command for at most $seconds; tells a timeout as such.
limited() {
    timeout -k 10 "$seconds" "$@"
    local code=$?
    [ $code -ne 124 ] || echo "stopped after $seconds seconds"
    return $code
}
program() { [ -x "$pack/run" ] && [ -f "$pack/programs/$1.dll" ]; }

# Whether PTX for .target $1 can be assembled for sm_$2: a target ending in "a" only for itself.
fits() {
    case "$1" in
        *a) [ "$1" = "$2a" ] ;;
        *) [ "$1" -le "$2" ] ;;
    esac
}

# Assembles the files of a folder for an architecture, as many at once as there are processors, a line a kernel into ptxas.tsv, and adds their row.
assemble() {
    local what=$1 sm=$2 good=0 bad=0 skipped=0 spills=0 cores file target arch usage i files=() archs=() pids=()
    shift 2
    cores=$(nproc)
    for file in "$@"; do
        target=$(sed -n 's/^[[:space:]]*\.target[[:space:]]*sm_\([0-9]*[af]\{0,1\}\).*/\1/p' "$file" | head -n 1)
        if [ -z "$target" ] || ! fits "$target" "$sm"; then
            skipped=$((skipped + 1))
            continue
        fi
        arch=$sm
        [ "${target%a}" = "$target" ] || arch=$target
        i=${#files[@]}
        files+=("$file") archs+=("$arch")
        [ "$i" -lt "$cores" ] || wait "${pids[i - cores]}"
        "$ptxas" -v "-arch=sm_$arch" "$file" -o "$work/cubin$i" >"$work/said$i" 2>&1 &
        pids+=($!)
    done
    for i in "${!files[@]}"; do
        file=${files[i]} arch=${archs[i]}
        if wait "${pids[i]}"; then
            good=$((good + 1))
            # A line "Compiling entry function 'x'", then spills, then what is used.
            usage=$(sed -n -e "s/.*Compiling entry function '\([^']*\)'.*/\1/p" -e 's/.* \([0-9]*\) bytes spill stores, \([0-9]*\) bytes spill loads.*/spill \1 \2/p' \
                -e 's/.*Used \([0-9]* registers.*\)/used \1/p' "$work/said$i" |
                awk -v what="$what" -v sm="sm_$arch" -v file="$(basename "$file")" '
                    $1 == "spill" { stores = $2; loads = $3; next }
                    $1 == "used" {
                        shared = 0
                        for (i = 3; i <= NF; i++) if ($i == "bytes" && $(i + 1) ~ /^smem/) shared = $(i - 1)
                        printf "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", what, sm, file, entry, $2, stores, loads, shared
                        next
                    }
                    { entry = $1 }')
            echo "$usage" | tee -a "$out/ptxas.tsv"
            spills=$((spills + $(awk -F '\t' '{ s += $6 + $7 } END { print s + 0 }' <<<"$usage")))
        elif grep -qE "Unsupported .version|not defined for option 'gpu-name'" "$work/said$i"; then
            skipped=$((skipped + 1))
            echo "$file: newer than this ptxas"
        else
            bad=$((bad + 1))
            echo "$file, sm_$arch: $(cat "$work/said$i")"
        fi
    done
    if [ $bad -gt 0 ]; then row "ptxas sm_$sm, $what" FAILED "$bad of $((good + bad)) files refused, see log.txt"
    elif [ $good -eq 0 ]; then row "ptxas sm_$sm, $what" 'not run' "none of $skipped files is for sm_$sm or older and for this ptxas"
    else row "ptxas sm_$sm, $what" ok "$good files, $spills bytes of spills$([ $skipped -eq 0 ] || echo ", $skipped for newer targets or a newer ptxas left out")"
    fi
}

run_ptxas() {
    local golden=() file said sm model
    while IFS= read -r file; do golden+=("$file"); done < <(find "$root/tests" -path '*/Golden/*.ptx' -not -path '*/bin/*' -not -path '*/obj/*' | sort)
    if ! ptxas=$(tool ptxas); then
        row ptxas 'not run' 'no ptxas: the CUDA toolkit is not installed'
    else
        "$ptxas" --version | tail -n 2
        printf 'source\ttarget\tfile\tentry\tregisters\tspill_store_bytes\tspill_load_bytes\tshared_bytes\n' | tee "$out/ptxas.tsv"
        printf '.version 7.0\n.target sm_80\n.address_size 64\n.entry k() { ret; }\n' >"$work/none.ptx"
        for sm in ${TARGETS:-80 90 120}; do
            if ! said=$("$ptxas" "-arch=sm_$sm" "$work/none.ptx" -o "$work/cubin" 2>&1); then
                row "ptxas sm_$sm" 'not run' "this ptxas does not know it: $(head -n 1 <<<"$said")"
                continue
            fi
            if [ ${#golden[@]} -gt 0 ]; then assemble golden "$sm" "${golden[@]}"; else row "ptxas sm_$sm, golden" 'not run' 'no golden PTX under tests'; fi
            if ! program diffwave; then
                row "ptxas sm_$sm, compiled" 'not run' "no $pack/run diffwave; see --pack"
            elif limited "$pack/run" diffwave kernels ptx --all --target "sm_$sm" -o "$work/sm_$sm" && compgen -G "$work/sm_$sm/*.ptx" >/dev/null; then
                assemble compiled "$sm" "$work/sm_$sm"/*.ptx
            else
                row "ptxas sm_$sm, compiled" FAILED 'diffwave kernels ptx --all failed, see log.txt'
            fi
            case "$sm" in 80) model=a100 ;; 89) model=rtx4090 ;; 90) model=h100 ;; *) model='' ;; esac
            if [ -z "$model" ]; then row "ptxas sm_$sm, launched" 'not run' 'bench ptx knows no GPU of it'
            elif ! program DiffWave.Bench; then row "ptxas sm_$sm, launched" 'not run' "no $pack/run DiffWave.Bench; see --pack"
            elif limited "$pack/run" DiffWave.Bench ptx --gpu $model -o "$work/launched_$sm"; then assemble launched "$sm" "$work/launched_$sm"/*.ptx
            else row "ptxas sm_$sm, launched" FAILED 'bench ptx failed, see log.txt'
            fi
        done
    fi
}

# What a step on the GPU lacks, or nothing.
lacks() {
    if ! program "$1"; then echo "no $pack/run $1; see --pack"
    elif [ -z "$gpu" ]; then echo "$nogpu"
    fi
}

run_tests() {
    local reason
    if reason=$(lacks DiffWave.Cuda.Tests) && [ -n "$reason" ]; then
        row tests 'not run' "$reason"
    elif DIFFWAVE_TEST_DEVICE=cuda limited "$pack/run" DiffWave.Cuda.Tests | tee "$work/tests"; then
        row tests ok "$(grep -o 'Total: [0-9]*.*Failed: [0-9]*' "$work/tests" | tail -n 1)"
    else
        row tests FAILED "$(grep -o 'Total: [0-9]*.*Failed: [0-9]*' "$work/tests" | tail -n 1), see log.txt"
    fi
}

# A verb that prints JSON with "total" and "failed": its name in the table, its file, its arguments.
compare() {
    local what=$1 file=$out/$2 reason code total bad
    shift 2
    if reason=$(lacks diffwave) && [ -n "$reason" ]; then
        row "$what" 'not run' "$reason"
        return
    fi
    limited "$pack/run" diffwave "$@" --json >"$file"
    code=$?
    number() { grep -oE "\"$1\": *[0-9]+" "$file" | head -n 1 | grep -oE '[0-9]+$'; }
    total=$(number total) bad=$(number failed)
    [ "${total:-0}" -eq 0 ] || ran=1
    if [ $code -eq 0 ] && [ "${total:-0}" -gt 0 ] && [ "${bad:-1}" -eq 0 ]; then
        row "$what" ok "$total compared"
    else
        row "$what" FAILED "exit code $code, ${bad:-?} of ${total:-?} failed, see $(basename "$file") and log.txt"
    fi
}

run_kernels() { compare kernels kernels.json kernels run --all --device cuda; }
run_golden() { compare 'golden data' golden.json check --golden "$root/tests/Fixtures/golden" --device cuda; }
run_check() { compare 'against the CPU' check.json check --kernels --device cuda; }

# Losses of a run's log, a line each.
losses() { sed -n 's/.*"loss": *\([-0-9.eE+]*\).*/\1/p' "$1/log.jsonl"; }

# Three runs: on the CPU, on the GPU, and on the CPU from weights whose last bits are turned over. Training magnifies every difference, so the third tells what one rounding comes to at each step.
# Devices round differently at all of them: the GPU may be off by ten times as much. A wrong gradient is off by more from the second step on.
run_training() {
    local reason run
    if reason=$(lacks diffwave) && [ -n "$reason" ]; then
        row training 'not run' "$reason"
        return
    elif ! command -v python3 >/dev/null; then
        row training 'not run' 'no python3 to turn bits over'
        return
    fi
    "$pack/run" diffwave init --config tiny -o "$work/cpu.safetensors" && cp "$work/cpu.safetensors" "$work/cuda.safetensors" && python3 - "$work/cpu.safetensors" "$work/turned.safetensors" <<'TURN'
import struct, sys
data = bytearray(open(sys.argv[1], 'rb').read())
for i in range(8 + struct.unpack('<Q', data[:8])[0], len(data), 4): data[i] ^= 1
open(sys.argv[2], 'wb').write(data)
TURN
    for run in cpu turned cuda; do
        if ! limited "$pack/run" diffwave train --data "$root/tests/Fixtures/audio/speech.wav" --validation 0 --init "$work/$run.safetensors" --batch 4 --micro-batch 4 --crop-frames 16 --steps 200 \
            --validate-every 0 --sample-every 0 --device ${run/turned/cpu} -o "$work/train-$run"; then
            row training FAILED "diffwave train ($run) failed, see log.txt"
            return
        fi
        losses "$work/train-$run" >"$work/losses-$run"
    done
    paste "$work/losses-cpu" "$work/losses-cuda" "$work/losses-turned" | awk '
        function apart(a, b) { return (a > b ? a - b : b - a) / a }
        {
            cuda = apart($1, $2) > cuda ? apart($1, $2) : cuda
            turned = apart($1, $3) > turned ? apart($1, $3) : turned
            if (cuda > 10 * turned) bad++
            if (NR == 20) early = sprintf("%.1e (%.1e)", cuda, turned)
            print "step " NR ": cpu " $1 ", cuda " $2 ", turned " $3
        }
        END {
            printf "%d steps; largest relative difference of a loss, and that of turned last bits: %s after 20 steps, %.1e (%.1e) after all; more than ten times as large at %d steps\n", NR, early, cuda, turned, bad
            exit !(NR == 200 && bad == 0)
        }' | tee "$work/training"
    if [ "${PIPESTATUS[1]}" -eq 0 ]; then row training ok "$(tail -n 1 "$work/training")"; else row training FAILED "$(tail -n 1 "$work/training")"; fi
}

# Columns of a result's CSV by their names: a line for each case whose name begins with $2, the columns with spaces between. Cases with commas in them are not asked for their names.
columns() { awk -F, -v from="$2" -v names="$3" '
    { sub(/\r$/, ""); quoted = $0; gsub(/"/, "", quoted); gsub(/"[^"]*"/, "_") }
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split(names, name, " "); next }
    index(quoted, from) == 1 { for (i = 1; i <= n; i++) printf "%s%s", $(at[name[i]]), i < n ? " " : "\n" }' "$1"; }

# A benchmark: the name of its result, its verb and options. The result goes to NAME.json, its figures to a CSV.
benchmark() { limited "$pack/run" DiffWave.Bench "${@:2}" --device cuda --json "$out/$1.json" --csv "$work/$1.csv"; }

run_bench() {
    local reason name median times mfu
    if reason=$(lacks DiffWave.Bench) && [ -n "$reason" ]; then
        row bench 'not run' "$reason"
        return
    fi
    # Three seconds of audio, and for kernels that walk tiles as many blocks as a large GPU has multiprocessors.
    if benchmark roofline roofline --shape rows=65536,blocks=132; then
        row 'bench: roofline' ok "$(columns "$work/roofline.csv" ceiling/ 'case gigabytes_per_second gflops share_of_data_sheet' | awk '{ split($1, name, "/"); printf "%s %.0f %s", name[2], $2 $3, name[2] == "copy" ? "GB/s" : "GFLOP/s"; if ($NF + 0 > 0 && NF == 3) printf " (%.0f %% of data sheet)", 100 * $NF; printf ", " }')$(
            columns "$work/roofline.csv" kernel/ 'registers local_bytes' | awk '{ n++; if ($1 > most) most = $1; if ($2 > 0) local++ } END { printf "%d kernels, at most %d registers, %d with local memory", n, most, local }')"
    else
        row 'bench: roofline' FAILED 'see log.txt'
    fi
    if benchmark launches launches --precision fp32 tf32 fp16 bf16; then
        row 'bench: launches' ok "$(columns "$work/launches.csv" '' 'launches' | awk '{ n += $1 } END { printf "%d launches of %d kernels timed", n, NR }')"
    else
        row 'bench: launches' FAILED 'see log.txt'
    fi
    if benchmark work-roofline launches --work synthesis --batch 1 --precision fp32 fp16 --roofline; then
        row 'bench: work under roofs' ok "$(columns "$work/work-roofline.csv" synthesis/ 'case share share_of_roof bound' | awk '$2 > 0.1 { n = split($1, part, "/"); printf "%s%s %.0f %% of its %s roof", found++ ? ", " : "", part[n], 100 * $3, $4 }')"
    else
        row 'bench: work under roofs' FAILED 'see log.txt'
    fi
    if benchmark synthesis synthesis --seconds 10 --batch 1 16 --precision fp32 tf32 fp16 bf16 --case-seconds 5; then
        while read -r name median times; do row "$name" ok "$(printf '%.4g s, %.4g times real time' "$median" "$times")"; done < <(columns "$work/synthesis.csv" synthesis/ 'case median_seconds times_real_time')
    else
        row 'bench: synthesis' FAILED 'see log.txt'
    fi
    if benchmark training training --batch 16 --precision fp32 tf32 fp16 bf16 --case-seconds 5; then
        while read -r name median mfu; do row "$name" ok "$(printf '%.4g s a step, MFU %.3f' "$median" "$mfu")"; done < <(columns "$work/training.csv" training/ 'case median_seconds mfu')
    else
        row 'bench: training' FAILED 'see log.txt'
    fi
}

run_precision() {
    local reason
    if reason=$(lacks DiffWave.Bench) && [ -n "$reason" ]; then
        row precision 'not run' "$reason"
    elif (cd "$root" && limited "$pack/run" DiffWave.Bench precision --device cuda --seconds 1 --json "$out/precision.json") | tee "$work/precision"; then
        row precision ok "SNR of the voice's audio beside fp32 on the CPU: $(awk '/^precision\/voice\// { split($1, part, "/"); printf "%s %s dB  ", part[3], $NF }' "$work/precision")"
    else
        row precision FAILED 'see log.txt'
        return
    fi
    if (cd "$root" && limited "$pack/run" DiffWave.Bench precision --device cuda --training-steps 1000 --json "$out/training-precision.json") | tee "$work/precision"; then
        row precision ok "1,000 training steps, loss beside fp32: $(awk '/^training-precision\/.*\/(tf32|fp16|bf16) / { n = split($1, part, "/"); printf "%s %s  ", part[n], $3 }' "$work/precision")"
    else
        row precision FAILED '1,000 training steps, see log.txt'
    fi
}

run_tune() {
    local reason precision clips
    if reason=$(lacks diffwave) && [ -n "$reason" ]; then
        row tune 'not run' "$reason"
        return
    fi
    export DIFFWAVE_TUNING=$work/tuning
    for precision in fp16 tf32; do
        for clips in 1 16; do
            if limited "$pack/run" diffwave tune --config base --precision $precision --batch $clips --device cuda | tee "$work/tune"; then
                cp "$work/tune" "$out/tune-$precision-$clips.txt"
                row "tune: $precision, $clips" ok "$(awk 'NF >= 8 && $1 ~ /^[0-9]+$/ { n++; if ($2 != $5 || $3 != $6) { better++; if ($(NF - 1) + 0 > most) most = $(NF - 1) } } END { printf "%d dilations, another cut for %d%s", n, better, most ? ", at most " most "%" : "" }' "$work/tune")"
            else
                row "tune: $precision, $clips" FAILED 'see log.txt'
            fi
        done
    done
}

run_peers() {
    local reason mode what
    if reason=$(lacks DiffWave.Bench) && [ -n "$reason" ]; then
        row peers 'not run' "$reason"
        return
    elif [ -z "${PEER:-}" ]; then
        row peers 'not run' 'PEER names no Python with PyTorch'
        return
    fi
    for mode in ${MODES:-fp32 tf32 amp compile}; do
        for what in /1x10s /16x10s training; do
            if (cd "$root" && limited "$pack/run" DiffWave.Bench peers "$what" --device cuda --modes "$mode" --peer "$PEER" --json "$out/peer-$mode-${what#/}.json" 2>&1) | tee "$work/peer"; then
                while IFS= read -r line; do row "$mode: $what" "${line%%|*}" "${line#*|}"; done < <(awk '/^peers\/.*: not run: / { print "not run|" $0; next } /^peers\/[^ ]* +[0-9]/ { print "ok|" $0 }' "$work/peer")
            else
                row "$mode: $what" FAILED "$(tail -n 1 "$work/peer"), see log.txt"
            fi
        done
    done
}

sanitize() {
    local what=$1 reason code summary sanitizer
    if reason=$(lacks diffwave) && [ -n "$reason" ]; then
        row "$what" 'not run' "$reason"
    elif ! sanitizer=$(tool compute-sanitizer); then
        row "$what" 'not run' 'no compute-sanitizer: the CUDA toolkit is not installed'
    else
        limited "$sanitizer" --tool "$what" --target-processes all --error-exitcode 86 "$pack/run" diffwave kernels run --all --device cuda >"$work/$what" 2>&1
        code=$?
        tee -a "$out/sanitizer.txt" <"$work/$what"
        summary=$(grep -hE 'ERROR SUMMARY|RACECHECK SUMMARY' "$work/$what" | tail -n 1 | sed 's/^=* *//')
        # Without its summary the sanitizer checked nothing, whatever the exit code.
        if [ $code -eq 0 ] && [ -n "$summary" ]; then row "$what" ok "$summary"
        else row "$what" FAILED "exit code $code, ${summary:-no summary}, see sanitizer.txt"
        fi
    fi
}
run_memcheck() { sanitize memcheck; }
run_racecheck() { sanitize racecheck; }

for name in ptxas tests kernels golden check training precision tune bench peers memcheck racecheck; do
    wanted $name || continue
    step $name
    run_$name
done

echo
{ echo "$about"; cat "$work/table"; } | tee "$out/table.txt"
[ $failed -eq 0 ] || exit 1
[ $ran -eq 1 ] || exit 2
