# SPDX-License-Identifier: MIT
# What the demonstrations share; they source it in the root of the tree. `dir` is a directory of theirs,
# `pids` are the processes to end: both are gone when the script has ended.
bold='' plain=''
[ -t 1 ] && bold=$'\033[1m' plain=$'\033[0m'
say() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }
die() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; exit 1; }

dir=$(mktemp -d)
readonly dir # it is removed at the end, whatever is in it
pids=()
cleanup() {
    trap - EXIT INT TERM
    [ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

wait_for() { # wait_for FILE TEXT PID: until the line is there, or the process is gone
    for _ in $(seq 200); do
        grep -q -- "$2" "$1" 2>/dev/null && return 0
        kill -0 "$3" 2>/dev/null || break
        sleep 0.05
    done
    cat "$1" >&2
    die "did not see '$2'"
}

start_server() { # start_server BUILD: sets `server`, its process, and `address`, where it listens
    "$1/examples/wstunnel-server" --listen 127.0.0.1:0 2>"$dir/server.log" &
    server=$!
    pids+=($server)
    wait_for "$dir/server.log" 'listening on' $server
    address=$(sed -n 's/.*listening on //p' "$dir/server.log" | head -n 1)
}
