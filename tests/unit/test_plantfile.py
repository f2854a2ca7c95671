"""The plant file: every mistake at once, each with its line, its cause and its mend."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.errors import PlantFileError
from isthmus.model.samples import ValueKind
from isthmus.plantfile import load, read
from isthmus.plantfile.lines import lines_of
from isthmus.plantfile.schema import schema

GOOD = """\
[plant]
name = "Northgate Works"
path = "acme/northgate"
time_zone = "Europe/London"

[[calendar]]
name = "two-shift"
shifts = [
  { name = "Early", start = "06:00", end = "14:00", breaks = ["10:00-10:15"] },
  { name = "Late", start = "14:00", end = "22:00" },
]

[[machine]]
path = "machining/line-a/cnc-01"
name = "CNC-01"
calendar = "two-shift"

[[product]]
code = "SHAFT-20"
cycles = [{ machine = "machining/line-a/cnc-01", seconds = 42.0 }]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "plant.toml"
    path.write_text(text)
    return path


def sentences(folder: Path, text: str) -> list[str]:
    return [f"{mistake.line}: {mistake.what}" for mistake in read(written(folder, text))[1]]


def test_a_good_file_gives_whole_machine_paths_and_the_standard_zones(tmp_path: Path) -> None:
    plant_file = load(written(tmp_path, GOOD))
    assert list(plant_file.plant.machines) == ["acme/northgate/machining/line-a/cnc-01"]
    assert [zone.name for zone in plant_file.zones] == ["control", "supervisory", "enterprise"]
    assert [conduit.name for conduit in plant_file.conduits] == [plant_file.edge.conduit]


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ('time_zone = "Europe/London"', 'time_zone = "Europe/Lodnon"', '4: no time zone is called "Europe/Lodnon"'),
        ('path = "acme/northgate"', 'path = "acme"', '3: "acme" must be enterprise/site'),
        ('calendar = "two-shift"', 'calendar = "tow-shift"', '16: no [[calendar]] is called "tow-shift"'),
        ('name = "CNC-01"', "name = 5", "15: name = 5 must be text, not empty"),
        ('name = "CNC-01"\n', "", "13: name is missing"),
        ("seconds = 42.0", "seconds = -1", "20: seconds = -1 must be a number, more than 0"),
        ('end = "22:00"', 'end = "29:00"', "6: shift Late: '29:00' is no time of day; write HH:MM, for example 06:00"),
        ("line-a/cnc-01", "line-a/CNC 01", "14: 'CNC 01' in 'acme/northgate/machining/line-a/CNC 01' may have only"),
        ('time_zone = "Europe/London"', 'time_zone = "Europe/London', "4: this is not TOML"),
        ("[[product]]", "[[prodcut]]", "18: unknown key prodcut"),
    ],
)
def test_each_mistake_is_named_with_its_line(tmp_path: Path, was: str, becomes: str, told: str) -> None:
    assert was in GOOD
    found = sentences(tmp_path, GOOD.replace(was, becomes, 1))
    assert any(sentence.startswith(told) for sentence in found), found


def test_all_mistakes_are_told_in_one_go_and_one_does_not_hide_another(tmp_path: Path) -> None:
    text = GOOD.replace('"Europe/London"', '"Mars/North"').replace('name = "CNC-01"', "nmae = 5")
    text += '\n[kpi]\nmicro_stop_s = -3\n\n[[source]]\nkind = "telex"\nname = "x"\n'
    lines = [sentence.partition(":")[0] for sentence in sentences(tmp_path, text)]
    assert lines == ["4", "13", "15", "23", "26"]


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ("[]", "24: servers has 0 and must have 1 or more"),
        ('["http://bus:4222"]', '24: servers[1] = "http://bus:4222" must be text, as nats://host:4222'),
    ],
)
def test_a_list_says_which_element_is_wrong_and_when_it_must_not_be_empty(
    tmp_path: Path, servers: str, told: str
) -> None:
    found = sentences(tmp_path, f'{GOOD}\n[bus]\nkind = "nats"\nservers = {servers}\n')
    assert [each.partition("\n")[0] for each in found] == [told], found


def test_records_that_would_be_shipped_nowhere_are_a_mistake(tmp_path: Path) -> None:
    asked = "\n[historian]\nship_records = true\n"
    (found,) = sentences(tmp_path, GOOD + asked)
    assert found.startswith("23: ship_records = true ships records nowhere, as there is no ship_to"), found
    assert not sentences(tmp_path, f'{GOOD}{asked}ship_to = "/mnt/group"\n')


