"""The interpreter of a session: `python3 -c` with this text. Runs inside the sandbox; standard library only.

It reads requests from its input, a line of JSON each: `{"code": TEXT, "mark": TEXT}` runs a piece of code,
with the variables of those before; `{"interrupt": true}` interrupts it. What the code writes goes to its
output, and after it the mark, followed by `0` or `1` (the code raised something) and a line end.

Two processes: the first one reads, the second one runs, so that it has a single thread as scripts do.
"""

import sys

# A file of the workspace must not take the place of one of these.
sys.path[:] = [path for path in sys.path if path]

import ast  # noqa: E402
import contextlib  # noqa: E402
import json  # noqa: E402
import linecache  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import traceback  # noqa: E402
import types  # noqa: E402

_LINE_BYTES = 64 << 20


def _lines(chunk: bytes, rest: bytearray) -> "list[bytes]":
    """Return the lines that a chunk completes."""
    rest += chunk
    if len(rest) > _LINE_BYTES:
        os._exit(1)
    # Most of a long piece of code is no end of a line.
    if b"\n" not in chunk:
        return []
    *whole, last = rest.split(b"\n")
    rest[:] = last
    return [bytes(line) for line in whole]


def main() -> None:
    """Read requests until the input ends, and pass them to the process that runs them."""
    requests, passes = os.pipe()
    woken, wakes = os.pipe()
    runner = os.fork()
    if runner == 0:
        for descriptor in (passes, woken, wakes):
            os.close(descriptor)
        # A group of its own is interrupted whole, as by a key at a terminal.
        os.setpgid(0, 0)
        _run(requests)
        os._exit(0)
    os.close(requests)
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    rest = bytearray()
    while True:
        ended, status = os.waitpid(runner, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
        if 0 not in ready:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            os._exit(0)
        for line in _lines(chunk, rest):
            if json.loads(line).get("interrupt"):
                with contextlib.suppress(OSError):
                    os.killpg(runner, signal.SIGINT)
            else:
                view = memoryview(line + b"\n")
                try:
                    while view:
                        view = view[os.write(passes, view) :]
                except OSError:
                    break


def _run(requests: int) -> None:
    own = os.getpid()
    output = os.dup(1)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Modules of the workspace are found, wherever the code has gone meanwhile.
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    sys.argv = [""]
    sys.dont_write_bytecode = True
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    rest = bytearray()
    number = 0
    is_running = False

    def interrupted(*_: object) -> None:
        # One that comes late must not end what waits for the next piece.
        if is_running:
            raise KeyboardInterrupt

    while True:
        signal.signal(signal.SIGINT, interrupted)
        chunk = os.read(requests, 65536)
        if not chunk:
            return
        for line in _lines(chunk, rest):
            request = json.loads(line)
            number += bool(request["code"])
            status = 1
            try:
                is_running = True
                status = _execute(request["code"], f"<call {number}>", module.__dict__)
                is_running = False
            except KeyboardInterrupt:
                is_running = False
            if os.getpid() != own:
                # The code has forked, and this is the child that came back from it.
                os._exit(status)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                # The code may have closed it, or put something else in its place.
                with contextlib.suppress(Exception):
                    stream.flush()  # type: ignore[union-attr]
            os.write(output, f"{request['mark']}{status}\n".encode())
            signal.signal(signal.SIGINT, interrupted)


def _execute(code: str, name: str, variables: "dict[str, object]") -> int:
    """Run a piece of code; the value of an expression at its end is shown. Return 1 where it raises."""
    # Tracebacks show the lines: those of Python, which has fewer ends of lines than texts, each with its end.
    lines = [f"{line}\n" for line in re.split("\r\n|\r|\n", code)]
    linecache.cache[name] = (len(code), None, lines, name)
    try:
        tree = ast.parse(code, name)
        end = tree.body[-1] if tree.body else None
        if isinstance(end, ast.Expr):
            tree.body.pop()
        exec(compile(tree, name, "exec"), variables)  # noqa: S102 - that is what it is for
        if isinstance(end, ast.Expr):
            value = eval(compile(ast.Expression(end.value), name, "eval"), variables)  # noqa: S307
            if value is not None:
                print(repr(value))
    except SystemExit as wish:
        if wish.code is None or wish.code == 0:
            return 0
        if not isinstance(wish.code, int):
            print(wish.code, file=sys.stderr)
        return 1
    except BaseException as error:  # noqa: BLE001 - the next piece goes on with what there is
        trace = error.__traceback__
        # Not the lines of this file.
        while trace is not None and trace.tb_frame.f_code.co_filename != name:
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
