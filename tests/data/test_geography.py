"""The built-in graph: relations join what they say, tables agree with one another, well-known facts hold."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from graphkit.data import geography

FOLDER = Path(geography.__file__).parent
TRIPLES = geography.triples()

FORMER_STATES = {"Ottoman Empire", "Soviet Union", "Yugoslavia"}

#: Relation → the pairs of kinds that it joins.
SIGNATURES = {
    "borders": {("country", "country")},
    "branch_of": {("family", "family")},
    "capital": {("country", "city")},
    "city_in": {("city", "country")},
    "currency": {("country", "currency")},
    "drives_on": {("country", "side")},
    "flows_into": {("river", "sea"), ("river", "lake"), ("river", "river")},
    "flows_through": {("river", "country")},
    "in_region": {("country", "region")},
    "independent_from": {("country", "country"), ("country", "former state")},
    "language_family": {("language", "family")},
    "member_of": {("country", "organisation")},
    "official_language": {("country", "language")},
    "on_coast_of": {("country", "sea")},
    "on_river": {("city", "river")},
    "on_sea": {("city", "sea")},
    "part_of": {("region", "continent"), ("sea", "sea")},
    "pegged_to": {("currency", "currency")},
    "range_in": {("range", "country")},
    "shore_on": {("country", "lake")},
    "spoken_language": {("country", "language")},
    "territory_of": {("country", "country")},
    "time_zone": {("country", "time zone")},
}

LANDLOCKED = {
    # Europe
    *(
        "Andorra",
        "Austria",
        "Belarus",
        "Czechia",
        "Hungary",
        "Kosovo",
        "Liechtenstein",
        "Luxembourg",
        "Moldova",
    ),
    *("North Macedonia", "San Marino", "Serbia", "Slovakia", "Switzerland", "Vatican City"),
    # Asia
    *(
        "Afghanistan",
        "Armenia",
        "Azerbaijan",
        "Bhutan",
        "Kazakhstan",
        "Kyrgyzstan",
        "Laos",
        "Mongolia",
        "Nepal",
    ),
    *("Tajikistan", "Turkmenistan", "Uzbekistan"),
    # Africa
    *("Botswana", "Burkina Faso", "Burundi", "Central African Republic", "Chad", "Eswatini", "Ethiopia"),
    *("Lesotho", "Malawi", "Mali", "Niger", "Rwanda", "South Sudan", "Uganda", "Zambia", "Zimbabwe"),
    # Americas
    *("Bolivia", "Paraguay"),
}

NO_CAPITAL = {
    *("Monaco", "Singapore", "Vatican City", "Gibraltar", "Hong Kong", "Macau"),
    *("Montserrat", "Norfolk Island", "Northern Mariana Islands", "Tokelau", "Western Sahara"),
}

MEMBERS = {
    "African Union": 55,
    "Alliance of Sahel States": 3,
    "Andean Community": 4,
    "APEC": 21,
    "Arab League": 22,
    "Arab Maghreb Union": 5,
    "Arctic Council": 8,
    "ASEAN": 11,
    "Benelux": 3,
    "BIMSTEC": 7,
    "BRICS": 10,
    "Caribbean Community": 15,
    "CELAC": 33,
    "CEMAC": 6,
    "Commonwealth of Nations": 56,
    "Council of Europe": 46,
    "CPLP": 9,
    "CPTPP": 12,
    "East African Community": 8,
    "Economic Cooperation Organization": 10,
    "ECOWAS": 12,
    "EFTA": 4,
    "Eurasian Economic Union": 5,
    "European Union": 27,
    "Eurozone": 21,
    "G20": 19,  # besides the European and the African Union
    "G7": 7,
    "Gulf Cooperation Council": 6,
    "Mercosur": 6,
    "NATO": 32,
    "OECD": 38,
    "OPEC": 12,
    "Organisation of Islamic Cooperation": 57,
    "Organization of Turkic States": 5,
    "Pacific Alliance": 4,
    "Pacific Islands Forum": 18,
    "SAARC": 8,
    "SADC": 16,
    "Schengen Area": 29,
    "Shanghai Cooperation Organisation": 10,
    "SICA": 8,
    "United Nations": 193,
    "USMCA": 3,
    "Visegrád Group": 4,
    "WAEMU": 8,
}

#: Organisations of one part of the world, and the regions or continents that hold all their members.
WITHIN = {
    "Alliance of Sahel States": {"West Africa"},
    "Andean Community": {"South America"},
    "Arab League": {"Africa", "Western Asia"},
    "Arab Maghreb Union": {"North Africa", "West Africa"},
    "Arctic Council": {"Northern Europe", "Eastern Europe", "Northern America"},
    "BIMSTEC": {"Southern Asia", "Southeast Asia"},
    "Benelux": {"Western Europe"},
    "CEMAC": {"Central Africa"},
    "Caribbean Community": {"Caribbean", "Central America", "South America"},
    "Council of Europe": {"Europe", "Western Asia"},
    "ECOWAS": {"West Africa"},
    "EFTA": {"Northern Europe", "Western Europe"},
    "East African Community": {"East Africa", "Central Africa"},
    "Economic Cooperation Organization": {"Asia"},
    "Eurasian Economic Union": {"Eastern Europe", "Central Asia", "Western Asia"},
    "European Union": {"Europe", "Western Asia"},
    "Gulf Cooperation Council": {"Western Asia"},
    "Mercosur": {"South America"},
    "Organization of Turkic States": {"Western Asia", "Central Asia"},
    "Pacific Alliance": {"South America", "Central America"},
    "Pacific Islands Forum": {"Oceania"},
    "SAARC": {"Southern Asia"},
    "SADC": {"Southern Africa", "East Africa", "Central Africa"},
    "SICA": {"Central America", "Caribbean"},
    "Schengen Area": {"Europe"},
    "Shanghai Cooperation Organisation": {"Eastern Europe", "Central Asia", "East Asia", "Southern Asia"},
    "USMCA": {"Northern America", "Central America"},
    "Visegrád Group": {"Eastern Europe"},
    "WAEMU": {"West Africa"},
}


LARGE_FAMILIES = {
    "Afroasiatic": 12,
    "Austronesian": 20,
    "Creole": 6,
    "Indo-European": 53,
    "Niger-Congo": 29,
    "Sino-Tibetan": 6,
    "Turkic": 7,
}

#: How many named seas lie within each ocean; the Sea of Azov is in the Black Sea, which is counted to none.
OCEANS = {"Arctic Ocean": 7, "Atlantic Ocean": 21, "Black Sea": 1, "Indian Ocean": 10, "Pacific Ocean": 20}

#: How many countries became independent from each power, where more than one did.
POWERS = {
    "Belgium": 3,
    "France": 27,
    "Japan": 2,
    "Netherlands": 3,
    "Ottoman Empire": 5,
    "Portugal": 6,
    "Soviet Union": 14,
    "Spain": 16,
    "United Kingdom": 52,
    "United States": 4,
    "Yugoslavia": 4,
}


def table(name: str) -> list[dict[str, str]]:
    """The lines of a table as column → cell, read without the reader under test."""
    header, *lines = (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def column(name: str, header: str) -> set[str]:
    return {label for row in table(name) for label in row[header].split(";") if label}


class Index(dict[str, set[str]]):
    """Labels → labels; looking up one that has none adds no key."""

    def __missing__(self, label: str) -> set[str]:
        return set()


@cache
def index(relation: str, *, inverse: bool = False) -> dict[str, set[str]]:
    """Head → tails of a relation, or tail → heads; a label without any has the empty set."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for head, name, tail in TRIPLES:
        if name == relation:
            found[tail if inverse else head].add(head if inverse else tail)
    return Index(found)


