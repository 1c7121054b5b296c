#!/usr/bin/env bash
# Trains the bundled voice again: fetches the recordings from Debian, trains, publishes and measures.
#   tools/train-voice.sh WORK [STEPS] [THREADS]
# WORK holds the recordings and the run; call it again after a stop and it goes on. STEPS is where the first stage ends (constant rate); a second stage of a quarter of that length lets the
# rate fall. Needs curl or wget, dpkg-deb and 1 GB of disk.
set -euo pipefail
work=${1:?usage: tools/train-voice.sh WORK [STEPS] [THREADS]}
steps=${2:-17000}
threads=${3:-0}
here=$(cd "$(dirname "$0")/.." && pwd)
url=http://deb.debian.org/debian/pool/main/f/festvox-ru/festvox-ru_0.5+dfsg-6_all.deb
sha256=21ef3f0f2978ecf2e2eddb367cb0ff4a72572196d28dc69feb84f4177af5e6c4
wav=$work/data/usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav

mkdir -p "$work"
if [ ! -d "$wav" ]; then
  deb=$work/festvox-ru.deb
  if command -v curl > /dev/null; then curl -fL -o "$deb" "$url"; else wget -O "$deb" "$url"; fi
  echo "$sha256  $deb" | sha256sum --check
  dpkg-deb -x "$deb" "$work/data"
fi

dotnet build -c Release "$here/src/DiffWave.Cli" > /dev/null
diffwave() { dotnet "$here/src/DiffWave.Cli/bin/Release/net10.0/diffwave.dll" "$@"; }
# Clips are held out by a hash of their names (13 of 620); the bundled clip is one of them.
start() { # RUN STEPS options that start it
  local run=$1 last=$2
  shift 2
  if [ -f "$run/config.json" ]; then set --; fi
  diffwave train --out "$run" --steps "$last" --threads "$threads" --validate-every 500 --sample-every 2000 "$@"
}
start "$work/stage1" "$steps" --data "$wav" --config small --set sample_rate=16000 --set mel.hop=200 --batch 4 --crop-frames 40 --lr 1.5e-3 --warmup 300 --clip 1 --ema 0.999
tail=$((steps / 4))
start "$work/stage2" "$tail" --data "$wav" --init "$work/stage1/model.safetensors" --batch 4 --crop-frames 40 --lr 1.5e-3 --warmup $((tail / 30)) --decay $((tail - tail / 30)) --clip 1 --ema 0.998 --seed 1
diffwave publish "$work/stage2/model.safetensors" -o "$work/voice.safetensors" --name "festvox-ru (nsh)" \
  --description "One Russian male speaker, 16000 Hz, vocoder for mels of 80 bands, hop 200" --license "BSD-like, see LICENSE.txt beside the bundled file" \
  --source "festvox-ru 0.5 (Debian), 620 recordings, 99 minutes, 13 held out"

mkdir -p "$work/demo-voice"
cp "$work/voice.safetensors" "$work/demo-voice/"
cp "$wav/ru_0154.wav" "$work/demo-voice/clip.wav"
diffwave demo --voice "$work/demo-voice" -o "$work/demo"
