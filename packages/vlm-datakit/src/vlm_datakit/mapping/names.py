"""What the names of columns say, in a small table; contents are asked first, names break ties."""

from __future__ import annotations

import re
from functools import lru_cache

_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_COUNTED = frozenset(
    {"a", "b", "c", "d", "e", "f", "g", "h", "j", "k", "one", "two", "first", "second"}
)
_LANGUAGES = frozenset(
    {*("ar", "cn", "de", "en", "es", "fr", "hi", "it", "ja"), *("ko", "nl", "pl", "pt", "ru"), "zh"}
)
#: Names that say nothing of their own: what lies in `answers.text` is an answer.
_GENERIC = frozenset(
    {"text", "value", "content", "body", "raw", "string", "str", "data", "item"}
    | {"readable", "span"}
)
_SPOILT = frozenset(
    {"original", "raw", "old", "wrong", "incorrect", "bad", "noisy", "draft"}
    | {"other", "alternative", "alternate", "additional", "extra"}
    | {"expected", "final", "predicted", "normalized"}
)

_DESCRIPTIONS = (
    *("beschreibung", "bildbeschreibung", "bildunterschrift", "descripción", "descripcion"),
    *("descrição", "descricao", "descrizione", "légende", "legende", "onderschrift"),
    *("описание", "подпись", "描述", "说明", "説明", "キャプション", "설명", "캡션", "وصف"),
)

