"""What confined scripts may see, and the words in which it is told to kernels, bubblewrap and container engines."""

import os
import resource
import subprocess
from pathlib import Path

import pytest
from flowforge.errors import JobError

from services.workers import confinement, landlock, reachable
from services.workers.confinement import Confinement, Inside, Limits, bubblewrapped
from services.workers.container import Engine, checked_image, client_environment, env_file
from services.workers.endings import Ending

MB = 1024**2


# --- files ------------------------------------------------------------------------------------------------------------


def test_what_is_hidden_is_left_out_wherever_it_is(tmp_path: Path) -> None:
    for name in ("opt/one", "opt/flowforge/home", "opt/flowforge/bin", "other"):
        (tmp_path / name).mkdir(parents=True)
    hidden = tmp_path / "opt/flowforge/home"
    assert list(reachable.without(tmp_path / "opt", hidden)) == [tmp_path / "opt/flowforge/bin", tmp_path / "opt/one"]
    assert list(reachable.without(tmp_path / "other", hidden)) == [tmp_path / "other"]
    assert list(reachable.without(hidden / "below", hidden)) == []
    assert list(reachable.without(tmp_path / "nothing", hidden)) == []


def test_a_link_to_what_is_hidden_is_no_way_around(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    assert list(reachable.without(tmp_path / "link", tmp_path / "home")) == []
    assert list(reachable.without(tmp_path / "home", tmp_path / "link")) == []


def test_of_the_configuration_only_what_every_user_may_read(tmp_path: Path) -> None:
    for name, mode in {"open/a": 0o644, "open/b": 0o644, "mixed/a": 0o644, "mixed/key": 0o600, "shadow": 0o640}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        path.touch()
        path.chmod(mode)
    (tmp_path / "private").mkdir(mode=0o700)
    assert sorted(reachable.open_to_all(str(tmp_path))) == [f"{tmp_path}/mixed/a", f"{tmp_path}/open"]


def test_what_is_installed_in_a_folder_of_its_own_runs(tmp_path: Path) -> None:
    for name in ("tool/bin", "tool/lib", "tool/private"):
        (tmp_path / name).mkdir(parents=True)
    seen = reachable.readable(tmp_path / "home", f"{tmp_path}/tool/bin:relative:/")
    assert {path for path in seen if path.is_relative_to(tmp_path)} == {tmp_path / "tool/bin", tmp_path / "tool/lib"}
    assert Path("/usr") in seen
    assert Path("/") not in seen


# --- layers -----------------------------------------------------------------------------------------------------------


def _confinement(tmp_path: Path, isolation: confinement.Isolation, path: str = "/usr/bin") -> Confinement:
    return Confinement(isolation, hidden=tmp_path / "home", shared=(tmp_path,), search_path=path)


def test_required_confinement_that_cannot_be_had_refuses_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"FLOWFORGE_SCRIPT_ISOLATION=required.*neither Landlock nor a bubblewrap"):
        _confinement(tmp_path, "required").check()
    as_it_can = _confinement(tmp_path, "confined")
    as_it_can.check()
    assert not as_it_can.has_files
    assert "landlock_files" not in as_it_can.layers


def test_trusted_scripts_have_every_layer_but_those_of_files(tmp_path: Path) -> None:
    trusted = _confinement(tmp_path, "trusted")
    trusted.check()
    assert trusted.layers == list(confinement.PROCESS_LAYERS)
    with trusted.around(["true"], tmp_path, Limits()) as started:
        assert started.command == ["true"]
        assert (started.inside.ruleset, started.inside.drops_capabilities) == (None, False)


def test_bubblewrap_stands_in_where_there_is_no_landlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    (tmp_path / "bwrap").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "bwrap").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    instead = _confinement(tmp_path, "required")
    instead.check()
    assert instead.layers[-1] == "bubblewrap"
    with instead.around(["bash", "main.sh"], tmp_path / "job", Limits()) as started:
        assert started.command[0] == str(tmp_path / "bwrap")
        assert started.command[-5:] == ["--chdir", str(tmp_path / "job"), "--", "bash", "main.sh"]


