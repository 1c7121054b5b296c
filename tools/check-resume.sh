#!/usr/bin/env bash
# Checks that a training run can be stopped anywhere: 40 steps in two parts, split at ten places, and a run killed again and again, must give the bits of an unbroken run.
#   tools/check-resume.sh                 both, with 200 kills (about 8 minutes on two cores)
#   tools/check-resume.sh --splits        only the splits
#   tools/check-resume.sh --kills N       only N kills; SEED=number chooses other moments
# Exit code 0 when everything holds, 1 when something does not.
set -euo pipefail
cd "$(dirname "$0")/.."

kills='' splits=''
while [ $# -gt 0 ]; do
    case "$1" in
        --kills) [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || { echo "--kills: expected a number from 1" >&2; exit 2; }; kills=$2; shift 2 ;;
        --splits) splits=yes; shift ;;
        *) echo "$1: unknown; expected --kills N or --splits" >&2; exit 2 ;;
    esac
done
[ -n "$kills$splits" ] || { kills=200; splits=yes; }

data=("$PWD"/tests/Fixtures/audio/{speech.wav,wav/pcm16_stereo.wav,wav/sox_float32.wav,wav/ffmpeg_pcm24.wav})
work=$(mktemp -d)
child=''
leave() {
    [ -z "$child" ] || kill -9 "$child" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
# A copy of its own: building the project again meanwhile does not disturb the check.
dotnet build src/DiffWave.Cli -c Release -nodeReuse:false -m:1 -nologo -v quiet -clp:NoSummary -o "$work/bin" >&2
diffwave=(dotnet "$work/bin/diffwave.dll")
cd "$work"

failures=0
# One line of the table: what, what was found, whether it holds.
row() {
    printf '%-47s %-60s %s\n' "$1" "$2" "$3"
    [ "$3" = ok ] || failures=$((failures + 1))
}
hash() { sha256sum "$1" 2>/dev/null | cut -c 1-16; }
# A small run, or its continuation: train RUN STEPS OPTIONS.
train=("${diffwave[@]}" train --data "${data[@]}" --config tiny --set channels=8 --set layers=3 --set mel.bands=12 --batch 2 --crop-frames 4 --lr 1e-3 --validate-every 0 --sample-every 0)
train() {
    local run=$1 steps=$2
    shift 2
    "${train[@]}" --out "$run" --steps "$steps" "$@" >"$run.out" 2>"$run.err" || { echo "error: training $run to step $steps failed: $(tail -n 1 "$run.err")" >&2; exit 1; }
}

check_splits() {
    local steps=40 options=(--checkpoint-every 7 --keep 3) threads k
    train straight "$steps" "${options[@]}" --threads 1
    local state model
    state=$(hash "straight/step-$steps.safetensors") model=$(hash straight/model.safetensors)
    row "$steps steps at once, 1 thread" "state $state" ok
    for threads in 1 2; do
        for k in 1 2 5 9 13 20 21 30 38 39; do
            train parts "$k" "${options[@]}" --threads "$threads"
            train parts "$steps" "${options[@]}" --threads "$threads"
            local found verdict=ok
            found=$(hash "parts/step-$steps.safetensors")
            [ "$found" = "$state" ] && [ "$(hash parts/model.safetensors)" = "$model" ] || verdict=DIFFERS
            row "$k + $((steps - k)) steps, $threads thread(s)" "state $found" "$verdict"
            rm -rf parts
        done
    done
}

# Every whole line of the log, in order and once: prints the last step, or what is wrong. A kill may cut the last line.
log_end() {
    awk 'bad { exit } { step = $0; if (!sub(/^\{"step":/, "", step) || $0 !~ /\}$/) { cut = NR; next }
        if (cut) { bad = "line " cut " is damaged"; next }
        step += 0; if (step != last + 1) bad = "step " step " follows step " last; last = step } END { print bad ? bad : last + 0 }' killed/log.jsonl 2>/dev/null || echo 0
}
newest() { { ls killed 2>/dev/null || true; } | sed -n 's/^step-\([0-9]*\)\.safetensors$/\1/p' | sort -n | tail -n 1; }

