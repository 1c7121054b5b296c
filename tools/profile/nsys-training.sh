#!/usr/bin/env bash
# A training step under Nsight Systems.
#
#   tools/profile/nsys-training.sh                           16 crops of 62 frames, base model, float32
#   tools/profile/nsys-training.sh --precision fp16 --recompute
#
# Options go to `bench launches`. Prints time by kernel, copy, call of the driver and range, and leaves OUT/training.nsys-rep, which the window of Nsight Systems opens. OUT is the current folder,
# DEVICE is cuda, PACK a folder of tools/gpu-check.sh --pack (.gpu). Exit code 1 when nothing was profiled.
set -uo pipefail
. "$(dirname "$0")/common.sh"
case "${1:-}" in -h | --help) usage; exit ;; esac
trace training "$@"
