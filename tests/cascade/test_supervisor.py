"""A supervisor: it says which process died and why, ends the others, starts all again, and hands on signals."""

import signal
import subprocess
import sys
import time

import pytest

from vr.cascade.supervisor import Supervision, supervise
from vr.core.errors import ConfigError


def script(body):
    return [sys.executable, "-c", f"import os, signal, sys, time\nnumber = int(os.environ['VR_PROCESS'])\n{body}"]


def supervised(body, **options):
    said = []
    begun = time.monotonic()
    options = {"processes": 2, "heartbeat_seconds": 5, **options}
    code = supervise(Supervision(script(body), **options), said.append)
    return code, said, time.monotonic() - begun


def test_all_that_end_well_are_not_talked_of():
    assert supervised("assert os.environ['VR_PROCESSES'] == '2'")[:2] == (0, [])


def test_one_that_is_killed_is_named_and_all_start_again(tmp_path):
    body = f"""
starts = {str(tmp_path)!r} + f"/{{number}}"
first = not os.path.exists(starts)
open(starts, "a").write(os.environ["VR_COORDINATOR"] + "\\n")
if first and number == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if first:
    time.sleep(100)
"""
    code, said, seconds = supervised(body)
    assert code == 0
    assert said == ["process 1 of 2 was killed by SIGKILL", "all processes are started again, 1 of at most 3 times"]
    assert seconds < 60
    ports = [(tmp_path / f"{number}").read_text().split() for number in range(2)]
    assert ports[0] == ports[1]
    assert len(ports[0]) == 2


def test_a_wrong_command_is_not_started_again_and_the_last_line_says_why():
    code, said, _ = supervised("""
if number == 0:
    sys.stderr.write("first\\nerror: no such file\\n")
    sys.exit(3)
time.sleep(100)
""")
    assert code == 3
    assert said == ["process 0 of 2 ended with exit code 3 (error: no such file)"]


def test_it_gives_up_after_so_many_starts():
    code, said, _ = supervised("os.kill(os.getpid(), signal.SIGSEGV)", processes=1, max_restarts=2)
    assert code == 128 + signal.SIGSEGV
    assert said.count("process 0 of 1 was killed by SIGSEGV") == 3
    assert said[-1] == "they are not started again"


def test_a_command_that_cannot_be_started_is_one_error_and_leaves_nothing_running():
    with pytest.raises(ConfigError, match="command: nothing-of-this-name cannot be started"):
        supervise(Supervision(["nothing-of-this-name"], processes=2))


XLA_MISSED = """UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):
1
The tasks have crashed."""
XLA_LEADER = (
    "absl::Status: DEADLINE_EXCEEDED: Deadline Exceeded\n\nRPC: /xla.coordination.CoordinationService/Heartbeat"
)


@pytest.mark.parametrize(
    ("first", "words", "line"),
    [
        (0, XLA_MISSED, "process 0 of 2 was killed by SIGABRT, since process 1 was lost on another host"),
        (1, XLA_LEADER, "process 1 of 2 was killed by SIGABRT, since process 0 was lost on another host"),
        (1, "nothing known", "process 1 of 2 was killed by SIGABRT, since a peer was lost"),
    ],
)
def test_one_that_lost_a_peer_on_another_host_says_which(first, words, line):
    options = {"processes": 1, "first_process": first, "all_processes": 2, "coordinator": "127.0.0.1:9"}
    code, said, _ = supervised(
        f"sys.stderr.write({words!r} + '\\n'); sys.stderr.flush(); os.abort()", max_restarts=0, **options
    )
    assert code == 128 + signal.SIGABRT
    assert said[0] == line


def test_the_cause_comes_first_and_what_died_of_it_after():
    # Exit code 75 is that of vr for a lost peer.
    code, said, _ = supervised(
        "sys.exit(75) if number == 0 else (time.sleep(0.3), os.kill(os.getpid(), signal.SIGBUS))", max_restarts=0
    )
    assert code == 128 + signal.SIGBUS
    assert said[:2] == [
        "process 1 of 2 was killed by SIGBUS",
        "process 0 of 2 ended with exit code 75, since a peer was lost",
    ]


def test_one_that_is_stopped_is_missed_killed_and_named():
    code, said, seconds = supervised(
        "os.kill(os.getpid(), signal.SIGSTOP) if number == 1 else time.sleep(100)", max_restarts=0
    )
    assert code == 128 + signal.SIGSTOP
    assert said[0] == "process 1 of 2 was stopped (SIGSTOP) and answered no more"
    assert 5 < seconds < 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_as_sigterm_and_is_no_failure_where_they_end_well(tmp_path, repository, number):
    body = f"""
signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path)!r} + f"/{{number}}", "w"), sys.exit(0)))
sys.stderr.write("ready\\n")
sys.stderr.flush()
time.sleep(100)
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "experiments.supervise", "--processes", "2", "--", *script(body)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=repository,
    )
    with supervisor:
        assert sorted(supervisor.stderr.readline() for _ in range(2)) == ["[0] ready\n", "[1] ready\n"]
        supervisor.send_signal(number)
        assert supervisor.wait(timeout=60) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "processes: must be 1 or more"),
        ({"max_restarts": -1}, "max_restarts: must be 0 or more"),
        ({"all_processes": 4}, "coordinator: not given"),
        ({"heartbeat_seconds": 1}, "VR_HEARTBEAT_SECONDS"),
        ({"first_process": 1, "all_processes": 2, "coordinator": "a:1"}, "VR_PROCESS: must lie in 0 to 1, not 2"),
    ],
)
def test_what_cannot_be_supervised_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Supervision(**{"command": ["true"], "processes": 2, **options})