check_kills() {
    RANDOM=${SEED:-1}
    local every=3 kill milliseconds last checkpoint oldest=0 age leftovers='' left file resumed=0 writing=0 unreadable=0 dead=0 stale=0 behind=0 from code
    for ((kill = 1; kill <= kills; kill++)); do
        milliseconds=$((300 + (RANDOM * 32768 + RANDOM) % 2201))
        last=$(log_end)
        "${train[@]}" --out killed --steps 1000000 --checkpoint-every "$every" --keep 2 >killed.out 2>killed.err &
        child=$!
        sleep "$((milliseconds / 1000)).$(printf '%03d' $((milliseconds % 1000)))"
        kill -9 "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null && code=0 || code=$?
        child=''
        [ "$code" = 137 ] || { dead=$((dead + 1)); echo "kill $kill: ended by itself with $code: $(tail -n 1 killed.err)" >&2; }

        # what the start before this kill did
        from=$(sed -n 's/.*going on from step \([0-9]*\);.*/\1/p' killed.err)
        if [ -n "$from" ] || grep -q 'starting again' killed.err; then
            resumed=$((resumed + 1))
            [ -z "$from" ] || [ $((last - from)) -le "$every" ] || { behind=$((behind + 1)); echo "kill $kill: went on from step $from after step $last" >&2; }
            for file in $leftovers; do
                [ ! -e "$file" ] || { stale=$((stale + 1)); echo "kill $kill: $file is still there after a resume" >&2; }
            done
            leftovers=''
        fi
        # what the kill left
        left=$(find killed -name '*.tmp-*' 2>/dev/null || true)
        if [ -n "$left" ]; then
            leftovers="$leftovers $left"
            case "$left" in *step-*) writing=$((writing + 1)) ;; esac
        fi
        last=$(log_end) checkpoint=$(newest)
        case "$last" in *[!0-9]*) row "log after kill $kill" "$last" FAILED; exit 1 ;; esac
        if [ -n "$checkpoint" ]; then
            "${diffwave[@]}" info "killed/step-$checkpoint.safetensors" >/dev/null 2>info.err || { unreadable=$((unreadable + 1)); echo "kill $kill: $(cat info.err)" >&2; }
            age=$((last - checkpoint))
            [ "$age" -le "$oldest" ] || oldest=$age
        elif [ "$last" -gt 0 ]; then
            unreadable=$((unreadable + 1))
        fi
    done

    local steps=$(($(log_end) + 7)) verdict=ok
    train killed "$steps" --checkpoint-every "$every" --keep 2
    train whole "$steps" --checkpoint-every 1000000
    zero() { row "$1" "$2" "$([ "$2" = 0 ] && echo ok || echo FAILED)"; }
    row "kills" "$kills, $resumed after a resume, $writing while a checkpoint was written" ok
    zero "ended by itself instead" "$dead"
    zero "newest checkpoint does not load" "$unreadable"
    row "newest checkpoint behind the log, at most" "$oldest steps of $every" "$([ "$oldest" -le "$every" ] && echo ok || echo FAILED)"
    zero "resumed from further back than that" "$behind"
    row "log after every kill" "every step once, in order" ok
    zero "unfinished files still there after a resume" "$stale"
    zero "unfinished files at the end" "$(find killed -name '*.tmp-*' | wc -l)"
    row "log at the end" "$(log_end) steps of $steps, $(wc -l <killed/log.jsonl) lines" "$([ "$(log_end)" = "$steps" ] && [ "$(wc -l <killed/log.jsonl)" = "$steps" ] && echo ok || echo FAILED)"
    [ "$(hash "killed/step-$steps.safetensors")" = "$(hash "whole/step-$steps.safetensors")" ] && [ "$(hash killed/model.safetensors)" = "$(hash whole/model.safetensors)" ] || verdict=DIFFERS
    row "state after $steps steps against an unbroken run" "state $(hash "killed/step-$steps.safetensors")" "$verdict"
}

[ -z "$splits" ] || check_splits
[ -z "$kills" ] || check_kills
[ "$failures" = 0 ] && echo "all hold" || { echo "$failures do not hold"; exit 1; }
