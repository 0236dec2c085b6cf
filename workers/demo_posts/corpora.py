"""Rows of public corpora that may be shown to anybody: licences, privacy, and what is left out."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True)
class Corpus:
    """How many rows to take of one corpus, and how long they may be, in characters."""

    folder: str
    lang: str
    rows: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Row:
    """One post: `id` is "corpus/original id", `emotions` are the corpus's labels."""

    id: str
    lang: str
    text: str
    emotions: tuple[str, ...]


CORPORA = (
    Corpus("goemotions", "en", 1_250, 15, 240),
    Corpus("brighter_en", "en", 450, 15, 240),
    Corpus("brighter_zh", "zh", 1_250, 8, 140),
    Corpus("cped", "zh", 300, 8, 60),
)

_PERSONAL = re.compile(
    r"@\w|\bu/\w|https?:|www\.|\S@\S|\d{7,}|\d{3}[- ]\d{3,4}[- ]\d{4}|\[[A-Z]+\]|//"
)
_LEFT_OUT_EN = re.compile(
    r"""fuck|shit|bitch|cunt|\bdick|\bcock\b|\bass(es|holes?)?\b|tortur|sadis|bastard|whore|slut|porn|\bsex|nude
    |naked|horny|penis|vagina|boob|\btits?\b|\bcum\b|masturbat|orgas|genital|condom|virgin|rap(e|ed|ist)\b
    |molest|pedo|incest|abus(e|er|ed|ive)|nigg|\bfag|retard|trann|\bspic\b|chink|kike|dyke|gyps
    |\bgays?\b|lesbian|\btrans|homo|incel|feminis|misogyn|racis|sexis|nazi|hitler|jew|muslim|islam
    |christian|catholic|\bblacks?\b|\bwhites?\b|\basians?\b|immigra|terroris|suicid|kill|murder|\bshoot
    |\bdie[sd]?\b|\bdead\b|\bdeath|overdos|\bdrugs?\b|cocaine|meth\b|weed\b|cancer|trump|biden|obama|clinton
    |hillary|democrat|republican|liberal|conservativ|maga\b|brexit|communis|abortion|israel|palestin
    |nipple|dildo|tampon|\bpiss|\bprick|butthole|\bidiot|moron|\bscum|\btrash\b|\bugly\b|\bfat\b|\bcrap""",
    re.IGNORECASE | re.VERBOSE,
)
_LEFT_OUT_ZH = re.compile(
    "性侵|性骚扰|性交|性爱|性行为|做爱|色情|擦边|清凉|裸|强奸|嫖|妓|操你|妈的|他妈|特么|尼玛|tm|傻|[Ss][Bb]|煞笔|屌|婊|贱|骚|逼"
    "|杂种|畜|垃圾|去死|脑残|智障|弱智|低智|制杖|有病|病态|狗|屁|猪|恶心|滚|白眼狼|活该|鬼子|棒子|洋|黑鬼|舔|台独|港独|汉奸"
    "|自杀|跳楼|杀|虐|尸|戳|恐怖|血|死|丧命|生命|葬|遇难|逝者|抑郁|歧视|头巾|侵略|外国|老外|国人|湖北人|广东人|河南人"
    "|主席|书记|共产党|国民党|政府|政策|领导|国家|政治|民怨|民心|维权|举报|腐败|干部|执政|县长|所长|局长|市长|ZF|红头|基层|阶级|老百姓"
    "|拜登|特朗普|川普|普京|俄罗斯|乌克兰|美国|美帝|日本|韩国|台湾|香港|新疆|西藏|印度|阿富汗|外交|国际"
    "|中央|清零|放开|方舱|感染|防疫|疫情|核酸|防控|封控|隔离|封城|静默|阳性|阳了|病毒|一刀切|健康码|大白|报备|数据"
    "|官|公安|警|法院|法律|执法|判|罪|凶|犯|毒|拘留|诈骗|募捐|赔偿|刘鑫|江歌|江秋莲|刘暖曦|返乡|孙杨|佬|[Zz][Ff]|台⑧|出轨|[京沪粤津渝川浙苏]\\s?[A-Z]"
)


def read(data: Path, corpus: Corpus) -> list[Row]:
    """The rows of the train split that may be shown, in the corpus's order."""
    table = pq.read_table(
        data / corpus.folder / "train.parquet", columns=["id", "text", "emotions"]
    )
    return [row for row in _rows(corpus, table.to_pylist()) if _may_be_shown(row)]


def draw(rows: list[Row], count: int, seed: str) -> list[Row]:
    """So many rows without repetition, the same ones for the same seed.

    Raises:
        ValueError: there are fewer.
    """
    if count > len(rows):
        raise ValueError(f"{seed}: {count} rows wanted, {len(rows)} may be shown")
    return random.Random(seed).sample(rows, count)


def _rows(corpus: Corpus, records: list[dict[str, Any]]) -> Iterator[Row]:
    seen: set[str] = set()
    for record in records:
        text = (record["text"] or "").strip()
        if text in seen or not corpus.least <= len(text) <= corpus.most:
            continue
        seen.add(text)
        labels = record["emotions"] or {}
        emotions = tuple(name for name, share in labels.items() if share)
        yield Row(record["id"], corpus.lang, text, emotions)


def _may_be_shown(row: Row) -> bool:
    left_out = _LEFT_OUT_EN if row.lang == "en" else _LEFT_OUT_ZH
    return not _PERSONAL.search(row.text) and not left_out.search(row.text)
