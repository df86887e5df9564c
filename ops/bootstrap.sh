# Sourced by the programs in script/: finds Python, makes .venv, installs locked requirements. Expects `set -euo pipefail`.
# Asked for --help it prints the program's heading comment and ends, before any work.
# Leaves: $root (the checkout, also the working directory) and $python (.venv's).

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

print_heading() { while IFS= read -r line; do case $line in '#!'*) ;; '#'*) line=${line#'#'}; printf '%s\n' "${line# }" ;; *) return ;; esac; done; }
case ${1:-} in -h | --help) print_heading <"$0"; exit 0 ;; esac

unset CDPATH PYTHONPATH PYTHONHOME
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
# A relative CHASKI_VAR means: from where the user stands.
case "${CHASKI_VAR:-/}" in /*) ;; *) export CHASKI_VAR="$PWD/$CHASKI_VAR" ;; esac
cd -- "$root"
python="$root/.venv/bin/python"

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.14 python3.11; do
        if command -v -- "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v -- "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed, and none was found on the PATH$(found_python). Install it (Debian 12, Ubuntu 24.04 or newer: apt install python3 python3-venv), or name one: PYTHON=/path/to/python3 $0"
}

found_python() { if command -v python3 >/dev/null; then printf ' (python3 is %s)' "$(python3 -c 'import platform; print(platform.python_version())' 2>&1)"; fi; }

# Debian keeps venv's ensurepip in a package of its own.
ensure_venv_module() {
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 && return
    local package
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Python lacks its venv module: installing $package …"
        apt_install "$package"
        "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 && return
    fi
    die "Python lacks its venv module. Install it as root: apt install python3-venv (or $package), then start again."
}

apt_install() {
    local log
    log=$(mktemp)
    if ! { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }; } >"$log" 2>&1 </dev/null; then
        tail -n 20 -- "$log" >&2
        rm -f -- "$log"
        return 1
    fi
    rm -f -- "$log"
}

# What the environment was made of; anything else than this asks for a new one (a moved checkout breaks its scripts).
venv_identity() { printf '%s %s' "$(cd -- "$root/.venv" && pwd -P)" "$("$python" -c 'import sys; print(sys.version)' | tr '\n' ' ')"; }

ensure_venv() {
    if new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1; then
        [ ! -e "$root/.venv/.identity" ] && return
        [ "$(cat -- "$root/.venv/.identity")" = "$(venv_identity)" ] && return
        say "The virtual environment was made elsewhere or by another Python: making it anew …"
    fi
    local base
    base=$(find_python)
    ensure_venv_module "$base"
    "$base" -m venv --clear -- "$root/.venv" || die "the virtual environment could not be made in $root/.venv"
    venv_identity >"$root/.venv/.identity"
}

# install_requirements requirements.txt: does nothing when this very file was installed before.
install_requirements() {
    local file=$1 stamp sum
    stamp="$root/.venv/.installed-$file"
    sum=$(sha256sum <"$root/$file")
    [ -e "$stamp" ] && [ "$(cat -- "$stamp")" = "$sum" ] && return
    say "Installing $file …"
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$root/$file" ||
        die "the packages of $file could not be installed (see above). Is the package index reachable?"
    printf '%s\n' "$sum" >"$stamp"
}

# prepare_python FILE…: one at a time per checkout, whoever else starts.
prepare_python() {
    exec 9<"$root"
    if command -v flock >/dev/null; then flock 9; fi
    ensure_venv
    local file
    for file in "$@"; do install_requirements "$file"; done
    exec 9<&-
}
