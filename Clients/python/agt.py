"""Ask the broker of agt-run: may this be done?

    import agt

    @agt.govern
    def send_mail(to: str, text: str) -> None: ...

    send_mail("a@example.org", "hi")        # GovernanceDenied, unless the policy allows it

Inside a ring that was started with ``agt-run --policy FILE``, AGT_BROKER says where the broker is. Outside of
one, and when the broker is gone, everything is denied; AGT_BROKER=off allows what
needs no broker to happen (decide, govern, open, connect, note, own steps of a saga), for tests on a desk.
One file, standard library only; threads may share one client. The protocol: docs/broker-protocol.md.
"""

from __future__ import annotations

import array
import asyncio
import base64
import functools
import inspect
import io
import json
import os
import select
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar, overload

__all__ = [
    "ApprovalRequired", "ApprovalTimeout", "Broker", "BrokerUnavailable", "Decision", "Elevation", "GovernanceDenied", "HeldError", "Lease", "Progress",
    "RequestError", "Saga", "StepFailed", "ToolResult", "adecide", "atool", "broker", "connect", "decide", "elevate", "govern", "note", "open",
    "saga", "tool",
]
__version__ = "1.0"

F = TypeVar("F", bound=Callable[..., Any])

PROTOCOL = 1
LINE_MAX_BYTES = 65_536
DEFAULT_TIMEOUT_SECONDS = 30.0
TOOL_TIMEOUT_SECONDS = 3660.0


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class GovernanceDenied(PermissionError):
    """The policy says no, or nobody is there to say yes."""

    def __init__(self, message: str, decision: Optional["Decision"] = None, reason: str = "") -> None:
        super().__init__(message)
        self.decision = decision
        self.reason = reason
        """Of a refused elevation: ``invalid_target``, ``no_sponsorship`` … (docs/broker-protocol.md)."""


class ApprovalRequired(GovernanceDenied):
    """A person has to approve this first."""


class ApprovalTimeout(GovernanceDenied):
    """Nobody has approved it in time."""


class BrokerUnavailable(GovernanceDenied):
    """There is no broker, it is gone, or it did not answer in time."""


class HeldError(GovernanceDenied):
    """The run is on hold."""


