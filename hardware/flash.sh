#!/usr/bin/env bash
# Puts interpreter, files and application onto a board with nanoff. With --dry-run it only shows the commands, and needs no board.
#
#   bash hardware/flash.sh --board wroom --port /dev/ttyUSB0 --firmware VERSION --image Agent.bin --files DIR [--dry-run]
#
#   --board    wroom, wrover, s3-quad, s3-octal, c3, c6 (see the table in README.md)
#   --firmware interpreter version that reports the native assemblies pinned in nf.props; left out = do not touch the interpreter
#   --image    the application, built from device/Agent.nfproj; left out = do not touch it
#   --files    folder with identity.txt and, if wanted, board.txt and roots.pem; left out = do not touch them
#
# No secret is printed: nanoff gets the names of files, never what is in them.
set -euo pipefail

fail() { printf 'flash.sh: %s\n' "$1" >&2; exit 2; }

board='' port='' firmware='' image='' files='' dry=0
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) dry=1; shift; continue ;;
    --board|--port|--firmware|--image|--files) [ $# -ge 2 ] || fail "$1 needs a value" ;;
    *) fail "$1 is not understood; allowed: --board --port --firmware --image --files --dry-run" ;;
  esac
  case $1 in
    --board) board=$2 ;;
    --port) port=$2 ;;
    --firmware) firmware=$2 ;;
    --image) image=$2 ;;
    --files) files=$2 ;;
  esac
  shift 2
done

case $board in
  wroom) target=ESP32_REV3 ;;
  wrover) target=ESP32_PSRAM_REV3 ;;
  s3-quad) target=ESP32_S3_QUAD ;;
  s3-octal) target=ESP32_S3_OCTAL ;;
  c3) target=ESP32_C3 ;;
  c6) target=ESP32_C6_THREAD ;;
  *) fail "--board must be one of wroom, wrover, s3-quad, s3-octal, c3, c6" ;;
esac
[ -n "$port" ] || fail "--port is missing (for example /dev/ttyUSB0 or COM3)"
[ -n "$firmware$image$files" ] || fail "nothing to do: give --firmware, --image or --files"
[ -z "$image" ] || [ -f "$image" ] || [ $dry -eq 1 ] || fail "--image: $image is not there"

run() {
  printf '%s\n' "$*"
  [ $dry -eq 1 ] || "$@"
}

[ $dry -eq 1 ] || command -v nanoff >/dev/null || fail "nanoff is missing: dotnet tool install -g nanoff"

if [ -n "$firmware" ]; then
  run nanoff --update --target "$target" --serialport "$port" --fwversion "$firmware"
fi

if [ -n "$files" ]; then
  [ -f "$files/identity.txt" ] || fail "--files: $files has no identity.txt"
  deployment=$(mktemp)
  trap 'rm -f "$deployment"' EXIT
  listed=''
  for name in identity.txt board.txt roots.pem; do
    if [ -f "$files/$name" ]; then
      path=$(cd "$files" && pwd)/$name
      listed="$listed${listed:+,}{\"DestinationFilePath\":\"I:\\\\$name\",\"SourceFilePath\":\"$path\"}"
      [ $dry -eq 0 ] || printf '# %s -> I:\\%s\n' "$files/$name" "$name"
    fi
  done
  printf '{"serialport":"%s","files":[%s]}\n' "$port" "$listed" >"$deployment"
  run nanoff --target "$target" --serialport "$port" --filedeployment "$deployment"
fi

if [ -n "$image" ]; then
  run nanoff --target "$target" --serialport "$port" --deploy --image "$image"
fi
