#!/usr/bin/env bash
# Makes `cargo build --target wasm32-wasip2` possible, whatever the machine.
#
#   xtask/wasm-target.sh FOLDER        prepare; writes FOLDER/env (lines NAME=VALUE)
#   xtask/wasm-target.sh --probe       say what preparing would need, change nothing
#
# First choice: rustup has the target or can add it. FOLDER/env is then empty.
# Second choice, for machines whose rustup has no route to its server: Debian's
# own compiler (rustc-web) and library sources (rust-web-src) build the
# target's standard library once into FOLDER/sysroot; FOLDER/env then sets
# RUSTC, for guest builds only. The host's toolchain stays as it is.
#
# WASM_FORCE_FALLBACK=1 takes the second choice at once (to test it).
set -euo pipefail

readonly TARGET=wasm32-wasip2
readonly HOST=x86_64-unknown-linux-gnu
# wasi-libc with wasip2 came with trixie; bookworm's is from 2022.
readonly LIBC_SUITE=${WASM_LIBC_SUITE:-trixie}
# Part of the stamp: raise it when this script builds something else.
readonly REVISION=1

say()  { printf 'wasm target: %s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# --- what is there ---------------------------------------------------------

rustup_has_target() {
  command -v rustup >/dev/null || return 1
  rustup target list --installed 2>/dev/null | grep -qx "$TARGET"
}

rustup_adds_target() {
  command -v rustup >/dev/null || return 1
  RUSTUP_MAX_RETRIES=0 timeout 90 rustup target add "$TARGET" >/dev/null 2>&1
}

debian_packages_installed() {
  local name
  for name in rustc-web rust-web-src; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || return 1
  done
}

# The rustup toolchain lends its linker: it takes any sysroot.
linker_folder() {
  local cargo
  command -v rustup >/dev/null || return 1
  cargo=$(rustup which cargo 2>/dev/null) || return 1
  printf '%s\n' "$(dirname "$(dirname "$cargo")")/lib/rustlib/$HOST/bin"
}

# Everything that the second choice needs and that we cannot bring ourselves.
require_fallback() {
  [ "$(uname -m)" = x86_64 ] ||
    fail "rustup cannot add $TARGET, and the way around needs x86_64: run \`rustup target add $TARGET\` where there is a network"
  local tool
  for tool in apt-get dpkg dpkg-query flock; do
    command -v "$tool" >/dev/null ||
      fail "rustup cannot add $TARGET, and the way around needs Debian's \`$tool\`"
  done
  local tools
  tools=$(linker_folder) || fail "no rustup toolchain: install one with rustup"
  [ -x "$tools/wasm-component-ld" ] && [ -x "$tools/rust-lld" ] ||
    fail "the rustup toolchain has no wasm-component-ld or no rust-lld: use Rust 1.82 or newer"
  debian_packages_installed && return
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
    fail "the Debian packages rustc-web and rust-web-src are missing: installing them needs root or sudo"
}

# --- small steps -----------------------------------------------------------

# Compiles and links a program with the standard library; the first eight
# bytes must be those of a component, not of a core module.
links_components() {
  local dir ok=1
  dir=$(mktemp -d)
  cat >"$dir/probe.rs" <<'RS'
fn main() {
    println!("{:?} {}", std::time::SystemTime::now(), std::env::args().len());
}
RS
  if "$1" --edition 2024 --target "$TARGET" -O -o "$dir/probe.wasm" "$dir/probe.rs" >"$dir/log" 2>&1 &&
     [ "$(od -An -tx1 -N8 "$dir/probe.wasm" | tr -d ' \n')" = 0061736d0d000100 ]; then
    ok=0
  else
    cat "$dir/log" >&2
  fi
  rm -rf "$dir"
  return $ok
}

write_env() {
  printf '%s' "${1:+$1
}" >"$FOLDER/env.new"
  mv "$FOLDER/env.new" "$FOLDER/env"
}

install_debian_packages() {
  debian_packages_installed && return
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  say "installing rustc-web and rust-web-src from Debian"
  "${sudo[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists at hand"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null
}

# Downloads wasi-libc of another suite through a private apt configuration,
# from the mirror that this machine uses already; its own sources, lists and
# packages are not touched.
fetch_libc() { # fetch_libc INTO
  local apt=$WORK/apt mirror try
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 == "main" && $2 !~ /-/ { print $1; exit }')
  [ -n "$mirror" ] || fail "apt knows no Debian main suite on this machine"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/empty" "$apt/deb" "$1"
  printf 'deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "$mirror" "$LIBC_SUITE" >"$apt/sources.list"
  cat >"$apt/conf" <<CONF
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/empty";
Dir::Etc::Preferences "$apt/empty/none";
Dir::Etc::PreferencesParts "$apt/empty";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
CONF
  for try in 1 2 3; do
    APT_CONFIG=$apt/conf apt-get update -qq && break
    [ "$try" -lt 3 ] || fail "the package list of Debian $LIBC_SUITE cannot be had"
    sleep 5
  done
  (cd "$apt/deb" && APT_CONFIG=$apt/conf apt-get download -qq wasi-libc)
  dpkg -x "$apt"/deb/wasi-libc_*.deb "$1"
}

