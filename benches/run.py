"""Times gantlet against PyTorch on this machine, in turns, and prints medians.

    just bench                      # makes .bench-venv with PyTorch for the other side
    just bench --families           # an update of each family of experiments/
    just bench --rounds 3 --only 1-D --python /path/to/a/python/with/torch
    just bench --against /path/to/another/gantlet      # two builds of gantlet, without PyTorch
    just bench --plain          # what each path of our own gains: gantlet with it and without it (GANTLET_PLAIN)

The rounds interleave (eager, fused, compiled, gantlet, …), so that whatever else the machine does hits all alike. Steps a
second of gantlet are those of `run.json`: of the training, with its recording, without the start of the process.
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
SMALL = [f"architecture.{player}={{mlp={{hidden=[128,128,128]}}}}" for player in ("generator", "discriminator")]
TINY, TINY_STEPS = 64, 500
# What GANTLET_PLAIN can turn off, and all of it.
PATHS = ["small", "medium", "im2col", "dense", "1"]
# The families: who of families.py does the work of which file, in which cell, and how many steps of it are timed.
DIGITS = "data={shapes={size=28}}"
BINARY = "data={shapes={size=28,binarize='threshold',normalize=[0,1]}}"
GATED = "grid.'architecture.predictor.pixelcnn.gated'"


def sequence(steps, rate, layers):
    """A network over characters; chance characters, for which no file is needed."""
    sets = [f"architecture.predictor={{layers=[{layers}]}}", "grid.network=[{label='one'}]", "data={markov={symbols=65,context=64}}"]
    learns = f"optimizer.predictor={{adamw={{lr={rate},weight-decay=0.01,clip-norm=1.0}}}}"
    return "sequence/shakespeare", steps, *sets, learns


def pixels(steps, network):
    return "pixelcnn/bars-rnn", steps, f"architecture.predictor={network}", "grid.network=[{label='one'}]"


FAMILIES = {
    "infogan": ("infogan/shapes", 300, "grid.'algorithm.infogan.generator-weight'=[1.0]"),
    "semi-supervised": (
        "semi-supervised/mnist", 300, "data={shapes={size=28,normalize=[0,1]}}", "grid.learns-from=[{label='all'}]",
    ),
    "cogan": ("cogan/negatives", 600, "grid.'algorithm.cogan.share.generator'=[3]"),
    "lapgan": ("lapgan/shapes", 200, "grid.refiner=[{label='learned'}]"),
    "began": ("began/shapes", 200, "grid.'algorithm.began.gamma'=[0.5]"),
    "sn-gan": ("mnist/sn-gan", 120, DIGITS),
    "wgan-gp": ("mnist/wgan-gp", 40, DIGITS),
    "classifier": ("mnist/classifier", 600, DIGITS),
    "autoencoder": ("autoencoder/shapes", 600),
    "vae": ("vae/shapes", 1500, "grid.'algorithm.vae.beta'=[1.0]"),
    "iwae": ("vae/iwae", 800, "grid.model=[{label='iwae-5',set={'algorithm.vae.bound'='iwae','algorithm.vae.samples'=5}}]"),
    "pixelcnn": ("pixelcnn/bars", 300, f"{GATED}=[false]"),
    "gated-pixelcnn": ("pixelcnn/bars", 300, f"{GATED}=[true]"),
    "digits-pixelcnn": ("pixelcnn/mnist", 400, BINARY, f"{GATED}=[false]"),
    "digits-gated-pixelcnn": ("pixelcnn/mnist", 300, BINARY, f"{GATED}=[true]"),
    "row-lstm": pixels(300, "{row-lstm={hidden=16,layers=1}}"),
    "diagonal-bilstm": pixels(200, "{diagonal-bilstm={hidden=16,layers=1}}"),
    "gru": sequence(200, 3e-3, "{embedding=64},{gru=128},{linear=65}"),
    "lstm": sequence(200, 3e-3, "{embedding=64},{lstm=128},{linear=65}"),
    "transformer": sequence(
        100, 1e-3,
        "{embedding={width=128,positions=true}},{transformer-block=4},{transformer-block=4},'layer-norm',{linear=65}",
    ),
}  # fmt: skip


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


def pytorch(python, task, threads, seconds, *variant, script="eager.py"):
    command = [python, HERE / script, task, "--threads", str(threads), "--seconds", str(seconds), *variant]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    return json.loads(done.stdout)["steps_per_second"]


def environment(**more):
    return {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "GANTLET_PLAIN")} | more


def gantlet(program, file, threads, *sets, options=(), together=sum, plain=""):
    """Steps per second of all runs together; `plain` names the paths of our own that are turned off."""
    with tempfile.TemporaryDirectory() as out:
        command = [program, "run", file, "--out", out, "--device", "cpu", "--jobs", "1", *options]
        command += ["--threads", str(threads or os.cpu_count())]
        for one in sets:
            command += ["--set", one]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(GANTLET_PLAIN=plain))
        if done.returncode != 0:
            sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
        runs = [json.loads(path.read_text()) for path in Path(out).glob("*/*/run.json")]
        return together([run["steps_per_second"] for run in runs])


def tiny_grid(program):
    """Runs a second of a grid of tiny runs, the whole command from start to end on all cores."""
    with tempfile.TemporaryDirectory() as out:
        command = [program, "run", HERE / "gaussian-1d.toml", "--out", out, "--device", "cpu"]
        command += ["--set", f"seeds={{count={TINY}}}", "--set", f"schedule.steps={TINY_STEPS}"]
        return TINY / seconds(command, 1)


def tiny_processes(python):
    """The same with a process of PyTorch a run, as many at a time as there are cores."""
    command = [python, HERE / "eager.py", "gaussian-1d", "--steps", str(TINY_STEPS)]
    begin, count = time.perf_counter(), 2 * os.cpu_count()
    for _ in range(2):
        some = [subprocess.Popen(command, env=environment()) for _ in range(count // 2)]
        if any(process.wait() != 0 for process in some):
            sys.exit("bench: eager.py failed")
    return count / (time.perf_counter() - begin)


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


def print_builds(rates):
    """One row per work: the first column's rate, and how many times it that of each other column is."""
    others = list(dict.fromkeys(name for who in rates.values() for name in list(who)[1:]))
    base = next(iter(next(iter(rates.values()))))
    print(f"| work | {base}, steps/s | {' | '.join(f'{base} / {name} (lowest to highest)' for name in others)} |")
    print("| --- " * (2 + len(others)) + "|")
    for work, who in rates.items():
        cells = [f"{statistics.median(who[base]):,.1f}"]
        for name in others:
            ratios = [ours / theirs for ours, theirs in zip(who[base], who[name])]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {work} | {' | '.join(cells)} |")


