"""What agents do with the package e2b of PyPI. It exits with 1 at the first thing that is not as it should be."""

import time
import urllib.request

from e2b import CommandExitException, FileNotFoundException, PtySize, Sandbox, SandboxException


def fails(error, call, *args, **named):
    try:
        call(*args, **named)
    except error as failure:
        return failure
    raise AssertionError(f"{call} did not fail")


sandbox = Sandbox.create(metadata={"by": "python 3"}, envs={"OF_ALL": "one"}, timeout=300)
ran = sandbox.commands.run("echo $OF_ALL $OWN; id -un; echo oops >&2", envs={"OWN": "two"})
assert (ran.stdout, ran.stderr, ran.exit_code) == ("one two\nuser\n", "oops\n", 0), ran
assert fails(CommandExitException, sandbox.commands.run, "exit 3").exit_code == 3

cat = sandbox.commands.run("cat; echo over", background=True, stdin=True)
sandbox.commands.send_stdin(cat.pid, "1\n")
sandbox.commands.stream_input(cat.pid, ["2\n", "3\n"])
sandbox.commands.close_stdin(cat.pid)
assert cat.wait().stdout == "1\n2\n3\nover\n"
sleep = sandbox.commands.run("sleep 1000", background=True)
assert [one.pid for one in sandbox.commands.list()] == [sleep.pid]
assert sleep.kill()
assert fails(CommandExitException, sleep.wait).exit_code == -1
assert not sandbox.commands.kill(sleep.pid)

files = sandbox.files
assert files.write("new/a b.txt", "content").path == "/home/user/new/a b.txt"
assert files.read("new/a b.txt") == "content"
files.write_files([{"path": "one", "data": "1"}, {"path": "/tmp/two", "data": b"\x00\xff"}])
assert bytes(files.read("/tmp/two", format="bytes")) == b"\x00\xff"
assert files.rename("one", "new/one").path == "/home/user/new/one"
assert sorted(entry.name for entry in files.list("new")) == ["a b.txt", "one"]
assert files.make_dir("made") and not files.make_dir("made")
files.remove("new/one")
assert not files.exists("new/one") and files.exists("made")
fails(FileNotFoundException, files.read, "none")
assert urllib.request.urlopen(sandbox.download_url("new/a b.txt")).read() == b"content"

watch = files.watch_dir("made")
files.write("made/here", "1")
events = []
for _ in range(300):
    events += [(event.type.value, event.name) for event in watch.get_new_events()]
    if ("write", "here") in events:
        break
    time.sleep(0.1)
assert events == [("create", "here"), ("write", "here")], events
watch.stop()

terminal = sandbox.pty.create(size=PtySize(rows=24, cols=80))
sandbox.pty.resize(terminal.pid, PtySize(rows=30, cols=100))
sandbox.pty.send_stdin(terminal.pid, b"stty size; exit\n")
said = []
terminal.wait(on_pty=said.append)
assert b"30 100" in b"".join(bytes(one) for one in said), said

assert Sandbox.list().next_items()[0].metadata == {"by": "python 3"}
assert sandbox.get_metrics()[0].mem_used > 0
sandbox.set_timeout(600)
sandbox.pause()
assert not sandbox.is_running()
again = Sandbox.connect(sandbox.sandbox_id)
assert again.files.read("new/a b.txt") == "content"
assert "501" in str(fails(SandboxException, again.update_network, {"deny_out": ["8.8.8.8"]}))
assert again.kill() and not again.kill() and not again.is_running()
print("all of it works")
