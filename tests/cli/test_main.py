import errno
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import run

import kinema
from kinema.toybox import make_scene, write_clip

COMMANDS = (
    "ask",
    "caption",
    "locate",
    "chat",
    "plan",
    "embed",
    "models",
    "convert",
    "doctor",
    "data",
    "evaluate",
)


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def start(*arguments: object, **pipes: object) -> subprocess.Popen:
    """The installed program, as a shell starts it."""
    program = Path(sys.executable).parent / "kinema"
    return subprocess.Popen([program, *map(str, arguments)], text=True, **pipes)


def test_importing_kinema_loads_neither_torch_nor_numpy():
    loaded = python("import kinema, sys; print(*sys.modules)").split()
    assert "kinema" in loaded
    assert not {"torch", "numpy", "av", "PIL", "typer", "transformers"} & set(loaded)


@pytest.mark.parametrize("argument", ["--help", "models"])
def test_what_needs_no_torch_does_not_load_it(argument):
    code = f"import sys; sys.argv = ['kinema', '{argument}']; import kinema.cli.main as program\n"
    printed = python(code + "try: program.run()\nfinally: print('torch' in sys.modules)")
    assert len(printed.splitlines()) > 5
    assert printed.endswith("False\n")


def test_help_names_every_command():
    printed = run("--help").stdout
    for name in COMMANDS:
        assert name in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_knows_json_and_debug(name):
    printed = run(*(("data", "toybox") if name == "data" else (name,)), "--help").stdout
    assert "--json" in printed
    assert "--debug" in printed


def test_version_is_printed():
    assert run("--version").stdout == f"kinema {kinema.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ask", "clip.mp4", "--frame-rate", 3), "No such option: --frame-rate"),
        (("ask",), "Missing argument 'VIDEO'. See 'kinema ask --help'."),
        (("ask", "clip.mp4", "--fps"), "Option '--fps' requires an argument."),
        (("ask", "clip.mp4", "--fps", "many"), "Invalid value for '--fps'"),
        (("convert", "nano", "copy"), "Missing option '--layout'"),
        (("data",), "Missing command. See 'kinema data --help'."),
        (("watch", "clip.mp4"), "No such command 'watch'. See 'kinema --help'."),
    ],
)
def test_a_call_that_cannot_be_understood_is_told_in_one_line(arguments, said):
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("error: ")
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_without_a_command_the_help_is_printed():
    outcome = run()
    assert outcome.exit_code == 0
    assert outcome.stdout == run("--help").stdout


def test_a_reader_that_leaves_is_no_error():
    program = start("models", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    errors = program.stderr.read()
    program.wait()
    assert errors == ""


def listen_to_ctrl_c() -> None:
    """A shell makes what it starts in the background deaf to it, and so everything started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_without_a_trace(model_folder, tmp_path):
    started = tmp_path / "predictions.jsonl"
    options = ("--clips", 1000, "--predictions-to", started)
    program = start(
        "evaluate",
        model_folder,
        *options,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=listen_to_ctrl_c,
    )
    while not started.exists():
        assert program.poll() is None, program.stderr.read()
        time.sleep(0.05)
    program.send_signal(signal.SIGINT)
    printed, errors = program.communicate(timeout=20)
    assert (program.returncode, printed, errors) == (130, "", "interrupted\n")


def read_to_the_end(reader: int) -> str:
    """All that was written to a terminal which nobody has open any more; one read may give a part of it."""
    drawn = b""
    with os.fdopen(reader, "rb", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(65536)
            except OSError as error:
                if error.errno != errno.EIO:  # by which Linux says that there is no more
                    raise
                piece = b""
            if not piece:
                return drawn.decode()
            drawn += piece


def test_a_bar_shows_progress_on_a_terminal_and_leaves_stdout_alone(tmp_path):
    reader, terminal = pty.openpty()
    program = start("data", "toybox", tmp_path, "--clips", 2, stdout=subprocess.PIPE, stderr=terminal)
    printed, _ = program.communicate(timeout=20)
    os.close(terminal)
    drawn = read_to_the_end(reader)
    assert printed == f"{tmp_path / 'clips.jsonl'}\n"
    assert "filming" in drawn
    assert "2/2" in drawn


def test_a_warning_is_one_line_beside_the_answer(model_folder, tmp_path):
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_clip(make_scene(0, level=1), whole)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    outcome = run("ask", cut, "What?", "--model", model_folder, "--max-new-tokens", 1)
    assert outcome.exit_code == 0
    assert outcome.stdout
    assert outcome.stderr.startswith("warning: ")
    assert "are missing" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
