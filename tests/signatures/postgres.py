"""A PostgreSQL server of one's own on a socket in a temporary folder, run as an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REQUIRED = "VR_REQUIRE_POSTGRES"


def binaries() -> Path | None:
    """The folder of initdb and postgres; Debian keeps it out of PATH."""
    found = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if found:
        return found[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


@contextmanager
def running_server() -> Iterator[str]:
    """Gives an SQLAlchemy URL of an empty database; the server ends with the block."""
    folder = binaries()
    assert folder is not None
    # PostgreSQL refuses root. `nobody` owns nothing else.
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
    # A path of its own, short: a socket's has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="vr-pg-", dir="/tmp") as name:
        place = Path(name)
        if user is not None:
            os.chown(place, user.pw_uid, user.pw_gid)
        who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": name}
        log = place / "log"

        def run(*words: str) -> None:
            done = subprocess.run(
                [str(folder / words[0]), *words[1:]],
                capture_output=True,
                text=True,
                timeout=120,
                env=environment,
                cwd=name,
                **who,
            )
            assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")

        run("initdb", "-D", f"{name}/data", "-U", "vr", "--auth=trust", "--no-sync", "-E", "UTF8")
        # No network: its one door is a socket in the folder.
        options = f"-c listen_addresses='' -c unix_socket_directories='{name}' -c fsync=off"
        run("pg_ctl", "-D", f"{name}/data", "-l", str(log), "-w", "-t", "60", "-o", options, "start")
        try:
            yield f"postgresql://vr@/postgres?host={name}"
        finally:
            run("pg_ctl", "-D", f"{name}/data", "-m", "immediate", "-w", "stop")
