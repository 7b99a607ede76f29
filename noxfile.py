# /// script
# requires-python = ">=3.11"
# dependencies = ["nox"]
# ///
"""What a developer runs: ``python3 noxfile.py -s demo`` (tests, lint, types, build, ...).

It needs nothing but Python and pip: where nox is missing, the file makes a small environment
in .nox/boot and starts itself again in it. All sessions share one .venv, filled from
constraints/dev.txt; pip is asked again only when a requirement has changed. VLM_TORCH says
which torch goes in: ``cpu``, ``default`` (what the registry serves; on Linux with CUDA, several
GB), or ``skip`` (keep the one in .venv; without one, the trainer's dependencies stay out).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints" / "dev.txt"
VENV = ROOT / ".venv"
WORKSHOP = ROOT / ".nox"
CUDA_DEVICE = Path("/dev/nvidiactl")
SCRIPTS = "Scripts" if os.name == "nt" else "bin"

PACKAGES = ("vlm-datakit", "vlm-trainer")
BUILD_BACKEND = ("editables", "hatchling")
TOOLS = (
    "build",
    "duckdb",
    "hypothesis",
    "mypy",
    "nox",
    "pillow-heif",
    "polars",
    "pre-commit",
    "pre-commit-hooks",
    "pytest",
    "pytest-cov",
    "pytest-randomly",
    "pytest-xdist",
    "ray",
    "ruff",
    "scikit-image",
    "scikit-learn",
    "toml-sort",
    "types-jsonschema",
    "types-pyyaml",
)

# The same version that constraints/dev.txt pins: there without the local tag, so that it
# fits a CUDA build as well.
TORCH = "torch==2.13.0"
TORCH_CPU = f"{TORCH}+cpu"
# PyTorch's own index of CPU builds. Few retries: off-line it must give up in seconds.
TORCH_CPU_INDEX = ("--extra-index-url", "https://download.pytorch.org/whl/cpu")
TORCH_CPU_FROM_INDEX = (TORCH_CPU, *TORCH_CPU_INDEX, "--retries=1", "--timeout=15")
TORCH_TRIES = {
    "auto-cpu": ((TORCH_CPU,), TORCH_CPU_FROM_INDEX, (TORCH,)),
    "cpu": ((TORCH_CPU,), TORCH_CPU_FROM_INDEX),
    "default": ((TORCH,),),
    "skip": (),
}

CUT_OFF = "unfinished"  # a stamp with this text was left by an install that never came back


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / SCRIPTS / ("python.exe" if os.name == "nt" else "python")


def say(words: str) -> None:
    """Tell the user on stderr what takes its time."""
    print(f"setup > {words}", file=sys.stderr, flush=True)


class PipError(Exception):
    """Pip gave up; holds all that it said."""


def pip_install(environment: Path, *arguments: str, constraints: Path = CONSTRAINTS) -> None:
    """Install quietly under the constraints, leaving the user's pip settings as they are.

    Raises:
        PipError: Pip came back with an error.
        SystemExit: Pip was killed: what it left behind cannot be trusted.
    """
    # Not compiling saves half the time of a first install and 300 MB.
    pip = [str(python_of(environment)), "-m", "pip", "install", "--no-compile", "--no-input"]
    command = [*pip, "--constraint", str(constraints), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode < 0:
        sys.exit(f"pip was killed by signal {-done.returncode}; the next run starts afresh")
    if done.returncode:
        raise PipError(f"$ {' '.join(command)}\n{done.stdout.decode(errors='replace')}")


def make_environment(environment: Path) -> None:
    """Make an empty virtual environment, or stop with a word about what is missing."""
    command = [sys.executable, "-m", "venv", str(environment)]
    if subprocess.run(command, check=False).returncode:
        sys.exit("could not make a virtual environment (Debian, Ubuntu: install python3-venv)")


@contextlib.contextmanager
def one_installer_at_a_time() -> Iterator[None]:
    """Wait for any other noxfile of this checkout that is installing."""
    WORKSHOP.mkdir(exist_ok=True)
    with (WORKSHOP / "lock").open("w") as lock:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another run that is installing")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def stamped(environment: Path, wanted: str) -> Iterator[bool]:
    """Yield whether an environment must be filled; stamp it when that went well.

    A stamp that says unfinished means that an earlier install was cut off half-way (a kill,
    Ctrl-C, a power cut); pip may then take half a package for a whole one, so the
    environment is thrown away. When pip itself reports an error nothing is half-way.
    """
    stamp = environment / "stamp.txt"
    found = stamp.read_text() if stamp.is_file() else ""
    if found == wanted and python_of(environment).exists():
        yield False
        return
    if found == CUT_OFF:
        say(f"an earlier install was cut off: making {environment.name} anew")
        shutil.rmtree(environment)
    environment.mkdir(parents=True, exist_ok=True)
    stamp.write_text(CUT_OFF)
    if not python_of(environment).exists():
        make_environment(environment)
    try:
        yield True
    except PipError as error:
        stamp.unlink()
        sys.exit(str(error))
    stamp.write_text(wanted)


def fingerprint(*facts: object) -> str:
    """Hash all that an install depends on: facts, this checkout's place, pinned versions."""
    projects = [ROOT / "packages" / package / "pyproject.toml" for package in PACKAGES]
    contents = [path.read_bytes() for path in (CONSTRAINTS, *projects)]
    return hashlib.sha256(repr((ROOT, facts, contents)).encode()).hexdigest()