#: What a column with such a word in its name is likely to be, from 1 to 6.
WORDS: dict[str, dict[str, float]] = {
    "prompt": {
        **dict.fromkeys(("prompt", "question", "instruction", "problem"), 6),
        "query": 5.5,
        **dict.fromkeys(("request", "user", "human", "ask", "q", "questioner"), 5),
        **dict.fromkeys(("input", "utterance", "command", "nl", "inquiry"), 4.5),
        **dict.fromkeys(("article", "document", "post", "task", "dialogue", "dialog"), 3.5),
        **dict.fromkeys(("passage", "premise", "keyword", "exercise", "email"), 3),
        **dict.fromkeys(("diff", "patch"), 3),
        **dict.fromkeys(("content", "text", "txt", "body", "source", "src"), 1.5),
        **dict.fromkeys(("pregunta", "frage", "vraag", "domanda", "pergunta", "soal"), 6),
        **dict.fromkeys(("вопрос", "问题", "問題", "指令", "質問", "질문", "سؤال", "السؤال"), 6),
        **dict.fromkeys(("pertanyaan", "instruccion", "anweisung", "instruksi", "perintah"), 6),
        **dict.fromkeys(("instrucción", "instrução", "инструкция", "提问", "प्रश्न", "soru"), 6),
        **dict.fromkeys(("输入", "入力", "입력", "entrada", "eingabe", "masukan", "запрос"), 4.5),
    },
    "answer": {
        **dict.fromkeys(("response", "answer", "output", "completion"), 6),
        **dict.fromkeys(("target", "reply", "solution", "respond"), 5.5),
        **dict.fromkeys(("assistant", "gpt", "bot", "caption", "summary", "translation"), 5),
        "recaption": 5,
        **dict.fromkeys(("truth", "groundtruth", "gt", "gold", "reference", "transcription"), 4.5),
        **dict.fromkeys(("accepted", "tgt"), 4.5),
        **dict.fromkeys(("sql", "highlight", "abstract", "transcript", "parse"), 4.5),
        **dict.fromkeys(("description", "latex", "formula", "markdown", "result"), 4),
        **dict.fromkeys(("a", "alt", "sentence", "report", "ocr", "story"), 3.5),
        **dict.fromkeys(("label", "code", "html", "class", "generation", "snippet"), 3),
        **dict.fromkeys(("cls", "species", "breed", "emotion", "diagnosis", "sentiment"), 3),
        **dict.fromkeys(("correction", "corrected"), 4.5),
        **dict.fromkeys(("message", "msg"), 3),
        **dict.fromkeys(_DESCRIPTIONS, 5),
        **dict.fromkeys(("title", "headline", "heading"), 1.5),
        **dict.fromkeys(("text", "txt", "content", "body", "chosen"), 2),
        **dict.fromkeys(("explanation", "rationale", "reasoning", "annotation"), 1.5),
        **dict.fromkeys(("respuesta", "antwort", "antwoord", "risposta", "resposta"), 6),
        **dict.fromkeys(("ответ", "答案", "回答", "답변", "대답", "جواب", "الجواب", "cevap"), 6),
        **dict.fromkeys(("jawaban", "réponse", "reponse", "उत्तर", "回复", "应答"), 6),
        **dict.fromkeys(("输出", "出力", "출력", "salida", "saída", "ausgabe", "keluaran"), 6),
    },
    "context": {
        **dict.fromkeys(("context", "background", "passage", "knowledge", "kontext"), 5),
        "hypothesis": 4,
        **dict.fromkeys(("input", "document", "article", "contexto", "contexte", "schema"), 4),
        **dict.fromkeys(("hint", "paragraph", "evidence", "title", "post"), 3),
        **dict.fromkeys(("输入", "上下文", "背景", "入力", "입력", "entrada", "masukan"), 4),
    },
    "caption": {
        **dict.fromkeys(("caption", "description", "alt", "sentence", "transcription"), 2),
        "recaption": 2,
        **dict.fromkeys(_DESCRIPTIONS, 2),
        **dict.fromkeys(("latex", "formula", "ocr"), 2),
        **dict.fromkeys(
            ("label", "class", "text", "txt", "title", "markdown", "html", "report"), 1
        ),
        **dict.fromkeys(("parse", "truth", "cls", "species", "breed", "emotion", "diagnosis"), 1),
    },
    "system": dict.fromkeys(("system", "persona", "sys", "системный"), 5),
    "chosen": {
        **dict.fromkeys(("chosen", "preferred", "accepted", "winner", "winning"), 6),
        **dict.fromkeys(("better", "best", "positive", "pos", "good", "win", "accept"), 5),
        **dict.fromkeys(("selected", "favored", "favoured", "desired", "correct"), 5),
    },
    "rejected": {
        **dict.fromkeys(("rejected", "dispreferred", "loser", "losing", "unpreferred"), 6),
        **dict.fromkeys(("worse", "worst", "negative", "neg", "bad", "lose", "reject"), 5),
        **dict.fromkeys(("unselected", "disfavored", "disfavoured", "undesired"), 5),
        **dict.fromkeys(("discarded", "incorrect", "wrong"), 5),
    },
    "mark": {
        **dict.fromkeys(("better", "preferred", "preference", "winner", "choice", "best"), 5),
        **dict.fromkeys(("chosen", "selected", "verdict", "judgment", "vote"), 4),
        "label": 1.5,
    },
    "rating": {
        **dict.fromkeys(("rating", "score", "reward", "overall", "grade", "mark", "weight"), 5),
        **dict.fromkeys(("quality", "helpfulness", "preference", "upvote", "vote"), 3),
    },
    "rank": dict.fromkeys(("rank", "ranking", "place", "position"), 6),
    "choices": dict.fromkeys(
        ("choice", "option", "candidate", "alternative", "opt", "op", "ending", "mc"), 5
    ),
    "key": dict.fromkeys(("answer", "label", "key", "correct", "gold", "target", "cop"), 4),
    "chat": dict.fromkeys(
        ("message", "conversation", "dialog", "dialogue", "chat", "turn", "history"), 2
    ),
    "image": {
        **dict.fromkeys(("image", "img", "picture", "photo", "pixel", "figure"), 3),
        **dict.fromkeys(("screenshot", "scan", "bild", "imagen", "imagem", "foto"), 3),
        **dict.fromkeys(("immagine", "图片", "图像", "画像", "jpg", "png"), 3),
    },
    "no-picture": dict.fromkeys(
        ("mask", "depth", "thumbnail", "segmentation", "annotated", "edited", "heatmap", "icon"), 3
    ),
}
#: Names of what is said about a row.
_META = frozenset(
    {
        "annotator", "audience", "author", "batch", "bbox", "bboxes", "box", "boxes", "category",
        "confidence", "count", "created", "dataset", "date", "datetime", "detoxify", "difficulty",
        "domain", "embedding", "embeddings", "engine", "entry", "ext", "extension",
        "file", "filename", "filepath", "folder", "forks", "format", "grade", "hash", "height",
        "hexsha", "id", "ids", "idx", "index", "info", "ip", "issues", "kind", "lang", "language",
        "length", "licence", "license", "link", "locale", "machine", "md5", "meta", "metadata",
        "model", "name", "no", "nr", "num", "number", "origin", "page", "path", "perplexity",
        "point", "policy", "provider", "ratio", "region", "repo", "revision", "seed", "set",
        "sha", "similarity", "site", "size", "skill", "source", "split", "stars", "state",
        "status", "subfield", "subject", "subreddit", "tag", "tags", "template", "test", "tests",
        "time", "timestamp", "token", "tokens", "topic", "type", "updated", "uri", "url", "uuid",
        "version", "width", "worker",
    }
)  # fmt: skip
_TESTS = frozenset({"test", "tests"})
_NOT = frozenset({"non", "not", "un", "dis", "less"})
_IDS = re.compile(r"[a-z]{1,7}ids?")