def test_an_unknown_key_is_answered_with_the_nearest_known_one(tmp_path: Path) -> None:
    mistakes = read(written(tmp_path, GOOD.replace("calendar = ", "calender = ")))[1]
    assert "did you mean calendar?" in {mistake.mend for mistake in mistakes}


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PlantFileError, match="isthmus init"):
        load(tmp_path / "plant.toml")


def test_nothing_may_be_read_in_a_safety_zone_and_nothing_dials_towards_ot(tmp_path: Path) -> None:
    zones = """
[[zone]]
name = "control"
kind = "control"
[[zone]]
name = "sis"
kind = "safety"
[[zone]]
name = "office"
kind = "enterprise"
[[conduit]]
name = "uplink"
initiator = "office"
responder = "control"
[[conduit]]
name = "peek"
initiator = "control"
responder = "sis"
"""
    found = " ".join(sentences(tmp_path, GOOD + zones))
    assert "conduit uplink is opened from office towards OT" in found
    assert "a conduit may not end in the safety zone sis" in found


def test_a_zone_that_nobody_declared_is_told_also_where_the_file_has_no_zones(tmp_path: Path) -> None:
    text = GOOD + '\n[[source]]\nkind = "modbus"\nname = "sis"\nhost = "10.0.0.1"\nzone = "safety"\n'
    assert any('no [[zone]] is called "safety"' in sentence for sentence in sentences(tmp_path, text))


def test_the_schema_for_editors_knows_every_table() -> None:
    defs = schema()["$defs"]
    assert {"plant", "machine", "calendar", "zone", "edge"} <= set(defs["Sections"]["properties"])


_NAMES = st.text("abcxyz_-", min_size=1, max_size=6)
_LEAVES = st.one_of(st.integers(-5, 5), st.booleans(), st.text(max_size=8), st.lists(st.integers(0, 3), max_size=3))
_FLAT = st.dictionaries(_NAMES, _LEAVES, max_size=3)
_DEEP = st.dictionaries(_NAMES, st.one_of(_LEAVES, _FLAT, st.lists(_FLAT, min_size=1, max_size=2)), max_size=3)
_TABLES = st.dictionaries(_NAMES, st.one_of(_LEAVES, _DEEP, st.lists(_DEEP, min_size=1, max_size=3)), max_size=4)


@given(_TABLES)
def test_every_key_of_any_file_is_found_on_a_line_that_shows_it(tree: dict[str, Any]) -> None:
    text = tomlkit.dumps(tree)
    places, lines = lines_of(text), text.split("\n")

    def walk(node: object, place: tuple[str | int, ...]) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                assert (*place, key) in places, (text, place, key)
                assert key in lines[places[(*place, key)] - 1], (text, place, key)
                walk(value, (*place, key))
        elif isinstance(node, list) and node and isinstance(node[0], dict):
            for index, value in enumerate(node):
                walk(value, (*place, index))

    walk(tomllib.loads(text), ())


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ('kind = "modbus"\nhost = "10.9.0.7"', True),
        ('kind = "opcua"\nurl = "opc.tcp://10.9.0.7:4840/a"', True),
        ('kind = "mtconnect"\nurl = "http://10.9.0.7:5000"', True),
        ('kind = "modbus"\nhost = "10.8.0.7"', False),
        ('kind = "modbus"\nhost = "plc-7"', False),
    ],
)
def test_an_address_within_a_safety_zones_networks_is_refused_whatever_zone_the_source_says(
    tmp_path: Path, source: str, *, wrong: bool
) -> None:
    zones = '[[zone]]\nname = "control"\nkind = "control"\n[[zone]]\nname = "sis"\nkind = "safety"\n'
    path = tmp_path / "plant.toml"
    path.write_text(f'{GOOD}{zones}networks = ["10.9.0.0/16"]\n[[source]]\nname = "plc"\n{source}\n')
    _, mistakes = read(path)
    assert any("safety zone sis" in mistake.what for mistake in mistakes) is wrong


def test_a_break_that_no_minute_of_its_shift_sees_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "plant.toml"
    path.write_text(GOOD.replace("10:00-10:15", "15:00-15:15"))
    _, mistakes = read(path)
    assert ["lies outside 06:00-14:00" in mistake.what for mistake in mistakes] == [True]