def start_again_with_nox() -> NoReturn:
    """Run this file with the same arguments in an environment that has nox."""
    boot = WORKSHOP / "boot"
    if Path(sys.prefix) == boot:
        sys.exit(f"nox does not import although it was installed: remove {boot} and try again")
    with one_installer_at_a_time(), stamped(boot, fingerprint("nox")) as is_missing:
        if is_missing:
            say("nox into .nox/boot: about 10 s")
            pip_install(boot, "nox")
    command = [str(python_of(boot)), __file__, *sys.argv[1:]]
    if os.name == "posix":
        os.execv(command[0], command)
    sys.exit(subprocess.call(command))


try:
    import nox
except ModuleNotFoundError:
    start_again_with_nox()


def torch_choice() -> str:
    """Return the key of TORCH_TRIES for this machine, or what VLM_TORCH insists on."""
    is_linux_without_cuda = sys.platform == "linux" and not CUDA_DEVICE.exists()
    choice = os.environ.get("VLM_TORCH") or ("auto-cpu" if is_linux_without_cuda else "default")
    if choice not in TORCH_TRIES:
        sys.exit(f"VLM_TORCH={choice}: expected cpu, default or skip")
    return choice


def install_torch(environment: Path, choice: str) -> None:
    """Install torch first and alone, so that no later step pulls in a CUDA build.

    Raises:
        PipError: Nothing that was tried could be had.
    """
    *tries, last = TORCH_TRIES[choice] or ((),)
    for attempt in tries:
        with contextlib.suppress(PipError):
            pip_install(environment, *attempt)
            return
        say(f"{attempt[0]} is not to be had here: trying another way")
    if last:
        pip_install(environment, *last)


def has_torch(environment: Path) -> bool:
    """Say whether an environment can import torch."""
    question = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('torch'))"
    return not subprocess.run([python_of(environment), "-c", question], check=False).returncode


def install_packages(environment: Path, choice: str) -> None:
    """Install both packages as links to this checkout, their dependencies and the tools.

    Raises:
        PipError: Something could not be had.
    """
    # The build backend comes from the constraints too, not from isolated environments.
    pip_install(environment, *BUILD_BACKEND)
    linked = ["--no-build-isolation"]
    for package in PACKAGES:
        linked += ["--editable", str(ROOT / "packages" / package)]
    if choice == "skip" and not has_torch(environment):
        pip_install(environment, *linked, "--no-deps")
        linked = linked[:3]  # dependencies of the first package only
    pins = CONSTRAINTS.read_text()
    if choice == "skip":
        pins = pins.replace(f"\n{TORCH}\n", "\n")
    constraints = WORKSHOP / "constraints.txt"
    constraints.write_text(pins)
    pip_install(environment, *linked, *TOOLS, constraints=constraints)


def prepare() -> None:
    """Bring .venv up to date with the constraints, the packages and the tools."""
    choice = torch_choice()
    keeps_torch = choice == "skip" and python_of(VENV).exists() and has_torch(VENV)
    wanted = fingerprint(choice, keeps_torch, TORCH_TRIES[choice], BUILD_BACKEND, TOOLS)
    with one_installer_at_a_time(), stamped(VENV, wanted) as is_stale:
        if is_stale:
            say("torch and everything else into .venv: 1 to 2 minutes, later runs skip this")
            install_torch(VENV, choice)
            install_packages(VENV, choice)


def prepare_peers() -> Path:
    """Fill an environment with other tools, none of their dependencies but what readers import."""
    environment = WORKSHOP / "peers"
    pins = ROOT / "constraints" / "peers.txt"
    with one_installer_at_a_time(), stamped(environment, fingerprint(pins.read_text())) as is_stale:
        if is_stale:
            say("other tools into .nox/peers: about 30 s")
            (packages,) = VENV.glob("lib/python3*/site-packages")
            (own,) = environment.glob("lib/python3*/site-packages")
            (own / "shared.pth").write_text(f"{packages}\n")
            pip_install(environment, "--no-deps", "--requirement", str(pins), constraints=pins)
            # For sound alone, and without a build for every torch.
            (own / "torchaudio").mkdir(exist_ok=True)
            (own / "torchaudio" / "__init__.py").touch()
    return environment


