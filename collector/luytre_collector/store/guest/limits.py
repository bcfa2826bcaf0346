"""Which settings a guest may choose, and how far. Pure.

Clients send many settings that do not change an answer; those are ignored. What shapes an answer is obeyed, what limits
it as long as it stays within our limits, and what would widen rights is refused.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping

from luytre_collector.store import access, readonly
from luytre_collector.store.guest import ACCESS_DENIED, BAD_ARGUMENTS, READONLY, AnswerError

_SHAPING = re.compile(
    r"output_format_(arrow|avro|binary|bson|compression|csv|decimal|json|markdown|msgpack|native|orc|parquet|pretty|sql"
    r"|tsv|values|write|xml)\w*|output_format_(enable|always)\w+|date_time_(in|out)put_format|format_csv_delimiter"
    r"|format_tsv_null_representation|format_csv_null_representation|bool_(true|false)_representation"
    r"|aggregate_functions_null_for_empty|asterisk_include_\w+|cast_keep_nullable|describe_\w+|empty_result_\w+"
    r"|enable_positional_arguments|extremes|final|group_by_use_nulls|join_default_strictness|join_use_nulls|limit"
    r"|max_block_size|max_(rows|bytes)_to_read|offset|prefer_column_name_to_alias|read_overflow_mode"
    r"|result_overflow_mode|transform_null_in|union_default_mode"
)
_WIDENING = re.compile(
    r"(allow|additional|enable_file|s3|url|hdfs|ai|http_(?!headers_|write_|receive_|send_))_\w+|role|\w*_path|\w*_path_\w+"
    r"|(format|output_format)_(schema|template)\w*|force_\w*path\w*|\w*dictionar\w*"
)
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
#: Longest value of a setting, characters.
_LONGEST = 200


#: What a guest who does not see all rows cannot choose: it would tell how many were read.
_TELLING = re.compile(r"output_format_write_statistics|max_(rows|bytes)_to_read|read_overflow_mode")


def settings(
    config: readonly.Config, given: Mapping[str, str], zone: str, seen: str = ""
) -> tuple[dict[str, int | str], int]:
    """The settings of a guest's session but `readonly`, and how many of those given were ignored.

    `zone` is that of times unless the guest chose one. `seen`: which rows are there (`access.seen`); empty for no
    limit. AnswerError for what is refused.
    """
    chosen = readonly.settings(config, zone)
    most = {
        "max_execution_time": config.max_seconds,
        "max_result_rows": config.max_rows,
        "max_result_bytes": config.max_bytes,
        "max_memory_usage": config.max_memory_bytes,
        "max_threads": os.cpu_count() or 1,
    }
    ignored = 0
    for name, value in given.items():
        if len(value) > _LONGEST:
            raise AnswerError(f"{name}: longer than {_LONGEST} characters. (BAD_ARGUMENTS)", BAD_ARGUMENTS)
        if name in most:
            chosen[name] = _within(name, value, most[name])
        elif name == "session_timezone":
            if value and not _ZONE.fullmatch(value):
                raise AnswerError(f"{value!r} is not a time zone. (BAD_ARGUMENTS)", BAD_ARGUMENTS)
            chosen[name] = value or zone
        elif name == "readonly":
            if value not in ("1", "2"):
                raise AnswerError("readonly cannot be taken back here. (READONLY)", READONLY)
        elif _WIDENING.fullmatch(name):
            raise AnswerError(f"setting {name} is not for queries from the network. (ACCESS_DENIED)", ACCESS_DENIED)
        elif _SHAPING.fullmatch(name) and not (seen and _TELLING.fullmatch(name)):
            chosen[name] = value
        else:
            ignored += 1
    if seen:
        chosen |= {
            access.SETTING: seen,
            "output_format_write_statistics": 0,
            "use_query_condition_cache": 0,  # what was found for one guest must not be taken for all rows
        }
    return chosen, ignored


def _within(name: str, value: str, most: int) -> int:
    try:
        number = math.ceil(float(value))
    except (ValueError, OverflowError):
        raise AnswerError(f"{name}: {value!r} is not a number. (BAD_ARGUMENTS)", BAD_ARGUMENTS) from None
    return min(number, most) if number > 0 else most  # 0 asks for no limit
