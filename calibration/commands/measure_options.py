"""The options of ``calibrate measure``: what each is called, what it takes, and what its help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

_MODEL: Final = "What to measure"
_HOW: Final = "How to measure"
_URL: Final = "A served model (--url)"

BATCHES: Final = "1,2,4,8,16,32"
"""Batch sizes where none are named."""

TIME_LIMIT: Final = "10min"

Text = str | None
Texts = list[str] | None
Count = int | None
File = Path | None


def _option(
    *names: str,
    panel: str,
    help: str,
    metavar: Text = None,
    default: str | bool = False,
    least: Count = None,
) -> object:
    """An option as all of them are: in a panel, and with words for its default where the value is none."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, show_default=default, help=help, min=least)


Model = Annotated[
    Text,
    _option(
        "--model",
        "-m",
        panel=_MODEL,
        metavar="MODEL",
        help="bert-base, resnet50, decoder-prefill, decoder-decode (built in, nothing is downloaded), module:function "
        "of your own, or a TorchScript (.pt, .ts) or ONNX file. With --url: its name there.",
    ),
]
Device = Annotated[
    Text, _option("--device", panel=_MODEL, metavar="DEVICE", default="cpu", help="cpu, cuda, cuda:1, tpu.")
]
Batch = Annotated[
    Text,
    _option(
        "--batch",
        panel=_MODEL,
        metavar="N,N,...",
        default=f"{BATCHES}; with --url 1",
        help="Batch sizes. With --url: items in a request.",
    ),
]
Precision = Annotated[
    Text,
    _option(
        "--precision",
        panel=_MODEL,
        metavar="P,P,...",
        default="fp32",
        help="fp32, fp16, bf16, int8 (dynamic quantisation); each is measured.",
    ),
]
Runtime = Annotated[
    Text,
    _option(
        "--runtime",
        panel=_MODEL,
        metavar="R,R,...",
        default="torch; for a tpu jax, for a file its own",
        help="torch, torch-compile, torchscript, onnxruntime, jax, python; each is measured.",
    ),
]
Output = Annotated[
    Text,
    _option(
        "--output",
        "-o",
        panel=_MODEL,
        metavar="FILE",
        default="{model}.{device}.{runtime}.{precision}.json",
        help="The profile to write. For several variants a folder/, or a pattern like '{runtime}-{precision}.json'.",
    ),
]
Size = Annotated[
    Texts,
    _option(
        "--size",
        panel=_MODEL,
        metavar="NAME=N",
        help="A size of the model, for instance sequence_length=128; repeatable.",
    ),
]
Input = Annotated[
    Texts,
    _option(
        "--input",
        panel=_MODEL,
        metavar="NAME=SHAPE:TYPE",
        help="Shape of one item and type, where the model does not say: image=3x224x224:float32, "
        "tokens=128:int64:30522. With --body kserve: NAME=128x768:FP32. Repeatable.",
    ),
]
Threads = Annotated[
    Count, _option("--threads", panel=_MODEL, default="the framework's", least=1, help="Threads on a CPU.")
]
Name = Annotated[
    str, _option("--name", panel=_MODEL, metavar="TEXT", default="the file's", help="Label of the profile.")
]

Quick = Annotated[bool, _option("--quick", panel=_HOW, help="A first look: less time, fewer repeats, a rough p99.")]
Repeats = Annotated[
    Count, _option("--repeats", panel=_HOW, default="5; --quick 3", least=1, help="Rounds of every batch size.")
]
MinTime = Annotated[
    Text,
    _option(
        "--min-time",
        panel=_HOW,
        metavar="TIME",
        default="5s; --quick 600ms",
        help="Measure each batch size at least so long, and at most 12 times as long.",
    ),
]
MaxWarmUp = Annotated[
    Text,
    _option(
        "--max-warm-up",
        panel=_HOW,
        metavar="TIME",
        default="10s; --quick 2s",
        help="Warm up until steady, but no longer than this.",
    ),
]
TimeLimit = Annotated[
    str,
    _option(
        "--time-limit",
        panel=_HOW,
        metavar="TIME",
        default=True,
        help="A model that gives no sign of life for so long hangs, and is stopped.",
    ),
]
Seed = Annotated[
    int, _option("--seed", panel=_HOW, default=True, least=0, help="Seed of weights, inputs and arrivals.")
]
ColdStart = Annotated[
    bool, _option("--cold-start/--no-cold-start", panel=_HOW, default=True, help="Time cold starts, too.")
]
ProfileOps = Annotated[
    bool,
    _option(
        "--profile-ops",
        panel=_HOW,
        help="Tell where the time goes by operator, too, with a roofline verdict and a Chrome trace (PyTorch).",
    ),
]
Fresh = Annotated[bool, _option("--fresh", panel=_HOW, help="Forget what an interrupted sweep has measured.")]
NoHost = Annotated[bool, _option("--no-host", panel=_HOW, help="Leave this machine's name out of the profile.")]