COUNTRIES = column("countries", "country")
KIND = {row["country"]: row["kind"] for row in table("countries")}

ENTITIES = {
    "country": COUNTRIES,
    "city": column("cities", "city"),
    "continent": {"Africa", "Americas", "Asia", "Europe", "Oceania"},
    "currency": column("currencies", "currency"),
    "family": column("families", "family"),
    "former state": FORMER_STATES,
    "lake": column("lakes", "lake"),
    "language": column("languages", "language"),
    "organisation": column("memberships", "organisation") | {"United Nations"},
    "range": column("ranges", "range"),
    "region": column("regions", "region"),
    "river": column("rivers", "river"),
    "sea": column("seas", "sea"),
    "side": {"Left Side", "Right Side"},
    "time zone": column("countries", "time_zone"),
}
KINDS_OF: defaultdict[str, set[str]] = defaultdict(set)
for _kind, _labels in ENTITIES.items():
    for _label in _labels:
        KINDS_OF[_label].add(_kind)


def unconnected(places: Iterable[str]) -> set[str]:
    """Countries of `places` that no chain of common borders within `places` joins to the first one."""
    borders, left = index("borders"), set(places)
    frontier = [min(left)]
    left.discard(frontier[0])
    while frontier:
        reached = borders[frontier.pop()] & left
        left -= reached
        frontier += reached
    return left


