#!/usr/bin/env bash
# A whole synthesis under Nsight Systems.
#
#   tools/profile/nsys-synthesis.sh                           10 s of the base model in 6 steps, float32
#   tools/profile/nsys-synthesis.sh --precision fp16 --batch 16
#
# Options go to `bench launches`. Prints time by kernel, copy, call of the driver and range, and leaves OUT/synthesis.nsys-rep, which the window of Nsight Systems opens. OUT is the current folder,
# DEVICE is cuda, PACK a folder of tools/gpu-check.sh --pack (.gpu). Exit code 1 when nothing was profiled.
set -uo pipefail
. "$(dirname "$0")/common.sh"
case "${1:-}" in -h | --help) usage; exit ;; esac
trace synthesis "$@"