def week(*shifts: tuple[str, str, str, str], exceptions: str = "") -> str:
    rows = "\n".join(
        f'  {{ name = "{name}", start = "{start}", end = "{end}", days = "{days}" }},'
        for name, start, end, days in shifts
    )
    before, after = GOOD.split("shifts = [\n", maxsplit=1)[0], GOOD.split("]\n\n[[machine]]")[1]
    return f"{before}shifts = [\n{rows}\n]\n{exceptions}\n[[machine]]{after}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            week(("Early", "06:00", "14:30", "Mon-Fri"), ("Late", "14:00", "22:00", "Fri")),
            ["shifts Early and Late overlap: Fri 14:00-14:30 lies in both"],
        ),
        (
            week(("Night", "22:00", "06:00", "Sun"), ("Early", "05:00", "14:00", "Mon")),
            ["shifts Night and Early overlap: Mon 05:00-06:00 lies in both"],
        ),
        (
            week(("Day", "06:00", "14:00", "Mon"), ("Day", "13:00", "15:00", "Mon")),
            ["two shifts Day overlap: Mon 13:00-14:00 lies in both"],
        ),
        (
            week(
                ("Night", "22:00", "06:00", "Mon-Fri"),
                exceptions='exceptions = [{ date = 2026-12-24, shifts = [{ name = "Short", start = "05:00", end = "12:00" }] }]',
            ),
            ["shifts Night and Short overlap: 2026-12-24 05:00-06:00 lies in both"],
        ),
        (week(("Early", "06:00", "14:00", "Mon-Sun"), ("Night", "14:00", "06:00", "Mon-Sun")), []),
        (week(("A", "06:00", "14:00", "Mon-Wed"), ("B", "07:00", "15:00", "Thu,Fri")), []),
    ],
)
def test_shifts_that_overlap_are_a_mistake_that_names_both(tmp_path: Path, text: str, told: list[str]) -> None:
    assert [sentence.partition(": ")[2] for sentence in sentences(tmp_path, text)] == told


TAGGED = (
    GOOD
    + """
[[source]]
kind = "opcua"
name = "plc"
url = "opc.tcp://10.4.1.9:4840"
tags = [
  { name = "speed", node = "Objects/A/Speed", kind = "f64" },
  { name = "mode", node = "Objects/A/Mode", kind = "str" },
  { name = "alarm", node = "Objects/A/Alarm", kind = "bool" },
  { name = "parts", node = "Objects/A/Parts", kind = "i64" },
]
"""
)


def bound(more: str, rules: str = '["IDLE"]', tags: str = "") -> str:
    names = ", ".join(filter(None, ['speed = "plc/speed", mode = "plc/mode", alarm = "plc/alarm"', tags]))
    return TAGGED.replace(
        'calendar = "two-shift"\n',
        f'calendar = "two-shift"\n{more}\nstate = {{ tags = {{ {names} }}, rules = {rules} }}\n',
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bound('good = { tag = "plc/alarm" }'), "plc/alarm is bool; a counter counts in i64 or f64"),
        (bound('order = "plc/alarm"'), "plc/alarm is bool; an order, a lot or a code is a text or a number"),
        (
            bound('lots_in = { BAR = "plc/alarm" }'),
            "plc/alarm is bool; an order, a lot or a code is a text or a number",
        ),
        (
            bound("", tags='burst = "plc/burst"').replace(
                '  { name = "mode"', '  { name = "burst", node = "Objects/A/B", kind = "waveform" },\n  { name = "mode"'
            ),
            "plc/burst is waveform; a state follows from single values, not from bursts",
        ),
        (bound('lot = "plc/mod"'), "no source has a tag plc/mod"),
        (
            bound("", '["RUN if mode > 5", "IDLE"]'),
            "rule 1, 'RUN if mode > 5': mode is a text (str) and is neither more nor less than anything; compare it with ==",
        ),
        (
            bound("", '["DOWN if alarm >= 1", "IDLE"]'),
            "alarm is yes or no (bool) and is neither more nor less than anything; compare it with ==",
        ),
        (
            bound("", '["RUN if speed == \'fast\'", "IDLE"]'),
            "rule 1, \"RUN if speed == 'fast'\": speed is a number (f64) and 'fast' is a text (str); they are never equal",
        ),
        (
            bound("", '["RUN if mode in (1, 2)", "IDLE"]'),
            "rule 1, 'RUN if mode in (1, 2)': mode is a text (str) and 1 is a number (f64); they are never equal",
        ),
        (bound("", '["DOWN if alarm == 2", "IDLE"]'), "rule 1, 'DOWN if alarm == 2': alarm is yes or no, and never 2"),
        (
            bound("", '["RUN if mode + 1 > 2", "IDLE"]'),
            "rule 1, 'RUN if mode + 1 > 2': mode is a text (str); only numbers can be calculated with",
        ),
    ],
)
def test_rules_and_counters_are_held_against_the_kinds_of_their_tags(tmp_path: Path, text: str, told: str) -> None:
    assert any(sentence.endswith(told) for sentence in sentences(tmp_path, text))