# The shape of the whole


def test_size_is_in_the_stated_range() -> None:
    assert 5_500 <= len(TRIPLES) <= 6_000
    assert 1_500 <= len({label for head, _, tail in TRIPLES for label in (head, tail)}) <= 1_600


def test_triples_are_distinct_and_in_the_same_order_each_time() -> None:
    assert len(set(TRIPLES)) == len(TRIPLES)
    assert geography.triples() == TRIPLES


def test_relations_are_those_that_are_declared() -> None:
    assert {relation for _, relation, _ in TRIPLES} == set(SIGNATURES)


def test_every_triple_joins_the_kinds_of_its_relation() -> None:
    wrong = [
        (head, relation, tail)
        for head, relation, tail in TRIPLES
        if not any(a in KINDS_OF[head] and b in KINDS_OF[tail] for a, b in SIGNATURES[relation])
    ]
    assert wrong == []


def test_a_label_names_one_kind_of_thing() -> None:
    assert {label: kinds for label, kinds in KINDS_OF.items() if len(kinds) > 1} == {}


def test_everything_in_a_table_takes_part_in_a_triple() -> None:
    labels = {label for head, _, tail in TRIPLES for label in (head, tail)}
    assert {label: kinds for label, kinds in KINDS_OF.items() if label not in labels} == {}


def test_labels_are_plain() -> None:
    labels = {label for head, _, tail in TRIPLES for label in (head, tail)}
    assert {label for label in labels if re.search(r"""[^\w .'+:-]|^\s|\s$|  """, label)} == set()
    assert {label for label in labels if "'" in label} == {
        "N'Djamena",
        "Nuku'alofa",
        "Saint George's",
        "Saint John's",
    }
    assert {label for label in labels if ":" in label} == {
        "UTC+3:30",
        "UTC+4:30",
        "UTC+5:30",
        "UTC+5:45",
        "UTC+6:30",
    }


def test_labels_that_differ_in_case_only_are_one_label() -> None:
    labels = {label for head, _, tail in TRIPLES for label in (head, tail)}
    assert [n for n, times in Counter(label.casefold() for label in labels).items() if times > 1] == []


def test_no_relation_leads_back_to_where_it_started() -> None:
    assert [triple for triple in TRIPLES if triple[0] == triple[2]] == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.tsv")), ids=lambda path: path.stem)
def test_tables_are_sorted_and_their_cells_too(path: Path) -> None:
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    heads = [line.split("\t")[0] for line in lines]
    assert heads == sorted(set(heads))
    for line in lines:
        for cell in line.split("\t"):
            assert cell.split(";") == sorted(set(cell.split(";")))


def test_every_table_is_read() -> None:
    relations = {
        name.removeprefix("inverse:")
        for path in FOLDER.glob("*.tsv")
        for name in path.read_text(encoding="utf-8").splitlines()[0].split("\t")[1:]
        if name != "kind"
    }
    assert relations == set(SIGNATURES)