def fetch_pictures() -> dict[str, str]:
    """Return where Pillow's test pictures lie, as pytest reads it; off-line they may be missing."""
    command = [str(python_of(VENV)), "tests/fuzz/pillow_pictures.py"]
    with one_installer_at_a_time():
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        say("their tests are skipped")
        return {}
    return {"VLM_PILLOW_PICTURES": done.stdout.decode().strip()}


def run(session: nox.Session, *command: str, **variables: str) -> None:
    """Run a command with .venv activated, .venv's own where it has one."""
    path = os.pathsep.join([str(VENV / SCRIPTS), os.environ.get("PATH", "")])
    executable = shutil.which(command[0], path=path) or command[0]  # nox looks in its own PATH
    environment = {"PATH": path, "VIRTUAL_ENV": str(VENV), **variables}
    session.run(executable, *command[1:], env=environment, external=True)


nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]
# So that the last line of a test run is pytest's own.
NOISE = ("was successful", "uv binary not found")
logging.getLogger("nox").addFilter(lambda line: not any(map(line.getMessage().count, NOISE)))


@nox.session
def demo(session: nox.Session) -> None:
    """Run the whole main job on real digits: CPU, off-line, a few minutes."""
    prepare()
    run(session, "python", "examples/01_digits/demo.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; what follows ``--`` goes to pytest."""
    prepare()
    run(session, "python", "-m", "pytest", *session.posargs, **fetch_pictures())


@nox.session
def peers(session: nox.Session) -> None:
    """Let other tools read what convert writes; read an S3; train under DeepSpeed."""
    prepare()
    command = [str(python_of(prepare_peers())), "-m", "pytest", "-p", "no:cacheprovider"]
    sources = os.pathsep.join(str(ROOT / "packages" / package / "src") for package in PACKAGES)
    found = {"PYTHONPATH": sources, "VLM_PEERS": "1"}
    run(session, *command, "-n0", "tests/peers", *session.posargs, **found)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Send a million damaged pictures and rows through the walk; ``-- --cases N --seed S``."""
    prepare()
    run(session, "python", "tests/fuzz/pictures.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, order and format; what follows ``--`` are the paths (default: all)."""
    prepare()
    paths = session.posargs or ["."]
    run(session, "python", "-m", "ruff", "check", *paths)
    run(session, "python", "-m", "ruff", "format", "--check", *paths)
    run(session, "toml-sort", "--check", "pyproject.toml", *map(str, package_settings()))


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict; what follows ``--`` goes to mypy."""
    prepare()
    run(session, "python", "-m", "mypy", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build both wheels and try each in an empty environment of its own."""
    prepare()
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for package in PACKAGES:
        command = ["-m", "build", "--no-isolation", "--outdir", "dist", f"packages/{package}"]
        run(session, "python", *command)
        try_wheel(session, package)


@nox.session
def bench(session: nox.Session) -> None:
    """Run all benchmarks; what follows ``--`` goes to each of them."""
    prepare()
    for benchmark in sorted((ROOT / "benchmarks").glob("*.py")):
        if benchmark.name.startswith("gpu_") and not CUDA_DEVICE.exists():
            say(f"{benchmark.name} is left out: no CUDA device here")
            continue
        run(session, "python", str(benchmark), *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """Run the tests that need a CUDA device."""
    prepare()
    run(session, "python", "-m", "pytest", "-m", "gpu", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill imports 500 times at random moments; ``-- --kills N --seed S``."""
    prepare()
    run(session, "python", "tests/crash/kills.py", *session.posargs)


def package_settings() -> list[Path]:
    """Return the pyproject.toml of each package."""
    return [ROOT / "packages" / package / "pyproject.toml" for package in PACKAGES]


def try_wheel(session: nox.Session, package: str) -> None:
    """Install one wheel where nothing else is and call its command from another folder."""
    environment = WORKSHOP / f"wheel-{package}"
    shutil.rmtree(environment, ignore_errors=True)
    make_environment(environment)
    needs_torch = package == "vlm-trainer"
    try:
        if needs_torch:
            install_torch(environment, torch_choice())
        (wheel,) = (ROOT / "dist").glob(f"{package.replace('-', '_')}-*.whl")
        pip_install(environment, str(wheel))
    except PipError as error:
        session.error(str(error))
    if has_torch(environment) != needs_torch:
        session.error(f"torch beside {package}: {not needs_torch}, expected {needs_torch}")
    with session.chdir(session.create_tmp()):
        session.run(str(environment / SCRIPTS / package), "--help", external=True, silent=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    nox.main()