def test_rules_that_their_tags_can_answer_are_no_mistake(tmp_path: Path) -> None:
    rules = (
        '["DOWN if alarm", "DOWN if alarm == 1 or alarm == True", "RUN if speed * 2 > 5 and mode != \'OFF\'", "IDLE"]'
    )
    assert sentences(tmp_path, bound('good = { tag = "plc/parts" }\nlot = "plc/mode"', rules)) == []


def test_a_profile_is_not_bound_to_tags_that_cannot_carry_its_words(tmp_path: Path) -> None:
    text = TAGGED.replace(
        'calendar = "two-shift"\n',
        'calendar = "two-shift"\nstate = { profile = "mtconnect", tags = { execution = "plc/parts" } }\n',
    )
    assert "profile mtconnect reads words from 'execution', and plc/parts is a whole number (i64)" in "\n".join(
        sentences(tmp_path, text)
    )


def test_one_malformed_field_hides_no_other_mistake_of_its_element(tmp_path: Path) -> None:
    text = bound('good = { tag = "plc/nowhere", width = 12 }\norder = "plc/alarm"', '["RUN if mode > 5", "IDLE"]')
    text = text.replace('calendar = "two-shift"', "calendar = 5").replace("line-a/cnc-01", "line a", 1)
    text = text.replace('name = "parts", node', 'name = "parts", deadband = "wide", node').replace(
        '"plc"', '"plc"\nzone = "nowhere"'
    )
    found = "\n".join(sentences(tmp_path, text))
    for told in (
        "calendar = 5 must be text",
        "'line a' in",
        "width = 12 must be one of 8, 16, 24, 32, 64",
        "no source has a tag plc/nowhere",
        "plc/alarm is bool",
        "mode is a text (str)",
        'deadband = "wide" must be',
        'no [[zone]] is called "nowhere"',
    ):
        assert told in found, (told, found)
    assert "no source has a tag plc/parts" not in found


def test_what_is_missing_is_told_once_and_what_stands_in_for_it_is_not_judged(tmp_path: Path) -> None:
    text = bound('good = { tag = "plc/parts" }').replace('calendar = "two-shift"\n', "", 1)
    text = text.replace(
        'name = "parts", node = "Objects/A/Parts", kind = "i64"',
        'name = "parts", node = "Objects/A/Parts", kind = "i63"',
    )
    found = [sentence.partition(": ")[2] for sentence in sentences(tmp_path, text)]
    assert found == [
        "calendar is missing",
        'kind = "i63" must be one of ' + ", ".join(f'"{kind}"' for kind in ValueKind),
    ]


def test_what_a_tag_says_together_hides_nothing_else_of_its_source(tmp_path: Path) -> None:
    source = """
[[source]]
kind = "modbus"
name = "plc"
host = "10.4.1.9"
tags = [
  { name = "speed", address = 1, type = "f32", kind = "str" },
  { name = "parts", address = 4, type = "u32", kind = "i64", unit = "parsecs per firkin" },
]
"""
    text = (GOOD + source).replace(
        'calendar = "two-shift"\n', 'calendar = "two-shift"\ngood = { tag = "plc/parts" }\norder = "plc/pars"\n'
    )
    found = "\n".join(sentences(tmp_path, text))
    assert "a f32 cannot become kind = 'str'" in found
    assert "no source has a tag plc/pars" in found
    assert "parsecs" in found
    assert "no source has a tag plc/parts" not in found