def test_a_line_with_a_cell_too_few_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geography, "_FOLDER", tmp_path)
    (tmp_path / "countries.tsv").write_text("country\tcapital\nFrance\tParis\nSpain\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"countries\.tsv:3: 1 cells, the header has 2"):
        geography.triples()


@pytest.mark.parametrize("cell", ["Paris; Lyon", "Paris;", " Paris", ";"])
def test_a_stray_blank_or_separator_is_refused(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geography, "_FOLDER", tmp_path)
    (tmp_path / "countries.tsv").write_text(f"country\tcapital\nFrance\t{cell}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"countries\.tsv:2: want one name"):
        geography.triples()


# Countries


def test_which_countries_there_are() -> None:
    assert Counter(KIND.values()) == {
        "UN member": 193,
        "UN observer": 2,
        "limited recognition": 2,
        "associated state": 2,
        "disputed": 1,
        "territory": 42,
    }
    assert {c for c in COUNTRIES if KIND[c] not in ("UN member", "territory")} == {
        *("Palestine", "Vatican City", "Kosovo", "Taiwan", "Cook Islands", "Niue", "Western Sahara")
    }


def test_territories_and_nothing_else_belong_to_a_member_of_the_united_nations() -> None:
    sovereign = index("territory_of")
    assert set(sovereign) == {c for c in COUNTRIES if KIND[c] == "territory"}
    assert all(len(states) == 1 for states in sovereign.values())
    assert {KIND[state] for states in sovereign.values() for state in states} == {"UN member"}


@pytest.mark.parametrize("relation", ["in_region", "drives_on", "time_zone"])
def test_every_country_has_exactly_one(relation: str) -> None:
    assert {country: len(tails) for country, tails in index(relation).items()} == dict.fromkeys(COUNTRIES, 1)


def test_every_country_has_a_currency_and_a_language() -> None:
    assert set(index("currency")) == COUNTRIES
    assert set(index("official_language")) | set(index("spoken_language")) == COUNTRIES
    assert COUNTRIES - set(index("official_language")) == {
        "Burkina Faso",
        "Eritrea",
        "Niger",
        "Western Sahara",
    }


def test_every_region_lies_in_one_continent() -> None:
    part_of = index("part_of")
    assert {region: len(part_of[region]) for region in ENTITIES["region"]} == dict.fromkeys(ENTITIES["region"], 1)
    assert set(index("in_region", inverse=True)) == ENTITIES["region"]


def test_how_many_members_of_the_united_nations_each_continent_has() -> None:
    region, continent = index("in_region"), index("part_of")
    members = [c for c in COUNTRIES if KIND[c] == "UN member"]
    assert Counter(place for c in members for r in region[c] for place in continent[r]) == {
        "Africa": 54,
        "Americas": 35,
        "Asia": 47,
        "Europe": 43,
        "Oceania": 14,
    }


def test_an_official_language_is_not_listed_as_spoken_too() -> None:
    official, spoken = index("official_language"), index("spoken_language")
    assert {c: both for c in COUNTRIES if (both := official[c] & spoken[c])} == {}


def test_time_zones_are_offsets_that_exist() -> None:
    for zone in ENTITIES["time zone"]:
        match = re.fullmatch(r"UTC([+-])(\d\d?)(?::(30|45))?", zone)
        assert match, zone
        assert int(match[2]) <= (13 if match[1] == "+" else 11), zone


def test_neighbours_are_at_most_three_and_a_half_hours_apart() -> None:
    def hours(country: str) -> float:
        (zone,) = index_of_zones[country]
        sign, whole, minutes = re.fullmatch(r"UTC([+-])(\d+):?(\d*)", zone).groups()  # type: ignore[union-attr]
        return (int(whole) + int(minutes or 0) / 60) * (1 if sign == "+" else -1)

    index_of_zones = index("time_zone")
    apart = {frozenset((a, b)) for a, _, b in borders() if abs(hours(a) - hours(b)) > 3.5}
    # The capitals of the largest countries lie far from some of their neighbours.
    assert {min(pair) for pair in apart if not pair & {"China", "Russia"}} == set()


# Borders


def borders() -> list[tuple[str, str, str]]:
    return [triple for triple in TRIPLES if triple[1] == "borders"]


def test_borders_hold_in_both_directions() -> None:
    assert geography.symmetric_relations == {"borders"}
    for relation in geography.symmetric_relations:
        pairs = {(head, tail) for head, name, tail in TRIPLES if name == relation}
        assert {(tail, head) for head, tail in pairs} == pairs


def test_no_other_relation_is_symmetric() -> None:
    facts = set(TRIPLES)
    assert {r for h, r, t in TRIPLES if (t, r, h) in facts} == geography.symmetric_relations


def test_each_border_is_written_once_below_the_first_in_the_alphabet() -> None:
    written = [(row["country"], other) for row in table("borders") for other in row["borders"].split(";")]
    assert all(first < second for first, second in written)
    assert 2 * len(written) == len(borders())


NEIGHBOURS = {
    "Austria": "Czechia;Germany;Hungary;Italy;Liechtenstein;Slovakia;Slovenia;Switzerland",
    "Brazil": "Argentina;Bolivia;Colombia;French Guiana;Guyana;Paraguay;Peru;Suriname;Uruguay;Venezuela",
    "Canada": "United States",
    "Democratic Republic of the Congo": "Angola;Burundi;Central African Republic;"
    "Republic of the Congo;Rwanda;South Sudan;Tanzania;Uganda;Zambia",
    "France": "Andorra;Belgium;Germany;Italy;Luxembourg;Monaco;Spain;Switzerland",
    "Germany": "Austria;Belgium;Czechia;Denmark;France;Luxembourg;Netherlands;Poland;Switzerland",
    "Lesotho": "South Africa",
    "Portugal": "Spain",
    "South Korea": "North Korea",
    "Thailand": "Cambodia;Laos;Malaysia;Myanmar",
    "Uganda": "Democratic Republic of the Congo;Kenya;Rwanda;South Sudan;Tanzania",
    "United Kingdom": "Ireland",
}


@pytest.mark.parametrize("country", NEIGHBOURS)
def test_neighbours_are_exactly(country: str) -> None:
    assert index("borders")[country] == set(NEIGHBOURS[country].split(";"))


def test_how_many_neighbours_the_largest_countries_have() -> None:
    assert {c: len(index("borders")[c]) for c in ("China", "Russia", "Sudan", "Turkey")} == {
        "China": 16,  # 14 states, Hong Kong and Macau
        "Russia": 14,
        "Sudan": 7,
        "Turkey": 8,
    }


def test_islands_have_no_land_border() -> None:
    islands = {"Australia", "Cuba", "Cyprus", "Fiji", "Iceland", "Jamaica", "Japan", "Madagascar", "Malta"}
    islands |= {"Bahrain", "Maldives", "New Zealand", "Philippines", "Sri Lanka", "Taiwan", "Singapore"}
    assert islands & set(index("borders")) == set()


def test_neighbours_lie_on_one_continent_or_where_two_meet() -> None:
    region, continent = index("in_region"), index("part_of")

    def continent_of(country: str) -> str:
        ((place,),) = [continent[name] for name in region[country]]
        return place

    meeting = {frozenset((a, b)) for a, _, b in borders() if continent_of(a) != continent_of(b)}
    asian = ("Azerbaijan", "China", "Georgia", "Kazakhstan", "Mongolia", "North Korea")
    assert meeting == {
        *(frozenset(("Russia", country)) for country in asian),
        *(frozenset(pair) for pair in [("Turkey", "Bulgaria"), ("Turkey", "Greece"), ("Spain", "Morocco")]),
        *(frozenset(pair) for pair in [("Egypt", "Israel"), ("Egypt", "Palestine")]),
        frozenset(("Indonesia", "Papua New Guinea")),
    }


# Capitals and cities


def test_how_many_capitals_each_country_has() -> None:
    capitals = index("capital")
    assert COUNTRIES - set(capitals) == NO_CAPITAL
    assert {country: cities for country, cities in capitals.items() if len(cities) > 1} == {
        "Bolivia": {"La Paz", "Sucre"},
        "South Africa": {"Bloemfontein", "Cape Town", "Pretoria"},
    }


def test_no_city_is_the_capital_of_two_countries() -> None:
    assert {city: of for city, of in index("capital", inverse=True).items() if len(of) > 1} == {}


def test_a_capital_lies_in_its_country() -> None:
    city_in = index("city_in")
    assert {city for country, city in pairs("capital") if city_in[city] != {country}} == {"Jerusalem"}
    assert {city for city in ENTITIES["city"] if len(city_in[city]) != 1} == {"Jerusalem"}
    assert city_in["Jerusalem"] == set()


def pairs(relation: str) -> set[tuple[str, str]]:
    return {(head, tail) for head, name, tail in TRIPLES if name == relation}


@pytest.mark.parametrize(
    ("country", "city"),
    [
        *(("Australia", "Canberra"), ("Brazil", "Brasília"), ("Canada", "Ottawa"), ("France", "Paris")),
        *(("Ivory Coast", "Yamoussoukro"), ("Kazakhstan", "Astana"), ("Myanmar", "Naypyidaw")),
        *(("Netherlands", "Amsterdam"), ("Nigeria", "Abuja"), ("Switzerland", "Bern"), ("Turkey", "Ankara")),
        *(("Palau", "Ngerulmud"), ("Burundi", "Gitega"), ("Tanzania", "Dodoma"), ("Belize", "Belmopan")),
        *(("Republic of the Congo", "Brazzaville"), ("Democratic Republic of the Congo", "Kinshasa")),
        *(("Guinea", "Conakry"), ("Guinea-Bissau", "Bissau"), ("Equatorial Guinea", "Malabo")),
        *(("Niger", "Niamey"), ("Dominica", "Roseau"), ("Dominican Republic", "Santo Domingo")),
        *(("Slovakia", "Bratislava"), ("Slovenia", "Ljubljana"), ("Jamaica", "Kingston")),
        *(("Saint Vincent and the Grenadines", "Kingstown"), ("Guyana", "Georgetown")),
    ],
)
def test_capital_is(country: str, city: str) -> None:
    assert index("capital")[country] == {city}


def test_a_city_on_a_river_lies_in_a_country_of_that_river() -> None:
    city_in, through = index("city_in"), index("flows_through")
    assert [(city, river) for city, river in pairs("on_river") if not city_in[city] <= through[river]] == []


def test_a_city_on_a_sea_lies_in_a_country_on_that_sea() -> None:
    city_in, coasts = index("city_in"), index("on_coast_of")
    wrong = [(c, sea) for c, sea in pairs("on_sea") if not any(sea in coasts[state] for state in city_in[c])]
    assert wrong == []


# Languages and currencies


def test_families_of_languages_form_trees() -> None:
    assert {language: len(index("language_family")[language]) for language in languages_without_family()} == {}
    assert all(len(families) == 1 for families in index("language_family").values())
    assert acyclic(index("branch_of"))


def languages_without_family() -> set[str]:
    """Languages that have none although they are no isolate and of no small family."""
    small = {"Aymara", "Basque", "Mapudungun", "Miskito", "Sango"}
    return ENTITIES["language"] - set(index("language_family")) - small


def acyclic(edges: dict[str, set[str]]) -> bool:
    left = {head: set(tails) for head, tails in edges.items()}
    while ends := {tail for tails in left.values() for tail in tails} - set(left):
        left = {head: rest for head, tails in left.items() if (rest := tails - ends)}
    return not left


@pytest.mark.parametrize(
    ("language", "families"),
    [
        ("German", ["Germanic", "Indo-European"]),
        ("Spanish", ["Romance", "Italic", "Indo-European"]),
        ("Persian", ["Iranian", "Indo-Iranian", "Indo-European"]),
        ("Finnish", ["Finnic", "Uralic"]),
        ("Hungarian", ["Uralic"]),
        ("Maltese", ["Semitic", "Afroasiatic"]),
        ("Samoan", ["Polynesian", "Oceanic", "Malayo-Polynesian", "Austronesian"]),
        ("Zulu", ["Bantu", "Niger-Congo"]),
    ],
)
def test_language_descends_from(language: str, families: list[str]) -> None:
    (family,) = index("language_family")[language]
    line = [family]
    while parents := index("branch_of")[line[-1]]:
        line += parents
    assert line == families


def root(label: str, relation: str) -> str:
    """Where the chain of `relation` from a label ends."""
    while wider := index(relation)[label]:
        (label,) = wider
    return label


def test_how_many_languages_descend_from_each_large_family() -> None:
    families = Counter(root(family, "branch_of") for _, family in pairs("language_family"))
    assert {family: n for family, n in families.items() if n > 4} == LARGE_FAMILIES
    assert set(families) - set(LARGE_FAMILIES) == {
        *("Arawakan", "Austroasiatic", "Dravidian", "Eskaleut", "Hmong-Mien", "Japonic", "Kartvelian"),
        *("Koreanic", "Kra-Dai", "Mongolic", "Nilotic", "Quechuan", "Saharan", "Tupian", "Uralic"),
    }


def test_every_language_is_used_somewhere() -> None:
    used = {tail for _, relation, tail in TRIPLES if relation in ("official_language", "spoken_language")}
    assert used == ENTITIES["language"]


@pytest.mark.parametrize(
    ("language", "states"),
    [
        ("Portuguese", 9),  # the nine of the CPLP
        ("Spanish", 20),
        ("German", 6),
        ("Dutch", 3),
    ],
)
def test_in_how_many_members_of_the_united_nations_a_language_is_official(language: str, states: int) -> None:
    speaking = index("official_language", inverse=True)[language]
    assert len([c for c in speaking if KIND[c] == "UN member"]) == states


def test_every_currency_is_used_somewhere_and_pegs_form_trees() -> None:
    assert column("countries", "currency") == ENTITIES["currency"]
    assert all(len(anchors) == 1 for anchors in index("pegged_to").values())
    assert acyclic(index("pegged_to"))


# Organisations


@pytest.mark.parametrize("organisation", MEMBERS)
def test_organisation_has_so_many_members(organisation: str) -> None:
    assert len(index("member_of", inverse=True)[organisation]) == MEMBERS[organisation]


def test_every_organisation_has_its_count_above() -> None:
    assert set(MEMBERS) == ENTITIES["organisation"]


@pytest.mark.parametrize("organisation", WITHIN)
def test_members_lie_in_the_part_of_the_world_that_the_organisation_is_for(organisation: str) -> None:
    region, continent = index("in_region"), index("part_of")
    for country in index("member_of", inverse=True)[organisation]:
        (name,) = region[country]
        assert ({name} | continent[name]) & WITHIN[organisation], country


def test_members_of_the_united_nations_are_exactly_those_of_that_kind() -> None:
    members = index("member_of", inverse=True)["United Nations"]
    assert members == {c for c in COUNTRIES if KIND[c] == "UN member"}


def test_monetary_unions_share_a_currency() -> None:
    members, users = index("member_of", inverse=True), index("currency", inverse=True)
    assert members["Eurozone"] == users["Euro"] & members["European Union"]
    assert members["CEMAC"] == users["Central African CFA Franc"]
    assert members["WAEMU"] == users["West African CFA Franc"]
    assert {c for c in users["Euro"] - members["Eurozone"] if KIND[c] != "territory"} == {
        *("Andorra", "Kosovo", "Monaco", "Montenegro", "San Marino", "Vatican City")
    }


def test_unions_that_follow_from_geography() -> None:
    members, region, continent = index("member_of", inverse=True), index("in_region"), index("part_of")
    african = {c for c in COUNTRIES if "Africa" in {p for r in region[c] for p in continent[r]}}
    assert members["African Union"] == {c for c in african if KIND[c] != "territory"}
    american = {c for c in COUNTRIES if "Americas" in {p for r in region[c] for p in continent[r]}}
    states = {c for c in american if KIND[c] == "UN member"}
    assert members["CELAC"] == states - {"Canada", "United States"}
    southeast = {c for c in COUNTRIES if region[c] == {"Southeast Asia"}}
    assert members["ASEAN"] == southeast


def test_hand_picked_members() -> None:
    member_of = index("member_of")
    assert {"European Union", "NATO", "Schengen Area"} & member_of["Switzerland"] == {"Schengen Area"}
    assert {"European Union", "NATO", "Schengen Area"} & member_of["Ireland"] == {"European Union"}
    assert {"European Union", "NATO", "Schengen Area"} & member_of["Turkey"] == {"NATO"}
    assert "OPEC" not in member_of["Angola"]
    assert "Shanghai Cooperation Organisation" not in member_of["Turkmenistan"]


# Water and mountains


def test_landlocked_countries_and_no_others_have_no_coast() -> None:
    assert COUNTRIES - set(index("on_coast_of")) == LANDLOCKED


def test_countries_without_land_borders_have_a_coast() -> None:
    assert COUNTRIES - set(index("borders")) <= set(index("on_coast_of"))


def test_seas_lead_to_one_ocean() -> None:
    part_of = index("part_of")
    assert all(len(wider) == 1 for wider in part_of.values())
    assert acyclic(part_of)
    oceans = {"Arctic Ocean", "Atlantic Ocean", "Indian Ocean", "Pacific Ocean"}
    # Seas between two oceans, and those that are not counted to one everywhere.
    alone = {"Black Sea", "Greenland Sea", "Hudson Bay", "Norwegian Sea", "Sea of Marmara"}
    assert ENTITIES["sea"] - set(part_of) == oceans | alone


def test_how_many_seas_belong_to_each_ocean() -> None:
    oceans = Counter(root(sea, "part_of") for sea in ENTITIES["sea"] & set(index("part_of")))
    assert oceans == OCEANS


def test_which_regions_lie_on_each_ocean_and_its_seas() -> None:
    europe = {"Northern Europe", "Western Europe", "Southern Europe", "Eastern Europe"}
    america = {"Northern America", "Central America", "South America"}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for country, sea in pairs("on_coast_of"):
        found[root(sea, "part_of")] |= index("in_region")[country]
    assert {ocean: found[ocean] for ocean in found if ocean.endswith("Ocean")} == {
        "Arctic Ocean": {"Eastern Europe", "Northern America", "Northern Europe"},
        "Atlantic Ocean": europe
        | america
        | {"Caribbean", "Western Asia"}
        | {"Central Africa", "North Africa", "Southern Africa", "West Africa"},
        "Indian Ocean": {"East Africa", "North Africa", "Southern Africa"}
        | {"Western Asia", "Southern Asia", "Southeast Asia", "Australasia"},
        "Pacific Ocean": america
        | {"East Asia", "Southeast Asia", "Eastern Europe"}
        | {"Australasia", "Melanesia", "Micronesia", "Polynesia"},
    }


def test_lakes_and_ranges_touch_two_countries_or_end_a_river() -> None:
    ended = {water for _, water in pairs("flows_into")}
    for places in (index("shore_on", inverse=True), index("range_in")):
        assert {name for name, countries in places.items() if len(countries) == 1} <= ended


def test_every_sea_has_a_coast_and_every_lake_a_shore() -> None:
    assert set(index("on_coast_of", inverse=True)) == ENTITIES["sea"]
    assert set(index("shore_on", inverse=True)) == ENTITIES["lake"]


def test_a_river_ends_once_and_never_in_itself() -> None:
    assert all(len(mouths) == 1 for mouths in index("flows_into").values())
    assert acyclic(index("flows_into"))


def test_which_rivers_reach_nothing_that_has_a_label() -> None:
    assert ENTITIES["river"] - set(index("flows_into")) == {
        *("Awash", "Chenab", "Glomma", "Helmand", "Murray", "Okavango", "Shebelle", "Sutlej")
    }


def test_a_river_reaches_water_that_one_of_its_countries_has() -> None:
    coasts, shores, through = index("on_coast_of"), index("shore_on"), index("flows_through")
    for river, water in pairs("flows_into"):
        reached = {place for country in through[river] for place in coasts[country] | shores[country]}
        assert water in reached or through[river] & through[water], (river, water)


@pytest.mark.parametrize("relation", ["flows_through", "range_in"])
def test_rivers_and_ranges_cross_from_neighbour_to_neighbour(relation: str) -> None:
    apart = {name: left for name, places in index(relation).items() if (left := unconnected(places))}
    assert apart == {}


def test_the_countries_around_a_lake_are_neighbours() -> None:
    shores = index("shore_on", inverse=True)
    assert {lake: left for lake, places in shores.items() if (left := unconnected(places))} == {}


@pytest.mark.parametrize(
    ("relation", "label", "countries"),
    [
        (
            "flows_through",
            "Danube",
            "Austria;Bulgaria;Croatia;Germany;Hungary;Moldova;Romania;Serbia;Slovakia;Ukraine",
        ),
        ("flows_through", "Mekong", "Cambodia;China;Laos;Myanmar;Thailand;Vietnam"),
        ("flows_through", "Niger River", "Benin;Guinea;Mali;Niger;Nigeria"),
        ("flows_through", "Rhine", "Austria;France;Germany;Liechtenstein;Netherlands;Switzerland"),
        ("range_in", "Alps", "Austria;France;Germany;Italy;Liechtenstein;Monaco;Slovenia;Switzerland"),
        ("range_in", "Andes", "Argentina;Bolivia;Chile;Colombia;Ecuador;Peru;Venezuela"),
    ],
)
def test_river_or_range_lies_exactly_in(relation: str, label: str, countries: str) -> None:
    assert index(relation)[label] == set(countries.split(";"))


def test_lakes_with_many_shores() -> None:
    shores = index("shore_on", inverse=True)
    assert shores["Caspian Sea"] == {"Azerbaijan", "Iran", "Kazakhstan", "Russia", "Turkmenistan"}
    assert shores["Lake Victoria"] == {"Kenya", "Tanzania", "Uganda"}
    assert shores["Lake Titicaca"] == {"Bolivia", "Peru"}


# History and roads


def test_territories_have_not_become_independent() -> None:
    assert {c for c in index("independent_from") if KIND[c] != "UN member"} == set()


def test_only_vanuatu_left_two_powers_at_once() -> None:
    assert {c: of for c, of in index("independent_from").items() if len(of) > 1} == {
        "Vanuatu": {"France", "United Kingdom"}
    }


def test_how_many_countries_each_power_gave_up() -> None:
    left = index("independent_from", inverse=True)
    assert {power: len(countries) for power, countries in left.items() if len(countries) > 1} == POWERS


def test_all_republics_of_the_soviet_union_but_russia_left_it() -> None:
    assert index("independent_from", inverse=True)["Soviet Union"] == {
        *("Armenia", "Azerbaijan", "Belarus", "Estonia", "Georgia", "Kazakhstan", "Kyrgyzstan"),
        *("Latvia", "Lithuania", "Moldova", "Tajikistan", "Turkmenistan", "Ukraine", "Uzbekistan"),
    }


def test_where_europe_drives_on_the_left() -> None:
    region, continent, side = index("in_region"), index("part_of"), index("drives_on")
    european = {c for c in COUNTRIES if "Europe" in {p for r in region[c] for p in continent[r]}}
    assert {c for c in european if side[c] == {"Left Side"}} == {
        *("Guernsey", "Ireland", "Isle of Man", "Jersey", "Malta", "United Kingdom")
    }


def test_where_neighbours_drive_on_different_sides() -> None:
    side = index("drives_on")
    changing = {frozenset((a, b)) for a, _, b in borders() if side[a] != side[b]}
    assert frozenset(("Thailand", "Laos")) in changing
    assert frozenset(("Brazil", "Guyana")) in changing
    assert frozenset(("Hong Kong", "China")) in changing
    assert frozenset(("Namibia", "Angola")) in changing
    assert frozenset(("Kenya", "Uganda")) not in changing
    assert frozenset(("Guyana", "Suriname")) not in changing
