"""How a model writes conversations: its chat template, its tokenizer, its image token.

Needs neither torch nor transformers, so that plans and checks start at once. The
template runs in jinja's sandbox, with the settings transformers gives it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm_trainer.conversation import Message
from vlm_trainer.errors import SourceError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105 - Qwen2-VL and its successors
VISION_ROLE_TOKENS = ("<|vision_start|>", IMAGE_TOKEN, "<|vision_end|>", "<|video_pad|>")
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Chat:
    """The words of one model.

    Args:
        tokenizer: The fast tokenizer, with its added tokens.
        write: The template: messages, tools and ``open_answer`` to text.
        template: Its source, for the pixel contract.
        image_token_id: None for a model that reads text only.
        pad_id: Token used to pad batches.
        control: Finds a control token in a text.
    """

    tokenizer: Tokenizer
    write: Callable[..., str]
    template: str
    image_token_id: int | None
    pad_id: int
    control: re.Pattern[str]


def read_chat(folder: Path, *, reads_pictures: bool) -> Chat:
    """Read tokenizer and chat template of a model folder.

    Args:
        folder: Holds ``tokenizer.json`` and a template in one of the three places where
            transformers has put it over time.
        reads_pictures: False for a text model; Qwen's have the image token too.

    Raises:
        SourceError: When one of the two is missing or unreadable.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise SourceError(f"{folder}: no tokenizer.json; is this a model folder?")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise SourceError(f"{path}: not a tokenizer ({error})") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    template = _read_template(folder)
    return Chat(
        tokenizer=tokenizer,
        write=compile_template(template),
        template=template,
        image_token_id=tokenizer.token_to_id(IMAGE_TOKEN) if reads_pictures else None,
        pad_id=_pad_id(folder, tokenizer),
        control=_control_pattern(tokenizer),
    )


def compile_template(source: str) -> Callable[..., str]:
    """Compile a chat template.

    Returns:
        A function of messages, tools, and ``open_answer`` (``add_generation_prompt``).

    Raises:
        SourceError: It does not compile; the function raises it when the template refuses.

    Source:
        ``_compile_jinja_template`` in transformers/utils/chat_template_utils.py.

    Example:
        >>> write = compile_template("{% for m in messages %}{{ m['role'] }};{% endfor %}")
        >>> write([{"role": "user"}])
        'user;'
    """
    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        compiled = environment.from_string(source)
    except TemplateError as error:
        raise SourceError(f"the chat template is no jinja template ({error})") from error

    def write(
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        open_answer: bool = False,
    ) -> str:
        try:
            return compiled.render(
                messages=messages, tools=list(tools) or None, add_generation_prompt=open_answer
            )
        except TemplateError as error:
            raise SourceError(f"the chat template refuses a conversation ({error})") from error

    return write


def _read_template(folder: Path) -> str:
    for name in TEMPLATE_FILES:
        path = folder / name
        if not path.is_file():
            continue
        is_text = path.suffix == ".jinja"
        template = (
            path.read_text(encoding="utf-8") if is_text else read_json(path).get("chat_template")
        )
        if isinstance(template, str):
            return template
    raise SourceError(f"{folder}: no chat template in {', '.join(TEMPLATE_FILES)}")


def _pad_id(folder: Path, tokenizer: Tokenizer) -> int:
    name = read_json(folder / "tokenizer_config.json").get("pad_token") or "<|endoftext|>"
    content = name["content"] if isinstance(name, dict) else name
    pad_id = tokenizer.token_to_id(content)
    return 0 if pad_id is None else pad_id


def _control_pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    added = tokenizer.get_added_tokens_decoder().values()
    words = sorted((token.content for token in added if token.special), key=len, reverse=True)
    words = [*words, *(word for word in VISION_ROLE_TOKENS if word not in words)]
    return re.compile("|".join(map(re.escape, words)))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file is an empty one.

    Raises:
        SourceError: The file is there and is no JSON object.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    return json_object(content, path)


def json_object(content: bytes, where: object) -> dict[str, Any]:
    """Read a JSON object from the bytes of a file.

    Raises:
        SourceError: They are no JSON object; names ``where`` they come from.
    """
    try:
        value = json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise SourceError(f"{where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise SourceError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


def _to_json(value: object, indent: int | None = None, **_ignored: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> None:
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)