# A script and not a symlink: rustc would resolve a link and take /usr as its
# sysroot. The folder is found at run time, so that it may be moved.
wrap_compiler() { # wrap_compiler NAME INTO
  cat >"$2/bin/$1" <<WRAP
#!/bin/sh
root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
exec /usr/bin/$1 --sysroot "\$root" "\$@"
WRAP
  chmod 0755 "$2/bin/$1"
}

# Cargo's build-std compiles std for an empty crate; what it leaves in deps is
# the library.
build_std() { # build_std SYSROOT
  local crate=$WORK/empty sources
  sources=$(readlink -f /usr/lib/rustlib/src/rust)
  mkdir -p "$crate/src" "$1/lib/rustlib/src"
  ln -s "$sources" "$1/lib/rustlib/src/rust"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n' >"$crate/Cargo.toml"
  printf '#![no_std]\n' >"$crate/src/lib.rs"
  (
    cd "$crate"
    # Whatever the caller set for the host's build does not belong here.
    unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_TARGET_DIR RUSTUP_TOOLCHAIN
    unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
    export RUSTC=$1/bin/rustc RUSTC_BOOTSTRAP=1
    export RUSTFLAGS='-Cembed-bitcode=yes -Cdebuginfo=0'
    "$CARGO" build --quiet --release --target "$TARGET" -Zbuild-std=std,panic_abort,test
  )
  cp "$crate/target/$TARGET/release/deps"/lib*.rlib "$1/lib/rustlib/$TARGET/lib/"
  rm -f "$1/lib/rustlib/$TARGET/lib"/libempty-*.rlib
  rm -r "$1/lib/rustlib/src"
}

# --- the two ways ----------------------------------------------------------

from_rustup() {
  [ -z "${WASM_FORCE_FALLBACK:-}" ] || return 1
  rustup_has_target || rustup_adds_target || return 1
  links_components rustc || fail "rustup has $TARGET, but a program for it does not link"
  write_env ""
  say "rustup's own $TARGET"
}

from_debian() {
  require_fallback
  install_debian_packages
  local version tools stamp next name
  version=$(dpkg-query -W -f '${Version}' rustc-web)
  [ "$version" = "$(dpkg-query -W -f '${Version}' rust-web-src)" ] ||
    fail "rustc-web and rust-web-src are of different versions: \`apt-get install rustc-web rust-web-src\`"
  tools=$(linker_folder)
  CARGO=$(rustup which cargo)
  stamp="revision $REVISION, rustc-web $version, libc of $LIBC_SUITE, tools $tools"

  if [ "$(cat "$FOLDER/sysroot/stamp" 2>/dev/null)" != "$stamp" ]; then
    say "building std for $TARGET with $(/usr/bin/rustc --version) (about a minute, once)"
    WORK=$FOLDER/work
    next=$FOLDER/sysroot.new
    rm -rf "$WORK" "$next"
    mkdir -p "$WORK" "$next/bin" "$next/lib/rustlib/$HOST/bin" \
      "$next/lib/rustlib/$TARGET/lib/self-contained"
    fetch_libc "$WORK/libc"
    ln -s "/usr/lib/rustlib/$HOST/lib" "$next/lib/rustlib/$HOST/lib"
    for name in wasm-component-ld rust-lld gcc-ld; do
      ln -s "$tools/$name" "$next/lib/rustlib/$HOST/bin/$name"
    done
    for name in crt1-command.o crt1-reactor.o libc.a; do
      cp "$WORK/libc/usr/lib/$TARGET/$name" "$next/lib/rustlib/$TARGET/lib/self-contained/"
    done
    wrap_compiler rustc "$next"
    build_std "$next"
    links_components "$next/bin/rustc" || fail "a program does not link against the new standard library"
    printf '%s\n' "$stamp" >"$next/stamp"
    rm -rf "$FOLDER/sysroot"
    mv "$next" "$FOLDER/sysroot"
    rm -rf "$WORK"
  fi
  write_env "RUSTC=$FOLDER/sysroot/bin/rustc"
  say "Debian's rustc-web $version with its own std for $TARGET"
}

case ${1:-} in
  --probe)
    if [ -z "${WASM_FORCE_FALLBACK:-}" ] && { rustup_has_target || rustup_adds_target; }; then exit 0; fi
    require_fallback
    ;;
  "" | -*)
    fail "usage: wasm-target.sh FOLDER | --probe"
    ;;
  *)
    mkdir -p "$1"
    FOLDER=$(cd "$1" && pwd)
    # Two at once are safe: the second waits and finds the work done.
    exec 9>"$FOLDER/lock"
    flock 9
    from_rustup || from_debian
    ;;
esac
