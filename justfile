# The table of contents of this repository: `just` lists what there is.

gantlet := env("CARGO_TARGET_DIR", "target") / "release" / "gantlet"

[private]
default:
    @just --list --unsorted

# Fetch libtorch into .libtorch, unless LIBTORCH names one of your own or it is there already
[group('start')]
setup:
    #!/usr/bin/env python3
    import ctypes, glob, os, platform, shutil, subprocess, sys, tempfile, zipfile

    TORCH = "2.11.0"  # what tch 0.24 is made for; Cargo.toml pins it
    CUDA = 13  # what the wheel of that version is built for
    HELPERS = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]  # libtorch_cpu.so needs these two
    ROOT = os.path.realpath(".libtorch")  # a link to a folder that several clones share is followed
    # Written last: a folder without it is one whose making was cut off.
    STAMP = os.path.join(ROOT, "stamp")

    if os.environ.get("LIBTORCH"):
        print(f"setup: LIBTORCH is set: taking libtorch from {os.environ['LIBTORCH']}")
        sys.exit(0)
    version = ctypes.c_int()  # the newest CUDA that the driver supports: 1000 * major + 10 * minor
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        pass  # no driver
    driver = version.value >= 1000 * CUDA
    if 0 < version.value < 1000 * CUDA:
        print(f"setup: the NVIDIA driver supports CUDA {version.value // 1000}.{version.value % 1000 // 10}, and the wheel needs {CUDA}.0: "
              f"taking libtorch without CUDA; for the GPU, install a newer driver, or set LIBTORCH to a libtorch {TORCH} for "
              f"CUDA {version.value // 1000}")
    wanted = f"torch {TORCH} {'with' if driver else 'without'} CUDA"
    have = open(STAMP).read() if os.path.exists(STAMP) else ""
    # A folder with CUDA serves a machine without a driver just as well.
    if have.startswith(f"torch {TORCH} ") and (have == wanted or "with CUDA" in have):
        print(f"setup: {have} is in {os.path.relpath(ROOT)}")
        sys.exit(0)

    machine = platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64"):
        sys.exit(f"setup: there is no known wheel for {sys.platform} on {machine}: "
                 f"set LIBTORCH to the folder of a libtorch {TORCH}")
    print(f"setup: fetching {wanted} into {os.path.relpath(ROOT)} (about {'4' if driver else '0.5'} GB) ...", flush=True)
    # The wheel is taken for its libraries alone, so that the Python that fetches it need not be one it is made for.
    # pip takes a platform by its exact name, and each wheel is named after the oldest glibc that it runs on.
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(28, 16, -1)] + [f"manylinux2014_{machine}"]
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", "3.12"]
    fetch += [option for tag in platforms for option in ("--platform", tag)]
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    with tempfile.TemporaryDirectory(dir=ROOT) as wheels:
        what = [f"torch=={TORCH}"] if driver else ["--no-deps", f"torch=={TORCH}", *HELPERS]
        if subprocess.run([*fetch, "--dest", wheels, *what]).returncode != 0:
            sys.exit("setup: pip could not fetch the wheels; see its message above")
        for wheel in sorted(glob.glob(os.path.join(wheels, "*.whl"))):
            name = os.path.basename(wheel)
            if not name.startswith(("torch-", "nvidia_")):
                continue  # Python packages that torch needs only in Python
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    library = os.path.basename(member)
                    keep = member.startswith("nvidia/") or member.startswith(("torch/lib/", "torch/include/", "torch/share/"))
                    cuda = library.startswith(("libtorch_cuda", "libtorch_nvshmem", "libc10_cuda", "libcaffe2_nvrtc"))
                    # What nothing links without a device is most of the size.
                    if keep and (driver or not cuda or library.startswith("libc10_cuda")):
                        archive.extract(member, ROOT)
    with open(STAMP, "w") as stamp:
        stamp.write(wanted)
    print(f"setup: {wanted} is in {os.path.relpath(ROOT)}")

# Build both programs
[group('start')]
build: setup
    cargo build --release --locked

# Set up, build, run a small experiment on embedded data, and show what came out
[group('start')]
demo: build
    {{ gantlet }} run experiments/demo.toml
    {{ gantlet }} compare runs/demo
    -{{ gantlet }} verify experiments/demo.toml
    {{ gantlet }} report runs/demo --out runs/demo.html
    @echo "pictures: runs/demo/*/samples/*.png   page: runs/demo.html"

# Run an experiment: just run experiments/….toml
[group('start')]
run FILE *OPTIONS: build
    {{ gantlet }} run {{ FILE }} {{ OPTIONS }}

# Pass all tests
[group('check')]
test: setup
    cargo test --release --locked

# All that CI checks: format, lints, documentation, the oldest Rust, tests
[group('check')]
check: setup && msrv test
    cargo fmt --check
    cargo clippy --release --locked --all-targets --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --features doc-only

# Check that the oldest Rust that Cargo.toml names suffices; it is left out where rustup does not have it
[group('check')]
msrv:
    #!/usr/bin/env bash
    set -euo pipefail
    oldest="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
    if rustup run "$oldest" cargo --version 2>/dev/null; then
        cargo "+$oldest" check --release --locked --all-targets --features doc-only
    else
        echo "msrv: not checked with Rust $oldest itself (rustup toolchain install $oldest)"
    fi

# Licenses, advisories and sources of all packages that Cargo.lock names
[group('check')]
deny:
    command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
    cargo deny --locked check

# The slow tests too: a hundred kills, damage in a hundred places, long packs, and many more changed inputs
[group('check')]
soak: setup
    PROPTEST_CASES=20000 cargo test --release --locked -- --include-ignored

# Accept what the snapshot tests now show; look at the difference before you commit it
[group('check')]
bless: setup
    INSTA_UPDATE=always TRYCMD=overwrite cargo test --release --locked

# Run every small experiment and print the table of experiments/README.md; hours of a core
[group('measure')]
results: build
    -{{ gantlet }} run $(ls experiments/*/*.toml | grep -v -- -paper)
    -{{ gantlet }} verify experiments/ --md

# Time this against eager PyTorch on this machine, interleaved
[group('measure')]
bench *OPTIONS: build
    python3 benches/run.py {{ OPTIONS }}

# Print the JSON Schema of an experiment's TOML
[group('write')]
schema: build
    {{ gantlet }} schema
