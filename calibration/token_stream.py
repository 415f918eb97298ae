"""A service that answers like OpenAI's, token by token: what to ask it, and when which token came.

One piece of a streamed answer usually holds one token, but a server may put several into one (speculative decoding,
or a slow client): the time per output token counts the tokens that the server itself reports.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from calibration.bodies import Service, complaint_of
from calibration.http_connection import request_bytes, target_of

if TYPE_CHECKING:
    from calibration.endpoint_settings import EndpointSettings
    from calibration.http_connection import Answer

_PATHS: Final = {"openai-completions": "/v1/completions", "openai-chat": "/v1/chat/completions"}

_EXTENSIONS: Final = {"stream_options": {"include_usage": True}, "ignore_eos": True}
"""Tell how many tokens there were, and do not stop before the tokens asked for: not every server knows these."""

_PROMPTS: Final = 64
"""Different prompts that are sent in turn: a server that remembers prefixes must not remember all of them."""

_WORDS: Final = (
    "time",
    "river",
    "stone",
    "light",
    "paper",
    "glass",
    "north",
    "seven",
    "green",
    "house",
    "cloud",
    "table",
)
"""Each is about one token to the usual tokenisers."""


@dataclass(frozen=True)
class TokenTimes:
    """When the tokens of one answer came, in ns on the monotonic clock, and how many there were."""

    arrived_ns: tuple[int, ...]
    """Pieces with text in them, in order."""
    output_tokens: int
    """As the server counts them, else the pieces."""
    prompt_tokens: int | None = None
    """As the server counts them."""

    @property
    def whole(self) -> bool:
        """Whether several tokens came at one time, as of a server that does not stream."""
        return self.output_tokens > 1 and self.arrived_ns[0] == self.arrived_ns[-1]

    def ttft_ms(self, due_ns: int) -> float:
        """Time from when the request was due until its first token."""
        return (self.arrived_ns[0] - due_ns) / 1e6

    @property
    def tpot_ms(self) -> float | None:
        """Time per output token after the first; None when there is only one, or when all came at once."""
        if self.output_tokens < 2 or self.whole:
            return None
        return (self.arrived_ns[-1] - self.arrived_ns[0]) / 1e6 / (self.output_tokens - 1)

    @property
    def itl_ms(self) -> tuple[float, ...]:
        """Times between one piece with text and the next."""
        pairs = zip(self.arrived_ns, self.arrived_ns[1:], strict=False)
        return tuple((after - before) / 1e6 for before, after in pairs)


def openai_service(settings: EndpointSettings) -> Service:
    """A service that takes prompts and streams tokens; ``--url`` may name the host, ``.../v1`` or the whole path."""
    target = target_of(settings.url)
    path = _PATHS[settings.body]
    if not target.path.rstrip("/").endswith("/completions"):
        base = target.path.rstrip("/")
        target = target.at(base.removesuffix("/v1") + path)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream", **settings.headers}

    def service(extensions: dict[str, Any], plainer: Service | None) -> Service:
        written = tuple(
            request_bytes(target, json.dumps({**body, **extensions}).encode(), headers) for body in _bodies(settings)
        )
        return Service(
            target=target, requests=lambda _: written, complaint=stream_complaint, streams=True, plainer=plainer
        )

    return service(_EXTENSIONS, service({}, None))


def _bodies(settings: EndpointSettings) -> list[dict[str, Any]]:
    """The prompts that are sent in turn."""
    import numpy as np

    rng = np.random.default_rng(settings.seed)
    common: dict[str, Any] = {
        "model": settings.model,
        "max_tokens": settings.output_tokens,
        "temperature": 0,
        "stream": True,
    }
    bodies = []
    for _ in range(_PROMPTS):
        prompt = " ".join(rng.choice(_WORDS, settings.prompt_tokens))
        chat = settings.body == "openai-chat"
        asked = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        bodies.append({**common, **asked})
    return bodies


def stream_complaint(answer: Answer) -> str:
    """What is wrong with this streamed answer? Nothing when it is empty."""
    wrong = complaint_of(answer)
    if wrong:
        return wrong
    for _, event in _events(answer):
        if "error" in event:
            return f"the stream holds an error: {json.dumps(event['error'])[:200]}"
    return "" if token_times(answer) is not None else "the answer holds no token"


def token_times(answer: Answer) -> TokenTimes | None:
    r"""When did the tokens of this answer come? None when it holds none.

    >>> from calibration.http_connection import Answer
    >>> lines = b'data: {"choices": [{"text": "a"}]}\n\ndata: {"choices": [{"text": "b"}]}\n\ndata: [DONE]\n\n'
    >>> token_times(Answer(200, {}, lines, 9, ((5, 40), (8, len(lines)))))
    TokenTimes(arrived_ns=(5, 8), output_tokens=2, prompt_tokens=None)
    """
    arrived, usage = [], dict[str, Any]()
    for at_ns, event in _events(answer):
        usage = event.get("usage") or usage
        if any(_text(choice) for choice in event.get("choices") or ()):
            arrived.append(at_ns)
    if not arrived:
        return None
    return TokenTimes(tuple(arrived), usage.get("completion_tokens") or len(arrived), usage.get("prompt_tokens"))


def _text(choice: Any) -> str:
    """What a choice adds: of completions its text, of a chat its content or what it thinks."""
    if not isinstance(choice, dict):
        return ""
    delta = choice.get("delta") or choice.get("message") or {}
    return choice.get("text") or delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning") or ""


def _events(answer: Answer) -> Iterator[tuple[int, dict[str, Any]]]:
    """The server-sent events of an answer that are JSON objects, and when the last byte of each came.

    A server that does not stream sends one object: it is one event, and came with its last byte.
    """
    if "event-stream" not in answer.headers.get("content-type", "event-stream"):
        event = _parsed(answer.body)
        if event is not None:
            yield answer.end_ns, event
        return
    pieces, position = iter(answer.pieces or ((answer.end_ns, len(answer.body)),)), 0
    at_ns, length = next(pieces)
    for line in answer.body.splitlines(keepends=True):
        position += len(line)
        while length < position - 1:  # an event is there before the end of its line is
            at_ns, length = next(pieces, (answer.end_ns, len(answer.body)))
        if line.startswith(b"data:"):
            event = _parsed(line[5:])
            if event is not None:
                yield at_ns, event


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