def test_a_bubblewrap_that_may_not_work_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    (tmp_path / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not _confinement(tmp_path, "confined").has_files


def test_inside_bubblewrap_are_the_jobs_folders_and_what_programs_need() -> None:
    command = " ".join(bubblewrapped("bwrap", ["true"], Path("/tmp/job"), [Path("/usr")], [Path("/data")]))
    assert command.startswith("bwrap --die-with-parent --unshare-pid --unshare-ipc --cap-drop ALL ")
    assert " --ro-bind-try /usr /usr " in command
    assert command.endswith(" --bind /tmp/job /tmp/job --bind /data /data --chdir /tmp/job -- true")
    assert command.index("--tmpfs /tmp") < command.index("--bind /tmp/job")


def test_limits_are_those_of_the_process_and_never_higher_than_they_were() -> None:
    limits = Limits(memory_bytes=64 * MB, file_bytes=3 * MB, cpu_s=7)
    shown = "import resource as r; print(*(r.getrlimit(getattr(r, 'RLIMIT_' + n))[0] for n in '%s'.split()))"
    command = ["python3", "-c", shown % "CORE FSIZE DATA CPU NOFILE"]
    inside, parent = Inside(limits), os.getpid()

    def enter() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        inside.enter(parent)

    seen = subprocess.run(command, preexec_fn=enter, capture_output=True, check=True, text=True).stdout
    assert list(map(int, seen.split())) == [0, 3 * MB, (64 + 256) * MB, 7, 100]


@pytest.mark.parametrize("layer", ["landlock_files", "bubblewrap"])
def test_a_confined_process_writes_its_folders_reads_programs_and_sees_nothing_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    for name in ("home", "job", "shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / "admin.key").write_text("the key")
    if layer == "bubblewrap":
        monkeypatch.setattr(landlock, "abi", lambda: 0)
    kept = Confinement(
        "confined", hidden=tmp_path / "home", shared=(tmp_path / "shared",), search_path=os.environ["PATH"]
    )
    if layer not in kept.layers:
        pytest.skip(f"this machine has no {layer}")
    script = f"""
        echo x > own && mv own moved && cat /etc/passwd > /dev/null && echo x > {tmp_path}/shared/new || exit 9
        touch {tmp_path}/new 2> /dev/null
        for bad in "cat {tmp_path}/home/admin.key" "touch /usr/new" "ls {tmp_path}/home" "cat /etc/shadow"
        do $bad 2> /dev/null && echo "could $bad"; done
        grep -c . /proc/self/status > /dev/null && python3 -c 'print("python")' && sh -c 'exit 7'
    """
    parent = os.getpid()
    with kept.around(["bash", "-c", script], tmp_path / "job", Limits()) as started:
        done = subprocess.run(
            started.command, cwd=tmp_path / "job", preexec_fn=lambda: started.inside.enter(parent),
            close_fds=True, capture_output=True, check=False, text=True,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "python\n"), done.stderr
    assert (tmp_path / "shared" / "new").exists()
    assert not (tmp_path / "new").exists()


# --- containers -------------------------------------------------------------------------------------------------------


def test_the_engines_command_mounts_the_jobs_folder_only_and_limits_what_is_taken() -> None:
    limits = Limits(memory_bytes=64 * MB, file_bytes=MB)
    words = Engine("docker", "/usr/bin/docker").command(
        container="flowforge-1", image="debian:13", folder=Path("/tmp/job"), env_file=Path("/tmp/job/.env"),
        limits=limits, command=["bash", "/flowforge/main.sh"],
    )  # fmt: skip
    command = " ".join(words)
    assert command.startswith("/usr/bin/docker run --rm --name flowforge-1 --label flowforge.job ")
    assert command.endswith(" --entrypoint bash debian:13 /flowforge/main.sh")
    assert words.count("--volume") == 1
    for part in (
        "--volume /tmp/job:/flowforge", "--env-file /tmp/job/.env", "--security-opt no-new-privileges",
        "--memory 67108864b --memory-swap 67108864b", "--ulimit fsize=1048576:1048576", "--pids-limit 1000",
    ):  # fmt: skip
        assert f" {part} " in command


def test_what_a_container_writes_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)

    def words(name: str) -> str:
        engine = Engine(name, name)
        return " ".join(
            engine.command(
                container="c",
                image="i",
                folder=Path("/f"),
                env_file=Path("/e"),
                limits=Limits(file_bytes=1),
                command=["x"],
            )
        )

    assert " --user 1000:100 " in words("docker")
    assert " --userns keep-id " in words("podman")


@pytest.mark.parametrize("image", ["--privileged", "-v", "", "a b", "a\nb", "a;b"])
def test_an_image_is_no_option(image: str) -> None:
    with pytest.raises(JobError, match=r"image: .* is no name of an image"):
        checked_image(image)


@pytest.mark.parametrize("image", ["debian", "python:3.13-slim", "registry.example:5000/a/b@sha256:0123abcd"])
def test_images_are_named_as_engines_name_them(image: str) -> None:
    assert checked_image(image) == image


def test_the_environment_of_a_container_is_the_nodes_and_the_engine_gets_nothing_of_it() -> None:
    assert env_file({"A": "x y", "B": "ü=#"}) == "A=x y\nB=ü=#\n".encode()
    with pytest.raises(JobError, match=r"env\.A: container engines take no value of several lines"):
        env_file({"A": "x\ny"})
    given = {"PATH": "/bin", "DOCKER_HOST": "unix:///d", "FLOWFORGE_NATS_URL": "nats://secret", "AWS_SECRET": "x"}
    assert client_environment(given) == {"PATH": "/bin", "DOCKER_HOST": "unix:///d"}


# --- endings ----------------------------------------------------------------------------------------------------------

LIMITS = Limits(memory_bytes=64 * MB, file_bytes=2 * MB)


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        (Ending(0, "warned", LIMITS), None),
        (Ending(3, "err", LIMITS), "the script failed with exit status 3: err"),
        (Ending(-11, "", LIMITS), "the script was ended by SIGSEGV"),
        (Ending(-25, "", LIMITS), "the script was ended by SIGXFSZ (a file may have at most 2 MB: max_file_mb)"),
        (Ending(153, "", LIMITS), "the script failed with exit status 153 (a file may have at most 2 MB: max_file_mb)"),
        (
            Ending(1, "MemoryError", LIMITS),
            "the script failed with exit status 1 (it may take at most 64 MB of memory: max_memory_mb): MemoryError",
        ),
        (Ending(1, "MemoryError", Limits()), "the script failed with exit status 1: MemoryError"),
        (
            Ending(-24, "", LIMITS),
            "the script was ended by SIGXCPU (it used more processor time than its timeout allows)",
        ),
        (Ending(0, "", LIMITS, excess="the script took 70 MB"), "the script took 70 MB"),
        (Ending(125, "no daemon", LIMITS, engine="docker"), "docker could not run the script's container: no daemon"),
        (
            Ending(137, "", LIMITS, engine="podman"),
            "the script failed with exit status 137 (it may take at most 64 MB of memory: max_memory_mb)",
        ),
        (Ending(125, "", LIMITS), "the script failed with exit status 125"),
    ],
)
def test_an_ending_in_words(ending: Ending, message: str | None) -> None:
    error = ending.error()
    assert (error and str(error)) == message