def print_families(rates):
    """A row a family; the ratio is the median of the rounds' ratios, for what hits a round hits both."""
    print("| family | cell of | eager PyTorch, steps/s | gantlet, steps/s | gantlet against eager (lowest to highest) |")
    print("| --- | --- | --- | --- | --- |")
    for name, who in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(who["gantlet"], who["eager"])]
        eager, ours = statistics.median(who["eager"]), statistics.median(who["gantlet"])
        span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {FAMILIES[name][0]} | {eager:,.1f} | {ours:,.1f} | {span} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each measurement of PyTorch takes")
    parser.add_argument("--families", action="store_true", help="an update of each family instead, on one thread")
    parser.add_argument("--only", default="", help="works whose name begins so")
    parser.add_argument("--python", help="a Python with torch 2.11 and numpy, instead of making .bench-venv")
    parser.add_argument("--gantlet", default=str(ROOT / "target" / "release" / "gantlet"))
    parser.add_argument("--against", help="another gantlet program to compare with, instead of PyTorch")
    parser.add_argument("--plain", action="store_true", help="compare with gantlet without each of its own paths, instead of PyTorch")
    parser.add_argument("--json", action="store_true", help="all numbers as JSON instead of a table")
    options = parser.parse_args()
    alone = options.plain or options.against  # without PyTorch
    python, program = None if alone else options.python or venv(), options.gantlet

    def of_pytorch(task, threads, *variants):
        names = {"eager": (), "fused": ("--fused",), "compiled": ("--compiled",)}
        return {v: (lambda v=v: pytorch(python, task, threads, options.seconds, *names[v])) for v in variants}

    def of_gantlet(task, threads, *sets, **how):
        return lambda: gantlet(program, HERE / f"{task}.toml", threads, *sets, **how)

    def file_of(name):
        file, steps, *sets = FAMILIES[name]
        return ROOT / "experiments" / f"{file}.toml", [*sets, "seeds={count=1}", f"schedule.steps={steps}", *SILENT, "claims=[]"]

    def of_family(name):
        file, sets = file_of(name)
        return {
            "eager": lambda: pytorch(python, name, 1, options.seconds, script="families.py"),
            "gantlet": lambda: gantlet(program, file, 1, *sets),
        }

    def of_builds(file, threads, *sets, **how):
        """This program, and what it is compared with: another program, or itself without some of its paths."""
        who = {"gantlet": lambda: gantlet(program, file, threads, *sets, **how)}
        if options.against:
            who["the other"] = lambda: gantlet(options.against, file, threads, *sets, **how)
        for path in PATHS if options.plain else []:
            who["without any" if path == "1" else f"without {path}"] = (
                lambda path=path: gantlet(program, file, threads, *sets, plain=path, **how)
            )
        return who

    def of_alone(name):
        file, sets = file_of(name)
        return of_builds(file, 1, *sets)

    toy, grid, dcgan = "gaussian-1d", "grid-25", "dcgan-28"
    pack = (f"seeds={{count={PACK}}}", "schedule.steps=5000")
    small = ("seeds={count=16}", *SMALL)
    # A work, and who does it; the first is what the others are compared with.
    works = {
        "1-D GAN, one thread, steps/s": {
            **of_pytorch(toy, 1, "eager", "fused", "compiled"),
            "gantlet": of_gantlet(toy, 1),
            "gantlet, recording off": of_gantlet(toy, 1, *SILENT),
            f"gantlet, pack of {PACK}": of_gantlet(toy, 1, *pack),
        },
        "25 Gaussians, WGAN-GP 3×512, all cores, steps/s": {
            **of_pytorch(grid, 0, "eager", "fused"),
            "gantlet": of_gantlet(grid, 0),
        },
        "25 Gaussians, WGAN-GP 3×128, one thread, run-steps/s": {
            **of_pytorch("grid-25-small", 1, "eager", "fused"),
            "gantlet, 16 in a row": of_gantlet(grid, 1, *small, options=["--no-pack"], together=statistics.mean),
            "gantlet, pack of 16": of_gantlet(grid, 1, *small),
        },
        "DCGAN 28×28, all cores, steps/s": {
            **of_pytorch(dcgan, 0, "eager", "fused", "compiled"),
            "gantlet": of_gantlet(dcgan, 0),
            "gantlet, recording off": of_gantlet(dcgan, 0, *SILENT),
        },
        f"runs of {TINY_STEPS} steps, whole commands, all cores, runs/s": {
            "a Python process a run": lambda: tiny_processes(python),
            f"gantlet, {TINY} runs": lambda: tiny_grid(program),
        },
    }
    if alone:
        file = lambda task: HERE / f"{task}.toml"
        works = {
            "1-D GAN, one thread": of_builds(file(toy), 1, *SILENT),
            f"1-D GAN, pack of {PACK}, one thread": of_builds(file(toy), 1, *pack, *SILENT),
            "25 Gaussians, 3×512, all cores": of_builds(file(grid), 0, *SILENT),
            "25 Gaussians, 3×512, one thread": of_builds(file(grid), 1, *SILENT),
            "25 Gaussians, 3×128, one thread": of_builds(file(grid), 1, *SMALL, *SILENT),
            "25 Gaussians, 3×128, pack of 16, one thread": of_builds(file(grid), 1, *small, *SILENT),
            "DCGAN 28×28, all cores": of_builds(file(dcgan), 0, *SILENT),
            "DCGAN 28×28, one thread": of_builds(file(dcgan), 1, *SILENT),
        }
    if options.families:
        works = {name: of_alone(name) if alone else of_family(name) for name in FAMILIES}
    works = {work: who for work, who in works.items() if work.startswith(options.only)}
    rates = {work: {name: [] for name in who} for work, who in works.items()}
    for number in range(options.rounds):
        for work, who in works.items():
            for name, measure in who.items():
                print(f"bench: round {number + 1} of {options.rounds}: {work}: {name}", file=sys.stderr, flush=True)
                rates[work][name].append(measure())
    starts = {} if options.families or alone else {
        "gantlet --help": seconds([program, "--help"]),
        "gantlet plan, 1,000 cells": seconds([program, "plan", HERE / "plan-1000.toml"]),
    }
    if options.json:
        print(json.dumps({"version": 2, "machine": machine(), "rates": rates, "seconds": starts}))
        return

    print(f"{machine()}; medians of {options.rounds} interleaved rounds\n")
    if alone:
        print_builds(rates)
        return
    if options.families:
        print_families(rates)
        return
    for work, of_work in rates.items():
        medians = {name: statistics.median(values) for name, values in of_work.items()}
        base = next(iter(medians))
        better = max((medians[v] for v in ("fused", "compiled") if v in medians), default=None)
        print(f"| {work} | median (lowest to highest) | against {base} | against the better of fused and compiled |")
        print("| --- | --- | --- | --- |")
        for name, values in of_work.items():
            cells = [f"{medians[name]:,.1f} ({min(values):,.1f} to {max(values):,.1f})", f"{medians[name] / medians[base]:.2f}"]
            cells.append(f"{medians[name] / better:.2f}" if better else "")
            print(f"| {name} | {' | '.join(cells)} |")
        if "gantlet, recording off" in medians:
            print(f"\nRecording costs {1 - medians['gantlet'] / medians['gantlet, recording off']:.1%}.")
        print()
    for name, value in starts.items():
        print(f"{name}: {value * 1000:.0f} ms")


if __name__ == "__main__":
    main()
