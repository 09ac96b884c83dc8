"""Times gantlet against eager PyTorch on this machine, in turns, and prints medians.

    just bench                      # makes .bench-venv with PyTorch for the eager side
    just bench --rounds 3 --python /path/to/a/python/with/torch

The rounds interleave (eager, gantlet, eager, gantlet, …), so that whatever else the machine does hits both alike.
Steps a second of gantlet are those of `run.json`: of the training, with its recording, without the start of the process.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACK = 256
# What a run records, turned off.
SILENT = ["output.metrics-every=1000000000", "output.checkpoint-every=0", "eval.every=0", "eval.metrics=[]", "output.samples=1"]


def venv():
    """A Python with what requirements.txt names, made once."""
    folder = ROOT / ".bench-venv"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    wanted = (HERE / "requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"bench: installing PyTorch into {folder.relative_to(ROOT)} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    return python


def eager(python, task, threads, seconds):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    command = [python, HERE / "eager.py", task, "--threads", str(threads), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)["steps_per_second"]


def gantlet(program, task, threads, *sets):
    """Steps a second of all runs together."""
    with tempfile.TemporaryDirectory() as out:
        command = [program, "run", HERE / f"{task}.toml", "--out", out, "--device", "cpu", "--jobs", "1"]
        command += ["--threads", str(threads or os.cpu_count())]
        for one in sets:
            command += ["--set", one]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
        runs = [json.loads(path.read_text()) for path in Path(out).glob("*/*/run.json")]
        return sum(run["steps_per_second"] for run in runs)


def seconds(command, times=11):
    """The median time of a command from start to end."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def machine():
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each eager measurement takes")
    parser.add_argument("--threads", type=int, default=1, help="threads of an operation on both sides; 0: all cores")
    parser.add_argument("--python", help="a Python with torch 2.11 and numpy, instead of making .bench-venv")
    parser.add_argument("--gantlet", default=str(ROOT / "target" / "release" / "gantlet"))
    parser.add_argument("--json", action="store_true", help="all numbers as JSON instead of a table")
    options = parser.parse_args()
    python, threads = options.python or venv(), options.threads

    def toy(*sets):
        return gantlet(options.gantlet, "gaussian-1d", threads, *sets)

    def dcgan(*sets):
        return gantlet(options.gantlet, "dcgan-28", threads, *sets)

    cases = {
        "1-D GAN, eager": lambda: eager(python, "gaussian-1d", threads, options.seconds),
        "1-D GAN, gantlet": toy,
        f"1-D GAN, gantlet, {PACK} in a pack": lambda: toy(f"seeds={{count={PACK}}}", "schedule.steps=2000"),
        "1-D GAN, gantlet, recording off": lambda: toy(*SILENT),
        "DCGAN 28×28, eager": lambda: eager(python, "dcgan-28", threads, options.seconds),
        "DCGAN 28×28, gantlet": dcgan,
        "DCGAN 28×28, gantlet, recording off": lambda: dcgan(*SILENT),
    }
    rates = {name: [] for name in cases}
    for number in range(options.rounds):
        for name, measure in cases.items():
            print(f"bench: round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
            rates[name].append(measure())
    starts = {
        "gantlet --help": seconds([options.gantlet, "--help"]),
        "gantlet plan, 1,000 cells": seconds([options.gantlet, "plan", HERE / "plan-1000.toml"]),
    }
    if options.json:
        print(json.dumps({"version": 1, "machine": machine(), "threads": threads, "rates": rates, "seconds": starts}))
        return

    print(f"{machine()}; {threads or 'all'} thread(s); medians of {options.rounds} interleaved rounds\n")
    print("| case | run-steps/s (lowest to highest) | against eager |\n| --- | --- | --- |")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        base = medians[name.split(",")[0] + ", eager"]
        print(f"| {name} | {medians[name]:,.0f} ({min(values):,.0f} to {max(values):,.0f}) | {medians[name] / base:.2f} |")
    print()
    for task in ("1-D GAN", "DCGAN 28×28"):
        share = 1 - medians[f"{task}, gantlet"] / medians[f"{task}, gantlet, recording off"]
        print(f"recording costs {share:.1%} of {task}")
    for name, value in starts.items():
        print(f"{name}: {value * 1000:.0f} ms")


if __name__ == "__main__":
    main()
