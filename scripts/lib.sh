# shellcheck shell=bash
# What every script here shares. Sourced first; it leaves the script in the repository's root.

set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/.venv
STAMPS=$VENV/stamps
unset CDPATH PYTHONPATH PYTHONHOME VIRTUAL_ENV

fail() {
    printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
    exit 1
}

say() { printf '%s\n' "$*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }

# The SHA-256 over the names and contents of files and folders, and over $ROOT: a moved checkout is set up anew.
digest() {
    local python=$VENV/bin/python
    if ! [[ -x $python ]]; then python=${PYTHON:-python3}; fi
    "$python" -S - "$ROOT" "$@" <<'PYTHON'
import hashlib
import pathlib
import sys

total = hashlib.sha256(sys.argv[1].encode())
for name in sys.argv[2:]:
    path = pathlib.Path(name)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            total.update(f"\0{file}\0".encode() + file.read_bytes())
print(total.hexdigest())
PYTHON
}

is_stamped() { [[ -f $STAMPS/$1 && $(<"$STAMPS/$1") == "$2" ]]; }
stamp() { mkdir -p "$STAMPS" && printf '%s\n' "$2" >"$STAMPS/$1"; }

# Maven, heard only when something is wrong. Without the network if it was here before with this pom.xml.
maven() {
    local log pom code=0 offline=()
    pom=$(digest pom.xml)
    log=$(mktemp)
    if [[ -z ${JAVA_HOME:-} ]]; then
        JAVA_HOME=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p')
        export JAVA_HOME
    fi
    if is_stamped pom "$pom"; then offline=(--offline); fi
    _maven "$log" ${offline[@]+"${offline[@]}"} "$@" || code=$?
    # Another goal may need a plugin that is not here yet.
    if ((code)) && ((${#offline[@]})) && grep -qiE 'offline|could not resolve' "$log"; then
        code=0
        _maven "$log" "$@" || code=$?
    fi
    if ((code)); then
        # Without the colour codes that it writes all the same, and its standing advice.
        sed 's/\x1b\[[0-9;]*m//g' "$log" |
            grep -vE '^(\[ERROR\] *(To see the full|Re-run Maven|For more information|\[Help 1\]).*|\[ERROR\] *(-> \[Help 1\])?)$' >&2 || true
    else
        stamp pom "$pom"
    fi
    rm -f -- "$log"
    return "$code"
}

_maven() {
    local log=$1
    shift
    mvn --batch-mode --no-transfer-progress -Dstyle.color=never \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "$@" >"$log" 2>&1 </dev/null
}