@lru_cache(maxsize=4096)
def words_of(path: str) -> tuple[str, ...]:
    """Return the words of a name, small and in the singular.

    Example:
        >>> words_of("bestAnswers"), words_of("system_prompt")
        (('best', 'answer'), ('system', 'prompt'))
    """
    return tuple(_singular(piece.lower()) for piece in _PIECE.findall(path))


def _singular(word: str) -> str:
    single = word.removesuffix("s")
    is_known = single in _GENERIC or any(single in table for table in WORDS.values())
    return single if is_known else word


def stem_of(path: str) -> str:
    """Return a name without what counts it: a number or a letter at its end.

    Example:
        >>> stem_of("image_12"), stem_of("response_b"), stem_of("A"), stem_of("opa")
        ('image', 'response', '', 'op')
    """
    head, dot, last = path.rpartition(".")
    found = re.fullmatch(r"(.*?)[_\- ]?(?:\d+|(?<![a-z])[a-hjkA-HJK])", last)
    if found is None:
        found = re.fullmatch(r"(op|opt|option|choice|ans|answer|response|resp)[a-h]", last)
    return head + dot + (last if found is None else found[1])


def _said(path: str) -> tuple[str, ...]:
    """Return the words that say what a column is: those of its parent where it says nothing."""
    steps = path.replace("[*]", "").split(".")
    words = words_of(steps[-1])
    if len(steps) > 1 and (not words or words[-1] in _GENERIC):
        above = words_of(steps[-2])
        if _is_known(above):
            words = (*(word for word in words[:-1] if word in _SPOILT), *above)
    while len(words) > 1 and (words[-1] in _COUNTED | _LANGUAGES or words[-1].isdigit()):
        words = words[:-1]
    if len(words) > 1 and words[-1] in _GENERIC and _is_known(words[:-1]):
        return words[:-1]
    return words


def _is_known(words: tuple[str, ...]) -> bool:
    return any(word in table for word in words for table in WORDS.values())


@lru_cache(maxsize=4096)
def is_meta(path: str) -> bool:
    """Whether a name is that of something said about a row, such as its source.

    Example:
        >>> is_meta("question_id"), is_meta("imgid"), is_meta("question")
        (True, True, False)
    """
    words = _said(path)
    if not words or words_of(path)[-2:] == ("source", "text"):
        return False
    head = words[-1]
    if "input" in words and "output" in words:
        return True
    if not _TESTS.isdisjoint(words_of(path.rpartition(".")[0])):
        return True
    if head in _META or (_IDS.fullmatch(head) and not any(head in t for t in WORDS.values())):
        return True
    known = any(head in table for table in WORDS.values())
    return not known and any(word in _META for word in words)


@lru_cache(maxsize=16384)
def weight(role: str, path: str) -> float:
    """Return how much a name speaks for a role, from 0 to 6.

    The last word counts whole, an earlier one half.

    Example:
        >>> weight("prompt", "question"), weight("answer", "question_en")
        (6, 0.0)
        >>> weight("prompt", "system_prompt"), weight("system", "system_prompt")
        (0.0, 5)
    """
    table, words = WORDS[role], _said(path)
    if not words:
        return 0.0
    if role in ("chosen", "rejected") and not _NOT.isdisjoint(words):
        return weight("chosen", "_".join(w for w in words if w not in _NOT)) * (role == "rejected")
    is_both = "input" in words and "output" in words
    if is_both or (role != "system" and any(word in WORDS["system"] for word in words)):
        return 0.0
    if role in ("chosen", "rejected", "system", "image", "no-picture", "rank", "caption"):
        return max(table.get(word, 0.0) for word in words)
    found = table.get(words[-1], 0.0) or max(table.get(word, 0.0) for word in words) / 2
    above = words_of(path.rpartition(".")[0])
    is_spoilt = any(word in _SPOILT for word in (*above, *words[:-1]))
    return found - 2.5 if found and is_spoilt else found