Url = Annotated[
    Text, _option("--url", panel=_URL, metavar="URL", help="Measure what answers at this address, as it stands.")
]
Body = Annotated[
    str,
    _option(
        "--body",
        panel=_URL,
        metavar="BODY",
        default=True,
        help="json, kserve (KServe v2, Triton), openai-completions, openai-chat.",
    ),
]
BodyFile = Annotated[
    File,
    _option(
        "--body-file",
        panel=_URL,
        metavar="FILE",
        help='For json, the body of a request; {batch} in it becomes the number of items, {"repeat": ITEM} so many '
        "copies.",
    ),
]
Header = Annotated[
    Texts,
    _option(
        "--header",
        panel=_URL,
        metavar="'NAME: VALUE'",
        help="Sent with every request, never written down; repeatable.",
    ),
]
Rate = Annotated[
    Text,
    _option(
        "--rate",
        panel=_URL,
        metavar="R,R,...",
        help="Requests per second, sent whatever the server does (open loop).",
    ),
]
Concurrency = Annotated[
    Text,
    _option(
        "--concurrency",
        panel=_URL,
        metavar="N,N,...",
        default="1, and as many as saturate; none with --rate",
        help="Requests outstanding at any time (closed loop).",
    ),
]
Arrivals = Annotated[
    str, _option("--arrivals", panel=_URL, metavar="HOW", default=True, help="With --rate: poisson, deterministic.")
]
Duration = Annotated[
    str,
    _option("--duration", panel=_URL, metavar="TIME", default=True, help="Send requests for so long at each load."),
]
MaxRequests = Annotated[
    int, _option("--max-requests", panel=_URL, default=True, least=1, help="And at most so many at each load.")
]
Timeout = Annotated[
    str,
    _option("--timeout", panel=_URL, metavar="TIME", default=True, help="An answer later than this has failed."),
]
WarmUp = Annotated[
    int, _option("--warm-up", panel=_URL, default=True, least=0, help="Requests before each load, in no figure.")
]
PromptTokens = Annotated[
    int, _option("--prompt-tokens", panel=_URL, default=True, least=1, help="Words in a prompt for openai-*.")
]
OutputTokens = Annotated[
    int,
    _option("--output-tokens", panel=_URL, default=True, least=1, help="Tokens asked for by a request of openai-*."),
]
NullUrl = Annotated[
    Text,
    _option(
        "--null-url",
        panel=_URL,
        metavar="URL",
        help="The same server with a model that takes no time: tells its serial front end.",
    ),
]
MaxBatchSize = Annotated[
    Count,
    _option(
        "--max-batch-size", panel=_URL, default="Triton's own", least=1, help="Most items the server puts in a batch."
    ),
]
MaxQueueDelay = Annotated[
    Text,
    _option(
        "--max-queue-delay",
        panel=_URL,
        metavar="TIME",
        default="Triton's own",
        help="How long the server waits for a fuller batch.",
    ),
]
ModelInstances = Annotated[
    Count,
    _option(
        "--model-instances", panel=_URL, default="Triton's own, else 1", least=1, help="Executions at once on a device."
    ),
]
KeepRequests = Annotated[
    File,
    _option("--keep-requests", panel=_URL, metavar="FILE.csv", help="Write every request down, for simulate validate."),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")]
