#!/usr/bin/env bash
# Trains the bundled voice again: fetches the recordings from Debian, trains, publishes, and compares it on the held-out recordings with the one that is bundled now.
#   tools/train-voice.sh WORK [STEPS] [THREADS]
# WORK holds the recordings and the run; call it again after a stop and it goes on. STEPS is where the first stage ends (constant rate); a second stage of a quarter of that length lets the
# rate fall. Needs curl or wget, dpkg-deb and 1 GB of disk. For another voice, or another machine:
#   MODEL      what is trained, as options of diffwave train: "--config small" unless set; "--config small --set channels=64 --set layers=30" is as large as base
#   BATCH      crops of half a second a step, 4 unless set; RATE is the learning rate, 1.5e-3 unless set
#   DEVICE     auto unless set; PRECISION is fp32 unless set: tf32, fp16 or bf16 take the tensor cores of a GPU
#   MINUTES    stop after so many, with exit code 124; the same command goes on
#   WAV        folder of recordings that are there already; nothing is fetched then
#   PACK       folder of gpu-check.sh --pack, whose program is used instead of building one: for a machine without .NET
set -euo pipefail
work=${1:?usage: tools/train-voice.sh WORK [STEPS] [THREADS]}
steps=${2:-17000}
threads=${3:-0}
here=$(cd "$(dirname "$0")/.." && pwd)
url=http://deb.debian.org/debian/pool/main/f/festvox-ru/festvox-ru_0.5+dfsg-6_all.deb
sha256=21ef3f0f2978ecf2e2eddb367cb0ff4a72572196d28dc69feb84f4177af5e6c4
wav=${WAV:-$work/data/usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav}
read -ra model <<<"${MODEL:---config small}"
model+=(--set sample_rate=16000 --set mel.hop=200)
batch=${BATCH:-4} rate=${RATE:-1.5e-3} device=${DEVICE:-auto} tail=$((steps / 4))
# A GPU wants all crops of a step at once, a CPU one after the other; the result is the same.
case "$device" in cuda*) together=$batch ;; *) together=1 ;; esac

mkdir -p "$work"
if [ ! -d "$wav" ]; then
  [ -z "${WAV:-}" ] || { echo "WAV: $wav is no folder" >&2; exit 2; }
  deb=$work/festvox-ru.deb
  if command -v curl > /dev/null; then curl -fL -o "$deb" "$url"; else wget -O "$deb" "$url"; fi
  echo "$sha256  $deb" | sha256sum --check
  dpkg-deb -x "$deb" "$work/data"
fi

if [ -n "${PACK:-}" ]; then
  program=("$PACK/run" diffwave)
else
  dotnet build -c Release "$here/src/DiffWave.Cli" > /dev/null
  program=(dotnet "$here/src/DiffWave.Cli/bin/Release/net10.0/diffwave.dll")
fi
diffwave() { "${program[@]}" "$@"; }
# Clips are held out by a hash of their names (13 of 620); the bundled clip is one of them.
stage() { # RUN STEPS options that start it
  local run=$1 last=$2 limit=() code=0
  shift 2
  if [ -f "$run/config.json" ]; then set --; fi
  if [ -n "${MINUTES:-}" ]; then
    local left=$((60 * MINUTES - SECONDS))
    [ $left -gt 0 ] || left=1
    limit=(timeout --foreground "$left")
  fi
  "${limit[@]}" "${program[@]}" train --out "$run" --steps "$last" --threads "$threads" --device "$device" --validate-every 500 --sample-every 2000 "$@" || code=$?
  [ $code -ne 124 ] || echo "stopped after $MINUTES minutes; the same command goes on"
  [ $code -eq 0 ] || exit $code
}
both=(--data "$wav" --batch "$batch" --micro-batch "$together" --crop-frames 40 --lr "$rate" --clip 1 --precision "${PRECISION:-fp32}")
stage "$work/stage1" "$steps" "${model[@]}" "${both[@]}" --warmup 300 --ema 0.999
stage "$work/stage2" "$tail" --init "$work/stage1/model.safetensors" "${both[@]}" --warmup $((tail / 30)) --decay $((tail - tail / 30)) --ema 0.998 --seed 1
diffwave publish "$work/stage2/model.safetensors" -o "$work/voice.safetensors" --name "festvox-ru (nsh)" \
  --description "One Russian male speaker, 16000 Hz, vocoder for mels of 80 bands, hop 200" --license "BSD-like, see LICENSE.txt beside the bundled file" \
  --source "festvox-ru 0.5 (Debian), 620 recordings, 99 minutes, 13 held out"

mkdir -p "$work/held-out"
diffwave dataset "$wav" "${model[@]}" --json | sed -n '/"held_out": \[/,/\]/s/^ *"\([^"]*\.wav\)",\{0,1\}$/\1/p' | while IFS= read -r name; do cp "$wav/$name" "$work/held-out/"; done
for voice in "$here/src/DiffWave.Cli/Voice" "$work"; do
  made=$work/made/$([ "$voice" = "$work" ] && echo new || echo bundled)
  mkdir -p "$made"
  diffwave synthesize --model "$voice/voice.safetensors" --wav "$work/held-out" -o "$made" --device "$device" --threads "$threads" --precision fp32
  diffwave evaluate "$work/held-out" "$made" --json > "$made.json"
  echo "$made, means over the held-out recordings:"
  sed -n '/"mean": {/,/}/p' "$made.json"
done
