#!/usr/bin/env bash
# The bench procedure: watches a board's console and asserts on its lines. The console comes on standard input, so a serial port, a
# captured file and the simulated board are all the same to it:
#
#   stty -F /dev/ttyUSB0 921600 raw && bash hardware/bench.sh 10 </dev/ttyUSB0
#   bash hardware/bench.sh 10 <captured.txt
#
# Argument: renewals to wait for (default 3). Ends with 0 and a summary, or with 1 and the first thing that was wrong. Everything
# before the board's first line of a start is skipped, so it may be started at any time and the board reset then.
set -uo pipefail
wanted=${1:-3}

# A board wraps its console in frames of the debugger's protocol; what is not text is dropped, and the patterns do not ask what stands
# before a line.
LC_ALL=C tr -cd '\11\12\15\40-\176' | awk -v wanted="$wanted" '
  function fail(text) { print "FAILED: " text; failed = 1; exit 1 }
  { sub(/\r$/, "") }
  / agent-board\/[0-9.]+, last reboot: / { started = 1; connected = 0; heartbeats = 0; renewals = 0; print "start:    " $0; next }
  !started { next }
  / crash: /                      { fail("the firmware crashed: " $0) }
  / rebooting: watchdog/          { fail("the supervisor stood still: " $0) }
  / no identity: /                { fail("provision the board first: " $0) }
  /error -9984/                   { fail("TLS refused clock or certificate (look at the clock first): " $0) }
  / refused: /                    { fail("the hub refuses: " $0) }
  / lost: /                       { fail("a connection was lost on the bench: " $0) }
  / (connected|connected after [0-9]+ ms)$/ { connected = 1 }
  / heartbeat [0-9]+ acknowledged$/ { if (!connected) fail("a heartbeat without a connection: " $0); heartbeats++ }
  / renewed \([0-9]+\) gap [0-9]+ ms$/ {
    renewals++; gap = $(NF - 1) + 0; if (gap > gap_max) gap_max = gap
  }
  / heap [0-9]+, native / {
    heap = $0; sub(/.* heap /, "", heap); heap += 0
    if (renewals == 3) heap_first = heap
    # The first two reconnects still fill caches; after that the heap may not shrink by more than a kilobyte.
    if (renewals > 3 && heap_first - heap > 1024) fail("the managed heap shrinks: " heap_first " then " heap)
    if (renewals >= wanted && heartbeats > 0) { done = 1; exit }
  }
  END {
    if (failed) exit 1
    if (!started) { print "FAILED: the board said nothing"; exit 1 }
    if (!done) { print "FAILED: the console ended after " renewals " of " wanted " renewals and " heartbeats " heartbeats"; exit 1 }
    print "passed:   " renewals " renewals, longest gap " gap_max " ms, " heartbeats " heartbeats, managed heap free " heap " bytes"
  }'