class RequestError(ValueError):
    """The broker does not take the request; `code` is stable (docs/broker-protocol.md)."""

    def __init__(self, code: str, message: str, data: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.data = dict(data)


class StepFailed(RuntimeError):
    """The tool of a saga's step did not succeed; `result` says what became of it."""

    def __init__(self, step: str, result: "ToolResult") -> None:
        what = f"status {result.status}" if result.outcome == "exited" else result.outcome
        text = result.message or result.stderr.strip()
        super().__init__(f"{step}: {what}" + (f": {text}" if text else ""))
        self.result = result


@dataclass(frozen=True)
class Decision:
    """What the policy says of one action."""

    verdict: str
    """``allow``, ``deny`` or ``require_approval``."""
    number: int = 0
    """Counts the decisions of the run."""
    rules: Tuple[str, ...] = ()
    """The rules that matched, the deciding one first."""
    reason: str = ""
    warning: str = ""
    approval: Optional[str] = None
    """What `Broker.wait` takes, when a person was asked."""

    @property
    def allowed(self) -> bool:
        return self.verdict == "allow"

    def require(self) -> "Decision":
        """Itself when it allows; otherwise an exception."""
        if self.allowed:
            return self
        kind = ApprovalRequired if self.verdict == "require_approval" else GovernanceDenied
        raise kind(self.reason or f"{self.verdict} ({', '.join(self.rules) or 'no rule allows it'})", self)


@dataclass(frozen=True)
class ToolResult:
    """What became of a tool that ran."""

    outcome: str
    """``exited``, ``signaled``, ``timed_out``, ``output_exceeded``, ``cancelled``, ``lease_ended``, ``killed``, ``not_started``, ``lost``."""
    status: Optional[int]
    """Its exit status, when it exited."""
    output: bytes
    errors: bytes
    message: str = ""
    run: Optional[str] = None

    @property
    def succeeded(self) -> bool:
        return self.outcome == "exited" and self.status == 0

    @property
    def stdout(self) -> str:
        return self.output.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.errors.decode(errors="replace")


@dataclass(frozen=True)
class Progress:
    """How far a tool is, while it works."""

    seconds: float
    output: bytes
    """What is new since the last time; the result has all of it again."""
    errors: bytes


@dataclass(frozen=True)
class Lease:
    """Tools that run in a higher ring for a while."""

    id: str
    ring: int
    tools: Tuple[str, ...]
    seconds: float
    """From the grant on."""


class Elevation:
    """What `elevate` gives: a context manager, for ``with`` and ``async with``."""

    def __init__(self, broker: "Broker", params: Dict[str, Any], timeout: Optional[float]) -> None:
        self._broker, self._params, self._timeout = broker, params, timeout
        self.lease: Optional[Lease] = None

    def __enter__(self) -> Lease:
        broker = self._broker
        try:
            result = broker.call("ring.elevate", self._params, self._timeout)
        except ApprovalRequired as error:
            parked = error.decision.approval if error.decision is not None else None
            if parked is None:
                raise
            result = broker.wait(parked, TOOL_TIMEOUT_SECONDS if self._timeout is None else self._timeout).get("result", {})
        if "lease" not in result:
            raise GovernanceDenied(str(result.get("message", "nobody has granted it")))
        self.lease = Lease(
            str(result["lease"]), int(result["ring"]), tuple(result["tools"]), float(result["expiresInMilliseconds"]) / 1000)
        return self.lease

    def __exit__(self, *_: object) -> None:
        lease, self.lease = self.lease, None
        if lease is None:
            return
        try:
            self._broker.call("ring.release", {"lease": lease.id}, TOOL_TIMEOUT_SECONDS)
        except (BrokerUnavailable, HeldError):
            # Without its connection there is no lease, and on hold there are no calls.
            pass

    async def __aenter__(self) -> Lease:
        return await asyncio.get_running_loop().run_in_executor(None, self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.__exit__)


@dataclass
class _Waiter:
    reply: Optional[Dict[str, Any]] = None
    descriptor: Optional[int] = None
    takes: bool = False
    progress: List[Mapping[str, Any]] = field(default_factory=list)


class Broker:
    """One connection to the broker. Several threads may use it at the same time."""

    def __init__(self, address: Optional[str] = None, timeout: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """`address` as in AGT_BROKER, which is taken without: ``unix:PATH``, ``fd:N`` or ``off``."""
        self.address = address if address is not None else os.environ.get("AGT_BROKER", "")
        self.timeout = timeout
        self.info: Dict[str, Any] = {}
        """What the broker said of the run: ring, run, limits, methods."""
        self._socket: Optional[socket.socket] = None
        self._poller = select.poll()
        self._pid = 0
        self._changed = threading.Condition()
        self._is_reading = False
        self._buffer = b""
        self._waiters: Dict[int, _Waiter] = {}
        self._descriptors: List[int] = []
        # The same descriptor may have been another program's before it was ours.
        self._number = int.from_bytes(os.urandom(4), "big")

    @property
    def is_off(self) -> bool:
        return self.address == "off"

    # -- what can be asked

    def decide(self, *, approval: bool = False, timeout: Optional[float] = None, **fields: Any) -> Decision:
        """Judges an action of your own; nothing is done. The fields are those of docs/policy-language.md.

        With `approval`, what needs a person's approval waits for it, and the decision is the person's.
        """
        if self.is_off:
            return Decision("allow", reason="AGT_BROKER=off")
        if approval:
            fields["approval"] = True
        result = self.call("policy.decide", fields, timeout)
        decision = Decision(
            str(result["verdict"]), int(result["decision"]), tuple(result.get("rules", ())),
            str(result.get("reason", "")), str(result.get("warning", "")), result.get("approval"))
        if not approval or decision.approval is None:
            return decision
        end = self.wait(decision.approval, self._patience(result))
        return replace(decision, verdict="allow", reason="", approval=None) if end else decision

    def wait(self, approval: str, timeout: float, *, takes: bool = False) -> Dict[str, Any]:
        """Waits for the end of a parked request. Raises unless it was approved."""
        end = self.call("approval.wait", {"approval": approval}, timeout, takes=takes)
        state = end.get("state")
        if state == "approved":
            return end
        if state == "expired":
            raise ApprovalTimeout("nobody has approved it in time")
        raise GovernanceDenied(str(end.get("reason") or f"it was {state}"))

    @staticmethod
    def _patience(reply: Mapping[str, Any]) -> float:
        """The broker says when it is over; a little longer, and it is gone."""
        return float(reply.get("expiresInMilliseconds", 300_000)) / 1000 + 10

    def tools(self) -> List[Dict[str, Any]]:
        """What can be called: name, description, inputSchema and more of each."""
        return list(self.call("tool.list", {}).get("tools", ()))

    def tool(
        self, name: str, *, approval: bool = False, progress: Optional[Callable[[Progress], object]] = None,
        timeout: Optional[float] = None, **arguments: Any
    ) -> ToolResult:
        """Runs a tool in its own ring and waits for it; its own time limit is the tool's.

        With `approval`, a call that needs a person's approval waits for that first. `progress` is called in this thread,
        each second and with new output; it must not ask the broker itself.
        """
        wait = TOOL_TIMEOUT_SECONDS if timeout is None else timeout
        try:
            params: Dict[str, Any] = {"name": name, "arguments": arguments}
            if approval:
                params["approval"] = True
            if progress is not None:
                params["progress"] = True
            result = self.call("tool.call", params, wait, progress=progress)
        except ApprovalRequired as error:
            parked = error.decision.approval if error.decision is not None else None
            if parked is None:
                raise
            result = self.wait(parked, wait)["result"]
        return self._tool_result(result)

    @staticmethod
    def _tool_result(result: Mapping[str, Any]) -> ToolResult:
        return ToolResult(
            str(result["outcome"]), result.get("status"), _stream(result, "stdout"), _stream(result, "stderr"),
            str(result.get("message", "")), result.get("run"))

    def saga(self, name: str = "saga") -> "Saga":
        """A plan of your own that is undone unless it is committed."""
        return Saga(self, name)

    def elevate(
        self, *tools: str, ring: int, ttl: int = 300, reason: str = "", approval: bool = False, timeout: Optional[float] = None
    ) -> Elevation:
        """While the context lasts, at most `ttl` seconds, these tools run in `ring`; calls that still run then are killed.

        With `approval`, entering waits for the person whom a rule wants to be asked.
        """
        params: Dict[str, Any] = {"tools": list(tools), "ring": ring, "ttl": ttl}
        if reason:
            params["reason"] = reason
        if approval:
            params["approval"] = True
        return Elevation(self, params, timeout)

    def open(
        self, path: str, mode: str = "r", *, approval: bool = False, timeout: Optional[float] = None, encoding: Optional[str] = None
    ) -> IO[Any]:
        """A file outside of the ring, as the function of the same name gives it; `mode` is r, w, a or x, with b for bytes.

        What the policy does not allow raises `GovernanceDenied`, what the file system does not, `OSError`.
        """
        kind, rest = mode[:1], mode[1:]
        if kind not in ("r", "w", "a", "x") or rest not in ("", "b", "t"):
            raise ValueError(f"mode {mode!r}: r, w, a or x, and b for bytes")
        if self.is_off:
            return io.open(path, mode, encoding=encoding)
        number = self._open(path, {"r": "read", "w": "write", "a": "append", "x": "create"}[kind], approval, timeout)
        try:
            if kind == "w":
                os.ftruncate(number, 0)
            opened: IO[Any] = io.open(number, ("w" if kind == "x" else kind) + rest, encoding=encoding, closefd=True)
        except BaseException:
            os.close(number)
            raise
        return opened

    def _open(self, path: str, mode: str, approval: bool, timeout: Optional[float]) -> int:
        params: Dict[str, Any] = {"path": path, "mode": mode}
        if approval:
            params["approval"] = True
        try:
            result = self.call("file.open", params, timeout, takes=True)
        except ApprovalRequired as error:
            parked = error.decision.approval if error.decision is not None else None
            if parked is None:
                raise
            end = self.wait(parked, TOOL_TIMEOUT_SECONDS if timeout is None else timeout, takes=True)
            result = {**end.get("result", {}), "fd": end.get("fd")}
        except FileNotFoundError:
            if mode != "write":
                raise
            return self._open(path, "create", approval, timeout)
        if result.get("fd") is None:
            raise GovernanceDenied(str(result.get("message", "no descriptor came")))
        return int(result["fd"])

    def connect(self, host: str, port: int, *, approval: bool = False, timeout: Optional[float] = None) -> socket.socket:
        """A stream to what the run's network may reach. The socket is a Unix stream, with the supervisor in between.

        What no rule names raises `GovernanceDenied`, what does not answer, `ConnectionError`.
        """
        if self.is_off:
            return socket.create_connection((host, port), timeout)
        params: Dict[str, Any] = {"host": host, "port": port}
        if approval:
            params["approval"] = True
        try:
            result = self.call("net.connect", params, timeout, takes=True)
        except ApprovalRequired as error:
            parked = error.decision.approval if error.decision is not None else None
            if parked is None:
                raise
            end = self.wait(parked, TOOL_TIMEOUT_SECONDS if timeout is None else timeout, takes=True)
            result = {**end.get("result", {}), "fd": end.get("fd")}
            if result.get("outcome") == "failed":
                raise ConnectionError(str(result.get("message", ""))) from error
        except RequestError as error:
            if error.code == "failed":
                raise ConnectionError(str(error)) from error
            raise
        if result.get("fd") is None:
            raise GovernanceDenied(str(result.get("message", "no descriptor came")))
        return socket.socket(fileno=int(result["fd"]))

    def note(self, text: str) -> None:
        """A remark for the operator."""
        if not self.is_off:
            self.call("log.note", {"text": text})

    def call(
        self, method: str, params: Mapping[str, Any], timeout: Optional[float] = None, *, takes: bool = False,
        progress: Optional[Callable[[Progress], object]] = None
    ) -> Dict[str, Any]:
        """Any method. Waits and asks again when it was too fast; raises when it is refused.

        With `takes`, a descriptor that comes with the answer is its member ``fd``, and the caller's to close.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            reply = self._ask(method, params, deadline, takes, progress)
            error = reply.get("error")
            if error is None:
                result = reply.get("result")
                return result if isinstance(result, dict) else {}
            data = error.get("data") or {}
            code = str(data.get("code", error.get("code")))
            message = str(error.get("message", ""))
            if code == "rate_limited":
                pause = float(data.get("retryAfterMilliseconds", 100)) / 1000
                if time.monotonic() + pause < deadline:
                    time.sleep(pause)
                    continue
                raise BrokerUnavailable(f"rate_limited: {message}")
            if code in ("denied", "approval_required"):
                verdict = "deny" if code == "denied" else "require_approval"
                rules = tuple(str(rule) for rule in data.get("rules", ()))
                parked = data.get("approval")
                decision = Decision(verdict, int(data.get("decision", 0)), rules, message, approval=parked)
                kind = GovernanceDenied if code == "denied" else ApprovalRequired
                raise kind(message or verdict, decision, str(data.get("reason", "")))
            if code == "failed" and "errno" in data:
                raise OSError(int(data["errno"]), os.strerror(int(data["errno"])), params.get("path"))
            if code == "held":
                raise HeldError(message)
            raise RequestError(code, message, data)

    def close(self) -> None:
        with self._changed:
            self._disconnect()

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one request and its answer

    def _ask(
        self, method: str, params: Mapping[str, Any], deadline: float, takes: bool = False,
        progress: Optional[Callable[[Progress], object]] = None
    ) -> Dict[str, Any]:
        with self._changed:
            try:
                if self._socket is None or self._pid != os.getpid():
                    self._connect(deadline)
                return self._exchange(method, params, deadline, takes, progress)
            except BrokerUnavailable:
                raise
            except OSError as error:
                self._disconnect()
                raise BrokerUnavailable(f"the broker is gone: {error}") from error

    def _exchange(
        self, method: str, params: Mapping[str, Any], deadline: float, takes: bool = False,
        progress: Optional[Callable[[Progress], object]] = None
    ) -> Dict[str, Any]:
        self._number += 1
        number = self._number
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            line = _encode(request).encode()
        except (TypeError, ValueError) as error:
            raise RequestError("invalid_params", f"this is no JSON: {error}", {}) from error
        if len(line) > LINE_MAX_BYTES:
            raise RequestError("invalid_params", f"a request has at most {LINE_MAX_BYTES} bytes", {})
        waiter = self._waiters[number] = _Waiter(takes=takes)
        try:
            self._connected().sendall(line + b"\n")
            while waiter.reply is None:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise BrokerUnavailable(f"{method}: no answer in time")
                if self._is_reading:
                    self._changed.wait(rest)
                else:
                    self._read(rest)
                while progress is not None and waiter.progress:
                    told = waiter.progress.pop(0)
                    seconds = float(told.get("elapsedMilliseconds", 0)) / 1000
                    self._changed.release()
                    try:
                        progress(Progress(seconds, _stream(told, "stdout"), _stream(told, "stderr")))
                    finally:
                        self._changed.acquire()
            if waiter.descriptor is not None and isinstance(waiter.reply.get("result"), dict):
                waiter.reply["result"]["fd"], waiter.descriptor = waiter.descriptor, None
            return waiter.reply
        finally:
            self._waiters.pop(number, None)
            if waiter.descriptor is not None:
                os.close(waiter.descriptor)

    def _read(self, seconds: float) -> None:
        """One thread reads for all; the others wait until it has."""
        connection = self._connected()
        self._is_reading = True
        self._changed.release()
        data = None
        try:
            if self._poller.poll(seconds * 1000 + 1):
                data = self._receive(connection)
        finally:
            self._changed.acquire()
            self._is_reading = False
            self._changed.notify_all()
        if data is None:
            return
        if not data:
            self._disconnect()
            raise BrokerUnavailable("the broker has closed the connection")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            try:
                reply = json.loads(line)
            except ValueError as error:
                self._disconnect()
                raise BrokerUnavailable("what answers is no broker") from error
            if reply.get("method") == "$/progress":
                told = reply.get("params") or {}
                if told.get("id") in self._waiters:
                    self._waiters[told["id"]].progress.append(told)
                continue
            result = reply.get("result")
            descriptor = None
            if isinstance(result, dict) and (result.get("descriptor") or _inner(result).get("descriptor")):
                # They come in the order of the answers that announce them.
                descriptor = self._descriptors.pop(0) if self._descriptors else None
            waiter = self._waiters.get(reply.get("id"))
            if descriptor is not None:
                if waiter is not None and waiter.takes:
                    waiter.descriptor = descriptor
                else:
                    os.close(descriptor)
            if waiter is not None:
                waiter.reply = reply
            elif reply.get("id") is None and "error" in reply:
                self._disconnect()
                raise BrokerUnavailable(str(reply["error"].get("message")))

    def _receive(self, connection: socket.socket) -> bytes:
        data, ancillary, _, _ = connection.recvmsg(65_536, socket.CMSG_SPACE(8 * 4), socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        return data

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise BrokerUnavailable("the broker has closed the connection")
        return self._socket

    def _connect(self, deadline: float) -> None:
        kind, _, place = self.address.partition(":")
        if kind == "unix" and place:
            self._disconnect()
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                connection.connect(place)
            except OSError as error:
                connection.close()
                raise BrokerUnavailable(f"{place}: {error.strerror or error}") from error
            connection.settimeout(None)
        elif kind == "fd" and place.isdigit():
            if self._socket is not None and self._pid != os.getpid():
                raise BrokerUnavailable("the connection belongs to the process that this one was forked from")
            try:
                connection = socket.socket(fileno=os.dup(int(place)))
            except OSError as error:
                raise BrokerUnavailable(f"descriptor {place}: {error.strerror}") from error
        elif not self.address:
            raise BrokerUnavailable("AGT_BROKER is not set: start this with agt-run --policy FILE")
        else:
            raise BrokerUnavailable(f"AGT_BROKER={self.address}: unix:PATH, fd:N or off is needed")
        self._poller = select.poll()
        self._poller.register(connection, select.POLLIN)
        self._socket, self._pid, self._buffer, self._waiters = connection, os.getpid(), b"", {}
        greeting = {"protocol": PROTOCOL, "client": f"agt.py/{__version__}"}
        while True:
            reply = self._exchange("agt.hello", greeting, deadline)
            if "result" in reply:
                self.info = dict(reply["result"])
                return
            error = reply.get("error", {})
            data = error.get("data", {})
            pause = float(data.get("retryAfterMilliseconds", 0)) / 1000
            if pause == 0 or time.monotonic() + pause >= deadline:
                self._disconnect()
                raise BrokerUnavailable(f"{data.get('code')}: {error.get('message')}")
            time.sleep(pause)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._changed.notify_all()


class Saga:
    """Steps that are undone, the last one first, unless all of them are committed.

        with agt.saga("move") as saga:
            saga.tool("add_user", name="ada")                     # its declaration says what undoes it
            saga.step("page", undo=("remove_page", {"name": "ada"}))
            write_page("ada")                                     # your own action, after its step

    Leaving the block commits; an exception aborts, and what was done is undone before it goes on. When the program
    dies, or its run is killed, the supervisor undoes it. `async with` does the same, with `astep` and `atool`.
    """

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.id: Optional[str] = None
        self.state = "new"
        """``open``, then ``completed``, ``compensated`` or ``needs-operator``."""
        self._lock = threading.Lock()
        self._count = 0

    def begin(self) -> "Saga":
        if not self.broker.is_off:
            self.id = str(self.broker.call("saga.begin", {"name": self.name})["saga"])
        self.state = "open"
        return self

    def step(
        self, step: str, *, undo: Tuple[str, Mapping[str, Any]], approval: bool = False, timeout: Optional[float] = None
    ) -> None:
        """Before an action of your own: when this returns, what undoes it is on the disk.

        `undo` is a tool with its arguments. It must do no harm when the action was never done. With `approval`, a
        step that a person has to approve waits for that.
        """
        if not self.broker.is_off:
            self._step({"saga": self.id, "step": step, "undo": self._call(undo)}, approval, timeout)

    def _step(self, params: Dict[str, Any], approval: bool, timeout: Optional[float]) -> Dict[str, Any]:
        if approval:
            params["approval"] = True
        try:
            return self.broker.call("saga.step", params, timeout)
        except ApprovalRequired as error:
            parked = error.decision.approval if error.decision is not None else None
            if parked is None:
                raise
            result = self.broker.wait(parked, TOOL_TIMEOUT_SECONDS if timeout is None else timeout).get("result", {})
            if "tool" not in params and "step" not in result:
                raise GovernanceDenied(str(result.get("message", "the step was not begun"))) from error
            return dict(result)

    def tool(
        self, tool: str, *, step: Optional[str] = None, undo: Optional[Tuple[str, Mapping[str, Any]]] = None,
        approval: bool = False, timeout: Optional[float] = None, **arguments: Any
    ) -> ToolResult:
        """Runs a tool as a step. Raises `StepFailed` unless it ends with status 0.

        Without `undo`, the tool's declaration says what undoes it. Without `step`, the tool's name with a number is
        the step's. With `approval`, a person is asked about the call and what undoes it, where a rule wants that.
        """
        with self._lock:
            self._count += 1
            name = step if step is not None else f"{tool}-{self._count}"
        params: Dict[str, Any] = {"saga": self.id, "step": name, "tool": {"name": tool, "arguments": arguments}}
        if undo is not None:
            params["undo"] = self._call(undo)
        wait = TOOL_TIMEOUT_SECONDS if timeout is None else timeout
        result = Broker._tool_result(self._step(params, approval, wait))
        if not result.succeeded:
            raise StepFailed(name, result)
        return result

    def commit(self) -> None:
        """What was done stays."""
        self._end("saga.commit", {})

    def abort(self, reason: str = "") -> str:
        """Undoes what was done, and waits for it. Returns the state: ``needs-operator`` when something is left."""
        return self._end("saga.abort", {"reason": reason} if reason else {})

    def _end(self, method: str, more: Mapping[str, Any]) -> str:
        if self.broker.is_off:
            self.state = "completed" if method == "saga.commit" else "open"
        else:
            result = self.broker.call(method, {"saga": self.id, **more}, TOOL_TIMEOUT_SECONDS)
            self.state = str(result["state"])
        return self.state

    @staticmethod
    def _call(call: Tuple[str, Mapping[str, Any]]) -> Dict[str, Any]:
        tool, arguments = call
        return {"name": tool, "arguments": dict(arguments)}

    def __enter__(self) -> "Saga":
        return self.begin()

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if self.state != "open":
            return
        if error is None:
            return self.commit()
        try:
            self.abort(f"{type(error).__name__}: {error}"[:500])
        except (GovernanceDenied, RequestError):
            # The supervisor undoes it when this connection ends; what went wrong first is what is told.
            pass

    async def __aenter__(self) -> "Saga":
        return await _in_thread(self.begin)

    async def __aexit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        await asyncio.shield(_in_thread(self.__exit__, kind, error, trace))

    async def astep(self, step: str, *, undo: Tuple[str, Mapping[str, Any]]) -> None:
        """`step` without blocking the event loop."""
        await _in_thread(self.step, step, undo=undo)

    async def atool(self, tool: str, **options: Any) -> ToolResult:
        """`tool` without blocking the event loop."""
        result: ToolResult = await _in_thread(self.tool, tool, **options)
        return result


async def _in_thread(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *args, **keywords))


_shared: Optional[Broker] = None
_shared_lock = threading.Lock()


def broker() -> Broker:
    """The one client of this process."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Broker()
        return _shared


def decide(**fields: Any) -> Decision:
    """`Broker.decide` of the one client."""
    return broker().decide(**fields)


async def adecide(**fields: Any) -> Decision:
    """The same without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(decide, **fields))


def tool(name: str, **arguments: Any) -> ToolResult:
    """`Broker.tool` of the one client."""
    return broker().tool(name, **arguments)


async def atool(name: str, **arguments: Any) -> ToolResult:
    """The same without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(tool, name, **arguments))


def saga(name: str = "saga") -> Saga:
    """`Broker.saga` of the one client."""
    return broker().saga(name)


def elevate(*tools: str, ring: int, **options: Any) -> Elevation:
    """`Broker.elevate` of the one client."""
    return broker().elevate(*tools, ring=ring, **options)


def open(path: str, mode: str = "r", **options: Any) -> IO[Any]:
    """`Broker.open` of the one client."""
    return broker().open(path, mode, **options)


def connect(host: str, port: int, **options: Any) -> socket.socket:
    """`Broker.connect` of the one client."""
    return broker().connect(host, port, **options)


def note(text: str) -> None:
    """`Broker.note` of the one client."""
    broker().note(text)


@overload
def govern(function: F) -> F: ...
@overload
def govern(function: None = None, *, tool: Optional[str] = None, action: Optional[str] = None,
           fields: Optional[Mapping[str, Any]] = None, approval: bool = False) -> Callable[[F], F]: ...
@overload
def govern(function: F, *, tool: Optional[str] = None, action: Optional[str] = None,
           fields: Optional[Mapping[str, Any]] = None, approval: bool = False) -> F: ...


def govern(function: Any = None, *, tool: Optional[str] = None, action: Optional[str] = None,
           fields: Optional[Mapping[str, Any]] = None, approval: bool = False) -> Any:
    """A function that asks the policy first, as decorator or wrapper; coroutine functions stay such.

    The policy sees `tool` (the function's name), `args` (what it was called with, by name) and whatever `fields`
    adds. With `approval`, it waits for the person whom a rule wants to be asked. What is not allowed raises `GovernanceDenied`, and the function is not called. What is returned
    does not carry the function itself as ``__wrapped__``.
    """
    if function is None:
        return functools.partial(govern, tool=tool, action=action, fields=fields, approval=approval)
    signature = inspect.signature(function)
    request: Dict[str, Any] = {"tool": tool or function.__name__, **(fields or {})}
    if action is not None:
        request["action"] = action

    def facts(args: Tuple[Any, ...], keywords: Dict[str, Any]) -> Dict[str, Any]:
        bound = signature.bind(*args, **keywords)
        bound.apply_defaults()
        return {"approval": approval, **request, "args": {name: _plain(value) for name, value in bound.arguments.items()}}

    if inspect.iscoroutinefunction(function):
        async def governed_async(*args: Any, **keywords: Any) -> Any:
            (await adecide(**facts(args, keywords))).require()
            return await function(*args, **keywords)

        wrapper: Any = governed_async
    else:
        def governed(*args: Any, **keywords: Any) -> Any:
            decide(**facts(args, keywords)).require()
            return function(*args, **keywords)

        wrapper = governed
    functools.update_wrapper(wrapper, function)
    del wrapper.__wrapped__
    wrapper.__signature__ = signature
    return wrapper


def _inner(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an approved request gave, inside of the approval's end."""
    inner = result.get("result")
    return inner if isinstance(inner, dict) else {}


def _stream(result: Mapping[str, Any], key: str) -> bytes:
    if key + "Base64" in result:
        return base64.b64decode(result[key + "Base64"])
    return str(result.get(key, "")).encode()


def _plain(value: Any, depth: int = 0) -> Any:
    """What JSON can say of a value; of anything else the name of its type, which no rule can take for a value."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth < 16 and isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < 16 and isinstance(value, (list, tuple, set, frozenset)):
        items: List[Any] = list(value)
        return [_plain(item, depth + 1) for item in items]
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    return {"type": f"{type(value).__module__}.{type(value).__qualname__}"}
