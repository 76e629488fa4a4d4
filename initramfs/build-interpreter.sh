#!/bin/sh
# Runs inside the builder tree: the static interpreters, from Debian's libpython3.13.a and what it lacks.
# In: /build/in (this folder's files, sources). Out: /build/out/init, /build/out/hognose-python, both static.
# Everything happens at fixed paths below /build, so that the result is the same bytes everywhere.
set -eu
PYVER=3.13
LIBPYTHON=/usr/lib/python$PYVER/config-$PYVER-x86_64-linux-gnu/libpython$PYVER.a
W=/build/interpreter
rm -rf "$W"
mkdir -p "$W/obj" /build/out
cd "$W"

# --- sources ---------------------------------------------------------------------------------------------------------
mkdir python cryptography cffi
tar -xf /build/in/python3.13_*.orig.tar.xz -C python --strip-components=1
tar -xf /build/in/python-cryptography_*.orig.tar.gz -C cryptography --strip-components=1
tar -xf /build/in/python-cryptography_*.debian.tar.xz -C cryptography
tar -xf /build/in/cffi-1.17.1.tar.gz -C cffi --strip-components=1
# Module sources and libpython must be one version.
want=$(sed -n 's/^#define PY_VERSION *"\(.*\)"/\1/p' /usr/include/python$PYVER/patchlevel.h)
have=$(sed -n 's/^#define PY_VERSION *"\(.*\)"/\1/p' python/Include/patchlevel.h)
[ "$want" = "$have" ] || { echo "libpython is $want, its source $have"; exit 1; }

# --- modules that libpython3.13.a lacks -------------------------------------------------------------------------------
CFLAGS="-O2 -fwrapv -DNDEBUG -fno-strict-overflow -fvisibility=hidden -ffile-prefix-map=$W=. -w"
PYINC="-I/usr/include/python$PYVER -I/usr/include/python$PYVER/internal -I/usr/include/python$PYVER/internal/mimalloc \
 -I/usr/include/x86_64-linux-gnu/python$PYVER -I$W/python/Modules"
compile() { # SOURCE [FLAGS]
    source=$1
    shift
    gcc $CFLAGS -DPy_BUILD_CORE_BUILTIN -DPy_BUILD_CORE $PYINC "$@" -c "$source" -o "obj/$(basename "$source" .c).o"
}
for name in _asynciomodule _contextvarsmodule _queuemodule mmapmodule resource termios _hashopenssl; do
    compile "python/Modules/$name.c"
done
for name in _ctypes callbacks callproc stgdict cfield; do
    [ -e "python/Modules/_ctypes/$name.c" ] || continue
    compile "python/Modules/_ctypes/$name.c" -DHAVE_FFI_PREP_CIF_VAR -DHAVE_FFI_PREP_CLOSURE_LOC -DHAVE_FFI_CLOSURE_ALLOC
done
compile python/Modules/_hacl/Hacl_Hash_SHA2.c -Ipython/Modules/_hacl/include -Ipython/Modules/_hacl/internal
gcc $CFLAGS $PYINC -DFFI_BUILDING=1 -DUSE__THREAD -DHAVE_SYNC_SYNCHRONIZE -DCFFI_HAVE_FFI_PREP_CIF_VAR=1 \
    -DCFFI_HAVE_FFI_PREP_CLOSURE_LOC=1 -DCFFI_HAVE_FFI_CLOSURE_ALLOC=1 -c cffi/src/c/_cffi_backend.c -o obj/_cffi_backend.o

# --- cryptography's Rust extension, from Debian's crates --------------------------------------------------------------
cd cryptography
while read -r patch; do
    case "$patch" in "" | \#*) continue ;; esac
    patch -s -p1 <"debian/patches/${patch%% *}"
done <debian/patches/series
export CARGO_HOME=$W/cargo
mkdir -p "$CARGO_HOME"
printf '[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "/usr/share/cargo/registry"\n' >"$CARGO_HOME/config.toml"
# The Python half of the same patched source, for the image's zip.
mkdir -p /build/out/site
cp -r src/cryptography /build/out/site/
cd src/rust
rm -f Cargo.lock
cargo -q generate-lockfile --offline
OPENSSL_STATIC=1 OPENSSL_NO_VENDOR=1 PYO3_PYTHON=/usr/bin/python3 CARGO_TARGET_DIR=$W/target \
    RUSTFLAGS="--remap-path-prefix=$W=." cargo -q rustc --lib --release --crate-type staticlib --offline
cd "$W"
RUST=$(find target/release -maxdepth 1 -name 'lib*.a' | head -n 1)

# --- link --------------------------------------------------------------------------------------------------------------
OBJECTS=$(ls obj/*.o | LC_ALL=C sort)
for main in main main_python; do
    gcc $CFLAGS $PYINC -Wall -Wextra -I/build/in -c "/build/in/$main.c" -o "$main.o"
done
gcc $CFLAGS $PYINC -Wall -Wextra -c /build/in/pid1.c -o pid1.o
link() { # MAIN OUTPUT
    gcc -static "$1" pid1.o $OBJECTS "$RUST" "$LIBPYTHON" -lssl -lcrypto -lzstd -lffi -lexpat -lz -lm \
        -Wl,--gc-sections -Wl,--build-id=none -s -o "$2" 2>link.log || { cat link.log; exit 1; }
}
# The standard library of that very version: the packer takes what the image needs of it.
mkdir -p /build/out/home/lib
cp -r "/usr/lib/python$PYVER" /build/out/home/lib/
rm -rf "/build/out/home/lib/python$PYVER"/config-* "/build/out/home/lib/python$PYVER"/lib-dynload
find /build/out/home /build/out/site -name __pycache__ -prune -exec rm -rf {} +
link main.o /build/out/init
link main_python.o /build/out/hognose-python
cd /
rm -rf "$W"
